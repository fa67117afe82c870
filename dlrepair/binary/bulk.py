"""Whether a library finds every symbol that it needs: proved for many files at once, by sets of names.

Looking names up one by one answers for one library; over a whole environment the same providers
are asked hundreds of thousands of times, and reading each once is cheaper. ``True`` here is a proof
by the rules of ``SymbolTable.defines``; ``False`` means only that ``binary.symbols`` has to look.
"""

from __future__ import annotations

import os

from dlrepair.binary.elf import open_elf, read_facts
from dlrepair.binary.symtab import gnu_hashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, Tuple, Union

    from dlrepair.binary.elf import ElfFile
    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.scope import Trace

    _Key = Union[str, Tuple[int, int, int, int]]

HIDDEN_VERSION, DF_STATIC_TLS = 0x8000, 0x10
#: reading this many rows of a symbol table costs about as much as looking one name up
ROWS_A_LOOKUP = 12
#: a table of fewer rows is read as a whole
FEW = 4000
#: above so many symbols the string table alone is read, where the file has no versions of its own
MANY = 20000
MAX_STRINGS = 1 << 28
LONGEST = 1 << 14
STT_TLS, SHN_ABS = 6, 0xFFF1
#: NOTYPE, OBJECT, FUNC, COMMON, TLS, GNU_IFUNC (elf/dl-lookup.c, ALLOWED_STT)
TYPES = frozenset((0, 1, 2, 5, 6, 10))


class Table:
    """The names that one file wants and offers, as sets of bytes; a version is joined to its name by ``@``."""

    __slots__ = ("loose", "offers", "plain", "uniform", "versioned")

    def __init__(self) -> None:
        self.plain: set[bytes] = set()  #: wanted without a version
        self.versioned: dict[bytes, bytes] = {}  #: wanted name@version -> name
        self.offers: set[bytes] = set()  #: name, name@version
        self.loose: set[bytes] = set()  #: names whose definition satisfies every version
        self.uniform: bytes | None = None  #: ``@`` and the one version that all of ``offers`` have


class Census:
    """Tables of the files that were asked about, each read once. The files must not change meanwhile."""

    def __init__(self, view: ProcessView) -> None:
        self._tables: dict[_Key, Table | None] = {}
        self._wanted: dict[_Key, Table | None] = {}
        self._asked: dict[_Key, Asked | None] = {}
        self._keys: dict[str, _Key] = {}
        self._more: dict[str, bool] = {}
        self._view = view
        self._global = view.program_closure()
        self._loaded = set(view.loaded)
        self._fine: set[tuple[_Key, frozenset[_Key]]] = set()

    def satisfied(self, trace: Trace) -> bool:
        """True when everything that ``trace`` would bring into the process finds its symbols and versions."""
        if trace.refused is not None or trace.failures:
            return False
        closure = trace.closure
        scope = (*self._global, *closure)
        present = frozenset(map(self._key, scope))
        everything = (*closure, *self._view.loaded)
        for path in (trace.path, *(one for one in closure if one not in self._loaded)):
            if self._wants_more(path):
                return False
            seen = (self._key(path), present)
            if seen in self._fine:
                continue
            if not self._versions_found(path, everything) or not self._symbols_found(path, scope):
                return False
            self._fine.add(seen)
        return True

    def mapped(self) -> list[str]:
        """Paths of the objects that were judged: what a load would map."""
        return list(self._more)

    def _key(self, path: str) -> _Key:
        """What tells a file apart, whatever path leads to it."""
        key = self._keys.get(path)
        if key is None:
            key = self._keys[path] = read_facts(path).signature or path
        return key

    def _wants_more(self, path: str) -> bool:
        """True for a library whose load depends on more than its needs: static TLS, an executable stack, a mount."""
        more = self._more.get(path)
        if more is None:
            elf = read_facts(path).elf
            more = elf is None or elf.execstack or bool(elf.flags & DF_STATIC_TLS and elf.tls_size) or _noexec(path)
            self._more[path] = more
        return more

    def _versions_found(self, path: str, everything: Sequence[str]) -> bool:
        elf = read_facts(path).elf
        if elf is None:
            return False
        if not elf.verneed:
            return True
        from dlrepair.binary.symbols import version_gaps

        return not version_gaps(path, everything)

    def _symbols_found(self, path: str, scope: Sequence[str]) -> bool:
        wanted = self._wants(path)
        if wanted is None:
            return False
        plain, versioned = wanted.plain, wanted.versioned
        for provider in scope:
            if not plain and not versioned:
                break
            if provider == path:
                continue
            key = self._key(provider)
            if key not in self._tables and self._asks(key, provider, len(plain) + len(versioned)):
                asked = self._asked[key]
                if asked is not None:
                    plain, versioned = asked.without(plain, versioned)
                continue
            table = self._offers(key, provider)
            if table is None:
                continue
            plain = plain - table.offers
            if versioned:
                versioned = {
                    key: name
                    for key, name in versioned.items()
                    if key not in table.offers
                    and name not in table.loose
                    and not (table.uniform is not None and name in table.offers and key == name + table.uniform)
                }
        return not plain and not versioned

    def _asks(self, key: _Key, path: str, count: int) -> bool:
        """Whether ``count`` names are looked up in the file one by one: its whole table would cost more."""
        if key not in self._asked:
            self._asked[key] = Asked.of(path)
        asked = self._asked[key]
        return asked is None or asked.rows > ROWS_A_LOOKUP * count

    def _wants(self, path: str) -> Table | None:
        key = self._key(path)
        if key not in self._wanted:
            self._wanted[key] = _read(path, wants=True)
        return self._wanted[key]

    def _offers(self, key: _Key, path: str) -> Table | None:
        if key not in self._tables:
            self._tables[key] = _read(path, wants=False)
        return self._tables[key]


