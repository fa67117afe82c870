"""Programs that look for their library, do not find it and raise before any loader is asked."""

from __future__ import annotations

import os
import re
import sys

import pytest
from lab import Run, World, run_script
from parts import ROI

#: name -> (script, what the exception says, whether the next start can be given something that the program reads)
SHAPES = {
    "exists": ("""\
import ctypes, os
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so")
if not os.path.exists(path):
    raise FileNotFoundError("run make first")
print("roi_pool says", ctypes.CDLL(path).roi_pool(6, 7))
""", "FileNotFoundError: run make first", ""),
    "assert-in-a-function": ("""\
import ctypes, os

def check(name):
    assert os.path.isfile(name), "no library"
    return name

HERE = os.path.dirname(os.path.abspath(__file__))
print("roi_pool says", ctypes.CDLL(check(HERE + "/libroi.so")).roi_pool(6, 7))
""", "AssertionError: no library", ""),
    "glob": ("""\
import ctypes, glob, os
here = os.path.dirname(os.path.abspath(__file__))
path = glob.glob(os.path.join(here, "libroi*.so"))[0]
print("roi_pool says", ctypes.CDLL(path).roi_pool(6, 7))
""", "IndexError: list index out of range", ""),
    "list-of-candidates": ("""\
import ctypes, os

def find_lib_path():
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [os.path.join(one, "libroi.so") for one in (here, os.path.join(here, "lib"))]
    found = [one for one in paths if os.path.exists(one) and os.path.isfile(one)]
    if not found:
        raise ValueError("Cannot find the library, candidates: " + str(paths))
    return found[0]

print("roi_pool says", ctypes.CDLL(find_lib_path()).roi_pool(6, 7))
""", "ValueError: Cannot find the library", ""),
    "variable-that-is-not-set": ("""\
import ctypes, os
root = os.environ["ROI_ROOT"]
path = os.path.join(root, "build/libroi.so")
print("roi_pool says", ctypes.CDLL(path).roi_pool(6, 7))
""", "KeyError: 'ROI_ROOT'", "ROI_ROOT=@ROOT@"),
    "variable-with-a-default": ("""\
import ctypes, os
LIB = os.environ.get("ROI_LIB", "/opt/roi/lib/libroi.so")
if not os.path.isfile(LIB):
    raise RuntimeError("libroi is not installed")
print("roi_pool says", ctypes.CDLL(LIB).roi_pool(6, 7))
""", "RuntimeError: libroi is not installed", "ROI_LIB=@ROOT@/build/libroi.so"),
    "directory-in-a-variable": ("""\
import ctypes, os

def load():
    base = os.getenv("ROI_HOME", os.path.dirname(os.path.abspath(__file__)) + "/roi")
    lib = os.path.join(base, "build", "libroi.so")
    if not os.path.exists(lib):
        raise FileNotFoundError(lib)
    return ctypes.CDLL(lib)

print("roi_pool says", load().roi_pool(6, 7))
""", "FileNotFoundError", "ROI_HOME=@ROOT@"),
}  # fmt: skip


def run(world: World, python: str, home: str) -> Run:
    return run_script(world, python, os.path.join(world.top, home))


def users(text: str) -> str:
    """Standard error without dlrepair's lines."""
    return "".join(
        line for line in text.splitlines(True) if not line.startswith(("dlrepair", "help:", "  tried:", "  rejected"))
    )


