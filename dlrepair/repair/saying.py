"""What a process says on standard error, and remembers to have said."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.settings import Settings

#: most lines that one process prints about loads that it could not repair
LAST_WORDS = 20

_said: set[tuple[str, str]] = set()


def is_first(requested: str, cause: str) -> bool:
    """Whether nothing was said yet about that failure, and not too much about others; from now on it counts as said."""
    once = (requested, cause)
    if once in _said or len(_said) >= LAST_WORDS:
        return False
    _said.add(once)
    return True


def told() -> frozenset[str]:
    """What was asked for in every load whose failure was told, as it was asked for."""
    return frozenset(requested for requested, _ in _said)


def say(lines: str | list[str], settings: Settings) -> None:
    """Lines on standard error, unless the user wants quiet. Never raises."""
    if settings.verbosity == "quiet" or sys.stderr is None:
        return
    from dlrepair.render import text

    try:
        descriptor = sys.stderr.fileno()
    except Exception:  # captured in memory, or replaced by anything
        descriptor = -1
    try:
        if descriptor >= 0:
            os.fstat(descriptor)  # a closed one would keep the lines, and fail again at exit with status 120
    except OSError:
        return
    text.show([lines] if isinstance(lines, str) else lines)


def say_problems(settings: Settings) -> None:
    """Says once what of ours does not work, and why: a person can do something about it."""
    from dlrepair import store, trust
    from dlrepair.journal import writer

    news = []
    for what, problem in (
        ("the journal is not written", writer.problem()),
        ("nothing is remembered", store.problem()),
        ("decisions of `dlrepair trust` are not in force", trust.problem()),
    ):
        if problem and (what, problem) not in _said:
            _said.add((what, problem))
            news.append("{}: {}".format(what, problem))
    if news:
        say("dlrepair: " + "; ".join(news), settings)
