"""The calls of a Python script that load libraries, as far as its text tells their paths. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import NamedTuple

from dlrepair.cli import machine, modules, output
from dlrepair.cli.machine import dotted
from dlrepair.cli.pathvalues import Values

#: last name of the function called -> loader
_CALLS = {
    "CDLL": "ctypes",
    "PyDLL": "ctypes",
    "LoadLibrary": "ctypes",
    "dlopen": "cffi",
    "load_op_library": "tensorflow",
    "load_library": "tensorflow",
    "load_file_system_library": "tensorflow",
    "load_pluggable_device_library": "tensorflow",
    "register_filesystem_plugin": "tensorflow",
    "load_dynamic": "import",
}
#: parameters that name the library, where it is given by keyword
_KEYWORDS = ("name", "library_filename", "library_location", "libname")


class Site(NamedTuple):
    """One call or import: what it asks for, by which loader, where."""

    requested: str
    loader: str
    line: int
    optional: bool = False  #: the script asks whether it is there, or goes on without it


def find(script: str) -> list[Site]:
    """The load sites of ``script`` whose path can be told; see ``survey``."""
    return survey(script)[0]


def survey(script: str) -> tuple[list[Site], list[int]]:
    """The load sites of ``script``, and the lines of loads whose path its text does not tell.

    Told are literals, ``__file__``, plain variables, what the script itself gives to its functions, defaults of
    command-line options, and what this machine tells (its suffixes, environment and files). Sites are also what
    ``ctypes.util.find_library`` is asked for, and imports that come to an extension module.
    Raises CommandError for a script that cannot be read or parsed.
    """
    try:
        with open(script, "rb") as stream:
            tree = ast.parse(stream.read(8 * 1024 * 1024), script)
    except OSError as error:
        raise output.CommandError("{} cannot be read: {}".format(script, error.strerror or error)) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "nested too deeply"
        raise output.CommandError("{} cannot be parsed: {}".format(script, reason)) from error
    values = Values(script, tree)
    sites: set[Site] = set()
    untold: set[int] = set()
    asked: dict[Site, ast.Call] = {}
    for node in machine.live(tree):
        if isinstance(node, ast.Call):
            found = _sites(node, values)
            sites.update(found)
            if not found and _is_load(node):
                untold.add(node.lineno)
            asked.update((site, node) for site in _questions(node, values))
    told = {site.requested for site in sites}
    given = _given_to_loads(tree) if asked else {}
    for site, node in asked.items():
        if site.requested not in told:
            sites.add(site._replace(optional=not given.get(id(node), (0, False))[1]))
            untold -= {site.line, given.get(id(node), (0, False))[0]}
    imported = modules.find(script, tree, values)
    sites.update(Site(one.path, "import", one.line, one.optional) for one in imported)
    return sorted(sites, key=lambda site: (site.line, site.requested)), sorted(untold)


def _questions(node: ast.Call, values: Values) -> list[Site]:
    """What ``ctypes.util.find_library`` is asked for: the name that it answers, else the one that it looks for."""
    called = dotted(node.func)
    if called.rpartition(".")[2] != "find_library" or called.startswith("self.") or len(node.args) != 1:
        return []
    found = []
    for name in values.of(node.args[0]):
        answer = machine.linked(name)
        found.append(
            Site(*((answer[0], "ctypes") if answer else ("lib{}.so".format(name), "find_library")), node.lineno)
        )
    return found


def _given_to_loads(tree: ast.AST) -> dict[int, tuple[int, bool]]:
    """Calls whose answer goes into a load: (its line, whether nothing looks at the answer before)."""
    named: dict[str, int] = {}
    tested: set[str] = set()
    found: dict[int, tuple[int, bool]] = {}
    loads: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _CALLS:
            for one in node.args[:1]:
                found[id(one)] = (node.lineno, True)
                loads[dotted(one)] = node.lineno
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            named[dotted(node.targets[0])] = id(node.value)
        elif isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
            tested |= {dotted(one) for one in ast.walk(node.test)}
        elif isinstance(node, ast.BoolOp):
            tested |= {dotted(one) for one in node.values}
    found.update((named[name], (line, name not in tested)) for name, line in loads.items() if name and name in named)
    return found


def _is_load(node: ast.Call) -> bool:
    """Whether a call loads a library; ``CDLL(None)`` is the program itself."""
    given = [*node.args, *(word.value for word in node.keywords if word.arg in _KEYWORDS)]
    itself = bool(given) and type(given[0]).__name__ in ("Constant", "NameConstant")  # 3.7 has the latter
    return dotted(node.func).rpartition(".")[2] in _CALLS and bool(given) and not itself


def _sites(node: ast.Call, values: Values) -> list[Site]:
    """What one call loads; nothing for a call that does not load, or whose path is not known."""
    before, _, name = dotted(node.func).rpartition(".")
    before = values.modules.get(before or name, before)  # ``import numpy.ctypeslib as npct``
    before = before.rpartition(".")[0] if before.endswith("." + name) else before
    loader = _CALLS.get(name)
    named = [keyword.value for keyword in node.keywords if keyword.arg in _KEYWORDS]
    asked = [*node.args, *named][:1]
    if loader is None or not asked:
        return []
    if name == "load_dynamic":  # a module's name, its file
        asked = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "path")][:1] or asked
    texts = values.of(asked[0])
    if name == "load_library" and not before.endswith(("tf", "tensorflow")):  # numpy.ctypeslib: a name, a directory
        loader = "ctypes"
        if len(node.args) > 1 and before.endswith("ctypeslib"):
            made = [(base, text) for base in values.of(node.args[1]) for text in texts]
            texts = tuple(os.path.join(base, text if ".so" in text else text + ".so") for base, text in made)
    return [Site(text, loader, node.lineno) for text in texts if text]
