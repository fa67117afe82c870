"""What one library wants and offers, as sets of names that are compared in C.

The rules are those of ``SymbolTable.defines``; a table is read as a whole, a column at a time.
"""

from __future__ import annotations

import sys

from dlrepair.binary.elf import open_elf
from dlrepair.binary.symtab import ALLOWED_TYPES, HIDDEN_VERSION, SHN_ABS, STT_TLS, gnu_hashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.elf import ElfFile

#: a table of fewer rows is read as a whole
FEW = 4000
#: above so many symbols the string table alone is read, where the file has no versions of its own
MANY = 20000
MAX_STRINGS = 1 << 28
LONGEST = 1 << 14
#: reading this many bytes more costs about as much as one more read
GAP, SHORT = 1 << 12, 1 << 9
#: bytes of the string table for every name that is wanted, up to which it is read in one piece
DENSE = 256
#: no name and no version can hold it
JOINT = b"\0"
NATIVE_LITTLE = sys.byteorder == "little"
#: what a row defines: nothing, something where its value is not zero, something
NOTHING, WHERE_PLACED, ALWAYS = 0, 1, 2


class Table:
    """The names that one file wants and offers, as sets of bytes; a NUL joins a version to its name."""

    __slots__ = ("loose", "names", "offers", "plain", "uniform", "versioned")

    def __init__(self) -> None:
        self.plain: set[bytes] = set()  #: wanted without a version
        self.versioned: set[bytes] = set()  #: wanted name and version
        self.names: dict[bytes, bytes] = {}  #: of each of ``versioned``: its name
        self.offers: set[bytes] = set()  #: name, name and version
        self.loose: set[bytes] = set()  #: names whose definition satisfies every version
        self.uniform: bytes | None = None  #: the joint and the one version that all of ``offers`` have

    @classmethod
    def together(cls, tables: Sequence[Table]) -> Table:
        """What several files offer. None of them is ``uniform``."""
        table = cls()
        table.offers = set().union(*[one.offers for one in tables])
        table.loose = set().union(*[one.loose for one in tables])
        return table

    def without(
        self, plain: set[bytes], versioned: set[bytes], names: dict[bytes, bytes]
    ) -> tuple[set[bytes], set[bytes]]:
        """What of the names is not defined here."""
        offers = self.offers
        plain, versioned = plain - offers, versioned - offers
        if versioned and self.loose and not self.loose.isdisjoint(map(names.__getitem__, versioned)):
            versioned = {key for key in versioned if names[key] not in self.loose}
        if versioned and self.uniform is not None:
            own = self.uniform
            versioned = {key for key in versioned if names[key] not in offers or key != names[key] + own}
        return plain, versioned


class Asked:
    """A library of many symbols, of which few are asked for: look-ups in its hash table, each answer kept."""

    __slots__ = ("_asked", "_defined", "_elf", "_hashes", "rows")

    def __init__(self, elf: ElfFile, hashes: dict[bytes, int]) -> None:
        self._elf = elf
        self._hashes = hashes  #: of names that any library was asked for
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
        else:
            elf.symbols.keep_hashes()
            elf.symbols.keep_rows()
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
        self._asked.update([key for key, _ in fresh])
        unknown = [name for _, name in fresh if name not in hashes]
        hashes.update(zip(unknown, gnu_hashes(unknown)))
        for (key, name), rows in table.candidates([(one, hashes[one[1]]) for one in fresh]):
            version = key[len(name) + 1 :].decode("utf-8", "surrogateescape") if key != name else None
            if table.binds(table.named(rows, name), version):
                self._defined.add(key)


def read_wanted(path: str) -> Table | None:
    """The table of what the file wants; None where it cannot be read."""
    try:
        with open_elf(path) as elf:
            return _wanted(elf)
    except (OSError, ValueError):  # ElfError is one; so is a name without an end
        return None


def read_offers(path: str) -> Table | None:
    """The table of what the file offers; None where it cannot be read."""
    try:
        with open_elf(path) as elf:
            return _offered(elf)
    except (OSError, ValueError):
        return None


def _read_whole(elf: ElfFile, at: int, count: int) -> bytes:
    """As ``Image.read``; a count beyond the end of the file costs no memory."""
    return elf.image.read(at, min(count, max(0, elf.image.size - at)))


