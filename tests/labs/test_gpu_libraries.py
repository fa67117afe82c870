"""TensorFlow's own loader on a machine with an NVIDIA device: what it opens by leaf name, from C++, is there.

TensorFlow is a stand-in of the real layout: a ``build_info.py`` in the published format, a check of itself, and an
extension that calls the real dlopen the way dso_loader does, after the import. ``/dev`` is a private one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig

import pytest
from interpreters import bare_env

NAMES = (
    ("cuda_runtime", "libcudart.so.11.0"), ("cublas", "libcublasLt.so.11"), ("cublas", "libcublas.so.11"),
    ("cufft", "libcufft.so.10"), ("curand", "libcurand.so.10"), ("cusparse", "libcusparse.so.11"),
    ("cusolver", "libcusolver.so.11"), ("cudnn", "libcudnn.so.8"),
)  # fmt: skip

BUILD_INFO = """import collections
build_info = collections.OrderedDict([('cpu_compiler', '/usr/bin/gcc'), ('cuda_version', '11.2'),
    ('cudnn_version', '8'), ('is_cuda_build', %s), ('is_rocm_build', False)])
"""

LOADER = r"""
#include <Python.h>
#include <dlfcn.h>
static PyObject *open_all(PyObject *self, PyObject *names) {
    for (Py_ssize_t at = 0; at < PyTuple_Size(names); at++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GetItem(names, at));
        if (dlopen(name, RTLD_NOW | RTLD_LOCAL) != NULL) printf("opened %s\n", name);
        else printf("Could not load dynamic library '%s'; dlerror: %s\n", name, dlerror());
    }
    fflush(stdout);
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"open_all", open_all, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_pywrap_tensorflow_internal", NULL, -1, methods};
PyMODINIT_FUNC PyInit__pywrap_tensorflow_internal(void) { return PyModule_Create(&module); }
"""

SCRIPT = """import sys
import tensorflow
print("hooks", "dlrepair.hooks" in sys.modules, flush=True)
tensorflow.open_all(%r)
""" % (tuple(name for _, name in NAMES),)

DEVICES = """mount -t tmpfs -o mode=755 tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 &&
for name in %s; do mknod -m 666 /dev/$name c 195 255; done && exec "$@"
"""


def compile_library(path, source, *flags):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", path, *flags]
    subprocess.run(command, input=source.encode(), check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Directory with a site-packages of a CUDA TensorFlow and NVIDIA's wheels, a driver's directory and a script."""
    top = tmp_path_factory.mktemp("made")
    site = top / "site-packages"
    files = {
        "tensorflow/__init__.py":
            "import ctypes\nfrom tensorflow.python.platform import self_check\n"
            "from tensorflow.python._pywrap_tensorflow_internal import open_all\n",
        "tensorflow/python/__init__.py": "", "tensorflow/python/platform/__init__.py": "",
        "tensorflow/python/platform/self_check.py": "from tensorflow.python.platform import build_info\n",
        "tensorflow/python/platform/build_info.py": BUILD_INFO % True,
    }  # fmt: skip
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    target = site / "tensorflow" / "python" / ("_pywrap_tensorflow_internal" + suffix)
    compile_library(str(target), LOADER, "-I" + sysconfig.get_paths()["include"])
    for package, name in NAMES:
        place = site / "nvidia" / package / "lib"
        needs = [str(place / "libcublasLt.so.11")] if name == "libcublas.so.11" else []
        source = "int {}(void) {{ return 1; }}\n".format(name.split(".")[0])
        compile_library(str(place / name), source, "-Wl,-soname," + name, "-Wl,--no-as-needed", *needs)
    compile_library(str(top / "driver" / "libcuda.so.1"), "int cuInit;", "-Wl,-soname,libcuda.so.1")
    (top / "train.py").write_text(SCRIPT)
    return top


@pytest.fixture
def world(made, tmp_path):
    shutil.copytree(str(made), str(tmp_path / "world"))
    return tmp_path / "world"


class Result:
    def __init__(self, done, home):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.home = home

    def events(self, name=""):
        """Journal lines, all or those of one event."""
        found = []
        for folder, _, files in os.walk(os.path.join(self.home, ".local", "state", "dlrepair", "journal")):
            for file in sorted(files):
                with open(os.path.join(folder, file), encoding="utf-8") as stream:
                    found += [json.loads(line) for line in stream]
        return [line for line in found if name in ("", line["event"])]

    def __repr__(self):
        return "status {}\n{}\n{}\n{}".format(self.status, self.out, self.err, self.events())


def run(world, python, devices="nvidiactl nvidia0", driver=True, **extra):
    home = str(world / "home")
    os.makedirs(home)
    env = bare_env(HOME=home, PYTHONPATH=str(world / "site-packages"), **extra)
    if driver:
        env["LD_LIBRARY_PATH"] = str(world / "driver")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", DEVICES % devices, "sh", python, "train.py"], cwd=str(world), env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    return Result(done, home)


