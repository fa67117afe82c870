"""Strategy *stored*: the library was built for this very path before, of the very files that are there now.

The store knows so by contents, without a memory of this program, interpreter or machine. It is asked first: it costs a
few milliseconds, where finding sources by their recipe costs hundreds. A file of that name close by goes first all
the same: whoever has put it there since may want it.
"""

from __future__ import annotations

import os

from dlrepair.repair import buildable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.plan import Plan
    from dlrepair.repair.context import Context

#: what the journal and the user read: where it lies changes nothing about what it is
KIND = "rebuild"


def applies(context: Context) -> bool:
    """Whether another build could help at all, and a path says which."""
    return not context.last_resort and "/" in context.request.requested and buildable.is_called_for(context)


def plan(context: Context) -> Iterator[Plan]:
    """The one plan, where the store has the library and nothing lies nearer."""
    from dlrepair.store import builds

    if not context.settings.shared_store and not builds.has_manifests():
        return
    from dlrepair.build import answers
    from dlrepair.model.plan import Plan, Step
    from dlrepair.repair.words import shown
    from dlrepair.search import reachable

    wanted = context.target or os.path.join(context.request.cwd, context.request.requested)
    shared = reachable.answering(context.settings.shared_store, context.emit)
    answer = answers.find(wanted, shared, context.request.script, context.emit)
    if answer is None or _is_near(context):
        return
    source = answer.source
    context.recipes[source] = answer
    steps = (Step("build", wanted, source, (("store", answer.facts["key"]),)), Step("load", source))
    why = "{} was built of the files that are there now".format(os.path.basename(wanted))
    yield Plan(KIND, steps, why, "rebuilt from {}".format(shown(source, context.request)))


def _is_near(context: Context) -> bool:
    """Whether a file of the wanted name lies where one is looked for first: beside the path, in build directories."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.search import sources

    request = context.request
    broken = () if context.target is None else (context.target, os.path.realpath(context.target))
    want = Wanted(
        os.path.basename(request.requested), "substitute", request.requested, request.loader, request.op_loader,
        exclude=broken,
    )  # fmt: skip
    near = sources.find_near(want, request, context.settings, context.deadline)
    return any(one.path not in broken for one in near)
