"""``dlrepair distrust``."""

from __future__ import annotations

import argparse

from dlrepair.cli import output, trust

NAME = "distrust"
HELP = "never load anything from a path, whatever else allows it"
EXAMPLE = """\
example:
  dlrepair distrust ~/Downloads"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a directory or a file")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.trust import consents

    path = trust.decide(consents.refuse, arguments.path)
    if arguments.json:
        output.say_json({"decision": "refuse", "path": path})
    else:
        output.say("refused from now on: {}".format(path))
    return output.FINE
