"""Whether a library finds every symbol that it needs: proved for many files at once, by sets of names.

Looking names up one by one answers for one library; over a whole environment the same providers
are asked hundreds of thousands of times, and reading each once is cheaper. ``True`` here is a proof
by the rules of ``SymbolTable.defines``; ``False`` means only that ``binary.symbols`` has to look.
"""

from __future__ import annotations

import os

from dlrepair.binary.elf import read_facts
from dlrepair.binary.lookups import Asked
from dlrepair.binary.machine import DF_STATIC_TLS, STATIC_TLS_ROOM
from dlrepair.binary.tables import MANY, Strings, Table, read_offers, read_wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, Tuple, Union

    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.trace import Trace

    _Key = Union[str, Tuple[int, int, int, int]]

#: reading this many rows of a symbol table costs about as much as looking one name up; of a table of so many symbols
#: that its strings are searched instead (``tables.Strings``), as many as this
ROWS_A_LOOKUP, STRINGS_A_LOOKUP = 6, 20
#: libraries that want more names than this are asked about one by one
LARGE = 2000


class Census:
    """Tables of the files that were asked about, each read once. The files must not change meanwhile."""

    def __init__(self, view: ProcessView) -> None:
        self._tables: dict[_Key, Table | Strings | None] = {}
        self._whole: dict[_Key, Table | Strings | None] = {}
        self._wanted: dict[_Key, Table | None] = {}
        self._asked: dict[_Key, Asked | None] = {}
        self._keys: dict[str, _Key] = {}
        self._more: dict[str, bool] = {}
        self._view = view
        self._global = view.program_closure()
        self._scopes: dict[tuple[str, ...], frozenset[_Key]] = {}
        self._loaded = set(view.loaded)
        self._hashes: dict[bytes, int] = {}
        self._always: tuple[frozenset[str], Table] | None = None
        self._named: dict[str, tuple[str | None, frozenset[str], bool]] = {}
        self._names: dict[tuple[str, ...], dict[str, str]] = {}

    def satisfied(self, trace: Trace) -> bool:
        """True when everything that ``trace`` would bring into the process finds its symbols and versions."""
        if trace.refused is not None or trace.failures:
            return False
        closure = trace.closure
        return all(self.finding([(path, closure) for path in (trace.path, *self.brought(closure))]))

    def brought(self, closure: Sequence[str]) -> list[str]:
        """What of a library's closure is not in the process yet."""
        return [path for path in closure if path not in self._loaded]

    def pair(self, path: str, closure: tuple[str, ...]) -> tuple[_Key, frozenset[_Key]]:
        """What the answer of ``finds`` depends on: the file, and the files that it meets."""
        scope = self._scopes.get(closure)
        if scope is None:
            scope = self._scopes[closure] = frozenset(map(self._key, (*self._global, *closure)))
        return self._key(path), scope

    def finds(self, path: str, closure: tuple[str, ...]) -> bool:
        """True when one library finds its symbols and versions where ``closure`` is what is loaded with it."""
        return self.finds_versions(path, closure) and self._symbols_found([path], (*self._global, *closure))

    def finding(self, pairs: Sequence[tuple[str, tuple[str, ...]]]) -> list[bool]:
        """What ``finds`` says of each of ``pairs``.

        What several libraries want of the same files is asked of these files once, and of each library by itself
        only where something is not found.
        """
        groups: dict[frozenset[_Key], list[int]] = {}
        for number, (path, closure) in enumerate(pairs):
            if self.finds_versions(path, closure):
                groups.setdefault(self.pair(path, closure)[1], []).append(number)
        found = [False] * len(pairs)
        for group in groups.values():
            small = [number for number in group if self._is_modest(pairs[number][0])]
            together = [pairs[number][0] for number in small]
            if len(small) > 1 and self._symbols_found(together, (*self._global, *pairs[small[0]][1])):
                for number in small:
                    found[number] = True
            for number in group:
                if not found[number]:
                    path, closure = pairs[number]
                    found[number] = self._symbols_found([path], (*self._global, *closure))
        return found

    def _is_modest(self, path: str) -> bool:
        """Whether the library can be asked about together with others."""
        wanted = self._wants(path)
        return wanted is not None and len(wanted.plain) + len(wanted.versioned) < LARGE and path not in self._loaded

    def finds_versions(self, path: str, closure: tuple[str, ...]) -> bool:
        """Of ``finds``, all but the symbols."""
        return not self._wants_more(path) and self._versions_found(path, closure)

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
        """True where a load depends on more than its needs: much static TLS, an executable stack, a mount."""
        more = self._more.get(path)
        if more is None:
            elf = read_facts(path).elf
            more = elf is None or elf.execstack or _noexec(path)
            if elf is not None and elf.flags & DF_STATIC_TLS and elf.tls_size > STATIC_TLS_ROOM:
                more = True
            self._more[path] = more
        return more

    def _versions_found(self, path: str, closure: tuple[str, ...]) -> bool:
        """Whether ``version_gaps`` has nothing to say."""
        elf = read_facts(path).elf
        if elf is None:
            return False
        if not elf.verneed:
            return True
        names = self._providers(closure)
        for file, version, weak in elf.verneed:
            if not weak and file in names:
                _soname, defined, lenient = self._provider_facts(names[file])
                if version not in defined and not lenient:
                    return False
        return True

    def _providers(self, closure: tuple[str, ...]) -> dict[str, str]:
        """Name -> path of what is loaded and of ``closure``: by SONAME, else by file name; the first one counts."""
        names = self._names.get(closure)
        if names is None:
            names = self._names[closure] = {}
            everything = (*closure, *self._view.loaded)
            for provider in everything:
                soname = self._provider_facts(provider)[0]
                if soname:
                    names.setdefault(soname, provider)
            for provider in everything:
                names.setdefault(provider.rpartition("/")[2], provider)
        return names

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

    def _symbols_found(self, paths: Sequence[str], scope: Sequence[str]) -> bool:
        """Whether each of the libraries finds its symbols in ``scope``; one of several is none of the global scope."""
        tables = [self._wants(path) for path in paths]
        wanted = tables[0] if len(tables) == 1 else Table.wanted_by([one for one in tables if one is not None])
        if wanted is None or None in tables:
            return False
        plain, versioned = wanted.plain, wanted.versioned
        own = paths[0] if len(paths) == 1 else ""
        always, common = self._globally()
        if own not in always:
            plain, versioned = common.without(plain, versioned, wanted.names)
        later: list[str] = []
        for provider in scope:
            if not plain and not versioned:
                return True
            if provider == own or (provider in always and own not in always):
                continue
            key = self._key(provider)
            if self._is_large(key, provider):
                later.append(provider)
                continue
            table = self._tables[key]
            if table is not None:
                plain, versioned = table.without(plain, versioned, wanted.names)
        # Whoever defines a name, it is found: those that answer slowly come last. Of them those with versions leave the
        # others less to look up; of very many names the largest knows most, and the rest can be looked up elsewhere.
        many = len(plain) + len(versioned) > LARGE
        later.sort(key=lambda one: (not many and not self._provider_facts(one)[1], -self._rows(one)))
        for provider in later:
            if not plain and not versioned:
                return True
            answers = self._provider(self._key(provider), provider, len(plain) + len(versioned))
            if answers is not None:
                plain, versioned = answers.without(plain, versioned, wanted.names)
        return not plain and not versioned

    def _rows(self, path: str) -> int:
        asked = self._asked[self._key(path)]
        return asked.rows if asked is not None else 0

    def _globally(self) -> tuple[frozenset[str], Table]:
        """(the global scope's smaller libraries, what they offer together)."""
        if self._always is None:
            found: dict[str, Table] = {}
            for path in self._global:
                key = self._key(path)
                table = None if self._is_large(key, path) else self._tables[key]
                if isinstance(table, Table):
                    found[path] = table
            self._always = frozenset(found), Table.together(list(found.values()))
        return self._always

    def _is_large(self, key: _Key, path: str) -> bool:
        """Whether names may have to be looked up in the file one by one; otherwise its table has been read."""
        asked = self._asked.get(key)
        if asked is None and key not in self._tables:
            asked = self._asked[key] = Asked.of(path, self._hashes)
            if asked is None or not asked.rows:
                self._tables[key] = read_offers(path) if asked is not None else None
        return asked is not None and asked.rows > 0

    def _provider(self, key: _Key, path: str, count: int) -> Table | Strings | Asked | None:
        """How ``count`` names are asked of a large file: one by one, unless its whole table costs less."""
        asked = self._asked[key]
        if asked is not None:
            each = STRINGS_A_LOOKUP if asked.rows > MANY else ROWS_A_LOOKUP
            if asked.rows > each * count:
                return asked
        if key not in self._whole:
            self._whole[key] = read_offers(path)
        return self._whole[key]

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
