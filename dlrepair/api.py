"""The Python API of CONTRACT.md, resolved on first use by ``dlrepair.__getattr__``.

``diagnose`` and ``find`` load nothing into this process; ``repair`` tries its repair in a
child process and remembers it for the runs to come.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair.hooks import loaders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable

    from dlrepair.binary.process import ProcessView
    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult
    from dlrepair.model.candidate import Candidate, Verdict
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import LoadRequest
    from dlrepair.model.script import Script
    from dlrepair.settings import Settings

#: search time of one previewed load, in milliseconds; ``repair`` searches without a bound that a person would meet
PREVIEW_MS = 5000
#: a day: the bound of a search that somebody waits for and can interrupt
UNBOUNDED_MS = 24 * 3600 * 1000

__all__ = ["diagnose", "disabled", "find", "find_all", "install_hook", "loaders", "preview", "repair"]

#: names of CONTRACT.md's ``--loader`` beside our own
_LOADERS = {"tf": "tensorflow"}


def _request(path: str, loader: str, script: str = "") -> LoadRequest:
    from dlrepair.model.requests import LOADERS, LoadRequest

    loader = _LOADERS.get(loader, loader)
    if loader not in LOADERS:
        raise ValueError("loader is one of {}, not {!r}".format(", ".join(LOADERS), loader))
    here = os.getcwd()
    # no program is running yet: one that is started here would lie here
    script = os.path.abspath(script) if script else os.path.join(here, "__main__.py")
    return LoadRequest(loader, os.fspath(path), here, here, script, None, 0, "", "", loader == "tensorflow")


def diagnose(path: str, loader: str = "ctypes") -> Diagnosis:
    """Why ``path`` would fail to load in a process like this one; its cause is ``none`` where it would load.

    Raises ``ValueError`` for an unknown loader. Nothing is loaded.
    """
    from dlrepair import engine
    from dlrepair.diagnose import rules

    request = _request(path, loader)
    target = engine.resolved(request)
    return rules.diagnose(request, target=target, process=_view(request, target))


def _view(request: LoadRequest, target: str | None) -> ProcessView:
    """This process as it will be at the load: with TensorFlow's libraries where an op is asked for."""
    from dlrepair.binary import process
    from dlrepair.search import tensorflow

    view = process.ProcessView.current()
    if tensorflow.mapped_libraries(view):
        return view
    asked_for_op = request.loader == "tensorflow" or target is None or not os.path.isfile(target) or _is_op(target)
    libraries, promoted = tensorflow.find_installed(sys.path) if asked_for_op else ((), False)
    return view.with_libraries(libraries, promoted) if libraries else view


def _is_op(path: str) -> bool:
    """Whether a library is linked with TensorFlow's framework."""
    from dlrepair.binary import elf
    from dlrepair.search import tensorflow

    facts = elf.read_facts(path).elf
    return facts is not None and any(tensorflow.is_framework_name(name) for name in facts.needed)


def find(name: str) -> list[Candidate]:
    """Files that may serve as ``name`` (a file name, a path or a SONAME), accepted ones only, best first."""
    return [candidate for candidate, verdict in find_all(name) if verdict.accepted]


def find_all(name: str, loader: str = "ctypes") -> list[tuple[Candidate, Verdict]]:
    """Every candidate for ``name``, ranked, with what ``vet`` says of it."""
    return [(candidate, verdict) for candidate, verdict, _ in find_ranked(name, loader)]


