"""Which of many libraries find everything that they need, proved in several processes where there are several cores.

A process that reads a library also looks for what it needs, and whether it finds its symbols and versions there: in
what it brings along by itself. What finds them there finds them with more libraries beside it, too (a look-up goes on
until an object has the name, elf/dl-lookup.c), so each file is judged once, whatever else brings it along.
"""

from __future__ import annotations

import os

from dlrepair.binary import bulk, elf, scope
from dlrepair.diagnose import crew
from dlrepair.store import surveys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Tuple

    from dlrepair.binary.process import ProcessView

    #: what was looked at, searched, would have been searched and mapped; what ``stat`` said of the first; and what was
    #: read, for who did not read it
    _News = Tuple[List[List[str]], List[bytes], List[Tuple[Any, ...]]]
    #: a library, what would be loaded with it, whether it finds its symbols and versions there
    _Row = Tuple[str, Tuple[str, ...], bool]

#: libraries that one process looks at without a pause: those of one package ask the same ones
SHARE = 96
#: a library that is larger may want as many symbols as all others together
LARGE = 1 << 25


class Proofs:
    """Proofs about libraries that do not change meanwhile: made inside ``elf.StillView``."""

    def __init__(self, still: elf.StillView, view: ProcessView) -> None:
        self._still = still
        self._survey, self._census = scope.Survey(view), bulk.Census(view)
        self._here = os.getpid()
        #: device and inode of what is looked at anyway, or was, because others bring it along
        self._met: set[tuple[int, int]] = set()
        self._closures: dict[str, tuple[str, ...]] = {}
        self._alone: dict[Any, frozenset[Any]] = {}  #: file -> files in which it finds its symbols
        self._said: dict[Any, bool] = {}
        self._known = [0] * 4
        self._step: Callable[[str], None] = lambda path: None
        #: what the proofs looked at, and what they would map
        self.looked: dict[str, None] = {}
        self.mapped: dict[str, None] = {}
        self.states: dict[str, bytes] = {}  #: of most of ``looked`` (``surveys.state_of``)
        self._census.read_global()

    def look(self, shares: list[list[str]], step: Callable[[str], None]) -> None:
        """Look at the libraries; ``step`` is told of those that this process looks at.

        Those of one share need the same files, most likely.
        """
        self._step = step
        for news, rows in crew.spread(self._look, self._tasks(shares)):
            self._learn(news)
            for path, closure, found in rows:
                self._closures[path] = closure
                if found:
                    key, files = self._census.pair(path, closure)
                    self._alone[key] = files

    def holds(self, path: str) -> bool:
        """True when the library, which was looked at, and all that it brings along find everything."""
        closure = self._closures.get(path)
        return closure is not None and all(
            self._finds(one, closure) for one in (path, *self._census.brought(closure))
        )

    def _finds(self, path: str, closure: tuple[str, ...]) -> bool:
        pair = key, files = self._census.pair(path, closure)
        known = self._said.get(pair)
        if known is None:
            alone = self._alone.get(key)
            enough = alone is not None and alone <= files
            known = self._census.finds_versions(path, closure) if enough else self._census.finds(path, closure)
            self._said[pair] = known
        return known

    def _look(self, paths: list[str]) -> tuple[_News, list[_Row]]:
        pairs: list[tuple[str, tuple[str, ...]]] = []
        for path in paths:
            if os.getpid() == self._here:  # a child's drawings would run into ours
                self._step(path)
            self._trace(path, pairs)
        for _path, closure in pairs:  # grows while it is walked
            for path in self._census.brought(closure):
                file = (elf.read_facts(path).signature or (0, 0))[:2]
                if file not in self._met:
                    self._met.add(file)
                    self._trace(path, pairs)
        found = self._census.finding(pairs)
        return self._news(), [(path, closure, one) for (path, closure), one in zip(pairs, found)]

    def _trace(self, path: str, pairs: list[tuple[str, tuple[str, ...]]]) -> None:
        trace = self._survey.resolve(path)
        if trace.refused is None and not trace.failures:
            pairs.append((path, trace.closure))

    def _tasks(self, shares: list[list[str]]) -> list[list[str]]:
        """The libraries in portions, what takes longest first: the largest by itself, then those of large packages."""
        size: dict[str, int] = {}
        for path in (path for share in shares for path in share):
            try:
                info = os.stat(path)
            except OSError:
                continue
            size[path] = info.st_size
            self._met.add((info.st_dev, info.st_ino))
        first = max(size, key=size.__getitem__, default="")
        tasks = [[first]] if size.get(first, 0) > LARGE else []
        for share in shares:
            rest = [path for path in share if [path] not in tasks[:1]]
            tasks += [rest[at : at + SHARE] for at in range(0, len(rest), SHARE)]
        return tasks

    def _news(self) -> _News:
        """What this process did since it said so last."""
        lists = [list(one) for one in (self._still.seen, *self._survey.searched(), self._census.mapped())]
        new = [one[count:] for one, count in zip(lists, self._known)]
        self._known = [len(one) for one in lists]
        states = list(map(surveys.state_of, new[0]))
        if os.getpid() == self._here:
            return new, states, []
        facts = [self._still.seen[path] for path in new[0]]
        return new, states, [elf.pack(one) for one in facts if one.elf is not None]

    def _learn(self, news: _News) -> None:
        (seen, searched, preferred, mapped), states, facts = news
        self.looked.update(dict.fromkeys((*seen, *searched, *scope.below_preferred(preferred))))
        self.mapped.update(dict.fromkeys(mapped))
        self.states.update(zip(seen, states))
        for values in facts:
            one = elf.unpack(values)
            self._still.seen.setdefault(one.path, one)
