"""A system toolkit's older CUDA library, reached by LD_LIBRARY_PATH, before the one that a wheel brought along."""

from __future__ import annotations

import pytest
from lab import Lab, World, check_repaired

NVJITLINK = "__nvJitLinkComplete_12_%d"
CUSPARSE = "extern int __nvJitLinkComplete_12_4(void);\nint sparse(void) { return __nvJitLinkComplete_12_4(); }\n"
WHEELS = "env/lib/python3.11/site-packages/nvidia/"
CUDA = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
sparse = ctypes.CDLL(here + "/@WHEELS@cusparse/lib/libcusparse.so.12")
print(sparse.sparse())
""".replace("@WHEELS@", WHEELS)


def nvjitlink(world: World, folder: str, newest: int) -> None:
    """libnvJitLink.so.12 as NVIDIA makes it: one version, which bears the SONAME, whatever the release defines."""
    names = [NVJITLINK % number for number in range(newest + 1)]
    script = "libnvJitLink.so.12 { global: __nvJitLink*; local: *; };\n"
    flag = "-Wl,--version-script=" + world.write("nvjitlink.map", script)
    source = "".join("int %s(void) { return %d; }\n" % (name, newest) for name in names)
    world.library(folder + "/libnvJitLink.so.12", source, flags=[flag])


def cuda(world: World) -> None:
    """The wheels' own libraries, which find one another by RUNPATH; the system's toolkit is an older release."""
    nvjitlink(world, WHEELS + "nvjitlink/lib", 4)
    nvjitlink(world, "usr/local/cuda-12.1/lib64", 1)
    needs = [WHEELS + "nvjitlink/lib/libnvJitLink.so.12"]
    runpath = "$ORIGIN/../../nvjitlink/lib"
    world.library(WHEELS + "cusparse/lib/libcusparse.so.12", CUSPARSE, needs=needs, runpath=runpath)


@pytest.mark.compile
def test_the_toolkit_shadows_the_wheels_libraries(world: World, bare: str, hooked: str) -> None:
    """LD_LIBRARY_PATH of a system toolkit comes before the wheel's RUNPATH: the wheel's own library is loaded first."""

    def shadow(world: World) -> None:
        world.env["LD_LIBRARY_PATH"] = world.path("usr/local/cuda-12.1/lib64")

    lab = Lab("cuda-shadowed", CUDA, cuda, shadow,
              r"undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink\.so\.12", "search-path",
              "preload")  # fmt: skip
    run = check_repaired(lab, world, bare, hooked)
    said = str(run.events("diagnosed"))
    assert world.path("usr/local/cuda-12.1/lib64/libnvJitLink.so.12") in said, run.story()
    assert "nvjitlink/lib/libnvJitLink.so.12 defines" in said, run.story()
