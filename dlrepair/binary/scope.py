"""ld.so's search for everything that a library needs, reconstructed step by step; nothing is loaded.

Breadth first, as ``_dl_map_object_deps`` does it (glibc, elf/dl-deps.c): the first loader
in that order decides whose RPATH serves an object that several need.
"""

from __future__ import annotations

import os
import sys

from dlrepair.binary import preloads
from dlrepair.binary.elf import libc_family, read_facts
from dlrepair.binary.process import ProcessView, main_program, working_directory
from dlrepair.binary.search_path import FITS, Node, SearchPath, loader_of, system_directories, verify
from dlrepair.binary.trace import Entry, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

    from dlrepair.binary.musl import MuslPath

MAX_OBJECTS = 10000


class _Walk:
    """The state of one resolution: the link map so far and the search."""

    def __init__(self, view: ProcessView, path: str, facts_path: str, survey: Survey | None = None) -> None:
        self.view = view
        self.names: dict[str, Node] = {}
        self.files: dict[tuple[int, int], Node] = {}
        main = None
        if view.main:  # ld.so takes the origin of a program from /proc/self/exe (_dl_get_origin), links resolved
            origin = os.path.realpath(view.main) if survey is None else survey.program
            main = Node(origin, read_facts(view.main), None, view.cwd, reused=True)
        self.root = Node(path, read_facts(facts_path), None, view.cwd)
        self.program = main
        self.search: SearchPath | MuslPath
        self.musl = False
        top = main if main is not None else self.root
        if _is_musl(top):
            from dlrepair.binary.musl import MuslPath

            self.musl = True
            self.search = MuslPath(top, view.library_path, view.cwd)
        elif survey is not None and main is not None:
            self.search = survey.search(main)
            main = self.search.main or main
        else:
            self.search = SearchPath(top, view.library_path, view.cwd, view.secure)
        self._reused: dict[str, Node] = survey.reused if survey is not None else {}
        if main is not None and main.file is not None:
            self.files[main.file] = main

    def loaded(self, path: str) -> Node:
        """The node of an object that the process holds already."""
        node = self._reused.get(path)
        if node is None:
            node = self._reused[path] = Node(path, read_facts(path), None, self.view.cwd, reused=True)
        return node

    def known(self, name: str) -> Node | None:
        """The object in the link map that answers to ``name``; an empty one is the program's own."""
        if not name and not self.musl:
            return self.program
        if self.musl:  # no SONAMEs: only the names under which a search found objects
            path = next((p for p in self.view.loaded if "/" not in name and os.path.basename(p) == name), None)
        else:
            path = self.view.find(name)
        return self.loaded(path) if path is not None else self.names.get(name)

    def same_file(self, file: tuple[int, int] | None) -> Node | None:
        """The object in the link map with this device and inode."""
        if file is None:
            return None
        path = self.view.by_file.get(file)
        return self.loaded(path) if path is not None else self.files.get(file)

    def join(self, node: Node, name: str) -> None:
        """Put ``node`` into the link map, under the name asked for, its path and its SONAME."""
        soname = node.elf.soname if node.elf is not None else None
        for known in (name,) if self.musl else (name, node.path, soname):
            if known and not (self.musl and "/" in known):
                self.names.setdefault(known, node)
        if node.file is not None:
            self.files.setdefault(node.file, node)


def _is_musl(top: Node) -> bool:
    if top.elf is None:
        return False
    if top.elf.interp:
        return "ld-musl" in top.elf.interp
    return libc_family(top.elf) == "musl" and not os.path.exists(loader_of(None))


def resolve(path: str, *, process: ProcessView | None = None, preloaded: Sequence[str] = ()) -> Trace:
    """Where ld.so would find everything that ``path`` needs, were it loaded by ``dlopen``.

    ``process`` is the process that loads; None stands for a fresh interpreter like this
    one, started with this process's present environment. ``preloaded`` are loaded before.
    Reads files only. Rules: glibc 2.36 and ld.so(8); musl's ldso/dynlink.c for musl programs.
    """
    view = process if process is not None else fresh_process()
    if preloaded:
        view = _with_preloaded(view, preloaded)
    return _resolve(path, view)


def below_preferred(tops: Iterable[str]) -> list[str]:
    """Every directory of hardware capabilities that exists below these, and these themselves."""
    from dlrepair.binary.hwcaps import subdirectories

    found: dict[str, None] = {}
    for top in tops:
        for sub in subdirectories():
            parts = sub.split("/")[:-1]
            if parts and top.endswith("/" + parts[0]):
                found.update(dict.fromkeys("/".join([top, *parts[1:count]]) for count in range(1, len(parts) + 1)))
    return list(found)


