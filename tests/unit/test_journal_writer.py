"""The writer: every line whole, valid, bounded; trouble never leaves ``emit``."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from dlrepair import journal
from dlrepair.journal import reader, writer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    monkeypatch.setattr(writer, "_run", "")
    monkeypatch.setattr(writer, "_problem", None)
    monkeypatch.setattr(writer, "_sequence", ("", "", 0))


def raw_lines():
    out = []
    for path, _, _ in reader.files():
        with open(path, "rb") as stream:
            out.extend(stream.read().split(b"\n")[:-1])
    return out


def last():
    return json.loads(raw_lines()[-1].decode("ascii"))


def child(code, **environment):
    """Output of a Python child with dlrepair importable and this test's home."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env=dict(os.environ, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keys_of_every_line():
    writer.emit("load-failed", "7f3a9c12", loader="ctypes", requested="x.so")
    line = last()
    assert list(line) == ["v", "ts", "run", "pid", "incident", "event", "loader", "requested"]
    assert (line["v"], line["pid"], line["incident"], line["event"]) == (1, os.getpid(), "7f3a9c12", "load-failed")
    assert line["run"] == writer.run_id()
    assert writer.problem() is None


def test_time_is_rfc_3339_with_the_offset_of_the_time_zone():
    code = """
        import time
        from dlrepair.journal import writer
        print(writer.stamp(0.0419)); print(writer.stamp(1700000000.9999))
    """
    assert child(code, TZ="IST-5:30").split() == ["1970-01-01T05:30:00.041+05:30", "2023-11-15T03:43:20.999+05:30"]
    assert child(code, TZ="NST3:30").split()[0] == "1969-12-31T20:30:00.041-03:30"


def test_file_and_directory_are_private_and_named_by_the_day():
    old = os.umask(0)
    try:
        writer.emit("learned", "a")
    finally:
        os.umask(old)
    ((path, _, _),) = reader.files()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert os.path.basename(path) == "{}.jsonl".format(time.strftime("%Y-%m-%d", time.gmtime()))


def test_an_odd_umask_leaves_a_file_that_can_be_written_again():
    old = os.umask(0o777)
    try:
        writer.emit("learned", "a")
    finally:
        os.umask(old)
    writer.emit("learned", "b")
    assert writer.problem() is None
    ((path, _, _),) = reader.files()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize(
    "value",
    [
        "",
        'quote " backslash \\ slash /',
        "".join(map(chr, range(0x100))),
        "na\u00efve \u20ac \U0001f600 \uffff \u2028",
        "not UTF-8: \udc80\udcff",
        "high \ud800 alone",
        0, -1, 10 ** 30, True, False, None, 1.5, -0.0, 1e300,
        [], {}, [1, [2, [3]]], {"a": {"b": [None, True]}}, {"": ""}, {"\n": "\udc80"},
    ],
)  # fmt: skip
def test_values_come_back(value):
    writer.emit("learned", "a", value=value)
    assert last()["value"] == value


@dataclasses.dataclass(frozen=True)
class Thing:
    name: str
    parts: tuple = ()


class Hostile:
    def __repr__(self):
        raise RuntimeError("repr was called")

    __str__ = __repr__


class Text(str):
    def translate(self, table):
        raise RuntimeError("a subclass's method was called")

    isascii = __str__ = translate


@pytest.mark.parametrize(
    "value, stands_for",
    [
        (b"/lib/\xff.so", "/lib/\udcff.so"),
        ((1, "a"), [1, "a"]),
        (float("nan"), None),
        (float("-inf"), None),
        (Thing("a", (Thing("b"),)), {"name": "a", "parts": [{"name": "b", "parts": []}]}),
        (Hostile(), "<Hostile>"),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        (Text("plain"), "plain"),
    ],
)
def test_other_types(value, stands_for):
    writer.emit("learned", "a", value=value)
    assert last()["value"] == stands_for
    assert writer.problem() is None


def test_a_field_cannot_take_the_place_of_a_key():
    writer.emit("learned", "a", pid=-1, v=7, ts="x", run="y", cut=3, other=1)
    line = last()
    assert (line["v"], line["pid"], line["other"]) == (1, os.getpid(), 1)
    assert "cut" not in line


@pytest.mark.parametrize(
    "fields",
    [
        {"evidence": [{"key": str(i), "text": "fact " * 200} for i in range(1000)]},
        {"dlerror": "x" * 10000000},
        {"dlerror": "\U0001f600" * 100000},
        {"dlerror": "\0" * 70000},
        {"facts": {str(i): "y" * 100 for i in range(100000)}},
        {"deep": __import__("functools").reduce(lambda inner, _: [inner, inner], range(60), "bottom")},
        {"field{}".format(i): "z" * 300 for i in range(3000)},
    ],
    ids=["list", "string", "astral", "escapes", "mapping", "nested", "many"],
)
def test_a_line_stays_below_64_kib_and_says_what_was_cut(fields):
    writer.emit("diagnosed", "abc", **fields)
    (raw,) = raw_lines()
    assert len(raw) + 1 <= writer.MAX_LINE <= 64 * 1024
    line = json.loads(raw.decode("ascii"))
    assert line["cut"] == (["*"] if len(fields) > 1 else list(fields))
    assert line["incident"] == "abc"


