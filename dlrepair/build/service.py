"""``build``: a recipe in, a library in the store out. For the strategy, ``dlrepair build`` and ``dlrepair watch``.

What is in the store already is found without a lock and without a compiler. Else one builder at a time compiles, and
those that waited share what it made.
"""

from __future__ import annotations

import os
import time

from dlrepair import store, trust
from dlrepair.build import commands, compiler, includes, lock, objects, parts, toolchain
from dlrepair.build.parts import BuildFailed, Part, Watcher, signature
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.build.workshop import Made
    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult, Used
    from dlrepair.model.toolchain import TensorFlow, Toolchain

__all__ = ["BuildFailed", "Watcher", "build", "precompile", "signature"]

#: a failed compile is believed, without another try, as long as nothing that it was made of has changed
_FAILED = "failed build 1"


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
) -> BuildResult:
    """The library that ``recipe`` makes, for the TensorFlow of this process or environment, in the store.

    ``script``: main file of the program, whose owner is trusted too. ``shared``: the shared store's directory.
    ``fresh``: try again what did not compile before. ``emit``: takes the journal's ``build-started`` and
    ``build-finished``. ``watcher``: like ``Watcher``. Never raises but for what interrupts (KeyboardInterrupt):
    then nothing is left behind.
    """
    one = _Build(recipe, script, shared, fresh, emit, watcher or Watcher())
    return one.run()


def precompile(recipe: Recipe, script: str = "") -> bool:
    """Whether there is a precompiled header for the flags of ``recipe`` afterwards; making one takes half a minute.

    False where it would not be valid for its sources, or cannot be made. For the background of a watch. Never raises.
    """
    from dlrepair.build import precompiled

    one = _Build(recipe, script, "", False, _nothing, Watcher())
    try:
        one._prepare()
        part = one.parts[-1]
        return part.may_precompile() and precompiled.make(part.toolchain, part.units[0]) is not None
    except (BuildFailed, toolchain.NoToolchain, OSError, ValueError):
        return False


