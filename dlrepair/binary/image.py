"""The header, the program headers and the dynamic section of one opened ELF file.

Everything is read with ``pread``, never ``mmap``: a build that rewrites the file
while we look would otherwise kill the process with SIGBUS. Layouts are those of the
System V gABI, chapters 4 and 5, and of ``elf.h``. Section headers are never needed:
ld.so does not look at them either.
"""

from __future__ import annotations

import os
import struct
import sys

from dlrepair.binary.layouts import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Literal, Sequence

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS = 1, 2, 3, 4, 7
PT_GNU_STACK = 0x6474E551
PF_X, PF_W = 1, 2

DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_INIT, DT_SONAME, DT_RPATH = 1, 4, 5, 6, 10, 12, 14, 15
DT_INIT_ARRAY, DT_RUNPATH, DT_FLAGS = 25, 29, 30
DT_AUXILIARY, DT_FILTER = 0x7FFFFFFD, 0x7FFFFFFF
DT_GNU_HASH, DT_VERSYM, DT_FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFB
DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF

EHDR_SIZE = {32: 52, 64: 64}
PHDR_SIZE = {32: 32, 64: 56}

# Limits on hostile input: far above any real file, low enough to bound time and memory.
MAX_DYNAMIC = 1 << 18
MAX_NAME = 1 << 16
MAX_VERSIONS = 20000
FIRST_READ = 4096
NAME_READ = 1024
#: small reads are served from blocks of this size: what is read one after another lies close together
WINDOW, SMALL = 4096, 512

#: begins ``Image.problem`` where ld.so refuses the file before it looks at the machine
IDENTIFICATION = "identification: "


class ElfError(ValueError):
    """The bytes are not an ELF file that can be read any further."""


def text(raw: bytes) -> str:
    """A name out of a string table; bytes that are not UTF-8 survive as surrogates, as in paths."""
    return raw.decode("utf-8", "surrogateescape")