@pytest.mark.compile
@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_program_looked_for(shape: str, world: World, bare: str, hooked: str) -> None:
    text, says, learned = SHAPES[shape]
    learned = learned.replace("@ROOT@", world.root)
    world.library("build/libroi.so", ROI)
    world.write("train.py", text)
    broken = run(world, bare, "home-bare")
    assert broken.status == 1 and says in broken.err, broken.story()
    before = world.state()
    first = run(world, hooked, "home")
    assert (first.status, first.out, users(first.err)) == (1, broken.out, broken.err), first.story()
    said = [line for line in first.err.splitlines() if line.startswith("dlrepair[file-missing]: ")]
    assert len(said) == 1 and "libroi" in said[0], first.story()
    assert world.path("build/libroi.so") in first.err, first.story()
    reason = first.events("load-failed")[0]["guard"]["reason"]
    assert reason.startswith("the program gave up before it loaded the library: " + says), first.story()
    assert [one["verdict"] for one in first.events("candidate")].count("accepted") == 1, first.story()
    help_line = first.err.splitlines()[-1]
    if learned:
        assert "{} is learned".format(learned) in help_line, first.story()
        again = run(world, hooked, "home")
        assert (again.status, again.out, again.err) == (0, "roi_pool says 44\n", ""), again.story()
    else:
        assert " taken from {} is learned".format(world.path("build/libroi.so")) in help_line, first.story()
        again = run(world, hooked, "home")
        assert (again.status, again.out, users(again.err)) == (0, "roi_pool says 44\n", ""), again.story()
        world.env = {"DLREPAIR_REEXEC": "never"}
        told = run(world, hooked, "home-told")
        assert not told.events("learned"), told.story()
        assert told.err.splitlines()[-1].startswith(("help: dlrepair fix --write ", "help: ln -s ")), told.story()
    assert world.state() == before, first.story()


@pytest.mark.compile
def test_the_one_command_helps(world: World, bare: str, hooked: str) -> None:
    world.library("build/libroi.so", ROI)
    world.write("train.py", SHAPES["exists"][0])
    world.env = {"DLREPAIR_REEXEC": "never"}
    first = run(world, hooked, "home")
    command = first.err.splitlines()[-1].partition("help: dlrepair ")[2]
    done = run_script(world, hooked, os.path.join(world.top, "home"), ["-m", "dlrepair", *command.split()])
    assert done.status == 0, done.story()
    assert run(world, bare, "home-bare").out == "roi_pool says 44\n"


KERNELS = """\
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "kernels"};
PyMODINIT_FUNC PyInit_kernels(void) { return PyModule_Create(&def); }
"""


@pytest.mark.compile
def test_an_extension_module_that_no_path_leads_to(world: World, bare: str, hooked: str) -> None:
    """``setup.py build_ext`` without ``--inplace`` leaves it in build/lib.PLATFORM-PYTHON."""
    world.python = bare
    name = world.extension("build/lib.linux-x86_64-cpython-3/kernels", KERNELS)
    world.write("train.py", "import ctypes\nimport kernels\nprint(kernels.__name__)\n")
    broken = run(world, bare, "home-bare")
    assert "No module named 'kernels'" in broken.err, broken.story()
    first = run(world, hooked, "home")
    assert (first.status, users(first.err)) == (1, broken.err), first.story()
    assert "import kernels from {} is learned".format(world.path(name)) in first.err, first.story()
    again = run(world, hooked, "home")
    assert (again.status, again.out) == (0, "kernels\n"), again.story()


#: what must not be looked at: name -> script
NONE_OF_OURS = {
    "another-exception": "import ctypes\nraise ValueError('libroi.so')\n".replace("libroi.so", "lost"),
    "a-module-not-installed": "import ctypes\nimport no_such_module_anywhere\n",
    "a-file-of-data": "import ctypes\nopen('/no/such/model.ckpt')\n",
    "exit": "import ctypes, sys\nsys.exit('libroi.so is missing')\n",
    "interrupt": "import ctypes\nraise KeyboardInterrupt('libroi.so')\n",
    "caught": "import ctypes\ntry:\n    raise FileNotFoundError('libroi.so')\nexcept OSError:\n    print('fine')\n",
    "of-a-function-that-looks-for-another-reason": """\
import ctypes, os
def start(mode):
    fast = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so")
    if os.path.exists(fast):
        ctypes.CDLL(fast)
    if mode != "train":
        raise ValueError("mode is one of train, test")
    raise OSError("the network is down")
try:
    start("eval")
except ValueError:
    start("train")
""",
    "import-error-of-its-own-words": "import ctypes\nfast = './libroi.so'\nraise ImportError('Python 4 is wanted')\n",
    "library-exists": "import ctypes, os\nlib = os.path.abspath('build/libroi.so')\n"
                      "raise ValueError('wrong shape in ' + lib)\n",
}  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("name", NONE_OF_OURS)
def test_what_is_not_about_a_library(name: str, world: World, bare: str, hooked: str) -> None:
    world.library("build/libroi.so", ROI)
    world.write("train.py", NONE_OF_OURS[name])
    broken, seen = run(world, bare, "home-bare"), run(world, hooked, "home")
    assert (seen.status, seen.out, seen.err) == (broken.status, broken.out, broken.err), seen.story()
    assert not seen.journal, seen.story()


