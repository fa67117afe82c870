"""From the failing load of an op to its first result, when the store has the library: beside a load that works.

    make bench-rebuild

One project, one script, one TensorFlow. Timed inside the process, from before ``load_op_library`` until the op has
computed; importing TensorFlow is not part of it. Variants run alternately: the library where the script looks;
the repair remembered; the script edited since, so that what encloses its call is looked at anew; another script of the
project, that has never asked; nothing remembered, as with a store that another environment has filled: the load is
diagnosed, and the store is asked by the contents of what the library was made of; and a store that does not even know
for which path it was built: the project and its surroundings are searched, and its recipe is read, before it is asked.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "benchmarks")]

import hooked  # noqa: E402
import opkit  # noqa: E402
from method import environment, pretty, printed  # noqa: E402

SCRIPT = """
import os, sys, time
import numpy as np
import tensorflow as tf
tf.compat.v1.disable_eager_execution()
TOP = os.path.dirname(os.path.abspath(__file__)).partition(os.sep + "run-")[0]
image, rois = tf.constant(np.ones((8, 8), np.float32)), tf.constant([[0, 0, 4, 4]])
session = tf.compat.v1.Session()
session.run(tf.reduce_sum(image))
start = time.perf_counter()
ops = tf.load_op_library(os.path.join(TOP, "ops", "roi_pool.so"))
assert session.run(ops.roi_pool(image, rois)).tolist() == [1.0]
print(int((time.perf_counter() - start) * 1e9))
"""

AIM = 0.100


class Project:
    """A project with the op's sources and, where ``library`` is given, the library itself."""

    def __init__(self, top: str, kit: opkit.OpKit, python: str, library: bool) -> None:
        self.python = python
        self.root = os.path.join(top, "project")
        self.home = os.path.join(top, "home")
        shutil.copytree(opkit.SOURCES, os.path.join(self.root, "ops"))
        with open(os.path.join(self.root, "README.md"), "w") as stream:
            stream.write("an op\n")
        with open(os.path.join(self.root, "train.py"), "w") as stream:
            stream.write(SCRIPT)
        if library:
            output = os.path.join(self.root, "ops", "roi_pool.so")
            opkit.gcc(["-shared", "-fPIC", kit.compiled(), opkit.HELPER, "-o", output, *kit.link_flags])

    def run(self, script: str = "train.py") -> float:
        env = environment(self.home)
        env.update(TF_CPP_MIN_LOG_LEVEL="3", DLREPAIR_VERBOSITY="quiet")
        return printed([self.python, script], env, self.root)

    def edit(self) -> None:
        """Touches the script: a repair is remembered for who asked, and this is another one."""
        os.utime(os.path.join(self.root, "train.py"))

    def forget(self) -> None:
        """Removes the repairs that are remembered; what was built stays, and what compilers said of themselves."""
        for place, _, names in os.walk(self.home):
            for name in names if os.path.basename(place) == "remembered" else []:
                path = os.path.join(place, name)
                with open(path, "rb") as stream:
                    is_repair = b"step0.kind" in stream.read()
                if is_repair:
                    os.unlink(path)

    def forget_paths(self) -> None:
        """Removes what the store knows of the paths that were built for: the objects' own manifests stay."""
        for place, _, names in os.walk(self.home):
            for name in names if os.path.basename(os.path.dirname(place)) == "manifests" else []:
                path = os.path.join(place, name)
                with open(path, "rb") as stream:
                    is_answer = b'"library": ' in stream.read()
                if is_answer:
                    os.unlink(path)

    def elsewhere(self, number: int) -> str:
        """The same script in a directory of the project from which nobody has asked yet."""
        place = os.path.join(self.root, "run-{}".format(number))
        os.mkdir(place)
        shutil.copy(os.path.join(self.root, "train.py"), place)
        return os.path.join(place, "train.py")


def measure(kit: opkit.OpKit, scratch: str, pairs: int) -> list[str]:
    python = hooked.make(kit.python, os.path.join(scratch, "hooked"))
    bare = Project(os.path.join(scratch, "bare"), kit, kit.python, True)
    ours = Project(os.path.join(scratch, "ours"), kit, python, False)
    first = ours.run()  # compiles
    rows: dict[str, list[float]] = {
        name: [] for name in ("works", "remembered", "edited", "elsewhere", "store", "unknown")
    }
    bare.run()
    for number in range(pairs):
        rows["works"].append(bare.run())
        rows["remembered"].append(ours.run())
        ours.edit()
        rows["edited"].append(ours.run())
        rows["elsewhere"].append(ours.run(ours.elsewhere(number)))
        ours.forget()
        rows["store"].append(ours.run())
        ours.forget()
        ours.forget_paths()
        rows["unknown"].append(ours.run())
    works = statistics.median(rows["works"])
    lines = ["| the library is where the script looks | {} |  |  | {} |  |".format(pretty(works), len(rows["works"]))]
    for name, words in (
        ("remembered", "it is not: repair remembered"), ("edited", "the script was edited since"),
        ("elsewhere", "another script asks"), ("store", "nothing is remembered: store only"),
        ("unknown", "nor does the store know the path: searched, recipe read"),
    ):  # fmt: skip
        over = statistics.median(one - two for one, two in zip(rows[name], rows["works"]))
        aim, verdict = ("+100 ms", "met" if over <= AIM else "**missed**") if name != "unknown" else ("", "")
        lines.append(
            "| {} | {} | {} | {} | {} | {} |".format(
                words, pretty(statistics.median(rows[name])), pretty(over, sign=True), aim, len(rows[name]), verdict
            )
        )
    lines.append("| nothing is there yet: compiled | {} |  |  | 1 |  |".format(pretty(first)))
    head = "| TensorFlow {}, from the load to the op's result | time | over a load that works | aim | runs | |"
    return [head.format(kit.version), "| --- | --- | --- | --- | --- | --- |", *lines, ""]


def kept_section(path: str) -> str:
    """What ``make bench-watch`` has written on the same page."""
    try:
        with open(path, encoding="utf-8") as stream:
            _, begin, rest = stream.read().partition("<!-- watch: begin -->")
    except OSError:
        return ""
    return "\n" + begin + rest if begin else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7, help="runs of each variant (default 7)")
    parser.add_argument("--output", help="file that the tables are written to, instead of standard output")
    arguments = parser.parse_args()
    lines = ["# Benchmarks of the rebuild", ""]
    lines += ["Made by `make bench-rebuild`. " + " ".join((__doc__ or "").split("\n\n")[-1].split()), ""]
    lines += ["{}, {} cores.".format(" ".join(platform.libc_ver()), os.cpu_count()), ""]
    with tempfile.TemporaryDirectory(prefix="dlrepair-bench-") as scratch:
        for kit in opkit.find_kits():
            lines += measure(kit, os.path.join(scratch, kit.name), arguments.pairs)
    text = "\n".join(lines)
    if arguments.output:
        text += kept_section(arguments.output)
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
