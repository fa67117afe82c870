"""A library of many symbols, of which few names are asked: look-ups in its hash table, for many files' sake."""

from __future__ import annotations

import os

from dlrepair.binary.elf import open_elf
from dlrepair.binary.hashes import gnu_hashes
from dlrepair.binary.symtab import HIDDEN_VERSION
from dlrepair.binary.tables import ALWAYS, defining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.binary.elf import ElfFile

#: a table of fewer rows is read as a whole
FEW = 4000


class Asked:
    """A library of many symbols, of which few are asked for: look-ups in its hash table, each answer kept."""

    __slots__ = ("_asked", "_defined", "_elf", "_hashes", "_versions", "rows")

    def __init__(self, elf: ElfFile, hashes: dict[bytes, int]) -> None:
        self._elf = elf
        self._hashes = hashes  #: of names that any library was asked for
        self._versions: dict[int, bytes] | None = None
        self._asked: set[bytes] = set()
        self._defined: set[bytes] = set()
        self.rows = elf.symbols.about() if elf.symbols.has_gnu_hash else 0

    @classmethod
    def of(cls, path: str, hashes: dict[bytes, int]) -> Asked | None:
        """None where the file cannot be read, and so defines nothing. A file of many symbols stays open."""
        try:
            elf = open_elf(path)
        except (OSError, ValueError):
            return None
        found = cls(elf, hashes)
        if found.rows < FEW:
            found.rows = 0
            elf.close()
        return found

    def without(
        self, plain: set[bytes], versioned: set[bytes], names: dict[bytes, bytes]
    ) -> tuple[set[bytes], set[bytes]]:
        """What of the names is not defined here."""
        fresh = [(name, name) for name in plain - self._asked]
        fresh += [(key, names[key]) for key in versioned - self._asked]
        if fresh:
            self._look_up(fresh)
        return plain - self._defined, versioned - self._defined

    def _look_up(self, fresh: list[tuple[bytes, bytes]]) -> None:
        table, hashes = self._elf.symbols, self._hashes
        if not self._asked:
            table.keep_hashes()
            table.keep_rows()
        self._asked.update([key for key, _ in fresh])
        unknown = [name for _, name in fresh if name not in hashes]
        hashes.update(zip(unknown, gnu_hashes(unknown)))
        lone: list[tuple[int, bytes, bytes]] = []
        for (key, name), rows in table.candidates([(one, hashes[one[1]]) for one in fresh]):
            if len(rows) == 1:
                lone.append((rows[0], key, name))
            else:
                said = None if key == name else key[len(name) + 1 :].decode("utf-8", "surrogateescape")
                if table.binds(table.named(rows, name), said):
                    self._defined.add(key)
        self._defined.update(self._binding(lone))

    def _binding(self, items: list[tuple[int, bytes, bytes]]) -> Iterator[bytes]:
        """Of (row, key, name) the keys that ``SymbolTable.binds`` of the only row that has the name's hash."""
        elf, table = self._elf, self._elf.symbols
        image, size, pread, fd = elf.image, table.sym_size, os.pread, elf.fd
        if table.sym_at is None or image.str_at is None:
            return
        wide, unpack, sym_at, str_at = image.bits == 64, image.layout.sym.unpack_from, table.sym_at, image.str_at
        rows = image.held(sym_at)
        verdicts: dict[int, int] = {}
        for row, key, name in items:
            raw, at = (rows, row * size) if (row + 1) * size <= len(rows) else (pread(fd, size, sym_at + row * size), 0)
            if len(raw) - at < size:
                continue
            if wide:
                name_at, info, other, section, value, _size = unpack(raw, at)
            else:
                name_at, value, _size, info, other, section = unpack(raw, at)
            kind = section << 16 | other << 8 | info
            verdict = verdicts.get(kind)
            if verdict is None:
                verdict = verdicts[kind] = defining(kind)
            if (
                verdict
                and (value or verdict == ALWAYS)
                and pread(fd, len(name) + 1, str_at + name_at) == name + b"\0"
                and (table.versym_at is None or self._fits(row, key[len(name) + 1 :] if key != name else None))
            ):
                yield key

    def _fits(self, row: int, version: bytes | None) -> bool:
        """Whether the version of a definition is one that ``check_match`` takes for a reference to ``version``."""
        elf, table = self._elf, self._elf.symbols
        raw = elf.image.pick((table.versym_at or 0) + 2 * row, 2)
        entry = int.from_bytes(raw, "little" if elf.image.little else "big") if len(raw) == 2 else 1
        number, shown = entry & 0x7FFF, not entry & HIDDEN_VERSION
        if version is None:
            return number < 3 or shown
        if self._versions is None:
            table_of = table.versions()
            self._versions = {at: said.encode("utf-8", "surrogateescape") for at, (said, _own) in table_of.items()}
        own = self._versions.get(number)
        return own == version or (own is None and shown)
