"""After a program has given up on a library: what is wrong, what would serve, and what the next start can be given.

Only what the program itself reads can be changed without touching its files: a variable of the environment that makes
up the path, or the path of imports. Everything else is one command for the user.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from dlrepair.diagnose.giveups import GiveUp
    from dlrepair.model.candidate import Wanted
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import LoadRequest
    from dlrepair.repair.context import Context


class NoAsk:
    """Stands in for the hook's request: nothing was asked for, and nothing will be."""

    op_loader = False

    def __init__(self, state: Any, requested: str) -> None:
        self.state = state
        self.requested = requested

    def registered_ops(self) -> frozenset[str]:
        return frozenset()


def request(seen: GiveUp, script: str, start_cwd: str) -> LoadRequest:
    """What the program would have asked for."""
    from dlrepair.diagnose import frames, source
    from dlrepair.model.requests import Caller, LoadRequest

    file = source.find_file(seen.frame) or seen.frame.f_code.co_filename
    caller = Caller(file, seen.line, seen.frame.f_code.co_name, frames.package_dir(os.path.abspath(file)))
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    name = seen.path or os.path.basename(seen.via) or seen.module
    loader = "import" if seen.module else "tensorflow" if _loads_ops(seen) else "ctypes"
    if seen.question:
        name = "lib{}.so".format(seen.question)
    if not os.path.basename(name.replace("*", "")).startswith("."):  # "*.so" names nothing
        name = name.replace("*", "")
    return LoadRequest(loader, name, cwd, start_cwd, script, caller, op_loader=loader == "tensorflow")


def _loads_ops(seen: GiveUp) -> bool:
    """Whether the code of the traceback goes on to ``tf.load_op_library``."""
    from dlrepair.diagnose import source

    return "tensorflow" in sys.modules and any(b"load_op_library" in source.text_of(one) for one, _ in seen.steps)


def words(error: BaseException) -> str:
    """The exception's last line, as the interpreter shows it."""
    try:
        return "{}: {}".format(type(error).__name__, error)[:500]
    except Exception:  # a __str__ that fails
        return type(error).__name__


def failed_event(context: Context, reason: str, exception: str) -> dict[str, Any]:
    """Fields of ``load-failed`` for a load that was never tried, or that its caller had dealt with."""
    asked = context.request
    caller = "{}:{}".format(asked.caller.file, asked.caller.line) if asked.caller is not None else None
    return {
        "loader": asked.loader, "requested": asked.requested, "resolved": context.target, "caller": caller,
        "cwd": asked.cwd, "exception": exception, "dlerror": asked.error,
        "refused": None, "guard": {"kind": "none", "reason": reason},
    }  # fmt: skip


def diagnosed_event(diagnosis: Diagnosis) -> dict[str, Any]:
    """Fields of ``diagnosed``."""
    evidence = [{"key": one.key, "text": one.text, "value": one.value} for one in diagnosis.evidence]
    return {
        "cause": diagnosis.cause, "symptom": diagnosis.symptom.kind, "evidence": evidence,
        "failing_object": diagnosis.failing_object, "missing": [one.name for one in diagnosis.missing],
        "symbols": list(diagnosis.symbols[:50]),
    }  # fmt: skip


def look(context: Context, seen: GiveUp) -> Outcome | None:
    """How the incident ends; None where the exception turns out to be about no library at all."""
    from dlrepair.model.plan import Outcome
    from dlrepair.repair import given, start

    found = find(context, seen)
    if not found and (seen.module or seen.question):
        return None  # simply not installed
    step = context.diagnosis.next_step
    nameless = "*" in context.request.requested
    if nameless:
        step = "Build the library, or put it where {} matches it.".format(context.request.requested)
    summary = "{} would serve".format(found) if found else "" if nameless else _would_build(context, context.request)
    if summary:
        shown, why = given.learn(context, seen, found)
        if shown:
            step = start.again("{} is learned".format(shown))
        else:
            summary += "; nothing is learned for the next start: {}".format(why)
            step = _command(context, seen, found)
    cause = context.diagnosis.cause
    context.emit("load-unrepaired", cause=cause, next_step=step, ms=context.elapsed(), reason=summary or None)
    return Outcome(False, cause, context.incident, ms=context.elapsed(), next_step=step, summary=summary)


