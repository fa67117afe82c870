"""The reader: order over days and full files, torn and foreign lines, following."""

from __future__ import annotations

import os
import threading
import time

import pytest

from dlrepair.journal import reader, writer


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    monkeypatch.setattr(writer, "_problem", None)
    monkeypatch.setattr(writer, "_sequence", ("", "", 0))
    os.makedirs(writer.directory(), 0o700)


def event(incident, ts="2026-11-23T12:00:00.000+00:00", more=""):
    return '{{"v":1,"ts":"{}","run":"r","pid":1,"incident":"{}","event":"learned"{}}}\n'.format(ts, incident, more)


def put(name, text):
    with open(os.path.join(writer.directory(), name), "ab") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())


def incidents(**given):
    return [found["incident"] for found in reader.read(**given)]


def test_days_and_numbers_in_time_order():
    put("2026-11-23.10.jsonl", event("f"))
    put("2026-11-23.jsonl", event("c") + event("d"))
    put("2026-11-23.2.jsonl", event("e"))
    put("2026-11-22.jsonl", event("a"))
    put("2026-11-22.1.jsonl", event("b"))
    put("2026-11-24.jsonl", event("g"))
    assert incidents() == list("abcdefg")


def test_what_is_not_an_event_is_passed_over():
    put(
        "2026-11-23.jsonl",
        b"\n"
         b"not json\n"
         b'{"v":1,"event":"learned","incident":"torn\n'
        + event("a").encode()
        + b"[1,2]\n3\nnull\n"
        + b'{"event":"learned"}\n{"v":1}\n{"v":1,"event":7}\n'
        + b"\xff\xfe\x00\n"
        + b"[" * 100000 + b"\n"
        + b'{"v":' * 100000 + b"\n"
        + b"x" * 3000000 + b"\n"
        + event("b").encode()
        + event("c").encode()[:-20],
    )  # fmt: skip
    put("2026-11-24.jsonl", b"")
    os.mkdir(os.path.join(writer.directory(), "2026-11-25.jsonl"))
    os.mkfifo(os.path.join(writer.directory(), "2026-11-26.jsonl"))
    os.symlink("/nowhere", os.path.join(writer.directory(), "2026-11-27.jsonl"))
    put("2026-11-28.jsonl", event("d"))
    put("2026-11-28.jsonl.bak", event("x"))
    assert incidents() == ["a", "b", "d"]


def test_a_torn_line_does_not_hide_the_next():
    put("2026-11-23.jsonl", event("a")[:40] + event("b") + event("c"))
    assert incidents() == ["b", "c"]


def test_a_whole_line_without_its_end_counts():
    put("2026-11-23.jsonl", event("a") + event("b")[:-1])
    assert incidents() == ["a", "b"]


def test_newer_schemas_are_read():
    put("2026-11-23.jsonl", event("a").replace('"v":1', '"v":2'))
    assert incidents() == ["a"]


def test_incident_by_its_beginning():
    put("2026-11-23.jsonl", event("7f3a9c12") + event("7f3b0000") + event("aa7f3a00", more=',"x":"7f3a"'))
    assert incidents(incident="7f3a") == ["7f3a9c12"]
    assert incidents(incident="7f3") == ["7f3a9c12", "7f3b0000"]
    assert incidents(incident="zz") == []


def test_since_compares_moments_not_texts():
    put(
        "2026-11-23.jsonl",
        event("early", "2026-11-23T20:00:00.000+09:00")  # 11:00 UTC
        + event("late", "2026-11-23T08:00:00.000-05:00")  # 13:00 UTC
        + event("none", "yesterday"),
    )
    put("2026-11-22.jsonl", event("before", "2026-11-22T23:59:59.000+00:00"))
    assert incidents(since=reader.parse_ts("2026-11-23T12:00:00Z")) == ["late"]


def test_no_journal():
    os.rmdir(writer.directory())
    assert incidents() == [] and reader.size() == (0, 0)


def test_what_the_writer_wrote():
    writer.emit("load-failed", "abc", requested="\udcff \u20ac\n", ms=1.5)
    (found,) = reader.read()
    assert (found["requested"], found["ms"]) == ("\udcff \u20ac\n", 1.5)
    assert abs(reader.parse_ts(found["ts"]) - time.time()) < 60
    assert reader.size()[0] == 1 and reader.size()[1] > 50