HOOK = """\
import ctypes, os, sys
assert sys.excepthook is sys.__excepthook__
def mine(kind, value, trace):
    print("my own hook:", kind.__name__, value, file=sys.stderr)
sys.excepthook = mine
path = os.path.abspath("libroi.so")
if not os.path.exists(path):
    raise FileNotFoundError(path)
"""


@pytest.mark.compile
def test_the_users_own_excepthook_has_its_say(world: World, bare: str, hooked: str) -> None:
    world.library("build/libroi.so", ROI)
    world.write("train.py", HOOK)
    broken, seen = run(world, bare, "home-bare"), run(world, hooked, "home")
    assert broken.err.startswith("my own hook: FileNotFoundError") and users(seen.err) == broken.err, seen.story()
    assert "dlrepair[file-missing]: libroi.so" in seen.err, seen.story()


@pytest.mark.compile
def test_a_failure_that_the_hook_has_seen_is_told_once(world: World, bare: str, hooked: str) -> None:
    world.write("train.py", "import ctypes\ntry:\n    ctypes.CDLL('./libgone.so')\nexcept OSError as error:\n"
                            "    raise RuntimeError('libgone.so is needed') from error\n")  # fmt: skip
    seen = run(world, hooked, "home")
    assert seen.err.count("dlrepair[") == 1 and len(seen.events("load-failed")) == 1, seen.story()


