"""Reading, searching and preflight beside other tools, on the same files in one run.

    python benchmarks/diagnosis.py [--training PYTHON] [--output FILE.md]
                                      run with the Python of an environment that has TensorFlow

Every row is the best of several rounds in which all tools take turns (other load on the machine can only add).
Tools that are not installed are named as such. The two ``lddtree`` are asked about some of the files only,
and their time scaled to all of them: they take a quarter of a second a file and more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, *(os.path.join(ROOT, *place) for place in (("tests",), ("tests", "loader"), ("tools",)))]
from trees import below  # noqa: E402

from dlrepair.binary import elf  # noqa: E402
from dlrepair.binary.process import ProcessView  # noqa: E402
from dlrepair.binary.scope import fresh_process, resolve  # noqa: E402

SOME = 8  #: files for tools that take long over each
OURS = "dlrepair"
STORE = os.path.join(tempfile.mkdtemp(prefix="dlrepair-bench-"), "store")
#: Debian's script needs Debian's Python, whichever comes first in PATH
LDDTREE = ["/usr/bin/python3", "/usr/bin/lddtree"] if os.path.exists("/usr/bin/lddtree") else ["lddtree"]


def clear() -> None:
    """Forget what was read: every round starts from the files."""
    from dlrepair.binary import symbols

    elf._cache.clear()
    symbols._satisfied.clear()


def each(command: list[str]) -> Callable[[list[str]], None]:
    """The command, one process a file; what it says of the file does not count."""

    def run(paths: list[str]) -> None:
        for path in paths:
            subprocess.call([*command, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def ours_read(paths: list[str]) -> None:
    clear()
    for path in paths:
        elf.read_facts(path)


def pyelftools_read(paths: list[str]) -> None:
    from elftools.elf.elffile import ELFFile

    for path in paths:
        with open(path, "rb") as file:
            for segment in ELFFile(file).iter_segments():
                if segment["p_type"] == "PT_DYNAMIC":
                    for tag in segment.iter_tags():
                        getattr(tag, "needed", None)


def ours_search(paths: list[str]) -> None:
    clear()
    view = fresh_process()
    for path in paths:
        resolve(path, process=view)


def auditwheel_search(paths: list[str]) -> None:
    from pathlib import Path

    from auditwheel.lddtree import ldd

    for path in paths:
        ldd(Path(path))


class Doctor:
    """`dlrepair doctor` in a process of its own, with a store of its own; ``prepare`` is not measured."""

    def __init__(self, python: str, prepare: Callable[[str], None] = lambda python: None) -> None:
        self.python, self._prepare = python, prepare

    def prepare(self) -> None:
        self._prepare(self.python)

    def __call__(self, _paths: list[str]) -> None:
        subprocess.call([self.python, "-m", "dlrepair", "doctor"], env=user_env(), stdout=subprocess.DEVNULL)


def user_env() -> dict[str, str]:
    env = dict(os.environ, PYTHONPATH=ROOT, DLREPAIR_STORE=STORE)
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, and so it is measured
    return env


def empty_store(_python: str) -> None:
    """As before the first run."""
    shutil.rmtree(STORE, ignore_errors=True)


def installed_store(python: str) -> None:
    """As after ``dlrepair install``: its own look filled a store that was empty.

    No hook is put there: other programs may be using that environment.
    """
    empty_store(python)
    script = (
        "import sys; from dlrepair.cli import lookover; from dlrepair.installer import Result;"
        "found = lookover.look(Result('unchanged', sys.executable, '')); assert found and found['complete'], found"
    )
    subprocess.check_call([python, "-c", script], env=user_env())
    assert os.listdir(os.path.join(STORE, "surveys"))


def used() -> float:
    """Seconds of processor time of this process and of its children that ended."""
    who = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in who)


def timed(function: Callable[[list[str]], None], paths: list[str]) -> tuple[float, float]:
    """(seconds on the clock, seconds of processor time), after what it prepares."""
    getattr(function, "prepare", lambda: None)()
    began, before = time.perf_counter(), used()
    function(paths)
    return time.perf_counter() - began, used() - before


def compare(
    tools: dict[str, tuple[Callable[[list[str]], None], int]], paths: list[str], rounds: int
) -> dict[str, tuple[float, float]]:
    """Tool -> (seconds on the clock, of processor time) for all ``paths``; a tool with a limit is scaled up."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, (function, limit) in tools.items():
            some = paths[:: max(1, len(paths) // limit)][:limit] if limit else paths
            scaled = [seconds * len(paths) / len(some) for seconds in timed(function, some)]
            known = best.get(name, scaled)
            best[name] = min(scaled[0], known[0]), min(scaled[1], known[1])
    return best


def table(title: str, note: str, best: dict[str, tuple[float, float]], unit: str = "s", level: str = "##") -> list[str]:
    base = best[OURS]
    lines = [level + " " + title, "", note, ""]
    lines += ["| tool | time | times dlrepair's | processor time | times dlrepair's |", "| --- " * 5 + "|"]
    for name, both in best.items():
        cells = []
        for seconds, own in zip(both, base):
            cells.append("%.2f s" % seconds if unit == "s" else "%.2f ms" % (1e3 * seconds))
            times = seconds / own if own else 0.0
            cells.append("1" if name == OURS else "%.2f" % times if times < 1 else "%.1f" % times)
        lines.append("| %s | %s |" % (name, " | ".join(cells)))
    return lines + [""]


def installed(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def one_op(directory: str) -> str:
    """A real op linked with both of TensorFlow's large libraries."""
    import envs
    from opkit import OpKit

    kit = OpKit(envs.find_env("tf221"))
    where = next(flag[2:] for flag in kit.link_flags if flag.startswith("-L"))
    path = os.path.join(directory, "roi_pool.so")
    large = ("libtensorflow_framework.so.", "libtensorflow_cc.so.")
    libraries = ["-l:" + name for name in os.listdir(where) if name.startswith(large)]
    command = ["g++", "-shared", "-o", path, kit.compiled(), "-Wl,--no-as-needed", "-L" + where, *libraries]
    helper = os.path.join(ROOT, "examples", "project", "ops", "roi_helper.cc")
    subprocess.check_call([*command, "-fPIC", helper, "-Wl,-rpath," + where])
    return path


def preflight(path: str) -> dict[str, tuple[float, float]]:
    """Whether ``path`` would load: warm, the first time, and what ``ldd -r`` takes, in turns."""
    from dlrepair.binary import wouldload

    def warm(_paths: list[str]) -> None:
        failure = wouldload.first_failure(path, process=ProcessView.current())
        assert failure is None, failure

    def cold(_paths: list[str]) -> None:
        clear()
        warm([])

    tools = {OURS: (warm, 0), "dlrepair, nothing remembered": (cold, 0), "ldd -r": (each(["ldd", "-r"]), 0)}
    warm([])
    best = compare(tools, [path], 1)
    for _ in range(14):  # the warm one follows a warm one
        warm([])
        again = compare(tools, [path], 1)
        best = {name: (min(best[name][0], again[name][0]), min(best[name][1], again[name][1])) for name in tools}
    return best


def searchers(sample: str) -> tuple[dict[str, tuple[Callable[[list[str]], None], int]], list[str]]:
    """(tools that say where dependencies are found, with how many files each of them is asked about; absent ones)."""
    found, absent = {"ldd": (each(["ldd"]), 0)}, []
    for name, command, limit in (("libtree", ["libtree"], 0), ("lddtree (pax-utils)", LDDTREE, SOME)):
        if shutil.which(command[-1]):
            subprocess.run([*command, sample], stdout=subprocess.DEVNULL, check=True)  # it runs at all
            found[name] = (each(command), limit)
        else:
            absent.append(name)
    if installed("auditwheel"):
        found["auditwheel's lddtree"] = (auditwheel_search, SOME)
    else:
        absent.append("auditwheel's lddtree")
    return found, absent


WHOLE = """\
`dlrepair doctor`, a process of its own, finds the files and looks at dependencies, versions and symbols,
as `ldd -r` does for the files that it is given; the other tools look at dependencies only.
The first row is a first run: its store is empty. The second is a run after it, no file having changed:
it looks at all of them with `stat`. The third is a user's first run: `dlrepair install` has looked at everything
at its end, as installations end with `ldconfig`, whose cache `ldd` and the others use.
"""


#: what a doctor does, part after part, in one process
PARTS = """
import gc, json, os, sys, sysconfig, time
gc.disable()
began, parts = time.process_time(), []
def lap(name):
    global began
    now = time.process_time()
    parts.append((name, now - began))
    began = time.process_time()
from dlrepair.cli import main, doctor, output
from dlrepair.binary import elf, process
from dlrepair.diagnose import crew, environment, proofs, walk
from dlrepair.store import surveys
crew.size = lambda: 1
places = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
lap("its imports")
with elf.StillView() as still:
    proof = proofs.Proofs(still, process.ProcessView.current())
    lap("what the process itself holds")
    paths, listed = walk.survey(places)
    lap("the directories: listed, and their state")
    largest = max(paths, key=os.path.getsize)
    proof.look([[largest]], lambda path: None)
    lap("the largest library")
    proof.look([[path for path in paths if path != largest]], lambda path: None)
    lap("all other libraries")
    loads = list(filter(proof.holds, paths))
    lap("the answers")
    surveys.keep(
        "0" * 32, listed, list(proof.states), list(proof.mapped), time.time_ns(), (paths, loads), proof.states
    )
    lap("what is kept")
print(json.dumps(parts))
"""


def part_table(python: str, tenth: float, rounds: int) -> list[str]:
    """Where the time of a first run goes, and what that says about ``tenth``, a tenth of ldd's time."""
    env = user_env()
    start = min(timed(lambda _: subprocess.call([python, "-c", "pass"], env=env), [])[1] for _ in range(3 * rounds))
    runs = [
        json.loads(subprocess.run([python, "-c", PARTS], env=env, stdout=subprocess.PIPE, check=True).stdout)
        for _ in range(3 * rounds)
    ]
    parts = [("the start of Python", start)]
    parts += [(name, min(run[at][1] for run in runs)) for at, (name, _) in enumerate(runs[0])]
    lines = ["Where its processor time goes, all done by one process:", "", "| part | time |", "| --- | --- |"]
    lines += ["| %s | %.0f ms |" % (name, 1e3 * seconds) for name, seconds in parts]
    shared = [seconds for _, seconds in parts[3:6]]
    whole = sum(seconds for _, seconds in parts)
    best = whole - sum(shared) / 2
    lines += [
        "",
        "Two processes share the directories and the libraries. With two cores, nothing read twice"
        "\nand no waiting, that would be %.0f ms; a tenth of `ldd`'s time is %.0f ms." % (1e3 * best, 1e3 * tenth),
        "",
    ]
    return lines


def environments(
    pythons: list[str], others: dict[str, tuple[Callable[[list[str]], None], int]], rounds: int
) -> list[str]:
    """The tables of whole environments: one for each interpreter."""
    lines = ["## A whole environment", "", *WHOLE.split("\n")]
    for python in pythons:
        script = "import sysconfig; print(sysconfig.get_path('platlib'))"
        place = subprocess.run([python, "-c", script], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        paths = below(place)
        directories = sum(1 for _ in os.walk(place))
        Doctor(python)(paths)  # writes the bytecode
        tools: dict[str, tuple[Callable[[list[str]], None], int]] = {
            OURS: (Doctor(python, empty_store), 0), "dlrepair, run again": (Doctor(python), 0),
            "dlrepair, first run after `dlrepair install`": (Doctor(python, installed_store), 0), **others,
        }  # fmt: skip
        tools["ldd -r"] = (each(["ldd", "-r"]), 0)
        title = "TensorFlow and what it needs" if python == sys.executable else "A training environment"
        note = "%d shared objects, %.0f MB, in %d directories." % (
            len(paths), sum(os.path.getsize(path) for path in paths) / 1e6, directories
        )  # fmt: skip
        best = compare(tools, paths, rounds)
        lines += table(title, note, best, level="###") + part_table(python, best["ldd"][0] / 10, rounds)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="write the tables there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--training", action="append", default=[], help="the Python of one more whole environment")
    arguments = parser.parse_args()
    paths = below(sysconfig.get_path("platlib"))
    size = sum(os.path.getsize(path) for path in paths) / 1e6
    lines = [
        "# Benchmarks: diagnosis", "",
        "`make bench-diagnosis` wrote this page: %d shared objects (%.0f MB) of an environment with TensorFlow,"
        % (len(paths), size),
        "Python %s on %s, %d cores shared with other work. The best of the rounds in which all tools take turns;"
        % (platform.python_version(), platform.machine(), os.cpu_count() or 1),
        "time is that of a clock, processor time that of all processes together.", "",
    ]  # fmt: skip
    read = {OURS: (ours_read, 0), "pyelftools": (pyelftools_read, 0), "readelf -d": (each(["readelf", "-d"]), 0)}
    note = "Header and dynamic section of every file; `readelf` is one process a file, the others run in one process."
    lines += table("Reading", note, compare(read, paths, arguments.rounds))
    others, absent = searchers(paths[0])
    note = "Where ld.so would find everything that each file needs."
    note += " Not installed: %s." % ", ".join(absent) if absent else ""
    lines += table("Searching", note, compare({OURS: (ours_search, 0), **others}, paths, arguments.rounds))
    lines += environments([sys.executable, *arguments.training], others, arguments.rounds)
    with tempfile.TemporaryDirectory() as directory:
        path = one_op(directory)
        note = "A real op linked with libtensorflow_framework and libtensorflow_cc (850 MB)."
        lines += table("Would it load: one op", note, preflight(path), "ms")
    page = "\n".join(lines)
    sys.stdout.write(page)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(page.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
