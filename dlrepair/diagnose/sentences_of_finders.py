"""Sentences of Python packages that looked for a library themselves, by ``ctypes.util.find_library`` or names of theirs."""

# ruff: noqa: E501

from __future__ import annotations

_FILE = r"""(?<![^\s'"`(])(?P<obj>[^\s'"`(]+\.(?:so(?:\.\d+)*|dylib|dll|pyd))['"`]? """

_NAMED = r"""['"`]?(?P<missing>[^\s:'"`]+\.so(?:\.[\w.]*\w)?)"""

#: As ``sentences.SENTENCES``.
FINDERS = (
    ("library", r"""(?<![\w.+-])(?P<obj>(?!C )[\w.+-]+)['"]? (?:C |shared )*library (?:was )?not found""", "not-found", 4, "library"),
    ("共享库", r"""\u65e0\u6cd5\u627e\u5230 ?(?P<obj>[\w.+-]+) ?\u5171\u4eab\u5e93""", "not-found", 5, "library"),
    (" not found", r"""(?:Library |\b(?=lib(?!rar)[a-z]))(?P<obj>[\w+-]+(?:\.[\w+-]+)*)(?:\(\w+\))? (?:is )?not found""", "not-found", 4, "library"),
    *(
        (keyword, _FILE + r"""(?:can ?not|could not|can't|couldn't) be (?:found|located|loaded|opened)""", "not-found", 4, "file")
        for keyword in ("not be ", "'t be ")
    ),
    (" failed to load", _FILE + r"""failed to load""", "not-found", 4, "file"),
    (" is missing", _FILE + r"""is missing""", "not-found", 4, "file"),
    # the dynamic linker's, in a title: the reason was left out
    ("while loading shared librar", r"""(?P<obj>[^\s:'"`]+): error while loading shared libraries: """ + _NAMED, "not-found", 3, "start"),
    ("while loading shared librar", r"""while loading shared librar(?:ies|y):? """ + _NAMED.replace("missing", "obj"), "not-found", 3, "start"),
    # the words in the middle were left out, or only the subject of the message is told
    *(
        (words, r"""(?:ImportError|OSError): (?P<obj>[^\s:'"`]+\.so(?:\.\d+)*): """ + words, "not-found", 3, "start")
        for words in ("No such file or directory", "no such file")
    ),
    *(
        (words, r"""\b(?:ELF|elf) (?:class|CLASS) (?:error|mismatch)""", "wrong-class", 3, "start")
        for words in ("ELF class", "ELF CLASS", "elf class")
    ),
    # cairocffi
    ("no library called ", r"""no library called ['"](?P<obj>[\w.+-]+)['"] was found""", "not-found", 4, "library"),
    # python-magic
    ("to find lib", r"""[Ff]ailed to find (?P<obj>lib[a-z][\w+-]*)(?=[\s,;:]|\.\s|\.?\Z)""", "not-found", 4, "library"),
    # shapely
    ("any of its variants", r"""find lib(?:rary)? (?P<obj>[\w.+-]+) or load any of its variants""", "not-found", 5, "library"),
    # find_library found none, and the package did not look at its answer
    ("LoadLibrary() argument", r"""LoadLibrary\(\) argument (?:1|'name') must be str, not None(?P<obj>)""", "not-found", 3, "library"),
    ("NoBackendError", r"""NoBackendError: No backend available(?P<obj>)""", "not-found", 3, "library"),
)  # fmt: skip
