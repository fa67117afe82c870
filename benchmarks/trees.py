"""Searches in trees of ten thousand to a million files, beside find, fd and plocate on the same tree in one run.

    make bench-trees                                       all sizes, into docs/reference/benchmarks-search.md
    python benchmarks/trees.py --sizes 10000               one size, to standard output

The trees are made under a temporary directory and removed. Their files are hard links to a few empty ones: a million
inodes take minutes to make. After ``--seconds`` nothing is measured more than once. Cold means after
``echo 3 > /proc/sys/vm/drop_caches``, which takes root; without it the cold columns stay empty. Medians; every
dlrepair figure is of a fresh process.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable, Iterator, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: files from which a tree is large: three warm runs of each measurement then, and one cold one
LARGE = 1000000

#: entries of one directory, and of the one that is of data
IN_DIRECTORY = 50
SUFFIXES = (".py", ".py", ".cc", ".h", ".txt", ".o", ".md", ".cfg", ".in", ".cu")

#: names that one empty file gets, most: ext4 lets a file have 65,000
LINKS = 60000

#: Times ``index`` calls inside a fresh process; prints milliseconds and the number of hits.
LOOKUP = """\
import sys, time
from dlrepair import store
from dlrepair.search import catalogue, index, names
store.use(sys.argv[1])
role = "dependency" if sys.argv[4] == "soname" else "substitute"
begin = time.perf_counter()
found = index.Index([sys.argv[2]], time.monotonic() + 60).find_known(
    names.Names(sys.argv[3], "ctypes", role), sys.argv[3] if role == "dependency" else "")
hits = len(list(found))
print((time.perf_counter() - begin) * 1e3, hits)
"""

#: Compares the tree with the index, or makes it; prints milliseconds and what was done.
SCAN = """\
import sys, time
from dlrepair import store
from dlrepair.search import catalogue, index
store.use(sys.argv[1])
directory = catalogue.place(create=True)
writer = catalogue.Writer(directory)
writer.lock(time.monotonic() + 60)
begin = time.perf_counter()
tally = index.refresh(writer, [sys.argv[2]], time.monotonic() + 3600)
ms = (time.perf_counter() - begin) * 1e3
writer.close()
print(ms, tally.directories)
"""

#: A load that fails in a project, repaired; prints milliseconds around the call.
LOAD = """\
import ctypes, os, time
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so")
begin = time.perf_counter()
roi = ctypes.CDLL(path)
print((time.perf_counter() - begin) * 1e3, roi.answer())
"""


def environment(**more: str) -> dict[str, str]:
    """What our processes run in: this checkout, and its bytecode kept, as an installed package's is."""
    found = dict(os.environ, PYTHONPATH=ROOT, **more)
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


