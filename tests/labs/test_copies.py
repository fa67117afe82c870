"""What ld.so refuses as it lies there: a copy in the store, changed or moved, serves; the original stays untouched."""

from __future__ import annotations

import os
import subprocess

import pytest
from lab import Lab, World, check_left_alone, check_repaired, run_script
from parts import HELPER, HELPER_WITH_BASE, ROI, ROI_WITH_HELPER, roi, script

#: The kernel refuses to make any memory executable from here on, hence glibc an executable stack (prctl(2),
#: PR_SET_MDWE, Linux 6.3): the same refusal, by the real ld.so, that glibc 2.41 gives by itself.
MDWE = """\
import ctypes
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0) != 0:
    raise SystemExit("this kernel has no PR_SET_MDWE")
"""

TRAMPOLINE = """
static int call(int (*function)(int)) { return function(1); }
int (*volatile keep)(int (*)(int)) = call;
int roi_pool(int height, int width) {
  int inner(int more) { return height * width * more; }
  return keep(inner);
}
"""


def stack(script_name: str = "libroi.so") -> str:
    return MDWE + script(script_name)


def asks_for_stack(name: str = "libroi.so", source: str = ROI, **how):  # type: ignore[no-untyped-def]
    def apply(world: World) -> None:
        world.library(name, source, flags=["-Wl,-z,execstack"], **how)

    return apply


def helper_asks_for_stack(world: World) -> None:
    world.library("libroi_helper.so", HELPER, flags=["-Wl,-z,execstack"])


def with_helper(world: World) -> None:
    world.library("libroi_helper.so", HELPER)
    world.library("libroi.so", ROI_WITH_HELPER, needs=["libroi_helper.so"], runpath="$ORIGIN")


def no_stack_header(world: World) -> None:
    """A file without PT_GNU_STACK, as old assemblers make it: its program header becomes PT_NULL."""
    data = bytearray(world.read("libroi.so"))
    for at in range(64, 64 + 56 * data[56], 56):
        if data[at : at + 4] == b"\x51\xe5\x74\x64":
            data[at : at + 4] = b"\0\0\0\0"
    world.write("libroi.so", bytes(data))


def helper_without_soname(world: World) -> None:
    """The helper moves to a directory that ld.so does not search, and was linked without -soname."""
    world.library("lib/libroi_helper.so", HELPER, soname="")
    os.unlink(world.path("libroi_helper.so"))


def deep_helper_without_soname(world: World) -> None:
    """It has a neighbour of its own, found by $ORIGIN: a copy of it must still find that."""
    os.unlink(world.path("libroi_helper.so"))
    world.library("lib/deps/libroi_base.so", "int base_value(void) { return 3; }\n")
    needs = ["lib/deps/libroi_base.so"]
    world.library("lib/libroi_helper.so", HELPER_WITH_BASE, needs=needs, soname="", runpath="$ORIGIN/deps")


def helper_of_another_soname(world: World) -> None:
    world.library("lib/libroi_helper.so", HELPER, soname="libroi_helper.so.3")
    os.unlink(world.path("libroi_helper.so"))


def linked_by_path(world: World) -> None:
    """Linked as ``gcc … lib/libroi_helper.so``: without a SONAME the linker records the path itself."""
    world.library("lib/libroi_helper.so", HELPER, soname="")
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "lib/libroi_helper.so", "-o", "libroi.so"]
    subprocess.run(command, input=ROI_WITH_HELPER.encode(), check=True, cwd=world.root)


def moved_on(world: World) -> None:
    """Started from elsewhere: the recorded path leads nowhere from there."""
    os.mkdir(world.path("work"))
    world.cwd = world.path("work")


def linked_with_too_much(world: World) -> None:
    world.library("libextra.so.8.0", "int extra(void) { return 1; }\n")
    flags = ["-Wl,--no-as-needed"]
    world.library("libroi.so", ROI, needs=["libextra.so.8.0"], runpath="$ORIGIN", flags=flags)


