"""Prints what is read from a project's build files for one library: what the documentation shows.

python tools/show_recipes.py PROJECT LIBRARY [OP…]
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dlrepair.build.recipes import find_recipes
from dlrepair.model.build import Recipe

FIELDS = ("sources", "cuda_sources", "include_dirs", "library_dirs", "libraries", "cuda_libraries", "defines",
          "cuda_defines", "undefines", "flags", "missing")  # fmt: skip


def shown(recipe: Recipe, root: str) -> list[str]:
    """Lines about one recipe, paths relative to the project."""

    def short(text: str) -> str:
        return text.replace(root + "/", "").replace(root, ".")

    where = "{}:{}".format(short(recipe.file), recipe.line) if recipe.file else "no recipe"
    lines = ["{} ({}, {}{})".format(recipe.output, recipe.kind, where, "" if recipe.taken else ", not on this machine")]
    for name in FIELDS:
        values = getattr(recipe, name)
        if values:
            lines.append("  {:15s} {}".format(name.replace("_", " "), " ".join(short(value) for value in values)))
    for word, why in recipe.dropped:
        lines.append("  left out        {:45s} {}".format(short(word), why))
    for helper in recipe.helpers:
        lines += ["  links with"] + ["    " + line for line in shown(helper, root)]
    return lines


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__.strip())
        return 2
    root = os.path.abspath(arguments[0])
    found = find_recipes(os.path.join(root, arguments[1]), [], arguments[2:], root=root)
    for recipe in found:
        print("\n".join(shown(recipe, root)))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
