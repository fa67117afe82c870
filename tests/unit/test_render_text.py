"""What a user reads: the shape of the contract, and nothing that a hostile name could do to a terminal."""

from __future__ import annotations

import io
import os
import sys

import pytest

from dlrepair.model.candidate import Verdict
from dlrepair.model.causes import CAUSES
from dlrepair.model.diagnosis import Diagnosis, Evidence, Missing, Symptom
from dlrepair.model.plan import Outcome
from dlrepair.model.requests import Caller, LoadRequest
from dlrepair.render import text

ERROR = "libfoo.so.2: cannot open shared object file: No such file or directory"
REQUEST = LoadRequest("tensorflow", "./my_op.so", "/p", "/p", "/p/train.py", Caller("/p/train.py", 12), error=ERROR)
MISSING = Missing("libfoo.so.2", "/p/my_op.so", (("/usr/lib", "no file of that name"), ("/p/lib", "built for aarch64")))
DEPENDENCY = Diagnosis(
    "dependency-missing", Symptom("not-found", "libfoo.so.2", "libfoo.so.2"), "/p/my_op.so", (MISSING,), (),
    (Evidence("needed", "my_op.so names libfoo.so.2 in DT_NEEDED"),), "apt-get install libfoo2",
)  # fmt: skip
FILE = Diagnosis("file-missing", Symptom("not-found", "./my_op.so"), "/p/my_op.so")
REJECTED = Verdict("/p/old/libfoo.so.2", False, "wrong-machine", "built for aarch64, this process is x86-64")
FAILED = Outcome(False, "dependency-missing", "7f3a9c12")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_repair_is_one_line():
    outcome = Outcome(
        True, "file-missing", "7f3a", "substitute", "/p/build/my_op.so", 31.0, "", "loaded build/my_op.so instead"
    )
    line = "dlrepair[file-missing]: my_op.so: loaded build/my_op.so instead (incident 7f3a)"
    assert text.repaired_line(outcome, FILE) == line
    assert text.repaired_line(outcome, DEPENDENCY, REQUEST) == line


def test_a_repair_without_a_summary_or_a_name():
    outcome = Outcome(True, "file-missing", "7f3a", path="/p/build/my_op.so")
    line = text.repaired_line(outcome, Diagnosis("file-missing", Symptom("not-found")))
    assert line == "dlrepair[file-missing]: my_op.so: loaded /p/build/my_op.so instead (incident 7f3a)"


def test_a_failure():
    assert text.failure_lines(FAILED, DEPENDENCY, REQUEST, [REJECTED]) == [
        "dlrepair[dependency-missing]: libfoo.so.2, needed by my_op.so: a library that it needs is not found"
        " (incident 7f3a9c12)",
        "  loader: " + ERROR,
        "  rejected old/libfoo.so.2: built for aarch64, this process is x86-64",
        "help: apt-get install libfoo2",
    ]


def test_a_failure_in_full():
    accepted = Verdict("/opt/libfoo.so.2", True, "fits")
    assert text.failure_lines(FAILED, DEPENDENCY, REQUEST, [REJECTED, accepted], "full") == [
        "dlrepair[dependency-missing]: libfoo.so.2, needed by my_op.so: a library that it needs is not found"
        " (incident 7f3a9c12)",
        "  loader: " + ERROR,
        "  fact: my_op.so names libfoo.so.2 in DT_NEEDED",
        "  searched for libfoo.so.2:",
        "    /usr/lib: no file of that name",
        "    lib: built for aarch64",
        "  candidate old/libfoo.so.2: built for aarch64, this process is x86-64",
        "  candidate /opt/libfoo.so.2: accepted, but did not help",
        "help: apt-get install libfoo2",
    ]


def test_quiet_says_nothing():
    assert text.failure_lines(FAILED, DEPENDENCY, REQUEST, [REJECTED], "quiet") == []


