"""``build``: a recipe in, a library in the store out. For the strategy, ``dlrepair build`` and ``dlrepair watch``.

What is in the store already is found without a lock and without a compiler. Else one builder at a time compiles, and
those that waited share what it made.
"""

from __future__ import annotations

import os
import time

from dlrepair import store
from dlrepair.build import answers, compiler, lock, toolchain
from dlrepair.build.nvcc import anywhere
from dlrepair.build.parts import BuildFailed, Changed, Watcher, help_for, signature
from dlrepair.build.prepared import Prepared
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.build.moved import Last
    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult, Used

__all__ = ["LINES_MOVED", "BuildFailed", "Watcher", "build", "precompile", "signature"]

#: a failed compile is believed, without another try, as long as nothing that it was made of has changed
_FAILED = "failed build 1"
#: how often one build starts over because a source is saved while it is compiled
_AGAIN = 3
#: ``BuildResult.reason`` of an earlier build that stands in for sources that differ from its own in line numbers
LINES_MOVED = "lines-moved"
_NOTE = "line numbers in messages are those of the previous build until the exact build replaces it"


def _nothing(event: str, **fields: Any) -> None:
    """For a caller that keeps no journal."""


def build(
    recipe: Recipe,
    *,
    script: str = "",
    shared: str = "",
    fresh: bool = False,
    emit: Callable[..., None] = _nothing,
    watcher: Any = None,
    last: Last | None = None,
    exact: bool = True,
    wanted: str = "",
    cpu_will_do: bool = False,
    reaches: Callable[[str], bool] = anywhere,
) -> BuildResult:
    """The library that ``recipe`` makes, for the TensorFlow of this process or environment, in the store.

    ``script``: main file of the program, whose owner is trusted too. ``shared``: the shared store's directory.
    ``fresh``: try again what did not compile before. ``emit``: takes the journal's ``build-started`` and
    ``build-finished``. ``watcher``: like ``Watcher``. ``last``: is told of what was built; without ``exact`` its
    library is the answer, with the reason ``LINES_MOVED``, where only line numbers are to be compiled. ``wanted``: the
    path that it is built for: the next load of it finds the library without its recipe (``answers``).
    ``cpu_will_do``: without CUDA parts where no nvcc compiles them, with a note that says so. ``reaches``: whether a
    place may be asked for an nvcc, which no dead server is. Never raises
    but for what interrupts (KeyboardInterrupt): then nothing is left behind.
    """
    one = _Build(Prepared(recipe, script, emit, reaches), shared, fresh, watcher or Watcher(), last, wanted)
    one.cpu_will_do = cpu_will_do
    return one.run(exact)


def precompile(recipe: Recipe, script: str = "") -> bool:
    """Whether there is a precompiled header for the flags of ``recipe`` afterwards; making one takes half a minute.

    False where it would not be valid for its sources, or cannot be made. For the background of a watch. Never raises.
    """
    from dlrepair.build import precompiled

    prepared = Prepared(recipe, script, _nothing)
    try:
        prepared.prepare()
        part = prepared.parts[-1]
        return part.may_precompile() and precompiled.make(part.toolchain, part.units[0]) is not None
    except (BuildFailed, toolchain.NoToolchain, OSError, ValueError):
        return False


