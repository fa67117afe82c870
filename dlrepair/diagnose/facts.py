"""The facts that the rules look at: each read once, when the first rule asks for it.

Reads files and ``/proc`` only; nothing is loaded.
"""

from __future__ import annotations

import os
import sys

from dlrepair.binary.elf import read_facts
from dlrepair.model.facts import FileFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.trace import Trace
    from dlrepair.model.diagnosis import Symptom
    from dlrepair.model.requests import LoadRequest

#: Most objects of a closure whose symbols are looked at, and most undefined symbols that are kept.
MAX_OBJECTS = 400
MAX_SYMBOLS = 2000

#: What marks the root of somebody's project.
ROOT_MARKS = (
    ".git",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "WORKSPACE",
    "requirements.txt",
    "Makefile",
    "CMakeLists.txt",
    "README.md",
)
MAX_PARENTS = 8

_UNREAD: Any = object()


class Facts:
    """One failing load: the request, the words of the loader and, when asked for, what the files say."""

    def __init__(self, request: LoadRequest, symptom: Symptom, target: str | None, process: ProcessView | None) -> None:
        self.request = request
        self.symptom = symptom
        self.target = target  #: absolute path that was asked for; None for a leaf name
        self.leaf_tried: tuple[tuple[str, str], ...] = ()  #: places where ld.so looked for a leaf name
        self._view = process
        self._path: Any = _UNREAD
        self._trace: Any = _UNREAD
        self._unresolved: Any = _UNREAD
        self._gaps: Any = _UNREAD

    @property
    def view(self) -> ProcessView:
        """The process that loads; a fresh interpreter where none was given."""
        if self._view is None:
            from dlrepair.binary import scope

            self._view = scope.fresh_process(cwd=self.request.cwd or None)
        return self._view

    @property
    def path(self) -> str | None:
        """The file that ld.so would open for the request; None where its search for a leaf name ends without one."""
        if self._path is _UNREAD:
            self._path = self.target if self.target is not None else self._search_leaf()
        path: str | None = self._path
        return path

    @property
    def file(self) -> FileFacts:
        """What lies at ``path`` (kind ``missing`` where there is no path)."""
        if self.path is None:
            return FileFacts(self.request.requested, "missing", detail="no place of the search holds it")
        return read_facts(self.path)

    def _search_leaf(self) -> str | None:
        """ld.so's answer for a name without a slash (dlopen(3)): loaded objects, then its search, never the cwd."""
        from dlrepair.binary.search_path import Node, SearchPath

        name = self.request.requested
        if not name:
            return None
        view = self.view
        known = view.find(name)
        if known is not None:
            return known
        main = Node(view.main, read_facts(view.main), None, view.cwd, reused=True) if view.main else None
        opener = self._opener() or view.main
        loader = (
            Node(opener, read_facts(opener), main, view.cwd, reused=True) if opener and opener != view.main else main
        )
        if loader is None:
            return None
        found = SearchPath(main, view.library_path, view.cwd).find(name, loader)
        self.leaf_tried = tuple(found.tried)
        return found.path or found.refused or None

    def _opener(self) -> str | None:
        """Path of the object whose code calls dlopen: its RPATH or RUNPATH counts in the search."""
        wanted = {"tensorflow": "libtensorflow_framework.so", "cffi": "_cffi_backend."}.get(
            self.request.loader, "_ctypes."
        )
        return next((path for path in self.view.loaded if os.path.basename(path).startswith(wanted)), None)

    @property
    def is_relative(self) -> bool:
        """Whether the request is a path below the working directory (a leaf name is none)."""
        name = self.request.requested
        return "/" in name and not name.startswith("/")

    @property
    def trace(self) -> Trace | None:
        """ld.so's search for everything that the file needs; None where the file itself would not be mapped."""
        if self._trace is _UNREAD:
            self._trace = None
            elf = self.file.elf
            if elf is not None and self.path is not None:
                from dlrepair.binary import scope

                trace = scope.resolve(self.path, process=self.view)
                self._trace = trace if trace.refused is None else None
        result: Trace | None = self._trace
        return result

    def objects(self) -> tuple[str, ...]:
        """The file and what it would bring into the process with it, in ld.so's order; what is there is left out."""
        if self.trace is None or self.path is None:
            return ()
        loaded = set(self.view.loaded)
        new = [path for path in self.trace.closure if path not in loaded]
        return (self.path, *new[:MAX_OBJECTS])

    @property
    def gaps(self) -> tuple[tuple[str, str, str, str], ...]:
        """(object, needed file, version, provider) of every symbol version that its provider does not define."""
        if self._gaps is _UNREAD:
            found = []
            trace = self.trace
            if trace is not None:
                from dlrepair.binary import symbols

                everything = (*trace.closure, *self.view.loaded)
                for path in self.objects():
                    for needed, version, provider in symbols.version_gaps(path, everything):
                        found.append((path, needed, version, provider))
                found.sort(key=lambda gap: symbols.has_no_versions(gap[3]))  # ld.so reports none of these
                if found and symbols.has_no_versions(found[0][3]):
                    found = self._asserted(found, trace)
            self._gaps = tuple(found)
        result: tuple[tuple[str, str, str, str], ...] = self._gaps
        return result

    def _asserted(self, gaps: list[tuple[str, str, str, str]], trace: Trace) -> list[tuple[str, str, str, str]]:
        """Of versions whose providers have no version table, the one at which ld.so's assertion ends the process."""
        from dlrepair.binary.wouldload import first_failure

        failure = first_failure(trace.path, process=self.view, trace=trace)
        if failure is None or failure.kind != "abort":
            return []
        return [gap for gap in gaps if (gap[0], gap[2]) == (failure.subject, failure.missing)]

    @property
    def unresolved(self) -> tuple[tuple[str, Any], ...]:
        """(object, symbol) of every strong reference that nothing here defines; see ``binary.symbols.Unresolved``."""
        if self._unresolved is _UNREAD:
            found: list[tuple[str, Any]] = []
            trace = self.trace
            if trace is not None and not trace.failures:
                from dlrepair.binary import symbols

                for path in reversed(self.objects()):  # ld.so relocates the last object first (dl_open_worker)
                    try:
                        rows = symbols.unresolved(path, (trace.path, *trace.closure), process=self.view)
                    except (OSError, ValueError):  # gone or rewritten while we look
                        continue
                    found += [(path, row) for row in rows if not row.weak][: MAX_SYMBOLS - len(found)]
            self._unresolved = tuple(found)
        result: tuple[tuple[str, Any], ...] = self._unresolved
        return result

    def reached(self, name: str, needed_by: str, sound: bool = True) -> list[tuple[str, str]]:
        """(path, how) of every file called ``name`` on ld.so's search for ``needed_by``, in its order.

        With ``sound`` only those that ld.so would load.
        """
        from dlrepair.binary.search_path import FITS, Node, SearchPath, system_directories, verify

        view = self.view
        main = Node(view.main, read_facts(view.main), None, view.cwd, reused=True) if view.main else None
        search = SearchPath(main, view.library_path, view.cwd)
        top = Node(self.path or needed_by, self.file, None, view.cwd)
        loader = top if needed_by == self.path else Node(needed_by, read_facts(needed_by), top, view.cwd)
        places = [(how, place) for how, listed in search.lists(loader) for place in listed]
        places += [("default", place) for place in system_directories(search.interpreter)]
        found = [(search.whole(place + name), how) for how, place in places]
        from dlrepair.binary.hwcaps import named_levels
        from dlrepair.binary.ldcache import load_cache

        cache = load_cache()
        cached = cache.lookup(name, named_levels()) if cache is not None else None
        if cached:
            found.append((cached, "cache"))
        return [(tidy(path), how) for path, how in found if not sound or verify(path)[0] == FITS]

    def copies(self, name: str, needed_by: str, other_than: str) -> list[str]:
        """Files called ``name`` that ld.so would also reach for ``needed_by``, behind the one that it takes."""
        found: dict[str, str] = {}
        for path, _ in self.reached(name, needed_by):
            if os.path.realpath(path) != os.path.realpath(other_than):
                found.setdefault(os.path.realpath(path), path)
        return list(found.values())

    def elsewhere(self) -> list[tuple[str, str]]:
        """(path, what its base is) of files that the relative request names from another directory than the cwd."""
        if not self.is_relative or self.target is None:
            return []
        request = self.request
        bases = [(request.start_cwd, "the directory in which the program was started")]
        if request.script:
            bases.append((os.path.dirname(request.script), "the directory of the script"))
        if request.caller is not None and request.caller.file.startswith("/"):
            bases.append((os.path.dirname(request.caller.file), "the directory of the calling file"))
        found: dict[str, str] = {}
        for base, words in bases:
            for index, directory in enumerate(_with_parents(base)):
                path = os.path.normpath(os.path.join(directory, request.requested))
                if path != self.target and path not in found and is_file(path):
                    found[path] = words if index == 0 else "above " + words
        return list(found.items())


