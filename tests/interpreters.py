"""The CPython interpreters of this machine, for tests that must hold on every supported version.

Looked for in PATH, ``$PYENV_ROOT/versions``, ``~/.pyenv/versions`` and ``/usr/bin``; each one was
really run, and counts only if it answered as a CPython from 3.7 to 3.13 outside any virtualenv.

    python tests/interpreters.py        lists them: version, path, kind
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile

OLDEST = (3, 7)
NEWEST = (3, 13)

_PROBE = (
    "import sys, sysconfig, os; print('\\n'.join(["
    "sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), os.path.realpath(sys.executable),"
    "sys.prefix, sys.base_prefix, sysconfig.get_paths()['stdlib']]))"
)


class Interpreter:
    """One interpreter: ``path`` (links resolved), ``version`` as (major, minor, micro), ``debian``."""

    def __init__(self, path: str, version: tuple[int, int, int], stdlib: str) -> None:
        self.path = path
        self.version = version
        self.stdlib = stdlib

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    @property
    def label(self) -> str:
        """Short unique name, fit for a test id or a directory: ``3.11`` or ``debian-3.11``."""
        return ("debian-" if self.debian else "") + "%d.%d" % self.minor

    @property
    def debian(self) -> bool:
        """Whether its standard library holds a sitecustomize, as Debian's and Ubuntu's does."""
        return os.path.exists(os.path.join(self.stdlib, "sitecustomize.py"))

    def __repr__(self) -> str:
        return "<Interpreter %s %s>" % (".".join(map(str, self.version)), self.path)

    def make_venv(self, directory: str, *, system_site: bool = False) -> str:
        """Path of the python in a new, empty virtualenv without pip (works where ensurepip is missing)."""
        command = [self.path, "-m", "venv", "--without-pip"]
        if system_site:
            command.append("--system-site-packages")
        subprocess.run(command + [directory], check=True, env=bare_env(), stdout=subprocess.PIPE)
        return os.path.join(directory, "bin", "python")


def bare_env(**changes: str) -> dict[str, str]:
    """This process's environment without what would steer a child interpreter, plus ``changes``."""
    drop = ("PYTHON", "DLREPAIR", "LD_", "VIRTUAL_ENV", "CONDA_", "COV_", "COVERAGE_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    # on some processors TensorFlow writes a line with the time and its pid about oneDNN, on others it does not
    env.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    env.update(changes)
    return env


def site_packages(python: str) -> str:
    """The site-packages directory (purelib) of the environment of ``python``, asked of it."""
    done = subprocess.run(
        [python, "-I", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True, env=bare_env(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def find_interpreters() -> list[Interpreter]:
    """Every CPython 3.7 to 3.13 found, one a version and kind, oldest first."""
    return list(_find())


@functools.lru_cache(maxsize=None)
def _find() -> list[Interpreter]:
    by_label: dict[str, Interpreter] = {}
    seen: set[str] = set()
    for path in _proposals():
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        found = _probe(path)
        if found is None:
            continue
        kept = by_label.get(found.label)
        if kept is None or found.version > kept.version:
            by_label[found.label] = found
    return sorted(by_label.values(), key=lambda one: (one.version, one.debian))


def _proposals() -> list[str]:
    roots = [os.environ.get("PYENV_ROOT", ""), os.path.expanduser("~/.pyenv")]
    directories = []
    for root in roots:
        versions = os.path.join(root, "versions") if root else ""
        if versions and os.path.isdir(versions):
            directories += [os.path.join(versions, name, "bin") for name in sorted(os.listdir(versions))]
    on_path = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(entry)]
    directories += [entry for entry in on_path if os.path.basename(entry) != "shims"]
    directories += ["/usr/bin", "/usr/local/bin"]
    minors = ["%d.%d" % (OLDEST[0], minor) for minor in range(OLDEST[1], NEWEST[1] + 1)]
    names = ["python" + minor for minor in minors] + ["python3", "python"]
    paths = [os.path.join(directory, name) for directory in directories for name in names]
    return [path for path in paths if os.access(path, os.X_OK) and not os.path.isdir(path)]


def _probe(path: str) -> Interpreter | None:
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE], env=bare_env(), cwd=tempfile.gettempdir(), timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 6 or lines[0] != "cpython":
        return None
    version = tuple(int(part) for part in lines[1].split("."))
    if not OLDEST <= version[:2] <= NEWEST or lines[3] != lines[4]:
        return None
    return Interpreter(lines[2], (version[0], version[1], version[2]), lines[5])


if __name__ == "__main__":
    for interpreter in find_interpreters():
        sys.stdout.write("%-12s %-8s %s\n" % (
            interpreter.label, ".".join(map(str, interpreter.version)), interpreter.path))  # fmt: skip