class _Build:
    """One build on its way."""

    def __init__(self, prepared: Prepared, shared: str, fresh: bool, watcher: Any, last: Last | None,
                 wanted: str) -> None:  # fmt: skip
        self.prepared = prepared
        self.shared = shared
        self.fresh = fresh
        self.watcher = watcher
        self.last = last
        self.wanted = wanted
        self.began = time.monotonic()
        self.steps: list[str] = []
        self.directory = ""
        self.cpu_will_do = False

    def run(self, exact: bool) -> BuildResult:
        name = os.path.basename(self.prepared.recipe.output)
        try:
            result = self._with_any_nvcc(name, exact)
        except BuildFailed as failed:
            result = self._failed(failed)
        except toolchain.NoToolchain as missing:
            result = self._failed(BuildFailed(missing.reason, missing.text, help=missing.help))
        except (OSError, ValueError) as error:
            reason = "disk-full" if getattr(error, "errno", None) in (28, 122) else "no-store"
            result = self._failed(BuildFailed(reason, str(error)))
        finally:
            self._clean()
        self.prepared.emit(
            "build-finished", output=name, ok=result.ok, reason=result.reason, path=result.path,
            seconds=result.seconds, hit=result.hit, steps=list(result.steps), first_error=result.first_error,
            log=result.log, notes=list(result.notes),
        )  # fmt: skip
        self.watcher.finished(result)
        return result

    def _with_any_nvcc(self, name: str, exact: bool) -> BuildResult:
        """What there is or can be made; by another nvcc where one does not compile the CUDA parts, or without them."""
        first: BuildFailed | None = None
        prepared = self.prepared
        while True:
            try:
                return self._any(name, exact)
            except BuildFailed as failed:
                first = first or failed
                used = prepared.chain.nvcc if prepared.chain is not None else None
                if not failed.cuda or used is None:
                    raise (failed if used is None else first) from None
                if not prepared.refuse_nvcc(failed.text):
                    if not self.cpu_will_do or not prepared.recipe.sources:
                        raise first from None
                    prepared.cpu_only = True
                prepared.emit("repair-failed", strategy="rebuild", path=name, reason=prepared.refused[-1][1])
                self._clean()

    def _any(self, name: str, exact: bool) -> BuildResult:
        """What there is or can be made; once more where a source is saved meanwhile."""
        changed = ""
        for _ in range(_AGAIN):
            self.prepared.prepare()
            try:
                return self._find() or (None if exact else self._stand_in()) or self._locked(name)
            except Changed as again:
                changed = os.path.basename(str(again))
                self._clean()
        raise BuildFailed("changed", "{} was saved again each time while it was compiled".format(changed))

    def _clean(self) -> None:
        directory, self.directory = self.directory, ""
        if directory:
            store.remove(directory)

    # --- what is there already

    def _find(self) -> BuildResult | None:
        found = self.prepared.find(self.shared)
        if found is None:
            return None
        builds.sweep_left()
        self.steps = list(found[0].get("steps", []))
        return self._done(*found)

    def _stand_in(self) -> BuildResult | None:
        """The last library, where it differs from what would be built in line numbers only."""
        if self.last is None or not self.last.stands_for(self.prepared.parts):
            return None
        facts = builds.find(self.last.library)
        if facts is None:
            return None
        self.prepared.note(_NOTE)
        self.steps = list(facts.get("steps", []))
        return self._done(facts, LINES_MOVED)

    # --- one builder at a time

    def _locked(self, name: str) -> BuildResult:
        key = self.prepared.request_key()
        self._refuse_again(key)
        patience = 2 * compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
        try:
            with lock.BuildLock(key, name, patience, lambda holder: self.watcher.tick("waiting for " + holder)) as held:
                if held.waited:
                    result = self._find()
                    if result is not None:
                        return result
                    self._refuse_again(key)
                return self._make(key)
        except lock.NotLocked as waited:
            raise BuildFailed("waited", "waited {:g} s for {}".format(patience, waited)) from None

    def _refuse_again(self, key: str) -> None:
        """Raises what failed before, where nothing has changed since."""
        if self.fresh:
            return
        record = store.recall(store.key_of(_FAILED, key, *self.prepared.texts()))
        if record is not None:
            text = record.get("text", "")
            log = "log:" + record.get("log", "")
            raise BuildFailed("failed-before", text, log, cuda=bool(record.get("cuda")))

    def _make(self, key: str) -> BuildResult:
        from dlrepair.build import making

        directory = builds.new_directory()
        if directory is None:
            raise BuildFailed("no-store", store.problem() or "the store cannot be written")
        self.directory = directory
        work = making.Making(self.prepared, directory, self.watcher, self.prepared.emit)
        self.steps = work.steps
        try:
            facts = work.run()
        except BuildFailed as failed:
            if failed.reason in ("compile-error", "link-error", "time-limit", "memory-limit"):
                failed.output = "log:" + builds.write_log(key, failed.output)
                facts = {"text": failed.text, "log": failed.output[4:], "cuda": "1" if failed.cuda else ""}
                store.remember(store.key_of(_FAILED, key, *self.prepared.texts()), facts)
            raise
        if self.shared:
            from dlrepair.build import sharing

            sharing.offer(self.shared, self.prepared.library_key(), self.prepared.parts, self.prepared.emit)
        builds.tidy()
        return self._done(facts, "built")

    # --- the answer

    def _done(self, facts: dict[str, Any], reason: str) -> BuildResult:
        from dlrepair.model.built import BuildResult

        parts = self.prepared.parts
        used = [path for part in parts for path in part.scan.texts]
        used += [path for part in parts for known in part.known if known is not None for path in known.headers]
        if self.prepared.recipe.file:
            used.append(self.prepared.recipe.file)
        if self.last is not None and reason != LINES_MOVED:
            self.last.take(facts["key"], parts)
        if self.wanted and reason != LINES_MOVED:
            answers.note(self.wanted, self.prepared, facts["key"], self.shared if reason == "built" else "")
        path = os.path.join(facts["directory"], facts["name"])
        return BuildResult(
            True, reason, path, seconds=self._seconds(), hit=reason != "built", steps=tuple(self.steps),
            ops=tuple(facts.get("ops", ())), sources=self.prepared.sources(),
            used=self._used(used), notes=tuple(self.prepared.notes),
            compiler=facts.get("compiler", ""), tensorflow=facts.get("tensorflow", ""),
        )  # fmt: skip

    def _failed(self, failed: BuildFailed) -> BuildResult:
        from dlrepair.model.built import BuildResult

        log = failed.output[4:] if failed.output.startswith("log:") else ""
        prepared = self.prepared
        version = prepared.tensorflow.version if prepared.tensorflow is not None else ""
        used = [path for part in prepared.parts for path in part.scan.texts]
        return BuildResult(
            False, failed.reason, first_error=failed.text, log=log, seconds=self._seconds(), steps=tuple(self.steps),
            sources=tuple(prepared.recipe.sources), used=self._used(used),
            notes=tuple(prepared.notes), tensorflow=version, help=help_for(failed),
        )  # fmt: skip

    def _used(self, paths: Sequence[str]) -> tuple[Used, ...]:
        """The files with the signatures that they had when they were read: an edit meanwhile is a change."""
        from dlrepair.model.built import Used

        held = {path: seen for part in self.prepared.parts for path, seen in part.scan.signatures.items()}
        return tuple(Used(one, held.get(one) or signature(one)) for one in dict.fromkeys(paths))

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)
