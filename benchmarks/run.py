"""Measures what dlrepair costs and how fast it repairs; prints a Markdown table.

    make bench                                     on the main interpreter, into docs/reference/benchmarks.md
    python benchmarks/run.py --pairs 10            quickly, to standard output

Two fresh virtualenvs of the same interpreter are made: one bare, one with dlrepair installed as a user
would (wheel, then ``dlrepair install``). Both run alternately; see method.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "benchmarks")]

import hooked  # noqa: E402
from cases import Bench  # noqa: E402
from method import table  # noqa: E402

INTRODUCTION = """\
# Benchmarks

Made by `make bench`: two fresh virtualenvs of the same interpreter, one bare and one with dlrepair, run
alternately; medians of the differences within each pair. *Noise* is what two bare runs of a pair differ by
(for repairs: half the distance between the quartiles). The first load of a file includes the check of its header
that keeps a truncated file from killing the process and a fifo from blocking it. Repairs are timed inside the
process, around the `CDLL` call, in a project of 2,000 files; the first one includes the trial load in a child.

%s, %s, %d cores, %d pairs.

"""


def make_venvs(scratch: str) -> tuple[str, str]:
    """(bare python, hooked python): two virtualenvs that differ by dlrepair only."""
    pythons = []
    for name in ("bare", "hooked"):
        hooked.run([sys.executable, "-m", "venv", "--without-pip", os.path.join(scratch, name)])
        pythons.append(os.path.join(scratch, name, "bin", "python"))
    wheel = hooked.build_wheel(os.path.join(scratch, "dist"))
    pip = [sys.executable, "-m", "pip", "--python", pythons[1], "install", "--quiet", "--disable-pip-version-check"]
    hooked.run([*pip, wheel])
    hooked.run([os.path.join(scratch, "hooked", "bin", "dlrepair"), "install"], HOME=scratch)
    return pythons[0], pythons[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=25, help="interleaved pairs a measurement (default 25)")
    parser.add_argument("--output", help="file that the table is written to, instead of standard output")
    parser.add_argument("--only", choices=("startup", "success", "repair", "probe"), help="measure one group")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dlrepair-bench-") as scratch:
        bench = Bench(*make_venvs(scratch), scratch, arguments.pairs)
        groups = {
            "startup": lambda: [bench.startup()], "success": bench.successes,
            "repair": bench.repairs, "probe": lambda: [bench.probe()],
        }  # fmt: skip
        chosen = [arguments.only] if arguments.only else list(groups)
        text = table([result for name in chosen for result in groups[name]()])
    libc = " ".join(platform.libc_ver())
    head = INTRODUCTION % ("CPython " + platform.python_version(), libc, os.cpu_count() or 1, arguments.pairs)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as handle:
            handle.write(head + text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
