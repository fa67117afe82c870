"""Possible causes of a symptom, likeliest first: what the words, the names in them and the loader make probable.

This is a ranking, not a diagnosis: a cause is stated as fact only by ``rules`` (CONTRACT.md, Causes).
String methods only; one function a symptom kind.
"""

from __future__ import annotations

from dlrepair.diagnose import mangled
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: Kinds whose words leave little to rank.
_PLAIN = {
    "executable": ("not-a-library", "wrong-os"),
    "not-shared": ("not-a-library", "truncated", "wrong-os"),
    "execstack": ("execstack", "permission"),
    "static-tls": ("static-tls", "search-path"),
    "already-registered": ("duplicate-registration", "search-path", "undefined-symbol-version"),
    "code-signature": ("code-signature", "permission", "not-a-library"),
    "no-memory": ("no-memory", "truncated"),
    "link-loop": ("file-missing", "search-path"),
    "cannot-read": ("not-a-library", "truncated", "permission"),
    "too-short": ("truncated", "not-a-library", "file-missing"),
}

#: Directories into which package managers put built files: whoever copies them copies another system's.
_INSTALLED = ("site-packages", "dist-packages", "node_modules", "/var/task/", "/layers/", ".egg", "vendor/")

#: Places that belong to an environment with libraries of its own, and places of the system.
_ENVIRONMENT = ("conda", "/envs/", "venv", "/opt/", "miniforge", "mamba", "_MEI", "/home/", "/Users/", "/usr/local/")
_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/lib32/")

#: Words in a vendor's path that name a processor: several builds lie side by side there.
_MACHINES = ("linux64", "linux32", "x86_64", "x86-64", "x64", "x86", "i386", "i686", "amd64", "arm64", "aarch64",
             "armhf", "armv7", "arm", "arm32", "gnueabi", "gnueabihf", "ppc64le", "win32", "win64")  # fmt: skip

#: Where Debian and Python write a processor into every path.
_CONVENTIONS = (
    "/usr/lib/x86_64-linux-gnu/", "/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/",
    "-x86_64-linux-gnu.so", "-aarch64-linux-gnu.so", "/lib.linux-x86_64",
)  # fmt: skip

#: Libraries that practically every Linux system holds: not found means not looked for.
_EVERYWHERE = ("libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libm.so.6", "libpthread.so.0", "libdl.so.2")


def rank(found: Found, text: str, loader: str) -> tuple[str, ...]:
    """Slugs of ``dlrepair.model.causes``, likeliest first, without repetition; never empty."""
    if found.kind in _PLAIN:
        causes = _PLAIN[found.kind]
    else:
        causes = _BY_KIND.get(found.kind, _unknown)(found, text, loader)
    return tuple(dict.fromkeys(causes)) or ("unknown",)


def _installed(name: str | None) -> bool:
    return bool(name) and any(mark in str(name) for mark in _INSTALLED)


def _system(name: str | None) -> bool:
    return bool(name) and str(name).startswith(_SYSTEM)


def _names_machine(path: str) -> bool:
    """Whether a path names a processor outside Debian's and Python's own naming schemes."""
    parts = path.replace("\\", "/").lower()
    for known in _CONVENTIONS:
        parts = parts.replace(known, "/")
    words = parts
    for mark in "/_-.":
        words = words.replace(mark, " ")
    tokens = words.split()
    return any(machine in tokens for machine in _MACHINES) or "x86_64" in parts or "x86-64" in parts


