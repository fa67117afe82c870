"""Sentences in which packages, interpreters and linkers say that a library failed, without a loader's words."""

# ruff: noqa: E501

from __future__ import annotations

from dlrepair.diagnose.sentences_of_finders import FINDERS
from dlrepair.diagnose.sentences_of_hosts import HOSTS
from dlrepair.diagnose.sentences_of_releases import RELEASES

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
_OF_LIBRARIES = (
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
        r"""(?P<obj>[^\s:'"]{1,300}) ?: (?:[^\n:/]{1,40} [^\n:/]{1,60}: ?)?Exec format error""",
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
    (
        "] Cannot allocate memory: ",
        r"""Cannot allocate memory: b?['"](?P<obj>[^'"\n]+)['"]""",
        "no-memory",
        7,
        "file",
    ),
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
    # Rust's libloading since 0.9 keeps the loader's words to itself.
    (
        "dlopen failed",
        r"""(?<![\w./+-])(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|dylib|dll)): dlopen failed(?!:)""",
        "not-found",
        6,
        "library",
    ),
    (
        "find_library(",
        r"""find_library\(['"](?P<obj>[\w.+-]{1,100})['"]\)[\s\S]{0,500}?NoneType""",
        "not-found",
        6,
        "library",
    ),
    # numpy.ctypeslib.load_library, which looks for the file under the endings of this system.
    (
        "no file with expected extension",
        r"""(?:load_library\([^\n]{0,300}?['"](?P<obj>[\w+-]{2,100})['"][^\n]{0,300}\n[\s\S]{0,400})?no file with expected extension""",
        "not-found",
        6,
        "file",
    ),
    (
        "nresolved ",
        r"""[Uu]nresolved (?:\w+ ){0,2}symbol:? ['"`]?(?P<missing>_?_Z\w{3,4000})""",
        "undefined-symbol",
        7,
        "symbol",
    ),
    ("Code Signature Invalid", r"""\(Code Signature Invalid\)""", "code-signature", 6, "crash"),
    ("multiarray failed to import", r"""numpy\._?core\.multiarray failed to import""", "python-abi", 3, "numpy"),
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
        r"""(?<![^\s'\"(])(?P<obj>[^\s'\"(]+\.(?:so(?:\.\d+)*|dylib|pyd)) (?:is |was )?not found""",
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
    (
        "not found lib",
        r"""\bnot found (?P<obj>lib[\w.+-]+\.(?:so(?:\.\d+)*|dylib))(?![\w./])""",
        "not-found",
        4,
        "file",
    ),
    (
        "ake sure ",
        r"""make sure (?P<obj>[\w.+-]+\.(?:so(?:\.\d+)*|dylib|dll)) is in (?:your |the )?(?:library )?path""",
        "not-found",
        4,
        "library",
    ),
    (
        "dynamic module does not define",
        r"""dynamic module does not define(?: \w{1,10})?\s*\Z""",
        "python-abi",
        7,
        "python",
    ),
    (
        "Error on loading function",
        r"""Error on loading function (?P<missing>\w+)""",
        "undefined-symbol",
        8,
        "dlsym",
    ),
    (
        "ile is too short",
        r"""(?:(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|dylib|dll)):? ["'`]?)?[Ff]ile is too short""",
        "too-short",
        6,
        "",
    ),
    (" find -l", r"""not find -l(?P<obj>:?[\w.+-]+)""", "not-found", 5, "linker"),
    (
        "skipping incompatible",
        r"""skipping incompatible (?P<obj>\S+) when searching for""",
        "wrong-class",
        6,
        "linker",
    ),
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
    ("nable to load cu", r"""[Uu]nable to load (?P<obj>(?P<missing>cu[A-Z][A-Za-z]+))""", "not-found", 5, "gpu"),
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
)

SENTENCES = (
    _OF_LIBRARIES
    + HOSTS
    + FINDERS
    + RELEASES
    + tuple(
        (keyword, pattern, "not-found", 5, fact)
        for pattern, fact in ((_BY_FILE, "file"), (_BY_NAME, "library"))
        for keyword in _KEYWORDS
    )
)
