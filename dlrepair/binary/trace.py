"""What a search of ld.so's found: its answer, and every place that was tried."""

from __future__ import annotations

from dlrepair.binary.elf import read_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.diagnosis import Missing


class Entry:
    """One DT_NEEDED name at its first appearance, and where ld.so finds it.

    ``how``: ``loaded`` (already in the process), ``rpath``, ``ld-library-path``, ``runpath``,
    ``cache``, ``default``, ``path`` (the name has a slash), ``same-file`` (another name of an
    object that is there), ``missing`` or ``refused`` (a file is found at which ld.so gives up).
    """

    __slots__ = ("blocked_by", "depth", "how", "name", "needed_by", "path", "tried")

    def __init__(
        self, name: str, needed_by: str, path: str | None, how: str,
        tried: tuple[tuple[str, str], ...] = (), depth: int = 1, blocked_by: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.needed_by = needed_by
        self.path = path  #: as ld.so names it; links are not resolved
        self.how = how
        self.tried = tried
        self.depth = depth
        self.blocked_by = blocked_by

    def __repr__(self) -> str:
        return "Entry(%r, needed_by=%r, path=%r, how=%r)" % (self.name, self.needed_by, self.path, self.how)


class Trace:
    """The answer of ``resolve``."""

    __slots__ = ("_missing", "edges", "entries", "path", "refused")

    def __init__(self, path: str, refused: str | None = None) -> None:
        self.path = path
        self.refused = refused  #: why ld.so does not load the file itself; None if it would
        self.entries: tuple[Entry, ...] = ()
        #: (needed_by, name, path or None) of every DT_NEEDED entry met
        self.edges: tuple[tuple[str, str, str | None], ...] = ()
        self._missing: tuple[Missing, ...] | None = None

    @property
    def closure(self) -> tuple[str, ...]:
        """Paths of everything that it needs, in ld.so's order, each once, without the file itself."""
        found: dict[str, None] = {}
        for entry in self.entries:
            if entry.path is not None and entry.path != self.path:
                found[entry.path] = None
        return tuple(found)

    @property
    def failures(self) -> tuple[Entry, ...]:
        """Entries without a file, in the order in which ld.so meets them: its message names the first."""
        return tuple(entry for entry in self.entries if entry.path is None)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The DT_NEEDED entries that the search does not reach, deepest first."""
        if self._missing is None:
            from dlrepair.model.diagnosis import Missing

            deepest = sorted(self.failures, key=lambda entry: -entry.depth)
            self._missing = tuple(
                Missing(entry.name, entry.needed_by, entry.tried, _versions(entry), entry.blocked_by)
                for entry in deepest
            )
        return self._missing


def _versions(entry: Entry) -> tuple[str, ...]:
    elf = read_facts(entry.needed_by).elf
    return tuple(row[1] for row in elf.verneed if row[0] == entry.name) if elf is not None else ()
