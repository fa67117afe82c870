"""The whole command line as argparse reads it."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

import dlrepair
from dlrepair.cli import (
    build,
    cache,
    check,
    completion,
    distrust,
    doctor,
    explain,
    fix,
    install,
    log,
    run,
    search,
    status,
    trust,
    uninstall,
    watch,
)

#: In the order of ``--help``.
COMMANDS: tuple[ModuleType, ...] = (
    install, uninstall, status, run, check, doctor, fix, search, build, watch, log, explain, trust, distrust, cache,
    completion,
)  # fmt: skip

_DESCRIPTION = "Shared libraries that fail to load are diagnosed, found, repaired and retried."
_EPILOG = """\
example:
  dlrepair install          once in a virtualenv; from then on failing loads are repaired
  python train.py           unchanged

exit status: 0 fine; 1 something found broken or not repaired; 2 wrong usage; 3 dlrepair itself failed"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of examples; one width of the left column on every Python."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=18, **options)


def build_parser() -> argparse.ArgumentParser:
    """The whole parser; ``dlrepair completion`` is generated from it."""
    parser = argparse.ArgumentParser(
        prog="dlrepair", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version="dlrepair " + dlrepair.__version__)
    parser.add_argument("--debug", action="store_true", help="show the traceback when dlrepair itself fails")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in COMMANDS:
        sub = commands.add_parser(
            module.NAME, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=module.EXAMPLE, formatter_class=_Formatter,
        )  # fmt: skip
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.add_arguments(sub)
        sub.set_defaults(execute=module.execute)
    return parser


def split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """(the words of dlrepair's own, the command that follows ``--`` or None) for the commands that take one so."""
    taking = [module.NAME for module in COMMANDS if getattr(module, "TAKES_COMMAND", False)]
    if "--" in words:
        at = words.index("--")
        own = [word for word in words[:at] if not word.startswith("-")]
        if own and own[0] in taking:
            return words[:at], words[at + 1 :]
    return words, None


def read(words: list[str]) -> argparse.Namespace | None:
    """The arguments; None, after the help was printed, where no command is given. Raises argparse's SystemExit."""
    parser = build_parser()
    words, following = split(words)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return None
    arguments.following = following
    return arguments
