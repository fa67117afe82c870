"""One builder at a time for one thing, across threads, processes and ranks: flock(2) on a file that names its holder.

The kernel releases the lock when its holder ends, of whatever. A lock file that nobody holds means nothing; it is
removed by whoever is last, and looked at again by inode after locking, since it may have been removed meanwhile.
"""

from __future__ import annotations

import os
import time

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable

_PAUSE = 0.05


class NotLocked(Exception):
    """Another builder held the lock for as long as one may wait; its words."""


class BuildLock:
    """Held inside ``with``; ``waited`` tells whether somebody else held it before. Raises ``NotLocked`` and OSError."""

    def __init__(self, key: str, what: str, seconds: float, tick: Callable[[str], None] | None = None) -> None:
        self.key = key
        self.what = what
        self.seconds = seconds
        self.tick = tick
        self.waited = False
        self._descriptor = -1

    def __enter__(self) -> BuildLock:
        base = store.root()
        if base is None:
            raise OSError(store.problem() or "there is no store")
        path = os.path.join(base, "locks", self.key)
        until = time.monotonic() + self.seconds
        while True:
            store.make_directory(os.path.dirname(path))
            try:
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                continue  # the store was cleared
            if self._lock(path):
                self._sign()
                return self
            os.close(self._descriptor)
            self._descriptor = -1
            self.waited = True
            holder = describe(_read(path))
            if time.monotonic() > until:
                raise NotLocked(holder)
            if self.tick is not None:
                self.tick(holder)
            time.sleep(_PAUSE)

    def _lock(self, path: str) -> bool:
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except OSError:
            return False

    def _sign(self) -> None:
        import json

        holder = {"pid": os.getpid(), "host": os.uname().nodename, "what": self.what, "since": time.time()}
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode("ascii"), 0)
        except OSError:
            pass  # a full disk: the lock itself holds

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        base = store.root(create=False)
        if base is not None:
            try:
                os.unlink(os.path.join(base, "locks", self.key))  # while it is held: see the module's first lines
            except OSError:
                pass
        os.close(self._descriptor)
        self._descriptor = -1


def _read(path: str) -> dict[str, Any]:
    import json

    try:
        with open(path, "rb") as stream:
            holder = json.loads(stream.read(4096).decode("ascii"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def describe(holder: dict[str, Any]) -> str:
    """``roi_pool.so, built by process 4711 on node3 for 12 s``."""
    if not holder:
        return "another builder"
    try:
        lasted = max(0, int(time.time() - float(holder.get("since", 0))))
    except (TypeError, ValueError):
        lasted = 0
    return "{}, built by process {} on {} for {} s".format(
        holder.get("what", "?"), holder.get("pid", "?"), holder.get("host", "?"), lasted
    )


def holders() -> list[dict[str, Any]]:
    """Who is building now: ``pid``, ``host``, ``what`` and ``since`` (seconds since the epoch) of each held lock."""
    import fcntl

    base = store.root(create=False)
    found = []
    directory = os.path.join(base, "locks") if base else ""
    try:
        names = sorted(os.listdir(directory)) if directory else []
    except OSError:
        return []
    for name in names:
        path = os.path.join(directory, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(dict(_read(path), key=name))
        except OSError:
            pass
        finally:
            os.close(descriptor)
    return found