def find_ranked(name: str, loader: str = "ctypes") -> list[tuple[Candidate, Verdict, str]]:
    """Every candidate for ``name``, ranked, with what ``vet`` says of it and one clause on why it ranks there."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.search import rank, sources, vet

    request = _request(name, loader)
    settings = _settings()
    wanted = Wanted(os.path.basename(name), "substitute", name, request.loader, request.op_loader)
    deadline = time.monotonic() + 3600.0
    found = rank.rank(list(sources.find_candidates(wanted, request, settings, deadline)), wanted, request)
    view = _view(request, None)
    return [
        (one, vet.vet(one, wanted, request, settings=settings, process=view), rank.explain(one, wanted, request))
        for one in found
    ]


def rebuild_index(progress: Callable[[str, int], None] | None = None) -> dict[str, Any]:
    """Make the index of far places anew; what was read and what it holds, or ``problem``.

    ``progress`` is called now and then with the directory at hand and the number of directories read since.
    """
    from dlrepair.search import catalogue, index, prefixes, roots

    settings = _settings()
    places = index.far_roots(settings.search_roots, prefixes.find_prefixes([], [os.getcwd()]))
    patterns = tuple(settings.exclude)
    try:
        tally, libraries, size = index.rebuild(places, lambda path: roots.is_excluded(path, patterns), progress)
        path = catalogue.file_path(catalogue.place(create=False))
    except catalogue.Unusable as problem:
        return {"problem": str(problem)}
    return {
        "path": path, "roots": places, "directories": tally.directories, "files": tally.files,
        "libraries": libraries, "bytes": size, "seconds": round(tally.seconds, 3), "notes": tally.notes,
    }  # fmt: skip


def _settings() -> Settings:
    from dlrepair import settings, store, trust

    found = settings.load(os.getcwd(), check=trust.check)
    store.use(found.store)
    return found


def preview(
    path: str, loader: str = "ctypes", script: str = ""
) -> tuple[Diagnosis, Outcome, list[tuple[Candidate, Verdict]]]:
    """(diagnosis, what the repair would be, candidates): all tried in child processes, nothing written down.

    ``script``: the program that would ask, if it is known; its directory is searched as the working directory is.
    """
    diagnosis, outcome, context = _rehearse(path, loader, script, journal=False)
    return diagnosis, outcome, context.verdicts


def _rehearse(path: str, loader: str, script: str = "", journal: bool = True) -> tuple[Diagnosis, Outcome, Any]:
    from dlrepair import engine
    from dlrepair.diagnose import rules
    from dlrepair.journal import writer
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import Guard
    from dlrepair.repair import ladder
    from dlrepair.repair.context import Context
    from dlrepair.repair.rehearsal import Rehearsal

    began = time.perf_counter()
    request = _request(path, loader, script)
    target = engine.resolved(request)
    view = _view(request, target)
    diagnosis = rules.diagnose(request, target=target, process=view)
    incident = writer.new_incident()

    def emit(event: str, **fields: Any) -> None:
        if journal:
            writer.emit(event, incident, **fields)

    settings = _settings().replace(budget_ms=UNBOUNDED_MS if journal else PREVIEW_MS)
    ask = Rehearsal(request, view, not journal)
    ask.script = script
    context = Context(ask, request, diagnosis, Guard("none"), settings, view, target, emit)
    if diagnosis.cause == "none":
        return diagnosis, Outcome(False, "none", incident, next_step=diagnosis.next_step), context
    emit("load-failed", loader=request.loader, requested=path, resolved=target, caller="dlrepair fix", cwd=request.cwd,
         exception="", dlerror="")  # fmt: skip
    emit("diagnosed", cause=diagnosis.cause, symptom=diagnosis.symptom.kind,
         evidence=[{"key": one.key, "text": one.text, "value": one.value} for one in diagnosis.evidence])  # fmt: skip
    _, outcome = ladder.climb(context, incident, began)
    if outcome.repaired:
        emit("load-repaired", cause=outcome.cause, strategy=outcome.strategy, path=outcome.path, ms=outcome.ms,
             summary=outcome.summary)  # fmt: skip
    else:
        emit("load-unrepaired", cause=outcome.cause, next_step=outcome.next_step, ms=outcome.ms)
    return diagnosis, outcome, context


def repair(path: str, loader: str = "ctypes", script: str = "") -> Outcome:
    """The repair of ``path``, proved in a child process and remembered: the next run that fails replays it.

    Nothing is loaded into this process and no file of the user's is touched. Where only a new process helps, what it
    has to be given is learned for ``script``, if that is named (``strategy`` is then ``reexec``).
    """
    from dlrepair.repair import replay

    _, outcome, context = _rehearse(path, loader, script)
    if outcome.repaired and outcome.strategy != "reexec":
        before = replay.Before(context.view, context.ask)
        replay.remember_for_path(path, context.plan_done, outcome, context.made, context.inputs, before)
    return outcome


def write_repair(path: str, loader: str = "ctypes", script: str = "") -> tuple[Outcome, list[str]]:
    """(the repair of ``path``, the files that now stand in the user's tree so that it loads without dlrepair).

    The only function that touches a user's files. What stood there is kept, and ``undo_repair`` puts it back; so
    does a trial load in a child process that fails. Raises ``repair.putting.Refused``, OSError.
    """
    from dlrepair.repair import permanent
    from dlrepair.repair.putting import Refused
    from dlrepair.repair.rehearsal import Rehearsal

    _, outcome, context = _rehearse(path, loader, script)
    if not outcome.repaired or outcome.strategy == "reexec":  # no file does what a new process does
        return outcome, []
    target = os.path.abspath(path)
    written = permanent.write(target, permanent.plan_writes(context))
    try:
        Rehearsal(context.request, _view(context.request, context.target)).retry(target)
    except OSError as error:
        permanent.undo(target, force=True)
        raise Refused("it still does not load from there: {}".format(error)) from None
    return outcome, written


def undo_repair(path: str) -> list[str]:
    """Paths that are again, byte for byte, what they were before ``write_repair``. Raises as that does."""
    from dlrepair.repair import permanent

    return permanent.undo(os.path.abspath(path))


def build(wanted: str, recipe: Recipe) -> tuple[BuildResult, Verdict | None]:
    """(what came of building ``recipe``, what ``vet`` says of the library); the second is None where there is none.

    Journalled like a load; a compile that failed before is tried again. Nothing is loaded into this process.
    """
    from dlrepair import store
    from dlrepair.build import service
    from dlrepair.render import building
    from dlrepair.search import reachable

    settings = _settings()
    store.use(settings.store)
    request = _request(wanted, "tensorflow" if recipe.links_tensorflow else "ctypes")
    incident, emit = _journal()
    shared = reachable.answering(settings.shared_store, emit)
    result = service.build(
        recipe, script=request.script, shared=shared, fresh=True, emit=emit,
        watcher=building.Line(settings.verbosity), wanted=wanted, cpu_will_do=True, reaches=reachable.answers,
    )  # fmt: skip
    verdict = _vet_build(wanted, request, settings, result)
    if verdict is not None and verdict.accepted and not verdict.preload and not os.path.lexists(wanted):
        _remember_built(request, recipe, result, incident)
    return result, verdict


def build_by_script(wanted: str, script: Script) -> tuple[BuildResult, Verdict | None]:
    """Like ``build``, by a script of the project's that was allowed with ``dlrepair trust``."""
    from dlrepair import store
    from dlrepair.build import scripted
    from dlrepair.render import building

    settings = _settings()
    store.use(settings.store)
    request = _request(wanted, "ctypes")
    result = scripted.build(
        script, owner=request.script, fresh=True, emit=_journal()[1], watcher=building.Line(settings.verbosity)
    )
    if result.ops:
        request = _request(wanted, "tensorflow")
    return result, _vet_build(wanted, request, settings, result)


def _journal() -> tuple[str, Callable[..., None]]:
    """A new incident, and what writes its events."""
    from dlrepair.journal import writer

    incident = writer.new_incident()

    def emit(event: str, **fields: Any) -> None:
        writer.emit(event, incident, **fields)

    return incident, emit


def _vet_build(wanted: str, request: LoadRequest, settings: Settings, result: BuildResult) -> Verdict | None:
    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.search import vet

    if not result.ok:
        return None
    view = _view(request, result.path)
    want = Wanted(os.path.basename(wanted), "substitute", wanted, request.loader, request.op_loader)
    return vet.vet(Candidate(result.path, "rebuild"), want, request, settings=settings, process=view)


def _remember_built(request: LoadRequest, recipe: Recipe, result: BuildResult, incident: str) -> None:
    """The first load that asks for this path, and finds nothing there, has no need to search."""
    from dlrepair.model.plan import Outcome, Plan, Step
    from dlrepair.repair import builder, rebuild, replay
    from dlrepair.repair.rehearsal import Rehearsal

    view = _view(request, result.path)
    source = (recipe.sources or recipe.cuda_sources)[0]
    plan = Plan(rebuild.KIND, (Step("load", source),), "it was built ahead", rebuild.summary_of(recipe, request))
    outcome = Outcome(True, "file-missing", incident, rebuild.KIND, result.path)
    before = replay.Before(view, Rehearsal(request, view))
    inputs = builder.inputs_of(result)
    replay.remember_built(request.requested, request.loader, plan, outcome, {source: result.path}, inputs, before)


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
