"""A project's own script is run where our command does not do: after ``dlrepair trust``, in a copy, within bounds."""

from __future__ import annotations

import glob
import os
import pathlib
import subprocess
import sys
import time
from shutil import which
from typing import Callable

import pytest
from buildkit import run_on_full_disk
from interpreters import bare_env
from lab import Run, World, run_script

from dlrepair.build import confine, mirror
from dlrepair.build.parts import Changed

pytestmark = pytest.mark.compile

SCRIPT = """\
import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
print("the square is", ctypes.CDLL(os.path.join(here, "ops", "libtable.so")).squared(7))
"""
GENERATOR = """\
print('extern "C" int table(int i) { static const int t[] = {%s}; return t[i]; }' % ", ".join(
    str(i * i) for i in range(10)))
"""
MAIN = 'extern "C" int table(int); extern "C" int squared(int i) { return table(i); }\n'
SHELL = """\
#!/bin/bash
set -e
cd "$(dirname "$0")"
python gen.py > gen_table.cc
$CXX -std=c++11 -shared -fPIC main.cc gen_table.cc -o libtable.so
"""
MAKE = """\
libtable.so: main.cc gen_table.cc
\tg++ -shared -fPIC $^ -o $@
gen_table.cc: gen.py
\tpython3 gen.py > $@
"""
SETUP = """\
import subprocess, sys
from setuptools import Extension, setup
with open("gen_table.cc", "w") as stream:
    subprocess.check_call([sys.executable, "gen.py"], stdout=stream)
setup(name="table", version="1", ext_modules=[Extension("libtable", ["main.cc", "gen_table.cc"])])
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.10)
project(table CXX)
add_custom_command(OUTPUT gen_table.cc COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/gen.py > gen_table.cc
                   DEPENDS gen.py)
add_library(table SHARED main.cc ${CMAKE_CURRENT_BINARY_DIR}/gen_table.cc)
"""
BUILD = """\
import os, subprocess, sys
assert os.environ["PWD"] == os.getcwd(), os.environ["PWD"]
with open("gen_table.cc", "w") as stream:
    subprocess.check_call([sys.executable, "gen.py"], stdout=stream)
subprocess.check_call(["g++", "-shared", "-fPIC", "main.cc", "gen_table.cc", "-o", "libtable.so"])
"""
CONFIGURE = """\
#!/bin/sh
sed -e 's/@CXX@/g++/' Makefile.in > Makefile
"""
HELPER = """\
#!/bin/sh
cd "$(dirname "$0")"
python gen.py > gen_table.cc
g++ -shared -fPIC gen_table.cc -Wl,-soname,libnumbers.so -o libnumbers.so
g++ -shared -fPIC main.cc -o libtable.so -L. -lnumbers -Wl,-rpath,$PWD
"""


def project(world: World, name: str, text: str) -> str:
    """Path of the build script."""
    world.write(world.script, SCRIPT)
    world.write("requirements.txt", "")
    world.write("ops/gen.py", GENERATOR)
    world.write("ops/main.cc", MAIN)
    return world.write("ops/" + name, text)


def hooked_run(world: World, hooked: str) -> Run:
    return run_script(world, hooked, os.path.join(world.top, "home-hooked"))


