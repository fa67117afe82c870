"""What ``dlopen`` would stumble over first, without loading anything.

ld.so's order (elf/dl-open.c, dl_open_worker): objects not found or refused, breadth
first; then missing symbol versions, object by object; then undefined symbols, the last
object first, in the order of its relocations.
"""

from __future__ import annotations

from dlrepair.binary.elf import ElfError
from dlrepair.binary.scope import Trace, fresh_process, resolve
from dlrepair.binary.symbols import unresolved_rows, version_gaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView


class Failure:
    """The first thing at which a load would fail.

    ``kind``: ``refused`` (``subject`` is a file that ld.so does not take, ``detail`` why), ``missing``
    (the DT_NEEDED name ``missing`` of ``subject``), ``version`` (``missing`` of ``provider``, wanted by
    ``subject``) or ``symbol`` (``missing``, wanted by ``subject``).
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

    Static TLS, memory, seccomp and what initialisers do are not foreseen. ``trace`` saves
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
    for subject in fresh:
        for _file, version, provider in version_gaps(subject, found.closure):
            return Failure("version", subject, version, provider=provider)
    for subject in reversed(fresh):
        try:
            rows = unresolved_rows(subject, (path, *found.closure), view)
        except (OSError, ElfError):
            rows = []
        if rows:
            return Failure("symbol", subject, rows[0][0])
    return None
