"""``dlrepair log``."""

from __future__ import annotations

import argparse
from typing import Iterator

from dlrepair.cli import output

NAME = "log"
HELP = "read the decisions, newest last"
EXAMPLE = """\
example:
  dlrepair log --since 2h
  dlrepair log --incident 7f3a
  dlrepair log --follow

The journal is this user's own. Processes with raised rights (set-user-ID, file capabilities) are left alone and write
nothing; nor does a process with DLREPAIR=off."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what is decided from now on")
    parser.add_argument("--incident", metavar="ID", help="one incident; the beginning of its identity is enough")
    parser.add_argument("--since", metavar="T", help="a time such as 2026-11-23T16:00, or an age such as 30m, 2h, 7d")
    parser.add_argument("--json", action="store_true", help="one JSON document; with --follow one a line")


def execute(arguments: argparse.Namespace) -> int:
    import sys

    from dlrepair.journal import reader
    from dlrepair.render import log

    try:
        since = reader.parse_since(arguments.since) if arguments.since else None
    except ValueError as error:
        raise output.CommandError(str(error), "dlrepair log --since 2h", output.USAGE) from error
    if arguments.follow:
        arriving = reader.follow(since, arguments.incident)
        if arguments.json:
            import json

            lines: Iterator[str] = (json.dumps(event) for event in arriving)
        else:
            lines = log.stream_lines(arriving, output.coloured())
        for line in lines:
            output.say(line)
            sys.stdout.flush()
        return output.FINE
    events = list(reader.read(since, arguments.incident))
    if arguments.json:
        output.say_json({"events": events})
    else:
        for line in log.lines(events, output.coloured()):
            output.say(line)
    if events:
        return output.FINE
    if arguments.incident:
        raise output.CommandError("no incident {} is in the journal".format(arguments.incident), "dlrepair log")
    if not arguments.json:
        since_when = " since " + arguments.since if arguments.since else " yet"
        output.warn(["nothing journalled" + output.escape(since_when)])
    return output.FINE
