"""The index on disk: directories and the libraries in them, in one SQLite file of the store.

``index/libraries.sqlite`` is never written in place. Whoever holds ``index/lock`` (flock(2), which the kernel drops
when its holder dies) writes a copy and renames it over the old one; readers open what is there as immutable, without
any lock. So a process that is killed leaves a temporary file and nothing else, a reader waits for nobody, and a
read-only store or one on a network file system serves as well: WAL needs shared memory and a writable directory.
There is no fsync: a file that a crash of the machine has torn is thrown away and made again.

Paths are blobs, so that any bytes survive. Rows only propose: what they lead to is examined before it is used.
"""

from __future__ import annotations

import os
import time

from dlrepair import store
from dlrepair.search import budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Tuple

    from dlrepair.search.names import Names

    #: directory id, path, signature (see ``scan.signature_of``)
    DirectoryRow = Tuple[int, bytes, int]

#: bumped when the tables change their meaning: another number means a new file
SCHEMA = 1

#: bounds of the index: rows of each table, bytes of the file
MAX_DIRECTORIES = 1000000
MAX_LIBRARIES = 500000
MAX_BYTES = 256 << 20

#: signatures that say something else than how the directory looked
PENDING, UNSETTLED, EXCLUDED = -1, 0, -2

_TABLES = """
CREATE TABLE directories (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, signature INTEGER NOT NULL);
CREATE TABLE libraries (directory INTEGER NOT NULL, name BLOB NOT NULL, stem BLOB NOT NULL, soname BLOB,
    size INTEGER, mtime INTEGER, PRIMARY KEY (directory, name)) WITHOUT ROWID;
CREATE INDEX by_stem ON libraries (stem);
CREATE INDEX by_soname ON libraries (soname) WHERE soname > x'';
CREATE INDEX unread ON libraries (directory) WHERE soname IS NULL;
CREATE TABLE data (directory INTEGER PRIMARY KEY);
"""


class Unusable(Exception):
    """Why there is no index to be had: one clause."""


def place(create: bool) -> str:
    """Return the index's directory. Raises ``Unusable``."""
    base = store.root(create)
    if base is None:
        raise Unusable(store.problem() or "there is no store")
    directory = os.path.join(base, "index")
    if create:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise Unusable("{}: {}".format(directory, error.strerror or error)) from None
    return directory


def file_path(directory: str) -> str:
    """Return the path of the database in the index's directory."""
    return os.path.join(directory, "libraries.sqlite")


def _engine() -> Any:
    """Return CPython's native SQLite module. Raises ``Unusable``: it may be the very thing that is broken.

    Its Python layer is left out: that costs 30 ms of imports.
    """
    try:
        import _sqlite3

        _sqlite3.connect  # noqa: B018  half imported where the user's own import of it is what fails
    except (ImportError, AttributeError) as error:
        raise Unusable("SQLite cannot be imported: {}".format(error)) from None
    return _sqlite3


def _uri(path: str, flags: str) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"
    return "file:" + "".join(chr(c) if c in safe else "%{:02X}".format(c) for c in os.fsencode(path)) + "?" + flags


class Damaged(Unusable):
    """What is wrong with the file: it has to be made anew."""


