"""The runner: strategies in order, cheapest and safest first, until one answers the load.

A strategy is a module with ``KIND``, ``applies(context) -> bool`` and
``plan(context) -> iterator of Plan``; it looks and decides, and never acts. The runner
alone executes steps and writes events. A library that was loaded by a step that
failed in the end stays loaded: the process has no way back, and the event says so.
"""

from __future__ import annotations

import os
import time

from dlrepair.repair import reexec, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome, Plan, Step
    from dlrepair.repair.context import Context

#: a load that fails differently after a repair is diagnosed again, at most this often
ROUNDS = 4
#: causes that lie in another library than the one that was asked for, and the share of the time for searching that
#: is kept for that library's better copy: a twin of a sound file may be looked for in vain everywhere
OTHER_COPY = ("symbol-version-missing", "libstdcxx-too-old", "search-path", "static-tls")
RESERVED = 0.5
#: plans tried in one round
PLANS = 8


def climb(context: Context, incident: str, began: float) -> tuple[tuple[Any] | None, Outcome]:
    """The result of the repaired load, or None, and how the incident ended."""
    from dlrepair.model.plan import Outcome

    diagnosis = context.diagnosis
    answer = None
    for _ in range(ROUNDS):
        answer, again = _round(context)
        if answer is not None or again is None or again == context.diagnosis:
            break
        context.diagnosis = again
    ms = round((time.perf_counter() - began) * 1000, 2)
    done = context.plan_done
    if answer is None or done is None:
        next_step, summary = _advice(context), context.outcome
        if context.out_of_time():
            summary = "the search stopped after {} ms (budget_ms)".format(context.settings.budget_ms)
            context.emit("repair-failed", strategy="search", reason=summary, budget_ms=context.settings.budget_ms)
        return None, Outcome(False, diagnosis.cause, incident, ms=ms, next_step=next_step, summary=summary)
    path = context.made.get(done.steps[-1].path, done.steps[-1].path)
    said = context.words.get(done.steps[-1].path, done.summary)
    return answer, Outcome(True, diagnosis.cause, incident, done.strategy, path, ms, "", said)


def _advice(context: Context) -> str:
    """The diagnosis's next step; where only trust kept a file out, how to decide about that."""
    from dlrepair.diagnose.rule import quote

    if context.advice:
        return context.advice
    if not any(verdict.accepted for _, verdict in context.verdicts):
        for _, verdict in context.verdicts:
            folder = os.path.dirname(verdict.path)
            decided = "distrust" in verdict.detail  # by the user, who knows
            if verdict.reason.startswith("untrusted") and not decided and not _is_sticky(folder):
                return "dlrepair trust {}".format(quote(folder))
        for _, verdict in context.verdicts:
            if verdict.reason == "twin" and "twins" in verdict.detail:
                return "Run it with DLREPAIR_TWINS=accept to load {} instead.".format(quote(verdict.path))
    return context.diagnosis.next_step


def _is_sticky(folder: str) -> bool:
    """Whether anybody may put files there, as in /tmp: no directory to be trusted as a whole."""
    try:
        return bool(os.stat(folder).st_mode & 0o1000)
    except OSError:
        return True


def _round(context: Context) -> tuple[tuple[Any] | None, Diagnosis | None]:
    """(answer, new diagnosis when a plan changed the failure)."""
    tried = 0
    deadline = context.deadline
    reserve = context.settings.budget_ms / 1000.0 * RESERVED if context.diagnosis.cause in OTHER_COPY else 0.0
    for strategy in _strategies(context):
        if not strategy.applies(context):
            continue
        if strategy is reexec:  # whatever the others have taken
            context.deadline = max(deadline, time.monotonic() + reserve)
        else:
            context.deadline = deadline - (0 if context.last_resort else reserve)
        for plan in strategy.plan(context):
            tried += 1
            answer, error = _execute(context, plan)
            if answer is not None:
                context.plan_done = _whole(context, plan)
                return answer, None
            tried_elsewhere = not context.loaded and any(step.kind == "trial" for step in plan.steps)
            if any(step.kind in ("preload", "promote") for step in plan.steps) and not tried_elsewhere:
                return None, _diagnose_again(context, error)
            if tried >= PLANS or context.out_of_time():
                return None, None
    context.deadline = deadline
    return None, None


def _strategies(context: Context) -> Iterator[Any]:
    """The strategies in their order, each imported when its turn comes: most failures end with the first one."""
    context.last_resort = False
    if reexec.is_learned(context):  # by another rank or worker, while this one waited
        yield reexec
    from dlrepair.repair import stored

    yield stored
    from dlrepair.repair import substitute

    yield substitute
    from dlrepair.repair import alias, patched, preload, rebuild, relocated

    yield from (preload, alias, patched, relocated, rebuild, reexec)
    context.last_resort = True
    yield substitute


def _whole(context: Context, plan: Plan) -> Plan:
    """The plan with what earlier rounds had preloaded: that is what has to be replayed."""
    from dlrepair.model.plan import Plan, Step

    own = {context.made.get(step.path, step.path) for step in plan.steps}
    before = tuple(Step("preload", path) for path in context.preloaded if path not in own)
    return Plan(plan.strategy, before + plan.steps, plan.why, plan.summary, plan.applicability)


def _diagnose_again(context: Context, error: BaseException | None) -> Diagnosis | None:
    from dlrepair.binary import process
    from dlrepair.diagnose import rules
    from dlrepair.model.records import replace

    if error is None:
        return None
    request = replace(context.request, error=str(error))
    context.view = process.ProcessView.current()
    diagnosis = rules.diagnose(request, target=context.target, process=context.view)
    context.emit(
        "diagnosed", cause=diagnosis.cause, symptom=diagnosis.symptom.kind, again=True,
        evidence=[{"key": one.key, "text": one.text, "value": one.value} for one in diagnosis.evidence],
        failing_object=diagnosis.failing_object, missing=[one.name for one in diagnosis.missing],
    )  # fmt: skip
    return diagnosis


def _execute(context: Context, plan: Plan) -> tuple[tuple[Any] | None, BaseException | None]:
    """((result,), None), or (None, the error of the step that failed)."""
    context.emit(
        "repair-tried", strategy=plan.strategy, why=plan.why, applicability=plan.applicability,
        steps=[{"kind": step.kind, "path": step.path, "target": step.target} for step in plan.steps],
    )  # fmt: skip
    context.loaded = []
    result: Any = None
    done: Step | None = None
    try:
        for done in plan.steps:
            result = steps.take(context, done)
    except Exception as error:
        context.emit(
            "repair-failed", strategy=plan.strategy, step=None if done is None else done.kind,
            path=None if done is None else done.path, error=str(error), stays_loaded=context.loaded,
        )  # fmt: skip
        return None, error
    return (result,), None
