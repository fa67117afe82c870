"""When each root of the index was compared with the disk, and asked for: one small file a root, beside the database.

The file holds the root's path. Its mtime says when the root was compared to its end, its ctime when it was asked for:
nothing else changes that, reading it does not.
"""

from __future__ import annotations

import os

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: files of the index's directory that are no stamps, and the longest path that one holds
_NO_STAMPS = ("libraries.sqlite", "libraries.names", "libraries.directories", "lock")
_MAX_PATH = 4096


def _stamp(directory: str, root: str) -> str:
    return os.path.join(directory, store.key_of("root", root))


def checked_at(directory: str, root: str) -> float:
    """Return when a root was last compared with the disk as a whole (``time.time()``), 0 for never."""
    try:
        return os.stat(_stamp(directory, root)).st_mtime
    except OSError:
        return 0.0


def note_check(directory: str, root: str, whole: bool) -> None:
    """Notes that a root was compared with the disk just now; not ``whole``: that it has to be again."""
    path = _stamp(directory, root)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not os.fstat(descriptor).st_size:
                os.write(descriptor, os.fsencode(root))
        finally:
            os.close(descriptor)
        os.utime(path, None if whole else (0, 0))
    except OSError:
        pass


def checked_roots(directory: str) -> Iterator[tuple[str, float]]:
    """Yield (root, when it was asked for last as ``time.time()``) of every root that was ever compared."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as stream:
                root = os.fsdecode(stream.read(_MAX_PATH)) if name not in _NO_STAMPS else ""
                used = os.fstat(stream.fileno()).st_ctime
        except OSError:
            continue
        if os.path.isabs(root) and path == _stamp(directory, root):
            yield root, used


def forget_check(directory: str, root: str) -> None:
    """Removes what ``note_check`` has noted of a root."""
    try:
        os.unlink(_stamp(directory, root))
    except OSError:
        pass
