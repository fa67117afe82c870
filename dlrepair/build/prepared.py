"""What is to be built, and whether it may be: a recipe with its sources read, its tools found, its files trusted.

And what of it the store holds already: found without a lock and without a compiler.
"""

from __future__ import annotations

import os

from dlrepair import store, trust
from dlrepair.build import commands, includes, nvcc, objects, parts, toolchain
from dlrepair.build.parts import BuildFailed, Part, signature
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.model.build import Recipe
    from dlrepair.model.toolchain import TensorFlow, Toolchain


class Prepared:
    """One recipe with its helpers, as the files are now."""

    def __init__(
        self, recipe: Recipe, script: str, emit: Callable[..., None], reaches: Callable[[str], bool] = nvcc.anywhere
    ) -> None:
        self.recipe = recipe
        self.script = script
        self.emit = emit
        self.reaches = reaches  #: whether a directory that a variable names may be asked for anything
        self.parts: list[Part] = []  #: helpers first, the library itself last
        self.tensorflow: TensorFlow | None = None
        self.chain: Toolchain | None = None
        self.notes: list[str] = []
        self.refused: list[tuple[str, str]] = []  #: (nvcc, why) of those that do not compile this
        self.cpu_only = False  #: whether CUDA parts are left out, whatever nvcc there is

    def prepare(self) -> None:
        """Reads, finds and checks everything. Raises ``BuildFailed``, ``NoToolchain``, OSError and ValueError."""
        if store.root() is None:
            raise BuildFailed("no-store", store.problem() or "there is no store to build in")
        self.parts, self.chain = [], None
        everything = (*parts.all_helpers(self.recipe), self.recipe)
        cuda = any(recipe.cuda or recipe.cuda_sources for recipe in everything)
        for recipe in everything:
            if recipe.missing:
                text = "{} names {}: missing".format(parts.place_of(recipe), recipe.missing[0])
                raise BuildFailed("no-sources", text)
            if not recipe.sources and not recipe.cuda_sources:
                raise BuildFailed("no-sources", "no source of {} was found".format(recipe.output))
            self.check_trust((recipe.file, *recipe.sources, *recipe.cuda_sources))
            self.check_trust([name for name in recipe.libraries if os.path.isabs(name)])
            self.parts.append(self._part(self._with_trusted_places(recipe), cuda))
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
                self.note("{} is left out: {}".format(place, clause))
        return replace(recipe, library_dirs=tuple(one for one in recipe.library_dirs if refused[one] is None))

    def check_trust(self, paths: Sequence[str]) -> None:
        """Raises ``BuildFailed`` where somebody else could have written one of these."""
        for path in paths:
            clause = trust.check(path, self.script) if path else None
            if clause is not None:
                self.emit("trust-refused", path=path, reason=clause)
                raise BuildFailed("untrusted", clause)

    def _part(self, recipe: Recipe, cuda: bool) -> Part:
        try:
            scan = includes.Scan((*recipe.sources, *recipe.cuda_sources), recipe.include_dirs, self.foreign())
        except (OSError, ValueError) as error:
            raise BuildFailed("no-sources", str(error)) from None
        self.check_trust(tuple(scan.texts))
        wants = recipe.links_tensorflow or scan.uses_tensorflow
        if wants and self.tensorflow is None:
            self.tensorflow = toolchain.find_tensorflow()
        only_c = not (wants or cuda) and all(one.endswith(".c") for one in recipe.sources)
        chain = self.chain
        if chain is None or (wants and chain.tensorflow is None) or (chain.compiler.only_c and not only_c):
            chain = toolchain.find(self.tensorflow if wants else None, only_c)
            self.chain = chain = self._with_cuda(chain) if cuda else chain
            for note in chain.notes:
                self.note(note)
        if chain.nvcc is not None and recipe.cuda_sources:
            refused = nvcc.architectures(recipe, chain)[1]
            if refused:
                text = "left out: {}, for which nvcc {} does not compile"
                self.note(text.format(", ".join(dict.fromkeys(refused)), nvcc.release_of(chain.nvcc)))
        return Part(recipe, scan, chain if wants else parts.without_tensorflow(chain))

    def _with_cuda(self, chain: Toolchain) -> Toolchain:
        if not self.cpu_only:
            return nvcc.with_cuda(chain, self.refused, self.reaches)
        from dataclasses import replace

        return replace(chain, notes=(nvcc.CPU_ONLY + "; ".join(why for _, why in self.refused),))

    def refuse_nvcc(self, why: str) -> bool:
        """Whether there is another way after this nvcc has not compiled the CUDA parts: a further nvcc."""
        assert self.chain is not None
        used = self.chain.nvcc
        assert used is not None
        self.refused.append((used.realpath, "nvcc {}: {}".format(nvcc.release_of(used), why)))
        self.notes = []
        return nvcc.with_cuda(toolchain.find(self.tensorflow), self.refused, self.reaches).nvcc is not None

    def note(self, sentence: str) -> None:
        """Keeps a sentence for the answer, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def foreign(self) -> tuple[str, ...]:
        """Directories whose headers are not the project's."""
        return (self.tensorflow.include,) if self.tensorflow is not None else ()

    # --- what is there already

    def find(self, shared: str) -> tuple[dict[str, Any], str] | None:
        """Facts of the library, and where it was: ``found`` in the store, taken over from the ``shared`` one; None
        where something has to be compiled."""
        for part in self.parts:
            if not part.look(shared):
                return None
        key = self.library_key()
        facts = builds.find(key)
        if facts is not None:
            return facts, "found"
        if shared:
            from dlrepair.build import sharing

            facts = sharing.fetch(shared, key, self.script, self.emit)
        return (facts, "shared") if facts is not None else None

    def library_key(self) -> str:
        """Where the library lies or will lie in the store, once every object is known."""
        assert self.chain is not None
        words = ["library 1", self.recipe.output, *objects.toolchain_key(self.chain)]
        for part in self.parts:
            words += [part.name, *[known.key for known in part.known if known is not None]]
            argv = commands.link(part.recipe, part.toolchain, (), part.name, (), "")
            words += commands.neutral(argv[1:], part.recipe.directory, self.chain)
        return store.key_of(*words)

    def request_key(self) -> str:
        """What one builder at a time builds."""
        return store.key_of("request 1", self.recipe.output, *[first for part in self.parts for first in part.firsts])

    def texts(self) -> list[str]:
        """Digests of every file of the project that was read."""
        return [store.key_of(text) for part in self.parts for text in part.scan.texts.values()]

    def sources(self) -> tuple[str, ...]:
        """Everything that is compiled."""
        return tuple(unit.source for part in self.parts for unit in part.units)

    def changed(self) -> str:
        """A file of the project that is not what was read any more; "" where all are."""
        for part in self.parts:
            for path, seen in part.scan.signatures.items():
                if signature(path) != seen:
                    return path
        return ""
