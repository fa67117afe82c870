"""CPython's own tests, without the hook and with it: the same tests must end in the same way. ``make test-cpython``.

    python tools/cpython_suite.py [--output docs/reference/cpython-tests.md] [LABEL…]

LABEL: an interpreter as ``tests/interpreters.py`` names it, ``3.7``; default: the oldest, one between and the newest
that carry their tests. The tests are those of what the hook stands beside: ctypes, the import system, start-up,
threads, processes, the traceback machinery. A test that ends otherwise with the hook is run again, both ways, before
it counts: some of CPython's own are not steady on a busy machine. A suite that does not end without the hook either is
left out, and the page names it. Exit status 1: one ends otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "install")]
from install_kit import World  # noqa: E402
from interpreters import Interpreter, bare_env, find_interpreters  # noqa: E402

SUITES = (
    "test_ctypes", "test_importlib", "test_imp", "test_import", "test_site", "test_threading", "test_runpy",
    "test_cmd_line", "test_cmd_line_script", "test_faulthandler", "test_sys", "test_atexit", "test_fork1", "test_capi",
    "test_traceback", "test_unittest", "test_inspect", "test_warnings", "test_embed", "test_audit", "test_zipimport",
    "test_pkgutil", "test_modulefinder", "test_multiprocessing_main_handling", "test_support", "test_gc",
    "test_weakref", "test_code_module", "test_pdb", "test_sys_settrace", "test_sys_setprofile",
    "test__xxsubinterpreters", "test_interpreters", "test_monitoring",
)  # fmt: skip
_HAVE = "import os, sys, test.support; print('\\n'.join(os.listdir(os.path.dirname(test.__file__))))"
_LINE = re.compile(r"^(test\S* \(\S+\))(?: \[.*\])? \.\.\. (ok|FAIL|ERROR|skipped|expected failure)")
_FAILED = re.compile(r"^(FAIL|ERROR): (test\S* \(\S+\))")
_RAN = re.compile(r"^Ran (\d+) tests? in", re.M)
#: one suite, not all: what hangs is known by name, and the others are still run
_SECONDS = 900


class Answers(NamedTuple):
    """How each test ended, by name, how many ran, what was printed, and the suites that were stopped unfinished."""

    outcomes: dict[str, str]
    ran: int
    output: str
    stopped: list[str]


def suites_of(python: str) -> list[str]:
    """The suites that this interpreter carries; few or none where a distribution leaves its tests out."""
    done = subprocess.run([python, "-c", _HAVE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    there = {name.partition(".")[0] for name in done.stdout.split()}
    return [name for name in SUITES if name in there]


def run_suite(python: str, suite: str, match: list[str], seconds: int) -> tuple[str, bool]:
    """(what ``python -m test -v SUITE`` printed, in a directory of its own; whether it ended within its time).

    A suite that is stopped takes all its children with it: a test that hangs keeps a processor busy.
    """
    chosen = [word for name in match for word in ("-m", name)]
    environment = {key: value for key, value in bare_env().items() if not key.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [python, "-m", "test", "-v", *chosen, suite], cwd=directory, env=dict(environment, HOME=directory),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            child.wait(seconds)
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        output.seek(0)
        return output.read().decode("utf-8", "replace"), ended


def run_suites(python: str, suites: list[str], match: list[str], seconds: int = _SECONDS) -> Answers:
    """Every suite in a process of its own."""
    outputs, stopped = [], []
    outcomes: dict[str, str] = {}
    for suite in suites:
        output, ended = run_suite(python, suite, match, seconds)
        if not ended:
            stopped.append(suite)
            continue
        outputs.append(output)
        for line in output.splitlines():
            found = _LINE.match(line)
            if found:
                outcomes[found[1]] = found[2]
            found = _FAILED.match(line)
            if found:
                outcomes[found[2]] = found[1]
    text = "".join(outputs)
    return Answers(outcomes, sum(int(one) for one in _RAN.findall(text)), text, stopped)


def different(bare: Answers, hooked: Answers) -> list[str]:
    """Tests that failed on one side only; a line that other output broke up counts as no answer."""
    names = sorted(set(bare.outcomes) | set(hooked.outcomes))
    bad = ("FAIL", "ERROR")
    return [one for one in names if (bare.outcomes.get(one) in bad) != (hooked.outcomes.get(one) in bad)]


def compare(interpreter: Interpreter, directory: str, seconds: int) -> tuple[str, list[str]]:
    """(row of the table, what ended otherwise with the hook, run twice)."""
    worlds = [World(os.path.join(directory, name), interpreter) for name in ("bare", "hooked")]
    worlds[1].install()
    suites = suites_of(interpreter.path)
    bare = run_suites(worlds[0].python, suites, [], seconds)
    suites = [one for one in suites if one not in bare.stopped]
    hooked = run_suites(worlds[1].python, suites, [], seconds)
    if not bare.ran or not hooked.ran:
        raise SystemExit("no test ran:\n" + (hooked if bare.ran else bare).output[-3000:])
    left = different(bare, hooked)
    if left:
        names = sorted({name.split()[0] for name in left})
        again = [run_suites(world.python, suites, names, seconds) for world in worlds]
        left = [one for one in different(*again) if one in left]
        sys.stdout.write("".join("{}\n".format(one) for one in left) + (again[1].output[-20000:] if left else ""))
    failed = sum(one in ("FAIL", "ERROR") for one in bare.outcomes.values())
    row = "| {} | {} | {:,} | {:,} | {} | {} | {} |".format(
        ".".join(map(str, interpreter.version)), len(suites), bare.ran, hooked.ran, failed,
        len(left) + len(hooked.stopped), ", ".join(bare.stopped) or "none",
    )  # fmt: skip
    return row, left + hooked.stopped


def page(rows: list[str]) -> str:
    return "\n".join([
        "# CPython's own tests", "",
        "`make test-cpython` runs the tests that CPython brings for ctypes, the import system, start-up, threads,",
        "processes and tracebacks, in two virtualenvs that differ in the hook alone. A test that fails with the hook",
        "and not without it would be a harm done. What fails in both is the machine's or CPython's business. A suite",
        "that does not end without the hook, either, is stopped and left out.", "",
        "| CPython | suites | tests, without the hook | with it | failed without the hook | ended otherwise with it "
        "| left out |",
        "| --- | --- | --- | --- | --- | --- | --- |", *rows, "",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="*", metavar="LABEL")
    parser.add_argument("--output")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help="that one suite may take (%(default)s)")
    arguments = parser.parse_args()
    able = [one for one in find_interpreters() if len(suites_of(one.path)) > len(SUITES) // 2]
    chosen = [one for one in able if one.label in arguments.labels] if arguments.labels else able
    if not chosen:
        sys.stderr.write("cpython_suite: no interpreter here carries its tests\n")
        return 1
    if not arguments.labels and len(chosen) > 3:
        chosen = [chosen[0], chosen[len(chosen) // 2], chosen[-1]]
    rows, wrong = [], 0
    for interpreter in chosen:
        with tempfile.TemporaryDirectory() as directory:
            row, left = compare(interpreter, directory, arguments.seconds)
        sys.stdout.write(row + "\n")
        sys.stdout.flush()
        rows.append(row)
        wrong += len(left)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as handle:
            handle.write(page(rows))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
