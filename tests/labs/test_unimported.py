"""Extension modules that no finder finds: built for another Python, or never built. The next start builds them.

Where nothing may be learned, one command is told, and helps.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig

import pytest
from lab import Run, World, run_script

pytestmark = pytest.mark.compile

MODULE = """\
#include <Python.h>
static PyObject *add(PyObject *self, PyObject *args) {
    long a, b;
    return PyArg_ParseTuple(args, "ll", &a, &b) ? PyLong_FromLong(a + b + BIAS) : NULL;
}
static PyMethodDef methods[] = {{"add", add, METH_VARARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&def); }
"""
SETUP = """\
from setuptools import Extension, setup
setup(name="pool", packages=["pool"],
      ext_modules=[Extension("pool._fast", ["src/fast.c"], define_macros=[("BIAS", "0")])])
"""
MAIN = "import ctypes\nfrom pool import add\nprint('the sum is', add(2, 3))\n"
IMPORTS = {
    "plain": "from ._fast import add\n",
    "submodule": "from pool import _fast\nadd = _fast.add\n",
    "relative-submodule": "from . import _fast\nadd = _fast.add\n",
    "own-words": "try:\n    from ._fast import add\nexcept ImportError as error:\n"
                 "    raise ImportError('pool was not built properly') from error\n",
}  # fmt: skip
OTHER = "_fast.cpython-36m-x86_64-linux-gnu.so"


def project(world: World, imports: str = "plain") -> None:
    world.write("src/fast.c", MODULE)
    world.write("setup.py", SETUP)
    world.write("pool/__init__.py", IMPORTS[imports])
    world.write("train.py", MAIN)


def run(world: World, python: str, home: str) -> Run:
    return run_script(world, python, os.path.join(world.top, home))


def check(world: World, bare: str, hooked: str, cause: str, fact: str) -> None:
    """The program ends as without us, is told why, and works from its next start on."""
    broken, first = run(world, bare, "home-bare"), run(world, hooked, "home")
    assert broken.status == 1 and (first.status, first.out) == (1, "") and fact in first.err, first.story()
    assert first.err.endswith("help: Run it again: a build of pool._fast is learned, and is in force from its start.\n")
    before = world.state()
    for told in (1, 0):  # built, then remembered
        again = run(world, hooked, "home")
        assert (again.status, again.out, world.state()) == (0, "the sum is 5\n", before), again.story()
        assert again.err.count("dlrepair[") == told and not again.events("internal-error"), again.story()
    world.env = {"DLREPAIR_REEXEC": "never"}
    check_command(world, bare, hooked, cause, fact)


def check_command(world: World, bare: str, hooked: str, cause: str, fact: str) -> None:
    """The one command makes the program run without us."""
    broken, seen = run(world, bare, "home-bare"), run(world, hooked, "home-told")
    assert broken.status == 1 and (seen.status, seen.out) == (1, ""), seen.story()
    lines = seen.err.splitlines()
    said = [at for at, line in enumerate(lines) if line.startswith("dlrepair[")]
    assert lines[: said[0]] == broken.err.splitlines() and len(said) == 1, seen.story()
    assert lines[said[0]].startswith("dlrepair[{}]: pool._fast, needed by __init__.py:".format(cause)), seen.story()
    assert fact in lines[said[0] + 1] and lines[-1].startswith("help: dlrepair fix --write "), seen.story()
    assert [one["cause"] for one in seen.events("load-unrepaired")] == [cause], seen.story()
    command = lines[-1].split()[2:]
    done = run_script(world, hooked, os.path.join(world.top, "home"), ["-m", "dlrepair", *command])
    assert done.status == 0, done.story()
    assert run(world, bare, "home-bare").out == "the sum is 5\n"


@pytest.mark.parametrize("imports", IMPORTS)
def test_never_built(imports: str, world: World, bare: str, hooked: str) -> None:
    project(world, imports)
    check(world, bare, hooked, "file-missing", "setup.py:3 says how pool._fast is built")


def test_built_for_another_python(world: World, bare: str, hooked: str) -> None:
    project(world)
    include = "-I" + sysconfig.get_paths()["include"]
    subprocess.run(["gcc", "-shared", "-fPIC", "-DBIAS=0", include, world.path("src/fast.c"),
                    "-o", world.path("pool/" + OTHER)], check=True)  # fmt: skip
    check(world, bare, hooked, "python-abi", "pool/{} is for another Python".format(OTHER))


@pytest.mark.parametrize("missing", ["nothing_of_that_name", "pool._fat", "pool.fast", "src"])
def test_a_module_that_is_simply_not_there(missing: str, world: World, bare: str, hooked: str) -> None:
    project(world)
    world.write("pool/__init__.py", "")
    world.write("train.py", "import ctypes\nimport {}.it\n".format(missing))
    broken, seen = run(world, bare, "home-bare"), run(world, hooked, "home")
    assert (seen.status, seen.out, seen.err) == (broken.status, broken.out, broken.err), seen.story()
    assert not seen.journal, seen.story()


@pytest.mark.parametrize("absent", ["nothing_of_that_name", "add", "src"])
def test_a_name_that_a_package_simply_lacks(absent: str, world: World, bare: str, hooked: str) -> None:
    project(world)
    world.write("pool/__init__.py", "")
    world.write("train.py", "import ctypes\nfrom pool import {}\n".format(absent))
    broken, seen = run(world, bare, "home-bare"), run(world, hooked, "home")
    assert broken.status == 1 and "cannot import name" in broken.err, broken.story()
    assert (seen.status, seen.out, seen.err) == (broken.status, broken.out, broken.err), seen.story()
    assert not seen.journal, seen.story()


def test_a_fallback_is_no_failure(world: World, bare: str, hooked: str) -> None:
    project(world)
    world.write("pool/__init__.py", "try:\n    from ._fast import add\nexcept ImportError:\n    add = sum\n")
    world.write("train.py", "import ctypes, sys\nimport pool\nsys.exit('no kernels')\n")
    seen = run(world, hooked, "home")
    assert (seen.status, seen.err) == (1, "no kernels\n") and not seen.journal, seen.story()
