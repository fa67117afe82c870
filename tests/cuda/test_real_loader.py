"""TensorFlow 2.21's own loader of CUDA, with one real package of NVIDIA's and a made driver for a made GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import gpu_releases
import hooked as installed
import opkit
import pytest
from interpreters import bare_env, site_packages
from lab import read_journal

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]

#: what this TensorFlow opens and no package here has
MISSING = (
    "libcublasLt.so.12", "libcublas.so.12", "libcufft.so.11", "libcusparse.so.12", "libcusolver.so.11",
    "libcudnn.so.9",
)  # fmt: skip
HELP = "pip install {} 'nvidia-cudnn-cu12==9.*'".format(
    " ".join("nvidia-{}-cu12".format(name) for name in ("cublas", "cufft", "cusparse", "cusolver"))
)


class Machine:
    """An environment with dlrepair over that of TensorFlow; its own copy of the package is where no RUNPATH leads."""

    def __init__(self, top: str, kit: opkit.OpKit) -> None:
        self.top = top
        self.base = os.path.join(site_packages(kit.python), "nvidia", "cuda_runtime")
        self.python = installed.make(kit.python, os.path.join(top, "env"))
        self.driver = os.path.join(top, "driver")
        gpu_releases.driver(os.path.join(site_packages(kit.python), "tensorflow"), self.driver)
        shutil.copytree(self.base, os.path.join(site_packages(self.python), "nvidia", "cuda_runtime"))
        self.runs = 0

    def run(self, *, hidden: bool, device: bool = True, **more: str) -> tuple[str, list[dict[str, Any]]]:
        """(what it printed, the journal) of a program that lists the GPUs."""
        self.runs += 1
        home = os.path.join(self.top, "home-{}".format(self.runs))
        env = bare_env(HOME=home, XDG_STATE_HOME=home + "/state", LD_LIBRARY_PATH=self.driver,
                       TF_CPP_VMODULE="dso_loader=1", TF_CPP_MIN_LOG_LEVEL="0", **more)  # fmt: skip
        hide = "mount -t tmpfs tmpfs {} && ".format(self.base) if hidden else ""
        setting = hide + (gpu_releases.NODES if device else 'exec "$@"')
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", setting, "sh", self.python, "-c", gpu_releases.PROGRAM], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0 and "devices 0" in done.stdout, done.stdout
        return done.stdout, read_journal(home + "/state")


@pytest.fixture(scope="session")
def machine(kit: opkit.OpKit, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(str(tmp_path_factory.mktemp("machine")), kit)


def opened(text: str) -> list[str]:
    return gpu_releases.opened(text, "opened dynamic library ")


def missed(text: str) -> list[str]:
    return gpu_releases.opened(text, "Could not load dynamic library ")


def test_a_package_where_no_run_path_leads(machine: Machine) -> None:
    """It is opened before TensorFlow asks for it; what is nowhere is named, with the command that gets it."""
    without, _ = machine.run(hidden=True, DLREPAIR="off")
    assert "libcudart.so.12" in missed(without) and not opened(without), without
    text, journal = machine.run(hidden=True)
    assert opened(text) == ["libcudart.so.12"] and sorted(missed(text)) == sorted(MISSING), text
    (line,) = [one for one in text.splitlines() if one.startswith("dlrepair")]
    assert "preloaded libcudart.so.12; not found: " + ", ".join(MISSING) + "; help: " + HELP in line
    path = os.path.join(site_packages(machine.python), "nvidia", "cuda_runtime", "lib", "libcudart.so.12")
    assert [event["path"] for event in journal if event["event"] == "repair-tried"] == [path], journal


def test_what_its_own_run_path_finds_is_left_to_it(machine: Machine) -> None:
    text, journal = machine.run(hidden=False)
    assert opened(text) == ["libcudart.so.12"] and "preloaded" not in text, text
    assert [event for event in journal if event["event"] == "repair-tried"] == [], journal
    assert "not found: " + ", ".join(MISSING) in text, text


def test_nothing_without_a_device(machine: Machine) -> None:
    text, journal = machine.run(hidden=True, device=False)
    assert "dlrepair" not in text and not journal, text
