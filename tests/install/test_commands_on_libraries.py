"""check, search, fix, doctor and run on libraries that a real compiler built, in a real virtualenv."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Iterator

import pytest
from install_kit import FEW, World

pytestmark = pytest.mark.compile


def _build(directory: str, name: str, *options: str, code: str = "int answer(void) { return 42; }") -> str:
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    command = ["gcc", "-shared", "-fPIC", "-o", path, "-Wl,--no-as-needed", "-x", "c", "-", "-x", "none", *options]
    subprocess.run(command, input=code.encode(), check=True)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A virtualenv without a hook; in its home a script whose library lies in ``build/``."""
    made = World(str(tmp_path_factory.mktemp("libraries")), FEW[-1])
    _build(os.path.join(made.home, "build"), "libmoved.so", "-Wl,-soname,libmoved.so")
    with open(os.path.join(made.home, "train.py"), "w") as handle:
        handle.write("import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n")
    bare = made.run("train.py")
    assert bare.status == 1 and "cannot open shared object file" in bare.err
    yield made


def test_check_a_script(world: World) -> None:
    done = world.dlrepair("check", "train.py", "build")
    assert done.status == 1 and done.err == ""
    assert "./libmoved.so (train.py:2): file-missing" in done.out
    assert "build/libmoved.so: loads" in done.out
    assert "repair: loaded build/libmoved.so instead" in done.out
    (report,) = json.loads(world.dlrepair("check", "./libmoved.so", "--json").out)["reports"]
    assert report["diagnosis"]["cause"] == "file-missing" and report["repair"]["repaired"] is True
    assert [one["accepted"] for one in report["candidates"]] == [True]
    assert world.dlrepair("check", "build").status == 0


def test_search(world: World) -> None:
    done = world.dlrepair("search", "libmoved.so", "--json")
    assert done.status == 0
    (found,) = json.loads(done.out)["candidates"]
    assert found["path"] == os.path.join(world.home, "build", "libmoved.so") and found["accepted"]
    assert world.dlrepair("search", "libnothing.so.77").status == 1


def test_run(world: World) -> None:
    done = world.dlrepair("run", world.python, "train.py")
    assert (done.status, done.out) == (0, "42\n")
    assert done.err.startswith("dlrepair[file-missing]: libmoved.so: loaded build/libmoved.so instead (incident ")
    incident = done.err.rpartition("incident ")[2].rstrip(")\n")
    story = world.dlrepair("explain", incident)
    assert story.status == 0 and "The load was repaired" in story.out
    assert incident in world.dlrepair("log").out
    assert world.run("train.py").status == 1  # nothing was installed


def test_fix_then_run(world: World) -> None:
    done = world.dlrepair("fix", "./libmoved.so", "--json")
    assert done.status == 0 and json.loads(done.out)["outcome"]["strategy"] == "substitute"
    assert json.loads(world.dlrepair("cache", "ls", "--json").out)["entries"]
    again = world.dlrepair("fix", "build/libmoved.so")
    assert again.status == 0 and "loads as it is" in again.out
    hopeless = world.dlrepair("fix", "./libnothing77.so")
    assert hopeless.status == 1 and hopeless.err.splitlines()[-1].startswith("help: ")


def test_doctor(world: World) -> None:
    assert world.dlrepair("doctor").status == 0
    package = world.path("broken_wheel")
    carried = os.path.join(world.site, "broken_wheel.libs")
    inner = _build(carried, "libinner-1.so", "-Wl,-soname,libinner-1.so")
    outer = _build(carried, "libouter-1.so", "-Wl,-soname,libouter-1.so", inner, code="int outer(void) { return 1; }")
    # libouter has no RPATH of its own: it finds libinner because the extension brings it along, as wheels do
    options = (outer, inner, "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../broken_wheel.libs")
    _build(package, "native.so", *options, code="int native(void) { return 2; }")
    load = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    assert world.run("-c", load, os.path.join(package, "native.so")).status == 0
    healthy = world.dlrepair("doctor")
    assert (healthy.status, healthy.out) == (0, "1 shared objects, 0 would not load\n")

    os.unlink(inner)
    assert world.run("-c", load, os.path.join(package, "native.so")).status == 1
    done = world.dlrepair("doctor", "--json")
    (one,) = json.loads(done.out)["broken"]
    assert done.status == 1
    assert one["path"] == os.path.join(package, "native.so") and one["diagnosis"]["cause"] == "dependency-missing"
    assert one["diagnosis"]["missing"][0]["name"] == "libinner-1.so"