class Files:
    """Makes empty files as hard links: without an inode each, a million of them take seconds."""

    def __init__(self, root: str) -> None:
        self.root, self.made, self.source = root, 0, ""

    def add(self, name: str, directory: int) -> None:
        """One more file in the directory of this descriptor."""
        if not self.made % LINKS:
            self.source = os.path.join(self.root, ".empty%d" % (self.made // LINKS))
            os.close(os.open(self.source, os.O_CREAT | os.O_WRONLY, 0o644))
        self.made += 1
        os.link(self.source, name, dst_dir_fd=directory)


@contextlib.contextmanager
def scratch_directory() -> Iterator[str]:
    """A temporary directory, removed by rm(1): twice as fast as Python."""
    path = tempfile.mkdtemp(prefix="dlrepair-trees-")
    try:
        yield path
    finally:
        subprocess.run(["rm", "-rf", path], check=False)


def make_tree(root: str, files: int) -> tuple[int, int]:
    """(directories, libraries): ``files`` files, a fiftieth of the directories with a library, sources elsewhere."""
    directories = max(1, files // IN_DIRECTORY)
    libraries = 0
    maker = Files(os.path.dirname(root))
    for number in range(directories):
        path = os.path.join(root, "part%03d" % (number % 97), "piece%02d" % (number // 97 % 31), "d%d" % number)
        os.makedirs(path)
        descriptor = os.open(path, os.O_RDONLY)
        for at in range(IN_DIRECTORY):
            name = "file%d%s" % (at, SUFFIXES[at % len(SUFFIXES)])
            if at == 7 and number % 50 == 13:
                name = "libpart%d.so.1" % number
                libraries += 1
            maker.add(name, descriptor)
        os.close(descriptor)
    return directories, libraries


def compile_library(path: str, soname: str = "libroi.so") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, "-Wl,-soname," + soname],
        input=b"int answer(void) { return 42; }", check=True,
    )  # fmt: skip


def drop_caches() -> bool:
    """Whether the kernel's caches are empty now."""
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as stream:
            stream.write("3")
        return True
    except OSError:
        return False


def wall(command: Sequence[str]) -> float:
    """Milliseconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - begin) * 1e3


class Tree:
    """One tree, and the tools that search it."""

    def __init__(self, scratch: str, files: int, repeats: int, deadline: float = math.inf) -> None:
        self.scratch, self.files, self.deadline = scratch, files, deadline
        self.repeats, self.cold = (repeats, 3) if files < LARGE else (min(repeats, 3), 1)
        self.root = os.path.join(scratch, "tree")
        self.store = os.path.join(scratch, "store")
        self.directories, self.libraries = make_tree(self.root, files)
        compile_library(os.path.join(self.root, "part042", "piece00", "far", "libroi.so"))
        compile_library(os.path.join(self.root, "part043", "piece00", "far", "renamed.so"), "libwanted.so.7")

    def ours(self, code: str, *arguments: str) -> tuple[float, int]:
        done = subprocess.run(
            [sys.executable, "-c", code, self.store, self.root, *arguments], env=environment(),
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        ms, count = done.stdout.split()
        return float(ms), int(count)

    def first_load(self) -> float:
        """Milliseconds from the failure to the library, NaN for none, in a project that is this tree; an empty home."""
        script = os.path.join(self.root, "train.py")
        with open(script, "w") as stream:
            stream.write(LOAD)
        os.makedirs(os.path.join(self.root, ".git"), exist_ok=True)
        home = tempfile.mkdtemp(dir=self.scratch)
        places = {"XDG_%s_HOME" % name: os.path.join(home, name) for name in ("STATE", "CACHE", "CONFIG")}
        done = subprocess.run(
            [sys.executable, "-m", "dlrepair", "run", sys.executable, script], env=environment(HOME=home, **places),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return float(done.stdout.split()[0]) if done.returncode == 0 else float("nan")

    def why_not(self) -> str:
        """What bounds the search of a tree that is too large to be searched within a load."""
        return "not found: more than `budget_ms` (1500) or 20,000 directories; `dlrepair fix` looks on"

    def median(self, measure: Callable[[], float], cold: bool = False) -> float | None:
        times = []
        for _ in range(self.cold if cold else self.repeats):
            if times and time.monotonic() > self.deadline:
                break
            if cold and not drop_caches():
                return None
            times.append(measure())
        return statistics.median_high([math.inf if math.isnan(one) else one for one in times])

    def both(self, measure: Callable[[], float]) -> tuple[float | None, float | None]:
        return self.median(measure), self.median(measure, cold=True)

    def rows(self) -> list[tuple[str, float | None, float | None, str]]:
        """(what, warm, cold, remark), milliseconds."""
        found: list[tuple[str, float | None, float | None, str]] = []
        find = ["find", self.root, "-type", "d"]
        names = ["find", self.root, "-name", "libroi.so"]
        found.append(("`find -type d`", *self.both(lambda: wall(find)), ""))
        walk = self.both(lambda: wall(names))
        found.append(("`find -name libroi.so`", *walk, "its walk of the directories that matter"))
        fd = shutil.which("fd") or shutil.which("fdfind")
        if fd:
            command = [fd, "--unrestricted", "--glob", "libroi.so", self.root]
            found.append(("`fd -u libroi.so`", *self.both(lambda: wall(command)), ""))
        self.first_load()  # writes dlrepair's bytecode
        first = self.both(self.first_load)
        mark = "%.2f of find; aim 1.5, and 1500 ms" % ((first[0] or 0.0) / (walk[0] or 1.0))
        if math.inf in first:
            mark = (mark + "; " if first[0] != math.inf else "") + self.why_not()
        found.append(("dlrepair: first failing load, repaired", *first, mark))
        scratch = os.path.join(self.scratch, "spare")

        def anew() -> float:
            shutil.rmtree(self.store, ignore_errors=True)
            return self.ours(SCAN)[0]

        full = self.both(anew)
        directory = os.path.join(self.store, "index")
        size = sum(os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory))
        found.append(("dlrepair: index made", *full, "%.1f MB, %.0f bytes a file that is no library; aim 150" % (
            size / 1e6, size / (self.files - self.libraries))))  # fmt: skip
        refresh = self.both(lambda: self.ours(SCAN)[0])
        found.append(("dlrepair: refreshed, nothing changed", *refresh, "%.3f of the full one; aim 0.1" % (
            (refresh[0] or 0.0) / (full[0] or 1.0))))  # fmt: skip

        def touched() -> float:
            os.close(os.open(os.path.join(self.root, "part001", "new%d.txt" % time.time_ns()), os.O_CREAT, 0o644))
            return self.ours(SCAN)[0]

        changed = self.median(touched)
        found.append(("dlrepair: refreshed, one directory changed", changed, None, "%.3f of the full one" % (
            (changed or 0.0) / (full[0] or 1.0))))  # fmt: skip
        for kind, name in (("name", "libroi.so"), ("soname", "libwanted.so.7")):
            assert self.ours(LOOKUP, name, kind)[1] == 1
            times = self.both(lambda name=name, kind=kind: self.ours(LOOKUP, name, kind)[0])
            found.append(("dlrepair: look-up by %s" % kind, *times, "aim 5 ms warm"))
        found += self.plocate(scratch)
        return found

    def plocate(self, scratch: str) -> list[tuple[str, float | None, float | None, str]]:
        if not shutil.which("plocate") or not shutil.which("updatedb.plocate"):
            return []
        made = ["updatedb.plocate", "-U", self.root, "-o", scratch, "--require-visibility", "no", "--prunepaths", ""]
        look = ["plocate", "-d", scratch, "libroi.so"]
        database = self.median(lambda: wall(made))
        if not os.path.exists(scratch):
            return []
        size = "%.1f MB" % (os.path.getsize(scratch) / 1e6)
        warm, cold = self.both(lambda: wall(look))
        return [("`updatedb` of plocate", database, None, size), ("`plocate libroi.so`", warm, cold, "")]


def data_row(scratch: str, files: int) -> str:
    """What a directory of so many images costs in a scan, and in a walk of a project."""
    root = os.path.join(scratch, "images")
    os.makedirs(root)
    descriptor = os.open(root, os.O_RDONLY)
    maker = Files(scratch)
    for number in range(files):
        maker.add("%07d.jpg" % number, descriptor)
    os.close(descriptor)
    times = []
    for _ in range(5):
        store = tempfile.mkdtemp(dir=scratch)
        done = subprocess.run(
            [sys.executable, "-c", SCAN, store, root], env=environment(), stdout=subprocess.PIPE,
            check=True,
        )  # fmt: skip
        times.append(float(done.stdout.split()[0]))
    find = statistics.median(wall(["find", root, "-name", "libroi.so"]) for _ in range(3))
    return "One directory of %s images: indexed in %.1f ms; `find` goes through it in %.0f ms.\n" % (
        format(files, ","), statistics.median(times), find)  # fmt: skip


def text(value: float | None) -> str:
    if value is None or value == math.inf:
        return "" if value is None else "not found"
    return "%.3g ms" % value if value < 1000 else "%.2f s" % (value / 1e3)


def table(tree: Tree) -> str:
    lines = [
        "## {:,} files in {:,} directories, {:,} libraries\n".format(tree.files, tree.directories, tree.libraries),
        "| what | warm | cold | |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += ["| {} | {} | {} | {} |".format(one[0], text(one[1]), text(one[2]), one[3]) for one in tree.rows()]
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
# Benchmarks of the search

Made by `make bench-trees`: trees of empty files (hard links to a few), fifty a directory, with one library in every
fiftieth directory, beside `find`, `fd` and `plocate` on the same tree in the same run. Medians of %d warm runs and
three cold ones (after `drop_caches`%s); of a million files three warm ones and one cold one. A look-up is timed inside
a fresh process. The first failing load is timed around the `CDLL` call, with an empty home: diagnosis, search, vetting
and the trial in a child process.
Wall clock. dlrepair's bytecode exists, as after an installation; nothing else is kept from one load to the next.

%s, %s, %d cores, %s.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 100000, 1000000], help="files of each tree")
    parser.add_argument("--repeats", type=int, default=5, help="warm runs of each measurement")
    parser.add_argument("--images", type=int, default=100000, help="files of the directory of data; 0: leave it out")
    parser.add_argument("--seconds", type=float, default=360, help="after which everything is measured once only")
    parser.add_argument("--output", help="file that the page is written to, instead of standard output")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    cold = "" if drop_caches() else "; this run was not allowed to, so those are missing"
    where = "load average %.1f at the start" % os.getloadavg()[0]
    parts = [INTRODUCTION % (arguments.repeats, cold, "CPython " + platform.python_version(),
                             " ".join(platform.libc_ver()), os.cpu_count() or 1, where)]  # fmt: skip
    for files in arguments.sizes:
        with scratch_directory() as scratch:
            parts.append(table(Tree(scratch, files, arguments.repeats, deadline)) + "\n")
        sys.stdout.write(parts[-1])
        sys.stdout.flush()
    if arguments.images:
        with scratch_directory() as scratch:
            parts.append("## A directory of data\n\n" + data_row(scratch, arguments.images))
        sys.stdout.write(parts[-1])
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write("".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