def test_a_cut_string_keeps_both_ends():
    writer.emit("load-failed", "a", requested="/start/" + "x" * 100000 + "/end.so", loader="ctypes")
    line = last()
    assert line["requested"].startswith("/start/x") and line["requested"].endswith("/end.so")
    assert "characters cut" in line["requested"]
    assert (line["cut"], line["loader"]) == (["requested"], "ctypes")


def test_a_cycle_ends():
    loop = []
    loop.append(loop)
    writer.emit("learned", "a", loop=loop)
    assert last()["cut"] == ["loop"]


def test_run_is_taken_from_the_environment_and_kept():
    code = "from dlrepair.journal import writer; print(writer.run_id()); print(writer.run_id())"
    first, second = child(code).split()
    assert first == second and len(first) == 12
    assert child(code, DLREPAIR_RUN="abc-123").split() == ["abc-123"] * 2
    for unusable in ("a b", "x" * 65, "../x", 'a"b', "\u00e9"):
        assert child(code, DLREPAIR_RUN=unusable).split()[0] != unusable


def test_a_forked_child_keeps_the_run_and_has_its_own_pid_and_incidents():
    out = child(
        """
        import os
        from dlrepair.journal import writer
        writer.emit("learned", writer.new_incident())
        pid = os.fork()
        writer.emit("learned", writer.new_incident())
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        """
    )
    assert out == ""
    lines = [json.loads(line.decode()) for line in raw_lines()]
    assert len(lines) == 3
    assert len({line["run"] for line in lines}) == 1
    assert len({line["pid"] for line in lines}) == 2
    assert len({line["incident"] for line in lines}) == 3


def test_a_full_file_has_a_successor_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(writer, "MAX_FILE", 4000)
    monkeypatch.setattr(writer, "MAX_TOTAL", 20000)
    os.makedirs(writer.directory(), 0o700)
    old = os.path.join(writer.directory(), "2001-02-03.jsonl")
    with open(old, "w") as stream:
        stream.write('{"v":1,"event":"learned"}\n' * 100)
    other = os.path.join(writer.directory(), "notes.txt")
    open(other, "w").close()
    for number in range(200):
        writer.emit("learned", "a", number=number, padding="p" * 300)
    assert writer.problem() is None
    assert not os.path.exists(old)
    assert os.path.exists(other)
    assert reader.size()[1] <= 20000
    numbers = [event["number"] for event in reader.read()]
    assert numbers == list(range(numbers[0], 200)) and len(numbers) > 20
    assert all(os.path.getsize(path) < 4000 + 500 for path, _, _ in reader.files())


def test_a_new_process_goes_on_with_the_newest_file(monkeypatch):
    os.makedirs(writer.directory(), 0o700)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    path = os.path.join(writer.directory(), day + ".12.jsonl")
    open(path, "w").close()
    writer.emit("learned", "a")
    assert os.path.getsize(path) > 0 and len(reader.files()) == 1


@pytest.mark.parametrize(
    "name, parsed",
    [
        ("2026-11-23.jsonl", ("2026-11-23", 0)),
        ("2026-11-23.12.jsonl", ("2026-11-23", 12)),
        ("2026-11-23.jsonl.1", None),
        ("2026-11-23.jsonl~", None),
        ("2026-11-2x.jsonl", None),
        ("2026-11-23.x.jsonl", None),
        ("2026-11-23..jsonl", None),
        ("2026-11-23.\u0661.jsonl", None),
        ("x.jsonl", None),
        ("", None),
    ],
)
def test_names_of_files(name, parsed):
    assert writer.parse_name(name) == parsed


def test_a_line_that_a_full_disk_cut_does_not_swallow_the_next():
    """RLIMIT_FSIZE makes write(2) stop in the middle of a line, as a full disk does."""
    out = child(
        """
        import resource
        from dlrepair.journal import writer
        writer.emit("learned", "first", padding="p" * 1000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        writer.emit("learned", "second", padding="p" * 2000)
        writer.emit("learned", "third")
        print(writer.problem())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        writer.emit("learned", "fourth")
        """
    )
    assert "No space left" in out or "too large" in out
    assert len(raw_lines()) == 2
    assert [event["incident"] for event in reader.read()] == ["first", "fourth"]


# --- places that cannot be written ---------------------------------------------------------------------------------


def problem_of(*arguments):
    writer.emit("learned", "a")
    writer.emit("learned", "b")
    return writer.problem() or ""


