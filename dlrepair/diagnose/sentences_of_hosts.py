"""Sentences in which a program refuses a library of another release, or misses a function of its own in one."""

# ruff: noqa: E501

from __future__ import annotations

#: As ``sentences.SENTENCES``: Java, Node.js, Ruby, PHP, Perl, PostgreSQL.
HOSTS = (
    # The C library's version in somebody's own words.
    *(
        (
            name,
            r"""\b(?P<missing>[Gg](?:LIBC|libc)(?:XX|xx)?(?: version)? v?\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)['"`]? (?:is |was )?not found""",
            "version-not-found",
            5,
            "spoken",
        )
        for name in ("LIBC", "libc")
    ),
    (
        "UnsatisfiedLinkError: ",
        r"""UnsatisfiedLinkError: (?P<obj>(?:[A-Za-z]:\\|/)[^\n:*?"<>|]{1,300}\.(?:dll|so[.\d]*|dylib))(?::\s?\w{0,3})?\s*\Z""",
        "unknown",
        3,
        "cut",
    ),
    (
        "UnsatisfiedLinkError",
        r"""UnsatisfiedLinkError:\s+(?:'[\w.\[\]]+ )?(?P<obj>(?:\w+\.)+[A-Z]\w*)\.(?P<missing>\w+)\(""",
        "undefined-symbol",
        5,
        "native-method",
    ),
    (
        "No implementation found for ",
        r"""No implementation found for [\w.\[\]]+ (?P<obj>(?:\w+\.)+[A-Z]\w*)\.(?P<missing>\w+)\(""",
        "undefined-symbol",
        6,
        "native-method",
    ),
    (
        "NODE_MODULE_VERSION",
        r"""The module '(?P<obj>[^'\n]+)'\s+was compiled against a different Node\.js version""",
        "version-not-found",
        9,
        "host",
    ),
    ("NODE_MODULE_VERSION", r"""was compiled against a different Node\.js version""", "version-not-found", 8, "host"),
    (
        "incompatible library version",
        r"""incompatible library version - (?P<obj>[^\s()]+)""",
        "version-not-found",
        9,
        "host",
    ),
    (
        "compiled with module API",
        r"""(?P<obj>[\w.+-]+): Unable to initialize module\s+Module compiled with module API=""",
        "version-not-found",
        9,
        "host",
    ),
    (
        "binaries are mismatched",
        r"""(?P<obj>[\w.+-]+): loadable library and perl binaries are mismatched""",
        "version-not-found",
        9,
        "host",
    ),
    (
        "incompatible library ",
        r"""incompatible library ["'](?P<obj>[^"'\n]+)["']: (?:version mismatch|missing magic)""",
        "version-not-found",
        9,
        "host",
    ),
)
