"""The library is there, but something that it needs is not found."""

from __future__ import annotations

import os

import pytest
from lab import Lab, World, check_repaired
from parts import BASE, HELPER, HELPER_WITH_BASE, ROI_WITH_HELPER, move, script


def one_helper(world: World) -> None:
    world.library("libroi_helper.so", HELPER)
    world.library("libroi.so", ROI_WITH_HELPER, needs=["libroi_helper.so"], runpath="$ORIGIN")


def two_levels(world: World) -> None:
    world.library("libroi_base.so", BASE)
    world.library("libroi_helper.so", HELPER_WITH_BASE, needs=["libroi_base.so"], runpath="$ORIGIN")
    world.library("libroi.so", ROI_WITH_HELPER, needs=["libroi_helper.so"], runpath="$ORIGIN")


def two_levels_break(world: World) -> None:
    """The base goes to lib/, the helper to third_party/lib/: neither lies where the other's RUNPATH leads."""
    world.move("libroi_base.so", "lib/libroi_base.so")
    world.move("libroi_helper.so", "third_party/lib/libroi_helper.so")


def deep_only_break(world: World) -> None:
    world.move("libroi_base.so", "lib/libroi_base.so")


def diamond(world: World) -> None:
    world.library("libbase.so", BASE)
    side = "extern int base_value(void);\nint SIDE(void) { return base_value() + ADD; }\n"
    for name, add in (("left", "1"), ("right", "2")):
        source = side.replace("SIDE", name).replace("ADD", add)
        world.library("lib%s.so" % name, source, needs=["libbase.so"], runpath="$ORIGIN")
    top = "extern int left(void), right(void);\nint roi_pool(int a, int b) { return a * left() + b * right(); }\n"
    world.library("libroi.so", top, needs=["libleft.so", "libright.so"], runpath="$ORIGIN")


def diamond_break(world: World) -> None:
    for name in ("base", "left", "right"):
        world.move("lib%s.so" % name, "lib/lib%s.so" % name)
    for name, add in (("left", 1), ("right", 2)):  # rebuilt without the RUNPATH that would lead to libbase.so
        source = "extern int base_value(void);\nint %s(void) { return base_value() + %d; }\n" % (name, add)
        world.library("lib/lib%s.so" % name, source, needs=["lib/libbase.so"])


def wheel(world: World) -> None:
    """As auditwheel leaves it: a package, and the libraries it bundles in NAME.libs beside it."""
    world.library("roi.libs/libroi_helper-1a2b3c4d.so", HELPER)
    needs = ["roi.libs/libroi_helper-1a2b3c4d.so"]
    world.library("roi/libroi.so", ROI_WITH_HELPER, needs=needs, runpath="$ORIGIN/../roi.libs")


def wheel_break(world: World) -> None:
    world.library("roi/libroi.so", ROI_WITH_HELPER, needs=["roi.libs/libroi_helper-1a2b3c4d.so"])


def versioned(world: World) -> None:
    world.library("lib/libroi_helper.so.1.2.3", HELPER, soname="libroi_helper.so.1")
    os.symlink("libroi_helper.so.1.2.3", world.path("lib/libroi_helper.so.1"))
    world.library("libroi.so", ROI_WITH_HELPER, needs=["lib/libroi_helper.so.1.2.3"], runpath="$ORIGIN/lib")


def versioned_break(world: World) -> None:
    """An archive tool that keeps no links dropped the SONAME link."""
    os.unlink(world.path("lib/libroi_helper.so.1"))


def top_versioned(world: World) -> None:
    world.library("lib/libroi.so.1.2.3", ROI_WITH_HELPER + HELPER, soname="libroi.so.1")
    os.symlink("libroi.so.1.2.3", world.path("lib/libroi.so.1"))


def unlinked(world: World) -> None:
    world.library("libroi_helper.so", HELPER)
    world.library("libroi.so", ROI_WITH_HELPER, needs=["libroi_helper.so"], runpath="$ORIGIN")


def unlinked_break(world: World) -> None:
    """Linked without -lroi_helper: symbols wanted, no DT_NEEDED."""
    world.library("libroi.so", ROI_WITH_HELPER)


UNLINKED_SCRIPT = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
helper = ctypes.CDLL(os.path.join(here, "libroi_helper.so"))
roi = ctypes.CDLL(os.path.join(here, "libroi.so"))
print("roi_pool says", helper.helper_scale(1), roi.roi_pool(6, 7))
"""

DEPENDENCY = "dependency-missing"
LABS = [
    Lab("in-lib", script("libroi.so"), one_helper, move("libroi_helper.so", "lib/libroi_helper.so"),
        r"OSError: libroi_helper\.so: cannot open shared object file", DEPENDENCY, "preload"),
    Lab("two-levels", script("libroi.so"), two_levels, two_levels_break,
        r"OSError: libroi_helper\.so: cannot open shared object file", DEPENDENCY, "preload"),
    Lab("second-level-only", script("libroi.so"), two_levels, deep_only_break,
        r"OSError: libroi_base\.so: cannot open shared object file", DEPENDENCY, "preload"),
    Lab("diamond", script("libroi.so"), diamond, diamond_break,
        r"OSError: libleft\.so: cannot open shared object file", DEPENDENCY, "preload"),
    Lab("wheel-libs", script("roi/libroi.so"), wheel, wheel_break,
        r"OSError: libroi_helper-1a2b3c4d\.so: cannot open shared object file", DEPENDENCY, "preload"),
    Lab("versioned-file-without-link", script("libroi.so"), versioned, versioned_break,
        r"OSError: libroi_helper\.so\.1: cannot open shared object file", DEPENDENCY, "alias"),
    Lab("versioned-top-without-link", script("lib/libroi.so.1"), top_versioned,
        lambda world: os.unlink(world.path("lib/libroi.so.1")),
        r"OSError: .*libroi\.so\.1: cannot open shared object file", "file-missing", "alias"),
    Lab("promotion", UNLINKED_SCRIPT, unlinked, unlinked_break,
        r"OSError: .*libroi\.so: undefined symbol: helper_scale", "undefined-symbol-link", "preload"),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_dependencies(lab: Lab, world: World, bare: str, hooked: str) -> None:
    check_repaired(lab, world, bare, hooked)
