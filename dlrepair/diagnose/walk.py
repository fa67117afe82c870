"""The files below a directory that are named like shared objects."""

from __future__ import annotations

import os

from dlrepair.diagnose import crew
from dlrepair.store import surveys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, Tuple

    #: a directory, its state before it was read (``surveys.state_of``), the libraries in it
    _Row = Tuple[str, bytes, List[str]]
    #: names of directories below a place, joined by NUL, and their states, joined; directories with libraries
    _Read = Tuple[str, bytes, List[Tuple[str, List[str]]]]

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
) -> tuple[list[str], list[surveys.Listed]]:
    """(what ``find_libraries`` says of ``places``, every directory that was read, place by place).

    ``before`` is called while others read (``crew.spread``).
    """
    tasks: list[tuple[str, str]] = []
    read: list[tuple[str, _Read]] = []
    enough = SUBTREES * crew.size()
    for place in places:
        pending, rows = [place], []  # type: list[str], list[_Row]
        while pending and len(pending) < enough:
            following: list[str] = []
            for directory in pending:
                following += _visit(directory, rows)
            pending = following
        read.append((place, _packed(place, rows)))
        tasks += [(place, directory) for directory in pending]
    read += zip([place for place, _ in tasks], crew.spread(_below, tasks, before))
    found, listed = [], []  # type: list[str], list[surveys.Listed]
    for place in places:
        own = [one for where, one in read if where == place]
        names = "\0".join([some for some, _, _ in own if some]).split("\0")
        listed.append((place, names, b"".join([states for _, states, _ in own])))
        full = sorted((directory.split("/"), sorted(some)) for _, _, with_some in own for directory, some in with_some)
        found += [path for _, some in full for path in some]
    return found, listed


def _below(task: tuple[str, str]) -> _Read:
    place, top = task
    rows: list[_Row] = []
    pending = [top]
    while pending:
        pending += _visit(pending.pop(), rows)
    return _packed(place, rows)


def _packed(place: str, rows: list[_Row]) -> _Read:
    """Few large pieces, which cross a pipe in no time."""
    start = len(place.rstrip("/")) + 1
    names = [directory[start:] or "." for directory, _, _ in rows]
    return "\0".join(names), b"".join([state for _, state, _ in rows]), [(top, some) for top, _, some in rows if some]


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
