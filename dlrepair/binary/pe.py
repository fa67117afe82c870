"""Windows files, recognised by their PE header (Microsoft's PE format specification)."""

from __future__ import annotations

import os
import struct

MACHINES = {0x14C: "i386", 0x8664: "x86-64", 0xAA64: "arm64", 0x1C0: "arm", 0x1C4: "arm", 0x200: "ia64"}
IMAGE_FILE_DLL = 0x2000


def describe_fd(fd: int, size: int) -> str:
    """``Windows DLL (PE32+), x86-64``, or what else begins with MZ."""
    head = os.pread(fd, 64, 0)
    if len(head) < 64:
        return "MS-DOS program, cut short"
    at = struct.unpack_from("<I", head, 60)[0]
    raw = os.pread(fd, 26, at) if at < size else b""
    if raw[:4] != b"PE\0\0":
        return "MS-DOS program"
    if len(raw) < 26:
        return "Windows file (PE), cut short"
    machine, characteristics = struct.unpack_from("<H", raw, 4)[0], struct.unpack_from("<H", raw, 22)[0]
    form = {0x10B: "PE32", 0x20B: "PE32+"}.get(struct.unpack_from("<H", raw, 24)[0], "PE")
    kind = "DLL" if characteristics & IMAGE_FILE_DLL else "program"
    return "Windows %s (%s), %s" % (kind, form, MACHINES.get(machine, "machine 0x%x" % machine))
