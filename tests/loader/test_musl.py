"""musl's search, as ``scope`` reconstructs it, against the real musl loader on one built world for every rule.

Programs and libraries are linked with the real linker against musl's own libc; ``ld-musl-ARCH.so.1 --list`` says what
the loader finds, and running the program that it does load.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from world import run

from dlrepair.binary import scope
from dlrepair.binary.process import ProcessView

LOADER = "/lib/ld-musl-%s.so.1" % os.uname().machine
pytestmark = pytest.mark.skipif(
    not os.path.exists(LOADER) and not os.environ.get("CI"), reason="there is no musl loader here: install musl"
)
START = b".globl _start\n_start: ret\n.globl here\n.data\nhere: .long 1\n"
FAILED = re.compile(r"Error loading shared library ([^:]+): (.+) \(needed by (.+)\)")


class MuslWorld:
    """A program for musl and its libraries below one directory; ``@`` in paths stands for it."""

    def __init__(self, root):
        self.root = str(root)
        self.cwd = self.root
        self.library_path = ""
        self.loader = LOADER
        self._made = 0
        os.makedirs(self.path(".made"))
        self._object = self.path(".made", "one.o")
        run(["as", "-o", self._object, "-"], input=START)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def _stub(self, name):
        self._made += 1
        path = self.path(".made", "stub%d.so" % self._made)
        run(["ld", "-shared", "-soname", name, "-o", path, self._object])
        return path

    def _link(self, where, needs, rpath, tags, *flags):
        path = self.path(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        command = ["ld", "--no-as-needed", "--allow-shlib-undefined", "-o", path, self._object, *flags]
        if rpath is not None:
            command += ["--%s-new-dtags" % tags, "-rpath", rpath.replace("@", self.root)]
        run(command + [self._stub(need.replace("@", self.root)) for need in needs])
        return path

    def lib(self, where, needs=(), soname=None, rpath=None, runpath=None):
        """A shared object; musl does not mind that it lacks libc."""
        flags = ["-shared", *(["-soname", soname] if soname else [])]
        return self._link(where, needs, rpath or runpath, "disable" if rpath else "enable", *flags)

    def program(self, needs=(), rpath=None, runpath=None, where="bin/prog"):
        """The program; run by its loader's path."""
        flags = ["-pie", "-dynamic-linker", self.loader, "-e", "_start"]
        return self._link(where, needs, rpath or runpath, "disable" if rpath else "enable", *flags)

    def write(self, where, data):
        os.makedirs(os.path.dirname(self.path(where)), exist_ok=True)
        with open(self.path(where), "wb") as file:
            file.write(data)

    def ask(self):
        """({name: path}, first (name, needed by) that was not found, or None) of the real loader."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("LD_")}
        if self.library_path:
            env["LD_LIBRARY_PATH"] = self.library_path.replace("@", self.root)
        done = subprocess.run(
            [self.loader, "--list", self.path("bin/prog")], cwd=self.path(self.cwd), env=env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=20,
        )  # fmt: skip
        found = {}
        for line in os.fsdecode(done.stdout).splitlines():
            name, arrow, place = line.strip().partition(" => ")
            if arrow:
                found[name] = place.rpartition(" (")[0]
        failures = [FAILED.match(line) for line in os.fsdecode(done.stderr).splitlines()]
        first = next(((one.group(1), one.group(3)) for one in failures if one), None)
        assert first is not None or done.returncode == 0, done
        return found, first

    def ours(self):
        """The same of ``scope``."""
        view = ProcessView("", self.library_path.replace("@", self.root), self.path(self.cwd))
        trace = scope._resolve(self.path("bin/prog"), view, program=True)
        failures = trace.failures
        found = {entry.name: entry.path for entry in trace.entries if entry.path and entry.how != "same-file"}
        return found, (failures[0].name, failures[0].needed_by) if failures else None


WORLDS = {}


def world(function):
    WORLDS[function.__name__.replace("_", "-")] = function
    return function


@world
def runpath_of_the_program(w):
    w.program(["liba.so"], runpath="$ORIGIN/../sub")
    w.lib("sub/liba.so", soname="liba.so")


@world
def runpath_is_inherited(w):
    w.program(["liba.so"], runpath="$ORIGIN/../sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so")
    w.lib("sub/libb.so")


@world
def own_runpath_does_not_hide_the_chain(w):
    w.program(["liba.so"], runpath="$ORIGIN/../sub")
    w.lib("sub/liba.so", ["libb.so"], runpath="$ORIGIN/empty")
    w.lib("sub/libb.so")


@world
def nearest_first(w):
    w.program(["liba.so"], rpath="@/one:@/sub")
    w.lib("sub/liba.so", ["libb.so"], rpath="$ORIGIN/two")
    w.lib("one/libb.so")
    w.lib("sub/two/libb.so")


@world
def a_siblings_path_does_not_serve(w):
    w.program(["liba.so", "libb.so"], runpath="@/sub")
    w.lib("sub/liba.so", runpath="@/other")
    w.lib("other/libb.so")


@world
def environment_before_rpath(w):
    w.program(["liba.so"], rpath="@/sub")
    w.lib("sub/liba.so")
    w.lib("env/liba.so")
    w.library_path = "@/env"


@world
def environment_list(w):
    w.program(["liba.so", "libb.so"])
    w.lib("one/libb.so")
    w.lib("two/liba.so")
    w.lib("two/libb.so")
    w.library_path = ":@/nothing::@/one:@/two"


@world
def environment_relative(w):
    w.program(["liba.so"])
    w.lib("here/env/liba.so")
    w.cwd, w.library_path = "here", "env"


@world
def environment_semicolon_is_part_of_a_name(w):
    w.program(["liba.so"])
    w.lib("env/liba.so")
    w.library_path = "@/nothing;@/env"


@world
def soname_is_not_looked_at(w):
    w.program(["liba.so", "libreal.so.1"], runpath="@/sub")
    w.lib("sub/liba.so", soname="libreal.so.1")


@world
def soname_of_another_is_no_answer(w):
    w.program(["liba.so", "libb.so"], runpath="@/sub")
    w.lib("sub/liba.so", soname="libb.so")
    w.lib("sub/libb.so", soname="libzzz.so")


@world
def missing(w):
    w.program(["liba.so"], runpath="@/sub")


@world
def missing_in_depth(w):
    w.program(["liba.so", "libz.so"], runpath="@/sub")
    w.lib("sub/liba.so", ["libgone.so"])


@world
def breadth_first(w):
    w.program(["liba.so", "libb.so"], runpath="@/sub")
    w.lib("sub/liba.so", ["libx.so"], runpath="@/one")
    w.lib("sub/libb.so", ["libx.so"], runpath="@/two")
    w.lib("two/libx.so")
    w.lib("one/libx.so")


@world
def needed_with_slash(w):
    w.program(["@/sub/liba.so", "libb.so"], runpath="@/sub")
    w.lib("sub/liba.so")
    w.lib("sub/libb.so")


@world
def needed_relative(w):
    w.program(["./sub/liba.so"])
    w.lib("here/sub/liba.so")
    w.cwd = "here"


@world
def braces_around_origin(w):
    w.program(["liba.so"], runpath="${ORIGIN}/../sub")
    w.lib("sub/liba.so")


@world
def other_tokens_void_the_path(w):
    w.program(["liba.so"], runpath="@/sub:$ORIGIN/$LIB")
    w.lib("sub/liba.so")


@world
def origin_in_the_environment_is_literal(w):
    w.program(["liba.so"])
    w.lib("bin/liba.so")
    w.library_path = "$ORIGIN"


@world
def two_names_of_one_file(w):
    w.program(["liba.so", "libb.so"], runpath="@/sub")
    w.lib("sub/liba.so")
    os.symlink("liba.so", w.path("sub/libb.so"))


@world
def dangling_link_is_passed_over(w):
    w.program(["liba.so"], runpath="@/one:@/two")
    os.makedirs(w.path("one"))
    os.symlink("nowhere", w.path("one/liba.so"))
    w.lib("two/liba.so")


@world
def text_first_stops(w):
    w.program(["liba.so"], runpath="@/one:@/two")
    w.write("one/liba.so", b"text instead of a library " * 20)
    w.lib("two/liba.so")


@world
def empty_file_first_stops(w):
    w.program(["liba.so"], runpath="@/one:@/two")
    w.write("one/liba.so", b"")
    w.lib("two/liba.so")


@world
def libc_names_are_the_loader(w):
    w.program(["libc.so", "libm.so.6", "libpthread.so.0", "liba.so"], runpath="@/sub")
    w.lib("sub/libm.so.6")
    w.lib("sub/liba.so", ["libc.musl-x86_64.so.1", "libdl.so.2"])


@world
def hardware_capabilities_are_not_looked_at(w):
    w.program(["liba.so"], runpath="@/sub")
    for level in ("x86-64-v2", "x86-64-v3"):
        w.lib("sub/glibc-hwcaps/%s/liba.so" % level)
    w.lib("sub/liba.so")


@world
def origin_of_a_linked_library(w):
    w.program(["liba.so"], runpath="@/links")
    w.lib("real/liba.so", ["libb.so"], runpath="$ORIGIN")
    os.makedirs(w.path("links"))
    os.symlink("../real/liba.so", w.path("links/liba.so"))
    w.lib("links/libb.so")


@world
def cycle(w):
    w.program(["liba.so"], runpath="@/sub")
    w.lib("sub/liba.so", ["libb.so"])
    w.lib("sub/libb.so", ["liba.so"])


def _with_own_loader(w):
    """A loader of the world's own: its ``etc`` is looked at then, beside its ``lib``."""
    os.makedirs(w.path("lib"))
    w.loader = w.path("lib", os.path.basename(LOADER))
    shutil.copy(LOADER, w.loader)


