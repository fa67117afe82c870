"""Whether a library finds every symbol that it needs: proved for many files at once, by sets of names.

Looking names up one by one answers for one library; over a whole environment the same providers
are asked hundreds of thousands of times, and reading each once is cheaper. ``True`` here is a proof
by the rules of ``SymbolTable.defines``; ``False`` means only that ``binary.symbols`` has to look.
"""

from __future__ import annotations

import os

from dlrepair.binary.elf import read_facts
from dlrepair.binary.tables import Asked, Table, read_offers, read_wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, Tuple, Union

    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.scope import Trace

    _Key = Union[str, Tuple[int, int, int, int]]

DF_STATIC_TLS = 0x10
#: reading this many rows of a symbol table costs about as much as looking one name up
ROWS_A_LOOKUP = 12


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
        self._hashes: dict[bytes, int] = {}
        self._always: tuple[frozenset[str], Table] | None = None
        self._named: dict[str, tuple[str | None, frozenset[str], bool]] = {}

    def satisfied(self, trace: Trace) -> bool:
        """True when everything that ``trace`` would bring into the process finds its symbols and versions."""
        if trace.refused is not None or trace.failures:
            return False
        closure = trace.closure
        return all(self.finds(path, closure) for path in (trace.path, *self.brought(closure)))

    def brought(self, closure: Sequence[str]) -> list[str]:
        """What of a library's closure is not in the process yet."""
        return [path for path in closure if path not in self._loaded]

    def pair(self, path: str, closure: Sequence[str]) -> tuple[_Key, frozenset[_Key]]:
        """What the answer of ``finds`` depends on: the file, and the files that it meets."""
        return self._key(path), frozenset(map(self._key, (*self._global, *closure)))

    def finds(self, path: str, closure: Sequence[str]) -> bool:
        """True when one library finds its symbols and versions where ``closure`` is what is loaded with it."""
        if self._wants_more(path):
            return False
        pair = self.pair(path, closure)
        if pair not in self._fine:
            if not self._versions_found(path, (*closure, *self._view.loaded)):
                return False
            if not self._symbols_found(path, (*self._global, *closure)):
                return False
            self._fine.add(pair)
        return True

    def read_global(self) -> None:
        """Read now what the global scope offers: before a fork, so that no child has to."""
        self._globally()

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
        """Whether ``version_gaps`` has nothing to say."""
        elf = read_facts(path).elf
        if elf is None:
            return False
        if not elf.verneed:
            return True
        names: dict[str, str] = {}
        for provider in everything:
            soname = self._provider_facts(provider)[0]
            if soname:
                names.setdefault(soname, provider)
        for provider in everything:
            names.setdefault(provider.rpartition("/")[2], provider)
        for file, version, weak in elf.verneed:
            if not weak and file in names:
                _soname, defined, lenient = self._provider_facts(names[file])
                if version not in defined and not lenient:
                    return False
        return True

    def _provider_facts(self, path: str) -> tuple[str | None, frozenset[str], bool]:
        """(its SONAME, the versions that it defines, whether it lets every version pass)."""
        known = self._named.get(path)
        if known is None:
            elf = read_facts(path).elf
            if elf is None:
                known = None, frozenset(), True
            else:
                known = elf.soname, frozenset(elf.verdef), not elf.verdef and bool(elf.verneed)
            self._named[path] = known
        return known

    def _symbols_found(self, path: str, scope: Sequence[str]) -> bool:
        wanted = self._wants(path)
        if wanted is None:
            return False
        plain, versioned = wanted.plain, wanted.versioned
        always, common = self._globally()
        if path not in always:
            plain, versioned = common.without(plain, versioned, wanted.names)
        later: list[str] = []
        for provider in scope:
            if not plain and not versioned:
                return True
            if provider == path or (provider in always and path not in always):
                continue
            key = self._key(provider)
            if self._is_large(key, provider):
                later.append(provider)
                continue
            table = self._tables[key]
            if table is not None:
                plain, versioned = table.without(plain, versioned, wanted.names)
        for provider in later:  # whoever defines a name, it is found: those that answer slowly come last
            if not plain and not versioned:
                return True
            answers = self._provider(self._key(provider), provider, len(plain) + len(versioned))
            if answers is not None:
                plain, versioned = answers.without(plain, versioned, wanted.names)
        return not plain and not versioned

    def _globally(self) -> tuple[frozenset[str], Table]:
        """(the global scope's smaller libraries, what they offer together)."""
        if self._always is None:
            found: dict[str, Table] = {}
            for path in self._global:
                key = self._key(path)
                table = None if self._is_large(key, path) else self._tables[key]
                if table is not None and table.uniform is None:
                    found[path] = table
            self._always = frozenset(found), Table.together(list(found.values()))
        return self._always

    def _is_large(self, key: _Key, path: str) -> bool:
        """Whether names may have to be looked up in the file one by one; otherwise its table has been read."""
        if key not in self._tables:
            if key not in self._asked:
                self._asked[key] = Asked.of(path, self._hashes)
            asked = self._asked[key]
            if asked is not None and asked.rows:
                return True
            self._tables[key] = read_offers(path) if asked is not None else None
        return False

    def _provider(self, key: _Key, path: str, count: int) -> Table | Asked | None:
        """How ``count`` names are asked of a large file: one by one, unless its whole table costs less."""
        if key not in self._tables:
            asked = self._asked[key]
            if asked is not None and asked.rows > ROWS_A_LOOKUP * count:
                return asked
            self._tables[key] = read_offers(path)
        return self._tables[key]

    def _wants(self, path: str) -> Table | None:
        key = self._key(path)
        if key not in self._wanted:
            self._wanted[key] = read_wanted(path)
        return self._wanted[key]


def _noexec(path: str) -> bool:
    """True when no code can be mapped from the file system of ``path`` (mmap(2), EPERM)."""
    try:
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 8))
    except OSError:
        return False
