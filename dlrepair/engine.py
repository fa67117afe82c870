"""The one use case: a failing load in, its result through a repair out, or nothing.

``handle`` is called by the hooks, inside the ``except`` branch of a failed load. A repair
that is remembered is replayed without the diagnosis being loaded at all; everything
else goes request -> diagnosis -> candidates -> plan -> outcome, and into the journal.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair.journal import writer
from dlrepair.repair import saying

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import Guard, LoadRequest
    from dlrepair.repair.replay import Before
    from dlrepair.settings import Settings

_settings: dict[str, Settings] = {}


def settings_for(script: str, cwd: str) -> Settings:
    """The settings that hold for a program; read once per process and place."""
    from dlrepair import settings, store, trust

    start = os.path.dirname(script) if script else cwd
    known = _settings.get(start)
    if known is None:
        known = _settings[start] = settings.load(start or None, check=lambda path: trust.check(path, script))
        store.use(known.store)
        for problem in known.problems:
            saying.say("dlrepair: " + problem, known)
    return known


def main_script(start_cwd: str) -> str:
    """Absolute path of the program's main file, or "" (``-c``, standard input, a prompt)."""
    main = sys.modules.get("__main__")
    name = getattr(main, "__file__", None)
    if not isinstance(name, str):
        argv = getattr(sys, "argv", None) or [""]
        name = argv[0] if argv[0] not in ("", "-c", "-", "-m") else ""
    if not name:
        return ""
    path = os.path.join(start_cwd, name)
    return os.path.normpath(path) if os.path.isfile(path) else ""


def handle(ask: Any) -> tuple[tuple[Any] | None, str | None, tuple[str, ...], str]:
    """(answer, redirect, directories whose change is worth another look, mode)."""
    began = time.perf_counter()
    script = main_script(ask.state.cwd)
    settings = settings_for(script, ask.state.cwd)
    if settings.mode == "off" or is_secure():
        return None, None, (), "off"
    written = _written_by_program(ask.state)
    try:
        if settings.mode != "repair":
            return _Incident(ask, script, settings, began, written).run()
        from dlrepair.repair import replay

        learned = _learned_answer(ask) if ask.loader == "find_library" else None
        if learned is not None:
            return _close_replayed(ask, learned, settings, began)
        replayed = replay.replay(ask, script, settings)
        if replayed is not None:
            return _close_replayed(ask, replayed, settings, began)
        from dlrepair.repair.turn import Turn

        turn = Turn(replay.key_of(ask, script))
        try:
            # whoever had the turn may have been done between our first look and our taking it
            replayed = None if replay.refusal and not turn.waited else replay.replay(ask, script, settings)
            if replayed is not None:
                return _close_replayed(ask, replayed, settings, began)
            return _Incident(ask, script, settings, began, written).run()
        finally:
            turn.leave()
    finally:
        if written is not None:
            _ours[0] += (_written_by_program(ask.state) or written) - written


def _learned_answer(ask: Any) -> tuple[dict[str, str], tuple[Any]] | None:
    """What ``find_library`` answers a program that has ended for want of it once, as a remembered repair."""
    from dlrepair.learned import inside

    path = inside.find_answer(ask.state.cwd, ask.requested[len("lib") : -len(".so")])
    if not path:
        return None
    record = {"cause": "file-missing", "strategy": "substitute", "path": path, "redirect": "",
              "summary": "found {} (learned)".format(path)}  # fmt: skip
    return record, (ask.retry(path),)


def _note_unanswered(ask: Any) -> None:
    """Keeps what ``find_library`` was asked for and by whom: the program may end for want of it."""
    known: list[tuple[str, str]] = getattr(ask.state, "unanswered", [])
    ask.state.unanswered = [*known[-99:], (ask.requested[len("lib") : -len(".so")], ask.frame.f_code.co_filename)]


#: bytes that dlrepair has written in this process, its children's included
_ours = [0]


def _written_by_program(state: Any) -> int | None:
    """Bytes that the program itself has written since its start, or None where the kernel keeps no account.

    A reaped child's count into its parent's (proc(5), ``io``).
    """
    try:
        with open("/proc/self/io", "rb") as stream:
            now = _written_in(stream.read())
        return now - _written_in(state.io) - _ours[0]
    except (OSError, ValueError, AttributeError):
        return None


def _written_in(io: bytes) -> int:
    return int(io.partition(b"wchar: ")[2].partition(b"\n")[0])


