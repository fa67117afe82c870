"""The index's directories in a flat file: the same rows as the database's, and none that is not believed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import Any

import pytest

from dlrepair.search import catalogue, flat, index
from dlrepair.search.names import Names

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: directories whose names sort around a slash, around each other, and are no text
DIRECTORIES = ("a", "a/b", "a/b/c", "a/b-c", "a/b.c/d", "a/b0", "ab", "z", os.fsdecode(b"a/\xff\x01"))


@pytest.fixture
def top(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))
    top = str(tmp_path / "far")
    for name in DIRECTORIES:
        os.makedirs(os.path.join(top, name), exist_ok=True)
        open(os.path.join(top, name, "libone.so"), "wb").close()
    time.sleep(0.15)  # a directory that has just been changed is read again
    scan(top)
    return top


def scan(*roots: str) -> Any:
    writer = catalogue.Writer(catalogue.place(create=True))
    assert writer.lock(time.monotonic() + 5)
    try:
        return index.refresh(writer, roots, time.monotonic() + 60)
    finally:
        writer.close()


def place() -> str:
    return flat.file_path(catalogue.place(create=False))


def found(top: str, name: str = "libone.so") -> list[str]:
    asked = index.Index([top], time.monotonic() + 30.0)
    return sorted(path for path, _, _ in asked.find_known(Names(name, "ctypes")))


def test_its_rows_are_those_of_the_database(top: str) -> None:
    known = flat.read(os.path.dirname(place()))
    assert known is not None and not known.unread
    database = catalogue.Catalogue(catalogue.file_path(os.path.dirname(place())))
    try:
        for root in (top, "/", *(os.path.join(top, name) for name in DIRECTORIES), os.path.join(top, "none")):
            rows = known.directories(root)
            assert sorted(rows) == sorted(set(database.directories(root))), root
        assert len(known.directories(os.path.join(top, "a/b"))) == 2  # itself and c; b-c, b.c and b0 are others
    finally:
        database.close()


def test_where_nothing_has_changed_sqlite_is_left_out(top: str) -> None:
    code = (
        "import sys, time; sys.path.insert(0, {!r})\nfrom dlrepair.search import catalogue, index\n"
        "writer = catalogue.Writer(catalogue.place(create=True))\n"
        "writer.lock(time.monotonic() + 5)\n"
        "tally = index.refresh(writer, [{!r}], time.monotonic() + 30)\n"
        "print(tally.compared, tally.directories, '_sqlite3' in sys.modules)"
    ).format(ROOT, top)
    done = subprocess.run([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "{} 0 False\n".format(len(DIRECTORIES) + 2)  # with the top, and a/b.c


def test_what_has_changed_is_read(top: str) -> None:
    new = os.path.join(top, "a/b", "libnew.so")
    open(new, "wb").close()
    os.unlink(os.path.join(top, "z", "libone.so"))
    os.rmdir(os.path.join(top, "z"))
    tally = scan(top)
    assert tally.directories == 2  # a/b, and the top that has lost z
    assert found(top, "libnew.so") == [new]
    known = flat.read(os.path.dirname(place()))
    assert known is not None
    assert os.fsencode(os.path.join(top, "z")) not in [row[1] for row in known.directories(top)]


def test_of_another_database_it_is_not_believed(top: str) -> None:
    """A writer that was killed between its renames leaves yesterday's file: its ids are somebody else's today."""
    with open(place(), "rb") as stream:
        before = stream.read()
    new = os.path.join(top, "a", "libnew.so")
    open(new, "wb").close()
    scan(top)
    with open(place(), "wb") as stream:
        stream.write(before)
    assert flat.read(os.path.dirname(place())) is None
    os.unlink(new)
    scan(top)
    assert found(top, "libnew.so") == []
    assert len(found(top)) == len(DIRECTORIES)


def test_a_damaged_one_does_no_harm(top: str) -> None:
    """A wrong path in it would have its directory dropped from the index until it changes."""
    with open(place(), "rb") as stream:
        good = stream.read()
    chance = random.Random(7)
    for round_ in range(60):
        bad = bytearray(good)
        if round_ % 3 == 0:
            del bad[chance.randrange(len(bad)) :]
        else:
            at = chance.randrange(len(bad))
            bad[at] = (bad[at] + chance.randrange(1, 256)) & 255
        with open(place(), "wb") as stream:
            stream.write(bad)
        assert flat.read(os.path.dirname(place())) is None, round_
        if round_ % 10 == 0:
            scan(top)
            assert len(found(top)) == len(DIRECTORIES)


def test_of_too_many_directories_none_is_made(top: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "MAX_DIRECTORIES", 3)
    new = os.path.join(top, "a", "libnew.so")
    open(new, "wb").close()
    scan(top)
    assert flat.read(os.path.dirname(place())) is None
    assert found(top, "libnew.so") == [new]
    assert scan(top).compared == len(DIRECTORIES) + 2
