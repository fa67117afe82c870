"""A repair that worked is remembered, and replayed first next time.

The record names every file that the repair used, with its signature, and what those rest on (``surroundings``); a
file that has changed, is no longer trusted or is excluded now, another environment or another library mapped before
ends the replay, and the load is diagnosed anew. This is the hot path of every later run: no dataclass, no diagnosis,
no search.
"""

from __future__ import annotations

import os
import sys

from dlrepair import store, trust
from dlrepair.model.python import identity
from dlrepair.repair import surroundings
from dlrepair.repair.surroundings import signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Tuple

    from dlrepair.binary.process import ProcessView
    from dlrepair.model.plan import Outcome, Plan
    from dlrepair.settings import Settings

    #: (path, signature)
    Inputs = Sequence[Tuple[str, str]]

#: bumped when records change their meaning
FORMAT = "3"
#: frames of the asking stack that count
FRAMES = 64
#: files that a build was made of: a library of more is looked at anew every time
MAX_INPUTS = 200
#: why the last replay was given up, for the journal
refusal = ""
#: in the name of a build for another device or purpose, or of what it stands for
TWINS = ("_cpu", "_gpu", "_cuda", "_server", "_debug")
#: kinds of steps that open something; what the others make is named by these
REPLAYED = ("load", "preload", "promote")


def key_of(ask: Any, script: str) -> str:
    """Who asks for what, from where, in which interpreter, under which search path.

    The whole stack counts: what encloses the call decides whether it may be repaired at all,
    and a replay does not look at that again.
    """
    requested = ask.requested
    if "/" in requested:
        requested = os.path.abspath(requested)
    parts = [
        FORMAT, ask.loader, requested, script, identity(),
        os.environ.get("LD_LIBRARY_PATH", ""), ask.state.home,
    ]  # fmt: skip
    if ask.loader == "tensorflow":
        for name in (
            "tensorflow.python.client._pywrap_tf_session", "tensorflow.python._pywrap_tf_session",
            "_pywrap_tensorflow_internal",
        ):  # fmt: skip
            module = sys.modules.get(name)
            if module is not None:
                parts.append(signature(getattr(module, "__file__", "") or ""))
    parts += _stack(ask.frame)
    return store.key_of(*parts)


def _stack(frame: Any) -> list[str]:
    """File and line of every frame, and the signature of every file: without reading any source."""
    found: list[str] = []
    seen: set[str] = set()
    while frame is not None and len(found) < 3 * FRAMES:
        name = frame.f_code.co_filename
        if not name.startswith("<frozen "):
            found += [name, str(frame.f_lineno)]
            if name not in seen:
                seen.add(name)
                found.append(signature(name))
        frame = frame.f_back
    return found


class Before:
    """The process before a repair: what was mapped, and which op libraries were open."""

    __slots__ = ("opened", "view")

    def __init__(self, view: ProcessView, ask: Any) -> None:
        self.view = view
        self.opened = _opened(ask)


def _path_key(path: str) -> str:
    """What a repair made ahead of the run is found by."""
    return store.key_of(
        FORMAT, "path", os.path.abspath(path) if "/" in path else path, identity()
    )


def replay(ask: Any, script: str, settings: Settings) -> tuple[dict[str, str], tuple[Any]] | None:
    """(record, (result,)) if the remembered repair still holds and works; forgets it otherwise."""
    global refusal
    refusal = ""
    key = key_of(ask, script)
    if store.recall(key) is None:  # ``dlrepair fix`` does not know who will ask
        key = _path_key(ask.requested)
    return _replayed(ask, script, settings, key)


def _built_key(path: str, loader: str) -> str:
    """What was built for a path is found by, whoever asks for it."""
    return store.key_of(FORMAT, "built", loader, os.path.abspath(path), identity())


