"""Possible causes where something was not found, likeliest first."""

from __future__ import annotations

from dlrepair.diagnose import hints
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found


def not_found(found: Found, text: str, loader: str) -> tuple[str, ...]:
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
    if base == "ld-linux.so.2":  # of programs of 32 bits
        return ("wrong-arch", "dependency-missing", "wrong-os")
    if foreign or base.startswith("ld-linux"):
        return ("wrong-os", "wrong-arch", "dependency-missing")
    if base.startswith(("libcygwin", "libSystem")):
        return ("wrong-os", "dependency-missing")
    if cut.is_path(found.obj) and cut.base_name(str(found.obj)) == base:
        return _not_found_path(str(found.obj), loader)
    if base in hints.EVERYWHERE and found.platform != "musl":
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
    if "torch_extensions/" in path:  # compiled when first asked for, and that failed
        return ("file-missing", "permission", "wrong-arch")
    if loader == "import" and path.startswith("/"):  # importlib found the file before it called dlopen
        return ("wrong-arch", "file-missing", "wrong-os")
    if path.startswith("/") and path.count("/") == 1:
        return ("search-path", "wrong-cwd", "file-missing")
    if not path.startswith("/"):
        return ("file-missing", "wrong-cwd", "search-path")
    if hints.is_linker(path):
        return ("wrong-arch", "wrong-os", "file-missing")
    if hints.names_machine(path):
        return ("wrong-arch", "file-missing", "dependency-missing")
    return ("file-missing", "wrong-arch", "wrong-cwd")


def _not_found_windows(found: Found, loader: str) -> tuple[str, ...]:
    if found.obj and found.obj.endswith(".so"):
        return ("wrong-os", "file-missing", "dependency-missing")
    if found.facts.get("depends") or found.facts.get("module"):
        return ("dependency-missing", "search-path", "python-abi")
    if found.facts.get("where") == "module":
        if cut.is_path(found.obj) and ":" in str(found.obj)[:3]:
            return ("dependency-missing", "file-missing", "search-path")
        return ("file-missing", "dependency-missing", "search-path", "wrong-cwd")
    return ("dependency-missing", "search-path", "file-missing")


def _not_found_dyld(found: Found, loader: str) -> tuple[str, ...]:
    library = found.facts.get("library", "")
    if library:
        if library.startswith(("@rpath", "@loader_path", "@executable_path")):
            return ("search-path", "dependency-missing", "file-missing")
        if library.startswith(("/tmp/", "/private/tmp/", "/private/var/folders/", "/var/folders/")):
            return ("search-path", "dependency-missing", "file-missing")  # where it was built: it was moved since
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
    if state == "interpreter":
        return ("wrong-os", "wrong-arch", "dependency-missing")
    path = str(found.obj or "")
    if hints.is_linker(path):
        return ("wrong-arch", "wrong-os", "file-missing")
    if cut.is_path(path):
        if "\\" in path and path.endswith(".so"):  # a Windows path to a Linux library
            return ("wrong-os", "file-missing")
        return ("file-missing", "wrong-cwd", "wrong-arch")
    if path.lower().endswith(".dll") or path.startswith("lib"):
        return ("dependency-missing", "search-path", "file-missing")
    return ("file-missing", "wrong-arch", "dependency-missing", "search-path")
