"""The command ``dlrepair``: dispatch, and what becomes of errors."""

from __future__ import annotations

import os
import sys

from dlrepair.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status. Writes to standard output and error; no exception leaves it but argparse's SystemExit."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _only_flags(words)
    if arguments is None:
        from dlrepair.cli import parser

        arguments = parser.read(words)
    if arguments is None:
        return output.USAGE
    try:
        try:
            result: int = arguments.execute(arguments)
        finally:
            sys.stdout.flush()
        return result
    except output.CommandError as error:
        output.say_error(arguments.command, error)
        return error.status
    except KeyboardInterrupt:
        return output.INTERRUPTED
    except BrokenPipeError:
        # the reader has gone, e.g. `dlrepair log | head`: the interpreter must not complain at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.CLOSED_PIPE
    except Exception as error:
        return _internal_error(arguments, error)


def _only_flags(words: list[str]) -> Any:
    """The arguments of ``doctor`` with flags of its own only; None for all else.

    Without argparse, whose import takes as long as reading a hundred libraries.
    """
    if words[:1] != ["doctor"]:
        return None
    from types import SimpleNamespace

    from dlrepair.cli import doctor

    if any(word[:2] != "--" or word[2:] not in doctor.FLAGS for word in words[1:]):
        return None
    given = {name: "--" + name in words for name in doctor.FLAGS}
    return SimpleNamespace(command=doctor.NAME, execute=doctor.execute, debug=False, following=None, **given)


def _internal_error(arguments: Any, error: Exception) -> int:
    if arguments.debug or os.environ.get("DLREPAIR_DEBUG"):
        import traceback

        traceback.print_exc()
    said = "dlrepair {}: internal error: {}: {}".format(arguments.command, type(error).__name__, error)
    lines = [output.escape(said.partition("\n")[0])]
    if not arguments.debug:
        lines.append("help: run it again as dlrepair --debug {} to see where".format(arguments.command))
    output.warn(lines)
    return output.FAILED
