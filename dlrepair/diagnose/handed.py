"""Frames of a worker whose exception was handed to another process: only their text has come along.

A pool raises the worker's exception in the parent, with the worker's traceback for its cause, as
``traceback.format_exception`` has it (``RemoteTraceback`` of multiprocessing/pool.py, ``_RemoteTraceback`` of
concurrent/futures/process.py and of loky). Dask makes frames of it whose globals are nearly empty (tblib). The
functions are there in the parent, too; their variables are not. Ray's own exception has the worker's for its ``cause``
(``RayTaskError``, ray/exceptions.py); its workers are no children of the program, and get nothing that it is given.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

_LINE = r'^ *File "([^"\n]+)", line (\d+), in (\S+)$'
_TRACEBACKS = ("RemoteTraceback", "_RemoteTraceback")
#: names that a frame of tblib's has: ``__name__``, ``__file__``, ``__builtins__``; a module has a dozen at its start
_FEW = 4
#: bytes of a text that are read, and of a source
_MOST = 1 << 20


class Code:
    """As much of a code object as its source tells."""

    def __init__(self, filename: str, name: str, first: int) -> None:
        self.co_filename = filename
        self.co_name = name
        self.co_firstlineno = first
        self.co_flags = 0


class Frame:
    """A frame of another process: the code and the globals are this process's own, variables there are none."""

    f_back = None

    def __init__(self, code: Code, names: dict[str, Any], line: int) -> None:
        self.f_code = code
        self.f_globals = names
        self.f_locals: dict[str, Any] = {}
        self.f_lineno = line


def unwrapped(error: BaseException) -> tuple[BaseException, str]:
    """(the worker's exception, the text of its stack); (the exception itself, "") where it comes from no worker."""
    cause = error.__cause__
    if cause is not None and type(cause).__name__ in _TRACEBACKS:
        return error, str(cause)
    inner = getattr(error, "cause", None) if type(error).__name__.startswith("RayTaskError") else None
    return (inner if isinstance(inner, BaseException) else error), ""


def steps(text: str) -> list[tuple[Any, int]]:
    """(frame, line) of the worker's stack, from the outermost, as its text tells."""
    import re

    found = []
    for file, line, name in re.findall(_LINE, text[-_MOST:], re.MULTILINE):
        frame = _frame(file, name, int(line))
        if frame is not None:
            found.append((frame, int(line)))
    return found


def real(frame: Any, line: int) -> Any:
    """The frame, or one with the globals of its module where it has next to none."""
    if len(frame.f_globals) > _FEW:
        return frame
    return _frame(frame.f_code.co_filename, frame.f_code.co_name, line) or frame


def _frame(file: str, name: str, line: int) -> Frame | None:
    names = _globals(os.path.abspath(file))
    first = _first_line(file, name, line) if names is not None else 0
    return Frame(Code(file, name, first), names, line) if names is not None and first else None


def _globals(path: str) -> dict[str, Any] | None:
    for module in list(sys.modules.values()):
        held = vars(module) if type(module) is type(sys) else {}
        file = held.get("__file__")
        if type(file) is str and os.path.abspath(file) == path:
            return held
    return None


def _first_line(file: str, name: str, line: int) -> int:
    """First line of the innermost function of that name around a line; 1 for a module's own code, 0 for none."""
    if name == "<module>":
        return 1
    return max((first for first, last in _functions(file, name) if first <= line <= last), default=0)


def _functions(file: str, name: str) -> Iterator[tuple[int, int]]:
    import ast

    from dlrepair.diagnose.surrounding import end_of
    from dlrepair.diagnose.syntax import first_line

    with open(file, "rb") as stream:
        tree = ast.parse(stream.read(_MOST))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            yield first_line(node), end_of(node)
