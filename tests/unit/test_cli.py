"""The command line as a person or a program meets it: every command really run."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from interpreters import bare_env

from dlrepair.cli import main, output, parser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMES = [module.NAME for module in parser.COMMANDS]
LINE = (
    '{"v":1,"ts":"2026-01-0%dT10:00:00.000+00:00","run":"r","pid":1,"incident":"%s","event":"load-failed",'
    '"loader":"ctypes","requested":"./a\\u001b.so","dlerror":"./a.so: cannot open"}\n'
)


@pytest.fixture
def env(tmp_path: object) -> dict[str, str]:
    """A private home with a journal of two incidents."""
    home = str(tmp_path)
    journal = os.path.join(home, "state", "dlrepair", "journal")
    os.makedirs(journal, 0o700)
    for day, incident in ((1, "aaaa0001"), (2, "bbbb0002")):
        with open(os.path.join(journal, "2026-01-0%d.jsonl" % day), "w") as handle:
            handle.write(LINE % (day, incident))
    places = {"XDG_%s_HOME" % one.upper(): os.path.join(home, one) for one in ("state", "cache", "config")}
    return bare_env(HOME=home, PYTHONPATH=ROOT, **places)


def run(env: dict[str, str], *arguments: str, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dlrepair", *arguments], env=dict(env, **more), cwd=env["HOME"], input=text,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main.main([name, "--help"])
    assert exit.value.code == 0
    out = capsys.readouterr().out
    assert "example:\n  " in out and "dlrepair " + name in out.partition("example:")[2]
    assert max(len(line) for line in out.splitlines()) <= 120


def test_nothing_is_listed_that_is_not_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == output.USAGE
    out = capsys.readouterr().out
    assert all("    " + name in out for name in NAMES)
    assert not [name for name in ("report",) if "\n    %s " % name in out]


def test_version(env: dict[str, str]) -> None:
    import dlrepair

    done = run(env, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "dlrepair %s\n" % dlrepair.__version__, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"], ["log", "--since", "yesterday-ish"], ["explain"], ["explain", "no-such-cause"],
        ["explain", "unknown", "--message", "-"], ["explain", "--message", "/nowhere"], ["trust"], ["cache"],
        ["cache", "burn"], ["run"], ["run", "--"], ["search", ""], ["install", "--python", "/nowhere"], ["check"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(arguments: list[str], env: dict[str, str]) -> None:
    done = run(env, *arguments)
    assert done.returncode == output.USAGE, done
    assert done.stdout == "" and done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments, keys",
    [
        (["status", "--json"], {"hook", "settings", "store", "journal", "problems", "builders", "learned"}),
        (["log", "--json"], {"events"}),
        (["explain", "truncated", "--json"], {"cause", "summary", "page"}),
        (["explain", "aaaa", "--json"], {"incident", "events"}),
        (["cache", "ls", "--json"], {"store", "entries"}),
        (["cache", "gc", "--json"], {"store", "removed_files", "removed_bytes"}),
        (["cache", "clear", "--json"], {"store", "removed_files", "removed_bytes"}),
        (["trust", "--list", "--json"], {"decisions"}),
        (["uninstall", "--json"], {"action", "python", "environment", "route", "hook", "home", "kept", "notes"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_one_document(arguments: list[str], keys: set[str], env: dict[str, str]) -> None:
    done = run(env, *arguments)
    assert done.returncode in (0, 1) and done.stderr == "", done
    assert set(json.loads(done.stdout)) == keys


def test_message_of_an_error(env: dict[str, str]) -> None:
    text = "OSError: libfoo.so.1: cannot open shared object file: No such file or directory\n"
    done = run(env, "explain", "--message", "-", "--json", text=text)
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert (answer["symptom"], answer["missing"]) == ("not-found", "libfoo.so.1")
    assert "dependency-missing" in answer["causes"]
    assert "no message of a loader" in run(env, "explain", "--message", "-", text="gibberish").stdout
    log = os.path.join(env["HOME"], "log.txt")
    with open(log, "wb") as handle:  # as PowerShell writes it; and it names a file that is here
        handle.write("OSError: {}: invalid ELF header".format(log).encode("utf-16"))
    assert "help: dlrepair check {}".format(log) in run(env, "explain", "--message", log).stdout


def test_log(env: dict[str, str]) -> None:
    done = run(env, "log")
    assert done.stdout.index("aaaa0001") < done.stdout.index("bbbb0002")
    assert "\x1b" not in done.stdout and "\\x1b" in done.stdout
    assert "aaaa0001" not in run(env, "log", "--since", "2026-01-02").stdout
    assert "bbbb0002" not in run(env, "log", "--incident", "aaaa").stdout
    assert run(env, "log", "--incident", "cccc").returncode == output.FOUND


def test_follow_until_interrupted(env: dict[str, str]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "dlrepair", "log", "--follow", "--json"], env=env, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert json.loads(child.stdout.readline().decode())["incident"] == "aaaa0001"
    assert json.loads(child.stdout.readline().decode())["incident"] == "bbbb0002"
    journal = os.path.join(env["XDG_STATE_HOME"], "dlrepair", "journal", "2026-01-02.jsonl")
    with open(journal, "a") as handle:
        handle.write(LINE % (2, "cccc0003"))
    assert json.loads(child.stdout.readline().decode())["incident"] == "cccc0003"
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=30)
    assert (child.returncode, error) == (output.INTERRUPTED, b"")


def test_reader_that_has_gone(env: dict[str, str]) -> None:
    journal = os.path.join(env["XDG_STATE_HOME"], "dlrepair", "journal", "2026-01-02.jsonl")
    with open(journal, "a") as handle:
        handle.write(LINE % (2, "dddd0004") * 3000)
    child = subprocess.Popen(
        [sys.executable, "-m", "dlrepair", "log"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None and child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(30) == output.CLOSED_PIPE
    child.stderr.close()


def _on_a_terminal(env: dict[str, str], *arguments: str) -> str:
    """What the command writes to a real pseudo-terminal."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "dlrepair", *arguments], env=env, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    text = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the last writer has gone
            break
        if not part:
            break
        text += part
    os.close(leader)
    child.wait(30)
    return text.decode()