def test_no_home_directory(monkeypatch):
    for name in list(os.environ):
        if name.startswith("XDG_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert writer.directory() == ""
    assert "no home directory" in problem_of()


def test_a_relative_xdg_variable_is_invalid_and_ignored(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert writer.directory() == os.path.join(os.environ["HOME"], ".local", "state", "dlrepair", "journal")


def test_the_journal_is_a_file(home):
    os.makedirs(os.path.dirname(writer.directory()))
    open(writer.directory(), "w").close()
    assert "is not a directory" in problem_of()


def test_a_directory_on_the_way_is_a_file(home):
    open(os.environ["XDG_STATE_HOME"], "w").close()
    assert "Not a directory" in problem_of()


def test_a_file_system_where_nothing_can_be_made(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/dlrepair-test")  # even root cannot make a directory there
    assert "/proc/dlrepair-test" in problem_of()


def test_a_dangling_link_in_place_of_the_directory():
    os.makedirs(os.path.dirname(writer.directory()))
    os.symlink("/nowhere/at/all", writer.directory())
    assert "No such file" in problem_of()
    assert not os.path.exists("/nowhere")


def test_a_link_to_a_directory_of_this_user_is_followed(tmp_path):
    os.makedirs(os.path.dirname(writer.directory()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    os.symlink(str(elsewhere), writer.directory())
    assert problem_of() == ""
    assert len(os.listdir(str(elsewhere))) == 1


def test_a_directory_that_others_can_write_is_refused():
    os.makedirs(writer.directory())
    os.chmod(writer.directory(), 0o777)
    assert "is writable by others (mode 0777)" in problem_of()
    assert os.listdir(writer.directory()) == []


def test_a_directory_of_another_user_is_refused(foreign):
    os.makedirs(writer.directory())
    foreign(writer.directory())
    assert "belongs to another user" in problem_of()
    assert os.listdir(writer.directory()) == []


def test_nothing_is_made_in_the_home_of_another_user(home, foreign):
    foreign(home)
    assert "belongs to another user" in problem_of()
    assert os.listdir(home) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_something_else_in_place_of_the_file(kind, tmp_path):
    os.makedirs(writer.directory(), 0o700)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    path = os.path.join(writer.directory(), day + ".jsonl")
    victim = tmp_path / "victim"
    victim.write_text("")
    if kind == "link":
        os.symlink(str(victim), path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        os.mkdir(path)
    assert problem_of() != ""
    assert victim.read_text() == ""


def test_a_journal_removed_while_in_use_is_made_anew():
    import shutil

    writer.emit("learned", "a")
    shutil.rmtree(writer.directory())
    writer.emit("learned", "b")
    assert writer.problem() is None
    assert [event["incident"] for event in reader.read()] == ["b"]


def test_only_a_few_modules_are_imported():
    """The budget of a failing load: the names are those that a bare interpreter has loaded anyway, and ours."""
    out = child(
        """
        import sys
        before = set(sys.modules)
        from dlrepair.journal import writer
        writer.emit("learned", writer.new_incident(), text="\\u20ac", evidence=[{"a": 1.5}])
        assert writer.problem() is None, writer.problem()
        print(sorted(name for name in set(sys.modules) - before if not name.startswith("dlrepair")))
        """
    )
    assert set(eval(out)) <= {"__future__", "errno", "posix", "pwd", "time"}


FIELDS = {"program": "/w/é\ud800.py", "applied": True, "environment": [{"name": "A", "action": "set", "value": "\t"}]}


def test_a_line_made_beforehand_is_the_same_line():
    writer.emit("learned", "7f3a9c12", **FIELDS)
    run = journal.append(writer.directory(), "7f3a9c12", "learned", writer.body(**FIELDS))
    first, second = [json.loads(line.decode("ascii")) for line in raw_lines()]
    assert second.pop("run") == run and run != first.pop("run")
    assert first.pop("ts")[:16] == second.pop("ts")[:16] and first == second
    assert writer.body(value=["x" * 16000] * 512) == ""


@pytest.mark.parametrize("why", ["no-file", "empty", "link", "shared-file", "shared-directory", "large", "run", "rank"])
def test_a_line_made_beforehand_waits_for_the_writer(why, monkeypatch, tmp_path):
    """Whatever takes more than one write to a private file of today's is left to ``emit``."""
    writer.emit("learned", "first")
    place = writer.directory()
    ((path, _, _),) = reader.files()
    if why in ("no-file", "link"):
        os.rename(path, str(tmp_path / "elsewhere"))
    if why == "link":
        os.symlink(str(tmp_path / "elsewhere"), path)
    if why in ("empty", "large"):
        os.truncate(path, 0 if why == "empty" else journal.ROOM)
    if why.startswith("shared"):
        os.chmod(path if why == "shared-file" else place, 0o777)
    if why in ("run", "rank"):
        monkeypatch.setenv("DLREPAIR_RUN" if why == "run" else "OMPI_COMM_WORLD_SIZE", "8")
    before = os.path.getsize(path) if os.path.exists(path) else 0
    try:
        assert journal.append(place, "7f3a9c12", "learned", writer.body(**FIELDS)) == ""
    except OSError:
        assert why in ("no-file", "link")
    assert (os.path.getsize(path) if os.path.exists(path) else 0) == before
