"""Programs that end for want of a broken library: they swallow its failure, or look into the file themselves."""

from __future__ import annotations

import os
import re

import pytest
from lab import Run, World, run_script
from parts import ROI

PRE = """\
import ctypes, os, subprocess, sys
LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so")
"""
SAYS = "print('roi_pool says', @.roi_pool(6, 7))\n"
#: the load is tried, its failure is swallowed, and later there is nothing to use: name -> (script, its last words)
SWALLOWED = {
    "none-is-used": (PRE + """\
try:
    lib = ctypes.CDLL(LIB)
except OSError:
    lib = None
""" + SAYS.replace("@", "lib"), "AttributeError: 'NoneType' object has no attribute 'roi_pool'"),
    "no-such-name": (PRE + """\
try:
    lib = ctypes.CDLL(LIB)
except OSError:
    print("no library")
""" + SAYS.replace("@", "lib"), "NameError: name 'lib' is not defined"),
    "a-flag": (PRE + """\
try:
    lib = ctypes.CDLL(LIB)
    HAVE = True
except OSError:
    HAVE = False

def pool(a, b):
    if not HAVE:
        raise NotImplementedError("this needs the native part")
    return lib.roi_pool(a, b)

print("roi_pool says", pool(6, 7))
""", "NotImplementedError: this needs the native part"),
    "an-object-keeps-the-words": (PRE + """\
class Native:
    def __init__(self, path):
        self.lib = self.words = None
        try:
            self.lib = ctypes.CDLL(path)
        except OSError as error:
            self.words = str(error)
    def pool(self, a, b):
        if self.lib is None:
            raise RuntimeError("native library unavailable: " + self.words)
        return self.lib.roi_pool(a, b)

print("roi_pool says", Native(LIB).pool(6, 7))
""", "RuntimeError: native library unavailable: "),
    "an-object-keeps-the-error": (PRE + """\
class Native:
    def __init__(self, path):
        self.error = None
        try:
            self.handle = ctypes.CDLL(path)
        except OSError as error:
            self.error = error
    def pool(self, a, b):
        if self.error is not None:
            raise RuntimeError("not available") from self.error
        return self.handle.roi_pool(a, b)

print("roi_pool says", Native(LIB).pool(6, 7))
""", "RuntimeError: not available"),
    "what-a-function-returned": (PRE + """\
def get():
    try:
        return ctypes.CDLL(LIB)
    except OSError:
        return None

def pool(a, b):
    return get().roi_pool(a, b)

print("roi_pool says", pool(6, 7))
""", "AttributeError: 'NoneType' object has no attribute 'roi_pool'"),
    "a-table-without-it": (PRE + """\
LIBRARIES = {}
try:
    LIBRARIES["roi"] = ctypes.CDLL(LIB)
except OSError:
    pass
""" + SAYS.replace("@", "LIBRARIES['roi']"), "KeyError: 'roi'"),
    "an-object-without-it": (PRE + """\
class Native:
    def __init__(self):
        try:
            self.lib = ctypes.CDLL(LIB)
        except OSError:
            print("no library")
    def roi_pool(self, a, b):
        return self.lib.roi_pool(a, b)
""" + SAYS.replace("@", "Native()"), "AttributeError: 'Native' object has no attribute 'lib'"),
    "a-function-in-its-place": (PRE + """\
try:
    pool = ctypes.CDLL(LIB).roi_pool
except OSError:
    def pool(*values):
        raise NotImplementedError("build it first")
print("roi_pool says", pool(6, 7))
""", "NotImplementedError: build it first"),
    "another-module": ("import native\n" + SAYS.replace("@", "native.lib"), "AttributeError: 'NoneType' object"),
    "imported-from-another-module": ("from native import lib\n" + SAYS.replace("@", "lib"),
                                     "AttributeError: 'NoneType' object"),
}  # fmt: skip
NATIVE = PRE + "try:\n    lib = ctypes.CDLL(LIB)\nexcept OSError:\n    lib = None\n"
#: the file is looked into: name -> (script, its last words)
LOOKED = {
    "header": (PRE + """\
with open(LIB, "rb") as stream:
    head = stream.read(20)
if head[:4] != b"\\x7fELF" or head[18] not in (62, ):
    raise ValueError("{}: not an x86-64 library".format(LIB))
""" + SAYS.replace("@", "ctypes.CDLL(LIB)"), "ValueError: "),
    "readelf": (PRE + """\
said = subprocess.run(["readelf", "-h", LIB], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
assert b"X86-64" in said, "%s has the wrong architecture" % os.path.basename(LIB)
""" + SAYS.replace("@", "ctypes.CDLL(LIB)"), "AssertionError: libroi.so has the wrong architecture"),
    "a-command": (PRE + """\
subprocess.check_call(["grep", "-q", "-a", "^.ELF.*never there", LIB])
""" + SAYS.replace("@", "ctypes.CDLL(LIB)"), "subprocess.CalledProcessError: "),
}  # fmt: skip


