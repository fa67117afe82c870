"""Order candidates as a person would, and say why."""

from __future__ import annotations

import os

from dlrepair.search import archives
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.requests import LoadRequest

#: A library older than one of these beside it was not built from it.
_SOURCES = (".cc", ".cpp", ".cu.cc", ".cu", ".cxx", ".c")

#: contents of longer files are not compared with what has worked before, bytes
_MAX_DIGEST = 64 << 20

_RULES = {"exact": "the very name", "content": "another name, and what the caller asks for,"}

_BUILT = ("built for this TensorFlow", "", "built for another TensorFlow")


def rank(candidates: Sequence[Candidate], wanted: Wanted, request: LoadRequest) -> list[Candidate]:
    """Return the candidates best first; equal input gives equal order whatever order it came in.

    In this order: built for the running TensorFlow (DT_NEEDED names its framework), distance and name
    together, not older than its sources, holding what has worked under this name before, newest, path. Reads the
    candidates' headers for op libraries only, and contents only of those that are alike up to there.
    """
    if len(candidates) < 2:
        return list(candidates)
    keyed = sorted((_key(one, wanted), one) for one in candidates)
    found: list[Candidate] = []
    at = 0
    while at < len(keyed):
        end = at + 1
        while end < len(keyed) and keyed[end][0][:3] == keyed[at][0][:3]:
            end += 1
        group = [one for _, one in keyed[at:end]]
        found += sorted(group, key=lambda one: not worked_before(one.path, wanted.name)) if len(group) > 1 else group
        at = end
    return found


def explain(candidate: Candidate, wanted: Wanted, request: LoadRequest) -> str:
    """Return why a candidate ranks where it does, as one clause."""
    built, near, stale, _, _ = _key(candidate, wanted)
    words = ["{} in {}".format(_rule_text(candidate.rule), candidate.source.replace("-", " "))]
    words += [_BUILT[built]] if _BUILT[built] else []
    words += ["older than its sources"] if stale else []
    words += ["worked before"] if worked_before(candidate.path, wanted.name) else []
    return "{} (distance {})".format(", ".join(words), near)


def tied(ranked: Sequence[Candidate], wanted: Wanted) -> tuple[Candidate, ...]:
    """Return the candidates that are as good as the first one but differ from it in content, the first included.

    Fewer than two mean that the first one is the clear choice, as it is when it alone has worked before.
    """
    if len(ranked) < 2:
        return tuple(ranked[:1])
    best = _key(ranked[0], wanted)[:3]
    if worked_before(ranked[0].path, wanted.name):
        return (ranked[0],)
    rivals = [one for one in ranked[1:] if _key(one, wanted)[:3] == best and not same_content(one.path, ranked[0].path)]
    return (ranked[0], *rivals)


def note_success(path: str, name: str) -> None:
    """Remember that what this file holds has served under ``name``: of two that are alike it is the better one."""
    from dlrepair import store

    key = _success_key(path, name)
    if key:
        for one in (key, store.key_of("worked", os.path.basename(name))):
            store.remember(one, {"worked": os.path.basename(name)})


def worked_before(path: str, name: str) -> bool:
    """Tell whether a file of this very content has served under ``name`` before."""
    from dlrepair import store

    if store.recall(store.key_of("worked", os.path.basename(name))) is None:
        return False  # nothing has: no file has to be read
    key = _success_key(path, name)
    return bool(key) and store.recall(key) is not None


def _success_key(path: str, name: str) -> str:
    """Key of a success: the name that was asked for, and a digest of the file ("" of one too long to be read)."""
    from dlrepair import store

    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size > _MAX_DIGEST:
                return ""
            return store.key_of("worked", os.path.basename(name), store.digest(stream.read()))
    except (OSError, ValueError):
        return ""


def _key(candidate: Candidate, wanted: Wanted) -> tuple[int, int, int, int, str]:
    try:
        newest = -os.stat(archives.container(candidate.path)).st_mtime_ns
    except (OSError, ValueError):
        newest = 0
    built = _built_for(candidate.path) if wanted.op_library else 1
    near = candidate.distance + naming.cost(candidate.rule)
    return built, near, int(_older_than_sources(candidate.path, -newest)), newest, candidate.path


def _rule_text(rule: str) -> str:
    if rule in _RULES:
        return _RULES[rule]
    return "name by " + rule.replace("+", " and ")


def _built_for(path: str) -> int:
    """Return 0 if DT_NEEDED names the running framework, 2 if another one, 1 if none."""
    from dlrepair.binary import elf
    from dlrepair.search import tensorflow

    facts = elf.read_facts(path).elf
    wanted = [name for name in facts.needed if name.startswith("libtensorflow_framework.so")] if facts else []
    if not wanted:
        return 1
    running = {os.path.basename(one) for one in tensorflow.running_libraries()}
    return 0 if not running or running & set(wanted) else 2


def _older_than_sources(path: str, mtime_ns: int) -> bool:
    directory, name = os.path.split(path)
    stem = naming.split(name)[0]
    stems = {stem, stem[3:] if stem.startswith("lib") else stem}
    stems |= {one[:-3] for one in stems if one.endswith("_so")}
    for place in (directory, os.path.dirname(directory)):
        for one in stems:
            for ending in _SOURCES:
                try:
                    if os.stat(os.path.join(place, one + ending)).st_mtime_ns > mtime_ns:
                        return True
                except (OSError, ValueError):
                    continue
    return False


def same_content(one: str, two: str) -> bool:
    """Tell whether two files hold the same bytes; False when either cannot be read."""
    try:
        with open(one, "rb") as first, open(two, "rb") as second:
            if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
                return False
            while True:
                chunk = first.read(1 << 20)
                if chunk != second.read(1 << 20):
                    return False
                if not chunk:
                    return True
    except (OSError, ValueError):
        return False