class _Build:
    """One build on its way."""

    def __init__(
        self, recipe: Recipe, script: str, shared: str, fresh: bool, emit: Callable[..., None], watcher: Any
    ) -> None:
        self.recipe = recipe
        self.script = script
        self.shared = shared
        self.fresh = fresh
        self.emit = emit
        self.watcher = watcher
        self.began = time.monotonic()
        self.parts: list[Part] = []
        self.tensorflow: TensorFlow | None = None
        self.chain: Toolchain | None = None
        self.steps: list[str] = []
        self.notes: list[str] = []
        self.started = False
        self.directory = ""
        self.command: list[str] = []

    def run(self) -> BuildResult:
        name = os.path.basename(self.recipe.output)
        try:
            self._prepare()
            result = self._find() or self._locked(name)
        except BuildFailed as failed:
            result = self._failed(failed)
        except toolchain.NoToolchain as missing:
            result = self._failed(BuildFailed(missing.reason, missing.text))
        except (OSError, ValueError) as error:
            reason = "disk-full" if getattr(error, "errno", None) in (28, 122) else "no-store"
            result = self._failed(BuildFailed(reason, str(error)))
        finally:
            if self.directory:
                store.remove(self.directory)
        self.emit(
            "build-finished", output=name, ok=result.ok, reason=result.reason, path=result.path,
            seconds=result.seconds, hit=result.hit, steps=list(result.steps), first_error=result.first_error,
            log=result.log, notes=list(result.notes),
        )  # fmt: skip
        self.watcher.finished(result)
        return result

    # --- what is to be built, and whether it may be

    def _prepare(self) -> None:
        if store.root() is None:
            raise BuildFailed("no-store", store.problem() or "there is no store to build in")
        for recipe in (*parts.all_helpers(self.recipe), self.recipe):
            if recipe.missing:
                text = "{} names {}: missing".format(parts.place_of(recipe), recipe.missing[0])
                raise BuildFailed("no-sources", text)
            if not recipe.sources and not recipe.cuda_sources:
                raise BuildFailed("no-sources", "no source of {} was found".format(recipe.output))
            self._check_trust((recipe.file, *recipe.sources, *recipe.cuda_sources))
            self._check_trust([name for name in recipe.libraries if os.path.isabs(name)])
            self.parts.append(self._part(self._with_trusted_places(recipe)))
        if not self.parts[-1].units:
            notes = "; ".join(self.chain.notes) if self.chain is not None else ""
            raise BuildFailed("no-sources", "{} has CUDA sources only. {}".format(self.recipe.output, notes))

    def _with_trusted_places(self, recipe: Recipe) -> Recipe:
        """The recipe without library directories that others can write: what is linked is loaded from there."""
        from dataclasses import replace

        refused = {place: trust.check(place, self.script) for place in recipe.library_dirs}
        for place, clause in refused.items():
            if clause is not None:
                self.emit("trust-refused", path=place, reason=clause)
                self.notes.append("{} is left out: {}".format(place, clause))
        return replace(recipe, library_dirs=tuple(one for one in recipe.library_dirs if refused[one] is None))

    def _check_trust(self, paths: Sequence[str]) -> None:
        for path in paths:
            clause = trust.check(path, self.script) if path else None
            if clause is not None:
                self.emit("trust-refused", path=path, reason=clause)
                raise BuildFailed("untrusted", clause)

    def _part(self, recipe: Recipe) -> Part:
        try:
            scan = includes.Scan((*recipe.sources, *recipe.cuda_sources), recipe.include_dirs, self._foreign())
        except (OSError, ValueError) as error:
            raise BuildFailed("no-sources", str(error)) from None
        self._check_trust(tuple(scan.texts))
        wants = recipe.links_tensorflow or scan.uses_tensorflow
        if wants and self.tensorflow is None:
            self.tensorflow = toolchain.find_tensorflow()
        if self.chain is None or (wants and self.chain.tensorflow is None):
            cuda = recipe.cuda or bool(recipe.cuda_sources)
            self.chain = toolchain.find(self.tensorflow if wants else None, cuda)
            self.notes += [note for note in self.chain.notes if note not in self.notes]
        return Part(recipe, scan, self.chain if wants else parts.without_tensorflow(self.chain))

    def _foreign(self) -> tuple[str, ...]:
        return (self.tensorflow.include,) if self.tensorflow is not None else ()

    # --- what is there already

    def _find(self) -> BuildResult | None:
        """The library in the store, or taken over from the shared one; None where something has to be compiled."""
        for part in self.parts:
            if not part.look(self.shared):
                return None
        key = self._library_key()
        facts = builds.find(key)
        reason = "found"
        if facts is None and self.shared:
            from dlrepair.build import sharing

            facts, reason = sharing.fetch(self.shared, key, self.script, self.emit), "shared"
        if facts is None:
            return None
        self.steps = list(facts.get("steps", []))
        return self._done(facts, reason)

    def _library_key(self) -> str:
        assert self.chain is not None
        parts = ["library 1", self.recipe.output, *objects.toolchain_key(self.chain)]
        for part in self.parts:
            parts += [part.name, *[known.key for known in part.known if known is not None]]
            words = commands.link(part.recipe, part.toolchain, (), part.name, (), "")
            parts += commands.neutral(words[1:], part.recipe.directory, self.chain)
        return store.key_of(*parts)

    def _request_key(self) -> str:
        return store.key_of("request 1", self.recipe.output, *[first for part in self.parts for first in part.firsts])

    # --- one builder at a time

    def _locked(self, name: str) -> BuildResult:
        key = self._request_key()
        self._refuse_again(key)
        patience = 2 * compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
        try:
            with lock.BuildLock(key, name, patience, lambda holder: self.watcher.tick("waiting for " + holder)) as held:
                if held.waited:
                    result = self._find()
                    if result is not None:
                        return result
                    self._refuse_again(key)
                return self._compile(key)
        except lock.NotLocked as waited:
            raise BuildFailed("waited", "waited {:g} s for {}".format(patience, waited)) from None

    def _refuse_again(self, key: str) -> None:
        """Raises what failed before, where nothing has changed since."""
        if self.fresh:
            return
        record = store.recall(store.key_of(_FAILED, key, *self._texts()))
        if record is not None:
            text = record.get("text", "")
            raise BuildFailed("failed-before", text, "log:" + record.get("log", ""))

    def _texts(self) -> list[str]:
        return [store.key_of(text) for part in self.parts for text in part.scan.texts.values()]

    def _compile(self, key: str) -> BuildResult:
        assert self.chain is not None
        directory = builds.new_directory()
        if directory is None:
            raise BuildFailed("no-store", store.problem() or "the store cannot be written")
        self.directory = directory
        self._say_started()
        made: list[Made] = []
        try:
            helpers: list[str] = []
            os.mkdir(os.path.join(directory, "out"), 0o700)
            for part in self.parts:
                helpers = self._library(part, helpers, made)
        except BuildFailed as failed:
            if failed.reason in ("compile-error", "link-error", "time-limit", "memory-limit"):
                failed.output = "log:" + builds.write_log(key, failed.output)
                log = failed.output[4:]
                store.remember(store.key_of(_FAILED, key, *self._texts()), {"text": failed.text, "log": log})
            raise
        self._check_ops(self.parts[-1], helpers[-1])
        library = self._library_key()
        facts = {
            "name": self.parts[-1].name, "steps": self.steps, "ops": list(self.parts[-1].scan.ops()),
            "sources": list(self._sources()), "compiler": self.chain.compiler.version,
            "tensorflow": self.tensorflow.version if self.tensorflow is not None else "",
        }  # fmt: skip
        if builds.publish(os.path.join(directory, "out"), library, facts, os.path.dirname(directory)) is None:
            raise BuildFailed("no-store", "the store cannot keep the library")
        found = builds.find(library)
        if found is None:
            raise BuildFailed("no-store", "the library is gone from the store")
        if self.shared:
            from dlrepair.build import sharing

            sharing.offer(self.shared, library, self.parts, self.emit)
        builds.tidy()
        return self._done(found, "built")

    def _say_started(self) -> None:
        assert self.chain is not None
        target = " for TensorFlow {}".format(self.tensorflow.version) if self.tensorflow is not None else ""
        todo = [unit.source for part in self.parts for unit, known in zip(part.units, part.known) if known is None]
        names = ", ".join(os.path.basename(one) for one in todo[:4]) + (", ..." if len(todo) > 4 else "")
        self.watcher.started("compiling {}{}".format(names, target) if todo else "linking " + self.parts[-1].name)
        self.started = True
        first = next(unit for part in reversed(self.parts) for unit in part.units)
        self.emit(
            "build-started", output=os.path.basename(self.recipe.output), sources=list(self._sources()),
            recipe={"kind": self.recipe.kind, "file": self.recipe.file, "line": self.recipe.line},
            dropped=[list(pair) for pair in self.recipe.dropped[:50]], command=[*first.argv, "-c", first.source],
            compiler=self.chain.compiler.version,
            tensorflow=self.tensorflow.version if self.tensorflow is not None else "", notes=self.notes,
        )  # fmt: skip

    def _library(self, part: Part, helpers: list[str], made: list[Made]) -> list[str]:
        """Compiles what is not known, links, and answers the libraries that the next one links as helpers."""
        files = self._objects(part, made)
        output = os.path.join(self.directory, "out", part.name)
        is_helper = part is not self.parts[-1]
        argv = commands.link(part.recipe, part.toolchain, files, output, helpers, part.name if is_helper else "")
        ran = compiler.run(argv, temporary=self.directory, tick=lambda: self.watcher.tick("linking " + part.name))
        if ran.reason:
            reason = "link-error" if ran.reason == "failed" else ran.reason
            text = ran.output.replace(self.directory + os.sep, "")
            raise BuildFailed(reason, parts.sentence(reason, part.name, text), parts.log_of(ran.argv, ran.output))
        return [*helpers, output]

    def _check_ops(self, part: Part, path: str) -> None:
        """Raises where the library registers none of the ops that its sources have; notes those that it does not.

        A scan of sources sees both branches of an ``#if``: an op for GPUs only may rightly be absent.
        """
        from dlrepair.build import registration

        ops = part.scan.ops()
        if not ops or part.toolchain.tensorflow is None:
            return
        self.watcher.tick("asking TensorFlow for the ops of " + part.name)
        missing = registration.find_missing(part.toolchain.tensorflow, path, ops)
        if missing:
            text = "it does not register {}".format(", ".join(missing[:4]))
            if len(missing) == len(ops):
                raise BuildFailed("does-not-fit", "{} was built, and {}".format(part.name, text))
            self.notes.append(text)

    def _objects(self, part: Part, made: list[Made]) -> list[str]:
        """Paths of the objects of one library: kept ones, and those that are compiled now."""
        from dlrepair.build import workshop

        files: dict[int, str] = {}
        todo = []
        for at in range(len(part.units)):
            known = part.known[at]
            facts = builds.find(known.key) if known is not None else None
            if facts is not None:
                files[at] = os.path.join(facts["directory"], objects.OBJECT)
                self.steps += [step for step in facts.get("steps", []) if step not in self.steps]
            else:
                todo.append(at)
        if todo:
            names = ", ".join(os.path.basename(part.units[at].source) for at in todo)
            place = os.path.join(self.directory, part.name + ".d")
            os.mkdir(place, 0o700)
            shop = workshop.Workshop(
                place, self.directory, part.toolchain, part.scan, self._note_steps,
                lambda: self.watcher.tick("compiling " + names),
            )  # fmt: skip
            self._with_precompiled(shop, part)
            for at, one in zip(todo, shop.compile([part.units[at] for at in todo])):
                made.append(one)
                if one.reason:
                    text = parts.sentence(one.reason, one.unit.source, one.output)
                    raise BuildFailed(one.reason, text, parts.log_of(one.argv, one.output))
                files[at] = self._keep(part, at, one, shop.forwarded)
        return [files[at] for at in range(len(part.units))]

    def _with_precompiled(self, shop: Any, part: Part) -> None:
        from dlrepair.build import precompiled

        if part.may_precompile():
            unit = next(unit for unit in part.units if unit.language == "c++")
            shop.precompiled = precompiled.find(part.toolchain, unit) or ""

    def _keep(self, part: Part, at: int, made: Made, forwarded: bool) -> str:
        """Path of the object in the store; its headers are trusted, and written down."""
        unit = part.units[at]
        names = [step.name for step in made.steps] + (["moved-header"] if forwarded else [])
        own = [
            path for path in made.dependencies
            if path in part.scan.texts or path.startswith(part.tops())
        ]  # fmt: skip
        own = [path for path in own if not path.startswith(self._foreign() or ("\0",))]
        self._check_trust(own)
        manifest = objects.manifest_of(made.dependencies, part.places(unit), own, names)
        key = objects.object_key(part.firsts[at], manifest)
        place = os.path.join(self.directory, "object-{}".format(key))
        os.mkdir(place, 0o700)
        os.rename(made.object, os.path.join(place, objects.OBJECT))
        kept = builds.publish(place, key, {"steps": names, "source": unit.source}, os.path.dirname(self.directory))
        if kept is None:
            raise BuildFailed("no-store", "the store cannot keep the object of {}".format(unit.source))
        builds.add_manifest(part.firsts[at], key, manifest)
        part.known[at] = objects.Known(key, own, tuple(names))
        return os.path.join(kept, objects.OBJECT)

    def _note_steps(self, names: list[str], why: str) -> None:
        self.steps += [name for name in names if name not in self.steps]
        self.emit("repair-tried", strategy="rebuild", why=why, steps=[{"kind": "era", "path": one} for one in names])

    # --- the answer

    def _sources(self) -> tuple[str, ...]:
        return tuple(unit.source for part in self.parts for unit in part.units)

    def _done(self, facts: dict[str, Any], reason: str) -> BuildResult:
        from dlrepair.model.built import BuildResult

        used = [path for part in self.parts for path in part.scan.texts]
        used += [path for part in self.parts for known in part.known if known is not None for path in known.headers]
        if self.recipe.file:
            used.append(self.recipe.file)
        path = os.path.join(facts["directory"], facts["name"])
        return BuildResult(
            True, reason, path, seconds=self._seconds(), hit=reason != "built", steps=tuple(self.steps),
            ops=tuple(facts.get("ops", ())), sources=self._sources(),
            used=self._used(used), notes=tuple(self.notes),
            compiler=facts.get("compiler", ""), tensorflow=facts.get("tensorflow", ""),
        )  # fmt: skip

    def _failed(self, failed: BuildFailed) -> BuildResult:
        from dlrepair.model.built import BuildResult

        log = failed.output[4:] if failed.output.startswith("log:") else ""
        version = self.tensorflow.version if self.tensorflow is not None else ""
        used = [path for part in self.parts for path in part.scan.texts]
        return BuildResult(
            False, failed.reason, first_error=failed.text, log=log, seconds=self._seconds(), steps=tuple(self.steps),
            sources=tuple(self.recipe.sources), used=self._used(used),
            notes=tuple(self.notes), tensorflow=version,
        )  # fmt: skip

    def _used(self, paths: Sequence[str]) -> tuple[Used, ...]:
        """The files with the signatures that they had when they were read: an edit meanwhile is a change."""
        from dlrepair.model.built import Used

        held = {path: seen for part in self.parts for path, seen in part.scan.signatures.items()}
        return tuple(Used(one, held.get(one) or signature(one)) for one in dict.fromkeys(paths))

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)