def run(world: World, python: str, home: str = "home") -> Run:
    return run_script(world, python, os.path.join(world.top, home))


def plain(text: str) -> str:
    """A traceback without its frames: a load that fails through the hook has one more."""
    return re.sub(r"(?m)^ .*\n", "", text)


def prepare(world: World, script: str) -> None:
    """A library for another processor where the program looks, and one of this machine's in build/."""
    world.library("build/libroi.so", ROI)
    data = bytearray(world.read("build/libroi.so"))
    data[18:20] = b"\xb7\x00"  # e_machine: EM_AARCH64
    world.write("libroi.so", bytes(data))
    world.write("native.py", NATIVE)
    world.write("train.py", script)


@pytest.mark.compile
@pytest.mark.parametrize("shape", SWALLOWED)
def test_a_load_whose_failure_was_swallowed(shape: str, world: World, bare: str, hooked: str) -> None:
    """Told once the program has ended for want of it, and repaired from the next start on."""
    script, says = SWALLOWED[shape]
    prepare(world, script)
    broken = run(world, bare, "home-bare")
    assert broken.status == 1 and says in broken.err, broken.story()
    before = world.state()
    first = run(world, hooked)
    assert (first.status, first.out) == (1, broken.out), first.story()
    assert plain(first.err).startswith(plain(broken.err)), first.story()
    assert "\ndlrepair[wrong-arch]: libroi.so, needed by " in first.err, first.story()
    assert first.err.count("dlrepair[") == 1, first.story()
    assert "tried: it would be repaired: loaded build/libroi.so instead\n" in first.err, first.story()
    assert "help: Run it again: the repair of libroi.so is learned" in first.err, first.story()
    assert [one["environment"][0]["action"] for one in first.events("learned")] == ["wanted"], first.story()
    again = run(world, hooked)
    assert (again.status, again.out.splitlines()[-1]) == (0, "roi_pool says 44"), again.story()
    assert again.err.count("dlrepair[wrong-arch]: libroi.so: loaded build/libroi.so instead") == 1, again.story()
    assert world.state() == before and not again.events("internal-error"), again.story()
    home = os.path.join(world.top, "home")
    shown = run_script(world, hooked, home, ["-m", "dlrepair", "status"])
    assert "the load of {} repaired".format(world.path("libroi.so")) in shown.out, shown.out
    os.utime(world.path("build/libroi.so"), (1, 1))  # what was learned rests on that file
    assert run(world, hooked).status == 1
    assert run(world, hooked).status == 0
    assert run_script(world, hooked, home, ["-m", "dlrepair", "cache", "clear"]).status == 0
    assert run(world, hooked).status == 1


@pytest.mark.compile
def test_where_nothing_may_be_learned_it_is_one_command(world: World, bare: str, hooked: str) -> None:
    prepare(world, SWALLOWED["none-is-used"][0])
    home = os.path.join(world.top, "home")
    first = run_script(world, hooked, home, DLREPAIR_REEXEC="never")
    assert first.status == 1 and "nothing is learned: the setting reexec is never" in first.err, first.story()
    assert first.err.splitlines()[-1] == "help: dlrepair fix --write " + world.path("libroi.so"), first.story()
    assert not first.events("learned") and run_script(world, hooked, home, DLREPAIR="off").status == 1


@pytest.mark.compile
@pytest.mark.parametrize("shape", LOOKED)
def test_a_file_that_the_program_looks_into(shape: str, world: World, bare: str, hooked: str) -> None:
    """What is wrong with it is told; it looks into another one from its next start on, or one command is told."""
    script, says = LOOKED[shape]
    prepare(world, script)
    broken = run(world, bare, "home-bare")
    assert broken.status == 1 and says in broken.err, broken.story()
    before = world.state()
    if shape != "a-command":
        first = run(world, hooked)
        assert "libroi.so taken from {} is learned".format(world.path("build/libroi.so")) in first.err, first.story()
        again = run(world, hooked)
        assert (again.status, again.out, world.state()) == (0, "roi_pool says 44\n", before), again.story()
        assert not again.events("internal-error"), again.story()
        world.env = {"DLREPAIR_REEXEC": "never"}
    first = run(world, hooked, "home-told")
    assert (first.status, first.out) == (1, broken.out), first.story()
    assert plain(first.err).startswith(plain(broken.err)), first.story()
    assert "\ndlrepair[wrong-arch]: libroi.so, needed by " in first.err, first.story()
    assert first.err.count("dlrepair[") == 1, first.story()
    command = first.err.splitlines()[-1].partition("help: dlrepair ")[2]
    assert command == "fix --write " + world.path("libroi.so"), first.story()
    assert not first.events("learned"), first.story()
    if shape == "a-command":
        return
    done = run_script(world, hooked, os.path.join(world.top, "home"), ["-m", "dlrepair", *command.split()])
    assert done.status == 0, done.story()
    assert run(world, bare, "home-bare").out == "roi_pool says 44\n"