def _not_found(found: Found, text: str, loader: str) -> tuple[str, ...]:
    name = found.missing or found.obj or ""
    base = cut.base_name(name)
    facts = found.facts
    state = facts.get("state", "")
    if found.platform == "windows":
        return _not_found_windows(found, loader)
    if found.platform == "dyld":
        return _not_found_dyld(found, loader)
    if state:
        return _not_found_stated(found, state)
    if base.startswith("libpython") and not (cut.is_path(found.obj) and cut.base_name(str(found.obj)) == base):
        return ("python-abi", "dependency-missing", "search-path")
    foreign = base.startswith(("libc.musl", "ld-musl")) or (
        found.platform == "musl" and base.startswith(("ld-linux", "libc.so.6", "libm.so.6", "libresolv.so.2"))
    )
    if foreign or base.startswith("ld-linux"):
        return ("wrong-os", "wrong-arch", "dependency-missing")
    if base.startswith(("libcygwin", "libSystem")):
        return ("wrong-os", "dependency-missing")
    if cut.is_path(found.obj) and cut.base_name(str(found.obj)) == base:
        return _not_found_path(str(found.obj), loader)
    if base in _EVERYWHERE and found.platform != "musl":
        return ("search-path", "dependency-missing", "wrong-arch")
    if facts.get("unexpanded") or facts.get("no_search_path"):
        return ("search-path", "dependency-missing")
    if base.startswith("libtensorflow_framework"):
        return ("dependency-missing", "undefined-symbol-version", "search-path")
    if loader != "import" and found.obj == found.missing and not base.startswith("lib") and base.endswith(".so"):
        return ("file-missing", "dependency-missing", "search-path")  # no linker writes such a name: it was asked for
    return ("dependency-missing", "search-path", "file-missing")


def _not_found_path(path: str, loader: str) -> tuple[str, ...]:
    """A path was opened: glibc says "No such file" also for an existing file of another machine."""
    if loader == "import" and path.startswith("/"):  # importlib found the file before it called dlopen
        return ("wrong-arch", "file-missing", "wrong-os")
    if path.startswith("/") and path.count("/") == 1:
        return ("search-path", "wrong-cwd", "file-missing")
    if not path.startswith("/"):
        return ("file-missing", "wrong-cwd", "dependency-missing")
    if base_is_loader(path):
        return ("wrong-arch", "wrong-os", "file-missing")
    if _names_machine(path):
        return ("wrong-arch", "file-missing", "dependency-missing")
    return ("file-missing", "wrong-arch", "wrong-cwd")


def base_is_loader(path: str) -> bool:
    """Whether the name is that of a dynamic linker."""
    return cut.base_name(path).startswith(("ld-linux", "ld-2", "ld.so", "ld-musl", "ld64"))


def _not_found_windows(found: Found, loader: str) -> tuple[str, ...]:
    if found.facts.get("depends") or found.facts.get("module"):
        return ("dependency-missing", "search-path", "python-abi")
    if found.facts.get("where") == "module":
        if cut.is_path(found.obj) and ":" in str(found.obj)[:3]:
            return ("dependency-missing", "file-missing", "search-path")
        return ("file-missing", "dependency-missing", "search-path", "wrong-cwd")
    if found.obj and found.obj.endswith(".so"):
        return ("wrong-os", "file-missing")
    return ("dependency-missing", "search-path", "file-missing")


def _not_found_dyld(found: Found, loader: str) -> tuple[str, ...]:
    library = found.facts.get("library", "")
    if library:
        if library.startswith(("@rpath", "@loader_path", "@executable_path")):
            return ("search-path", "dependency-missing", "file-missing")
        if "libpython" in library or "/Python" in library:
            return ("python-abi", "dependency-missing", "search-path")
        return ("dependency-missing", "search-path", "undefined-symbol-version")
    if not cut.is_path(found.obj):
        return ("search-path", "file-missing", "dependency-missing")
    if loader == "import" and str(found.obj).startswith("/"):
        return ("dependency-missing", "file-missing", "wrong-arch")
    return ("file-missing", "wrong-cwd", "search-path")


