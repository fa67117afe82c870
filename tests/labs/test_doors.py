"""The same breakages through every other door by which Python code loads a library."""

from __future__ import annotations

import pytest
from lab import Lab, World, check_repaired
from parts import HELPER, ROI_WITH_HELPER, move, roi

HERE = "import os\nhere = os.path.dirname(os.path.abspath(__file__))\n"

EXTENSION = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
extern int helper_scale(int);
static const unsigned char table[65536] = {1};
static PyObject *pool(PyObject *self, PyObject *args) {
    int a, b;
    if (!PyArg_ParseTuple(args, "ii", &a, &b)) return NULL;
    return PyLong_FromLong(helper_scale(a * b) + table[1]);
}
static PyMethodDef methods[] = {{"pool", pool, METH_VARARGS, "pool"}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_roi", NULL, -1, methods};
PyMODINIT_FUNC PyInit__roi(void) { return PyModule_Create(&module); }
"""
IMPORT = "import _roi\nprint('pool says', _roi.pool(6, 7), _roi.__name__)\n"

CFFI = HERE + """
import cffi
ffi = cffi.FFI()
ffi.cdef("int roi_pool(int, int);")
roi = ffi.dlopen(os.path.join(here, "libroi.so"))
print("roi_pool says", roi.roi_pool(6, 7))
"""
FIND_LIBRARY = """\
import ctypes
import ctypes.util
roi = ctypes.CDLL(ctypes.util.find_library("roi"))
print("roi_pool says", roi.roi_pool(6, 7))
"""
NUMPY = HERE + """
import numpy
roi = numpy.ctypeslib.load_library("libroi", here)
print("roi_pool says", roi.roi_pool(6, 7))
"""
PYDLL = HERE + """
import ctypes
print("roi_pool says", ctypes.PyDLL(os.path.join(here, "libroi.so")).roi_pool(6, 7))
"""
LOAD_LIBRARY = HERE + """
from ctypes import cdll
print("roi_pool says", cdll.LoadLibrary(os.path.join(here, "libroi.so")).roi_pool(6, 7))
"""
ATTRIBUTE = """\
import ctypes
print("roi_pool says", getattr(ctypes.cdll, "libroi.so").roi_pool(6, 7))
"""
KEYWORD = HERE + """
import ctypes
roi = ctypes.CDLL(name=os.path.join(here, "libroi.so"), mode=ctypes.RTLD_GLOBAL, use_errno=True)
print("roi_pool says", roi.roi_pool(6, 7), ctypes.CDLL(None).roi_pool(1, 1))
"""


def with_search_path(world: World) -> None:
    world.library("lib/libroi.so", ROI_WITH_HELPER + HELPER)
    world.env["LD_LIBRARY_PATH"] = world.path("lib")


def without_search_path(world: World) -> None:
    del world.env["LD_LIBRARY_PATH"]


def extension(world: World) -> None:
    world.library("libroi_helper.so", HELPER)
    world.extension("_roi", EXTENSION, needs=["libroi_helper.so"], runpath="$ORIGIN")


def extension_truncated(world: World) -> None:
    """An interrupted copy in the project; the build directory still has the module."""
    name = world.extension("_roi", EXTENSION, needs=["libroi_helper.so"], runpath="$ORIGIN:$ORIGIN/../..")
    good = world.read(name)
    world.write("build/lib.linux-x86_64/" + name, good)
    world.write(name, good[: len(good) // 2])


NOT_FOUND = r"OSError: .*libroi\.so: cannot open shared object file"
MOVED = move("libroi.so", "build/libroi.so")
SUBSTITUTE = ("file-missing", "substitute")

LABS = [
    Lab("extension-dependency", IMPORT, extension, move("libroi_helper.so", "lib/libroi_helper.so"),
        r"ImportError: libroi_helper\.so: cannot open", "dependency-missing", "preload", "import"),
    Lab("extension-truncated", IMPORT, extension, extension_truncated, "SIGBUS", "truncated", "substitute", "import"),
    Lab("cffi", CFFI, roi(), MOVED, NOT_FOUND, *SUBSTITUTE, "cffi"),
    Lab("find-library", FIND_LIBRARY, with_search_path, without_search_path,
        r"AttributeError: .*undefined symbol: roi_pool", *SUBSTITUTE, "find_library"),
    Lab("numpy", NUMPY, roi(), MOVED, r"OSError: no file with expected extension", *SUBSTITUTE, "numpy"),
    Lab("PyDLL", PYDLL, roi(), MOVED, NOT_FOUND, *SUBSTITUTE),
    Lab("LoadLibrary", LOAD_LIBRARY, roi(), MOVED, NOT_FOUND, *SUBSTITUTE),
    Lab("cdll-attribute", ATTRIBUTE, with_search_path, without_search_path, NOT_FOUND, *SUBSTITUTE),
    Lab("keywords-and-global", KEYWORD, roi(), MOVED, NOT_FOUND, *SUBSTITUTE),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_doors(lab: Lab, world: World, bare: str, hooked: str) -> None:
    run = check_repaired(lab, world, bare, hooked)
    assert run.events("load-failed")[-1]["loader"] == lab.loader, run.story()
