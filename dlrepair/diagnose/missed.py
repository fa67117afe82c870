"""Loads that failed and were left alone, because their caller deals with that, and programs that end for want of one.

A handler that swallows a failure makes the library optional, so far as can be told then. When the program later ends
with an exception about it, that was wrong: its words name the library or are the loader's, or the statement that
raised uses what the load was to give, and finds None, False or no such name. No frame and no exception is kept.
"""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose.frames import kind_of
from dlrepair.diagnose.syntax import assigned, child_blocks, dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Iterator, Sequence

    from dlrepair.model.requests import Caller

#: loads that are kept, frames of user code that are read, and the shortest loader's message that is recognised
KEPT, FRAMES, SHORTEST = 50, 4, 12


class Left:
    """A load that failed and was left alone."""

    __slots__ = (
        "caller", "cwd", "error", "exception", "loader", "mode", "op_loader", "places", "requested", "text",
    )  # fmt: skip

    def __init__(self, ask: Any, cwd: str, caller: Caller | None) -> None:
        self.loader: str = ask.loader
        self.requested: str = ask.requested
        self.op_loader: bool = ask.op_loader
        self.mode: int = ask.mode
        self.text: str = ask.text
        kind = type(ask.error)
        self.exception = "" if ask.error is None else "{}.{}".format(kind.__module__, kind.__qualname__)
        self.error = id(ask.error)  #: of the loader's exception, which may be the cause of a later one
        self.cwd = cwd
        self.caller = caller
        #: (file, module, names that it was to give, functions with ``()``; lines of the handlers around it)
        self.places = tuple(_places(ask.frame))


def note(ask: Any, cwd: str, caller: Caller | None) -> None:
    """Keeps a load that is left alone for the end of the program. Raises nothing."""
    if ask.loader in ("find_library", "numpy"):
        return
    try:
        left = Left(ask, cwd, caller)
        known = [one for one in getattr(ask.state, "left", ()) if not _same(one, left)]
        ask.state.left = [*known[-KEPT:], left]
    except Exception:  # odd frames
        return


def _same(one: Left, other: Left) -> bool:
    return (one.loader, one.requested, one.places) == (other.loader, other.requested, other.places)


def _places(frame: FrameType | None) -> Iterator[tuple[str, str, frozenset[str], range]]:
    """What the statements around a load bind, from the innermost frame of user code outwards."""
    from dlrepair.diagnose import source
    from dlrepair.diagnose.surrounding import end_of

    count = 0
    while frame is not None and count < FRAMES:
        if kind_of(frame) == "user":
            count += 1
            block = source.find_block(frame)
            name = frame.f_code.co_name
            names = {name + "()"} if name.isidentifier() else set()
            lines = range(0)
            for stmt in _around(block.stmts if block is not None else [], frame.f_lineno or 0):
                names |= assigned([stmt])
                if hasattr(stmt, "handlers"):
                    lines = range(min(one.lineno for one in stmt.handlers or [stmt]), end_of(stmt) + 1)
            if names:
                yield frame.f_code.co_filename, str(frame.f_globals.get("__name__")), frozenset(names), lines
        frame = frame.f_back


def _around(stmts: Sequence[Any], line: int) -> list[Any]:
    """The innermost simple statement at ``line``, and the innermost ``try`` or ``with`` around it."""
    from dlrepair.diagnose.surrounding import end_of

    found: list[Any] = []
    waiting = list(stmts)
    while waiting:
        node = waiting.pop()
        if not node.lineno <= line <= end_of(node):
            continue
        kind = type(node).__name__
        inner = [one for _, block, _ in child_blocks(node) for one in block]
        if kind in ("Try", "TryStar", "With", "AsyncWith"):
            found = [node]
        elif not inner:
            found.append(node)
        waiting = inner
    return found


def find(state: Any, chain: Sequence[BaseException], trace: TracebackType | None) -> Left | None:
    """The load for want of which an exception, the first of its chain, has ended the program. Raises nothing."""
    lefts: list[Left] = list(reversed(getattr(state, "left", ())))
    if not lefts:
        return None
    try:
        for one in chain:
            for left in lefts:
                if id(one) == left.error and _words(one) == left.text:
                    return left
        said = " ".join(_words(one) for one in chain)
        for left in lefts:
            name = os.path.basename(left.requested)
            if (".so" in name and name in said) or (len(left.text) >= SHORTEST and left.text in said):
                return left
        return _by_names(lefts, chain[0], trace)
    except Exception:
        return None


def _words(error: BaseException) -> str:
    try:
        return str(error)[:8000]
    except Exception:  # a __str__ that fails
        return ""


def _by_names(lefts: list[Left], error: BaseException, trace: TracebackType | None) -> Left | None:
    """By what the statement that raised, and the tests around it, read: a name that the load was to bind."""
    from dlrepair.diagnose import source, surrounding

    steps = []
    while trace is not None:
        steps.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    unbound, nothing = _unbound(error), "'NoneType' object" in _words(error)
    for frame, line in [one for one in reversed(steps) if kind_of(one[0]) == "user"][:FRAMES]:
        block = source.find_block(frame)
        if block is None:
            continue
        nodes = list(surrounding.relevant(block.stmts, line))
        read = {dotted(node) for node in nodes} - {""}
        held = {dotted(one.value) for one in nodes if type(one).__name__ == "Subscript"} - {""}
        called = {dotted(one.func).rpartition(".")[2] + "()" for one in nodes if type(one).__name__ == "Call"} - {"()"}
        for left in lefts:
            for file, module, names, lines in left.places:
                if frame.f_code.co_filename == file:
                    instead = frame.f_code.co_name != "<module>" and frame.f_code.co_firstlineno in lines
                    lost = unbound[:1] == "." and any(one.endswith(unbound) for one in names)
                    empty = (nothing and names & (called | held)) or (isinstance(error, KeyError) and names & held)
                    if instead or lost or empty:
                        return left
                if any(_is_wanting(frame, name, file, module, names, unbound) for name in read):
                    return left
    return None


def _unbound(error: BaseException) -> str:
    """X of ``name 'X' is not defined`` and of the like about a local variable, ``.X`` of an attribute; or ""."""
    text = error.args[0] if isinstance(error, (NameError, AttributeError)) and error.args else ""
    if type(text) is not str or text.count("'") < 2:
        return ""
    if isinstance(error, NameError):
        return text.split("'")[1]
    return "." + text.split("'")[-2] if " has no attribute '" in text and "'NoneType'" not in text else ""


def _is_wanting(frame: FrameType, read: str, file: str, module: str, names: frozenset[str], unbound: str) -> bool:
    """Whether ``read`` is one of the names that a load in ``file`` was to bind, and it is None, False or not there."""
    from dlrepair.diagnose.values import Names

    seen = Names(frame)
    if frame.f_code.co_filename == file:
        return read in names and (read == unbound or _is_empty(seen.look_up(read)))
    owner = sys.modules.get(module)
    parent, _, name = read.rpartition(".")
    if owner is None or name not in names or not _is_empty(vars(owner).get(name, owner)):
        return False
    # ``pool.lib``; or ``from pool import lib``: the same empty name stands in both modules
    return seen.look_up(parent) is owner if parent else seen.look_up(name) is vars(owner)[name]


def _is_empty(value: Any) -> bool:
    return value is None or value is False
