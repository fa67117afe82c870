"""What the index gives up: roots that are gone or unused, and the longest unused of more than it may hold."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest

from dlrepair import store
from dlrepair.search import catalogue, evict, index, stamps
from dlrepair.search.names import Names

MONTH = 31 * 86400.0


@pytest.fixture(autouse=True)
def private_store(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))


def make_root(tmp_path: Any, name: str, directories: int = 5) -> str:
    """A root with one library, that has been scanned; ``name`` is the library's stem as well."""
    root = str(tmp_path / "far" / name)
    for number in range(directories):
        os.makedirs(os.path.join(root, "d%d" % number))
    open(os.path.join(root, "d0", "lib%s.so" % name), "wb").close()
    return root


def scan(*roots: str) -> list[str]:
    writer = catalogue.Writer(catalogue.place(create=True))
    assert writer.lock(time.monotonic() + 5)
    try:
        index.refresh(writer, roots, time.monotonic() + 60)
    finally:
        writer.close()
    return list(roots)


def known(root: str) -> bool:
    """Whether the index knows the library of a root, whose file may be gone."""
    reader = catalogue.Catalogue(catalogue.file_path(catalogue.place(create=False)))
    try:
        name = "lib%s.so" % os.path.basename(root)
        return bool(reader.find(Names(name, "ctypes"), (), (root,)))
    finally:
        reader.close()


def size() -> int:
    return os.path.getsize(catalogue.file_path(catalogue.place(create=False)))


def test_a_root_that_is_gone_goes_with_all_its_rows(tmp_path: Any) -> None:
    one, two = scan(make_root(tmp_path, "one"), make_root(tmp_path, "two", 1500))
    whole = size()
    shutil.rmtree(two)
    assert known(two)
    removed = evict.tidy()
    assert removed[0] == 1 and removed[1] == whole - size() > whole // 2
    assert known(one) and not known(two)
    assert evict.tidy() == (0, 0)


def test_a_root_that_nobody_asked_for_in_a_month_goes(tmp_path: Any) -> None:
    (one,) = scan(make_root(tmp_path, "one"))
    assert evict.tidy(time.time() + MONTH / 2) == (0, 0) and known(one)
    assert evict.tidy(time.time() + MONTH)[0] == 1 and not known(one)
    scan(one)
    assert known(one)


def test_rows_of_no_known_root_go(tmp_path: Any) -> None:
    one, two = scan(make_root(tmp_path, "one"), make_root(tmp_path, "two"))
    directory = catalogue.place(create=False)
    stamps.forget_check(directory, two)
    evict.tidy()
    assert known(one) and not known(two)


def test_a_root_that_was_not_compared_to_its_end_is_known_and_due(tmp_path: Any) -> None:
    root = make_root(tmp_path, "one")
    directory = catalogue.place(create=True)
    stamps.note_check(directory, root, whole=False)
    assert [path for path, _ in stamps.checked_roots(directory)] == [root]
    assert stamps.checked_at(directory, root) == 0.0
    assert next(stamps.checked_roots(directory))[1] > time.time() - 60


def test_a_full_index_gives_up_what_was_asked_for_longest_ago(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [make_root(tmp_path, "r%d" % number, 20) for number in range(4)]
    for root in roots:
        scan(root)
        time.sleep(0.02)  # ctimes tell them apart
    new = make_root(tmp_path, "new", 30)
    monkeypatch.setattr(catalogue, "MAX_DIRECTORIES", 90)
    scan(new)  # room for a part of it; then the first root makes way
    assert not known(roots[0]) and known(roots[3])
    scan(new)
    reader = catalogue.Catalogue(catalogue.file_path(catalogue.place(create=False)))
    assert known(new) and reader.counts()[0] <= 91 + 20
    assert reader.is_whole(new)
    reader.close()


def test_more_roots_than_it_may_have(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evict, "MAX_ROOTS", 2)
    roots = [make_root(tmp_path, "r%d" % number) for number in range(3)]
    for root in roots:
        scan(root)
        time.sleep(0.02)
    assert evict.tidy()[0] == 1
    assert [known(root) for root in roots] == [False, True, True]


def test_a_damaged_index_and_none(tmp_path: Any) -> None:
    assert evict.tidy() == (0, 0)
    (one,) = scan(make_root(tmp_path, "one"))
    with open(catalogue.file_path(catalogue.place(create=False)), "wb") as stream:
        stream.write(b"nothing")
    assert evict.tidy() == (0, 0)
    assert store.gc()[0] == 0
    assert os.path.isdir(one)
