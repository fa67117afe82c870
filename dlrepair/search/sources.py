"""Propose files that may be the wanted library, nearest first and only as far as somebody asks.

The order and the directory names come from a survey of where real projects build their ops and where
real code looks for them. A source is one generator function from a ``Search`` to candidates; the
order is the tuple ``SOURCES``. Nothing is opened: names propose, ``vet`` reads.
"""

from __future__ import annotations

import os

from dlrepair.model.candidate import Candidate
from dlrepair.search import archives, roots, walk
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

    from dlrepair.model.candidate import Wanted
    from dlrepair.model.requests import LoadRequest
    from dlrepair.settings import Settings

#: Directories in which libraries get built, ranked by how many projects use them.
BUILD_TREES = (
    "build", "lib", "libs", "ops", "tf_ops", "custom_ops", "tf_custom_ops", "user_ops", "lib64", ".libs", "src",
    "external", "source", "cc", "core", "kernels", "module", "bazel-bin", "out", "bin", "Release", "Debug", "target",
    "_skbuild", "_cudacache", "dist", "python", "prebuilt",
)  # fmt: skip

#: Of these, the ones that are not entered in a home directory: ``~/src`` may hold every source that somebody has.
_NOT_AT_HOME = frozenset(("src", "source", "external", "python", "core", "module", "cc"))

#: Endings of environment variables by which programs let their users say where a library is.
VARIABLES = ("_LIB", "_LIBRARY", "_LIB_PATH", "_LIBRARY_PATH", "_LIB_DIR", "_LIBDIR", "_DATAPATH", "_SO", "_SO_PATH")

#: How deep such a directory is walked before its siblings get their turn.
TREE_DEPTH = 4

#: Where a source's distances begin: a file found by a later source is farther away whatever its name.
DISTANCE = {
    "variable": 0,
    "requested-directory": 0,
    "needed-by": 4,
    "build-sibling": 10,
    "tail": 30,
    "build-directory": 60,
    "project": 100,
    "archive": 160,
    "search-root": 170,
    "site-packages": 200,
    "environment": 250,
    "system": 300,
}