def gone(name: str):  # type: ignore[no-untyped-def]
    return lambda world: os.unlink(world.path(name))


STACK = r"OSError: .*cannot enable executable stack as shared object requires: Permission denied"
NO_HELPER = r"OSError: libroi_helper\.so: cannot open shared object file"
LABS = [
    Lab("execstack", stack(), roi(), asks_for_stack(), STACK, "execstack", "patched"),
    Lab("execstack-of-a-dependency", stack(), with_helper, helper_asks_for_stack, STACK, "execstack", "patched"),
    Lab("execstack-without-header", stack(), with_helper, no_stack_header, STACK, "execstack", "patched"),
    Lab("no-soname", script("libroi.so"), with_helper, helper_without_soname, NO_HELPER,
        "dependency-missing", "patched"),
    Lab("no-soname-and-a-neighbour", script("libroi.so"), with_helper, deep_helper_without_soname, NO_HELPER,
        "dependency-missing", "patched"),
    Lab("another-soname", script("libroi.so"), with_helper, helper_of_another_soname, NO_HELPER,
        "dependency-missing", "patched"),
    Lab("needed-with-a-slash", script("libroi.so"), linked_by_path, moved_on,
        r"OSError: lib/libroi_helper\.so: cannot open shared object file", "dependency-missing", "patched"),
    Lab("needed-for-nothing", script("libroi.so"), linked_with_too_much, gone("libextra.so.8.0"),
        r"OSError: libextra\.so\.8\.0: cannot open shared object file", "dependency-missing", "patched"),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_patched(lab: Lab, world: World, bare: str, hooked: str) -> None:
    check_repaired(lab, world, bare, hooked)


@pytest.mark.compile
def test_a_real_need_of_an_executable_stack_stays(world: World, bare: str, hooked: str) -> None:
    """Cleared, the flag would turn the loader's refusal into a crash when the nested function is called."""
    flags = {"build": asks_for_stack(source=TRAMPOLINE), "break_": lambda world: None}
    lab = Lab("trampoline", stack(), bare=STACK, journal={"repair-failed": "trampolines"}, **flags)  # type: ignore[arg-type]
    run = check_left_alone(lab, world, bare, hooked)
    assert "builds trampolines on the stack" in run.err, run.story()
    assert "help: Build libroi.so without nested functions" in run.err, run.story()


@pytest.mark.compile
def test_the_copy_is_replayed_until_it_or_its_source_changes(world: World, bare: str, hooked: str) -> None:
    lab = LABS[3]
    first = check_repaired(lab, world, bare, hooked)
    home = os.path.join(world.top, "home-hooked")
    again = run_script(world, hooked, home)
    assert again.events("load-repaired")[-1].get("remembered") is True, again.story()
    assert [line["event"] for line in again.journal].count("diagnosed") == len(first.events("diagnosed"))
    copy = [entry for entry in objects(home) if entry.endswith("/libroi_helper.so")]
    assert len(copy) == 1, copy
    with open(copy[0], "r+b") as stream:  # same size, same name, other contents
        stream.seek(0x40)
        stream.write(b"\0")
    torn = run_script(world, hooked, home)
    assert torn.status == 0 and torn.out == first.out, torn.story()
    assert "remembered" not in torn.events("load-repaired")[-1], torn.story()
    world.library("lib/libroi_helper.so", HELPER.replace("3", "5"), soname="")
    newer = run_script(world, hooked, home)
    assert newer.status == 0 and newer.out == "roi_pool says 210\n", newer.story()


def objects(home: str) -> list[str]:
    top = os.path.join(home, "cache", "dlrepair", "objects")
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]


# --- another place --------------------------------------------------------------------------------------------------


def wrapper(world: World, name: str, lines: str) -> str:
    """A program that stands in for python: ``@PYTHON@ "$@"`` in ``lines`` runs it."""
    path = os.path.join(world.top, name)
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\nset -e\n" + lines)
    os.chmod(path, 0o755)
    return path


