"""What one library wants and offers, as sets of names that are compared in C.

The rules are those of ``SymbolTable.defines``; a table is read as a whole, a column at a time.
"""

from __future__ import annotations

import sys
from itertools import compress
from operator import add, not_

from dlrepair.binary.elf import open_elf
from dlrepair.binary.symtab import ALLOWED_TYPES, HIDDEN_VERSION, SHN_ABS, STT_TLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

    from dlrepair.binary.elf import ElfFile

#: above so many symbols the string table alone is read, where the file has no versions of its own
MANY = 20000
MAX_STRINGS = 1 << 28
LONGEST = 1 << 14
#: of a string table that is searched as a whole, so many bytes at a time
PART = 1 << 16
#: bytes that cost about as much to read as one more read; bytes behind the last name in which its end is looked for
GAP, SHORT = 1 << 13, 1 << 9
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
    def wanted_by(cls, tables: Sequence[Table]) -> Table:
        """What several files want."""
        table = cls()
        table.plain = set().union(*[one.plain for one in tables])
        table.versioned = set().union(*[one.versioned for one in tables])
        for one in tables:
            table.names.update(one.names)
        return table

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


class Strings:
    """A library of many symbols, of which many are asked for: its string table is searched, and no symbol is read.

    Every string there is taken for a symbol that it defines, but those of undefined symbols: linkers put nothing
    else there that could be asked for. For files without versions, or with one version that all symbols have.
    """

    def __init__(self, elf: ElfFile, first: int, version: bytes | None) -> None:
        self._path = elf.path
        self._version = version
        places, kinds, _raw = _columns(elf, 1, first)
        undefined = [place for place, kind in zip(places, kinds) if kind < 0x10000 and place]
        self._undefined = set(_names_at(elf, undefined) if undefined else ())

    def without(
        self, plain: set[bytes], versioned: set[bytes], names: dict[bytes, bytes]
    ) -> tuple[set[bytes], set[bytes]]:
        """What of the names is not defined here."""
        table = Table()
        wanted = plain.union(map(names.__getitem__, versioned)) if versioned else plain
        try:
            with open_elf(self._path) as elf:
                for strings in _all_strings(elf):
                    table.offers.update(wanted.intersection(strings))
        except (OSError, ValueError):
            return plain, versioned
        table.offers -= self._undefined
        if self._version is not None:
            table.uniform = JOINT + self._version
        else:
            table.loose = table.offers
        return table.without(plain, versioned, names)


def read_wanted(path: str) -> Table | None:
    """The table of what the file wants; None where it cannot be read."""
    try:
        with open_elf(path) as elf:
            return _wanted(elf)
    except (OSError, ValueError):  # ElfError is one; so is a name without an end
        return None


def read_offers(path: str) -> Table | Strings | None:
    """What the file offers; None where it cannot be read."""
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


