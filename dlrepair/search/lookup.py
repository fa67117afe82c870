"""The index in a form that is asked without SQLite: the import of that costs more than all the rest of a look-up.

``index/libraries.names`` is written when the database is published and bears that file's identity; of another one, or
damaged, it is not believed and the database is asked. A hash table on disk: one small read a name, whatever the size.

    header    magic, identity of the database (inode, size, mtime), number of buckets, length of the whole file
    offsets   one a bucket and one more, 8 bytes each: where its entries begin
    entries   lengths of directory, name and SONAME (2 bytes each), then these
    the end   directories that were given up as data, each followed by a zero byte
"""

from __future__ import annotations

import os
import struct

from dlrepair.search import catalogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, List, Tuple

    #: directory, file name, SONAME
    Row = Tuple[bytes, bytes, bytes]
    #: rows, directories of data
    Answer = Tuple[List[Row], List[str]]

_MAGIC = b"dlrepair names 1"
_HEADER = struct.Struct("<16s5Q")
_LENGTHS = struct.Struct("<3H")

#: libraries of an index up to which this is written, and directories of data that it lists
MAX_LIBRARIES = 100000
_MAX_DATA = 2000

#: any large prime: names are spread over buckets by their bytes as one number modulo it
_PRIME = (1 << 61) - 1


def file_path(directory: str) -> str:
    """Return the path of the file in the index's directory."""
    return os.path.join(directory, "libraries.names")


def _bucket(kind: bytes, key: bytes, buckets: int) -> int:
    return int.from_bytes(kind + key, "little") % _PRIME % buckets


def write(index: catalogue.Catalogue, database: str, path: str) -> bool:
    """Writes what ``index`` holds into a new file; ``database`` is the file as it will be published. Whether it did."""
    if index.counts()[1] > MAX_LIBRARIES:
        return False
    rows = index.rows(
        "SELECT l.stem, d.path, l.name, l.soname FROM libraries l JOIN directories d ON d.id = l.directory"
    )
    buckets = max(1, len(rows))
    table: list[list[bytes]] = [[] for _ in range(buckets)]
    for stem, place, name, soname in rows:
        soname = soname or b""
        if max(len(place), len(name), len(soname)) > 0xFFFF:
            return False
        entry = _LENGTHS.pack(len(place), len(name), len(soname)) + place + name + soname
        table[_bucket(b"s", stem, buckets)].append(entry)
        if soname:
            table[_bucket(b"n", soname, buckets)].append(entry)
    given_up = index.rows("SELECT d.path FROM data JOIN directories d ON d.id = data.directory LIMIT ?", (_MAX_DATA,))
    offsets, at = [], _HEADER.size + 8 * (buckets + 1)
    for entries in table:
        offsets.append(at)
        at += sum(len(entry) for entry in entries)
    offsets.append(at)
    tail = b"".join(row[0] + b"\0" for row in given_up)
    body = struct.pack("<{}Q".format(buckets + 1), *offsets) + b"".join(b"".join(entries) for entries in table) + tail
    seen = os.stat(database)
    header = _HEADER.pack(_MAGIC, seen.st_ino, seen.st_size, seen.st_mtime_ns, buckets, at + len(tail))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(header + body)
    return True


def find(directory: str, stems: Iterable[bytes], sonames: Iterable[bytes]) -> Answer | None:
    """Return rows among which are all that have one of the stems or SONAMEs; None: ask the database.

    ``directory`` is the index's.
    """
    try:
        descriptor = os.open(file_path(directory), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        magic, inode, size, changed, buckets, length = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
        seen = os.stat(catalogue.file_path(directory))
        if (magic, inode, size, changed) != (_MAGIC, seen.st_ino, seen.st_size, seen.st_mtime_ns):
            return None
        if os.fstat(descriptor).st_size != length:
            return None
        wanted = {_bucket(b"s", one, buckets) for one in stems} | {_bucket(b"n", one, buckets) for one in sonames}
        found: list[Row] = []
        for number in sorted(wanted):
            start, end = struct.unpack("<2Q", os.pread(descriptor, 16, _HEADER.size + 8 * number))
            found += _entries(os.pread(descriptor, end - start, start)) if end > start else ()
        start = struct.unpack("<Q", os.pread(descriptor, 8, _HEADER.size + 8 * buckets))[0]
        tail = os.pread(descriptor, length - start, start)
        return found, [os.fsdecode(one) for one in tail.split(b"\0")[:-1]]
    except (OSError, ValueError, struct.error, ZeroDivisionError, OverflowError, MemoryError):
        return None
    finally:
        os.close(descriptor)


def _entries(raw: bytes) -> Iterator[Row]:
    at = 0
    while at < len(raw):
        one, two, three = _LENGTHS.unpack_from(raw, at)
        at += _LENGTHS.size
        yield raw[at : at + one], raw[at + one : at + one + two], raw[at + one + two : at + one + two + three]
        at += one + two + three
