"""The real thing: sdist, wheel, editable install, by pip, on the oldest Python and on 3.11."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import zipfile

import pytest
from install_kit import EVERY, ROOT, run
from interpreters import Interpreter, bare_env

PAIR = [EVERY[0], next(one for one in EVERY if one.minor >= (3, 11) and not one.debian)]
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]


def _id(interpreter: Interpreter) -> str:
    return interpreter.label


def _venv(interpreter: Interpreter, directory: str) -> str:
    subprocess.run([interpreter.path, "-m", "venv", directory], check=True, env=bare_env(), stdout=subprocess.PIPE)
    return os.path.join(directory, "bin")


def _pip(bin: str, *arguments: str) -> None:
    done = subprocess.run(
        [os.path.join(bin, "python"), *PIP, *arguments], env=bare_env(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("interpreter", PAIR, ids=_id)
def test_sdist_wheel_install(interpreter: Interpreter, tmp_path: object) -> None:
    top = str(tmp_path)
    bin = _venv(interpreter, os.path.join(top, "venv"))
    _pip(bin, "install", "hatchling", "editables")
    built = os.path.join(top, "dist")
    done = subprocess.run(
        [os.path.join(bin, "python"), "-m", "hatchling", "build", "-t", "sdist", "-d", built], cwd=ROOT, env=bare_env(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (sdist,) = [name for name in os.listdir(built) if name.endswith(".tar.gz")]
    _check_sdist(os.path.join(built, sdist))
    _pip(bin, "wheel", "--no-deps", "--no-build-isolation", "-w", built, os.path.join(built, sdist))
    (wheel,) = [name for name in os.listdir(built) if name.endswith(".whl")]
    _check_wheel(os.path.join(built, wheel))

    _pip(bin, "install", os.path.join(built, wheel))  # with its dependencies: they have to exist for this Python
    home = os.path.join(top, "home")
    os.mkdir(home)
    program, python = os.path.join(bin, "dlrepair"), os.path.join(bin, "python")
    assert run([program, "--version"], home).out.startswith("dlrepair ")
    bare = run([python, "-c", "print(1)"], home)
    done2 = run([program, "install"], home)
    assert done2.status == 0 and "hook installed" in done2.out, done2
    kept = os.listdir(os.path.join(home, ".cache", "dlrepair", "surveys"))
    assert run([program, "doctor"], home).status == 0  # asks for the answer that the installation left, of no other
    assert len(kept) == 1 and os.listdir(os.path.join(home, ".cache", "dlrepair", "surveys")) == kept
    assert run([program, "status"], home).status == 0
    assert run([python, "-c", "print(1)"], home) == bare
    assert run([program, "explain", "file-missing"], home).status == 0
    _pip(bin, "uninstall", "-y", "dlrepair")
    assert run([python, "-c", "print(1)"], home) == bare
    missing = run([python, "-c", "import ctypes; ctypes.CDLL('./no.so')"], home)
    assert missing.err.strip().splitlines()[-1].startswith("OSError: ./no.so: cannot open shared object file")

    # an editable install lacks the template and the pages: they are found in the checkout
    _pip(bin, "install", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    code = "from dlrepair import installer; print(installer.find_template()); print(installer.find_home())"
    found = run([python, "-c", code], home)
    assert found.out.splitlines() == [os.path.join(ROOT, "sitecustomize_template"), ROOT], found
    assert json.loads(run([program, "install", "--json"], home).out)["action"] == "updated"
    assert run([program, "status"], home).status == 0


def _check_sdist(path: str) -> None:
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for wanted in (
        "pyproject.toml", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "sitecustomize_template/sitecustomize.py",
        "dlrepair/_bootstrap.py", "tests/interpreters.py", "tests/install/test_packaging.py", "Makefile",
        "tools/envs.py",
    ):  # fmt: skip
        assert wanted in names, wanted
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".so"))]


def _check_wheel(path: str) -> None:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    causes = {name for name in os.listdir(os.path.join(ROOT, "docs", "causes")) if name.endswith(".md")}
    for wanted in (
        "dlrepair/py.typed", "dlrepair/_template/sitecustomize.py", "dlrepair/journal/schema.json",
        "dlrepair/cli/main.py", *["dlrepair/_causes/" + name for name in causes],
    ):  # fmt: skip
        assert wanted in names, wanted
    outside = [name for name in names if not name.startswith("dlrepair")]
    assert outside == [] and not [name for name in names if "__pycache__" in name]