def command(hooked: str, world: World, *words: str) -> subprocess.CompletedProcess[str]:
    home = os.path.join(world.top, "home-hooked")
    os.makedirs(home, exist_ok=True)
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    program = os.path.join(os.path.dirname(hooked), "dlrepair")
    return subprocess.run(
        [program, *words], cwd=world.root, env=bare_env(HOME=home, **places, **world.env), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def trust(hooked: str, world: World, path: str) -> None:
    done = command(hooked, world, "trust", path)
    assert done.returncode == 0, done.stderr


def failing(world: World, hooked: str, said: str) -> Run:
    """The run of a script whose library is not made: the loader's exception, and the reason among our words."""
    run = hooked_run(world, hooked)
    words = run.err + "".join(str(line.get("detail", "")) + str(line.get("error", "")) for line in run.journal)
    assert run.status == 1 and "OSError: " in run.err and said in words, run.story()
    assert not run.events("internal-error") and not run.events("load-repaired"), run.story()
    builds = os.path.join(world.top, "home-hooked", "cache", "dlrepair", "builds")
    left = os.listdir(builds) if os.path.isdir(builds) else []
    assert [name for name in left if name.startswith(".tmp-")] == [], left
    return run


KINDS = {"compile.sh": SHELL, "Makefile": MAKE, "CMakeLists.txt": CMAKE, "configure": CONFIGURE, "helper.sh": HELPER}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_made_by_a_trusted_script(name: str, world: World, hooked: str) -> None:
    if name == "CMakeLists.txt" and which("cmake") is None and "CI" not in os.environ:
        pytest.skip("no cmake here")
    path = project(world, name, KINDS[name])
    world.write("ops/Makefile.in", MAKE.replace("g++", "@CXX@"))
    before = world.state()
    run = failing(world, hooked, "{} is not run: it was not trusted".format(name))
    assert "help: dlrepair trust {}  # to run it in a private copy".format(path) in run.err, run.story()
    trust(hooked, world, path)
    run = hooked_run(world, hooked)
    assert (run.status, run.out) == (0, "the square is 49\n"), run.story()
    assert "libtable.so: made by ops/{} in ".format(name) in run.err, run.story()
    started, finished = run.events("build-started")[-1], run.events("build-finished")[-1]
    assert started["recipe"]["file"] == path and finished["ok"] and os.path.isfile(finished["log"]), run.story()
    again = hooked_run(world, hooked)
    assert again.out == run.out and again.events("load-repaired")[-1]["remembered"], again.story()
    assert world.state() == before, "the user's tree was changed"


def test_a_setup_py(world: World, hooked: str) -> None:
    """Built by ``build_ext --inplace``: under a name with the tag of this Python."""
    path = project(world, "setup.py", SETUP)
    world.write(world.script, SCRIPT.replace('os.path.join(here, "ops", "libtable.so")', "NAME").replace(
        "print(", 'NAME = os.path.join(here, "ops", "libtable.so")\nprint('))  # fmt: skip
    code = "import setuptools"
    if subprocess.run([hooked, "-c", code], stderr=subprocess.DEVNULL).returncode:
        python = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        assert python.returncode == 0, "setuptools is among the tests' requirements"
        world.env["PYTHONPATH"] = os.path.dirname(os.path.dirname(__import__("setuptools").__file__))
    trust(hooked, world, path)
    run = hooked_run(world, hooked)
    assert (run.status, run.out) == (0, "the square is 49\n") and "made by ops/setup.py" in run.err, run.story()


@pytest.mark.parametrize("changed", ["ops/compile.sh", "ops/gen.py"])
def test_a_script_that_changed_is_not_run(changed: str, world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL)
    trust(hooked, world, path)
    world.write(changed, world.read(changed).decode() + "# changed\n")
    name = os.path.basename(changed)
    run = failing(world, hooked, "compile.sh is not run: {} changed since it was trusted".format(name))
    assert "help: dlrepair trust {}".format(path) in run.err and not run.events("build-started"), run.story()
    listed = command(hooked, world, "trust", "--list")
    assert "(changed" in listed.stdout, listed.stdout
    trust(hooked, world, path)
    assert hooked_run(world, hooked).out == "the square is 49\n"


def test_a_program_that_appears_later_asks_again(world: World, hooked: str) -> None:
    text = SHELL.replace("set -e", "set -e\n[ -f ops_extra.sh ] && . ./ops_extra.sh || true")
    path = project(world, "compile.sh", text)
    trust(hooked, world, path)
    world.write("ops/ops_extra.sh", "true\n")
    failing(world, hooked, "compile.sh is not run: ops_extra.sh changed since it was trusted")


def test_a_directory_that_was_trusted(world: World, hooked: str) -> None:
    project(world, "compile.sh", SHELL)
    trust(hooked, world, world.path("ops"))
    assert hooked_run(world, hooked).out == "the square is 49\n"
    trusted = hooked_run(world, hooked)
    command(hooked, world, "distrust", world.path("ops"))
    world.write("ops/main.cc", MAIN + "// no replay\n")
    assert trusted.status == 0 and hooked_run(world, hooked).status == 1


def test_the_command(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL)
    done = command(hooked, world, "build", "ops/libtable.so")
    assert done.returncode == 1 and "compile.sh is not run: it was not trusted" in done.stdout, done.stdout
    assert "help: dlrepair trust ops/compile.sh" in done.stdout, done.stdout
    trust(hooked, world, path)
    done = command(hooked, world, "build", "ops/libtable.so")
    assert done.returncode == 0 and "recipe: ops/compile.sh:1" in done.stdout, done.stdout + done.stderr
    run = hooked_run(world, hooked)
    assert run.out == "the square is 49\n" and len(run.events("build-started")) == 1, run.story()


def test_made_permanent(world: World, hooked: str, bare: str) -> None:
    """The library and what it links of the same build come into the project, nothing into the store; and go again."""
    trust(hooked, world, project(world, "helper.sh", HELPER))
    before = world.state()
    done = command(hooked, world, "fix", "ops/libtable.so", "--write")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(set(world.state()) - set(before)) == ["ops/libnumbers.so", "ops/libtable.so"], done.stdout
    run = run_script(world, bare, os.path.join(world.top, "home-bare"))
    assert (run.status, run.out) == (0, "the square is 49\n"), run.story()
    assert command(hooked, world, "fix", "ops/libtable.so", "--undo").returncode == 0
    assert world.state() == before
    assert hooked_run(world, hooked).out == "the square is 49\n"


def test_what_a_script_writes_elsewhere(world: World, hooked: str) -> None:
    """Kept from it by the kernel where that can (Landlock); elsewhere it is only said."""
    outside = os.path.join(world.top, "home-hooked", "outside")
    text = SHELL.replace("set -e", "echo mine > $HOME/outside; rm -f {}; true".format(world.path("ops/main.cc")))
    path = project(world, "compile.sh", text)
    trust(hooked, world, path)
    run = hooked_run(world, hooked)
    if confine.level():
        assert run.out == "the square is 49\n", run.story()
        assert not os.path.exists(outside) and os.path.exists(world.path("ops/main.cc"))
    else:
        assert "this kernel cannot keep compile.sh from writing elsewhere" in run.err, run.story()


def test_a_link_out_of_the_project_is_not_followed(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("set -e", "set -e\necho mine > ../data/x || true"))
    os.makedirs(os.path.join(world.top, "elsewhere"))
    os.symlink(os.path.join(world.top, "elsewhere"), world.path("data"))
    trust(hooked, world, path)
    run = hooked_run(world, hooked)
    assert run.out == "the square is 49\n" and os.listdir(os.path.join(world.top, "elsewhere")) == [], run.story()


def test_a_source_that_is_saved_while_the_script_runs(world: World, hooked: str) -> None:
    """The copy is what it was; the next load sees the edit."""
    path = project(world, "compile.sh", SHELL.replace("set -e", "set -e\ntouch ../started; sleep 3"))
    trust(hooked, world, path)
    running = popen(world, hooked)
    copies = os.path.join(world.top, "home-hooked", "cache", "dlrepair", "builds")
    wait_for(lambda: glob.glob(os.path.join(copies, ".tmp-*", "copy", "started")))
    world.write("ops/main.cc", MAIN.replace("return table(i)", "return 100 + table(i)"))
    out, _ = running.communicate(timeout=120)
    assert out.decode() == "the square is 49\n"
    run = hooked_run(world, hooked)
    assert run.out == "the square is 149\n", run.story()


def test_a_copy_is_what_its_key_was_made_of(tmp_path: pathlib.Path) -> None:
    (tmp_path / "project").mkdir()
    for name in ("one.cc", "two.cc"):
        (tmp_path / "project" / name).write_text("int one;\n")
    for number, change in enumerate((lambda path: path.write_text("int two;\n"), lambda path: path.unlink())):
        held = mirror.Mirror(str(tmp_path / "project"), "", lambda path: False)
        before = held.key()
        (tmp_path / "copy{}".format(number)).mkdir()
        change(tmp_path / "project" / "two.cc")
        with pytest.raises(Changed, match="two.cc"):
            held.copy(str(tmp_path / "copy{}".format(number)))
        assert mirror.Mirror(str(tmp_path / "project"), "", lambda path: False).key() != before


def test_links_inside_a_project_that_is_reached_through_a_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real" / "include").mkdir(parents=True)
    (tmp_path / "real" / "include" / "x.h").write_text("#define X 1\n")
    (tmp_path / "real" / "headers").symlink_to("include")
    (tmp_path / "real" / "away").symlink_to(tmp_path)
    (tmp_path / "project").symlink_to("real")
    held = mirror.Mirror(str(tmp_path / "project"), "", lambda path: False)
    held.key()
    (tmp_path / "copy").mkdir()
    held.copy(str(tmp_path / "copy"))
    assert os.readlink(tmp_path / "copy" / "headers") == "include"
    assert (tmp_path / "copy" / "headers" / "x.h").read_text() == "#define X 1\n"
    assert not os.path.lexists(tmp_path / "copy" / "away")


def test_a_script_is_told_where_it_runs(world: World, hooked: str) -> None:
    """The variable ``PWD`` of the user's shell would lead a program that believes it into the project itself."""
    path = project(world, "build.py", BUILD)
    trust(hooked, world, path)
    world.env["PWD"] = world.path("ops")
    run = hooked_run(world, hooked)
    assert run.out == "the square is 49\n", run.story()


def alive(mark: str) -> bool:
    """Whether a process runs whose command line has ``mark``."""
    for name in os.listdir("/proc"):
        try:
            with open("/proc/{}/cmdline".format(int(name)), "rb") as stream:
                if mark.encode() in stream.read():
                    return True
        except (ValueError, OSError):
            continue
    return False


def test_a_script_that_hangs(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("set -e", "sleep 731.5 & (setsid sleep 731.5 &); wait"))
    trust(hooked, world, path)
    world.env["DLREPAIR_BUILD_SECONDS"] = "2"
    began = time.monotonic()
    run = failing(world, hooked, "compile.sh was stopped after 2 s")
    assert time.monotonic() - began < 20 and not alive("731.5"), run.story()
    failing(world, hooked, "(nothing has changed since)")


def test_a_daemon_ends_with_its_script(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL + "setsid nohup sleep 733.5 >/tmp/nohup.$$ 2>&1 < /dev/null &\n"
                   "(setsid sh -c 'sleep 733.5 & sleep 733.5') > /dev/null 2>&1 &\n")  # fmt: skip
    trust(hooked, world, path)
    run = hooked_run(world, hooked)
    assert run.out == "the square is 49\n" and not alive("733.5"), run.story()


def popen(world: World, hooked: str) -> subprocess.Popen[bytes]:
    """The program of the world, started and left running."""
    home = os.path.join(world.top, "home-hooked")
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    return subprocess.Popen(
        [hooked, world.path(world.script)], cwd=world.root, env=bare_env(HOME=home, **places), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_four_at_once_run_it_once(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("set -e", "set -e\nsleep 1"))
    trust(hooked, world, path)
    children = [popen(world, hooked) for _ in range(4)]
    assert [child.communicate(timeout=60)[0] for child in children] == [b"the square is 49\n"] * 4
    run = hooked_run(world, hooked)
    assert len(run.events("build-started")) == 1, run.story()


def test_a_killed_builder_ends_its_script(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("set -e", "set -e\n[ -e ../ready ] || sleep 737.5"))
    trust(hooked, world, path)
    child = popen(world, hooked)
    wait_for(lambda: alive("737.5"))
    child.kill()
    child.communicate()
    builds = os.path.join(world.top, "home-hooked", "cache", "dlrepair", "builds")
    wait_for(lambda: not alive("737.5") and not [one for one in os.listdir(builds) if one.startswith(".tmp-")])
    world.write("ready", "")
    assert hooked_run(world, hooked).out == "the square is 49\n"


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_a_script_that_fills_the_disk(world: World, hooked: str) -> None:
    fill = "i=0; while :; do head -c 4000000 /dev/zero > junk$i; i=$((i+1)); sleep 0.01; done"
    path = project(world, "compile.sh", SHELL.replace("set -e", fill))
    trust(hooked, world, path)
    world.env["DLREPAIR_BUILD_DISK"] = "40"
    failing(world, hooked, "compile.sh was stopped: it wrote more than 40 MiB")


@pytest.mark.parametrize(("size", "said"), [(64, "No space left on device"), (2000, "no space left in ")])
def test_a_full_disk(size: int, said: str, world: World, hooked: str) -> None:
    """There is no room for the copy, or for what the script writes."""
    path = project(world, "compile.sh", SHELL.replace("set -e", "head -c 9000000 /dev/zero > big || exit 1"))
    world.write("ops/table.txt", "x" * 200000)
    trust(hooked, world, path)
    home = os.path.join(world.top, "home-hooked")
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    store = os.path.join(world.top, "store")
    env = bare_env(HOME=home, DLREPAIR_STORE=store, **places)
    done = run_on_full_disk(store, size, [hooked, world.path(world.script)], env)
    assert done.returncode == 1 and "OSError: " in done.stderr and said in done.stderr, done.stdout + done.stderr
    assert "left: []" in done.stdout, done.stdout


def test_a_script_that_fails(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("main.cc gen", "mian.cc gen"))
    trust(hooked, world, path)
    run = failing(world, hooked, "compile.sh failed with status ")
    log = run.events("build-finished")[-1]["log"]
    with open(log) as stream:
        assert "mian.cc: No such file or directory" in stream.read()


def test_a_script_that_makes_another_library(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL.replace("-o libtable.so", "-o libother.so") + "# libtable.so\n")
    trust(hooked, world, path)
    failing(world, hooked, "compile.sh ended well, and made no libtable.so")


def test_what_it_made_is_vetted(world: World, hooked: str) -> None:
    """A library with a symbol that nothing defines is not loaded."""
    path = project(world, "compile.sh", SHELL.replace("main.cc gen_table.cc -o", "main.cc -o"))
    trust(hooked, world, path)
    failing(world, hooked, "it was built, and does not fit")


def test_a_generator_that_others_can_write(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL)
    trust(hooked, world, path)
    os.chmod(world.path("ops/gen.py"), 0o666)
    failing(world, hooked, "gen.py is writable by others")


def test_rebuild_never_runs_nothing(world: World, hooked: str) -> None:
    path = project(world, "compile.sh", SHELL)
    trust(hooked, world, path)
    world.env["DLREPAIR_REBUILD"] = "never"
    run = hooked_run(world, hooked)
    assert run.status == 1 and not run.events("build-started"), run.story()