class Survey:
    """``resolve`` for many files that one process might load, while none of them changes (``elf.StillView``).

    What a search for a name found is kept for every file that would search the same places.
    """

    def __init__(self, view: ProcessView) -> None:
        self.view = view
        self.program = os.path.realpath(view.main)  #: of no use where there is none
        self._search: SearchPath | None = None
        self.reused: dict[str, Node] = {}  #: of objects that the process holds already

    def search(self, main: Node) -> SearchPath:
        """The search path of the process's program, with its memory."""
        if self._search is None:
            self._search = SearchPath(main, self.view.library_path, self.view.cwd, self.view.secure)
            self._search.answers = {}
        return self._search

    def searched(self) -> tuple[list[str], list[str]]:
        """(directories in which a name was looked for, those beside them that ld.so prefers and that exist)."""
        search = self._search
        return ([], []) if search is None else ([one or "." for one in search.searched()], list(search.preferred))

    def resolve(self, path: str) -> Trace:
        """As ``resolve`` of this module."""
        return _resolve(path, self.view, survey=self)


def _resolve(
    path: str, view: ProcessView, program: bool = False, survey: Survey | None = None, preload: Sequence[str] = ()
) -> Trace:
    whole = path if path.startswith("/") else os.path.join(view.cwd, path)
    verdict, reason, facts = verify(whole)
    trace = Trace(path, None if verdict == FITS or program else reason)
    if facts.elf is None or trace.refused is not None:
        return trace
    walk = _Walk(view, path, whole, survey)
    walk.join(walk.root, path)
    entries: list[Entry] = []
    edges: list[tuple[str, str, str | None]] = []
    queue = [walk.root, *_preloaded(walk, preload, entries)]
    queued, decided = {id(node) for node in queue}, {}  # type: set[int], dict[str, str | None]
    for position, node in enumerate(queue):  # grows while it is walked
        if node.elf is None or len(queue) > MAX_OBJECTS:
            continue
        for need in node.elf.needed:
            name = walk.search.expand(need, node.origin) if "$" in need else need
            known = walk.known(name)
            if known is None:
                if name in decided:  # missing before: ld.so would have stopped there
                    edges.append((node.path, need, None))
                    continue
                known, entry = _search(walk, node, name)
                entries.append(entry)
                if known is None:
                    decided[name] = None
            elif id(known) not in queued:
                entries.append(Entry(name, node.path, known.path, "loaded", depth=node.depth + 1))
            edges.append((node.path, need, known.path if known is not None else None))
            if known is not None and id(known) not in queued:
                queued.add(id(known))
                queue.append(known)
        for known in _filtees(walk, node, entries, edges) if node.elf.filters and not walk.musl else ():
            if id(known) not in queued:
                queued.add(id(known))
                queue.insert(position + 1, known)
    trace.entries, trace.edges = tuple(entries), tuple(edges)
    return trace


def _preloaded(walk: _Walk, names: Sequence[str], entries: list[Entry]) -> list[Node]:
    """The objects of LD_PRELOAD: looked for as the program's own needs; one that is not found is passed over."""
    found: list[Node] = []
    for name in names:
        name = walk.search.expand(name, walk.root.origin) if "/" in name else name
        known = walk.known(name)
        if known is None:
            known, entry = _search(walk, walk.root, name)
            if known is not None:
                entries.append(entry)
        if known is not None and known not in (walk.root, *found):
            found.append(known)
    return found


def _filtees(
    walk: _Walk, node: Node, entries: list[Entry], edges: list[tuple[str, str, str | None]]
) -> Iterator[Node]:
    """The objects that ``node`` names as filters: they stand before it, and an auxiliary one may be absent."""
    assert node.elf is not None
    for need, optional in node.elf.filters:
        name = walk.search.expand(need, node.origin) if "$" in need else need
        known, entry = walk.known(name), None
        if known is None:
            known, entry = _search(walk, node, name)
            if known is None and optional:
                continue
        elif all(known.path != one.path for one in entries):
            entry = Entry(name, node.path, known.path, "loaded", depth=node.depth + 1)
        if entry is not None:
            own = next((at for at, one in enumerate(entries) if one.path == node.path), 0)
            entries.insert(own if known is not None else len(entries), entry)
        edges.append((node.path, need, known.path if known is not None else None))
        if known is not None:
            yield known


def _search(walk: _Walk, node: Node, name: str) -> tuple[Node | None, Entry]:
    """Look for ``name`` as ld.so would; the object (new, or one that is the same file) and its entry."""
    if node.reused:  # its needs are in the process, under a name that cannot be seen from outside
        leaf = next((path for path in walk.view.loaded if os.path.basename(path) == name), None)
        if leaf is not None:
            return walk.loaded(leaf), Entry(name, node.path, leaf, "loaded", depth=node.depth + 1)
    found = walk.search.find(name, node)
    tried = tuple(found.tried)
    if found.path is None or found.facts is None:
        return None, Entry(name, node.path, None, found.how, tried, node.depth + 1, found.refused)
    signature = found.facts.signature
    same = walk.same_file(signature[:2] if signature is not None else None)
    if same is not None:
        walk.names.setdefault(name, same)
        return same, Entry(name, node.path, same.path, "same-file", tried, node.depth + 1)
    made = Node(found.path, found.facts, node, walk.view.cwd)
    walk.join(made, name)
    return made, Entry(name, node.path, made.path, found.how, tried, node.depth + 1)


