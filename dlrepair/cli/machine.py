"""What this machine tells about a script's expressions: its system, suffixes and files. Runs nothing."""

from __future__ import annotations

import ast
import glob
import os
import platform
import sys
import sysconfig
from typing import Iterator

#: expressions that name the operating system -> what they are here
_SYSTEM = {
    "sys.platform": sys.platform,
    "os.name": os.name,
    "platform.system": platform.system(),
    "system": platform.system(),
    "platform.machine": platform.machine(),
}
#: names of the library that stand for one text here
FIXED = {
    "os.sep": os.sep, "os.path.sep": os.sep, "os.curdir": os.curdir, "os.pardir": os.pardir, "os.extsep": os.extsep,
    "os.path.pardir": os.pardir, "os.name": os.name, "sys.platform": sys.platform, "sys.prefix": sys.prefix,
    "sys.exec_prefix": sys.exec_prefix, "sys.base_prefix": sys.base_prefix,
}  # fmt: skip
MAX_FILES = 16


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute; what is not a name stands for nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return "{}.{}".format(dotted(node.value), node.attr).lstrip(".")
    return ""


def truth(test: ast.expr) -> bool | None:
    """Whether a test of the operating system holds here; None for any other test."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = truth(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        decisive = isinstance(test.op, ast.Or)
        parts = [truth(one) for one in test.values]
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.In, ast.NotIn)):
        here, asked = _system(test.comparators[0]), _text(test.left)
        return None if here is None or asked is None else (asked in here) == isinstance(test.ops[0], ast.In)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        here, asked = _system(test.left), _text(test.comparators[0])
        if here is None or asked is None:
            return None
        if isinstance(test.ops[0], (ast.Eq, ast.NotEq)):
            return (here == asked) == isinstance(test.ops[0], ast.Eq)
        return None
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "startswith":
        here, asked = _system(test.func.value), _text(test.args[0]) if test.args else None
        return None if here is None or asked is None else here.startswith(asked)
    return None


def _system(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        lowered = isinstance(node.func, ast.Attribute) and node.func.attr == "lower"
        if lowered:
            here = _system(node.func.value)  # type: ignore[attr-defined]
            return None if here is None else here.lower()
        node = node.func
    return _SYSTEM.get(dotted(node))


def system(node: ast.AST) -> str:
    """What an expression says that names this operating system, "" of any other."""
    return _system(node) or ""


def _text(node: ast.AST) -> str | None:
    value = node.value if hasattr(node, "value") else getattr(node, "s", None)  # 3.7 has Str.s
    return value if isinstance(value, str) else None


def live(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below an ``if`` for another operating system."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        holds = truth(node.test) if isinstance(node, ast.If) else None
        if isinstance(node, ast.If) and holds is not None:
            waiting.extend(reversed(node.body if holds else node.orelse))
        else:
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def suffix(variable: str) -> tuple[str, ...]:
    """The suffix of extension modules, by the name of a configuration variable (``SO`` is what it was till 3.10)."""
    value = sysconfig.get_config_var("EXT_SUFFIX") if variable in ("EXT_SUFFIX", "SO") else None
    return (value,) if isinstance(value, str) else ()


def directory(scheme: str) -> tuple[str, ...]:
    """A directory of this installation by its name in ``sysconfig`` (``purelib``, ``platlib``)."""
    value = sysconfig.get_paths().get(scheme)
    return (value,) if value else ()


def package(name: str, script: str = "") -> tuple[str, ...]:
    """The file of a package or module: of the script's project, or installed here; found but not imported."""
    import importlib.util

    above = os.path.dirname(script)
    for _ in range(6 if script and name else 0):
        own = os.path.join(above, *name.split("."), "__init__.py")
        if os.path.isfile(own):
            return (own,)
        above = os.path.dirname(above)

    try:
        spec = importlib.util.find_spec(name) if "." not in name else None
    except (ImportError, ValueError, AttributeError):
        return ()
    return (spec.origin,) if spec is not None and spec.has_location and spec.origin else ()


def linked(name: str) -> tuple[str, ...]:
    """What ``ctypes.util.find_library(name)`` answers on Linux, without the programs that it starts for it.

    After CPython's Lib/ctypes/util.py: the first entry of ld.so.cache, else the SONAME of what a linker finds as
    ``libNAME.so``, by itself or in LD_LIBRARY_PATH.
    """
    from dlrepair.binary import ldcache
    from dlrepair.search import soname

    if not sys.platform.startswith("linux") or not name or "/" in name:
        return ()
    cache = ldcache.load_cache()
    for entry in cache.names("lib{}.".format(name)) if cache is not None else ():
        if cache is not None and cache.lookup(entry, ()):
            return (entry,)
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    places = [os.path.join(top, inner) for top in ("/usr/local/lib", "/lib", "/usr/lib") for inner in ("", multiarch)]
    for place in [*places, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]:
        found = soname.read_soname(os.path.join(place, "lib{}.so".format(name))) if place else ""
        if found:
            return (found,)
    return ()


def package_directory(name: str, script: str) -> tuple[str, ...]:
    """The directory of a package by its dotted name: beside the script or above it, else installed here."""
    parts = name.split(".")
    above = os.path.dirname(script)
    for _ in range(6):
        if name and os.path.isdir(os.path.join(above, *parts)):
            return (os.path.join(above, *parts),)
        if os.path.basename(above) == parts[0] and len(parts) == 1:
            return (above,)
        above = os.path.dirname(above)
    return tuple(os.path.join(os.path.dirname(file), *parts[1:]) for file in package(parts[0]))


def files(patterns: list[str]) -> tuple[str, ...]:
    """The first files that the patterns find, in the order of their names."""
    found: list[str] = []
    for pattern in patterns:
        if "**" not in pattern:
            found.extend(sorted(glob.glob(pattern)))
    return tuple(found[:MAX_FILES])
