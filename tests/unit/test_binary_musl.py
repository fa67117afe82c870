"""musl's search on built trees. The rules are those of musl's ldso/dynlink.c; tests/loader asks the real loader."""

from __future__ import annotations

import os
import subprocess

import pytest

from dlrepair.binary.musl import reserved, system_path
from dlrepair.binary.process import ProcessView
from dlrepair.binary.scope import resolve


class Tree:
    """A root with a musl program and its libraries."""

    def __init__(self, root):
        self.root = str(root)
        self.source = os.path.join(self.root, "a.c")
        with open(self.source, "w") as file:
            file.write("int main(void){return 0;}\n")
        self.loader = self.lib("lib/ld-musl-x86_64.so.1", soname="libc.musl-x86_64.so.1")
        self.count = 0

    def lib(self, where, needs=(), soname=None, rpath=None, tags="--enable-new-dtags"):
        path = os.path.join(self.root, where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = ["-Wl,-soname," + soname] if soname else []
        flags += ["-Wl,%s,-rpath,%s" % (tags, rpath.replace("@", self.root))] if rpath else []
        for number, need in enumerate(needs):
            stub = os.path.join(self.root, "stub%d.so" % number)
            self.gcc(stub, "-shared", "-Wl,-soname," + need)
            flags += ["-Wl,--no-as-needed", stub]
        self.gcc(path, "-shared", *flags)
        return path

    def gcc(self, path, *flags):
        subprocess.run(["gcc", "-nostdlib", "-fPIC", "-o", path, self.source, *flags], check=True)

    def program(self, rpath=None):
        path = os.path.join(self.root, "bin", "prog")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = ["-Wl,-rpath," + rpath.replace("@", self.root)] if rpath else []
        stub = os.path.join(self.root, "stub.so")
        self.gcc(stub, "-shared", "-Wl,-soname,libc.musl-x86_64.so.1")
        self.gcc(path, "-pie", "-e", "main", "-Wl,--no-as-needed," + stub, "-Wl,-dynamic-linker," + self.loader, *flags)
        return path

    def trace(self, path, library_path="", rpath=None, loaded=()):
        view = ProcessView(self.program(rpath), library_path.replace("@", self.root), self.root)
        view.add(self.loader)
        for one in loaded:
            view.add(one)
        return resolve(path, process=view)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def found(trace):
    return {entry.name: entry.path for entry in trace.entries}


def test_environment_beats_rpath(tree):
    """The other way round than glibc's RPATH."""
    main = tree.lib("m.so", ["liba.so"], rpath="@/run", tags="--disable-new-dtags")
    tree.lib("run/liba.so")
    wanted = tree.lib("env/liba.so")
    assert found(tree.trace(main, "@/env")) == {"liba.so": wanted}


def test_runpath_is_inherited(tree):
    main = tree.lib("m.so", ["liba.so"], rpath="$ORIGIN/sub")
    tree.lib("sub/liba.so", ["libb.so"], soname="liba.so")
    wanted = tree.lib("sub/libb.so")
    assert found(tree.trace(main))["libb.so"] == wanted


def test_path_of_the_program_serves_all(tree):
    main = tree.lib("m.so", ["liba.so"])
    wanted = tree.lib("prog/liba.so")
    assert found(tree.trace(main, rpath="$ORIGIN/../prog"))["liba.so"] == wanted.replace("/prog/", "/bin/../prog/")


def test_sonames_do_not_count(tree):
    main = tree.lib("m.so", ["liba.so"])
    loaded = tree.lib("there/other.so", soname="liba.so")
    trace = tree.trace(main, loaded=[loaded])
    assert [m.name for m in trace.missing] == ["liba.so"]


def test_leaf_name_of_a_loaded_object_counts(tree):
    main = tree.lib("m.so", ["liba.so"])
    loaded = tree.lib("there/liba.so")
    assert tree.trace(main, loaded=[loaded]).entries[0].how == "loaded"


def test_other_machine_is_not_skipped(tree):
    main = tree.lib("m.so", ["liba.so"], rpath="@/one:@/two")
    bad = tree.lib("one/liba.so")
    with open(bad, "r+b") as file:
        file.seek(18)
        file.write(b"\xb7\x00")
    tree.lib("two/liba.so")
    trace = tree.trace(main)
    assert trace.missing[0].blocked_by == bad and trace.entries[0].how == "refused"


def test_other_tokens_make_the_path_void(tree):
    main = tree.lib("m.so", ["liba.so"], rpath="$ORIGIN/sub:$LIB")
    tree.lib("sub/liba.so")
    assert found(tree.trace(main)) == {"liba.so": None}


def test_libc_is_the_loader(tree):
    main = tree.lib("m.so", ["libc.so", "libpthread.so.0", "libm.so.6"])
    assert set(found(tree.trace(main)).values()) == {tree.loader}
    assert [reserved(n) for n in ("libc.so", "libm.so.6", "libdl.so.2", "libcrypt.so", "libc", "libmagic.so")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_default_path_from_the_file(tree):
    os.makedirs(os.path.join(tree.root, "etc"))
    assert system_path(tree.loader) == "/lib:/usr/local/lib:/usr/lib"
    with open(os.path.join(tree.root, "etc", "ld-musl-x86_64.path"), "w") as file:
        file.write("%s/one\n%s/two\n" % (tree.root, tree.root))
    wanted = tree.lib("two/liba.so")
    assert found(tree.trace(tree.lib("m.so", ["liba.so"])))["liba.so"] == wanted
