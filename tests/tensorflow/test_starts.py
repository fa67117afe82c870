"""A new process after ``import tensorflow``: OpenBLAS's idle workers do not stand in the way, busy threads do."""

from __future__ import annotations

import os

import opkit
import pytest
from lab import World
from starting import HERE, LIBRARIES, WORK, Did, Project, no_trouble

HEAD = LIBRARIES.replace("@HERE@", HERE)
LOADS = "\n".join(HEAD.splitlines()[-2:]) + "\n"
TOP = HEAD[: -len(LOADS)] + "import tensorflow as tf\n"
COUNT = "threads = len(os.listdir('/proc/self/task'))\n"


@pytest.fixture
def project(tmp_path: object) -> Project:
    project = Project(World(str(tmp_path)))
    project.build("conflict")
    project.break_("conflict")
    os.makedirs(os.path.join(project.home, ".keras"))
    with open(os.path.join(project.home, ".keras", "keras.json"), "w") as file:  # Keras writes it once a home
        file.write('{"floatx": "float32", "backend": "tensorflow", "image_data_format": "channels_last"}')
    return project


def run(project: Project, python: str) -> Did:
    did = project.run([python, "train.py"], TF_CPP_MIN_LOG_LEVEL="3")
    no_trouble(did)
    return did


@pytest.mark.compile
def test_after_import_tensorflow(env: opkit.envs.Env, project: Project, hooked: str) -> None:
    project.write("train.py", TOP + LOADS + COUNT + WORK + "print(threads)\n")
    did = run(project, hooked)
    assert (did.status, did.effects) == (0, ["main"]), did.story()
    (event,) = did.events("reexec")
    assert event["refused"] is None, did.story()
    if int(did.out.split()[-1]) > 1:  # one thread a processor: none more where there is one
        assert "idle workers of" in event["threads"] and "openblas" in event["threads"], did.story()


BUSY = """\
import ctypes
import numpy as np
from multiprocessing.pool import ThreadPool  # starts nothing by itself
beside = ctypes.CDLL(HERE + "/libbeside.so")
beside.begin()
"""
BESIDE = """\
#include <pthread.h>
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static void *serve(void *none) {
    pthread_mutex_lock(&gate);
    for (;;) pthread_cond_wait(&work, &gate);
}
int begin(void) { pthread_t thread; return pthread_create(&thread, 0, serve, 0); }
"""


@pytest.mark.compile
def test_a_thread_of_another_library_counts(env: opkit.envs.Env, project: Project, hooked: str) -> None:
    """It sleeps just as OpenBLAS's do, on a futex; whose it is stands on its stack."""
    project.world.library("libbeside.so", BESIDE, flags=["-pthread"])
    project.write("helper.py", "import os\nHERE = {}\n{}".format(HERE, BUSY))
    project.write("train.py", HEAD[: -len(LOADS)] + "import helper\n" + LOADS + WORK)
    did = run(project, hooked)
    assert did.status == 1 and not did.effects, did.story()
    assert [line["refused"] for line in did.events("reexec")] == ["threads"], did.story()
    assert run(project, hooked).effects == ["main"]