@world
def path_file(w):
    _with_own_loader(w)
    w.write("etc/ld-musl-%s.path" % os.uname().machine, ("%s\n%s\n" % (w.path("one"), w.path("two"))).encode())
    w.program(["liba.so", "libb.so"])
    w.lib("one/liba.so")
    w.lib("two/liba.so")
    w.lib("two/libb.so")


@world
def path_file_comes_last(w):
    _with_own_loader(w)
    w.write("etc/ld-musl-%s.path" % os.uname().machine, w.path("one").encode() + b":" + w.path("two").encode())
    w.program(["liba.so"], runpath="@/sub")
    w.lib("one/liba.so")
    w.lib("sub/liba.so")


@world
def empty_path_file_missing(w):
    _with_own_loader(w)
    w.write("etc/ld-musl-%s.path" % os.uname().machine, b"")
    w.program(["liba.so"])
    w.lib("lib/liba.so")


@pytest.fixture(scope="module", autouse=True)
def _installed():
    assert os.path.exists(LOADER), "install musl"


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_agrees_with_the_loader(name, tmp_path):
    w = MuslWorld(tmp_path)
    WORLDS[name](w)
    theirs, first = w.ask()
    ours, failing = w.ours()
    assert failing == first, (theirs, ours)
    if first is None:  # musl lists itself under whatever name was asked for
        assert mine(w, ours) == mine(w, theirs)
        assert "missing" not in name and (mine(w, ours) or name.startswith("needed"))


def mine(w, found):
    """What was found below the world's directory, by the name asked for; files alone where the name has a slash."""
    below = {name: path for name, path in found.items() if path not in (w.loader, LOADER)}
    plain = {name: path for name, path in below.items() if "/" not in name}
    return plain, {os.path.realpath(w.path(w.cwd, path)) for path in below.values()}
