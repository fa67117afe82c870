"""After an uncaught exception: a program that looked for a library, found none, and never came to load it.

Called when the traceback has been shown (``_endings``): at exit with ``sys.last_value``, which is what the interpreter
left there (PyErr_PrintEx, Python/pythonrun.c), or at the end of a thread, of a worker or of a cell. Whatever of these
ends with the same library is told once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.diagnose.giveups import GiveUp

#: evidence without which a line about a module says too little
_SHOWN = ("other-python", "recipe")
#: causes and contexts of an exception that are looked at
CHAIN = 16

_told: dict[tuple[str, str, str, str], object] = {}


def look(state: Any, error: Any, trace: Any) -> None:
    """Diagnoses and learns where the exception is about a library that no hook has seen. Raises nothing."""
    try:
        one = error
        chain: list[BaseException] = []
        while one is not None and len(chain) < CHAIN:
            if id(one) in getattr(state, "reported", ()):
                return
            chain.append(one)
            one = one.__cause__ or one.__context__
        from dlrepair.diagnose import giveups
        from dlrepair.hooks import _guard

        seen = giveups.find(error, trace, getattr(state, "unanswered", ()))
        for one in chain[1:]:  # a package's own words about an extension module that was not found
            if seen is None and isinstance(error, ImportError) and isinstance(one, ModuleNotFoundError):
                seen = giveups.find(one, one.__traceback__)
        about = None if seen is None else (seen.path, seen.variable, seen.module, seen.question)
        if seen is None or about is None or _guard.busy():
            return
        mark = object()
        if _told.setdefault(about, mark) is not mark:  # of several threads that end with it, one tells it
            return
        _guard.disabled(True)
        try:
            _report(state, error, seen)
        finally:
            _guard.disabled(False)
    except Exception as problem:
        from dlrepair.hooks import _internal_error

        _internal_error(problem)


def _report(state: Any, error: BaseException, seen: GiveUp) -> None:
    """Says and journals what is wrong with the library, and what the next start is given. Nothing is loaded."""
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.diagnose import rules
    from dlrepair.journal import writer
    from dlrepair.model.requests import Guard
    from dlrepair.repair import lookback, saying
    from dlrepair.repair.context import Context

    script = engine.main_script(state.cwd)
    settings = engine.settings_for(script, state.cwd)
    if settings.mode == "off" or engine.is_secure():
        return
    events: list[tuple[str, dict[str, Any]]] = []
    request = lookback.request(seen, script, state.cwd)
    target = engine.resolved(request)
    view = process.ProcessView.current()
    diagnosis = rules.diagnose(request, target=target, process=view)
    if diagnosis.cause not in ("file-missing", "wrong-cwd"):
        return  # it is there: the exception is about something else
    ask = lookback.NoAsk(state, request.requested)
    context = Context(
        ask, request, diagnosis, Guard("none"), settings, view, target,
        lambda event, **fields: events.append((event, fields)),
    )  # fmt: skip
    context.incident = writer.new_incident()
    outcome = lookback.look(context, seen)
    if outcome is None and seen.module:
        from dlrepair.repair import unimported

        found = unimported.diagnose(seen.module, diagnosis.symptom)
        if found is not None:
            diagnosis, outcome = found, lookback.unimported(context, found)
    if outcome is None:
        return
    words = lookback.words(error)
    events[:0] = [
        ("load-failed", lookback.failed_event(context, words, type(error))),
        ("diagnosed", lookback.diagnosed_event(diagnosis)),
    ]
    for event, fields in events:
        writer.emit(event, context.incident, **fields)
    from dlrepair.render import text

    verdicts = [one for _, one in context.verdicts if not one.accepted]
    lines = text.failure_lines(outcome, diagnosis, request, verdicts, settings.verbosity)
    if lines and seen.module and settings.verbosity != "full":
        lines[1:1] = ["  fact: " + text.clean(one.text, 500) for one in diagnosis.evidence if one.key in _SHOWN]
    saying.say(lines, settings)
