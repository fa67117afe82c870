"""Ops with CUDA parts as people wrote them, untouched, built by a real nvcc for a real CUDA build of TensorFlow.

There need be no GPU: both kernels are registered, the GPU's code lies in the library, the CPU's computes the right
numbers. ``TOOLKITS`` may name further toolkits' directories, for the op that includes TensorFlow's own GPU headers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import opkit
import pytest
from cuda_recipes import RECIPES, SHELL
from interpreters import site_packages
from lab import Run, run_script
from watching import Watching

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]

HERE = os.path.dirname(os.path.abspath(__file__))
LEGACY = os.path.join(os.path.dirname(HERE), "tensorflow", "legacy", "roi_pooling")
TOOLKITS = ("", *os.environ.get("TOOLKITS", "").split())
OP = "tf_nndistance_so.so"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture
def nearest(world: opkit.TfWorld, store: str) -> opkit.TfWorld:
    """A world with the op and no recipe; all share a store, so that the part for the host is compiled once."""
    shutil.copytree(os.path.join(HERE, "nn_distance"), os.path.join(world.root, "nn"))
    world.env["DLREPAIR_STORE"] = store
    world.script, world.cwd, world.patience = "nn/demo.py", os.path.join(world.root, "nn"), 400.0
    return world


def start(world: opkit.TfWorld, hooked: str, *before: str, **env: str) -> Run:
    """The demo with the hook; nothing of the project is changed by it."""
    state = world.state()
    words = [*before, hooked, world.path(world.script)]
    variables = dict(env, PYTHONDONTWRITEBYTECODE="1")
    run = run_script(world, words[0], os.path.join(world.top, "home"), words[1:], **variables)
    assert world.state() == state, run.story()
    return run


def kernels(run: Run) -> Any:
    assert run.status == 0, run.story()
    return json.loads(run.out.splitlines()[-1])


def built(run: Run) -> dict[str, Any]:
    """The last build, whose library has code for GPUs (``.nv_fatbin``, CUDA Binary Utilities)."""
    event = run.events("build-finished")[-1]
    assert event["ok"], run.story()
    with open(event["path"], "rb") as stream:
        assert b".nv_fatbin" in stream.read(), run.story()
    return event


@pytest.mark.parametrize("kind", sorted(RECIPES))
def test_recipe(kind: str, nearest: opkit.TfWorld, hooked: str) -> None:
    name, text = RECIPES[kind]
    nearest.write("nn/" + name, text)
    run = start(nearest, hooked)
    assert kernels(run) == ["CPU", "GPU"]
    event = built(run)
    assert any(note.startswith("nvcc ") and "built with CUDA" in note for note in event["notes"]), run.story()
    assert any(note.startswith("left out: sm_3") for note in event["notes"]), run.story()
    again = start(nearest, hooked)
    assert kernels(again) == ["CPU", "GPU"] and len(again.events("build-started")) == 1, again.story()


def test_kernels_for_gpus_only(nearest: opkit.TfWorld, hooked: str) -> None:
    """It loads; that there is no kernel for this machine is TensorFlow's to say, and dlrepair adds nothing."""
    nearest.write("nn/compile.sh", SHELL.replace("-DGOOGLE_CUDA=1 -L", "-DGOOGLE_CUDA=1 -DGPU_ONLY -L"))
    run = start(nearest, hooked)
    assert run.status == 1 and "device='GPU'" in run.err and "help:" not in run.err, run.story()
    assert len(run.events("load-repaired")) == 1 and built(run)["ok"], run.story()


def test_several_kernels(nearest: opkit.TfWorld, hooked: str) -> None:
    """Three files side by side, which share a header with a kernel in it."""
    more = "".join("$nvcc {0}_g.cu -c -o {0}.cu.o -x cu\n".format(name) for name in ("more", "last"))
    text = SHELL.replace("-arch=sm_30\n", "-arch=sm_30\n" + more)
    nearest.write("nn/compile.sh", text.replace("_g.cu.o -o tf", "_g.cu.o more.cu.o last.cu.o -o tf"))
    for name in ("more", "last"):
        nearest.write("nn/{}_g.cu".format(name), '#include "nearest.cuh"\n__global__ void {}(float* x) {{}}\n'
                      "void launch_{}(float* x) {{ {}<<<1, BLOCK>>>(x); }}\n".format(name, name, name))  # fmt: skip
    header = nearest.read("nn/nearest.cuh").replace(b"__device__ float", b"static __device__ float")
    nearest.write("nn/nearest.cuh", header)
    run = start(nearest, hooked)
    assert kernels(run) == ["CPU", "GPU"], run.story()
    assert len(run.events("build-started")[-1]["sources"]) == 4, run.story()


