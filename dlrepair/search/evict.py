"""What the index gives up: roots that are gone or were not asked for in a month, and the longest unused of too many.

Roots are known by their ``stamps``: the path, and when a failing load has asked for it last.
"""

from __future__ import annotations

import os
import time

from dlrepair.search import catalogue, stamps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from dlrepair.search.catalogue import Catalogue, Writer

#: seconds after which a root that no failing load has asked for is given up
UNUSED = 30 * 86400.0

#: roots of one index, most: those asked for last are kept
MAX_ROOTS = 200

#: the part of each bound that is filled again after the index was full
_FILL = 0.8

#: seconds that a tidying waits for a scan to end
_WAIT = 10.0


def tidy(now: float | None = None) -> tuple[int, int]:
    """(files, bytes) removed: the index without what it has no use for. Whoever scans at the moment goes first.

    ``now`` is ``time.time()``. An index that cannot be used is left to the next failing load, which makes it anew.
    """
    try:
        directory = catalogue.place(create=False)
        before = os.path.getsize(catalogue.file_path(directory))
    except (catalogue.Unusable, OSError):
        return 0, 0
    writer = catalogue.Writer(directory)
    try:
        if not writer.lock(time.monotonic() + _WAIT):
            return 0, 0
        stamps = shrink(writer, (), time.time() if now is None else now)
        writer.publish(compact=True)
        return stamps, max(0, before - os.path.getsize(catalogue.file_path(directory)))
    except (catalogue.Unusable, OSError):
        return 0, 0
    finally:
        writer.close()


def shrink(writer: Writer, wanted: Sequence[str], now: float) -> int:
    """Drops rows of roots that are given up, never of those ``wanted``; how many roots that were. The lock is held.

    Changes the writer's copy, which is made only if there is something to drop. Raises ``Unusable``.
    """
    kept, gone = _sort_roots(writer.directory, wanted, now)
    reader = writer.catalogue or catalogue.Catalogue(catalogue.file_path(writer.directory))
    try:
        total = reader.counts()
        sizes = [_count(reader, root) for root in kept]
        size = os.path.getsize(reader.path)
    finally:
        if reader is not writer.catalogue:
            reader.close()
    bounds = (catalogue.MAX_DIRECTORIES, catalogue.MAX_LIBRARIES, catalogue.MAX_BYTES)
    have = (*total, size)
    full = any(one >= bound for one, bound in zip(have, bounds))
    share = max(one / bound for one, bound in zip(have, bounds)) if full else 0.0
    inside = sum(sizes)
    while kept and (len(kept) > MAX_ROOTS or share * inside / max(1, total[0]) > _FILL):
        if any(_holds(kept[-1], root) for root in wanted):
            break
        gone.append(kept.pop())
        inside -= sizes.pop()
    if inside < total[0]:
        index = writer.catalogue if writer.catalogue is not None else writer.open()
        _drop(index, kept)
    for root in gone:
        stamps.forget_check(writer.directory, root)
    return len(gone)


def _sort_roots(directory: str, wanted: Sequence[str], now: float) -> tuple[list[str], list[str]]:
    """(roots to keep, those to give up), each path once: ``wanted`` first, then what was asked for last.

    A root inside another one that is kept has no rows of its own and is left out.
    """
    known = sorted(stamps.checked_roots(directory), key=lambda one: -one[1])
    kept, gone = list(wanted), []
    for root, used in known:
        if root in kept:
            continue
        if now - used > UNUSED or _is_gone(root):
            gone.append(root)
        else:
            kept.append(root)
    widest = [
        root for root in kept
        if not any(root != other and _holds(other, root) for other in kept)
    ]  # fmt: skip
    return widest, gone


def _holds(root: str, path: str) -> bool:
    return (path + "/").startswith(root.rstrip("/") + "/")


def _is_gone(root: str) -> bool:
    """Whether there is certainly no such directory: what cannot be asked may be there tomorrow."""
    try:
        return os.stat(root).st_mode & 0o170000 != 0o040000
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False


def _count(index: Catalogue, root: str) -> int:
    statement = "SELECT count(*) FROM directories WHERE path = ? OR (path >= ? AND path < ?)"
    found: int = index.rows(statement, catalogue.bounds(root))[0][0]
    return found


def _drop(index: Catalogue, kept: Sequence[str]) -> None:
    """Drops everything outside the roots that are kept."""
    values: list[Any] = []
    for root in kept:
        values += catalogue.bounds(root)
    outside = " AND ".join("NOT (path = ? OR (path >= ? AND path < ?))" for _ in kept) or "1"
    index.run("DELETE FROM directories WHERE " + outside, tuple(values))
    index.run("DELETE FROM libraries WHERE directory NOT IN (SELECT id FROM directories)")
    index.run("DELETE FROM data WHERE directory NOT IN (SELECT id FROM directories)")