def test_what_is_missing_and_who_needs_it():
    def first(diagnosis, request=REQUEST):
        outcome = Outcome(False, diagnosis.cause, "7f3a")
        line, incident, rest = text.failure_lines(outcome, diagnosis, request, [])[0].partition(" (incident 7f3a)")
        assert incident and not rest
        return line

    assert first(FILE) == "dlrepair[file-missing]: ./my_op.so, needed by train.py:12: " + CAUSES["file-missing"]
    assert first(
        Diagnosis("undefined-symbol-abi", Symptom("undefined-symbol"), "/p/my_op.so", symbols=("_ZN3fooE",))
    ) == ("dlrepair[undefined-symbol-abi]: _ZN3fooE, needed by my_op.so: " + CAUSES["undefined-symbol-abi"])
    two = Diagnosis("dependency-missing", Symptom("not-found"), "", (MISSING, Missing("libbar.so", "/p/libfoo.so.2")))
    assert first(two).startswith("dlrepair[dependency-missing]: libfoo.so.2 and 1 more, needed by my_op.so: ")
    nobody = LoadRequest("ctypes", "")
    assert first(FILE, nobody) == 'dlrepair[file-missing]: "": ' + CAUSES["file-missing"]
    assert first(Diagnosis("not-in-the-list", Symptom("unknown"))).endswith(CAUSES["unknown"])


@pytest.mark.parametrize("cause", sorted(CAUSES))
@pytest.mark.parametrize("verbosity", ["line", "full"])
def test_the_shape_holds_for_every_cause(cause, verbosity):
    lines = text.failure_lines(
        Outcome(False, cause, "7f3a"), Diagnosis(cause, Symptom("unknown")), REQUEST, [], verbosity
    )
    assert lines[0].startswith("dlrepair[{}]: ".format(cause))
    assert all(line.startswith("  ") for line in lines[1:-1])
    assert lines[-1] == "help: dlrepair explain 7f3a"
    assert [line for line in lines if line.startswith("help:")] == lines[-1:]


def test_a_command_of_the_outcome_comes_first():
    outcome = Outcome(False, "dependency-missing", "7f3a", next_step="dlrepair build my_op.so")
    assert text.failure_lines(outcome, DEPENDENCY, REQUEST, [])[-1] == "help: dlrepair build my_op.so"


def test_the_loaders_words_over_several_lines():
    request = LoadRequest("tensorflow", "x.so", error="first\n\n  second\r\nthird\n")
    lines = text.failure_lines(FAILED, DEPENDENCY, request, [])
    assert lines[1:4] == ["  loader: first", "  loader:   second", "  loader: third"]


def test_what_was_tried():
    tried = Outcome(False, "file-missing", "7f3a", "preload")
    assert "  tried: preload" in text.failure_lines(tried, FILE, REQUEST, [])
    for verbosity in ("line", "full"):
        lines = text.failure_lines(FAILED, FILE, REQUEST, [], verbosity)
        assert lines.count("  tried: no other file of that name was found") == 1
    many = text.failure_lines(FAILED, FILE, REQUEST, [REJECTED] * 7)
    assert "  and 6 more candidates (dlrepair explain 7f3a9c12)" in many
    assert len(text.failure_lines(FAILED, FILE, REQUEST, [REJECTED] * 1000, "full")) < 60


def test_why_nothing_was_found():
    """What the repair has to say of its end stands in place of the assertion that there is nothing."""
    stopped = Outcome(False, "file-missing", "7f3a", summary="the search stopped after 50 ms (budget_ms)")
    for verbosity in ("line", "full"):
        lines = text.failure_lines(stopped, FILE, REQUEST, [], verbosity)
        assert [line for line in lines if "tried" in line] == ["  tried: the search stopped after 50 ms (budget_ms)"]
    lines = text.failure_lines(stopped, FILE, REQUEST, [REJECTED])
    assert [line.split()[0] for line in lines[2:]] == ["tried:", "rejected", "help:"]
    useless = text.failure_lines(FAILED, FILE, REQUEST, [Verdict("/p/b/my_op.so", True, "fits")])
    assert "  candidate b/my_op.so: accepted, but did not help" in useless
    assert not [line for line in useless if "no other file" in line]


