"""Trial loads: real libraries with hostile initialisers in a real child, and what is left behind afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from searching import child_environment, compile_library

from dlrepair.search import children as processes
from dlrepair.search import standby, trial

SOURCES = {
    "sound": "int answer(void) { return 42; }",
    "crash": "static int *volatile null;\n__attribute__((constructor)) static void f(void) { *null = 1; }",
    "abort": "#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { abort(); }",
    "hang": "#include <unistd.h>\n__attribute__((constructor)) static void f(void) { for (;;) pause(); }",
    "exit": "#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { exit(3); }",
    "fork": "#include <unistd.h>\n__attribute__((constructor)) static void f(void) { if (!fork()) for (;;) pause(); }",
    "forkcrash": """#include <unistd.h>
#include <stdlib.h>
__attribute__((constructor)) static void f(void) { if (!fork()) for (;;) pause(); abort(); }""",
    "loud": """#include <stdio.h>
__attribute__((constructor)) static void f(void) {
    for (int i = 0; i < 100000; i++) { puts("done"); fputs("failed noise\\n", stderr); } fflush(stdout); }""",
    "answers": """#include <unistd.h>
__attribute__((constructor)) static void f(void) { if (write(0, "x", 1) == 1) for (;;) pause(); }""",
    "closes": """#include <unistd.h>
__attribute__((constructor)) static void f(void) { for (int i = 0; i < 64; i++) close(i); }""",
    "undefined": "int nowhere_defined(void); int call(void) { return nowhere_defined(); }",
    "core": """#include <sys/resource.h>
#include <unistd.h>
__attribute__((constructor)) static void f(void) {
    struct rlimit r; getrlimit(RLIMIT_CORE, &r); if (r.rlim_cur || getsid(0) != getpid()) _exit(9); }""",
    "off": """#include <stdlib.h>
#include <string.h>
__attribute__((constructor)) static void f(void) {
    const char *s = getenv("DLREPAIR"); if (!s || strcmp(s, "off")) exit(9); }""",
    "destructor": "static int *volatile null;\n__attribute__((destructor)) static void f(void) { *null = 1; }",
    "provider": "int provided(void) { return 1; }",
    "user": "int provided(void); int use(void) { return provided(); }",
    "sigchld": """#include <signal.h>
#include <stdlib.h>
__attribute__((constructor)) static void f(void) {
    sigset_t s; sigprocmask(SIG_BLOCK, 0, &s); if (sigismember(&s, SIGTERM)) exit(9); }""",
}  # fmt: skip


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    directory = str(tmp_path_factory.mktemp("trial"))
    made: dict[str, str] = {}

    def make(name: str) -> str:
        if name not in made:
            made[name] = compile_library(os.path.join(directory, "lib{}.so".format(name)), SOURCES[name])
        return made[name]

    return make


def children(mark: str) -> list[str]:
    """Command lines of running processes that name ``mark``."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            with open("/proc/{}/cmdline".format(pid), "rb") as stream:
                if os.fsencode(mark) in stream.read() and int(pid) != os.getpid():
                    with open("/proc/{}/stat".format(pid)) as state:
                        if state.read().rsplit(")", 1)[1].split()[0] != "Z":
                            found.append(pid)
        except (OSError, ValueError):
            continue
    return found


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("crash", "failed: killed by SIGSEGV"),
        ("abort", "failed: killed by SIGABRT"),
        ("exit", "failed: exited with status 3"),
        ("undefined", "undefined symbol: nowhere_defined"),
        ("hang", "failed: no answer within 1 s"),
        ("answers", "failed: no answer within 1 s"),
        ("forkcrash", "failed: killed by SIGABRT"),
    ],
)
def test_a_library_that_must_not_enter(built: Callable[[str], str], name: str, detail: str) -> None:
    before = descriptors()
    result = trial.run([built("sound"), built(name)], timeout=1.0 if "1 s" in detail else 20.0)
    assert not result.ok
    assert result.possible
    assert detail in result.detail
    assert result.path == built(name)
    assert descriptors() == before
    assert wait_until_gone(built(name)) == []


