"""Propose files that may be the wanted library, nearest first and only as far as somebody asks.

The order and the directory names come from a survey of where real projects build their ops and where
real code looks for them. A source is one generator function from a ``Search`` to candidates; the
order is the tuple ``SOURCES``. Nothing is opened: names propose, ``vet`` reads.
"""

from __future__ import annotations

import os
import sys

from dlrepair.search import archives, content, data, reachable, roots, variables, walk
from dlrepair.search import names as naming
from dlrepair.search.proposals import DISTANCE, Search

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.requests import LoadRequest
    from dlrepair.settings import Settings

#: How deep such a directory is walked before its siblings get their turn.
TREE_DEPTH = 4


def from_variables(search: Search) -> Iterator[Candidate]:
    """Yield the file that one of the user's own environment variables names, or that lies where it points to.

    ``FOO_LIB=/opt/foo/libfoo.so`` or ``FOO_DATAPATH=/opt/foo``: what somebody set by hand outranks every search.
    """
    for name, value in sorted(os.environ.items()):
        if not name.endswith(variables.ENDINGS) or name in variables.LOADERS:
            continue
        for place in value.split(os.pathsep):
            if not os.path.isabs(place) or not reachable.answers(place):
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
    for place in _run_path(search):
        yield from search.in_directory(place, "needed-by", base)
    for at, place in enumerate(places):
        yield from search.in_directory(place, "needed-by", base + min(at, 3))
    for tree in search.build_trees(os.path.dirname(os.path.abspath(search.needed_by))):
        yield from search.in_tree(tree, "needed-by", base + 4, TREE_DEPTH)
    yield from _run_path_tails(search, base + 5)


def _run_path(search: Search) -> Iterator[str]:
    """The needing library's own run path, which ld.so did not come to if it took a wrong copy before (ld.so(8))."""
    from dlrepair.binary import elf

    facts = elf.read_facts(search.needed_by).elf if search.needed_by and search.wanted.exclude else None
    if facts is None:
        return
    origin = os.path.dirname(os.path.abspath(search.needed_by))
    for entry in (facts.runpath or facts.rpath or "").split(":"):
        place = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        if os.path.isabs(place) and "$" not in place:
            yield os.path.normpath(place)


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
                late = any(part.lower() in data.LATE for part in os.path.dirname(path[len(root) :]).split("/"))
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
        if not reachable.answers(root):
            continue
        for tail in roots.tails(text):
            yield from search.in_directory(os.path.join(root, os.path.dirname(tail)), "search-root", distance)
        yield from search.in_tree(root, "search-root", distance, walk.MAX_DEPTH)


def from_archives(search: Search) -> Iterator[Candidate]:
    """Yield files inside the wheels, eggs and zip files that lie in the directories read so far, nearest first."""
    origin = search.anchors[0][0] if search.anchors else ""
    near = [(_steps(origin, os.path.dirname(path)), -_changed(path), path) for path in search.reader.archives]
    for steps, _, archive in sorted(near):
        yield from search.in_archive(archive, "archive", DISTANCE["archive"] + min(steps, 9))


def from_content(search: Search) -> Iterator[Candidate]:
    """Yield libraries of other names, met in the directories read so far, that hold what the caller asks for."""
    if not content.says_enough(search.wanted):
        return
    origin = search.anchors[0][0] if search.anchors else ""
    near = sorted((_steps(origin, os.path.dirname(path)), path) for path in search.reader.others)
    for steps, path in near:
        if search.reader.expired():
            return
        for held in content.find_holders((path,), search.wanted):
            found = search.propose(held, "content", "content", DISTANCE["content"] + min(steps, 9))
            if found:
                yield found


#: The sources of ``far``, by name, so that it is imported only when their turn comes.
_FAR = ("site_packages", "library_path", "other_environments", "tool_caches", "conda", "cuda", "login_paths", "system")


def _far(name: str) -> Callable[[Search], Iterator[Candidate]]:
    """Return a source of this module made from the one of ``far`` of that name."""

    def source(search: Search) -> Iterator[Candidate]:
        from dlrepair.search import far

        near = [directory for directory, _ in search.anchors]
        asked = far.Far(search.names, search.reader, search.requested, search.wanted.role, near)
        for path, rule, kind, step in getattr(far, "in_" + name)(asked):
            found = search.propose(path, kind, rule, DISTANCE[kind] + step)
            if found:
                yield found

    source.__name__ = "from_" + name
    return source


