"""The files below a directory that are named like shared objects."""

from __future__ import annotations

import os

from dlrepair.diagnose import crew
from dlrepair.store import surveys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, Tuple

    #: a directory, what ``stat`` said of it before it was read, the libraries in it
    _Row = Tuple[str, Tuple[bytes, int], List[str]]

#: so many subtrees for every process make their shares even
SUBTREES = 96
ENDS = frozenset(("ylib", ".dll"))


def is_library(name: str) -> bool:
    """Whether a file is named like a shared object."""
    return name.endswith((".so", ".dylib", ".dll")) or ".so." in name


def likely_loader(path: str) -> str:
    """The loader that a file name speaks of: CPython's own suffixes mean ``import`` (PEP 3149)."""
    name = os.path.basename(path)
    return "import" if ".cpython-" in name or ".abi3." in name else "ctypes"


def find_libraries(directory: str) -> Iterator[str]:
    """Files named like shared objects below ``directory``, sorted; links to directories are not followed."""
    below, found = _list(directory)
    yield from sorted(found)
    for one in sorted(below):
        yield from find_libraries(one)


def survey(
    places: list[str], before: Callable[[], object] = lambda: None
) -> tuple[list[str], dict[str, tuple[bytes, int]]]:
    """(what ``find_libraries`` says of ``places``, the state of every directory that was read).

    ``before`` is called while others read (``crew.spread``).
    """
    pending, rows = list(places), []  # type: list[str], list[_Row]
    enough = SUBTREES * crew.size()
    while pending and len(pending) < enough:
        following: list[str] = []
        for directory in pending:
            following += _visit(directory, rows)
        pending = following
    for more in crew.spread(_below, pending, before):
        rows += more
    order = {place: number for number, place in enumerate(places)}
    states = {directory: state for directory, state, _ in rows}
    with_libraries = sorted(
        (_place(directory, order, places), directory.split("/"), sorted(found)) for directory, _, found in rows if found
    )
    return [path for _, _, found in with_libraries for path in found], states


def _place(directory: str, order: dict[str, int], places: list[str]) -> int:
    """The number of the first place that the directory lies in."""
    return next(order[one] for one in places if directory == one or directory.startswith(one.rstrip("/") + "/"))


def _below(top: str) -> list[_Row]:
    rows: list[_Row] = []
    pending = [top]
    while pending:
        pending += _visit(pending.pop(), rows)
    return rows


def _visit(directory: str, rows: list[_Row]) -> list[str]:
    """The directories in this one; it and its libraries are added to ``rows``."""
    state = surveys.state_of(directory)
    below, found = _list(directory)
    rows.append((directory, state, found))
    return below


def _list(directory: str) -> tuple[list[str], list[str]]:
    """(directories, files named like libraries) in a directory; nothing where it cannot be read."""
    below, found = [], []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    continue
                name = entry.name
                if (".so" in name or name[-4:] in ENDS) and is_library(name) and not entry.is_dir():
                    found.append(entry.path)
    except OSError:
        return [], []
    return below, found
