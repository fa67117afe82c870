"""What has changed, told by comparing two looks once whoever writes has come to an end."""

from __future__ import annotations

import os
import time

from dlrepair.watch import notice, snapshot, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable

    from dlrepair.watch.control import Control
    from dlrepair.watch.listener import Listener
    from dlrepair.watch.targets import Target

#: seconds without a change after which a save is over: of files that the kernel saw closed, of others
QUIET, QUIET_OPEN = 0.03, 0.2
#: longest wait for a file that is gone or empty where there was content (an editor between two steps), seconds
PATIENCE = 1.5
#: changes that never end (a generator that writes all the time) are waited for no longer than this, seconds
LONGEST = 10.0


class Looking:
    """The directories that are watched, and what they held at the last look.

    ``directories``: watched in any case, and what lies below them is looked through for new sources.
    """

    def __init__(
        self, control: Control, listener: Listener, targets: Callable[[], list[Target]], directories: tuple[str, ...]
    ) -> None:
        self._control = control
        self._listener = listener
        self._targets = targets
        self._directories = directories
        self._trees = [tree.Tree(one) for one in directories]
        self._seen: dict[str, snapshot.Signature | None] = {}
        self._contents: dict[str, str] = {}  #: path -> digest that was built or seen last
        self._watched: list[str] = []
        self.known: set[str] = set()  #: paths that were there when something was built last
        self.notice = notice.Notice(control.wake)

    @property
    def trouble(self) -> str:
        """Why some directories are polled; "" where none is."""
        return self.notice.trouble

    def begin(self) -> None:
        """Takes what is there as known."""
        self._observe()
        self._note_contents(self._seen)

    def again(self) -> None:
        """After a build: watches headers that only the compiler knew of, too. What changed meanwhile is a change."""
        seen, places = self._seen, set(self._watched)
        self._observe()
        new = {
            path: held for path, held in self._seen.items()
            if path not in seen and os.path.dirname(path) not in places and not self._is_in_a_tree(path)
        }  # fmt: skip
        self._seen = {**new, **seen}
        self._note_contents(new)
        self.known = set(self._seen)

    def _is_in_a_tree(self, path: str) -> bool:
        """Whether a path was looked at from the beginning: where it is new, it has come meanwhile."""
        tops = tuple(one.rstrip(os.sep) + os.sep for one in self._directories)
        return path.startswith(tops) and snapshot.is_structural(os.path.basename(path))

    def _observe(self) -> None:
        """Watches the directories of the targets as they are now, and takes what they hold as known."""
        before = self.notice.trouble
        self._watched = self._places()
        self.notice.watch(self._watched)
        if self.notice.trouble and self.notice.trouble != before and self._seen:
            self._listener.happened("polling", reason=self.notice.trouble)
        self._seen = self._look()

    def _note_contents(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path not in self._contents:
                self._contents[path] = digest(path)

    def take(self, paths: Iterable[str]) -> None:
        """These are about to be built as they are now."""
        for path in paths:
            self._contents[path] = digest(path)

    def _places(self) -> list[str]:
        own = [one for target in self._targets() for one in target.directories()]
        return list(dict.fromkeys([*self._directories, *own]))

    def _look(self) -> dict[str, snapshot.Signature | None]:
        found: dict[str, snapshot.Signature | None] = {}
        for one in self._trees:
            found.update(one.look())
        found.update(snapshot.look(self._places(), [path for target in self._targets() for path in target.files()]))
        return found

    def is_overtaken(self, files: Iterable[str]) -> bool:
        """Whether one of these files has changed since the last look."""
        return any(path in self._seen and self._seen[path] != snapshot.signature(path) for path in files)

    def wait(self) -> list[str]:
        """Paths that have changed, once their writer seems to be done; [] where it was nothing."""
        trouble = self.notice.trouble
        self._control.sleep(self.notice.interval)
        self.notice.renew()
        if self.notice.trouble and self.notice.trouble != trouble:
            self._listener.happened("polling", reason=self.notice.trouble)
        before = self._seen
        changed = snapshot.changed(before, self._look())
        if not changed:
            return []
        began = time.monotonic()
        while True:
            now = self._look()
            closed = self.notice.all_closed(path for path in changed if now.get(path) is not None)
            self._control.pause(QUIET if closed else QUIET_OPEN)
            after = self._look()
            elapsed = time.monotonic() - began
            changed = snapshot.changed(before, after)
            settled = after == now or elapsed > LONGEST
            half = any(snapshot.is_half_written(one, before.get(one), after.get(one)) for one in changed)
            if settled and (not half or elapsed > PATIENCE):
                break
        self.notice.forget()
        self._seen = after
        return [path for path in changed if self._differs(path)]

    def _differs(self, path: str) -> bool:
        """Whether a file's contents are not those that were seen before (``touch``, ``git checkout`` and back)."""
        now = digest(path)
        if self._contents.get(path) == now:
            return False
        self._contents[path] = now
        return True

    def close(self) -> None:
        """Ends the watches."""
        self.notice.close()


def digest(path: str) -> str:
    """Digest of a file's contents, "" where it cannot be read."""
    from hashlib import blake2b

    try:
        with open(path, "rb") as stream:
            return blake2b(stream.read(), digest_size=16).hexdigest()
    except OSError:
        return ""
