"""Log and explain: readable whatever the journal holds."""

from __future__ import annotations

import copy

from dlrepair.model.events import EVENTS
from dlrepair.render import explain, log


def event(kind, incident="7f3a9c12", clock="16:40:12.345", **fields):
    line = {
        "v": 1,
        "ts": "2026-11-23T{}+01:00".format(clock),
        "run": "r1",
        "pid": 42,
        "incident": incident,
        "event": kind,
    }
    line.update(fields)
    return line


STORY = [
    event(
        "load-failed",
        loader="tensorflow",
        requested="./roi.so",
        resolved="/p/roi.so",
        caller="/p/train.py:12",
        cwd="/p",
        exception="NotFoundError",
        dlerror="./roi.so: cannot open shared object file\nNo such file",
        guard=None,
    ),
    event(
        "diagnosed",
        clock="16:40:12.350",
        cause="file-missing",
        symptom="not-found",
        evidence=[
            {"key": "kind", "text": "nothing lies at /p/roi.so", "value": "missing"},
            {"key": "x", "text": "second"},
        ],
    ),
    event("candidate", path="/p/old/roi.so", verdict="rejected", reason="wrong-machine", detail="built for aarch64"),
    event(
        "candidate", path="/p/build/roi.so", verdict="accepted", reason="fits", facts={"machine": "x86-64", "empty": ""}
    ),
    event("trust-refused", path="/tmp/roi.so", reason="directory /tmp is writable by others (mode 1777)"),
    event(
        "repair-tried",
        strategy="substitute",
        why="roi.so exists in build/",
        steps=[{"kind": "load", "path": "/p/b", "target": ""}],
    ),
    event(
        "load-repaired",
        clock="16:40:12.400",
        cause="file-missing",
        strategy="substitute",
        path="/p/build/roi.so",
        ms=31.04,
    ),
]


def test_log():
    assert list(log.lines(STORY)) == [
        "incident 7f3a9c12  2026-11-23  pid 42",
        (
            "  16:40:12.345  load-failed      tensorflow asked for ./roi.so at /p/train.py:12: "
            "cannot open shared object file\\nNo such file"
        ),
        "  16:40:12.350  diagnosed        file-missing: nothing lies at /p/roi.so",
        "  16:40:12.345  candidate        rejected /p/old/roi.so: built for aarch64",
        "  16:40:12.345  candidate        accepted /p/build/roi.so: fits",
        "  16:40:12.345  trust-refused    /tmp/roi.so: directory /tmp is writable by others (mode 1777)",
        "  16:40:12.345  repair-tried     substitute: roi.so exists in build/",
        "  16:40:12.400  load-repaired    file-missing by substitute: /p/build/roi.so (31.0 ms)",
    ]


def test_other_events():
    def line(kind, **fields):
        return log.sentence(event(kind, **fields))

    assert line("repair-failed", strategy="preload", path="/a.so", error="undefined symbol: f") == (
        "preload: /a.so: undefined symbol: f"
    )
    assert (
        line("repair-failed", strategy="search", reason="budget_ms is used up", path=None)
        == "search: budget_ms is used up"
    )
    assert line("load-unrepaired", cause="wrong-arch", next_step="pip install x") == "wrong-arch; next: pip install x"
    assert line("load-unrepaired", cause="wrong-arch", reason="mode is observe") == "wrong-arch: mode is observe"
    assert line("internal-error", where="hook", error="ValueError()") == "hook: ValueError()"
    assert line("build-started", output="x.so", command=["g++", "-c", "x.cc"]) == "x.so: g++ -c x.cc"
    assert line("build-finished", output="x.so", ok=True, reason="built", path="/s/x.so", seconds=1.25,
                steps=["status-ok"]) == "x.so built (1.2 s): /s/x.so [status-ok]"  # fmt: skip
    assert line("build-finished", output="x.so", ok=False, reason="compile-error", first_error="x.cc:1: error: y",
                seconds=0.5) == "x.so compile-error (0.5 s): x.cc:1: error: y"  # fmt: skip
    assert line("build-finished", output="x.so", ok=True, reason="found", path="/s/x.so", hit=True) == (
        "x.so found: /s/x.so"
    )
    changes = [
        {"name": "LD_LIBRARY_PATH", "action": "prepend", "value": "/opt/lib"},
        {"name": "LD_PRELOAD", "action": "remove", "value": "/old.so"},
    ]
    shown = "LD_LIBRARY_PATH=/opt/lib LD_PRELOAD without /old.so"
    assert line("reexec", refused=None, environment=changes) == "started again: " + shown
    assert line("reexec", refused="threads", condition="2 threads run") == "not started again now: 2 threads run"
    assert line("learned", program="/w/run.py", kept=True, environment=changes) == (
        "kept for the next start of /w/run.py: " + shown
    )
    assert line("learned", program="/w/run.py", kept=False, problem="no home") == "not kept for the next start: no home"
    assert line("learned", program="/w/run.py", applied=True, environment=changes) == (
        "started with what was learned: " + shown
    )