def wait_until_gone(mark: str) -> list[str]:
    for _ in range(100):
        left = children(mark)
        if not left:
            break
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("name", ["sound", "fork", "loud", "core", "off", "destructor", "sigchld"])
def test_a_library_that_may(built: Callable[[str], str], name: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = trial.run([built(name)])
    assert (result.ok, result.detail, result.possible) == (True, "", True)
    assert 0 < result.ms < 20000
    assert wait_until_gone(built(name)) == []
    assert capfd.readouterr() == ("", "")
    assert len(result.output) <= processes.MAX_OUTPUT
    assert bool(result.output) == (name == "loud")


def test_one_that_closes_every_descriptor_is_no_success(built: Callable[[str], str]) -> None:
    result = trial.run([built("closes")])
    assert not result.ok
    assert result.detail.startswith("failed: ")


def test_only_what_is_loaded_globally_provides_symbols(built: Callable[[str], str]) -> None:
    assert not trial.run([built("provider"), built("user")]).ok
    assert trial.run([built("user")], global_first=[built("provider")]).ok


def test_a_path_that_cannot_be_loaded(tmp_path: Path, built: Callable[[str], str]) -> None:
    odd = str(tmp_path / "sp ace\n\udcffé'\".so")
    with open(built("sound"), "rb") as source, open(odd, "wb") as target:
        target.write(source.read())
    assert trial.run([odd]).ok
    assert "No such file" in trial.run([str(tmp_path / "none.so")]).detail
    assert trial.run(["a\0b"]).detail == "failed: embedded null byte in the path"
    (tmp_path / "text.so").write_bytes(b"not a library, not at all" * 10)
    assert "invalid ELF header" in trial.run([str(tmp_path / "text.so")]).detail


def test_the_environment_is_that_of_the_start(built: Callable[[str], str], tmp_path: Path) -> None:
    needy = compile_library(str(tmp_path / "libneedy.so"), SOURCES["user"], needs=[
        compile_library(str(tmp_path / "far" / "libfar.so"), SOURCES["provider"], soname="libfar.so")])  # fmt: skip
    program = (
        "import os, sys\nos.environ['LD_LIBRARY_PATH'] = sys.argv[2]\nfrom dlrepair.search import trial\n"
        "print(trial.run([sys.argv[1]]).ok)\n"
    )
    for at_start, later, ok in (("", str(tmp_path / "far"), False), (str(tmp_path / "far"), "", True)):
        env = child_environment(LD_LIBRARY_PATH=at_start)
        done = subprocess.run([sys.executable, "-c", program, needy, later], env=env, stdout=subprocess.PIPE)
        assert done.stdout.decode().strip() == str(ok)


@pytest.mark.parametrize("name", ["sound", "crash", "forkcrash", "hang"])
def test_a_system_without_waitid(built: Callable[[str], str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid")
    result = trial.run([built(name)], timeout=2.0)
    details = {"sound": "", "hang": "failed: no answer within 2 s", "forkcrash": "failed: killed by SIGABRT"}
    assert result.detail == details.get(name, "failed: killed by SIGSEGV")
    assert wait_until_gone(built(name)) == []


@pytest.mark.parametrize("hostile", ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"])
def test_a_program_that_reaps_every_child_itself(built: Callable[[str], str], hostile: str) -> None:
    program = (
        "import os, signal, sys\nfrom dlrepair.search import trial\n"
        "signal.signal(signal.SIGCHLD, {})\n"
        "for path in sys.argv[1:]:\n    result = trial.run([path], timeout=5)\n    print(result.ok, result.detail)\n"
    ).format(hostile)
    names = ["sound", "crash", "fork", "forkcrash", "sound"]
    env = child_environment()
    command = [sys.executable, "-c", program] + [built(name) for name in names]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    lines = done.stdout.decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["True", "False", "True", "False", "True"], lines
    assert wait_until_gone(built("forkcrash")) == []


def test_a_daemon_without_standard_descriptors(built: Callable[[str], str], tmp_path: Path) -> None:
    report = str(tmp_path / "report")
    program = (
        "import os, sys\nfrom dlrepair.search import trial\nos.closerange(0, 3)\n"
        "results = [trial.run([path]).ok for path in sys.argv[2:]]\n"
        "open(sys.argv[1], 'w').write(repr(results))\n"
    )
    env = child_environment()
    subprocess.run([sys.executable, "-c", program, report, built("sound"), built("crash"), built("loud")], env=env)
    with open(report) as stream:
        assert stream.read() == "[True, False, True]"


def test_blocked_signals_are_not_handed_down(built: Callable[[str], str]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        result = trial.run([built("sigchld")])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert result.ok


def test_threads_do_not_disturb_one_another(built: Callable[[str], str]) -> None:
    results: list[bool] = []
    paths = [built("sound"), built("crash"), built("loud"), built("exit")]

    def run(path: str) -> None:
        results.append(trial.run([path], timeout=30).ok == (path in (paths[0], paths[2])))

    threads = [threading.Thread(target=run, args=(path,)) for path in paths * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


@pytest.mark.parametrize("executable", ["", None, "/bin/sh", "/nonexistent/python3"])
def test_an_embedded_python_starts_no_foreign_program(
    built: Callable[[str], str], executable: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "_base_executable", executable, raising=False)
    assert trial.run([built("sound")]).ok  # the prefix still has this version's interpreter
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    result = trial.run([built("sound")])
    assert (result.ok, result.possible) == (False, False)
    assert result.detail.startswith("not possible")


def test_a_frozen_program_is_not_started_again(built: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not trial.run([built("sound")]).possible


def test_an_interpreter_that_does_not_start(
    built: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho done\nexit 0\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    result = trial.run([built("sound")])
    assert (result.ok, result.possible) == (False, False)


def test_no_descriptor_is_left_for_a_trial(built: Callable[[str], str]) -> None:
    program = (
        "import os, resource, sys\nfrom dlrepair.search import trial\ntrial.run([sys.argv[1]])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))\n"
        "result = trial.run([sys.argv[1]])\nprint(result.ok, result.possible)\n"
    )
    env = child_environment()
    done = subprocess.run([sys.executable, "-c", program, built("sound")], env=env, stdout=subprocess.PIPE)
    assert done.stdout.decode().strip() == "False False"


def test_nothing_heavy_is_imported_for_a_trial(built: Callable[[str], str]) -> None:
    program = (
        "import os, sys\nbefore = set(sys.modules)\nfrom dlrepair.search import trial\ntrial.run([sys.argv[1]])\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('dlrepair')))\n"
    )
    env = child_environment()
    done = subprocess.run([sys.executable, "-S", "-c", program, built("sound")], env=env, stdout=subprocess.PIPE)
    loaded = set(eval(done.stdout.decode()))
    assert loaded <= {"__future__", "select", "_posixsubprocess", "struct", "_struct", "time"}


# --- the child that is started ahead ----------------------------------------------------------------------------------


@pytest.fixture
def waiting() -> Iterator[standby.Child]:
    """A child that waits; whatever becomes of it, no descriptor and no process of it is left."""
    before = descriptors()
    standby.prepare()
    (child,) = standby._waiting
    yield child
    standby.drop()
    assert descriptors() == before
    assert not os.path.exists("/proc/{}".format(child.pid))


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("sound", ""),
        ("crash", "failed: killed by SIGSEGV"),
        ("hang", "failed: no answer within 2 s"),
        ("answers", "failed: no answer within 2 s"),
        ("forkcrash", "failed: killed by SIGABRT"),
    ],
)
def test_one_started_ahead_judges_the_same(
    waiting: standby.Child, built: Callable[[str], str], name: str, detail: str
) -> None:
    pid = waiting.pid
    result = trial.run([built("sound"), built(name)], timeout=2.0)
    assert (result.ok, result.detail) == (not detail, detail)
    assert result.path == (built(name) if detail else "")
    assert standby._waiting == []
    assert not os.path.exists("/proc/{}".format(pid))


def test_one_started_ahead_takes_any_name_and_the_global_scope(
    waiting: standby.Child, tmp_path: Path, built: Callable[[str], str]
) -> None:
    odd = str(tmp_path / "sp ace\n\udcffe'\".so")
    with open(built("user"), "rb") as source, open(odd, "wb") as target:
        target.write(source.read())
    assert trial.run([odd], global_first=[built("provider")]).ok
    assert standby._waiting == []


def test_one_that_died_or_started_otherwise_is_replaced(waiting: standby.Child, built: Callable[[str], str]) -> None:
    os.kill(waiting.pid, signal.SIGKILL)
    for _ in range(200):
        if waiting.has_ended():
            break
        time.sleep(0.01)
    assert trial.run([built("sound")]).ok  # and no SIGPIPE here
    standby.prepare()
    other = standby._waiting[0]
    os.environ["DLREPAIR_TEST_AHEAD"] = "1"
    try:
        assert trial.run([built("sound")]).ok
    finally:
        del os.environ["DLREPAIR_TEST_AHEAD"]
    assert not os.path.exists("/proc/{}".format(other.pid))


def test_one_that_nobody_wants_is_gone_with_the_program_too(built: Callable[[str], str]) -> None:
    program = (
        "import os, sys\nfrom dlrepair.search import standby\nstandby.prepare()\n"
        "print(standby._waiting[0].pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=child_environment(), stdout=subprocess.PIPE)
    pid = int(done.stdout)
    for _ in range(200):
        if not os.path.exists("/proc/{}".format(pid)) or process_state(pid) == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it still waits")


def process_state(pid: int) -> str:
    try:
        with open("/proc/{}/stat".format(pid)) as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_fork_leaves_its_parents_child_alone(waiting: standby.Child, built: Callable[[str], str]) -> None:
    pid = os.fork()
    if not pid:
        try:
            ok = trial.run([built("sound")]).ok and not standby._waiting
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert not waiting.has_ended()
    assert trial.run([built("sound")]).ok


def test_a_program_that_handles_the_end_of_children_has_none_ahead() -> None:
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        standby.prepare()
        assert standby._waiting == []
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_question_too_long_goes_to_a_new_child(waiting: standby.Child, built: Callable[[str], str]) -> None:
    assert trial.run([built("sound")] * 200).ok
    assert standby._waiting == []
