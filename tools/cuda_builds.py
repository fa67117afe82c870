"""Runs the tests of CUDA builds and writes what came of them as a table. The target ``make test-cuda``.

    python tools/cuda_builds.py [--output docs/reference/cuda-builds.md]

``TOOLKITS`` in the environment: directories of further CUDA toolkits. Exit status 1: a test failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import envs  # noqa: E402
import rebuild_matrix  # noqa: E402

TESTS = ("tests/cuda/test_cuda.py", "tests/cuda/test_real_loader.py")
PACKAGES = ("nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm", "nvidia-cuda-runtime", "nvidia-cuda-cccl")


def page(column: rebuild_matrix.Column, env: envs.Env) -> str:
    said = subprocess.run(["g++", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    with open(env.requirements, encoding="utf-8") as stream:
        packages = [line.strip() for line in stream if line.startswith(PACKAGES)]
    lines = [
        "# CUDA parts, compiled", "",
        "Written by `make test-cuda`, with {}, the package `tensorflow` (the CUDA build)".format(said),
        "and NVIDIA's compiler as packages: {}.".format(", ".join("`{}`".format(one) for one in packages)),
        "Each row is a test: ops as people wrote them in 2017, with recipes whose every path is dead, untouched, are",
        "loaded with the hook. nvcc compiles the kernels, the library registers the CPU's and the GPU's, and the CPU's",
        "compute the right numbers. No GPU took part: no kernel for GPUs was run. Rows that name a `cuda-…` were run",
        "with `CUDA_HOME` set to that toolkit (`TOOLKITS`). Seconds: the whole test, the imports of TensorFlow",
        "included.", "",
        *rebuild_matrix.table([column]), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Tests with a CUDA build of TensorFlow and nvcc.")
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    (env,) = envs.select(["tfcuda"])
    envs.make(env)
    column = rebuild_matrix.Run(env)
    column.run(TESTS, "")
    text = page(column, env)
    if arguments.output:
        with open(os.path.join(ROOT, arguments.output), "w", encoding="utf-8") as stream:
            stream.write(text)
    sys.stdout.write(text)
    return 0 if len(column.cells) > 1 and not any(cell.startswith("**") for cell in column.cells.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
