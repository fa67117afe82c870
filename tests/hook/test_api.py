"""The public Python API, in children of their own."""

from __future__ import annotations

from child import compile_library, run

ROOT_LINE = "import sys; sys.path.insert(0, {!r})\n"


def _with_package(code):
    from child import ROOT

    return ROOT_LINE.format(ROOT) + code


def test_install_hook_arms_this_process_only(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    code = (
        "import ctypes, dlrepair\nprint(dlrepair.install_hook(), dlrepair.install_hook())\n"
        "print(ctypes.CDLL('./libmoved.so').answer())\n"
    )
    done = run(tmp_path, _with_package(code), hooked=False)
    assert done.status == 0 and done.out == "True True\n42\n", done


def test_disabled_leaves_failures_alone(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    code = (
        "import ctypes, dlrepair\n"
        "def load():\n    return ctypes.CDLL('./libmoved.so').answer()\n"
        "with dlrepair.disabled():\n    try:\n        load()\n    except OSError:\n        print('left alone')\n"
        "print(load())\n"
    )
    done = run(tmp_path, _with_package(code))
    assert done.out == "left alone\n42\n", done
    assert len(done.events("load-failed")) == 1, done


def test_diagnose_find_and_repair_load_nothing_here(tmp_path):
    compile_library(
        tmp_path / "build" / "libmoved.so",
        "#include <unistd.h>\n__attribute__((constructor)) static void shout(void) { write(1, \"LOADED\\n\", 7); }\n"
        "int answer(void) { return 42; }",
    )
    code = (
        "import dlrepair\n"
        "print(dlrepair.diagnose('./libmoved.so').cause)\n"
        "print([one.path for one in dlrepair.find('libmoved.so')] == [{!r}])\n"
        "done = dlrepair.repair('./libmoved.so')\nprint(done.repaired, done.strategy, done.cause)\n"
    ).format(str(tmp_path / "build" / "libmoved.so"))
    done = run(tmp_path, _with_package(code), hooked=False)
    assert done.out == "file-missing\nTrue\nTrue substitute file-missing\n", done
    script = str(tmp_path / "b.py")
    after = run(tmp_path, "import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n", script=script)
    assert after.out == "LOADED\n42\n", after
    assert after.events("load-repaired")[-1].get("remembered") is True, after


def test_another_loader_can_be_taught(tmp_path):
    """An extension module of the user's, with a function of its own that calls dlopen."""
    from sysconfig import get_config_var, get_paths

    source = (
        "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <dlfcn.h>\n"
        "static PyObject *load(PyObject *self, PyObject *args) { const char *path; void *handle;\n"
        '  if (!PyArg_ParseTuple(args, "s", &path)) return NULL;\n'
        "  handle = dlopen(path, RTLD_NOW);\n"
        "  if (!handle) { PyErr_SetString(PyExc_RuntimeError, dlerror()); return NULL; }\n"
        "  return PyLong_FromLong(((int (*)(void))dlsym(handle, \"answer\"))()); }\n"
        'static PyMethodDef methods[] = {{"load", load, METH_VARARGS, ""}, {NULL, NULL, 0, NULL}};\n'
        'static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "mine", 0, -1, methods};\n'
        "PyMODINIT_FUNC PyInit_mine(void) { return PyModule_Create(&def); }\n"
    )
    compile_library(
        tmp_path / ("mine" + get_config_var("EXT_SUFFIX")), source, "-I" + get_paths()["include"], "-ldl"
    )
    compile_library(tmp_path / "build" / "libmoved.so")
    before = "dlrepair.loaders.register('mine', 'load')\nimport mine\nprint(mine.load('./libmoved.so'))\n"
    after = "import mine\ndlrepair.loaders.register('mine', 'load')\nprint(mine.load('./libmoved.so'))\n"
    for code in (before, after):
        done = run(tmp_path, _with_package("import dlrepair\n" + code))
        assert done.out == "42\n", done
        assert done.events("load-repaired")[-1]["cause"] == "file-missing", done


def test_register_without_a_hook_does_nothing(tmp_path):
    code = (
        "import dlrepair\nprint(dlrepair.loaders.register('mine', 'load'))\n"
        "try: dlrepair.loaders.register('mine')\n"
        "except ValueError as error: print(type(error).__name__)\n"
    )
    done = run(tmp_path, _with_package(code), hooked=False)
    assert done.out == "False\nValueError\n", done


def test_functions_of_the_api_are_not_replaced_by_the_stages(tmp_path):
    code = (
        "import dlrepair\n"
        "for _ in range(2):\n"
        "    print(dlrepair.diagnose('./none.so').cause, dlrepair.repair('./none.so').repaired)\n"
        "import dlrepair.diagnose.rules, dlrepair.repair.ladder\nfrom dlrepair.diagnose import rules\n"
        "print(callable(dlrepair.diagnose), callable(dlrepair.repair), rules.__name__)\n"
    )
    done = run(tmp_path, _with_package(code), hooked=False)
    assert done.out == "file-missing False\n" * 2 + "True True dlrepair.diagnose.rules\n", done
