"""Strategy *reexec*: a new process with another environment, now where that is provably early, else at the next start.

ld.so reads its variables once, at the start of a process, and gives back no version of a library that
is mapped. A fix is proved first, by ld.so itself in a child that maps and relocates everything and runs nothing of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.model.plan import Plan
    from dlrepair.repair.context import Context

KIND = "reexec"


def applies(context: Context) -> bool:
    """Whether what fails is no choice of the program's, and nothing has spoken against a new process so far."""
    if context.refused:
        return False
    return not context.exact and not context.last_resort and context.settings.reexec != "never"


def is_learned(context: Context) -> bool:
    """Whether a fix for this program is kept that this process was not started with."""
    return applies(context) and bool(_learned_meanwhile(context))


def plan(context: Context) -> Iterator[Plan]:
    """One plan for each fix that is proposed."""
    from dlrepair.model.plan import Plan, Step

    for fix in _fixes(context):
        shown = describe(fix)
        context.fixes[shown] = fix
        if context.refused:  # what speaks against one start speaks against all of them
            return
        yield Plan(
            KIND, (Step("reexec", context.request.requested, shown),), fix.why, "started again with " + shown,
        )  # fmt: skip


def _fixes(context: Context) -> Iterator[EnvironmentFix]:
    """What is known already, and only then what has to be searched for."""
    from dlrepair.repair import environment

    yield from _learned_meanwhile(context)
    yield from environment.find_fixes(context)


def _learned_meanwhile(context: Context) -> tuple[EnvironmentFix, ...]:
    """What another process of the same program has learned since this one started: a rank, or a worker."""
    from dlrepair import learned
    from dlrepair.learned import start
    from dlrepair.model.environment import EnvironmentFix

    if context.rehearsed:
        return ()
    found = start.record_for(context.ask.state.cwd)
    if found is None or found[1].stale():
        return ()
    record = found[1]
    if learned.started()[1:2] == [found[0]] or all(action in learned.INSIDE for _, action, _ in record.variables):
        return ()
    return (EnvironmentFix(record.variables, record.why, tuple(path for seen, path in record.files if seen[0] != "d")),)


def describe(fix: EnvironmentFix) -> str:
    """The changes as a person would write them in front of a command."""
    from dlrepair.learned import environ

    return environ.describe(fix.variables)
