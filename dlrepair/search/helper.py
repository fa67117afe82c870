"""Have the child that waits for a trial (``standby``) list a share of the directories of a wide walk meanwhile.

The walk keeps its order and takes each answer only when it comes to that directory: where there is none it looks
itself, so a child that is slow, stopped or gone costs nothing but the asking. The child begins at the far end of what
the walk knows of, and the two meet. Where they have to share a processor the walk goes on alone. Only directories of
sources are answered for: what bears on a name, a limit, an error or a note is read by the walk.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from dlrepair.search import budget, data, standby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Sequence

#: directories of the walk from one exchange with the child to the next: less than a millisecond of work
_PAUSE = 16
#: Directories next in the walk that are not worth asking for: it comes to them before the answer does.
_NEXT = 48
#: bytes of directories in one message, most (PIPE_BUF is 4096 on Linux)
_ROOM = 3800
#: Messages that the child has not read, most: the pipe always has room for the question that it waits for.
_UNREAD = 8
#: So many seconds, and this share of the time, may the walk have to wait for a processor until it goes on alone: there
#: is none to spare. A busy program holds one for some three milliseconds at a time.
_WAITED = 0.003
_SHARE = 0.125
#: a number above that of any directory
_ALL = 1 << 60


class Help:
    """What a second process says about the directories of one walk."""

    def __init__(self, marks: Sequence[str], names: Iterable[str], wanted: Callable[[str], bool]) -> None:
        """None of ``marks`` and ``names`` is in a directory that it answers for; ``wanted``: may it be opened."""
        #: directory -> what it holds besides files: ``d`` (directory) or ``l`` (link) and the name
        self.answers: dict[str, list[bytes]] = {}
        self._wanted = wanted
        self._turn = 0
        self._queue: Sequence[tuple[str, int]] = ()
        self._base = 0  #: the number of the first directory of the queue
        self._next = 0  #: the place in the queue of the first one that is not asked for
        self._sent = self._read = 0
        self._text = b""
        self._walk = b""  #: the number of this walk
        self._ours = False  #: whether what is being read is about it: an answer for the walk before may still come
        self._waited = 0.0  #: for how long this thread had waited for a processor before
        self._began = 0.0
        self._child: standby.Child | None = None
        try:
            told = [b"%d" % data.SAMPLE, b"%d" % len(marks), *map(os.fsencode, [*marks, *names])]
        except ValueError:  # a name that no file has
            return
        # Linux: there a pipe takes a message of that length whole or not at all (pipe(7)).
        if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
            return
        self._child = standby.borrow()
        if self._child is not None:
            self._waited, self._began = budget.waited(), monotonic()
            self._child.walks += 1
            self._walk = b"%d" % self._child.walks
            self._sent = int(self._child.tell([b"names", self._walk, *told]))
            if not self._sent:
                self.end()

    def follow(self, queue: Sequence[tuple[str, int]], at: int) -> None:
        """Take what was answered and ask for more; the walk is at ``at`` in its queue."""
        self._turn += 1
        if self._turn % _PAUSE != 1 or self._child is None:
            return
        if queue is not self._queue:
            self._base += len(self._queue)
            self._queue, self._next = queue, 0
        self._collect(self._child.listed())
        if budget.waited() - self._waited > _WAITED + _SHARE * (monotonic() - self._began):
            self.end()
            return
        self._next = max(self._next, at + _NEXT)
        while self._next < len(queue) and self._sent - self._read < _UNREAD:
            if not self._ask(self._child, at):
                return

    def _ask(self, child: standby.Child, at: int) -> bool:
        first = self._next
        parts: list[bytes] = []
        room = _ROOM
        while self._next < len(self._queue):
            directory = self._queue[self._next][0]
            part = os.fsencode(directory) if self._wanted(directory) else b""
            room -= len(part) + 1
            if room < 0 and parts:
                break
            parts.append(part)
            self._next += 1
        told = child.tell([b"list", b"%d" % (self._base + at), b"%d" % (self._base + first), *parts])
        self._sent += told
        return told

    def _collect(self, text: bytes) -> None:
        if not text:
            return
        *said, self._text = (self._text + text).split(b"\0\n")
        for one in said:
            if one[:1] != b"/":
                walk, _, read = one.partition(b" ")
                self._ours = walk == self._walk
                self._read = int(read) if self._ours else self._read
            elif self._ours:
                directory, *found = one.split(b"\0")
                self.answers[os.fsdecode(directory)] = found

    def end(self) -> None:
        """Let the child wait for its trial again."""
        child, self._child = self._child, None
        if child is not None:
            child.tell([b"list", b"%d" % _ALL, b"0"])
            standby.give_back(child)

    def abandon(self) -> None:
        """End the child: the walk was left before its end, and nobody may be there to want a trial."""
        child, self._child = self._child, None
        if child is not None:
            child.end()
