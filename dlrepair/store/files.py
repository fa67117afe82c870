"""Files of the store: written so that readers see all or nothing, read only where nobody else can write them."""

from __future__ import annotations

import os
import stat
import time

from dlrepair.settings import dirs

_FRESH = 60.0  # seconds during which a use leaves the time stamp alone


def read_private(path: str, most: int) -> bytes | None:
    """What a file of the store holds, its use marked; None where it is absent, longer, or not this user's alone."""
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != dirs.effective_uid() or found.st_mode & 0o022:
                return None
            data = os.read(descriptor, most + 1)
        finally:
            os.close(descriptor)
        if time.time() - found.st_mtime > _FRESH:
            touch(path)
    except (OSError, ValueError, AttributeError):
        return None
    return data if len(data) <= most else None


def temporary_path(path: str) -> str:
    """A name beside ``path`` that nobody else has."""
    return os.path.join(os.path.dirname(path), ".tmp-{}-{}".format(os.getpid(), os.urandom(6).hex()))


def touch(path: str) -> None:
    """Mark a use: the least recently used entries go first."""
    try:
        os.utime(path)
    except OSError:
        pass  # removed meanwhile


def make_directory(path: str) -> None:
    """Make ``path`` and its parent inside the store, private whatever the umask (``makedirs`` minds only the last)."""
    for directory in (os.path.dirname(path), path):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass


def unlink(path: str) -> bool:
    """Whether the file is gone now."""
    try:
        os.unlink(path)
        return True
    except OSError:
        return False


def write(path: str, data: bytes) -> bool:
    """Whether ``path`` now holds ``data``: written beside it, then renamed, so that readers see all or nothing.

    Without fsync, which costs up to 30 ms: what a crash of the machine tears fails its digest and is forgotten.
    """
    for _ in range(3):
        temporary = temporary_path(path)
        try:
            make_directory(os.path.dirname(path))
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError("short write")
            finally:
                os.close(descriptor)
            unlink(path)  # renaming onto a file makes ext4 write the new one out first (auto_da_alloc): 5 ms
            os.rename(temporary, path)
            return True
        except FileNotFoundError:  # cleared meanwhile: once more
            continue
        except OSError:
            unlink(temporary)
            return False
    return False


def trim(directory: str, most: int) -> int:
    """Number of entries removed, the least recently used first, after more than ``most`` were found."""
    try:
        names = os.listdir(directory)
    except OSError:
        return 0
    if len(names) <= most:
        return 0
    aged = []
    for name in names:
        try:
            aged.append((os.lstat(os.path.join(directory, name)).st_mtime, name))
        except OSError:
            continue
    aged.sort()
    removed = 0
    for _, name in aged[: max(0, len(aged) - most * 9 // 10)]:
        removed += remove(os.path.join(directory, name))[0]
    return removed


def remove(path: str) -> tuple[int, int]:
    """(files, bytes) removed at and below ``path``; links are removed, never followed."""
    files = total = 0
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            for name in os.listdir(path):
                below = remove(os.path.join(path, name))
                files, total = files + below[0], total + below[1]
            os.rmdir(path)
        else:
            os.unlink(path)
            files, total = 1, found.st_size
    except OSError:
        pass  # another process removes or fills it
    return files, total
