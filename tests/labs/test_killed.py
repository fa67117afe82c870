"""kill -9 at any point of indexing, extraction or remembering: the next run works, and nothing wrong is ever loaded.

One program loads two libraries: one lies in a far tree that has to be indexed, the other in a wheel that has to be
unpacked with what it needs. Decoys of the same names lie beside both. A round kills that program, and then runs it to
its end. It is killed at a step of its own on files (``killing``), or from outside at a moment of its run.

``KILL_ROUNDS`` says how many rounds there are; ``make stress-index`` runs three hundred.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import zipfile
from typing import Any

import killing
import pytest
from interpreters import bare_env
from lab import World
from parts import HELPER, other_machine

from dlrepair.journal import reader

pytestmark = pytest.mark.compile

#: an incompressible table: unpacking takes several writes
TABLE = "asm(\".pushsection .rodata; .incbin \\\"@FILE@\\\"; .popsection\");\n"
FAR = "int far_answer(int value) { return value + 2; }\n"
NEAR = "extern int helper_scale(int);\nint near_answer(int value) { return helper_scale(value); }\n" + TABLE

SCRIPT = """\
import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
far = ctypes.CDLL(os.path.join(here, "libfar.so"))
print("far says", far.far_answer(40), flush=True)
near = ctypes.CDLL(os.path.join(here, "libnear.so"))
print("near says", near.near_answer(14), flush=True)
"""
RIGHT = "far says 42\nnear says 42\n"


class Victim:
    """The world, the program in it, and its store."""

    def __init__(self, world: World, python: str) -> None:
        self.world = world
        self.python = python
        self.home = os.path.join(world.top, "home")
        self.store = os.path.join(self.home, "cache", "dlrepair")
        world.write(".git/HEAD", "")
        world.write("train.py", SCRIPT)
        self._far()
        self.digests = self._wheels()
        shim = killing.build(world.top)
        self.mark = killing.Mark(world.top, shim, self.home)

    def _far(self) -> None:
        for number in range(120):
            directory = os.path.join(self.home, ".local/lib/tool%d/part%d" % (number % 10, number))
            os.makedirs(directory)
            with open(os.path.join(directory, "main.py"), "w") as stream:
                stream.write("nothing\n")
        right = self.world.library("libfar.so", FAR)
        wrong = self.world.library("shelf/wrong.so", "int other(void) { return 0; }\n", soname="libfar.so")
        for place, source in (("a/libfar.so", wrong), ("deep/down/libfar.so", right)):
            path = os.path.join(self.home, ".local/lib", place)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(source, path)

    def _wheels(self) -> dict[str, str]:
        """Member -> digest of what the store may hold of it."""
        world = self.world
        table = world.write("shelf/table", random.Random(3).randbytes(3 << 20))
        helper = world.library("shelf/libhelper.so", HELPER, soname="libhelper.so")
        near = world.library("shelf/libnear.so", NEAR.replace("@FILE@", table), needs=["shelf/libhelper.so"],
                             soname="libnear.so", runpath="$ORIGIN/../pkg.libs")  # fmt: skip
        world.write("shelf/machine.so", other_machine(world.read("shelf/libnear.so")))
        crash = world.library(
            "shelf/crash.so", "__attribute__((constructor)) static void s(void) { __builtin_trap(); }\n"
            "int near_answer(int value) { return -value; }\n" + TABLE.replace("@FILE@", table)
        )  # fmt: skip
        os.makedirs(world.path("dist"))
        now = time.time()
        for age, (name, members) in enumerate((
            ("a.whl", {"pkg/libnear.so": crash}),
            ("b.whl", {"pkg/libnear.so": world.path("shelf/machine.so")}),
            ("c.whl", {"pkg/libnear.so": near, "pkg.libs/libhelper.so": helper}),
        )):  # fmt: skip
            with zipfile.ZipFile(world.path("dist/" + name), "w", zipfile.ZIP_DEFLATED) as archive:
                for member, source in members.items():
                    archive.write(source, member)
            os.utime(world.path("dist/" + name), (now - age * 10, now - age * 10))
        found = {"pkg/libnear.so": _digest(near), "pkg.libs/libhelper.so": _digest(helper)}
        shutil.rmtree(world.path("shelf"))
        return found

    def start(self, **more: str) -> Any:
        places = {"XDG_%s_HOME" % name.upper(): os.path.join(self.home, name) for name in ("state", "cache", "config")}
        self.mark.reset()
        environment = bare_env(HOME=self.home, DLREPAIR_BUDGET_MS="60000", **self.mark.env, **places, **more)
        return subprocess.Popen(
            [self.python, self.world.path("train.py")], env=environment, cwd=self.world.root, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, universal_newlines=True,
        )  # fmt: skip

    def finish(self, process: Any) -> tuple[int, str, str]:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, err

    def works(self, told: str) -> None:
        """The next run ends as it should, and what the store holds under a final name is whole."""
        status, out, err = self.finish(self.start())
        assert (status, out) == (0, RIGHT), "after %s: status %s\n%s%s" % (told, status, out, err)
        extracted = os.path.join(self.store, "extracted")
        kept = [name for name in os.listdir(extracted) if not name.startswith(".tmp-")]
        assert len(kept) == 1, (told, kept)
        for member, digest in self.digests.items():
            assert _digest(os.path.join(extracted, kept[0], member)) == digest, (told, member)
        # by dlrepair's own reader: a line of which half was written is followed by the next one without a line feed
        journal = list(reader.read(directory=os.path.join(self.home, "state", "dlrepair", "journal")))
        assert not [line for line in journal if line["event"] == "internal-error"], told
        accepted = {line["path"].rpartition("/")[0] for line in journal if line.get("verdict") == "accepted"}
        assert {os.path.basename(place) for place in accepted} <= {"down", "pkg"}, (told, accepted)

    def forget(self, what: str) -> None:
        shutil.rmtree(os.path.join(self.store, what) if what else self.store, ignore_errors=True)
        shutil.rmtree(os.path.join(self.home, "state"), ignore_errors=True)


def _digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


#: what a round begins without, in turn: everything; what is remembered; what is unpacked and remembered; nothing
BEFORE = (("",), ("remembered",), ("extracted", "remembered"), ("index", "remembered"), ())


def kill_rounds(victim: Victim, rounds: int, seed: int) -> collections.Counter[str]:
    """How many rounds were killed at each stage; each was followed by a run that worked."""
    chance = random.Random(seed)
    stages: collections.Counter[str] = collections.Counter()
    lengths: dict[tuple[str, ...], tuple[int, float]] = {}
    victim.works("nothing")
    for number in range(rounds):
        before = BEFORE[number % len(BEFORE)]
        for what in before:
            victim.forget(what)
        if before not in lengths:  # how many steps such a run takes, and how long it is
            began = time.monotonic()
            status, out, err = victim.finish(victim.start())
            assert (status, out) == (0, RIGHT), out + err
            lengths[before] = victim.mark.read()[0], time.monotonic() - began
            for what in before:
                victim.forget(what)
        steps, length = lengths[before]
        if number // len(BEFORE) % 3 == 2 or not steps:
            process = victim.start()
            time.sleep(chance.uniform(0.03, length))
            os.killpg(process.pid, signal.SIGKILL)
            how = "a moment"
        else:
            at = chance.randint(1, steps)
            half = {"KILL_HALF": "1"} if chance.random() < 0.5 else {}
            process = victim.start(KILL_AT=str(at), **half)
            how = "step %d of %d%s" % (at, steps, ", half written" if half else "")
        status, out, err = victim.finish(process)
        assert RIGHT.startswith(out), (how, out)
        assert status in (0, -signal.SIGKILL), (how, err)
        told = "%s: %s, begun without %s" % (how, victim.mark.read()[1], before)
        stages[victim.mark.stage() if status else "ended before"] += 1
        victim.works(told)
    return stages


def test_killed_at_any_point(world: World, hooked: str) -> None:
    rounds = int(os.environ.get("KILL_ROUNDS", "10"))
    stages = kill_rounds(Victim(world, hooked), rounds, int(os.environ.get("KILL_SEED", "1")))
    print(json.dumps(stages, sort_keys=True))
    assert sum(stages.values()) == rounds
    if rounds >= 100:
        assert min(stages[name] for name in ("indexing", "extraction", "remembering")) >= rounds // 50, stages
