"""Look-ups in the dynamic symbol table, as ld.so does them.

Rules: ``do_lookup_x`` and ``check_match`` of glibc's elf/dl-lookup.c; tables: the
System V gABI (DT_HASH) and binutils' DT_GNU_HASH. A look-up reads some dozens of bytes
wherever the table lies, so a library of 800 MB costs no more than a small one.
"""

from __future__ import annotations

from dlrepair.binary.hashes import gnu_hash, sysv_hash
from dlrepair.binary.image import DT_GNU_HASH, DT_HASH, DT_SYMTAB, DT_VERSYM, Image, text
from dlrepair.binary.names import StringReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence, TypeVar

    _Item = TypeVar("_Item")

STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 1, 2, 10
SHN_UNDEF, SHN_ABS = 0, 0xFFF1
STT_TLS = 6
#: NOTYPE, OBJECT, FUNC, COMMON, TLS, GNU_IFUNC: what a reference may bind to (dl-lookup.c, ALLOWED_STT)
ALLOWED_TYPES = frozenset((0, 1, 2, 5, 6, 10))
HIDDEN_VERSION = 0x8000
BLOCK = 1 << 20
ENOUGH = 4096
NAME_BLOCK = 1 << 24
NAME_OVERLAP = 8192
MAX_KEPT = 1 << 25
MAX_ROWS = 1 << 22
MAX_SYMBOLS = 1 << 23


class Symbol:
    """One row of the symbol table."""

    __slots__ = ("bind", "index", "name_at", "other", "section", "type", "value")

    def __init__(self, index: int, row: tuple[int, ...], wide: bool) -> None:
        self.index = index
        if wide:
            self.name_at, info, self.other, self.section, self.value, _size = row
        else:
            self.name_at, self.value, _size, info, self.other, self.section = row
        self.bind, self.type = info >> 4, info & 15

    @property
    def defines(self) -> bool:
        """True when ld.so may bind a reference of another object to it."""
        return (
            (self.value != 0 or self.section == SHN_ABS or self.type == STT_TLS)
            and self.section != SHN_UNDEF
            and self.type in ALLOWED_TYPES
            and self.bind in (STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE)
            and self.other & 3 in (0, 3)  # STV_DEFAULT, STV_PROTECTED
        )


