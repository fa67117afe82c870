"""``dlrepair install``."""

from __future__ import annotations

import argparse
import sys

from dlrepair.cli import output

NAME = "install"
HELP = "put the hook into a virtualenv, once"
EXAMPLE = """\
example:
  dlrepair install
  dlrepair install --python ~/envs/tf115/bin/python

Writes sitecustomize.py into that environment's site-packages (or a .pth line, where another
sitecustomize comes first), keeps and runs one that was there, and starts the interpreter to
prove that the hook is live. `dlrepair uninstall` restores every byte. At its end it has
`dlrepair doctor` look at the shared objects of that environment, for five seconds at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", metavar="PATH", help="interpreter or directory of another environment")
    parser.add_argument("--force", action="store_true", help="also outside a virtualenv")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import installer
    from dlrepair.cli import lookover

    try:
        result = installer.install(arguments.python, arguments.force)
    except installer.InstallError as error:
        raise as_command_error(error) from error
    if arguments.json:
        found = lookover.look(result)
        output.say_json(dict(vars(result), libraries=found))
        return output.FINE
    words = {"installed": "hook installed", "updated": "hook updated", "unchanged": "hook already installed"}
    output.say("{}: {}".format(words[result.action], result.environment))
    output.say("  live from {}".format(result.hook))
    if result.kept:
        output.say("  the sitecustomize.py that was there is kept as {} and still runs".format(result.kept))
    for note in result.notes:
        output.say("  note: {}".format(note))
    sys.stdout.flush()  # the hook is there, however long the rest takes
    found = lookover.look(result)
    if found is not None:
        output.say(*lookover.describe(found, arguments.python, result.python))
    return output.FINE


def as_command_error(error: Exception) -> output.CommandError:
    """The installer's refusal in the shape of every command's: its second line is the help."""
    text, _, advice = str(error).partition("\nhelp: ")
    status = output.USAGE if getattr(error, "usage", False) else output.FOUND
    return output.CommandError(text, advice, status)