def test_colour_on_a_terminal_only(env: dict[str, str]) -> None:
    env["TERM"] = "xterm"
    assert "\x1b[" in _on_a_terminal(env, "log")
    assert "\x1b[" not in _on_a_terminal(dict(env, NO_COLOR="1"), "log")
    assert "\x1b[" not in _on_a_terminal(dict(env, TERM="dumb"), "log")
    assert "\x1b[" not in run(env, "log").stdout


def test_trust_and_distrust(env: dict[str, str]) -> None:
    place = os.path.realpath(os.path.join(env["HOME"], "project"))
    os.mkdir(place)
    assert run(env, "trust", place).returncode == 0
    assert run(env, "trust", "--list").stdout.startswith("allow")
    assert run(env, "distrust", place, "--json").returncode == 0
    (decision,) = json.loads(run(env, "trust", "--list", "--json").stdout)["decisions"]
    assert decision["path"] == place and decision["decision"].startswith("refuse")
    done = run(env, "trust", "/nowhere/at/all")
    assert done.returncode == output.FOUND and "No such file" in done.stderr and "Traceback" not in done.stderr


def test_trust_of_a_library_names_its_directory(env: dict[str, str]) -> None:
    place = os.path.realpath(os.path.join(env["HOME"], "lib dir"))
    os.mkdir(place)
    named, plugin = os.path.join(place, "libfoo.so.2"), os.path.join(place, "plugin")
    for path, content in ((named, b"any"), (plugin, b"\x7fELF")):
        with open(path, "wb") as handle:
            handle.write(content)
        done = run(env, "trust", path)
        assert (done.returncode, done.stdout) == (output.USAGE, "")
        assert done.stderr.splitlines() == [
            "dlrepair trust: {} is a shared library: only its directory {} can be trusted".format(path, place),
            "help: dlrepair trust '{}'".format(place),
        ]
    assert json.loads(run(env, "trust", "--list", "--json").stdout)["decisions"] == []
    os.chmod(place, 0o1777)
    assert "help: move it into a directory of your own" in run(env, "trust", named).stderr
    script = os.path.join(place, "Makefile")
    with open(script, "w") as handle:
        handle.write("all:\n")
    assert run(env, "trust", script).returncode == 0


