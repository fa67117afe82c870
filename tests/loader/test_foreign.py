"""Real libraries of other processors and systems: what dlrepair says of them, and of a library that needs one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from foreign import CPU, TARGETS, Zig
from world import World

from dlrepair import api
from dlrepair.binary.elf import read_facts

HERE = {"x86_64": "x86-64", "aarch64": "aarch64", "i686": "i386", "armv7l": "armhf", "riscv64": "riscv64"}.get(CPU, CPU)
NAMES = sorted(name for name in TARGETS if name != HERE)
KINDS = {"macos": "macho", "windows": "pe"}
#: a word that the description of the file must have
WORDS = {
    "aarch64": "aarch64", "armhf": "arm", "i386": "i386", "riscv64": "riscv", "s390x": "s390", "x86-64": "x86-64",
    "musl": "", "macos-x86-64": "x86-64", "macos-arm64": "arm64", "windows-x86-64": "x86-64",
    "windows-arm64": "arm64",
}  # fmt: skip


@pytest.fixture(scope="module")
def zig(tmp_path_factory):
    return Zig(tmp_path_factory.mktemp("zig"))


@pytest.fixture(scope="module")
def made(zig):
    """name -> path of a library; compiled when first asked for."""
    known = {}

    def library(name):
        if name not in known:
            known[name] = zig.library(name)
        return known[name]

    return library


def refused_by_the_loader(path):
    """dlerror's words in a child; the test ends where the load succeeds."""
    code = "import _ctypes, os, sys\n_ctypes.dlopen(sys.argv[1], os.RTLD_NOW)"
    done = subprocess.run([sys.executable, "-c", code, path], stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1, "%s loads here" % path
    return done.stderr.decode().strip().splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_itself(name, made):
    path, cause = made(name), TARGETS[name][3]
    refused_by_the_loader(path)
    diagnosis = api.diagnose(path)
    assert diagnosis.cause == cause, diagnosis
    assert diagnosis.failing_object == path and diagnosis.next_step
    facts = read_facts(path)
    assert facts.kind == KINDS.get(name.split("-")[0], "elf")
    assert WORDS[name] in facts.detail.lower().replace("x86_64", "x86-64"), facts.detail


@pytest.mark.parametrize("name", NAMES)
def test_as_a_dependency(name, made, tmp_path):
    world = World(tmp_path)
    world.lib("op.so", ["libroi.so"], runpath="$ORIGIN")
    shutil.copy(made(name), world.path("libroi.so"))
    said = refused_by_the_loader(world.path("op.so"))
    diagnosis = api.diagnose(world.path("op.so"))
    told = " ".join(one.text for one in diagnosis.evidence)
    if name == "musl":
        assert "libc.musl-%s.so.1" % CPU in said
        assert diagnosis.cause in ("wrong-os", "dependency-missing"), diagnosis
        assert [one.name for one in diagnosis.missing] == ["libc.musl-%s.so.1" % CPU]
    elif TARGETS[name][3] == "wrong-os":
        assert "invalid ELF header" in said
        assert diagnosis.cause == "wrong-os", diagnosis
        assert diagnosis.failing_object == world.path("libroi.so")
    else:  # ld.so passes it over and says "No such file"
        assert "libroi.so: " in said
        assert diagnosis.cause in ("wrong-arch", "dependency-missing"), diagnosis
        assert [one.name for one in diagnosis.missing] == ["libroi.so"]
        assert world.path("libroi.so") in told and WORDS[name] in told.lower(), told


def test_check_tells_them_apart(made, tmp_path):
    """The command on a directory that holds one of each."""
    for name in NAMES:
        target = tmp_path / name / os.path.basename(made(name)).replace(".dll", ".so")
        target.parent.mkdir()
        shutil.copy(made(name), str(target))
    done = subprocess.run(
        [sys.executable, "-m", "dlrepair", "check", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), HOME=str(tmp_path)), cwd=str(tmp_path), timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr.decode()
    said = done.stdout.decode()
    for name in NAMES:
        start = os.path.join(str(tmp_path), name) + os.sep
        line = next(line for line in said.splitlines() if line.startswith(start))
        assert ": %s: " % TARGETS[name][3] in line, line