@pytest.mark.compile
def test_ldd_and_a_missing_dependency(world: World, bare: str, hooked: str) -> None:
    world.library("deps/libcore.so", "int core(void) { return 2; }")
    world.library("libroi.so", "int core(void); int roi_pool(int a, int b) { return a * b + core(); }",
                  needs=["deps/libcore.so"])  # fmt: skip
    world.write("train.py", PRE + """\
said = subprocess.run(["ldd", LIB], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
if "not found" in said:
    raise RuntimeError("cannot use {}: {}".format(LIB, said))
""" + SAYS.replace("@", "ctypes.CDLL(LIB)"))  # fmt: skip
    first = run(world, hooked)
    assert first.status == 1, first.story()
    assert "dlrepair[dependency-missing]: libcore.so, needed by libroi.so: " in first.err, first.story()
    command = first.err.splitlines()[-1].partition("help: dlrepair ")[2]
    done = run_script(world, hooked, os.path.join(world.top, "home"), ["-m", "dlrepair", *command.split()])
    assert done.status == 0, done.story()
    assert run(world, bare, "home-bare").out == "roi_pool says 44\n"


@pytest.mark.compile
@pytest.mark.parametrize("breakage", ["cut", "pointer", "empty"])
def test_what_is_wrong_is_told_where_nothing_serves(breakage: str, world: World, bare: str, hooked: str) -> None:
    prepare(world, SWALLOWED["none-is-used"][0])
    sound = world.read("build/libroi.so")
    os.remove(world.path("build/libroi.so"))
    content = {"cut": sound[: len(sound) // 2], "empty": b"",
               "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 15000\n"}  # fmt: skip
    world.write("libroi.so", content[breakage])
    cause = {"cut": "truncated", "pointer": "not-a-library", "empty": "truncated"}[breakage]
    first = run(world, hooked)
    assert first.status == 1 and "dlrepair[{}]: libroi.so, needed by train.py:4: ".format(cause) in first.err, first.err
    assert not first.events("learned") and first.err.splitlines()[-1].startswith("help: "), first.story()
    assert run(world, hooked).err.count("dlrepair[") == 1


#: what the exception is not about: name -> script
OTHERS = {
    "the-library-was-optional": PRE + """\
try:
    lib = ctypes.CDLL(LIB)
except OSError:
    lib = None
mode = None
if mode is None:
    raise ValueError("mode is one of train, test")
""",
    "a-function-beside-the-load": PRE + """\
try:
    lib = ctypes.CDLL(LIB)
    def pool(*values):
        return lib.roi_pool(*values)
except OSError:
    def pool(a, b):
        return a * b
def start(mode):
    pool(6, 7)
    raise ValueError("mode is one of train, test")
start("eval")
""",
    "it-came-from-elsewhere": PRE + """\
try:
    lib = ctypes.CDLL(LIB)
except OSError:
    lib = ctypes.CDLL(os.path.join(os.path.dirname(LIB), "build", "libroi.so"))
raise ValueError("libroi.so wants another shape")
""",
    "the-file-is-sound": PRE + """\
sound = os.path.join(os.path.dirname(LIB), "build", "libroi.so")
if os.path.getsize(sound) > 10:
    raise ValueError("{}: another version is wanted".format(sound))
""",
}  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("name", OTHERS)
def test_what_the_exception_is_not_about(name: str, world: World, bare: str, hooked: str) -> None:
    prepare(world, "import ctypes\n" + OTHERS[name])
    broken, seen = run(world, bare, "home-bare"), run(world, hooked)
    assert re.search("ValueError: ", broken.err), broken.story()
    assert (seen.status, seen.out, seen.err) == (broken.status, broken.out, broken.err), seen.story()
    assert not seen.events("learned"), seen.story()


@pytest.mark.compile
def test_a_failure_is_told_once(world: World, hooked: str) -> None:
    """By the load itself: the words of the program that follow are about the same."""
    prepare(world, PRE + """\
def load():
    for path in (LIB + ".1", LIB + ".2"):
        try:
            return ctypes.CDLL(path)
        except OSError:
            pass
    raise RuntimeError("could not load: tried {}".format([LIB + ".1", LIB + ".2"]))
load()
""")  # fmt: skip
    os.remove(world.path("build/libroi.so"))
    seen = run(world, hooked)
    said = re.findall(r"dlrepair\[\S+\]: (\S+),", seen.err)
    assert said and len(said) == len(set(said)), seen.story()
