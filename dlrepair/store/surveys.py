"""Surveys in the store: an answer about many files that holds for as long as none of them changes.

``surveys/<key>`` has the paths that were looked at, a digest of what ``stat`` said of them, and the answer: lists of
paths, each ended by a NUL. A path that was absent belongs to it as well: a file that appears there is a change.
Directories that were listed are named from the place on below which they lie: ``stat`` has a shorter way to them.
"""

from __future__ import annotations

import os
import struct
from itertools import starmap
from operator import attrgetter

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping, Sequence, Tuple

    #: a directory, the names of those below it, and their states, joined
    Listed = Tuple[str, Sequence[str], bytes]

MAX_SURVEYS = 32
MAX_BYTES = 64 * 1024 * 1024
#: a change in the very moment of the survey may leave the time stamps as they are; file systems count up to 2 s
RACY_NS = 2 * 10**9
#: those that keep fractions of a second count the kernel's ticks, 10 ms at most (Linux, ktime_get_coarse_real_ts64)
TICK_NS = 5 * 10**7
_PART = "surveys"
_STATE = struct.Struct("=QQQqqQ")
_MTIME, _CTIME, _NUMBERS = 3, 4, 6  #: where they stand in a state, and how many there are
_seen = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode")


def state_of(path: str) -> bytes:
    """Device, inode, size, mtime, ctime and mode of a path, 48 bytes; or the error, which has no mode."""
    try:
        return _STATE.pack(*_seen(os.stat(path)))
    except (OSError, ValueError) as error:
        return _STATE.pack(getattr(error, "errno", None) or 0, 0, 0, 0, 0, 0)


def _states_below(place: str, names: Iterable[str]) -> bytes:
    """The states of ``names`` below a directory, joined. Raises OSError where one is gone."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = map(_seen, (os.stat(name, dir_fd=descriptor) for name in names))
        return b"".join(starmap(_STATE.pack, found))
    finally:
        os.close(descriptor)


def _digest_of(states: Sequence[bytes], executable: Iterable[str]) -> str:
    """Of ``executable`` counts whether the file system lets code be mapped (``noexec``)."""
    return store.digest(b"".join((*states, b"1" if any(map(is_noexec, executable)) else b"0")))


def _is_settled(states: Sequence[bytes], now: int) -> bool:
    """Whether a change after ``now`` (ns since the epoch) would give another time stamp than the present one."""
    numbers = memoryview(b"".join(states)).cast("q")
    changes = [*numbers[_MTIME::_NUMBERS].tolist(), *numbers[_CTIME::_NUMBERS].tolist()]
    if max(changes, default=0) <= now - RACY_NS:
        return True
    latest = map(max, changes[: len(changes) // 2], changes[len(changes) // 2 :])
    return all(one <= now - (TICK_NS if one % 10**9 else RACY_NS) for one in latest)


def is_noexec(path: str) -> bool:
    """True when no code can be mapped from the file system of ``path`` (mmap(2), EPERM)."""
    try:
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 8))
    except (OSError, ValueError):
        return False


def recall(key: str) -> list[list[str]] | None:
    """The answer kept under ``key``, if every path is as it was; None otherwise."""
    base = store.root(create=False)
    if base is None:
        return None
    data = store.read_private(os.path.join(base, _PART, key), MAX_BYTES)
    if data is None:
        return None
    head, _, body = data.partition(b"\n")
    if head != store.digest(body).encode("ascii"):  # not ours, or damaged
        return None
    (state, *places), *lists = _decode(body)
    paths, executable, *answer = lists[len(places) :]
    try:
        states = [_states_below(*one) for one in zip(places, lists)]
    except (OSError, ValueError):
        return None
    return answer if _digest_of([*states, *map(state_of, paths)], executable) == state else None


def keep(
    key: str,
    listed: Sequence[Listed],
    paths: Sequence[str],
    executable: Sequence[str],
    began_ns: int,
    answer: Sequence[Sequence[str]],
    known: Mapping[str, bytes],
) -> bool:
    """Whether ``answer`` was kept; not where something that was looked at had changed just before ``began_ns``.

    ``listed`` are the directories that were read, ``paths`` what else was looked at, ``known`` the states of some.
    """
    base = store.root()
    states = [*(one for _, _, one in listed), *[known.get(path) or state_of(path) for path in paths]]
    if base is None or not _is_settled(states, began_ns):
        return False
    head = [_digest_of(states, executable), *(place for place, _, _ in listed)]
    body = _encode([head, *(names for _, names, _ in listed), paths, executable, *answer])
    return store.write_part(_PART, key, store.digest(body).encode("ascii") + b"\n" + body, MAX_SURVEYS)


def _encode(lists: Sequence[Sequence[str]]) -> bytes:
    """Each list as its length and its texts; none of them holds a NUL."""
    words = [word for one in lists for word in (str(len(one)), *one)]
    return "\0".join(words).encode("utf-8", "surrogatepass")


def _decode(body: bytes) -> list[list[str]]:
    words = body.decode("utf-8", "surrogatepass").split("\0")
    lists, at = [], 0
    while at < len(words):
        count = int(words[at])
        lists.append(words[at + 1 : at + 1 + count])
        at += 1 + count
    return lists