class Catalogue:
    """One opened database. Every method raises ``Damaged`` for what is no index, ``Unusable`` for other errors."""

    def __init__(self, path: str, write: bool = False) -> None:
        """Opens ``path``; for writing, makes it where it is missing. Raises ``Unusable``."""
        engine = _engine()
        self.path = path
        self._error: Any = engine.Error
        self._passing: Any = engine.OperationalError
        self._connection: Any = None
        try:
            if write:
                fresh = not os.path.exists(path)
                self._connection = engine.connect(path, isolation_level=None)
                self.run("PRAGMA journal_mode=OFF")  # the file is a private copy
                self.run("PRAGMA synchronous=OFF")
                if fresh:
                    os.chmod(path, 0o600)
                    self.run("PRAGMA page_size=4096")
                    self._connection.executescript(_TABLES)
                    self.run("PRAGMA user_version={}".format(SCHEMA))
            else:
                self._connection = engine.connect(_uri(path, "mode=ro&immutable=1"), uri=True, isolation_level=None)
            found = self.run("PRAGMA user_version").fetchone()
        except engine.Error as error:
            raise self._problem(error) from None
        except BaseException:
            self.close()
            raise
        if not found or found[0] != SCHEMA:
            self.close()
            raise Damaged("{}: its schema is {}, not {}".format(path, found and found[0], SCHEMA))

    def run(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the cursor of one statement."""
        try:
            return self._connection.execute(statement, values)
        except self._error as error:
            raise self._problem(error) from None

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Runs one statement for every row."""
        try:
            self._connection.executemany(statement, rows)
        except self._error as error:
            raise self._problem(error) from None

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of one statement."""
        try:
            found: list[Any] = self._connection.execute(statement, values).fetchall()
            return found
        except self._error as error:
            raise self._problem(error) from None

    def close(self) -> None:
        """Gives the file back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _problem(self, error: Exception) -> Unusable:
        """What an error of SQLite means: a full disk passes, a damaged file does not."""
        text = "{}: {}".format(self.path, error)
        lasting = not isinstance(error, self._passing) or str(error).startswith("no such")
        return Damaged(text) if lasting else Unusable(text)

    # --- questions

    def counts(self) -> tuple[int, int]:
        """Return the numbers of (directories, libraries)."""
        return (
            self.rows("SELECT count(*) FROM directories")[0][0],
            self.rows("SELECT count(*) FROM libraries")[0][0],
        )

    def directories(self, root: str, alone: bool = False) -> list[DirectoryRow]:
        """Return the rows of a root and everything below it.

        ``alone``: there is no other root, and reading the whole table takes two thirds of the time of the way
        through its index.
        """
        top, low, high = bounds(root)
        statement = "SELECT id, path, signature FROM directories WHERE "
        if alone:
            return self.rows(statement + "+path = ? OR +path >= ? AND +path < ?", (top, low, high))
        found = self.rows(statement + "path = ?", (top,))
        statement += "path >= ? AND path < ? ORDER BY path"  # as the index has them
        return found + self.rows(statement, (low, high))

    def is_whole(self, root: str) -> bool:
        """Tell whether every directory below a root that was met has been read."""
        top, low, high = bounds(root)
        statement = (
            "SELECT (SELECT count(*) FROM directories WHERE path = ?),"
            " (SELECT count(*) FROM (SELECT 1 FROM directories WHERE signature = -1 AND"
            " (path = ? OR (path >= ? AND path < ?)) LIMIT 1))"
        )
        known, waiting = self.rows(statement, (top, top, low, high))[0]
        return bool(known) and not waiting

    def find(self, names: Names, sonames: tuple[str, ...], roots: tuple[str, ...]) -> list[tuple[str, str, str]]:
        """Return (path, name rule, root) of the libraries that match by file name or SONAME, below the roots given."""
        stems = tuple({os.fsencode(stem) for stem in names.stems()})
        marks = ",".join("?" * len(stems))
        statement = "SELECT d.path, l.name, l.soname FROM libraries l JOIN directories d ON d.id = l.directory WHERE "
        found = self.rows(statement + "l.stem IN ({})".format(marks), stems) if stems else []
        if sonames:
            wanted = tuple(os.fsencode(one) for one in sonames)
            marks = ",".join("?" * len(wanted))
            found += self.rows(statement + "l.soname IN ({}) AND l.soname > x''".format(marks), wanted)
        return matching(found, names, sonames, roots)

    def data_directories(self, roots: tuple[str, ...]) -> list[str]:
        """Return the directories that were given up as data, below the roots given."""
        statement = "SELECT d.path FROM data JOIN directories d ON d.id = data.directory LIMIT 2000"
        return below([os.fsdecode(row[0]) for row in self.rows(statement)], roots)


def matching(
    rows: Iterable[tuple[bytes, bytes, bytes]], names: Names, sonames: tuple[str, ...], roots: tuple[str, ...]
) -> list[tuple[str, str, str]]:
    """Return (path, name rule, root) of rows (directory, file name, SONAME) that match, below the roots given."""
    answer: dict[str, tuple[str, str, str]] = {}
    for directory, raw, soname in rows:
        name = os.fsdecode(raw)
        rule = names.match(name)
        if rule is None and soname and os.fsdecode(soname) in sonames:
            rule = "soname"
        path = os.path.join(os.fsdecode(directory), name)
        root = _root_of(path, roots) if rule is not None else None
        if rule is not None and root is not None:
            answer.setdefault(path, (path, rule, root))
    return list(answer.values())


def below(places: Iterable[str], roots: tuple[str, ...]) -> list[str]:
    """Return those of some directories that are, or lie below, one of the roots."""
    return [one for one in places if _root_of(one + "/", roots) is not None]


def bounds(root: str) -> tuple[bytes, bytes, bytes]:
    """Return a root's path, and between which paths everything below it sorts."""
    top = os.fsencode(root)
    below = top.rstrip(b"/") + b"/"
    return top, below, below[:-1] + b"0"  # the byte after the slash


def _root_of(path: str, roots: tuple[str, ...]) -> str | None:
    for root in roots:
        if path.startswith(root.rstrip("/") + "/"):
            return root
    return None


# --- one writer -----------------------------------------------------------------------------------------------------


class Writer:
    """The right to change the index: a lock, a private copy, and the rename that publishes it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.catalogue: Catalogue | None = None
        self._descriptor = -1
        self._copy = ""

    def lock(self, deadline: float) -> bool:
        """Tell whether the lock was had by ``deadline`` (``time.monotonic()``). Raises ``Unusable``."""
        import fcntl

        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(os.path.join(self.directory, "lock"), flags, 0o600)
        except OSError as error:
            raise Unusable("{}: {}".format(self.directory, error.strerror or error)) from None
        pause = 0.002
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if budget.is_over(deadline):
                    self.close()
                    return False
                time.sleep(pause)
                pause = min(pause * 1.5, 0.05)
            except OSError as error:  # a file system without locks
                self.close()
                raise Unusable("{}: no lock can be had: {}".format(self.directory, error.strerror or error)) from None

    def open(self) -> Catalogue:
        """Return a private copy of the index, an empty one where there is none. Raises ``Unusable``, ``Damaged``."""
        self._sweep()
        self._copy = os.path.join(self.directory, ".tmp-{}-{}".format(os.getpid(), os.urandom(6).hex()))
        published = file_path(self.directory)
        try:
            if os.path.getsize(published) > MAX_BYTES:
                raise Damaged("{}: larger than {} bytes".format(published, MAX_BYTES))
            _copy(published, self._copy)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Unusable("{}: {}".format(self.directory, error.strerror or error)) from None
        self.catalogue = Catalogue(self._copy, write=True)
        self.catalogue.run("BEGIN")
        return self.catalogue

    def publish(self, last: bool = True, compact: bool = False) -> None:
        """Puts the copy in the index's place; unless it is the last time, works on with a new copy.

        ``compact``: without the room that dropped rows have left.
        """
        if self.catalogue is None:
            return
        self.catalogue.run("COMMIT")
        if compact:
            self.catalogue.run("PRAGMA temp_store=MEMORY")
            self.catalogue.run("VACUUM")
        beside = self._write_beside(self.catalogue) if last else []
        self.catalogue.close()
        self.catalogue = None
        try:
            os.rename(self._copy, file_path(self.directory))
            for written, final in beside:
                os.rename(written, final)
            if not last:
                _copy(file_path(self.directory), self._copy)
        except OSError as error:
            raise Unusable("{}: {}".format(self.directory, error.strerror or error)) from None
        if not last:
            self.catalogue = Catalogue(self._copy, write=True)
            self.catalogue.run("BEGIN")

    def _write_beside(self, index: Catalogue) -> list[tuple[str, str]]:
        """What is published next in forms that are read without SQLite: (file, its place). Nobody needs them."""
        from dlrepair.search import flat, lookup

        found = []
        for form, ending in ((lookup, "-names"), (flat, "-directories")):
            try:
                if form.write(index, self._copy, self._copy + ending):
                    found.append((self._copy + ending, form.file_path(self.directory)))
            except (OSError, Unusable, MemoryError):
                continue
        return found

    def close(self) -> None:
        """Gives up what was not published, and the lock."""
        self._drop()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _drop(self) -> None:
        if self.catalogue is not None:
            self.catalogue.close()
            self.catalogue = None
        if self._copy:
            try:
                os.unlink(self._copy)
            except OSError:
                pass

    def _sweep(self) -> None:
        """Removes what killed writers have left: whoever holds the lock is the only one."""
        try:
            for name in os.listdir(self.directory):
                if name.startswith(".tmp-"):
                    os.unlink(os.path.join(self.directory, name))
        except OSError:
            pass


def _copy(source: str, target: str) -> None:
    """Copies one file into a new private one."""
    with open(source, "rb") as reader:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            while True:
                chunk = reader.read(1 << 20)
                if not chunk:
                    return
                writer.write(chunk)


def discard(directory: str) -> None:
    """Removes a damaged index. Raises ``Unusable``."""
    try:
        os.unlink(file_path(directory))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Unusable("{}: {}".format(directory, error.strerror or error)) from None
