"""The causes: stable slugs, never reused. Each has a page in ``docs/causes/``."""

#: slug -> one line that says what it means
CAUSES = {
    "file-missing": "the library is not where the program looks for it",
    "wrong-cwd": "a relative path was meant for another working directory",
    "dependency-missing": "a library that it needs is not found",
    "search-path": "the search path leads to the wrong copy of a library",
    "undefined-symbol-link": "it was not linked with the library that defines its symbols",
    "undefined-symbol-abi": "it was compiled with the other C++ ABI (_GLIBCXX_USE_CXX11_ABI)",
    "undefined-symbol-version": "it was built for another release of the library that it uses",
    "symbol-version-missing": "a library is older than the symbol versions that are needed",
    "libstdcxx-too-old": "the C++ runtime library is older than the compiler that built it",
    "libc-too-old": "the C library is older than the system that built it",
    "wrong-arch": "it was built for another processor",
    "wrong-os": "it was built for another operating system or C library",
    "not-a-library": "the file is not a shared library",
    "truncated": "the file is cut short",
    "permission": "the file may not be read",
    "noexec": "it lies on a file system mounted noexec",
    "execstack": "it demands an executable stack",
    "static-tls": "the room for static thread-local storage is used up",
    "duplicate-registration": "its ops are registered already",
    "python-abi": "it was built for another Python",
    "code-signature": "macOS refuses its code signature",
    "no-memory": "there is not enough memory to map it",
    "initializer-crash": "its own start-up code fails",
    "unknown": "the facts do not tell why",
}
