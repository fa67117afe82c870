"""The project's own environments: made once, refreshed when requirements change, clear about what is missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from interpreters import find_interpreters

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "envs.py")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import envs  # noqa: E402


@pytest.fixture(autouse=True)
def own_locks(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout's own environments are none of these tests' business."""
    monkeypatch.setattr(envs, "ENVS", os.path.join(str(tmp_path), "envs"))


def interpreter() -> envs.Interpreter:
    return next(one for one in reversed(find_interpreters()) if not one.debian)


def small_env(directory: str) -> envs.Env:
    """An environment in which nothing is installed."""
    requirements = os.path.join(directory, "requirements.txt")
    with open(requirements, "w") as handle:
        handle.write("# nothing\n")
    return envs.Env("small", interpreter(), requirements, os.path.join(directory, "small"))


def test_made_once_and_again_only_when_requirements_change(tmp_path: object) -> None:
    env = small_env(str(tmp_path))
    assert not env.ready()
    python = envs.make(env)
    answer = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], check=True, stdout=subprocess.PIPE)
    assert answer.stdout.decode().strip() == env.directory
    made = os.stat(env.stamp).st_mtime_ns
    assert envs.make(env) == python
    assert os.stat(env.stamp).st_mtime_ns == made
    with open(env.requirements, "a") as handle:
        handle.write("# changed\n")
    assert not env.ready()
    envs.make(env)
    assert env.ready() and os.stat(env.stamp).st_mtime_ns > made


def test_half_made_is_not_ready(tmp_path: object) -> None:
    env = small_env(str(tmp_path))
    os.makedirs(os.path.dirname(env.python))
    os.symlink(env.interpreter.path, env.python)
    assert not env.ready()


def test_failing_install_is_told_and_not_stamped(tmp_path: object) -> None:
    env = small_env(str(tmp_path))
    with open(env.requirements, "w") as handle:
        handle.write("/nowhere/at/all-1.0.tar.gz\n")
    with pytest.raises(envs.EnvError, match="(?s)environment small could not be made.*help: "):
        envs.make(env)
    assert not env.ready()


def test_included_requirements_count(tmp_path: object) -> None:
    env = small_env(str(tmp_path))
    other = os.path.join(str(tmp_path), "other.txt")
    with open(other, "w") as handle:
        handle.write("# one\n")
    with open(env.requirements, "w") as handle:
        handle.write("-r other.txt\n")
    before = env.wanted()
    with open(other, "w") as handle:
        handle.write("# two\n")
    assert env.wanted() != before


def test_missing_program_is_named_with_its_package(tmp_path: object) -> None:
    command = [sys.executable, TOOL, "need", "git", "g++"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "g++ was not found in PATH\nhelp: apt-get install g++" in done.stderr


def test_no_tensorflow_115_is_an_error_in_ci_only(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = [one for one in find_interpreters() if one.minor > (3, 7)]
    monkeypatch.setattr(envs, "find_interpreters", lambda: newer)
    monkeypatch.delenv("CI", raising=False)
    assert "tf115-py37" not in [env.name for env in envs.find_envs()]
    monkeypatch.setenv("CI", "true")
    with pytest.raises(envs.EnvError, match="no CPython 3.7 was found, which tests with TensorFlow 1.15 need"):
        envs.find_envs()


def test_names_select() -> None:
    assert [env.name for env in envs.select(["main"])] == ["main"]
    assert all(env.name.startswith("tf") for env in envs.select(["tf"]))
    assert all(env.name.startswith("py3") for env in envs.select(["py"]))
    with pytest.raises(envs.EnvError, match="no environment is called nonsense"):
        envs.select(["nonsense"])


def test_on_demand_only_when_asked_for() -> None:
    ordinary = [env.name for env in envs.find_envs()]
    asked = {name for name in envs.ON_DEMAND if envs.find_env(name) is not None}
    assert not any(name.partition("-")[0] in envs.ON_DEMAND for name in ordinary)
    assert {env.name.partition("-")[0] for env in envs.select(sorted(asked))} == asked
    assert not {env.name.partition("-")[0] for env in envs.select(["tf"])} & asked
