"""The Python API of CONTRACT.md, resolved on first use by ``dlrepair.__getattr__``.

``diagnose`` and ``find`` load nothing into this process; ``repair`` tries its repair in a
child process and remembers it for the runs to come.
"""

from __future__ import annotations

import os
import time

from dlrepair.hooks import loaders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from dlrepair.model.candidate import Candidate, Verdict
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import LoadRequest
    from dlrepair.settings import Settings

__all__ = ["diagnose", "disabled", "find", "find_all", "install_hook", "loaders", "preview", "repair"]

#: names of CONTRACT.md's ``--loader`` beside our own
_LOADERS = {"tf": "tensorflow"}


def _request(path: str, loader: str, error: str = "") -> LoadRequest:
    from dlrepair.model.requests import LOADERS, LoadRequest

    loader = _LOADERS.get(loader, loader)
    if loader not in LOADERS:
        raise ValueError("loader is one of {}, not {!r}".format(", ".join(LOADERS), loader))
    here = os.getcwd()
    name = os.fspath(path)
    return LoadRequest(loader, name, here, here, "", None, 0, error, "", loader == "tensorflow")


def diagnose(path: str, loader: str = "ctypes") -> Diagnosis:
    """Why ``path`` would fail to load in a process like this one; its cause is ``none`` where it would load.

    Raises ``ValueError`` for an unknown loader. Nothing is loaded.
    """
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.diagnose import rules

    request = _request(path, loader)
    return rules.diagnose(request, target=engine.resolved(request), process=process.ProcessView.current())


def find(name: str) -> list[Candidate]:
    """Files that may serve as ``name`` (a file name, a path or a SONAME), accepted ones only, best first."""
    return [candidate for candidate, verdict in find_all(name) if verdict.accepted]


def find_all(name: str, loader: str = "ctypes") -> list[tuple[Candidate, Verdict]]:
    """Every candidate for ``name``, ranked, with what ``vet`` says of it."""
    from dlrepair.binary import process
    from dlrepair.model.candidate import Wanted
    from dlrepair.search import rank, sources, vet

    request = _request(name, loader)
    settings = _settings()
    wanted = Wanted(os.path.basename(name), "substitute", name, request.loader, request.op_loader)
    deadline = time.monotonic() + 3600.0
    found = rank.rank(list(sources.find_candidates(wanted, request, settings, deadline)), wanted, request)
    view = process.ProcessView.current()
    return [(one, vet.vet(one, wanted, request, settings=settings, process=view)) for one in found]


def _settings() -> Settings:
    from dlrepair import settings, trust

    return settings.load(os.getcwd(), check=trust.check)


class _Rehearsal:
    """Stands in for the hook's request: every load happens in a child process."""

    def __init__(self, request: LoadRequest) -> None:
        self.requested = request.requested
        self.op_loader = request.op_loader
        self.loader = request.loader
        self.state = _NoState()
        self._before: list[str] = []
        self._promoted: list[str] = []

    def dlopen(self, path: str, mode: int) -> int:
        (self._promoted if mode & os.RTLD_GLOBAL else self._before).append(path)
        return 0

    def retry(self, path: str) -> str:
        from dlrepair.search import tensorflow, trial

        framework = list(tensorflow.running_libraries()) if self.op_loader else []
        result = trial.run([*self._before, path], global_first=[*framework, *self._promoted])
        if not result.ok:
            raise OSError(result.detail)
        return path

    def registered_ops(self) -> frozenset[str]:
        return frozenset()


class _NoState:
    opened: tuple[str, ...] = ()


def preview(path: str, loader: str = "ctypes") -> tuple[Diagnosis, Outcome, list[tuple[Candidate, Verdict]]]:
    """(diagnosis, what the repair would be, candidates): all tried in child processes, nothing remembered."""
    diagnosis, outcome, context = _rehearse(path, loader)
    return diagnosis, outcome, context.verdicts


def _rehearse(path: str, loader: str) -> tuple[Diagnosis, Outcome, Any]:
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.diagnose import rules
    from dlrepair.journal import writer
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import Guard
    from dlrepair.repair import ladder

    began = time.perf_counter()
    request = _request(path, loader)
    target = engine.resolved(request)
    view = process.ProcessView.current()
    diagnosis = rules.diagnose(request, target=target, process=view)
    incident = writer.new_incident()

    def emit(event: str, **fields: Any) -> None:
        writer.emit(event, incident, **fields)

    settings = _settings()
    context = ladder.Context(
        _Rehearsal(request), request, diagnosis, Guard("none"), settings.replace(budget_ms=600000), view, target, emit
    )
    if diagnosis.cause == "none":
        return diagnosis, Outcome(False, "none", incident, next_step=diagnosis.next_step), context
    emit("load-failed", loader=request.loader, requested=path, resolved=target, caller="dlrepair fix", cwd=request.cwd,
         exception="", dlerror="")  # fmt: skip
    emit("diagnosed", cause=diagnosis.cause, symptom=diagnosis.symptom.kind,
         evidence=[{"key": one.key, "text": one.text, "value": one.value} for one in diagnosis.evidence])  # fmt: skip
    _, outcome = ladder.climb(context, incident, began)
    return diagnosis, outcome, context


def repair(path: str, loader: str = "ctypes") -> Outcome:
    """The repair of ``path``, proved in a child process and remembered: the next run that fails replays it.

    Nothing is loaded into this process and no file of the user's is touched.
    """
    from dlrepair.repair import replay

    _, outcome, context = _rehearse(path, loader)
    if outcome.repaired:
        replay.remember_for_path(path, context.plan_done, outcome)
    return outcome


def install_hook() -> bool:
    """Whether the hook is live in this process afterwards; nothing is written. Never raises."""
    from dlrepair import _bootstrap

    if loaders.live_state() is None:
        _bootstrap.arm(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return loaders.live_state() is not None


class disabled:
    """Context manager: loads of this thread inside it fail as if dlrepair were not there."""

    def __enter__(self) -> disabled:
        from dlrepair.hooks import _guard

        self._before = _guard.disabled(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        from dlrepair.hooks import _guard

        _guard.disabled(self._before)
