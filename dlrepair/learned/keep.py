"""Writes, tidies and removes what stage 0 reads: one record a program, private to this user."""

from __future__ import annotations

import os
import sys
import time

from dlrepair import learned
from dlrepair.journal import writer
from dlrepair.learned import records, start
from dlrepair.settings import dirs, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from dlrepair.learned.program import Program
    from dlrepair.settings import Settings

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
        found.setdefault(path, records.signature(path))
    for folder in folders:
        while True:
            found.setdefault(folder, records.place(folder))
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)
    return tuple((seen, path) for path, seen in found.items())


def settings_evidence(held: Settings, start: str) -> tuple[tuple[str, str], ...]:
    """(signature, path) of each file that decides whether a record may be applied, those included that do not exist.

    () where the environment had a say: the settings are then read at each start.
    """
    if any(held.provenance[key].startswith("environment") for key in ("mode", "reexec")):
        return ()
    found = [os.path.join(dirs.config_home(), "dlrepair", "config.toml")] if dirs.config_home() else []
    return tuple((records.signature(path), path) for path in [*found, *files.candidates(start)])


def keep(program: Program, record: records.Record) -> str:
    """Keeps ``record`` for ``program`` in place of an older one; "" or why it could not be kept."""
    record.kind, record.what, record.cwd, record.prefix = program.kind, program.what, program.cwd, sys.prefix
    place, problem = base(create=True)
    if problem:
        return problem
    record.line = writer.body(**start.told(record))
    data = records.encode(record)
    if len(data) > records.MAX_RECORD:
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
    found = sorted((mtime, path) for path, _, _, mtime in records.records())
    for _, path in found[: max(0, len(found) - records.MAX_RECORDS)]:
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
    for path, record, size, mtime in list(records.records()):
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


def forget(*names: str) -> list[tuple[str, str]]:
    """(program, path) of each record removed: of a program that has one of the names, runs in it, or has that path."""
    gone = []
    for path, record, _, _ in list(records.records()):
        shown = record.program.shown if record is not None else path
        known = (path, shown) if record is None else (path, shown, record.what, record.cwd)
        if any(name in known for name in names if name) and _unlink(path):
            gone.append((shown, path))
    return gone


def _is_gone(record: records.Record) -> bool:
    """Whether the environment or the program itself no longer exists."""
    return not os.path.isdir(record.prefix) or (record.kind == "file" and not os.path.exists(record.what))


def size() -> tuple[int, int]:
    """(records, bytes)."""
    sizes = [one[2] for one in records.records()]
    return len(sizes), sum(sizes)
