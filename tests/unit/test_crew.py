"""Work that is shared with forked children gives what it gives without them, whatever becomes of a child."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dlrepair.diagnose import crew

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are forked on Linux only")

#: run in a process of its own: a test process may have threads, and then nothing is forked
PROGRAM = """
import os, sys, time
from dlrepair.diagnose import crew
os.sched_getaffinity = lambda pid: set(range(3))  # whatever this machine has
here = os.getpid()
def work(number):
    time.sleep(0.01)
    child = os.getpid() != here
    what = sys.argv[1]
    if what == "killed" and child:
        os.kill(os.getpid(), 9)
    if what == "exits" and child:
        os._exit(0)
    if what == "raises" and child:
        raise RuntimeError("only in a child")
    if what == "unwritable" and child:
        return object()
    if what == "wrong" and number == 7:
        raise ValueError("task 7")
    if what == "hangs" and child:
        os.write(1, b"child %d\\n" % os.getpid())
        time.sleep(60)
    return [number * number, child]
befores = []
try:
    answers = crew.spread(work, list(range(40)), lambda: befores.append(os.getpid()))
except ValueError as error:
    print("raised", error)
else:
    assert [one[0] for one in answers] == [number * number for number in range(40)]
    assert befores == [here]
    print("children" if any(one[1] for one in answers) else "none")
try:
    os.waitpid(-1, os.WNOHANG)
    print("a child is left")
except ChildProcessError:
    print("no child is left")
"""


def run(what):
    env = dict(os.environ, PYTHONPATH=ROOT)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, what], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60
    )
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    return done.stdout.decode().split("\n")[:2]


def test_children_take_part():
    assert run("nothing") == ["children", "no child is left"]


@pytest.mark.parametrize("what", ["killed", "exits", "raises", "unwritable"])
def test_what_a_child_does_not_answer_is_done_here(what):
    assert run(what) == ["none", "no child is left"]


def test_an_exception_of_the_work_is_raised_here():
    assert run("wrong") == ["raised task 7", "no child is left"]


def test_ctrl_c_ends_all_of_them():
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "hangs"], env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    pids = [int(child.stdout.readline().split()[1]) for _ in range(2)]
    os.kill(child.pid, signal.SIGINT)  # to the first alone: the others must not outlive it
    errors = child.communicate(timeout=30)[1]
    assert errors.rstrip().endswith(b"KeyboardInterrupt") and errors.count(b"Traceback") == 1
    for pid in pids:
        deadline = time.monotonic() + 10
        while os.path.exists("/proc/%d/stat" % pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not os.path.exists("/proc/%d/stat" % pid)


def test_one_core_forks_nothing(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    done = []
    assert crew.spread(lambda number: number + len(done), [1, 2, 3], lambda: done.append(1)) == [2, 3, 4]


def test_a_process_with_threads_is_not_forked(monkeypatch):
    import threading

    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    try:
        assert crew.spread(lambda number: number + 1, [1, 2, 3]) == [2, 3, 4]
    finally:
        over.set()
        thread.join()
