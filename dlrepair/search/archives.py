"""Wheels, eggs and zip files as directories: what they hold, without unpacking anything.

A member is named ``dist/foo-1.0-py3-none-any.whl!/foo/_op.so``: the archive, ``!/``, the name inside. Only the
central directory is read (APPNOTE.TXT 4.3.12), and that only where its end record says that it is of a sane size.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.search.names import Names

SEPARATOR = "!/"
ENDINGS = (".whl", ".egg", ".zip")

#: more entries, or a longer central directory in bytes, and the archive is one of data
MAX_ENTRIES = 50000
MAX_DIRECTORY = 16 << 20

#: end of central directory record: signature, then from byte 10 the number of entries, from 12 the directory's size
_END = b"PK\x05\x06"
_END_SIZE = 22
_MAX_COMMENT = 65535


class Unreadable(Exception):
    """Why an archive is not looked into: one clause."""


def split(path: str) -> tuple[str, str] | None:
    """Return (archive, member) of a path into an archive, None of any other path."""
    at = path.find(SEPARATOR)
    while at >= 0:
        if path[:at].endswith(ENDINGS) and os.path.isfile(path[:at]):
            return path[:at], path[at + len(SEPARATOR) :]
        at = path.find(SEPARATOR, at + 1)
    return None


def join(archive: str, member: str) -> str:
    """Return the path by which a member is known outside its archive."""
    return archive + SEPARATOR + member


def container(path: str) -> str:
    """Return the archive that a path leads into, the path itself where it leads into none."""
    parts = split(path) if SEPARATOR in path else None
    return parts[0] if parts else path


def find_members(archive: str, names: Names) -> list[tuple[str, str]]:
    """Return (member, name rule) of the archive's files that match, best name first. Raises ``Unreadable``."""
    from dlrepair.search import names as naming

    with open_file(archive) as stream:
        found = []
        for info in open_directory(stream).infolist():
            rule = names.match(info.filename.rsplit("/", 1)[-1])
            if rule is not None and not info.filename.endswith("/"):
                found.append((naming.cost(rule), info.filename, rule))
    return [(member, rule) for _, member, rule in sorted(found)]


def open_file(archive: str) -> Any:
    """Return the opened archive. Raises ``Unreadable``: a fifo or device of that name would block for ever."""
    try:
        descriptor = os.open(archive, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from None
    return os.fdopen(descriptor, "rb")


def open_directory(stream: Any) -> Any:
    """Return the ``zipfile.ZipFile`` of an opened archive. Raises ``Unreadable``."""
    try:
        _check_end(stream)
        import zipfile

        return zipfile.ZipFile(stream)
    except Unreadable:
        raise
    except Exception as error:  # zipfile raises a dozen kinds for damaged input; zlib may be what is broken here
        raise Unreadable("no readable zip archive: {}".format(error)) from None


def _check_end(stream: Any) -> None:
    """Look at the end record before zipfile reads, and keeps, every entry that it announces."""
    size = os.fstat(stream.fileno()).st_size
    start = max(0, size - _END_SIZE - _MAX_COMMENT)
    stream.seek(start)
    tail = stream.read(_END_SIZE + _MAX_COMMENT)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise Unreadable("no zip archive: it has no end record")
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if entries > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise Unreadable("more than {} entries: data".format(MAX_ENTRIES))
    stream.seek(0)
