"""Broken worlds of a real op, for every real TensorFlow of this machine."""

from __future__ import annotations

import os

import opkit
import pytest
from lab import Lab, check_breaks, check_repaired_as
from parts import move, spoil
from scripts import BY_NAME, LOAD, build, script, with_helper, with_two_levels

NOT_FOUND = r"NotFoundError: .*roi_pool\.so: cannot open shared object file: No such file or directory"
HELPER_NOT_FOUND = r"NotFoundError: libroi_helper\.so: cannot open shared object file: No such file or directory"
NO_FOLDER = r"FileNotFoundError: .*The file or folder to load kernel libraries from does not exist"

MOVED = move("ops/roi_pool.so", "build/roi_pool.so")
HELPER_MOVED = move("ops/libroi_helper.so", "third_party/lib/libroi_helper.so")
STALE = 'roi_ops = tf.load_op_library("@ROOT@/ops/roi_pool.so")\n'
RELATIVE = 'roi_ops = tf.load_op_library("./ops/roi_pool.so")\n'
VARIANT = 'roi_ops = tf.load_op_library(os.path.join(HERE, "ops", "libroi.so"))\n'
COMPAT = 'roi_ops = tf.compat.v1.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))\n'
CONTRIB = (
    "from tensorflow.contrib.util import loader\n"
    'roi_ops = loader.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))\n'
)
LIBRARY_FILE = 'tf.load_library(os.path.join(HERE, "ops", "roi_pool.so"))\n'
LIBRARY_DIRECTORY = 'tf.load_library(os.path.join(HERE, "ops"))\n'
THEN_CTYPES = LOAD + (
    "import ctypes\n"
    'assert ctypes.CDLL(os.path.join(HERE, "ops", "roi_pool.so"), ctypes.RTLD_GLOBAL).roi_calls() == 0\n'
)
UNLINKED = 'import ctypes\nctypes.CDLL(os.path.join(HERE, "ops", "libroi_helper.so"))\n' + LOAD


def elsewhere(world: opkit.TfWorld) -> None:
    world.cwd = os.path.join(world.top, "elsewhere")
    os.makedirs(world.cwd)


def two_levels_moved(world: opkit.TfWorld) -> None:
    world.move("ops/libroi_base.so", "third_party/lib/libroi_base.so")
    world.move("ops/libroi_helper.so", "lib/libroi_helper.so")


def other_name(world: opkit.TfWorld) -> None:
    world.op("ops/libroi.so", own_helper=True)


def unlinked(world: opkit.TfWorld) -> None:
    """Linked again without -lroi_helper, as old recipes do that rely on a library loaded before."""
    world.op()


def without_framework(world: opkit.TfWorld) -> None:
    """Linked as for TensorFlow 1.3 and older: without libtensorflow_framework."""
    world.op(framework=False, own_helper=True)


FILE_MISSING = ("file-missing", "substitute")
DEPENDENCY = ("dependency-missing", "preload")
LABS = [
    Lab("moved", script(LOAD), build, MOVED, NOT_FOUND, *FILE_MISSING),
    Lab("stale-absolute-path", script(STALE), build, lambda world: world.rename_root("renamed"),
        NOT_FOUND, *FILE_MISSING),
    Lab("wrong-cwd", script(RELATIVE), build, elsewhere, NOT_FOUND, "wrong-cwd", "substitute"),
    Lab("dependency", script(LOAD), with_helper, HELPER_MOVED, HELPER_NOT_FOUND, *DEPENDENCY),
    Lab("two-levels", script(LOAD), with_two_levels, two_levels_moved, HELPER_NOT_FOUND, *DEPENDENCY),
    Lab("truncated", script(LOAD), build, spoil(lambda data: data[: len(data) // 2], "ops/roi_pool.so"),
        "SIGBUS", "truncated", "substitute"),
    Lab("name-variant", script(VARIANT), other_name, move("ops/libroi.so", "ops/roi_op.so"),
        r"NotFoundError: .*libroi\.so: cannot open", *FILE_MISSING),
    Lab("unlinked-helper", script(UNLINKED), with_helper, unlinked,
        r"NotFoundError: .*roi_pool\.so: undefined symbol: roi_maximum", "undefined-symbol-link", "preload"),
    Lab("load-library-file", script(LIBRARY_FILE, BY_NAME), build, MOVED, NO_FOLDER, *FILE_MISSING),
    Lab("load-library-directory", script(LIBRARY_DIRECTORY, BY_NAME), with_helper, HELPER_MOVED,
        HELPER_NOT_FOUND, *DEPENDENCY),
    Lab("compat-v1", script(COMPAT), build, MOVED, NOT_FOUND, *FILE_MISSING),
    Lab("then-ctypes", script(THEN_CTYPES), build, MOVED, NOT_FOUND, *FILE_MISSING),
]  # fmt: skip

#: What only TensorFlow 1.x has: tf.contrib, and a framework whose symbols are not global (FACTS: 2.21 loads it).
LEGACY_LABS = [
    Lab("contrib", script(CONTRIB), build, MOVED, NOT_FOUND, *FILE_MISSING),
    Lab("unlinked-framework", script(LOAD), build, without_framework,
        r"NotFoundError: .*roi_pool\.so: undefined symbol: _Z\w*10tensorflow", "undefined-symbol-link", "preload"),
]  # fmt: skip


def check(lab: Lab, world: opkit.TfWorld, hooked: str, pooled: str) -> None:
    lab.build(world)
    world.write(world.script, lab.script.replace("@ROOT@", world.root))
    check_breaks(lab, world, world.kit.python)
    run = check_repaired_as(lab, world, hooked, pooled)
    assert run.events("load-failed")[0]["loader"] == "tensorflow", run.story()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every lab for every TensorFlow; the legacy ones for 1.x."""
    pairs = [
        (env, lab)
        for env in opkit.chosen_envs()
        for lab in LABS + (LEGACY_LABS if env.name.startswith("tf1") else [])
    ]
    ids = ["%s-%s" % (env.name, lab.name) for env, lab in pairs]
    metafunc.parametrize(("env", "lab"), pairs, ids=ids, scope="session")


@pytest.mark.compile
@pytest.mark.tensorflow
def test_lab(lab: Lab, world: opkit.TfWorld, hooked: str, pooled: str) -> None:
    check(lab, world, hooked, pooled)