def _not_found_stated(found: Found, state: str) -> tuple[str, ...]:
    if state in ("either-opened", "dotnet"):  # the package's file is there as a rule: what it needs is not
        return ("dependency-missing", "undefined-symbol-version", "file-missing")
    if state == "absent":
        return ("file-missing", "search-path", "dependency-missing")
    if state == "preload":
        if str(found.obj).startswith("/"):
            return ("file-missing", "wrong-arch", "permission")
        return ("search-path", "file-missing", "wrong-cwd")
    if state == "gdb":
        return ("search-path", "file-missing", "wrong-cwd")
    if state == "java":
        return ("file-missing", "search-path", "dependency-missing")
    if state == "gpu":
        return ("search-path", "dependency-missing")
    if state == "either":
        return ("search-path", "dependency-missing", "undefined-symbol-version")
    if state in ("driver", "linker"):
        return ("dependency-missing", "search-path")
    if state == "op":
        return ("file-missing", "undefined-symbol-version", "dependency-missing")
    if state == "library":
        return ("dependency-missing", "search-path", "file-missing")
    if state == "module":
        name = str(found.obj or "")
        if name.rsplit(".", 1)[-1].startswith("_"):
            return ("file-missing", "permission", "python-abi")
        return ("file-missing", "search-path", "python-abi")
    path = str(found.obj or "")
    if cut.is_path(path):
        if "\\" in path and path.endswith(".so"):  # a Windows path to a Linux library
            return ("wrong-os", "file-missing")
        return ("file-missing", "wrong-cwd", "wrong-arch")
    if path.lower().endswith(".dll"):
        return ("dependency-missing", "file-missing", "search-path")
    return ("file-missing", "wrong-arch", "dependency-missing", "search-path")


def _undefined(found: Found, text: str, loader: str) -> tuple[str, ...]:
    symbol, _, version = (found.missing or "").partition("@")
    facts = found.facts
    if found.platform == "windows":
        return ("undefined-symbol-version", "search-path", "python-abi")
    if facts.get("state") == "dlsym" and found.platform == "musl":
        return ("wrong-os", "undefined-symbol-version", "search-path")
    if facts.get("state") == "dlsym":  # loaded, and asked for a function that it has not
        return ("undefined-symbol-version", "search-path", "undefined-symbol-link")
    if version:
        return _versioned(found, version)
    kind = mangled.family(symbol)
    if found.platform == "musl" and kind in ("glibc-fortify", "c"):
        return ("wrong-os", "undefined-symbol-link", "undefined-symbol-version")
    if facts.get("android"):
        return _undefined_android(kind)
    if found.platform == "dyld":
        early = _undefined_dyld(found, kind, symbol)
        if early:
            return early
    if kind == "python":
        return ("python-abi", "undefined-symbol-link", "search-path")
    if kind in ("libstdc++", "libc++"):
        return ("libstdcxx-too-old", "undefined-symbol-link", "undefined-symbol-abi", "search-path")
    if kind == "torch-python":
        return ("undefined-symbol-link", "undefined-symbol-version", "python-abi")
    if kind == "glibc-fortify":
        return ("wrong-os", "libc-too-old", "undefined-symbol-link")
    return _undefined_cxx(found, symbol, kind, facts.get("tensorflow", ""))


def _versioned(found: Found, version: str) -> tuple[str, ...]:
    """A versioned symbol is absent from a library of the right name: it is another build of it."""
    if version.startswith("GLIBC_"):
        return ("libc-too-old", "search-path", "symbol-version-missing")
    if version.startswith(("GLIBCXX_", "CXXABI_")):
        return ("libstdcxx-too-old", "search-path", "symbol-version-missing")
    if _system(found.obj):
        return ("search-path", "undefined-symbol-version", "symbol-version-missing")
    if found.facts.get("provider"):
        return ("undefined-symbol-version", "search-path", "symbol-version-missing")
    return ("search-path", "undefined-symbol-version", "symbol-version-missing")


def _undefined_android(kind: str) -> tuple[str, ...]:
    """bionic grows with the system's release; libraries must name all that they use (no global scope)."""
    if kind == "glibc-fortify":
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
    if kind == "tensorflow-release" and _installed(found.obj):
        return ("undefined-symbol-version", "undefined-symbol-link", "undefined-symbol-abi")
    if "St3__1" in symbol:  # it speaks of libc++, and libstdc++ may be what its provider was compiled with
        return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi", "wrong-arch")
    return ("undefined-symbol-link", "undefined-symbol-version", "wrong-arch", "undefined-symbol-abi")


