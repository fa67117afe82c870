"""What a search must not do: take one of two silently, unpack what it should not, hang, or overrun its budget."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import time
import zipfile
from typing import Any

import pytest
from lab import World, run_script
from parts import HELPER, ROI_WITH_HELPER, other_machine, script

pytestmark = pytest.mark.compile

ROI = "int roi_pool(int height, int width) { return height * width + %d; }\nint roi_scale(int v) { return v; }\n"

START = "__attribute__((constructor)) static void start(void) { %s }\n"

SCRIPT = """\
import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
roi = ctypes.CDLL(os.path.join(here, "libroi.so"))
print("roi says", roi.roi_pool(6, 7), roi.roi_scale(1))
"""


@pytest.fixture
def project(world: World) -> World:
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT)
    return world


def home(world: World) -> str:
    return os.path.join(world.top, "home")


def age(world: World, name: str, seconds: float) -> None:
    os.utime(world.path(name), (time.time() - seconds, time.time() - seconds))


def candidates(run: Any) -> dict[str, str]:
    """Path relative to the project -> the last reason that the journal gives."""
    mark = "/project/"
    return {line["path"].split(mark)[-1]: line["reason"] for line in run.events("candidate")}


def unpacked(world: World) -> list[str]:
    place = os.path.join(home(world), "cache", "dlrepair", "extracted")
    found = [os.path.join(at, name) for at, _, names in os.walk(place) for name in names]
    return sorted(os.path.relpath(path, place).partition("/")[2] for path in found)


# --- two that are alike ---------------------------------------------------------------------------------------------


def test_of_two_that_are_alike_neither_is_taken_silently(project: World, hooked: str) -> None:
    project.library("build/a/libroi.so", ROI % 1)
    project.library("build/b/libroi.so", ROI % 2)
    age(project, "build/b/libroi.so", 1000)
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 43 1\n", run.story()
    assert "loaded build/a/libroi.so instead; as good, and different: build/b/libroi.so" in run.err
    assert candidates(run)["build/b/libroi.so"] == "tied", run.story()
    assert next(line for line in run.events("candidate") if line["path"].endswith("b/libroi.so"))["reason"] == "fits"


def test_of_two_versions_of_one_name_neither_is_taken_silently(project: World, hooked: str) -> None:
    for major in (1, 2):
        project.library("build/libroi.so.%d" % major, ROI % major)
        age(project, "build/libroi.so.%d" % major, 100 - major)
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 44 1\n", run.story()
    assert "libroi.so.2 under that name; as good, and different: build/libroi.so.1" in run.err
    assert candidates(run)["build/libroi.so.1"] == "tied", run.story()


def test_of_two_dependencies_that_are_alike_neither_is_taken_silently(project: World, hooked: str) -> None:
    project.library("gone/libroi_helper.so", HELPER)
    project.library("libroi.so", ROI_WITH_HELPER, needs=["gone/libroi_helper.so"])
    subprocess.run(["rm", "-r", project.path("gone")], check=True)
    project.library("build/a/libroi_helper.so", HELPER)
    project.library("build/b/libroi_helper.so", HELPER.replace("3", "5"))
    age(project, "build/b/libroi_helper.so", 1000)
    project.write("train.py", script("libroi.so"))
    run = run_script(project, hooked, home(project))
    assert run.out == "roi_pool says 126\n", run.story()
    assert "build/a/libroi_helper.so; as good, and different: build/b/libroi_helper.so" in run.err
    assert candidates(run)["build/b/libroi_helper.so"] == "tied", run.story()


@pytest.mark.parametrize("how", ["symlink", "link"])
def test_one_file_with_two_names_is_no_tie(how: str, project: World, hooked: str) -> None:
    project.library("build/a/libroi.so", ROI % 1)
    os.makedirs(project.path("build/b"))
    getattr(os, how)(project.path("build/a/libroi.so"), project.path("build/b/libroi.so"))
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 43 1\n" and "as good" not in run.err, run.story()


def test_equal_build_ids_do_not_make_two_files_one(project: World, hooked: str) -> None:
    for place, added in (("a", 1), ("b", 2)):
        project.library("build/%s/libroi.so" % place, ROI % added, flags=["-Wl,--build-id=0x12345678"])
        os.utime(project.path("build/%s/libroi.so" % place), (1e9, 1e9))
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 43 1\n" and "as good, and different: build/b/libroi.so" in run.err, run.story()


def test_two_copies_of_one_file_are_no_tie(project: World, hooked: str) -> None:
    project.library("build/a/libroi.so", ROI % 1)
    project.copy("build/a/libroi.so", "build/b/libroi.so")
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 43 1\n" and "as good" not in run.err, run.story()


def test_what_has_worked_before_goes_first(project: World, hooked: str) -> None:
    project.library("build/a/libroi.so", ROI % 1)
    assert run_script(project, hooked, home(project)).out == "roi says 43 1\n"
    project.move("build/a/libroi.so", "build/c/libroi.so")
    age(project, "build/c/libroi.so", 1000)
    project.library("build/b/libroi.so", ROI % 2)
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 43 1\n", run.story()
    accepted = [line for line in run.events("candidate") if line["verdict"] == "accepted"]
    assert "worked before" in accepted[-1]["rank"], run.story()


def test_two_unnamed_ones_with_the_functions_are_both_refused(project: World, hooked: str) -> None:
    project.library("out/libone.so", ROI % 1)
    project.library("out/libtwo.so", ROI % 2)
    run = run_script(project, hooked, home(project))
    assert run.status == 1, run.story()
    assert candidates(run) == {"out/libone.so": "tied", "out/libtwo.so": "tied"} or {
        candidates(run)["out/libone.so"], candidates(run)["out/libtwo.so"]
    } == {"tied"}, run.story()  # fmt: skip


def test_newer_sources_count_against_a_library(project: World, hooked: str) -> None:
    project.library("build/a/libroi.so", ROI % 1)
    project.library("build/b/libroi.so", ROI % 2)
    project.write("build/a/roi.c", "/* changed since */")
    age(project, "build/a/libroi.so", 10)
    age(project, "build/b/libroi.so", 1000)
    run = run_script(project, hooked, home(project))
    assert run.out == "roi says 44 1\n", run.story()


# --- archives -------------------------------------------------------------------------------------------------------


def wheel(world: World, name: str, members: dict[str, str]) -> None:
    os.makedirs(os.path.dirname(world.path(name)), exist_ok=True)
    with zipfile.ZipFile(world.path(name), "w", zipfile.ZIP_DEFLATED) as archive:
        for member, source in members.items():
            archive.write(source, member)


def test_a_wheel_is_unpacked_with_what_its_library_needs(project: World, hooked: str) -> None:
    helper = project.library("w/pkg.libs/libroi_helper.so", HELPER)
    library = project.library(
        "w/pkg/ops/libroi.so", ROI_WITH_HELPER, needs=["w/pkg.libs/libroi_helper.so"], runpath="$ORIGIN/../../pkg.libs"
    )
    project.write("train.py", script("libroi.so"))
    members = {"pkg/ops/libroi.so": library, "pkg.libs/libroi_helper.so": helper, "pkg/ops/unused.so": helper}
    wheel(project, "dist/pkg-1.0-cp37-cp37m-linux_x86_64.whl", members)
    subprocess.run(["rm", "-r", project.path("w")], check=True)
    before = project.state()
    run = run_script(project, hooked, home(project))
    assert run.out == "roi_pool says 126\n", run.story()
    assert "loaded libroi.so from dist/pkg-1.0-cp37-cp37m-linux_x86_64.whl instead" in run.err
    assert unpacked(project) == ["pkg.libs/libroi_helper.so", "pkg/ops/libroi.so"]
    assert project.state() == before
    again = run_script(project, hooked, home(project))
    assert again.out == run.out and again.events("load-repaired")[-1].get("remembered"), again.story()
    dlrepair = [os.path.join(os.path.dirname(hooked), "dlrepair"), "cache"]
    env = dict(os.environ, HOME=home(project), XDG_CACHE_HOME=os.path.join(home(project), "cache"))
    subprocess.run([*dlrepair, "gc"], check=True, env=env, stdout=subprocess.DEVNULL)
    assert unpacked(project), "gc keeps what is within the bounds"
    subprocess.run([*dlrepair, "clear"], check=True, env=env, stdout=subprocess.DEVNULL)
    assert not unpacked(project)
    assert run_script(project, hooked, home(project)).out == run.out


def test_what_does_not_fit_is_not_kept(project: World, hooked: str) -> None:
    right = project.library("shelf/right.so", ROI % 1)
    crash = project.library("shelf/crash.so", ROI % 1 + START % "__builtin_trap();")
    project.write("shelf/machine.so", other_machine(project.read("shelf/right.so")))
    wheel(project, "dist/a.whl", {"pkg/libroi.so": crash})
    wheel(project, "dist/b.whl", {"pkg/libroi.so": project.path("shelf/machine.so")})
    wheel(project, "dist/c.whl", {"pkg/libroi.so": right})
    os.chmod(project.path("dist/c.whl"), 0o666)
    with zipfile.ZipFile(project.path("dist/d.zip"), "w") as archive:
        for member in ("../../../pkg/libroi.so", "/tmp/libroi.so"):
            archive.writestr(zipfile.ZipInfo(member), project.read("shelf/right.so"))
    with zipfile.ZipFile(project.path("dist/e.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big/libroi.so", b"\0" * (70 << 20))
    project.write("dist/f.zip", b"PK\5\6 and nothing more")
    project.write("dist/g.whl", project.read("dist/a.whl")[:-40])
    for name in ("right", "crash", "machine"):
        os.unlink(project.path("shelf/%s.so" % name))
    run = run_script(project, hooked, home(project), DLREPAIR_BUDGET_MS="60000")
    assert run.status == 1, run.story()
    said = candidates(run)
    assert said["dist/a.whl!/pkg/libroi.so"] == "trial-failed", run.story()
    assert said["dist/b.whl!/pkg/libroi.so"] == "wrong-machine"
    assert said["dist/c.whl!/pkg/libroi.so"] == "untrusted-file"
    assert said["dist/d.zip!/../../../pkg/libroi.so"] == "unsafe-name"
    assert said["dist/d.zip!//tmp/libroi.so"] == "unsafe-name"
    assert said["dist/e.zip!/big/libroi.so"] == "too-large"
    assert said["dist/f.zip"] == said["dist/g.whl"] == "not-searched"
    assert not unpacked(project)
    extracted = os.path.join(home(project), "cache", "dlrepair", "extracted")
    assert not os.path.isdir(extracted) or os.listdir(extracted) == []


# --- initialisers, budget, words ------------------------------------------------------------------------------------



@pytest.mark.parametrize(
    ("what", "body", "served"),
    [
        ("prints", 'for (int i = 0; i < 20000; i++) puts("tell me more");', True),
        ("forks", "if (fork() == 0) { sleep(20); _exit(0); }", True),
        ("hangs", "for (;;) pause();", False),
        ("kills", "kill(getpid(), 9);", False),
        ("closes", "for (int i = 0; i < 64; i++) close(i);", False),
    ],
)
def test_an_initialiser_that(what: str, body: str, served: bool, project: World, hooked: str) -> None:
    headers = "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
    # in the trial only: what it does in the user's process is the business of the user's library
    guarded = START % ('const char *in = getenv("DLREPAIR"); if (in && strcmp(in, "off") == 0) { %s }' % body)
    project.library("build/libroi.so", headers + guarded + ROI % 1)
    project.library("lib/libroi.so", ROI % 2)
    began = time.monotonic()
    run = run_script(project, hooked, home(project))
    assert time.monotonic() - began < 30
    said = candidates(run)
    if served:
        assert said["build/libroi.so"] == "fits" and run.out == "roi says 43 1\n", run.story()
    else:
        assert said["build/libroi.so"] == "trial-failed", run.story()
        assert run.out == "roi says 44 1\n", run.story()


IMPORTS = """
import ctypes, os, sys
here = os.path.dirname(os.path.abspath(__file__))
before = set(sys.modules)
roi = ctypes.CDLL(os.path.join(here, "libroi.so"))
new = set(sys.modules) - before
print(sorted(name for name in new if not name.startswith("dlrepair")), len(new))
"""

#: small ones, most of them built into the interpreter
SMALL = {"__future__", "_blake2", "_posixsubprocess", "_struct", "errno", "fcntl", "itertools", "resource", "select"}
SMALL |= {"struct", "time"}


def test_a_first_repair_imports_nothing_that_is_slow(project: World, hooked: str) -> None:
    """A failing load imports a hundred small modules, and ``json`` alone costs as much as twenty of them."""
    project.write("train.py", IMPORTS)
    project.library("lib/deep/libroi.so", ROI % 1)
    run = run_script(project, hooked, home(project))
    assert run.status == 0, run.story()
    names, _, count = run.out.strip().rpartition(" ")
    assert set(ast.literal_eval(names)) <= SMALL, run.story()
    assert int(count) < 125, run.story()


LEFT = """import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
before = set(os.listdir("/proc/self/fd"))
try:
    ctypes.CDLL(os.path.join(here, "libroi.so"))
