"""A remembered repair is replayed as long as what it rests on is what it was, and looked at again as soon as not."""

from __future__ import annotations

import os
import shutil
from typing import Any, Callable

import pytest
from lab import World, run_script

SCRIPT = """\
import ctypes, os, sys
here = os.path.dirname(os.path.abspath(__file__))
if len(sys.argv) > 1:
    ctypes.CDLL(sys.argv[1])
roi = ctypes.CDLL(os.path.join(here, "libroi.so"))
print("roi_pool says", roi.roi_pool(6, 7))
"""
ROI = "extern int helper_scale(int);\nint roi_pool(int a, int b) { return helper_scale(a * b); }\n"
HELPER = "int helper_scale(int value) { return value * 3; }\n"
OTHER = "int helper_scale(int value) { return value * 5; }\nint more(void) { return 1; }\n"


@pytest.fixture
def moved(world: World) -> World:
    """The library was moved to ``build``; what it needs lies in ``build/lib``, where its RUNPATH leads."""
    world.write("train.py", SCRIPT)
    world.library("build/lib/libhelper.so", HELPER)
    world.library(
        "build/libroi.so", ROI, needs=["build/lib/libhelper.so"], runpath="$ORIGIN/first:$ORIGIN/lib"
    )
    return world


def run(world: World, python: str, *arguments: str, **more: str) -> Any:
    more.setdefault("DLREPAIR_BUDGET_MS", "60000")
    home = os.path.join(world.top, "home")
    return run_script(world, python, home, [world.path("train.py"), *arguments], **more)


def is_replayed(done: Any) -> bool:
    last = done.events("load-repaired")[-1]
    return bool(last.get("remembered"))


def refusals(done: Any) -> list[str]:
    return [line["reason"] for line in done.events("repair-failed") if line["strategy"] == "remembered"]


def helper_in_place(world: World) -> None:
    """Another build of what it needs, written into the same file with the old times put back."""
    path = world.path("build/lib/libhelper.so")
    info = os.stat(path)
    world.library("other/libhelper.so", OTHER)
    shutil.copyfile(world.path("other/libhelper.so"), path)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def library_replaced(world: World) -> None:
    world.library("build/new.so", ROI, needs=["build/lib/libhelper.so"], soname="libroi.so", runpath="$ORIGIN/lib")
    os.rename(world.path("build/new.so"), world.path("build/libroi.so"))


def earlier_in_the_path(world: World) -> None:
    world.library("build/first/libhelper.so", OTHER)


CHANGES = [
    (helper_in_place, "libhelper.so, which it needs, has changed", 210),
    (library_replaced, "libroi.so has changed", 126),
    (earlier_in_the_path, "build/first/ is there now", 210),
]


@pytest.mark.compile
@pytest.mark.parametrize("change, reason, answer", CHANGES, ids=[one[0].__name__ for one in CHANGES])
def test_a_change_on_disk_ends_the_replay(
    moved: World, hooked: str, change: Callable[[World], None], reason: str, answer: int
) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    second = run(moved, hooked)
    assert second.out == "roi_pool says 126\n" and is_replayed(second), second.story()
    change(moved)
    before = len(second.journal)
    third = run(moved, hooked)
    assert third.out == "roi_pool says %d\n" % answer, third.story()
    assert not is_replayed(third) and reason in refusals(third)[-1], third.story()
    fourth = run(moved, hooked)
    assert is_replayed(fourth) and fourth.out == third.out and len(fourth.journal) > before


@pytest.mark.compile
def test_another_name_of_the_interpreter_does_not(moved: World, hooked: str) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    second = run(moved, os.path.join(os.path.dirname(hooked), "python3"))
    assert second.out == "roi_pool says 126\n" and is_replayed(second), second.story()


LATE = """\
import importlib, os, sys
turn = importlib.import_module("dlrepair.repair.turn")
taken = turn.Turn
def after_another(key):
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, __file__], dict(os.environ, FIRST="1"))
    os.wait()
    return taken(key)
if "FIRST" not in os.environ:
    turn.Turn = after_another
"""


@pytest.mark.compile
def test_a_repair_between_the_look_and_the_turn_is_taken_over(moved: World, hooked: str) -> None:
    """Of two processes that find nothing remembered, the second takes its turn when the first is done with it."""
    moved.write("train.py", LATE + SCRIPT)
    done = run(moved, hooked)
    assert done.out == "roi_pool says 126\n" * 2, done.story()
    repaired = done.events("load-repaired")
    assert len({one["pid"] for one in repaired}) == 2, done.story()
    assert [bool(one.get("remembered")) for one in repaired] == [False, True], done.story()


@pytest.mark.compile
def test_another_library_mapped_before_ends_the_replay(moved: World, hooked: str) -> None:
    """The same request; but the program has loaded another file of that SONAME, which ld.so would take."""
    assert run(moved, hooked).out == "roi_pool says 126\n"
    assert is_replayed(run(moved, hooked))
    moved.library("other/odd-name.so", OTHER, soname="libhelper.so")
    done = run(moved, hooked, moved.path("other/odd-name.so"))
    assert done.out == "roi_pool says 210\n", done.story()
    assert not is_replayed(done) and "odd-name.so is mapped already" in refusals(done)[-1], done.story()


@pytest.mark.compile
def test_an_unrelated_library_does_not(moved: World, hooked: str) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    moved.library("other/libunrelated.so", "int unrelated(void) { return 1; }\n")
    done = run(moved, hooked, moved.path("other/libunrelated.so"))
    assert is_replayed(done), done.story()


@pytest.mark.compile
def test_another_search_path_ends_the_replay(moved: World, hooked: str) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    assert is_replayed(run(moved, hooked))
    moved.library("path/libhelper.so", OTHER)
    moved.env["LD_LIBRARY_PATH"] = moved.path("path")
    done = run(moved, hooked)
    assert done.out == "roi_pool says 210\n", done.story()
    assert not is_replayed(done)


@pytest.mark.compile
def test_the_users_own_variable_outranks_what_is_remembered(moved: World, hooked: str) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    own = moved.library("mine/libroi.so", "int roi_pool(int a, int b) { return a + b; }\n")
    done = run(moved, hooked, ROI_LIB=own)
    assert done.out == "roi_pool says 13\n", done.story()


@pytest.mark.compile
def test_what_is_excluded_now_is_not_replayed(moved: World, hooked: str) -> None:
    assert run(moved, hooked).out == "roi_pool says 126\n"
    done = run(moved, hooked, DLREPAIR_EXCLUDE=moved.path("build"))
    assert done.status == 1 and done.out == "", done.story()
    assert any("exclude" in reason for reason in refusals(done)), done.story()
