"""One search under way: what is wanted, within which bounds, what was proposed already; how a place is asked."""

from __future__ import annotations

import os

from dlrepair.model.candidate import Candidate
from dlrepair.search import archives, reachable, roots, walk
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

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
    "content": 180,
    "search-root": 200,
    "site-packages": 230,
    "environment": 250,
    "other-environment": 270,
    "tool-cache": 290,
    "conda": 310,
    "cuda": 330,
    "login-path": 350,
    "system": 370,
    "cached-archive": 390,
    "index": 420,
}


def _slashed(path: str) -> str:
    """A path as it is meant: one written for Windows has backslashes, which separate nothing here."""
    return path.replace("\\", "/") if "\\" in path else path


class Search:
    """One search: what is wanted, by whom, within which bounds, and what was proposed already."""

    def __init__(self, wanted: Wanted, request: LoadRequest, settings: Settings, deadline: float) -> None:
        self.wanted = wanted
        self.request = request
        self.settings = settings
        #: the library whose DT_NEEDED names a wanted dependency
        self.needed_by = wanted.requested if wanted.role == "dependency" else ""
        self.requested = _slashed(wanted.requested or request.requested) if wanted.role == "substitute" else ""
        self.names = naming.Names(_slashed(wanted.name), wanted.loader, wanted.role, wanted.exact_name)
        self._patterns = tuple(settings.exclude)
        self.reader = walk.Reader(self.names, deadline, self.excluded if self._patterns else None)
        self.anchors = roots.anchors(request)
        self.index: Any = None  #: of far places; made when it is asked
        self._seen: set[str] = set()
        self._files: set[tuple[int, int, str]] = set()
        self.asked = self._absolute(self.requested)
        own = [directory for directory, _ in self.anchors]
        own += [one for one in map(os.path.expanduser, settings.search_roots) if reachable.answers(one)]
        own += [os.path.dirname(one) for one in (self.asked, self.needed_by) if one]
        self.reader.serve(own)
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
        return roots.is_excluded(path, self._patterns)

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
