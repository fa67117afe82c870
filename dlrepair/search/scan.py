"""Brings the index up to date with the disk: directories that have changed are read again, and nothing else.

A directory's signature is made of its times and inode: adding, removing or renaming an entry changes it, writing into
a file does not (hence every hit is looked at again). Directories that were met and not read yet are kept as pending,
so that a scan which runs out of time is continued by the next one.
"""

from __future__ import annotations

import os
import time

from dlrepair.search import budget, catalogue, data, flat, mounts, stamps
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from dlrepair.search.catalogue import Catalogue, Writer
    from dlrepair.search.flat import Known

#: Never entered: version control, caches, and what holds no library whatever lies there.
SKIPPED = frozenset(
    (".git", ".hg", ".svn", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
     ".ruff_cache", ".ipynb_checkpoints", "CMakeFiles", ".Trash", "lost+found", "stubs")
)  # fmt: skip

#: entries of one directory without any library, after which it is one of data (names with other endings included)
DATA_ENTRIES = 2000

#: seconds within which a change may leave a directory's times as they are
_SETTLE = 2.0
#: the same where the file system keeps parts of a millisecond
_FINE_SETTLE = 0.1

#: the part of the time that goes into comparing known directories before changed ones are read
_COMPARE = 0.7

#: directories between two looks at the clock: those read, and those whose times are compared
_STRIDE = 64
_STAT_STRIDE = 256

#: seconds between two publications of a long scan
_PUBLISH = 5.0

_INSERT = "INSERT OR IGNORE INTO directories (path, signature) VALUES (?, -1)"


def signature_of(info: os.stat_result) -> int:
    """Return one positive number for a directory's mtime, ctime and inode."""
    mixed = (info.st_mtime_ns * 1000003 ^ info.st_ctime_ns) * 1000003 ^ info.st_ino
    return (mixed & 0x7FFFFFFFFFFFFFFF) or 1


class Tally:
    """What a scan has done."""

    __slots__ = ("compared", "directories", "files", "full", "libraries", "notes", "seconds", "whole")

    def __init__(self) -> None:
        self.compared = 0  #: known directories whose times were compared
        self.directories = 0  #: directories that were read
        self.files = 0  #: entries read in them
        self.libraries = 0  #: libraries found in them
        self.seconds = 0.0
        self.full = False  #: whether the index had no room for more
        self.whole = True  #: whether the roots were gone through to their ends
        self.notes: list[tuple[str, str]] = []

    def text(self) -> str:
        """What was done, for the journal."""
        return "indexed: {} directories compared, {} read with {} entries and {} libraries, {:.0f} ms{}".format(
            self.compared, self.directories, self.files, self.libraries, self.seconds * 1e3,
            "" if self.whole else "; not to the end",
        )  # fmt: skip


