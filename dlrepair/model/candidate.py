"""Files that might serve, and why they do or do not."""

from __future__ import annotations

from dlrepair.model.records import dataclass


@dataclass(frozen=True)
class Wanted:
    """What a search is for."""

    name: str  #: file name or SONAME
    role: str  #: ``substitute`` (in place of the file that the user named) or ``dependency``
    requested: str = ""  #: the whole path as the user gave it
    loader: str = "ctypes"
    op_library: bool = False
    versions: tuple[str, ...] = ()  #: symbol versions that must be defined
    symbols: tuple[str, ...] = ()  #: symbols that must be defined, by it or (a substitute) by what it needs
    ops: tuple[str, ...] = ()  #: ops that must be registered, as Python calls them (``roi_pool`` of ``RoiPool``)
    exclude: tuple[str, ...] = ()  #: real paths never to be proposed (the broken file itself)
    exact_name: bool = False  #: only the very same file name (guarded loads)
    renamed: bool = False  #: a copy of a dependency will bear the SONAME that is wanted: its own does not count


@dataclass(frozen=True)
class Candidate:
    """A file proposed by a source. Names only propose; ``vet`` decides."""

    path: str
    source: str  #: slug of the source, e.g. ``build-sibling``, ``project``, ``site-packages``
    rule: str = "exact"  #: name rule, e.g. ``exact``, ``lib-prefix``, ``soname-version``, ``affix``
    distance: int = 0  #: smaller is nearer; sources number themselves


@dataclass(frozen=True)
class Verdict:
    """The answer of ``vet`` for one candidate."""

    path: str
    accepted: bool
    reason: str  #: slug, e.g. ``fits``, ``untrusted-directory``, ``wrong-machine``, ``soname-differs``
    detail: str = ""  #: sentence with the fact
    trial: str = ""  #: ``passed``, ``failed: …`` or "" when none was needed
    facts: tuple[tuple[str, str], ...] = ()  #: for the journal
    #: dependencies of the candidate that must be preloaded first, in order
    preload: tuple[str, ...] = ()
