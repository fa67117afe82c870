"""The project's own virtualenvs under ``.envs/``: made from pinned requirements, refreshed only when those change.

    python tools/envs.py need git make g++       says what is missing on this machine
    python tools/envs.py make [NAME…]            makes or refreshes environments (default: all)
    python tools/envs.py path NAME               prints the python of one, making it if necessary
    python tools/envs.py list                    prints every environment, its interpreter and whether it is ready

Needs the standard library only, on any Python from 3.7. Safe to run twice at once: one
``flock`` an environment. Nothing is written outside ``.envs/`` except pip's cache.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVS = os.path.join(ROOT, ".envs")
REQUIREMENTS = os.path.join(ROOT, "tests", "requirements")

sys.path.insert(0, os.path.join(ROOT, "tests"))
from interpreters import Interpreter, bare_env, find_interpreters  # noqa: E402

#: What Debian and its relatives call the package that brings a program.
PACKAGES = {"git": "git", "make": "make", "g++": "g++", "gcc": "gcc", "python3": "python3-dev python3-venv",
            "mpirun": "openmpi-bin"}

#: name -> (minor versions of Python that will do, best first; requirement file; why it is needed)
SPECS = {
    "main": ((11, 12, 13, 10, 9, 8), "main.txt", "tests and labs"),
    "lint": ((13, 12, 11, 10, 9), "lint.txt", "ruff, mypy and import-linter"),
    "tf221": ((11, 12, 13, 10), "tf221.txt", "tests with TensorFlow 2.21"),
    "tf115": ((7,), "tf115.txt", "tests with TensorFlow 1.15"),
    "ways": ((11, 12, 13), "ways.txt", "tests of every way that Python starts"),
    "joblib": ((11, 12, 13), "joblib.txt", "tests of joblib's workers"),
}

#: The same, for runs on demand (``make test-matrix``, ``make test-cuda``): made only when asked for by name, or by
#: ``matrix`` for those of TensorFlow's releases.
ON_DEMAND = {
    "tf24": ((8,), "tf24.txt", "tests with TensorFlow 2.4"),
    "tf210": ((9, 10), "tf210.txt", "tests with TensorFlow 2.10"),
    "tf215": ((10, 11, 9), "tf215.txt", "tests with TensorFlow 2.15"),
    "tf220": ((12, 13, 11, 10, 9), "tf220.txt", "tests with TensorFlow 2.20"),
    "tfcuda": ((11, 12, 13, 10), "tfcuda.txt", "tests with a CUDA build of TensorFlow and nvcc"),
}

#: The same, for benchmarks: made only when asked for by name.
BENCHMARKS = {"training": ((11, 12, 13), "training.txt", "the benchmark of the diagnosis")}


class EnvError(Exception):
    """An environment cannot be made: what, why, and the command that would help."""


class Env:
    """One virtualenv: its directory, the interpreter below it and what is installed in it."""

    def __init__(self, name: str, interpreter: Interpreter, requirements: str, directory: str = "") -> None:
        self.name = name
        self.interpreter = interpreter
        self.requirements = os.path.join(REQUIREMENTS, requirements)
        self.directory = directory or os.path.join(ENVS, name)

    @property
    def python(self) -> str:
        return os.path.join(self.directory, "bin", "python")

    @property
    def stamp(self) -> str:
        return os.path.join(self.directory, ".stamp")

    def wanted(self) -> str:
        """Text of the stamp that a finished environment carries: its interpreter and its requirements."""
        digest = hashlib.sha256(_requirement_text(self.requirements).encode("utf-8")).hexdigest()
        return "%s %s %s\n" % (".".join(map(str, self.interpreter.version)), self.interpreter.path, digest)

    def ready(self) -> bool:
        try:
            with open(self.stamp, encoding="utf-8") as handle:
                return handle.read() == self.wanted() and os.access(self.python, os.X_OK)
        except OSError:
            return False


def interpreters_by_minor() -> dict[int, Interpreter]:
    """minor version -> the interpreter to use; a distribution's own Python only where there is no other."""
    by_minor: dict[int, Interpreter] = {}
    for found in find_interpreters():
        if found.minor[1] not in by_minor or by_minor[found.minor[1]].debian:
            by_minor[found.minor[1]] = found
    return by_minor


def find_env(name: str, full: str = "", directory: str = "") -> Env | None:
    """The environment of that name, in whichever list, on the best interpreter for it; None where there is none."""
    minors, requirements, _ = {**SPECS, **ON_DEMAND, **BENCHMARKS}[name]
    by_minor = interpreters_by_minor()
    for minor in minors:
        if minor in by_minor:
            full = full or ("%s-py3%d" % (name, minor) if name.startswith("tf") else name)
            return Env(full, by_minor[minor], requirements, directory)
    return None


def find_envs() -> list[Env]:
    """Every environment of SPECS that this machine's interpreters allow; those on demand are not among them.

    Raises EnvError where ``CI`` is set and TensorFlow 1.15's Python 3.7 is missing: there it is no choice.
    """
    by_minor = interpreters_by_minor()
    if not by_minor:
        raise EnvError(
            "no CPython from 3.7 to 3.13 was found in PATH, pyenv or /usr/bin\nhelp: apt-get install %s"
            % PACKAGES["python3"]
        )
    envs = []
    for name, (minors, _, why) in SPECS.items():
        env = find_env(name)
        if env is not None:
            envs.append(env)
        elif name != "tf115" or os.environ.get("CI"):
            wanted = " or ".join("3.%d" % one for one in minors)
            help_ = "help: pyenv install 3.%d" % minors[0]
            raise EnvError("no CPython %s was found, which %s need\n%s" % (wanted, why, help_))
    main_minor = envs[0].interpreter.minor[1]
    envs += [Env("py3%d" % minor, by_minor[minor], "light.txt") for minor in sorted(by_minor) if minor != main_minor]
    return envs


