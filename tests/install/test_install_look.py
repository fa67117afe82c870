"""``install`` ends with a look at every library of the environment, which the first ``doctor`` need not repeat."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
from install_kit import FEW, World

from dlrepair.store import surveys

pytestmark = pytest.mark.compile

#: whether ``doctor``, started now, would find an answer in the store
_REMEMBERED = """
import re, sys
from dlrepair.cli import doctor
from dlrepair.diagnose import surveyed
sys.stdout.write(str(surveyed.recall(doctor.places()) is not None))
"""
#: that the look takes longer than it may
_SHORT = "from dlrepair.cli import lookover, main; lookover.BUDGET = 0.5; raise SystemExit(main.main(%r))"


@pytest.fixture
def world(tmp_path: object) -> World:
    """A virtualenv with a library that loads and one that does not."""
    made = World(str(tmp_path), FEW[-1])
    fill(made)
    return made


def fill(world: World) -> None:
    os.makedirs(world.path("ops"))
    compile_library(world.path("ops/libgood.so"), "int a(void) { return 1; }")
    compile_library(world.path("ops/libbad.so"), "int nowhere(void); int b(void) { return nowhere(); }")


def compile_library(path: str, code: str) -> None:
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=code.encode(), check=True)


@pytest.mark.parametrize("interpreter", FEW, ids=lambda one: one.label)
def test_the_first_doctor_has_an_answer(interpreter: object, tmp_path: object) -> None:
    world = World(str(tmp_path), interpreter)  # type: ignore[arg-type]
    fill(world)
    assert world.run("-c", _REMEMBERED).out == "False"
    done = world.dlrepair("install")
    assert done.status == 0 and done.err == "", done
    last = done.out.splitlines()[-1]
    assert last == "  looked at 2 libraries: 1 would not load; to see why, run dlrepair doctor"
    elsewhere = os.path.join(world.home, "project")
    os.mkdir(elsewhere)
    moved = "import os; os.chdir({!r})\n".format(elsewhere)
    assert world.run("-c", moved + _REMEMBERED).out == "True"
    found = json.loads(world.dlrepair("doctor", "--json").out)
    assert found["checked"] == 2 and [one["path"] for one in found["broken"]] == [world.path("ops/libbad.so")]

    assert world.install()["libraries"] == {"checked": 2, "broken": 1, "complete": True}
    os.unlink(world.path("ops/libbad.so"))
    assert world.run("-c", _REMEMBERED).out == "False"
    time.sleep(2 * surveys.TICK_NS / 1e9)  # what changed a moment ago may change again under the same time stamp
    assert world.dlrepair("doctor", "--fresh").status == 0
    assert world.run("-c", _REMEMBERED).out == "True"
    assert world.dlrepair("install").out.splitlines()[-1] == "  looked at 1 library: all would load"


def test_another_environment_is_looked_at_by_its_own_python(world: World, tmp_path: object) -> None:
    ours = World(os.path.join(str(tmp_path), "ours"), FEW[0])
    done = ours.dlrepair("install", "--python", world.directory)
    command = "to see why, run '{}' -m dlrepair doctor".format(world.python)
    assert done.status == 0 and done.out.splitlines()[-1].endswith("1 would not load; " + command), done
    os.unlink(world.path("checkout.pth"))  # its user has no `doctor` there
    done = ours.dlrepair("install", "--python", world.directory)
    assert done.status == 0 and "looked" not in done.out and done.err == "", done


def test_nothing_to_say_of_an_environment_without_libraries(tmp_path: object) -> None:
    world = World(str(tmp_path), FEW[-1])
    assert "librar" not in world.dlrepair("install").out
    assert world.install()["libraries"] == {"checked": 0, "broken": 0, "complete": True}


@pytest.mark.parametrize("variable", ["DLREPAIR", "DLREPAIR_MODE"])
def test_switched_off(world: World, variable: str) -> None:
    done = world.dlrepair("install", **{variable: "off"})
    assert done.status == 0 and "looked" not in done.out and done.err == "", done
    assert world.install(**{variable: "off"})["libraries"] is None
    assert not os.path.exists(os.path.join(world.home, ".cache"))


def test_uninstall_does_not_look(world: World) -> None:
    world.install(DLREPAIR="off")
    done = world.dlrepair("uninstall")
    assert done.status == 0 and "looked" not in done.out, done
    assert not os.path.exists(os.path.join(world.home, ".cache"))


def test_without_a_store_it_is_looked_at_all_the_same(world: World) -> None:
    for nowhere in ("/dev/null/store", "/proc/store"):  # no directory can be made there, by root neither
        done = world.dlrepair("install", DLREPAIR_STORE=nowhere)
        assert done.status == 0 and done.err == "" and "looked at 2 libraries" in done.out, done


def test_what_speaks_at_start_is_not_the_answer(world: World) -> None:
    world.write("sitecustomize.py", "import atexit\nprint('{}')\natexit.register(print, '{}')\n")
    done = world.dlrepair("install")
    assert done.status == 0 and "looked at 2 libraries: 1 would not load" in done.out, done


def test_a_module_in_the_working_directory_does_not_take_part(world: World) -> None:
    with open(os.path.join(world.home, "sysconfig.py"), "w") as handle:
        handle.write("open('was-here', 'w')\nraise SystemExit(5)\n")
    done = world.run("-c", "import sys; del sys.path[0]\n" + _SHORT.replace("0.5", "5.0") % ["install"])
    assert done.status == 0 and "looked at 2 libraries" in done.out, done
    assert not os.path.exists(os.path.join(world.home, "was-here"))


@pytest.mark.parametrize("ends", ["import time; time.sleep(60)", "import os; os.abort()", "raise RuntimeError('no')"])
def test_what_goes_wrong_is_not_the_installations(world: World, ends: str) -> None:
    """``doctor`` hangs, dies or fails in that environment; that other look-ups do not tells its command line."""
    lines = ["import sys", "class Slow:", "    @staticmethod", "    def find_spec(name, *rest):"]
    lines += ["        if name == 'dlrepair.cli.doctor' and sys.argv == ['-c']:", "            " + ends]
    world.write("sitecustomize.py", "\n".join([*lines, "sys.meta_path.insert(0, Slow)", ""]))
    done = world.run("-c", _SHORT % ["install"], "install")
    assert done.status == 0 and done.err == "" and "hook installed" in done.out, done
    assert ("not all looked at" in done.out) == ("sleep" in ends)
    answer = json.loads(world.run("-c", _SHORT % ["install", "--json"], "install").out)
    assert answer["libraries"] == ({"checked": 0, "broken": 0, "complete": False} if "sleep" in ends else None)
    assert world.armed() is not None
