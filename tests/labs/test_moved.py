"""The library exists, but not where the program looks, or not under that name."""

from __future__ import annotations

import os

import pytest
from lab import Lab, World, check_repaired
from parts import ROI, move, roi, script

NOT_FOUND = r"OSError: .*libroi\.so: cannot open shared object file: No such file or directory"


def elsewhere(world: World) -> None:
    world.cwd = os.path.join(world.top, "elsewhere")
    os.makedirs(world.cwd)


STALE = """\
import ctypes
roi = ctypes.CDLL("@ROOT@/build/libroi.so")
print("roi_pool says", roi.roi_pool(6, 7))
"""

RELATIVE = """\
import ctypes
roi = ctypes.CDLL("./build/libroi.so")
print("roi_pool says", roi.roi_pool(6, 7))
"""

BESIDE = script("libroi.so")

LABS = [
    Lab("build", BESIDE, roi(), move("libroi.so", "build/libroi.so"), NOT_FOUND),
    Lab("cmake-build-release", BESIDE, roi(), move("libroi.so", "cmake-build-release/libroi.so"), NOT_FOUND),
    Lab(
        "build-lib-linux", script("ops/libroi.so"), roi("ops/libroi.so"),
        move("ops/libroi.so", "build/lib.linux-x86_64-3.11/ops/libroi.so"), NOT_FOUND,
    ),
    Lab(
        "bazel-bin", script("ops/libroi.so"), roi("ops/libroi.so"),
        move("ops/libroi.so", "bazel-bin/ops/libroi.so"), NOT_FOUND,
    ),
    Lab("stale-absolute-path", STALE, roi("build/libroi.so"), lambda world: world.rename_root("renamed"), NOT_FOUND),
    Lab("wrong-cwd", RELATIVE, roi("build/libroi.so"), elsewhere, NOT_FOUND, cause="wrong-cwd"),
    Lab("lib-prefix-missing", script("roi.so"), roi("roi.so"), move("roi.so", "build/libroi.so"), "cannot open"),
    Lab("lib-prefix-extra", BESIDE, roi(), move("libroi.so", "build/roi.so"), NOT_FOUND),
    Lab("op-suffix", script("roi.so"), roi("roi.so"), move("roi.so", "roi_op.so"), "cannot open"),
    Lab("op-suffix-extra", script("roi_op.so"), roi("roi_op.so"), move("roi_op.so", "roi.so"), "cannot open"),
    Lab(
        "dangling-link", BESIDE,
        lambda world: (world.library("out/libroi.so", ROI), os.symlink("out/libroi.so", world.path("libroi.so"))),
        move("out/libroi.so", "build/libroi.so"), NOT_FOUND,
    ),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_moved(lab: Lab, world: World, bare: str, hooked: str) -> None:
    lab.cause, lab.strategy = lab.cause or "file-missing", "substitute"
    check_repaired(lab, world, bare, hooked)