class Asked:
    """A library of many symbols, of which few are asked for: look-ups in its hash table, each answer kept."""

    __slots__ = ("_answers", "_elf", "rows")

    def __init__(self, elf: ElfFile) -> None:
        self._elf, self._answers = elf, {}  # type: ElfFile, dict[bytes, bool]
        self.rows = elf.symbols.count() if elf.symbols.has_gnu_hash else 0

    @classmethod
    def of(cls, path: str) -> Asked | None:
        """None where the file cannot be read, and so defines nothing. A file of many symbols stays open."""
        try:
            elf = open_elf(path)
        except (OSError, ValueError):
            return None
        found = cls(elf)
        if found.rows < FEW:
            found.rows = 0
            elf.close()
        else:
            elf.symbols.keep_hashes()
        return found

    def without(self, plain: set[bytes], versioned: dict[bytes, bytes]) -> tuple[set[bytes], dict[bytes, bytes]]:
        """What of the names is not defined here."""
        answers = self._answers
        fresh = [(name, name) for name in plain if name not in answers]
        fresh += [(key, name) for key, name in versioned.items() if key not in answers]
        if fresh:
            self._look_up(fresh)
        left = {name for name in plain if not answers[name]}
        return left, {key: name for key, name in versioned.items() if not answers[key]}

    def _look_up(self, fresh: list[tuple[bytes, bytes]]) -> None:
        answers, table = self._answers, self._elf.symbols
        answers.update(dict.fromkeys((key for key, _ in fresh), False))
        hashes = gnu_hashes([name for _, name in fresh])
        for (key, name), hashed in table.may_define(zip(fresh, hashes)):
            version = key[len(name) + 1 :].decode("utf-8", "surrogateescape") if key != name else None
            answers[key] = table.defines(name, version, hashed)


def _noexec(path: str) -> bool:
    """True when no code can be mapped from the file system of ``path`` (mmap(2), EPERM)."""
    try:
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 8))
    except OSError:
        return False


def _read(path: str, wants: bool) -> Table | None:
    try:
        with open_elf(path) as elf:
            return _wanted(elf) if wants else _offered(elf)
    except (OSError, ValueError):  # ElfError is one; so is a name without an end
        return None


def _strings(elf: ElfFile) -> bytes:
    image = elf.image
    return _read_whole(elf, image.str_at, min(image.str_size, MAX_STRINGS)) if image.str_at is not None else b""