def locate(name: str, *, process: ProcessView | None = None, caller: str = "") -> Entry:
    """Where ``dlopen(name)`` finds a name without a slash, with every place tried.

    ``caller`` is the object that calls ``dlopen`` (``_ctypes``'s extension for ctypes): its RPATH or RUNPATH
    serves the search (dlopen(3)). A name with a slash is the path itself.
    """
    view = process if process is not None else fresh_process()
    by = caller or view.main
    walk = _Walk(view, by, by)
    known = walk.known(name)
    if known is not None:
        return Entry(name, by, known.path, "loaded")
    found = walk.search.find(name, walk.root)
    return Entry(name, by, found.path, found.how, tuple(found.tried), blocked_by=found.refused)


def bare_process(library_path: str = "", cwd: str | None = None) -> ProcessView:
    """A process whose program is the library itself, as ``ld.so --list LIBRARY`` makes it."""
    view = ProcessView("", library_path, cwd)
    interpreter = loader_of(None)
    if os.path.exists(interpreter):
        view.add(interpreter)
    return view


_fresh: dict[tuple[str, str, str, str, bool], ProcessView] = {}


def fresh_process(
    program: str | None = None,
    library_path: str | None = None,
    cwd: str | None = None,
    preload: str | None = None,
    secure: bool = False,
) -> ProcessView:
    """A process that just started ``program`` (this interpreter) and holds its libraries and ``_ctypes``'s.

    ``library_path`` and ``preload`` are LD_LIBRARY_PATH and LD_PRELOAD, those of this process's environment where they
    are not given. ``secure``: the kernel sets AT_SECURE, as for a set-user-ID program; ld.so ignores both then, but
    for libraries in the default directories that are set-user-ID themselves (ld.so(8)).
    """
    main = os.path.realpath(program) if program is not None else main_program()
    path = os.environ.get("LD_LIBRARY_PATH", "") if library_path is None else library_path
    before = os.environ.get("LD_PRELOAD", "") if preload is None else preload
    if secure:
        path = ""
    here = working_directory() if cwd is None else cwd
    known = _fresh.get((main, path, here, before, secure))
    if known is not None:
        return known
    empty = ProcessView("", path, here)
    empty.secure = secure
    interpreter = loader_of(read_facts(main).elf)
    if os.path.exists(interpreter):
        empty.add(interpreter)
    view = ProcessView(main, path, here)
    view.secure = secure
    trusted = _searched_for_preloads(main, here, interpreter) if secure else ()
    names = [name for name in preloads.names(before, secure, trusted) if name]
    started = _resolve(main, empty, program=True, preload=names)
    for entry in started.entries:
        if entry.path is not None and entry.path not in view.loaded:
            view.add(entry.path, (entry.name,))
    if names:  # beside what the program's needs lead to
        view.promoted = started.closure
    extension = _ctypes_extension(main) if program is None else None
    if extension is not None:
        for entry in _resolve(extension, view).entries:
            if entry.path is not None and entry.path not in view.loaded:
                view.add(entry.path, (entry.name,))
    if len(_fresh) > 64:
        _fresh.clear()
    _fresh[main, path, here, before, secure] = view
    return view


def _searched_for_preloads(main: str, cwd: str, interpreter: str) -> list[str]:
    """Where a name in LD_PRELOAD is looked for in secure mode: the program's own run path, the default directories."""
    program = Node(main, read_facts(main), None, cwd)
    own = SearchPath(program, "", cwd, secure=True).lists(program)
    found = [os.path.join(cwd, directory) for _how, directories in own for directory in directories]
    return [*found, *system_directories(interpreter)]


def _ctypes_extension(main: str) -> str | None:
    """Path of the interpreter's ``_ctypes`` extension, found without importing it."""
    module = sys.modules.get("_ctypes")
    path = getattr(module, "__file__", None)
    if isinstance(path, str):
        return path
    from importlib.machinery import EXTENSION_SUFFIXES

    for directory in sys.path:
        for suffix in EXTENSION_SUFFIXES:
            if directory.endswith("lib-dynload") and os.path.exists(os.path.join(directory, "_ctypes" + suffix)):
                return os.path.join(directory, "_ctypes" + suffix)
    return None


def _with_preloaded(view: ProcessView, preloaded: Sequence[str]) -> ProcessView:
    """``view`` after ``preloaded`` were loaded into it, one after another."""
    grown = ProcessView(view.main, view.library_path, view.cwd, view.live)
    grown.secure, grown.promoted = view.secure, view.promoted
    grown.loaded, grown.by_name, grown.by_file = list(view.loaded), dict(view.by_name), dict(view.by_file)
    for path in preloaded:
        trace = _resolve(path, grown)
        if trace.refused is not None or trace.failures:
            continue  # dlopen takes all or nothing
        grown.add(path)
        for entry in trace.entries:
            if entry.path is not None and entry.path not in grown.loaded:
                grown.add(entry.path, (entry.name,))
    return grown
