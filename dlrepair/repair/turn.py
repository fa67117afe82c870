"""One process at a time repairs the same failure; the others wait a little, and replay what it found.

The ranks of an MPI job and the workers of a server fail together. The lock is flock(2) on a file that
nobody's death leaves locked; where there is no place for it, everybody repairs for himself.
"""

from __future__ import annotations

import os
import time

from dlrepair.settings import dirs

#: longest time that a process waits for another one's repair, in seconds
WAIT = 10.0


class Turn:
    """The right to repair the failure with this key, held until ``leave``, or a wait that was long enough."""

    __slots__ = ("descriptor", "path", "waited")

    def __init__(self, key: str) -> None:
        self.waited = False  #: whether another process has just dealt with it
        self.descriptor = -1
        base = dirs.state_home()
        self.path = os.path.join(base, "dlrepair", "locks", key) if base else ""
        try:
            if self.path and dirs.make_private(os.path.dirname(self.path)) is None:
                self._acquire()
        except (OSError, ValueError, ImportError):
            return

    def _acquire(self) -> None:
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self.descriptor = os.open(self.path, flags, 0o600)
        until, pause = time.monotonic() + WAIT, 0.002
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self.waited = True
            if time.monotonic() > until:
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def leave(self) -> None:
        """Lets the next one in; the file goes with the last."""
        if self.descriptor >= 0:
            try:
                if not self.waited:
                    os.unlink(self.path)
            except OSError:
                pass  # another process was first
            os.close(self.descriptor)
            self.descriptor = -1
