"""Install, look, uninstall: on every CPython of the machine, each byte compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from install_kit import EVERY, FEW, ROOT, World
from interpreters import Interpreter, bare_env


def _id(interpreter: Interpreter) -> str:
    return interpreter.label


@pytest.mark.parametrize("interpreter", EVERY, ids=_id)
def test_round_trip(interpreter: Interpreter, tmp_path: object) -> None:
    world = World(str(tmp_path), interpreter)
    assert world.armed() is None
    before = world.tree()

    answer = world.install()
    route = "pth" if interpreter.debian else "sitecustomize"
    hook = world.path("_dlrepair_hook.py" if interpreter.debian else "sitecustomize.py")
    assert (answer["action"], answer["route"], answer["hook"], answer["home"]) == ("installed", route, hook, ROOT)
    for options in ((), ("-I",), ("-E",), ("-s",), ("-O",), ("-B",)):
        assert world.armed(*options) == hook, options
    assert world.armed("-S") is None
    assert world.armed(DLREPAIR="off") is None

    installed = world.tree()
    assert world.install()["action"] == "unchanged"
    assert world.tree() == installed

    done = world.dlrepair("status", "--json")
    status = json.loads(done.out)["hook"]
    assert done.status == 0
    assert (status["live"], status["hook"], status["route"], status["problems"]) == (True, hook, route, [])

    done = world.dlrepair("uninstall")
    assert (done.status, done.err) == (0, "")
    assert world.tree() == before
    assert world.armed() is None
    assert world.dlrepair("status").status == 1
    assert world.dlrepair("uninstall", "--json").out.count('"absent"') == 1


@pytest.mark.parametrize("interpreter", FEW, ids=_id)
def test_bytecode_is_there_and_says_how_it_is_checked(interpreter: Interpreter, tmp_path: object) -> None:
    world = World(str(tmp_path), interpreter)
    hook = world.install()["hook"]
    stem = os.path.basename(hook)[:-3]
    names = [name for name in os.listdir(world.path("__pycache__")) if name.startswith(stem + ".")]
    assert len(names) == 3, names  # no optimisation, -O, -OO
    for name in names:
        with open(os.path.join(world.path("__pycache__"), name), "rb") as handle:
            flags = int.from_bytes(handle.read(8)[4:], "little")  # PEP 552: 1 hash-based, 2 checked
        assert flags == (1 if interpreter.debian else 3)


@pytest.mark.parametrize("interpreter", FEW, ids=_id)
def test_package_gone(interpreter: Interpreter, tmp_path: object) -> None:
    """``pip uninstall dlrepair`` leaves the hook's files behind: the interpreter starts silently and works."""
    import shutil

    copy = os.path.join(str(tmp_path), "copy")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("dlrepair", "sitecustomize_template"):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(copy, name), ignore=ignored)
    world = World(str(tmp_path), interpreter, package=copy)
    assert world.install()["home"] == copy
    assert world.armed() is not None
    shutil.rmtree(os.path.join(copy, "dlrepair"))

    assert world.armed() is None
    done = world.run("-c", "import ctypes\ntry: ctypes.CDLL('./nothing.so')\nexcept OSError as error: print(error)")
    assert done.status == 0 and done.err == "" and "nothing.so" in done.out

    world.write("checkout.pth", ROOT + "\n")  # installed again, elsewhere
    done = world.dlrepair("status", "--json")
    (problem,) = json.loads(done.out)["hook"]["problems"]  # the hook itself is the one of this version
    assert done.status == 1 and "the package that it uses is gone" in problem
    assert world.install()["action"] == "updated"
    assert world.armed() is not None


def test_other_environment_without_the_package(tmp_path: object) -> None:
    """``--python`` of an environment that lacks dlrepair: its hook uses this copy, and says so."""
    ours = World(os.path.join(str(tmp_path), "ours"), FEW[-1])
    theirs = World(os.path.join(str(tmp_path), "theirs"), FEW[0], package="")
    before = theirs.tree()
    done = ours.dlrepair("install", "--python", theirs.directory)
    assert done.status == 0 and "note: dlrepair is not installed in " + theirs.directory in done.out
    assert ours.armed() is None
    assert theirs.armed() is not None
    done = theirs.run("-c", "import sys; print([name for name in sys.modules if 'dlrepair' in name], sys.path)")
    assert done.out.startswith("[] ") and ROOT not in done.out
    assert ours.dlrepair("uninstall", "--python", theirs.python).status == 0
    assert theirs.tree() == before


def test_refused_outside_a_virtualenv(tmp_path: object) -> None:
    base = FEW[-1].path
    env = bare_env(PYTHONPATH=ROOT, HOME=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [base, "-m", "dlrepair", "install"], cwd=str(tmp_path), env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("dlrepair install: ") and "is not a virtualenv" in first
    assert second.startswith("help: ") and "--force" in second


@pytest.mark.parametrize("wrong", ["/nowhere/bin/python", "/bin/sh", os.path.dirname(os.path.abspath(__file__))])
def test_no_interpreter(wrong: str, tmp_path: object) -> None:
    world = World(str(tmp_path), FEW[-1])
    done = world.dlrepair("install", "--python", wrong)
    assert done.status in (1, 2) and done.out == "" and "Traceback" not in done.err, done
    assert done.err.startswith("dlrepair install: ")


def test_two_at_once(tmp_path: object) -> None:
    """flock(2) on the directory: one installs, the others find it installed."""
    world = World(str(tmp_path), FEW[-1])
    before = world.tree()
    children = [
        subprocess.Popen(
            [world.python, "-m", "dlrepair", "install", "--json"], cwd=world.home, env=bare_env(HOME=world.home),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    answers = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * 4, answers
    actions = sorted(json.loads(out.decode())["action"] for out, _ in answers)
    assert actions == ["installed", "unchanged", "unchanged", "unchanged"]
    assert world.armed() == world.path(os.path.basename(world.armed() or ""))
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


def test_conda_environment_counts(tmp_path: object) -> None:
    """An environment of conda has no pyvenv.cfg, but ``conda-meta`` in its prefix."""
    code = (
        "import sys; sys.path.insert(0, %r); from dlrepair.installer import environment as e, inspect;"
        "real = e.ask\n"
        "def ask(*a):\n"
        "    answer = real(*a); answer['base_prefix'] = answer['prefix']; answer['conda'] = True; return answer\n"
        "e.ask = ask; print(inspect().isolated)" % ROOT
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, env=bare_env(), text=True)
    assert done.stdout.strip() == "True"