def test_refusal_of_a_library_can_be_lifted(env: dict[str, str]) -> None:
    """However large it is: nothing has to be read for that."""
    library = os.path.realpath(os.path.join(env["HOME"], "libhuge.so"))
    with open(library, "wb") as handle:
        handle.truncate(5 * 1024 * 1024)
    assert run(env, "distrust", library).returncode == 0
    done = run(env, "trust", library)
    assert (done.returncode, done.stdout) == (0, "no longer refused: {}\n".format(library))
    assert json.loads(run(env, "trust", "--list", "--json").stdout)["decisions"] == []


def test_nothing_to_list_is_said(env: dict[str, str]) -> None:
    done = run(env, "trust", "--list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no decisions yet\n")
    done = run(env, "log", "--since", "2026-02-01")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing journalled since 2026-02-01\n")
    env["XDG_STATE_HOME"] = os.path.join(env["HOME"], "elsewhere")
    done = run(env, "log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing journalled yet\n")
    for arguments, key in ((["log", "--json"], "events"), (["trust", "--list", "--json"], "decisions")):
        done = run(env, *arguments)
        assert (json.loads(done.stdout), done.stderr) == ({key: []}, "")


def test_one_file_is_not_many(env: dict[str, str]) -> None:
    assert [output.size_text(number) for number in (0, 1, 2, 2048)] == ["0 bytes", "1 byte", "2 bytes", "2.0 KiB"]
    assert "store    {}/dlrepair (0 files, 0 bytes)".format(env["XDG_CACHE_HOME"]) in run(env, "status").stdout
    code = "from dlrepair import store; assert store.remember(store.key_of('one'), {'path': '/nowhere.so'})"
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert ": 1 file, " in run(env, "cache", "ls").stdout
    assert run(env, "cache", "clear").stdout.startswith("removed 1 file, ")


def test_status_tells_the_store_in_use(env: dict[str, str]) -> None:
    settings = run(env, "status").stdout.partition("\nsettings\n")[2].splitlines()
    assert "  mode            repair                   default" in settings
    assert "  store           {:24} default".format(os.path.join(env["XDG_CACHE_HOME"], "dlrepair")) in settings
    own = os.path.join(env["HOME"], "own")
    settings = run(env, "status", DLREPAIR_STORE=own).stdout.partition("\nsettings\n")[2].splitlines()
    assert "  store           {:24} environment DLREPAIR_STORE".format(own) in settings


def test_settings_with_provenance(env: dict[str, str]) -> None:
    done = run(env, "status", DLREPAIR_BUDGET_MS="77", DLREPAIR_VERBOSITI="x", DLREPAIR="observe")
    assert "budget_ms       77                       environment DLREPAIR_BUDGET_MS" in done.stdout
    assert "mode            observe                  environment DLREPAIR" in done.stdout
    assert "verbosity" in done.stdout.partition("ignored: ")[2]
    off = run(env, "status", "--json", DLREPAIR="off")
    assert off.returncode == output.FOUND
    assert json.loads(off.stdout)["hook"]["switched_off_by"] == "DLREPAIR"


