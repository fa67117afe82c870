"""Programs that look for their library before they load it, one for each such row of ``data/load_sites.jsonl``.

A row says in words how a public project builds the path, what it does when nothing is there, and where. The programs
here are our own, of the same shape. The library, compiled by gcc, lies where such a project builds it, or where a user
would have it, and not where the program looks.
"""

from __future__ import annotations

import sysconfig
from typing import NamedTuple

#: what becomes of a program
ENDS = {
    "cured": "works from the next start on",
    "at once": "reaches the load, and is repaired there",
    "own way": "goes on without the library, as its authors want it: left alone",
    "ends itself": "ends or goes on by itself, without an exception: not seen",
}
EXT = str(sysconfig.get_config_var("EXT_SUFFIX"))
SAYS = 'print("roi_pool says", ctypes.CDLL(%s).roi_pool(6, 7))\n'


class Row(NamedTuple):
    name: str
    repo: str
    kind: str  #: as in ``data/load_sites.jsonl``
    end: str  #: key of ``ENDS``
    files: dict[str, str]  #: the program; ``train.py`` is what is started
    built: str  #: where the library lies
    env: dict[str, str] = {}
    arguments: tuple[str, ...] = ()
    before: int = 99  #: first minor version of Python 3 that cannot run it


def package(text: str, name: str = "pool", main: str = "") -> dict[str, str]:
    return {name + "/__init__.py": "import ctypes, glob, os, sys\n" + text, "train.py": main or "import %s\n" % name}


HERE = "here = os.path.dirname(os.path.abspath(__file__))\n"
LIST = HERE + """\
def find_lib_path():
    folders = [here, os.path.join(here, "../lib"), os.path.join(here, "../../build/Release")] + @MORE@
    found = [path for path in (os.path.join(one, "libroi.so") for one in folders) if os.path.isfile(path)]
    if not found:
        tried = [os.path.join(one, "libroi.so") for one in folders]
        raise @ERROR@("Cannot find the library in the candidate paths:\\n" + "\\n".join(tried))
    return found
""" + SAYS % "find_lib_path()[0]"


def candidates(error: str, more: str) -> dict[str, str]:
    return package(LIST.replace("@ERROR@", error).replace("@MORE@", more))


SOK = HERE + """\
def load(name):
    places = [os.path.join(here, "../lib"), "/usr/local/lib", *(os.path.join(one, "sok/lib") for one in sys.path)]
    for place in places:
        file = os.path.join(place, name)
        if os.path.exists(file):
            return ctypes.CDLL(file)
    raise Exception("Could not find {} in {}".format(name, places))
print("roi_pool says", load("libroi.so").roi_pool(6, 7))
"""
SILENT = HERE + """\
for file in glob.glob(os.path.join(here, "custom_ops", "*.so")):
    print("loaded", ctypes.CDLL(file))
print("registered")
"""
EXITS = """\
if not os.path.isfile(path):
    print("Build the custom op with 'make' before this is run")
    exit(1)
""" + SAYS % "path"
FALLBACK = HERE + """\
path = os.path.join(here, "roi.so")
op = ctypes.CDLL(path).roi_pool if os.path.isfile(path) else lambda a, b: a + b
print("roi_pool says", op(6, 7))
"""

