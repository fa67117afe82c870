"""A library that lies far away, in a tree that nobody walks at every failure: many processes, damage."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
from interpreters import bare_env
from lab import World, read_journal, run_script
from parts import ROI, script

#: below the home directory: where ``pip install --user`` and others put things, and no tool's layout says where
FAR = "home/.local/lib/somewhere/deep/down/libroi.so"


@pytest.fixture
def far(world: World) -> World:
    """The script wants ``libroi.so`` from beside itself; it lies in a far tree of some thousand files."""
    world.write("train.py", script("libroi.so"))
    home = os.path.join(world.top, "home")
    for number in range(400):
        directory = os.path.join(home, ".local/lib/tool%d/part%d" % (number % 20, number))
        os.makedirs(directory)
        for name in ("notes.txt", "main.py"):
            with open(os.path.join(directory, name), "w") as stream:
                stream.write("nothing\n")
    world.library("libroi.so", ROI)
    os.makedirs(os.path.dirname(os.path.join(world.top, FAR)))
    os.rename(world.path("libroi.so"), os.path.join(world.top, FAR))
    return world


def start(world: World, python: str, **more: str) -> Any:
    home = os.path.join(world.top, "home")
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    environment = bare_env(HOME=home, **places, **more)
    return subprocess.Popen(
        [python, world.path("train.py")], env=environment, cwd=world.root, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, universal_newlines=True,
    )  # fmt: skip


def run(world: World, python: str, **more: str) -> Any:
    more.setdefault("DLREPAIR_BUDGET_MS", "60000")  # a busy machine is no reason
    return run_script(world, python, os.path.join(world.top, "home"), **more)


def scans(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that tell of a scan which has read something."""
    return [line for line in journal if line.get("reason") == "indexed" and ", 0 read" not in line["detail"]]


@pytest.mark.compile
def test_it_is_found_and_the_next_time_known(far: World, hooked: str) -> None:
    first = run(far, hooked)
    assert "roi_pool says 44" in first.out, first.story()
    chosen = [line for line in first.events("candidate") if line["verdict"] == "accepted"]
    assert [line["source"] for line in chosen] == ["index"], first.story()
    assert os.path.exists(os.path.join(far.top, "home/cache/dlrepair/index/libraries.sqlite"))
    again = run(far, hooked)
    assert again.events("load-repaired")[-1]["remembered"] is True, again.story()


@pytest.mark.compile
def test_sixty_four_processes_fail_at_once(far: World, hooked: str) -> None:
    """All are repaired, by one scan, within the budget that everybody has: waiting for a processor does not count."""
    home = os.path.join(far.top, "home")
    started = [start(far, hooked) for _ in range(64)]
    ends = [process.communicate(timeout=300) + (process.returncode,) for process in started]
    assert [out for out, _, _ in ends] == ["roi_pool says 44\n"] * 64, [end for end in ends if end[2]][:3]
    journal = read_journal(os.path.join(home, "state"))
    assert sum(line["event"] == "load-repaired" for line in journal) == 64
    problems = [line for line in journal if line["event"] == "internal-error" or "lock" in line.get("detail", "")]
    assert problems == []
    assert len(scans(journal)) == 1


@pytest.mark.compile
def test_sqlite_that_is_broken_itself(far: World, hooked: str) -> None:
    """An import of sqlite3 that fails must neither end the search nor call it up again for itself."""
    code = "import sys\nsys.modules['_sqlite3'] = None\n"
    far.write("train.py", code + far.read("train.py").decode())
    done = run(far, hooked)
    assert done.out == "roi_pool says 44\n", done.story()
    details = [line.get("detail", "") for line in done.events("candidate")]
    assert any("SQLite cannot be imported" in detail for detail in details), done.story()


@pytest.mark.compile
def test_a_damaged_index_does_not_keep_the_library_away(far: World, hooked: str) -> None:
    index = os.path.join(far.top, "home/cache/dlrepair/index/libraries.sqlite")
    assert run(far, hooked).status == 0
    import shutil

    shutil.rmtree(os.path.join(far.top, "home/cache/dlrepair/remembered"))
    with open(index, "r+b") as stream:
        stream.truncate(5000)
    done = run(far, hooked)
    assert done.out == "roi_pool says 44\n", done.story()
    assert any("made anew" in line.get("detail", "") for line in done.events("candidate")), done.story()


@pytest.mark.compile
def test_nothing_found_leaves_the_exception(far: World, bare: str, hooked: str) -> None:
    """A tree that is larger than the budget: the exception is the loader's, and the journal says what was left out."""
    os.unlink(os.path.join(far.top, FAR))
    plain = run(far, bare)
    done = run(far, hooked, DLREPAIR_BUDGET_MS="1")
    assert done.status == plain.status == 1
    assert plain.err.splitlines()[-1] == done.err.splitlines()[-1]
    assert json.dumps(done.journal).count("budget") >= 1, done.story()
