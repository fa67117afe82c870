"""Each condition that keeps a process from being started again: what ran, and that nothing ran twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from starting import HERE, LIBRARIES, WORK, Did, Project, Way, check

HEAD = LIBRARIES.replace("@HERE@", HERE)
LOADS = "\n".join(HEAD.splitlines()[-2:]) + "\n"
TOP = HEAD[: -len(LOADS)]

EFFECT = "open(os.path.join(HERE, 'effects'), 'a').write('before\\n')\n"


def indented(text: str) -> str:
    return "".join("    " + line if line.strip() else line for line in text.splitlines(True))


def program(text: str, **files: str):
    def prepare(project: Project) -> None:
        project.write("train.py", text)
        for name, content in files.items():
            project.write(name + ".py", content)

    return prepare


def script(project: Project, python: str) -> Did:
    return project.run([python, "train.py"])


def to_terminal_and_back(project: Project, python: str) -> Did:
    return project.run([python, "-m", "pdb", "-c", "continue", "-c", "quit", "train.py"], stdin=b"quit\nquit\nquit\n")


def refused(name: str, slug: str, text: str, start=script, same_output: bool = True, **files: str) -> Way:
    return Way(name, start, slug, program(text, **files), same_output)


def started(name: str, text: str, start=script, **files: str) -> Way:
    return Way(name, start, "", program(text, **files))


IN_THREAD = TOP + """\
import threading

done = []


def work():
    first = ctypes.CDLL(os.path.join(HERE, "libfirst.so"))
    done.append(ctypes.CDLL(os.path.join(HERE, "libsecond.so")))


thread = threading.Thread(target=work)
thread.start()
thread.join()
second = done[0]
""" + WORK
IN_HANDLER = TOP + """\
import sys


def stop(kind, value, trace):
    print("my own hook:", kind.__name__)
    sys.stdout.flush()
    os._exit(5)


sys.excepthook = stop
""" + LOADS + WORK
IN_MAIN = TOP + "def main():\n    global first, second\n" + indented(LOADS) + "main()\n" + WORK
IN_TRY = TOP + "try:\n" + indented(LOADS) + "except OSError:\n    print('swallowed')\n    raise SystemExit(3)\n" + WORK
IN_WITH = TOP + "with open(os.devnull) as null:\n" + indented(LOADS) + WORK
IN_LOOP = TOP + """\
loaded = []
for name in ("libfirst.so", "libsecond.so"):
    loaded.append(ctypes.CDLL(os.path.join(HERE, name)))
first, second = loaded
""" + WORK
IMPORT_THREAD = """\
import threading
stop = threading.Event()
thread = threading.Thread(target=stop.wait, daemon=True)
thread.start()
"""
IMPORT_CHILD = """\
import subprocess
quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
child = subprocess.Popen(["sleep", "60"], **quiet)
"""
END_CHILD = "import child\nchild.child.kill()\nchild.child.wait()\n"
IMPORT_EFFECT = "import os\nHERE = %s\n%s" % (HERE, EFFECT)
IMPORT_PRINT = "import sys\nprint('hello from an import')\nsys.stdout.flush()\n"
IMPORT_ATEXIT = "import atexit\natexit.register(lambda: print('bye'))\n"
IMPORT_TEMPORARY = "import tempfile\nfolder = tempfile.TemporaryDirectory()\n"
IMPORT_TRACE = "import sys\nsys.settrace(lambda *_: None)\n"
FORK = TOP + """\
import sys
child = os.fork()
if child:
    status = os.waitpid(child, 0)[1]
    sys.exit(status >> 8)