ROWS = [
    Row("warprnnt", "HawkAaron/warp-transducer", "import machinery", "cured", package(
        "import imp\nlib_file = imp.find_module('roi', __path__)[1]\n" + SAYS % "lib_file"),
        "build/lib.linux-x86_64/pool/roi" + EXT, before=12),
    Row("sok-core", "NVIDIA-Merlin/HugeCTR", "search list", "cured", package(SOK), "build/lib/libroi.so"),
    Row("sok", "NVIDIA-Merlin/HugeCTR", "search list", "cured", package(SOK), "pool/lib/libroi.so"),
    Row("kafka", "alibaba/EasyRec", "package data", "own way", package(FALLBACK), "pool/1.15/roi.so"),
    Row("byteps-probe", "bytedance/byteps", "probe", "own way", {"setup.py": HERE.replace("here", "import os\nhere") +
        "import ctypes\nfrom setuptools import setup\npath = os.path.join(here, 'libtest.so')\n"
        "try:\n    ctypes.CDLL(path)\n    abi = 1\nexcept Exception:\n    abi = 0\nprint('abi', abi)\n"},
        "build/libtest.so", arguments=("setup.py",)),
    Row("deepmd-pt", "deepmodeling/deepmd-kit", "platform suffix", "own way", package(HERE + """\
from pathlib import Path
def load_library(module_name):
    module_file = (Path(here) / "lib" / ("lib" + module_name)).with_suffix(".so").resolve()
    if module_file.is_file():
        ctypes.CDLL(str(module_file))
        return True
    return False
print("enabled", load_library("roi"))
"""), "build/libroi.so"),
    Row("deepmd-cudart", "deepmodeling/deepmd-kit", "glob", "cured", package(HERE + """\
def load_cuda():
    try:
        import pool_cuda
    except ModuleNotFoundError:
        folder = os.path.join(here, "cuda", "lib")
    return ctypes.CDLL(sorted(glob.glob(os.path.join(folder, "libroi.so*")))[0])
print("roi_pool says", load_cuda().roi_pool(6, 7))
"""), "cuda_runtime/lib/libroi.so.12"),
    Row("deepmd-tf", "deepmodeling/deepmd-kit", "platform suffix", "cured", package(HERE + """\
from pathlib import Path
def get_module(name):
    file = (Path(here) / "lib" / ("lib" + name)).with_suffix(".so").resolve()
    if not file.is_file():
        raise FileNotFoundError("module {} does not exist".format(name))
    return ctypes.CDLL(str(file))
print("roi_pool says", get_module("roi").roi_pool(6, 7))
"""), "build/libroi.so"),
    Row("leaky-relu", "graphcore/examples", "file rel", "ends itself", package(
        HERE + "path = os.path.join(here, 'build/custom_ops.so')\n" + EXITS), "out/custom_ops.so"),
    Row("yolo", "graphcore/examples", "env", "ends itself", package(
        "path = os.environ['APPS_PATH'] + '/utils/build/nms.so'\n" + EXITS), "build/nms.so",
        {"APPS_PATH": "/no/such/apps"}),
    Row("lmbspecialops", "lmb-freiburg/lmbspecialops", "search list", "cured", package(HERE + """\
if 'ROI_LIB' in os.environ:
    _lib_path = os.environ['ROI_LIB']
else:
    _lib_path = None
    for path in (here, os.path.join(here, '..'), os.path.join(here, '../../build/lib')):
        path = os.path.join(path, 'libroi.so')
        if os.path.isfile(path):
            _lib_path = path
            break
if _lib_path is None or not os.path.isfile(_lib_path):
    raise ValueError('Cannot find libroi.so. Set ROI_LIB to its path')
""" + SAYS % "_lib_path"), "out/libroi.so"),
    Row("lightgbm", "microsoft/LightGBM", "search list", "cured",
        candidates("Exception", "[os.path.join(here, 'bin')]"),
        "build/libroi.so"),
    Row("addons-test", "tensorflow/addons", "glob", "ends itself", package(SILENT), "bazel-bin/custom_ops/roi.so"),
    Row("recommenders", "tensorflow/recommenders-addons", "glob", "ends itself", package(SILENT),
        "bazel-bin/custom_ops/roi.so"),
    Row("recommenders-test", "tensorflow/recommenders-addons", "glob", "ends itself", package(SILENT),
        "build/custom_ops/roi.so"),
    Row("convnextv2", "wang-xinyu/tensorrtx", "cwd literal", "ends itself", package("""\
def main():
    path = os.path.abspath("./build/liblayernorm_plugin.so")
    if not os.path.exists(path):
        print("plugin not found")
        return
    ctypes.CDLL(path)
main()
"""), "cmake-build-release/liblayernorm_plugin.so"),
    Row("lme", "(unnamed)", "resource loader", "own way", package(HERE + """\
is_built_with_cuda = False
if is_built_with_cuda:
    ctypes.CDLL(os.path.join(here, "lme_custom_ops.so"))
print("no CUDA")
"""), "build/lme_custom_ops.so"),
    Row("contrib-loader", "(unnamed)", "resource loader", "at once", package(HERE + """\
def load_op_library(path):
    if os.name == "nt" and not os.path.exists(path):
        return None
    return ctypes.CDLL(path)
print("roi_pool says", load_op_library(os.path.join(here, "_roi.so")).roi_pool(6, 7))
"""), "build/_roi.so"),
    Row("tf-op-glob", "(unnamed)", "glob", "cured", package(
        "path = glob.glob(os.path.dirname(os.path.abspath(__file__)) + '/_tf_op*.so')[0]\n" + SAYS % "path"),
        "build/_tf_op_roi.so"),
    Row("musa", "(unnamed)", "absolute", "ends itself", package("""\
plugin = "/workspace/tensorflow_musa/build/libmusa_plugin.so"
if os.path.exists(plugin):
    ctypes.CDLL(plugin)
print("go on")
"""), "build/libmusa_plugin.so"),
    Row("htf", "(unnamed)", "platform suffix", "ends itself", package(HERE + """\
def load(op):
    for suffix in (".so", ".dylib"):
        path = os.path.join(here, op, "lib_" + op + suffix)
        if os.path.exists(path):
            try:
                return ctypes.CDLL(path)
            except OSError as error:
                raise OSError("Unable to load: " + str(error))
print("op", load("roi"))
"""), "build/lib_roi.so"),
    Row("reorg", "(unnamed)", "file rel", "cured", package("""\
from os import path as osp
ROOT_DIR = osp.abspath(osp.join(osp.dirname(__file__), '..'))
filename = osp.join(ROOT_DIR, 'lib', 'reorg_layer', 'reorg.so')
assert osp.exists(filename), 'Path {} does not exist!'.format(filename)
""" + SAYS % "filename"), "build/reorg.so"),
    Row("forward-warp", "(unnamed)", "platform suffix", "own way", package("""\
path = os.path.join('build', 'libforward_warp_op.so' if sys.platform != 'win32' else 'forward_warp_op.dll')
mod = ctypes.CDLL(path) if os.path.isfile(path) else None
print("own version" if mod is None else "op")
"""), "out/libforward_warp_op.so"),
    Row("dali", "NVIDIA/DALI", "glob", "cured", package(HERE + """\
def load_plugin():
    first_error = None
    for file in glob.glob(os.path.join(here, "libroi_tf*.so")):
        try:
            return ctypes.CDLL(file)
        except OSError as error:
            first_error = error
    raise first_error or Exception("No matching plugin found")
print("roi_pool says", load_plugin().roi_pool(6, 7))
"""), "prebuilt/libroi_tf_current.so"),
    Row("deepv2d", "princeton-vl/DeepV2D", "file rel", "own way", package(FALLBACK), "build/roi.so"),
    Row("diplomacy", "diplomacy/research", "glob", "cured", package(HERE + """\
def load_dynamic(name):
    build = os.path.join(here, "..", "build")
    files = glob.glob(os.path.join(build, "lib*", name + ".*.so"))
    for one in sys.path:
        files += glob.glob(os.path.join(one, name + ".*.so"))
    if not files:
        raise FileNotFoundError("Unable to locate {}".format(name))
    return ctypes.CDLL(files[0])
print("roi_pool says", load_dynamic("roi").roi_pool(6, 7))
"""), "out/roi" + EXT),
    Row("mxnet", "apache/mxnet", "search list", "cured", candidates(
        "RuntimeError", "[p.strip() for p in os.environ.get('LD_LIBRARY_PATH', '').split(':')]"), "out/libroi.so"),
    Row("soundfile", "bastibe/python-soundfile", "find library", "at once", package(HERE + """\
from ctypes.util import find_library
try:
    name = find_library("roi_sound")
    if name is None:
        raise OSError("roi_sound library not found")
    lib = ctypes.CDLL(name)
except OSError:
    lib = ctypes.CDLL(os.path.join(here, "_data", "libroi_sound.so"))
print("roi_pool says", lib.roi_pool(6, 7))
"""), "build/libroi_sound.so"),
    Row("myplugins", "(unnamed)", "file rel", "ends itself", package(HERE + """\
from pathlib import Path
plugin = Path(here) / "libmyplugins.so"
if plugin.exists():
    ctypes.CDLL(str(plugin))
print("go on")
"""), "build/libmyplugins.so"),
    # of the survey's own list, beyond the corpus
    Row("xgboost", "dmlc/xgboost", "search list", "cured", candidates("OSError", "[os.path.join(sys.prefix, 'roi')]"),
        "build/libroi.so"),
    Row("delta", "Delta-ML/delta", "glob", "cured", package(HERE + """\
try:
    path = glob.glob(os.path.join(here, "x_ops*.so"))[0]
except IndexError:
    raise FileNotFoundError("x_ops*.so: build it first")
""" + SAYS % "path"), "out/x_ops.so"),
    Row("mesh-renderer", "google/tf_mesh_renderer", "env", "cured", package("""\
path = os.path.join(os.environ['TEST_SRCDIR'], 'mesh/kernels/roi_kernel.so')
""" + SAYS % "path"), "bazel-bin/mesh/kernels/roi_kernel.so"),
    Row("warpctc", "baidu-research/warp-ctc", "import machinery", "cured", package(
        "import imp\nlib_file = imp.find_module('kernels', __path__)[1]\n" + SAYS % "lib_file"),
        "build/lib.linux-x86_64/pool/kernels" + EXT, before=12),
]  # fmt: skip