except OSError as error:
    text = str(error)
    try:
        os.waitpid(-1, os.WNOHANG)
        print("a child is left")
    except ChildProcessError:
        print("no child")
    print(sorted(set(os.listdir("/proc/self/fd")) - before))
    raise
"""


@pytest.mark.parametrize("place", ["", "lib/roi_other.so", "build/libroi.so"])
def test_no_child_and_no_descriptor_is_left_by_a_search_in_vain(place: str, project: World, hooked: str) -> None:
    """The interpreter that was started for a trial is gone where nothing was to be tried, or what was did not load."""
    project.write("train.py", LEFT)
    if place:
        project.library(place, "int nowhere_defined(void); int roi_pool(void) { return nowhere_defined(); }")
    run = run_script(project, hooked, home(project))
    assert (run.status, run.out) == (1, "no child\n[]\n"), run.story()


def test_a_budget_that_is_used_up_is_said_and_fix_has_none(project: World, hooked: str) -> None:
    for number in range(300):
        os.makedirs(project.path("src/m%d/deep" % number))
    project.library("z/y/x/libroi.so", ROI % 1)
    run = run_script(project, hooked, home(project), DLREPAIR_BUDGET_MS="1")
    assert run.status == 1, run.story()
    ended = [line for line in run.events("repair-failed") if line["strategy"] == "search"]
    assert ended and ended[0]["budget_ms"] == 1 and "budget_ms" in ended[0]["reason"], run.story()
    assert any("budget" in line["detail"] for line in run.events("candidate")), run.story()
    fix = [os.path.join(os.path.dirname(hooked), "dlrepair"), "fix", project.path("libroi.so"), "--json"]
    env = dict(os.environ, HOME=home(project), DLREPAIR_BUDGET_MS="1")
    env.update({"XDG_%s_HOME" % one.upper(): os.path.join(home(project), one) for one in ("state", "cache", "config")})
    done = subprocess.run(fix, env=env, cwd=project.root, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["outcome"]["path"].endswith("z/y/x/libroi.so")


def test_search_says_why_each_ranks_where_it_does(project: World, hooked: str) -> None:
    project.library("libroi_op.so", ROI % 1)
    project.library("build/libroi.so", ROI % 1)
    program = [os.path.join(os.path.dirname(hooked), "dlrepair"), "search", "libroi.so"]
    env = dict(os.environ, HOME=home(project), XDG_CACHE_HOME=os.path.join(home(project), "cache"))
    text = subprocess.run(program, cwd=project.root, env=env, stdout=subprocess.PIPE, text=True).stdout
    assert "the very name in" in text and "name by affix in" in text and "(distance " in text
    rows = json.loads(
        subprocess.run([*program, "--json"], cwd=project.root, env=env, stdout=subprocess.PIPE, text=True).stdout
    )["candidates"]
    own = [row for row in rows if row["path"].startswith(project.root)]
    assert [row["rule"] for row in own] == ["affix", "exact"] or [row["rule"] for row in own] == ["exact", "affix"]
    assert all(row["rank"] and row["distance"] >= 0 for row in own)
