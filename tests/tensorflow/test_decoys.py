"""Op libraries of the right name that are not the right ones, and the right one under a name that nobody asked for."""

from __future__ import annotations

import os

import opkit
import pytest
from lab import run_script
from scripts import LOAD, script

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]


def spoiled(world: opkit.TfWorld, name: str, old: bytes, new: bytes) -> None:
    """Writes the op library with one name in it changed to another of the same length."""
    data = world.read("good.so")
    assert old in data and len(old) == len(new)
    world.write(name, data.replace(old, new))


def test_the_op_decides_not_the_name(world: opkit.TfWorld, hooked: str, pooled: str) -> None:
    world.op("good.so", own_helper=True)
    major = world.kit.version.split(".")[0].encode()
    world.write(".git/HEAD", "")
    world.write(world.script, script(LOAD))
    spoiled(world, "ops/build/roi_pool.so", b"RoiPool\0", b"PsoPool\0")  # registers another op
    spoiled(world, "build/roi_pool.so", b"_framework.so." + major, b"_framework.so.9")  # for another TensorFlow
    spoiled(world, "lib/roi_pool.so", b"OpKernelContext", b"OpKernelContexx")  # for another interface of this one
    world.move("good.so", "out/of/sight/libeverything.so")
    home = os.path.join(world.top, "home")
    run = run_script(world, hooked, home, DLREPAIR_BUDGET_MS="60000", DLREPAIR_REBUILD="never")
    assert run.status == 0 and run.out.split(" op")[0] == pooled.split(" op")[0], run.story()
    said = {os.path.relpath(line["path"], world.root): line for line in run.events("candidate")}
    assert said["ops/build/roi_pool.so"]["reason"] == "ops-missing", run.story()
    assert said["build/roi_pool.so"]["reason"] == "framework", run.story()
    assert said["lib/roi_pool.so"]["reason"] == "unresolved-symbols", run.story()
    taken = said["out/of/sight/libeverything.so"]
    assert (taken["verdict"], taken["rule"]) == ("accepted", "content"), run.story()
