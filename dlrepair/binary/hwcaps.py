"""Subdirectories that glibc tries first below every directory of a search path, and what ``$PLATFORM`` stands for.

Rules: glibc's elf/dl-hwcaps.c and sysdeps/*/dl-hwcaps-subdirs.c (``glibc-hwcaps/NAME``, since
2.33), elf/dl-hwcaps.c before 2.37 (``tls``, the platform and the hardware capabilities in
every combination), sysdeps/x86/cpu-features.c (the platform's name).
"""

from __future__ import annotations

import os
import sys

from dlrepair.binary.machine import EM_AARCH64, EM_PPC64, EM_S390, EM_X86_64, NATIVE

_X86_LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"),
    ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
)
_HASWELL = frozenset("avx2 bmi1 bmi2 fma abm movbe popcnt".split())
_AVX512_1 = frozenset("avx512f avx512bw avx512cd avx512dq avx512vl".split())

_cpu: list[tuple[str, frozenset[str]]] = []
_subdirectories: list[tuple[str, ...]] = []


def glibc_version() -> tuple[int, int]:
    """(major, minor) of the running glibc; (0, 0) where it is another C library."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
        parts = said.split()[-1].split(".")
        return int(parts[0]), int(parts[1])
    except (AttributeError, ValueError, OSError, IndexError):
        return 0, 0


def cpu() -> tuple[str, frozenset[str]]:
    """(vendor, flags) of the first processor in /proc/cpuinfo; read once."""
    if _cpu:
        return _cpu[0]
    vendor, flags = "", frozenset()  # type: tuple[str, frozenset[str]]
    try:
        with open("/proc/cpuinfo", "rb") as file:
            head = file.read(16384).split(b"\n\n", 1)[0].decode("ascii", "replace")
    except OSError:
        return vendor, flags
    for line in head.split("\n"):
        key, _, value = line.partition(":")
        if key.strip() == "vendor_id":
            vendor = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = frozenset(value.split())
    _cpu.append((vendor, flags))
    return vendor, flags


def aux_platform() -> str:
    """AT_PLATFORM is a string in memory; its value is the machine's name on the systems known."""
    machine = os.uname().machine
    return {"arm64": "aarch64"}.get(machine, machine)


def platform() -> str:
    """What ``$PLATFORM`` stands for."""
    if NATIVE[2] == EM_X86_64:
        vendor, flags = cpu()
        if vendor == "GenuineIntel":
            if "avx512er" in flags:
                return "xeon_phi"
            if flags >= _HASWELL:
                return "haswell"
        return "x86_64"
    return aux_platform()


def named_levels() -> tuple[str, ...]:
    """The active ``glibc-hwcaps`` names of this processor, best first."""
    machine = NATIVE[2]
    if NATIVE[0] != 64:
        return ()
    _vendor, flags = cpu()
    names: list[str] = []
    if machine == EM_X86_64:
        for name, wanted in _X86_LEVELS:
            if not flags >= frozenset(wanted.split()):
                break
            names.insert(0, name)
    elif machine == EM_PPC64 and sys.byteorder == "little":
        kind = _powerpc()
        names = ["power10", "power9"] if kind >= 10 else ["power9"] if kind == 9 else []
    elif machine == EM_S390:
        for name, wanted in (("z13", "vx"), ("z14", "vxd vxe"), ("z15", "vxe2 vxp"), ("z16", "nnpa vxp2")):
            if not flags >= frozenset(wanted.split()):
                break
            names.insert(0, name)
    return tuple(names)


def _powerpc() -> int:
    try:
        with open("/proc/cpuinfo", "rb") as file:
            head = file.read(4096)
    except OSError:
        return 0
    return 10 if b"POWER10" in head else 9 if b"POWER9" in head else 0


def _legacy_names() -> list[str]:
    """Capability names of the old scheme, least significant first."""
    machine = NATIVE[2]
    vendor, flags = cpu()
    if machine == EM_X86_64:
        names = ["x86_64"]
        if vendor == "GenuineIntel" and "avx512er" not in flags and flags >= _AVX512_1:
            names.append("avx512_1")
        return names + [platform(), "tls"]
    if machine == EM_AARCH64:
        return (["atomics"] if "atomics" in flags else []) + [platform(), "tls"]
    return [platform(), "tls"]


def subdirectories() -> tuple[str, ...]:
    """What ld.so puts between a directory and a name, in its order; the last is ""."""
    if _subdirectories:
        return _subdirectories[0]
    version = glibc_version()
    found: list[str] = []
    if version >= (2, 33):
        found = ["glibc-hwcaps/%s/" % name for name in named_levels()]
    if (0, 0) < version < (2, 37):
        names = _legacy_names()
        for bits in range(2 ** len(names) - 1, 0, -1):
            path = "".join(names[i] + "/" for i in range(len(names) - 1, -1, -1) if bits >> i & 1)
            if path not in found:
                found.append(path)
    found.append("")
    _subdirectories.append(tuple(found))
    return _subdirectories[0]
