"""All recipes of a project for one wanted library, the best first."""

from __future__ import annotations

import os
from dataclasses import replace

from dlrepair.build.recipes import names, scan
from dlrepair.build.recipes.assemble import Project
from dlrepair.build.recipes.content import facts_of
from dlrepair.build.recipes.readers import READERS
from dlrepair.build.recipes.readme import read_comments
from dlrepair.build.recipes.sources import find_by_name
from dlrepair.build.recipes.text import Budget, Exhausted, Reading, inside, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.build import Recipe

#: So many files are read as recipes, those first that name the library.
MAX_FILES = 300
#: Of the steps of a whole search, what one file may use up.
STEPS_A_FILE = 100_000
MAX_RECIPES = 20
#: Sources, the nearest, whose first bytes are looked at for the command that compiles them.
MAX_SOURCES = 200
HEAD = 16384

#: Where two recipes are equally good: what is most likely kept up to date comes first.
_KINDS = ("shell", "make", "cmake", "jit", "setup.py", "bazel", "readme", "comment", "none")

#: What ends the reading of one recipe and nothing else. ValueError: up to Python 3.7 ``os.path.exists`` raises it for a
#: name that the locale's encoding cannot express.
_UNREADABLE = (Exhausted, RecursionError, OSError, ValueError)


def find_recipes(
    wanted: str,
    anchors: Sequence[str],
    ops: Sequence[str] = (),
    *,
    root: str,
    deadline: float | None = None,
    cuda: bool | None = None,
) -> list[Recipe]:
    """Return the recipes by which the project builds ``wanted``, best first; nothing is run or written.

    ``wanted`` is the path that was asked for (it need not exist), ``anchors`` are directories to look in
    first, nearest first, ``ops`` the ops that the caller asks of the library, ``root`` the project's top
    directory: nothing outside it is searched. ``deadline`` is in ``time.monotonic()`` seconds; what was
    found until then is returned. ``cuda`` False says that CUDA parts will not be compiled: of two recipes for the
    same library the one without them comes first. No exception is raised for any content of the project.

    A recipe whose sources are missing here comes after those that can be followed; the last of the list
    may be one without a recipe (``kind`` is ``none``): sources found by the library's name or its ops.
    """
    budget = Budget(deadline)
    wanted = os.path.abspath(os.path.join(root, wanted))
    root = os.path.normpath(os.path.abspath(root))
    starts = _starts(wanted, anchors, root)
    found = scan.scan(starts, root, budget)
    reading = Reading(root, budget, stem=names.stem(wanted))
    _read(reading, _ordered(found.recipes, wanted, budget))
    recipes = _assembled(reading, wanted, ops)
    if not any(recipe.taken and not recipe.missing for recipe in recipes):
        _read_sources(reading, [*found.sources, *found.headers], wanted)
        recipes = _assembled(reading, wanted, ops)
    recipes += find_by_name(wanted, starts, found.sources, ops, recipes)
    return _ranked(recipes, wanted, ops, cuda)[:MAX_RECIPES]


def find_outputs(directory: str, *, root: str, deadline: float | None = None) -> list[tuple[str, Recipe]]:
    """Return (path, recipe) of each shared library that a build file below ``directory`` makes of sources that exist.

    The arguments are those of :func:`find_recipes`; of several recipes for one path the first by kind is taken.
    """
    budget = Budget(deadline)
    root, directory = (os.path.normpath(os.path.abspath(one)) for one in (root, directory))
    reading = Reading(root, budget, stem="")
    files = [one for one in scan.scan([directory], root, budget).recipes if inside(one[1], directory)]
    _read(reading, _ordered(files, os.path.join(directory, "*"), budget))
    outputs: dict[str, Recipe] = {}
    try:
        project = Project(reading)
        for call, path in project.links():
            recipe = project.recipe(call, path)
            if is_library(path) and recipe.sources and not recipe.missing:
                known = outputs.setdefault(path, recipe)
                if _KINDS.index(recipe.kind) < _KINDS.index(known.kind):
                    outputs[path] = recipe
    except _UNREADABLE:
        pass
    return sorted(outputs.items(), key=lambda pair: pair[0])


def is_library(path: str) -> bool:
    """Whether a path is a shared library's by its name (``libx.so``, ``libx.so.1``, ``x.dylib``)."""
    name = os.path.basename(path)
    return name.endswith((".so", ".dylib")) or ".so." in name


