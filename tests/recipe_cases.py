"""Recipes in the shapes of real ones, each with what a person reads in it: tests/data/recipes/*.txt.

A case is a head of ``key: value`` lines, then the project's files: ``--- PATH`` and the text up to the next one.
``shape`` names the entry of tests/data/build_recipes.jsonl (repository and path) with the same constructs; the
texts are written anew. Paths are relative to the project, lists are separated by a comma and a blank.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


@dataclass(frozen=True)
class Case:
    name: str
    shape: str
    wanted: str
    files: dict[str, str]
    kind: str
    output: str
    ops: tuple[str, ...]
    sources: tuple[str, ...]
    cuda: tuple[str, ...]
    defines: tuple[str, ...]
    includes: tuple[str, ...]
    libraries: tuple[str, ...]
    cuda_libraries: tuple[str, ...]
    flags: tuple[str, ...]
    helpers: tuple[str, ...]

    def write(self, root: str) -> str:
        """Put the project on disk; return the path of the library that is wanted."""
        for name, text in self.files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as handle:
                handle.write(text)
        return os.path.join(root, self.wanted)


_LISTS = ("ops", "sources", "cuda", "defines", "includes", "libraries", "cuda_libraries", "flags", "helpers")


def read(path: str) -> Case:
    with open(path) as handle:
        head, *parts = ("\n" + handle.read()).split("\n--- ")
    values = dict(line.split(": ", 1) for line in head.strip().split("\n"))
    lists = {key: tuple(values.get(key, "").split(", ")) if key in values else () for key in _LISTS}
    files = {}
    for part in parts:
        name, _, text = part.partition("\n")
        files[name] = text + "\n" if text and not text.endswith("\n") else text
    assert set(values) <= {*_LISTS, "name", "shape", "wanted", "kind", "output"}, path
    return Case(
        name=values["name"],
        shape=values.get("shape", ""),
        wanted=values["wanted"],
        files=files,
        kind=values["kind"],
        output=values["output"],
        **lists,
    )


CASES = [read(path) for path in sorted(glob.glob(os.path.join(DATA, "recipes", "*.txt")))]
