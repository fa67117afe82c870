"""``dlrepair fix``."""

from __future__ import annotations

import argparse

from dlrepair.cli import check, output

NAME = "fix"
HELP = "find the repair of a library now, prove it, and remember it for the runs to come"
EXAMPLE = """\
example:
  dlrepair fix build/roi_pooling.so --loader tf

The repair is tried in a child process; the library itself is never changed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a library as the program asks for it")
    check.add_loader(parser)
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import api

    loader = arguments.loader or check.likely_loader(arguments.path)
    outcome = api.repair(arguments.path, loader)
    healthy = outcome.cause == "none"
    if arguments.json:
        output.say_json({"path": arguments.path, "loader": loader, "outcome": outcome})
    elif healthy:
        output.say("{}: loads as it is".format(output.escape(arguments.path)))
    elif outcome.repaired:
        output.say("{}: {}: {}".format(output.escape(arguments.path), outcome.cause, output.escape(outcome.summary)))
        output.say("  remembered for the next run that asks for it (incident {})".format(outcome.incident))
    else:
        step = outcome.next_step or "dlrepair explain {}".format(outcome.incident)
        raise output.CommandError("{}: {}: no repair was found".format(arguments.path, outcome.cause), step)
    return output.FINE if healthy or outcome.repaired else output.FOUND
