"""The watcher: look, wait for quiet, rebuild what changed, publish, start the command again.

One thread does all of it. Signals, words of the kernel and the end of the command wake it through a pipe; while a
compiler runs, the build's ticks look at the same things. What is raised there leaves nothing behind: the build kills
the compiler's process group and drops its files.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from dataclasses import replace

from dlrepair.build import service
from dlrepair.journal import writer
from dlrepair.watch import command, notice, served, snapshot, vetting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Iterable

    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult
    from dlrepair.watch.targets import Target

#: seconds without a change after which a save is over: of files that the kernel saw closed, of others
QUIET, QUIET_OPEN = 0.03, 0.2
#: longest wait for a file that is gone or empty where there was content (an editor between two steps), seconds
PATIENCE = 1.5
#: changes that never end (a generator that writes all the time) are waited for no longer than this, seconds
LONGEST = 10.0
#: a build that is overtaken by a change is given up, but not more often than this in a row
OVERTAKEN = 5


class Ended(BaseException):
    """The watcher is to end: by a signal, or with its command. ``status`` is its exit status."""

    def __init__(self, status: int, number: int = 0) -> None:
        BaseException.__init__(self, status)
        self.status = status
        self.number = number


class Overtaken(BaseException):
    """A source has changed again while it was compiled."""


class Listener:
    """Told what happens; ``dlrepair.render.watching`` has one for people and one for programs."""

    def happened(self, event: str, **fields: Any) -> None:
        """``watching``, ``changed``, ``building``, ``ticking``, ``built``, ``failed``, ``unchanged``, ``gone``,
        ``polling``, ``command-started``, ``command-ended``, ``command-failed``, ``precompiled`` or ``ended``,
        with the fields that docs/how-to/watch.md has.
        """


class Session:
    """One run of ``dlrepair watch``."""

    def __init__(
        self,
        discover: Callable[[], list[Target]],
        listener: Listener,
        *,
        run: command.Command | None = None,
        until_exit: bool = False,
        shared: str = "",
        precompile: Callable[[Recipe], bool] | None = None,
        directories: tuple[str, ...] = (),
    ) -> None:
        self.discover = discover
        self.listener = listener
        self.command = run
        self.until_exit = until_exit
        self.shared = shared
        self.precompile = precompile
        self.directories = directories
        self.targets: list[Target] = []
        self.good: dict[str, str] = {}  #: wanted path -> the last good library
        self.bad: set[str] = set()  #: wanted paths whose last build failed
        self.incident = writer.new_incident()
        self.table = ""
        self._pending: list[int] = []  #: signals that are still to be dealt with
        self._interruptible = False
        self._closing = False
        self._seen: dict[str, snapshot.Signature | None] = {}
        self._contents: dict[str, str] = {}  #: path -> digest that was built or seen last
        self._watched: list[str] = []
        self._known: set[str] = set()  #: paths that were there when something was built last
        self._handlers: dict[int, Any] = {}
        self._former_wakeup: int | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self.notice = notice.Notice(self._wake)

    # --- the whole run

    def run(self) -> int:
        """Exit status: 128 + N after signal N; the command's with ``until_exit``."""
        try:
            self._arm()
            self._loop()
        except Ended as end:
            return self._close(end)
        finally:
            self._disarm()
        return 0  # unreachable: the loop has no other end

    def _loop(self) -> None:
        if self.command is not None:
            self.table = served.new()
            served.write(self.table, {})
            self.command.env[served.VARIABLE] = self.table
        self.targets = self._discovered()
        self._observe()
        self._note_contents(self._seen)
        self.listener.happened("watching", targets=self.targets, command=self._argv(), trouble=self.notice.trouble)
        self._rebuild(self.targets, [])
        while True:
            trouble = self.notice.trouble
            changed = self._wait()
            if self.notice.trouble and self.notice.trouble != trouble:
                self.listener.happened("polling", reason=self.notice.trouble)
            if changed:
                self._take(changed)

    def _discovered(self) -> list[Target]:
        self._interruptible = True
        try:
            return self.discover()
        finally:
            self._interruptible = False

    def _observe(self) -> None:
        """Watches the directories of the targets as they are now, and takes what they hold as known."""
        before = self.notice.trouble
        self._watched = self._places()
        self.notice.watch(self._watched)
        if self.notice.trouble and self.notice.trouble != before and self._seen:
            self.listener.happened("polling", reason=self.notice.trouble)
        self._seen = self._look()

    def _note_contents(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path not in self._contents:
                self._contents[path] = _digest(path)

    def _places(self) -> list[str]:
        own = [one for target in self.targets for one in target.directories()]
        return list(dict.fromkeys([*self.directories, *own]))

    def _look(self) -> dict[str, snapshot.Signature | None]:
        return snapshot.look(self._places(), [path for target in self.targets for path in target.files()])

    def _argv(self) -> list[str]:
        return self.command.argv if self.command is not None else []

    # --- waiting

    def _wake(self) -> None:
        try:
            os.write(self._write, b"\0")
        except (BlockingIOError, OSError):
            pass  # full: it will wake; closed: it has ended

    def _sleep(self, seconds: float) -> bool:
        """Whether something happened before the time was over. Deals with signals and the command."""
        self._attend()
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            try:
                while os.read(self._read, 65536):
                    pass
            except BlockingIOError:
                pass
        self._attend()
        return bool(ready)

    def _wait(self) -> list[str]:
        """Paths that have changed, once their writer seems to be done; [] where it was nothing."""
        self._sleep(self.notice.interval)
        self.notice.renew()
        before = self._seen
        changed = snapshot.changed(before, self._look())
        if not changed:
            return []
        began = time.monotonic()
        while True:
            now = self._look()
            closed = self.notice.all_closed(path for path in changed if now.get(path) is not None)
            self._pause(QUIET if closed else QUIET_OPEN)
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

    def _pause(self, seconds: float) -> None:
        """Sleeps, whatever the kernel says meanwhile."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._sleep(left)

    def _differs(self, path: str) -> bool:
        """Whether a file's contents are not those that were seen before (``touch``, ``git checkout`` and back)."""
        digest = _digest(path)
        if self._contents.get(path) == digest:
            return False
        self._contents[path] = digest
        return True

    # --- rebuilding

    def _take(self, changed: list[str]) -> None:
        """Rebuilds what the changed files belong to."""
        gone = [path for path in changed if not os.path.exists(path)]
        if len(gone) == len(changed):  # a header that no source includes any more, or one that comes back
            self.listener.happened("gone", paths=gone)
            return
        concerned = [target for target in self.targets if self._concerns(target, changed)]
        structure = [path for path in changed if _is_structure(path, self.targets)]
        self.listener.happened("changed", paths=changed, targets=concerned)
        if structure:
            concerned += [one for one in self._rediscover() if one not in concerned]
        if concerned:
            self._rebuild(concerned, changed)

    def _concerns(self, target: Target, changed: list[str]) -> bool:
        """Whether a change may matter to a target: one of its files; a new one beside them; any, after an error."""
        if set(changed) & set(target.files()):
            return True
        places = target.directories()
        beside = [path for path in changed if os.path.dirname(path) in places]
        return any(target.wanted in self.bad or path not in self._known for path in beside)

    def _rediscover(self) -> list[Target]:
        """Targets that are new, or whose recipe has changed. What can no longer be found stays as it was."""
        held = {target.wanted: target for target in self.targets}
        renewed = []
        for target in self._discovered():
            before = held.get(target.wanted)
            if before is None:
                held[target.wanted] = target
                renewed.append(target)
            elif before.recipe != target.recipe:
                before.recipe = target.recipe
                renewed.append(before)
        self.targets = list(held.values())
        return renewed

    def _rebuild(self, targets: list[Target], changed: list[str]) -> None:
        """Builds each, and starts the command again where all is well."""
        overtaken = 0
        while True:
            try:
                fresh = False
                for target in targets:
                    fresh = self._build(target, changed, overtaken < OVERTAKEN) or fresh
                break
            except Overtaken:
                overtaken += 1
                more = self._wait()
                changed = list(dict.fromkeys([*changed, *more]))
                known = [one for one in self.targets if set(more) & set(one.files()) and one not in targets]
                targets = [*targets, *known]
        self._observe_quietly()
        if self.command is not None and not self.bad and (fresh or not self.command.running):
            self._restart(changed)

    def _observe_quietly(self) -> None:
        """Watches headers that only the compiler knew of, too. What changed meanwhile is not taken as known."""
        seen, places = self._seen, set(self._watched)
        self._observe()
        new = {path: held for path, held in self._seen.items() if os.path.dirname(path) not in places}
        self._seen = {**new, **seen}
        self._note_contents(new)
        self._known = set(self._seen)

    def _build(self, target: Target, changed: list[str], may_stop: bool) -> bool:
        """Whether there is a library that the command has not seen yet."""
        for path in target.files():
            self._contents[path] = _digest(path)
        began = time.monotonic()
        self._interruptible = True
        try:
            result = service.build(
                target.recipe, shared=self.shared, emit=self._emit, watcher=_Ticks(self, target, may_stop)
            )
        finally:
            self._interruptible = False
        seconds = round(time.monotonic() - began, 3)
        used = [one.path for one in result.used]
        # what a failed build has not come to is still waited for
        target.used = tuple(used) if result.ok else tuple(dict.fromkeys([*target.used, *used]))
        if not result.ok:
            return self._failed(target, result, seconds)
        new = self.good.get(target.wanted) != result.path
        problem = vetting.problem(target.wanted, result) if new else ""
        if problem:
            return self._failed(target, replace(result, ok=False, reason="does-not-fit", first_error=problem), seconds)
        self.bad.discard(target.wanted)
        self.good[target.wanted] = result.path
        if self.table:
            served.write(self.table, self.good)
        self.listener.happened(
            "built" if new else "unchanged", target=target, result=result, seconds=seconds, changed=changed,
            stale=_is_stale(target),
        )  # fmt: skip
        if new:
            self._begin_precompiling(target)
        return new

    def _failed(self, target: Target, result: BuildResult, seconds: float) -> bool:
        self.bad.add(target.wanted)
        self.listener.happened(
            "failed", target=target, result=result, seconds=seconds, last_good=self.good.get(target.wanted, "")
        )
        return False

    def _emit(self, event: str, **fields: Any) -> None:
        writer.emit(event, self.incident, **fields)

    def _tick(self, target: Target, doing: str, may_stop: bool) -> None:
        """Ten times a second while a compiler runs."""
        self._attend()
        self.listener.happened("ticking", target=target, doing=doing)
        if may_stop:
            files = target.files()
            now = {path: snapshot.signature(path) for path in files}
            if any(path in self._seen and self._seen[path] != now[path] for path in files):
                raise Overtaken

    def _begin_precompiling(self, target: Target) -> None:
        """Makes the precompiled header for this target's flags in a thread of its own, once."""
        make, self.precompile = self.precompile, None
        if make is None:
            return
        recipe = target.recipe

        def work() -> None:
            began = time.monotonic()
            try:
                made = make(recipe)
            except Exception as error:  # it is for speed only
                self.listener.happened("precompiled", ok=False, reason=str(error), seconds=0.0)
                return
            if not self._closing:
                self.listener.happened("precompiled", ok=made, reason="", seconds=round(time.monotonic() - began, 1))

        threading.Thread(target=work, name="precompiled header", daemon=True).start()

    # --- the command

    def _restart(self, changed: list[str]) -> None:
        assert self.command is not None
        status = self.command.stop()
        if status is not None:
            self.listener.happened("command-ended", status=status, again=True, closing=False)
        try:
            self.command.start()
        except OSError as error:
            self.listener.happened("command-failed", argv=self.command.argv, reason=error.strerror or str(error))
            raise Ended(127 if isinstance(error, FileNotFoundError) else 126) from None
        self.listener.happened("command-started", argv=self.command.argv, pid=self.command.pid)

    def _attend(self) -> None:
        """Deals with the signals that came, and with the command's end."""
        while self._pending:
            self._deal(self._pending.pop(0))
        if self.command is not None and self.command.running:
            status = self.command.poll()
            if status is not None:
                closing = self.until_exit or status == 128 + signal.SIGINT
                self.listener.happened("command-ended", status=status, again=False, closing=closing)
                if closing:
                    raise Ended(status)

    # --- signals

    def _arm(self) -> None:
        names = [*command.ENDING, *command.PASSED, "SIGTSTP", "SIGCONT", "SIGCHLD"]
        for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
            if signal.getsignal(number) == signal.SIG_IGN and number == signal.SIGHUP:
                continue  # nohup(1)
            self._handlers[number] = signal.signal(number, self._received)
        self._former_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _disarm(self) -> None:
        if self._former_wakeup is not None:
            signal.set_wakeup_fd(self._former_wakeup)
        for number, before in self._handlers.items():
            signal.signal(number, before)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        ending = number in [getattr(signal, name, 0) for name in command.ENDING]
        if ending and self._closing:  # a second time: no pause for the command
            raise Ended(128 + number, number)
        if ending and self._interruptible:  # wherever the build is: it leaves nothing behind
            raise Ended(128 + number, number)
        self._pending.append(number)

    def _deal(self, number: int) -> None:
        if number in [getattr(signal, name, 0) for name in command.ENDING]:
            raise Ended(128 + number, number)
        if number == signal.SIGTSTP:
            self._suspend()
        elif self.command is not None:
            self.command.send(number)

    def _suspend(self) -> None:
        """Stops like any job does, together with the command, until the shell goes on with it."""
        if self.command is not None:
            self.command.send(signal.SIGTSTP)
        mine = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, mine)
        if self.command is not None:
            self.command.send(signal.SIGCONT)

    def _close(self, end: Ended) -> int:
        """Ends the command with the signal that ended the watcher, and everything else."""
        self._closing = True
        try:
            if self.command is not None and self.command.running:
                status = self.command.stop(end.number or signal.SIGTERM)
                self.listener.happened("command-ended", status=status, again=False, closing=True)
        except Ended:
            pass  # a second signal: it was killed
        finally:
            self.notice.close()
            if self.table:
                served.remove(self.table)
        self.listener.happened("ended", status=end.status)
        return end.status


