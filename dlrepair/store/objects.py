"""Copies of libraries, changed or not, each in a directory that is named by the digest of its contents.

``objects/<BLAKE2b of the file>/<name>`` appears by one rename and is verified by that digest before use.
"""

from __future__ import annotations

import os
import stat

from dlrepair import store
from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

#: what all copies together may hold, bytes
MAX_BYTES = 2 * 1024 * 1024 * 1024
_CHUNK = 1 << 20


def add(source: str, name: str, patches: Sequence[tuple[int, bytes]] = ()) -> str | None:
    """Path of a private copy of ``source`` called ``name``, over which ``patches`` (offset, bytes) are written.

    It lies in a directory named by the digest of its contents, made or found. None when it cannot be made.
    Raises OSError where ``source`` cannot be read.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        return None
    reading = os.open(source, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if not stat.S_ISREG(os.fstat(reading).st_mode) or os.fstat(reading).st_size > MAX_BYTES // 2:
            return None
        for _ in range(3):  # the store may be cleared between two steps
            base = store.root()
            if base is None:
                return None
            parent = os.path.join(base, "objects")
            temporary = store.temporary_path(os.path.join(parent, name))
            try:
                store.make_directory(parent)
                digest = _write_copy(reading, temporary, patches)
                if digest is None:
                    return None
                path = os.path.join(parent, digest, name)
                store.make_directory(os.path.dirname(path))
                if not verify(path):
                    os.rename(temporary, path)
                store.touch(path)
                trim()
                return path
            except FileNotFoundError:
                continue
            except OSError:
                return None
            finally:
                _unlink(temporary)
    finally:
        os.close(reading)
    return None


def _write_copy(reading: int, path: str, patches: Sequence[tuple[int, bytes]]) -> str | None:
    """Digest of the file that now lies at ``path``; None without a hash function."""
    writing = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        at = 0
        while True:
            data = os.pread(reading, _CHUNK, at)
            if not data:
                break
            _write_all(writing, data, at)
            at += len(data)
        for offset, data in patches:
            _write_all(writing, data, offset)
        return _digest_of(writing)
    finally:
        os.close(writing)


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, at)
        view, at = view[done:], at + done


def _hasher() -> Any:
    """An empty BLAKE2b of 16 bytes, or None where the interpreter has none."""
    try:
        from _blake2 import blake2b  # hashlib would load OpenSSL
    except ImportError:
        try:
            from hashlib import blake2b
        except ImportError:
            return None
    return blake2b(digest_size=16)


def _digest_of(descriptor: int) -> str | None:
    digest, at = _hasher(), 0
    while digest is not None:
        data = os.pread(descriptor, _CHUNK, at)
        if not data:
            return str(digest.hexdigest())
        digest.update(data)
        at += len(data)
    return None


def is_object(path: str) -> bool:
    """Whether ``path`` is, by its name, an object of this store."""
    base = store.location()
    above, name = os.path.split(os.path.dirname(path))
    return bool(base) and above == os.path.join(base, "objects") and _is_digest(name)


def _is_digest(name: str) -> bool:
    return len(name) == 32 and not name.strip("0123456789abcdef")


def verify(path: str) -> bool:
    """Whether ``path`` is an object of this store whose contents are what its name says. Reads all of it."""
    if not is_object(path):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != dirs.effective_uid() or found.st_mode & 0o022:
                return False
            return _digest_of(descriptor) == os.path.basename(os.path.dirname(path))
        finally:
            os.close(descriptor)
    except (OSError, AttributeError):
        return False


def trim() -> tuple[int, int]:
    """(files, bytes) removed: the least recently used objects beyond MAX_BYTES bytes."""
    objects = sorted((mtime, path, length) for part, path, _, length, mtime in store.entries() if part == "objects")
    held, files, total = sum(length for _, _, length in objects), 0, 0
    for _, path, length in objects[:-1]:  # the newest is in use
        if held <= MAX_BYTES:
            break
        if _unlink(path):
            files, total, held = files + 1, total + length, held - length
            try:
                os.rmdir(os.path.dirname(path))
            except OSError:
                pass  # other files of the same build
    return files, total


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
        return True
    except OSError:
        return False
