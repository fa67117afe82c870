"""``dlrepair fix``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from dlrepair.cli import check, output

if TYPE_CHECKING:
    from dlrepair.model.plan import Outcome

NAME = "fix"
HELP = "find the repair of a library now, prove it, and remember it for the runs to come"
EXAMPLE = """\
example:
  dlrepair fix build/roi_pooling.so --loader tf
  dlrepair fix ops/roi_pooling.so --write     links or copies; the library then loads without dlrepair
  dlrepair fix ops/roi_pooling.so --undo      what stood there before, byte for byte
  dlrepair fix train.py                       each library that the script loads and that would not load
  dlrepair fix libbig.so --for train.py       where only a new process helps: learned for that script

The repair is tried in a child process; without --write, no file of yours is touched. Where a library needs a
process with another environment, no file can give it that: it is learned for the script, with --write, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a library as the program asks for it, or a Python script")
    check.add_loader(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="make it permanent: put links or copies in place")
    how.add_argument("--undo", action="store_true", help="take back what --write did")
    parser.add_argument("--for", dest="script", metavar="SCRIPT", default="", help="the program that loads it")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    if arguments.undo:
        return _undo(arguments)
    if arguments.script and not os.path.isfile(arguments.script):
        text = "{}: no such script".format(arguments.script)
        raise output.CommandError(text, "dlrepair fix {}".format(arguments.path), output.USAGE)
    if arguments.path.endswith((".py", ".pyw")):
        return _fix_script(arguments)
    from dlrepair.diagnose.walk import likely_loader

    path, loader = arguments.path, arguments.loader or likely_loader(arguments.path)
    outcome: Outcome | None = None
    if "/" not in path and os.path.lexists(path):
        # a file that is named in its directory is meant by its path; one that loads so may be asked for by name
        outcome, written = _fix(arguments, "./" + path, loader, arguments.script)
        path, outcome = ("./" + path, outcome) if outcome.cause != "none" else (path, None)
    if outcome is None:
        outcome, written = _fix(arguments, path, loader, arguments.script)
    if arguments.json:
        output.say_json({"path": path, "loader": loader, "outcome": outcome, "written": written})
    else:
        _show(path, outcome, written, arguments.script)
    return output.FINE if outcome.cause == "none" or outcome.repaired else output.FOUND


def _fix(arguments: argparse.Namespace, path: str, loader: str, script: str) -> tuple[Outcome, list[str]]:
    from dlrepair import api

    if arguments.write:
        return _write(path, loader, script)
    return api.repair(path, loader, script), []


def _fix_script(arguments: argparse.Namespace) -> int:
    """The libraries that a script asks for, one after another; what it can do without is left as it is."""
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    status = output.FINE
    for path, loader, site, optional in check.find_targets([arguments.path], arguments.loader):
        if optional or loader == "find_library" or (path, loader) in seen:
            continue
        seen.add((path, loader))
        outcome: Outcome | None = None
        written: list[str] = []
        problem: output.CommandError | None = None
        try:
            outcome, written = _fix(arguments, path, loader, arguments.path)
            if not arguments.json:
                _show(path, outcome, written, arguments.path)
        except output.CommandError as error:
            problem = error
            if not arguments.json:
                output.say_error("fix", error)
        if problem is not None or (outcome is not None and outcome.cause != "none" and not outcome.repaired):
            status = output.FOUND
        rows.append({"path": path, "loader": loader, "site": site, "outcome": outcome, "written": written,
                     "problem": str(problem) if problem is not None else None})  # fmt: skip
    if arguments.json:
        output.say_json({"script": arguments.path, "libraries": rows})
    elif not rows:
        output.say("{}: no library is asked for by a path that its text tells".format(output.escape(arguments.path)))
    return status


def _show(path: str, outcome: Outcome, written: list[str], script: str = "") -> None:
    if outcome.cause == "none":
        output.say("{}: loads as it is".format(output.escape(path)))
        return
    if not outcome.repaired:
        step = outcome.next_step or "dlrepair explain {}".format(outcome.incident)
        said = outcome.summary or "no repair was found"
        raise output.CommandError("{}: {}: {}".format(path, outcome.cause, said), step)
    output.say("{}: {}: {}".format(output.escape(path), outcome.cause, output.escape(outcome.summary)))
    for one in written:
        output.say("  wrote {}".format(output.escape(one)))
    if outcome.strategy == "reexec":
        output.say("  learned: {} has it from its next start on".format(output.escape(script)))
    elif written:
        output.say("  it loads without dlrepair now; undo: dlrepair fix {} --undo".format(output.escape(path)))
    else:
        output.say("  remembered for the next run that asks for it (incident {})".format(outcome.incident))


def _write(path: str, loader: str, script: str) -> tuple[Outcome, list[str]]:
    from dlrepair import api
    from dlrepair.repair.putting import Refused

    try:
        return api.write_repair(path, loader, script)
    except (Refused, OSError) as error:
        step = "dlrepair fix {} remembers the repair".format(path)
        if "/" not in path:
            step = "dlrepair fix ./{} --write, if the program asks for it by its path".format(path)
        raise output.CommandError("{}: nothing was written: {}".format(path, error), step) from None


def _undo(arguments: argparse.Namespace) -> int:
    from dlrepair import api
    from dlrepair.repair.putting import Refused

    try:
        restored = api.undo_repair(arguments.path)
    except (Refused, OSError) as error:
        raise output.CommandError(
            "{}: not undone: {}".format(arguments.path, error), "dlrepair check {}".format(arguments.path)
        ) from None
    if arguments.json:
        output.say_json({"path": arguments.path, "restored": restored})
    else:
        for one in restored:
            output.say("{}: {}".format(output.escape(one), _now(one)))
    return output.FINE


def _now(path: str) -> str:
    """What has become of something that was written; a directory is listed only where it had been made."""
    if not os.path.lexists(path):
        return "removed"
    return "left: something else lies in it" if os.path.isdir(path) else "as it was before"
