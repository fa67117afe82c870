"""Where a frame stands in its source: the statements from the block down to the current line."""

from __future__ import annotations

from dlrepair.diagnose.syntax import child_blocks, dotted, expressions, first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from dlrepair.diagnose.source import Block

LOOPS = ("For", "AsyncFor", "While")


class Place:
    """One statement on the way from a block down to the current line."""

    __slots__ = ("field", "index", "stmts")

    def __init__(self, stmts: list[Any], index: int, field: str) -> None:
        self.stmts = stmts
        self.index = index
        self.field = field  #: which part of the statement above it this list is

    @property
    def node(self) -> Any:
        return self.stmts[self.index]


class Context:
    """A frame with its parsed source."""

    __slots__ = ("block", "chain", "frame")

    def __init__(self, frame: FrameType, block: Block, chain: list[Place]) -> None:
        self.frame = frame
        self.block = block
        self.chain = chain


def locate(stmts: list[Any], line: int) -> list[Place]:
    """The statements that contain ``line``, outermost first: at each depth the last one that begins at or before it."""
    chain: list[Place] = []
    field = "body"
    while True:
        index = -1
        for position, stmt in enumerate(stmts):
            if first_line(stmt) > line:
                break
            index = position
        if index < 0:
            return chain
        chain.append(Place(stmts, index, field))
        node = stmts[index]
        if type(node).__name__ in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            return chain  # the line is a decorator's, a default's or a base's: not inside
        inner = None
        for name, part, _ in child_blocks(node):
            if first_line(part[0]) <= line:
                inner = part
                field = name
        if inner is None:
            return chain
        stmts = inner


def loop_around(context: Context, level: int) -> int:
    """Level of the innermost loop around the statement at ``level``, or -1."""
    return max((at for at in range(level) if type(context.chain[at].node).__name__ in LOOPS), default=-1)


def last_line(stmt: Any) -> int:
    """The line that a statement ends on (3.7 has no ``end_lineno``: that of its last node)."""
    end = getattr(stmt, "end_lineno", None)
    if type(end) is int:
        return end
    last: int = stmt.lineno
    waiting = [stmt]
    while waiting:
        node = waiting.pop()
        for inner in expressions(node):
            last = max(last, getattr(inner, "lineno", 0))
        for _, stmts, _ in child_blocks(node):
            waiting.extend(stmts)
    return last


def call_of(stmt: Any, name: str) -> Any:
    """The call in a statement (not in the blocks inside it) that runs the function ``name``, or None."""
    kind = type(stmt).__name__
    root = stmt.test if kind in ("If", "While") else stmt
    if kind in ("For", "AsyncFor", "With", "AsyncWith", "Try", "TryStar", "FunctionDef", "ClassDef"):
        return None
    calls = [node for node in expressions(root) if type(node).__name__ == "Call"]
    for call in calls:
        if (dotted(call.func).rpartition(".")[2] or getattr(call.func, "attr", "")) == name:
            return call
    return calls[0] if len(calls) == 1 else None
