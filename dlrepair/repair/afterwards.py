"""After a program has ended for want of a library that is broken, or whose load it had put up with: what would help.

The repair is rehearsed: everything is tried in child processes, nothing is loaded, built or written. Where it works
for a load whose failure the caller swallows, that load is *wanted* from the next start on; for a file that the program
only looks at, it is one command for the user.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.diagnose.giveups import GiveUp
    from dlrepair.diagnose.missed import Left
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import LoadRequest
    from dlrepair.repair.context import Context
    from dlrepair.settings import Settings

#: what is wrong with a file whatever the process is, so that it may be said of one that nobody has tried to load
CERTAIN = frozenset((
    "dependency-missing", "symbol-version-missing", "libstdcxx-too-old", "libc-too-old", "wrong-arch", "wrong-os",
    "not-a-library", "truncated", "permission", "noexec",
))  # fmt: skip


def request_of(left: Left, script: str, start_cwd: str) -> LoadRequest:
    """The load as it was asked for then."""
    from dlrepair.model.requests import LoadRequest

    return LoadRequest(
        left.loader, left.requested, left.cwd, start_cwd, script, left.caller, left.mode, left.text, left.exception,
        left.op_loader,
    )  # fmt: skip


def rehearse(
    request: LoadRequest, diagnosis: Diagnosis, settings: Settings, view: Any, target: str | None,
    emit: Callable[..., None], preview: bool = True, incident: str = "",
) -> tuple[Context, Outcome]:  # fmt: skip
    """What the repair would be. ``Outcome.repaired`` says whether there is one; nothing was done.

    Without ``preview``, what has to be built for it is built: nothing is loaded into this process.
    """
    from dlrepair.journal import writer
    from dlrepair.model.requests import Guard
    from dlrepair.repair import ladder
    from dlrepair.repair.context import Context
    from dlrepair.repair.rehearsal import Rehearsal

    ask = Rehearsal(request, view, preview)
    context = Context(ask, request, diagnosis, Guard("none"), settings, view, target, emit)
    context.incident = incident or writer.new_incident()
    return context, ladder.climb(context, context.incident, context.began)[1]


def close(context: Context, found: Outcome, state: Any, looked: GiveUp | None = None) -> Outcome:
    """How the incident ends, journalled: what the user does next, and what was learned.

    ``looked``: where the program only looked at the file, which is there and broken; None where it has asked for it.
    """
    from dlrepair.diagnose.rule import quote
    from dlrepair.model.plan import Outcome
    from dlrepair.repair import start

    cause, step, summary = context.diagnosis.cause, found.next_step, found.summary
    name = os.path.basename(context.request.requested)
    if found.repaired:
        summary = summary or "{} would serve".format(found.path)
        step, shown = "", "the repair of {}".format(name)
        if looked is not None:
            shown, why = _learn_instead(context, found, state, looked)
        else:
            why = "mode is observe" if context.settings.mode != "repair" else learn(context, found, state)
        step = "" if why else start.again("{} is learned".format(shown))
        summary += "; nothing is learned: " + why if why and looked is None else ""
        if not step and found.strategy == "reexec":
            step = "Run it again with {}.".format(found.summary.partition("started again with ")[2] or found.summary)
        step = step or "dlrepair fix --write {}".format(quote(context.target or context.request.requested))
        summary = "it would be repaired: " + summary
    context.emit("load-unrepaired", cause=cause, next_step=step, ms=context.elapsed(), reason=summary or None)
    return Outcome(False, cause, context.incident, ms=context.elapsed(), next_step=step, summary=summary)


def _real(context: Context, state: Any) -> Context:
    """The incident of a rehearsal, for the program that runs."""
    from dlrepair.repair import lookback
    from dlrepair.repair.context import Context

    real = Context(
        lookback.NoAsk(state, context.request.requested), context.request, context.diagnosis, context.guard,
        context.settings, context.view, context.target, context.emit,
    )  # fmt: skip
    real.incident = context.incident
    return real


def _learn_instead(context: Context, found: Outcome, state: Any, looked: GiveUp) -> tuple[str, str]:
    """(what is in force from the next start on, "") or ("", why not), where a program looks into a broken file."""
    from dlrepair.repair import given

    path = os.path.join(context.request.cwd, found.path)
    if found.strategy == "rebuild":
        return given.learn(_real(context, state), looked, "", anyway=True)
    if found.strategy == "reexec" or not os.path.isfile(path) or path == context.target:
        return "", "it is the load itself that has to be repaired"
    return given.learn(_real(context, state), looked, path, anyway=True)


def learn(context: Context, found: Outcome, state: Any) -> str:
    """Has the load repaired from the next start on, though its caller swallows the failure; "" or why not."""
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair import start

    if context.settings.reexec == "never":
        return "the setting reexec is never"
    request = context.request
    name = context.target or request.requested
    path = os.path.join(request.cwd, found.path)
    files = tuple(one for one in (path, context.target) if one and (os.path.exists(one) or one == context.target))
    if not os.path.exists(path):  # it would be built
        path = os.path.join(request.cwd, name)
    why = "the program has ended for want of {}".format(os.path.basename(name))
    real = _real(context, state)
    fix = EnvironmentFix(((name, "wanted", path),), why, tuple(dict.fromkeys(files)))
    return "" if start.learn(real, start.with_former(real, fix)) else "it could not be kept"
