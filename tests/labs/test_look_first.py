"""What becomes of programs that look first: cured at the next start, told with a command that cures, or neither."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import pytest
from lab import Run, World, run_script
from look_first import ROWS, Row
from parts import ROI

pytestmark = pytest.mark.compile
SAYS = "roi_pool says 44\n"


def start(row: Row, world: World, python: str, home: str, arguments: Any = ()) -> Run:
    world.env.update(row.env)
    given = arguments or [world.path(one) for one in row.arguments]
    return run_script(world, python, os.path.join(world.top, home), given)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, world: World, bare: str, hooked: str) -> None:
    if sys.version_info >= (3, row.before):
        pytest.skip("the module imp is no more")
    world.library(row.built, ROI)
    for name, text in row.files.items():
        world.write(name, text)
    before = world.state()
    broken = start(row, world, bare, "home-bare")
    assert "roi_pool says 44" not in broken.out, broken.story()
    first = start(row, world, hooked, "home")
    assert not first.events("internal-error") and world.state() == before, first.story()
    if row.end == "at once":
        assert (first.status, first.out) == (0, SAYS), first.story()
        return
    assert (first.status, first.out) == (broken.status, broken.out), first.story()
    help_lines = [line for line in first.err.splitlines() if line.startswith("help: ")]
    if row.end == "cured":
        assert help_lines and "is learned, and is in force" in help_lines[0], first.story()
        again = start(row, world, hooked, "home")
        assert (again.status, again.out, world.state()) == (0, SAYS, before), again.story()
        if " taken from " not in help_lines[0]:
            return
        world.env["DLREPAIR_REEXEC"] = "never"  # nothing may be learned: one command is told, and cures
        first = start(row, world, hooked, "home-told")
        help_lines = [line for line in first.err.splitlines() if line.startswith("help: ")]
        assert help_lines and help_lines[0].startswith("help: dlrepair fix --write "), first.story()
        assert not first.events("learned"), first.story()
        command = shlex.split(help_lines[0])[2:]
        done = start(row, world, hooked, "home", ["-m", "dlrepair", *command])
        assert done.status == 0, first.story() + done.story()
        assert start(row, world, bare, "home-bare").out == SAYS, first.story() + done.story()
        undone = start(row, world, hooked, "home", ["-m", "dlrepair", "fix", "--undo", command[-1]])
        assert undone.status == 0 and world.state() == before, undone.story()
    else:
        assert not help_lines, first.story()
