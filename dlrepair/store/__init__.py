"""The private store: links that bear an expected name, and repairs that worked.

``links/<digest of the target>/<name>`` are symbolic links, ``remembered/<key>`` small
text records, ``objects/<digest>/<name>`` files named by their contents, ``extracted/<digest>/`` trees that came
out of an archive, ``builds/<key>/`` what was compiled (``dlrepair.store.builds`` has its further parts),
``surveys/<key>`` what ``doctor`` found (``dlrepair.store.surveys``). Everything in it can be made
again: it may be deleted at any moment, by anybody, while any number of processes use it.
"""

from __future__ import annotations

import os
import stat
import time

from dlrepair.settings import dirs
from dlrepair.store.files import make_directory, read_private, remove, temporary_path, touch, trim, unlink, write
from dlrepair.store.records import decode, digest, encode, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

__all__ = [
    "add_link", "clear", "digest", "entries", "forget", "gc", "key_of", "make_directory", "problem", "read_private",
    "recall", "remember", "remove", "root", "size", "temporary_path", "touch", "use", "write_part",
]  # fmt: skip

MAX_RECORDS = 1000
MAX_LINKS = 2000
MAX_RECORD = 64 * 1024  #: bytes
_PARTS = (
    "links", "objects", "extracted", "remembered", "builds", "manifests", "locks", "logs", "index", "surveys",
)  # fmt: skip
#: parts that other modules keep in bounds
_ELSEWHERE = ("extracted", "builds", "manifests", "locks", "logs", "index")
#: names that are ours and no digests: the index of far places and its lock
_NAMES = ("libraries.sqlite", "libraries.names", "libraries.directories", "lock")
_TAG = "CACHEDIR.TAG"
#: https://bford.info/cachedir/ : backup programs leave such a directory out
_TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# The store of dlrepair. It may be deleted at any moment.\n"
OLD = 30 * 86400.0  # seconds after which a survey that nobody asked for goes
STALE = 3600.0  # seconds after which a temporary file has lost its writer

_configured = ""
_problem: str | None = None


def use(path: str) -> None:
    """Take ``path`` (the setting ``store``) as the root from now on; "" for the default."""
    global _configured
    _configured = path


def problem() -> str | None:
    """Why the store cannot be used, for a person; None when it can or was not needed yet."""
    return _problem


def location() -> str:
    """Where the store is or would be: the setting, ``DLREPAIR_STORE``, ``$XDG_CACHE_HOME/dlrepair``; "" if nowhere."""
    path = _configured or os.environ.get("DLREPAIR_STORE", "")
    if path:
        return os.path.abspath(os.path.expanduser(path))
    base = dirs.cache_home()
    return os.path.join(base, "dlrepair") if base else ""


def root(create: bool = True) -> str | None:
    """The store's directory, private to this user; None when there is none or it cannot be trusted."""
    global _problem
    try:
        path = location()
        clause = _prepare(path, create) if path else "there is no home directory for the store"
    except (OSError, ValueError) as exc:
        path, clause = "", str(exc)
    if clause is not None:
        if create and _problem is None:
            _problem = clause
        return None
    return path


def _prepare(path: str, create: bool) -> str | None:
    clause = dirs.make_private(path, create)
    if clause is not None:
        return clause
    tag = os.path.join(path, _TAG)
    if os.path.lexists(tag):
        return None
    # ``clear`` removes these three: they must never be somebody else's (DLREPAIR_STORE=.git)
    for part in _PARTS:
        if not all(_is_ours(name) for name in _names(os.path.join(path, part))):
            return "{} holds files that are not dlrepair's".format(path)
    if not create:
        return None
    return None if write(tag, _TAG_TEXT) else "{} cannot be written".format(path)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_ours(name: str) -> bool:
    """Whether a name directly below one of the parts is a digest, or a temporary file."""
    return name in _NAMES or name.startswith(".tmp-") or (len(name) == 32 and not name.strip("0123456789abcdef"))


# --- remembered repairs ---------------------------------------------------------------------------------------------


def _record_path(key: str, create: bool) -> str | None:
    if len(key) != 32 or key.strip("0123456789abcdef"):
        return None
    base = root(create)
    return os.path.join(base, "remembered", key) if base else None


def recall(key: str) -> dict[str, str] | None:
    """The record that ``remember`` kept under ``key``; None when there is none or it is damaged."""
    path = _record_path(key, create=False)
    if path is None:
        return None
    data = read_private(path, MAX_RECORD)
    return decode(data) if data is not None else None


