"""From save to published library in watch mode, beside plain ``g++`` of the same op in the same run.

    python benchmarks/watch.py [--rounds N] [--output docs/reference/benchmarks-rebuild.md]

Run by the Python of an environment with TensorFlow. Three kinds of a save, each in every round after a ``g++`` of
the very same text: a line of code, a comment within its line, a comment that is a line of its own. After the last
the library with the right line numbers is waited for, too. The watcher is the real one, with its precompiled header
made before the first round (that takes half a minute, once).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]
from watching import Watching  # noqa: E402

BEGIN, END = "<!-- watch: begin -->", "<!-- watch: end -->"
OP = os.path.join(ROOT, "tests", "tensorflow", "legacy", "farthest_point_sampling")
SOURCE, LIBRARY = "tf_sampling.cpp", "tf_sampling_so.so"
#: what a save changes: (what it is called, text that is replaced, by what, in round N)
SAVES = (
    ("a line of code", "float best = -1;", "float best = -1 - {n};"),
    ("a comment in its line", "CPU kernels. */", "CPU kernels, {n}. */"),
    ("a comment, one more line", "class FarthestPointSampleOp", "// round {n}\nclass FarthestPointSampleOp"),
)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def flags() -> tuple[list[str], list[str], str]:
    import tensorflow as tf

    return tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags(), tf.__version__


def gplusplus(project: str, compile_flags: list[str], link_flags: list[str]) -> float:
    """Seconds of plain ``g++`` on the same op, with the two steps of the ladder done by hand."""
    text = read(os.path.join(project, SOURCE)).replace("Status::OK()", "Status()")
    with tempfile.TemporaryDirectory() as directory:
        source = os.path.join(directory, SOURCE)
        with open(source, "w") as stream:
            stream.write(text)
        began = time.monotonic()
        subprocess.run(
            ["g++", "-shared", "-fPIC", "-O2", "-w", *compile_flags, source, "-o", source + ".so", *link_flags],
            check=True,
        )  # fmt: skip
        return time.monotonic() - began


def save(project: str, before: str, after: str) -> None:
    path = os.path.join(project, SOURCE)
    text = read(path)
    assert before in text, before
    with open(path + ".new", "w") as stream:
        stream.write(text.replace(before, after, 1))
    os.rename(path + ".new", path)


def measure(rounds: int, home: str) -> tuple[list[tuple[str, list[float], list[float]]], str, float]:
    """(what, seconds of the watcher, seconds of g++) of each kind of a save; TensorFlow's version; header's seconds."""
    compile_flags, link_flags, version = flags()
    os.environ.update(HOME=home, XDG_STATE_HOME=home + "/s", XDG_CACHE_HOME=home + "/c", XDG_CONFIG_HOME=home + "/f")
    project = os.path.join(home, "project")
    original = os.path.join(OP, SOURCE)
    shutil.copytree(OP, project)
    rows: list[tuple[str, list[float], list[float]]] = [(what, [], []) for what, _, _ in SAVES]
    numbers: tuple[str, list[float], list[float]] = ("the same, with its line numbers", [], [])
    with Watching(project, [LIBRARY]) as watching:
        watching.wait("built", 600, after=0)
        header = watching.wait("precompiled", 600, after=0)
        assert header["ok"], header
        for number in range(1, rounds + 1):
            for (_, before, after), (_, ours, theirs) in zip(SAVES, rows):
                theirs.append(gplusplus(project, compile_flags, link_flags))
                fresh = after.format(n="{}{}".format(number, os.getpid()))
                at = len(watching.events)
                began = time.monotonic()
                save(project, before, fresh)
                while not {"built", "unchanged"} & set(watching.names(at)):
                    watching.settle(0.01)
                    assert time.monotonic() - began < 300, watching.story()
                ours.append(time.monotonic() - began)
                if any(event.get("result", {}).get("reason") == "lines-moved" for event in watching.events[at:]):
                    watching.wait("built", 300, after=at)
                    numbers[1].append(time.monotonic() - began)
                    numbers[2].append(theirs[-1])
                shutil.copy(original, os.path.join(project, SOURCE))  # found in the store
                watching.settle(3.0)
    return rows + [numbers], version, header["seconds"]


def main() -> int:
    parser = argparse.ArgumentParser(description="From save to published library.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    home = tempfile.mkdtemp(prefix="watch-benchmark-")
    try:
        rows, version, header = measure(arguments.rounds, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    lines = [
        BEGIN, "", "## From save to published library", "",
        "TensorFlow {}, one op of 130 lines, medians of {} rounds, each beside plain `g++` of the same text".format(
            version, arguments.rounds),
        "in the same run ({}). The watcher's time is from the rename that saves the file to the event that".format(
            time.strftime("%Y-%m-%d")),
        "names the new library; the precompiled header had been made in the background before ({:.0f} s, once).".format(
            header),
        "Load average meanwhile {:.1f} on {} cores.".format(os.getloadavg()[1], os.cpu_count()), "",
        "| what was saved | `dlrepair watch` | plain `g++` | ratio |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for what, ours, theirs in [row for row in rows if row[1]]:
        ratio = statistics.median(one / other for one, other in zip(ours, theirs))
        lines.append("| {} | {:.2f} s | {:.1f} s | {:.2f} |".format(
            what, statistics.median(ours), statistics.median(theirs), ratio))  # fmt: skip
    lines += [
        "", "Aims: at most 0.3 where code changed, under half a second where nothing but a comment did. A comment that",
        "is a line of its own moves the lines below it, and their numbers are part of the op's messages: the library",
        "that is there is the answer, and the one with the right numbers follows",
        "([why](../decisions/0006-lines-that-moved.md)).", "",
        END, "",
    ]  # fmt: skip
    text = "\n".join(lines)
    sys.stdout.write(text)
    if arguments.output:
        path = os.path.join(ROOT, arguments.output)
        held = read(path) if os.path.exists(path) else "# Benchmarks of the rebuild\n"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(placed(held, text))
    return 0


def placed(held: str, text: str) -> str:
    """The page ``held`` with ``text`` in the place of what was measured before; the other part stays."""
    if BEGIN not in held:
        return held.rstrip("\n") + "\n\n" + text
    head, _, rest = held.partition(BEGIN)
    return head + text + rest.partition(END)[2].lstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
