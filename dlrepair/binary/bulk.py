"""Whether a library finds every symbol that it needs: proved for many files at once, by sets of names.

Looking names up one by one answers for one library; over a whole environment the same providers
are asked hundreds of thousands of times, and reading each once is cheaper. ``True`` here is a proof
by the rules of ``SymbolTable.defines``; ``False`` means only that ``binary.symbols`` has to look.
"""

from __future__ import annotations

from dlrepair.binary.elf import open_elf, read_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, Tuple, Union

    from dlrepair.binary.elf import ElfFile
    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.scope import Trace

    _Key = Union[str, Tuple[int, int, int, int]]

HIDDEN_VERSION, DF_STATIC_TLS = 0x8000, 0x10
#: above so many symbols the string table alone is read, where the file has no versions of its own
MANY = 20000
MAX_STRINGS = 1 << 28
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
        present = frozenset(map(_key, scope))
        everything = (*closure, *self._view.loaded)
        for path in (trace.path, *(one for one in closure if one not in self._loaded)):
            if _wants_more(path):
                return False
            seen = (_key(path), present)
            if seen in self._fine:
                continue
            if not self._versions_found(path, everything) or not self._symbols_found(path, scope):
                return False
            self._fine.add(seen)
        return True

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
            table = self._offers(provider)
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

    def _wants(self, path: str) -> Table | None:
        key = _key(path)
        if key not in self._wanted:
            self._wanted[key] = _read(path, wants=True)
        return self._wanted[key]

    def _offers(self, path: str) -> Table | None:
        key = _key(path)
        if key not in self._tables:
            self._tables[key] = _read(path, wants=False)
        return self._tables[key]


def _wants_more(path: str) -> bool:
    """True for a library whose load depends on more than its needs: static TLS, an executable stack."""
    elf = read_facts(path).elf
    return elf is None or elf.execstack or bool(elf.flags & DF_STATIC_TLS and elf.tls_size)


def _key(path: str) -> _Key:
    """What tells a file apart, whatever path leads to it."""
    return read_facts(path).signature or path


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
    table, strings = Table(), _strings(elf)
    end = elf.symbols.first_defined()
    entries = _versions(elf, 1, end)
    names = _version_names(elf, own=False)
    plain, find = [], strings.index
    for number, (name_at, info, _other, section, _value, _size) in enumerate(_rows(elf, 1, end)):
        if section or not name_at or not info >> 4 or info >> 4 == 2:  # defined, nameless, local or weak
            continue
        name = strings[name_at : find(b"\0", name_at)]
        version = names.get(entries[number] & 0x7FFF) if number < len(entries) else None
        if version is None:
            plain.append(name)
        else:
            table.versioned[name + b"@" + version] = name
    table.plain = set(plain)
    return table


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
