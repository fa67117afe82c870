"""What the step ``build`` does: compile or find in the store, then check the result as any other candidate.

Two things build: our own command, after a recipe; and a script of the project's that its user has allowed to run.
"""

from __future__ import annotations

import os
import time

from dlrepair.repair import refusals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.build.answers import Answer
    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult
    from dlrepair.model.plan import Step
    from dlrepair.model.script import Script
    from dlrepair.repair.context import Context


#: reasons of a build that ``dlrepair build`` tells more about
COMMAND_FAILED = (
    "compile-error", "link-error", "time-limit", "memory-limit", "failed-before", "script-failed", "disk-limit",
)  # fmt: skip


class NotBuilt(OSError):
    """Why there is no library that could be loaded: one sentence."""


def take(context: Context, step: Step) -> None:
    """Builds; afterwards ``context.made`` has the library under the step's target. Raises ``NotBuilt``."""
    if getattr(context.ask, "preview", False):
        context.ask.assumed.add(step.target)
        return
    from dlrepair.build.answers import Answer
    from dlrepair.model.script import Script
    from dlrepair.search import budget

    began = time.monotonic()
    found = context.recipes[step.target]
    if isinstance(found, Answer):
        result = _take_over(context, found)
    else:
        result = _run_script(context, found) if isinstance(found, Script) else _compile(context, found)
    # the budget is for searching
    context.deadline = budget.deadline_in(max(0.0, context.deadline - began))
    if not result.ok:
        result = _with_cuda(context, found, result, result.first_error)
        _note_failure(context, step, result)
        raise NotBuilt(_sentence(result))
    try:
        _vet(context, step, result)
    except NotBuilt as unfit:
        told = _with_cuda(context, found, result, str(unfit))
        if told is not result:
            _note_failure(context, step, told)
            raise NotBuilt(_sentence(told)) from None
        raise
    context.made[step.target] = result.path
    context.inputs = inputs_of(result)
    context.words[step.target] = _words(context, step, result)


def _compile(context: Context, recipe: Recipe) -> BuildResult:
    from dlrepair.build import service
    from dlrepair.render import building
    from dlrepair.search import reachable

    _refuse_registered(context, recipe)
    shared = reachable.answering(context.settings.shared_store, context.emit)
    return service.build(
        recipe, script=context.request.script, shared=shared, emit=context.emit,
        watcher=building.Line(context.settings.verbosity), wanted=_wanted(context), cpu_will_do=True,
        reaches=reachable.answers,
    )  # fmt: skip


def _wanted(context: Context) -> str:
    return context.target or os.path.join(context.request.cwd, context.request.requested)


def _take_over(context: Context, answer: Answer) -> BuildResult:
    """What the store has for this path already, in the journal as any build that was found."""
    result = answer.result()
    if context.request.op_loader:  # TensorFlow itself has none of them: the build has asked this very release
        _refuse_ops(context, result.ops, answer.source, builtin=False)
    context.emit(
        "build-finished", output=answer.facts["name"], ok=True, reason=result.reason, path=result.path, seconds=0.0,
        hit=True, steps=list(result.steps), first_error="", log="", notes=list(result.notes),
    )  # fmt: skip
    return result


def _run_script(context: Context, script: Script) -> BuildResult:
    from dlrepair.build import scripted
    from dlrepair.render import building
    from dlrepair.repair import rebuild

    result = scripted.build(
        script, owner=context.request.script, ops=rebuild.asked_ops(context), emit=context.emit,
        wants_tensorflow=context.request.op_loader, watcher=building.Line(context.settings.verbosity),
    )  # fmt: skip
    if result.ok and context.request.op_loader:
        _refuse_ops(context, result.ops, result.path)
    return result


def inputs_of(result: BuildResult) -> tuple[tuple[str, str], ...]:
    """What the library was made of, as a replay compares it; a file that has changed since never compares equal.

    Nor does anything where CUDA parts were left out for want of an nvcc: there may be one by the next time.
    """
    from dlrepair.build import nvcc
    from dlrepair.build.includes import signature
    from dlrepair.repair import surroundings
    from dlrepair.repair.replay import CHANGED

    if nvcc.is_partial(result.notes):
        return tuple((one.path, CHANGED) for one in result.used)
    return tuple(
        (one.path, surroundings.signature(one.path) if signature(one.path) == one.signature else CHANGED)
        for one in result.used
    )


def _refuse_registered(context: Context, recipe: Recipe) -> None:
    """Raises where an op of the sources is registered in this process: a second one would poison it."""
    if not context.request.op_loader:
        return
    from dlrepair.build import includes

    try:
        sources = (*recipe.sources, *recipe.cuda_sources)
        ops = includes.Scan(sources, recipe.include_dirs).ops()
    except (OSError, ValueError):
        return
    _refuse_ops(context, ops, sources[0])