def test_own_failure_is_one_line(env: dict[str, str]) -> None:
    """A broken part of ours: no traceback unless asked for, exit status 3."""
    code = (
        "import sys; from dlrepair import store; from dlrepair.cli import main\n"
        "def gone(): raise RuntimeError('first line\\nsecond line')\n"
        "store.location = gone\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    for more, traceback in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [sys.executable, "-c", code, "cache", "ls", *more], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert done.returncode == output.FAILED
        assert ("Traceback" in done.stderr) == traceback
        assert "dlrepair cache: internal error: RuntimeError: first line\n" in done.stderr


def test_names_that_are_not_text(env: dict[str, str]) -> None:
    """File names are bytes: they are shown escaped, in any locale."""
    name = os.path.join(os.fsencode(env["HOME"]), b"odd\xff\x1b[31m.so")
    with open(name, "wb") as handle:
        handle.write(b"no library")
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"dlrepair", b"check", name], env=dict(env, LC_ALL="C", PYTHONUTF8="0"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert done.returncode == output.FOUND, done
    assert b"\\xff" in done.stdout and b"\x1b" not in done.stdout


def test_commands_import_little() -> None:
    """``dlrepair --help`` is answered without what only some commands need."""
    code = "import sys, dlrepair.cli.main; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=bare_env(PYTHONPATH=ROOT), stdout=subprocess.PIPE)
    loaded = set(done.stdout.decode().split())
    assert not loaded & {"json", "psutil", "elftools", "watchdog", "subprocess"}
    assert not loaded & {"dlrepair.api", "dlrepair.engine", "dlrepair.hooks", "dlrepair.installer"}


@pytest.mark.parametrize(
    "content", [b"def broken(:", b"\xff\xfe\x00", b"x = " + b"(" * 5000], ids=["syntax", "bytes", "deep"]
)
def test_script_that_cannot_be_parsed(content: bytes, env: dict[str, str]) -> None:
    with open(os.path.join(env["HOME"], "bad.py"), "wb") as handle:
        handle.write(content)
    began = time.monotonic()
    done = run(env, "check", "bad.py")
    assert done.returncode == output.FOUND and "cannot be parsed" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - began < 30


def test_check_takes_its_argument_for_a_path(env: dict[str, str]) -> None:
    """A file of the working directory is that file; a name that nothing bears is a wrong argument."""
    source = os.path.join(env["HOME"], "x.c")
    with open(source, "w") as handle:
        handle.write("int answer(void) { return 42; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", os.path.join(env["HOME"], "libhere.so")], check=True)
    found = run(env, "check", "libhere.so")
    assert (found.returncode, found.stdout.splitlines()[0]) == (0, "./libhere.so: loads")
    missing = run(env, "check", "nosuch.py")
    assert missing.returncode == 2 and "nosuch.py: no such file or directory" in missing.stderr
    with open(os.path.join(env["HOME"], "empty.py"), "w") as handle:
        handle.write("print(1)\n")
    assert "empty.py: no load" in run(env, "check", "empty.py").stderr


def test_doctor_looks_where_sysconfig_says() -> None:
    """On the Pythons of the matrix, and for schemes that it does not know."""
    import sysconfig

    from dlrepair.cli import doctor

    paths = sysconfig.get_paths()
    assert doctor.places() == sorted({paths["purelib"], paths["platlib"]})


@pytest.mark.parametrize("path", ["", "/a b/c.so", "/it's/lib.so", "/lib/libc++_1.0-x.so,v@%=:", "/é.so", "/$HOME/`x`"])
def test_doctor_quotes_as_shlex_does(path: str) -> None:
    import shlex

    from dlrepair.cli import doctor

    assert doctor._quoted(path) == shlex.quote(path)


@pytest.mark.parametrize(
    ("words", "next_step"),
    [([], "dlrepair search --rebuild libnothing_there.so"), (["--rebuild"], "dlrepair explain file-missing")],
)
def test_a_vain_search_says_what_to_do_next(words: list[str], next_step: str, env: dict[str, str]) -> None:
    done = run(env, "search", *words, "libnothing_there.so")
    assert done.returncode == 1 and done.stdout.splitlines()[-2:] == ["0 candidates, 0 accepted", "help: " + next_step]
