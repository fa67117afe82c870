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
        void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        int (*release)(void) = library == NULL ? NULL : (int (*)(void)) dlsym(library, "release_of_parts");
        if (library != NULL) printf("opened %s\n", name);
        if (release != NULL) printf("parts of release %d\n", release());
        if (library == NULL) printf("Could not load dynamic library '%s'; dlerror: %s\n", name, dlerror());
    }
    fflush(stdout);
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"open_all", open_all, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_pywrap_tensorflow_internal", NULL, -1, methods};
PyMODINIT_FUNC PyInit__pywrap_tensorflow_internal(void) { return PyModule_Create(&module); }
"""

#: cuDNN opens its parts itself, by leaf name
CUDNN = """#include <dlfcn.h>
int release_of_parts(void) {
    void *part = dlopen("libcudnn_ops_infer.so.8", RTLD_NOW);
    return part ? ((int (*)(void)) dlsym(part, "release"))() : -1;
}
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
    path = str(path)
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


def run(world, python, devices="nvidiactl nvidia0", driver=True, shadow="", prepare="", **extra):
    home = str(world / "home")
    os.makedirs(home, exist_ok=True)
    env = bare_env(HOME=home, PYTHONPATH=str(world / "site-packages"), **extra)
    if driver:
        env["LD_LIBRARY_PATH"] = ":".join(filter(None, (shadow, str(world / "driver"))))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", prepare + DEVICES % devices, "sh", python, "train.py"], cwd=str(world), env=env,
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
    assert "; help: pip install nvidia-cufft-cu11 'nvidia-cudnn-cu11==8.*'" in line
    assert len(result.events("load-unrepaired")) == 1
    rejected = [event["reason"] for event in result.events("candidate") if event["verdict"] == "rejected"]
    assert "soname-differs" in rejected


def test_what_ld_so_finds_is_left_to_it(world, hooked):
    place = world / "driver"
    for package, name in NAMES:
        os.rename(str(world / "site-packages/nvidia" / package / "lib" / name), str(place / name))
    result = run(world, hooked)
    assert len(lines(result, "opened ")) == 8 and not result.err and not result.events(), result


def move(world, place):
    """Every library of NVIDIA's packages into one directory, as conda and toolkits have them."""
    os.makedirs(str(place))
    for package, name in NAMES:
        os.rename(str(world / "site-packages/nvidia" / package / "lib" / name), str(place / name))


def places(result):
    """Directories of what was opened ahead."""
    return {os.path.dirname(event["path"]) for event in result.events("repair-tried")}


def decoys(folder, stubs):
    """What a toolkit has beside the right files: another release's, and stubs to link against."""
    for name in ("libcudart.so.12", "libcublas.so.12", "libcudart.so.11.1"):
        compile_library(folder / name, "int other;", "-Wl,-soname," + name)
    for _, name in NAMES:
        compile_library(stubs / name, "int stub;", "-Wl,-soname," + name)


def test_conda_has_them(world, hooked):
    """The environment's own lib first, and packages that conda has unpacked where it lacks one."""
    conda = world / "conda"
    move(world, conda / "lib")
    package = conda / "pkgs" / "cudnn-8.2.1.32-h86fa8c9_0" / "lib"
    os.makedirs(str(package))
    os.rename(str(conda / "lib" / "libcudnn.so.8"), str(package / "libcudnn.so.8"))
    (conda / "conda-meta").mkdir()
    decoys(conda / "lib", conda / "lib" / "stubs")
    result = run(world, hooked, CONDA_PREFIX=str(conda))
    assert len(lines(result, "opened ")) == 8, result
    assert places(result) == {str(conda / "lib"), str(package)}, result


@pytest.mark.parametrize("variable", [True, False], ids=["CUDA_HOME", "usual place"])
def test_a_toolkit_has_them(world, hooked, variable):
    """``/usr/local/cuda-11.2/targets/…/lib``, beside stubs and a newer toolkit."""
    toolkits = world / "toolkits"
    below = "cuda-11.2/targets/x86_64-linux/lib"
    move(world, toolkits / below)
    decoys(toolkits / "cuda-12.2" / "lib64", toolkits / below / "stubs")
    if variable:
        result, there = run(world, hooked, CUDA_HOME=str(toolkits / "cuda-11.2")), str(toolkits)
    else:
        used = os.path.realpath(hooked), os.path.realpath(os.path.dirname(hooked)), str(world)
        there = next(one for one in ("/usr/local", "/opt") if not any(path.startswith(one) for path in used))
        result = run(world, hooked, prepare="mount --bind %s %s && " % (toolkits, there))
    assert len(lines(result, "opened ")) == 8, result
    assert places(result) == {os.path.join(there, below)}, result


