"""The directories of the index in one flat file: a comparison with the disk reads them without SQLite.

``index/libraries.directories`` is written when the database is published and bears that file's identity and a digest
of its own; of another database, or damaged, it is not believed and the database is asked. All of it is read at once.

    header      magic, identity of the database (inode, size, mtime), number of directories, any SONAME unread
    digest      BLAKE2b of the header and of all that follows, 32 hexadecimal digits
    ids         8 bytes a directory
    signatures  8 bytes a directory (``scan.signature_of``, or what stands for something else)
    paths       each followed by a zero byte, sorted
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left

from dlrepair.search import catalogue
from dlrepair.store import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.search.catalogue import Catalogue, DirectoryRow

_MAGIC = b"dlrepair dirs 1\0"
_HEADER = struct.Struct("<16s5Q")
_DIGEST = 32

#: directories up to which this is written: all of them are read for any root, and written again after any change
MAX_DIRECTORIES = 200000


def file_path(directory: str) -> str:
    """Return the path of the file in the index's directory."""
    return os.path.join(directory, "libraries.directories")


class Known:
    """The directories as they were when the index was published."""

    def __init__(self, ids: tuple[int, ...], signatures: tuple[int, ...], paths: list[bytes], unread: bool) -> None:
        self._ids, self._signatures, self._paths = ids, signatures, paths
        self.unread = unread  #: whether there are libraries whose SONAMEs are not known yet

    def directories(self, root: str) -> list[DirectoryRow]:
        """Return what ``Catalogue.directories`` does: the rows of a root and everything below it."""
        top, low, high = catalogue.bounds(root)
        first = bisect_left(self._paths, top)
        start, end = bisect_left(self._paths, low), bisect_left(self._paths, high)
        parts = [slice(start, end)]
        if first < start and self._paths[first] == top:
            parts.insert(0, slice(first, first + 1))
        return [row for part in parts for row in zip(self._ids[part], self._paths[part], self._signatures[part])]


def write(index: Catalogue, database: str, path: str) -> bool:
    """Writes what ``index`` holds into a new file; ``database`` is the file as it will be published. Whether it did."""
    if index.counts()[0] > MAX_DIRECTORIES:
        return False
    rows = sorted(index.rows("SELECT path, id, signature FROM directories"))
    numbers = struct.Struct("<{}q".format(len(rows)))
    body = numbers.pack(*[row[1] for row in rows]) + numbers.pack(*[row[2] for row in rows])
    body += b"".join([row[0] + b"\0" for row in rows])
    unread = len(index.rows("SELECT 1 FROM libraries WHERE soname IS NULL LIMIT 1"))
    seen = os.stat(database)
    header = _HEADER.pack(_MAGIC, seen.st_ino, seen.st_size, seen.st_mtime_ns, len(rows), unread)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(header + records.digest(header + body).encode("ascii") + body)
    return True


def read(directory: str) -> Known | None:
    """Return what is published in the index's directory; None: ask the database."""
    try:
        with open(file_path(directory), "rb") as stream:
            header, digest, body = stream.read(_HEADER.size), stream.read(_DIGEST), stream.read()
        magic, inode, size, changed, count, unread = _HEADER.unpack(header)
        seen = os.stat(catalogue.file_path(directory))
        if (magic, inode, size, changed) != (_MAGIC, seen.st_ino, seen.st_size, seen.st_mtime_ns):
            return None
        if records.digest(header + body).encode("ascii") != digest:
            return None
        numbers = struct.Struct("<{}q".format(count))
        paths = body[2 * numbers.size :].split(b"\0")[:-1]
        ids, signatures = numbers.unpack_from(body), numbers.unpack_from(body, numbers.size)
        return Known(ids, signatures, paths, bool(unread)) if len(paths) == count else None
    except (OSError, ValueError, struct.error, OverflowError, MemoryError):
        return None
