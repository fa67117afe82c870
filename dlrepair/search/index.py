"""The index of far roots: where libraries lie in directories too many to be walked at every failure.

Asked only when everything nearer has failed. What it knows is proposed at once, each hit looked at again; then the
roots are compared with the disk, within the failing load's budget, and what is new is proposed. One process scans,
others use what is there or wait for it, for a bounded time. Without SQLite, a store or a lock the same roots are
walked, and nothing is remembered.
"""

from __future__ import annotations

import os
import time

from dlrepair.search import budget, catalogue, lookup, reachable, scan, stamps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Sequence

    from dlrepair.search.names import Names
    from dlrepair.search.scan import Tally

#: seconds for which a comparison with the disk is believed by the loads that fail meanwhile
FRESH = 2.0

#: the part of the time left that a scan may take: what it finds must be vetted within the same budget, and
#: what is tried when it finds nothing has to have its turn as well
SHARE = 0.3

#: seconds of a failing load that a scan leaves in any case
LEFT = 0.5

#: directories below the user's cache and home directories that tools fill with libraries
_CACHES = ("torch_extensions", "bazel", "dnnlib", "uv", "pypoetry/virtualenvs", "tensorflow_io", "jax", "keras")
_HOMES = (
    ".local/lib", ".virtualenvs", ".venvs", ".local/share/virtualenvs", ".local/share/hatch", ".conda/envs",
    ".conda/pkgs",
)
#: the same, of many thousand files that are seldom what is wanted: last
_PYTHONS = (".pyenv/versions", "miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")

_SYSTEM = ("/opt", "/usr/local")


#: the deadline of the failing load that has scanned last: it searches for several names, and scans once
_scanned: list[float] = []


def _nothing_excluded(path: str) -> bool:
    return False


def far_roots(search_roots: Sequence[str] = (), prefixes: Sequence[str] = ()) -> list[str]:
    """Return the existing roots, likeliest first, none inside another: configured ones, caches, /opt, environments.

    Never a home directory as a whole, another user's, or a directory in which everybody keeps everything.
    """
    from dlrepair.search import roots

    home = roots.home()
    cache = os.environ.get("XDG_CACHE_HOME", "") or (os.path.join(home, ".cache") if home else "")
    places = [os.path.expanduser(one) for one in search_roots]
    places += [os.path.join(home, name) for name in _HOMES] if home else []
    places += [os.path.join(cache, name) for name in _CACHES] if os.path.isabs(cache) else []
    for variable in ("TORCH_EXTENSIONS_DIR", "WORKON_HOME", "UV_CACHE_DIR", "MAMBA_ROOT_PREFIX"):
        places.append(os.environ.get(variable, ""))
    places += _SYSTEM
    places += prefixes
    places += [os.path.join(home, name) for name in _PYTHONS] if home else []
    found: list[str] = []
    for place in places:
        if not os.path.isabs(place):
            continue
        place = os.path.normpath(place)
        if not reachable.answers(place):
            continue
        wide = roots.never_walked(place) and place not in _SYSTEM and place not in search_roots
        inside = any((place + "/").startswith(other.rstrip("/") + "/") for other in found)
        if not wide and not inside and os.path.isdir(place):
            found.append(place)
    return found