def _undefined_cxx(found: Found, symbol: str, kind: str, _: str) -> tuple[str, ...]:
    obj = found.obj or ""
    of_framework = "/tensorflow/python/" in obj or "/tensorflow/lib" in obj or "/torch/lib/" in obj
    if kind.startswith("tensorflow") and of_framework:
        return ("search-path", "undefined-symbol-version", "undefined-symbol-abi")
    abi = mangled.is_new_abi(symbol) or mangled.is_old_abi(symbol)
    if kind == "tensorflow-release":
        if "TraceString" in symbol and not _installed(obj) and obj:
            return ("undefined-symbol-abi", "undefined-symbol-version", "undefined-symbol-link")
        return ("undefined-symbol-version", "undefined-symbol-abi", "undefined-symbol-link")
    if abi:
        if kind == "framework":
            return ("undefined-symbol-abi", "undefined-symbol-version", "undefined-symbol-link")
        return ("undefined-symbol-abi", "undefined-symbol-link", "undefined-symbol-version")
    if kind == "tensorflow":
        if _installed(obj) and "_ZTI" not in symbol:
            return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi")
        return ("undefined-symbol-link", "undefined-symbol-abi", "undefined-symbol-version")
    if kind in ("framework", "absl"):
        return ("undefined-symbol-version", "undefined-symbol-abi", "undefined-symbol-link")
    if kind == "c++" and not mangled.is_of_host(symbol):
        return ("undefined-symbol-link", "undefined-symbol-version", "undefined-symbol-abi")
    if _own(obj, symbol) or mangled.is_fortran(symbol):
        return ("undefined-symbol-link", "undefined-symbol-version", "search-path")
    return ("undefined-symbol-version", "undefined-symbol-link", "search-path")


def _own(obj: str, symbol: str) -> bool:
    """Whether a C symbol is named after its own library: a source file was left out when it was linked."""
    stem = cut.base_name(obj).split(".")[0].lower()
    stem = stem[3:] if stem.startswith("lib") else stem
    return len(stem) > 3 and symbol.lower().replace("lib", "", 1).startswith(stem)


def _version(found: Found, text: str, loader: str) -> tuple[str, ...]:
    version = found.missing or ""
    needer, provider = found.facts.get("needer", ""), found.facts.get("provider", "")
    state = found.facts.get("state", "")
    if state == "cudnn":
        return ("undefined-symbol-version", "search-path", "symbol-version-missing")
    if state == "plugin":
        return ("undefined-symbol-version", "file-missing")
    if state == "host":
        return ("undefined-symbol-version", "python-abi", "search-path")
    if found.platform == "dyld":
        return ("search-path", "symbol-version-missing", "undefined-symbol-version")
    #: A program of the system that is given an environment's library: LD_LIBRARY_PATH leaks.
    of_system = _system(needer) or "/" not in needer or needer.startswith(("/usr/bin/", "/bin/"))
    leaked = provider and needer and not _system(provider) and of_system
    if version.startswith("GLIBC_"):
        return ("libc-too-old", "search-path", "symbol-version-missing")
    if version.startswith(("GLIBCXX_", "CXXABI_", "GCC_")):
        if leaked:
            return ("search-path", "libstdcxx-too-old", "symbol-version-missing")
        return ("libstdcxx-too-old", "search-path", "symbol-version-missing")
    apart = _system(provider) and any(mark in needer for mark in _ENVIRONMENT)
    if leaked or apart:
        return ("search-path", "symbol-version-missing", "undefined-symbol-version")
    return ("symbol-version-missing", "search-path", "undefined-symbol-version")