def replay_rebuild(ask: Any, script: str, settings: Settings) -> tuple[dict[str, str], tuple[Any]] | None:
    """Like ``replay``, for a library that was built for this path, ahead or for another caller.

    What encloses the call is not in the key: ours has to have looked at that. Remembered for this caller then.
    """
    found = _replayed(ask, script, settings, _built_key(ask.requested, ask.loader))
    if found is not None:
        store.remember(key_of(ask, script), found[0])
    return found


def find_remembered(path: str, loader: str, script: str, settings: Settings) -> str:
    """Path of what was built for ``path``, if nothing has changed since; "" otherwise. Nothing is loaded."""
    key = _built_key(path, loader)
    record = store.recall(key)
    steps = None if record is None else _steps(record)
    if record is None or steps is None or len(steps) > 1 or record["strategy"] != "rebuild":
        return ""
    return "" if _find_change(record, steps, script, settings, None) else record["path"]


def _replayed(ask: Any, script: str, settings: Settings, key: str) -> tuple[dict[str, str], tuple[Any]] | None:
    global refusal
    record = store.recall(key)
    if record is None:
        return None
    steps = _steps(record)
    refusal = "the record makes no sense" if steps is None else _find_change(record, steps, script, settings, ask)
    if steps is None or refusal:
        store.forget(key)
        return None
    result: Any = None
    try:
        for kind, path, _ in steps:
            if kind == "load":
                result = ask.retry(path)
            elif kind == "promote":
                ask.dlopen(path, os.RTLD_NOW | os.RTLD_GLOBAL | os.RTLD_NOLOAD)
            else:
                ask.dlopen(path, os.RTLD_NOW | os.RTLD_LOCAL)
    except Exception as error:
        refusal = "it no longer helps: {}".format(error)
        store.forget(key)
        return None
    return record, (result,)


def _steps(record: dict[str, str]) -> list[tuple[str, str, str]] | None:
    """(kind, path, signature) of each step, or None for a record that makes no sense."""
    steps = []
    for at in range(64):
        kind = record.get("step{}.kind".format(at))
        if kind is None:
            break
        path, seen = record.get("step{}.path".format(at)), record.get("step{}.signature".format(at))
        if kind not in REPLAYED or not path or not seen:
            return None
        steps.append((kind, path, seen))
    for needed in ("cause", "strategy", "path", "summary", "redirect", "target", "target.signature"):
        if needed not in record:
            return None
    return steps or None


def _find_change(
    record: dict[str, str], steps: list[tuple[str, str, str]], script: str, settings: Settings, ask: Any | None
) -> str:
    """Return why the repair has to be looked at again, "" when everything is as it was."""
    silent = surroundings.find_silent(record)
    if silent:
        return "the server of {} does not answer".format(silent)
    if signature(record["target"]) != record["target.signature"]:
        return "{} has changed".format(record["target"])
    for at in range(MAX_INPUTS):
        path = record.get("input{}.path".format(at))
        if path is None:
            break
        if signature(path) != record.get("input{}.signature".format(at)):
            return "{} has changed".format(path)
    for kind, path, seen in steps:
        if path == record["target"]:
            continue  # what the user named is theirs
        if signature(path) != seen:
            return "{} has changed".format(path)
        clause = None if kind == "promote" else trust.check(path, script)
        if clause is not None:
            return clause
        if settings.exclude and _is_excluded(path, settings):
            return "the setting exclude names {}".format(path)
        if settings.twins != "accept" and _is_twin(path, record["target"]):
            return "{} is another build, and the setting twins no longer allows it".format(path)
        if "/objects/" in path and not _is_whole(path):
            return "{} is damaged".format(path)
    if ask is not None and record.get("opened", "") != _opened(ask):
        return "other op libraries have been opened before it"
    return surroundings.find_change(record)


def _is_twin(path: str, target: str) -> bool:
    name, wanted = os.path.basename(path), os.path.basename(target)
    if name == wanted or not any(mark in name or mark in wanted for mark in TWINS):
        return False
    from dlrepair.search import names

    return names.Names(wanted, "ctypes").table.get(name, "").startswith("twin")


