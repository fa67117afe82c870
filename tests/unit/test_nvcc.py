"""Which nvcc is taken, for which host compiler, GPUs and libraries: made toolkits, real search."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from dlrepair.build import commands, nvcc, toolchain
from dlrepair.build.recipes.driver import read_call
from dlrepair.build.recipes.text import Command
from dlrepair.model.build import Recipe
from dlrepair.model.toolchain import Compiler, TensorFlow, Toolchain

NVCC = """#!/bin/sh
case "$*" in
*--version*) echo "nvcc: NVIDIA (R) Cuda compiler driver"; echo "Cuda compilation tools, release {0}, V{0}.131"
  echo "Build cuda_{0}.r{0}/compiler.34097967_0";;
*--list-gpu-code*) printf 'sm_70\\nsm_75\\nsm_90\\n';;
esac
"""
GXX = """#!/bin/sh
echo "g++ (Debian {0}.2.0-14) {0}.2.0"
echo "Copyright (C) 2022 Free Software Foundation, Inc."
"""
HOST_CONFIG = """#if __GNUC__ > {}
#error -- unsupported GNU version! The nvcc flag '{}' can be used to override this version check
#endif
"""


def program(path: Any, text: str) -> str:
    os.makedirs(os.path.dirname(str(path)), mode=0o755, exist_ok=True)
    with open(str(path), "w") as stream:
        stream.write(text)
    os.chmod(str(path), 0o755)
    return str(path)


def toolkit(home: Any, release: str, gcc: int = 15, flag: str = "-allow-unsupported-compiler") -> str:
    """A toolkit in NVIDIA's layout."""
    program(home / "bin" / "nvcc", NVCC.format(release))
    program(home / "include" / "crt" / "host_config.h", HOST_CONFIG.format(gcc, flag))
    major, minor = release.split(".")
    program(home / "include" / "cuda.h", "#define CUDA_VERSION {}0{}0\n".format(major, minor))
    program(home / "include" / "cuda_runtime.h", "")
    return str(home)


def tensorflow(cuda: bool = True, version: str = "12.5.1") -> TensorFlow:
    return TensorFlow("2.21.0", "b", "/nowhere/include", "/nowhere/l.so.2", (), (), "c++17", cuda, version)