def _read_whole(elf: ElfFile, at: int, count: int) -> bytes:
    """As ``Image.read``; a count beyond the end of the file costs no memory."""
    return elf.image.read(at, min(count, max(0, elf.image.size - at)))


def _versions(elf: ElfFile, start: int, end: int) -> Sequence[int]:
    """DT_VERSYM entries of the rows; empty where the file has none."""
    import struct

    at, image = elf.symbols.versym_at, elf.image
    if at is None or end <= start:
        return ()
    raw = _read_whole(elf, at + 2 * start, 2 * (end - start))
    return struct.unpack("%s%dH" % ("<" if image.little else ">", len(raw) // 2), raw[: len(raw) // 2 * 2])


def _version_names(elf: ElfFile, own: bool) -> dict[int, bytes]:
    """Index -> name of the versions that the file defines, or needs."""
    table = elf.symbols.versions().items()
    return {index: name.encode("utf-8", "surrogateescape") for index, (name, mine) in table if mine is own}


def _rows(elf: ElfFile, start: int, end: int) -> Iterable[tuple[int, ...]]:
    """(name, info, other, section, value, size) of the rows, whatever the class."""
    symbols, image = elf.symbols, elf.image
    if symbols.sym_at is None or end <= start:
        return ()
    size = symbols.sym_size
    raw = _read_whole(elf, symbols.sym_at + start * size, (end - start) * size)
    rows = image.layout.sym.iter_unpack(raw[: len(raw) // size * size])
    return rows if image.bits == 64 else ((r[0], r[3], r[4], r[5], r[1], r[2]) for r in rows)


def _wanted(elf: ElfFile) -> Table:
    table, end = Table(), elf.symbols.first_defined()
    entries = _versions(elf, 1, end)
    names = _version_names(elf, own=False)
    rows = [
        (name_at, names.get(entries[number] & 0x7FFF) if number < len(entries) else None)
        for number, (name_at, info, _other, section, _value, _size) in enumerate(_rows(elf, 1, end))
        if not section and name_at and info >> 4 and info >> 4 != 2  # neither defined, nameless, local nor weak
    ]
    if not rows:
        return table
    places = [row[0] for row in rows]
    strings, first = _strings_from(elf, min(places), max(places))
    plain, find = table.plain, strings.index
    for name_at, version in rows:
        name = strings[name_at - first : find(b"\0", name_at - first)]
        if version is None:
            plain.add(name)
        else:
            table.versioned[name + b"@" + version] = name
    return table


def _strings_from(elf: ElfFile, first: int, last: int) -> tuple[bytes, int]:
    """(the part of the string table that holds the names at ``first`` to ``last``, where it begins)."""
    image = elf.image
    size = min(image.str_size, MAX_STRINGS)
    if image.str_at is None or last >= size:
        return b"", 0
    end = last + LONGEST
    while end < size:
        raw = _read_whole(elf, image.str_at + first, end - first)
        if raw.find(b"\0", last - first) >= 0:
            return raw, first
        end += end - last
    return _read_whole(elf, image.str_at + first, size - first), first


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
        wanted = _wanted(elf)
        table.offers = set(strings.split(b"\0")) - wanted.plain - set(wanted.versioned.values())
        if 2 in own:
            table.uniform = b"@" + own[2]
        else:
            table.loose = table.offers
        return table
    find, offers, loose = strings.index, table.offers, table.loose
    for number, (name_at, info, other, section, value, _size) in enumerate(_rows(elf, first, total)):
        if not section or not name_at or not info >> 4 or other & 3 in (1, 2) or info & 15 not in TYPES:
            continue
        if not value and section != SHN_ABS and info & 15 != STT_TLS:
            continue
        name = strings[name_at : find(b"\0", name_at)]
        entry = entries[number] if number < len(entries) else 1
        version = own.get(entry & 0x7FFF)
        hidden = entry & HIDDEN_VERSION
        if not hidden or entry & 0x7FFF < 3:
            offers.add(name)
        if version is not None:
            offers.add(name + b"@" + version)
        elif not hidden:
            loose.add(name)
    return table
