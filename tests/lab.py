"""Broken worlds: built with the real compiler, proved broken with a bare interpreter, then run with the hook.

A lab is a user's project and an unmodified script. ``build`` makes the working world and
``break_`` breaks it; ``check_repaired`` and ``check_left_alone`` run the script three times:

1. working world, bare interpreter: its standard output is what a repair must reproduce;
2. broken world, bare interpreter: it must fail in the way that the lab claims;
3. broken world, hooked interpreter, private home: standard output, exit status, journal, and
   every byte below the project are compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sysconfig
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from interpreters import bare_env

#: Seconds after which a run counts as hanging.
PATIENCE = 60.0

HUNG = "the process hangs"


class World:
    """A user's project on disk. Paths given to the methods are relative to ``root``."""

    def __init__(self, top: str) -> None:
        self.top = top  #: private directory of this test; the project lies in it
        self.root = os.path.join(top, "project")
        self.cwd = self.root
        self.env: dict[str, str] = {}
        self.script = "train.py"
        self.patience = PATIENCE
        self.python = ""  #: interpreter that extension modules are compiled for
        os.makedirs(self.root)

    def path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as handle:
            handle.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    def read(self, name: str) -> bytes:
        with open(self.path(name), "rb") as handle:
            return handle.read()

    def move(self, name: str, to: str) -> None:
        os.makedirs(os.path.dirname(self.path(to)), exist_ok=True)
        os.rename(self.path(name), self.path(to))

    def copy(self, name: str, to: str) -> None:
        self.write(to, self.read(name))

    def rename_root(self, name: str) -> None:
        """Moves the whole project: every absolute path into it is stale afterwards."""
        new = os.path.join(self.top, name)
        os.rename(self.root, new)
        self.cwd = new + self.cwd[len(self.root) :]
        self.root = new

    def library(
        self, name: str, source: str, needs: Sequence[str] = (), soname: str | None = None, runpath: str | None = None,
        flags: Sequence[str] = (),
    ) -> str:
        """Path of a shared library compiled from C; ``needs`` are libraries of this world that it is linked with.

        The SONAME is the file's name unless given; "" leaves it out.
        """  # fmt: skip
        output = self.path(name)
        os.makedirs(os.path.dirname(output), exist_ok=True)
        soname = os.path.basename(name) if soname is None else soname
        command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-x", "none", "-o", output, *flags]
        command += [self.path(one) for one in needs]
        command += ["-Wl,-soname," + soname] if soname else []
        command += ["-Wl,--enable-new-dtags,-rpath," + runpath] if runpath else []
        done = subprocess.run(command, input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout.decode()
        return output

    def extension(self, module: str, source: str, needs: Sequence[str] = (), runpath: str | None = None) -> str:
        """Name of an extension module compiled for ``self.python``, relative to the root."""
        include, suffix = _python_facts(self.python)
        name = module + suffix
        self.library(name, source, needs=needs, soname="", runpath=runpath, flags=["-I" + include])
        return name

    def state(self) -> dict[str, str]:
        """Every path below the root: type, mode, owner, modification time and content; no bytecode caches."""
        found = {}
        for directory, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if name != "__pycache__")
            for name in names + files:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, self.root)] = _describe(path)
        return found


def _describe(path: str) -> str:
    info = os.lstat(path)
    content = ""
    if stat.S_ISLNK(info.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(info.st_mode):
        with open(path, "rb") as handle:
            content = hashlib.sha256(handle.read()).hexdigest()
    mtime = info.st_mtime_ns if stat.S_ISREG(info.st_mode) else 0
    return "%o %d %d %s" % (info.st_mode, info.st_uid, mtime, content)


_facts: dict[str, tuple[str, str]] = {}


def _python_facts(python: str) -> tuple[str, str]:
    """(directory of Python.h, suffix of extension modules) of an interpreter."""
    if not python:
        return sysconfig.get_paths()["include"], str(sysconfig.get_config_var("EXT_SUFFIX"))
    if python not in _facts:
        code = "import sysconfig as s; print(s.get_paths()['include'], s.get_config_var('EXT_SUFFIX'), sep='\\n')"
        done = subprocess.run([python, "-I", "-c", code], check=True, stdout=subprocess.PIPE)
        lines = done.stdout.decode().splitlines()
        _facts[python] = (lines[0], lines[1])
    return _facts[python]


@dataclass
class Lab:
    """One breakage: how to build it, how it fails without dlrepair, and what is expected with it."""

    name: str
    script: str
    build: Callable[[World], object]
    break_: Callable[[World], object]
    bare: str  #: pattern for standard error without dlrepair; ``SIGBUS`` and such, or HUNG, for what raises nothing
    cause: str = ""
    strategy: str = ""
    loader: str = "ctypes"
    journal: dict[str, str] = field(default_factory=dict)  #: event -> pattern for its JSON, for what is left alone

    def __repr__(self) -> str:
        return self.name


@dataclass
class Run:
    """What one run of the script did."""

    status: int | None  #: None: it hung and was killed
    out: str
    err: str
    journal: list[dict[str, Any]]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.journal if line["event"] == name]

    def story(self) -> str:
        """Everything about the run, for a failing assertion."""
        lines = [json.dumps(line, sort_keys=True) for line in self.journal]
        return "status %s\n--- stdout\n%s--- stderr\n%s--- journal\n%s" % (
            self.status, self.out, self.err, "\n".join(lines))  # fmt: skip


