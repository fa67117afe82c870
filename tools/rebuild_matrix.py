"""Runs the rebuild tests on every TensorFlow and writes what came of them as a table. The target ``make test-matrix``.

    python tools/rebuild_matrix.py [--output docs/reference/rebuild-matrix.md] [--only EXPRESSION] [ENVIRONMENT…]

Environments: those of ``tools/envs.py`` (default: those of every run and on demand). What an earlier run wrote of other
environments and, with ``--only``, of other tests stays on the page, with its date. Exit status 1: a test failed.
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
#: the row that says when a column was run
_DATE = "run on"
_VERSION = "import tensorflow, platform; print(tensorflow.__version__, platform.python_version())"


class Column:
    """What one environment gave: test -> what its cell says. ``head`` names TensorFlow and Python."""

    def __init__(self, head: str, cells: dict[str, str]) -> None:
        self.head = head
        self.cells = cells


class Run(Column):
    """A column that is filled by running the tests."""

    def __init__(self, env: envs.Env) -> None:
        self.name = env.name
        done = subprocess.run(
            [env.python, "-c", _VERSION], env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, check=True,
        )  # fmt: skip
        tensorflow, python = done.stdout.split()[-2:]
        head = "{} (Python {})".format(tensorflow, ".".join(python.split(".")[:2]))
        Column.__init__(self, head, {})

    def run(self, tests: tuple[str, ...], only: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            report = os.path.join(directory, "report.xml")
            # a second one, whose library is "for another release"; its own tests are those of its own column
            other = "tf221" if self.name.startswith("tf115") else "tf115"
            subprocess.run(
                [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report,
                 "-n", "2", "--dist", "worksteal",
                 "-k", "{} and ({})".format(self.name, only) if only else self.name, *tests],
                cwd=ROOT, env=dict(os.environ, TF_ENVS="{} {}".format(self.name, other)),
            )  # fmt: skip
            for case in ElementTree.parse(report).iter("testcase"):
                bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
                name = _row(case.get("classname", ""), case.get("name", ""))
                seconds = float(case.get("time", "0"))
                self.cells[name] = "**{}**".format(bad[0]) if bad else "ok, {:.0f} s".format(seconds)
        self.cells[_DATE] = time.strftime("%Y-%m-%d")


def _row(module: str, name: str) -> str:
    """``legacy op roi_pooling`` of ``test_legacy_op[tf221-py311-roi_pooling]``."""
    base, _, parameters = name.rstrip("]").partition("[")
    rest = re.sub(r"^tf\w+-py\d+-?", "", parameters)
    words = base[len("test_") :].replace("_", " ")
    return "{} `{}`".format(words, rest) if rest else words


def table(columns: list[Column]) -> list[str]:
    lines = ["| " + " | ".join(["", *(column.head for column in columns)]) + " |"]
    lines.append("| " + " | ".join(["---"] * (len(columns) + 1)) + " |")
    for row in dict.fromkeys(name for column in columns for name in column.cells):
        lines.append("| " + " | ".join([row, *(column.cells.get(row, "not run") for column in columns)]) + " |")
    return lines


def read(path: str) -> list[Column]:
    """The columns of the page that an earlier run wrote; none where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in stream if line[:1] == "|"]
    except OSError:
        return []
    if not rows:
        return []
    head = rows[0][-len(rows[1]) + 1 :]
    return [Column(name, {row[0]: row[at + 1] for row in rows[2:]}) for at, name in enumerate(head)]


def merged(old: list[Column], new: Run, only: str) -> list[Column]:
    """The page's columns, in the order of releases, with what is new in its place."""
    cells = dict(next((one.cells for one in old if one.head == new.head), {})) if only else {}
    cells.update(new.cells)
    columns = [one for one in old if one.head != new.head] + [Column(new.head, cells)]
    return sorted(columns, key=lambda one: [int(part) for part in one.head.split()[0].split(".")])


def page(columns: list[Column]) -> str:
    said = subprocess.run(["g++", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    compiler = said.splitlines()[0]
    lines = [
        "# Rebuilds on every TensorFlow", "",
        "Written by `make test-matrix`, with {}.".format(compiler),
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
    parser.add_argument("--only", default="", help="an expression for pytest's -k: only these tests, the rest stays")
    parser.add_argument("--legacy", action="store_true", help="only the legacy ops: half of the time")
    arguments = parser.parse_args()
    output = os.path.join(ROOT, arguments.output) if arguments.output else ""
    columns: list[Column] = read(output) if output and (arguments.names or arguments.only) else []
    good = True
    for env in envs.select(arguments.names or list(DEFAULT)):
        envs.make(env)
        column = Run(env)
        column.run(TESTS[:1] if arguments.legacy else TESTS, arguments.only)
        good = good and len(column.cells) > 1 and not any(cell.startswith("**") for cell in column.cells.values())
        columns = merged(columns, column, arguments.only)
        if output:  # after each, so that a run that is cut short leaves what it has
            with open(output, "w", encoding="utf-8") as stream:
                stream.write(page(columns))
    sys.stdout.write(page(columns))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