def from_cached_archives(search: Search) -> Iterator[Candidate]:
    """Yield files inside zipped packages on ``sys.path`` and the wheels that pip and uv have built and kept."""
    from dlrepair.search import caches

    zipped = [path for path in sys.path if path.endswith(archives.ENDINGS) and os.path.isfile(path)]
    for at, archive in enumerate(zipped):
        yield from search.in_archive(os.path.abspath(archive), "site-packages", DISTANCE["cached-archive"] + min(at, 9))
    for archive in caches.cached_wheels():
        yield from search.in_archive(archive, "tool-cache", DISTANCE["cached-archive"] + 10)


def from_index(search: Search) -> Iterator[Candidate]:
    """Yield what the index knows of directories too many to be walked: proposed before anything is scanned."""
    return _indexed(search, scanned=False)


def from_index_scan(search: Search) -> Iterator[Candidate]:
    """Yield what is new in those directories: they are compared with the disk now, within the budget."""
    return _indexed(search, scanned=True)


def _indexed(search: Search, scanned: bool) -> Iterator[Candidate]:
    from dlrepair.search import index, prefixes

    wanted = search.wanted
    if search.index is None:
        near = [directory for directory, _ in search.anchors]
        others = prefixes.find_prefixes(search.reader.environments, near, search.reader.is_remote)
        places = index.far_roots(search.settings.search_roots, others)
        search.index = index.Index(places, search.reader.deadline, search.excluded, search.reader.notes)
    found: index.Index = search.index
    soname = wanted.name if wanted.role == "dependency" else ""
    for path, rule, root in (found.find_new if scanned else found.find_known)(search.names, soname):
        if not naming.is_plain(rule):
            continue
        if wanted.role != "dependency" and prefixes.is_prefix(root) and not prefixes.has_this_python(root):
            continue
        candidate = search.propose(path, "index", rule, DISTANCE["index"] + min(found.roots.index(root), 60))
        if candidate:
            yield candidate


#: In the order of distance.
SOURCES: tuple[Callable[[Search], Iterator[Candidate]], ...] = (
    from_variables,
    from_requested_directory,
    from_needing_library,
    from_build_siblings,
    from_tails,
    from_build_directories,
    from_project,
    from_archives,
    from_content,
    from_search_roots,
    *(_far(name) for name in _FAR),
    from_cached_archives,
    from_index,
    from_index_scan,
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
    and that library; the index of far places is written.
    """
    if not wanted.name.rsplit("/", 1)[-1] or "\0" in wanted.name:
        return
    for batch in _batches(Search(wanted, request, settings, deadline), notes, 0):
        yield from batch


def find_batches(
    wanted: Wanted,
    request: LoadRequest,
    settings: Settings,
    deadline: float,
    *,
    notes: list[tuple[str, str]] | None = None,
) -> Iterator[list[Candidate]]:
    """Yield what ``find_candidates`` does, in lists to be ranked: all that lies near together, then source by source.

    A later source is asked only when the caller wants more than the lists so far: the project is walked only then.
    """
    if not wanted.name.rsplit("/", 1)[-1] or "\0" in wanted.name:
        return
    for batch in _batches(Search(wanted, request, settings, deadline), notes, SOURCES.index(from_project)):
        found = list(batch)
        if found:
            yield found


def find_near(wanted: Wanted, request: LoadRequest, settings: Settings, deadline: float) -> list[Candidate]:
    """What lies where a file of the name is looked for first: all that ``find_batches`` looks at before the project."""
    return list(next(_batches(Search(wanted, request, settings, deadline), None, SOURCES.index(from_project)), ()))


def _batches(search: Search, notes: list[tuple[str, str]] | None, together: int) -> Iterator[Iterator[Candidate]]:
    """Yield the candidates of the first ``together`` sources as one iterator, then those of each."""
    reader = search.reader
    stages = [SOURCES[:together]] if together else []
    stages += [(source,) for source in SOURCES[together:]]
    try:
        for stage in stages:
            yield (candidate for source in stage for candidate in _until_expired(source, search))
            if reader.expired():
                reader.notes.append((stage[-1].__name__, "search budget used up: later sources not searched"))
                return
    finally:
        if notes is not None:
            notes.extend(reader.notes)
            notes.extend(reachable.silent())


def _until_expired(source: Callable[[Search], Iterator[Candidate]], search: Search) -> Iterator[Candidate]:
    """Yield what a source proposes; nothing once the time is up, but for the very first source."""
    if source is SOURCES[0] or not search.reader.expired():
        yield from source(search)
