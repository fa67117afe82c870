"""Compiles and links what a prepared recipe says, in a directory of its own, and keeps objects and library."""

from __future__ import annotations

import os

from dlrepair.build import commands, compiler, cuda, objects, parts, stub
from dlrepair.build.parts import BuildFailed, Changed, Part, Watcher
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.build.compiler import Ran
    from dlrepair.build.prepared import Prepared
    from dlrepair.build.registration import Asked
    from dlrepair.build.workshop import Made, Workshop


class Making:
    """One library being made below ``directory``, which the caller removes."""

    def __init__(self, prepared: Prepared, directory: str, watcher: Watcher, emit: Callable[..., None]) -> None:
        self.prepared = prepared
        self.parts = prepared.parts
        self.directory = directory
        self.watcher = watcher
        self.emit = emit
        self.steps: list[str] = []  #: of the ladder, as they are climbed

    def run(self) -> dict[str, Any]:
        """Facts of the library, which the store holds now. Raises ``BuildFailed`` and OSError."""
        prepared = self.prepared
        assert prepared.chain is not None
        self._say_started()
        helpers: list[str] = []
        os.mkdir(os.path.join(self.directory, "out"), 0o700)
        asked = self._asked(self.parts[-1])
        try:
            for part, files in zip(self.parts, self._objects()):
                helpers = self._library(part, files, helpers)
            if asked is not None:
                self._check_ops(self.parts[-1], helpers[-1], asked)
        finally:
            if asked is not None:
                asked.close()
        key = prepared.library_key()
        facts = {
            "name": self.parts[-1].name, "steps": self.steps, "ops": list(self.parts[-1].scan.ops()),
            "sources": list(prepared.sources()), "compiler": prepared.chain.compiler.version,
            "tensorflow": prepared.tensorflow.version if prepared.tensorflow is not None else "",
        }  # fmt: skip
        if builds.publish(os.path.join(self.directory, "out"), key, facts, os.path.dirname(self.directory)) is None:
            raise BuildFailed("no-store", "the store cannot keep the library")
        found = builds.find(key)
        if found is None:
            raise BuildFailed("no-store", "the library is gone from the store")
        return found

    def _say_started(self) -> None:
        prepared = self.prepared
        assert prepared.chain is not None
        version = prepared.tensorflow.version if prepared.tensorflow is not None else ""
        target = " for TensorFlow " + version if version else ""
        todo = [unit.source for part in self.parts for unit, known in zip(part.units, part.known) if known is None]
        names = ", ".join(os.path.basename(one) for one in todo[:4]) + (", ..." if len(todo) > 4 else "")
        self.watcher.started("compiling {}{}".format(names, target) if todo else "linking " + self.parts[-1].name)
        first = next(unit for part in reversed(self.parts) for unit in part.units)
        recipe = prepared.recipe
        self.emit(
            "build-started", output=os.path.basename(recipe.output), sources=list(prepared.sources()),
            recipe={"kind": recipe.kind, "file": recipe.file, "line": recipe.line},
            dropped=[list(pair) for pair in recipe.dropped[:50]], command=[*first.argv, "-c", first.source],
            compiler=prepared.chain.compiler.version, tensorflow=version, notes=prepared.notes,
        )  # fmt: skip

    def _library(self, part: Part, files: list[str], helpers: list[str]) -> list[str]:
        """Links, and answers the libraries that the next one links as helpers."""
        output = os.path.join(self.directory, "out", part.name)
        is_helper = part is not self.parts[-1]
        argv = commands.link(part.recipe, part.toolchain, files, output, helpers, part.name if is_helper else "")
        # what registers no op may need nothing of the framework, and as a linker's default has it, would not name it
        quick = stub.with_stub(argv, part.toolchain, self.directory) if self._asked(part) is not None else argv
        ran = self._link(quick, part.name)
        if ran.reason == "failed" and quick != argv:  # its words are to be about what was asked for
            ran = self._link(argv, part.name)
        if ran.reason:
            reason = "link-error" if ran.reason == "failed" else ran.reason
            text = ran.output.replace(self.directory + os.sep, "")
            said = parts.sentence(reason, part.name, text)
            wanted = any("cannot find -l" + name in text for name in ("cudart", *part.recipe.cuda_libraries))
            raise BuildFailed(reason, said, parts.log_of(ran.argv, ran.output), cuda=wanted)
        return [*helpers, output]

    def _link(self, argv: list[str], name: str) -> Ran:
        return compiler.run(argv, temporary=self.directory, tick=lambda: self.watcher.tick("linking " + name))

    @staticmethod
    def _asked(part: Part) -> Asked | None:
        """Who is asked for the ops of the library; None where it has none."""
        from dlrepair.build import registration

        if not part.scan.ops() or part.toolchain.tensorflow is None:
            return None
        return registration.Asked(part.toolchain.tensorflow)

    def _check_ops(self, part: Part, path: str, asked: Asked) -> None:
        """Raises where the library registers none of the ops that its sources have; notes those that it does not.

        A scan of sources sees both branches of an ``#if``: an op for GPUs only may rightly be absent.
        """
        ops = part.scan.ops()
        self.watcher.tick("asking TensorFlow for the ops of " + part.name)
        missing = asked.find_missing(path, ops)
        if missing:
            text = "it does not register {}".format(", ".join(missing[:4]))
            if len(missing) == len(ops):
                raise BuildFailed("does-not-fit", "{} was built, and {}".format(part.name, text))
            self.prepared.note(text)

    def _objects(self) -> list[list[str]]:
        """Paths of the objects of each library: kept ones, and those that are compiled now, helpers' among them."""
        from dlrepair.build import workshop

        files = [self._kept(part) for part in self.parts]
        todo = [[at for at in range(len(part.units)) if at not in have] for part, have in zip(self.parts, files)]
        busy = [number for number, units in enumerate(todo) if units]
        names = [os.path.basename(self.parts[number].units[at].source) for number in busy for at in todo[number]]
        shops = {number: self._shop(self.parts[number], ", ".join(names)) for number in busy}
        work = [(shops[number], [self.parts[number].units[at] for at in todo[number]]) for number in busy]
        made = workshop.compile_together(work)
        changed = self.prepared.changed() if busy else ""
        if changed:  # what a compiler has read then, and whether it was at fault, cannot be said
            raise Changed(changed)
        for number, ones in zip(busy, made):
            for at, one in zip(todo[number], ones):
                if one.reason:
                    text = parts.sentence(one.reason, one.unit.source, one.output)
                    cuda_code = one.unit.language == "cuda" or cuda.is_header(text)
                    raise BuildFailed(one.reason, text, parts.log_of(one.argv, one.output), cuda=cuda_code)
                files[number][at] = self._keep(self.parts[number], at, one, shops[number])
        return [[have[at] for at in sorted(have)] for have in files]

    def _kept(self, part: Part) -> dict[int, str]:
        """Number of a source -> its object, of those that the store has."""
        files = {}
        for at, known in enumerate(part.known):
            facts = builds.find(known.key) if known is not None else None
            if facts is not None:
                files[at] = os.path.join(facts["directory"], objects.OBJECT)
                self.steps += [step for step in facts.get("steps", []) if step not in self.steps]
        return files

    def _shop(self, part: Part, names: str) -> Workshop:
        from dlrepair.build import workshop

        place = os.path.join(self.directory, part.name + ".d")
        os.mkdir(place, 0o700)
        shop = workshop.Workshop(
            place, self.directory, part.toolchain, part.scan, self._note_steps,
            lambda: self.watcher.tick("compiling " + names),
        )  # fmt: skip
        self._with_precompiled(shop, part)
        return shop

    @staticmethod
    def _with_precompiled(shop: Workshop, part: Part) -> None:
        from dlrepair.build import precompiled

        if part.may_precompile():
            unit = next(unit for unit in part.units if unit.language == "c++")
            shop.precompiled = precompiled.find(part.toolchain, unit)

    def _keep(self, part: Part, at: int, made: Made, shop: Workshop) -> str:
        """Path of the object in the store; its headers are trusted, and written down."""
        unit = part.units[at]
        names = [step.name for step in made.steps] + (["moved-header"] if shop.forwarded else [])
        foreign = self.prepared.foreign() or ("\0",)
        own = [
            path for path in made.dependencies
            if (path in part.scan.texts or path.startswith(part.tops())) and not path.startswith(foreign)
        ]  # fmt: skip
        self.prepared.check_trust(own)
        rows = shop.precompiled.rows if shop.precompiled is not None else {}
        manifest = objects.manifest_of(made.dependencies, part.places(unit), own, names, rows)
        key = objects.object_key(part.firsts[at], manifest)
        place = os.path.join(self.directory, "object-{}".format(key))
        os.mkdir(place, 0o700)
        os.rename(made.object, os.path.join(place, objects.OBJECT))
        kept = builds.publish(place, key, {"steps": names, "source": unit.source}, os.path.dirname(self.directory))
        if kept is None:
            raise BuildFailed("no-store", "the store cannot keep the object of {}".format(unit.source))
        builds.add_manifest(part.firsts[at], key, manifest)
        part.known[at] = objects.Known(key, own, tuple(names), manifest["headers"])
        return os.path.join(kept, objects.OBJECT)

    def _note_steps(self, names: list[str], why: str) -> None:
        self.steps += [name for name in names if name not in self.steps]
        self.emit("repair-tried", strategy="rebuild", why=why, steps=[{"kind": "era", "path": one} for one in names])
