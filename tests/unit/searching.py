"""What the tests of search, vetting and trial share: a project on disk, a compiler, a request."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any, Sequence

from dlrepair.model.candidate import Candidate, Wanted
from dlrepair.model.requests import Caller, LoadRequest
from dlrepair.search import sources
from dlrepair.settings import Settings

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: Content of a file whose name alone matters.
ANYTHING = b"\x7fELF and nothing more"


def settings(**values: Any) -> Settings:
    return Settings(**values)


def child_environment(**more: str) -> dict[str, str]:
    """Environment of a child that imports this checkout and the helpers of these tests."""
    places = [ROOT, os.path.dirname(os.path.abspath(__file__)), os.environ.get("PYTHONPATH", "")]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(place for place in places if place), **more)


def compile_library(
    path: str,
    source: str = "int answer(void) { return 42; }",
    *,
    soname: str = "",
    needs: Sequence[str] = (),
    flags: Sequence[str] = (),
    language: str = "c",
) -> str:
    """Path of a shared library compiled for this test, read-only for others whatever the umask is."""  # fmt: skip
    os.makedirs(os.path.dirname(path), exist_ok=True)
    command = ["gcc" if language == "c" else "g++", "-shared", "-fPIC", "-O1", "-x", language, "-", "-x", "none"]
    command += ["-o", path, *needs, *flags] + (["-Wl,-soname," + soname] if soname else [])
    done = subprocess.run(command, input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    os.chmod(path, 0o755)
    return path


class Project:
    """A user's project: files by relative name, and the request that its script would make."""

    def __init__(self, root: str, mark: str = ".git") -> None:
        self.root = os.path.realpath(root)
        self.script = self.path("train.py")
        os.makedirs(self.root, exist_ok=True)
        if mark:
            self.write(mark, b"")
        self.write("train.py", b"")

    def path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def write(self, name: str, content: bytes = ANYTHING) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
        os.chmod(path, 0o644)
        return path

    def library(self, name: str, source: str = "int answer(void) { return 42; }", **more: Any) -> str:
        return compile_library(self.path(name), source, **more)

    def request(
        self,
        requested: str,
        *,
        caller: str = "train.py",
        cwd: str = "",
        loader: str = "ctypes",
        op_loader: bool = False,
    ) -> LoadRequest:
        return LoadRequest(
            loader=loader, requested=requested, cwd=cwd or self.root, start_cwd=cwd or self.root, script=self.script,
            caller=Caller(self.path(caller), 1) if caller else None, op_loader=op_loader,
        )  # fmt: skip

    def find(self, requested: str, *, seconds: float = 20.0, **more: Any) -> list[tuple[str, str, str]]:
        """(path relative to the project or absolute, source, rule) of every candidate inside the project, in order."""
        found = self.candidates(requested, seconds=seconds, **more)
        return [
            (os.path.relpath(one.path, self.root), one.source, one.rule)
            for one in found
            if one.path.startswith(self.root + "/")
        ]

    def candidates(
        self, requested: str, *, seconds: float = 20.0, role: str = "substitute", exact: bool = False,
        exclude: Sequence[str] = (), notes: Any = None, with_settings: Any = None, name: str = "", **more: Any
    ) -> list[Candidate]:  # fmt: skip
        request = self.request("x.so" if role == "dependency" else requested, **more)
        wanted = Wanted(
            name or requested.rsplit("/", 1)[-1], role, requested=requested, loader=request.loader, exact_name=exact,
            exclude=tuple(exclude),
        )  # fmt: skip
        chosen = with_settings or settings()
        return list(sources.find_candidates(wanted, request, chosen, time.monotonic() + seconds, notes=notes))