# --- following -----------------------------------------------------------------------------------------------------


class Following:
    """Steps a follower by hand: one look at the files for each ``look``."""

    def __init__(self, monkeypatch, **given):
        self.more = threading.Event()
        self.looks = 0
        self.found = []
        monkeypatch.setattr(time, "sleep", self._between)
        self.steps = []
        self.events = reader.follow(stop=lambda: not self.steps and self.looks > 0, **given)

    def _between(self, seconds):
        self.looks += 1
        self.steps.pop(0)()

    def run(self, *steps):
        self.steps = list(steps)
        return [found["incident"] for found in self.events]


def test_follow_sees_new_lines_days_and_files(monkeypatch):
    put("2026-11-23.jsonl", event("a"))
    half = event("d")
    assert Following(monkeypatch).run(
        lambda: put("2026-11-23.jsonl", event("b")),
        lambda: put("2026-11-23.1.jsonl", event("c")),
        lambda: put("2026-11-23.1.jsonl", half[:30]),
        lambda: put("2026-11-23.1.jsonl", half[30:]),
        lambda: put("2026-11-24.jsonl", event("e") + event("f")),
        lambda: None,
    ) == list("abcdef")


def test_follow_survives_removal(monkeypatch):
    import shutil

    def anew():
        shutil.rmtree(writer.directory())

    def again():
        os.makedirs(writer.directory(), 0o700)
        put("2026-11-24.jsonl", event("b"))

    put("2026-11-23.jsonl", event("a"))
    assert Following(monkeypatch).run(anew, again) == ["a", "b"]


def test_follow_filters(monkeypatch):
    put("2026-11-23.jsonl", event("aa") + event("b"))
    assert Following(monkeypatch, incident="a").run(lambda: put("2026-11-23.jsonl", event("ab") + event("c"))) == [
        "aa",
        "ab",
    ]


def test_follow_repeats_nothing_after_a_torn_line(monkeypatch):
    put("2026-11-23.jsonl", event("a") + "torn\n")
    assert Following(monkeypatch).run(lambda: put("2026-11-23.jsonl", event("b")), lambda: None) == ["a", "b"]


# --- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, moment",
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:00.250+00:00", 0.25),
        ("1970-01-01t05:30:00+05:30", 0.0),
        ("1969-12-31 19:00:00 -0500", 0.0),
        ("2026-11-23T16:53:19.798+00:00", 1795452799.798),
        ("2026-02-30T00:00:00Z", None),
        ("2026-11-23T25:00:00Z", None),
        ("2026-11-23T10:00:00+99:99", None),
        ("9999999-01-01", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_times(text, moment):
    assert reader.parse_ts(text) == moment


@pytest.mark.parametrize(
    "text, ago", [("30m", 1800), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("10s", 10), ("1w", 604800)]
)
def test_since_by_age(text, ago):
    assert reader.parse_since(text, now=1000000.0) == 1000000.0 - ago


def test_since_by_the_clock():
    now = time.mktime((2026, 11, 23, 16, 0, 0, 0, 0, -1))
    assert reader.parse_since("today", now) == time.mktime((2026, 11, 23, 0, 0, 0, 0, 0, -1))
    assert reader.parse_since("yesterday", now) == time.mktime((2026, 11, 22, 0, 0, 0, 0, 0, -1))
    assert reader.parse_since("14:30", now) == time.mktime((2026, 11, 23, 14, 30, 0, 0, 0, -1))
    assert reader.parse_since("2026-11-20", now) == time.mktime((2026, 11, 20, 0, 0, 0, 0, 0, -1))
    assert reader.parse_since("1970-01-01T00:00:10Z", now) == 10.0


@pytest.mark.parametrize("text", ["", "soon", "h", "-1h", "2026-13-01", "25:00", "\u0663h", "1" * 400 + "d."])
def test_since_says_what_it_understands(text):
    with pytest.raises(ValueError, match="use 30m"):
        reader.parse_since(text)
