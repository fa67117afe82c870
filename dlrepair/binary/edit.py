"""What a copy of a shared library must hold so that ld.so takes it: edits, as bytes to be written over the copy.

Nothing is written here. Only what ld.so reads is changed: program headers, the dynamic section and
its strings (System V gABI, chapters 4 and 5). New strings and, where they do not fit, the tables themselves go
into one more PT_LOAD at the end of the file and of its address range. The headers of the two sections
that tell the same to debuggers follow.
"""

from __future__ import annotations

import os

from dlrepair.binary.image import (
    DT_NEEDED,
    DT_RPATH,
    DT_RUNPATH,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
    PF_W,
    PF_X,
    PT_DYNAMIC,
    PT_GNU_STACK,
    PT_LOAD,
    ElfError,
    Image,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from dlrepair.model.facts import ElfFacts

PT_PHDR = 6
PF_R = 4
#: offsets of e_phoff, e_shoff and e_phnum in a 64-bit ELF header, of p_flags in a program header; a section header
_E_PHOFF, _E_SHOFF, _E_PHNUM, _P_FLAGS, _SHDR_SIZE = 32, 40, 56, 4, 64
_MAX_STRINGS = 256 << 20  #: bytes of a string table that is moved: libtensorflow_cc has 60 MB


class Edit:
    """The changes that are wanted. ``None`` and ``()`` leave a thing as it is."""

    __slots__ = ("add_needed", "clear_execstack", "drop_needed", "runpath", "soname")

    def __init__(
        self,
        soname: str | None = None,
        runpath: str | None = None,
        add_needed: Sequence[str] = (),
        drop_needed: Sequence[str] = (),
        clear_execstack: bool = False,
    ) -> None:
        self.soname = soname
        self.runpath = runpath  #: replaces RPATH or RUNPATH, whichever counts; a file without either gets a RUNPATH
        self.add_needed = tuple(add_needed)
        self.drop_needed = tuple(drop_needed)
        self.clear_execstack = clear_execstack

    def __bool__(self) -> bool:
        return bool(
            self.soname is not None or self.runpath is not None or self.add_needed or self.drop_needed
            or self.clear_execstack
        )  # fmt: skip

    def options(self) -> tuple[tuple[str, str], ...]:
        """The same as (key, value) pairs: for a plan's step and for the journal."""
        pairs = [("soname", self.soname), ("runpath", self.runpath)]
        found = [(key, value) for key, value in pairs if value is not None]
        found += [("add-needed", name) for name in self.add_needed]
        found += [("drop-needed", name) for name in self.drop_needed]
        return tuple(found) + ((("execstack", "cleared"),) if self.clear_execstack else ())

    @classmethod
    def of(cls, options: Sequence[tuple[str, str]]) -> Edit:
        """The edit that ``options`` was called on."""
        one = dict(options)
        return cls(
            one.get("soname"), one.get("runpath"), [value for key, value in options if key == "add-needed"],
            [value for key, value in options if key == "drop-needed"], "execstack" in one,
        )  # fmt: skip


def patches(image: Image, edit: Edit) -> list[tuple[int, bytes]]:
    """(offset, bytes) to be written over a copy of the file; an offset beyond its end makes it longer.

    Raises ``ElfError`` where the file is not a 64-bit shared library in order, or lacks what is to be dropped.
    """
    if image.bits != 64 or image.problem or not image.has_dynamic or image.str_at is None:
        raise ElfError("only an intact 64-bit library can be edited")
    return _Editor(image, edit).run()


class _Editor:
    """One file: its tables as lists, changed one after the other, then laid out."""

    def __init__(self, image: Image, edit: Edit) -> None:
        self.image = image
        self.edit = edit
        self._order: Any = "little" if image.little else "big"
        layout = image.layout
        table = image.read(image.phoff, len(image.segments) * layout.phdr.size)
        self.headers = [list(row) for row in layout.phdr.iter_unpack(table)]
        self.moved_headers = False
        self.strings = b""  #: what follows the old string table, once there is something
        self.at, self.room = self._dynamic_place()
        raw = image.read(self.at, self.room * layout.dyn.size)
        self.entries: list[list[int]] = []
        for row in layout.dyn.iter_unpack(raw):
            if row[0] == 0:
                break
            self.entries.append(list(row))
        self.before = [list(row) for row in self.entries]

    def _dynamic_place(self) -> tuple[int, int]:
        """(file offset, number of entries that fit) of the dynamic section."""
        for row in reversed(self.headers):
            if row[0] == PT_DYNAMIC:
                at = self.image.offset(row[3])
                return (row[2] if at is None else at), row[5] // self.image.layout.dyn.size
        raise ElfError("it has no dynamic section")

    def run(self) -> list[tuple[int, bytes]]:
        edit = self.edit
        if edit.soname is not None:
            self._set(DT_SONAME, edit.soname)
        if edit.runpath is not None:
            tags = {row[0] for row in self.entries}
            self._set(DT_RPATH if DT_RPATH in tags and DT_RUNPATH not in tags else DT_RUNPATH, edit.runpath)
        for name in edit.drop_needed:
            self._drop(name)
        for name in edit.add_needed:  # first: what it defines is then found first, as with patchelf
            self.entries.insert(0, [DT_NEEDED, self._string(name)])
        written: list[tuple[int, bytes]] = []
        if edit.clear_execstack:
            written += self._clear_execstack()
        return written + self._lay_out()

    def _string(self, text: str) -> int:
        """Index that ``text`` gets in the string table."""
        index = self.image.str_size + len(self.strings)
        self.strings += os.fsencode(text) + b"\0"
        return index

    def _set(self, tag: int, text: str) -> None:
        index = self._string(text)
        for row in self.entries:
            if row[0] == tag:
                row[1] = index
                return
        self.entries.insert(0, [tag, index])

    def _drop(self, name: str) -> None:
        raw = os.fsencode(name)
        kept = [row for row in self.entries if row[0] != DT_NEEDED or self.image.string(row[1]) != raw]
        if len(kept) == len(self.entries):
            raise ElfError("it does not need {}".format(name))
        if any(file == name for file, _, _, _ in self.image.version_needs()):
            # glibc asserts that a file of DT_VERNEED is loaded (elf/dl-version.c, _dl_check_map_versions)
            raise ElfError("it needs symbol versions of {}".format(name))
        self.entries = kept

    def _clear_execstack(self) -> list[tuple[int, bytes]]:
        """The flag taken away in place; without any PT_GNU_STACK the stack is executable: one is added."""
        size = self.image.layout.phdr.size
        for number, row in enumerate(self.headers):
            if row[0] == PT_GNU_STACK:
                row[1] &= ~PF_X
                return [(self.image.phoff + number * size + _P_FLAGS, self.image.layout.word.pack(row[1]))]
        self.headers.append([PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16])
        self.moved_headers = True
        return []

    def _lay_out(self) -> list[tuple[int, bytes]]:
        """What has to be written for the changed tables; one more segment where something does not fit in place."""
        image, dyn = self.image, self.image.layout.dyn
        if self.entries == self.before and not self.strings and not self.moved_headers:
            return []
        moves_dynamic = len(self.entries) + 1 > self.room
        if not self.strings and not moves_dynamic and not self.moved_headers:
            return [(self.at, self._packed_entries(self.room))]
        if image.str_size > _MAX_STRINGS:
            raise ElfError("its string table is too long to be moved")
        page = os.sysconf("SC_PAGE_SIZE")
        offset = -(-image.size // page) * page
        address = max((row[3] + row[6] for row in self.headers if row[0] == PT_LOAD), default=0)
        address = -(-address // page) * page
        headers_size = (len(self.headers) + 1) * image.layout.phdr.size
        dynamic_at = -(-headers_size // 16) * 16
        dynamic_size = (len(self.entries) + 1) * dyn.size if moves_dynamic else 0
        strings_at = dynamic_at + dynamic_size
        table = b""
        if self.strings:
            assert image.str_at is not None
            table = image.read(image.str_at, image.str_size)
            if len(table) != image.str_size:
                raise ElfError("its string table is cut short")
            table += self.strings
            self._value(DT_STRTAB, address + strings_at)
            self._value(DT_STRSZ, len(table))
        total = strings_at + len(table)
        flags = PF_R | (PF_W if moves_dynamic else 0)  # ld.so relocates the dynamic section where it lies
        self._insert_segment([PT_LOAD, flags, offset, address, address, total, total, page])
        self._point(PT_PHDR, offset, address, headers_size)
        written = [(_E_PHOFF, image.layout.addr.pack(offset))]
        if table:
            written += self._section(image.dyn[DT_STRTAB], address + strings_at, offset + strings_at, len(table))
        if moves_dynamic:
            old = next(row[3] for row in self.headers if row[0] == PT_DYNAMIC)
            written += self._section(old, address + dynamic_at, offset + dynamic_at, dynamic_size)
        written.append((_E_PHNUM, len(self.headers).to_bytes(2, self._order)))
        if moves_dynamic:
            self._point(PT_DYNAMIC, offset + dynamic_at, address + dynamic_at, dynamic_size)
            dynamic = self._packed_entries(len(self.entries) + 1)
        else:
            dynamic = b""
            written.append((self.at, self._packed_entries(self.room)))
        packed = b"".join(image.layout.phdr.pack(*row) for row in self.headers)
        written.append((offset, packed.ljust(dynamic_at, b"\0") + dynamic + table))
        return written

    def _section(self, old: int, address: int, offset: int, size: int) -> list[tuple[int, bytes]]:
        """Where the section that was mapped at ``old`` lies now; ld.so does not look at sections, other tools do."""
        image, word = self.image, self.image.layout.addr
        raw = image.read(_E_SHOFF, 24)
        at = word.unpack_from(raw)[0]
        each, count = (int.from_bytes(raw[start : start + 2], self._order) for start in (18, 20))
        for number in range(count if each == _SHDR_SIZE else 0):
            start = at + number * each
            header = image.read(start, each)
            if len(header) == each and word.unpack_from(header, 16)[0] == old:
                return [(start + 16, b"".join(word.pack(value) for value in (address, offset, size)))]
        return []

    def _packed_entries(self, count: int) -> bytes:
        dyn = self.image.layout.dyn
        return b"".join(dyn.pack(*row) for row in self.entries).ljust(count * dyn.size, b"\0")

    def _value(self, tag: int, value: int) -> None:
        for row in self.entries:
            if row[0] == tag:
                row[1] = value

    def _insert_segment(self, header: list[int]) -> None:
        """Behind the last PT_LOAD: ld.so wants them in the order of their addresses."""
        last = max(number for number, row in enumerate(self.headers) if row[0] == PT_LOAD)
        self.headers.insert(last + 1, header)

    def _point(self, kind: int, offset: int, address: int, size: int) -> None:
        for row in self.headers:
            if row[0] == kind:
                row[2:7] = [offset, address, address, size, size]


def absolute_runpath(facts: ElfFacts, directory: str) -> str | None:
    """RPATH or RUNPATH, whichever counts, with ``$ORIGIN`` written out as ``directory``; None where it has none.

    Raises ``ElfError`` where ``directory`` cannot stand in such a list.
    """
    listed = facts.runpath if facts.runpath is not None else facts.rpath
    if not listed or "ORIGIN" not in listed:
        return None
    if ":" in directory or "$" in directory:
        raise ElfError("no RUNPATH can name {}".format(directory))
    return listed.replace("${ORIGIN}", directory).replace("$ORIGIN", directory)


def holds(facts: ElfFacts, edit: Edit) -> bool:
    """Whether a file with these facts is what ``edit`` was to make of it."""
    if facts.error or facts.truncated or (edit.soname is not None and facts.soname != edit.soname):
        return False
    if edit.runpath is not None and edit.runpath not in (facts.runpath, facts.rpath):
        return False
    if any(name not in facts.needed for name in edit.add_needed):
        return False
    return not any(name in facts.needed for name in edit.drop_needed) and not (edit.clear_execstack and facts.execstack)


def has_trampolines(image: Image) -> bool:
    """Whether x86-64 code writes GCC's stack trampolines: such a library really needs an executable stack.

    GCC stores ``mov r11, function``, ``mov r10, frame``, ``jmp *r11; nop`` as constants 0xbb49, 0xba49 and
    0x90e3ff49 (gcc/config/i386/i386.cc, ix86_trampoline_init).
    """
    for kind, flags, offset, _vaddr, filesz, _memsz in image.segments:
        if kind != PT_LOAD or not flags & PF_X:
            continue
        at, end, kept = offset, offset + filesz, b""
        while at < end:
            block = image.read(at, min(1 << 20, end - at))
            if not block:
                break
            code = kept + block
            found = code.find(b"\x49\xff\xe3\x90")
            while found >= 0:
                near = code[max(0, found - 96) : found + 96]
                if b"\x49\xbb" in near and b"\x49\xba" in near:
                    return True
                found = code.find(b"\x49\xff\xe3\x90", found + 1)
            kept = code[-192:]
            at += len(block)
    return False
