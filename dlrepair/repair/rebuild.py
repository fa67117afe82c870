"""Strategy *rebuild*: the library is compiled from its sources, by our own command, for the TensorFlow that runs.

Seven in ten failing loads of an op are undefined symbols: it was built for another release, another C++ ABI or without
the framework, and no other file can help. The sources are found by the project's own recipe or by name; the
result lies in the store, and in the user's tree nothing changes.
"""

from __future__ import annotations

import os
import time

from dlrepair.repair import buildable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.build import Recipe
    from dlrepair.model.plan import Plan
    from dlrepair.model.requests import LoadRequest
    from dlrepair.repair.context import Context

KIND = "rebuild"

#: recipes that are tried for one load: each may compile for half a minute
MOST = 2
#: what reading the project's recipes may take where the search has used everything up: a part of the budget, seconds
READING_SHARE = 0.5
READING = 2.0


def applies(context: Context) -> bool:
    """Whether another build could help, and whether building is what the user expects here."""
    return buildable.is_called_for(context)


def plan(context: Context) -> Iterator[Plan]:
    """A plan for each recipe that can be followed here, the likeliest first."""
    from dlrepair.model.plan import Plan, Step

    tried: list[tuple[object, ...]] = []
    recipes, everything, root = _search(context)
    for recipe in recipes:
        same = (recipe.sources, recipe.cuda_sources, recipe.defines)
        if same in tried:
            continue
        tried.append(same)
        source = (recipe.sources or recipe.cuda_sources)[0]
        context.recipes[source] = recipe
        steps = (Step("build", context.target or context.request.requested, source, _options(recipe)),
                 Step("load", source))  # fmt: skip
        yield Plan(KIND, steps, _why(recipe, context), summary_of(recipe, context.request))
        if len(tried) >= MOST:
            break
    yield from _plan_scripts(context, everything, root)


def _plan_scripts(context: Context, recipes: list[Recipe], root: str) -> Iterator[Plan]:
    """A plan for each script of the project that its user has allowed; else advice on the one that may be."""
    from dlrepair.build import scripts
    from dlrepair.model.plan import Plan, Step
    from dlrepair.repair import refusals
    from dlrepair.repair.words import shown

    if not root:
        return
    wanted = context.target or os.path.join(context.request.cwd, context.request.requested)
    found = scripts.find_scripts(wanted, recipes, root, _reading_deadline(context))
    allowed = [script for script in found if script.state == "allowed"]
    for script in allowed[:MOST]:
        context.recipes[script.path] = script
        steps = (Step("build", wanted, script.path, (("script", script.kind),)), Step("load", script.path))
        name = shown(script.path, context.request)
        why = "{} was allowed to run with dlrepair trust".format(name)
        yield Plan(KIND, steps, why, "made by {}, in a private copy of the project".format(name))
    if found and not allowed:
        refusals.ask_for_trust(context, found[0])


def _search(context: Context) -> tuple[list[Recipe], list[Recipe], str]:
    """(recipes that can be followed here, all that were read, the top directory) for the library that was asked for."""

    from dlrepair.build.recipes import find_recipes
    from dlrepair.search import roots

    request = context.request
    wanted = context.target or os.path.join(request.cwd, request.requested)
    anchors = [folder for folder, _ in roots.anchors(request)]
    deadline = _reading_deadline(context)
    ops = asked_ops(context)
    cuda = None if _has_cuda() else False
    first: tuple[list[Recipe], list[Recipe], str] = ([], [], "")
    for root in _roots(context, wanted):
        found = find_recipes(wanted, anchors, ops, root=root, deadline=deadline, cuda=cuda)
        usable = [recipe for recipe in found if not recipe.missing and (recipe.sources or recipe.cuda_sources)]
        if usable:
            return usable, found, root
        if not first[2] or (found and not first[1]):
            first = ([], found, root)
    return first


def _reading_deadline(context: Context) -> float:
    """Until when recipes, or scripts, may be read that nobody has begun to read yet (``time.monotonic()``)."""
    least = min(READING, context.settings.budget_ms / 1000.0 * READING_SHARE)
    return max(context.deadline, time.monotonic() + least)


def _has_cuda() -> bool:
    """Whether CUDA parts would be compiled for the TensorFlow that runs, as far as that is known without asking it."""
    import sys

    try:
        test = getattr(sys.modules.get("tensorflow"), "test", None)
        return test is None or bool(test.is_built_with_cuda())
    except Exception:
        return True


def _roots(context: Context, wanted: str) -> list[str]:
    """Top directories to look for recipes in: the project's, else where the caller, the script or the file lie."""
    from dlrepair.search import roots

    request = context.request
    near = [os.path.dirname(wanted)]
    near += [os.path.dirname(request.caller.file)] if request.caller is not None else []
    near += [os.path.dirname(request.script)] if request.script else []
    near.append(request.cwd)
    found: list[str] = []
    for folder in near:
        while folder != os.path.dirname(folder) and not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if not os.path.isabs(folder) or roots.never_walked(folder):
            continue
        root = roots.project_root(folder) or folder
        if root not in found:
            found.append(root)
    return found


def asked_ops(context: Context) -> tuple[str, ...]:
    """Names of the ops that the caller's file uses of the module that it loads: ``module.roi_pool`` is RoiPool."""
    import re

    caller = context.request.caller
    if caller is None or not context.request.op_loader:
        return ()
    try:
        with open(caller.file, encoding="utf-8", errors="replace") as stream:
            text = stream.read(1 << 20)
    except (OSError, ValueError):
        return ()
    found: list[str] = []
    for name in re.findall(r"^\s*(?:\w+\.)?(\w+)\s*=\s*(?:\w+\.)*load_op_library\s*\(", text, re.MULTILINE):
        for used in re.findall(r"\b{}\.([a-z]\w*)\s*\(".format(re.escape(name)), text):
            camel = "".join(part[:1].upper() + part[1:] for part in used.split("_"))
            if camel not in found:
                found.append(camel)
    return tuple(found)


def _options(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    return (("recipe", recipe.kind), ("file", recipe.file), ("line", str(recipe.line)))


def _why(recipe: Recipe, context: Context) -> str:
    from dlrepair.repair.words import shown

    if recipe.file:
        return "{}:{} says how {} is built".format(shown(recipe.file, context.request), recipe.line, recipe.output)
    source = (recipe.sources or recipe.cuda_sources)[0]
    return "its sources lie in {}".format(shown(os.path.dirname(source), context.request))


def summary_of(recipe: Recipe, request: LoadRequest) -> str:
    """What a person reads of a rebuild by this recipe."""
    from dlrepair.repair.words import shown

    sources = recipe.sources or recipe.cuda_sources
    text = "rebuilt from {}".format(shown(sources[0], request))
    if len(sources) > 1:
        text += " and {} more".format(len(sources) - 1)
    return text + _target(recipe, request)


def _target(recipe: Recipe, request: LoadRequest) -> str:
    from dlrepair.build import toolchain

    if not (recipe.links_tensorflow or request.op_loader):
        return ""
    try:
        return " for TensorFlow {}".format(toolchain.find_tensorflow().version)
    except toolchain.NoToolchain:
        return ""
