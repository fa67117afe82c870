"""Plain libraries that are compiled while the script waits: who may, when, and what is remembered. No TensorFlow."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from typing import Callable

import pytest
from buildkit import ROOT
from interpreters import bare_env
from lab import Lab, Run, World, check_left_alone, check_repaired, run_script

pytestmark = pytest.mark.compile

SOURCE = '#include "sum.h"\nextern "C" int sum(int a, int b) { return a + b + EXTRA; }\n'
SCRIPT = """\
import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
print("the sum is", ctypes.CDLL(os.path.join(here, "lib", "libsum.so")).sum(2, 3))
"""
MAKE = """\
CXX = g++-4.8
lib/libsum.so: src/sum.cc
\t$(CXX) -std=c++11 -shared -fPIC -Iinclude -I/usr/local/cuda-8.0/include -DUNUSED=1 $< -o $@ -march=sandybridge
"""
NOT_FOUND = r"OSError: .*libsum\.so: cannot open shared object file"


def sources(world: World) -> None:
    world.write("src/sum.cc", SOURCE)
    world.write("include/sum.h", "#define EXTRA 0\n")
    world.write("Makefile", MAKE)


def built(world: World) -> None:
    sources(world)
    world.library("lib/libsum.so", "int sum(int a, int b) { return a + b; }\n")


def unbuilt(world: World) -> None:
    os.unlink(world.path("lib/libsum.so"))


def other_machine(world: World) -> None:
    data = bytearray(world.read("lib/libsum.so"))
    data[18] = 0xB7  # e_machine: AArch64
    world.write("lib/libsum.so", bytes(data))


LABS = [
    Lab("never-built", SCRIPT, built, unbuilt, NOT_FOUND, "file-missing", "rebuild"),
    Lab("other-machine", SCRIPT, built, other_machine, NOT_FOUND, "wrong-arch", "rebuild"),
]


@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_rebuilt(lab: Lab, world: World, bare: str, hooked: str) -> None:
    run = check_repaired(lab, world, bare, hooked)
    assert "rebuilt from src/sum.cc in " in run.err, run.story()
    started = run.events("build-started")[0]
    assert started["recipe"]["file"] == world.path("Makefile"), run.story()
    assert not [word for word in started["command"] if "cuda-8.0" in word or "march" in word], run.story()


def run_hooked(world: World, hooked: str, **env: str) -> Run:
    return run_script(world, hooked, os.path.join(world.top, "home-hooked"), **env)


def test_remembered_until_a_source_changes(world: World, hooked: str) -> None:
    sources(world)
    world.write(world.script, SCRIPT)
    assert run_hooked(world, hooked).out == "the sum is 5\n"
    again = run_hooked(world, hooked)
    assert again.events("load-repaired")[-1].get("remembered") and "rebuilt from" in again.err, again.story()
    world.write("include/sum.h", "#define EXTRA 100\n")
    edited = run_hooked(world, hooked)
    assert edited.out == "the sum is 105\n", edited.story()
    world.write("include/sum.h", "#define EXTRA 0\n")
    back = run_hooked(world, hooked)
    assert back.out == "the sum is 5\n" and len(back.events("build-started")) == 2, back.story()


def test_remembered_for_whoever_asks_unless_the_script_deals_with_it(world: World, hooked: str) -> None:
    sources(world)
    world.write(world.script, SCRIPT)
    assert run_hooked(world, hooked).out == "the sum is 5\n"
    world.write(world.script, SCRIPT + "print('more')\n")
    edited = run_hooked(world, hooked)
    assert edited.out == "the sum is 5\nmore\n", edited.story()
    assert edited.events("load-repaired")[-1].get("remembered"), edited.story()
    world.write("tools/run.py", SCRIPT.replace('(here, "lib"', '(here, "..", "lib"'))
    another = run_script(world, hooked, os.path.join(world.top, "home-hooked"), [world.path("tools/run.py")])
    assert another.out == "the sum is 5\n", another.story()
    assert another.events("load-repaired")[-1].get("remembered"), another.story()
    assert len(another.events("diagnosed")) == 1, another.story()  # in the first run
    head, load = SCRIPT.splitlines()[:2], SCRIPT.splitlines()[2]
    world.write(world.script, "\n".join(head) + "\n" + GUARDED["optional"].replace("LOAD", load))
    guarded = run_hooked(world, hooked)
    assert guarded.out == "without\n", guarded.story()
    world.write(world.script, SCRIPT)
    world.write("include/sum.h", "#define EXTRA 100\n")
    other = run_hooked(world, hooked)
    assert other.out == "the sum is 105\n" and len(other.events("build-started")) == 2, other.story()


GUARDED = {
    "alternative": 'try:\n    LOAD\nexcept OSError:\n    ctypes.CDLL("libm.so.6"); print("libm")\n',
    "optional": 'try:\n    LOAD\nexcept OSError:\n    print("without")\n',
    "compile": 'import subprocess\ntry:\n    LOAD\nexcept OSError:\n    subprocess.call(["true"]); print("own")\n',
}


@pytest.mark.parametrize("kind", sorted(GUARDED))
def test_nothing_is_built_where_the_script_deals_with_it(kind: str, world: World, bare: str, hooked: str) -> None:
    head, load = SCRIPT.splitlines()[:2], SCRIPT.splitlines()[2]
    script = "\n".join(head) + "\n" + GUARDED[kind].replace("LOAD", load)
    run = check_left_alone(Lab(kind, script, sources, lambda world: None, "^(libm|without|own)$"), world, bare, hooked)
    assert not run.events("build-started"), run.story()


def forget(world: World) -> None:
    """Removes every repair that is remembered: as a store that was built up by another machine or program has none."""
    for place, _, names in os.walk(os.path.join(world.top, "home-hooked")):
        for name in names if os.path.basename(place) == "remembered" else []:
            os.unlink(os.path.join(place, name))


def sum_again(world: World, hooked: str, **env: str) -> Run:
    """The script once more, nothing remembered."""
    forget(world)
    run = run_hooked(world, hooked, **env)
    assert not run.events("load-repaired")[-1].get("remembered"), run.story()
    return run


def is_searched(run: Run) -> bool:
    return "was built of the files that are there now" not in run.events("repair-tried")[-1]["why"]


def test_nothing_is_searched_where_the_store_has_it(world: World, hooked: str) -> None:
    """The store alone knows what was built of these files: no recipe is read, no compiler runs, the vetting does."""
    sources(world)
    world.write("train.py", SCRIPT)
    first = run_hooked(world, hooked)
    assert first.out.strip() == "the sum is 5", first.story()
    again = sum_again(world, hooked)
    assert again.out == first.out and not is_searched(again), again.story()
    assert again.events("build-finished")[-1]["hit"] and len(again.events("build-started")) == 1, again.story()
    assert again.events("candidate")[-1]["verdict"] == "accepted", again.story()
    assert "rebuilt from src/sum.cc" in again.err, again.story()


def edited(world: World) -> None:
    world.write("src/sum.cc", SOURCE.replace("a + b", "a * b"))


def header_edited(world: World) -> None:
    world.write("include/sum.h", "#define EXTRA 1\n")


def header_gone(world: World) -> None:
    os.unlink(world.path("include/sum.h"))
    world.write("src/sum.h", "#define EXTRA 1\n")


def recipe_edited(world: World) -> None:
    world.write("include/sum.h", "#ifndef EXTRA\n#define EXTRA 0\n#endif\n")
    world.write("Makefile", MAKE.replace("-DUNUSED=1", "-DEXTRA=1"))


def built_nearby(world: World) -> None:
    world.library("lib/build/libsum.so", "int sum(int a, int b) { return 6; }\n")


@pytest.mark.parametrize("change", (edited, header_edited, header_gone, recipe_edited, built_nearby),
                         ids=lambda one: one.__name__)  # fmt: skip
def test_what_has_changed_is_built_anew(change: Callable[[World], None], world: World, hooked: str) -> None:
    sources(world)
    world.write("train.py", SCRIPT)
    run_hooked(world, hooked)
    change(world)
    changed = sum_again(world, hooked)
    assert changed.out.strip() == "the sum is 6" and is_searched(changed), changed.story()


def test_a_comment_changes_nothing(world: World, hooked: str) -> None:
    sources(world)
    world.write("train.py", SCRIPT)
    run_hooked(world, hooked)
    world.write("src/sum.cc", SOURCE.replace("return", "/* the sum */ return"))
    again = sum_again(world, hooked)
    assert again.out.strip() == "the sum is 5" and not is_searched(again), again.story()


def test_a_source_that_others_can_write_now_is_no_answer(world: World, hooked: str) -> None:
    sources(world)
    world.write("train.py", SCRIPT)
    run_hooked(world, hooked)
    forget(world)
    os.chmod(world.path("src/sum.cc"), 0o666)
    run = run_hooked(world, hooked)
    assert run.status != 0 and run.events("trust-refused"), run.story()


def test_a_damaged_answer_and_a_damaged_library_are_none(world: World, hooked: str) -> None:
    sources(world)
    world.write("train.py", SCRIPT)
    home = os.path.join(world.top, "home-hooked")
    path = run_hooked(world, hooked).events("load-repaired")[-1]["path"]
    with open(path, "r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff")
    again = sum_again(world, hooked)
    assert again.out.strip() == "the sum is 5" and is_searched(again), again.story()
    spoilt = [os.path.join(place, name) for place, _, names in os.walk(home) if "/manifests" in place for name in names]
    for number, one in enumerate(spoilt):
        with open(one, "r+") as stream:
            text = stream.read()
            stream.seek(0)
            stream.truncate()
            stream.write((text[: len(text) // 2], "[]", '{"v": 1}')[number % 3])
    spoiled = sum_again(world, hooked)
    assert spoilt and spoiled.out.strip() == "the sum is 5" and is_searched(spoiled), spoiled.story()


def test_rebuild_never(world: World, bare: str, hooked: str) -> None:
    world.env["DLREPAIR_REBUILD"] = "never"
    run = check_left_alone(Lab("never", SCRIPT, sources, lambda world: None, NOT_FOUND), world, bare, hooked)
    assert not run.events("build-started"), run.story()


def test_a_source_that_others_can_write(world: World, bare: str, hooked: str) -> None:
    def writable(world: World) -> None:
        os.chmod(world.path("src/sum.cc"), 0o666)

    run = check_left_alone(Lab("untrusted", SCRIPT, sources, writable, NOT_FOUND), world, bare, hooked)
    assert not run.events("build-started") and run.events("trust-refused"), run.story()


def command(hooked: str, world: World, *words: str) -> subprocess.CompletedProcess[str]:
    home = os.path.join(world.top, "home-hooked")
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    program = os.path.join(os.path.dirname(hooked), "dlrepair")
    return subprocess.run(
        [program, *words], cwd=world.root, env=bare_env(HOME=home, **places, **world.env), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_built_ahead_is_found_at_once_but_not_where_the_script_deals_with_it(world: World, hooked: str) -> None:
    sources(world)
    done = command(hooked, world, "build", "lib/libsum.so")
    assert done.returncode == 0, done.stderr
    head, load = SCRIPT.splitlines()[:2], SCRIPT.splitlines()[2]
    world.write(world.script, "\n".join(head) + "\n" + GUARDED["optional"].replace("LOAD", load))
    assert run_hooked(world, hooked).out == "without\n"
    world.write(world.script, SCRIPT)
    run = run_hooked(world, hooked)
    assert run.out == "the sum is 5\n" and "rebuilt from src/sum.cc" in run.err, run.story()
    assert run.events("load-repaired")[-1].get("remembered"), run.story()
    world.write("include/sum.h", "#define EXTRA 100\n")
    edited = run_hooked(world, hooked)
    assert edited.out == "the sum is 105\n", edited.story()


def test_check_only_says_so_and_fix_builds(world: World, hooked: str) -> None:
    sources(world)
    world.write(world.script, SCRIPT)
    path = world.path("lib/libsum.so")
    checked = command(hooked, world, "check", path)
    assert (checked.returncode, "  repair: rebuilt from src/sum.cc" in checked.stdout) == (1, True), checked.stdout
    store = os.path.join(world.top, "home-hooked", "cache", "dlrepair", "builds")
    assert not os.path.exists(store), "check has compiled something"
    fixed = command(hooked, world, "fix", path)
    assert fixed.returncode == 0 and "rebuilt from src/sum.cc" in fixed.stdout, fixed.stdout + fixed.stderr
    run = run_hooked(world, hooked)
    assert run.out == "the sum is 5\n" and len(run.events("build-started")) == 1, run.story()


def test_the_command(world: World, hooked: str) -> None:
    sources(world)
    for path in ("lib/libsum.so", "src/sum.cc"):
        done = command(hooked, world, "build", path)
        assert done.returncode == 0 and "libsum.so: " in done.stdout, done.stdout + done.stderr
    assert "in the store already" in done.stdout, done.stdout
    world.write("src/sum.cc", "int main( {\n")
    done = command(hooked, world, "build", "lib/libsum.so")
    assert done.returncode == 1 and "compile-error" in done.stdout and "sum.cc:1:" in done.stdout, done.stdout
    assert command(hooked, world, "build", "lib/other.so").returncode == 1
    assert command(hooked, world, "build", "nowhere").returncode == 2


@pytest.mark.parametrize("named", [".", "Makefile", "src/sum.cc", "lib/libsum.so", "lib"])
def test_build_takes_whatever_names_the_library(named: str, world: World) -> None:
    sources(world)
    os.makedirs(world.path("lib"))
    done = subprocess.run(
        [sys.executable, "-m", "dlrepair", "build", "--json", named], cwd=world.path("."), stdout=subprocess.PIPE,
        text=True, env=dict(bare_env(), HOME=world.path("../home"), PYTHONPATH=ROOT),
    )  # fmt: skip
    builds = json.loads(done.stdout)["builds"] if done.stdout else []
    if named == "lib":  # no build file and no source lies there
        assert (done.returncode, builds) == (1, []), done
        return
    assert done.returncode == 0 and [one["wanted"] for one in builds] == [world.path("lib/libsum.so")], done
    assert ctypes.CDLL(builds[0]["path"]).sum(2, 3) == 5


def test_the_help_gets_what_is_missing(world: World, hooked: str) -> None:
    """A compiler that is not there: no search for another library would be of use, and no trust in a script."""
    sources(world)
    world.write(world.script, SCRIPT)
    world.env["CXX"] = "/nowhere/g++"
    run = run_hooked(world, hooked)
    assert run.status == 1 and "OSError: " in run.err, run.story()
    assert "not rebuilt: CXX is '/nowhere/g++', and there is no such program" in run.err, run.story()
    assert "help: unset CXX\n" in run.err, run.story()
    done = command(hooked, world, "build", "lib/libsum.so")
    assert done.returncode != 0 and "help: unset CXX\n" in done.stdout + done.stderr, done.stdout + done.stderr
