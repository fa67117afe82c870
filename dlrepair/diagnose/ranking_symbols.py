"""Possible causes where a symbol or a version of symbols was not found, likeliest first."""

from __future__ import annotations

from dlrepair.diagnose import hints, mangled
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found


def undefined(found: Found, text: str, loader: str) -> tuple[str, ...]:
    symbol, _, version = (found.missing or "").partition("@")
    facts = found.facts
    if found.platform == "windows":
        return ("undefined-symbol-version", "search-path", "python-abi")
    if facts.get("state") == "native-method":  # bound when first called: its library is absent, or of another release
        return ("file-missing", "undefined-symbol-version", "search-path")
    if facts.get("state") == "dlsym" and found.platform == "musl":
        return ("wrong-os", "undefined-symbol-version", "search-path")
    if facts.get("state") == "dlsym":  # loaded, and asked for a function that it has not
        return ("undefined-symbol-version", "search-path", "undefined-symbol-link")
    if not symbol:
        return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi")
    if version:
        return _versioned(found, version)
    kind = mangled.family(symbol)
    if found.platform == "musl" and kind == "c" and hints.of_system(found.obj) and not hints.installed(found.obj):
        if symbol in hints.MUSL_LATER:  # of this system, and newer than its C library
            return ("libc-too-old", "wrong-os", "undefined-symbol-version")
        return ("undefined-symbol-version", "undefined-symbol-link", "wrong-os")
    if found.platform == "musl" and kind == "c" and "musl" in cut.base_name(found.obj or ""):  # made for it
        return ("undefined-symbol-version", "undefined-symbol-link", "search-path")
    if found.platform == "musl" and (kind in ("glibc-fortify", "c") or symbol in hints.GLIBC_LATER):
        return ("wrong-os", "undefined-symbol-link", "undefined-symbol-version")
    if facts.get("android"):
        return _undefined_android(kind, symbol)
    if found.platform == "dyld":
        early = _undefined_dyld(found, kind, symbol)
        if early:
            return early
    if found.platform == "glibc" and symbol in hints.GLIBC_LATER:
        return ("libc-too-old", "undefined-symbol-version", "undefined-symbol-link")
    if found.platform == "glibc" and mangled.is_ever_defined(symbol):
        return ("undefined-symbol-link", "search-path", "undefined-symbol-version")
    if found.platform == "glibc" and mangled.is_withdrawn(symbol):
        return ("undefined-symbol-version", "undefined-symbol-link", "libc-too-old")
    if symbol in hints.OF_BIONIC:
        return ("wrong-os", "undefined-symbol-link", "wrong-arch")
    if kind == "python":
        return ("python-abi", "undefined-symbol-link", "search-path")
    if kind in ("libstdc++", "libc++"):
        return ("libstdcxx-too-old", "undefined-symbol-link", "undefined-symbol-abi", "search-path")
    if kind == "torch-python":
        return ("undefined-symbol-link", "undefined-symbol-version", "python-abi")
    if kind == "glibc-fortify":
        return ("wrong-os", "libc-too-old", "undefined-symbol-link")
    return _undefined_cxx(found, symbol, kind)


def _versioned(found: Found, version: str) -> tuple[str, ...]:
    """A versioned symbol is absent from a library of the right name: it is another build of it."""
    if version == "GLIBC_PRIVATE":  # no release's: parts of two builds of the C library meet
        of_libc = cut.base_name(found.obj or "").startswith(hints.OF_LIBC)
        if found.obj and not of_libc and not str(found.missing).startswith(("__libc_pthread", "__pthread", "__nptl")):
            return ("undefined-symbol-version", "search-path", "libc-too-old")
        return ("search-path", "undefined-symbol-version", "libc-too-old")
    if version.startswith("GLIBC_"):
        return ("libc-too-old", "search-path", "symbol-version-missing")
    if version.startswith(("GLIBCXX_", "CXXABI_")):
        return ("libstdcxx-too-old", "search-path", "symbol-version-missing")
    if hints.of_system(found.obj):
        return ("search-path", "undefined-symbol-version", "symbol-version-missing")
    if found.facts.get("provider"):
        return ("undefined-symbol-version", "search-path", "symbol-version-missing")
    return ("search-path", "undefined-symbol-version", "symbol-version-missing")


def _undefined_android(kind: str, symbol: str) -> tuple[str, ...]:
    """bionic grows with the system's release; libraries must name all that they use (no global scope)."""
    if kind == "glibc-fortify" or symbol in hints.BIONIC_LATER:
        return ("libc-too-old", "undefined-symbol-link", "wrong-os")
    return ("undefined-symbol-link", "undefined-symbol-version", "libc-too-old")