def _columns(elf: ElfFile, start: int, end: int) -> tuple[Sequence[int], Sequence[int], bytes]:
    """(names, kinds, the rows) of the rows, whatever the class; a kind is section << 16 | other << 8 | info."""
    symbols, image = elf.symbols, elf.image
    if symbols.sym_at is None or end <= start:
        return (), (), b""
    size = symbols.sym_size
    raw = _read_whole(elf, symbols.sym_at + start * size, (end - start) * size)
    raw = raw[: len(raw) // size * size]
    if NATIVE_LITTLE and image.little:
        words = memoryview(raw).cast("I")
        if image.bits == 64:
            return words[0::6].tolist(), words[1::6].tolist(), raw
        return words[0::4].tolist(), words[3::4].tolist(), raw
    rows = list(image.layout.sym.iter_unpack(raw))
    if image.bits == 64:  # name info other section value size
        return [r[0] for r in rows], [r[3] << 16 | r[2] << 8 | r[1] for r in rows], raw
    # name value size info other section
    return [r[0] for r in rows], [r[5] << 16 | r[4] << 8 | r[3] for r in rows], raw


def _values(elf: ElfFile, raw: bytes) -> Sequence[int]:
    """The values of rows that ``_columns`` read."""
    image = elf.image
    if NATIVE_LITTLE and image.little:
        if image.bits == 64:
            return memoryview(raw).cast("Q")[1::3].tolist()
        return memoryview(raw).cast("I")[1::4].tolist()
    column = 4 if image.bits == 64 else 1
    return [row[column] for row in image.layout.sym.iter_unpack(raw)]


def _is_wanted(kind: int) -> bool:
    """Whether a row of this kind has to be found elsewhere: neither defined, local nor weak."""
    return kind < 0x10000 and kind & 0xF0 not in (0, 0x20)


def _wanted(elf: ElfFile) -> Table:
    table, end = Table(), elf.symbols.first_defined()
    places, kinds, _raw = _columns(elf, 1, end)
    which = {kind: _is_wanted(kind) for kind in set(kinds)}
    chosen = list(map(which.__getitem__, kinds))
    if 0 in places:  # nameless
        chosen = [one and place != 0 for one, place in zip(chosen, places)]
    places = list(compress(places, chosen))
    if not places:
        return table
    found = _names_at(elf, places)
    needs = _version_names(elf, own=False)
    entries = list(_versions(elf, 1, end)) if needs else []
    if not entries:
        table.plain.update(found)
        return table
    entries += [-1] * (len(chosen) - len(entries))
    named = {entry: needs.get(entry & 0x7FFF) if entry >= 0 else None for entry in set(entries)}
    tails = {entry: b"" if version is None else JOINT + version for entry, version in named.items()}
    ends = list(map(tails.__getitem__, compress(entries, chosen)))
    names = list(compress(found, ends))
    table.names = dict(zip(map(add, names, filter(None, ends)), names))
    table.versioned = set(table.names)
    if len(names) < len(found):
        table.plain.update(compress(found, map(not_, ends)))
    return table


def _names_at(elf: ElfFile, places: Sequence[int]) -> list[bytes]:
    """The strings at ``places``, read in as few pieces as pay. Raises ``ValueError`` where one has no end."""
    image = elf.image
    size = min(image.str_size, MAX_STRINGS)
    first, last = min(places), max(places)
    if image.str_at is None or last >= size:
        raise ValueError("a name outside the string table")
    if last - first <= len(places) * DENSE + GAP:
        return _cut(_piece(elf, first, last, size), first, places)
    order = sorted(places)
    found = _names_in_order(elf, order, size)
    if order == places:
        return found
    by_place = dict(zip(order, found))
    return [by_place[at] for at in places]


def _names_in_order(elf: ElfFile, order: Sequence[int], size: int) -> list[bytes]:
    """As ``_names_at``, for places far apart in ascending order: neighbours are read together."""
    raw, start, end = b"", 0, -1
    found: list[bytes] = []
    for at in order:
        stop = raw.find(b"\0", at - start) if at < end else -1
        if stop < 0:
            raw, start = _read_whole(elf, (elf.image.str_at or 0) + at, min(GAP, size - at)), at
            end = start + len(raw)
            if raw.find(b"\0") < 0:
                raw = _piece(elf, at, at, size)
            stop = raw.index(b"\0")
        found.append(raw[at - start : stop])
    return found


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


def _all_strings(elf: ElfFile) -> Iterator[list[bytes]]:
    """The string table in parts that fit into a processor's cache: ten megabytes at once take twice as long."""
    at, rest = elf.image.str_at, b""
    end = at + min(elf.image.str_size, MAX_STRINGS) if at is not None else 0
    while at is not None and at < end:
        raw = _read_whole(elf, at, min(PART, end - at))
        if not raw:
            break
        at += len(raw)
        strings = (rest + raw).split(b"\0")
        rest = strings.pop()
        yield strings


def defining(kind: int) -> int:
    """What a row of this kind defines for others (``Symbol.defines``)."""
    section, other, info = kind >> 16, kind >> 8 & 3, kind & 0xFF
    if not section or not info >> 4 or other in (1, 2) or info & 15 not in ALLOWED_TYPES:
        return NOTHING
    return ALWAYS if section == SHN_ABS or info & 15 == STT_TLS else WHERE_PLACED


def _offered(elf: ElfFile) -> Table | Strings:
    symbols = elf.symbols
    first, total = symbols.first_defined(), symbols.count()
    if first >= total:
        first = 1
    entries = _versions(elf, first, total)
    own = _version_names(elf, own=True)
    if total - first > MANY and set(entries) <= {1, 2}:
        return Strings(elf, first, own.get(2))
    table, strings = Table(), _strings(elf)
    places, kinds, raw = _columns(elf, first, total)
    verdicts = {kind: defining(kind) for kind in set(kinds)}
    chosen = [
        name_at != 0 and (verdict == ALWAYS or (verdict == WHERE_PLACED and value != 0))
        for name_at, verdict, value in zip(places, map(verdicts.__getitem__, kinds), _values(elf, raw))
    ]
    found = _cut(strings, 0, list(compress(places, chosen)))
    if not entries and 1 not in own:
        table.offers.update(found)
        table.loose = table.offers
        return table
    entries = [*entries, *[1] * (len(chosen) - len(entries))]
    kept = list(compress(entries, chosen))
    shown, loose, tails = {}, {}, {}
    for entry in set(kept):
        version, seen = own.get(entry & 0x7FFF), not entry & HIDDEN_VERSION
        shown[entry] = seen or entry & 0x7FFF < 3
        loose[entry] = seen and version is None
        tails[entry] = b"" if version is None else JOINT + version
    table.offers.update(compress(found, map(shown.__getitem__, kept)))
    table.loose.update(compress(found, map(loose.__getitem__, kept)))
    ends = list(map(tails.__getitem__, kept))
    table.offers.update(map(add, compress(found, ends), filter(None, ends)))
    return table