def in_noexec(world: World, python: str, name: str, places: str) -> str:
    """``python`` in a mount namespace of its own, where ``places`` are mounted noexec."""
    kind = "-m" if os.geteuid() == 0 else "-rm"
    lines = """\
exec unshare {} sh -c '
set -e
for place in {}; do
  mkdir -p $place
  mount --bind $place $place
  mount -o remount,bind,noexec $place
done
exec {} "$@"' sh "$@"
"""
    return wrapper(world, name, lines.format(kind, places, python))


REFUSED = "failed to map segment from shared object"


@pytest.mark.compile
@pytest.mark.parametrize("store", ["on-disk", "in-memory"])
def test_noexec(store: str, world: World, bare: str, hooked: str) -> None:
    """The library and the neighbour that it finds by $ORIGIN lie there; the store does, or does not."""
    world.library("ops/deps/libroi_helper.so", HELPER, soname="")
    world.library("ops/libroi.so", ROI_WITH_HELPER, needs=["ops/deps/libroi_helper.so"], runpath="$ORIGIN/deps")
    world.write("train.py", script("ops/libroi.so"))
    home = os.path.join(world.top, "home-hooked")
    places = world.path("ops") + (" " + home if store == "in-memory" else "")
    broken = run_script(world, in_noexec(world, bare, "bare.sh", places), os.path.join(world.top, "home-bare"))
    assert broken.status == 1 and REFUSED in broken.err, broken.story()
    before = world.state()
    run = run_script(world, in_noexec(world, hooked, "hooked.sh", places), home)
    assert (run.status, run.out) == (0, "roi_pool says 126\n"), run.story()
    repaired = run.events("load-repaired")[-1]
    assert (repaired["cause"], repaired["strategy"]) == ("noexec", "relocated"), run.story()
    assert world.state() == before
    again = run_script(world, in_noexec(world, hooked, "hooked.sh", places), home)
    assert (again.status, again.out) == (0, run.out), again.story()
    assert again.events("load-repaired")[-1].get("remembered", False) is (store == "on-disk"), again.story()


CLOSED = """\
chmod 0 {0}
set +e
setpriv --bounding-set={1} --inh-caps={1} {2} "$@"
status=$?
chmod 755 {0}
exit $status
"""


@pytest.mark.compile
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be placed in a directory that is then closed to it")
@pytest.mark.parametrize("way", ["cwd", "descriptor"])
def test_a_directory_that_may_not_be_searched(way: str, world: World, bare: str, hooked: str) -> None:
    """The process stands inside it, or holds it open: the absolute path that the script makes leads nowhere."""
    world.library("vault/inner/libroi_helper.so", HELPER)
    needs = ["vault/inner/libroi_helper.so"]
    world.library("vault/inner/libroi.so", ROI_WITH_HELPER, needs=needs, runpath="$ORIGIN")
    text = script("libroi.so").replace("__file__", '"x"' if way == "cwd" else '"../vault/inner/x"')
    world.write("train.py", text)
    os.mkdir(world.path("work"))
    world.cwd = world.path("vault/inner" if way == "cwd" else "work")
    caps = "-dac_override,-dac_read_search"  # root's right to enter every directory
    start = "" if way == "cwd" else "exec 7< {}\n".format(world.path("vault/inner"))

    def closed(name: str, python: str) -> str:
        return wrapper(world, name, start + CLOSED.format(world.path("vault"), caps, python))

    run = run_script(world, closed("bare.sh", bare), os.path.join(world.top, "home-bare"))
    assert run.status == 1 and "Permission denied" in run.err, run.story()
    run = run_script(world, closed("hooked.sh", hooked), os.path.join(world.top, "home-hooked"))
    assert (run.status, run.out) == (0, "roi_pool says 126\n"), run.story()
    repaired = run.events("load-repaired")[-1]
    assert (repaired["cause"], repaired["strategy"]) == ("permission", "relocated"), run.story()
