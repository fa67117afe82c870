"""``dlrepair fix``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

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

The repair is tried in a child process; without --write, no file of yours is touched."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a library as the program asks for it")
    check.add_loader(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="make it permanent: put links or copies in place")
    how.add_argument("--undo", action="store_true", help="take back what --write did")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import api

    if arguments.undo:
        return _undo(arguments)
    loader = arguments.loader or check.likely_loader(arguments.path)
    written: list[str] = []
    if arguments.write:
        outcome, written = _write(arguments.path, loader)
    else:
        outcome = api.repair(arguments.path, loader)
    if arguments.json:
        output.say_json({"path": arguments.path, "loader": loader, "outcome": outcome, "written": written})
    else:
        _show(arguments.path, outcome, written)
    return output.FINE if outcome.cause == "none" or outcome.repaired else output.FOUND


def _show(path: str, outcome: Outcome, written: list[str]) -> None:
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
    if written:
        output.say("  it loads without dlrepair now; undo: dlrepair fix {} --undo".format(output.escape(path)))
    else:
        output.say("  remembered for the next run that asks for it (incident {})".format(outcome.incident))


def _write(path: str, loader: str) -> tuple[Outcome, list[str]]:
    from dlrepair import api
    from dlrepair.repair.putting import Refused

    try:
        return api.write_repair(path, loader)
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
            output.say("{}: as it was before".format(output.escape(one)))
    return output.FINE