@pytest.mark.parametrize("first", ["wheel", "system"])
def test_which_copy_goes_first(world, hooked, first):
    """The packages of the environment and a toolkit both have everything: the setting decides."""
    toolkit = world / "cuda-11.2" / "lib64"
    os.makedirs(str(toolkit))
    for package, name in NAMES:
        shutil.copy(str(world / "site-packages/nvidia" / package / "lib" / name), str(toolkit / name))
    os.unlink(str(world / "site-packages/nvidia/cufft/lib/libcufft.so.10"))  # where one has none the other serves
    os.unlink(str(toolkit / "libcurand.so.10"))
    result = run(world, hooked, CUDA_HOME=str(world / "cuda-11.2"), DLREPAIR_CUDA_LIBRARIES=first)
    assert len(lines(result, "opened ")) == 8, result
    toolkits = {os.path.basename(event["path"]) for event in result.events("repair-tried")
                if event["path"].startswith(str(toolkit))}  # fmt: skip
    everything = {name for _, name in NAMES}
    assert toolkits == ({"libcufft.so.10"} if first == "wheel" else everything - {"libcurand.so.10"}), result


@pytest.mark.parametrize("how", ["cut short", "needs what is not there"])
def test_a_broken_copy_comes_first(world, hooked, how):
    """ld.so's search ends at it: TensorFlow's dlopen of the name is given the sound one that was opened before."""
    bad = world / "old"
    good = world / "site-packages/nvidia/cudnn/lib/libcudnn.so.8"
    if how == "cut short":
        bad.mkdir()
        (bad / "libcudnn.so.8").write_bytes(good.read_bytes()[:300])
    else:
        compile_library(world / "gone" / "libgone.so.1", "int gone;", "-Wl,-soname,libgone.so.1")
        compile_library(bad / "libcudnn.so.8", "int cudnn;", "-Wl,-soname,libcudnn.so.8,--no-as-needed",
                        str(world / "gone" / "libgone.so.1"))  # fmt: skip
        shutil.rmtree(str(world / "gone"))
    result = run(world, hooked, shadow=str(bad))
    assert len(lines(result, "opened ")) == 8 and "libcudnn.so.8" in result.err, result


@pytest.mark.parametrize("runpath", ["-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy"], ids=["runpath", "none"])
def test_parts_of_one_release(world, hooked, bare, runpath):
    """LD_LIBRARY_PATH has parts of another cuDNN, which come before the RUNPATH of the right one."""
    place = world / "site-packages/nvidia/cudnn/lib"
    compile_library(place / "libcudnn.so.8", CUDNN, "-Wl,-soname,libcudnn.so.8", runpath, "-ldl")
    part = "-Wl,-soname,libcudnn_ops_infer.so.8"
    compile_library(place / "libcudnn_ops_infer.so.8", "int release(void) { return 2; }", part)
    compile_library(world / "old" / "libcudnn_ops_infer.so.8", "int release(void) { return 1; }", part)
    path = str(world / "old")
    result = run(world, hooked, shadow=path)
    assert lines(result, "parts ") == ["parts of release 2"] and len(lines(result, "opened ")) == 8, result
    mixed = run(world, bare, shadow=path + ":" + str(place))
    assert lines(mixed, "parts ") == ["parts of release 1"], mixed  # what ld.so would have mixed


def test_the_second_process_looks_for_nothing(world, hooked):
    """What served is opened again without a search, until one of the files changes."""
    first = run(world, hooked).events()
    again = run(world, hooked)
    events = again.events()[len(first) :]
    assert len(lines(again, "opened ")) == 8 and again.err.startswith("dlrepair[dependency-missing]"), again
    assert [event["event"] for event in events] == ["load-failed", "diagnosed", *["repair-tried"] * 8, "load-repaired"]
    assert events[-1]["ms"] < first[-1]["ms"] / 3, (first[-1], events[-1])
    compile_library(world / "site-packages/nvidia/cudnn/lib/libcudnn.so.8", "int cudnn;", "-Wl,-soname,libcudnn.so.7")
    third = run(world, hooked)
    assert len(lines(third, "opened ")) == 7 and "not found: libcudnn.so.8" in third.err, third


def test_quiet(world, hooked):
    result = run(world, hooked, DLREPAIR_VERBOSITY="quiet")
    assert len(lines(result, "opened ")) == 8 and not result.err, result


@pytest.mark.parametrize(("text", "package", "expected"), [
    ("is_rocm_build = False\nis_cuda_build = True\n", "tensorflow_gpu-1.15.5.dist-info", ("10.0", 7, True)),
    ("is_rocm_build = False\nis_cuda_build = True\n", "somebody_tensorflow-1.15.5.dist-info", None),
    ("is_rocm_build = False\nis_cuda_build = False\n", "tensorflow-1.15.5.dist-info", None),
    ("info = {'cuda_version': '11.8', 'cudnn_version': '8', 'is_cuda_build': True}", "tensorflow-2.14.1.dist-info",
     ("11.0", 8, False)),
    ("info = {'cuda_version': '12.5.1', 'cudnn_version': '9', 'is_cuda_build': True}", "", ("12", 9, False)),
    ("cuda_version_number = '10.1'\ncudnn_version_number = '7'\nis_cuda_build = True", "", ("10.1", 7, True)),
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
        assert names[0] == "libcudart.so." + expected[0] and names[-1] == "libcudnn.so.{}".format(expected[1])
        assert any(name.startswith("libcurand") for name in names) == expected[2], names
