"""Virtualenvs in which dlrepair is installed as a user would: wheel, then ``dlrepair install``.

They are layered over a pinned environment (a ``.pth`` line adds its site-packages), so that
TensorFlow is not installed twice and the pinned environment itself stays bare.
"""

from __future__ import annotations

import os
import subprocess
import sys

from interpreters import bare_env, site_packages

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_wheels: dict[str, str] = {}


def build_wheel(directory: str) -> str:
    """Path of dlrepair's wheel, built from this checkout into ``directory``, once a process."""
    if ROOT not in _wheels:
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], cwd=ROOT)
        names = [name for name in os.listdir(directory) if name.endswith(".whl")]
        assert len(names) == 1, names
        _wheels[ROOT] = os.path.join(directory, names[0])
    return _wheels[ROOT]


def make_layer(base: str, directory: str) -> str:
    """Python of a new virtualenv that sees everything installed in the environment of ``base``."""
    run([base, "-m", "venv", "--without-pip", directory])
    python = os.path.join(directory, "bin", "python")
    with open(os.path.join(site_packages(python), "layer.pth"), "w") as handle:
        handle.write("import site; site.addsitedir(%r)\n" % site_packages(base))
    return python


def make(base: str, directory: str) -> str:
    """Python like ``base``, in a new virtualenv below ``directory``, with dlrepair installed and its hook live."""
    python = make_layer(base, os.path.join(directory, "venv"))
    wheel = build_wheel(os.path.join(directory, "dist"))
    run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", wheel])
    run([os.path.join(os.path.dirname(python), "dlrepair"), "install"], HOME=directory)
    return python


def run(command: list[str], cwd: str | None = None, **environment: str) -> str:
    """What the command printed. Raises AssertionError with all of its output if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=bare_env(**environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, "%s\n%s" % (" ".join(command), done.stdout)
    return done.stdout
