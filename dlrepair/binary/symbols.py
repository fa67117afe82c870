"""Which symbols and versions of a library would stay unresolved, and why."""

from __future__ import annotations

from dlrepair.binary.elf import ElfError, ElfFile, open_elf, read_facts
from dlrepair.binary.hashes import gnu_hash
from dlrepair.binary.process import ProcessView, defined_globally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, Tuple

    _File = Tuple[str, Tuple[int, int, int, int]]

#: above so many look-ups the hash table is read as a whole
BULK = 400
MAX_REMEMBERED = 4096


class Unresolved:
    """An undefined symbol that nothing in the search scope defines.

    ``klass``: ``link`` (a library that defines it is there, but not in the scope), ``abi``
    (the other C++ ABI of the same function is there), ``version`` (the function is there with
    another signature or namespace: another release), ``other``.
    """

    __slots__ = ("klass", "name", "provider_hint", "version", "weak")

    def __init__(
        self, name: str, version: str | None, weak: bool, provider_hint: str = "", klass: str = "other"
    ) -> None:
        self.name = name
        self.version = version
        self.weak = weak
        self.provider_hint = provider_hint  #: path of the library that defines it, or nearly does; or ""
        self.klass = klass

    def __repr__(self) -> str:
        return "Unresolved(%r, %r, klass=%r, provider_hint=%r)" % (
            self.name, self.version, self.klass, self.provider_hint,
        )  # fmt: skip


def demangle(name: str) -> str:
    """The C++ declaration that ``name`` stands for, or ``name`` itself where it is none."""
    from dlrepair.binary.demangle import demangle as decode

    return decode(name)


def _open_all(paths: Iterable[str]) -> list[ElfFile]:
    opened: list[ElfFile] = []
    for path in paths:
        try:
            opened.append(open_elf(path))
        except (OSError, ElfError):
            continue
    return opened


def global_scope(process: ProcessView | None) -> tuple[str, ...]:
    """Paths whose symbols a fresh interpreter offers to every library: its own and its DT_NEEDED closure's."""
    from dlrepair.binary.scope import fresh_process

    view = process if process is not None else fresh_process()
    return view.program_closure()


def unresolved(
    path: str, closure: Sequence[str], *, process: ProcessView | None = None, also: Sequence[str] = ()
) -> tuple[Unresolved, ...]:
    """The undefined symbols of ``path`` that neither it, ``closure`` nor the process's global scope defines.

    Weak ones are left out: they may stay undefined. ``process`` None stands for a fresh
    interpreter. ``also`` are libraries that are not in the scope and might be meant: the
    framework's. Raises ``OSError`` or ``ElfError`` when ``path`` itself cannot be read.
    """
    left = unresolved_rows(path, closure, process)
    if not left:
        return ()
    from dlrepair.binary.classify import classify

    return classify(path, left, closure, process, also)


#: file -> sets of providers that were seen to define all that it wants; (path, signature) each
_satisfied: dict[_File, list[frozenset[_File]]] = {}


def unresolved_rows(
    path: str, closure: Sequence[str], process: ProcessView | None = None
) -> list[tuple[str, str | None, bool]]:
    """(name, version, weak) as ``unresolved``, unclassified, in the order in which ld.so's relocation meets them.

    A file that was satisfied once stays so wherever the same providers are in the scope.
    """
    scope = _scope_paths(path, closure, process)
    here = _identify(path)
    present = {_identify(provider) for provider in scope}
    if here is not None and any(used <= present for used in _satisfied.get(here, ())):
        return []
    with open_elf(path) as elf:
        wanted = [row for row in elf.symbols.undefined() if not row[2]]
        left, used = _left(wanted, scope)
        if not left and here is not None:
            if len(_satisfied) >= MAX_REMEMBERED:
                _satisfied.clear()
            _satisfied.setdefault(here, []).append(frozenset(filter(None, map(_identify, used))))
        if left and process is not None and process.live:
            left = _not_global(left, process)
        if left:
            left = _referenced(elf, left)
    return [row[:3] for row in left]


def _identify(path: str) -> _File | None:
    signature = read_facts(path).signature
    return None if signature is None else (path, signature)


def _not_global(
    rows: list[tuple[str, str | None, bool, int]], process: ProcessView
) -> list[tuple[str, str | None, bool, int]]:
    """The rows that the global scope of this process does not define."""
    answers = [defined_globally(row[0]) for row in rows]
    if None not in answers:
        return [row for row, defined in zip(rows, answers) if not defined]
    return _left(rows, process.program_closure())[0]


def _scope_paths(path: str, closure: Sequence[str], process: ProcessView | None) -> list[str]:
    found = dict.fromkeys(closure)
    if process is None or not process.live:
        found.update(dict.fromkeys(global_scope(process)))
    else:
        found.update(dict.fromkeys(process.promoted))
    found.pop(path, None)  # an undefined symbol is not defined in the same table
    return list(found)


def _left(
    wanted: list[tuple[str, str | None, bool, int]], paths: Sequence[str]
) -> tuple[list[tuple[str, str | None, bool, int]], list[str]]:
    """The rows that no file of ``paths`` defines, and the files that define others."""
    rows = [(row, row[0].encode("utf-8", "surrogateescape")) for row in wanted]
    hashed = [(row, name, gnu_hash(name)) for row, name in rows]
    used: list[str] = []
    for provider in paths:
        if not hashed:
            break
        for elf in _open_all((provider,)):
            with elf:
                table = elf.symbols
                if len(hashed) > BULK:
                    table.keep_hashes()
                defines, before = table.defines, len(hashed)
                hashed = [item for item in hashed if not defines(item[1], item[0][1], item[2])]
                if len(hashed) < before:
                    used.append(provider)
    return [item[0] for item in hashed], used


def _referenced(elf: ElfFile, rows: list[tuple[str, str | None, bool, int]]) -> list[tuple[str, str | None, bool, int]]:
    """The rows that a relocation names: ld.so looks for no others. All of them where none can be read."""
    from dlrepair.binary.relocations import referenced_symbols

    used = referenced_symbols(elf.image)
    if used is None:
        return rows
    order = {row: place for place, row in enumerate(used)}
    return sorted((row for row in rows if row[3] in order), key=lambda row: order[row[3]])


def has_no_versions(path: str) -> bool:
    """True for a shared object that neither defines nor needs any symbol version: it has no DT_VERSYM table."""
    elf = read_facts(path).elf
    return elf is not None and not elf.verdef and not elf.verneed


def version_gaps(path: str, closure: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """(needed file, version, provider's path) of every symbol version that the provider in ``closure`` lacks.

    As ``_dl_check_map_versions`` does it (glibc, elf/dl-version.c): weak needs are let pass, and so is
    a provider that defines no versions; but not one without any version table (``has_no_versions``):
    at the first such symbol ld.so's own assertion ends the process (elf/dl-lookup.c, check_match).
    """
    elf = read_facts(path).elf
    if elf is None or not elf.verneed:
        return ()
    by_name: dict[str, str] = {}
    for provider in closure:
        facts = read_facts(provider).elf
        if facts is not None and facts.soname:
            by_name.setdefault(facts.soname, provider)
    for provider in closure:
        by_name.setdefault(provider.rpartition("/")[2], provider)
    gaps: list[tuple[str, str, str]] = []
    for file, version, weak in elf.verneed:
        provider = by_name.get(file, "")
        facts = read_facts(provider).elf if provider else None
        if facts is None or weak or version in facts.verdef:
            continue
        if not facts.verdef and not has_no_versions(provider):
            continue
        gaps.append((file, version, provider))
    return tuple(gaps)
