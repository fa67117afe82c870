"""A cause with the facts that prove it."""

from __future__ import annotations

from dlrepair.model.records import dataclass


@dataclass(frozen=True)
class Symptom:
    """What a loader's message says, and no more: the text never proves a cause.

    ``kind`` is a slug: ``not-found``, ``undefined-symbol``, ``version-not-found``,
    ``wrong-class``, ``bad-header``, ``too-short``, ``cannot-read``, ``not-shared``, ``executable``,
    ``permission``, ``map-failed``, ``execstack``, ``static-tls``, ``already-registered``,
    ``code-signature``, ``no-memory``, ``python-abi``, ``initializer``, ``link-loop``, ``unknown``.
    """

    kind: str
    failing_object: str | None = None  #: the library whose load failed, as the text names it
    missing: str | None = None  #: the library, symbol or version that was not found
    causes: tuple[str, ...] = ()  #: possible causes, likeliest first
    platform: str = ""  #: ``glibc``, ``musl``, ``dyld``, ``windows``, ``tensorflow`` or ""


@dataclass(frozen=True)
class Evidence:
    """One fact: a stable key, the value that was read and the sentence that a person reads."""

    key: str
    text: str
    value: str = ""


@dataclass(frozen=True)
class Missing:
    """A DT_NEEDED entry that ld.so's search does not reach."""

    name: str
    needed_by: str  #: path of the object whose dynamic section names it
    #: (place, reason) of every place that ld.so tried, in its order
    tried: tuple[tuple[str, str], ...] = ()
    #: (version, weak) that ``needed_by`` wants of it
    versions: tuple[str, ...] = ()
    #: path of a file with this name that ld.so would reach but refuse, and why
    blocked_by: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Why a load failed, as far as the facts go."""

    cause: str  #: a slug of ``dlrepair.model.causes``
    symptom: Symptom
    failing_object: str = ""  #: path of the object at fault
    missing: tuple[Missing, ...] = ()  #: dependencies to be found, deepest first
    symbols: tuple[str, ...] = ()  #: undefined symbols that nothing here provides
    evidence: tuple[Evidence, ...] = ()
    next_step: str = ""  #: one command, or one sentence that a person can act on
