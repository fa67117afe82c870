"""What a strategy intends to do, before anything is done."""

from __future__ import annotations

from dlrepair.model.records import dataclass


@dataclass(frozen=True)
class Step:
    """One action.

    ``preload`` (RTLD_LOCAL), ``promote`` (RTLD_NOLOAD|RTLD_GLOBAL), ``load``; ``link``, ``patch``, ``copy`` and
    ``build`` make a file in the store; ``trial`` loads what was made in a child process; ``reexec`` starts the
    process again.
    """

    kind: str
    path: str
    #: a step that makes a file: what it is made from, and the path by which later steps mean the file that was made
    target: str = ""
    #: further facts that the action needs, (key, value)
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in order; the last one is the load that answers the caller."""

    strategy: str
    steps: tuple[Step, ...]
    why: str  #: one clause: "roi_pooling.so exists in build/"
    summary: str  #: what the user reads: "loaded build/roi_pooling.so instead"
    applicability: str = "safe"  #: ``safe``, ``needs-consent`` or ``advice-only``


@dataclass(frozen=True)
class Outcome:
    """How an incident ended."""

    repaired: bool
    cause: str
    incident: str
    strategy: str = ""
    path: str = ""
    ms: float = 0.0
    next_step: str = ""
    summary: str = ""