@pytest.mark.compile
@pytest.mark.parametrize("way", ["-m", "-c", "prompt", "pytest", "observe"])
def test_every_way_to_run_it(way: str, world: World, bare: str, hooked: str) -> None:
    world.library("build/libroi.so", ROI)
    text = SHAPES["variable-with-a-default"][0]
    world.write("train.py", text)
    world.write("test_it.py", "def test_it():\n    import train\n")
    arguments = {"-m": ["-m", "train"], "-c": ["-c", text], "prompt": ["-i", "train.py"], "observe": ["train.py"],
                 "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]}[way]  # fmt: skip
    env = {"DLREPAIR": "observe"} if way == "observe" else {}
    seen = run_script(world, hooked, os.path.join(world.top, "home"), arguments, **env)
    told = "dlrepair[file-missing]" in seen.err
    if way == "pytest" and "No module named pytest" in seen.err:
        pytest.fail("the environment has no pytest")
    assert told is (way in ("-m", "-c", "observe")), seen.story()
    assert bool(seen.events("learned")) is (way in ("-m", "-c")), seen.story()


GIVES_UP = """\
import ctypes, os

def load():
    lib = os.path.join(os.environ.get("ROI_HOME", "/opt/roi"), "build", "libroi.so")
    if not os.path.exists(lib):
        raise FileNotFoundError(lib)
    return ctypes.CDLL(lib).roi_pool(6, 7)
"""
#: where the exception ends: name -> script
ENDS = {
    "thread": """\
import threading
from task import load

def work():
    print("roi_pool says", load())

threads = [threading.Thread(target=work, name="worker") for _ in range(3)]
for thread in threads:
    thread.start()
    thread.join()
print("the program goes on")
""",
    "thread-of-a-subclass": """\
import threading
import task

class Mine(threading.Thread):
    def run(self):
        print("roi_pool says", task.load())

def hook(args):
    import sys
    print("my own hook:", args.exc_type.__name__, args.thread.name, file=sys.stderr)

threading.excepthook = hook
thread = Mine(name="worker")
thread.start()
thread.join()
""",
    "fork": """\
import multiprocessing, sys
from task import load

def work():
    print("roi_pool says", load())
    sys.stdout.flush()

if __name__ == "__main__":
    process = multiprocessing.get_context("@WAY@").Process(target=work, name="worker")
    process.start()
    process.join()
    sys.exit(process.exitcode)
""",
}
ENDS["spawn"] = ENDS["fork"].replace("@WAY@", "spawn")
ENDS["forkserver"] = ENDS["fork"].replace("@WAY@", "forkserver")
ENDS["fork"] = ENDS["fork"].replace("@WAY@", "fork")


@pytest.mark.compile
@pytest.mark.skipif(sys.version_info < (3, 8), reason="threading.excepthook came with 3.8")
@pytest.mark.parametrize("end", ENDS)
def test_where_an_exception_ends(end: str, world: World, bare: str, hooked: str) -> None:
    """In a thread or a worker: told once, after the traceback or the user's own hook, and learned for the program."""
    world.library("build/libroi.so", ROI)
    world.write("task.py", GIVES_UP)
    world.write("train.py", ENDS[end])
    broken = run(world, bare, "home-bare")
    assert "FileNotFoundError" in broken.err and "roi_pool says" not in broken.out, broken.story()
    first = run(world, hooked, "home")
    assert (first.status, first.out) == (broken.status, broken.out), first.story()
    assert plain(users(first.err)) == plain(broken.err), first.story()
    assert first.err.count("dlrepair[file-missing]: ") == 1, first.story()
    assert first.err.index("FileNotFoundError") < first.err.index("dlrepair[file-missing]"), first.story()
    assert "help: Run it again: ROI_HOME={} is learned".format(world.root) in first.err, first.story()
    again = run(world, hooked, "home")
    assert again.out.startswith("roi_pool says 44\n") and again.status == 0 and not again.err, again.story()


@pytest.mark.compile
def test_a_function_that_a_repaired_library_lacks(world: World, bare: str, hooked: str) -> None:
    """ctypes' own words name the file of the store that was loaded: nothing is wrong with where it lies."""
    world.write("roi.cc", 'extern "C" int answer() { return 44; }\n')
    world.write("train.py", """\
import ctypes, os

roi = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so"))
getattr(roi, "no_such_" + "function")
""")
    result = run(world, hooked, "home")
    assert result.status == 1 and "undefined symbol: no_such_function" in result.err, result.story()
    assert len(result.events("load-repaired")) == len(result.events("load-failed")) == 1, result.story()
    assert "help:" not in result.err, result.story()


@pytest.mark.compile
def test_what_was_loaded_from_elsewhere_is_not_what_is_missing(world: World, bare: str, hooked: str) -> None:
    """An op that has no kernel for this machine, say: the program ends for another reason than its library's path."""
    world.library("build/libroi.so", ROI)
    world.write("train.py", """\
import ctypes, os

here = os.path.dirname(os.path.abspath(__file__))
library = os.path.join(here, "libroi.so")
roi = ctypes.CDLL(library)
if not hasattr(roi, "gpu"):
    raise RuntimeError("no kernel of it is for this machine: " + library)
""")
    result = run(world, hooked, "home")
    assert result.status == 1 and "RuntimeError" in result.err, result.story()
    assert [line["path"] for line in result.events("load-repaired")] == [world.path("build/libroi.so")], result.story()
    assert len(result.events("load-failed")) == 1 and "help:" not in result.err, result.story()


def plain(text: str) -> str:
    """A traceback without the numbers of threads and processes."""
    return re.sub(r"0x[0-9a-f]+|Process \S+:", "", text)


def test_what_the_static_reading_gives() -> None:
    from dlrepair.diagnose import giveups

    good = ["a.so", "a.so.1.2", "a/b*.so", "/my files/a.so"]
    bad = [".so", "a.so.x", "a.song", "it wants /a/b.so", "a.so\n"]
    assert [text for text in good + bad if giveups.is_library(text)] == good