class Search:
    """One search: what is wanted, by whom, within which bounds, and what was proposed already."""

    def __init__(self, wanted: Wanted, request: LoadRequest, settings: Settings, deadline: float) -> None:
        self.wanted = wanted
        self.request = request
        self.settings = settings
        #: the library whose DT_NEEDED names a wanted dependency
        self.needed_by = wanted.requested if wanted.role == "dependency" else ""
        self.requested = (wanted.requested or request.requested) if wanted.role == "substitute" else ""
        self.names = naming.Names(wanted.name, wanted.loader, wanted.role, wanted.exact_name)
        self._patterns = tuple(settings.exclude)
        self.reader = walk.Reader(self.names, deadline, self.excluded)
        self.anchors = roots.anchors(request)
        self._seen: set[str] = set()
        self._files: set[tuple[int, int, str]] = set()
        self.asked = self._absolute(self.requested)
        # The path that was asked for has failed already: it is no candidate for itself.
        if wanted.role == "substitute" and self.asked:
            self._seen.add(self.asked)

    def _absolute(self, path: str) -> str:
        if "/" not in path or "\0" in path:
            return ""
        if not os.path.isabs(path):
            if not os.path.isabs(self.request.cwd):
                return ""
            path = os.path.join(self.request.cwd, path)
        return os.path.normpath(path)

    def excluded(self, path: str) -> bool:
        """Tell whether the settings' ``exclude`` patterns name this path or a directory above it."""
        return is_excluded(path, self._patterns)

    def propose(self, path: str, source: str, rule: str, distance: int) -> Candidate | None:
        """Return a candidate unless the same path, or the same file in this directory, was proposed or is not wanted.

        A file that has names in two directories is proposed twice: one of them may be where anybody can write.
        """
        path = os.path.normpath(path)
        if path in self._seen:
            return None
        self._seen.add(path)
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino, os.path.realpath(os.path.dirname(path)))
            if identity in self._files or status.st_mode & 0o170000 == 0o040000:
                return None
            self._files.add(identity)
        except (OSError, ValueError):
            pass  # a dangling link is proposed all the same: ``vet`` says what it is
        if self.excluded(path) or os.path.realpath(path) in self.wanted.exclude:
            return None
        return Candidate(path=path, source=source, rule=rule, distance=distance)

    def in_directory(self, directory: str, source: str, distance: int) -> Iterator[Candidate]:
        """Yield what matches in one directory, best name first."""
        listing = self.reader.listing(os.path.normpath(directory))
        if listing is None:
            return
        for name, rule in sorted(listing.matches, key=lambda match: (naming.cost(match[1]), match[0])):
            found = self.propose(os.path.join(directory, name), source, rule, distance)
            if found:
                yield found

    def in_tree(self, root: str, source: str, distance: int, depth: int) -> Iterator[Candidate]:
        """Yield what matches in a directory and below it, ``distance`` growing by the level, best first."""
        found = []
        for path, rule, level in self.reader.walk(os.path.normpath(root), depth):
            found.append(self.propose(path, source, rule, distance + level))
        yield from self.ranked(found)

    def in_archive(self, archive: str, source: str, distance: int) -> Iterator[Candidate]:
        """Yield what matches inside one archive, best first; an archive that cannot be read is noted."""
        if self.reader.expired() or self.excluded(archive):
            return
        try:
            members = archives.find_members(archive, self.names)
        except archives.Unreadable as why:
            self.reader.notes.append((archive, str(why)))
            return
        for member, rule in members:
            path = archives.join(archive, member)
            if path not in self._seen:
                self._seen.add(path)
                yield Candidate(path=path, source=source, rule=rule, distance=distance)

    def ranked(self, found: Iterable[Candidate | None]) -> list[Candidate]:
        """Return the candidates of one place, best first: in which order a file system lists them says nothing."""
        from dlrepair.search import rank

        return rank.rank([one for one in found if one is not None], self.wanted, self.request)

    def build_trees(self, directory: str) -> list[str]:
        """Return the directories below ``directory`` in which libraries get built, likeliest first.

        None below /, /tmp and the like: what lies there belongs to no one project. Fewer in a home directory.
        """
        if roots.belongs_to_all(directory):
            return []
        listing = self.reader.listing(os.path.normpath(directory))
        if listing is None:
            return []
        present = set(listing.subdirs) | set(listing.links)
        present -= _NOT_AT_HOME if roots.never_walked(directory) else frozenset()
        found = [name for name in BUILD_TREES if name in present]
        found += sorted(name for name in present if name.startswith("cmake-build-") or name.endswith(".runfiles"))
        return [os.path.join(directory, name) for name in found]