def _versions(elf: ElfFile, start: int, end: int) -> Sequence[int]:
    """DT_VERSYM entries of the rows; empty where the file has none."""
    at = elf.symbols.versym_at
    if at is None or end <= start:
        return ()
    raw = _read_whole(elf, at + 2 * start, 2 * (end - start))
    if elf.image.little == NATIVE_LITTLE:
        return memoryview(raw)[: len(raw) // 2 * 2].cast("H").tolist()
    return elf.image.words(raw, 2)


def _version_names(elf: ElfFile, own: bool) -> dict[int, bytes]:
    """Index -> name of the versions that the file defines, or needs."""
    table = elf.symbols.versions().items()
    return {index: name.encode("utf-8", "surrogateescape") for index, (name, mine) in table if mine is own}


def _columns(elf: ElfFile, start: int, end: int) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """(names, kinds, values) of the rows, whatever the class; a kind is section << 16 | other << 8 | info."""
    symbols, image = elf.symbols, elf.image
    if symbols.sym_at is None or end <= start:
        return (), (), ()
    size = symbols.sym_size
    raw = _read_whole(elf, symbols.sym_at + start * size, (end - start) * size)
    raw = raw[: len(raw) // size * size]
    if NATIVE_LITTLE and image.little:
        words = memoryview(raw).cast("I")
        if image.bits == 64:
            return words[0::6].tolist(), words[1::6].tolist(), memoryview(raw).cast("Q")[1::3].tolist()
        return words[0::4].tolist(), words[3::4].tolist(), words[1::4].tolist()
    rows = list(image.layout.sym.iter_unpack(raw))
    if image.bits == 64:  # name info other section value size
        return [r[0] for r in rows], [r[3] << 16 | r[2] << 8 | r[1] for r in rows], [r[4] for r in rows]
    # name value size info other section
    return [r[0] for r in rows], [r[5] << 16 | r[4] << 8 | r[3] for r in rows], [r[1] for r in rows]


def _wanted(elf: ElfFile, strings: bytes = b"") -> Table:
    table, end = Table(), elf.symbols.first_defined()
    names, kinds, _values = _columns(elf, 1, end)
    # neither defined, nameless, local nor weak
    rows = [
        (number, name_at)
        for number, (name_at, kind) in enumerate(zip(names, kinds))
        if kind < 0x10000 and name_at and kind & 0xF0 and kind & 0xF0 != 0x20
    ]
    if not rows:
        return table
    places = [name_at for _, name_at in rows]
    found = _cut(strings, 0, places) if strings else _names_at(elf, places)
    needs = _version_names(elf, own=False)
    entries = _versions(elf, 1, end) if needs else ()
    if not entries:
        table.plain.update(found)
        return table
    count, names_of, plain = len(entries), table.names, table.plain
    joined = {entry: needs.get(entry & 0x7FFF) for entry in set(entries)}
    tails = {entry: JOINT + version for entry, version in joined.items() if version is not None}
    for (number, _), name in zip(rows, found):
        tail = tails.get(entries[number]) if number < count else None
        if tail is None:
            plain.add(name)
        else:
            names_of[name + tail] = name
    table.versioned.update(table.names)
    return table


def _names_at(elf: ElfFile, places: Sequence[int]) -> list[bytes]:
    """The strings at ``places``, read in as few pieces as pay. Raises ``ValueError`` where one has no end."""
    image = elf.image
    size = min(image.str_size, MAX_STRINGS)
    if image.str_at is None or max(places) >= size:
        raise ValueError("a name outside the string table")
    first, last = min(places), max(places)
    if last - first <= len(places) * DENSE + GAP:
        return _cut(_piece(elf, first, last, size), first, places)
    order = sorted(set(places))
    found: dict[int, bytes] = {}
    begin = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or order[end] - order[end - 1] > GAP:
            some = order[begin:end]
            found.update(zip(some, _cut(_piece(elf, some[0], some[-1], size), some[0], some)))
            begin = end
    return [found[at] for at in places]


def _cut(raw: bytes, first: int, places: Sequence[int]) -> list[bytes]:
    find = raw.index
    return [raw[at - first : find(b"\0", at - first)] for at in places]


def _piece(elf: ElfFile, first: int, last: int, size: int) -> bytes:
    """The part of the string table from ``first`` to the end of the name at ``last``."""
    start, end = elf.image.str_at or 0, last + SHORT
    while end < size:
        raw = _read_whole(elf, start + first, end - first)
        if raw.find(b"\0", last - first) >= 0:
            return raw
        end += max(end - first, LONGEST)
    return _read_whole(elf, start + first, size - first)


def _strings(elf: ElfFile) -> bytes:
    image = elf.image
    return _read_whole(elf, image.str_at, min(image.str_size, MAX_STRINGS)) if image.str_at is not None else b""


def _defining(kind: int) -> int:
    """What a row of this kind defines for others (``Symbol.defines``)."""
    section, other, info = kind >> 16, kind >> 8 & 3, kind & 0xFF
    if not section or not info >> 4 or other in (1, 2) or info & 15 not in ALLOWED_TYPES:
        return NOTHING
    return ALWAYS if section == SHN_ABS or info & 15 == STT_TLS else WHERE_PLACED


def _offered(elf: ElfFile) -> Table:
    symbols, table = elf.symbols, Table()
    first, total = symbols.first_defined(), symbols.count()
    if first >= total:
        first = 1
    strings = _strings(elf)
    entries = _versions(elf, first, total)
    own = _version_names(elf, own=True)
    if total - first > MANY and set(entries) <= {1, 2}:
        # Every string that is no undefined symbol's name: linkers put nothing else there that could be asked for.
        wanted = _wanted(elf, strings)
        table.offers = set(strings.split(b"\0"))
        table.offers.difference_update(wanted.plain)
        table.offers.difference_update(wanted.names.values())
        if 2 in own:
            table.uniform = JOINT + own[2]
        else:
            table.loose = table.offers
        return table
    names, kinds, values = _columns(elf, first, total)
    verdicts = {kind: _defining(kind) for kind in set(kinds)}
    rows = [
        (number, name_at)
        for number, (name_at, kind, value) in enumerate(zip(names, kinds, values))
        if verdicts[kind] and name_at and (value or verdicts[kind] == ALWAYS)
    ]
    count, offers, loose = len(entries), table.offers, table.loose
    found = _cut(strings, 0, [at for _, at in rows])
    if not entries and 1 not in own:
        table.offers.update(found)
        table.loose = table.offers
        return table
    rules = {entry: (not entry & HIDDEN_VERSION, own.get(entry & 0x7FFF)) for entry in (1, *set(entries))}
    for (number, _), name in zip(rows, found):
        entry = entries[number] if number < count else 1
        shown, version = rules[entry]
        if shown or entry & 0x7FFF < 3:
            offers.add(name)
        if version is not None:
            offers.add(name + JOINT + version)
        elif shown:
            loose.add(name)
    return table