def _read(reading: Reading, files: Sequence[tuple[str, str]]) -> None:
    """Reads build files into ``reading``; one that cannot be followed ends nothing but itself."""
    budget = reading.budget
    for kind, path in files:
        if budget.over:
            break
        budget.share(STEPS_A_FILE)
        budget.depth = 0
        try:
            READERS[kind](reading, path)
        except _UNREADABLE:
            continue
    budget.share(STEPS_A_FILE)


def _assembled(reading: Reading, wanted: str, ops: Sequence[str]) -> list[Recipe]:
    reading.budget.share(STEPS_A_FILE)
    try:
        return _fitting(Project(reading), wanted, ops)
    except _UNREADABLE:
        return []


def _read_sources(reading: Reading, paths: Sequence[str], wanted: str) -> None:
    """Read the commands that stand at the head of sources: where there is no other recipe, they are one."""
    core = names.core(wanted)
    folder = os.path.dirname(wanted)
    for path in sorted(paths[: MAX_FILES * 10], key=lambda path: distance(os.path.dirname(path), folder))[:MAX_SOURCES]:
        if reading.budget.over:
            break
        text = read_text(path, HEAD)
        if core in text and ("-shared" in text or ".so" in text):
            reading.budget.share(STEPS_A_FILE)
            reading.budget.depth = 0
            try:
                read_comments(reading, path)
            except _UNREADABLE:
                continue


def _starts(wanted: str, anchors: Sequence[str], root: str) -> list[str]:
    """Return the directories that exist from which the search begins, nearest first."""
    directory = os.path.dirname(wanted)
    while directory != os.path.dirname(directory) and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    found: list[str] = []
    for start in [directory, *anchors]:
        start = os.path.normpath(os.path.abspath(start))
        while start.startswith(root) and start not in found:
            found.append(start)
            if start == root:
                break
            start = os.path.dirname(start)
    return [start for start in found if os.path.isdir(start)]


def _ordered(files: Sequence[tuple[str, str]], wanted: str, budget: Budget) -> list[tuple[str, str]]:
    """Return the files worth reading as recipes, those that name the library first, then the nearest."""
    core = names.core(wanted)
    keyed = []
    for at, (kind, path) in enumerate(files[: MAX_FILES * 20]):
        if budget.over:
            break
        text = scan.head(path)
        if not scan.holds_recipe(kind, text):
            continue
        named = core in text or core in path
        keyed.append((not named, distance(os.path.dirname(path), os.path.dirname(wanted)), at, kind, path))
    keyed.sort()
    return [(kind, path) for _, _, _, kind, path in keyed[:MAX_FILES]]


def distance(one: str, other: str) -> int:
    """Return how many steps in the tree lie between two directories."""
    left, right = one.split("/"), other.split("/")
    common = 0
    for a, b in zip(left, right):
        if a != b:
            break
        common += 1
    return len(left) + len(right) - 2 * common


def _fitting(project: Project, wanted: str, ops: Sequence[str]) -> list[Recipe]:
    """Return the recipes whose output is the wanted library by its name, or by the ops that its sources register."""
    found: list[Recipe] = []
    for call, path in project.links():
        rule = names.fit(path, wanted)
        if not rule and not ops:
            continue
        recipe = project.recipe(call, path)
        if not rule and not set(ops) <= registered(recipe):
            continue
        recipe = replace(recipe, rule=rule or "ops")
        if recipe.sources or recipe.cuda_sources or recipe.missing:
            found.append(recipe)
    return found


def registered(recipe: Recipe) -> set[str]:
    """Return the ops that a recipe's sources register."""
    return {op for path in recipe.sources + recipe.cuda_sources for op in facts_of(path).ops}


def _ranked(recipes: Sequence[Recipe], wanted: str, ops: Sequence[str], cuda: bool | None) -> list[Recipe]:
    def key(recipe: Recipe) -> tuple[object, ...]:
        have = registered(recipe) if ops else set()
        return (
            bool(recipe.missing) or not (recipe.sources or recipe.cuda_sources),
            bool(ops) and bool(have) and not have & set(ops),
            names.RULES.get(recipe.rule, 9),
            recipe.kind == "none",
            recipe.kind in ("readme", "comment"),
            cuda is False and bool(recipe.cuda_sources),
            not recipe.taken,
            distance(os.path.dirname(recipe.file) or recipe.directory, os.path.dirname(wanted)),
            _KINDS.index(recipe.kind),
        )

    found: list[Recipe] = []
    for recipe in sorted(recipes, key=key):  # of equally good ones the first that is reached when the file is run
        if all(_parts(one) != _parts(recipe) for one in found):
            found.append(recipe)
    return found


def _parts(recipe: Recipe) -> tuple[object, ...]:
    return recipe.output, recipe.sources, recipe.cuda_sources, recipe.defines, recipe.include_dirs
