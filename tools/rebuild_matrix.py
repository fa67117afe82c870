"""Runs the rebuild tests on every TensorFlow and writes what came of them as a table. The target ``make test-matrix``.

    python tools/rebuild_matrix.py [--output docs/reference/rebuild-matrix.md] [ENVIRONMENT…]

Environments: those of ``tools/envs.py`` (default: those of every run and on demand). Exit status 1: a test failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import envs  # noqa: E402

TESTS = ("tests/tensorflow/test_legacy.py", "tests/tensorflow/test_rebuild.py")
DEFAULT = ("tf115", "tf24", "tf210", "tf215", "tf220", "tf221")
_VERSION = "import tensorflow, platform; print(tensorflow.__version__, platform.python_version())"


class Column:
    """What one environment gave: test -> (outcome, seconds)."""

    def __init__(self, env: envs.Env) -> None:
        self.name = env.name
        done = subprocess.run(
            [env.python, "-c", _VERSION], env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, check=True,
        )  # fmt: skip
        self.tensorflow, self.python = done.stdout.split()[-2:]
        self.results: dict[str, tuple[str, float]] = {}

    def run(self, tests: tuple[str, ...]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            report = os.path.join(directory, "report.xml")
            # a second one, whose library is "for another release"; its own tests are those of its own column
            other = "tf221" if self.name.startswith("tf115") else "tf115"
            subprocess.run(
                [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report,
                 "-k", self.name, *tests],
                cwd=ROOT, env=dict(os.environ, TF_ENVS="{} {}".format(self.name, other)),
            )  # fmt: skip
            for case in ElementTree.parse(report).iter("testcase"):
                bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
                name = _row(case.get("classname", ""), case.get("name", ""))
                self.results[name] = (bad[0] if bad else "ok", float(case.get("time", "0")))


def _row(module: str, name: str) -> str:
    """``legacy op roi_pooling`` of ``test_legacy_op[tf221-py311-roi_pooling]``."""
    base, _, parameters = name.rstrip("]").partition("[")
    rest = re.sub(r"^tf\d+-py\d+-?", "", parameters)
    words = base[len("test_") :].replace("_", " ")
    return "{} `{}`".format(words, rest) if rest else words


def table(columns: list[Column]) -> list[str]:
    head = ["", *("{} (Python {})".format(one.tensorflow, ".".join(one.python.split(".")[:2])) for one in columns)]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for row in dict.fromkeys(name for column in columns for name in column.results):
        cells = []
        for column in columns:
            outcome, seconds = column.results.get(row, ("not run", 0.0))
            cells.append("{}, {:.0f} s".format(outcome, seconds) if outcome == "ok" else "**{}**".format(outcome))
        lines.append("| " + " | ".join([row, *cells]) + " |")
    return lines


def page(columns: list[Column]) -> str:
    said = subprocess.run(["g++", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    compiler = said.splitlines()[0]
    lines = [
        "# Rebuilds on every TensorFlow", "",
        "Written by `make test-matrix` on {}, with {}.".format(time.strftime("%Y-%m-%d"), compiler),
        "Each row is a test with the real TensorFlow: a script, untouched, whose op is missing or was made for another",
        "TensorFlow, is run with the hook and must compute the right numbers. The legacy ops are those of",
        "`tests/tensorflow/legacy`; what they compute is compared with NumPy. Seconds: the whole test, the imports of",
        "TensorFlow included.", "", *table(columns), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="The rebuild tests on every TensorFlow.")
    parser.add_argument("names", nargs="*", metavar="ENVIRONMENT")
    parser.add_argument("--output", default="")
    parser.add_argument("--legacy", action="store_true", help="only the legacy ops: half of the time")
    arguments = parser.parse_args()
    columns = []
    for env in envs.select(arguments.names or list(DEFAULT)):
        envs.make(env)
        column = Column(env)
        columns.append(column)
        column.run(TESTS[:1] if arguments.legacy else TESTS)
        text = page(columns)
        if arguments.output:  # after each, so that a run that is cut short leaves what it has
            with open(os.path.join(ROOT, arguments.output), "w", encoding="utf-8") as stream:
                stream.write(text)
    sys.stdout.write(text)
    good = all(outcome == "ok" for column in columns for outcome, _ in column.results.values())
    return 0 if good and all(column.results for column in columns) else 1


if __name__ == "__main__":
    sys.exit(main())