@pytest.fixture(autouse=True)
def alone(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No toolkit of this machine's, and a store of the test's own."""
    for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(nvcc, "_DISTRIBUTIONS", (str(tmp_path / "usr-local"),))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages")])
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))


def chain(tmp_path: Any, gcc: int = 12) -> Toolchain:
    path = program(tmp_path / "compilers" / "g++", GXX.format(gcc))
    return Toolchain(Compiler((path,), path, "g++ {}".format(gcc), "gcc", gcc), tensorflow())


#: where a toolkit may lie, and what leads to it
PLACES = {
    "CUDA_HOME": "own/cuda", "CUDA_PATH": "own/cuda", "package": "site-packages/nvidia/cu12", "conda": "conda",
    "environment": "env", "linked": "usr-local/cuda", "numbered": "usr-local/cuda-12.4",
}  # fmt: skip


@pytest.mark.parametrize("place", sorted(PLACES))
def test_where_it_is_found(place: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    home = toolkit(tmp_path / PLACES[place], "12.4")
    if place.startswith("CUDA"):
        monkeypatch.setenv(place, home)
    elif place == "conda":
        monkeypatch.setenv("CONDA_PREFIX", home)
    found = nvcc.with_cuda(chain(tmp_path))
    assert found.nvcc is not None and found.nvcc.realpath == os.path.join(home, "bin", "nvcc")
    assert (found.cuda_home, found.notes) == (home, ())
    assert (nvcc.release_of(found.nvcc), found.gpu_codes) == ("12.4", ("sm_70", "sm_75", "sm_90"))


def test_on_the_path_by_a_link(tmp_path: Any) -> None:
    home = toolkit(tmp_path / "elsewhere" / "cuda-12.4", "12.4")
    os.makedirs(str(tmp_path / "path"))
    os.symlink(os.path.join(home, "bin", "nvcc"), str(tmp_path / "path" / "nvcc"))
    assert nvcc.with_cuda(chain(tmp_path)).cuda_home == home


def test_that_of_tensorflows_own_cuda_release_goes_first(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = toolkit(tmp_path / "site-packages" / "nvidia" / "cu13", "13.0")
    fitting = toolkit(tmp_path / "usr-local" / "cuda-12.4", "12.4")
    assert nvcc.with_cuda(chain(tmp_path)).cuda_home == fitting
    monkeypatch.setenv("CUDA_HOME", newer)  # the user's own word
    found = nvcc.with_cuda(chain(tmp_path))
    assert found.cuda_home == newer
    assert found.notes == ("nvcc 13.0 compiles, TensorFlow 2.21.0 was built with CUDA 12.5.1",)
    other = nvcc.with_cuda(chain(tmp_path), [(os.path.join(newer, "bin", "nvcc"), "nvcc 13.0: error: no")])
    assert (other.cuda_home, other.notes) == (fitting, ("nvcc 13.0: error: no",))


def test_none(tmp_path: Any) -> None:
    found = nvcc.with_cuda(chain(tmp_path))
    end = " (CUDA_HOME may name a toolkit of CUDA 12.5, which this TensorFlow was built with)"
    assert (found.nvcc, found.notes) == (None, ("CPU kernels only: no nvcc was found" + end,))
    package = tmp_path / "site-packages" / "nvidia" / "cuda_nvcc"
    program(package / "bin" / "ptxas", "")
    (note,) = nvcc.with_cuda(chain(tmp_path)).notes
    assert note == "CPU kernels only: no nvcc was found, {} has ptxas alone{}".format(package, end)


def test_what_others_can_write_is_not_run(tmp_path: Any) -> None:
    home = toolkit(tmp_path / "env", "12.4")
    os.chmod(os.path.join(home, "bin", "nvcc"), 0o777)
    found = nvcc.with_cuda(chain(tmp_path))
    assert found.nvcc is None and "writ" in found.notes[0], found.notes


def test_a_tensorflow_for_cpus(tmp_path: Any) -> None:
    from dataclasses import replace

    toolkit(tmp_path / "env", "12.4")
    found = nvcc.with_cuda(replace(chain(tmp_path), tensorflow=tensorflow(False, "")))
    assert (found.nvcc, found.notes) == (None, ("CPU kernels only: TensorFlow 2.21.0 is not a CUDA build",))


@pytest.mark.parametrize("older", [0, 11, 10])
def test_a_host_compiler_that_is_too_new(older: int, tmp_path: Any) -> None:
    """The newest that nvcc knows is taken; where there is none, nvcc is told to take the one there is."""
    toolkit(tmp_path / "env", "11.8", gcc=11)
    for version in (12, older, 9) if older else (12,):
        program(tmp_path / "path" / "g++-{}".format(version), GXX.format(version))
    found = nvcc.with_cuda(chain(tmp_path))
    if older:
        assert found.cuda_host == ("-ccbin", str(tmp_path / "path" / "g++-{}".format(older)))
        assert "g++ {}: nvcc 11.8 knows none later than 11".format(older) in found.notes[0]
    else:
        assert found.cuda_host == ("-ccbin", str(tmp_path / "compilers" / "g++"), "-allow-unsupported-compiler")
        assert found.notes[0] == "nvcc 11.8 knows no g++ later than 11, and is made to take 12"
    assert nvcc.with_cuda(chain(tmp_path, 11)).cuda_host == ("-ccbin", str(tmp_path / "compilers" / "g++"))


def flags_of(*words: str) -> tuple[str, ...]:
    return tuple(read_call(Command(("nvcc", "-c", "a.cu", *words), "/p", "/p/x.sh", 1, "shell")).nvcc_flags)


@pytest.mark.parametrize(
    ("words", "kept", "refused"),
    [
        (("-arch=sm_52",), [], ["sm_52", "compute_52"]),
        (("-arch", "sm_70"), ["sm_70", "compute_70"], []),
        (("-arch=compute_75",), ["compute_75"], []),
        (("-gencode", "arch=compute_35,code=sm_35", "-gencode=arch=compute_90,code=sm_90"), ["sm_90", "compute_90"],
         ["sm_35"]),
        (("-gencode", 'arch=compute_70,code="sm_70,compute_70"'), ["sm_70", "compute_70"], []),
        ((), [], []),
    ],
)  # fmt: skip
def test_gpus_of_a_recipe(words: tuple[str, ...], kept: list[str], refused: list[str]) -> None:
    """Those that this nvcc does not know any more are left out; the latest one's code is for later GPUs too."""
    recipe = Recipe("op.so", cuda_sources=("a.cu",), nvcc_flags=flags_of(*words))
    toolkits = Toolchain(Compiler(("g++",), "g++", "", "gcc"), gpu_codes=("sm_70", "sm_75", "sm_90"))
    found, left_out = nvcc.architectures(recipe, toolkits)
    assert [word.rpartition("=")[2] for word in found if "=" in word] == kept
    assert left_out == refused


def test_words_that_nvcc_hands_on() -> None:
    assert flags_of("--use_fast_math", "-maxrregcount", "32", "-Xptxas", "-v", "-fPIC") == (
        "--use_fast_math", "-maxrregcount=32",
    )  # fmt: skip
    assert commands.for_nvcc(["-iquote", "/a,b", "-Wno-narrowing", "-include", "limits", "-I/x"]) == [
        "-Xcompiler", "-iquote", "-Xcompiler", "/a\\,b", "-Xcompiler", "-Wno-narrowing", "-include", "limits", "-I/x",
    ]  # fmt: skip


def test_libraries(tmp_path: Any) -> None:
    """A package has libcudart.so.12 alone; a driver's library is linked by the stub and never found there."""
    home = toolkit(tmp_path / "cuda", "12.4")
    assert nvcc.library("cudart", home) == ["-lcudart"]
    other = program(tmp_path / "site-packages/nvidia/cuda_runtime/lib/libcudart.so.12", "")
    program(tmp_path / "site-packages/nvidia/cu13/lib/libcudart.so.13", "")
    assert nvcc.library("cudart", home) == [other, "-Wl,-rpath," + os.path.dirname(other)]
    static = program(tmp_path / "cuda/lib64/libcufft_static.a", "")
    assert nvcc.library("cufft", home)[0] == static
    stub = program(tmp_path / "cuda/lib64/stubs/libcuda.so", "")
    assert nvcc.library("cuda", home) == [stub]
    own = program(tmp_path / "cuda/lib64/libcudart.so", "")
    assert nvcc.library("cudart", home) == [own, "-Wl,-rpath," + os.path.dirname(own)]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("third_party/gpus/cuda/include/cuda.h", "cuda/include/cuda.h"), ("cuda/include/cuda.h", "cuda/include/cuda.h"),
        ("cublas_v2.h", "site-packages/nvidia/cublas/include/cublas_v2.h"),
        ("third_party/gpus/cudnn/cudnn.h", "site-packages/nvidia/cudnn/include/cudnn.h"), ("own/thing.h", ""),
    ],
)  # fmt: skip
def test_headers_that_lie_elsewhere(name: str, found: str, tmp_path: Any) -> None:
    home = toolkit(tmp_path / "cuda", "12.4")
    for package, header in (("cublas", "cublas_v2.h"), ("cudnn", "cudnn.h")):
        program(tmp_path / "site-packages/nvidia" / package / "include" / header, "")
    assert nvcc.find_header(name, home, None) == (str(tmp_path / found) if found else "")


def test_release_of_an_old_one() -> None:
    old = Compiler(("nvcc",), "nvcc", "Cuda compilation tools, release 8.0, V8.0.61", "nvcc", 8)
    assert nvcc.release_of(old) == "8.0"
    assert toolchain.which("nvcc") == ""
