"""Which handlers of a code object protect an instruction, read from the bytecode alone.

The cheap question comes first: most frames between a failing load and the
program's main line have no handler at all around their current instruction, and
their source need not be read. It is also the only answer for code without source.

Sources: CPython's ``Objects/exception_handling_notes.txt`` (3.11 and newer: the
exception table and its varint format) and ``Python/compile.c`` of 3.7 to 3.10 (SETUP_* blocks).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Iterator

_VERSION = sys.version_info[:2]
_TABLE = _VERSION >= (3, 11)  # the exception table replaced the block stack

# Opcode numbers, as ``opcode.opmap`` has them; importing ``opcode`` inside a failing load is not worth its cost.
# tests/unit/test_codetable.py compares them with ``opcode`` on every interpreter.
_OPS = {
    "POP_TOP": 1, "DUP_TOP": 4, "NOP": 9, "EXTENDED_ARG": 144, "SETUP_FINALLY": 122, "SETUP_WITH": 143,
    "SETUP_ASYNC_WITH": 154, "COMPARE_OP": 107, "LOAD_GLOBAL": 116, "LOAD_NAME": 101, "LOAD_ATTR": 106,
    "LOAD_FAST": 124, "LOAD_DEREF": 136, "BUILD_TUPLE": 102, "POP_JUMP_IF_FALSE": 114,
}  # fmt: skip
_OPS_BY_VERSION = {
    (3, 7): {"SETUP_EXCEPT": 121, "END_FINALLY": 88},
    (3, 8): {"END_FINALLY": 88},
    (3, 9): {"JUMP_IF_NOT_EXC_MATCH": 121, "RERAISE": 48},
    (3, 10): {"JUMP_IF_NOT_EXC_MATCH": 121, "RERAISE": 119},
    (3, 11): {
        "PUSH_EXC_INFO": 35, "CHECK_EXC_MATCH": 36, "CHECK_EG_MATCH": 37, "WITH_EXCEPT_START": 49, "RERAISE": 119,
        "LOAD_DEREF": 137, "COPY": 120, "POP_JUMP_FORWARD_IF_FALSE": 114,
    },
    (3, 12): {
        "PUSH_EXC_INFO": 35, "CHECK_EXC_MATCH": 36, "CHECK_EG_MATCH": 37, "WITH_EXCEPT_START": 49, "RERAISE": 119,
        "LOAD_DEREF": 137, "COPY": 120, "LOAD_FAST_CHECK": 127, "POP_JUMP_IF_FALSE": 114,
    },
    (3, 13): {
        "POP_TOP": 32, "NOP": 30, "EXTENDED_ARG": 71, "PUSH_EXC_INFO": 33, "CHECK_EXC_MATCH": 7, "CHECK_EG_MATCH": 6,
        "WITH_EXCEPT_START": 44, "LOAD_GLOBAL": 91, "LOAD_NAME": 92, "LOAD_ATTR": 82, "LOAD_FAST": 85,
        "LOAD_FAST_CHECK": 87, "LOAD_DEREF": 84, "BUILD_TUPLE": 52, "COPY": 61, "RERAISE": 102,
        "POP_JUMP_IF_FALSE": 97,
    },
}  # fmt: skip
# from 3.11 on gone, or of another number or meaning
_REMOVED = ("DUP_TOP", "SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH", "COMPARE_OP", "POP_JUMP_IF_FALSE")
_CACHE = 0  # inline cache entries (3.11 and newer) have opcode 0


def _opcodes(version: tuple[int, int]) -> dict[str, int] | None:
    """The numbers for a version; None for one that this module does not know."""
    extra = _OPS_BY_VERSION.get(version)
    if extra is None:
        return None
    ops = dict(_OPS)
    if version >= (3, 11):
        for name in _REMOVED:
            ops.pop(name)
    ops.update(extra)
    return ops


OPCODES = _opcodes(_VERSION)
_NAME_OF = {number: name for name, number in (OPCODES or {}).items()}


class Handler:
    """One place to which an exception may jump.

    ``kind``: ``except`` (has clauses), ``with`` (a context manager's exit) or
    ``cleanup`` (``finally`` and what the compiler adds). ``target``: its byte offset.
    """

    __slots__ = ("kind", "target")

    def __init__(self, kind: str, target: int) -> None:
        self.kind = kind
        self.target = target

    def __repr__(self) -> str:
        return "Handler({!r}, {})".format(self.kind, self.target)


def find_handlers(code: CodeType, lasti: int) -> list[Handler] | None:
    """Handlers around the instruction at byte offset ``lasti``, innermost first.

    None if this interpreter's bytecode is not known here: then nothing can be ruled
    out. Before 3.11 a block counts as reaching to its handler, which takes in a little
    more than its body: the answer may name a handler too many, never one too few.
    """
    if OPCODES is None:
        return None
    targets = _table_targets(code, lasti) if _TABLE else _block_targets(code, lasti)
    raw = code.co_code
    return [Handler(_kind(raw, target, forced), target) for target, forced in targets]


def parse_table(table: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, target, depth) in byte offsets, for every entry of a ``co_exceptiontable``.

    A table that ends within an entry yields the whole entries before it.
    """
    position, size = 0, len(table)
    fields: list[int] = []
    while position < size:
        byte = table[position]
        position += 1
        value = byte & 63
        while byte & 64:
            if position >= size:
                return
            byte = table[position]
            position += 1
            value = (value << 6) | (byte & 63)
        fields.append(value)
        if len(fields) == 4:
            start, length, target, depth_lasti = fields
            yield start * 2, (start + length) * 2, target * 2, depth_lasti >> 1
            fields = []


def _table_targets(code: CodeType, lasti: int) -> list[tuple[int, str]]:
    """The innermost entry, then the one around its handler, and so on: a handler that does not match re-raises."""
    entries = list(parse_table(getattr(code, "co_exceptiontable", b"")))
    found: list[tuple[int, str]] = []
    seen = set()
    offset = lasti
    while True:
        target = next((entry[2] for entry in entries if entry[0] <= offset < entry[1]), None)
        if target is None or target in seen:
            return found
        seen.add(target)
        found.append((target, ""))
        offset = target


def _block_targets(code: CodeType, lasti: int) -> list[tuple[int, str]]:
    """Before 3.11: every SETUP_* block that begins before ``lasti`` and whose handler lies behind it."""
    assert OPCODES is not None
    finally_ops = (OPCODES["SETUP_FINALLY"], OPCODES.get("SETUP_EXCEPT", -1))
    with_ops = (OPCODES["SETUP_WITH"], OPCODES["SETUP_ASYNC_WITH"])
    unit = 2 if _VERSION >= (3, 10) else 1  # 3.10 counts instructions, before it bytes
    found = []
    for offset, op, arg in _instructions(code.co_code, 0):
        if offset >= lasti:
            break
        if op in finally_ops or op in with_ops:
            target = offset + 2 + arg * unit
            if lasti < target:
                kind = "with" if op in with_ops else ("except" if op == OPCODES.get("SETUP_EXCEPT") else "")
                if _VERSION == (3, 7) and not kind:
                    kind = "cleanup"  # 3.7 has an instruction of its own for except
                found.append((target, kind))
    found.reverse()
    return found


def _instructions(raw: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """(offset, opcode, argument) from ``start`` on, EXTENDED_ARG folded in."""
    assert OPCODES is not None
    extended_op = OPCODES["EXTENDED_ARG"]
    extended = 0
    for offset in range(start, len(raw) - 1, 2):
        op, arg = raw[offset], raw[offset + 1] | extended
        if op == extended_op:
            extended = arg << 8
            continue
        extended = 0
        yield offset, op, arg


def _kind(raw: bytes, target: int, forced: str) -> str:
    if forced:
        return forced
    clause = _Clause(raw, target)
    if clause.is_with:
        return "with"
    return "except" if clause.is_except else "cleanup"


class _Clause:
    """The first instructions of a handler: which types it compares with, where the next clause begins."""

    __slots__ = ("is_except", "is_with", "next", "operands")

    def __init__(self, raw: bytes, target: int, first: bool = True) -> None:
        self.is_except = self.is_with = False
        self.next = -1  # byte offset of the next clause
        self.operands: list[tuple[str, int]] | None = None  # None: bare, or not understood
        loads: list[tuple[str, int]] = []
        understood = True
        for count, (offset, op, arg) in enumerate(_instructions(raw, target)):
            name = _NAME_OF.get(op, "")
            if name in ("PUSH_EXC_INFO", "NOP", "COPY", "DUP_TOP") or (_TABLE and op == _CACHE):
                continue
            if name == "WITH_EXCEPT_START":
                self.is_with = True
                return
            if name == "POP_TOP":
                # ``except:`` begins by dropping the exception; anything else got here through its own code
                self.is_except = not loads and understood
                return
            if name in ("CHECK_EXC_MATCH", "CHECK_EG_MATCH", "JUMP_IF_NOT_EXC_MATCH") or (
                name == "COMPARE_OP" and not _TABLE and arg == 10  # "exception match", up to 3.8
            ):
                self.is_except = True
                self.operands = loads if understood else None
                self._find_next(raw, offset, name, arg)
                return
            if name in ("RERAISE", "END_FINALLY") or count > 40:
                return
            if name.startswith("LOAD_") or name == "BUILD_TUPLE":
                loads.append((name, arg))
            else:
                understood = False

    def _find_next(self, raw: bytes, offset: int, name: str, arg: int) -> None:
        if name == "JUMP_IF_NOT_EXC_MATCH":  # 3.9, 3.10: absolute
            self.next = arg * 2 if _VERSION >= (3, 10) else arg
            return
        for where, op, distance in _instructions(raw, offset + 2):
            jump = _NAME_OF.get(op, "")
            if jump in ("POP_JUMP_IF_FALSE", "POP_JUMP_FORWARD_IF_FALSE"):
                if not _TABLE:
                    self.next = distance
                else:  # relative, from behind the inline cache that 3.13 added
                    self.next = where + 2 + distance * 2 + (2 if _VERSION >= (3, 13) else 0)
            return


def handler_types(code: CodeType, handler: Handler) -> Iterator[list[str] | None]:
    """What each clause of an ``except`` handler catches: dotted names, or None for everything or not known."""
    raw = code.co_code
    offset = handler.target
    for _ in range(32):
        clause = _Clause(raw, offset)
        if not clause.is_except:
            return
        if clause.operands is None:
            yield None
        else:
            yield _dotted(code, clause.operands)
        if clause.next <= offset:
            return
        offset = clause.next


def _dotted(code: CodeType, loads: list[tuple[str, int]]) -> list[str] | None:
    """``[("LOAD_GLOBAL", 1), ("LOAD_ATTR", 2)]`` as ``["errors.NotFoundError"]``."""
    names: list[str] = []
    try:
        for op, arg in loads:
            if op == "LOAD_ATTR":
                names[-1] += "." + code.co_names[arg >> 1 if _VERSION >= (3, 12) else arg]
            elif op == "LOAD_GLOBAL":
                names.append(code.co_names[arg >> 1 if _VERSION >= (3, 11) else arg])
            elif op == "LOAD_NAME":
                names.append(code.co_names[arg])
            elif op in ("LOAD_FAST", "LOAD_FAST_CHECK"):
                names.append(code.co_varnames[arg])
            elif op == "BUILD_TUPLE":
                if arg != len(names):
                    return None
            else:
                return None
    except IndexError:
        return None
    return names
