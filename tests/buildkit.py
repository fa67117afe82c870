"""Builds of plain C++ libraries by ``dlrepair.build.service``, in child processes with private stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from interpreters import bare_env

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: Builds the library of the sources that are named, prints every event and the result as lines of JSON.
CHILD = """
import json, os, sys
sys.path.insert(0, {root!r})
from dlrepair.build import nvcc, service
from dlrepair.model.build import Recipe
from dlrepair.render import jsonout
from dlrepair.search import reachable

folder, shared = sys.argv[1:3]
names = [os.path.join(folder, name) for name in sys.argv[3:]]
sources = tuple(name for name in names if not name.endswith(".cu"))
kernels = tuple(name for name in names if name.endswith(".cu"))
recipe = Recipe("libplain.so", sources, cuda_sources=kernels, cuda=bool(kernels), directory=folder)

def emit(event, **fields):
    print(json.dumps(dict(jsonout.plain(fields), event=event)), flush=True)

if "ONLY_NAMED_TOOLKITS" in os.environ:
    nvcc._DISTRIBUTIONS = ()
    places = os.environ["PATH"].split(":")
    os.environ["PATH"] = ":".join(one for one in places if not os.path.exists(os.path.join(one, "nvcc")))
result = service.build(recipe, shared=shared, emit=emit, cpu_will_do="CPU_WILL_DO" in os.environ,
                       reaches=reachable.answers)
print(json.dumps(jsonout.plain(result)), flush=True)
""".format(root=ROOT)

FULL = """
import os, subprocess, sys
store, size, command = sys.argv[1], sys.argv[2], sys.argv[3:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size + "k,mode=700", "tmpfs", store], check=True)
print("mounted", flush=True)
done = subprocess.run(command)
names = [name for _, directories, files in os.walk(store) for name in directories + files]
print("left:", [name for name in names if name.startswith(".tmp-")])
sys.exit(done.returncode)
"""


def run_on_full_disk(
    store: str, kibibytes: int, command: list[str], env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The command with a store on a tmpfs of that size, in a mount namespace: of its own user, else of this root's."""
    os.makedirs(store)
    why = ""
    for options in ("-rm", "-m"):
        words = ["unshare", options, sys.executable, "-c", FULL, store, str(kibibytes), *command]
        done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.stdout.startswith("mounted"):
            return done
        why += done.stderr
    assert "CI" not in os.environ, "a build machine can mount a tmpfs: " + why
    pytest.skip("neither user namespaces nor the right to mount here: " + why[:200])


PLAIN = '#include "plain.h"\nextern "C" int answer(void) { return VALUE; }\n'
HEADER = "#pragma once\n#define VALUE 42\n"


class Project:
    """A directory with sources, and the store that their builds go to."""

    def __init__(self, top: str, store: str = "") -> None:
        self.folder = os.path.join(top, "project")
        self.store = store or os.path.join(top, "store")
        self.shared = ""
        self.env: dict[str, str] = {}
        self.around: list[str] = []  #: words before the command of a build
        os.makedirs(self.folder)
        self.write("plain.cc", PLAIN)
        self.write("plain.h", HEADER)

    def write(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "w") as stream:
            stream.write(text)
        return path

    def command(self, *sources: str) -> list[str]:
        return [*self.around, sys.executable, "-c", CHILD, self.folder, self.shared, *(sources or ("plain.cc",))]

    def environment(self) -> dict[str, str]:
        return bare_env(DLREPAIR_STORE=self.store, HOME=os.path.dirname(self.store), **self.env)

    def start(self, *sources: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*sources), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def build(self, *sources: str) -> Built:
        child = self.start(*sources)
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0, out
        return Built(out)

    def builds(self) -> list[str]:
        """Names in the store's part of builds, temporary ones too."""
        part = os.path.join(self.store, "builds")
        return sorted(os.listdir(part)) if os.path.isdir(part) else []

    def leftovers(self) -> list[str]:
        """What a builder leaves that did not come to its end: temporary directories and lock files."""
        locks = os.path.join(self.store, "locks")
        held = os.listdir(locks) if os.path.isdir(locks) else []
        return [name for name in self.builds() if name.startswith(".tmp-")] + held


class Built:
    """What a child said: the events and the result."""

    def __init__(self, out: str) -> None:
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        assert lines, out
        self.events = [line for line in lines[:-1] if "event" in line]
        self.result: dict[str, Any] = lines[-1]

    @property
    def ok(self) -> bool:
        return bool(self.result["ok"])

    @property
    def reason(self) -> str:
        return str(self.result["reason"])

    @property
    def compiled(self) -> bool:
        return any(line["event"] == "build-started" for line in self.events)


def answer_of(path: str) -> int:
    """What the library's function returns, asked in a child."""
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).answer())"
    done = subprocess.run([sys.executable, "-c", code, path], env=bare_env(), stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, path
    return int(done.stdout)
