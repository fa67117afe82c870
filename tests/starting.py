"""Programs that need another environment, started in every way that there is: what each run did, to the byte.

Two broken worlds. In ``moved`` a library lies elsewhere: the running process is repaired. In ``conflict`` an older
build of a SONAME is mapped by the time a library needs the newer one's symbol versions: only a new process helps.
Each program appends to the file ``effects`` when it does what cannot be undone: exactly once, whatever dlrepair does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from interpreters import bare_env
from lab import World, read_journal

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 90.0

OLD = "int dep(void) { return 1; }\n"
NEW = "int dep(void) { return 2; }\nint dep_new(void) { return 20; }\n"
FIRST = "extern int dep(void);\nint first(void) { return dep(); }\n"
SECOND = "extern int dep_new(void);\nint second(void) { return 22 + dep_new(); }\n"
MAP_OLD = "DEP_1 { global: dep; local: *; };\n"
MAP_NEW = "DEP_1 { global: dep; };\nDEP_2 { global: dep_new; local: *; } DEP_1;\n"

#: what a module of the project does when it is imported
LIBRARIES = """\
import ctypes
import os

HERE = @HERE@
first = ctypes.CDLL(os.path.join(HERE, "libfirst.so"))
second = ctypes.CDLL(os.path.join(HERE, "libsecond.so"))
"""

#: what a program does once it has its libraries
WORK = """\
def work(name):
    with open(os.path.join(HERE, "effects"), "a") as file:
        file.write(name + "\\n")
    return second.second()


print("second says", work("main"), sorted(name for name in os.environ if name.startswith(("LD_", "DLREPAIR"))))
"""

HERE = "os.path.dirname(os.path.abspath(__file__))"


def ways_python(name: str = "ways") -> str:
    """Python of an environment, made if it is missing."""
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "tools", "envs.py"), "path", name], env=bare_env(), check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout.decode().strip()


@dataclass
class Did:
    """What one run did."""

    status: int | None  #: None: it hung
    out: str
    err: str
    effects: list[str]
    journal: list[dict[str, Any]] = field(default_factory=list)  #: of this run only

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.journal if line["event"] == name]

    def story(self) -> str:
        lines = "\n".join(str(line) for line in self.journal)
        return "status %s, effects %s\n--- stdout\n%s\n--- stderr\n%s\n--- journal\n%s" % (
            self.status, self.effects, self.out, self.err, lines)  # fmt: skip


class Project:
    """A user's project in one of the two worlds, and a private home that persists from run to run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.root = world.root
        self.home = os.path.join(world.top, "home")
        self.program = LIBRARIES.replace("@HERE@", HERE) + WORK
        self.patience = PATIENCE
        self.answer = ""

    def path(self, name: str) -> str:
        return self.world.path(name)

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        path = self.world.write(name, text)
        os.chmod(path, mode)
        return path

    def build(self, kind: str) -> None:
        """The world in which everything works."""
        world = self.world
        for folder, source, versions in (("old", OLD, MAP_OLD), ("lib", NEW, MAP_NEW)):
            self.write(folder + "/dep.map", versions)
            script = "-Wl,--version-script=" + world.path(folder + "/dep.map")
            world.library(folder + "/libdep.so.1", source, flags=[script])
        world.library("libfirst.so", FIRST, needs=["lib/libdep.so.1"], runpath="$ORIGIN/lib")
        runpath = "$ORIGIN/lib" if kind == "moved" else None
        world.library("libsecond.so", SECOND, needs=["lib/libdep.so.1"], runpath=runpath)

    def break_(self, kind: str) -> None:
        if kind == "moved":
            self.world.move("libsecond.so", "build/libsecond.so")
            self.world.library("build/libsecond.so", SECOND, needs=["lib/libdep.so.1"], runpath="$ORIGIN/../lib")
        else:
            self.world.library("libfirst.so", FIRST, needs=["old/libdep.so.1"], runpath="$ORIGIN/old")

    def run(
        self, command: Sequence[str], stdin: Any = subprocess.DEVNULL, cwd: str | None = None,
        env: dict[str, str] | None = None, wait: Callable[[subprocess.Popen[bytes]], None] | None = None, **more: str,
    ) -> Did:  # fmt: skip
        """What the command did; ``env`` replaces the whole environment."""
        os.makedirs(self.home, exist_ok=True)
        variables = dict(HOME=self.home, PYTHONDONTWRITEBYTECODE="1", **more)
        if os.path.lexists(self.path("effects")):
            os.unlink(self.path("effects"))
        before = len(read_journal(os.path.join(self.home, ".local", "state")))
        feed = stdin if isinstance(stdin, bytes) else None
        process = subprocess.Popen(
            command, cwd=cwd or self.root, env=bare_env(**variables) if env is None else env,
            stdin=subprocess.PIPE if feed is not None else stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        status: int | None
        try:
            if wait is not None:
                wait(process)
            out, err = process.communicate(feed, timeout=self.patience)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            status = None
        journal = read_journal(os.path.join(self.home, ".local", "state"))[before:]
        return Did(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), self.effects(), journal)

    def effects(self) -> list[str]:
        if not os.path.exists(self.path("effects")):
            return []
        with open(self.path("effects")) as file:
            return file.read().splitlines()

    def forget(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)


