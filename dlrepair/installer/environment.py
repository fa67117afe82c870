"""The facts of a Python environment, asked of its own interpreter in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Sequence

#: Longest that a child interpreter may take to start and answer, in seconds.
TIMEOUT = 60.0

_MARK = "dlrepair-answer:"

#: Runs on any Python, 2.7 included: an old one has to be able to say how old it is.
_PROBE = r"""
import os, sys
if not getattr(sys.flags, "safe_path", False) and sys.path and sys.path[0] == "":
    del sys.path[0]
answer = {"version": list(sys.version_info[:3]), "executable": sys.executable, "prefix": sys.prefix}
answer["base_prefix"] = getattr(sys, "real_prefix", getattr(sys, "base_prefix", sys.prefix))
answer["conda"] = os.path.isdir(os.path.join(sys.prefix, "conda-meta"))
if sys.version_info[:2] >= (3, 7):
    import site, sysconfig, _imp
    from importlib.machinery import PathFinder
    answer["implementation"] = sys.implementation.name
    answer["path"] = sys.path
    answer["purelib"] = sysconfig.get_paths()["purelib"]
    answer["sites"] = site.getsitepackages() if hasattr(site, "getsitepackages") else []
    found = []
    for entry in sys.path:
        spec = PathFinder.find_spec("sitecustomize", [entry])
        if spec is not None and spec.loader is not None and spec.origin is not None:
            found.append([entry, spec.origin])
    answer["sitecustomizes"] = found
    wrapped = hasattr(_imp.create_dynamic, "__dlrepair__")
    names = getattr(_imp.create_dynamic, "__globals__", {}) if wrapped else {}
    answer["live"] = names.get("__file__") if wrapped else None
    answer["live_home"] = names.get("HOME") if wrapped else None
    spec = PathFinder.find_spec("dlrepair")
    answer["package"] = spec.origin if spec is not None and spec.loader is not None else None
    if answer["package"]:
        import dlrepair
        answer["package_version"] = getattr(dlrepair, "__version__", "")
import json
sys.stdout.write("\n" + MARK + json.dumps(answer) + "\n")
"""


class InstallError(Exception):
    """The hook could not be put in place or taken away; the text says why and what to do.

    ``usage``: nothing is wrong with the environment, something else was to be asked for.
    """

    def __init__(self, text: str, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


@dataclass(frozen=True)
class Environment:
    """One interpreter with its site-packages, as it described itself."""

    python: str  #: the path that was run
    version: tuple[int, int, int]
    prefix: str
    isolated: bool  #: a virtualenv or conda environment
    site_packages: str
    path: tuple[str, ...]  #: its sys.path, without the script's directory
    #: (sys.path entry, file) of every sitecustomize that an import could find, first one first
    sitecustomizes: tuple[tuple[str, str], ...]
    live: str | None  #: the file that armed the hook in that child, or None
    live_home: str | None  #: where that hook looks for the package
    package: str | None  #: ``dlrepair/__init__.py`` as that interpreter finds it
    package_version: str

    @property
    def label(self) -> str:
        return "Python {}.{}.{} in {}".format(self.version[0], self.version[1], self.version[2], self.prefix)

    def shadowed_by(self) -> str | None:
        """The file that ``import sitecustomize`` finds before site-packages has its say, or None."""
        own = os.path.join(self.site_packages, "sitecustomize.py")
        for entry, origin in self.sitecustomizes:
            if entry == self.site_packages:
                return None if origin == own else origin
            if self._rank(entry) < self._rank(self.site_packages):
                return origin
        return None

    def _rank(self, entry: str) -> int:
        return self.path.index(entry) if entry in self.path else len(self.path)


def child_environment(template: str = "") -> dict[str, str]:
    """This process's environment for a child that must show how the interpreter starts by itself.

    Without the settings of dlrepair, the template directory of ``dlrepair run`` and
    what makes an interpreter talk or wait; and it writes no bytecode of other people's files.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("DLREPAIR")}
    for name in ("PYTHONINSPECT", "PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP", "PYTHONDEBUG"):
        env.pop(name, None)
    if template and env.get("PYTHONPATH"):
        kept = [entry for entry in env["PYTHONPATH"].split(os.pathsep) if entry != template]
        env["PYTHONPATH"] = os.pathsep.join(kept)
    if not env.get("PYTHONPATH"):
        env.pop("PYTHONPATH", None)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    return env


def run_python(python: str, arguments: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """The finished child. Raises InstallError if it cannot be run or does not end."""
    try:
        return subprocess.run(
            [python, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InstallError("{} did not answer within {:.0f} s".format(python, TIMEOUT)) from None
    except OSError as error:
        raise InstallError("{} cannot be run: {}".format(python, error.strerror or error)) from None


def ask(python: str, code: str, env: dict[str, str], what: str) -> dict[str, Any]:
    """What ``code`` wrote as JSON behind the mark. Raises InstallError, quoting the child, if it did not."""
    done = run_python(python, ["-c", "MARK = %r\n" % _MARK + code], env)
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            answer: dict[str, Any] = json.loads(line[len(_MARK) :])
            return answer
    words = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    said = words[-1][:300] if words else "exit status {}".format(done.returncode)
    raise InstallError("{} {}: {}".format(python, what, said))


def find_python(python: str | None) -> str:
    """The interpreter to ask: ours, the file named, or the one in the environment directory named."""
    if python is None:
        if not sys.executable:
            raise InstallError("this interpreter does not know its own path; name one with --python PATH")
        return sys.executable
    path = os.path.abspath(os.path.expanduser(python))
    if os.path.isdir(path):
        path = os.path.join(path, "bin", "python")
    if not os.path.exists(path):
        import shutil

        found = shutil.which(python) if os.sep not in python else None
        if found is None:
            raise InstallError("there is no interpreter at {}".format(python), usage=True)
        path = found
    return path


def inspect(python: str | None = None) -> Environment:
    """The environment of ``python`` (default: the running one). Raises InstallError.

    Runs one child interpreter with the user's environment variables.
    """
    from dlrepair.installer.places import find_template

    path = find_python(python)
    answer = ask(path, _PROBE, child_environment(find_template()), "does not answer like a Python")
    version = (answer["version"][0], answer["version"][1], answer["version"][2])
    if version < (3, 7):
        text = "{} is Python {}.{}; dlrepair needs 3.7 or newer"
        raise InstallError(text.format(path, version[0], version[1]), usage=True)
    if answer["implementation"] != "cpython":
        raise InstallError("{} is {}; dlrepair knows CPython only".format(path, answer["implementation"]), usage=True)
    package = answer["package"]
    return Environment(
        python=path,
        version=version,
        prefix=answer["prefix"],
        isolated=answer["prefix"] != answer["base_prefix"] or answer["conda"],
        site_packages=_site_packages(answer),
        path=tuple(answer["path"]),
        sitecustomizes=tuple((entry, origin) for entry, origin in answer["sitecustomizes"]),
        live=answer["live"],
        live_home=answer["live_home"],
        package=package,
        package_version=answer.get("package_version", ""),
    )


def _site_packages(answer: dict[str, Any]) -> str:
    """The directory that the environment's start-up reads ``.pth`` files from."""
    purelib = str(answer["purelib"])
    if purelib in answer["path"]:
        return purelib
    for place in answer["sites"]:
        if place in answer["path"]:
            return str(place)
    raise InstallError("{} has no site-packages directory on its sys.path".format(answer["executable"]))
