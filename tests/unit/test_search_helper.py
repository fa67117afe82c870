"""The child that waits for a trial lists a share of a wide walk's directories, and what the walk finds is the same."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from searching import compile_library

from dlrepair.search import helper, names, standby, trial, walk

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="takes a second processor"
)


@pytest.fixture(autouse=True)
def however_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests share their processors with others, for which a walk would go on alone."""
    monkeypatch.setattr(helper, "_WAITED", float("inf"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project of 600 directories and more, with everything in it that a walk takes note of."""
    top = tmp_path_factory.mktemp("wide")
    outside = top / "outside"
    root = top / "project"
    (outside / "linked" / "deep").mkdir(parents=True)
    (outside / "linked" / "deep" / "libroi.so").write_bytes(b"")
    for number in range(600):
        place = root / "part{:02d}".format(number % 12) / "piece{}".format(number)
        place.mkdir(parents=True)
        (place / "file.cc").write_bytes(b"")
        if number % 3 == 0:
            (place / "src").mkdir()
    below = root / "part11"
    odd: tuple[str, ...] = ("new\nline", "caf\udce9", "\nfirst", "d", "lib", "data", ".git", "conda")
    for at, name in enumerate(odd):
        (below / "piece{}".format(11 + 12 * at) / name).mkdir()
        (below / "piece{}".format(11 + 12 * at) / name / "libroi.so").write_bytes(b"")
    (below / "piece107" / "conda-meta").mkdir()
    (below / "piece119" / "pyvenv.cfg").write_bytes(b"")
    (below / "piece131" / "libother.so").write_bytes(b"")
    (below / "piece143" / "some-1.0-py3-none-any.whl").write_bytes(b"")
    (below / "piece155" / "linked").symlink_to(outside / "linked")
    (below / "piece167" / "dangling").symlink_to(outside / "nowhere")
    os.mkfifo(str(below / "piece179" / "pipe"))
    for number in range(300):
        (below / "piece191" / "{}.jpg".format(number)).write_bytes(b"")
    (root / "part01" / "piece1" / "libroi.so").write_bytes(b"")
    return str(root)


@pytest.fixture
def child() -> Iterator[standby.Child]:
    before = sorted(os.listdir("/proc/self/fd"))
    standby.prepare()
    (waiting,) = standby._waiting
    yield waiting
    standby.drop()
    assert not os.path.exists("/proc/{}".format(waiting.pid))
    assert sorted(os.listdir("/proc/self/fd")) == before


def reader(excluded: Callable[[str], bool] | None = None) -> walk.Reader:
    return walk.Reader(names.Names("libroi.so", "ctypes"), time.monotonic() + 300, excluded)


def outcome(made: walk.Reader, found: list[tuple[str, str, int]]) -> tuple[object, ...]:
    return found, made.notes, made.archives, made.others, made.environments, made.directories


def alone(tree: str) -> tuple[object, ...]:
    made = reader()
    assert standby._waiting == []
    return outcome(made, list(made.walk(tree)))


def answered(helping: helper.Help, count: int) -> set[str]:
    """What the child has answered, once that is so many directories."""
    child = helping._child
    assert child is not None
    while len(helping.answers) < count:
        assert select.select([child._listings], [], [], 60)[0], "the child says nothing"
        helping._collect(child.listed())
    return set(helping.answers)


def begun(made: walk.Reader, found: Iterator[tuple[str, str, int]]) -> tuple[helper.Help, list[tuple[str, str, int]]]:
    """The help that a walk has found, and what the walk has yielded until then: it stops at the first match."""
    first = [next(found)]
    assert made._help is not None and made._help._child is not None
    return made._help, first


def test_a_wide_walk_finds_the_same_with_help(tree: str) -> None:
    expected = alone(tree)
    standby.prepare()
    (child,) = standby._waiting
    made = reader()
    walked = made.walk(tree)
    helping, found = begun(made, walked)
    assert standby._waiting == []  # nobody else gets it meanwhile
    said = answered(helping, 100)
    found += walked
    assert outcome(made, found) == expected
    assert len(found) > 5 and made.archives and made.others and made.environments and made.notes
    assert len(said - set(helping.answers)) > 50  # and these were taken
    assert made._help is None and standby._waiting == [child]
    standby.drop()


def test_the_child_that_helped_is_the_one_of_the_trial(child: standby.Child, tree: str, tmp_path: Path) -> None:
    library = compile_library(str(tmp_path / "libroi.so"))
    made = reader()
    assert len(list(made.walk(tree))) > 5
    assert standby._waiting == [child]
    result = trial.run([library])
    assert result.ok and standby._waiting == []
    assert not os.path.exists("/proc/{}".format(child.pid))


def test_one_that_dies_or_stands_still_costs_nothing(tree: str, tmp_path: Path) -> None:
    library = compile_library(str(tmp_path / "libroi.so"))
    expected = alone(tree)
    for sent in (signal.SIGKILL, signal.SIGSTOP):
        standby.prepare()
        made = reader()
        walked = made.walk(tree)
        helping, found = begun(made, walked)
        assert helping._child is not None
        child = helping._child
        os.kill(child.pid, sent)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        found += walked
        assert outcome(made, found) == expected
        if sent == signal.SIGSTOP:
            standby.drop()
        assert trial.run([library]).ok
        assert standby._waiting == [] and not os.path.exists("/proc/{}".format(child.pid))


def test_a_walk_that_is_left_ends_it(tree: str) -> None:
    standby.prepare()
    (child,) = standby._waiting
    made = reader()
    walked = made.walk(tree)
    begun(made, walked)
    walked.close()  # type: ignore[attr-defined]
    assert standby._waiting == [] and not os.path.exists("/proc/{}".format(child.pid))


def test_what_is_not_to_be_opened_is_not_asked_for(child: standby.Child, tree: str) -> None:
    made = reader(lambda path: path.endswith(tuple("02468")) and "piece" in path)
    walked = made.walk(tree)
    said = answered(begun(made, walked)[0], 100)
    assert not [path for path in said if path.endswith(tuple("02468"))]
    walked.close()  # type: ignore[attr-defined]


def test_only_directories_of_sources_are_answered_for(child: standby.Child, tree: str) -> None:
    plain = reader()
    whole = {place: plain.listing(place) for place, _, _ in os.walk(tree)}
    asked = [(place, 1) for place in sorted(whole)]
    helping = helper.Help(walk._MARKS, (), lambda path: True)
    turn = 0
    while helping._next < len(asked):
        helping.follow(asked, 0 if turn else -helper._NEXT)
        turn += 1
        helping._collect(child.listed())
        time.sleep(0.0001)
    for place in answered(helping, 400):
        listing = whole[place]
        assert listing is not None
        got = helping.answers[place]
        assert sorted(os.fsdecode(one[1:]) for one in got if one[:1] == b"d") == listing.subdirs
        assert sorted(os.fsdecode(one[1:]) for one in got if one[:1] == b"l") == listing.links
        assert not (listing.matches or listing.others or listing.archives or listing.reason)
    helping.end()


def test_an_answer_for_the_walk_before_is_none_for_this_one(child: standby.Child, tree: str) -> None:
    asked = [(place, 1) for place, _, files in os.walk(tree) if files == ["file.cc"]]
    before = helper.Help(walk._MARKS, (), lambda path: True)
    before.follow(asked, -helper._NEXT)
    assert select.select([child._listings], [], [], 60)[0]  # it answers, and nobody reads that
    before.end()
    now = helper.Help(walk._MARKS, ("file.cc",), lambda path: True)  # such a directory is the walk's own to read
    now.follow(asked, -helper._NEXT)
    while now._read < now._sent:
        assert select.select([child._listings], [], [], 60)[0]
        now._collect(child.listed())
    assert now.answers == {}
    now.end()


def test_where_there_is_no_processor_to_spare_the_walk_goes_on_alone(
    child: standby.Child, tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert helper.Help(walk._MARKS, (), lambda path: True)._child is None
        assert standby._waiting == [child]
        os.sched_setaffinity(0, sorted(allowed)[:2])
        spinning = [sys.executable, "-S", "-c", "while True: pass"]
        others = [subprocess.Popen(spinning) for _ in range(4)]
    except BaseException:
        os.sched_setaffinity(0, allowed)
        raise
    monkeypatch.undo()
    asked = [(place, 1) for place, _, _ in os.walk(tree)]
    try:
        helping = helper.Help(walk._MARKS, (), lambda path: True)
        ends = time.monotonic() + 60
        while helping._child is not None and time.monotonic() < ends:
            helping.follow(asked, 0)
        assert helping._child is None and standby._waiting == [child]
    finally:
        os.sched_setaffinity(0, allowed)
        for other in others:
            other.kill()
            other.wait()


def test_a_name_that_no_file_has_gets_no_help(child: standby.Child) -> None:
    for name in ("\ud800", "\nlibroi", "x" * 5000):
        assert helper.Help(walk._MARKS, (name,), lambda path: True)._child is None
        assert standby._waiting == [child]