def _undefined_dyld(found: Found, kind: str, symbol: str) -> tuple[str, ...]:
    expected, built_for = found.facts.get("expected", ""), found.facts.get("built_for", "")
    of_system = expected.startswith(("/usr/lib/", "/System/")) or "libSystem" in expected
    if kind == "libc++" or (of_system and built_for):
        return ("libc-too-old", "libstdcxx-too-old", "undefined-symbol-version")
    if of_system:
        return ("libc-too-old", "undefined-symbol-version", "search-path")
    if kind == "python":
        return ("python-abi", "undefined-symbol-link", "search-path")
    if expected and "flat namespace" not in expected and "dynamic lookup" not in expected:
        return ("undefined-symbol-version", "search-path", "undefined-symbol-abi")
    if built_for and kind == "c":
        return ("undefined-symbol-version", "libc-too-old", "undefined-symbol-link")
    if kind == "tensorflow-release" and hints.installed(found.obj):
        return ("undefined-symbol-version", "undefined-symbol-link", "undefined-symbol-abi")
    if mangled.is_old_abi(symbol):  # libstdc++'s string, where all that is new speaks of libc++
        return ("undefined-symbol-abi", "undefined-symbol-link", "undefined-symbol-version", "wrong-arch")
    if "St3__1" in symbol:  # it speaks of libc++, and libstdc++ may be what its provider was compiled with
        return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi", "wrong-arch")
    return ("undefined-symbol-link", "undefined-symbol-version", "wrong-arch", "undefined-symbol-abi")


def _undefined_cxx(found: Found, symbol: str, kind: str) -> tuple[str, ...]:
    obj = found.obj or ""
    of_framework = "/tensorflow/python/" in obj or "/tensorflow/libtensorflow" in obj or "/torch/lib/" in obj
    if kind.startswith("tensorflow") and of_framework:
        return ("search-path", "undefined-symbol-version", "undefined-symbol-abi")
    abi = mangled.is_new_abi(symbol) or mangled.is_old_abi(symbol)
    if kind == "tensorflow-release":
        if "TraceString" in symbol and not hints.installed(obj) and obj:
            return ("undefined-symbol-abi", "undefined-symbol-version", "undefined-symbol-link")
        return ("undefined-symbol-version", "undefined-symbol-abi", "undefined-symbol-link")
    if abi:
        if kind == "framework":
            return ("undefined-symbol-abi", "undefined-symbol-version", "undefined-symbol-link")
        return ("undefined-symbol-abi", "undefined-symbol-link", "undefined-symbol-version")
    if kind == "tensorflow" and hints.installed(obj) and "/tensorflow_" in obj and "_ZTI" not in symbol:
        return ("undefined-symbol-version", "undefined-symbol-abi", "undefined-symbol-link")  # wheels, linked rightly
    if kind == "tensorflow":
        if hints.installed(obj) and "_ZTI" not in symbol:
            return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi")
        return ("undefined-symbol-link", "undefined-symbol-abi", "undefined-symbol-version")
    if kind in ("framework", "absl"):
        return ("undefined-symbol-version", "undefined-symbol-abi", "undefined-symbol-link")
    if kind == "c++" and hints.installed(obj) and ("/torch/_C." in obj or "/torch/lib/" in obj):
        return ("undefined-symbol-version", "undefined-symbol-link", "search-path")  # a framework's own: mixed releases
    if kind == "c++" and ("PyModuleDef" in symbol or symbol.startswith("_ZN5boost6python")):  # one build a Python
        return ("python-abi", "undefined-symbol-link", "undefined-symbol-version")
    if kind == "c++" and not mangled.is_of_host(symbol) and not hints.packaged(obj):
        return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi")
    opened = found.facts.get("opened")
    if kind == "c" and opened and cut.base_name(opened) != cut.base_name(obj):  # another copy was found on the way
        return ("search-path", "undefined-symbol-version", "undefined-symbol-link")
    if hints.own(obj, symbol) or mangled.is_fortran(symbol) or hints.being_built(obj):
        return ("undefined-symbol-link", "undefined-symbol-version", "search-path")
    return ("undefined-symbol-version", "undefined-symbol-link", "search-path")


def version(found: Found, text: str, loader: str) -> tuple[str, ...]:
    version = found.missing or ""
    needer, provider = found.facts.get("needer", ""), found.facts.get("provider", "")
    state = found.facts.get("state", "")
    if state in ("cudnn", "release"):
        return ("undefined-symbol-version", "search-path", "symbol-version-missing")
    if state == "plugin":
        return ("undefined-symbol-version", "file-missing")
    if state == "host":
        return ("undefined-symbol-version", "python-abi", "search-path")
    if found.platform == "dyld":
        return ("search-path", "symbol-version-missing", "undefined-symbol-version")
    #: A program of the system that is given an environment's library: LD_LIBRARY_PATH leaks.
    of_system = hints.of_system(needer) or "/" not in needer or needer.startswith(("/usr/bin/", "/bin/"))
    leaked = provider and needer and not hints.of_system(provider) and of_system
    if version == "GLIBC_PRIVATE":
        return ("search-path", "libc-too-old", "symbol-version-missing")
    if version.startswith("GLIBC_"):
        return ("libc-too-old", "search-path", "symbol-version-missing")
    if version.startswith(("GLIBCXX_", "CXXABI_", "GCC_")):
        if leaked:
            return ("search-path", "libstdcxx-too-old", "symbol-version-missing")
        return ("libstdcxx-too-old", "search-path", "symbol-version-missing")
    if version.startswith(("OPENSSL_", "lib")):  # built side by side: another copy was found
        return ("search-path", "symbol-version-missing", "undefined-symbol-version")
    own_libraries = any(mark in needer for mark in hints.ENVIRONMENT) and not needer.startswith("/usr/local/lib/python")
    apart = hints.of_system(provider) and own_libraries
    if leaked or apart:
        return ("search-path", "symbol-version-missing", "undefined-symbol-version")
    return ("symbol-version-missing", "search-path", "undefined-symbol-version")
