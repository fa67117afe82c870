"""After an uncaught exception: a program that looked for a library, found none, and never came to load it.

Called when the traceback has been shown (``_endings``): at exit with ``sys.last_value``, which is what the interpreter
left there (PyErr_PrintEx, Python/pythonrun.c), or at the end of a thread, of a worker or of a cell. Whatever of these
ends with the same library is told once.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.diagnose.giveups import GiveUp
    from dlrepair.diagnose.missed import Left

#: evidence without which a line about a module says too little
_SHOWN = ("other-python", "recipe")
#: causes and contexts of an exception that are looked at
CHAIN = 16

_told: dict[tuple[str, ...], object] = {}


def look(state: Any, error: Any, trace: Any) -> None:
    """Diagnoses and learns where the exception is about a library that no hook has repaired or told. Raises nothing."""
    try:
        from dlrepair.hooks import _guard

        if _guard.busy():
            return
        error, trace = _alone(error, trace)
        chain = _chain(error)
        from dlrepair.diagnose import missed

        left = missed.find(state, chain, trace)
        if left is None and any(id(one) in getattr(state, "reported", ()) for one in chain):
            return
        _guard.disabled(True)
        try:
            if left is not None:
                _report_left(state, left)
            else:
                _report_looked(state, error, trace, chain)
        finally:
            _guard.disabled(False)
    except Exception as problem:
        from dlrepair.hooks import _internal_error

        _internal_error(problem)


def _alone(error: Any, trace: Any) -> tuple[Any, Any]:
    """The first exception of a group (3.11, ``asyncio.TaskGroup``), and its traceback; any other as it is."""
    import builtins

    kind = getattr(builtins, "BaseExceptionGroup", ())
    for _ in range(CHAIN):
        if not isinstance(error, kind):
            break
        error = error.exceptions[0]
        trace = error.__traceback__
    return error, trace


def _chain(error: Any) -> list[BaseException]:
    """An exception, its cause or context, and theirs."""
    chain: list[BaseException] = []
    while error is not None and len(chain) < CHAIN:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _is_new(*about: str) -> bool:
    """Whether nothing was told about it so far: of several threads that end with it, one tells it."""
    mark = object()
    return _told.setdefault(about, mark) is mark


def _report_looked(state: Any, error: Any, trace: Any, chain: list[BaseException]) -> None:
    """A program that looked for a library, or into it, and raised."""
    from dlrepair.diagnose import giveups, present
    from dlrepair.repair import saying

    seen = giveups.find(error, trace, getattr(state, "unanswered", ()))
    for one in chain[1:]:  # a package's own words about an extension module that was not found
        if seen is None and isinstance(error, ImportError) and isinstance(one, ModuleNotFoundError):
            seen = giveups.find(one, one.__traceback__)
    told = {os.path.basename(one) for one in saying.told()}
    named = {os.path.basename(one) for one in giveups.words_of(error)}
    if told & (named or {os.path.basename(seen.path) if seen is not None else ""}):
        return  # by the load itself, which was tried before or after
    for there in present.find(error, trace) if not _is_loaders(chain) else ():
        if _report_broken(state, there):
            return
    if seen is not None and _is_new(seen.path, seen.variable, seen.module, seen.question):
        _report(state, error, seen)


def _is_loaders(chain: list[BaseException]) -> bool:
    """Whether these are a loader's own words: a load has been tried, if not in this process, and was dealt with there.

    What a pool or an executor hands back has the traceback of the worker for its cause, as a text.
    """
    from dlrepair.diagnose import dlerror

    words = str(chain[0]) if isinstance(chain[0], (OSError, ImportError)) else ""
    handed = any(type(one).__name__ in ("RemoteTraceback", "_RemoteTraceback") for one in chain)
    return handed or (bool(words) and dlerror.parse(words, "ctypes").kind != "unknown")


class _Setting:
    """What every report begins with; ``events`` are journalled in the end, if there is something to tell."""

    def __init__(self, state: Any) -> None:
        from dlrepair import engine
        from dlrepair.binary import process

        self.script = engine.main_script(state.cwd)
        self.settings = engine.settings_for(self.script, state.cwd)
        self.silent = self.settings.mode == "off" or engine.is_secure()
        self.view = process.ProcessView.current()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def write(self, context: Any, words: str, kind: str) -> None:
        from dlrepair.journal import writer
        from dlrepair.repair import lookback

        self.events[:0] = [
            ("load-failed", lookback.failed_event(context, words, kind)),
            ("diagnosed", lookback.diagnosed_event(context.diagnosis)),
        ]
        for event, fields in self.events:
            writer.emit(event, context.incident, **fields)


def _report_left(state: Any, left: Left) -> None:
    """A load that its caller dealt with, and for want of which the program has ended."""
    from dlrepair import engine
    from dlrepair.diagnose import rules
    from dlrepair.render import text
    from dlrepair.repair import afterwards, saying

    held = _Setting(state)
    request = afterwards.request_of(left, held.script, state.cwd)
    target = engine.resolved(request)
    if held.silent or not _is_new("left", target or left.requested) or _is_mapped(held.view, left.requested):
        return
    diagnosis = rules.diagnose(request, target=target, process=held.view)
    context, found = afterwards.rehearse(request, diagnosis, held.settings, held.view, target, held.emit)
    outcome = afterwards.close(context, found, state)
    held.write(context, "the program has ended for want of it: its caller had gone on without", left.exception)
    verdicts = [one for _, one in context.verdicts if not one.accepted] if not found.repaired else []
    saying.say(text.failure_lines(outcome, diagnosis, request, verdicts, held.settings.verbosity), held.settings)


def _is_mapped(view: Any, requested: str) -> bool:
    """Whether a library of that name was loaded after all, from elsewhere."""
    name = os.path.basename(requested)
    return any(os.path.basename(one) == name for one in view.loaded)


def _report_broken(state: Any, seen: GiveUp) -> bool:
    """Whether a library that is there cannot be loaded, whoever tries: what is wrong is told then."""
    from dlrepair import engine
    from dlrepair.diagnose import rules
    from dlrepair.render import text
    from dlrepair.repair import afterwards, lookback, saying

    held = _Setting(state)
    request = lookback.request(seen, held.script, state.cwd)
    target = engine.resolved(request)
    if held.silent or _is_mapped(held.view, request.requested):
        return False
    diagnosis = rules.diagnose(request, target=target, process=held.view)
    if diagnosis.cause not in afterwards.CERTAIN:
        return False
    if not _is_new("broken", target or request.requested):
        return True
    context, found = afterwards.rehearse(request, diagnosis, held.settings, held.view, target, held.emit)
    outcome = afterwards.close(context, found, state, seen)
    held.write(context, "the program gave up before it loaded the library", "")
    verdicts = [one for _, one in context.verdicts if not one.accepted] if not found.repaired else []
    saying.say(text.failure_lines(outcome, diagnosis, request, verdicts, held.settings.verbosity), held.settings)
    return True


def _report(state: Any, error: BaseException, seen: GiveUp) -> None:
    """Says and journals what is wrong with the library, and what the next start is given. Nothing is loaded."""
    from dlrepair import engine
    from dlrepair.diagnose import rules
    from dlrepair.hooks import _guard
    from dlrepair.journal import writer
    from dlrepair.model.requests import Guard
    from dlrepair.repair import lookback, saying
    from dlrepair.repair.context import Context

    held = _Setting(state)
    if held.silent:
        return
    request = lookback.request(seen, held.script, state.cwd)
    target = engine.resolved(request)
    if (target and _guard.has_served(target)) or _is_mapped(held.view, request.requested):
        return  # loaded, from wherever: the exception is about something else, a symbol that it lacks perhaps
    diagnosis = rules.diagnose(request, target=target, process=held.view)
    if diagnosis.cause not in ("file-missing", "wrong-cwd"):
        return  # it is there: the exception is about something else
    ask = lookback.NoAsk(state, request.requested)
    context = Context(ask, request, diagnosis, Guard("none"), held.settings, held.view, target, held.emit)
    context.incident = writer.new_incident()
    outcome = lookback.look(context, seen)
    if outcome is None and seen.module:
        from dlrepair.repair import unimported

        found = unimported.diagnose(seen.module, diagnosis.symptom)
        if found is not None:
            context.diagnosis = found
            outcome = lookback.unimported(context, found, seen.module)
    if outcome is None:
        return
    kind = "{}.{}".format(type(error).__module__, type(error).__qualname__)
    held.write(context, "the program gave up before it loaded the library: " + lookback.words(error), kind)
    from dlrepair.render import text

    verdicts = [one for _, one in context.verdicts if not one.accepted]
    lines = text.failure_lines(outcome, context.diagnosis, request, verdicts, held.settings.verbosity)
    if lines and seen.module and held.settings.verbosity != "full":
        facts = [one for one in context.diagnosis.evidence if one.key in _SHOWN]
        lines[1:1] = ["  fact: " + text.clean(one.text, 500) for one in facts]
    saying.say(lines, held.settings)
