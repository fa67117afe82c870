"""``dlrepair trust``."""

from __future__ import annotations

import argparse
from typing import Any, Callable

from dlrepair.cli import output

NAME = "trust"
HELP = "allow a project's build scripts and libraries, until they change"
EXAMPLE = """\
example:
  dlrepair trust ~/src/old-ops
  dlrepair trust --list

Needed only where others could write: a directory of another owner, or writable by a group. Any change
of its owner, mode or build scripts asks again. `dlrepair distrust PATH` wins over every permission."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", metavar="PATH", help="a directory or a file")
    parser.add_argument("--list", action="store_true", help="list what was allowed and refused")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.trust import consents

    if arguments.list == bool(arguments.path):
        raise output.CommandError("name one PATH, or give --list", "dlrepair trust --help", output.USAGE)
    if arguments.list:
        entries = consents.listing()
        if arguments.json:
            output.say_json({"decisions": entries})
        for entry in [] if arguments.json else entries:
            changed = ": " + ", ".join(entry["changed"]) if entry["changed"] else ""
            row = "{:7} {}  ({}{})".format(entry["decision"], entry["path"], entry["state"], changed)
            output.say(output.escape(row))
        return output.FINE
    entry = decide(consents.allow, arguments.path)
    if arguments.json:
        output.say_json({"decision": "allow", "entry": entry})
    else:
        output.say("allowed until it changes: {}".format(output.escape(entry["path"])))
    return output.FINE


def decide(decision: Callable[[str], Any], path: str) -> Any:
    """What ``decision`` answers for ``path``; its refusals as the command's."""
    try:
        return decision(path)
    except OSError as error:
        raise output.CommandError("{}: {}".format(error.filename or path, error.strerror or error)) from error
    except ValueError as error:
        raise output.CommandError(str(error)) from error