def write_part(part: str, key: str, data: bytes, most: int) -> bool:
    """Whether the file ``key`` of ``part`` now holds ``data``; beyond ``most`` the least recently used go."""
    base = root()
    if base is None or not _is_ours(key) or not write(os.path.join(base, part, key), data):
        return False
    trim(os.path.join(base, part), most)
    return True


def remember(key: str, record: dict[str, str]) -> bool:
    """Whether ``record`` was kept under ``key``; the least recently used records go beyond MAX_RECORDS."""
    path = _record_path(key, create=True)
    if path is None:
        return False
    data = encode(record)
    if len(data) > MAX_RECORD:
        return False
    done = write(path, data)
    if done:
        trim(os.path.dirname(path), MAX_RECORDS)
    return done


def forget(key: str) -> None:
    """Drop the record of ``key``, if any."""
    path = _record_path(key, create=False)
    if path is not None:
        unlink(path)


# --- links ----------------------------------------------------------------------------------------------------------


def add_link(name: str, target: str) -> str | None:
    """Path of a symbolic link called ``name`` to ``target``, made or found; None when it cannot be made.

    It lies in a directory of its own for each target, so that two libraries of one name never meet.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        return None
    try:
        real = os.path.realpath(target)
        if not os.path.exists(real):
            return None
        for _ in range(5):  # the store may be cleared between two steps
            base = root()
            if base is None:
                return None
            directory = os.path.join(base, "links", key_of(real))
            path = _link(directory, name, real)
            if path is not None:
                trim(os.path.dirname(directory), MAX_LINKS)
                return path
    except (OSError, ValueError):
        pass
    return None


def _link(directory: str, name: str, real: str) -> str | None:
    path = os.path.join(directory, name)
    try:
        if os.readlink(path) == real:
            touch(directory)
            return path
    except OSError:
        pass
    temporary = temporary_path(path)
    try:
        make_directory(directory)
        os.symlink(real, temporary)
        os.rename(temporary, path)
        return path
    except FileNotFoundError:
        return None
    except OSError:
        unlink(temporary)
        raise


# --- the whole store --------------------------------------------------------------------------------------------------


def entries() -> Iterator[tuple[str, str, str, int, float]]:
    """(part, path, link target or "", bytes, mtime) of every file in the store."""
    base = root(create=False)
    if base is None:
        return
    for part in _PARTS:
        for directory, _, names in os.walk(os.path.join(base, part)):
            for name in sorted(names):
                path = os.path.join(directory, name)
                try:
                    found = os.lstat(path)
                    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
                except OSError:
                    continue
                yield part, path, target, found.st_size, found.st_mtime


def size() -> tuple[int, int]:
    """(files, bytes) in the store."""
    files = total = 0
    for entry in entries():
        files, total = files + 1, total + entry[3]
    return files, total


def clear() -> tuple[int, int]:
    """(files, bytes) removed: everything in the store."""
    base = root(create=False)
    files = total = 0
    if base is not None:
        for part in _PARTS:
            removed = remove(os.path.join(base, part))
            files, total = files + removed[0], total + removed[1]
    return files, total


def gc() -> tuple[int, int]:
    """(files, bytes) removed: links that lead nowhere, damaged records, leftovers, and what exceeds the bounds."""
    from dlrepair.store import builds, objects, trees

    base = root(create=False)
    files, total = trees.tidy(os.path.join(base, "extracted")) if base else (0, 0)
    built = builds.tidy()
    files, total = files + built[0], total + built[1]
    now = time.time()
    for part, path, target, length, mtime in list(entries()):
        if part in _ELSEWHERE:
            continue
        leftover = os.path.basename(path).startswith(".tmp-")
        if leftover:
            useless = now - mtime > STALE
        elif part == "links":
            useless = not target or not os.path.exists(target)
        elif part == "remembered":
            useless = recall(os.path.basename(path)) is None
        elif part == "surveys":
            useless = now - mtime > OLD
        else:
            useless = False
        if useless and unlink(path):
            files, total = files + 1, total + length
        if useless and part == "links":
            try:
                os.rmdir(os.path.dirname(path))
            except OSError:
                pass  # other names for the same target
    beyond = objects.trim()
    return files + beyond[0], total + beyond[1]