def run_script(world: World, python: str, home: str, arguments: Sequence[str] = (), **env: str) -> Run:
    """The world's script, run by ``python`` with a private home."""
    os.makedirs(home, exist_ok=True)
    variables = dict(world.env, **env)
    variables["HOME"] = home
    for place in ("state", "cache", "config"):
        variables["XDG_%s_HOME" % place.upper()] = os.path.join(home, place)
    command = [python, *(arguments or [world.path(world.script)])]
    process = subprocess.Popen(
        command, cwd=world.cwd, env=bare_env(**variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    status: int | None
    try:
        out, err = process.communicate(timeout=world.patience)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = None
    text = err.decode("utf-8", "replace")
    return Run(status, out.decode("utf-8", "replace"), text, read_journal(os.path.join(home, "state")))


def read_journal(state_home: str) -> list[dict[str, Any]]:
    """Every line of the journal, in order; a line that is no JSON object is an error."""
    directory = os.path.join(state_home, "dlrepair", "journal")
    lines = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        with open(os.path.join(directory, name), encoding="utf-8") as handle:
            lines += [json.loads(line) for line in handle]
    return lines


def check_working(lab: Lab, world: World, bare: str) -> str:
    """Standard output of the script in the working world."""
    lab.build(world)
    world.write(world.script, lab.script.replace("@ROOT@", world.root))
    working = run_script(world, bare, os.path.join(world.top, "home-working"))
    assert working.status == 0 and working.out, "the working world does not work\n" + working.story()
    return working.out


def check_breaks(lab: Lab, world: World, bare: str) -> Run:
    """The bare run in the broken world, after it failed as the lab claims."""
    lab.break_(world)
    patience, world.patience = world.patience, 3.0 if lab.bare == HUNG else world.patience
    broken = run_script(world, bare, os.path.join(world.top, "home-bare"))
    world.patience = patience
    if lab.bare == HUNG:
        assert broken.status is None, broken.story()
    elif lab.bare.startswith("SIG"):
        assert broken.status == -int(getattr(signal, lab.bare)), broken.story()
    else:
        assert broken.status not in (0, None) and broken.status > 0, broken.story()
        assert re.search(lab.bare, broken.err), broken.story()
    return broken


def check_repaired(lab: Lab, world: World, bare: str, hooked: str) -> Run:
    """The repaired run: same output as in the working world, one message, the journal as claimed, nothing modified."""
    expected = check_working(lab, world, bare)
    check_breaks(lab, world, bare)
    return check_repaired_as(lab, world, hooked, expected)


def check_repaired_as(lab: Lab, world: World, hooked: str, expected: str) -> Run:
    """The hooked run of a script in a world already proved broken, after everything about it was checked."""
    before = world.state()
    run = run_script(world, hooked, os.path.join(world.top, "home-hooked"))
    assert run.status == 0 and run.out == expected, "not repaired; expected %r\n%s" % (expected, run.story())
    assert world.state() == before, "the user's tree was changed\n" + run.story()
    repaired = run.events("load-repaired")
    assert repaired, run.story()
    assert (repaired[-1]["cause"], repaired[-1]["strategy"]) == (lab.cause, lab.strategy), run.story()
    assert repaired[-1]["incident"] in {line["incident"] for line in run.events("load-failed")}, run.story()
    assert [line["cause"] for line in run.events("diagnosed")], run.story()
    said = [line for line in run.err.splitlines() if line.startswith("dlrepair[")]
    assert len(said) == len(repaired), "one line on stderr a repair\n" + run.story()
    assert said[-1].startswith("dlrepair[%s]: " % lab.cause), run.story()
    assert not run.events("internal-error"), run.story()
    return run


def check_left_alone(lab: Lab, world: World, bare: str, hooked: str) -> Run:
    """The hooked run in a world that must not be repaired: it behaves as the bare one, and the journal says why."""
    lab.build(world)
    world.write(world.script, lab.script.replace("@ROOT@", world.root))
    lab.break_(world)
    patience, world.patience = world.patience, 3.0 if lab.bare == HUNG else world.patience
    broken = run_script(world, bare, os.path.join(world.top, "home-bare"))
    world.patience = patience
    assert re.search(lab.bare, broken.err + broken.out, re.MULTILINE), broken.story()
    before = world.state()
    run = run_script(world, hooked, os.path.join(world.top, "home-hooked"))
    assert world.state() == before, "the user's tree was changed\n" + run.story()
    assert (run.status, run.out) == (broken.status, broken.out), "expected %r\n%s" % (broken.out, run.story())
    assert not run.events("load-repaired"), run.story()
    kept = [line for line in run.err.splitlines(True) if not line.startswith(("dlrepair", "help:", "  "))]
    expected = [line for line in broken.err.splitlines(True) if not line.startswith("  ")]
    assert kept[len(kept) - len(expected) :] == expected, "other words on stderr than bare\n" + run.story()
    for event, pattern in lab.journal.items():
        lines = [json.dumps(line, sort_keys=True) for line in run.events(event)]
        assert any(re.search(pattern, line) for line in lines), "no %s like %r\n%s" % (event, pattern, run.story())
    assert not run.events("internal-error"), run.story()
    return run