def test_incidents_are_grouped_newest_last():
    mixed = [
        event("load-failed", "aaaa", requested="a", loader="ctypes"),
        event("load-failed", "bbbb", requested="b", loader="ctypes"),
        event("load-unrepaired", "aaaa", cause="unknown", next_step=""),
    ]
    assert [[line["incident"] for line in group] for group in log.grouped(mixed)] == [["bbbb"], ["aaaa", "aaaa"]]
    lines = list(log.lines(mixed))
    assert [line for line in lines if line.startswith("incident")] == [
        "incident bbbb  2026-11-23  pid 42",
        "incident aaaa  2026-11-23  pid 42",
    ]
    assert lines[2] == ""


def rank(pid, *events):
    """One rank's events of a job whose ranks share the run."""
    return [dict(one, pid=pid, incident="{:08x}".format(pid)) for one in events]


def test_the_ranks_of_a_job_are_one_story():
    failed = event("load-failed", "", requested="/w/libx.so", loader="ctypes", dlerror="gone")
    done = event("load-repaired", "", cause="file-missing", strategy="substitute", path="/w/b/libx.so", ms=3.0)
    tried = event("repair-tried", "", strategy="substitute", why="it fits")
    other = event("load-unrepaired", "", cause="file-missing", next_step="")
    events = rank(11, failed, done) + rank(12, failed, tried, done) + rank(13, failed, done) + rank(14, failed, other)
    lines = list(log.lines(events))
    assert [line for line in lines if line.startswith("incident")] == [
        "incident 0000000c  2026-11-23  pid 12", "incident 0000000e  2026-11-23  pid 14",
    ]  # fmt: skip
    assert lines[4] == "  and 2 other processes of this run the same: pid 11, 13" and lines[5] == ""
    assert len(list(log.lines(rank(11, failed, done) + rank(11, failed, done)))) == 5  # one process says it twice
    apart = rank(11, failed, done) + [dict(one, run="r2") for one in rank(12, failed, done)]
    assert sum(line.startswith("incident") for line in log.lines(apart)) == 2


def test_ranks_that_start_with_what_was_learned_are_one_line():
    applied = event("learned", "aaaa", program="/w/run.py", applied=True, environment=[])
    lines = list(log.lines([dict(applied, pid=pid) for pid in (1, 2, 3)] + [dict(applied, pid=1)]))
    assert [line.endswith(" (and 2 other processes the same)") for line in lines] == [False, True, False]


def test_following_repeats_the_heading_when_the_incident_changes():
    mixed = [event("learned", "a"), event("learned", "a"), event("learned", "b"), event("learned", "a")]
    heads = [line.split()[1] for line in log.stream_lines(iter(mixed)) if line.startswith("incident")]
    assert heads == ["a", "b", "a"]