def _wrong_class(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if found.platform == "glibc" and found.obj and not cut.is_path(found.obj):
        return ("search-path", "wrong-arch")  # a name, not a path: a search led to it
    return ("wrong-arch", "search-path", "python-abi")


def _bad_header(found: Found, text: str, loader: str) -> tuple[str, ...]:
    obj = found.obj or ""
    reason = found.facts.get("reason", "")
    if found.facts.get("state") == "exec":
        return ("wrong-arch", "wrong-os", "not-a-library")
    if found.platform == "windows":
        if obj.endswith(".so") or ".so" in text:
            return ("wrong-os", "wrong-arch", "not-a-library")
        return ("wrong-arch", "wrong-os", "not-a-library", "truncated")
    if found.platform == "dyld":
        if "platform" in reason or "built for" in reason:
            return ("wrong-os", "wrong-arch")
        return ("wrong-os", "not-a-library", "truncated")
    words = found.facts.get("words", "")
    if "OS ABI" in words or "ABI version" in words:
        return ("wrong-os", "libc-too-old", "wrong-arch")
    if "reloc type" in words or "padding" in words or "load command" in words:
        return ("truncated", "wrong-arch", "not-a-library")
    if "data encoding" in words:
        return ("wrong-arch", "wrong-os")
    if found.platform == "musl":
        return ("wrong-arch", "wrong-os", "not-a-library")
    if _installed(obj) or loader == "import" or obj.endswith(".node"):
        return ("wrong-os", "not-a-library", "truncated")
    return ("not-a-library", "wrong-os", "truncated")


def _permission(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if "sandbox" in found.facts.get("reason", ""):
        return ("permission", "code-signature")
    return (
        ("permission", "noexec", "code-signature")
        if found.platform in ("dyld", "windows")
        else ("permission", "noexec")
    )


def _map_failed(found: Found, text: str, loader: str) -> tuple[str, ...]:
    reason = found.facts.get("reason", "")
    if reason.startswith("Cannot allocate memory"):
        return ("no-memory", "noexec", "truncated")
    if reason.startswith("Permission denied"):
        return ("permission", "noexec", "execstack")
    if reason.startswith("Invalid argument"):
        return ("wrong-arch", "truncated", "noexec")
    if "memory protections" in found.facts.get("words", ""):
        return ("permission", "execstack", "no-memory")
    return ("noexec", "no-memory", "permission")


def _initializer(found: Found, text: str, loader: str) -> tuple[str, ...]:
    state = found.facts.get("state", "")
    if state in ("illegal", "isa") or found.facts.get("words", "").startswith("CPU ISA"):
        return (
            ("initializer-crash", "wrong-arch", "unknown")
            if state == "illegal"
            else ("wrong-arch", "initializer-crash")
        )
    if state == "bus":
        return ("truncated", "no-memory", "initializer-crash")
    if state == "heap":
        return ("initializer-crash", "search-path", "undefined-symbol-abi", "unknown")
    if found.platform == "windows":
        if found.facts.get("illegal"):
            return ("wrong-arch", "initializer-crash")
        return ("initializer-crash", "dependency-missing", "search-path")
    return ("initializer-crash", "truncated", "undefined-symbol-version", "unknown")


def _python_abi(found: Found, text: str, loader: str) -> tuple[str, ...]:
    return (
        ("python-abi", "search-path", "wrong-arch")
        if found.facts.get("state") == "export"
        else ("python-abi", "search-path")
    )


def _unknown(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if found.facts.get("static"):
        return ("wrong-os", "unknown")
    if found.facts.get("state") == "ld.so":
        return ("search-path", "truncated", "symbol-version-missing")
    if found.facts.get("state") == "source-tree":
        return ("search-path", "dependency-missing", "python-abi")
    return ("unknown", "dependency-missing", "search-path")


_BY_KIND = {
    "not-found": _not_found,
    "undefined-symbol": _undefined,
    "version-not-found": _version,
    "wrong-class": _wrong_class,
    "bad-header": _bad_header,
    "permission": _permission,
    "map-failed": _map_failed,
    "initializer": _initializer,
    "python-abi": _python_abi,
}
