"""Code that looked for a library, did not find it and raised: which library, and what decided where it was looked for.

An uncaught exception's traceback is read backwards: the statement that raised, the tests around it, the variables in
them. Values come from the frames and from ``diagnose.values``, never from running the user's code. A variable of the
environment that the path is made of is followed through the assignments by a mark in its place.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.frames import kind_of
from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Iterator

#: frames of user code, from the innermost outwards, that are read
FRAMES = 4
#: stands for the value of an environment variable inside a path: no path can hold it
MARK = "\0{}\0"

_READS = ("os.environ.get", "environ.get", "os.getenv", "getenv")
_TABLES = ("os.environ", "environ")


class GiveUp:
    """What was looked for in vain."""

    __slots__ = ("frame", "line", "module", "path", "variable", "via")

    def __init__(
        self, frame: FrameType, line: int, path: str, variable: str = "", via: str = "", module: str = ""
    ) -> None:
        self.frame = frame
        self.line = line
        self.path = path  #: as the code has it; a pattern where it globs; "" for a module
        self.variable = variable  #: of the environment, that decides it; or ""
        self.via = via  #: the path with a mark in place of that variable's value
        self.module = module  #: name of the module that was imported, where it was one

    def value_for(self, found: str) -> str:
        """What the variable would have to be for the code to look at ``found``, or "" where nothing does that."""
        head, _, tail = self.via.partition(MARK.format(self.variable))
        if not self.variable or head or not found.endswith(tail):
            return ""
        value = found[: len(found) - len(tail)] if tail else found
        return value if self.via.replace(MARK.format(self.variable), value) == found else ""


def find(error: BaseException, trace: TracebackType | None) -> GiveUp | None:
    """The library that an uncaught exception is about, or None. Runs nothing of the user's. Raises nothing."""
    try:
        steps = []
        while trace is not None:
            steps.append((trace.tb_frame, trace.tb_lineno))
            trace = trace.tb_next
        steps = [one for one in reversed(steps) if kind_of(one[0]) == "user"][:FRAMES]
        if isinstance(error, ImportError):
            return _module(error, steps)
        variable = _absent_variable(error)
        for frame, line in steps:
            found = _in_frame(frame, line, error, variable)
            if found is not None:
                return found
    except Exception:  # odd frames, odd exceptions: no error of ours may follow the user's
        return None
    return None


def is_library(text: str) -> bool:
    """Whether a path or a pattern means a shared library."""
    name = text.rpartition("/")[2]
    stem, dot, version = name.partition(".so")
    if not dot or not stem or len(text) > 4095 or version.strip(".0123456789*") or "\n" in text:
        return False
    return " " not in text or text.startswith("/") or os.path.isdir(os.path.dirname(text))  # no sentence with a path


def _absent_variable(error: BaseException) -> str:
    """X where ``os.environ["X"]`` raised the KeyError."""
    key = error.args[0] if type(error) is KeyError and error.args else ""
    return key if type(key) is str and key and key not in os.environ else ""


def _module(error: ImportError, steps: list[tuple[FrameType, int]]) -> GiveUp | None:
    """An extension module that no import path leads to: by the exception's own name, or by its words."""
    name = error.name if type(error.name) is str else ""
    if not name and error.args and type(error.args[0]) is str:
        text = error.args[0]
        name = text.split("'")[1] if text.startswith("No module named '") and text.count("'") >= 2 else ""
    absent = _absent_attribute(error, name)
    name = name + "." + absent if absent else name
    if not name or not steps or not all(part.isidentifier() for part in name.split(".")):
        return None
    return GiveUp(steps[0][0], steps[0][1], "", module=name)


def _absent_attribute(error: ImportError, package: str) -> str:
    """X where ``from package import X`` found neither a name nor a submodule X, or "".

    For ``from``, a submodule that no finder finds is no ModuleNotFoundError but an ImportError with the package's name
    ("cannot import name": ``import_from`` of CPython's ceval.c; the attribute ``name_from`` came with 3.12).
    """
    import sys

    text = error.args[0] if error.args and type(error.args[0]) is str else ""
    module = sys.modules.get(package)  # none where the package's own code raised
    at = error.path if type(error.path) is str else ""
    if not text.startswith("cannot import name '") or not (hasattr(module, "__path__") or at.endswith("__init__.py")):
        return ""
    absent = text.split("'")[1]
    return "" if module is not None and absent in vars(module) else absent