def test_one_cuda_source(nearest: opkit.TfWorld, hooked: str) -> None:
    """The whole op, registration included, is one ``.cu``."""
    parts = [nearest.read("nn/tf_nndistance_g.cu"), nearest.read("nn/tf_nndistance.cpp")]
    for name in ("tf_nndistance_g.cu", "tf_nndistance.cpp"):
        os.unlink(nearest.path("nn/" + name))
    nearest.write("nn/all.cu", b"\n".join(parts))
    nearest.write("nn/compile.sh", "nvcc --shared -o {} all.cu -I $TF_INC -DGOOGLE_CUDA=1 -arch=sm_30\n".format(OP))
    run = start(nearest, hooked)
    assert kernels(run) == ["CPU", "GPU"] and built(run)["ok"], run.story()


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "not guarded"])
def test_no_nvcc(guarded: bool, nearest: opkit.TfWorld, hooked: str) -> None:
    """The CPU's kernels alone where the sources can be built so, and what would bring the others."""
    flags = "-DGOOGLE_CUDA=1 -DGUARDED -L" if guarded else "-L"
    nearest.write("nn/compile.sh", SHELL.replace("-DGOOGLE_CUDA=1 -L", flags))
    places = [os.path.join(site_packages(nearest.kit.python), "nvidia", "cu13")]
    places += [place for place in ("/usr/local", "/opt") if not sys.prefix.startswith(place)]
    hide = "".join("mount -t tmpfs tmpfs {};".format(place) for place in places) + ' exec "$@"'
    run = start(nearest, hooked, "unshare", "-m", "sh", "-ec", hide, "sh", PATH="/usr/bin:/bin")
    why = "no nvcc was found (CUDA_HOME may name a toolkit of CUDA 12.5, which this TensorFlow was built with)"
    if guarded:
        assert kernels(run) == ["CPU"], run.story()
        assert "; CPU kernels only: " + why in run.err, run.story()
        assert kernels(start(nearest, hooked)) == ["CPU", "GPU"]  # as soon as there is one
    else:
        assert run.status == 1 and "help: export CUDA_HOME=" in run.err, run.story()
        told = "it has no kernels without tf_nndistance_g.cu, which is CUDA code: " + why
        assert told in run.err, run.story()


@pytest.mark.parametrize("home", TOOLKITS, ids=[os.path.basename(one) or "package" for one in TOOLKITS])
def test_tensorflows_own_gpu_headers(home: str, world: opkit.TfWorld, hooked: str) -> None:
    """``cuda_kernel_helper.h``, ``third_party/eigen3``, ``EIGEN_USE_GPU`` and ``-arch=sm_52`` in a script of 2017."""
    directory = os.path.join(world.root, "roi")
    shutil.copytree(LEGACY, directory)
    world.script, world.cwd, world.patience = "roi/demo.py", directory, 600.0
    run = start(world, hooked, **({"CUDA_HOME": home} if home else {}))
    assert run.status == 0, run.story()
    command = [sys.executable, "-B", "reference.py"]
    reference = subprocess.run(command, cwd=directory, check=True, stdout=subprocess.PIPE)
    computed = json.loads(run.out.splitlines()[-1])
    for name, values in json.loads(reference.stdout).items():
        assert computed[name] == pytest.approx(values, rel=1e-4, abs=1e-5), name
    assert {"moved-header", "status-ok"} <= set(built(run)["steps"]), run.story()


def test_watch(nearest: opkit.TfWorld, kit: opkit.OpKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel is saved: its part alone is compiled, and an error in it is shown, not hidden by the CPU's kernels."""
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv("XDG_{}_HOME".format(name), os.path.join(nearest.top, name.lower()))
    nearest.write("nn/compile.sh", SHELL)
    kernel = nearest.read("nn/tf_nndistance_g.cu")
    words = [os.path.join("nn", OP)]
    with Watching(nearest.root, words, python=kit.python, DLREPAIR_STORE=nearest.env["DLREPAIR_STORE"]) as watching:
        watching.wait("built", 400.0, after=0)
        at = len(watching.events)
        nearest.write("nn/tf_nndistance_g.cu", kernel.replace(b"dim3(32, 1, 1)", b"dim3(64, 1, 1)"))
        assert watching.wait("built", 400.0, after=at)["result"]["ok"], watching.story()
        at = len(watching.events)
        nearest.write("nn/tf_nndistance_g.cu", kernel.replace(b"BLOCK", b"NOWHERE"))
        result = watching.wait("failed", 400.0, after=at)["result"]
        assert "NOWHERE" in result["first_error"] and not any("CPU" in note for note in result["notes"]), result