""" + LOADS + WORK

KEY = "def send(name):\n    return " + EFFECT

CONDITIONS = [
    refused("in-a-function", "function", IN_MAIN),
    refused("in-try", "guarded", IN_TRY),
    refused("in-a-thread", "threads", IN_THREAD, same_output=False),
    refused("in-with", "effects", IN_WITH),
    refused("in-a-loop", "effects", IN_LOOP),
    refused("after-an-effect", "effects", TOP + EFFECT + LOADS + WORK),
    refused("after-a-print", "effects", TOP + "print('hello')\n" + LOADS + WORK),
    refused("after-a-call-of-its-own", "effects", TOP + "def setup():\n    pass\nsetup()\n" + LOADS + WORK),
    refused("after-a-key-function", "effects", TOP + KEY + "SENT = sorted(['a'], key=send)\n" + LOADS + WORK),
    refused("after-a-key-in-a-dictionary", "effects", TOP + KEY + "SENT = sorted(['a'], **{'key': send})\n" + LOADS
            + WORK),
    refused("after-a-key-lambda", "effects", TOP + "SENT = ['a']\nSENT.sort(key=lambda name: " + EFFECT[:-1] + ")\n"
            + LOADS + WORK),
    refused("import-writes", "output", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_EFFECT),
    refused("import-prints", "output", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_PRINT),
    refused("import-starts-a-thread", "threads", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_THREAD),
    refused("import-starts-a-child", "children", TOP + "import child\ntry:\n    pass\nfinally:\n    pass\n" + LOADS
            + END_CHILD + WORK, child=IMPORT_CHILD, same_output=False),
    refused("import-registers-atexit", "cleanup", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_ATEXIT),
    refused("import-makes-a-temporary", "cleanup", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_TEMPORARY),
    refused("tracer", "debugger", TOP + "import helper\n" + LOADS + WORK, helper=IMPORT_TRACE),
    refused("forked-child", "forked", FORK),
    refused("pdb", "debugger", HEAD + WORK, to_terminal_and_back, same_output=False),
    refused("stays-open", "interactive", HEAD + WORK, lambda project, python: project.run(
        [python, "train.py"], PYTHONINSPECT="1"), same_output=False),
    started("after-definitions", '"""What it does."""\nfrom __future__ import annotations\n' + TOP + """
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SIZE: int = 4 * len(sys.argv)
sys.path.insert(0, str(ROOT / "lib"))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
NAMES = [name.upper() for name in ("a", "b") if name.startswith("a")]
NEWEST = max(os.listdir(HERE), key=len, default="")
NAMES.sort(key=lambda name: os.path.basename(name).lower())
LOWER = sorted(NAMES, key=str.lower)
try:
    import not_installed_anywhere
except ImportError:
    not_installed_anywhere = None
if sys.platform == "linux":
    LIMIT = max(1, 2)


class Thing:
    size = SIZE

    @staticmethod
    def f(x=len("abc")):
        print("never called")


""" + LOADS + WORK),
    refused("with-an-excepthook", "effects", IN_HANDLER),
    started("under-name-main", TOP + "if __name__ == '__main__':\n" + indented(LOADS + WORK)),
    started("in-a-function-of-an-import", "import os\nfrom helper import HERE, second\n" + WORK,
            helper=TOP + "def load(name):\n    return ctypes.CDLL(os.path.join(HERE, name))\n"
                         "first = load('libfirst.so')\nsecond = load('libsecond.so')\n"),
    started("unflushed-print", TOP + "import helper\n" + LOADS + WORK, helper="print('hello, not flushed yet')\n"),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("way", CONDITIONS, ids=repr)
def test_condition(way: Way, project: Project, bare: str, hooked: str) -> None:
    check(way, "conflict", project, bare, hooked)


SHOW = """
import signal
print("term", int(signal.getsignal(signal.SIGTERM)), "hup", int(signal.getsignal(signal.SIGHUP)),
      "mask", sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), "cwd", os.getcwd(), "read", input(),
      "changed", os.environ.get("CHANGED"))
"""
#: what it does to the process is done by the first one only
CHANGES = """\
import os
import signal
import sys

with open("/proc/self/environ", "rb") as file:
    first = b"DLREPAIR__START" not in file.read()
if first:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])
    os.environ["CHANGED"] = "1"
    sys.stdin.readline()
    os.chdir("/")
"""
#: how the shell or a supervisor may hand it over: SIGHUP ignored, SIGUSR1 blocked
IGNORING = """\
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.compile
def test_what_an_import_changed_is_put_back(project: Project, bare: str, hooked: str) -> None:
    """Ignored signals, mask, working directory, environment and the position of standard input: as at the start."""
    project.build("conflict")
    project.write("train.py", TOP + "import helper\n" + LOADS + WORK + SHOW)
    project.write("input", "skipped\nfirst line\nsecond line\n")

    def start(python: str) -> Did:
        with open(project.path("input"), "rb") as file:
            os.lseek(file.fileno(), len("skipped\n"), os.SEEK_SET)
            return project.run([sys.executable, "-I", "-S", "-c", IGNORING, python, "train.py"], stdin=file)

    project.write("helper.py", "")
    good = start(bare)
    shown = "term 0 hup 1 mask [10] cwd {} read first line changed None".format(project.root)
    assert good.status == 0 and shown in good.out, good.story()
    project.break_("conflict")
    project.write("helper.py", CHANGES)
    did = start(hooked)
    assert [line["refused"] for line in did.events("reexec")] == [None], did.story()
    assert (did.status, did.out, did.effects) == (0, good.out, ["main"]), did.story()