class Scan:
    """One pass over some roots, by the holder of the index's lock."""

    def __init__(
        self,
        writer: Writer,
        deadline: float,
        excluded: Callable[[str], bool],
        progress: Callable[[str, int], None] | None = None,
    ) -> None:
        self.writer = writer
        self.deadline = deadline
        self.excluded = excluded
        self.progress = progress
        self.tally = Tally()
        self.slow = mounts.find_slow()
        self._changed = False
        self._published = time.monotonic()
        self._data_below: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._libraries: list[tuple[Any, ...]] = []
        self._directories: list[tuple[bytes]] = []
        self._data: list[tuple[int]] = []
        self._stop = False
        self._flat: Known | None = None  #: what is published, as long as nothing is changed
        self._reader: Catalogue | None = None  #: the same as a database, where there is no flat file
        self.unread = True  #: whether there are libraries whose SONAMEs are not known yet

    def run(self, roots: Iterable[str]) -> Tally:
        """Return what was done. Raises ``Unusable``."""
        began = time.monotonic()
        try:
            for root in roots:
                if not self._stop:
                    self._root(root)
            self.flush()
            self.unread = self._asks_for_sonames()
        finally:
            if self._reader is not None:
                self._reader.close()
        self.tally.seconds = time.monotonic() - began
        return self.tally

    @property
    def catalogue(self) -> Catalogue:
        """The copy that is being changed; made when the first change is met."""
        if self.writer.catalogue is None:
            self.writer.open()
        assert self.writer.catalogue is not None
        return self.writer.catalogue

    def _root(self, root: str) -> None:
        reason = mounts.why_slow(os.path.realpath(root), self.slow)
        if reason:
            self.tally.notes.append((root, reason))
            return
        changed, gone, met, whole = self._compare(root)
        if gone:
            self.catalogue.many("DELETE FROM libraries WHERE directory = ?", gone)
            self.catalogue.many("DELETE FROM data WHERE directory = ?", gone)
            self.catalogue.many("DELETE FROM directories WHERE id = ?", gone)
        if not met:
            if not os.path.isdir(root):
                return
            self.catalogue.run(_INSERT, (os.fsencode(root),))
            rows = self.catalogue.rows("SELECT id FROM directories WHERE path = ?", (os.fsencode(root),))
            changed.append((rows[0][0], os.fsencode(root)))
        done = self._read_all(root, changed) and whole
        stamps.note_check(self.writer.directory, root, done)
        self.tally.whole = self.tally.whole and done

    # --- what is known: its times

    def _compare(self, root: str) -> tuple[list[tuple[int, bytes]], list[tuple[int]], bool, bool]:
        """Return (directories to be read, ids of those gone, whether the root was known, whether all was compared)."""
        changed: list[tuple[int, bytes]] = []
        gone: list[tuple[int]] = []
        whole = True
        known = self._known(root)
        now = time.monotonic()
        limit = now + (self.deadline - now) * _COMPARE
        start = int.from_bytes(os.urandom(4), "big") % (len(known) or 1)
        known = known[start:] + known[:start]  # what one budget does not reach another one will
        for at in range(0, len(known), _STAT_STRIDE):
            if time.monotonic() - budget.waited_since(self.deadline) >= limit:
                self.tally.notes.append((root, "search budget used up: not all of it was compared with the index"))
                whole = False
                break
            self._compare_some(known[at : at + _STAT_STRIDE], changed, gone)
        self.tally.compared += len(known)
        return changed, gone, bool(known), whole

    def _compare_some(self, rows: list[Any], changed: list[tuple[int, bytes]], gone: list[tuple[int]]) -> None:
        """Sort rows whose directory has changed or gone; of a signature that stands for something else all have."""
        stat = os.stat
        for number, path, signature in rows:
            try:
                info = stat(path)
            except OSError:
                if not self._still_excluded(path, signature):
                    gone.append((number,))
                continue
            if (
                ((info.st_mtime_ns * 1000003 ^ info.st_ctime_ns) * 1000003 ^ info.st_ino) & 0x7FFFFFFFFFFFFFFF
            ) != signature or not signature:
                if not self._still_excluded(path, signature):
                    changed.append((number, path))

    def _still_excluded(self, path: bytes, signature: int) -> bool:
        return signature == catalogue.EXCLUDED and self.excluded(os.fsdecode(path))

    def _known(self, root: str) -> list[Any]:
        """Return the rows of a root, from the published file as long as nothing is changed."""
        if self.writer.catalogue is not None:
            return self.writer.catalogue.directories(root)
        if self._flat is None and self._reader is None:
            self._flat = flat.read(self.writer.directory)
        if self._flat is not None:
            return self._flat.directories(root)
        try:
            if self._reader is None:
                self._reader = catalogue.Catalogue(catalogue.file_path(self.writer.directory))
        except catalogue.Unusable:
            return []
        try:
            others = {one for one, _ in stamps.checked_roots(self.writer.directory)} - {root}
            return self._reader.directories(root, alone=not others)
        except catalogue.Unusable:
            return self.catalogue.directories(root)  # the writer begins anew where it finds damage

    def _asks_for_sonames(self) -> bool:
        if self.writer.catalogue is None and self._flat is not None:
            return self._flat.unread
        if self.writer.catalogue is not None or self._reader is None:
            return True
        return bool(self._reader.rows("SELECT 1 FROM libraries WHERE soname IS NULL LIMIT 1"))

    def _out_of_time(self, root: str) -> None:
        self._stop = True
        self.tally.notes.append((root, "search budget used up: the index of it is continued next time"))

    # --- what is not: its entries

    def _read_all(self, root: str, queue: list[tuple[int, bytes]]) -> bool:
        """Reads the directories of ``queue`` and all that are met below them; False when time or room ran out."""
        at = 0
        room = -1
        while True:
            if at >= len(queue):
                queue = self._pending(root)
                at = 0
                if not queue:
                    return True
                if room < 0:
                    directories, libraries = self.catalogue.counts()
                    room = min(catalogue.MAX_DIRECTORIES - directories, catalogue.MAX_LIBRARIES - libraries)
                if room <= 0:
                    self.tally.full = True
                    self.tally.notes.append((root, "the index is full: not walked to its end"))
                    return False
            number, path = queue[at]
            at += 1
            room -= 1
            self._read(number, path)
            if not at % _STRIDE:
                now = time.monotonic()
                if self.progress is not None:
                    self.progress(os.fsdecode(path), _STRIDE)
                if now >= self.deadline and budget.is_over(self.deadline):
                    self._out_of_time(root)
                    return False
                if now - self._published > _PUBLISH:
                    self.flush()
                    self.writer.publish(last=False)
                    self._published = now

    def _pending(self, root: str) -> list[tuple[int, bytes]]:
        """Return the next directories that were met and not read: level by level, as they were met."""
        self.flush()
        if self.writer.catalogue is None:
            return []  # nothing has changed, and what is published was asked by ``_compare``
        top, low, high = catalogue.bounds(root)
        statement = "SELECT id, path FROM directories WHERE signature = -1 AND (path = ? OR (path >= ? AND path < ?))"
        return self.catalogue.rows(statement + " LIMIT 20000", (top, low, high))

    def flush(self) -> None:
        """Writes down what was read so far."""
        if not self._rows and not self._directories:
            return
        index = self.catalogue
        index.many("DELETE FROM libraries WHERE directory = ?", [(row[1],) for row in self._rows])
        index.many("DELETE FROM data WHERE directory = ?", [(row[1],) for row in self._rows])
        index.many("INSERT OR REPLACE INTO libraries VALUES (?, ?, ?, NULL, NULL, NULL)", self._libraries)
        index.many(_INSERT, self._directories)
        index.many("INSERT OR REPLACE INTO data VALUES (?)", self._data)
        index.many("UPDATE directories SET signature = ? WHERE id = ?", self._rows)
        self._rows, self._libraries, self._directories, self._data = [], [], [], []

    def _read(self, number: int, path: bytes) -> None:
        name = os.fsdecode(path)
        if self.excluded(name):
            self._rows.append((catalogue.EXCLUDED, number))
            return
        parent = os.path.dirname(name)
        if self._data_below.get(parent, 0) >= data.SIBLINGS:
            self._is_data(number, path, name, "")
            return
        try:
            before = os.stat(path)
        except OSError:  # gone meanwhile: the next comparison drops it
            self._rows.append((catalogue.UNSETTLED, number))
            return
        try:
            entries = os.scandir(path)
        except OSError:
            self._rows.append((signature_of(before), number))
            return
        libraries: list[bytes] = []
        below: list[bytes] = []
        with entries:
            try:
                reason = self._sort(entries, libraries, below)
            except OSError:
                reason = ""
        self.tally.directories += 1
        if reason:
            self._data_below[parent] = self._data_below.get(parent, 0) + 1
            self._is_data(number, path, name, reason, before)
            return
        if self.slow:
            below = [one for one in below if not self._is_slow(os.path.join(name, os.fsdecode(one)))]
        self._directories += [(path + b"/" + one if path != b"/" else b"/" + one,) for one in below]
        for one in libraries:
            self._libraries.append((number, one, os.fsencode(naming.split(os.fsdecode(one))[0])))
        self.tally.libraries += len(libraries)
        settled = time.time() - max(before.st_mtime, before.st_ctime) > (
            _FINE_SETTLE if before.st_ctime_ns % 1000000 else _SETTLE
        )
        self._rows.append((signature_of(before) if settled else catalogue.UNSETTLED, number))

    def _sort(self, entries: Any, libraries: list[bytes], below: list[bytes]) -> str:
        """Sorts the entries of one directory; returns why the rest of it was not read, or ""."""
        known = count = 0
        for entry in entries:
            count += 1
            name = entry.name
            if b".so" in name and naming.is_library_name(os.fsdecode(name)):
                libraries.append(name)
            elif entry.is_dir(follow_symlinks=False):
                text = os.fsdecode(name)
                if text not in SKIPPED and not text.endswith((".dist-info", ".egg-info")):
                    below.append(name)
            elif known == count - 1 and count <= data.SAMPLE and data.is_data_name(os.fsdecode(name)):
                known += 1
            if count == data.SAMPLE and known == count:
                self.tally.files += count
                return "nothing but files of data"
            if count == DATA_ENTRIES and not libraries:
                self.tally.files += count
                del below[:]
                return "more than {} entries and no library among them: data".format(DATA_ENTRIES)
        self.tally.files += count
        return ""

    def _is_data(self, number: int, path: bytes, name: str, reason: str, info: os.stat_result | None = None) -> None:
        if info is None:
            try:
                info = os.stat(path)
            except OSError:
                return
        if reason and len(self.tally.notes) < 200:
            self.tally.notes.append((name, reason))
            if self._data_below[os.path.dirname(name)] == data.SIBLINGS:
                self.tally.notes.append((os.path.dirname(name), "directories of data: the others are not read"))
        self._data.append((number,))
        self._rows.append((signature_of(info), number))

    def _is_slow(self, path: str) -> bool:
        kind = self.slow.get(path)
        if kind is None:
            return False
        if kind not in mounts.PSEUDO:
            self.tally.notes.append((path, "a network file system ({}): not walked".format(kind)))
        return True


def read_sonames(writer: Writer, deadline: float) -> bool:
    """Reads the SONAMEs that are not known yet; tells whether it came to the end. Raises ``Unusable``."""
    from dlrepair.search import soname

    index = writer.catalogue if writer.catalogue is not None else writer.open()
    statement = (
        "SELECT l.directory, d.path, l.name FROM libraries l JOIN directories d ON d.id = l.directory"
        " WHERE l.soname IS NULL"
    )
    found: list[tuple[Any, ...]] = []
    whole = True
    for number, directory, name in index.rows(statement):
        path = os.path.join(directory, name)
        text = soname.read_soname(os.fsdecode(path))
        size = mtime = None
        try:
            info = os.stat(path)
            size, mtime = info.st_size, info.st_mtime_ns
        except OSError:
            pass
        # the file's own name is found by the name
        said = os.fsencode(text) if os.fsencode(text) != name else b""
        found.append((said, size, mtime, number, name))
        if not len(found) & 63 and budget.is_over(deadline):
            whole = False
            break
    index.many("UPDATE libraries SET soname = ?, size = ?, mtime = ? WHERE directory = ? AND name = ?", found)
    return whole

