"""Real virtualenvs that see the checkout, and what is looked at in them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from typing import Any, NamedTuple

from interpreters import Interpreter, bare_env, find_interpreters, site_packages

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

EVERY = find_interpreters()
#: the oldest, the newest and, where there is one, a distribution's with a sitecustomize of its own
FEW = sorted({EVERY[0], EVERY[-1], *[one for one in EVERY if one.debian][:1]}, key=lambda one: one.version)

_ARMED = (
    "import _imp, json, sys; wrapper = _imp.create_dynamic;"
    "sys.stdout.write(json.dumps(wrapper.__globals__['__file__'] if hasattr(wrapper, '__dlrepair__') else None))"
)


class Done(NamedTuple):
    """A finished child."""

    status: int
    out: str
    err: str


class World:
    """One virtualenv below a test's own directory, with a private home."""

    def __init__(self, directory: str, interpreter: Interpreter, package: str = ROOT) -> None:
        """``package``: what a ``.pth`` line adds to sys.path, "" for nothing."""
        self.interpreter = interpreter
        self.home = os.path.join(directory, "home")
        self.directory = os.path.join(directory, "venv " + interpreter.label)  # a space, as in people's paths
        os.makedirs(self.home)
        self.python = interpreter.make_venv(self.directory)
        self.site = site_packages(self.python)
        if package:
            with open(os.path.join(self.site, "checkout.pth"), "w") as handle:
                handle.write(package + "\n")

    def run(self, *arguments: str, **environment: str) -> Done:
        """The virtualenv's python with these arguments, in a directory that holds nothing of ours."""
        return run([self.python, *arguments], self.home, **environment)

    def dlrepair(self, *arguments: str, **environment: str) -> Done:
        return self.run("-m", "dlrepair", *arguments, **environment)

    def install(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The JSON answer of ``dlrepair install``, which must succeed."""
        done = self.dlrepair("install", "--json", *arguments, **environment)
        assert done.status == 0, done
        # their sitecustomize may have spoken first
        answer: dict[str, Any] = json.loads(done.out[done.out.index("{") :])
        return answer

    def armed(self, *options: str, **environment: str) -> str | None:
        """The file that armed a fresh interpreter, asked of itself, or None; nothing else may be printed."""
        done = self.run(*options, "-c", _ARMED, **environment)
        assert done.status == 0 and done.err == "", done
        answer: str | None = json.loads(done.out)
        return answer

    def path(self, name: str) -> str:
        return os.path.join(self.site, name)

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        path = self.path(name)
        with open(path, "w") as handle:
            handle.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name: str) -> str:
        with open(self.path(name)) as handle:
            return handle.read()

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Everything in site-packages: kind, mode, and of files time and digest."""
        found: dict[str, tuple[object, ...]] = {}
        for place, directories, names in os.walk(self.site):
            for name in directories + names:
                path = os.path.join(place, name)
                info = os.lstat(path)
                key = os.path.relpath(path, self.site)
                if stat.S_ISLNK(info.st_mode):
                    found[key] = ("link", os.readlink(path))
                elif stat.S_ISDIR(info.st_mode):
                    found[key] = ("directory", stat.S_IMODE(info.st_mode))
                else:
                    with open(path, "rb") as handle:
                        digest = hashlib.sha256(handle.read()).hexdigest()
                    found[key] = ("file", stat.S_IMODE(info.st_mode), info.st_mtime_ns, digest)
        return found


def run(command: list[str], cwd: str, **environment: str) -> Done:
    env = bare_env(HOME=cwd, XDG_STATE_HOME="", XDG_CACHE_HOME="", XDG_CONFIG_HOME="", **environment)
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, timeout=120,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
