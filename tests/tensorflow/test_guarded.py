"""TensorFlow scripts that deal with the failure themselves, failures that nothing can repair, ops loaded already."""

from __future__ import annotations

import os
import textwrap

import opkit
import pytest
from lab import Lab, check_left_alone, run_script
from scripts import LOAD, build, script

A_THEN_B = """
try:
    roi_ops = tf.load_op_library(os.path.join(HERE, "ops", "roi_gpu.so"))
    print("A")
except tf.errors.NotFoundError as error:
    print("B because of", type(error).__name__, error.message.rsplit("/", 1)[-1])
    roi_ops = tf.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))
"""

DESCRIBE = """
def describe(kind, error, trace):
    print(kind.__mro__, error.args, error.message, error.op, error.node_def, error.error_code)
    print(repr(error.__context__), repr(error.__cause__), error.__suppress_context__)
sys.excepthook = describe
"""

#: The op is there already, under another path; a second copy would poison it (two registrations of one kernel).
LOADED_ALREADY = """
roi_ops = tf.load_op_library(os.path.join(HERE, "build", "roi_pool.so"))
def again(kind, error, trace):
    print(kind.__name__)
sys.excepthook = again
"""
SECOND = """
try:
    tf.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))
finally:
    use()
"""


def gpu_variant_elsewhere(world: opkit.TfWorld) -> None:
    """Of A there is only a look-alike under another name: the script's own B is right."""
    build(world)
    world.op("build/libroi_gpu_op.so", own_helper=True)


def nothing(world: opkit.TfWorld) -> None:
    pass


def check(lab: Lab, world: opkit.TfWorld, hooked: str) -> None:
    run = check_left_alone(lab, world, world.kit.python, hooked)
    assert "Traceback" not in run.err, run.story()


@pytest.mark.compile
@pytest.mark.tensorflow
def test_a_then_b(world: opkit.TfWorld, hooked: str) -> None:
    said = "^B because of NotFoundError roi_gpu.so: cannot open"
    lab = Lab("a-then-b", script(A_THEN_B), gpu_variant_elsewhere, nothing, said)
    check(lab, world, hooked)


@pytest.mark.compile
@pytest.mark.tensorflow
def test_unrepaired(world: opkit.TfWorld, hooked: str) -> None:
    """The same exception object's type, args, context and cause as without the hook, and the same exit status."""
    journal = {"load-unrepaired": "file-missing"}
    said = "NotFoundError.*roi_pool.so: cannot open"
    lab = Lab("unrepaired", script(DESCRIBE + LOAD), nothing, nothing, said, journal=journal)
    check(lab, world, hooked)


@pytest.mark.compile
@pytest.mark.tensorflow
def test_loaded_already(world: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """What is registered goes on working and no second copy is mapped, whatever becomes of the second request."""
    build(world)
    world.copy("ops/roi_pool.so", "out/roi_pool.so")
    world.move("ops/roi_pool.so", "build/roi_pool.so")
    first, use = script(LOADED_ALREADY).split("image =")
    body = "def use():\n" + textwrap.indent("image =" + use, "    ")
    world.write(world.script, first + body + SECOND)
    bare = run_script(world, world.kit.python, os.path.join(world.top, "home-bare"))
    assert (bare.status, bare.out) == (1, pooled + "NotFoundError\n"), bare.story()
    run = run_script(world, hooked, os.path.join(world.top, "home-hooked"))
    assert (run.status, run.out) in ((0, pooled), (1, bare.out)), run.story()
    repaired = [line["path"] for line in run.events("load-repaired")]
    assert repaired == ([world.path("build/roi_pool.so")] if run.status == 0 else []), run.story()
