"""What ``dlopen`` would stumble over first, without loading anything.

ld.so's order (elf/dl-open.c, dl_open_worker): objects not found or refused, breadth
first; then missing symbol versions, object by object; then undefined symbols, the last
object first, in the order of its relocations.
"""

from __future__ import annotations

from dlrepair.binary.elf import ElfError, open_elf, read_facts
from dlrepair.binary.machine import DF_STATIC_TLS, STATIC_TLS_ROOM
from dlrepair.binary.relocations import referenced_symbols
from dlrepair.binary.scope import fresh_process, resolve
from dlrepair.binary.symbols import has_no_versions, unresolved_rows, version_gaps
from dlrepair.binary.trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView


class Failure:
    """The first thing at which a load would fail.

    ``kind``: ``refused`` (``subject`` is a file that ld.so does not take, ``detail`` why), ``missing``
    (the DT_NEEDED name ``missing`` of ``subject``), ``version`` (``missing`` of ``provider``, wanted by
    ``subject``), ``abort`` (the same, where ld.so does not report it but ends the process), ``symbol``
    (``missing``, wanted by ``subject``) or ``static-tls``.
    """

    __slots__ = ("detail", "kind", "missing", "provider", "subject")

    def __init__(self, kind: str, subject: str, missing: str = "", detail: str = "", provider: str = "") -> None:
        self.kind, self.subject, self.missing, self.detail, self.provider = kind, subject, missing, detail, provider

    def __repr__(self) -> str:
        return "Failure(%r, %r, missing=%r, detail=%r)" % (self.kind, self.subject, self.missing, self.detail)


def first_failure(
    path: str, *, process: ProcessView | None = None, preloaded: Sequence[str] = (), trace: Trace | None = None
) -> Failure | None:
    """What ``dlopen(path, RTLD_NOW)`` would report first; None when it would load.

    Memory, seccomp, what initialisers do and how much static TLS is used up already are not foreseen. ``trace`` saves
    the search where ``resolve`` was asked already with the same process.
    """
    view = process if process is not None else fresh_process()
    found = trace if trace is not None else resolve(path, process=view, preloaded=preloaded)
    if found.refused is not None:
        return Failure("refused", path, detail=found.refused)
    for entry in found.failures:
        if entry.blocked_by:
            reason = entry.tried[-1][1] if entry.tried else ""
            return Failure("refused", entry.blocked_by, entry.name, reason.partition(": ")[2])
        return Failure("missing", entry.needed_by, entry.name)
    fresh = [path] + [entry.path for entry in found.entries if entry.path and entry.how not in ("loaded", "same-file")]
    gaps = {subject: version_gaps(subject, found.closure) for subject in fresh}
    for subject in fresh:
        for _file, version, provider in gaps[subject]:
            if not has_no_versions(provider):
                return Failure("version", subject, version, provider=provider)
    for subject in reversed(fresh):
        failure = _relocation(subject, (path, *found.closure), view, gaps[subject])
        if failure is not None:
            return failure
    return None


def _relocation(
    subject: str, closure: Sequence[str], view: ProcessView, gaps: Sequence[tuple[str, str, str]]
) -> Failure | None:
    """What the relocation of ``subject`` would fail at."""
    try:
        rows = unresolved_rows(subject, closure, view)
    except (OSError, ElfError):
        rows = []
    if gaps:
        abort = _assertion(subject, closure, view, gaps, rows[0][0] if rows else None)
        if abort is not None:
            return abort
    if rows:
        return Failure("symbol", subject, rows[0][0])
    elf = read_facts(subject).elf
    if elf is not None and elf.flags & DF_STATIC_TLS and elf.tls_size > STATIC_TLS_ROOM:
        return Failure("static-tls", subject, detail="it wants %d bytes of static TLS" % elf.tls_size)
    return None


def _assertion(
    subject: str, closure: Sequence[str], view: ProcessView, gaps: Sequence[tuple[str, str, str]], undefined: str | None
) -> Failure | None:
    """ld.so's own assertion (elf/dl-lookup.c, check_match), where it comes before the symbol ``undefined``.

    It fails when a reference with a version meets its name in the very file that the version is of, and that file
    has no version table; not where another object before it in the scope defines the symbol.
    """
    providers = {version: provider for _file, version, provider in gaps}
    scope = [one for one in dict.fromkeys((*view.program_closure(), *closure)) if one != subject]
    with open_elf(subject) as elf:
        rows = {row[3]: row for row in elf.symbols.undefined()}
        for index in referenced_symbols(elf.image) or ():
            row = rows.get(index)
            if row is None:
                continue
            name, version = row[0], row[1]
            if name == undefined:
                return None
            if version in providers and _meets(name, version, providers[version], scope):
                return Failure("abort", subject, version, "it has no version information at all", providers[version])
    return None


def _meets(name: str, version: str, provider: str, scope: Sequence[str]) -> bool:
    """True when the look-up of ``name`` in ``scope`` comes to a definition in ``provider``."""
    for path in scope:
        try:
            with open_elf(path) as elf:
                if elf.defines(name, version):
                    return path == provider
        except (OSError, ElfError):
            continue
    return False
