"""Which shared objects of an environment would load: proved for all of them together, and remembered.

What was proved holds until one of the files and directories that the proof looked at changes (``store.surveys``).
What is not proved is somebody else's to diagnose: ``False`` means only that nothing was proved.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair.binary import elf
from dlrepair.diagnose import crew, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.binary.process import ProcessView


class Environment:
    """The shared objects below ``places`` that something loads by itself, each real file once.

    One that others name in DT_NEEDED is judged with them: what wheels carry in ``NAME.libs`` finds its
    own dependencies through the RPATH of whoever loads it. No file may change while it is in use: use it
    inside ``elf.StillView``.
    """

    def __init__(self, places: list[str], still: elf.StillView, view: ProcessView, fresh: bool = False) -> None:
        from dlrepair.store import surveys

        self._began = time.time_ns()
        self._still, self._view, self._places = still, view, places
        self._listed: dict[str, tuple[bytes, int]] = {}
        #: what a proof looked at and mapped
        self._looked: dict[str, None] = {}
        self._mapped: dict[str, None] = {}
        self._proved: set[str] = set()
        self._done = False  #: every library was looked at
        self.remembered = False  #: an earlier survey holds
        kept = None if fresh else surveys.recall(self._key())
        if kept is not None:
            self.paths: list[str] = kept[0]
            self._proved, self.remembered = set(kept[1]), True
        else:
            self.paths = self._search()

    def prove(self, step: Callable[[str], None] = lambda path: None) -> None:
        """Look at every library, in several processes where there are several cores; ``step`` is told of each.

        First each by itself, then what they bring along, once for all that bring it along in the same company.
        """
        if self.remembered or self._done:
            return
        from dlrepair.binary import bulk, scope

        survey, census = scope.Survey(self._view), bulk.Census(self._view)

        here = os.getpid()

        def news(before: list[int]) -> list[list[str]]:
            """What the proofs looked at, searched, would search and mapped since the lists had these lengths."""
            lists = (self._still.seen, *survey.searched(), census.mapped())
            return [list(one)[count:] for one, count in zip(lists, before)]

        def look(paths: list[str]) -> tuple[list[list[str]], list[tuple[str, tuple[str, ...]]]]:
            """(news, those that find their own symbols with their closure)."""
            before, found = [len(one) for one in news([0] * 4)], []
            for path in paths:
                if os.getpid() == here:  # a child's drawings would run into ours
                    step(path)
                trace = survey.resolve(path)
                if trace.refused is None and not trace.failures and census.finds(path, trace.closure):
                    found.append((path, trace.closure))
            return news(before), found

        def follow(pair: tuple[str, tuple[str, ...]]) -> tuple[list[list[str]], bool]:
            before = [len(one) for one in news([0] * 4)]
            found = census.finds(*pair)
            return news(before), found

        alone: list[tuple[str, tuple[str, ...]]] = []
        for new, found in crew.spread(look, self._shares()):
            self._note(new)
            alone += found
        along = [(path, closure) for _, closure in alone for path in census.brought(closure)]
        company = {census.pair(*one): one for one in along}
        size = {pair: elf.read_facts(path).size for pair, (path, _) in company.items()}
        pairs = sorted(company, key=lambda pair: -size[pair])
        sound = set()
        for pair, (new, found) in zip(pairs, crew.spread(follow, [company[pair] for pair in pairs])):
            self._note(new)
            if found:
                sound.add(pair)
        for path, closure in alone:
            if all(census.pair(one, closure) in sound for one in census.brought(closure)):
                self._proved.add(path)
        self._looked.update(dict.fromkeys(self._still.seen))
        self._done = True

    def _note(self, news: list[list[str]]) -> None:
        from dlrepair.binary import scope

        seen, searched, preferred, mapped = news
        self._looked.update(dict.fromkeys((*seen, *searched, *scope.below_preferred(preferred))))
        self._mapped.update(dict.fromkeys(mapped))

    def loads(self, path: str) -> bool:
        """True when the library, one of ``paths``, was proved to load."""
        self.prove()
        return path in self._proved

    def keep(self) -> bool:
        """Write down what was proved; whether that was done."""
        from dlrepair.binary.ldcache import PATH
        from dlrepair.store import surveys

        if self.remembered or not self._done:
            return False
        looked_at = list({**dict.fromkeys(self._listed), **self._looked, PATH: None})
        answer = (self.paths, sorted(self._proved))
        return surveys.keep(self._key(), looked_at, list(self._mapped), self._began, answer, self._listed)

    def _shares(self) -> list[list[str]]:
        """``paths`` package by package: libraries of one need the same ones, which each process reads for itself.

        The largest comes first, which this process takes: what it read for that one serves what follows.
        """
        shares: dict[str, list[str]] = {}
        for path in self.paths:
            place = next(one for one in self._places if path.startswith(one))
            shares.setdefault(place + path[len(place) :].lstrip("/").partition("/")[0], []).append(path)
        return sorted(shares.values(), key=len, reverse=True)

    def _key(self) -> str:
        """What else the proofs rest on: the process, the user, the processor, this code."""
        import dlrepair
        from dlrepair import store
        from dlrepair.binary import hwcaps

        view, code = self._view, []
        for name in ("bulk", "elf", "image", "scope", "search_path", "symbols", "symtab", "tables"):
            try:
                code.append(str(os.stat(os.path.join(os.path.dirname(elf.__file__), name + ".py")).st_mtime_ns))
            except OSError:  # in an archive: the version tells
                code.append("")
        who = str(os.geteuid()) if hasattr(os, "geteuid") else ""
        return store.key_of(
            "survey 2", dlrepair.__version__, sys.version, who, view.main, view.library_path, view.cwd,
            "\n".join(view.loaded), "\n".join(self._places), " ".join(hwcaps.subdirectories()), *code,
        )  # fmt: skip

    def _search(self) -> list[str]:
        found: dict[str, str] = {}
        needed: set[str] = set()
        paths, self._listed = walk.survey(self._places)
        for path in paths:
            found.setdefault(elf.read_facts(path).realpath or os.path.realpath(path), path)
        for path in found.values():
            facts = elf.read_facts(path).elf
            needed.update(facts.needed if facts is not None else ())
        return [path for path in found.values() if os.path.basename(path) not in needed]
