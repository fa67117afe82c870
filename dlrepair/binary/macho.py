"""Mach-O files, thin and universal: what macOS's dyld would look at.

Layouts: ``mach-o/loader.h`` and ``mach-o/fat.h``. Only header and load commands are read.
"""

from __future__ import annotations

import os
import struct

from dlrepair.binary.elf import OPEN_FLAGS

MAX_COMMANDS = 1 << 20
MAX_SLICES = 30  # a Java class has the same magic; its version number stands where the count would
FILE_TYPES = {
    1: "object file (not linked)", 2: "program", 4: "core dump", 5: "preloaded program", 6: "dynamic library",
    7: "dynamic linker", 8: "bundle", 9: "dynamic library stub (no code)", 10: "debug symbols", 11: "kernel extension",
}  # fmt: skip
CPUS = {
    7: "i386", 12: "armv7", 18: "ppc", 0x01000007: "x86_64", 0x0100000C: "arm64", 0x01000012: "ppc64",
    0x0200000C: "arm64_32",
}  # fmt: skip
PLATFORMS = {
    1: "macOS", 2: "iOS", 3: "tvOS", 4: "watchOS", 5: "bridgeOS", 6: "Mac Catalyst", 7: "iOS simulator",
    8: "tvOS simulator", 9: "watchOS simulator", 10: "DriverKit", 11: "visionOS", 12: "visionOS simulator",
}  # fmt: skip
LC_SEGMENT, LC_LOAD_DYLIB, LC_ID_DYLIB, LC_SEGMENT_64, LC_UUID, LC_CODE_SIGNATURE = 0x1, 0xC, 0xD, 0x19, 0x1B, 0x1D
LC_LOAD_WEAK, LC_REEXPORT, LC_LAZY_LOAD, LC_LOAD_UPWARD = 0x80000018, 0x8000001F, 0x20, 0x80000023
LC_RPATH, LC_BUILD_VERSION = 0x8000001C, 0x32
MIN_VERSIONS = {0x24: 1, 0x25: 2, 0x2F: 3, 0x30: 4}  # LC_VERSION_MIN_* -> platform


class MachO:
    """One slice of a Mach-O file."""

    __slots__ = (
        "cpu", "cut", "error", "filetype", "install_name", "minimum", "needed", "platform", "rpaths", "signed", "uuid",
        "weak",
    )  # fmt: skip

    def __init__(self, cpu: str, filetype: int) -> None:
        self.cpu = cpu
        self.filetype = filetype
        self.install_name: str | None = None  #: LC_ID_DYLIB
        self.needed: list[str] = []  #: LC_LOAD_DYLIB and its kin, in order
        self.weak: list[str] = []  #: those that may be missing
        self.rpaths: list[str] = []  #: LC_RPATH
        self.platform = ""
        self.minimum = ""  #: oldest system version that it runs on
        self.signed = False  #: has an LC_CODE_SIGNATURE; whether it is valid only macOS can tell
        self.uuid: str | None = None
        self.cut = False  #: a segment lies beyond the end of the file
        self.error: str | None = None

    def describe(self) -> str:
        """``Mach-O dynamic library, arm64``."""
        kind = FILE_TYPES.get(self.filetype, "file of type %d" % self.filetype)
        said = "Mach-O %s, %s" % (kind, self.cpu)
        if self.platform and self.platform != "macOS":
            said += ", for " + self.platform
        return said + (", cut short" if self.cut else ", damaged: " + self.error if self.error else "")


