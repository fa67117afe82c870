"""Which shared objects of an environment would load: proved for all of them together, and remembered.

What was proved holds until one of the files and directories that the proof looked at changes (``store.surveys``).
What is not proved is somebody else's to diagnose: ``False`` means only that nothing was proved.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair.binary import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.binary.bulk import Census
    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.scope import Survey


def is_library(name: str) -> bool:
    """Whether a file is named like a shared object."""
    return name.endswith((".so", ".dylib", ".dll")) or ".so." in name


def find_libraries(directory: str, listed: list[str] | None = None) -> Iterator[str]:
    """Files named like shared objects below ``directory``, sorted; links to directories are not followed.

    Every directory that was read is added to ``listed``.
    """
    below, found = [], []
    if listed is not None:
        listed.append(directory)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif is_library(entry.name) and not entry.is_dir():
                    found.append(entry.path)
    except OSError:
        return
    yield from sorted(found)
    for one in sorted(below):
        yield from find_libraries(one, listed)


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
        self._listed: list[str] = []
        self._survey: Survey | None = None
        self._census: Census | None = None
        self._proved: set[str] = set()
        self.remembered = False  #: an earlier survey holds
        kept = None if fresh else surveys.recall(self._key())
        if kept is not None:
            self.paths: list[str] = kept["paths"]
            self._proved, self.remembered = set(kept["proved"]), True
        else:
            self.paths = self._search()

    def loads(self, path: str) -> bool:
        """True when the library, one of ``paths``, was proved to load."""
        if self.remembered or path in self._proved:
            return path in self._proved
        if self._census is None or self._survey is None:
            from dlrepair.binary import bulk, scope

            self._survey, self._census = scope.Survey(self._view), bulk.Census(self._view)
        if not self._census.satisfied(self._survey.resolve(path)):
            return False
        self._proved.add(path)
        return True

    def keep(self) -> bool:
        """Write down what was proved; whether that was done. To be called when ``loads`` was asked for all."""
        from dlrepair.binary.ldcache import PATH
        from dlrepair.store import surveys

        if self.remembered or self._survey is None or self._census is None:
            return False
        searched = self._survey.directories()
        looked_at = dict.fromkeys(self._listed)
        looked_at.update(dict.fromkeys(self._still.seen))
        looked_at.update(dict.fromkeys(searched))
        looked_at[PATH] = None
        answer = {"paths": self.paths, "proved": sorted(self._proved)}
        return surveys.keep(self._key(), list(looked_at), self._census.mapped(), self._began, answer)

    def _key(self) -> str:
        """What else the proofs rest on: the process, the user, the processor, this code."""
        import dlrepair
        from dlrepair import store
        from dlrepair.binary import hwcaps

        view, code = self._view, []
        for name in ("bulk", "elf", "image", "scope", "search_path", "symbols", "symtab"):
            try:
                code.append(str(os.stat(os.path.join(os.path.dirname(elf.__file__), name + ".py")).st_mtime_ns))
            except OSError:  # in an archive: the version tells
                code.append("")
        who = str(os.geteuid()) if hasattr(os, "geteuid") else ""
        return store.key_of(
            "survey 1", dlrepair.__version__, sys.version, who, view.main, view.library_path, view.cwd,
            "\n".join(view.loaded), "\n".join(self._places), " ".join(hwcaps.subdirectories()), *code,
        )  # fmt: skip

    def _search(self) -> list[str]:
        found: dict[str, str] = {}
        needed: set[str] = set()
        for place in self._places:
            for path in find_libraries(place, self._listed):
                found.setdefault(elf.read_facts(path).realpath or os.path.realpath(path), path)
        for path in found.values():
            facts = elf.read_facts(path).elf
            needed.update(facts.needed if facts is not None else ())
        return [path for path in found.values() if os.path.basename(path) not in needed]
