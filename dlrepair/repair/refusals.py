"""What is noted where something is not built, or a script of the project's is not run."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.script import Script
    from dlrepair.repair.context import Context


def reject(context: Context, path: str, reason: str, detail: str) -> None:
    """Journals that what is at ``path`` does not serve, and why."""
    from dlrepair.model.candidate import Candidate, Verdict, Wanted

    wanted = Wanted(os.path.basename(context.request.requested), "substitute", context.request.requested)
    context.note(Candidate(path, "rebuild"), wanted, Verdict(path, False, reason, detail))


def ask_for_trust(context: Context, script: Script) -> None:
    """Notes that ``script`` could make the library, and what its user may decide about it."""
    from dlrepair.build import scripted
    from dlrepair.diagnose.rule import quote

    text = scripted.refusal(script)
    reject(context, script.path, "not-allowed", text)
    context.emit("trust-refused", path=script.path, reason=text)
    if not context.advice or context.generated:
        context.advice = "dlrepair trust {}  # to run it in a private copy of the project".format(quote(script.path))