@dataclass
class Way:
    """One way to start the program. ``start`` gets the project and a Python, and runs the program once."""

    name: str
    start: Callable[[Project, str], Did]
    refused: str = ""  #: slug of the condition that keeps it from being started again at once; "": it is
    prepare: Callable[[Project], object] = lambda project: project.write("train.py", project.program)
    same_output: bool = True  #: whether standard output is the same from run to run

    def __repr__(self) -> str:
        return self.name


def no_trouble(did: Did) -> None:
    assert not did.events("internal-error"), did.story()


def check(way: Way, kind: str, project: Project, bare: str, hooked: str) -> None:
    """The way in one world: as good as in the working one, and every effect exactly once.

    Where the process may not be started again, the first run fails as a bare one, the journal names the
    condition, and the second run works from its start.
    """
    project.build(kind)
    way.prepare(project)
    good = way.start(project, bare)
    assert good.status == 0 and good.effects, "the working world does not work\n" + good.story()
    project.break_(kind)
    broken = way.start(project, bare)
    assert broken.effects != good.effects, "the broken world works\n" + broken.story()
    project.forget()
    first = way.start(project, hooked)
    no_trouble(first)
    refused = [line["refused"] for line in first.events("reexec")]
    if kind == "moved":
        is_good(first, good, way)
        assert not refused and first.events("load-repaired"), first.story()
        return
    runs = {line["run"] for line in first.journal}
    if not way.refused:
        is_good(first, good, way)
        assert refused == [None], first.story()
        assert [line["strategy"] for line in first.events("load-repaired")] == ["reexec"], first.story()
        assert len(runs) == 1, first.story()
        assert sum(line.startswith("dlrepair[") for line in first.err.splitlines()) == 1, first.story()
    else:
        assert way.refused in refused and None not in refused, first.story()
        assert first.effects == broken.effects, "other effects than bare\n" + first.story() + broken.story()
        if way.same_output:
            assert (first.status, first.out) == (broken.status, broken.out), first.story() + broken.story()
    assert [line["kept"] for line in first.events("learned")][:1] == [True], first.story()
    second = way.start(project, hooked)
    no_trouble(second)
    is_good(second, good, way)
    assert any(line.get("applied") for line in second.events("learned")), second.story()
    failed = [line["requested"] for line in second.events("load-failed")]  # some look for what they can do without
    assert not any("libsecond" in name for name in failed) and not second.events("reexec"), second.story()


def is_good(did: Did, good: Did, way: Way) -> None:
    assert did.status == good.status, did.story()
    assert did.effects == good.effects, "an effect was lost or repeated: %s\n%s" % (good.effects, did.story())
    if way.same_output:
        assert did.out == good.out, "expected %r\n%s" % (good.out, did.story())
