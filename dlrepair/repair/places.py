"""Where in its sources a program makes the path that it looked for in vain: the expressions that stand for it.

They are what ``learned.sources`` gives another value at the next start. An expression counts if its value, as far as it
follows from constants and variables of the frames (``diagnose.values``), is that very path; nothing is run. Only code
counts that comes with the interpreter's own loader from a file: the script, and the modules of the traceback.
"""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose import source, surrounding
from dlrepair.diagnose.syntax import dotted, first_line
from dlrepair.diagnose.values import Names
from dlrepair.learned import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterator, Sequence

    from dlrepair.learned.program import Program

#: most nodes that are evaluated, and bytes of a file that is read
NODES, BYTES = 20_000, 1 << 20
#: kinds of expressions that may be replaced: what a path is made by, or goes by
_KINDS = frozenset((
    "Attribute", "BinOp", "BoolOp", "Call", "Constant", "IfExp", "JoinedStr", "Name", "Str", "Subscript",
))  # fmt: skip
#: parts of nodes that hold no expression that is evaluated there and then, or none whose value may change
_PASSED = frozenset(("annotation", "returns", "format_spec", "pattern", "ctx", "targets", "slice"))
_GLOBS = ("glob.glob", "glob.iglob", "glob", "iglob")
#: functions whose pattern is not looked for on the disk as it stands
_MATCHES = ("glob", "rglob", "match", "full_match", "fnmatch", "fnmatchcase", "filter", "search", "compile")
_FUNCTIONS = ("FunctionDef", "AsyncFunctionDef")
_LOADS = ("CDLL", "PyDLL", "LoadLibrary", "load_op_library", "load_library", "dlopen")


def find(path: str, frames: Sequence[FrameType], program: Program | None) -> tuple[tuple[str, str], ...]:
    """(file, module and numbers of its expressions) for ``learned.sources``, of every file that makes ``path``."""
    found: dict[str, tuple[str, set[int]]] = {}
    for frame in frames:
        file = source.find_file(frame)
        module = _module(frame, file, program) if file and source.whole_file(frame) else ""
        if not module:
            continue
        try:
            with open(file, "rb") as stream:
                tree = sources.parse(stream.read(BYTES), file)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        numbers = _Places(path, frame).numbers(tree)
        if numbers:
            found.setdefault(os.path.normpath(file), (module, set()))[1].update(numbers)
    return tuple(
        (file, "{} {}".format(module, ",".join(map(str, sorted(numbers))))) for file, (module, numbers) in found.items()
    )


def _module(frame: FrameType, file: str, program: Program | None) -> str:
    """The name that a module is imported by, ``__main__`` for the script; "" where something else loads it."""
    name, loader = frame.f_globals.get("__name__"), frame.f_globals.get("__loader__")
    plain = sys.modules["_frozen_importlib_external"].SourceFileLoader
    if type(name) is not str or type(loader) not in (plain, sources.Loader):
        return ""
    if name not in ("__main__", "__mp_main__"):
        return name
    if program is None:
        return ""
    spec = frame.f_globals.get("__spec__")
    if spec is not None:  # -m, or a directory
        name = getattr(spec, "name", "")
        return name if type(name) is str and name and program.kind == "module" else ""
    return "__main__" if program.kind == "file" and program.what == os.path.normpath(file) else ""


class _Places:
    """One walk through a tree, with the values of one frame."""

    def __init__(self, path: str, frame: FrameType) -> None:
        self.path = path
        self.frame = frame
        self.left = NODES
        self.found: set[int] = set()  #: identities of the nodes
        self.pattern = "*" in path

    def numbers(self, tree: Any) -> set[int]:
        inside = self.frame.f_code.co_name != "<module>"
        self.visit(tree, Names(self.frame, local=not inside))
        return {number for number, (_, _, _, node) in enumerate(sources.nodes(tree)) if id(node) in self.found}

    def visit(self, node: Any, names: Names, may: bool = True) -> None:
        """Takes the node if it stands for the path and may be replaced, else looks below it."""
        self.left -= 1
        if self.left < 0:
            return
        kind = type(node).__name__
        if may and kind in _KINDS and self._stands_for(node, names):
            self.found.add(id(node))
            return
        if kind == "Call" and node.args and _asks(node, names.text(node.args[0]), self.path):
            self.found.add(id(node.func))
            return
        if kind in _FUNCTIONS:
            code = self.frame.f_code
            ours = (node.name, first_line(node)) == (code.co_name, code.co_firstlineno)
            names = Names(self.frame, local=ours) if ours else surrounding.in_another(self.frame)
        barred = self._barred(node, kind)
        for child, env in _below(node, kind, names):
            self.visit(child, env, id(child) not in barred)

    def _stands_for(self, node: Any, names: Names) -> bool:
        return names.text(node) == self.path and type(getattr(node, "ctx", None)).__name__ in ("NoneType", "Load")

    def _barred(self, node: Any, kind: str) -> set[int]:
        """Children that are no whole expressions, or that go to a function for which another path is no answer."""
        if kind == "JoinedStr":
            return {id(one) for one in node.values}
        if kind == "Expr":
            return {id(node.value)}  # a docstring
        if kind != "Call":
            return set()
        name = dotted(node.func)
        last = node.func.attr if type(node.func).__name__ == "Attribute" else name
        if self.pattern:
            takes = name in _GLOBS or ("/" in self.path and last not in _MATCHES)
        else:  # a mere name means a file only to a function that takes it for one
            takes = "/" in self.path or last in (*surrounding.LOOKS, *_LOADS)
        return {id(node.func), *(() if takes else map(id, node.args))}


def _asks(node: Any, first: str | None, path: str) -> bool:
    """Whether a call's function is to be replaced: it looks for something by itself, and has no path to be given."""
    name = dotted(node.func)
    if name in ("imp.find_module", "find_module"):
        return first == os.path.basename(path).partition(".")[0]
    is_method = type(node.func).__name__ == "Attribute" and name not in _GLOBS
    return is_method and node.func.attr in ("glob", "rglob") and first == path


def _below(node: Any, kind: str, names: Names) -> Iterator[tuple[Any, Names]]:
    """Nodes below, each with the values that it is evaluated with: in a loop over a known list, one after another."""
    turns = [names]
    loop = node if kind == "For" else getattr(node, "generators", [None])[0]
    if loop is not None and type(loop.target).__name__ == "Name":
        turns += [_with(names, loop.target.id, item) for item in _items(names, loop.iter)]
    for env in turns:
        for field in node._fields:
            value = getattr(node, field, None)
            if field in _PASSED or (env is not names and field == "iter"):
                continue
            for child in value if type(value) is list else (value,):
                if hasattr(child, "_fields"):
                    yield child, env


def _items(names: Names, node: Any) -> list[Any]:
    items = names.value(node)
    return list(items[: surrounding.TURNS]) if type(items) in (list, tuple) else []


def _with(names: Names, name: str, item: Any) -> Names:
    inner = names.copy()
    inner.changed[name] = item
    return inner