def test_following_does_not_wait_for_the_end():
    def endless():
        while True:
            yield event("learned", "a", key="k")

    lines = log.stream_lines(endless())
    assert next(lines).startswith("incident a") and "learned" in next(lines)


def test_colours():
    assert "\x1b[" not in "".join(log.lines(STORY)) + "".join(explain.story(STORY))
    coloured = "\n".join(log.lines(STORY, colour=True))
    assert "\x1b[32mload-repaired   \x1b[0m" in coloured and "\x1b[1mincident" in coloured
    assert "\x1b[1m16:40:12.345  A load failed\x1b[0m" in explain.story(STORY, colour=True)


def test_the_story_of_an_incident():
    lines = explain.story(STORY)
    assert lines[0] == "incident 7f3a9c12 on 2026-11-23 (run r1, process 42)"
    assert lines[1:13] == [
        "",
        "16:40:12.345  A load failed",
        "  loader: tensorflow",
        "  requested: ./roi.so",
        "  resolved: /p/roi.so",
        "  caller: /p/train.py:12",
        "  cwd: /p",
        "  exception: NotFoundError",
        "  dlerror:",
        "    ./roi.so: cannot open shared object file",
        "    No such file",
        "",
    ]
    assert "  file-missing: the library is not where the program looks for it" in lines
    at = lines.index("  evidence:")
    assert lines[at + 1 : at + 3] == ["    - nothing lies at /p/roi.so", "    - second"]
    assert "    machine: x86-64" in lines and not any("empty" in line for line in lines)
    assert "    - kind load, path /p/b" in lines
    assert lines[-5:] == [
        "16:40:12.400  The load was repaired",
        "  cause: file-missing",
        "  strategy: substitute",
        "  path: /p/build/roi.so",
        "  ms: 31.0",
    ]
    assert explain.story([]) == []


def test_every_event_has_a_title():
    assert set(explain._TITLES) == set(EVENTS)


def test_what_was_cut_is_told():
    assert explain.story([event("learned", cut=["x"])])[-1] == "  (some of it was too long for the journal and was cut)"


ODD = [
    "\x1b[2J\n\udcff",
    "x" * 100000,
    3,
    1.5,
    True,
    None,
    [],
    {},
    [[["deep"]]],
    {"a": {"b": {"c": {"d": {"e": 1}}}}},
    [None, {}, 3],
]


def test_any_value_in_any_place():
    """The journal may hold lines of other versions or of anybody: nothing raises, nothing reaches the terminal raw."""
    for original in STORY + [event("load-unrepaired"), event("unheard-of"), event("internal-error")]:
        for key in list(original) + ["cause", "path", "extra"]:
            for value in ODD:
                line = copy.deepcopy(original)
                line[key] = value
                shown = list(log.lines([line])) + list(log.stream_lines([line])) + explain.story([line])
                assert all(one.isprintable() and len(one) < 2200 for one in shown)


def test_a_loaders_words_without_the_name_again():
    def line(**fields):
        return log.sentence(event("load-failed", loader="ctypes", **fields))

    assert line(requested="x.so", dlerror="x.so: cannot open") == "ctypes asked for x.so: cannot open"
    assert line(requested="./x.so", resolved="/p/x.so", dlerror="/p/x.so: too short") == (
        "ctypes asked for ./x.so: too short"
    )
    assert line(requested="x.so", dlerror="libdep.so: cannot open") == "ctypes asked for x.so: libdep.so: cannot open"
    assert line(requested="x.so", dlerror="x.so: ") == "ctypes asked for x.so"


def test_a_place_of_a_search_by_its_list():
    proof = [
        {"key": "absent", "text": "/p/x.so: no such file", "value": "missing"},
        {"key": "tried", "text": "/lib/x.so: default: no such file", "value": "/lib/x.so"},
    ]
    told = explain.story([event("diagnosed", cause="file-missing", evidence=proof)])
    assert [line for line in told if line.startswith("    - ")] == [
        "    - /p/x.so: no such file",
        "    - /lib/x.so (ld.so's default directory): no such file",
    ]