@pytest.mark.compile
def test_in_a_directory_that_is_no_more(project: Project, hooked: str) -> None:
    """The working directory was removed before the start: there is no way back to it, and none is needed."""
    project.build("conflict")
    project.write("train.py", project.program)
    project.break_("conflict")
    gone = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\""
    did = project.run(["sh", "-c", gone, "sh", hooked, project.path("train.py")])
    assert did.status == 0 and did.out == "second says 42 []\n" and did.effects == ["main"], did.story()
    assert [line["refused"] for line in did.events("reexec")] == [None], did.story()
    assert did.err.count("started again with") == 1, did.story()


POOL = """\
import concurrent.futures, ctypes, multiprocessing, os
HERE = os.path.dirname(os.path.abspath(__file__))

def work(number):
    first = ctypes.CDLL(os.path.join(HERE, "libfirst.so"))
    return ctypes.CDLL(os.path.join(HERE, "libsecond.so")).second() + number

if __name__ == "__main__":
    with @POOL@ as pool:
        print(list(pool.map(work, range(3))))
"""


@pytest.mark.compile
@pytest.mark.parametrize("pool", ["multiprocessing.get_context('fork').Pool(2)",
                                  "concurrent.futures.ProcessPoolExecutor(2)"])  # fmt: skip
def test_an_error_that_a_pool_hands_back_is_told_by_the_worker(pool: str, project: Project, hooked: str) -> None:
    """The worker has said that the repair is learned: the program that ends with its error says nothing else."""
    project.build("conflict")
    project.write("train.py", POOL.replace("@POOL@", pool))
    project.break_("conflict")
    did = project.run([hooked, "train.py"])
    assert did.status == 1 and did.events("learned") and "help: Run it again: " in did.err, did.story()
    assert "fix --write" not in did.err, did.story()
    assert project.run([hooked, "train.py"]).out == "[42, 43, 44]\n"


@pytest.mark.compile
def test_a_signal_ends_it_as_ever(project: Project, bare: str, hooked: str) -> None:
    """The process number is the same, and a signal to it has the effect and the exit status that it would have."""
    project.build("conflict")
    project.write("train.py", project.program + "import time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    project.break_("conflict")
    pids = []

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().isdigit():
                pids.append((int(line), process.pid))
                process.send_signal(signal.SIGINT)
                break

    did = project.run([hooked, "train.py"], wait=interrupt)
    assert pids and pids[0][0] == pids[0][1], did.story()
    assert did.status == -signal.SIGINT and "KeyboardInterrupt" in did.err, did.story()
    assert [line["refused"] for line in did.events("reexec")] == [None] and did.effects == ["main"], did.story()


HANDLER = """
import signal
import sys
import time


def stop(number, frame):
    try:
        raise ValueError(number)
    except ValueError:
        sys.exit(7)


signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.compile
def test_a_handler_that_exits(project: Project, hooked: str) -> None:
    """SystemExit out of a handler of a handled error, in the new process: the status is the program's own."""
    project.build("conflict")
    project.write("train.py", project.program + HANDLER)
    project.break_("conflict")

    def stop(process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line == b"ready\n":
                process.send_signal(signal.SIGTERM)
                break

    for started_again in ([None], []):
        did = project.run([hooked, "train.py"], wait=stop)
        assert (did.status, did.effects) == (7, ["main"]) and "Traceback" not in did.err, did.story()
        assert [line["refused"] for line in did.events("reexec")] == started_again, did.story()


@pytest.mark.compile
def test_exit_status_is_the_programs_own(project: Project, hooked: str) -> None:
    project.build("conflict")
    project.write("train.py", project.program + "raise SystemExit(7)\n")
    project.break_("conflict")
    assert project.run([hooked, "train.py"]).status == 7
    assert project.run([hooked, "train.py"]).status == 7


@pytest.mark.compile
def test_never_means_neither_now_nor_later(project: Project, bare: str, hooked: str) -> None:
    project.build("conflict")
    project.write("train.py", project.program)
    project.break_("conflict")
    did = project.run([hooked, "train.py"], DLREPAIR_REEXEC="never")
    assert did.status == 1 and not did.events("learned") and not did.effects, did.story()
    did = project.run([hooked, "train.py"])
    assert did.status == 0, did.story()
    did = project.run([hooked, "train.py"], DLREPAIR_REEXEC="never")  # learned, and not applied
    assert did.status == 1 and not did.events("learned"), did.story()
    for off in ({"DLREPAIR": "off"}, {"DLREPAIR_MODE": "off"}):
        did = project.run([hooked, "train.py"], **off)
        assert did.status == 1 and not did.journal, did.story()