class Image:
    """An ELF file by its descriptor. The caller owns the descriptor.

    Raises ``ElfError`` when not even the ELF header can be read. Later damage is in
    ``problem``: the first inconsistency met; what was read before it still holds.
    """

    __slots__ = (
        "_block",
        "_block_at",
        "_first",
        "_kept",
        "_needs",
        "_window",
        "_window_at",
        "_window_end",
        "bits",
        "dyn",
        "etype",
        "fd",
        "filters_at",
        "flags",
        "has_dynamic",
        "layout",
        "little",
        "loads",
        "machine",
        "needed_at",
        "osabi",
        "phentsize",
        "phoff",
        "problem",
        "segments",
        "size",
        "str_at",
        "str_size",
        "version",
    )  # fmt: skip

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self.problem: str | None = None
        self._kept: list[tuple[int, int, bytes]] = []
        self._block, self._block_at = b"", 0
        self._window, self._window_at, self._window_end = b"", 0, 0
        self._needs: list[tuple[str, str, bool, int]] | None = None
        first = self._first = os.pread(fd, FIRST_READ, 0)
        if first[:4] != b"\x7fELF":
            raise ElfError("no ELF magic")
        if len(first) < 20:
            raise ElfError("the ELF header is cut short after %d bytes" % len(first))
        if first[4] not in (1, 2):
            raise ElfError("the ELF header names no known class (%d)" % first[4])
        if first[5] not in (1, 2):
            raise ElfError("the ELF header names no known byte order (%d)" % first[5])
        self.bits = 32 if first[4] == 1 else 64
        self.little = first[5] == 1
        self.osabi = first[7]
        self.layout = layout(self.bits, self.little)
        header = first[: EHDR_SIZE[self.bits]]
        if len(header) < EHDR_SIZE[self.bits]:
            self._fail("the ELF header is cut short after %d bytes" % len(header))
            header = header.ljust(EHDR_SIZE[self.bits], b"\0")
        (self.etype, self.machine, self.version, _entry, self.phoff, _shoff, self.flags, _ehsize, self.phentsize, phnum,
         _shentsize, _shnum, _shstrndx) = self.layout.ehdr.unpack_from(header, 16)  # fmt: skip
        self._check_identification(first)
        self.segments: list[tuple[int, int, int, int, int, int]] = []
        self.loads: list[tuple[int, int, int]] = []
        self._read_segments(phnum)
        self.dyn: dict[int, int] = {}
        self.needed_at: list[int] = []
        self.filters_at: list[tuple[int, int]] = []
        self.has_dynamic = False
        self.str_at: int | None = None
        self.str_size = 0
        self._read_dynamic()

    def reopened(self, fd: int) -> Image:
        """The same file by another descriptor: what was read of it before is not read again."""
        image: Image = Image.__new__(Image)
        for name in Image.__slots__:
            setattr(image, name, getattr(self, name))
        image.fd, image._kept = fd, list(self._kept)
        return image

    def _check_identification(self, first: bytes) -> None:
        """What open_verify (glibc, elf/dl-load.c) looks at in ``e_ident`` beyond class, byte order and OS ABI."""
        if first[6] != 1 or (self.version != 1 and len(first) >= 24):
            self._fail(IDENTIFICATION + "its ELF version is %d, not 1" % (first[6] if first[6] != 1 else self.version))
        elif first[8] and (first[7] != 3 or first[8] > 3):  # only GNU's OS ABI has ABI versions (VALID_ELF_ABIVERSION)
            self._fail(IDENTIFICATION + "its ABI version is %d" % first[8])
        elif any(first[9:16]):
            self._fail(IDENTIFICATION + "the padding of its identification is not zero")

    def _fail(self, problem: str) -> None:
        if self.problem is None:
            self.problem = problem

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes at ``offset``; fewer, or none, where the file ends."""
        end = offset + count
        if 0 <= offset and end <= FIRST_READ:
            return self._first[offset:end]
        for start, stop, raw in self._kept:
            if start <= offset and end <= stop:
                return raw[offset - start : end - start]
        if offset < 0 or count <= 0 or offset >= self.size:
            return b""
        if count > SMALL:
            return os.pread(self.fd, count, offset)
        at = self._window_at
        if offset < at or end > self._window_end:
            at = self._window_at = offset & ~(SMALL - 1)
            self._window = os.pread(self.fd, WINDOW, at)
            self._window_end = at + len(self._window)
        return self._window[offset - at : end - at]

    def pick(self, offset: int, count: int) -> bytes:
        """As ``read``, for a few bytes that lie far from all that is read before and after."""
        for start, stop, raw in self._kept:
            if start <= offset and offset + count <= stop:
                return raw[offset - start : offset + count - start]
        return os.pread(self.fd, count, offset) if offset >= 0 else b""

    def held(self, offset: int) -> bytes:
        """What ``keep`` holds of the file from ``offset`` on; most often all or nothing of a table."""
        return next((raw for start, _stop, raw in self._kept if start == offset), b"")

    def keep(self, offset: int, count: int) -> None:
        """Hold these bytes in memory."""
        raw = self.read(offset, count)
        self._kept.append((offset, offset + len(raw), raw))

    def words(self, raw: bytes, width: int = 4) -> tuple[int, ...]:
        """``raw`` as unsigned numbers of ``width`` bytes (2, 4 or 8) in the file's byte order, the rest left."""
        count = len(raw) // width
        order, letter = "<" if self.little else ">", {2: "H", 4: "I", 8: "Q"}[width]
        return struct.unpack("%s%d%s" % (order, count, letter), raw[: count * width])

    def numbers(self, raw: bytes, width: int = 4) -> Sequence[int]:
        """As ``words``; without a copy where the byte order is this machine's."""
        if self.little != (sys.byteorder == "little"):
            return self.words(raw, width)
        letters: dict[int, Literal["H", "I", "Q"]] = {2: "H", 4: "I", 8: "Q"}
        return memoryview(raw)[: len(raw) // width * width].cast(letters[width])

    def _read_segments(self, phnum: int) -> None:
        size = PHDR_SIZE[self.bits]
        if phnum and self.phentsize != size:
            self._fail("program headers of %d bytes, not %d" % (self.phentsize, size))
            return
        table = self.read(self.phoff, phnum * size)
        if len(table) < phnum * size:
            self._fail("the program headers lie beyond the end of the file")
            table = table[: len(table) // size * size]
        wide = self.bits == 64
        for row in self.layout.phdr.iter_unpack(table):
            if wide:
                kind, flags, offset, vaddr, _paddr, filesz, memsz, _align = row
            else:
                kind, offset, vaddr, _paddr, filesz, memsz, flags, _align = row
            self.segments.append((kind, flags, offset, vaddr, filesz, memsz))
            if kind == PT_LOAD:
                self.loads.append((vaddr, offset, filesz))

    def offset(self, vaddr: int) -> int | None:
        """Where in the file the byte lies that is mapped at ``vaddr``; None if it is in no PT_LOAD."""
        for start, offset, filesz in self.loads:
            if start <= vaddr < start + filesz:
                return vaddr - start + offset
        return None

    def _read_dynamic(self) -> None:
        at = count = -1
        for kind, _flags, offset, vaddr, filesz, _memsz in self.segments:
            if kind == PT_DYNAMIC:  # the last one counts (elf/dl-load.c, _dl_map_object_from_fd)
                mapped = self.offset(vaddr)
                at, count = (offset if mapped is None else mapped), filesz
        if at < 0:
            return
        self.has_dynamic = True
        raw = self.read(at, min(count, MAX_DYNAMIC))
        step = self.layout.dyn.size
        if not raw or len(raw) < min(count, MAX_DYNAMIC):
            self._fail("the dynamic section lies beyond the end of the file")
            raw = raw[: len(raw) // step * step]
        dyn = self.dyn
        for tag, value in self.layout.dyn.iter_unpack(raw[: len(raw) // step * step]):
            if tag == 0:
                break
            if tag == DT_NEEDED:
                self.needed_at.append(value)
            elif tag in (DT_AUXILIARY, DT_FILTER):
                self.filters_at.append((tag, value))
            else:
                dyn[tag] = value  # a later entry replaces an earlier one (elf_get_dynamic_info)
        if DT_STRTAB in dyn:
            self.str_at = self.offset(dyn[DT_STRTAB])
            self.str_size = dyn.get(DT_STRSZ, 0)
            if self.str_at is None:
                self._fail("the string table lies in no loaded segment")

    def string(self, index: int) -> bytes | None:
        """The string at ``index`` of the dynamic string table; None when it lies outside or has no end."""
        if self.str_at is None or index < 0 or (self.str_size and index >= self.str_size):
            return None
        at, step = self.str_at + index, NAME_READ
        here = at - self._block_at  # names that are asked for together lie together
        if 0 <= here < len(self._block):
            end = self._block.find(b"\0", here)
            if end >= 0:
                return self._block[here:end]
        self._block, self._block_at = self.read(at, step), at
        end = self._block.find(b"\0")
        if end >= 0:
            return self._block[:end]
        while step <= MAX_NAME:
            raw = self.read(at, step)
            end = raw.find(b"\0")
            if end >= 0:
                return raw[:end]
            if len(raw) < step:
                return None
            step *= 4
        return None

    def name(self, index: int, what: str) -> str | None:
        """The string at ``index`` as text; a bad index is noted as the file's problem."""
        raw = self.string(index)
        if raw is None:
            self._fail("%s points outside the string table" % what)
            return None
        return text(raw)

    def table(self, tag: int) -> int | None:
        """File offset of the table that dynamic entry ``tag`` points to, or None."""
        value = self.dyn.get(tag)
        return None if value is None else self.offset(value)

    def version_needs(self) -> list[tuple[str, str, bool, int]]:
        """(file, version, weak, index) of every version needed (Elf_Verneed, Elf_Vernaux); read once."""
        if self._needs is None:
            self._needs = list(self._version_needs())
        return self._needs

    def _version_needs(self) -> Iterator[tuple[str, str, bool, int]]:
        at, left = self.table(DT_VERNEED), min(self.dyn.get(DT_VERNEEDNUM, 0), MAX_VERSIONS)
        total = 0
        raw, base, unpack = b"", 0, self.layout.vernaux.unpack_from  # rows lie together: read in blocks
        while at is not None and left > 0:
            left -= 1
            row = self.read(at, 16)
            if len(row) < 16:
                self._fail("the version needs lie beyond the end of the file")
                return
            version, count, file_at, aux, following = self.layout.verneed.unpack(row)
            if version != 1:
                self._fail("version needs of an unknown revision (%d)" % version)
                return
            file = self.name(file_at, "a version need")
            here = at + aux
            for _ in range(count):
                if not 0 <= here - base <= len(raw) - 16:
                    raw, base = self.read(here, SMALL), here
                total += 1
                if len(raw) - (here - base) < 16 or total > MAX_VERSIONS:
                    self._fail("the version needs lie beyond the end of the file")
                    return
                _hash, flags, other, name_at, step = unpack(raw, here - base)
                name = self.name(name_at, "a version need")
                if file is not None and name is not None:
                    yield file, name, bool(flags & 2), other
                if not step:
                    break
                here += step
            if not following:
                return
            at += following

    def version_definitions(self) -> Iterator[tuple[str, int, int]]:
        """(version, index, flags) of every version defined (Elf_Verdef); flag 1 marks the file's own name."""
        at, left = self.table(DT_VERDEF), min(self.dyn.get(DT_VERDEFNUM, 0), MAX_VERSIONS)
        while at is not None and left > 0:
            left -= 1
            raw = self.read(at, 20)
            if len(raw) < 20:
                self._fail("the version definitions lie beyond the end of the file")
                return
            version, flags, index, count, _hash, aux, following = self.layout.verdef.unpack(raw)
            if version != 1:
                self._fail("version definitions of an unknown revision (%d)" % version)
                return
            raw = self.read(at + aux, 8) if count else b""
            if len(raw) == 8:
                name = self.name(self.layout.verdaux.unpack(raw)[0], "a version definition")
                if name is not None:
                    yield name, index, flags
            if not following:
                return
            at += following

    def build_id(self) -> str | None:
        """The GNU build id in hexadecimal, or None (NT_GNU_BUILD_ID, elf.h)."""
        for kind, _flags, offset, _vaddr, filesz, _memsz in self.segments:
            if kind != PT_NOTE:
                continue
            raw, at = self.read(offset, min(filesz, FIRST_READ)), 0
            while at + 12 <= len(raw):
                namesz, descsz, ntype = (self.layout.word.unpack_from(raw, at + i)[0] for i in (0, 4, 8))
                start = at + 12 + (namesz + 3 & ~3)
                if ntype == 3 and raw[at + 12 : at + 16] == b"GNU\0" and 0 < descsz <= 64:
                    return raw[start : start + descsz].hex()
                at = start + (descsz + 3 & ~3)
        return None