def is_excluded(path: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether shell patterns name ``path`` or a directory above it.

    A pattern with a slash is matched against the whole path and every directory above; one without, against
    each component.
    """
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    parts = path.split("/")
    above = ["/".join(parts[:at]) or "/" for at in range(1, len(parts) + 1)]
    for pattern in patterns:
        if "/" in pattern:
            wide = os.path.expanduser(pattern).rstrip("/") or "/"
            if any(fnmatchcase(one, wide) for one in above):
                return True
        elif any(fnmatchcase(part, pattern) for part in parts if part):
            return True
    return False


def from_variables(search: Search) -> Iterator[Candidate]:
    """Yield the file that one of the user's own environment variables names, or that lies where it points to.

    ``FOO_LIB=/opt/foo/libfoo.so`` or ``FOO_DATAPATH=/opt/foo``: what somebody set by hand outranks every search.
    """
    for name, value in sorted(os.environ.items()):
        if not name.endswith(VARIABLES) or name in ("LD_LIBRARY_PATH", "LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            continue
        for place in value.split(os.pathsep):
            if not os.path.isabs(place):
                continue
            rule = search.names.match(os.path.basename(place))
            found = search.propose(place, "variable", rule, 0) if rule and os.path.lexists(place) else None
            if found:
                yield found
            for tail in roots.tails(search.requested or search.names.name)[-4:]:
                yield from search.in_directory(os.path.join(place, os.path.dirname(tail)), "variable", 0)


def from_needing_library(search: Search) -> Iterator[Candidate]:
    """Yield files beside the library that needs the wanted one, in ``lib`` beside it, and under its RPATH's endings."""
    if search.wanted.role != "dependency" or not search.needed_by:
        return
    base = DISTANCE["needed-by"]
    places = []
    for path in (search.needed_by, os.path.realpath(search.needed_by)):
        directory = os.path.dirname(os.path.abspath(path))
        parent = os.path.dirname(directory)
        places += [directory, os.path.join(directory, "lib"), os.path.join(directory, ".libs"), parent]
        places += [os.path.join(parent, "lib"), os.path.join(parent, "lib64"), os.path.join(parent, "libs")]
        # auditwheel puts what a package needs into <package>.libs beside it
        beside = search.reader.listing(parent)
        places += [os.path.join(parent, name) for name in beside.subdirs if name.endswith(".libs")] if beside else []
    for at, place in enumerate(places):
        yield from search.in_directory(place, "needed-by", base + min(at, 3))
    for tree in search.build_trees(os.path.dirname(os.path.abspath(search.needed_by))):
        yield from search.in_tree(tree, "needed-by", base + 4, TREE_DEPTH)
    yield from _run_path_tails(search, base + 5)


def _run_path_tails(search: Search, distance: int) -> Iterator[Candidate]:
    from dlrepair.binary import elf

    facts = elf.read_facts(search.needed_by).elf
    if facts is None:
        return
    origin = os.path.dirname(os.path.abspath(search.needed_by))
    places = [origin] + [directory for directory, _ in search.anchors]
    for entry in ((facts.runpath or "") + ":" + (facts.rpath or "")).split(":"):
        if not entry or "$" in entry:
            continue  # $ORIGIN was ld.so's to try; what is beside the library was looked at above
        for tail in roots.tails(entry):
            for place in places:
                yield from search.in_directory(os.path.join(place, tail), "needed-by", distance)


def from_requested_directory(search: Search) -> Iterator[Candidate]:
    """Yield name variants in the very directory that was asked for, and the file that a ``~`` means."""
    if search.requested.startswith("~/"):
        meant = os.path.expanduser(search.requested)
        if meant != search.requested and os.path.lexists(meant):
            found = search.propose(meant, "requested-directory", "exact", 0)
            if found:
                yield found
    if search.asked:
        yield from search.in_directory(os.path.dirname(search.asked), "requested-directory", 0)


def from_build_siblings(search: Search) -> Iterator[Candidate]:
    """Yield files in the build directories below the requested one, and in those beside it."""
    if not search.asked:
        return
    directory = os.path.dirname(search.asked)
    base = DISTANCE["build-sibling"]
    trees = search.build_trees(directory)
    parent = os.path.dirname(directory)
    trees += [tree for tree in search.build_trees(parent) if tree != directory]
    for at, tree in enumerate(trees):
        yield from search.in_tree(tree, "build-sibling", base + min(at, 9), TREE_DEPTH)


def from_tails(search: Search) -> Iterator[Candidate]:
    """Yield files at the requested path's own endings, longest first, under the caller's, script's and project's roots.

    This is what a stale absolute path of another machine and a wrong working directory come down to.
    """
    base = DISTANCE["tail"]
    text = search.requested if "/" in search.requested else search.names.name
    if not os.path.isabs(text) and ".." in text.split("/"):
        for directory, _ in search.anchors:
            whole = os.path.normpath(os.path.join(directory, text))
            yield from search.in_directory(os.path.dirname(whole), "tail", base)
    for at, tail in enumerate(roots.tails(text)):
        below = os.path.dirname(tail)
        for directory, label in search.anchors:
            place = os.path.join(directory, below) if below else directory
            yield from search.in_directory(place, "tail" if below else label, base + min(at, 9))
            if below and "bazel-bin" in (tree.rsplit("/", 1)[-1] for tree in search.build_trees(directory)):
                place = os.path.join(directory, "bazel-bin", below)
                yield from search.in_directory(place, "tail", base + min(at, 9) + 1)


def from_build_directories(search: Search) -> Iterator[Candidate]:
    """Yield files in the build directories of the caller, the script, the project and the working directories."""
    base = DISTANCE["build-directory"]
    for at, (directory, _) in enumerate(search.anchors):
        for tree in search.build_trees(directory):
            yield from search.in_tree(tree, "build-directory", base + min(at * 4, 24), TREE_DEPTH)


def from_project(search: Search) -> Iterator[Candidate]:
    """Yield files anywhere in the project, walked live within bounds; distance grows with the steps from the caller."""
    origin = search.anchors[0][0] if search.anchors else ""
    for root in roots.walk_roots(search.request):
        # From the caller outwards; directories that were read are not read again.
        start = origin if (origin + "/").startswith(root + "/") else root
        for directory in roots.parents_up_to(start, root):
            found = []
            for path, rule, _ in search.reader.walk(directory):
                late = any(part.lower() in walk.LATE for part in os.path.dirname(path[len(root) :]).split("/"))
                distance = DISTANCE["project"] + min(_steps(origin, os.path.dirname(path)) + 20 * late, 49)
                found.append(search.propose(path, "project", rule, distance))
            yield from search.ranked(found)


def _changed(path: str) -> int:
    """When a file was written, nanoseconds since 1970; 0 of what is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return 0


def _steps(start: str, end: str) -> int:
    one, two = start.split("/"), end.split("/")
    same = 0
    while same < min(len(one), len(two)) and one[same] == two[same]:
        same += 1
    return len(one) + len(two) - 2 * same


def from_search_roots(search: Search) -> Iterator[Candidate]:
    """Yield files below the directories that the settings name as ``search_roots``."""
    text = search.requested or search.names.name
    for at, root in enumerate(search.settings.search_roots):
        distance = DISTANCE["search-root"] + min(at, 20)
        root = os.path.expanduser(root)
        for tail in roots.tails(text):
            yield from search.in_directory(os.path.join(root, os.path.dirname(tail)), "search-root", distance)
        yield from search.in_tree(root, "search-root", distance, walk.MAX_DEPTH)


def from_archives(search: Search) -> Iterator[Candidate]:
    """Yield files inside the wheels, eggs and zip files that lie in the directories read so far, nearest first."""
    origin = search.anchors[0][0] if search.anchors else ""
    near = [(_steps(origin, os.path.dirname(path)), -_changed(path), path) for path in search.reader.archives]
    for steps, _, archive in sorted(near):
        yield from search.in_archive(archive, "archive", DISTANCE["archive"] + min(steps, 9))


def from_environment(search: Search) -> Iterator[Candidate]:
    """Yield files of this Python's environment and of the system, without walking either."""
    from dlrepair.search import environment

    for path, rule, source, step in environment.find_files(search.names, search.reader, search.requested):
        found = search.propose(path, source, rule, DISTANCE[source] + step)
        if found:
            yield found


#: In the order of distance. A far source (an index, archives) is one more function at the end.
SOURCES: tuple[Callable[[Search], Iterator[Candidate]], ...] = (
    from_variables,
    from_requested_directory,
    from_needing_library,
    from_build_siblings,
    from_tails,
    from_build_directories,
    from_project,
    from_archives,
    from_search_roots,
    from_environment,
)


def find_candidates(
    wanted: Wanted,
    request: LoadRequest,
    settings: Settings,
    deadline: float,
    *,
    notes: list[tuple[str, str]] | None = None,
) -> Iterator[Candidate]:
    """Yield files that may be the wanted library, nearest first, each once, until ``deadline`` (``time.monotonic()``).

    For a dependency ``wanted.requested`` is the library whose DT_NEEDED names it. Places that were skipped or
    left early are appended to ``notes`` as (place, reason). Lazy: a source runs when the ones before it
    are used up. Reads directories, opens nothing but the package lists of site-packages, ld.so.cache
    and that library.
    """
    if not wanted.name.rsplit("/", 1)[-1] or "\0" in wanted.name:
        return
    search = Search(wanted, request, settings, deadline)
    try:
        for source in SOURCES:
            yield from source(search)
            if search.reader.expired():
                search.reader.notes.append((source.__name__, "search budget used up: later sources not searched"))
                return
    finally:
        if notes is not None:
            notes.extend(search.reader.notes)
