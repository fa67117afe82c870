"""Handlers read from the bytecode, compared with what the interpreter itself does and knows."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import interpreters
import pytest

from dlrepair.diagnose import codetable

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHONS = (
    {"%d.%d" % sys.version_info[:2]: sys.executable}
    if os.environ.get("ONE_PYTHON")  # tools/each_python.py: every interpreter has a run of its own
    else {one.label: one.path for one in interpreters.find_interpreters()}
)

_OPCODES = """
import sys, opcode
sys.path.insert(0, {checkout!r})
from dlrepair.diagnose import codetable
assert codetable.OPCODES, "this version is not known"
for name, number in codetable.OPCODES.items():
    assert opcode.opmap.get(name) == number, (name, number, opcode.opmap.get(name))
needed = {{"PUSH_EXC_INFO", "CHECK_EXC_MATCH", "CHECK_EG_MATCH", "WITH_EXCEPT_START", "RERAISE",
          "JUMP_IF_NOT_EXC_MATCH", "SETUP_EXCEPT", "SETUP_FINALLY", "SETUP_WITH", "END_FINALLY"}}
real = {{name for name in needed if opcode.opmap.get(name, 999) < 256}}
missing = real - set(codetable.OPCODES)
assert missing <= {{"WITH_EXCEPT_START"}}, missing
"""

_SHAPES = """
import sys
sys.path.insert(0, {checkout!r})
from dlrepair.diagnose.codetable import find_handlers, handler_types

def here(expected, types=None):
    frame = sys._getframe(1)
    handlers = find_handlers(frame.f_code, frame.f_lasti)
    kinds = [handler.kind for handler in handlers if handler.kind != "cleanup"]
    assert kinds == expected, (frame.f_lineno, kinds, expected)
    if types is not None:
        first = next(handler for handler in handlers if handler.kind == "except")
        found = list(handler_types(frame.f_code, first))
        assert found == types, (frame.f_lineno, found, types)

class Manager:
    def __enter__(self): pass
    def __exit__(self, *a): pass

def nothing():
    here([])
def typed():
    try:
        here(["except"], [["OSError"]])
    except OSError:
        pass
    here([])
def clauses():
    try:
        here(["except"], [["KeyError"], ["os.error", "ValueError"], ["OSError"], None])
    except KeyError:
        here([])
    except (os.error, ValueError) as e:
        pass
    except OSError as e:
        raise
    except:
        pass
def bare():
    try:
        here(["except"], [None])
    except:
        pass
def cleanup():
    try:
        here([])
    finally:
        nothing()
def both():
    try:
        here(["except"])
    except ValueError:
        pass
    finally:
        here([])
def context():
    with Manager():
        here(["with"])
    here([])
def nested():
    try:
        with Manager():
            try:
                here(["with", "except"])
            finally:
                here(["with", "except"])
    except OSError:
        here([])
def handlers_of_handlers():
    try:
        raise KeyError
    except KeyError:
        try:
            here(["except"], [["ValueError"]])
        except ValueError:
            pass
def loop():
    for i in range(2):
        try:
            here(["except"], [["OSError"]])
            continue
        except OSError:
            break
def returns():
    try:
        return here(["except"], [["OSError"]])
    except OSError:
        return None
def local_type(kind=ValueError):
    try:
        here(["except"], [["kind"]])
    except kind:
        pass
def called():
    try:
        here(["except"], [None])
    except typeof():
        pass
def many():
    try:
        here(["except"], [["OSError"]])
        {padding}
    except OSError:
        pass
    here([])
def generator():
    yield here([])
    try:
        yield here(["except"])
    except OSError:
        pass
class Body:
    try:
        here(["except"], [["OSError"]])
    except OSError:
        pass
import os
for function in (nothing, typed, clauses, bare, cleanup, both, context, nested, handlers_of_handlers, loop, returns,
                 local_type, called, many):
    function()
list(generator())
try:
    here(["except"], [["OSError"]])
except OSError:
    pass
print("fine")
"""


@pytest.mark.parametrize("label", list(PYTHONS))
def test_opcode_numbers(label: str, tmp_path: object) -> None:
    run(PYTHONS[label], _OPCODES.format(checkout=CHECKOUT))


@pytest.mark.parametrize("label", list(PYTHONS))
def test_handlers(label: str) -> None:
    # jumps over more than 255 instructions need EXTENDED_ARG and longer varints
    text = _SHAPES.replace("{padding}", "\n        ".join("i = x = [1, 2] if sys else (3, 4)" for _ in range(300)))
    text = text.replace("{checkout!r}", repr(CHECKOUT))
    assert run(PYTHONS[label], text) == "fine\n"


def run(python: str, text: str) -> str:
    done = subprocess.run(
        [python, "-W", "error", "-"], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=60, env=interpreters.bare_env(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def encode(values: list[int]) -> bytes:
    """The varint format of Objects/exception_handling_notes.txt, most significant six bits first."""
    out = bytearray()
    for position, value in enumerate(values):
        pieces = [value & 63]
        while value > 63:
            value >>= 6
            pieces.append(value & 63)
        pieces.reverse()
        coded = [piece | 64 for piece in pieces[:-1]] + [pieces[-1]]
        if position % 4 == 0:
            coded[0] |= 128
        out.extend(coded)
    return bytes(out)


def test_table_round_trip() -> None:
    entries = [(0, 3, 7, 1), (63, 64, 4095, 6), (4096, 262143, 1 << 20, 255)]
    table = encode([value for entry in entries for value in entry])
    expected = [(s * 2, (s + n) * 2, t * 2, d >> 1) for s, n, t, d in entries]
    assert list(codetable.parse_table(table)) == expected


def test_table_cut_anywhere_yields_whole_entries() -> None:
    table = encode([1, 2, 3, 4, 500, 600, 70000, 8])
    whole = list(codetable.parse_table(table))
    for size in range(len(table)):
        assert list(codetable.parse_table(table[:size])) == whole[: 1 if size >= 4 else 0]


def test_table_of_random_bytes_ends() -> None:
    chance = random.Random(11)
    for _ in range(500):
        for entry in codetable.parse_table(bytes(chance.randrange(256) for _ in range(chance.randrange(40)))):
            assert len(entry) == 4


def test_table_against_the_interpreter() -> None:
    """The standard library's own parser, where this interpreter has one."""
    if sys.version_info < (3, 11):
        assert codetable.OPCODES is not None
        return
    import dis
    import os as module

    parse = vars(dis)["_parse_exception_table"]
    checked = 0
    for function in vars(module).values():
        code = getattr(function, "__code__", None)
        if code is not None and code.co_exceptiontable:
            ours = [entry[:4] for entry in codetable.parse_table(code.co_exceptiontable)]
            assert ours == [(e.start, e.end, e.target, e.depth) for e in parse(code)]
            checked += 1
    assert checked > 5
