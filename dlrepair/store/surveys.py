"""Surveys in the store: an answer about many files that holds for as long as none of them changes.

``surveys/<key>`` has the paths that were looked at, a digest of what ``stat`` said of them, and the answer: lists of
paths, each ended by a NUL. A path that was absent belongs to it as well: a file that appears there is a change.
"""

from __future__ import annotations

import os
import struct

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping, Sequence, Tuple

    #: what ``stat`` said of a path, and its latest change in ns since the epoch
    State = Tuple[bytes, int]

MAX_SURVEYS = 32
MAX_BYTES = 64 * 1024 * 1024
#: a change in the very moment of the survey may leave the time stamps as they are; file systems count up to 2 s
RACY_NS = 2 * 10**9
#: those that keep fractions of a second count the kernel's ticks, 10 ms at most (Linux, ktime_get_coarse_real_ts64)
TICK_NS = 5 * 10**7
_PART = "surveys"
_STATE = struct.Struct("=QQQqqI")


def state_of(path: str) -> State:
    """Device, inode, size, mtime, ctime and mode of a path, or the error; and the latest change."""
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return b"%d" % (getattr(error, "errno", None) or -1), 0
    mtime, ctime = info.st_mtime_ns, info.st_ctime_ns
    packed = _STATE.pack(info.st_dev, info.st_ino, info.st_size, mtime, ctime, info.st_mode)
    return packed, max(mtime, ctime)


def digest_of(
    paths: Iterable[str], executable: Iterable[str], known: Mapping[str, State] | None = None
) -> tuple[str, list[int]]:
    """(digest of the state of ``paths``, the latest change of each in ns since the epoch).

    A state is that of ``state_of``, or the ``known`` one; of ``executable`` also whether the file system lets code be
    mapped (``noexec``).
    """
    known = known or {}
    found = [known[path] if path in known else state_of(path) for path in paths]
    states = [state for state, _ in found]
    states.append(b"1" if any(map(is_noexec, executable)) else b"0")
    return store.digest(b"|".join(states)), [latest for _, latest in found]


def _is_settled(latest: int, now: int) -> bool:
    """Whether a change after ``now`` would have another time stamp than that at ``latest``, ns since the epoch."""
    return latest <= now - (TICK_NS if latest % 10**9 else RACY_NS)


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
    state, paths, executable, *answer = _decode(body)
    return answer if [digest_of(paths, executable)[0]] == state else None


def keep(
    key: str,
    paths: Sequence[str],
    executable: Sequence[str],
    began_ns: int,
    answer: Sequence[Sequence[str]],
    known: Mapping[str, State] | None = None,
) -> bool:
    """Whether ``answer`` was kept; not where one of ``paths`` had changed just before ``began_ns``.

    ``known`` are states of paths that were looked at before the answer was found.
    """
    base = store.root()
    state, changes = digest_of(paths, executable, known)
    if base is None or not all(_is_settled(one, began_ns) for one in changes if one > began_ns - RACY_NS):
        return False
    body = _encode([[state], paths, executable, *answer])
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
