"""What ``dlrepair build PATH`` builds: recipes for a library, a source, a recipe or everything below a directory."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.build import Recipe
    from dlrepair.model.script import Script

SOURCES = (".cc", ".cpp", ".cxx", ".c++", ".C", ".c", ".cu")
#: directories and bytes of one source beyond which nothing is looked for ops
_MAX_DIRECTORIES = 3000
_MAX_SOURCE = 2 << 20
_SKIPPED = ("node_modules", "__pycache__", "site-packages", "venv", ".venv", "build", "dist")


def find_targets(path: str) -> list[tuple[str, Recipe]]:
    """(path of the library, recipe) of each library that ``path`` stands for; empty where nothing builds it.

    A recipe that names a source which is missing comes too where there is no other: its build says so.
    """
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return _below(path, "")
    if path.endswith(SOURCES):
        return _of_source(path, _outputs(os.path.dirname(path)))
    if os.path.isfile(path) and ".so" not in os.path.basename(path) and not path.endswith((".dylib", ".dll")):
        return _below(os.path.dirname(path), path)
    found = _recipes(path)
    return [(path, found[0])] if found else []


def _recipes(wanted: str) -> list[Recipe]:
    from dlrepair.build.cuda import find_recipes

    folder = os.path.dirname(wanted)
    while folder != os.path.dirname(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return find_recipes(wanted, [os.getcwd()], root=root_of(folder))


def find_scripts(wanted: str) -> list[Script]:
    """The project's own scripts that may make the library ``wanted``, those first that its user has allowed."""
    from dlrepair.build import scripts

    wanted = os.path.abspath(wanted)
    folder = os.path.dirname(wanted)
    while folder != os.path.dirname(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return scripts.find_scripts(wanted, _recipes(wanted), root_of(folder))


def root_of(folder: str) -> str:
    """The project's top directory; else where the user is, if ``folder`` lies below; else ``folder`` itself."""
    from dlrepair.search import roots

    here = os.getcwd()
    below = (folder + os.sep).startswith(here.rstrip(os.sep) + os.sep) and not roots.never_walked(here)
    return roots.project_root(folder) or (here if below else folder)


def _outputs(folder: str) -> list[tuple[str, Recipe]]:
    from dlrepair.build.recipes import find_outputs

    root = root_of(folder)
    return find_outputs(root, root=root)


def _of_source(path: str, outputs: list[tuple[str, Recipe]]) -> list[tuple[str, Recipe]]:
    """The libraries that are made of a source: by recipes that name it, else of that source alone."""
    made = [one for one in outputs if path in one[1].sources]
    if made:
        return made
    folder = os.path.dirname(path)
    wanted = os.path.join(folder, os.path.basename(path).split(".")[0] + ".so")
    for recipe in _recipes(wanted):
        if path in recipe.sources or path in recipe.cuda_sources:
            return [(os.path.join(folder, os.path.basename(recipe.output)), recipe)]
    if not os.path.isfile(path):
        return []
    from dlrepair.model.build import Recipe

    return [(wanted, Recipe(os.path.basename(wanted), (path,), include_dirs=(folder,), directory=folder))]


def _below(directory: str, recipe_file: str) -> list[tuple[str, Recipe]]:
    """Every library of which a source registers ops, and every one that a build file makes; of one recipe, if given."""
    found: list[tuple[str, Recipe]] = []
    covered: set[str] = set()
    outputs = _outputs(directory)
    for source in _op_sources(directory):
        if source in covered:
            continue
        for wanted, recipe in _of_source(source, outputs):
            covered.update(recipe.sources)
            if (not recipe_file or recipe.file == recipe_file) and recipe not in [one for _, one in found]:
                found.append((wanted, recipe))
    for wanted, recipe in outputs:
        inside = (recipe.file + os.sep).startswith(directory.rstrip(os.sep) + os.sep)
        if (recipe.file == recipe_file if recipe_file else inside) and not covered.issuperset(recipe.sources):
            found.append((wanted, recipe))
    return found


def _op_sources(top: str) -> Iterator[str]:
    for number, (directory, directories, names) in enumerate(os.walk(top)):
        directories[:] = sorted(one for one in directories if one not in _SKIPPED and not one.startswith("."))
        if number >= _MAX_DIRECTORIES:
            return
        for name in sorted(names):
            path = os.path.join(directory, name)
            if name.endswith(SOURCES) and not name.endswith((".cu", ".cu.cc")) and os.path.isfile(path):
                try:
                    with open(path, "rb") as stream:
                        if b"REGISTER_OP" in stream.read(_MAX_SOURCE):
                            yield path
                except OSError:
                    continue