def test_one_is_not_many():
    assert [text.counted(number, "file") for number in range(3)] == ["0 files", "1 file", "2 files"]
    assert text.counted(1, "library", "libraries") + text.counted(3, "library", "libraries") == "1 library3 libraries"
    lines = text.failure_lines(FAILED, FILE, REQUEST, [REJECTED] * 2)
    assert "  and 1 more candidate (dlrepair explain 7f3a9c12)" in lines
    assert "  and 1 more candidate" in text.failure_lines(FAILED, FILE, REQUEST, [REJECTED] * 41, "full")


TRIED = (
    ("/p/lib/libfoo.so.2", "runpath: no such file"),
    ("/opt", "ld-library-path: no such directory"),
    ("/etc/ld.so.cache", "cache: no entry for libfoo.so.2"),
    ("/lib/libfoo.so.2", "default: no such file"),
    ("default directories", "left out: my_op.so was linked with -z nodefaultlib"),
    ("", "rpath: no such directory"),
)
SOUGHT = [
    "  searched for libfoo.so.2:",
    "    lib/libfoo.so.2 (RUNPATH): no such file",
    "    /opt (LD_LIBRARY_PATH): no such directory",
    "    /etc/ld.so.cache: no entry for libfoo.so.2",
    "    /lib/libfoo.so.2 (ld.so's default directory): no such file",
    "    default directories: left out: my_op.so was linked with -z nodefaultlib",
    "    the working directory (RPATH): no such directory",
]


def _in_full(diagnosis, request, **more):
    outcome = Outcome(False, diagnosis.cause, "7f3a")
    return text.failure_lines(outcome, diagnosis, request, [], "full", **more)[2:-2]


def test_places_of_a_missing_dependency_once():
    proof = tuple(Evidence("tried", "{}: {}".format(*pair), pair[0]) for pair in TRIED)
    needed = Evidence("needed", "my_op.so needs libfoo.so.2")
    missing = (Missing("libfoo.so.2", "/p/my_op.so", TRIED),)
    diagnosis = Diagnosis("dependency-missing", Symptom("not-found"), "/p/my_op.so", missing, evidence=(needed, *proof))
    assert _in_full(diagnosis, REQUEST) == ["  fact: my_op.so needs libfoo.so.2", *SOUGHT]


def test_places_of_the_file_asked_for():
    request = LoadRequest("ctypes", "libfoo.so.2", "/p", error="libfoo.so.2: cannot open")
    proof = tuple(Evidence("tried", "{}: {}".format(*pair), pair[0]) for pair in TRIED)
    count = Evidence("searched", "libfoo.so.2 has no directory: ld.so searched for it in 6 places", "6")
    diagnosis = Diagnosis("file-missing", Symptom("not-found"), "", evidence=(count, *proof))
    assert _in_full(diagnosis, request) == ["  fact: " + count.text, *SOUGHT]
    own = [("/p", "no file of that name"), ("/p/big", "not searched: budget_ms is used up")]
    assert _in_full(diagnosis, request, searched=own)[-3:] == [
        "  dlrepair looked in:",
        "    /p: no file of that name",
        "    big: not searched: budget_ms is used up",
    ]


HOSTILE = "a\n\x1b[2J\r\x07\x08\x9b31m\u202e\u2028\ud800\udcff\x00\x7f\u200b" + "x" * 100000 + ".so"


