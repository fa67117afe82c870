"""Op libraries of the right name that are not the right ones, and the right one under a name that nobody asked for."""

from __future__ import annotations

import glob
import os
import shutil

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


def framework_of_another(kit: opkit.OpKit) -> str:
    """A real libtensorflow_framework of another major version than the running TensorFlow's."""
    for env in opkit.chosen_envs():
        top = os.path.dirname(os.path.dirname(opkit.envs.make(env)))
        for path in glob.glob(os.path.join(top, "lib", "python*", "site-packages", "tensorflow*", "libtensorflow_fr*")):
            if path.rsplit(".", 1)[-1] not in (kit.version.split(".")[0], "so"):
                return path
    raise AssertionError("no TensorFlow of another major version among {}".format(opkit.chosen_envs()))


def test_never_the_framework_of_another_tensorflow(world: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """The op was built for the other one, whose real framework is at hand: neither enters this process.

    On 1.15 ld.so itself finds 2.x's by $ORIGIN, and refuses the op for a symbol; on 2.x it would take 1.15's, and die.
    """
    foreign = framework_of_another(world.kit)
    name = os.path.basename(foreign)
    mine, other = world.kit.version.split(".")[0].encode(), name.rsplit(".", 1)[-1].encode()
    world.op("good.so", own_helper=True)
    world.write(".git/HEAD", "")
    shows = 'with open("/proc/self/maps") as maps:\n    print("foreign", %r in maps.read(), file=sys.stderr)\n' % name
    world.write(world.script, script(LOAD) + shows)
    spoiled(world, "ops/roi_pool.so", b"_framework.so." + mine, b"_framework.so." + other)
    spoiled(world, "build/roi_pool.so", b"_framework.so." + mine, b"_framework.so." + other)
    for place in ("ops", "build", "lib") if world.kit.legacy else ("build", "lib"):
        os.makedirs(world.path(place), exist_ok=True)
        shutil.copyfile(foreign, world.path(os.path.join(place, name)))
    world.move("good.so", "out/of/sight/roi_pool.so")
    run = run_script(world, hooked, os.path.join(world.top, "home"), DLREPAIR_BUDGET_MS="60000",
                     DLREPAIR_REBUILD="never")  # fmt: skip
    assert run.status == 0 and run.out.split(" op")[0] == pooled.split(" op")[0], run.story()
    assert "foreign False" in run.err, run.story()
    seen = [(os.path.relpath(line["path"], world.root), line) for line in run.events("candidate")]
    assert world.kit.legacy or ("lib/" + name, "framework") in [(at, line["reason"]) for at, line in seen], run.story()
    taken = {at for at, line in seen if line["verdict"] == "accepted"}
    assert not any(os.path.basename(at) == name for at in taken), run.story()
    assert "build/roi_pool.so" not in taken, run.story()
    assert run.events("load-repaired"), run.story()
