"""What the next start of a program that gave up is given inside its process, and what it must not be given."""

from __future__ import annotations

import os
import sys

import pytest
from lab import Run, World, run_script
from parts import ROI

pytestmark = pytest.mark.compile

MODULE = """\
#include <Python.h>
static PyObject *add(PyObject *self, PyObject *args) {
    long a, b;
    return PyArg_ParseTuple(args, "ll", &a, &b) ? PyLong_FromLong(a + b) : NULL;
}
static PyMethodDef methods[] = {{"add", add, METH_VARARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&def); }
"""
SUM = "the sum is 5\n"


def run(world: World, python: str, home: str = "home", **env: str) -> Run:
    return run_script(world, python, os.path.join(world.top, home), **env)


def check(world: World, bare: str, hooked: str, learned: str, expected: str, **env: str) -> Run:
    """The first start fails as a bare one and learns; the second works, and nothing of the user's has changed."""
    broken = run(world, bare, "home-bare", **env)
    assert broken.status == 1 and expected not in broken.out, broken.story()
    before = world.state()
    first = run(world, hooked, **env)
    assert (first.status, first.out) == (1, broken.out), first.story()
    assert first.err.splitlines()[-1] == "help: Run it again: {} is learned, and is in force from its start.".format(
        learned
    ), first.story()
    again = run(world, hooked, **env)
    assert (again.status, again.out) == (0, expected) and world.state() == before, again.story()
    assert not again.events("internal-error"), again.story()
    return again


#: name -> train.py
IMPORTS = {
    "from-package": "import ctypes\nfrom pool import _fast\nprint('the sum is', _fast.add(2, 3))\n",
    "import": "import ctypes\nfrom pool._fast import add\nprint('the sum is', add(2, 3))\n",
    "find-spec": """\
import ctypes, importlib.util, pool
if importlib.util.find_spec("pool._fast") is None:
    raise RuntimeError("the kernels were not built")
from pool._fast import add
print('the sum is', add(2, 3))
""",
    "find-spec-in-a-variable": """\
import ctypes, importlib.util
def load():
    spec = importlib.util.find_spec("pool._fast")
    if not spec:
        raise RuntimeError("the kernels were not built")
    return importlib.import_module("pool._fast")
print('the sum is', load().add(2, 3))
""",
    "worker": """\
import ctypes, multiprocessing
def work():
    from pool._fast import add
    print('the sum is', add(2, 3), flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
""",
}  # fmt: skip


@pytest.mark.parametrize("shape", IMPORTS)
def test_a_module_of_a_package(shape: str, world: World, bare: str, hooked: str) -> None:
    """It was built, not in place: the package itself comes from its sources, the module from build/lib.*."""
    world.python = bare
    world.write("pool/__init__.py", "")
    world.write("build/lib.linux-x86_64-cpython-3/pool/__init__.py", "raise SystemError('stale')\n")
    name = world.extension("build/lib.linux-x86_64-cpython-3/pool/_fast", MODULE)
    world.write("train.py", IMPORTS[shape])
    again = check(world, bare, hooked, "import pool._fast from " + world.path(name), SUM)
    applied = [one for one in again.events("learned") if one.get("applied")]
    assert applied and applied[0]["environment"][0]["action"] == "module", again.story()


def test_a_module_of_another_package_is_not_taken(world: World, bare: str, hooked: str) -> None:
    world.python = bare
    world.write("pool/__init__.py", "")
    world.write("other/__init__.py", "")
    world.extension("other/_fast", MODULE)
    world.write("train.py", IMPORTS["import"])
    seen = run(world, hooked)
    assert seen.status == 1 and not seen.events("learned") and not run(world, hooked).out, seen.story()


