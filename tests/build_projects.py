"""Projects as people keep them: an op, a helper of its own, a local header, and an old recipe of each kind.

Every recipe has what made it stop working: CUDA 8 and Python 2.7 paths, the author's home directory, the old
C++ ABI, C++11, flags of TensorFlow that are written out. ``write`` puts one project on disk; nothing is built.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = os.path.join(ROOT, "examples", "project", "ops")

#: Macros that a recipe defines and the helper checks: a build without them fails.
DEFINE = "ROI_CHECKED=1"
CHECK = "#ifndef ROI_CHECKED\n#error ROI_CHECKED is not defined: the recipe was not followed\n#endif\n"

DEAD_TF = "/usr/local/lib/python2.7/dist-packages/tensorflow"
DEAD_CUDA = "/usr/local/cuda-8.0"
DEAD_HOME = "/home/author/projects"


@dataclass(frozen=True)
class Project:
    """A project on disk. ``library`` is the path that its script loads; it does not exist."""

    kind: str
    root: str
    library: str
    recipe: str  #: path of the recipe, "" if there is none
    sources: tuple[str, ...]  #: what the library is made of, without CUDA parts
    includes: tuple[str, ...]  #: the project's directories that the recipe names and that exist
    defines: tuple[str, ...]


def write(kind: str, root: str) -> Project:
    """Write the project of one kind (a key of ``RECIPES``) to ``root``, which must not exist."""
    ops = os.path.join(root, "ops")
    os.makedirs(os.path.join(ops, "include"))
    shutil.copy(os.path.join(SOURCES, "roi_helper.h"), os.path.join(ops, "include", "roi_helper.h"))
    for name in ("roi_pool.cc", "roi_helper.cc"):
        with open(os.path.join(SOURCES, name)) as handle:
            text = handle.read()
        _write(ops, name, (CHECK if RECIPES[kind] and name == "roi_helper.cc" else "") + text)
    if not RECIPES[kind]:  # nothing says where headers are: they lie beside the sources then
        os.rename(os.path.join(ops, "include", "roi_helper.h"), os.path.join(ops, "roi_helper.h"))
    for name, text in RECIPES[kind].items():
        _write(root, name, text)
    _write(root, "requirements.txt", "tensorflow\n")
    first = next(iter(RECIPES[kind]), "")
    return Project(
        kind=kind,
        root=root,
        library=os.path.join(root, LIBRARIES.get(kind, "ops/roi_pool.so")),
        recipe=os.path.join(root, first) if first else "",
        sources=tuple(os.path.join(ops, name) for name in ("roi_pool.cc", "roi_helper.cc")),
        includes=(os.path.join(ops, "include"),) if first else (),
        defines=(DEFINE,) if first else (),
    )


def _write(directory: str, name: str, text: str) -> None:
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as handle:
        handle.write(text)


#: Where a kind's recipe puts the library, if not ops/roi_pool.so.
LIBRARIES = {"cmake": "ops/build/libroi_pool.so", "bazel": "ops/_roi_pool_ops.so"}

SHELL = """#/bin/bash
# TF1.2
#g++ -std=c++11 roi_pool.cc roi_helper.cc -o roi_pool.so -shared -fPIC -I {tf}/include -D_GLIBCXX_USE_CXX11_ABI=0
TF_INC=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
TF_LIB=`python2.7 -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())'`
SRCS="roi_pool.cc \\
      roi_helper.cc"
# TF1.4
g++-4.8 -std=c++11 $SRCS -o roi_pool.so -shared -fPIC -Iinclude -DROI_CHECKED=1 \\
    -I $TF_INC -I{cuda}/include -I $TF_INC/external/nsync/public -I{tf}/include -I{home}/eigen \\
    -lcudart -L {cuda}/lib64/ -L$TF_LIB -ltensorflow_framework -L{home}/lib -O2 -march=sandybridge \\
    -D_GLIBCXX_USE_CXX11_ABI=0
"""

MAKE = """TF_INC := $(shell python2.7 -c "import tensorflow as tf; print(tf.sysconfig.get_include())")
CUDA_HOME ?= {cuda}
CXX = g++-4.8
SRCS := $(wildcard ops/roi_*.cc)
OBJS := $(patsubst ops/%.cc,build/%.o,$(SRCS))
CXXFLAGS = -std=c++11 -O2 -fPIC -Iops/include -I$(TF_INC) -I{tf}/include -I$(CUDA_HOME)/include
CXXFLAGS += -D_GLIBCXX_USE_CXX11_ABI=0
ifdef WITH_GPU
CXXFLAGS += -DGOOGLE_CUDA=1
endif

all: ops/roi_pool.so

build/roi_helper.o: CXXFLAGS += -DROI_CHECKED=1
build/%.o: ops/%.cc
\t@mkdir -p $(@D)
\t$(CXX) $(CXXFLAGS) -c $< -o $@

ops/roi_pool.so: $(OBJS)
\t$(CXX) -shared -o $@ $^ -L{tf} -ltensorflow_framework -L$(CUDA_HOME)/lib64 -lcudart

