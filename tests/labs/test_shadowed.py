"""A system toolkit's older CUDA library, reached by LD_LIBRARY_PATH, before the one that a wheel brought along."""

from __future__ import annotations

import pytest
from lab import Lab, World, check_repaired

NVJITLINK = "__nvJitLinkComplete_12_%d"
CUSPARSE = "extern int __nvJitLinkComplete_12_4(void);\nint sparse(void) { return __nvJitLinkComplete_12_4(); }\n"
TOOLKIT = "usr/local/cuda-12.1/lib64"
WHEELS = "env/lib/python3.11/site-packages/nvidia/"
SHADOWS = "{} ({}) comes before {}nvjitlink/lib (the RUNPATH of libcusparse.so.12)"
CUDA = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
sparse = ctypes.CDLL(here + "/@WHEELS@cusparse/lib/libcusparse.so.12")
print(sparse.sparse())
""".replace("@WHEELS@", WHEELS)


def nvjitlink(world: World, folder: str, newest: int, versions: bool = True) -> None:
    """libnvJitLink.so.12 as NVIDIA makes it: one version, which bears the SONAME, whatever the release defines."""
    names = [NVJITLINK % number for number in range(newest + 1)]
    script = "libnvJitLink.so.12 { global: __nvJitLink*; local: *; };\n"
    flags = ["-Wl,--version-script=" + world.write("nvjitlink.map", script)] if versions else []
    source = "".join("int %s(void) { return %d; }\n" % (name, newest) for name in names)
    world.library(folder + "/libnvJitLink.so.12", source, flags=flags)


def cuda(world: World, toolkit: int = 1, versions: bool = True) -> None:
    """The wheels' own libraries, which find one another by RUNPATH; the system's toolkit is an older release."""
    nvjitlink(world, WHEELS + "nvjitlink/lib", 4, versions)
    nvjitlink(world, TOOLKIT, toolkit, versions)
    needs = [WHEELS + "nvjitlink/lib/libnvJitLink.so.12"]
    runpath = "$ORIGIN/../../nvjitlink/lib"
    world.library(WHEELS + "cusparse/lib/libcusparse.so.12", CUSPARSE, needs=needs, runpath=runpath)


@pytest.mark.compile
def test_the_toolkit_shadows_the_wheels_libraries(world: World, bare: str, hooked: str) -> None:
    """LD_LIBRARY_PATH of a system toolkit comes before the wheel's RUNPATH: the wheel's own library is loaded first."""

    def shadow(world: World) -> None:
        world.env["LD_LIBRARY_PATH"] = world.path(TOOLKIT)

    lab = Lab("cuda-shadowed", CUDA, cuda, shadow,
              r"undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink\.so\.12", "search-path",
              "preload")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    said = str(run.events("diagnosed"))
    assert world.path(TOOLKIT + "/libnvJitLink.so.12") in said, run.story()
    assert "nvjitlink/lib/libnvJitLink.so.12 defines" in said, run.story()
    assert SHADOWS.format(world.path(TOOLKIT), "LD_LIBRARY_PATH", world.path(WHEELS)) in said, run.story()


#: how the toolkit's older library comes into the process before cuSPARSE is asked for
MAPPED = {
    "path": ('ctypes.CDLL(here + "/%s/libnvJitLink.so.12")' % TOOLKIT, "loaded by its path"),
    "rpath": ('ctypes.CDLL(here + "/libfirst.so")', "loaded for libfirst.so"),
    "search path": ('ctypes.CDLL("libnvJitLink.so.12")', "LD_LIBRARY_PATH"),
}


@pytest.mark.compile
@pytest.mark.parametrize("versions", [True, False], ids=["one version", "no versions"])
@pytest.mark.parametrize("how", sorted(MAPPED))
def test_the_toolkits_library_is_mapped(how: str, versions: bool, world: World, bare: str, hooked: str) -> None:
    """Nothing that is loaded now can take its place, and no symbol version tells: only a new process helps."""
    first, words = MAPPED[how]

    def build(world: World) -> None:
        cuda(world, 4, versions)
        script = "extern int __nvJitLinkComplete_12_1(void);\nint first(void) { return __nvJitLinkComplete_12_1(); }\n"
        flags = ["-Wl,--disable-new-dtags,-rpath,$ORIGIN/" + TOOLKIT]
        world.library("libfirst.so", script, needs=[TOOLKIT + "/libnvJitLink.so.12"], flags=flags)
        if how == "search path":
            world.env["LD_LIBRARY_PATH"] = world.path(TOOLKIT)

    lab = Lab("cuda-mapped", CUDA.replace("sparse =", "first = " + first + "\nsparse ="), build,
              lambda world: nvjitlink(world, TOOLKIT, 1, versions), r"undefined symbol: __nvJitLinkComplete_12_4",
              "search-path", "reexec")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    said = str(run.events("diagnosed"))
    assert "is loaded already" in said, run.story()
    assert SHADOWS.format(world.path(TOOLKIT), words, world.path(WHEELS)) in said, run.story()


@pytest.mark.compile
@pytest.mark.parametrize(("first", "said"), [("wheel", 4), ("system", 5)])
def test_which_copy_goes_first(first: str, said: int, world: World, bare: str, hooked: str) -> None:
    """The environment's packages and a toolkit both have what is missing: the setting decides, either way."""
    folder = world.path(WHEELS + "nvjitlink/lib") if first == "wheel" else world.top + "/cuda-12.1/lib64"
    world.env.update(PYTHONPATH=world.path(WHEELS[:-8]), CUDA_HOME=world.top + "/cuda-12.1")
    world.env["DLREPAIR_CUDA_LIBRARIES"] = first

    def cusparse(world: World, runpath: str | None) -> None:
        needs = [WHEELS + "nvjitlink/lib/libnvJitLink.so.12"]
        world.library(WHEELS + "cusparse/lib/libcusparse.so.12", CUSPARSE, needs=needs, runpath=runpath)

    def build(world: World) -> None:
        nvjitlink(world, WHEELS + "nvjitlink/lib", 4)
        nvjitlink(world, "../cuda-12.1/lib64", 5)
        cusparse(world, folder)

    lab = Lab("cuda-both", CUDA, build, lambda world: cusparse(world, None),
              r"libnvJitLink\.so\.12: cannot open shared object file", "dependency-missing", "preload")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    assert run.out.split() == [str(said)], run.story()
    assert run.events("load-repaired")[0]["summary"] == "preloaded " + folder + "/libnvJitLink.so.12"