def _in_frame(frame: FrameType, line: int, error: BaseException, variable: str) -> GiveUp | None:
    from dlrepair.diagnose import source
    from dlrepair.diagnose.values import Names

    block = source.find_block(frame)
    stmts: list[Any] = source.whole_file(frame) if frame.f_code.co_name == "<module>" else block.stmts if block else []
    names = Names(frame)
    marked = Names(frame, _marked(stmts, Names(frame)))
    told = _told(error)
    found: list[tuple[str, str]] = []  # (path, the same with a mark)
    for node in _relevant(stmts, line) if not variable else _everything(stmts):
        via = next(_texts(marked, _with_marks(node)), "")
        for text in list(_texts(names, node)) or [via]:
            if is_library(text):
                found.append((text, via if "\0" in via else ""))
    found += [(text, "") for text in told]
    for path, via in sorted(found, key=lambda pair: (not pair[1], pair[0] not in told, "*" in pair[0])):
        name = via.split("\0")[1] if via else ""
        if variable and name != variable:
            continue
        if not os.path.exists(path) or "\0" in path:
            return GiveUp(frame, line, "" if "\0" in path else path, name, via)
    return None


def _told(error: BaseException) -> list[str]:
    """Library names in the exception: its file name, or words of its message."""
    texts = [one for one in (getattr(error, "filename", None), *error.args) if type(one) is str]
    words = []
    for text in texts[:4]:
        words.append(text)
        words += [word.strip("'\"`,;:()[]<>") for word in text[:4000].split()]
    return [word for word in dict.fromkeys(words) if is_library(word) and " " not in word]


def _relevant(stmts: list[Any], line: int) -> Iterator[Any]:
    """Expressions of the statement at ``line`` and of the tests and loops around it."""
    import ast

    for stmt in stmts:
        for node in ast.walk(stmt):
            if not isinstance(node, ast.stmt) or not node.lineno <= line <= _end(node):
                continue
            if isinstance(node, (ast.If, ast.While)):
                yield from _expressions(node.test)
            elif isinstance(node, ast.For):
                yield from _expressions(node.iter)
            elif not hasattr(node, "body"):
                yield from _expressions(node)


def _end(node: Any) -> int:
    """The last line of a statement (``end_lineno`` came with 3.8)."""
    import ast

    lines = [getattr(one, "end_lineno", None) or getattr(one, "lineno", 0) for one in ast.walk(node)]
    return max(line for line in lines if isinstance(line, int))


def _everything(stmts: list[Any]) -> Iterator[Any]:
    for stmt in stmts:
        yield from _expressions(stmt)


def _expressions(node: Any) -> Iterator[Any]:
    import ast

    for one in ast.walk(node):
        if isinstance(one, ast.expr):
            yield one


def _texts(names: Any, node: Any) -> Iterator[str]:
    """The path, or the paths of a list, that an expression stands for."""
    value = names.value(node)
    if type(value) in (list, tuple):
        yield from (one for one in value[:50] if type(one) is str)
        return
    text = names.text(node)
    if text is not None:
        yield text


def _read_variable(node: Any) -> str:
    """X where a node is ``os.environ["X"]``, ``os.environ.get("X", …)`` or ``os.getenv("X", …)``."""
    from dlrepair.diagnose.values import constant

    kind = type(node).__name__
    key: Any = None
    if kind == "Call" and dotted(node.func) in _READS and node.args:
        key = constant(node.args[0])
    elif kind == "Subscript" and dotted(node.value) in _TABLES:
        key = constant(getattr(node.slice, "value", node.slice) if type(node.slice).__name__ == "Index" else node.slice)
    return key if type(key) is str else ""


def _with_marks(node: Any) -> Any:
    """A copy of an expression with a mark in the place of every environment variable that it reads."""
    import ast
    import copy

    class Marks(ast.NodeTransformer):
        def generic_visit(self, one: Any) -> Any:
            name = _read_variable(one)
            if name:
                return ast.parse(repr(MARK.format(name)), mode="eval").body
            return ast.NodeTransformer.generic_visit(self, one)

    return Marks().visit(copy.deepcopy(node))


def _marked(stmts: list[Any], names: Any) -> dict[str, Any]:
    """name -> text with a mark, of every variable whose assignment reads the environment, also by way of another."""
    import ast

    for stmt in stmts:
        for node in ast.walk(stmt):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                text = names.text(_with_marks(node.value))
                if text is not None and "\0" in text:
                    names.changed[node.targets[0].id] = text
    changed: dict[str, Any] = names.changed
    return changed
