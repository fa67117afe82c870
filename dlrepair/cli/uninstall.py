"""``dlrepair uninstall``."""

from __future__ import annotations

import argparse

from dlrepair.cli import install, output

NAME = "uninstall"
HELP = "take the hook away and restore what was there, byte for byte"
EXAMPLE = """\
example:
  dlrepair uninstall
  dlrepair uninstall --python ~/envs/tf115/bin/python"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", metavar="PATH", help="interpreter or directory of another environment")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import installer

    try:
        result = installer.uninstall(arguments.python)
    except installer.InstallError as error:
        raise install.as_command_error(error) from error
    if arguments.json:
        output.say_json(result)
        return output.FINE
    words = {"removed": "hook removed", "absent": "no hook is installed"}
    output.say("{}: {}".format(words[result.action], result.environment))
    for note in result.notes:
        output.say("  note: {}".format(note))
    return output.FINE
