"""Strategy *alias*: the library is there, but not under the name that is expected.

A versioned file without its SONAME link (``libfoo.so.1.2.3`` for ``libfoo.so.1``), or a
development name without the file behind it (``libfoo.so`` for ``libfoo.so.1``). A link of
the expected name is kept in the store and opened; the user's directories are left alone.
Only a file whose SONAME is the name that is wanted serves as a dependency.
"""

from __future__ import annotations

import os

from dlrepair.repair import choice, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.plan import Plan, Step
    from dlrepair.repair.context import Context

KIND = "alias"


def applies(context: Context) -> bool:
    """Whether a name is missing: the request's own, or a dependency's; never a free step."""
    return not context.exact and (context.diagnosis.cause == "file-missing" or bool(context.diagnosis.missing))


def plan(context: Context) -> Iterator[Plan]:
    """Links for what lacks its name, then the load."""
    return _of_dependencies(context) if context.diagnosis.missing else _of_request(context)


def _of_dependencies(context: Context) -> Iterator[Plan]:
    from dlrepair.model.plan import Plan, Step

    chosen = choice.choose(context)
    if chosen is None:
        return
    steps: list[Step] = []
    named = []
    for missing, candidate, _ in chosen:
        if os.path.basename(candidate.path) != missing.name:
            steps.append(Step("link", missing.name, candidate.path))
            named.append("{} -> {}".format(missing.name, candidate.path))
    if not named:
        return
    steps += [Step("preload", path) for path in choice.order(chosen)]
    steps.append(Step("load", context.request.requested))
    summary = "aliased " + ", ".join(named) + words.rivals(context, (verdict.path for _, _, verdict in chosen))
    yield Plan(KIND, tuple(steps), "the SONAME is right, the file name is not", summary)


def _of_request(context: Context) -> Iterator[Plan]:
    from dlrepair.model.candidate import Wanted
    from dlrepair.model.plan import Plan, Step

    request = context.request
    name = os.path.basename(request.requested)
    uses = context.uses if request.loader in ("ctypes", "cffi", "numpy") and not request.op_loader else ()
    want = Wanted(name, "substitute", request.requested, request.loader, request.op_loader, symbols=uses)
    for candidate, verdict in choice.accepted(context, want):
        if candidate.rule != "soname-version":
            continue
        steps = [Step("preload", path) for path in verdict.preload]
        if request.op_loader:
            steps.append(Step("load", context.opened_as(candidate.path)))
        else:
            steps += [Step("link", name, candidate.path), Step("load", candidate.path)]
        summary = "loaded {} under that name".format(candidate.path) + words.rivals(context, (verdict.path,))
        yield Plan(KIND, tuple(steps), "{} {}".format(candidate.path, verdict.reason), summary)
