"""Order candidates as a person would, and say why."""

from __future__ import annotations

import os

from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.requests import LoadRequest

#: A library older than one of these beside it was not built from it.
_SOURCES = (".cc", ".cpp", ".cu.cc", ".cu", ".cxx", ".c")

_BUILT = ("built for this TensorFlow", "", "built for another TensorFlow")


def rank(candidates: Sequence[Candidate], wanted: Wanted, request: LoadRequest) -> list[Candidate]:
    """Return the candidates best first; equal input gives equal order whatever order it came in.

    In this order: built for the running TensorFlow (DT_NEEDED names its framework), distance and name
    together, not older than its sources, newest, path. Reads the candidates' headers for op libraries only.
    """
    if len(candidates) < 2:
        return list(candidates)
    return [one for _, one in sorted((_key(one, wanted), one) for one in candidates)]


def nearest_first(candidates: Iterable[Candidate], wanted: Wanted, request: LoadRequest) -> Iterator[Candidate]:
    """Yield candidates best first without asking for more of them than the order needs.

    One that bears the very name is as good as anything that sources yet to run could propose, for they are
    farther away; one with a changed name waits until what comes is farther than the change costs.
    """
    from dlrepair.search.sources import DISTANCE

    starts = sorted(DISTANCE.values())
    waiting: list[tuple[tuple[int, int, int, int, str], Candidate]] = []
    for candidate in candidates:
        key = _key(candidate, wanted)
        reached = max(start for start in starts if start <= max(candidate.distance, 0))
        ready = [pair for pair in waiting if pair[0][1] < reached]
        waiting = [pair for pair in waiting if pair[0][1] >= reached] + [(key, candidate)]
        for _, one in sorted(ready):
            yield one
        if candidate.rule == "exact" and key[0] < 2 and key == min(pair[0] for pair in waiting):
            waiting.pop()
            yield candidate
    for _, one in sorted(waiting):
        yield one


def explain(candidate: Candidate, wanted: Wanted, request: LoadRequest) -> str:
    """Return why a candidate ranks where it does, as one clause."""
    built, near, stale, _, _ = _key(candidate, wanted)
    words = ["{} in {}".format(_rule_text(candidate.rule), candidate.source.replace("-", " "))]
    words += [_BUILT[built]] if _BUILT[built] else []
    words += ["older than its sources"] if stale else []
    return "{} (distance {})".format(", ".join(words), near)


def tied(ranked: Sequence[Candidate], wanted: Wanted) -> tuple[Candidate, ...]:
    """Return the candidates that are as good as the first one but differ from it in content, the first included.

    Fewer than two mean that the first one is the clear choice.
    """
    if len(ranked) < 2:
        return tuple(ranked[:1])
    best = _key(ranked[0], wanted)[:3]
    rivals = [one for one in ranked[1:] if _key(one, wanted)[:3] == best and not same_content(one.path, ranked[0].path)]
    return (ranked[0], *rivals)


def _key(candidate: Candidate, wanted: Wanted) -> tuple[int, int, int, int, str]:
    try:
        newest = -os.stat(candidate.path).st_mtime_ns
    except (OSError, ValueError):
        newest = 0
    built = _built_for(candidate.path) if wanted.op_library else 1
    near = candidate.distance + naming.cost(candidate.rule)
    return built, near, int(_older_than_sources(candidate.path, -newest)), newest, candidate.path


def _rule_text(rule: str) -> str:
    return "the very name" if rule == "exact" else "name by " + rule.replace("+", " and ")


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
