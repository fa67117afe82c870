"""A library that is to be built, for a program that looks whether it is there before it loads it.

``learned.sources`` asks here, by name as stage 0 does, where a program has once ended for want of a library that
nobody has built. Nothing is loaded into this process.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def make(path: str, loader: str) -> str:
    """Path of the library to be loaded in place of ``path``, built now or remembered; "" for none. Never raises."""
    try:
        from dlrepair.hooks import _guard, loaders

        state = loaders.live_state()
        if state is None or _guard.busy():
            return ""
        _guard.disabled(True)
        try:
            return _make(state, path, loader)
        finally:
            _guard.disabled(False)
    except Exception as problem:
        from dlrepair.hooks import _internal_error

        _internal_error(problem)
        return ""


def _make(state: Any, path: str, loader: str) -> str:
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.diagnose import rules
    from dlrepair.journal import writer
    from dlrepair.model.requests import LoadRequest
    from dlrepair.render import text
    from dlrepair.repair import afterwards, lookback, replay, saying

    began = time.perf_counter()
    script = engine.main_script(state.cwd)
    settings = engine.settings_for(script, state.cwd)
    if settings.mode != "repair" or engine.is_secure():
        return ""
    known = replay.find_remembered(path, loader, script, settings)
    if known:
        return known
    request = LoadRequest(loader, path, os.getcwd(), state.cwd, script, op_loader=loader == "tensorflow")
    view = process.ProcessView.current()
    target = engine.resolved(request)
    diagnosis = rules.diagnose(request, target=target, process=view)
    incident = writer.new_incident()

    def emit(event: str, **fields: Any) -> None:
        writer.emit(event, incident, **fields)

    context, outcome = afterwards.rehearse(request, diagnosis, settings, view, target, emit, False, incident)
    emit("load-failed", **lookback.failed_event(context, "the program looks whether it is there", ""))
    emit("diagnosed", **lookback.diagnosed_event(diagnosis))
    ms = round((time.perf_counter() - began) * 1000, 2)
    if outcome.repaired and outcome.strategy != "reexec" and context.plan_done is not None:
        before = replay.Before(view, context.ask)
        replay.remember_built(path, loader, context.plan_done, outcome, context.made, context.inputs, before)
        emit("load-repaired", cause=outcome.cause, strategy=outcome.strategy, path=outcome.path, ms=ms,
             summary=outcome.summary)  # fmt: skip
        saying.say(text.repaired_line(outcome, diagnosis, request), settings)
        return outcome.path
    emit("load-unrepaired", cause=outcome.cause, next_step=outcome.next_step, ms=ms)
    verdicts = [one for _, one in context.verdicts if not one.accepted]
    saying.say(text.failure_lines(outcome, diagnosis, request, verdicts, settings.verbosity), settings)
    return ""