def read_macho(path: str) -> tuple[MachO, ...]:
    """The slices of the file at ``path``; empty when it is no Mach-O file. Raises ``OSError``."""
    fd = os.open(path, OPEN_FLAGS)
    try:
        return slices(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def slices(fd: int, size: int) -> tuple[MachO, ...]:
    """The slices of an opened file."""
    head = os.pread(fd, 8, 0)
    if head[:4] not in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"):
        one = _slice(fd, 0, size)
        return () if one is None else (one,)
    count = int.from_bytes(head[4:8], "big")
    if len(head) < 8 or not 0 < count <= MAX_SLICES:
        return ()
    wide = head[3] == 0xBF
    row = struct.Struct(">IIQQII" if wide else ">IIIII")
    table = os.pread(fd, row.size * count, 8)
    found: list[MachO] = []
    for fields in row.iter_unpack(table[: len(table) // row.size * row.size]):
        offset, length = fields[2], fields[3]
        one = _slice(fd, offset, min(length, max(0, size - offset))) if offset < size else None
        if one is None:
            one = MachO(_cpu(fields[0], fields[1]), 0)
            one.cut, one.error = offset + length > size, "its slice holds no Mach-O header"
        one.cut = one.cut or offset + length > size
        found.append(one)
    return tuple(found)


def _cpu(kind: int, subtype: int) -> str:
    if kind == 0x0100000C and subtype & 0xFF == 2:
        return "arm64e"
    return CPUS.get(kind, "cpu %d" % kind)


def _slice(fd: int, start: int, size: int) -> MachO | None:
    head = os.pread(fd, 32, start)
    order = {b"\xcf\xfa\xed\xfe": "<", b"\xce\xfa\xed\xfe": "<", b"\xfe\xed\xfa\xcf": ">", b"\xfe\xed\xfa\xce": ">"}
    mark = order.get(head[:4])
    if mark is None or len(head) < 28:
        return None
    wide = head[:4] in (b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf")
    kind, subtype, filetype, count, length = struct.unpack_from(mark + "IIIII", head, 4)
    one = MachO(_cpu(kind, subtype), filetype)
    length = min(length, MAX_COMMANDS)
    raw = os.pread(fd, min(length, max(0, size - (32 if wide else 28))), start + (32 if wide else 28))
    if len(raw) < length:
        one.cut, one.error = True, "its load commands lie beyond the end of the file"
    at = 0
    for _ in range(min(count, MAX_COMMANDS // 8)):
        if at + 8 > len(raw):
            break
        command, step = struct.unpack_from(mark + "II", raw, at)
        if step < 8:
            one.error = one.error or "a load command of %d bytes" % step
            break
        _command(one, command, raw[at : at + step], mark, size)
        at += step
    return one


def _command(one: MachO, command: int, raw: bytes, mark: str, size: int) -> None:
    try:
        if command in (LC_LOAD_DYLIB, LC_LOAD_WEAK, LC_REEXPORT, LC_LAZY_LOAD, LC_LOAD_UPWARD):
            name = _string(raw, mark)
            one.needed.append(name)
            if command == LC_LOAD_WEAK:
                one.weak.append(name)
        elif command == LC_ID_DYLIB:
            one.install_name = _string(raw, mark)
        elif command == LC_RPATH:
            one.rpaths.append(_string(raw, mark))
        elif command == LC_CODE_SIGNATURE:
            offset, length = struct.unpack_from(mark + "II", raw, 8)
            one.signed = length > 0
            one.cut = one.cut or offset + length > size
        elif command == LC_UUID:
            one.uuid = raw[8:24].hex()
        elif command == LC_BUILD_VERSION:
            platform, minimum = struct.unpack_from(mark + "II", raw, 8)
            one.platform, one.minimum = PLATFORMS.get(platform, "platform %d" % platform), _version(minimum)
        elif command in MIN_VERSIONS:
            one.platform = PLATFORMS[MIN_VERSIONS[command]]
            one.minimum = _version(struct.unpack_from(mark + "I", raw, 8)[0])
        elif command in (LC_SEGMENT, LC_SEGMENT_64):
            form = "QQ" if command == LC_SEGMENT_64 else "II"
            offset, length = struct.unpack_from(mark + form, raw, 40 if command == LC_SEGMENT_64 else 32)
            one.cut = one.cut or (length > 0 and offset + length > size)
    except struct.error:
        one.error = one.error or "a load command is too short"


def _string(raw: bytes, mark: str) -> str:
    at = struct.unpack_from(mark + "I", raw, 8)[0]
    return raw[at:].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _version(packed: int) -> str:
    return "%d.%d" % (packed >> 16, packed >> 8 & 0xFF)


def describe_fd(fd: int, size: int) -> str | None:
    """A sentence on the opened file; None when it is a Java class or no Mach-O file after all."""
    found = slices(fd, size)
    if not found:
        return None
    if len(found) == 1:
        return found[0].describe()
    kind = FILE_TYPES.get(found[0].filetype, "file")
    cut = ", cut short" if any(one.cut for one in found) else ""
    return "Mach-O universal %s: %s%s" % (kind, ", ".join(one.cpu for one in found), cut)
