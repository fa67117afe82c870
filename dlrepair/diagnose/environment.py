"""Which shared objects of an environment would load: proved for all of them together, and kept.

What was proved holds until one of the files and directories that the proof looked at changes (``diagnose.surveyed``).
What is not proved is somebody else's to diagnose: ``False`` means only that nothing was proved.
"""

from __future__ import annotations

import os
import time

from dlrepair.binary import elf
from dlrepair.diagnose import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.binary.process import ProcessView
    from dlrepair.diagnose.proofs import Proofs

#: how what does not lie in the working directory begins
ABSOLUTE = ("/", "$ORIGIN", "${ORIGIN}")


class Environment:
    """The shared objects below ``places`` that something loads by itself, each real file once.

    One that others name in DT_NEEDED is judged with them: what wheels carry in ``NAME.libs`` finds its
    own dependencies through the RPATH of whoever loads it. No file may change while it is in use: use it
    inside ``elf.StillView``.
    """

    def __init__(self, places: list[str], still: elf.StillView, view: ProcessView) -> None:
        self._began = time.time_ns()
        self._still, self._view, self._places = still, view, places
        self._proof: Proofs | None = None
        #: what a proof looked at (with some states), and mapped
        self._looked: dict[str, None] = {}
        self._states: dict[str, bytes] = {}
        self._mapped: dict[str, None] = {}
        self._proved: set[str] = set()
        self._done = False  #: every library was looked at
        #: after ``prove``: those that something loads by itself; before, all files that are named like libraries
        self.paths, self._listed = walk.survey(places, self._prepare)

    def prove(self, step: Callable[[str], None] = lambda path: None) -> None:
        """Look at every library; ``step`` is told of those that this process looks at."""
        if self._done:
            return
        proof = self._proof or self._prepare()
        proof.look(self._shares(), step)
        self.paths = self._by_themselves()
        self._proved.update(filter(proof.holds, self.paths))
        self._looked, self._mapped = {**proof.looked, **dict.fromkeys(self._still.seen)}, proof.mapped
        self._states = proof.states
        self._done = True

    def _prepare(self) -> Proofs:
        """What has to be there before the first library is looked at: done while the directories are read."""
        from dlrepair.diagnose import proofs

        self._proof = proofs.Proofs(self._still, self._view)
        return self._proof

    def loads(self, path: str) -> bool:
        """True when the library, one of ``paths``, was proved to load."""
        self.prove()
        return path in self._proved

    def keep(self) -> bool:
        """Write down what was proved; whether that was done."""
        from dlrepair.diagnose import surveyed
        from dlrepair.store import surveys

        if not self._done:
            return False
        looked_at = self._looked_at()
        answer = (self.paths, sorted(self._proved))
        program = self._view.main, self._view.library_path, self._view.loaded
        key = surveyed.key(self._places, program, "" if self._holds_everywhere() else self._view.cwd)
        return surveys.keep(key, self._listed, looked_at, list(self._mapped), self._began, answer, self._states)

    def _looked_at(self) -> list[str]:
        """What the proofs rest on. A name that was looked for in the working directory is one in any such directory.

        An empty entry of an RPATH stands for it; one wheel that TensorFlow needs, libclang's, has it.
        """
        from dlrepair.binary import hwcaps
        from dlrepair.binary.ldcache import PATH

        looked_at, cwd = {**self._looked, PATH: None}, self._view.cwd
        if "." in looked_at and cwd:
            del looked_at["."]  # whatever else comes and goes there
            names = [path.rpartition("/")[2] for path in looked_at if path.rpartition("/")[0] == cwd.rstrip("/")]
            names += [sub.partition("/")[0] for sub in hwcaps.subdirectories() if sub]
            looked_at.update(dict.fromkeys(names))
        return list(looked_at)

    def _holds_everywhere(self) -> bool:
        """Whether no search led to a directory that lies somewhere else for another working directory."""
        texts = [self._view.library_path]
        for elf_facts in (facts.elf for facts in self._still.seen.values() if facts.elf is not None):
            texts += [elf_facts.rpath or "", elf_facts.runpath or ""]
            names = (*elf_facts.needed, *(name for name, _optional in elf_facts.filters))
            texts += [name for name in names if "/" in name]
        parts = [part for text in texts for part in text.replace(";", ":").split(":") if part]
        return all(part.startswith(ABSOLUTE) for part in parts)

    def _shares(self) -> list[list[str]]:
        """``paths`` package by package: libraries of one need the same ones, which each process reads for itself.

        The largest comes first, which this process takes: what it read for that one serves what follows.
        """
        shares: dict[str, list[str]] = {}
        for path in self.paths:
            place = next(one for one in self._places if path.startswith(one))
            shares.setdefault(place + path[len(place) :].lstrip("/").partition("/")[0], []).append(path)
        return sorted(shares.values(), key=len, reverse=True)

    def _by_themselves(self) -> list[str]:
        """Of ``paths``, each real file once, those that no other one needs."""
        found: dict[str, str] = {}
        needed: set[str] = set()
        for path in self.paths:
            found.setdefault(elf.read_facts(path).realpath or os.path.realpath(path), path)
        for path in found.values():
            facts = elf.read_facts(path).elf
            needed.update(facts.needed if facts is not None else ())
        return [path for path in found.values() if os.path.basename(path) not in needed]
