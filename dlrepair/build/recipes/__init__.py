"""How a project builds a library, read from its build files without running anything of them."""

from __future__ import annotations

from dlrepair.build.recipes.find import find_outputs, find_recipes

__all__ = ["find_outputs", "find_recipes"]
