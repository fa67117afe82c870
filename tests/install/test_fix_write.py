"""``dlrepair fix --write`` and ``--undo``: the user's tree before, between and after, and bare interpreters on it."""

from __future__ import annotations

import os
import subprocess
from typing import Iterator

import pytest
from install_kit import FEW, World
from interpreters import bare_env

pytestmark = pytest.mark.compile


def _build(directory: str, name: str, *options: str, code: str = "int answer(void) { return 42; }") -> str:
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    command = ["gcc", "-shared", "-fPIC", "-o", path, "-Wl,--no-as-needed", "-x", "c", "-", "-x", "none", *options]
    subprocess.run(command, input=code.encode(), check=True)
    return path


def _state(top: str) -> dict[str, tuple[int, int, bytes]]:
    """Mode, modification time and content of every file and link of the project, by path."""
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            if os.path.islink(path):
                found[path] = (info.st_mode, 0, os.readlink(path).encode())
            else:
                with open(path, "rb") as stream:
                    found[path] = (info.st_mode, info.st_mtime_ns, stream.read())
    return found


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A virtualenv without a hook: what loads there loads without dlrepair."""
    yield World(str(tmp_path_factory.mktemp("permanent")), FEW[-1])


def _script(world: World, path: str) -> None:
    with open(os.path.join(world.home, "train.py"), "w") as handle:
        handle.write("import ctypes\nprint(ctypes.CDLL('%s').answer())\n" % path)


def _there_and_back(world: World, path: str, written: list[str]) -> None:
    project = os.path.join(world.home, "project")
    before = _state(project)
    assert world.run("train.py").status == 1
    done = world.dlrepair("fix", path, "--write")
    assert done.status == 0, done.err
    assert [line[len("  wrote ") :] for line in done.out.splitlines() if line.startswith("  wrote ")] == written
    changed = {one for one, state in _state(project).items() if before.get(one) != state}
    assert changed == set(written)
    after = world.run("train.py", DLREPAIR="off")
    assert (after.status, after.out) == (0, "42\n"), after.err
    assert world.dlrepair("fix", path, "--write").out.endswith(": loads as it is\n")
    undone = world.dlrepair("fix", path, "--undo")
    assert undone.status == 0, undone.err
    assert _state(project) == before
    assert world.run("train.py").status == 1
    assert world.dlrepair("fix", path, "--undo").status == 1


def test_a_moved_library(world: World) -> None:
    project = os.path.join(world.home, "project")
    _build(os.path.join(project, "build"), "libmoved.so", "-Wl,-soname,libmoved.so")
    _script(world, "project/libmoved.so")
    _there_and_back(world, "project/libmoved.so", [os.path.join(project, "libmoved.so")])


def test_a_broken_file_keeps_its_bytes_and_mode(world: World) -> None:
    project = os.path.join(world.home, "project")
    _build(os.path.join(project, "build"), "libtext.so", "-Wl,-soname,libtext.so")
    broken = os.path.join(project, "libtext.so")
    with open(broken, "w") as handle:
        handle.write("version https://git-lfs.github.com/spec/v1\n" + "oid sha256:%064d\n" % 0)
    os.chmod(broken, 0o640)
    os.utime(broken, (1000000000, 1000000000))
    _script(world, "project/libtext.so")
    _there_and_back(world, "project/libtext.so", [broken])


def test_a_missing_dependency_is_linked_where_the_loader_looks(world: World) -> None:
    project = os.path.join(world.home, "project")
    base = _build(os.path.join(project, "build"), "libbase.so.3", "-Wl,-soname,libbase.so.3",
                  code="int base(void) { return 41; }")  # fmt: skip
    code = "int base(void); int answer(void) { return base() + 1; }"
    _build(project, "libtop.so", base, "-Wl,-rpath,$ORIGIN", code=code)
    _script(world, "project/libtop.so")
    _there_and_back(world, "project/libtop.so", [os.path.join(project, "libbase.so.3")])


def test_what_somebody_changed_since_is_not_undone(world: World) -> None:
    project = os.path.join(world.home, "project")
    _build(os.path.join(project, "build"), "libmoved.so", "-Wl,-soname,libmoved.so")
    assert world.dlrepair("fix", "project/libmoved.so", "--write").status == 0
    link = os.path.join(project, "libmoved.so")
    os.unlink(link)
    _build(project, "libmoved.so", "-Wl,-soname,libmoved.so", code="int answer(void) { return 43; }")
    mine = _state(project)
    refused = world.dlrepair("fix", "project/libmoved.so", "--undo")
    assert refused.status == 1 and "has been changed since" in refused.err
    assert _state(project) == mine


@pytest.mark.parametrize("former", ["", "placeholder\n"], ids=["nothing-was-there", "a-file-was-there"])
def test_it_is_written_again_where_somebody_took_it_away(former: str, world: World) -> None:
    project = os.path.join(world.home, "project")
    _build(os.path.join(project, "build"), "libmoved.so", "-Wl,-soname,libmoved.so")
    link = os.path.join(project, "libmoved.so")
    if former:
        with open(link, "w") as handle:
            handle.write(former)
    assert world.dlrepair("fix", "project/libmoved.so", "--write").status == 0
    os.unlink(link)
    assert world.dlrepair("fix", "project/libmoved.so", "--write").status == 0
    assert os.path.islink(link)
    assert world.dlrepair("fix", "project/libmoved.so", "--undo").status == 0 and not os.path.lexists(link)
    written = os.path.join(world.home, ".local", "state", "dlrepair", "written")
    kept = [os.path.join(top, name) for top, _, names in os.walk(written) for name in names if name.startswith("kept")]
    assert len(kept) == (1 if former else 0)  # the first file is still to be found
    for path in kept:
        with open(path) as stream:
            assert stream.read() == former


def test_a_library_without_a_runpath_gets_one_that_leads_to_what_it_needs(world: World) -> None:
    project = os.path.join(world.home, "project")
    base = _build(os.path.join(project, "build"), "libbase.so.3", "-Wl,-soname,libbase.so.3",
                  code="int base(void) { return 41; }")  # fmt: skip
    code = "int base(void); int answer(void) { return base() + 1; }"
    top = _build(project, "libtop.so", base, code=code)
    _script(world, "project/libtop.so")
    _there_and_back(world, "project/libtop.so", [top])


def test_a_missing_library_whose_needs_lie_elsewhere_again(world: World) -> None:
    project = os.path.join(world.home, "project")
    base = _build(os.path.join(project, "lib"), "libbase.so.3", "-Wl,-soname,libbase.so.3",
                  code="int base(void) { return 41; }")  # fmt: skip
    code = "int base(void); int answer(void) { return base() + 1; }"
    _build(os.path.join(project, "lib"), "libtop.so", base, "-Wl,-soname,libtop.so", code=code)
    _script(world, "project/libtop.so")
    _there_and_back(world, "project/libtop.so", [os.path.join(project, "libtop.so")])


def test_nothing_is_written_for_a_bare_name(world: World) -> None:
    built = os.path.join(world.home, "build")
    _build(built, "libbare.so", "-Wl,-soname,libbare.so")
    before = _state(built)
    refused = world.dlrepair("fix", "libbare.so", "--write")
    assert refused.status == 1 and "nothing was written: libbare.so is a bare name" in refused.err
    help_ = refused.err.splitlines()[-1]
    assert help_ == "help: dlrepair fix ./libbare.so --write, if the program asks for it by its path"
    assert _state(built) == before and not os.path.lexists(os.path.join(world.home, "libbare.so"))


def test_nothing_stays_written_where_it_does_not_help(world: World) -> None:
    """A mount that forbids mapping code: the copy in the store loads, the one that is written there does not."""
    project = os.path.join(world.home, "project")
    mount = os.path.join(project, "mounted")
    os.makedirs(mount)
    script = (
        "mount -t tmpfs -o noexec none mounted && cp ../libmoved.so mounted/ && cp mounted/libmoved.so before &&"
        " { '%s' -m dlrepair fix mounted/libmoved.so --write; echo status $?; } &&"
        " cmp before mounted/libmoved.so && ls mounted"
    )
    _build(world.home, "libmoved.so", "-Wl,-soname,libmoved.so")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script % world.python], cwd=project, env=bare_env(HOME=world.home),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "status 1" in done.stdout and done.stdout.splitlines()[-1] == "libmoved.so", done.stdout
    assert "nothing was written: it still does not load from there" in done.stderr, done.stderr


def test_each_path_says_what_has_become_of_it(world: World) -> None:
    """A directory that had been made is removed, or left where something else lies in it by now."""
    project = world.home
    _build(os.path.join(project, "build"), "libmoved.so", "-Wl,-soname,libmoved.so")
    wanted = "lib/deep/libmoved.so"
    assert world.dlrepair("fix", wanted, "--write").status == 0
    wanted = os.path.join(world.home, wanted)
    with open(os.path.join(project, "lib", "notes"), "w") as stream:
        stream.write("mine")
    undone = world.dlrepair("fix", wanted, "--undo")
    assert undone.out.splitlines() == [
        "{}: left: something else lies in it".format(os.path.dirname(os.path.dirname(wanted))),
        "{}: removed".format(os.path.dirname(wanted)),
        "{}: removed".format(wanted),
    ], undone.out


def test_a_name_that_is_a_file_here_is_meant_by_its_path(world: World) -> None:
    _build(os.path.join(world.home, "build"), "libbase.so.3", "-Wl,-soname,libbase.so.3")
    base = os.path.join(world.home, "build", "libbase.so.3")
    _build(world.home, "libtop.so", base, code="int answer(void); int top(void) { return answer(); }")
    done = world.dlrepair("fix", "libtop.so")
    assert done.status == 0 and done.out.startswith("./libtop.so: dependency-missing: "), done
    assert world.dlrepair("fix", "--write", "libtop.so").status == 0
    loads = world.run("-c", "import ctypes; print(ctypes.CDLL('./libtop.so').top())", DLREPAIR="off")
    assert loads.out == "42\n", loads
