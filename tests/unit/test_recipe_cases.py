"""Recipes in the shapes of the survey's: what is read from each is what a person reads in it."""

from __future__ import annotations

import os

import pytest
from recipe_cases import CASES, Case

from dlrepair.build.recipes import find_recipes
from dlrepair.model.build import Recipe


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDAHOME", "CXX", "CC", "CFLAGS", "CXXFLAGS", "LDFLAGS", "WARP_CTC_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: object, clean: None) -> None:
    root = str(tmp_path)
    wanted = case.write(root)
    recipes = find_recipes(wanted, [], case.ops, root=root)
    assert recipes, "nothing found"
    assert facts(recipes[0], root) == expected(case)


def facts(recipe: Recipe, root: str) -> dict[str, object]:
    def below(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(os.path.relpath(path, root) for path in paths)

    return {
        "kind": recipe.kind,
        "output": recipe.output,
        "sources": below(recipe.sources),
        "cuda_sources": below(recipe.cuda_sources),
        "defines": recipe.defines,
        "include_dirs": below(recipe.include_dirs),
        "libraries": recipe.libraries,
        "cuda_libraries": recipe.cuda_libraries,
        "flags": recipe.flags,
        "helpers": tuple(one.output for one in recipe.helpers),
        "missing": recipe.missing,
    }


def expected(case: Case) -> dict[str, object]:
    return {
        "kind": case.kind,
        "output": case.output,
        "sources": case.sources,
        "cuda_sources": case.cuda,
        "defines": case.defines,
        "include_dirs": case.includes,
        "libraries": case.libraries,
        "cuda_libraries": case.cuda_libraries,
        "flags": case.flags,
        "helpers": case.helpers,
        "missing": (),
    }
