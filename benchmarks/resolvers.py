"""Who is right about ld.so's search: dlopen's answer on every built world beside four tools'.

    python benchmarks/resolvers.py [WORLD …]     prints the table of docs/explanation/scope.md

Worlds in which the program matters (its own RPATH, what it loaded before or preloads, secure mode) are left out: the
others are asked about a file and cannot be told. An answer is right when it names exactly the files that dlopen maps,
or something missing where dlopen fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "loader")]
from world import World  # noqa: E402
from worlds import WORLDS  # noqa: E402

from dlrepair.binary.scope import resolve  # noqa: E402

FAILS, BROKEN = "fails", "breaks off"
#: Debian's script needs Debian's Python, whichever comes first in PATH
LDDTREE = ["/usr/bin/python3", "/usr/bin/lddtree"] if os.path.exists("/usr/bin/lddtree") else ["lddtree"]
AUDITWHEEL = """
import sys
from pathlib import Path
from auditwheel.lddtree import ldd
for one in ldd(Path(sys.argv[1])).libraries.values():
    print(one.path or "not found")
"""


def below(world: World, paths: list[str]) -> object:
    """The real paths among ``paths`` that lie in the world, as a set: what everybody names alike."""
    here = world.path(world.cwd)
    real = {os.path.realpath(os.path.join(here, path)) for path in paths}
    root, target = os.path.realpath(world.root), os.path.realpath(os.path.join(here, world.target_path))
    inside = (path for path in real if path.startswith(root + "/") and os.path.isfile(path) and path != target)
    return frozenset(path for path in inside if "/.made/" not in path)


def said(world: World, command: list[str]) -> tuple[int, list[str]]:
    env = world.environment()
    env.pop("LD_AUDIT", None)  # ld.so would speak about it in the tool's own output
    try:
        done = subprocess.run(
            [*command, world.target_path], cwd=world.path(world.cwd), env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=10,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, ["Traceback: no answer within ten seconds"]
    return done.returncode, os.fsdecode(done.stdout).splitlines()


def truth(world: World, host: str) -> object:
    names, error = world.ask_dlopen(host)
    return below(world, names) if names is not None else "dies" if error.startswith("killed") else FAILS


def ours(world: World, host: str) -> object:
    trace = resolve(world.target_path, process=world.view(host))
    return FAILS if trace.refused is not None or trace.failures else below(world, list(trace.closure))


def libtree(world: World, _host: str) -> object:
    status, lines = said(world, ["libtree", "-p", "-vvv"])
    if status or any("not found" in line for line in lines):
        return FAILS
    return below(world, [part for line in lines for part in line.split() if part.startswith(("/", "./"))])


def lddtree(world: World, _host: str) -> object:
    status, lines = said(world, LDDTREE)
    if any(line.startswith("Traceback") for line in lines):
        return BROKEN
    if status or any("not found" in line or "=> None" in line for line in lines[1:]):  # the first has its interpreter
        return FAILS
    found = [line.partition("=> ")[2].split(" (")[0] for line in lines[1:] if "=> " in line]
    return below(world, found)


def auditwheel(world: World, _host: str) -> object:
    status, lines = said(world, [sys.executable, "-c", AUDITWHEEL])
    if any(line.startswith("Traceback") for line in lines):
        return BROKEN
    return FAILS if status or "not found" in lines else below(world, lines)


def main() -> None:
    tools = {"dlrepair": ours}
    for name, function in (("libtree", libtree), ("lddtree", lddtree)):
        if shutil.which(name):
            tools[name] = function
    try:
        import auditwheel as _installed  # noqa: F401

        tools["auditwheel"] = auditwheel
    except ImportError:
        pass
    right, rows, left_out, dying = dict.fromkeys(tools, 0), [], 0, 0
    for name in sys.argv[1:] or sorted(WORLDS):
        with tempfile.TemporaryDirectory() as directory:
            world = World(directory)
            WORLDS[name](world)
            if world.before or world.host_rpath is not None or world.preload or world.secure:
                left_out += 1
                continue
            host = world.host()
            real = truth(world, host)
            if real == "dies":
                dying += 1
                continue
            cells = []
            for tool, function in tools.items():
                answer = function(world, host)
                right[tool] += answer == real
                cells.append("right" if answer == real else "breaks off" if answer == BROKEN else "**wrong**")
            outcome = "fails" if real == FAILS else "loads"
            rows.append("| %s | %s | %s |" % (name.replace("-", " "), outcome, " | ".join(cells)))
    print("| world | dlopen | %s |" % " | ".join(tools))
    print("| --- | --- | %s |" % " | ".join("---" for _ in tools))
    print("| **right of %d** | | %s |" % (len(rows), " | ".join("**%d**" % right[tool] for tool in tools)))
    print("\n".join(rows))
    print("\n%d worlds; in %d the program decides, in %d ld.so dies" % (len(WORLDS), left_out, dying))


if __name__ == "__main__":
    main()