def _is_excluded(path: str, settings: Settings) -> bool:
    from dlrepair.search import roots

    patterns = tuple(settings.exclude)
    return roots.is_excluded(path, patterns) or roots.is_excluded(os.path.realpath(path), patterns)


def _opened(ask: Any) -> str:
    """A digest of the op libraries that TensorFlow has opened so far: their ops cannot be registered twice."""
    if not ask.op_loader or not ask.state.opened:
        return ""
    return store.key_of(*(os.fsdecode(name) for name in ask.state.opened))


def _is_whole(path: str) -> bool:
    """Whether a copy in the store is what it was; True for any other file."""
    from dlrepair.store import objects

    return not objects.is_object(path) or objects.verify(path)


#: signature of an input that is as good as changed: what was made of it is not taken without another look
CHANGED = "changed"


def remember(
    ask: Any, script: str, plan: Plan | None, outcome: Outcome, made: dict[str, str], inputs: Inputs, before: Before
) -> None:
    """Writes the record of a repair that answered its load in the process as it was ``before``.

    ``made`` says which files stand for paths of the plan, ``inputs`` what those were made of: the replay ends when
    one of them changes.
    """
    if plan is None or (ask.op_loader and ask.loader != "tensorflow"):
        return  # whether an op library may be opened again depends on what this process has registered
    if plan.strategy == "substitute":
        from dlrepair.search import rank

        rank.note_success(outcome.path, ask.requested)
    if len(inputs) > MAX_INPUTS or any(path.startswith("/proc/") for path in made.values()):
        return  # a copy in memory goes with the process
    record = _record(ask.requested, plan, outcome, made, inputs, before)
    if record is not None:
        store.remember(key_of(ask, script), record)
        if plan.strategy == "rebuild" and "/" in ask.requested:
            store.remember(_built_key(ask.requested, ask.loader), record)


def remember_built(
    path: str, loader: str, plan: Plan, outcome: Outcome, made: dict[str, str], inputs: Inputs, before: Before
) -> None:
    """Writes the record of a library that was built for ``path`` ahead of the run, and loads."""
    record = _record(path, plan, outcome, made, inputs, before) if len(inputs) <= MAX_INPUTS else None
    if record is not None:
        store.remember(_built_key(path, loader), record)


def remember_for_path(
    path: str, plan: Plan | None, outcome: Outcome, made: dict[str, str], inputs: Inputs, before: Before
) -> None:
    """Writes the record of a repair that was proved ahead of the run."""
    if plan is not None and len(inputs) <= MAX_INPUTS:
        record = _record(path, plan, outcome, made, inputs, before)
        if record is not None:
            store.remember(_path_key(path), record)


def _record(
    requested: str, plan: Plan, outcome: Outcome, made: dict[str, str], inputs: Inputs, before: Before
) -> dict[str, str] | None:
    target = os.path.abspath(requested) if "/" in requested else requested
    record = {
        "cause": outcome.cause, "strategy": outcome.strategy, "path": outcome.path, "summary": plan.summary,
        "redirect": outcome.path if outcome.path != requested else "", "target": target,
        "target.signature": signature(target), "opened": before.opened,
    }  # fmt: skip
    opened: list[str] = []
    at = 0
    for step in plan.steps:
        if step.kind not in REPLAYED:
            continue
        path = made.get(step.path, step.path)
        if step.kind == "load" and path == requested:
            path = target
        record["step{}.kind".format(at)] = step.kind
        record["step{}.path".format(at)] = path
        record["step{}.signature".format(at)] = signature(path)
        opened += [path] if step.kind != "promote" else []
        at += 1
    for at, (path, seen) in enumerate(inputs):
        if seen == CHANGED:
            return None
        record["input{}.path".format(at)] = path
        record["input{}.signature".format(at)] = seen
    around = surroundings.describe(opened, before.view)
    if around is None:
        return None
    record.update(around)
    return record
