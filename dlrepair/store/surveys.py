"""Surveys in the store: an answer about many files that holds for as long as none of them changes.

``surveys/<key>`` is one JSON document: the paths that were looked at, a digest of what ``stat`` said of them,
and the answer. A path that was absent belongs to it as well: a file that appears there is a change.
"""

from __future__ import annotations

import os
import struct
import time

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

MAX_SURVEYS = 32
MAX_BYTES = 64 * 1024 * 1024
#: a change in the very moment of the survey may leave the time stamps as they are; file systems count up to 2 s
RACY_NS = 2 * 10**9
_PART = "surveys"
_STATE = struct.Struct("=QQQqqI")


def digest_of(paths: Iterable[str], executable: Iterable[str]) -> tuple[str, int]:
    """(digest of the state of ``paths``, the latest change among them in ns since the epoch).

    A state is device, inode, size, mtime, ctime and mode; of ``executable`` also whether the file system
    lets code be mapped (``noexec``).
    """
    states, latest, stat, pack = [], 0, os.stat, _STATE.pack
    for path in paths:
        try:
            info = stat(path)
        except (OSError, ValueError) as error:
            states.append(b"%d" % (getattr(error, "errno", None) or -1))
            continue
        latest = max(latest, info.st_ctime_ns, info.st_mtime_ns)
        states.append(
            pack(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode)
        )  # fmt: skip
    states.append(b"1" if any(map(is_noexec, executable)) else b"0")
    return store.digest(b"|".join(states)), latest


def is_noexec(path: str) -> bool:
    """True when no code can be mapped from the file system of ``path`` (mmap(2), EPERM)."""
    try:
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 8))
    except (OSError, ValueError):
        return False


def recall(key: str) -> Any:
    """The answer kept under ``key``, if every path is as it was; None otherwise."""
    import json

    base = store.root(create=False)
    if base is None:
        return None
    path = os.path.join(base, _PART, key)
    data = store.read_private(path, MAX_BYTES)
    if data is None:
        return None
    try:
        found = json.loads(data)
        if digest_of(found["paths"], found["executable"])[0] != found["state"]:
            return None
        answer = found["answer"]
    except (ValueError, KeyError, TypeError):  # not ours, or damaged
        return None
    return answer


def keep(key: str, paths: list[str], executable: list[str], began_ns: int, answer: object) -> bool:
    """Whether ``answer`` was kept; not where one of ``paths`` changed less than two seconds before ``began_ns``."""
    import json

    base = store.root()
    state, latest = digest_of(paths, executable)
    if base is None or latest > began_ns - RACY_NS:
        return False
    document = {"paths": paths, "executable": executable, "state": state, "answer": answer, "at": time.time()}
    return store.write_part(_PART, key, json.dumps(document, separators=(",", ":")).encode("ascii"), MAX_SURVEYS)
