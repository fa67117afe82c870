"""The room for static TLS is used up by real libraries; only a new process can have more."""

from __future__ import annotations

import os
import subprocess

import pytest
from interpreters import bare_env
from lab import Lab, World, check_repaired, run_script

TLS = """
static __thread volatile char room[SIZE] __attribute__((tls_model("initial-exec")));
int NAME(int at) { room[at] = 1; return room[at] + (int)sizeof room; }
"""

SCRIPT = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
first = ctypes.CDLL(here + "/libfirst.so")
second = ctypes.CDLL(here + "/libsecond.so")
print(first.first(1), second.second(1))
"""


def libraries(size: int):  # type: ignore[no-untyped-def]
    def build(world: World) -> None:
        for name in ("first", "second"):
            world.library("lib%s.so" % name, TLS.replace("SIZE", str(size)).replace("NAME", name))

    return build


@pytest.mark.compile
def test_static_tls_is_used_up(world: World, bare: str, hooked: str) -> None:
    """Each alone fits; the working world has more room by glibc's own tunable, which the broken one lacks."""
    lab = Lab("static-tls", SCRIPT, libraries(1200), lambda world: world.env.clear(),
              r"cannot allocate memory in static TLS block", "static-tls", "reexec")  # fmt: skip
    world.env["GLIBC_TUNABLES"] = "glibc.rtld.optional_static_tls=8192"
    check_repaired(lab, world, bare, hooked)


@pytest.mark.compile
def test_the_commands_say_that_only_a_new_process_helps(world: World, hooked: str) -> None:
    """More than the reserve ever is: ``check`` and ``fix`` name the same change, and that the program gets it."""
    world.library("libbig.so", TLS.replace("SIZE", "9000").replace("NAME", "big"))
    tool, env = os.path.join(os.path.dirname(hooked), "dlrepair"), bare_env(HOME=world.top)
    change = "LD_PRELOAD=" + world.path("libbig.so")
    for command, said in (
        (["check"], "repair: started again with {}\n  help: Run the program: dlrepair starts it like that."),
        (["fix"], "static-tls: only a new process helps; with {} it loads\nhelp: Run the program: it is then started"),
        (["fix", "--write"], "static-tls: only a new process helps; with {} it loads\nhelp: Run the program"),
    ):
        done = subprocess.run(
            [tool, *command, "./libbig.so"], cwd=world.root, env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 1 and said.format(change) in done.stdout, done.stdout


BIG = """\
import ctypes
import os

big = ctypes.CDLL("./libbig.so")
with open("effects", "a") as file:
    file.write("once\\n")
print(big.big(1), os.environ.get("LD_PRELOAD"))
"""


@pytest.mark.compile
@pytest.mark.parametrize(
    "words", [["./libbig.so", "--for", "train.py"], ["train.py"], ["--write", "train.py"]], ids=" ".join
)
def test_fix_learns_for_a_script(words: list[str], world: World, hooked: str) -> None:
    """What only a new process helps with is kept for the script; its first start has it, and does all of it once."""
    world.library("libbig.so", TLS.replace("SIZE", "9000").replace("NAME", "big"))
    world.write("train.py", BIG)
    before = world.state()
    home = os.path.join(world.top, "home")
    done = run_script(world, hooked, home, ["-m", "dlrepair", "fix", *words])
    change = "LD_PRELOAD=" + world.path("libbig.so")
    said = "./libbig.so: static-tls: started again with {}\n  learned: train.py has it from its next start on\n"
    assert (done.status, done.out) == (0, said.format(change)) and world.state() == before, done.story()
    run = run_script(world, hooked, home)
    assert (run.status, run.out, run.err) == (0, "9001 None\n", ""), run.story()
    assert [one.get("applied") for one in run.events("learned")] == [None, True], run.story()
    assert world.read("effects") == b"once\n" and len(run.events("load-failed")) == 1, run.story()


@pytest.mark.compile
def test_fix_of_a_script_that_needs_nothing(world: World, hooked: str) -> None:
    world.library("libbig.so", TLS.replace("SIZE", "90").replace("NAME", "big"))
    world.write("train.py", BIG)
    done = run_script(world, hooked, os.path.join(world.top, "home"), ["-m", "dlrepair", "fix", "train.py"])
    assert (done.status, done.out) == (0, "./libbig.so: loads as it is\n"), done.story()
