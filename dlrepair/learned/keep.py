"""Writes, tidies and removes what stage 0 reads: one record a program, private to this user."""

from __future__ import annotations

import os
import sys
import time

from dlrepair import learned
from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_STALE = 3600.0  # seconds after which a temporary file has lost its writer


def base(create: bool = False) -> tuple[str, str]:
    """(directory, "") or ("", why nothing can be learned)."""
    path = learned.directory()
    if not path:
        return "", "there is no home directory to keep it in"
    try:
        problem = dirs.make_private(path, create)
    except OSError as error:
        problem = "{}: {}".format(path, error.strerror or error)
    return ("", problem) if problem else (path, "")


def evidence(files: Iterable[str], folders: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(signature, path) of the files that a record rests on, and who may write the directories that it names.

    The interpreter is one of the files: an upgrade in place may need something else, or nothing.
    """
    found: dict[str, str] = {}
    for path in (os.path.realpath("/proc/self/exe"), *files):
        found.setdefault(path, learned.signature(path))
    for folder in folders:
        while True:
            found.setdefault(folder, learned.place(folder))
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)
    return tuple((seen, path) for path, seen in found.items())


def keep(program: learned.Program, record: learned.Record) -> str:
    """Keeps ``record`` for ``program`` in place of an older one; "" or why it could not be kept."""
    record.kind, record.what, record.cwd, record.prefix = program.kind, program.what, program.cwd, sys.prefix
    place, problem = base(create=True)
    if problem:
        return problem
    data = learned.encode(record)
    if len(data) > learned.MAX_RECORD:
        return "the record would be too long"
    path = os.path.join(place, program.key())
    temporary = os.path.join(os.path.dirname(path), ".tmp-{}-{}".format(os.getpid(), os.urandom(6).hex()))
    try:
        for _ in range(3):
            try:
                os.mkdir(os.path.dirname(path), 0o700)
            except FileExistsError:
                pass
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # cleared meanwhile
                continue
            try:
                os.fchmod(descriptor, 0o600)
                if os.write(descriptor, data) != len(data):
                    raise OSError("short write")
            finally:
                os.close(descriptor)
            os.chmod(os.path.dirname(path), 0o700)  # an odd umask
            os.rename(temporary, path)
            break
        _trim(place)
    except (OSError, ValueError) as error:
        _unlink(temporary)
        return "{}: {}".format(path, getattr(error, "strerror", None) or error)
    return ""


def _trim(place: str) -> None:
    """Drops the oldest records beyond MAX_RECORDS."""
    found = sorted((mtime, path) for path, _, _, mtime in learned.records())
    for _, path in found[: max(0, len(found) - learned.MAX_RECORDS)]:
        _unlink(path)


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass  # other programs of that name
    return True


def clear(useless_only: bool = False) -> tuple[int, int]:
    """(files, bytes) removed: all records, or those that would no longer be applied."""
    files = total = 0
    for path, record, size, mtime in list(learned.records()):
        if useless_only:
            if os.path.basename(path).startswith(".tmp-"):
                useless = time.time() - mtime > _STALE
            else:
                useless = record is None or bool(record.stale()) or _is_gone(record)
            if not useless:
                continue
        if _unlink(path):
            files, total = files + 1, total + size
    return files, total


def _is_gone(record: learned.Record) -> bool:
    """Whether the environment or the program itself no longer exists."""
    return not os.path.isdir(record.prefix) or (record.kind == "file" and not os.path.exists(record.what))


def size() -> tuple[int, int]:
    """(records, bytes)."""
    sizes = [one[2] for one in learned.records()]
    return len(sizes), sum(sizes)
