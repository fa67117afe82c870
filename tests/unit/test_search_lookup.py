"""The index asked without SQLite: the same answers, and none that is not believed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import Any

import pytest

from dlrepair.search import catalogue, index, lookup
from dlrepair.search.names import Names

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMES = ("libone.so", "libtwo.so.3", "three.cpython-311-x86_64-linux-gnu.so", "_four_op.so", "lib five.so", "d\xe9j.so")


@pytest.fixture
def root(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A root with libraries, one of which has a SONAME of its own, and a directory of data; scanned."""
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))
    top = str(tmp_path / "far")
    for at, name in enumerate(NAMES):
        os.makedirs(os.path.join(top, "d%d" % at))
        open(os.path.join(top, "d%d" % at, name), "wb").close()
    subprocess.run(
        ["gcc", "-shared", "-x", "c", "-", "-o", os.path.join(top, "d0", "renamed.so"), "-Wl,-soname,libwanted.so.7"],
        input=b"int answer(void) { return 42; }", check=True,
    )  # fmt: skip
    os.makedirs(os.path.join(top, "images"))
    for number in range(300):
        open(os.path.join(top, "images", "%d.jpg" % number), "wb").close()
    open(os.path.join(top, "images", "libone.so"), "wb").close()
    scan(top)
    return top


def scan(root: str) -> None:
    writer = catalogue.Writer(catalogue.place(create=True))
    assert writer.lock(time.monotonic() + 5)
    try:
        index.refresh(writer, [root], time.monotonic() + 60)
    finally:
        writer.close()


def table() -> str:
    return lookup.file_path(catalogue.place(create=False))


def known(root: str, name: str, role: str = "substitute") -> list[tuple[str, str, str]]:
    asked = index.Index([root], time.monotonic() + 30.0)
    return list(asked.find_known(Names(name, "ctypes", role), name if role == "dependency" else ""))


def everything(root: str) -> list[Any]:
    asked = [known(root, name) for name in (*NAMES, "libfour.so", "five.so", "libnone.so")]
    return [*asked, known(root, "libwanted.so.7", "dependency"), known(root, "libtwo.so.3", "dependency")]


def test_it_answers_as_the_database_does(root: str) -> None:
    fast = everything(root)
    assert sum(map(len, fast)) >= len(NAMES) + 2, fast
    assert fast[-2] == [(os.path.join(root, "d0", "renamed.so"), "soname", root)]
    assert (os.path.join(root, "images", "libone.so"), "exact", root) in fast[0]
    os.unlink(table())
    assert everything(root) == fast


def test_it_is_asked_without_sqlite(root: str) -> None:
    code = (
        "import sys, time; sys.path.insert(0, {!r})\nfrom dlrepair.search import index, names\n"
        "asked = index.Index([{!r}], time.monotonic() + 30)\n"
        "print(len(list(asked.find_known(names.Names('libtwo.so.3', 'ctypes')))), "
        "[name for name in ('_sqlite3', 'functools') if name in sys.modules])"
    ).format(ROOT, root)
    done = subprocess.run([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "1 []\n"


def test_of_another_database_it_is_not_believed(root: str) -> None:
    """A writer that was killed between its two renames leaves yesterday's table."""
    with open(table(), "rb") as stream:
        before = stream.read()
    new = os.path.join(root, "d1", "libnew.so")
    open(new, "wb").close()
    scan(root)
    assert known(root, "libnew.so") == [(new, "exact", root)]
    with open(table(), "wb") as stream:
        stream.write(before)
    assert lookup.find(os.path.dirname(table()), [b"libone"], []) is None
    assert known(root, "libnew.so") == [(new, "exact", root)]


def test_a_damaged_one_does_no_harm(root: str) -> None:
    whole = everything(root)
    with open(table(), "rb") as stream:
        good = stream.read()
    chance = random.Random(4)
    for round_ in range(300):
        bad = bytearray(good)
        if round_ % 3 == 0:
            del bad[chance.randrange(len(bad)) :]
        for _ in range(chance.randrange(1, 30)):
            if bad:
                bad[chance.randrange(len(bad))] = chance.randrange(256)
        with open(table(), "wb") as stream:
            stream.write(bad)
        for path, _, _ in known(root, "libone.so"):  # whatever it says, what is proposed is there and of that name
            assert os.path.lexists(path)
    os.unlink(table())
    assert everything(root) == whole


def test_of_too_many_libraries_none_is_made(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = everything(root)
    monkeypatch.setattr(lookup, "MAX_LIBRARIES", 3)
    os.utime(os.path.join(root, "d1"), (1, 1))
    open(os.path.join(root, "d1", "note.txt"), "wb").close()
    scan(root)
    assert lookup.find(os.path.dirname(table()), [b"libone"], []) is None
    assert everything(root) == whole
