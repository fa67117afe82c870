"""Read directories within bounds: each one at most once in a search, directories of data hardly at all."""

from __future__ import annotations

import os
import sys
from itertools import islice
from time import monotonic

from dlrepair.search import archives, budget, data, mounts
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

    from dlrepair.search import helper
    from dlrepair.search.names import Names

#: Never entered: they hold no built library of the project, or another environment's.
SKIPPED = frozenset(
    (".git", ".hg", ".svn", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
     ".ruff_cache", ".ipynb_checkpoints", "site-packages", "dist-packages", "CMakeFiles")
)  # fmt: skip

#: Entered first: libraries are built or put there. So are those named like the wanted library. In a tree that the
#: time does not reach the end of, that decides whether it is found; how near it lies decides among what is found.
SOON = frozenset(
    ("lib", "libs", "lib64", ".libs", "build", "bin", "out", "dist", "target", "ops", "tf_ops", "custom_ops",
     "user_ops", "Release", "Debug", "release", "debug", "bazel-bin", "prebuilt", "native", "_skbuild")
)  # fmt: skip
_SOON_STARTS = ("build", "cmake-build", "lib.")

MAX_DEPTH = 8
#: Directories that one search reads, most: a failing load's, and one that a person waits for (``dlrepair fix``).
MAX_DIRECTORIES = 20000
MAX_DIRECTORIES_PATIENT = 1000000
#: seconds from which a search is such a one
_PATIENT = 3600.0
#: So many directories that are known and not read yet make a walk a wide one, in which a second process helps.
WIDE = 200
#: So many libraries of other names are kept in mind, to be looked at by content when no name leads anywhere.
MAX_OTHERS = 400
#: This many entries without one library make a directory one of data.
DATA_ENTRIES = 2000

#: What no name in a directory of sources holds: without any of these, and of none of the wanted names that have no
#: such part, only directories and links matter.
_MARKS = (".so", "pyvenv.cfg", *archives.ENDINGS)
#: Endings of files that are kept in mind, and so are no data.
_NO_DATA = (".so", *archives.ENDINGS)


class Listing:
    """What one directory holds that matters: names that match, directories to enter."""

    __slots__ = ("archives", "links", "matches", "others", "reason", "subdirs", "venv")

    def __init__(self) -> None:
        self.matches: list[tuple[str, str]] = []
        self.subdirs: list[str] = []
        self.archives: list[str] = []  #: wheels, eggs, zip files
        self.others: list[str] = []  #: libraries whose names do not match
        self.links: list[str] = []  #: symbolic links, of which some may lead to directories
        self.reason = ""  #: why it was not read to its end
        self.venv = False


#: of a directory in which nothing matters
_NOTHING = Listing()


