"""A recipe of each kind, as old as people's are: found, read, and followed by the real compiler."""

from __future__ import annotations

import os
import subprocess
import sys

import build_projects
import pytest

from dlrepair.build.recipes import find_recipes
from dlrepair.model.build import RECIPE_KINDS, Recipe

DEAD = (build_projects.DEAD_TF, build_projects.DEAD_CUDA, build_projects.DEAD_HOME)


@pytest.fixture(params=build_projects.KINDS)
def project(request: pytest.FixtureRequest, tmp_path: object) -> build_projects.Project:
    return build_projects.write(request.param, os.path.join(str(tmp_path), "project"))


def best(project: build_projects.Project) -> Recipe:
    return find_recipes(project.library, [], ["RoiPool"], root=project.root)[0]


def test_found_and_read(project: build_projects.Project) -> None:
    recipe = best(project)
    assert (recipe.kind, recipe.file) == (project.kind, project.recipe)
    assert set(recipe.sources) == set(project.sources)
    assert recipe.output in (os.path.basename(project.library), "roi_pool.so")
    assert recipe.defines == project.defines
    assert set(project.includes) <= set(recipe.include_dirs)
    assert (recipe.missing, recipe.cuda, recipe.cuda_sources, recipe.cuda_defines) == ((), False, (), ())
    assert recipe.links_tensorflow and not recipe.python_extension
    if recipe.file:
        with open(recipe.file) as handle:
            lines = handle.read().split("\n")
        assert 1 <= recipe.line <= len(lines) and lines[recipe.line - 1].strip()


def test_nothing_dead_is_kept_and_all_of_it_is_said(project: build_projects.Project) -> None:
    recipe = best(project)
    kept = " ".join(recipe.include_dirs + recipe.library_dirs + recipe.libraries + recipe.defines + recipe.flags)
    for word in (*DEAD, "tensorflow", "cudart", "GLIBCXX", "-march", "c++11", "python2.7"):
        assert word not in kept
    for path in recipe.include_dirs + recipe.library_dirs + recipe.sources:
        assert os.path.exists(path) and os.path.isabs(path) and os.path.normpath(path) == path
    said = " ".join(word + ": " + why for word, why in recipe.dropped)
    text = ""
    if project.recipe:
        with open(project.recipe) as handle:
            text = "\n".join(line for line in handle.read().split("\n") if not line.startswith("#"))
    for word in (*DEAD, "_GLIBCXX_USE_CXX11_ABI", "-march=sandybridge"):
        assert word not in text or word in said, word


def test_real_compiler_takes_what_was_read(project: build_projects.Project) -> None:
    recipe = best(project)
    helper = next(path for path in recipe.sources if path.endswith("roi_helper.cc"))
    command = ["g++", "-fsyntax-only", *("-D" + one for one in recipe.defines), *recipe.flags]
    command += ["-I" + one for one in recipe.include_dirs] + [helper]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_every_kind_is_known() -> None:
    assert set(build_projects.KINDS) | {"comment"} == set(RECIPE_KINDS)


def test_page_shows_what_is_read(tmp_path: object) -> None:
    """The example of docs/explanation/build-recipes.md is the shell project, and its output is real."""
    root = os.path.join(str(tmp_path), "project")
    project = build_projects.write("shell", root)
    show = os.path.join(build_projects.ROOT, "tools", "show_recipes.py")
    done = subprocess.run(
        [sys.executable, show, root, "ops/roi_pool.so"], check=True, stdout=subprocess.PIPE, text=True
    )
    with open(os.path.join(build_projects.ROOT, "docs", "explanation", "build-recipes.md")) as handle:
        page = handle.read()
    with open(project.recipe) as handle:
        assert handle.read().strip() in page
    assert done.stdout.split("\nroi_pool.so (comment")[0] in page
