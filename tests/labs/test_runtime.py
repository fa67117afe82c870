"""An older C++ run-time library is mapped, or found, first; the real one, compiled against, has the versions needed.

The newer one is g++'s own. The older ones bear the real SONAME and its first version only, with the one symbol that
their user needs; and for libstdc++ there is the real library of an earlier GCC as well (``older_runtime``).
"""

from __future__ import annotations

import os
import subprocess

import older_runtime
import pytest
from lab import Lab, World, check_repaired

#: needs GLIBCXX_3.4.29: floating-point std::from_chars
SECOND = """\
#include <charconv>
extern "C" int second(void) {
    const char text[] = "41.5"; double value = 0;
    std::from_chars(text, text + 4, value);
    return (int)(2 * value);
}
"""
BACKTRACE = """\
#include <unwind.h>
static _Unwind_Reason_Code step(struct _Unwind_Context *at, void *count) { (void)at; ++*(int *)count; return 0; }
int second(void) { int count = 0; _Unwind_Backtrace(step, &count); return count > 0; }
"""
FIRST = "extern void SYMBOL(void);\nvoid *its_address(void) { return (void *)SYMBOL; }\nint first(void) { return 1; }\n"

BOTH = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
first = ctypes.CDLL(here + "/libfirst.so")
second = ctypes.CDLL(here + "/libsecond.so")
print(first.first(), second.second())
"""
ONE = BOTH.replace("first = ctypes.CDLL(here + \"/libfirst.so\")\n", "").replace("first.first(), ", "")

#: SONAME -> (symbol of the older one, its versions, source of what needs the newer one, compiler, the error)
RUNTIMES = {
    "libstdc++.so.6": ("_ZSt9terminatev", "GLIBCXX_3.4 { global: _ZSt9terminatev; local: *; };\nCXXABI_1.3 { };\n",
                       SECOND, ["g++", "-x", "c++"], r"version `GLIBCXX_3\.4\.29' not found"),
    "libgcc_s.so.1": ("_Unwind_Resume", "GCC_3.0 { global: _Unwind_Resume; local: *; };\n",
                      BACKTRACE, ["gcc", "-shared-libgcc", "-x", "c"], r"version `GCC_3\.3' not found"),
}  # fmt: skip


def real(soname: str) -> str:
    """The compiler's own file of that name."""
    said = subprocess.run(["g++", "-print-file-name=" + soname], stdout=subprocess.PIPE, check=True)
    path = os.path.realpath(said.stdout.decode().strip())
    assert os.path.isabs(path), path
    return path


def build(soname: str):  # type: ignore[no-untyped-def]
    symbol, versions, source, compiler, _ = RUNTIMES[soname]

    def make(world: World) -> None:
        with open(real(soname), "rb") as file:
            world.write("lib/" + soname, file.read())
        script = "-Wl,--version-script=" + world.write("old.map", versions)
        world.library("old/" + soname, "void %s(void) { }\n" % symbol, flags=["-nostdlib", script])
        world.library("libfirst.so", FIRST.replace("SYMBOL", symbol), needs=["lib/" + soname], runpath="$ORIGIN/lib")
        command = [*compiler, "-std=c++17" if "g++" in compiler else "-std=c11", "-shared", "-fPIC", "-O1", "-", "-o"]
        subprocess.run([*command, world.path("libsecond.so")], input=source.encode(), check=True)

    return make


def mapped_first(soname: str):  # type: ignore[no-untyped-def]
    first = FIRST.replace("SYMBOL", RUNTIMES[soname][0])

    def break_(world: World) -> None:
        world.library("libfirst.so", first, needs=["old/" + soname], runpath="$ORIGIN/old")

    return break_


