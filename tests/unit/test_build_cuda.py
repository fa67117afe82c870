"""Which failures of a build come of CUDA code that was left out of it."""

from __future__ import annotations

import pytest

from dlrepair.build import cuda
from dlrepair.build.includes import signature
from dlrepair.model.build import Recipe
from dlrepair.model.built import BuildResult, Used
from dlrepair.repair import builder, replay

KERNEL = "__global__ void work(int n) {}\nvoid poolLauncher(int n) { work<<<1, n>>>(n); }\n"
NOTE = "CPU kernels only: TensorFlow {} is not a CUDA build"


def result(version: str = "2.21.0", note: str = NOTE) -> BuildResult:
    return BuildResult(False, "compile-error", tensorflow=version, notes=(note.format(version),))


@pytest.mark.parametrize(
    ("error", "missed"),
    [
        ("pool.cc:5:10: fatal error: cuda_runtime.h: No such file or directory", True),
        ("pool.cc:5:10: fatal error: cublas_v2.h: No such file or directory", True),
        ("pool.cc:5:10: fatal error: thrust/sort.h: No such file or directory", True),
        ("pool.cc:5:10: fatal error: custom.h: No such file or directory", False),
        ("nothing in this process defines poolLauncher(int)", True),
        ("nothing in this process defines otherLauncher(int)", False),
        ("pool.cc:9:1: error: expected ';' before 'poolLauncher'", False),
    ],
)
def test_what_is_missed(error: str, missed: bool, tmp_path: object) -> None:
    path = "{}/pool.cu".format(tmp_path)
    with open(path, "w") as stream:
        stream.write(KERNEL)
    recipe = Recipe("pool.so", ("pool.cc",), cuda_sources=(path,))
    said = cuda.missed(recipe, result(), error)
    assert said == missed * (
        "it has no kernels without pool.cu, which is CUDA code: TensorFlow 2.21.0 is not a CUDA build"
    )
    assert not cuda.missed(Recipe("pool.so", ("pool.cc",)), result(), error)
    assert not cuda.missed(recipe, BuildResult(False, "compile-error"), error)


@pytest.mark.parametrize(
    ("version", "end"),
    [
        ("1.15.5", "pip install tensorflow-gpu==1.15.5"),
        ("2.4.4", "pip install tensorflow==2.4.4"),
        ("2.21.0", "pip install 'tensorflow[and-cuda]==2.21.0'"),
    ],
)
def test_the_command_gets_a_cuda_build_of_the_same_release(version: str, end: str) -> None:
    assert cuda.command(result(version)).endswith(end)
    assert "CUDA_HOME" in cuda.command(result(version, "CPU kernels only: no nvcc was found"))


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("CPU kernels only: no nvcc was found", False), ("CPU kernels only: nvcc 12.4: a.cu(1): error: no", False),
        ("CPU kernels only: TensorFlow 2.21.0 is not a CUDA build", True), ("nvcc 13.0 compiles", True),
    ],
)  # fmt: skip
def test_what_an_nvcc_would_complete_is_not_taken_again_unseen(note: str, kept: bool, tmp_path: object) -> None:
    """A later run looks for an nvcc again, and says again what is left out."""
    path = "{}/pool.cu".format(tmp_path)
    with open(path, "w") as stream:
        stream.write(KERNEL)
    built = BuildResult(True, "built", path, notes=(note,), used=(Used(path, signature(path)),))
    ((named, seen),) = builder.inputs_of(built)
    assert named == path and (seen != replay.CHANGED) is kept