def _with_parents(base: str) -> list[str]:
    """``base`` and the directories above it, up to the root of the project that it belongs to."""
    if not base:
        return []
    chain = [base]
    while len(chain) < MAX_PARENTS and not any(os.path.exists(os.path.join(chain[-1], mark)) for mark in ROOT_MARKS):
        above = os.path.dirname(chain[-1])
        if above == chain[-1] or above in ("/", "/home", "/tmp", os.path.expanduser("~")):
            return chain[:1]  # no project around: only the directory itself
        chain.append(above)
    return chain if len(chain) < MAX_PARENTS else chain[:1]


def tidy(path: str) -> str:
    """``path`` without the ``..`` that an ``$ORIGIN/..`` left in it, where that leads to the same file."""
    plain = os.path.normpath(path)
    try:
        return plain if os.path.samefile(plain, path) else path
    except (OSError, ValueError):
        return path


def is_file(path: str) -> bool:
    """``os.path.isfile`` for any string: Python 3.7 raises for a name with a NUL."""
    return "\0" not in path and os.path.isfile(path)


def is_dir(path: str) -> bool:
    """``os.path.isdir`` for any string."""
    return "\0" not in path and os.path.isdir(path)


def running_python() -> str:
    """``3.11`` for the running interpreter."""
    return "%d.%d" % sys.version_info[:2]