def test_what_was_learned_does_not_hide_the_real_module(world: World, bare: str, hooked: str) -> None:
    """The file learned is asked for last: once the module is where it belongs, that one is imported."""
    world.python = bare
    world.write("pool/__init__.py", "")
    name = world.extension("build/lib.linux-x86_64-cpython-3/pool/_fast", MODULE)
    world.write("train.py", IMPORTS["import"])
    check(world, bare, hooked, "import pool._fast from " + world.path(name), SUM)
    world.write("pool/_fast.py", "def add(a, b):\n    return 'in python'\n")
    again = run(world, hooked)
    assert again.out == "the sum is in python\n", again.story()
    os.unlink(world.path("pool/_fast.py"))
    with open(world.path(name), "ab") as stream:
        stream.write(b"\0")
    stale = run(world, hooked)
    assert stale.status == 1 and "No module named 'pool._fast'" in stale.err, stale.story()


def test_off_means_off(world: World, bare: str, hooked: str) -> None:
    world.python = bare
    world.write("pool/__init__.py", "")
    name = world.extension("build/lib.linux-x86_64-cpython-3/pool/_fast", MODULE)
    world.write("train.py", IMPORTS["import"])
    check(world, bare, hooked, "import pool._fast from " + world.path(name), SUM)
    for switch in ({"DLREPAIR": "off"}, {"DLREPAIR_REEXEC": "never"}, {"DLREPAIR_MODE": "observe"}):
        assert run(world, hooked, **switch).status == 1, switch


#: name -> (train.py, the fallback's answer where there is one)
QUESTIONS = {
    "raise": """\
import ctypes, ctypes.util
name = ctypes.util.find_library("roi_pool")
if name is None:
    raise OSError("roi_pool library not found")
print("roi_pool says", ctypes.CDLL(name).roi_pool(6, 7))
""",
    "in-a-function": """\
import ctypes
from ctypes.util import find_library as find

def load():
    for name in ("roi_none_of_that_name", "roi_pool"):
        path = find(name)
        if path:
            return ctypes.CDLL(path)
    raise RuntimeError("no roi_pool here: install it")

print("roi_pool says", load().roi_pool(6, 7))
""",
    "assert": """\
import ctypes, ctypes.util
def main():
    path = ctypes.util.find_library("roi_pool")
    assert path is not None
    print("roi_pool says", ctypes.CDLL(path).roi_pool(6, 7))
main()
""",
}  # fmt: skip


@pytest.mark.parametrize("shape", QUESTIONS)
def test_an_answer_of_find_library(shape: str, world: World, bare: str, hooked: str) -> None:
    path = world.library("build/libroi_pool.so", ROI)
    world.write("train.py", QUESTIONS[shape])
    learned = "find_library('roi_pool') = " + path
    again = check(world, bare, hooked, learned, "roi_pool says 44\n")
    assert [one["path"] for one in again.events("load-repaired")] == [path], again.story()
    home = os.path.join(world.top, "home")
    status = run_script(world, hooked, home, ["-m", "dlrepair", "status"])
    assert "  starts {} with {}\n".format(world.path("train.py"), learned) in status.out, status.story()
    gone = run_script(world, hooked, home, ["-m", "dlrepair", "cache", "forget", world.path("train.py")])
    assert gone.status == 0 and run(world, hooked).status == 1, gone.story()


def test_a_question_with_another_way_out_is_answered_none(world: World, bare: str, hooked: str) -> None:
    """Nobody has ended for want of it: None stays None, however often it is asked."""
    world.library("build/libroi_pool.so", ROI)
    world.write("train.py", "import ctypes.util\nname = ctypes.util.find_library('roi_pool')\nprint(name)\n"
                            "raise ValueError('of another kind')\n")  # fmt: skip
    broken = run(world, bare, "home-bare")
    for _ in range(2):
        seen = run(world, hooked)
        assert (seen.out, seen.err) == (broken.out, broken.err) and not seen.events("learned"), seen.story()


