"""Sources and steps that several labs share."""

from __future__ import annotations

import struct
from typing import Callable

from lab import World

#: One function and enough constant data that a cut through the middle lies inside a segment.
ROI = """
const unsigned char table[65536] = {1, 2, 3};
int roi_pool(int height, int width) { return height * width + table[1]; }
"""

#: The same, but it takes its answer from a helper library.
ROI_WITH_HELPER = """
extern int helper_scale(int);
int roi_pool(int height, int width) { return helper_scale(height * width); }
"""

HELPER = "int helper_scale(int value) { return value * 3; }\n"
HELPER_WITH_BASE = "extern int base_value(void);\nint helper_scale(int value) { return value * base_value(); }\n"
BASE = "int base_value(void) { return 7; }\n"

SCRIPT = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))
roi = ctypes.CDLL(os.path.join(here, "NAME"))
print("roi_pool says", roi.roi_pool(6, 7))
"""


def script(name: str) -> str:
    """A training script that loads the library of this name from beside itself."""
    return SCRIPT.replace("NAME", name)


def roi(name: str = "libroi.so") -> Callable[[World], object]:
    """Builds one self-contained library."""
    return lambda world: world.library(name, ROI)


def move(name: str, to: str) -> Callable[[World], object]:
    return lambda world: world.move(name, to)


def spoil(change: Callable[[bytes], bytes], name: str = "libroi.so") -> Callable[[World], None]:
    """Moves the good file to build/ and leaves in its place what ``change`` makes of its bytes."""

    def apply(world: World) -> None:
        good = world.read(name)
        world.move(name, "build/" + name.split("/")[-1])
        world.write(name, change(good))

    return apply


def cut_inside_a_page(data: bytes) -> bytes:
    """The ELF file cut so that the last but one segment ends in a page that is half there, the last one is gone.

    ld.so zero-fills the rest of that page and dies of SIGBUS in the segment after it.
    """
    offset, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<II6Q", data, offset + 56 * number) for number in range(count)]
    ends = sorted(start + size for kind, _, start, _, _, size, _, _ in headers if kind == 1 and size)
    return data[: (ends[-2] - 1) // 4096 * 4096 + 1]


def set_byte(offset: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:offset] + bytes([value]) + data[offset + 1 :]


def other_machine(data: bytes) -> bytes:
    """The same ELF file for a processor that is not this one: e_machine is changed, nothing else."""
    aarch64, x86_64 = 183, 62
    machine = struct.unpack_from("<H", data, 18)[0]
    return data[:18] + struct.pack("<H", aarch64 if machine == x86_64 else x86_64) + data[20:]


#: mounts network file systems whose server never answers: whoever asks them for anything hangs
DEAD = """\
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
kept = []
for place in sys.argv[1].split(":"):
    kept.append(os.open("/dev/fuse", os.O_RDWR))
    options = b"fd=%d,rootmode=40000,user_id=%d,group_id=%d" % (kept[-1], os.geteuid(), os.getegid())
    if libc.mount(b"server:/x", os.fsencode(place), b"fuse.sshfs", 0, options):
        sys.exit("mount: " + os.strerror(ctypes.get_errno()))
sys.exit(subprocess.call(sys.argv[2:]))
"""