@pytest.mark.compile
@pytest.mark.parametrize("soname", sorted(RUNTIMES))
def test_the_older_one_is_mapped(soname: str, world: World, bare: str, hooked: str) -> None:
    """Only a new process can have the newer one, which serves the library that was built against the older too."""
    lab = Lab("older-mapped", BOTH, build(soname), mapped_first(soname), RUNTIMES[soname][4],
              "libstdcxx-too-old", "reexec")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    assert "its newest is" in str(run.events("diagnosed")), run.story()
    assert "is loaded already" in str(run.events("diagnosed")), run.story()


@pytest.mark.compile
@pytest.mark.parametrize("soname", sorted(RUNTIMES))
def test_the_older_one_is_found_first(soname: str, world: World, bare: str, hooked: str) -> None:
    """LD_LIBRARY_PATH leads to the older one and nothing is mapped yet: the newer one is loaded first."""

    def shadow(world: World) -> None:
        world.env["LD_LIBRARY_PATH"] = world.path("old")

    lab = Lab("older-found", ONE, build(soname), shadow, RUNTIMES[soname][4], "libstdcxx-too-old", "preload")
    check_repaired(lab, world, bare, hooked)


#: runs on either: streams, strings, exceptions
REAL_FIRST = """\
#include <sstream>
#include <stdexcept>
extern "C" int first(void) {
    try { std::ostringstream text; text << 40 << 2; throw std::runtime_error(text.str()); }
    catch (const std::exception &error) { return std::string(error.what()) == "402"; }
}
"""
#: needs a version that the older one has not
REAL_SECOND = """\
#include <sstream>
extern "C" void SYMBOL(void);
extern "C" void *its_address(void) { return (void *)SYMBOL; }
extern "C" int second(void) { std::istringstream text("83"); int value = 0; text >> value; return value; }
"""


@pytest.mark.compile
@pytest.mark.parametrize("how", ["run path", "its path"])
def test_a_real_older_one_is_mapped(how: str, world: World, bare: str, hooked: str) -> None:
    """GCC's own library of an earlier release, mapped first; a new process has the newer one for both.

    Where the program opens the older one by its path, no search path helps: the newer one is there before it.
    """
    newer = real("libstdc++.so.6")
    try:
        older = older_runtime.find(newer)
    except older_runtime.Unavailable as reason:
        assert not os.environ.get("CI"), reason
        pytest.skip(str(reason))
    symbol = older_runtime.newest_function(newer, older)

    def compile_(name: str, source: str, *flags: str) -> None:
        command = ["g++", "-x", "c++", "-shared", "-fPIC", "-O1", "-o", world.path(name), "-"]
        subprocess.run([*command, *flags], input=source.encode(), check=True)

    def build(world: World) -> None:
        for folder, path in (("lib", newer), ("old", older)):
            with open(path, "rb") as file:
                world.write(folder + "/libstdc++.so.6", file.read())
        world.copy("lib/libstdc++.so.6", "opened/libstdc++.so.6")
        compile_("libfirst.so", REAL_FIRST, "-Wl,-rpath,$ORIGIN/lib")
        compile_("libsecond.so", REAL_SECOND.replace("SYMBOL", symbol))

    def break_(world: World) -> None:
        if how == "run path":
            compile_("libfirst.so", REAL_FIRST, "-Wl,-rpath,$ORIGIN/old")
        else:
            world.copy("old/libstdc++.so.6", "opened/libstdc++.so.6")

    program = BOTH
    if how == "its path":
        program = ONE.replace("second =", "first = ctypes.CDLL(here + '/opened/libstdc++.so.6')\nsecond =")
    lab = Lab("real-older", program, build, break_,
              r"version `GLIBCXX_[0-9.]+' not found", "libstdcxx-too-old", "reexec")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    newest = "GLIBCXX_" + ".".join(map(str, older_runtime.versions(older)[-1]))
    assert "its newest is " + newest in str(run.events("diagnosed")), run.story()
    variable = "LD_LIBRARY_PATH" if how == "run path" else "LD_PRELOAD"
    assert "started again with " + variable in run.err, run.story()