def test_hostile_names_and_words():
    """No control character, no second line, no endless one, whatever the names and messages hold."""
    missing = Missing(HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),) * 100, blocked_by=HOSTILE)
    diagnosis = Diagnosis(
        "dependency-missing", Symptom("not-found", HOSTILE, HOSTILE), HOSTILE, (missing,) * 3, (HOSTILE,),
        (Evidence(HOSTILE, HOSTILE, HOSTILE),) * 100, HOSTILE,
    )  # fmt: skip
    request = LoadRequest("ctypes", HOSTILE, HOSTILE, HOSTILE, HOSTILE, Caller(HOSTILE, 1), error=HOSTILE * 3)
    verdicts = [Verdict(HOSTILE, False, HOSTILE, HOSTILE)] * 100
    outcome = Outcome(False, "dependency-missing", "7f3a", HOSTILE, HOSTILE, 1.0, HOSTILE, HOSTILE)
    lines = text.failure_lines(outcome, diagnosis, request, verdicts, "full")
    lines.append(text.repaired_line(outcome, diagnosis))
    lines.append(text.repaired_line(outcome, diagnosis, request))
    for line in lines:
        assert line.isprintable() and len(line) < 2500
        line.encode("utf-8")
    assert len(lines) < 400


@pytest.mark.parametrize(
    "given, shown",
    [
        ("plain /a b/c.so", "plain /a b/c.so"),
        ("na\u00efve \u65e5\u672c \U0001f600", "na\u00efve \u65e5\u672c \U0001f600"),
        ("a\nb\tc\x1b[0m", "a\\nb\\tc\\x1b[0m"),
        ("\x85\x9b\u2028\u202e", "\\x85\\x9b\\u2028\\u202e"),
        (os.fsdecode(b"\xff.so"), "\\xff.so"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_escape(given, shown):
    assert text.escape(given) == shown


def test_shorten_cuts_the_middle():
    assert text.shorten("short", 10) == "short"
    assert text.shorten("/a/very/long/path/to/lib.so", 15) == "/a/ver...lib.so"
    assert len(text.shorten("x" * 1000, 50)) == 50


def test_display_path():
    assert text.display_path("/p/build/x.so", "/p") == "build/x.so"
    assert text.display_path("/pq/x.so", "/p") == "/pq/x.so"
    assert text.display_path("/p", "/p") == "/p"
    assert text.display_path("/x.so", "/") == "/x.so"
    assert text.display_path("x.so") == "x.so"


# --- terminals -----------------------------------------------------------------------------------------------------


def test_colours_only_on_a_terminal(monkeypatch):
    lines = text.failure_lines(FAILED, DEPENDENCY, REQUEST, [])
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    plain, terminal = io.StringIO(), Terminal()
    text.show(lines, plain)
    text.show(lines, terminal)
    assert plain.getvalue() == "\n".join(lines) + "\n"
    assert "\x1b[1;33mdlrepair[dependency-missing]:\x1b[0m libfoo.so.2" in terminal.getvalue()
    assert "\x1b[1;36mhelp:\x1b[0m apt-get" in terminal.getvalue()
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        terminal = Terminal()
        text.show(lines, terminal)
        assert terminal.getvalue() == plain.getvalue()
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "")
    assert text.coloured(Terminal())


def test_show_never_raises(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (closed, object(), io.BytesIO(), 3):
        text.show(["x"], stream)
    with open("/dev/full", "w") as full:
        text.show(["x" * 100], full)
        monkeypatch.setattr(sys, "stderr", None)
        text.show(["x"])
        monkeypatch.undo()
        try:
            full.close()
        except OSError:
            pass


def test_show_on_a_stream_that_knows_ascii_only():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    text.show(["na\u00efve \u65e5\u672c"], stream)
    assert raw.getvalue() == b"na\\xefve \\u65e5\\u672c\n"


def test_show_writes_in_one_piece():
    class Counting(io.StringIO):
        writes = 0

        def write(self, value):
            Counting.writes += 1
            return super().write(value)

    text.show(["a", "b", "c"], Counting())
    assert Counting.writes == 1