class SymbolTable:
    """The dynamic symbols of one image; tables are located on first use."""

    __slots__ = (
        "_by_index", "_chains", "_gnu", "_heads", "_kept", "_masks", "_names", "_sysv", "image", "sym_at",
        "sym_size", "versym_at",
    )  # fmt: skip

    def __init__(self, image: Image) -> None:
        self.image = image
        self.sym_at = image.table(DT_SYMTAB)
        self.sym_size = image.layout.sym.size
        self.versym_at = image.table(DT_VERSYM)
        self._names: bytes | None = None
        self._heads: Sequence[int] = ()
        self._kept = False
        self._masks: Sequence[int] = ()
        self._chains: Sequence[int] = ()
        self._by_index: dict[int, tuple[str, bool]] | None = None
        self._gnu: tuple[int, int, int, int, int, int, int] | None = None
        self._sysv: tuple[int, int, int] | None = None
        self._locate()

    def _locate(self) -> None:
        image, word = self.image, self.image.layout.word
        at = image.table(DT_GNU_HASH)
        if at is not None:
            raw = image.read(at, 16)
            if len(raw) == 16:
                buckets, first, bloom, shift = (word.unpack_from(raw, i)[0] for i in (0, 4, 8, 12))
                bloom_at = at + 16
                buckets_at = bloom_at + bloom * (image.bits // 8)
                if bloom and buckets_at + 4 * buckets <= image.size:
                    self._gnu = (buckets, first, bloom, shift, bloom_at, buckets_at, buckets_at + 4 * buckets)
                    return
        at = image.table(DT_HASH)
        if at is not None:
            raw = image.read(at, 8)
            if len(raw) == 8:
                buckets, chains = word.unpack_from(raw, 0)[0], word.unpack_from(raw, 4)[0]
                if at + 8 + 4 * (buckets + chains) <= image.size:
                    self._sysv = (buckets, chains, at + 8)

    def keep_hashes(self) -> None:
        """Read the hash table at once: for thousands of look-ups that is cheaper than piece by piece."""
        if self._gnu is not None and not self._kept:
            self._kept = True
            start, end = self._gnu[4], self._gnu[6] + 4 * max(0, self.about() - self._gnu[1])
            self.image.keep(start, min(end - start, MAX_KEPT))

    def keep_rows(self) -> None:
        """Read the symbols and their versions at once, where that costs less than some hundred look-ups."""
        rows = self.about()
        if self.sym_at is not None and rows * self.sym_size <= MAX_ROWS:
            self.image.keep(self.sym_at, rows * self.sym_size)
            if self.versym_at is not None:
                self.image.keep(self.versym_at, 2 * rows)

    @property
    def has_gnu_hash(self) -> bool:
        """Whether DT_GNU_HASH serves look-ups."""
        return self._gnu is not None

    def may_define(self, items: Iterable[tuple[_Item, int]]) -> Iterator[tuple[_Item, int]]:
        """The items whose hash passes the Bloom filter of DT_GNU_HASH; all where there is none."""
        if self._gnu is None:
            yield from items
            return
        image, (_buckets, _first, bloom, shift, at, _buckets_at, _chain_at) = self.image, self._gnu
        width = image.bits
        if not self._masks:
            self._masks = image.numbers(image.read(at, bloom * width // 8), width // 8)
        masks = self._masks
        count, shift = len(masks), shift & 31
        for item, hashed in items:
            mask = masks[hashed // width % bloom] if hashed // width % bloom < count else 0
            if mask >> hashed % width & 1 and mask >> (hashed >> shift) % width & 1:
                yield item, hashed

    def symbol(self, index: int) -> Symbol | None:
        """Row ``index``, or None beyond the end of the file."""
        if self.sym_at is None:
            return None
        raw = self.image.read(self.sym_at + index * self.sym_size, self.sym_size)
        if len(raw) < self.sym_size:
            return None
        return Symbol(index, self.image.layout.sym.unpack(raw), self.image.bits == 64)

    def _word(self, at: int) -> int:
        raw = self.image.read(at, 4)
        return int(self.image.layout.word.unpack(raw)[0]) if len(raw) == 4 else 0

    def _gnu_chain(self, hashed: int) -> Iterator[int]:
        assert self._gnu is not None
        buckets, first, bloom, shift, bloom_at, buckets_at, chain_at = self._gnu
        image = self.image
        width = image.bits
        raw = image.read(bloom_at + (hashed // width) % bloom * (width // 8), width // 8)
        if len(raw) < width // 8:
            return
        mask = image.layout.addr.unpack(raw)[0]
        if not (mask >> hashed % width & 1 and mask >> (hashed >> (shift & 31)) % width & 1):
            return
        index = self._word(buckets_at + hashed % buckets * 4) if buckets else 0
        if index < first or index == 0:
            return
        wanted = hashed | 1
        while index < MAX_SYMBOLS:
            raw = image.read(chain_at + (index - first) * 4, 64)
            words = image.layout.chunk.unpack(raw) if len(raw) == 64 else ()
            if not words:
                words = tuple(image.layout.word.unpack_from(raw, i)[0] for i in range(0, len(raw) // 4 * 4, 4))
                if not words:
                    return
            for value in words:
                if value | 1 == wanted:
                    yield index
                if value & 1:
                    return
                index += 1

    def _sysv_chain(self, name: bytes) -> Iterator[int]:
        assert self._sysv is not None
        buckets, chains, at = self._sysv
        index = self._word(at + sysv_hash(name) % buckets * 4) if buckets else 0
        seen = 0
        while index and index < chains and seen <= chains:
            yield index
            seen += 1
            index = self._word(at + (buckets + index) * 4)

    def chain(self, name: bytes, hashed: int | None = None) -> Iterator[Symbol]:
        """The definitions called ``name``, in the order in which ld.so meets them."""
        if self._gnu is not None:
            return self.named(self._gnu_chain(gnu_hash(name) if hashed is None else hashed), name)
        return self.named(self._sysv_chain(name) if self._sysv is not None else (), name)

    def named(self, rows: Iterable[int], name: bytes) -> Iterator[Symbol]:
        """The rows that are called ``name``, as far as the file reaches."""
        image = self.image
        for index in rows:
            symbol = self.symbol(index)
            if symbol is None:
                return
            if image.str_at is not None and image.read(image.str_at + symbol.name_at, len(name) + 1) == name + b"\0":
                yield symbol

    def candidates(self, items: Iterable[tuple[_Item, int]]) -> Iterator[tuple[_Item, list[int]]]:
        """(item, rows whose hash is the item's) of those that have any. After ``keep_hashes``; DT_GNU_HASH only."""
        if self._gnu is None:
            return
        buckets, first, _bloom, _shift, _bloom_at, buckets_at, chain_at = self._gnu
        image = self.image
        total = max(0, self.about() - first)
        if not self._heads:
            self._heads = image.numbers(image.read(buckets_at, 4 * buckets))
            self._chains = image.numbers(image.read(chain_at, 4 * total))
        heads, chains, end = self._heads, self._chains, len(self._chains)
        for item, hashed in self.may_define(items):
            index = heads[hashed % buckets] if hashed % buckets < len(heads) else 0
            if index < first or index == 0:
                continue
            wanted, rows, at = hashed | 1, [], index - first
            while at < end:
                value = chains[at]
                if value | 1 == wanted:
                    rows.append(at + first)
                if value & 1:
                    break
                at += 1
            if at >= end:  # the table is longer than it seemed
                rows = list(self._gnu_chain(hashed))
            if rows:
                yield item, rows

    def versions(self) -> dict[int, tuple[str, bool]]:
        """Version index -> (version, True if this file defines it)."""
        if self._by_index is None:
            table = {other & 0x7FFF: (name, False) for _file, name, _weak, other in self.image.version_needs()}
            for name, index, flags in self.image.version_definitions():
                if not flags & 1:
                    table[index & 0x7FFF] = (name, True)
            self._by_index = table
        return self._by_index

    def version_index(self, index: int) -> int:
        """The DT_VERSYM entry of symbol ``index``, hidden bit included; 1 (global) where there is none."""
        if self.versym_at is None:
            return 1
        raw = self.image.read(self.versym_at + index * 2, 2)
        return int.from_bytes(raw, "little" if self.image.little else "big") if len(raw) == 2 else 1

    def defines(self, name: bytes, version: str | None = None, hashed: int | None = None) -> bool:
        """True when a reference to ``name`` (of ``version``) binds to this object."""
        return self.binds(self.chain(name, hashed), version)

    def binds(self, symbols: Iterable[Symbol], version: str | None) -> bool:
        """True when a reference (of ``version``) binds to one of these symbols, which have the name."""
        defaults = 0
        for symbol in symbols:
            if not symbol.defines:
                continue
            if self.versym_at is None:
                return True  # an object without versions satisfies every reference
            entry = self.version_index(symbol.index)
            number, hidden = entry & 0x7FFF, bool(entry & HIDDEN_VERSION)
            if version is None:
                if number < 3:  # base and first version (check_match)
                    return True
                defaults += not hidden
                continue
            own = self.versions().get(number)
            if own is not None and own[0] == version:
                return True
            if own is None and not hidden:
                return True  # the definition carries no version
        return defaults == 1

    def about(self) -> int:
        """As ``count``, where the buckets are in order as linkers write them; less where they are not."""
        if self._gnu is None:
            return self.count()
        _buckets, first, _bloom, _shift, _bloom_at, buckets_at, chain_at = self._gnu
        size = min(ENOUGH, chain_at - buckets_at)
        last = max(self.image.numbers(self.image.read(chain_at - size, size)), default=0)
        return min(self._end_of_chain(max(first, last)) if last >= first else first, MAX_SYMBOLS)

    def count(self) -> int:
        """Number of rows; from the hash tables, since nothing else says it."""
        if self._sysv is not None:
            return min(self._sysv[1], MAX_SYMBOLS)
        if self._gnu is None:
            return self._guess_count()
        _buckets, first, _bloom, _shift, _bloom_at, buckets_at, chain_at = self._gnu
        image, last = self.image, 0
        for at in range(buckets_at, chain_at, BLOCK):
            last = max(last, max(image.numbers(image.read(at, min(BLOCK, chain_at - at))), default=0))
        return min(self._end_of_chain(last) if last >= first else first, MAX_SYMBOLS)

    def _end_of_chain(self, last: int) -> int:
        """The row behind the chain that row ``last`` is in."""
        assert self._gnu is not None
        first, chain_at = self._gnu[1], self._gnu[6]
        image, word = self.image, self.image.layout.word
        while last < MAX_SYMBOLS:
            raw = image.read(chain_at + (last - first) * 4, 4096)
            if len(raw) < 4:
                break
            for (value,) in word.iter_unpack(raw[: len(raw) // 4 * 4]):
                last += 1
                if value & 1:
                    return last
        return min(last, MAX_SYMBOLS)

    def _guess_count(self) -> int:
        """Without a hash table: linkers put the string table right behind the symbols."""
        if self.sym_at is None or self.image.str_at is None or self.image.str_at <= self.sym_at:
            return 0
        return min((self.image.str_at - self.sym_at) // self.sym_size, MAX_SYMBOLS)

    def first_defined(self) -> int:
        """Rows before this one hold every undefined symbol (DT_GNU_HASH leaves them unhashed)."""
        return min(self._gnu[1], MAX_SYMBOLS) if self._gnu is not None else self.count()

    def rows(self, start: int, end: int) -> Iterator[Symbol]:
        """Rows ``start`` to ``end``, as far as the file reaches."""
        if self.sym_at is None:
            return
        size, wide, unpack = self.sym_size, self.image.bits == 64, self.image.layout.sym.iter_unpack
        step = BLOCK // size
        for here in range(start, end, step):
            raw = self.image.read(self.sym_at + here * size, min(step, end - here) * size)
            for number, row in enumerate(unpack(raw[: len(raw) // size * size]), here):
                yield Symbol(number, row, wide)
            if len(raw) < min(step, end - here) * size:
                return

    def strings(self, wanted: int) -> StringReader:
        """A reader of many names: the whole string table at once where that costs less than ``wanted`` reads."""
        return StringReader(self.image, wanted)

    def undefined(self) -> list[tuple[str, str | None, bool, int]]:
        """(name, version, weak, row) of every undefined symbol."""
        rows = [s for s in self.rows(1, self.first_defined()) if s.section == SHN_UNDEF and s.name_at and s.bind]
        names, needs = self.strings(len(rows)), self.versions()
        found: list[tuple[str, str | None, bool, int]] = []
        for symbol in rows:
            name = names.get(symbol.name_at)
            if name is None:
                continue
            entry = needs.get(self.version_index(symbol.index) & 0x7FFF)
            version = entry[0] if entry is not None and not entry[1] else None
            found.append((text(name), version, symbol.bind == STB_WEAK, symbol.index))
        return found

    def exported(self) -> Iterator[str]:
        """Names of the definitions that others may bind to."""
        total = self.count()
        start = self._gnu[1] if self._gnu is not None else 1
        names = self.strings(total - start)
        for symbol in self.rows(start, total):
            if symbol.defines:
                name = names.get(symbol.name_at)
                if name is not None:
                    yield text(name)

    def _name_blocks(self) -> Iterator[tuple[int, bytes]]:
        """The string table in blocks that overlap; a table of one block is kept for the next search."""
        image = self.image
        size = min(image.str_size, image.size)
        if image.str_at is None:
            return
        if self._names is not None:
            yield 0, self._names
            return
        for start in range(0, size, NAME_BLOCK):
            raw = image.read(image.str_at + start, min(NAME_BLOCK + NAME_OVERLAP, size - start))
            if size <= NAME_BLOCK:
                self._names = raw
            yield start, raw

    def defined_names(self, fragment: bytes, limit: int = 64) -> Iterator[bytes]:
        """Names of definitions that contain ``fragment``: the string table is searched, not the symbols."""
        found = 0
        for start, raw in self._name_blocks() if fragment else ():
            at = raw.find(fragment)
            while 0 <= at < NAME_BLOCK and found < limit:
                begin, end = raw.rfind(b"\0", 0, at) + 1, raw.find(b"\0", at)
                if end < 0:
                    break
                if begin or not start:
                    name = raw[begin:end]
                    if any(symbol.defines for symbol in self.chain(name)):
                        found += 1
                        yield name
                at = raw.find(fragment, end)
