"""What a rule is: a cause, the facts under which it holds, its evidence and its next step."""

from __future__ import annotations

from dlrepair.model.diagnosis import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.diagnose.facts import Facts
    from dlrepair.model.diagnosis import Missing


class Finding:
    """Where a rule holds: the object at fault, and what its evidence and next step are made of."""

    __slots__ = ("detail", "missing", "path", "symbols")

    def __init__(
        self, path: str, detail: Any = None, missing: tuple[Missing, ...] = (), symbols: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.detail = detail
        self.missing = missing
        self.symbols = symbols


class Rule:
    """One way in which a load fails.

    ``holds`` returns a Finding, or None where the facts do not show this cause;
    ``evidence`` and ``next_step`` turn the Finding into words.
    """

    __slots__ = ("cause", "evidence", "holds", "name", "next_step")

    def __init__(
        self,
        name: str,
        cause: str,
        holds: Callable[[Facts], Finding | None],
        evidence: Callable[[Facts, Finding], tuple[Evidence, ...]],
        next_step: Callable[[Facts, Finding], str],
    ) -> None:
        self.name = name
        self.cause = cause
        self.holds = holds
        self.evidence = evidence
        self.next_step = next_step

    def __repr__(self) -> str:
        return "Rule({}, {})".format(self.name, self.cause)


def fact(key: str, text: str, value: object = "") -> Evidence:
    """One piece of evidence."""
    return Evidence(key, text, str(value))


def quote(path: str) -> str:
    """``path`` as a shell word."""
    safe = all(char.isalnum() or char in "/._-+=:,@%" for char in path) and path
    return path if safe else "'" + path.replace("'", "'\\''") + "'"