class Reader:
    """Reads directories for one search; what was read once is not read again.

    ``deadline`` is ``time.monotonic()`` seconds. Directories that vanish or cannot be read are
    empty, with the reason kept in ``notes`` for the journal.
    """

    def __init__(self, names: Names, deadline: float, excluded: Callable[[str], bool] | None) -> None:
        self.names = names
        self.deadline = deadline
        self.excluded = excluded
        self.notes: list[tuple[str, str]] = []
        self.directories = 0
        self.most = MAX_DIRECTORIES if deadline - monotonic() < _PATIENT else MAX_DIRECTORIES_PATIENT
        self._cache: dict[str, Listing | None] = {}
        self._unmarked = frozenset(name for name in names.table if not any(mark in name for mark in _MARKS))
        self._word = naming.word(names.stem)
        self._slow: dict[str, str] | None = None  #: mount points that are not entered
        self._network: dict[str, str] = {}  #: those of them that another machine has to answer for
        self._served: set[str] = set()  #: of these, the ones on which this program itself lies
        self._help: helper.Help | None = None  #: in a wide walk, a second process that lists some of its directories
        #: what was met on the way, in the order of reading: archives, libraries of other names, other environments
        self.archives: list[str] = []
        self.others: list[str] = []
        self.environments: list[str] = []

    def serve(self, places: Iterable[str]) -> None:
        """Read the file systems of these places whatever they are: the program, or who set it up, relies on them."""
        self._find_mounts()
        if self._network:
            self._served |= {self._mount_above(place) for place in places if isinstance(place, str)}

    def _find_mounts(self) -> None:
        if self._slow is None:
            self._slow = mounts.find_slow()
            self._network = {place: kind for place, kind in self._slow.items() if kind not in mounts.PSEUDO}
            self.serve([*sys.path, sys.prefix])

    def _mount_above(self, path: str) -> str:
        """The network mount on which ``path`` lies, "" for none; by its text, since to ask a server may hang."""
        above = [place for place in self._network if (path + "/").startswith(place + "/")]
        return max(above, key=len) if above else ""

    def is_remote(self, directory: str) -> bool:
        """Tell whether a directory lies on a network file system that nobody here relies on; said once a directory."""
        self._find_mounts()
        mount = self._mount_above(directory) if self._network else ""
        if not mount or mount in self._served:
            return False
        note = (directory, "a network file system ({}): not walked".format(self._network[mount]))
        if note not in self.notes:
            self.notes.append(note)
        return True

    def expired(self) -> bool:
        """Tell whether the time budget is used up."""
        return monotonic() >= self.deadline and budget.is_over(self.deadline)

    def listing(self, directory: str) -> Listing | None:
        """Return what ``directory`` holds, None when it is no readable directory, is excluded or time is up."""
        if directory in self._cache:
            return self._cache[directory]
        if monotonic() >= self.deadline and self.expired():
            return None
        if self.excluded is not None and self.excluded(directory):
            self.notes.append((directory, "excluded by the settings"))
            found = None
        elif (self._slow is None or self._network) and self.is_remote(directory):
            found = None
        else:
            found = self._read(directory)
        self._cache[directory] = found
        return found

    def _read(self, directory: str) -> Listing | None:
        known = self._help.answers.pop(directory, None) if self._help is not None else None
        if known is not None:
            return self._take_over(directory, known)
        try:
            entries = os.scandir(directory)
        except (OSError, ValueError) as error:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                self.notes.append((directory, getattr(error, "strerror", None) or str(error)))
            return None
        self.directories += 1
        chunk: list[os.DirEntry[str]] = []
        found = _NOTHING
        with entries:
            try:
                chunk.extend(islice(entries, data.SAMPLE))
                if len(chunk) < data.SAMPLE:
                    if not chunk:
                        return found
                    found = self._sort_few(chunk)
                else:
                    found = Listing()
                    self._sort_entries(chunk, entries, found)
            except OSError as error:
                if found is _NOTHING:  # what was read before the error counts
                    found = Listing()
                    self._sort_chunk(chunk, found)
                found.reason = error.strerror or str(error)
        return found if found is _NOTHING else self._finish(directory, found)

    def _take_over(self, directory: str, known: list[bytes]) -> Listing:
        """Make a listing of what the second process says: nothing but sources, and these directories and links."""
        self.directories += 1
        if not known:
            return _NOTHING
        found = Listing()
        for text in known:
            (found.subdirs if text[:1] == b"d" else found.links).append(os.fsdecode(text[1:]))
        found.venv = "conda-meta" in found.subdirs
        return self._finish(directory, found)

    def _avoided(self, target: str) -> bool:
        """Tell whether a link's target is not to be asked about."""
        return bool(self._network) and self.is_remote(target)

    def _may_share(self, directory: str) -> bool:
        """Tell whether ``walk`` would open this directory, as far as its name tells; nothing is noted."""
        if (self.excluded is not None and self.excluded(directory)) or (self._slow and directory in self._slow):
            return False
        mount = self._mount_above(directory) if self._network else ""
        return not mount or mount in self._served

    def _finish(self, directory: str, found: Listing) -> Listing:
        """Put a listing in order, and keep in mind what was met on the way."""
        found.subdirs.sort()
        if found.links:
            found.links.sort()
        if found.archives:
            self.archives += [os.path.join(directory, name) for name in sorted(found.archives)]
        if found.others and len(self.others) < MAX_OTHERS:
            self.others += [os.path.join(directory, name) for name in sorted(found.others)]
        if found.venv:
            self.environments.append(directory)
        if found.reason:
            self.notes.append((directory, found.reason))
            self._try_names(directory, found)
        return found

    def _sort_few(self, chunk: list[os.DirEntry[str]]) -> Listing:
        """Sort all entries of a directory; most hold nothing but sources, and share one empty listing."""
        others = self._only_others(chunk)
        if others is not None and not others:
            return _NOTHING
        found = Listing()
        if others is None:
            self._sort_each(chunk, found)
        else:
            for entry in others:
                self._sort_other(entry, found)
        return found

    def _sort_entries(self, chunk: list[os.DirEntry[str]], entries: Iterator[os.DirEntry[str]], found: Listing) -> None:
        """Take the entries by the hundred: most hundreds hold sources only, which one look at all names tells."""
        libraries = self._sort_chunk(chunk, found)
        if not (found.subdirs or found.links) and self._is_of_data(chunk):
            found.reason = "nothing but files of data"
            return
        count = room = len(chunk)
        while len(chunk) == room:
            if self.expired():
                found.reason = "search budget used up"
                return
            room = data.SAMPLE if count >= DATA_ENTRIES else min(data.SAMPLE, DATA_ENTRIES - count)
            chunk = list(islice(entries, room))
            libraries += self._sort_chunk(chunk, found)
            count += len(chunk)
            if count >= DATA_ENTRIES and not libraries:
                found.reason = "more than {} entries and no library among them: data".format(DATA_ENTRIES)
                found.subdirs = []
                found.links = []
                return

    def _only_others(self, chunk: list[os.DirEntry[str]]) -> list[os.DirEntry[str]] | None:
        """Return the entries that are no regular files; None where some name has to be looked at."""
        names = [entry.name for entry in chunk]
        text = "/".join(names)
        for mark in _MARKS:
            if mark in text:
                return None
        if self._unmarked and not self._unmarked.isdisjoint(names):
            return None
        return [entry for entry in chunk if not entry.is_file(follow_symlinks=False)]

    def _sort_chunk(self, chunk: list[os.DirEntry[str]], found: Listing) -> int:
        """Sort entries into ``found``; how many of them may be libraries."""
        others = self._only_others(chunk)
        if others is None:
            return self._sort_each(chunk, found)
        for entry in others:
            self._sort_other(entry, found)
        return 0

    def _sort_each(self, chunk: list[os.DirEntry[str]], found: Listing) -> int:
        exact = self.names.table
        libraries = 0
        for entry in chunk:
            name = entry.name
            rule = exact.get(name)
            if rule is None and ".so" in name:
                libraries += 1
                rule = self.names.match(name)
            if rule is not None:
                libraries += 1
                found.matches.append((name, rule))
            elif name.endswith(archives.ENDINGS):
                found.archives.append(name)
            elif name.endswith(".so"):
                found.others.append(name)
            elif not entry.is_file(follow_symlinks=False):
                self._sort_other(entry, found)
            elif name == "pyvenv.cfg":
                found.venv = True
        return libraries

    @staticmethod
    def _sort_other(entry: os.DirEntry[str], found: Listing) -> None:
        """Sort an entry that is no regular file."""
        if entry.is_dir(follow_symlinks=False):
            found.subdirs.append(entry.name)
            if entry.name == "conda-meta":
                found.venv = True
        elif entry.is_symlink():
            found.links.append(entry.name)

    def _is_of_data(self, chunk: list[os.DirEntry[str]]) -> bool:
        """Tell whether entries, none of them a directory or a link, are all named like files of data."""
        exact, match = self.names.table, self.names.match
        return all(
            data.is_data_name(name) and name not in exact and not name.endswith(_NO_DATA) and not match(name)
            for name in (entry.name for entry in chunk)
        )

    def _try_names(self, directory: str, found: Listing) -> None:
        """Look the wanted names up where the directory was not read to its end."""
        have = {name for name, _ in found.matches}
        for name, rule in self.names.table.items():
            if name not in have and os.path.lexists(os.path.join(directory, name)):
                found.matches.append((name, rule))

    def walk(self, root: str, depth: int = MAX_DEPTH) -> Iterator[tuple[str, str, int]]:
        """Yield (path, rule, levels below ``root``) of files that match: likely directories first, then breadth first.

        Other environments (virtualenv, conda), version control and caches are not entered; a directory reached twice
        through links is read once. Bounded by depth, number and the deadline.
        """
        try:
            yield from self._walk(root, depth)
        except BaseException:
            if self._help is not None:
                self._help.abandon()
            raise
        finally:
            done, self._help = self._help, None
            if done is not None:
                done.end()

    def _walk(self, root: str, depth: int) -> Iterator[tuple[str, str, int]]:
        from dlrepair.search import roots

        if self.is_remote(root):
            return
        of_data: dict[str, int] = {}
        queue: list[tuple[str, int]] = [(root, 0)]
        soon: list[tuple[str, int]] = []
        late: list[tuple[str, int]] = []
        followed: set[tuple[int, int]] = set()
        at = 0
        while True:
            if soon:
                directory, level = soon.pop()
            else:
                if at >= len(queue):
                    if not late:
                        return
                    queue, late, at = late, [], 0
                directory, level = queue[at]
                at += 1
                if self._help is not None:
                    self._help.follow(queue, at)
                elif len(queue) - at >= WIDE:
                    from dlrepair.search import helper

                    self._help = helper.Help(_MARKS, self._unmarked, self._may_share)
            if self.directories >= self.most:
                self.notes.append((root, "more than {} directories: not walked to its end".format(self.most)))
                return
            if monotonic() >= self.deadline and self.expired():
                self.notes.append((root, "search budget used up: not walked to its end"))
                return
            if self._slow and level and (directory in self._slow) and self._slow[directory] in mounts.PSEUDO:
                continue
            if self._network and level and self.is_remote(directory):
                continue
            if of_data and of_data.get(os.path.dirname(directory), 0) >= data.SIBLINGS:  # asked, not opened
                if os.path.lexists(os.path.join(directory, self.names.name)):
                    yield os.path.join(directory, self.names.name), "exact", level
                continue
            listing = self.listing(directory)
            if listing is _NOTHING or listing is None or (listing.venv and level):
                continue
            if "data" in listing.reason:
                parent = os.path.dirname(directory)
                of_data[parent] = of_data.get(parent, 0) + 1
                if of_data[parent] == data.SIBLINGS:
                    self.notes.append((parent, "directories of data: the others are not read"))
            for name, rule in listing.matches:
                yield os.path.join(directory, name), rule, level
            if level >= depth:
                continue
            below = directory if directory.endswith("/") else directory + "/"
            for name in listing.subdirs:
                if name in SKIPPED or name.endswith((".dist-info", ".egg-info")):
                    continue
                if name in SOON or (self._word and self._word in name) or name.startswith(_SOON_STARTS):
                    soon.append((below + name, level + 1))
                else:
                    (late if name.lower() in data.LATE else queue).append((below + name, level + 1))
            for name in listing.links:
                target = "" if name in SKIPPED else roots.linked_directory(root, below + name, followed, self._avoided)
                if target:
                    late.append((target, level + 1))
