"""A repair that worked is remembered, and replayed first next time.

The record names every file that the repair used, with its signature; a file that has changed,
or is no longer trusted, ends the replay, and the load is diagnosed anew. This is the
hot path of every later run: no dataclass, no diagnosis, no search.
"""

from __future__ import annotations

import os
import sys

from dlrepair import store, trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Tuple

    from dlrepair.model.plan import Outcome, Plan
    from dlrepair.settings import Settings

    #: (path, signature)
    Inputs = Sequence[Tuple[str, str]]

#: bumped when records change their meaning
FORMAT = "2"
#: frames of the asking stack that count
FRAMES = 64
#: files that a build was made of: a library of more is looked at anew every time
MAX_INPUTS = 200
#: kinds of steps that open something; what the others make is named by these
REPLAYED = ("load", "preload", "promote")


def signature(path: str) -> str:
    """Device, inode, size and mtime of what the path leads to, or ``-``."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "{}.{}.{}.{}".format(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def key_of(ask: Any, script: str) -> str:
    """Who asks for what, from where, in which interpreter, under which search path.

    The whole stack counts: what encloses the call decides whether it may be repaired at all,
    and a replay does not look at that again.
    """
    requested = ask.requested
    if "/" in requested:
        requested = os.path.abspath(requested)
    parts = [
        FORMAT, ask.loader, requested, script, sys.executable or "", sys.version,
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


def _path_key(path: str) -> str:
    """What a repair made ahead of the run is found by."""
    return store.key_of(
        FORMAT, "path", os.path.abspath(path) if "/" in path else path, sys.executable or "", sys.version
    )


def replay(ask: Any, script: str, settings: Settings) -> tuple[dict[str, str], tuple[Any]] | None:
    """(record, (result,)) if the remembered repair still holds and works; forgets it otherwise."""
    key = key_of(ask, script)
    record = store.recall(key)
    if record is None:  # ``dlrepair fix`` does not know who will ask
        key = _path_key(ask.requested)
        record = store.recall(key)
    if record is None:
        return None
    steps = _steps(record)
    if steps is None or not _still_holds(record, steps, script):
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
    except Exception:
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


def _still_holds(record: dict[str, str], steps: list[tuple[str, str, str]], script: str) -> bool:
    if signature(record["target"]) != record["target.signature"]:
        return False
    for at in range(MAX_INPUTS):
        path = record.get("input{}.path".format(at))
        if path is None:
            break
        if signature(path) != record.get("input{}.signature".format(at)):
            return False
    for kind, path, seen in steps:
        if path == record["target"]:
            continue  # what the user named is theirs
        if signature(path) != seen or (kind != "promote" and trust.check(path, script) is not None):
            return False
        if "/objects/" in path and not _is_whole(path):
            return False
    return True


def _is_whole(path: str) -> bool:
    """Whether a copy in the store is what it was; True for any other file."""
    from dlrepair.store import objects

    return not objects.is_object(path) or objects.verify(path)


def remember(
    ask: Any, script: str, plan: Plan | None, outcome: Outcome, made: dict[str, str], inputs: Inputs = ()
) -> None:
    """Writes the record of a repair that answered its load.

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
    store.remember(key_of(ask, script), _record(ask.requested, plan, outcome, made, inputs))


def remember_for_path(
    path: str, plan: Plan | None, outcome: Outcome, made: dict[str, str], inputs: Inputs = ()
) -> None:
    """Writes the record of a repair that was proved ahead of the run."""
    if plan is not None and len(inputs) <= MAX_INPUTS:
        store.remember(_path_key(path), _record(path, plan, outcome, made, inputs))


def _record(requested: str, plan: Plan, outcome: Outcome, made: dict[str, str], inputs: Inputs) -> dict[str, str]:
    target = os.path.abspath(requested) if "/" in requested else requested
    record = {
        "cause": outcome.cause, "strategy": outcome.strategy, "path": outcome.path, "summary": plan.summary,
        "redirect": outcome.path if outcome.path != requested else "", "target": target,
        "target.signature": signature(target),
    }  # fmt: skip
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
        at += 1
    for at, (path, seen) in enumerate(inputs):
        record["input{}.path".format(at)] = path
        record["input{}.signature".format(at)] = seen
    return record
