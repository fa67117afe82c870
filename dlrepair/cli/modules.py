"""Extension modules that a script imports, found where the import system would find them. Nothing is imported.

After importlib's documentation and PEP 420: in each directory a package comes before a module, an extension module
before Python source; the directories are the script's own, those that it adds to ``sys.path``, its project's top and
this environment's.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from typing import Iterator, NamedTuple

from dlrepair.cli import machine
from dlrepair.cli.machine import dotted
from dlrepair.cli.pathvalues import Values

_MISSING = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))
MAX_PLACES = 60


class Module(NamedTuple):
    """An import that comes to an extension module: the file, or the one that is looked for in vain."""

    path: str
    line: int
    optional: bool  #: the script goes on without it


def find(script: str, tree: ast.AST, values: Values) -> list[Module]:
    """The extension modules that a script's own import statements come to.

    One that this interpreter does not find counts where a file of its name for another Python lies there.
    """
    search = _Search(os.path.dirname(os.path.abspath(script)), tree, values)
    found: dict[tuple[str, int], Module] = {}
    for names, line, optional in _imports(tree, search.here, values):
        for name in names:
            path = search.extension(name)
            if path:
                found.setdefault((path, line), Module(path, line, optional))
    return list(found.values())


class _Search:
    """Where a script's modules are looked for."""

    def __init__(self, here: str, tree: ast.AST, values: Values) -> None:
        from dlrepair.search import roots

        self.here = here
        added = [path for node in machine.live(tree) for path in _added(node, values)]
        places = [here, *added, roots.project_root(here) or here, *sys.path[1:]]
        self.places = list(dict.fromkeys(os.path.abspath(one) for one in places))[:MAX_PLACES]
        paths = sysconfig.get_paths()
        self.python = tuple(os.path.join(paths[one], "") for one in ("stdlib", "platstdlib") if one in paths)

    def extension(self, name: str) -> str:
        """The file of the extension module that ``name`` means; "" where it means another module, or none."""
        from dlrepair.repair import unimported
        from dlrepair.search import names

        if name.startswith(os.sep):  # relative: the package's directory is known
            folder, _, name = name.rpartition(os.sep)
            places = [folder]
        elif name.partition(".")[0] in sys.builtin_module_names:
            return ""
        else:
            places = self.places
        *parents, leaf = name.split(".")
        for parent in parents:
            found = next((one for place in places for one in [_entry(place, parent)] if one[0]), ("", ""))
            if found[0] not in ("package", ""):
                return ""
            folders = [os.path.join(place, parent) for place in places]
            places = [found[1]] if found[0] else [one for one in folders if os.path.isdir(one)]  # a namespace package
        for place in places:
            kind, path = _entry(place, leaf)
            if kind:
                own = kind != "extension" or (path.startswith(self.python) and "-packages" + os.sep not in path)
                return "" if own else path
        for place in places:
            if not os.path.isdir(os.path.join(place, leaf)) and unimported.other_builds(place, leaf):
                return os.path.join(place, leaf + names.extension_suffixes()[0])
        return ""


def _entry(directory: str, name: str) -> tuple[str, str]:
    """What a name is in one directory (``package``, ``extension``, ``source`` or ""), and its path."""
    from dlrepair.search import names

    suffixes = names.extension_suffixes()
    path = os.path.join(directory, name)
    if os.path.isdir(path) and any(os.path.isfile(path + "/__init__" + one) for one in (*suffixes, ".py", ".pyc")):
        return "package", path
    for suffix in suffixes:
        if os.path.lexists(path + suffix):
            return "extension", path + suffix
    source = next((path + one for one in (".py", ".pyc") if os.path.isfile(path + one)), "")
    return ("source", source) if source else ("", "")


def _added(node: ast.AST, values: Values) -> tuple[str, ...]:
    """The directories that a statement adds to ``sys.path``."""
    if isinstance(node, ast.Call) and dotted(node.func) in ("sys.path.insert", "sys.path.append", "site.addsitedir"):
        return values.of(node.args[-1]) if node.args else ()
    return ()


def _imports(tree: ast.AST, here: str, values: Values) -> Iterator[tuple[list[str], int, bool]]:
    """(names of modules, line, whether the script goes on without them) of every import; relative ones as paths."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, optional = waiting.pop()
        if isinstance(node, ast.Import):
            yield [one.name for one in node.names], node.lineno, optional
        elif isinstance(node, ast.ImportFrom):
            yield _from(node, here), node.lineno, optional
        elif isinstance(node, ast.Call) and dotted(node.func) in ("importlib.import_module", "import_module"):
            names = values.of(node.args[0]) if node.args else ()
            yield [one for one in names if not one.startswith(".")], node.lineno, optional
        else:
            waiting += [(child, optional or spared) for child, spared in _children(node)]


def _from(node: ast.ImportFrom, here: str) -> list[str]:
    base = node.module or ""
    if node.level:
        folder = here
        for _ in range(node.level - 1):
            folder = os.path.dirname(folder)
        inner = base.split(".") if base else []
        whole = [os.path.join(folder, *inner)] if inner else []
        return whole + [os.path.join(folder, *inner, one.name) for one in node.names if one.name != "*"]
    return [base] + ["{}.{}".format(base, one.name) for one in node.names if one.name != "*"]


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """(part, whether an import that fails in it is taken care of) of what runs here."""
    handlers = getattr(node, "handlers", None)
    if handlers is not None:  # try, and try with except* from Python 3.11 on
        spared = any(_takes(handler) for handler in handlers)
        yield from ((child, child in node.body and spared) for child in ast.iter_child_nodes(node))  # type: ignore[attr-defined]
        return
    holds = machine.truth(node.test) if isinstance(node, ast.If) else None
    if isinstance(node, ast.If) and dotted(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        holds = False
    parts = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and holds is not None:
        parts = iter(node.body if holds else node.orelse)
    spared = isinstance(node, ast.With) and any(_suppresses(item.context_expr) for item in node.items)
    for child in parts:
        yield child, spared


def _takes(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends a failed import: its type is one of such errors, and it does not raise or exit."""
    last = handler.body[-1]
    leaves = isinstance(last, ast.Raise) or (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Call)
        and dotted(last.value.func) in ("sys.exit", "exit", "quit", "os._exit")
    )
    return not leaves and (handler.type is None or _names_missing(handler.type))


def _names_missing(node: ast.AST) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_names_missing(one) for one in node.elts)
    return dotted(node).rpartition(".")[2] in _MISSING


def _suppresses(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and dotted(node.func).rpartition(".")[2] == "suppress"
        and any(_names_missing(one) for one in node.args)
    )