def lines(result, start):
    return [line for line in result.out.splitlines() if line.startswith(start)]


def untouched(result):
    return result.status == 0 and not result.err and not result.events() and len(lines(result, "Could not")) == 8


def test_without_us_nothing_is_found(world, bare):
    assert untouched(run(world, bare))


def test_what_the_release_opens_is_there(world, hooked):
    result = run(world, hooked)
    assert result.status == 0, result
    assert lines(result, "opened ") == ["opened " + name for _, name in NAMES], result
    assert result.events()[0]["event"] == "load-failed"
    (end,) = result.events("load-repaired")
    assert end["strategy"] == "preload"
    (line,) = result.err.splitlines()
    assert line.startswith("dlrepair[dependency-missing]: TensorFlow's GPU libraries: preloaded libcudart.so.11.0, ")
    assert not result.events("internal-error")


@pytest.mark.parametrize("case", ["no device", "only a manager", "cpu build", "hidden", "off"])
def test_nothing_is_done(world, hooked, case):
    devices, extra = "nvidiactl nvidia0", {}
    if case == "no device":
        devices = ""
    elif case == "only a manager":
        devices = "nvidia-uvm"
    elif case == "cpu build":
        (world / "site-packages/tensorflow/python/platform/build_info.py").write_text(BUILD_INFO % False)
    elif case == "hidden":
        extra = {"CUDA_VISIBLE_DEVICES": "-1"}
    else:
        extra = {"DLREPAIR_MODE": "off"}
    result = run(world, hooked, devices, **extra)
    assert untouched(result), result
    if not devices or devices == "nvidia-uvm":
        assert lines(result, "hooks ") == ["hooks False"]  # one listing of /dev, and nothing is imported


def test_observed_only(world, hooked):
    result = run(world, hooked, DLREPAIR_MODE="observe")
    assert len(lines(result, "Could not")) == 8 and not result.err, result
    (end,) = result.events("load-unrepaired")
    assert end["reason"] == "mode is observe"
    assert "libcudnn.so.8" in result.events("diagnosed")[0]["missing"]


def test_what_is_missing_is_named(world, hooked):
    os.unlink(str(world / "site-packages/nvidia/cufft/lib/libcufft.so.10"))
    place = world / "site-packages/nvidia/cudnn/lib"
    compile_library(str(place / "libcudnn.so.8"), "int cudnn;", "-Wl,-soname,libcudnn.so.7")
    result = run(world, hooked, driver=False)
    assert len(lines(result, "opened ")) == 6, result
    (line,) = result.err.splitlines()
    assert "not found: libcufft.so.10, libcudnn.so.8" in line
    assert "the driver's libcuda.so.1 is not installed" in line
    assert len(result.events("load-unrepaired")) == 1
    rejected = [event["reason"] for event in result.events("candidate") if event["verdict"] == "rejected"]
    assert "soname-differs" in rejected


def test_what_ld_so_finds_is_left_to_it(world, hooked):
    place = world / "driver"
    for package, name in NAMES:
        os.rename(str(world / "site-packages/nvidia" / package / "lib" / name), str(place / name))
    result = run(world, hooked)
    assert len(lines(result, "opened ")) == 8 and not result.err and not result.events(), result


def test_quiet(world, hooked):
    result = run(world, hooked, DLREPAIR_VERBOSITY="quiet")
    assert len(lines(result, "opened ")) == 8 and not result.err, result


@pytest.mark.parametrize(("text", "package", "expected"), [
    ("is_rocm_build = False\nis_cuda_build = True\n", "tensorflow_gpu-1.15.5.dist-info", ("libcudart.so.10.0", 7)),
    ("is_rocm_build = False\nis_cuda_build = True\n", "somebody_tensorflow-1.15.5.dist-info", None),
    ("is_rocm_build = False\nis_cuda_build = False\n", "tensorflow-1.15.5.dist-info", None),
    ("info = {'cuda_version': '12.5.1', 'cudnn_version': '9', 'is_cuda_build': True}", "", ("libcudart.so.12", 9)),
    ("cuda_version_number = '10.1'\ncudnn_version_number = '7'\nis_cuda_build = True", "", ("libcudart.so.10.1", 7)),
])  # fmt: skip
def test_the_names_of_a_release(text, package, expected, tmp_path):
    from dlrepair.repair.gpu import wanted_names

    place = tmp_path / "tensorflow" / "python" / "platform"
    place.mkdir(parents=True)
    (place / "build_info.py").write_text(text)
    (tmp_path / (package or "other")).mkdir()
    names = wanted_names(str(tmp_path / "tensorflow"))
    if expected is None:
        assert names == ()
    else:
        assert names[0] == expected[0] and names[-1] == "libcudnn.so.{}".format(expected[1])
