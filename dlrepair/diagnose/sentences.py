"""Sentences in which packages, interpreters and linkers say that a library failed, without a loader's words."""

# ruff: noqa: E501

from __future__ import annotations

#: Before the name of a library in prose.
_VERB = r"(?:[Uu]nable to|[Ff]ailed to|[Cc]ould not|[Cc]annot|[Cc]ouldn't|[Cc]an't) "
_KEYWORDS = ("nable to ", "ailed to ", "ould not ", "annot ", "ouldn't ", "an't ")
#: A library by its file name, and one by its name in prose, which no adjective is.
_BY_FILE = (
    _VERB
    + r"""(?:find|locate|load|open|dlopen) (?:[\w/-]+ ){0,4}(?:library:\s*)?['\"`]?(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|dylib|dll))\b"""
)
_BY_NAME = (
    _VERB
    + r"""(?:find|locate|load) (?:the |a )?['\"`]?(?!(?:[Ss]hared|[Dd]ynamic|[Nn]ative|C|the|any|this|[Pp]ython|required|of)\b)(?P<obj>[\w.+-]+)['\"`]? (?:shared |dynamic |native |C )*(?:library|libraries)\b"""
)

#: (keyword, pattern, kind, weight, fact): the pattern is searched around the keyword; its groups ``obj`` and
#: ``missing`` are there where the sentence names them.
SENTENCES = (
    (
        "ersion not found: ",
        r"""[Ll]ibrary version not found: ['"`]?(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|dylib|dll))\b""",
        "not-found",
        6,
        "absent",
    ),
    (
        "symbol not found",
        r"""dlsym\([^,()]+, (?P<missing>[^()\s]+)\): symbol not found""",
        "undefined-symbol",
        11,
        "dlsym",
    ),
    ("AttributeError: function ", r"""function '(?P<missing>\w+)' not found""", "undefined-symbol", 8, "dlsym"),
    ("Exec format error", r"""Exec format error: b?['"](?P<obj>[^'"\n]+)['"]""", "bad-header", 8, "exec"),
    (
        "Exec format error",
        r"""(?P<obj>[^\s:'"]{1,300}): (?:cannot execute binary file: )?Exec format error""",
        "bad-header",
        7,
        "exec",
    ),
    (
        "] Permission denied: ",
        r"""Permission denied: b?['"](?P<obj>[^'"\n]+\.(?:so[.\d]*|dylib|dll|pyd|node))['"]""",
        "permission",
        7,
        "file",
    ),
    ("] Cannot allocate memory: ", r"""Cannot allocate memory: b?['"](?P<obj>[^'"\n]+)['"]""", "no-memory", 7, "file"),
    # A version that stands for itself, in a sentence that leaves the loader's word "version" out.
    *(
        (
            name,
            r"""(?:(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|node|pyd))[ :][^\n]{0,80}?)?(?<!version )[`'"(]?(?<!version .)"""
            r"""(?<![\w.])(?P<missing>"""
            + name
            + r"""\d[\w.]*\d)['"\u2019`)]{0,2} (?:is |was |could )?not (?:be )?found""",
            "version-not-found",
            7,
            "",
        )
        for name in ("GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_", "OPENSSL_")
    ),
    ("Inconsistency detected by ld.so", r"""Inconsistency detected by ld\.so""", "unknown", 6, "ld.so"),
    (
        "Could not load this library",
        r"""Could not load this library:\s*(?P<obj>[^\s'"]+)""",
        "not-found",
        6,
        "either-opened",
    ),
    ("java.library.path", r"""no (?P<obj>(?P<missing>[\w.+-]+)) in java\.library\.path""", "not-found", 6, "java"),
    (
        "or one of its dependencies. In order",
        r"""load shared library '(?P<obj>(?P<missing>[^'\n]+))' or one of its dependencies""",
        "not-found",
        9,
        "dotnet",
    ),
    (
        "dynamic module does not define",
        r"""dynamic module does not define (?:module export|init) function \(?(?P<missing>(?:PyInit_|PyInitU_|init)(?P<obj>\w+))""",
        "python-abi",
        9,
        "export",
    ),
    (
        "module compiled against",
        r"""module compiled against (?:API|ABI) version (?P<missing>\w+)""",
        "python-abi",
        8,
        "numpy",
    ),
    (
        "compiled using NumPy",
        r"""compiled using (?P<missing>NumPy 1)\.x cannot be run in\s+NumPy 2""",
        "python-abi",
        8,
        "numpy",
    ),
    (
        "size changed, may indicate",
        r"""(?<![\w.])(?P<obj>[\w.]+)\.\w+ size changed, may indicate binary incompatibility""",
        "python-abi",
        8,
        "numpy",
    ),
    (
        "Module use of python",
        r"""Module use of (?P<obj>python\d+\.dll) conflicts with this version of Python""",
        "python-abi",
        9,
        "python",
    ),
    (
        "odule was compiled for",
        r"""[Mm]odule was compiled for (?:Python )?version (?P<missing>[\d.]+)""",
        "python-abi",
        8,
        "python",
    ),
    ("bad magic number in", r"""bad magic number in '?(?P<obj>[\w.]+)""", "python-abi", 7, "python"),
    (
        "has not been built",
        r"""Extension (?P<module>[\w.]+) has not been built: (?P<obj>\S+) not found""",
        "not-found",
        8,
        "file",
    ),
    (
        " not found",
        r"""(?<![^\s'\"(])(?P<obj>[^\s'\"(]+\.(?:so(?:\.\d+)*|dylib|pyd)) not found""",
        "not-found",
        4,
        "file",
    ),
    (
        "shared object file: No such file",
        r"""\((?P<obj>[^\s()]+\.so[.\d]*)\) [^\n]{0,40}shared object file: No such file or directory""",
        "not-found",
        7,
        "file",
    ),
    (
        "No such file or directory: ",
        r"""No such file or directory: b?['\"](?P<obj>[^'\"\n]+\.(?:so[.\d]*|dylib|dll|pyd))['\"]""",
        "not-found",
        6,
        "file",
    ),
    (
        "needed by",
        r"""[Cc]an ?not find (?P<missing>[\w@.+-]+) in path \S+ \(needed by (?P<obj>[^()\n]+)\)""",
        "not-found",
        8,
        "library",
    ),
    (
        "ibrary from ",
        r"""(?:load|find|open) (?:[\w.+-]+ ){0,3}library from ['\"`]?(?P<obj>[\w./+-]+\.(?:so(?:\.\d+)*|dylib|dll))\b""",
        "not-found",
        6,
        "file",
    ),
    (
        " found",
        r"""\b[Nn]o (?P<obj>[\w./+-]+\.(?:so(?:\.\d+)*|dylib|dll)) (?:was |could be )?found""",
        "not-found",
        4,
        "file",
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
        "disabled stack guard",
        r"""loaded library (?P<obj>\S+) which might have disabled stack guard""",
        "execstack",
        6,
        "",
    ),
    (
        "ndefined symbol in ",
        r"""[Uu]ndefined symbol in (?:the )?['"`]?(?P<obj>[\w./+-]+\.(?:so(?:\.\d+)*|dylib|node|pyd))\b""",
        "undefined-symbol",
        5,
        "",
    ),
    (
        "o file named",
        r"""[Nn]o file named ['"`]?(?P<obj>[\w./+-]+\.(?:so(?:\.\d+)*|dylib|dll|pyd|node))\b""",
        "not-found",
        4,
        "file",
    ),
    (
        "ibrary called ",
        r"""locate a library called ['"](?P<obj>[^'"\n]+)['"]""",
        "not-found",
        6,
        "library",
    ),
    (
        "Error: ",
        r"""Error: ['"]?(?P<obj>[\w./+-]+\.so(?:\.\w+)*):?(?=\s{0,9}(?:[)\]'"`]|\n|$))""",
        "not-found",
        3,
        "library",
    ),
    ("trap invalid opcode in", r"""trap invalid opcode in (?P<obj>\S+?\.so[.\d]*)""", "initializer", 7, "illegal"),
    (
        "Cannot load ",
        r"""Cannot load (?P<obj>[\w.+-]+\.(?:so|dylib|dll)[.\d]*) (?:or|nor|and) (?P<other>[\w.+-]+\.(?:so|dylib|dll)[.\d]*)""",
        "not-found",
        7,
        "either",
    ),
    (" find -l", r"""not find -l(?P<obj>:?[\w.+-]+)""", "not-found", 5, "linker"),
    ("skipping incompatible", r"""skipping incompatible (?P<obj>\S+) when searching for""", "wrong-class", 6, "linker"),
    ("library", r"""(?<![\w.+-])(?P<obj>[\w.+-]+) (?:shared )?library (?:was )?not found""", "not-found", 4, "library"),
    ("共享库", r"""\u65e0\u6cd5\u627e\u5230 ?(?P<obj>[\w.+-]+) ?\u5171\u4eab\u5e93""", "not-found", 5, "library"),
    (" not found", r"""Library (?P<obj>[\w.+-]+) (?:is )?not found""", "not-found", 4, "library"),
    # An extension's own name begins with an underscore; whether another module is one, its name does not tell.
    ("No module named", r"""No module named '?(?P<obj>(?:\w+\.)*_\w+)'?""", "not-found", 2, "module"),
    ("cannot import name", r"""cannot import name '?(?P<obj>_\w+|pywrap_\w+)'?""", "not-found", 2, "module"),
    (
        "Error importing ",
        r"""Error importing (?P<obj>numpy|scipy|pandas|\w+): you should not try to import \w+ from""",
        "unknown",
        2,
        "source-tree",
    ),
    (
        "not found inside JAR",
        r"""[Ff]ile (?P<obj>[^\s,'"]+) (?:was )?not found inside JAR""",
        "not-found",
        8,
        "file",
    ),
    # ctypes.util.find_library, where the compiler's linker names a file that it does not have.
    (
        "directory: b'",
        r"""No such file or directory: b'(?P<obj>(?P<missing>lib[\w.+-]+\.a))'""",
        "not-found",
        6,
        "library",
    ),
    ("nable to load cu", r"""[Uu]nable to load (?P<obj>(?P<missing>cu[A-Za-z]+)) DSO""", "not-found", 5, "gpu"),
    ("rror: _Z", r"""Error: (?P<missing>_Z[NTKLS]?\w{6,4000})\s*(?:\n|$)""", "undefined-symbol", 3, "symbol"),
    # Java (ClassLoader.loadLibrary) looks whether the file exists before it opens it.
    ("an't load library", r"""Can't load library: (?P<obj>[^\s,'"]+)""", "not-found", 9, "file"),
    (
        "DllNotFoundException",
        r"""DllNotFoundException\s?: (?P<obj>(?P<missing>[\w@./~+-]+)) assembly:""",
        "not-found",
        8,
        "dotnet",
    ),
    (
        "ibrary symbols for",
        r"""Could not load shared library symbols for\s+(?P<obj>[^\s,]+?)[.,]?(?:\s|$)""",
        "not-found",
        6,
        "gdb",
    ),
    (
        "as an executable file",
        r"""Could not open [`'](?:target:)?(?P<obj>[^`'\n]+)' as an executable file""",
        "not-found",
        6,
        "gdb",
    ),
    (
        "s it installed?",
        r"""[Uu]nable to load (?P<obj>(?P<missing>[\w.+-]+))\. Is it installed\?""",
        "not-found",
        6,
        "gpu",
    ),
    (
        "platform plugin",
        r"""(?P<missing>[\w.-]+) is needed to load the Qt (?P<obj>\w+) platform plugin""",
        "not-found",
        8,
        "either-opened",
    ),
    (
        "Qt platform plugin",
        r"""load the Qt platform plugin "(?P<obj>\w+)"(?P<missing>)""",
        "not-found",
        6,
        "either-opened",
    ),
    # PyInstaller's analysis of what it packs.
    (
        "dependency of ",
        r"""(?:lib not found: |could not resolve ')(?P<missing>[^\s',]+)'?,? dependency of '?(?P<obj>[^\s']+)""",
        "not-found",
        8,
        "library",
    ),
    # Another release of the program that loads it: Node.js, Ruby, PHP, Perl, PostgreSQL.
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
) + tuple(
    (keyword, pattern, "not-found", 5, fact)
    for pattern, fact in ((_BY_FILE, "file"), (_BY_NAME, "library"))
    for keyword in _KEYWORDS
)
