"""``dlrepair watch`` on real files with a real compiler: how editors save, what goes wrong, a command's life."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable

import pytest
from interpreters import bare_env
from watching import ROOT, Watching

pytestmark = pytest.mark.compile

SOURCE = '#include "value.h"\nextern "C" int value() { return VALUE + EXTRA; }\n'

#: prints the value that it gets, then waits; tells of signals
SCRIPT = """
import ctypes, os, signal, sys, time
def tell(number, frame):
    os.write(1, b"signal %d\\n" % number)
for name in ("SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGHUP"):
    signal.signal(getattr(signal, name), tell)
library = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libvalue.so"))
print("value", library.value(), flush=True)
while "--end" not in sys.argv:
    time.sleep(0.1)
sys.exit(5)
"""


def write(path: str, text: str) -> None:
    with open(path, "w") as stream:
        stream.write(text)


def read(path: str) -> str:
    with open(path) as stream:
        return stream.read()


@pytest.fixture
def project(tmp_path: object, home: str) -> str:
    """A library of one source and one header, by a compile script, and a script that loads it."""
    directory = os.path.join(str(tmp_path), "project")
    os.mkdir(directory)
    write(os.path.join(directory, "requirements.txt"), "")
    write(os.path.join(directory, "libvalue.cc"), SOURCE)
    write(os.path.join(directory, "value.h"), "#define VALUE 1\n")
    write(os.path.join(directory, "build.sh"), "g++ -shared -fPIC -DEXTRA=0 libvalue.cc -o libvalue.so\n")
    write(os.path.join(directory, "use.py"), SCRIPT)
    return directory


def value_of(library: str) -> int:
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).value())"
    done = subprocess.run([sys.executable, "-I", "-c", code, library], check=True, stdout=subprocess.PIPE)
    return int(done.stdout)


# --- how files are saved ---------------------------------------------------------------------------------------------


def in_place(path: str, text: str) -> None:
    write(path, text)


def truncate_then_write(path: str, text: str) -> None:
    with open(path, "w") as stream:
        stream.flush()
        time.sleep(0.4)
        stream.write(text[:5])
        stream.flush()
        time.sleep(0.1)
        stream.write(text[5:])


def vim(path: str, text: str) -> None:
    probe = os.path.join(os.path.dirname(path), "4913")
    write(probe, "")
    os.unlink(probe)
    os.rename(path, path + "~")
    time.sleep(0.1)
    write(path, text)
    os.unlink(path + "~")


def emacs(path: str, text: str) -> None:
    directory, name = os.path.split(path)
    lock = os.path.join(directory, ".#" + name)
    os.symlink("user@host.1234:1700000000", lock)
    save = os.path.join(directory, "#%s#" % name)
    write(save, "not saved yet")
    time.sleep(0.3)
    shutil.copy(path, path + "~")
    write(path, text)
    os.unlink(save)
    os.unlink(lock)


def visual_studio_code(path: str, text: str) -> None:
    write(path + ".vsctmp", text)
    os.rename(path + ".vsctmp", path)


def jetbrains(path: str, text: str) -> None:
    write(path + "___jb_tmp___", text)
    os.rename(path, path + "___jb_old___")
    time.sleep(0.1)
    os.rename(path + "___jb_tmp___", path)
    os.unlink(path + "___jb_old___")


def sed(path: str, text: str) -> None:
    subprocess.run(["sed", "-i", "1,$c\\" + text.rstrip("\n"), path], check=True)


def one_byte_at_a_time(path: str, text: str) -> None:
    with open(path, "w") as stream:
        for char in text:
            stream.write(char)
            stream.flush()
            time.sleep(0.01)


SAVES = (in_place, truncate_then_write, vim, emacs, visual_studio_code, jetbrains, sed, one_byte_at_a_time)


def test_each_way_of_saving_is_one_good_build(project: str) -> None:
    header = os.path.join(project, "value.h")
    with Watching(project, ["libvalue.so"]) as watching:
        assert value_of(watching.wait("built", after=0)["result"]["path"]) == 1
        watching.settle(0.3)
        for number, save in enumerate(SAVES, 2):
            at = len(watching.events)
            save(header, "#define VALUE %d\n" % number)
            event = watching.wait("built", after=at)
            assert value_of(event["result"]["path"]) == number, save
            watching.settle(0.5)
            names = [name for name in watching.names(at) if name not in ("changed", "building")]
            assert names == ["built"], (save, watching.story())
        assert watching.end() == 130
    assert not os.path.exists(os.path.join(project, "libvalue.so"))


def test_what_changes_nothing_builds_nothing(project: str) -> None:
    source, header = os.path.join(project, "libvalue.cc"), os.path.join(project, "value.h")
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        watching.settle(0.3)
        at = len(watching.events)
        os.utime(header)
        write(source, SOURCE)
        write(os.path.join(project, "notes.txt"), "nothing")
        write(os.path.join(project, ".libvalue.cc.swp"), "nothing")
        watching.settle(2.5)
        assert watching.names(at) == []
        write(source, SOURCE + "// a comment\n")
        assert watching.wait("unchanged", after=at)["seconds"] < 5
        assert "building" not in watching.names(at)


def test_moved_lines_are_answered_at_once_and_made_right_afterwards(project: str) -> None:
    source, header = os.path.join(project, "libvalue.cc"), os.path.join(project, "value.h")
    with Watching(project, ["libvalue.so", "--", sys.executable, "-B", "use.py"]) as watching:
        watching.wait_line("value 1")
        first = watching.wait("built", after=0)["result"]["path"]
        watching.settle(0.3)
        for path, text in ((source, "// a line more\n\n" + SOURCE), (header, "/* and\n here */\n#define VALUE 1\n")):
            at = len(watching.events)
            write(path, text)
            event = watching.wait("unchanged", after=at)
            assert (event["result"]["reason"], event["result"]["path"]) == ("lines-moved", first)
            assert event["result"]["notes"] == [
                "line numbers in messages are those of the previous build until the exact build replaces it"
            ]
            assert "building" not in watching.names(at)[: watching.names(at).index("unchanged")]
            exact = watching.wait("built", after=at)
            assert exact["lines_only"] and exact["result"]["path"] != first
            assert value_of(exact["result"]["path"]) == 1
            first = exact["result"]["path"]
        watching.settle(0.5)
        assert watching.names().count("command-started") == 1  # what it has loaded does the same
        at = len(watching.events)
        write(header, "#define VALUE 2\n")
        event = watching.wait("built", after=at)
        assert not event["lines_only"] and "unchanged" not in watching.names(at)
        watching.wait_line("value 2")
    words = [line["reason"] for line in journal() if line["event"] == "build-finished"]
    assert words == ["built", "lines-moved", "built", "lines-moved", "built", "built"]


def test_a_save_comes_before_the_line_numbers(project: str) -> None:
    source, header = os.path.join(project, "libvalue.cc"), os.path.join(project, "value.h")
    slow = SOURCE + ENDLESS.replace("800", "18")  # some seconds
    write(source, slow)
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        for number in range(7):  # more than the times that a build of code is given up
            at = len(watching.events)
            write(source, "// line\n" * (number + 1) + slow)
            watching.wait("unchanged", after=at)
            watching.wait("building", after=at)
            assert "built" not in watching.names(at), watching.story()
        at = len(watching.events)
        write(header, "#define VALUE 5\n")
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 5
        assert watching.end() == 130


@pytest.mark.parametrize("where", ["libvalue.cc", "value.h"])
def test_a_line_that_the_project_asks_for_is_compiled_first(project: str, where: str) -> None:
    path = os.path.join(project, where)
    text = read(path) + "#undef EXTRA\n#define EXTRA __LINE__\n" if where == "value.h" else SOURCE.replace(
        "EXTRA", "__LINE__")  # fmt: skip
    write(path, text)
    with Watching(project, ["libvalue.so"]) as watching:
        before = value_of(watching.wait("built", after=0)["result"]["path"])
        at = len(watching.events)
        write(os.path.join(project, "libvalue.cc"), "// one more\n" + read(os.path.join(project, "libvalue.cc")))
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == before + 1
        assert "unchanged" not in watching.names(at)


def test_new_directories_and_sources_in_them(project: str) -> None:
    with Watching(project, ["."]) as watching:
        assert watching.wait("watching", after=0)["targets"] == []
        watching.settle(0.3)
        at = len(watching.events)
        deep = os.path.join(project, "ops", "deep")
        os.makedirs(deep)
        shutil.copy(os.path.join(project, "value.h"), deep)
        write(os.path.join(deep, "libmore.cc"), SOURCE)
        write(os.path.join(deep, "build.sh"), "g++ -shared -fPIC -DEXTRA=6 libmore.cc -o libmore.so\n")
        write(os.path.join(deep, "use.py"), "import tensorflow as tf\ntf.load_op_library('./libmore.so')\n")
        event = watching.wait("watching-more", after=at)
        assert [os.path.relpath(one["library"], project) for one in event["targets"]] == ["ops/deep/libmore.so"]
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 7
        at = len(watching.events)
        write(os.path.join(deep, "value.h"), "#define VALUE 3\n")
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 9


def test_recipe_and_new_files_count(project: str) -> None:
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        at = len(watching.events)
        write(os.path.join(project, "build.sh"), "g++ -shared -fPIC -DEXTRA=40 libvalue.cc -o libvalue.so\n")
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 41
        at = len(watching.events)
        write(os.path.join(project, "libvalue.cc"), '#include "more.h"\n' + SOURCE)
        assert "more.h" in watching.wait("failed", after=at)["result"]["first_error"]
        at = len(watching.events)
        write(os.path.join(project, "more.h"), "#undef EXTRA\n#define EXTRA 7\n")
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 8


def test_a_build_with_symbols_that_nobody_has_is_not_published(project: str) -> None:
    source = os.path.join(project, "libvalue.cc")
    with Watching(project, ["libvalue.so"]) as watching:
        good = watching.wait("built", after=0)["result"]["path"]
        at = len(watching.events)
        write(source, 'extern "C" int nobody_has_it();\nextern "C" int value() { return nobody_has_it(); }\n')
        failed = watching.wait("failed", after=at)
        assert "nobody_has_it" in failed["result"]["first_error"]
        assert failed["last_good"] == good


def test_directories_moved_deleted_and_made_again(project: str) -> None:
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        watching.settle(0.3)
        for number in (2, 3):
            at = len(watching.events)
            if number == 2:
                os.rename(project, project + "-moved")
            else:
                shutil.copytree(project, project + "-moved", dirs_exist_ok=True)
                shutil.rmtree(project)
            watching.settle(2.5)
            assert "built" not in watching.names(at) and watching.process.poll() is None
            shutil.copytree(project + "-moved", project)
            write(os.path.join(project, "value.h"), "#define VALUE %d\n" % number)
            assert value_of(watching.wait("built", after=at)["result"]["path"]) == number
        at = len(watching.events)
        watching.settle(2.5)
        write(os.path.join(project, "value.h"), "#define VALUE 9\n")
        began = time.monotonic()
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 9, watching.story()
        assert time.monotonic() - began < 10


def test_a_thousand_files_of_a_checkout_are_one_build(project: str) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@e", *words], cwd=project, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    names = ["part%03d.h" % number for number in range(1000)]
    write(os.path.join(project, "libvalue.cc"), "".join('#include "%s"\n' % name for name in names) + SOURCE)
    git("init", "-b", "main")
    for branch, base in (("main", 1), ("other", 2)):
        if branch == "other":
            git("checkout", "-b", "other")
        for name in names:
            write(os.path.join(project, name), "// %s\nint %s_%d();\n" % (branch, name[:-2], base))
        write(os.path.join(project, "value.h"), "#define VALUE %d\n" % base)
        git("add", "-A")
        git("commit", "-m", branch)
    with Watching(project, ["libvalue.so"]) as watching:
        assert value_of(watching.wait("built", after=0)["result"]["path"]) == 2
        watching.settle(0.5)
        at = len(watching.events)
        git("checkout", "main")
        event = watching.wait("built", after=at)
        watching.settle(1.0)
        assert watching.names(at).count("built") == 1, watching.story()
        assert "failed" not in watching.names(at), watching.story()
        assert len(event["changed"]) == 1001
        assert value_of(event["result"]["path"]) == 1


LIMITS = {
    "instances": "/proc/sys/user/max_inotify_instances",
    "watches": "/proc/sys/user/max_inotify_watches",
}


@pytest.mark.parametrize("limit", sorted(LIMITS))
def test_inotify_limits_lead_to_polling(project: str, limit: str) -> None:
    lowered = 'echo 0 > %s && exec "$@"' % LIMITS[limit]
    before = ["unshare", "-U", "-r", "sh", "-c", lowered, "sh"]
    held: list[int] = []
    if subprocess.run([*before, "true"], stderr=subprocess.DEVNULL).returncode:
        before, held = [], exhaust()  # no user namespaces here: take every instance that this user has
        limit = "instances"
    try:
        with Watching(project, ["libvalue.so"], before=before) as watching:
            assert "max_user_" + limit in watching.wait("watching", after=0)["trouble"]
            watching.wait("built", after=0)
            at = len(watching.events)
            write(os.path.join(project, "value.h"), "#define VALUE 2\n")
            assert value_of(watching.wait("built", after=at)["result"]["path"]) == 2
    finally:
        for descriptor in held:
            os.close(descriptor)


def exhaust() -> list[int]:
    import ctypes

    inotify_init = ctypes.CDLL(None, use_errno=True).inotify_init
    found = []
    while True:
        descriptor = inotify_init()
        if descriptor < 0:
            return found
        found.append(descriptor)


def test_two_watchers_build_once(project: str) -> None:
    with Watching(project, ["libvalue.so"]) as one, Watching(project, ["libvalue.so"]) as other:
        both = (one, other)
        paths = {watching.wait("built", after=0)["result"]["path"] for watching in both}
        assert len(paths) == 1
        ends = [len(watching.events) for watching in both]
        write(os.path.join(project, "value.h"), "#define VALUE 2\n")
        results = [watching.wait("built", after=at)["result"] for watching, at in zip(both, ends)]
        assert results[0]["path"] == results[1]["path"]
    started = [line for line in journal() if line["event"] == "build-started"]
    assert len(started) == 2, started  # the first build, and that of the change


def journal() -> list[dict[str, Any]]:
    lines = []
    directory = os.path.join(os.environ["XDG_STATE_HOME"], "dlrepair", "journal")
    for name in sorted(os.listdir(directory)):
        lines += [json.loads(line) for line in read(os.path.join(directory, name)).splitlines()]
    return lines


# --- a command ------------------------------------------------------------------------------------------------------


def test_restarted_after_good_builds_only(project: str) -> None:
    header = os.path.join(project, "value.h")
    before = sorted(os.listdir(project))
    with Watching(project, ["libvalue.so", "--", sys.executable, "-B", "use.py"]) as watching:
        watching.wait_line("value 1")
        first = watching.wait("command-started", after=0)["pid"]
        at = len(watching.events)
        write(header, "#define VALUE ,\n")
        failed = watching.wait("failed", after=at)
        assert "error: expected" in failed["result"]["first_error"]
        assert failed["last_good"]
        watching.settle(0.5)
        assert "command-started" not in watching.names(at)
        os.kill(first, 0)
        write(header, "#define VALUE 3\n")
        watching.wait_line("value 3")
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert watching.end(signal.SIGTERM) == 143
    assert sorted(os.listdir(project)) == before
    verdicts = [line for line in journal() if line["event"] == "candidate" and line["reason"] == "watched"]
    assert [line["verdict"] for line in verdicts] == ["accepted", "accepted"]
    assert {"build-started", "build-finished"} <= {line["event"] for line in journal()}


def test_an_older_library_that_loads_is_left_alone_outside_and_replaced_inside(project: str) -> None:
    old = ["g++", "-shared", "-fPIC", "-DEXTRA=100", "libvalue.cc", "-o", "libvalue.so"]
    subprocess.run(old, cwd=project, check=True)
    library = os.path.join(project, "libvalue.so")
    with open(library, "rb") as stream:
        content = stream.read()
    from dlrepair.cli.run import environment
    from dlrepair.installer import find_template

    env = environment(find_template())
    command = [sys.executable, "-B", "use.py", "--end"]
    with Watching(project, ["libvalue.so", "--exit", "--", *command]) as watching:
        watching.wait_line("value 1")
        done = subprocess.run(command, cwd=project, env=env, stdout=subprocess.PIPE)
        assert done.stdout == b"value 101\n"
        assert watching.wait_end() == 5
    with open(library, "rb") as stream:
        assert stream.read() == content


def test_a_command_that_ends_is_started_again_after_the_next_build(project: str) -> None:
    with Watching(project, ["libvalue.so", "--", sys.executable, "-B", "use.py", "--end"]) as watching:
        assert watching.wait("command-ended", after=0)["status"] == 5
        at = len(watching.events)
        write(os.path.join(project, "value.h"), "#define VALUE 2\n")
        watching.wait_line("value 2")
        assert watching.wait("command-ended", after=at)["status"] == 5
        assert watching.end() == 130


def test_signals_are_passed_on(project: str) -> None:
    with Watching(project, ["libvalue.so", "--", sys.executable, "-B", "use.py"]) as watching:
        watching.wait_line("value 1")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
            watching.process.send_signal(number)
            watching.wait_line("signal %d" % number)
        assert watching.end(signal.SIGHUP) == 129
        assert "signal 1" in watching.lines  # it saw the signal, went on, and was killed after the pause


def test_stopping_takes_the_whole_group(project: str) -> None:
    script = "import subprocess as s; p = s.Popen(['sleep', '1000']); print('child', p.pid, flush=True); p.wait()"
    with Watching(project, ["libvalue.so", "--", sys.executable, "-c", script]) as watching:
        watching.wait_line("child")
        child = int(watching.lines[0].split()[1])
        assert watching.end() == 130
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if "Z" in read("/proc/%d/stat" % child).rpartition(")")[2].split()[0]:
            return
        time.sleep(0.05)
    raise AssertionError("the command's child lives on")


def test_a_command_that_does_not_exist(project: str) -> None:
    with Watching(project, ["libvalue.so", "--", "no-such-program"]) as watching:
        assert watching.wait_end(30) == 127
        assert watching.wait("command-failed", after=0)["argv"] == ["no-such-program"]


# --- the end ---------------------------------------------------------------------------------------------------------


def compilers_of(directory: str) -> list[str]:
    """Command lines of processes that compile something of this directory."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/cmdline" % name, "rb") as stream:
                    line = stream.read().decode(errors="replace")
            except OSError:
                continue
            if "cc1plus" in line and directory in line:
                found.append(line)
    return found


