"""Which of many libraries find everything that they need, proved in several processes where there are several cores.

First where ld.so would find what each of them needs; then whether each of them, and each library that they bring along,
finds its symbols and versions there. Libraries that meet the same files are asked about together.
"""

from __future__ import annotations

import os

from dlrepair.binary import bulk, elf, scope
from dlrepair.diagnose import crew

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Tuple

    from dlrepair.binary.process import ProcessView

    #: what was looked at, searched, would have been searched and mapped; and what was read, for who did not read it
    _News = Tuple[List[List[str]], List[Tuple[Any, ...]]]
    #: a library and what would be loaded with it
    _Pair = Tuple[str, Tuple[str, ...]]

#: libraries whose needs are looked for at a time
SHARE = 16
#: a library that is larger may want as many symbols as all others together
LARGE = 1 << 25


class Proofs:
    """Proofs about libraries that do not change meanwhile: made inside ``elf.StillView``."""

    def __init__(self, still: elf.StillView, view: ProcessView) -> None:
        self._still = still
        self._survey, self._census = scope.Survey(view), bulk.Census(view)
        self._here = os.getpid()
        self._closures: dict[str, tuple[str, ...]] = {}
        self._said: dict[Any, bool] = {}
        self._known = [0] * 4
        self._step: Callable[[str], None] = lambda path: None
        #: what the proofs looked at, and what they would map
        self.looked: dict[str, None] = {}
        self.mapped: dict[str, None] = {}
        self.states: dict[str, tuple[bytes, int]] = {}  #: of most of ``looked`` (``surveys.state_of``)
        self._census.read_global()

    def trace(self, shares: list[list[str]], step: Callable[[str], None]) -> None:
        """Find what the libraries need; ``step`` is told of those that this process looks at.

        Those of one share need the same files, most likely.
        """
        self._step = step
        parts = [share[at : at + SHARE] for share in shares for at in range(0, len(share), SHARE)]
        for news, closures in crew.spread(self._trace, parts):
            self._learn(news)
            self._closures.update(closures)

    def judge(self, paths: list[str]) -> None:
        """Look at the symbols of the libraries, which were traced, and of all that they bring along."""
        census = self._census
        pairs: dict[Any, _Pair] = {}
        for path in paths:
            closure = self._closures.get(path)
            if closure is not None:
                for one in (path, *census.brought(closure)):
                    pairs.setdefault(census.pair(one, closure), (one, closure))
        size = {key: elf.read_facts(path).size for key, (path, _) in pairs.items()}
        first = max(pairs, key=size.__getitem__, default=None)
        bundles: dict[Any, list[Any]] = {}
        for key in pairs:
            alone = key == first and size[key] > LARGE
            bundles.setdefault(None if alone else _largest(key[1]), []).append(key)
        tasks = [bundles.pop(None)] if None in bundles else []
        tasks += sorted(bundles.values(), key=len, reverse=True)
        work = [[pairs[key] for key in keys] for keys in tasks]
        for keys, (news, found) in zip(tasks, crew.spread(self._judge, work, self._note_states)):
            self._learn(news)
            self._said.update(zip(keys, found))

    def holds(self, path: str) -> bool:
        """True when the library, which was judged, and all that it brings along find everything."""
        closure, census = self._closures.get(path), self._census
        return closure is not None and all(
            self._said[census.pair(one, closure)] for one in (path, *census.brought(closure))
        )

    def _note_states(self) -> None:
        from dlrepair.store import surveys

        for path in (*self.looked, *self._still.seen):
            if path not in self.states:
                self.states[path] = surveys.state_of(path)

    def _trace(self, paths: list[str]) -> tuple[_News, list[_Pair]]:
        found = []
        for path in paths:
            if os.getpid() == self._here:  # a child's drawings would run into ours
                self._step(path)
            trace = self._survey.resolve(path)
            if trace.refused is None and not trace.failures:
                found.append((path, trace.closure))
        return self._news(), found

    def _judge(self, pairs: list[_Pair]) -> tuple[_News, list[bool]]:
        found = self._census.finding(pairs)
        return self._news(), found

    def _news(self) -> _News:
        """What this process did since it said so last."""
        lists = [list(one) for one in (self._still.seen, *self._survey.searched(), self._census.mapped())]
        new = [one[count:] for one, count in zip(lists, self._known)]
        self._known = [len(one) for one in lists]
        if os.getpid() == self._here:
            return new, []
        return new, [elf.pack(self._still.seen[path]) for path in new[0]]

    def _learn(self, news: _News) -> None:
        (seen, searched, preferred, mapped), facts = news
        self.looked.update(dict.fromkeys((*seen, *searched, *scope.below_preferred(preferred))))
        self.mapped.update(dict.fromkeys(mapped))
        for path, values in zip(seen, facts):
            if path not in self._still.seen:
                self._still.seen[path] = elf.unpack(values)


def _largest(files: frozenset[Any]) -> Any:
    """The largest of some files: those who ask it are one process's affair, since each process reads it for itself."""
    return max((one for one in files if isinstance(one, tuple)), key=lambda one: one[2], default="")