def find_on_demand() -> list[Env]:
    """Every environment of ON_DEMAND for a release. Raises EnvError where one of the interpreters is missing."""
    envs = []
    for name, (minors, _, why) in ON_DEMAND.items():
        if name == "tfcuda":
            continue
        env = find_env(name)
        if env is None:
            wanted = " or ".join("3.%d" % one for one in minors)
            text = "no CPython %s was found, which %s need\nhelp: pyenv install 3.%d"
            raise EnvError(text % (wanted, why, minors[0]))
        envs.append(env)
    return envs


def select(names: list[str]) -> list[Env]:
    """The environments with these names; ``py`` stands for all light ones, ``tf`` for the two TensorFlows of every run,
    ``matrix`` for those on demand.

    Raises EnvError for a name that stands for nothing here.
    """
    everything = find_envs()
    if not names:
        return everything
    chosen: list[Env] = []
    for name in names:
        if name == "matrix":
            found = find_on_demand()
        elif name.partition("-")[0] in {**ON_DEMAND, **BENCHMARKS}:
            found = [env for env in [find_env(name.partition("-")[0])] if env is not None]
        else:
            found = [env for env in everything if re.match(re.escape(name) + r"[0-9]*(-py3\d+)?$", env.name)]
        if not found:
            raise EnvError("no environment is called %s here: %s" % (name, ", ".join(env.name for env in everything)))
        chosen += [env for env in found if env not in chosen]
    return chosen


def make(env: Env) -> str:
    """Python of the environment, made or refreshed first where its stamp is missing or old. Raises EnvError."""
    if env.ready():
        return env.python
    os.makedirs(ENVS, exist_ok=True)
    with open(os.path.join(ENVS, env.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not env.ready():
            _make_locked(env)
    return env.python


def _make_locked(env: Env) -> None:
    start = time.monotonic()
    if _interpreter_of(env.directory) != env.interpreter.version[:2]:
        shutil.rmtree(env.directory, ignore_errors=True)
        _run(env, [env.interpreter.path, "-m", "venv", env.directory])
    elif os.path.exists(env.stamp):
        os.unlink(env.stamp)
    pip = [env.python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--prefer-binary"]
    _run(env, pip + ["-r", env.requirements])
    with open(env.stamp + ".new", "w", encoding="utf-8") as handle:
        handle.write(env.wanted())
    os.replace(env.stamp + ".new", env.stamp)
    _say("%-12s ready after %.0f s (%r)" % (env.name, time.monotonic() - start, env.interpreter))


def _interpreter_of(directory: str) -> tuple[int, ...]:
    """(major, minor) of the virtualenv there, () if there is none that runs."""
    python = os.path.join(directory, "bin", "python")
    command = [python, "-I", "-c", "import sys, pip; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, env=bare_env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return tuple(int(part) for part in done.stdout.split(b".")) if done.returncode == 0 else ()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _run(env: Env, command: list[str]) -> None:
    done = subprocess.run(
        command, env=bare_env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    if done.returncode:
        text = done.stdout.strip()
        hint = "apt-get install python3-venv" if "ensurepip" in text else "python3 tools/envs.py make " + env.name
        raise EnvError(
            "environment %s could not be made: %s\n%s\nhelp: %s" % (env.name, " ".join(command), text[-3000:], hint)
        )


def _requirement_text(path: str) -> str:
    """Text of a requirement file together with the files that it includes by ``-r``."""
    with open(path, encoding="utf-8") as handle:
        text = handle.read()
    included = re.findall(r"^-r\s+(\S+)", text, re.MULTILINE)
    return text + "".join(_requirement_text(os.path.join(os.path.dirname(path), one)) for one in included)


def find_missing(programs: list[str]) -> list[str]:
    """One line for every program that PATH does not lead to, with the command that installs it."""
    missing = [one for one in programs if shutil.which(one) is None]
    return ["%s was not found in PATH\nhelp: apt-get install %s" % (one, PACKAGES.get(one, one)) for one in missing]


def _say(text: str) -> None:
    sys.stderr.write("envs: " + text + "\n")
    sys.stderr.flush()


def _make_all(envs: list[Env], jobs: int) -> int:
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        errors = [future.exception() for future in [pool.submit(make, env) for env in envs]]
    failures = [str(error) for error in errors if error]
    for text in failures:
        _say(text)
    return 1 if failures else 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The project's own virtualenvs under .envs/.")
    parser.add_argument("action", choices=("need", "make", "path", "list"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2, help="environments made at the same time (default 2)")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "need":
            missing = find_missing(arguments.names)
            for line in missing:
                _say(line)
            return 1 if missing else 0
        envs = select(arguments.names)
        if arguments.action == "make":
            return _make_all(envs, arguments.jobs)
        if arguments.action == "path":
            for env in envs:
                sys.stdout.write(make(env) + "\n")
            return 0
        for env in envs:
            state = "ready" if env.ready() else "to be made"
            sys.stdout.write("%-12s %-10s %s\n" % (env.name, state, env.interpreter.path))
        return 0
    except EnvError as error:
        _say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