def is_secure() -> bool:
    """Whether the kernel started this process with AT_SECURE set (getauxval(3)): then we stay out."""
    try:
        with open("/proc/self/auxv", "rb") as stream:
            data = stream.read(4096)
    except OSError:  # a process that has changed its user: root's files in /proc, whichever way it went (proc(5))
        try:
            import ctypes

            return bool(ctypes.CDLL(None).getauxval(23))
        except (ImportError, OSError, AttributeError):
            return False
    words = memoryview(data[: len(data) // 16 * 16]).cast("Q")
    return any(words[at] == 23 and words[at + 1] for at in range(0, len(words), 2))


def _close_replayed(
    ask: Any, replayed: tuple[dict[str, str], tuple[Any]], settings: Settings, began: float
) -> tuple[tuple[Any] | None, str | None, tuple[str, ...], str]:
    record, answer = replayed
    incident = writer.new_incident()
    ms = round((time.perf_counter() - began) * 1000, 2)
    writer.emit(
        "load-failed", incident, loader=ask.loader, requested=ask.requested, resolved=None, caller=None,
        cwd=_cwd(), exception=_type_name(ask.error), dlerror=ask.text, refused=ask.refused,
    )  # fmt: skip
    writer.emit(
        "load-repaired", incident, cause=record["cause"], strategy=record["strategy"], path=record["path"], ms=ms,
        summary=record["summary"], remembered=True,
    )  # fmt: skip
    saying.say(
        "dlrepair[{}]: {}: {} (incident {})".format(
            record["cause"], os.path.basename(ask.requested), record["summary"], incident
        ),
        settings,
    )
    saying.say_problems(settings)
    return answer, record["redirect"] or None, (), settings.mode


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _type_name(error: BaseException | None) -> str:
    return "" if error is None else "{}.{}".format(type(error).__module__, type(error).__qualname__)


class _Incident:
    """One failing load on its way through the stages."""

    def __init__(self, ask: Any, script: str, settings: Settings, began: float, written: int | None) -> None:
        self.ask = ask
        self.written = written
        self.script = script
        self.settings = settings
        self.began = began
        self.incident = writer.new_incident()
        self.emit: Callable[..., None] = self._emit
        self.wanted = False  #: learned: the caller goes on without it, and the program then ends
        self.before: Before | None = None  #: the process before anything was repaired

    def _emit(self, event: str, **fields: Any) -> None:
        writer.emit(event, self.incident, **fields)

    def run(self) -> tuple[tuple[Any] | None, str | None, tuple[str, ...], str]:
        from dlrepair.repair import replay

        guard = self._guard()
        if guard.kind in ("none", "reraise") and self.settings.mode == "repair" and self.settings.rebuild == "auto":
            replayed = replay.replay_rebuild(self.ask, self.script, self.settings)
            if replayed is not None:
                return _close_replayed(self.ask, replayed, self.settings, self.began)
        from dlrepair.binary import process
        from dlrepair.diagnose import rules
        from dlrepair.repair import ladder
        from dlrepair.repair.context import Context

        request = self._request()
        self._journal_request(request, guard)
        if guard.kind == "probe":
            self.emit("load-unrepaired", cause="unknown", next_step="", reason="build probe: " + guard.reason)
            return None, None, (), self.settings.mode
        if replay.refusal:
            self.emit("repair-failed", strategy="remembered", reason=replay.refusal)
        target = resolved(request)
        view = process.ProcessView.current()
        self.before = replay.Before(view, self.ask)
        diagnosis = rules.diagnose(request, target=target, process=view)
        self._journal_diagnosis(diagnosis)
        watched = _watched(request, target)
        refusal = self._not_now(guard)
        if refusal:
            self._leave_alone(request)
            self.emit("load-unrepaired", cause=diagnosis.cause, next_step=diagnosis.next_step, reason=refusal)
            return None, None, watched, self.settings.mode
        context = Context(self.ask, request, diagnosis, guard, self.settings, view, target, self.emit)
        context.incident, context.began, context.written = self.incident, self.began, self.written
        context.leave = lambda outcome: self._close(outcome, context)
        answer, outcome = ladder.climb(context, self.incident, self.began)
        self._close(outcome, context)
        if answer is None:
            return None, None, watched, self.settings.mode
        self._remember(context, outcome)
        redirect = outcome.path if outcome.path != self.ask.requested else None
        return answer, redirect, watched, self.settings.mode

    def _guard(self) -> Guard:
        from dlrepair.diagnose import callsite

        if self.ask.loader == "find_library":
            from dlrepair.diagnose import usage

            return usage.classify(self.ask.frame)
        error = self.ask.error
        if error is None:
            error = self.ask.refusal(self.ask.refused)
        guard = callsite.classify(self.ask.frame, error)
        if guard.kind in ("optional", "alternative", "compile") and self.settings.mode == "repair":
            from dlrepair.learned import inside

            if inside.is_wanted(self.ask.state.cwd, os.path.join(_cwd(), self.ask.requested), self.ask.requested):
                from dlrepair.model.requests import Guard

                self.wanted = True
                return Guard("none", "the program has ended for want of it: " + guard.reason, guard.file, guard.line)
        return guard

    def _leave_alone(self, request: LoadRequest) -> None:
        """Keeps the load for the end of the program, which may come for want of it."""
        from dlrepair.diagnose import missed

        if self.settings.mode == "repair":
            missed.note(self.ask, request.cwd, request.caller)

    def _request(self) -> LoadRequest:
        from dlrepair.diagnose import callsite
        from dlrepair.model.requests import LoadRequest

        ask = self.ask
        text = ask.text or (str(ask.refusal(ask.refused)) if ask.refused else "")
        return LoadRequest(
            ask.loader, ask.requested, _cwd(), ask.state.cwd, self.script, callsite.find_caller(ask.frame),
            ask.mode, text, _type_name(ask.error), ask.op_loader,
        )  # fmt: skip

    def _journal_request(self, request: LoadRequest, guard: Guard) -> None:
        caller = request.caller
        self.emit(
            "load-failed", loader=request.loader, requested=request.requested, resolved=resolved(request),
            caller=None if caller is None else "{}:{}".format(caller.file, caller.line), cwd=request.cwd,
            exception=request.exception, dlerror=request.error, refused=self.ask.refused,
            guard={"kind": guard.kind, "reason": guard.reason},
        )  # fmt: skip

    def _journal_diagnosis(self, diagnosis: Diagnosis) -> None:
        self.emit(
            "diagnosed", cause=diagnosis.cause, symptom=diagnosis.symptom.kind,
            evidence=[{"key": one.key, "text": one.text, "value": one.value} for one in diagnosis.evidence],
            failing_object=diagnosis.failing_object, missing=[one.name for one in diagnosis.missing],
            symbols=list(diagnosis.symbols[:50]),
        )  # fmt: skip

    def _not_now(self, guard: Guard) -> str:
        """Why this failure is left as it is, or ""."""
        if self.settings.mode == "observe":
            return "mode is observe"
        if guard.kind == "optional" and self.settings.optional != "repair":
            if self.ask.loader == "find_library":
                _note_unanswered(self.ask)
            return "optional: " + guard.reason
        if guard.kind == "alternative" and not _alternative_is_lost(guard, _cwd()):
            return "the caller has an alternative: " + guard.reason
        return ""

    def _close(self, outcome: Outcome, context: Any) -> None:
        from dlrepair.render import text

        if outcome.repaired:
            self.emit(
                "load-repaired", cause=outcome.cause, strategy=outcome.strategy, path=outcome.path,
                ms=outcome.ms, summary=outcome.summary,
            )  # fmt: skip
            saying.say(text.repaired_line(outcome, context.diagnosis, context.request), self.settings)
        else:
            self.emit("load-unrepaired", cause=outcome.cause, next_step=outcome.next_step, ms=outcome.ms)
            counts = context.guard.kind in ("none", "reraise")
            if not counts:
                self._leave_alone(context.request)
            elif saying.is_first(context.request.requested, outcome.cause):
                lines = text.failure_lines(
                    outcome,
                    context.diagnosis,
                    context.request,
                    [one for _, one in context.verdicts],
                    self.settings.verbosity,
                    searched=_searched(context.request) if self.settings.verbosity == "full" else (),
                )
                saying.say(lines, self.settings)
        saying.say_problems(self.settings)

    def _remember(self, context: Any, outcome: Outcome) -> None:
        if context.guard.kind not in ("none", "reraise") or self.wanted:
            return  # whether such a repair is wanted depends on what surrounds the call: look again
        from dlrepair.repair import replay

        if self.before is not None:
            replay.remember(
                self.ask, self.script, context.plan_done, outcome, context.made, context.inputs, self.before
            )


def resolved(request: LoadRequest) -> str | None:
    """The absolute path that was asked for, or None for a leaf name, which ld.so searches (dlopen(3))."""
    if "/" not in request.requested:
        return None
    return os.path.normpath(os.path.join(request.cwd, request.requested))


def _alternative_is_lost(guard: Guard, cwd: str) -> bool:
    """Whether the handler's own alternative provably cannot work: a path that does not exist.

    Only then may its first attempt be repaired, and only with the very same file name;
    a script's own fallback comes first.
    """
    path = guard.alternative
    if not path or "/" not in path:
        return False
    return not os.path.exists(os.path.join(cwd, path))


def _searched(request: LoadRequest) -> list[tuple[str, str]]:
    """Where the search began, and why there: for a person who wants to know all of it."""
    from dlrepair.search import roots

    return [(folder, "the {}'s directory: nothing that fits".format(what)) for folder, what in roots.anchors(request)]


def _watched(request: LoadRequest, target: str | None) -> tuple[str, ...]:
    """Directories where a new file would be worth another look at the same failure."""
    places = [request.cwd]
    if target:
        folder = os.path.dirname(target)
        places += [folder, os.path.join(folder, "build"), target]
    if request.caller is not None:
        places.append(os.path.dirname(request.caller.file))
    if request.script:
        places.append(os.path.dirname(request.script))
    return tuple(dict.fromkeys(places))
