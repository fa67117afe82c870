"""What machine this process runs on, what ld.so refuses there, and the words for it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.facts import ElfFacts

ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
DF_1_NODEFLIB, DF_1_NOOPEN, DF_1_PIE = 0x800, 0x40, 0x08000000
DF_STATIC_TLS = 0x10
#: glibc keeps about 1.6 kB of static TLS for libraries loaded later (elf/dl-tls.c, _dl_tls_static_surplus_init)
STATIC_TLS_ROOM = 2048
EM_386, EM_MIPS, EM_PPC64, EM_S390, EM_ARM, EM_X86_64, EM_AARCH64, EM_RISCV = 3, 8, 21, 22, 40, 62, 183, 243
MACHINES = {
    2: "sparc", 3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 43: "sparcv9", 50: "ia64",
    62: "x86-64", 183: "aarch64", 190: "cuda", 224: "amdgpu", 243: "riscv", 247: "bpf", 258: "loongarch",
}  # fmt: skip
TYPES = {1: "object file (not linked)", 2: "executable", 3: "shared object", 4: "core dump"}
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

def _native() -> tuple[int, bool, int]:
    """(bits, little endian, e_machine) of the running interpreter."""
    bits, little = (64 if sys.maxsize > 2**32 else 32), sys.byteorder == "little"
    try:
        fd = os.open("/proc/self/exe", OPEN_FLAGS)
        try:
            head = os.pread(fd, 20, 0)
        finally:
            os.close(fd)
        if head[:4] == b"\x7fELF" and len(head) == 20:
            return bits, little, int.from_bytes(head[18:20], sys.byteorder)
    except OSError:
        pass
    named = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21}
    machine = os.uname().machine.lower() if hasattr(os, "uname") else "x86_64"
    return bits, little, named.get(machine, 3 if machine.startswith("i") else 40 if machine.startswith("arm") else 0)


#: (bits, little endian, e_machine) of the running interpreter
NATIVE: tuple[int, bool, int] = _native()


def machine_name(machine: int) -> str:
    """``x86-64``, ``aarch64`` … or ``machine N``."""
    return MACHINES.get(machine, "machine %d" % machine)


def describe(elf: ElfFacts) -> str:
    """``ELF 64-bit aarch64 shared object``, with what is wrong with it."""
    kind = TYPES.get(elf.etype, "file of type %d" % elf.etype)
    if elf.etype == ET_DYN and (elf.flags_1 & DF_1_PIE or (elf.interp and elf.soname is None and not elf.flags_1)):
        kind = "position-independent executable" if elf.flags_1 & DF_1_PIE else kind
    order = "" if elf.little or elf.machine == EM_S390 else " big-endian"
    said = "ELF %d-bit%s %s %s" % (elf.bits, order, machine_name(elf.machine), kind)
    if elf.truncated:
        said += ", cut short"
    elif elf.error:
        said += ", damaged: " + elf.error
    return said


def fits_here(elf: ElfFacts) -> str | None:
    """Why this machine's ld.so refuses to load the file as a library; None when nothing in its header says so.

    The order is that of glibc's ``open_verify`` and ``_dl_map_object_from_fd`` (elf/dl-load.c).
    """
    bits, little, machine = NATIVE
    here = "%d-bit %s" % (bits, machine_name(machine))
    if not sys.platform.startswith("linux"):
        return "it is an ELF file and this is not Linux (%s)" % sys.platform
    if elf.bits != bits or elf.machine != machine:
        return "it was built for %d-bit %s and this process is %s" % (elf.bits, machine_name(elf.machine), here)
    if elf.little != little:
        return "its byte order is %s-endian and this machine's is not" % ("little" if elf.little else "big")
    if elf.osabi not in (0, 3):
        return "its OS ABI is %d and Linux loads 0 (System V) and 3 (GNU) only" % elf.osabi
    if elf.etype not in (ET_DYN, ET_EXEC):
        return "it is an ELF %s; only shared objects can be loaded" % TYPES.get(
            elf.etype, "file of type %d" % elf.etype
        )
    if elf.truncated:
        return "it is cut short: its last %s lie beyond the end of the file" % "loaded pages"
    if elf.etype == ET_EXEC:
        return "it is an executable, not a shared object"
    if elf.flags_1 & DF_1_PIE:
        return "it is a position-independent executable, not a shared object"
    if elf.flags_1 & DF_1_NOOPEN:
        return "it was linked with -z nodlopen"
    if not elf.load_end and not elf.error:
        return "it has no loadable segment"
    if not elf.dynamic:
        return "it has no dynamic section" + (": " + elf.error if elf.error else "")
    if elf.error:
        return "it is damaged: " + elf.error
    return None


def libc_family(elf: ElfFacts) -> str:
    """``gnu``, ``musl``, ``bionic`` or "": the C library that the file asks for, by its DT_NEEDED and versions."""
    for name in elf.needed:
        if name.startswith(("libc.musl-", "ld-musl-")):
            return "musl"
        if name in ("libc.so.6", "libc.so.6.1", "libpthread.so.0", "libdl.so.2", "libm.so.6"):
            return "gnu"
    for _file, version, _weak in elf.verneed:
        if version.startswith("GLIBC_"):
            return "gnu"
    if "libc.so" in elf.needed:  # Android's and, since zig and old musl-gcc link by this name, musl's
        return "bionic" if "liblog.so" in elf.needed or any(f[1] == "LIBC" for f in elf.verneed) else "musl"
    return ""