VARIABLE = """\
import ctypes, os
lib = os.path.join(os.environ["@NAME@"], "build", "libroi.so")
if not os.path.exists(lib):
    raise FileNotFoundError(lib)
print("roi_pool says", ctypes.CDLL(lib).roi_pool(6, 7))
"""
#: name -> (variable, its value, further line of the program, why it is not changed)
HELD = {
    "the-system's": ("TMPDIR", "/nowhere", "", "other programs go by TMPDIR, too"),
    "set-to-what-is-there": ("ROI_HOME", "@TOP@", "", "ROI_HOME is set, and leads to something"),
    "leads-elsewhere-too": ("ROI_HOME", "/nowhere/../@TOP@/..", "data = os.environ['ROI_HOME'] + '/@BASE@/data.csv'\n",
                            "ROI_HOME is set, and leads to something"),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_a_variable_that_is_not_changed(name: str, world: World, bare: str, hooked: str) -> None:
    variable, value, more, why = HELD[name]
    world.library("build/libroi.so", ROI)
    world.write("train.py", VARIABLE.replace("@NAME@", variable) + more)
    env = {variable: value.replace("@TOP@", world.top).replace("/nowhere/..", "")}
    seen = run(world, hooked, **env)
    assert "nothing is learned for the next start: " + why in seen.err, seen.story()
    assert "help: dlrepair fix --write " in seen.err or "help: export" in seen.err, seen.story()
    assert run(world, hooked, **env).status == 1 and not seen.events("learned"), seen.story()


def test_a_default_that_leads_to_data_is_kept(world: World, bare: str, hooked: str) -> None:
    """Another path that hangs on the same unset variable is there: with the variable set it would not be."""
    world.library("out/build/libroi.so", ROI)
    world.write("data.csv", "1\n")
    world.write("train.py", """\
import ctypes, os
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("ROI_ROOT", HERE)
data = os.path.join(ROOT, "data.csv")
lib = os.path.join(ROOT, "build", "libroi.so")
if not os.path.exists(lib):
    raise FileNotFoundError(lib)
print("roi_pool says", ctypes.CDLL(lib).roi_pool(6, 7), open(data).read())
""")
    learned = "{} taken from {}".format(world.path("build/libroi.so"), world.path("out/build/libroi.so"))
    again = check(world, bare, hooked, learned, "roi_pool says 44 1\n\n")
    assert "ROI_ROOT" not in str(again.events("learned")), again.story()
    told = run(world, hooked, "home-told", DLREPAIR_REEXEC="never")
    assert "help: dlrepair fix --write " in told.err and not told.events("learned"), told.story()


EXITS = """\
import ctypes, multiprocessing, os, sys
def work():
    lib = os.path.join(os.environ.get("ROI_HOME", "/opt/roi"), "build", "libroi.so")
    if not os.path.exists(lib):
        sys.exit("libroi.so is missing: run make")
    print("roi_pool says", ctypes.CDLL(lib).roi_pool(6, 7), flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there a worker's SystemExit is gone before anything is called")
def test_a_worker_that_exits_with_a_message(world: World, bare: str, hooked: str) -> None:
    world.library("build/libroi.so", ROI)
    world.write("train.py", EXITS)
    check(world, bare, hooked, "ROI_HOME=" + world.root, "roi_pool says 44\n")


DROPPED = """\
import ctypes
import os, sys
sys.path.insert(0, sys.argv[1])
from dlrepair import engine
assert not engine.is_secure()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
try:
    open("/proc/self/auxv", "rb")
except PermissionError:
    print("unreadable", engine.is_secure())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_has_given_up_rights_has_not_been_given_any(world: World, bare: str) -> None:
    """The kernel then gives the process's files in /proc to root; AT_SECURE is asked of the C library."""
    world.write("train.py", DROPPED)
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    seen = run_script(world, bare, os.path.join(world.top, "home"), [world.path("train.py"), top])
    assert (seen.status, seen.out) == (0, "unreadable False\n"), seen.story()
