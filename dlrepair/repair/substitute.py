"""Strategy *substitute*: the same library lies elsewhere, or a good twin of a broken file does."""

from __future__ import annotations

import os

from dlrepair.repair import choice, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.candidate import Verdict, Wanted
    from dlrepair.model.plan import Plan
    from dlrepair.repair.context import Context

KIND = "substitute"

#: causes that lie in the file that the user named: another file of that name may be sound
CAUSES = frozenset((
    "file-missing", "wrong-cwd", "truncated", "not-a-library", "wrong-arch", "wrong-os", "permission", "noexec",
    "python-abi", "undefined-symbol-link", "undefined-symbol-abi", "undefined-symbol-version", "code-signature",
    "symbol-version-missing", "libstdcxx-too-old", "libc-too-old", "dependency-missing", "unknown",
))  # fmt: skip

#: the same, where the file itself may be sound: what it needs is cured first, a twin is the last resort
LATER = frozenset(("dependency-missing", "undefined-symbol-link"))


def applies(context: Context) -> bool:
    """Whether the fault lies in the requested file itself, or nothing else has helped."""
    diagnosis = context.diagnosis
    if diagnosis.cause not in CAUSES:
        return False
    sound = diagnosis.cause in LATER or bool(diagnosis.missing) or _elsewhere(context)
    if sound != context.last_resort:
        return False
    # a script that is about to build it learns from the failure how
    return context.guard.kind != "compile" or diagnosis.cause in ("file-missing", "wrong-cwd")


def _elsewhere(context: Context) -> bool:
    """Whether the object at fault is another one than the file that was asked for."""
    failing = context.diagnosis.failing_object
    if not failing or "/" not in failing or context.target is None:
        return False
    return os.path.realpath(failing) != os.path.realpath(context.target)


def wanted(context: Context) -> Wanted:
    """What the search is asked for."""
    from dlrepair.model.candidate import Wanted

    request = context.request
    broken = () if context.target is None else (context.target, os.path.realpath(context.target))
    name = os.path.basename(request.requested)
    return Wanted(
        name, "substitute", request.requested, request.loader, request.op_loader, exclude=broken,
        exact_name=context.exact, symbols=() if request.op_loader else _functions(context),
        ops=context.uses if request.op_loader else (),
    )  # fmt: skip


def _functions(context: Context) -> tuple[str, ...]:
    """Functions that the caller will look up by name in what it loads: of the loaders whose answer is the library."""
    return context.uses if context.request.loader in ("ctypes", "cffi", "numpy") else ()


def plan(context: Context) -> Iterator[Plan]:
    """A plan for every candidate that ``vet`` accepts, best first."""
    from dlrepair.model.plan import Plan, Step

    for candidate, verdict in choice.accepted(context, wanted(context)):
        if candidate.rule == "soname-version":
            continue  # another version of the name: the alias strategy
        path = context.opened_as(candidate.path)
        steps = tuple(Step("preload", each) for each in verdict.preload) + (Step("load", path),)
        summary = "loaded {} instead".format(_named(path, verdict, context)) + words.rivals(context, (verdict.path,))
        why = "{} {} ({})".format(path, verdict.reason, candidate.source)
        if "twin" in candidate.rule:
            summary += ", another build, as the setting twins allows"
            why += ', by consent: twins = "accept"'
        yield Plan(KIND, steps, why, summary)


def _named(path: str, verdict: Verdict, context: Context) -> str:
    """The file as a person would name it: for one out of an archive, its name in there and the archive."""
    facts = dict(verdict.facts)
    if "archive" not in facts:
        return words.shown(path, context.request)
    return "{} from {}".format(os.path.basename(path), words.shown(facts["archive"], context.request))
