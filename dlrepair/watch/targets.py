"""Which libraries are watched: those that scripts load and a recipe builds, and sources of ops beside which none is."""

from __future__ import annotations

import os

from dlrepair.build.moved import Last
from dlrepair.watch import snapshot
from dlrepair.watch.tree import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

    from dlrepair.model.build import Recipe

#: bytes of a source that are searched for the ops that it registers
MAX_SOURCE = 2 << 20


class Target:
    """One library to keep up to date: the path by which it is asked for, and the recipe that makes it now."""

    def __init__(self, wanted: str, recipe: Recipe) -> None:
        self.wanted = wanted
        self.recipe = recipe
        self.used: tuple[str, ...] = ()  #: sources and headers of the last build
        self.last = Last()

    @property
    def name(self) -> str:
        """Base name of the library."""
        return os.path.basename(self.wanted)

    def files(self) -> list[str]:
        """Everything whose change may change the library."""
        found: list[str] = []
        for recipe in (self.recipe, *self.recipe.helpers):
            found += [*recipe.sources, *recipe.cuda_sources]
            found += [recipe.file] if recipe.file else []
        return list(dict.fromkeys([*found, *self.used]))

    def directories(self) -> list[str]:
        """Directories to be watched: where the files lie, and where the project's own headers are searched for."""
        found = [os.path.dirname(path) for path in self.files()]
        tops = [self.recipe.directory, *self.recipe.include_dirs]
        return list(dict.fromkeys([*found, *[one for one in tops if one and os.path.isdir(one)]]))


def find_target(wanted: str, anchors: Sequence[str], root: str) -> Target | None:
    """The target for a path that a script asks for; None where nothing here can be compiled to it."""
    from dlrepair.build import cuda

    for recipe in cuda.find_recipes(wanted, anchors, root=root):
        # of two branches the one that is taken comes first, but for CUDA parts
        if recipe.buildable or (recipe.cuda_sources and not recipe.missing):
            return Target(wanted, recipe)
    return None


def find_below(directory: str, root: str, wanted: Iterable[str]) -> list[Target]:
    """Targets of a project: first those of the paths that its scripts ask for, then ops that no recipe has named."""
    found: list[Target] = []
    covered: set[str] = set()
    for path in dict.fromkeys(os.path.normpath(one) for one in wanted):
        target = find_target(path, parents(os.path.dirname(path), root), root)
        if target is not None and not any(_same(target, other) for other in found):
            found.append(target)
            covered.update(target.files())
    for source in op_sources(directory):
        if source in covered:
            continue
        stem = os.path.basename(source).split(".")[0]
        target = find_target(os.path.join(os.path.dirname(source), stem + ".so"), [], root)
        if target is None or source not in target.files() or any(_same(target, other) for other in found):
            continue
        # a recipe that mentions the source may call what it makes otherwise
        target.wanted = os.path.join(os.path.dirname(target.wanted), os.path.basename(target.recipe.output))
        found.append(target)
        covered.update(target.files())
    return found


def _same(one: Target, other: Target) -> bool:
    return one.recipe.sources == other.recipe.sources and one.name == other.name


def parents(directory: str, root: str) -> list[str]:
    """``directory`` and what lies above it, up to ``root``."""
    found = [directory]
    while found[-1] != root and (found[-1] + os.sep).startswith(root.rstrip(os.sep) + os.sep):
        found.append(os.path.dirname(found[-1]))
    return found


def op_sources(top: str) -> Iterator[str]:
    """C++ sources below ``top`` that register an op."""
    for directory, names in walk(top):
        for name in names:
            if name.endswith(snapshot.SOURCES) and snapshot.is_of_interest(name):
                path = os.path.join(directory, name)
                if registers_op(path):
                    yield path


def registers_op(path: str) -> bool:
    """Whether a source seems to register an op."""
    try:
        with open(path, "rb") as stream:
            return b"REGISTER_OP(" in stream.read(MAX_SOURCE)
    except OSError:
        return False
