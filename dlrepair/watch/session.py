"""The watcher: look, wait for quiet, rebuild what changed, publish, start the command again.

One thread does all of it; while a compiler runs, the build's ticks look at the same things. A save that moves lines and
changes nothing else is answered with the library that is there, which is then built anew for its line numbers.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

from dlrepair.build import service
from dlrepair.journal import writer
from dlrepair.search import reachable
from dlrepair.watch import control, looking, served, snapshot, targets, vetting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult
    from dlrepair.watch.command import Command
    from dlrepair.watch.listener import Listener
    from dlrepair.watch.targets import Target

#: a build that is overtaken by a change is given up, but not more often than this in a row
OVERTAKEN = 5


class Overtaken(BaseException):
    """A source has changed again while it was compiled."""


class Session:
    """One run of ``dlrepair watch``."""

    def __init__(
        self,
        discover: Callable[[], list[Target]],
        listener: Listener,
        *,
        run: Command | None = None,
        until_exit: bool = False,
        shared: str = "",
        precompile: Callable[[Recipe], bool] | None = None,
        directories: tuple[str, ...] = (),
    ) -> None:
        self.discover = discover
        self.listener = listener
        self.shared = shared
        self.precompile = precompile
        self.targets: list[Target] = []
        self.good: dict[str, str] = {}  #: wanted path -> the last good library
        self.bad: set[str] = set()  #: wanted paths whose last build failed
        self.inexact: dict[str, Target] = {}  #: by wanted path: those whose library has line numbers of before
        self.incident = writer.new_incident()
        self.table = ""
        self.control = control.Control(listener, run, until_exit)
        self.looking = looking.Looking(self.control, listener, lambda: self.targets, directories)

    # --- the whole run

    def run(self) -> int:
        """Exit status: 128 + N after signal N; the command's with ``until_exit``."""
        try:
            self.control.arm()
            self._loop()
        except control.Ended as end:
            return self._close(end)
        finally:
            self.control.disarm()
        return 0  # unreachable: the loop has no other end

    def _loop(self) -> None:
        command = self.control.command
        if command is not None:
            self.table = served.new()
            served.write(self.table, {})
            command.env[served.VARIABLE] = self.table
        self.targets = self._discovered()
        self.looking.begin()
        self.listener.happened(
            "watching", targets=self.targets, command=self.control.argv(), trouble=self.looking.trouble
        )
        self._rebuild(self.targets, [])
        while True:
            if self.inexact:
                self._make_exact()
            changed = self.looking.wait()
            if changed:
                self._take(changed)

    def _discovered(self) -> list[Target]:
        with self.control.interruptible():
            return self.discover()

    def _close(self, end: control.Ended) -> int:
        """Ends the command with the signal that ended the watcher, and everything else."""
        try:
            self.control.close(end)
        finally:
            self.looking.close()
            if self.table:
                served.remove(self.table)
        self.listener.happened("ended", status=end.status)
        return end.status

    # --- what a change is about

    def _take(self, changed: list[str]) -> None:
        """Rebuilds what the changed files belong to."""
        gone = [path for path in changed if not os.path.exists(path)]
        if len(gone) == len(changed):  # a header that no source includes any more, or one that comes back
            self.listener.happened("gone", paths=gone)
            return
        concerned = [target for target in self.targets if self._concerns(target, changed)]
        structure = any(self._is_structure(path) for path in changed)
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
        return any(target.wanted in self.bad or path not in self.looking.known for path in beside)

    def _is_structure(self, path: str) -> bool:
        """Whether a change may have changed what there is to build: recipes, new or lost sources."""
        name = os.path.basename(path)
        if name.endswith(snapshot.RECIPES) or name in snapshot.RECIPE_NAMES:
            return True
        if path in {target.recipe.file for target in self.targets}:
            return True
        if not name.endswith(snapshot.SOURCES):
            return False
        known = any(path in target.files() for target in self.targets)
        if known:
            return not os.path.exists(path)
        return path not in self.looking.known or not os.path.exists(path) or targets.registers_op(path)

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
        fresh = [target for target in held.values() if target not in self.targets]
        self.targets = list(held.values())
        if fresh:
            self.listener.happened("watching-more", targets=fresh)
        return renewed

    # --- rebuilding

    def _rebuild(self, concerned: list[Target], changed: list[str]) -> None:
        """Builds each, and starts the command again where all is well."""
        overtaken = 0
        while True:
            try:
                fresh = False
                for target in concerned:
                    watched = target.files() if overtaken < OVERTAKEN else []
                    fresh = self._build(target, changed, watched, False) or fresh
                break
            except Overtaken:
                overtaken += 1
                more = self.looking.wait()
                changed = list(dict.fromkeys([*changed, *more]))
                known = [one for one in self.targets if set(more) & set(one.files()) and one not in concerned]
                concerned = [*concerned, *known]
        self.looking.again()
        command = self.control.command
        if command is not None and not self.bad and (fresh or not command.running):
            self.control.restart()

    def _make_exact(self) -> None:
        """Builds what stands in for sources that differ in line numbers only; any save comes first.

        The command is not started again for it: what it has loaded does the same.
        """
        every = [path for target in self.targets for path in target.files()]
        try:
            for target in list(self.inexact.values()):
                self._build(target, [], every, True)
        except Overtaken:
            return
        self.looking.again()

    def _build(self, target: Target, changed: list[str], overtaking: list[str], exact: bool) -> bool:
        """Whether there is a library that the command has not seen yet. A change of ``overtaking`` stops the build."""
        self.looking.take(target.files())
        began = time.monotonic()
        with self.control.interruptible():
            result = service.build(
                target.recipe, shared=reachable.answering(self.shared, self._emit), emit=self._emit,
                watcher=_Ticks(self, target, overtaking), wanted=target.wanted,
                last=target.last, exact=exact or target.wanted in self.bad, reaches=reachable.answers,
            )  # fmt: skip
        seconds = round(time.monotonic() - began, 3)
        moved = result.reason == service.LINES_MOVED
        used = [one.path for one in result.used]
        # what a failed build has not come to is still waited for
        target.used = tuple(used) if result.ok and not moved else tuple(dict.fromkeys([*target.used, *used]))
        if moved:
            self.inexact[target.wanted] = target
        else:
            self.inexact.pop(target.wanted, None)
        if not result.ok:
            return self._failed(target, result, seconds)
        new = self.good.get(target.wanted) != result.path
        problem = vetting.problem(target.wanted, result) if new else ""
        if problem:
            return self._failed(target, replace(result, ok=False, reason="does-not-fit", first_error=problem), seconds)
        self._publish(target, result.path)
        self.listener.happened(
            "built" if new else "unchanged", target=target, result=result, seconds=seconds, changed=changed,
            stale=_is_stale(target), lines_only=exact,
        )  # fmt: skip
        if new:
            self._begin_precompiling(target)
        return new

    def _publish(self, target: Target, path: str) -> None:
        self.bad.discard(target.wanted)
        self.good[target.wanted] = path
        if self.table:
            served.write(self.table, self.good)

    def _failed(self, target: Target, result: BuildResult, seconds: float) -> bool:
        self.bad.add(target.wanted)
        self.listener.happened(
            "failed", target=target, result=result, seconds=seconds, last_good=self.good.get(target.wanted, "")
        )
        return False

    def _emit(self, event: str, **fields: Any) -> None:
        writer.emit(event, self.incident, **fields)

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
            if not self.control.closing:
                self.listener.happened("precompiled", ok=made, reason="", seconds=round(time.monotonic() - began, 1))

        threading.Thread(target=work, name="precompiled header", daemon=True).start()


class _Ticks(service.Watcher):
    """Between a build and its session: ten times a second while a compiler runs."""

    def __init__(self, session: Session, target: Target, overtaking: Iterable[str]) -> None:
        self._session = session
        self._target = target
        self._overtaking = list(overtaking)

    def started(self, what: str) -> None:
        self._session.listener.happened("building", target=self._target, what=what)

    def tick(self, doing: str) -> None:
        self._session.control.attend()
        self._session.listener.happened("ticking", target=self._target, doing=doing)
        if self._session.looking.is_overtaken(self._overtaking):
            raise Overtaken


def _is_stale(target: Target) -> bool:
    """Whether a library lies at the path that is asked for: a load of it works, or not, without us."""
    return os.path.exists(target.wanted)
