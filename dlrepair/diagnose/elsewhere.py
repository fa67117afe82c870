"""Messages of the loaders of Android (bionic), FreeBSD, OpenBSD, Solaris and AIX: recognised, not diagnosed further."""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: (keyword, pattern, symptom kind). Groups: ``obj`` the failing object, ``missing`` what it lacks.
#: Sources: bionic/linker/linker.cpp; FreeBSD libexec/rtld-elf/rtld.c; OpenBSD libexec/ld.so/dlfcn.c;
#: Solaris rtld, lib/libc/port messages; AIX error codes 0509-*.
_PATTERNS = (
    (
        "cannot locate symbol",
        r"""cannot locate symbol ["']?(?P<missing>[^"'\s]+)["']?"""
        r"""(?:\s+referenced by\s+(?:"(?P<obj>[^"\n]+)"|(?P<obj2>[^"\s]+)))?""",
        "undefined-symbol",
    ),
    (
        " not found",
        r"""library "(?P<missing>[^"\n]+)" not found(?:: needed by (?P<obj>[^"\s]+))?""",
        "not-found",
    ),
    (
        "is not accessible for the namespace",
        r"""library "(?P<obj>[^"\n]+)"[^\n]{0,300}? is not accessible for the namespace""",
        "permission",
    ),
    ("-bit instead of ", r""""(?P<obj>[^"\n]+)" is (?:32|64)-bit instead of (?:32|64)-bit""", "wrong-class"),
    ("has bad ELF magic", r""""(?P<obj>[^"\n]+)" has bad ELF magic""", "bad-header"),
    ("has unexpected e_machine", r""""(?P<obj>[^"\n]+)" has unexpected e_machine""", "wrong-class"),
    ("is for EM_", r""""(?P<obj>[^"\n]+)" is for EM_\w+""", "wrong-class"),
    ("too small to be an ELF", r""""(?P<obj>[^"\n]+)" (?:file )?(?:is )?too small to be an ELF""", "too-short"),
    ("Undefined symbol ", r"""(?:(?P<obj>[^\s:'"]+): )?Undefined symbol "(?P<missing>[^"\n]+)\"""", "undefined-symbol"),
    ("undefined symbol '", r"""(?P<obj>[^\s:'"]+): undefined symbol '(?P<missing>[^'\n]+)'""", "undefined-symbol"),
    (
        " not found, required by",
        r"""Shared object "(?P<missing>[^"\n]+)" not found, required by "(?P<obj>[^"\n]+)\"""",
        "not-found",
    ),
    (
        " not defined",
        r"""version (?P<missing>[\w.]+) required by (?P<obj>\S+) not (?:defined|found)""",
        "version-not-found",
    ),
    ("unsupported file layout", r"""(?P<obj>[^\s:'"]+): unsupported file layout""", "wrong-class"),
    ("invalid file format", r"""(?P<obj>[^\s:'"]+): invalid file format""", "bad-header"),
    (
        "can't load library",
        r"""(?:(?P<obj>[^\s:'"]+): )?can't load library '(?P<missing>[^'\n]+)'""",
        "not-found",
    ),
    (
        "open failed: No such file",
        r"""(?P<obj>[^\s:]+): fatal: (?P<missing>[^\s:]+): open failed: No such file""",
        "not-found",
    ),
    (
        "referenced symbol not found",
        r"""relocation error: file (?P<obj>[^\s:]+): symbol (?P<missing>[^\s:]+): referenced symbol not found""",
        "undefined-symbol",
    ),
    ("wrong ELF data format", r"""fatal: (?P<obj>[^\s:]+): wrong ELF data format""", "wrong-class"),
    (
        "0509-150",
        r"""(?:Cannot load (?:library|module) (?P<obj>\S+?)\.?\s+)?0509-150\s+"""
        r"""Dependent module (?P<missing>\S+) could not be""",
        "not-found",
    ),
    ("0509-130", r"""0509-136\s+Symbol (?P<missing>\S+) [^\n]*?is not exported""", "undefined-symbol"),
    ("0509-022", r"""0509-022 Cannot load (?:library|module) (?P<obj>\S+?)\.?(?:\s|$)""", "not-found"),
)


def scan(text: str) -> list[Found]:
    """The messages of these loaders in a text."""
    found = []
    android = "yes" if "dlopen failed" in text or "cannot locate symbol" in text else ""
    for keyword, pattern, kind in _PATTERNS:
        near = cut.search_near(pattern, text, keyword)
        if near is None:
            continue
        groups = near[0].groupdict()
        missing = cut.strip_marks(groups.get("missing") or "").strip("*")
        obj = cut.strip_marks(groups.get("obj") or groups.get("obj2") or "").rstrip(".")
        if kind == "not-found":
            obj = obj or missing
            missing = cut.base_name(missing or obj)
        weight = 8 if kind == "not-found" else 9
        found.append(Found(kind, obj, missing, near[1] + near[0].start(), weight, "elsewhere", android=android))
    return found
