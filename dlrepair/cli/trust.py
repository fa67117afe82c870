"""``dlrepair trust``."""

from __future__ import annotations

import argparse
import os
from typing import Any, Callable

from dlrepair.cli import output

NAME = "trust"
HELP = "allow a directory's libraries and build scripts, or one build script to be run, until they change"
EXAMPLE = """\
example:
  dlrepair trust ~/src/old-ops
  dlrepair trust ~/src/ops/compile.sh
  dlrepair trust --list

A directory: needed only where others could write, for another owner or a group. A build script, alone or in the
directory: may be run, in a private copy of its project, where dlrepair's own command does not do. Any change of
owner, mode, the script or a program of the project that it names asks again. `dlrepair distrust PATH` wins over
every permission."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", metavar="PATH", help="a directory, or a build script")
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
        if not entries and not arguments.json:
            output.warn(["no decisions yet"])
        return output.FINE
    if _is_lifted(arguments.path, arguments.json):
        return output.FINE
    entry = decide(consents.allow, arguments.path)
    if arguments.json:
        output.say_json({"decision": "allow", "entry": entry})
    else:
        output.say("allowed until it changes: {}".format(output.escape(entry["path"])))
        _say_programs(entry)
    return output.FINE


def _say_programs(entry: Any) -> None:
    """The programs of the project that an allowed script names: the permission covers them."""
    runs = entry.get("runs", {})
    paths = sorted({one for names in runs.values() for one in names}) if entry["kind"] == "directory" else sorted(runs)
    names = [os.path.relpath(one, os.path.dirname(entry["path"])) for one in paths]
    if names:
        more = " and {} more".format(len(names) - 8) if len(names) > 8 else ""
        output.say("  with what it names: {}{}".format(output.escape(", ".join(names[:8])), more))


def _is_lifted(path: str, as_json: bool) -> bool:
    """Whether ``path`` is a shared library whose refusal was lifted now; raises CommandError for any other library.

    A permission of one file is asked for when a build script is read, never when a library is loaded.
    """
    from dlrepair.trust import consents

    real = os.path.realpath(path)
    if not os.path.isfile(real) or not _is_library(real):
        return False
    lifted = decide(consents.lift, path)
    if not lifted:
        directory = os.path.dirname(real)
        text = "{} is a shared library: only its directory {} can be trusted".format(path, directory)
        raise output.CommandError(text, _instead(directory), output.USAGE)
    if as_json:
        output.say_json({"decision": "none", "entry": {"path": lifted, "kind": "file"}})
    else:
        output.say("no longer refused: {}".format(output.escape(lifted)))
    return True


def _is_library(path: str) -> bool:
    name = os.path.basename(path)
    if name.endswith((".so", ".dylib", ".dll", ".pyd")) or ".so." in name:
        return True
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == b"\x7fELF"
    except OSError:
        return False


def _instead(directory: str) -> str:
    """What to do for a library in ``directory``; a sticky one (``/tmp``) is everybody's and not to be trusted."""
    import shlex
    import stat

    if os.stat(directory).st_mode & stat.S_ISVTX:
        return "move it into a directory of your own: everybody writes in {}".format(directory)
    return "dlrepair trust " + shlex.quote(directory)


def decide(decision: Callable[[str], Any], path: str) -> Any:
    """What ``decision`` answers for ``path``; its refusals as the command's."""
    try:
        return decision(path)
    except OSError as error:
        raise output.CommandError("{}: {}".format(error.filename or path, error.strerror or error)) from error
    except ValueError as error:
        raise output.CommandError(str(error)) from error
