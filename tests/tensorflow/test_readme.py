"""The README's first screen is what happens: its commands and their output, on every real TensorFlow."""

from __future__ import annotations

import os
import re
import shutil

import opkit
import pytest
from lab import run_script

README = os.path.join(opkit.ROOT, "README.md")


def console_blocks() -> list[list[str]]:
    """The lines of every ``console`` block."""
    with open(README, encoding="utf-8") as handle:
        return [block.strip().splitlines() for block in re.findall(r"```console\n(.*?)```", handle.read(), re.DOTALL)]


def moved_project(world: opkit.TfWorld) -> None:
    """examples/project, built, with its op moved to build/."""
    shutil.copytree(os.path.join(opkit.ROOT, "examples", "project"), os.path.join(world.top, "copy"))
    shutil.rmtree(world.root)
    os.rename(os.path.join(world.top, "copy"), world.root)
    world.helper()
    world.op(needs=["ops/libroi_helper.so"], runpath="$ORIGIN:$ORIGIN/../ops")
    world.move("ops/roi_pool.so", "build/roi_pool.so")


@pytest.mark.compile
@pytest.mark.tensorflow
def test_first_screen(world: opkit.TfWorld, hooked: str) -> None:
    before, install, after = console_blocks()[:3]
    assert before[0] == after[0] == "$ python train.py"
    assert install == ["$ pip install dlrepair", "$ dlrepair install"]
    moved_project(world)
    bare = run_script(world, world.kit.python, os.path.join(world.top, "a"))
    assert bare.err.strip().splitlines()[-1].replace(world.root, "~/project") == before[-1], bare.story()
    run = run_script(world, hooked, os.path.join(world.top, "b"))
    said = [line for line in run.err.splitlines() if line.startswith("dlrepair")]
    assert same_incident("\n".join(said + run.out.splitlines())) == same_incident("\n".join(after[1:])), run.story()


def same_incident(text: str) -> str:
    return re.sub("incident [0-9a-f]+", "incident", text)


def test_two_commands() -> None:
    commands = [line for block in console_blocks() for line in block if line.startswith("$ make")]
    with open(os.path.join(opkit.ROOT, "Makefile"), encoding="utf-8") as handle:
        targets = re.findall(r"^(\w+):", handle.read(), re.MULTILINE)
    assert commands[:2] == ["$ make demo", "$ make test"]
    assert {line.split()[2] for line in commands} <= set(targets)