ENDLESS = """
template <unsigned long N, unsigned long M> struct A { enum { value = A<N - 1, M>::value + A<N - 1, M + N>::value }; };
template <unsigned long M> struct A<0, M> { enum { value = M }; };
int endless = A<800, 0>::value;
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_at_once_during_a_compile(project: str, number: int) -> None:
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        write(os.path.join(project, "value.h"), "#define VALUE 1\n" + ENDLESS)
        watching.wait("building")
        until = time.monotonic() + 20
        while not compilers_of(project):
            assert time.monotonic() < until, watching.story()
            time.sleep(0.02)
        began = time.monotonic()
        assert watching.end(number) == 128 + number
        assert time.monotonic() - began < 10  # the compiler would go on for minutes
    until = time.monotonic() + 5
    while compilers_of(project):
        assert time.monotonic() < until
        time.sleep(0.05)
    builds = os.path.join(os.environ["XDG_CACHE_HOME"], "dlrepair", "builds")
    assert not [name for name in os.listdir(builds) if name.startswith(".tmp-")]


def test_a_change_overtakes_a_compile(project: str) -> None:
    with Watching(project, ["libvalue.so"]) as watching:
        watching.wait("built", after=0)
        at = len(watching.events)
        write(os.path.join(project, "value.h"), "#define VALUE 1\n" + ENDLESS)
        watching.wait("building", after=at)
        watching.settle(0.5)
        write(os.path.join(project, "value.h"), "#define VALUE 6\n")
        assert value_of(watching.wait("built", after=at)["result"]["path"]) == 6
        assert "failed" not in watching.names(at)


# --- a terminal ------------------------------------------------------------------------------------------------------


class Terminal:
    """The watcher as the foreground job of a terminal of its own, as a shell starts it."""

    #: makes the terminal that is its standard input the controlling one (tty_ioctl(4)), and becomes the command
    LEAD = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )

    def __init__(self, project: str, words: list[str], shell: bool = False) -> None:
        env = dict(bare_env(PYTHONPATH=ROOT, TERM="xterm"))
        env.update({key: value for key, value in os.environ.items() if key == "HOME" or key.startswith("XDG_")})
        command = [sys.executable, "-B", "-m", "dlrepair", "watch", *words]
        if shell:
            command = ["/bin/bash", "--norc", "-i"]
        self.descriptor, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", self.LEAD, *command], cwd=project, env=env, stdin=other, stdout=other,
            stderr=other,
        )  # fmt: skip
        os.close(other)
        self.output = ""

    def wait(self, text: str, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < until, self.output
            self._read(0.2)

    def drain(self) -> str:
        """Everything that was printed so far."""
        while self._read(0.05):
            pass
        return self.output

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def end(self) -> int:
        until = time.monotonic() + 20
        while self.process.poll() is None:
            if time.monotonic() > until:
                self.process.kill()
                raise AssertionError(self.output)
            self._read(0.05)
        while self._read(0.1):
            pass
        os.close(self.descriptor)
        return self.process.returncode if self.process.returncode >= 0 else 128 - self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self.descriptor], [], [], seconds)[0]:
            return False
        try:
            self.output += os.read(self.descriptor, 65536).decode(errors="replace")
        except OSError:  # EIO: nobody has it open any more
            time.sleep(0.02)
            return False
        return True


def test_ctrl_c_ends_both(project: str) -> None:
    terminal = Terminal(project, ["libvalue.so", "--", sys.executable, "-B", "use.py"])
    terminal.wait("value 1")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "the command ended by signal 2" in terminal.output
    assert "\x1b[32m" in terminal.output  # colours: it is a terminal


def test_a_command_that_reads_from_the_terminal_gets_it(project: str) -> None:
    code = "print('got', input('ask: ')); print('got', input('again: '))"
    terminal = Terminal(project, ["libvalue.so", "--", sys.executable, "-c", code])
    terminal.wait("ask: ")
    terminal.type("one\n")
    terminal.wait("got one")
    terminal.wait("again: ")
    terminal.type("two\n")
    terminal.wait("got two")
    terminal.wait("the command ended with status 0")
    terminal.type("\x03")  # the terminal is the watcher's again
    assert terminal.end() == 130


def test_ctrl_z_stops_both_until_the_shell_goes_on(project: str) -> None:
    ticking = "import time\nfor n in range(10000): print('tick', n, flush=True); time.sleep(0.1)\n"
    write(os.path.join(project, "tick.py"), ticking)
    terminal = Terminal(project, [], shell=True)
    terminal.type("%s -B -m dlrepair watch libvalue.so -- %s tick.py\n" % (sys.executable, sys.executable))
    terminal.wait("tick 2\r")
    terminal.type("\x1a")
    terminal.wait("Stopped")
    time.sleep(0.5)
    seen = terminal.drain()
    time.sleep(0.7)
    assert terminal.drain() == seen
    terminal.type("fg\n")
    terminal.wait("tick %d\r" % (terminal.output.count("tick ") + 1))
    terminal.type("\x03")
    terminal.wait("the command ended by signal 2")
    terminal.type("exit $?\n")
    assert terminal.end() == 130


def test_colours_only_on_terminals(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(project, ["libvalue.so"])
    terminal.wait("built")
    terminal.type("\x03")
    assert terminal.end() == 130
    env = dict(os.environ, PYTHONPATH=ROOT)
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "dlrepair", "watch", "libvalue.so"], cwd=project, env=env,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    while "keeps it" not in "".join(lines):
        lines.append(process.stdout.readline())
        assert lines[-1]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    text = "".join(lines) + rest
    assert "\x1b" not in text
    assert "watching libvalue.cc and its headers for libvalue.so (build.sh line 1)" in text
    assert "a script that asks for libvalue.so is given it by the hook" in text
    assert "a program that has loaded an op keeps it" in text


def test_usage(project: str) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-m", "dlrepair", "watch", *words]
        return subprocess.run(command, cwd=project, env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)  # fmt: skip

    cases: list[tuple[Callable[[], subprocess.CompletedProcess[str]], int, str]] = [
        (lambda: run("--"), 2, "no command was given after --"),
        (lambda: run("--exit", "libvalue.so"), 2, "--exit needs a command"),
        (lambda: run("nowhere"), 2, "no such file or directory"),
        (lambda: run("libother.so"), 1, "no sources were found"),
    ]
    for call, status, text in cases:
        done = call()
        assert done.returncode == status, done
        assert text in done.stderr
