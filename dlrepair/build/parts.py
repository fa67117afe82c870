"""The libraries that a build is made of, their objects as far as they are known, and words for failures."""

from __future__ import annotations

import os

from dlrepair import store
from dlrepair.build import commands, compiler, includes, objects
from dlrepair.build.includes import signature

__all__ = [
    "BuildFailed", "Changed", "Part", "Watcher", "all_helpers", "help_for", "log_of", "place_of", "sentence",
    "signature", "without_tensorflow",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.build.commands import Unit
    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult
    from dlrepair.model.toolchain import Toolchain


class BuildFailed(Exception):
    """Why there is no library: a slug of ``BuildResult.reason``, one sentence, and the whole output of the tool.

    ``help``: the command that gets what is missing, where there is one. ``cuda``: whether it is the CUDA code that
    failed, or what that needs.
    """

    def __init__(self, reason: str, text: str, output: str = "", help: str = "", cuda: bool = False) -> None:
        Exception.__init__(self, text)
        self.reason = reason
        self.text = text
        self.output = output
        self.help = help
        self.cuda = cuda


class Changed(Exception):
    """A file of the project was saved again while it was compiled: its path."""


class Watcher:
    """Told what a build does: nobody is listening. ``dlrepair.render.building`` has one that draws a line."""

    def started(self, what: str) -> None:
        """A compiler is about to run."""

    def tick(self, doing: str) -> None:
        """Time passes; ``doing`` is what with."""

    def finished(self, result: BuildResult) -> None:
        """The build is over."""


class Part:
    """One library of a build: the one that is wanted, or a helper that it links."""

    __slots__ = ("firsts", "known", "name", "recipe", "scan", "toolchain", "units")

    def __init__(self, recipe: Recipe, scan: includes.Scan, chain: Toolchain) -> None:
        self.recipe = recipe
        self.scan = scan
        self.toolchain = chain
        self.name = os.path.basename(recipe.output)
        self.units = commands.units(recipe, chain, scan)
        self.firsts = [objects.first_key(unit, scan.texts[os.path.normpath(unit.source)], chain) for unit in self.units]
        self.known: list[objects.Known | None] = [None] * len(self.units)

    def may_precompile(self) -> bool:
        """Whether a source means the same with TensorFlow's headers before its first line."""
        from dlrepair.build import precompiled

        sources = [os.path.normpath(unit.source) for unit in self.units if unit.language == "c++"]
        headers = [text for path, text in self.scan.texts.items() if path not in sources]
        return bool(sources) and any(precompiled.is_valid_for(self.scan.texts[one], headers) for one in sources)

    def tops(self) -> tuple[str, ...]:
        """What the paths of the project's own headers begin with."""
        places = [unit.directory for unit in self.units] + [self.recipe.directory]
        return tuple(one.rstrip(os.sep) + os.sep for one in places if one and one != os.sep)

    def places(self, unit: Unit) -> objects.Places:
        return objects.Places(unit, self.toolchain)

    def look(self, shared: str) -> bool:
        """Whether every object of this library is known by the contents of what it is made of."""
        for at, unit in enumerate(self.units):
            if self.known[at] is None:
                self.known[at] = objects.find(self.firsts[at], self.places(unit), shared)
        return all(self.known)


def all_helpers(recipe: Recipe) -> list[Recipe]:
    """Helpers, and theirs before them; each once."""
    found: list[Recipe] = []
    for helper in recipe.helpers:
        for one in (*all_helpers(helper), helper):
            if one not in found:
                found.append(one)
    return found


def without_tensorflow(chain: Toolchain) -> Toolchain:
    """The same tools for what does not use TensorFlow."""
    from dlrepair.model.records import replace

    return replace(chain, tensorflow=None) if chain.tensorflow is not None else chain


def place_of(recipe: Recipe) -> str:
    """File and line of a recipe."""
    return "{}:{}".format(recipe.file, recipe.line) if recipe.file else "the recipe"


def log_of(argv: Sequence[str], output: str) -> str:
    """What is kept of a command that failed."""
    return "$ {}\n{}".format(" ".join(argv), output)


def help_for(failed: BuildFailed) -> str:
    """The one command for a person: what gets what is missing, or shows what is full; "" where there is none."""
    import shlex

    if failed.reason == "disk-full" and not failed.help:
        return "df -h {}  # DLREPAIR_STORE may lead to another disk".format(shlex.quote(store.location()))
    return failed.help


def sentence(reason: str, subject: str, output: str) -> str:
    """What a person reads of a failed command."""
    name = os.path.basename(subject)
    if reason == "time-limit":
        seconds = compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
        return "{}: the compiler was stopped after {:g} s".format(name, seconds)
    if reason == "memory-limit":
        most = compiler.limit("DLREPAIR_BUILD_MEMORY", compiler.BYTES / (1 << 20))
        return "{}: the compiler ran out of memory ({:g} MiB)".format(name, most)
    if reason == "disk-full":
        return "{}: no space left in {}".format(name, store.location())
    if reason == "not-started":
        return "{}: the compiler does not run: {}".format(name, compiler.first_error(output))
    return compiler.first_error(output) or "{}: the compiler gave no reason".format(name)
