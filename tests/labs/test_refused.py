"""Candidates that must not be loaded: the script fails as it does without dlrepair; the journal says why."""

from __future__ import annotations

import os

import pytest
from lab import Lab, World, check_left_alone
from parts import BASE, HELPER, ROI, ROI_WITH_HELPER, other_machine, script

NOT_FOUND = r"OSError: .*libroi\.so: cannot open shared object file"
HELPER_NOT_FOUND = r"OSError: libroi_helper\.so: cannot open shared object file"

CRASH = ROI + "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }\n"


def decoy(source: str = ROI, directory: str = "build", mode: int = 0o755, owner: int = -1):  # type: ignore[no-untyped-def]
    """The library is gone; another one of its name lies in ``directory``."""

    def apply(world: World) -> None:
        world.library(directory + "/libroi.so", source, soname="libroi.so")
        os.chmod(world.path(directory), mode)
        os.chown(world.path(directory + "/libroi.so"), owner, -1)

    return apply


def needs_helper(world: World) -> None:
    world.library("gone/libroi_helper.so", HELPER)
    world.library("libroi.so", ROI_WITH_HELPER, needs=["gone/libroi_helper.so"])
    os.unlink(world.path("gone/libroi_helper.so"))


def helper(name: str, source: str = HELPER, **how: str):  # type: ignore[no-untyped-def]
    return lambda world: world.library(name, source, **how)


def helper_for_another_machine(world: World) -> None:
    world.library("lib/libroi_helper.so", HELPER)
    world.write("lib/libroi_helper.so", other_machine(world.read("lib/libroi_helper.so")))


def nothing(world: World) -> None:
    pass



LABS = [
    Lab("world-writable-directory", script("libroi.so"), nothing, decoy(mode=0o777), NOT_FOUND,
        journal={"trust-refused": "writable", "load-unrepaired": "file-missing"}),
    Lab("crashing-initialiser", script("libroi.so"), nothing, decoy(CRASH), NOT_FOUND,
        journal={"candidate": '"rejected"', "load-unrepaired": "file-missing"}),
    Lab("undefined-symbol", script("libroi.so"), nothing, decoy(ROI_WITH_HELPER), NOT_FOUND,
        journal={"candidate": '"rejected"', "load-unrepaired": "file-missing"}),
    Lab("other-soname", script("libroi.so"), needs_helper, helper("lib/libroi_helper.so", soname="libother.so.3"),
        HELPER_NOT_FOUND, journal={"candidate": "soname", "load-unrepaired": "dependency-missing"}),
    Lab("stubs", script("libroi.so"), needs_helper, helper("cuda/lib64/stubs/libroi_helper.so"), HELPER_NOT_FOUND,
        journal={"load-unrepaired": "dependency-missing"}),
    Lab("dependency-for-another-machine", script("libroi.so"), needs_helper, helper_for_another_machine,
        HELPER_NOT_FOUND, journal={"candidate": "machine", "load-unrepaired": "dependency-missing"}),
    Lab("dependency-without-the-symbol", script("libroi.so"), needs_helper,
        helper("lib/libroi_helper.so", BASE, soname="libroi_helper.so"), HELPER_NOT_FOUND,
        journal={"candidate": '"rejected"', "load-unrepaired": "dependency-missing"}),
]  # fmt: skip

if os.geteuid() == 0:  # nobody else can make a file that belongs to another user
    LABS.append(
        Lab("foreign-owner", script("libroi.so"), nothing, decoy(owner=12345), NOT_FOUND,
            journal={"trust-refused": "own", "load-unrepaired": "file-missing"})
    )  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_refused(lab: Lab, world: World, bare: str, hooked: str) -> None:
    run = check_left_alone(lab, world, bare, hooked)
    said = [line for line in run.err.splitlines() if line.startswith(("dlrepair[", "help:"))]
    assert said and said[0].startswith("dlrepair["), run.story()
    assert said[-1].startswith("help:") or "help:" in run.err, run.story()