def _refuse_ops(context: Context, ops: tuple[str, ...], path: str, builtin: bool = True) -> None:
    held = context.registered_ops(context.target or "")
    for name in ops:
        if name in held or (builtin and _is_builtin(name)):
            text = "op {} is registered already: {}".format(name, _holder(context, name))
            refusals.reject(context, path, "ops-registered", text)
            context.advice = context.advice or "dlrepair explain duplicate-registration"
            raise NotBuilt(text)


def _holder(context: Context, op: str) -> str:
    """Which library has registered an op, as far as its text tells."""
    from dlrepair.binary import elf
    from dlrepair.repair.words import shown

    for name in context.ask.state.opened:
        path = os.fsdecode(name)
        try:
            with elf.open_elf(path) as library:
                if library.strings_contain({op}):
                    return "{} has it".format(shown(path, context.request))
        except (OSError, ValueError):
            continue
    return "another library, or TensorFlow itself, has it"


def _is_builtin(name: str) -> bool:
    """Whether TensorFlow itself, or something else in this process, has registered an op of this name."""
    import sys

    registry: Any = sys.modules.get("tensorflow.python.framework.op_def_registry")
    try:
        if hasattr(registry, "get"):
            return registry.get(name) is not None
        return registry is not None and name in registry.get_registered_ops()
    except Exception:
        return False


def _vet(context: Context, step: Step, result: BuildResult) -> None:
    """Raises where the library that was built would not do; opens what it needs first."""
    from dlrepair import store
    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.repair import steps
    from dlrepair.search import vet

    request = context.request
    wanted = Wanted(os.path.basename(request.requested), "substitute", request.requested, request.loader,
                    request.op_loader)  # fmt: skip
    candidate = Candidate(result.path, "rebuild")
    proof = _proof_key(context, result.path)
    verdict = vet.vet(
        candidate, wanted, request, settings=context.settings, process=context.view,
        registered=context.registered_ops(result.path), trial=store.recall(proof) is None,
    )  # fmt: skip
    if verdict.trial == "passed":
        store.remember(proof, {"passed": result.path})
    context.note(candidate, wanted, verdict)
    if not verdict.accepted:
        raise NotBuilt("it was built, and does not fit: {}".format(verdict.detail or verdict.reason))
    for path in verdict.preload:
        steps.open_library(context.ask, "preload", path)
        context.preloaded.append(path)


def _proof_key(context: Context, path: str) -> str:
    """Under which key it is kept that this very library loaded in a child that was like this process."""
    from dlrepair import store
    from dlrepair.build.includes import signature
    from dlrepair.search import tensorflow

    mapped = [signature(one) for one in tensorflow.mapped_libraries(context.view)]
    return store.key_of("trial passed 1", path, signature(path), context.request.loader, *mapped)


def _note_failure(context: Context, step: Step, result: BuildResult) -> None:
    refusals.reject(context, step.target, result.reason, _sentence(result))
    if result.help:
        context.advice = context.advice or result.help
    if result.reason in COMMAND_FAILED and not any(one.reason == "needs-cuda" for _, one in context.verdicts):
        from dlrepair.diagnose.rule import quote

        context.advice = "dlrepair build {}".format(quote(context.target or context.request.requested))
        # what is not there may be what the project's own script makes
        context.generated = result.reason == "link-error" or "No such file" in result.first_error


def _with_cuda(context: Context, recipe: Recipe | Script, result: BuildResult, error: str) -> BuildResult:
    """The result, its error in other words where CUDA code is what it lacks; no other build of it is any better."""
    from dlrepair.build import cuda
    from dlrepair.model.build import Recipe

    why = cuda.missed(recipe, result, error) if isinstance(recipe, Recipe) else ""
    if not why:
        return result
    from dataclasses import replace

    context.advice, context.generated = cuda.command(result), False
    return replace(result, reason="needs-cuda", first_error=why)


def _sentence(result: BuildResult) -> str:
    text = "not rebuilt: {}".format(result.first_error or result.reason)
    if result.reason == "failed-before":
        text += " (nothing has changed since)"
    return text + (" (its output: {})".format(result.log) if result.log else "")


def _words(context: Context, step: Step, result: BuildResult) -> str:
    from dlrepair.repair.words import lasted, shown

    sources = result.sources
    if not sources:
        text = "made by {}".format(shown(step.target, context.request))
        text += " for TensorFlow {}".format(result.tensorflow) if result.ops else ""
        text += "" if result.hit else " in {}".format(lasted(result.seconds))
        return "; ".join([text, *result.notes])
    text = "rebuilt from {}".format(shown(step.target, context.request))
    others = len([one for one in sources if one != step.target])
    text += " and {} more".format(others) if others else ""
    text += " for TensorFlow {}".format(result.tensorflow) if result.tensorflow else ""
    if not result.hit:
        text += " in {}".format(lasted(result.seconds))
    if result.steps:
        text += " (old sources, on a private copy: {})".format(", ".join(result.steps))
    return "; ".join([text, *result.notes])