class _Ticks(service.Watcher):
    """Between a build and its session."""

    def __init__(self, session: Session, target: Target, may_stop: bool) -> None:
        self._session = session
        self._target = target
        self._may_stop = may_stop

    def started(self, what: str) -> None:
        self._session.listener.happened("building", target=self._target, what=what)

    def tick(self, doing: str) -> None:
        self._session._tick(self._target, doing, self._may_stop)


def _digest(path: str) -> str:
    """Digest of a file's contents, "" where it cannot be read."""
    from hashlib import blake2b

    try:
        with open(path, "rb") as stream:
            return blake2b(stream.read(), digest_size=16).hexdigest()
    except OSError:
        return ""


def _is_structure(path: str, targets: list[Target]) -> bool:
    """Whether a change may have changed what there is to build: recipes, new or lost sources."""
    name = os.path.basename(path)
    if name.endswith(snapshot.RECIPES) or name in snapshot.RECIPE_NAMES:
        return True
    known = {one for target in targets for one in target.files()}
    if path in {target.recipe.file for target in targets}:
        return True
    return name.endswith(snapshot.SOURCES) and (path not in known or not os.path.exists(path))


def _is_stale(target: Target) -> bool:
    """Whether a library lies at the path that is asked for: a load of it works, or not, without us."""
    return os.path.exists(target.wanted)
