"""The command ``dlrepair``: parser, dispatch, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import sys
from types import ModuleType
from typing import Any, Sequence

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
    output,
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


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status. Writes to standard output and error; no exception leaves it but argparse's SystemExit."""
    parser = build_parser()
    words, following = split(list(sys.argv[1:] if argv is None else argv))
    arguments = parser.parse_args(words)
    arguments.following = following
    if arguments.command is None:
        parser.print_help()
        return output.USAGE
    try:
        try:
            result: int = arguments.execute(arguments)
        finally:
            sys.stdout.flush()
        return result
    except output.CommandError as error:
        lines = ["dlrepair {}: {}".format(arguments.command, output.escape(error.text))]
        output.warn(lines + (["help: " + output.escape(error.help)] if error.help else []))
        return error.status
    except KeyboardInterrupt:
        return output.INTERRUPTED
    except BrokenPipeError:
        # the reader has gone, e.g. `dlrepair log | head`: the interpreter must not complain at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.CLOSED_PIPE
    except Exception as error:
        return _internal_error(arguments, error)


def _internal_error(arguments: argparse.Namespace, error: Exception) -> int:
    if arguments.debug or os.environ.get("DLREPAIR_DEBUG"):
        import traceback

        traceback.print_exc()
    said = "dlrepair {}: internal error: {}: {}".format(arguments.command, type(error).__name__, error)
    lines = [output.escape(said.partition("\n")[0])]
    if not arguments.debug:
        lines.append("help: run it again as dlrepair --debug {} to see where".format(arguments.command))
    output.warn(lines)
    return output.FAILED
