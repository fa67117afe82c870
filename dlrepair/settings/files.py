"""Settings files: found, read within bounds, parsed only when they have something for us."""

from __future__ import annotations

import errno
import os
import stat

from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["basic_check", "candidates", "find_project", "read", "toml_parser"]

_MAX_FILE = 1024 * 1024
_MAX_LEVELS = 64


def toml_parser() -> Any:
    """The module that parses TOML; raises ImportError where there is none (before Python 3.11, without tomli)."""
    try:
        import tomllib

        return tomllib
    except ImportError:
        import tomli

        return tomli


def read(path: str) -> bytes | str | None:
    """The bytes of a settings file, a reason why they cannot be had, or None when there is no such file."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as exc:
        return None if exc.errno == errno.ENAMETOOLONG else exc.strerror or str(exc)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "not a regular file"
        parts: list[bytes] = []
        size = 0
        while size <= _MAX_FILE:
            part = os.read(descriptor, _MAX_FILE + 1 - size)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
        return "larger than {} bytes".format(_MAX_FILE)
    except OSError as exc:
        return exc.strerror or str(exc)
    finally:
        os.close(descriptor)


def _concerns_us(data: bytes) -> bool:
    """Whether a pyproject.toml can hold ``tool.dlrepair``: a scan, because parsing costs 20 ms."""
    if b"dlrepair" not in data:
        return False
    bare = data.translate(None, b" \t\"'")
    if b"tool.dlrepair" in bare or b"tool=" in bare:
        return True
    return b"[tool]" in bare and b"\ndlrepair" in bare


def find_project(start: str) -> tuple[str, bytes | str | None]:
    """(path, contents) of the nearest settings file at or above ``start``; contents None when there is none."""
    directory = start
    for _ in range(_MAX_LEVELS):
        path = os.path.join(directory, "dlrepair.toml")
        data = read(path)
        if data is not None and (isinstance(data, bytes) or os.path.lexists(path)):  # else the directory is closed
            return path, data
        path = os.path.join(directory, "pyproject.toml")
        data = read(path)
        if isinstance(data, bytes) and _concerns_us(data):
            return path, data
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    return "", None


def candidates(start: str) -> list[str]:
    """Every path at or above ``start`` where ``find_project`` looks, nearest first."""
    found: list[str] = []
    for _ in range(_MAX_LEVELS):
        found += [os.path.join(start, name) for name in ("dlrepair.toml", "pyproject.toml")]
        if start == os.path.dirname(start):
            break
        start = os.path.dirname(start)
    return found


def basic_check(path: str) -> str | None:
    """None when the file belongs to root or the effective user and not everybody can write it, else why not."""
    found = os.stat(path)
    if dirs.effective_uid() >= 0 and found.st_uid not in (0, dirs.effective_uid()):
        return "it belongs to another user (uid {})".format(found.st_uid)
    if found.st_mode & stat.S_IWOTH:
        return "it is writable by others (mode {:04o})".format(stat.S_IMODE(found.st_mode))
    return None
