"""``dlrepair run``."""

from __future__ import annotations

import argparse
import os
from typing import NoReturn

from dlrepair.cli import output

NAME = "run"
HELP = "run one command with the hook, nothing installed"
EXAMPLE = """\
example:
  dlrepair run python train.py --epochs 3
  dlrepair run -- /usr/bin/python3 -u train.py

The hook reaches every Python that the command starts, of any environment, through PYTHONPATH; it stays
out of interpreters started with -E, -I or -S. The exit status is the command's; 126 and 127 mean that it
could not be run, or was not found."""

NOT_EXECUTABLE = 126  # as env(1), nohup(1) and the shells have it
NOT_FOUND = 127


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def execute(arguments: argparse.Namespace) -> NoReturn:
    import sys

    from dlrepair.installer import find_template

    command = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not command:
        raise output.CommandError("no command was given", "dlrepair run python script.py", output.USAGE)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environment(find_template()))
    except FileNotFoundError:
        raise output.CommandError("{}: not found".format(command[0]), _advice(command), NOT_FOUND) from None
    except OSError as error:
        text = "{} cannot be run: {}".format(command[0], error.strerror or error)
        raise output.CommandError(text, _advice(command), NOT_EXECUTABLE) from None


def environment(template: str) -> dict[str, str]:
    """This process's environment with the template directory first on PYTHONPATH."""
    env = dict(os.environ)
    before = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry != template]
    env["PYTHONPATH"] = os.pathsep.join([template, *(before if before != [""] else [])])
    return env


def _advice(command: list[str]) -> str:
    return "dlrepair run python " + " ".join(command) if command[0].endswith(".py") else ""
