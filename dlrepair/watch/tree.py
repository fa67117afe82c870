"""What lies below a watched directory: its subdirectories as they come and go, and the sources and recipes in them.

A directory's time stamp changes when an entry is made or removed in it, so only those that have changed are listed
again. The kernel is not asked to watch them all: a look takes milliseconds, and there is one every two seconds.
"""

from __future__ import annotations

import os
import time

from dlrepair.watch import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: directories that hold no sources of the project's own
SKIPPED = frozenset((
    ".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", "venv", ".tox", ".nox", "site-packages",
    ".mypy_cache", ".pytest_cache", ".idea", ".vscode", ".envs",
))  # fmt: skip
#: of one walk: more is no project in which ops are edited
MAX_DIRECTORIES = 3000
#: files below one directory that are looked at again and again
MAX_FILES = 5000
#: a directory that changed so short a time ago may change once more within the same time stamp, ns
_RACY = 100_000_000


def is_walked(name: str) -> bool:
    """Whether a subdirectory of that name may hold sources of the project's own."""
    return name not in SKIPPED and not name.endswith(".egg-info")


def walk(top: str) -> Iterator[tuple[str, list[str]]]:
    """(directory, names of its files) of a project, links not followed, at most ``MAX_DIRECTORIES`` of them."""
    for number, (directory, directories, names) in enumerate(os.walk(top)):
        directories[:] = sorted(one for one in directories if is_walked(one))
        if number >= MAX_DIRECTORIES:
            return
        yield directory, sorted(names)


class Tree:
    """One watched directory with everything below it."""

    def __init__(self, top: str) -> None:
        self.top = top
        #: directory -> (its time stamp when it was listed, subdirectories, sources and recipes in it)
        self._held: dict[str, tuple[int, list[str], list[str]]] = {}

    def look(self) -> dict[str, snapshot.Signature | None]:
        """path -> signature of the sources and recipes that are there now."""
        found: dict[str, snapshot.Signature | None] = {}
        held: dict[str, tuple[int, list[str], list[str]]] = {}
        todo = [self.top]
        while todo and len(held) < MAX_DIRECTORIES and len(found) < MAX_FILES:
            directory = todo.pop()
            listed = self._listed(directory)
            if listed is None:
                continue
            held[directory] = listed
            todo += listed[1]
            for path in listed[2]:
                known = snapshot.signature(path)
                if known is not None:
                    found[path] = known
        self._held = held
        return found

    def _listed(self, directory: str) -> tuple[int, list[str], list[str]] | None:
        """What a directory holds, listed again where it has changed; None where there is none."""
        try:
            stamp = os.stat(directory).st_mtime_ns
            before = self._held.get(directory)
            if before is not None and before[0] == stamp:
                return before
            below, files = [], []
            with os.scandir(directory) as entries:
                for number, entry in enumerate(entries):
                    if number > snapshot.CROWDED:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        below += [entry.path] if is_walked(entry.name) else []
                    elif snapshot.is_structural(entry.name):
                        files.append(entry.path)
        except OSError:
            return None
        racy = abs(time.time_ns() - stamp) < _RACY
        return -1 if racy else stamp, sorted(below, reverse=True), sorted(files)