def _would_build(context: Context, request: LoadRequest) -> str:
    """From what a library would be built that nobody has built yet, "" where none would be. Nothing is built."""
    from dlrepair.repair import afterwards

    def emit(event: str, **fields: Any) -> None:
        if event != "candidate":  # the same were looked at before
            context.emit(event, **fields)

    _, outcome = afterwards.rehearse(request, context.diagnosis, context.settings, context.view, None, emit)
    return "it would be {}".format(outcome.summary) if outcome.repaired and outcome.strategy == "rebuild" else ""


def unimported(context: Context, diagnosis: Diagnosis, module: str) -> Outcome:
    """The end of the story of a module that no finder found: it is built at the next start, or put in place by hand."""
    from dlrepair.model.plan import Outcome
    from dlrepair.model.records import replace
    from dlrepair.repair import given, start, unimported

    step, summary = diagnosis.next_step, ""
    place = unimported.place_of(diagnosis)
    if place:
        asked = replace(context.request, loader="import", requested=place, op_loader=False)
        summary = _would_build(context, asked)
    if summary:
        shown, why = given.learn_build(context, module, place)
        step = start.again("{} is learned".format(shown)) if shown else step
        summary += "; nothing is learned for the next start: {}".format(why) if why else ""
    cause = diagnosis.cause
    context.emit("load-unrepaired", cause=cause, next_step=step, ms=context.elapsed(), reason=summary or None)
    return Outcome(False, cause, context.incident, ms=context.elapsed(), next_step=step, summary=summary)


def _command(context: Context, seen: GiveUp, found: str) -> str:
    """What the user can do: put the file where the program looks, or say where it is."""
    from dlrepair.diagnose.rule import quote
    from dlrepair.repair import given, putting

    if seen.module:
        place = given.module_place(seen.module, found)
        return "dlrepair fix --write {}".format(quote(place)) if place else context.diagnosis.next_step
    if seen.question:
        return "ctypes.CDLL({!r}) loads it, find_library({!r}) does not know it".format(found, seen.question)
    first = ""
    for path in ("" if seen.bare else seen.path, *seen.others):
        place = given.file_place(os.path.join(context.request.cwd, path), found) if path else ""
        if place and putting.is_writable(place):
            return _write(place, context.request.loader)
        first = first or place
    if seen.variable:
        value = seen.value_for(found)
        if value:
            return "export {}={}".format(seen.variable, quote(value))
    return _write(first, context.request.loader) if first else context.diagnosis.next_step


def _write(place: str, loader: str) -> str:
    """The command that puts the library there; one with a tag of Python's is taken for a module unless told."""
    from dlrepair.diagnose.rule import quote
    from dlrepair.search import names

    tagged = names.split(os.path.basename(place))[1]
    how = "--loader tf " if loader == "tensorflow" else "--loader ctypes " if tagged else ""
    return "dlrepair fix --write {}{}".format(how, quote(place))


def find(context: Context, seen: GiveUp) -> str:
    """Path of the best file that would serve, or ""; every verdict is journalled."""
    from dlrepair.repair import choice, given

    for want in _wanted(context, seen):
        for candidate, _ in choice.accepted(context, want):
            path = os.path.abspath(candidate.path)
            if not seen.module or given.is_of(seen.module, path):
                return path
    return ""


def _wanted(context: Context, seen: GiveUp) -> Iterator[Wanted]:
    from dlrepair.model.candidate import Wanted
    from dlrepair.repair import given
    from dlrepair.search import names

    request = context.request
    if seen.module:
        name = seen.module.rpartition(".")[2] + names.extension_suffixes()[0]
        yield Wanted(name, "substitute", name, "import")
        return
    name = os.path.basename(request.requested)
    if "*" not in name:
        yield Wanted(name, "substitute", request.requested, request.loader, request.op_loader)
    pattern = os.path.basename(seen.path)
    if "*" in pattern:
        other = given.only_match(pattern, request)
        if other and other != name:
            yield Wanted(other, "substitute", other, request.loader, request.op_loader)
