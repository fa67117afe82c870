"""Files of other systems, written field by field: Mach-O, Windows and ELF headers of any machine."""

from __future__ import annotations

import struct

CPUS = {"x86_64": 0x01000007, "arm64": 0x0100000C, "i386": 7}


def _named(command, name, extra=b""):
    body = name.encode() + b"\0"
    body += b"\0" * (-len(body) % 8)
    return struct.pack("<III", command, 12 + len(extra) + len(body), 12 + len(extra)) + extra + body


def macho(cpu="x86_64", filetype=6, install_name="@rpath/libone.dylib", needed=(), weak=(), rpaths=(), platform=1, signed=True, tail=b"\0" * 4096):  # fmt: skip # noqa: E501
    """A 64-bit little-endian Mach-O file (mach-o/loader.h)."""
    commands = []
    if install_name:
        commands.append(_named(0xD, install_name, struct.pack("<III", 2, 0x10000, 0x10000)))
    for name in needed:
        commands.append(_named(0xC, name, struct.pack("<III", 2, 0x10000, 0x10000)))
    for name in weak:
        commands.append(_named(0x80000018, name, struct.pack("<III", 2, 0x10000, 0x10000)))
    for path in rpaths:
        commands.append(_named(0x8000001C, path))
    commands.append(struct.pack("<IIIIII", 0x32, 24, platform, 11 << 16, 12 << 16, 0))
    commands.append(struct.pack("<II16s", 0x1B, 24, bytes(range(16))))
    size = sum(map(len, commands)) + 72 + (16 if signed else 0)
    total = 32 + size + len(tail)
    segment = struct.pack("<II16sQQQQIIII", 0x19, 72, b"__TEXT", 0, 0x4000, 0, total, 5, 5, 0, 0)
    commands.insert(0, segment)
    if signed:
        commands.append(struct.pack("<IIII", 0x1D, 16, total - 64, 64))
    head = struct.pack("<IIIIIIII", 0xFEEDFACF, CPUS[cpu], 3, filetype, len(commands), size, 0x85, 0)
    return head + b"".join(commands) + tail


def universal(parts):
    """A fat file of (cpu, bytes)."""
    at, table, body = 4096, b"", b""
    for cpu, data in parts:
        table += struct.pack(">IIIII", CPUS[cpu], 3, at + len(body), len(data), 12)
        body += data + b"\0" * (-len(data) % 4096)
    head = struct.pack(">II", 0xCAFEBABE, len(parts)) + table
    return head.ljust(at, b"\0") + body


def windows(machine=0x8664, dll=True, wide=True):
    """A PE file's headers."""
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 128)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 3, 0, 0, 0, 240, 0x2022 if dll else 0x22)
    return head.ljust(128, b"\0") + coff + struct.pack("<H", 0x20B if wide else 0x10B) + b"\0" * 400


def elf_header(bits=64, little=True, machine=183, etype=3, osabi=0):
    """An ELF header with one PT_LOAD and nothing else."""
    order = "<" if little else ">"
    ident = b"\x7fELF" + bytes((bits // 32, 1 if little else 2, 1, osabi)) + b"\0" * 8
    if bits == 64:
        head = struct.pack(order + "HHIQQQIHHHHHH", etype, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        load = struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0, 0, 4096, 4096, 4096)
    else:
        head = struct.pack(order + "HHIIIIIHHHHHH", etype, machine, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        load = struct.pack(order + "IIIIIIII", 1, 0, 0, 0, 4096, 4096, 5, 4096)
    return (ident + head + load).ljust(4096, b"\0")