.PHONY: all clean
clean:
\trm -rf build ops/roi_pool.so
"""

CMAKE = """cmake_minimum_required(VERSION 3.5)
project(roi_pool CXX)
set(CMAKE_CXX_STANDARD 11)
execute_process(COMMAND python2.7 -c "import tensorflow as tf; print(tf.sysconfig.get_include())"
                OUTPUT_VARIABLE TF_INC OUTPUT_STRIP_TRAILING_WHITESPACE)
link_directories({home}/venv/lib/python3.6/site-packages/tensorflow {cuda}/lib64)
include_directories(${{TF_INC}} {tf}/include ${{CMAKE_CURRENT_SOURCE_DIR}}/include)
add_definitions(-D_GLIBCXX_USE_CXX11_ABI=0)
file(GLOB ROI_SOURCES "${{CMAKE_CURRENT_SOURCE_DIR}}/roi_*.cc")
list(SORT ROI_SOURCES)
add_library(roi_pool SHARED ${{ROI_SOURCES}})
target_compile_definitions(roi_pool PRIVATE ROI_CHECKED=1)
target_link_libraries(roi_pool tensorflow_framework)
"""

SETUP = """import os
import tensorflow as tf
from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))
TF_INC = tf.sysconfig.get_include()
include_dirs = [TF_INC, "{tf}/include", os.path.join(HERE, "ops", "include")]
sources = ["ops/" + name + ".cc" for name in ("roi_pool", "roi_helper")]
if tf.__version__ >= "1.4":
    include_dirs += [TF_INC + "/external/nsync/public"]

setup(
    name="roi_pool",
    ext_modules=[
        Extension(
            "ops.roi_pool",
            sources=sources,
            include_dirs=include_dirs,
            library_dirs=[tf.sysconfig.get_lib(), "{cuda}/lib64"],
            libraries=["tensorflow_framework"],
            define_macros=[("ROI_CHECKED", "1"), ("_GLIBCXX_USE_CXX11_ABI", "0")],
            extra_compile_args=["-std=c++11", "-O2"],
            language="c++",
        )
    ],
)
"""

BAZEL = """load("//tensorflow:tensorflow.bzl", "tf_custom_op_library")

cc_library(
    name = "roi_helper",
    srcs = ["roi_helper.cc"],
    hdrs = glob(["include/*.h"]),
    defines = ["ROI_CHECKED=1"],
    includes = ["include"],
)

cc_binary(
    name = "_roi_pool_ops.so",
    srcs = ["roi_pool.cc"],
    copts = ["-std=c++11", "-pthread", "-D_GLIBCXX_USE_CXX11_ABI=0", "-I{tf}/include"],
    linkshared = 1,
    deps = [
        ":roi_helper",
        "@local_config_tf//:libtensorflow_framework",
        "@local_config_tf//:tf_header_lib",
    ],
)
"""

JIT = """import os
import subprocess
import tensorflow as tf

HERE = os.path.dirname(os.path.realpath(__file__))
NAMES = ["roi_pool"]


def compile(op=None):
    cflags = " ".join(tf.sysconfig.get_compile_flags())
    lflags = " ".join(tf.sysconfig.get_link_flags())
    for name in [op] if op is not None else NAMES:
        sources = " ".join(os.path.join(HERE, one + ".cc") for one in (name, "roi_helper"))
        command = "g++ -std=c++11 -shared -o {{0}}/{{1}}.so {{2}} -fPIC {{3}} {{4}} -O2".format(
            HERE, name, sources, cflags, lflags)
        command += " -DROI_CHECKED=1 -I%s/include -I{cuda}/include -L {cuda}/lib64" % HERE
        subprocess.check_output(command, shell=True)


if __name__ == "__main__":
    compile()
"""

README = """# RoI pooling

Compile the op first (g++ 4.8, TensorFlow 1.2):

```bash
TF_INC=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
cd ops
g++ -std=c++11 -shared roi_pool.cc roi_helper.cc -o roi_pool.so -fPIC \\
    -I $TF_INC -Iinclude -I{tf}/include -DROI_CHECKED=1 -O2 -D_GLIBCXX_USE_CXX11_ABI=0
```

Then run `python train.py`.
"""


def _filled(text: str) -> str:
    return text.format(tf=DEAD_TF, cuda=DEAD_CUDA, home=DEAD_HOME)


def _replaced(text: str) -> str:
    return text.replace("{tf}", DEAD_TF).replace("{cuda}", DEAD_CUDA).replace("{home}", DEAD_HOME)


#: kind → {path: text}; the recipe itself first.
RECIPES: dict[str, dict[str, str]] = {
    "shell": {"ops/compile.sh": _replaced(SHELL), "compile_all.sh": "cd ops\nsh compile.sh\ncd ..\n"},
    "make": {"Makefile": _replaced(MAKE)},
    "cmake": {
        "ops/CMakeLists.txt": _filled(CMAKE),
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.5)\nproject(all CXX)\nadd_subdirectory(ops)\n",
    },
    "setup.py": {"setup.py": _replaced(SETUP)},
    "bazel": {"ops/BUILD": _replaced(BAZEL), "WORKSPACE": "workspace(name = 'roi')\n"},
    "jit": {"ops/build_ops.py": _filled(JIT)},
    "readme": {"README.md": _replaced(README)},
    "none": {},
}
KINDS = tuple(RECIPES)