class Index:
    """The index as one search uses it: roots, bounds, and notes for the journal as (place, reason)."""

    def __init__(
        self,
        roots: Sequence[str],
        deadline: float,
        excluded: Callable[[str], bool] = _nothing_excluded,
        notes: list[tuple[str, str]] | None = None,
    ) -> None:
        self.roots = tuple(roots)
        self.deadline = deadline
        self.excluded = excluded
        self.notes = notes if notes is not None else []
        self.began = time.time()

    def find_files(self, names: Names, soname: str = "") -> Iterator[tuple[str, str, str]]:
        """Yield (path, name rule, root) of files below the roots that bear the name, or ``soname``; each exists."""
        seen: set[str] = set()
        for hit in self.find_known(names, soname):
            seen.add(hit[0])
            yield hit
        for hit in self.find_new(names, soname):
            if hit[0] not in seen:
                yield hit

    def find_known(self, names: Names, soname: str = "") -> Iterator[tuple[str, str, str]]:
        """Yield what the index knows already, without reading any directory."""
        try:
            yield from self._known(catalogue.place(create=False), names, soname) if self.roots else ()
        except catalogue.Unusable:
            return  # ``find_new`` says why

    def find_new(self, names: Names, soname: str = "") -> Iterator[tuple[str, str, str]]:
        """Yield all that matches once the roots have been compared with the disk, as far as the time goes."""
        if not self.roots:
            return
        try:
            directory = catalogue.place(create=True)
            try:
                hits = self._updated(directory, names, soname)
            except catalogue.Damaged as damage:
                self.notes.append(("index", "made anew: {}".format(damage)))
                catalogue.discard(directory)
                del _scanned[:]
                hits = self._updated(directory, names, soname)
        except catalogue.Unusable as problem:
            self.notes.append(("index", "not used: {}".format(problem)))
            yield from self._walk(names)
            return
        yield from hits

    def _updated(self, directory: str, names: Names, soname: str) -> list[tuple[str, str, str]]:
        self._update(directory, bool(soname))
        return list(self._known(directory, names, soname))

    def _known(self, directory: str, names: Names, soname: str) -> Iterator[tuple[str, str, str]]:
        path = catalogue.file_path(directory)
        if not os.path.exists(path):
            return
        sonames = (soname,) if soname else ()
        answer = lookup.find(directory, map(os.fsencode, names.stems()), map(os.fsencode, sonames))
        if answer is not None:
            hits = catalogue.matching(answer[0], names, sonames, self.roots)
            given_up = catalogue.below(answer[1], self.roots)
        else:
            index = catalogue.Catalogue(path)
            try:
                hits = index.find(names, sonames, self.roots)
                given_up = index.data_directories(self.roots)
            finally:
                index.close()
        hits += [(os.path.join(place, names.name), "exact", self._root_of(place)) for place in given_up]
        order = {root: at for at, root in enumerate(self.roots)}
        for hit in sorted(hits, key=lambda one: (order.get(one[2], 0), one[0])):
            if os.path.lexists(hit[0]):
                yield hit

    def _root_of(self, path: str) -> str:
        for root in self.roots:
            if (path + "/").startswith(root.rstrip("/") + "/"):
                return root
        return ""

    def _due(self, directory: str) -> list[str]:
        """Return the roots that nobody has compared with the disk since this search began, or just before."""
        if not os.path.exists(catalogue.file_path(directory)):
            return list(self.roots)
        return [root for root in self.roots if stamps.checked_at(directory, root) < self.began - FRESH]

    def _update(self, directory: str, with_sonames: bool) -> None:
        now = time.monotonic()
        end = self.deadline + budget.waited_since(self.deadline)
        limit = budget.deadline_in(min((end - now) * SHARE, end - LEFT - now))  # waiting prolongs it as well
        if now >= limit or self.deadline in _scanned or not self._due(directory):
            return
        _scanned[:] = [self.deadline]
        writer = catalogue.Writer(directory)
        try:
            if not writer.lock(limit):
                self.notes.append(("index", "another process is scanning: what it has not found yet is not known"))
                return
            due = self._due(directory)
            if due:
                tally = refresh(writer, due, limit, self.excluded, with_sonames)
                self.notes += tally.notes
                self.notes.append((catalogue.file_path(directory), tally.text()))
        finally:
            writer.close()

    def _walk(self, names: Names) -> Iterator[tuple[str, str, str]]:
        """Yield files as ``find_files`` does, read from the disk now."""
        from dlrepair.search import mounts, walk

        now = time.monotonic()
        slow = mounts.find_slow()
        reader = walk.Reader(names, now + (self.deadline - now) * SHARE, self.excluded)
        for root in self.roots:
            reason = mounts.why_slow(os.path.realpath(root), slow)
            if reason:
                self.notes.append((root, reason))
                continue
            for path, rule, _ in reader.walk(root, 12):
                yield path, rule, root
        self.notes += reader.notes


def refresh(
    writer: catalogue.Writer,
    roots: Sequence[str],
    deadline: float,
    excluded: Callable[[str], bool] = _nothing_excluded,
    with_sonames: bool = True,
    progress: Callable[[str, int], None] | None = None,
) -> Tally:
    """Compares the roots with the disk and publishes what has changed. The lock is held. Raises ``Unusable``."""
    one = scan.Scan(writer, deadline, excluded, progress)
    tally = one.run(roots)
    if tally.full:  # what others have asked for longest ago makes room for the next scan
        from dlrepair.search import evict

        evict.shrink(writer, roots, time.time())
    if with_sonames and one.unread and not budget.is_over(deadline):
        scan.read_sonames(writer, deadline)
    writer.publish()
    return tally


def rebuild(
    roots: Sequence[str], excluded: Callable[[str], bool], progress: Callable[[str, int], None] | None = None
) -> tuple[Tally, int, int]:
    """Make the index anew, without a bound on time: (what was done, libraries and bytes in it). Raises ``Unusable``."""
    directory = catalogue.place(create=True)
    writer = catalogue.Writer(directory)
    try:
        writer.lock(time.monotonic() + 3600.0)
        catalogue.discard(directory)
        tally = refresh(writer, roots, time.monotonic() + 1e9, excluded, True, progress)
    finally:
        writer.close()
    index = catalogue.Catalogue(catalogue.file_path(directory))
    try:
        libraries = index.counts()[1]
    finally:
        index.close()
    return tally, libraries, os.path.getsize(index.path)
