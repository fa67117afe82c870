"""``dlrepair status``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from dlrepair.cli import output

NAME = "status"
HELP = "say whether the hook is live, and which settings hold here"
EXAMPLE = """\
example:
  dlrepair status
  dlrepair status --python ~/envs/tf115/bin/python --json

Asks a real child interpreter. Exit status 0: live; 1: not live."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", metavar="PATH", help="interpreter or directory of another environment")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import installer
    from dlrepair.cli.install import as_command_error

    try:
        found = installer.status(arguments.python)
    except installer.InstallError as error:
        raise as_command_error(error) from error
    about = _surroundings()
    live = found.live and not found.switched_off_by
    if arguments.json:
        output.say_json({"hook": found, **about})
        return output.FINE if live else output.FOUND
    _say_hook(found)
    output.say("", "settings")
    for key, one in about["settings"].items():
        value = one["value"]
        if key == "store":
            value = about["store"]["path"]
        output.say("  {:15} {:24} {}".format(key, _shown(value), output.escape(one["from"])))
    for problem in about["problems"]:
        output.say("  " + output.paint("ignored: ", "yellow") + output.escape(problem))
    for name in ("store", "journal"):
        one = about[name]
        size = output.size_text(one["bytes"])
        files = output.counted(one["files"], "file")
        output.say("{:9}{} ({}, {})".format(name, output.escape(one["path"] or "nowhere"), files, size))
    for one in about["builders"]:
        from dlrepair.build import lock

        output.say("building " + output.escape(lock.describe(one)))
    _say_learned(about["learned"])
    return output.FINE if live else output.FOUND


def _say_learned(held: dict[str, Any]) -> None:
    from dlrepair.learned import environ

    rows = held["programs"]
    count = output.counted(len(rows), "program")
    output.say("{:9}{} ({})".format("learned", output.escape(held["path"] or "nowhere"), count))
    for row in rows:
        where = row["directory"] or ""
        place = "" if not where else (" in {}" if os.path.isdir(where) else " that runs {}").format(where)
        changes = environ.describe((one["name"], one["action"], one["value"]) for one in row["environment"])
        words = "{}{} with {}".format(row["program"], place, changes)
        output.say("  starts {}".format(output.escape(words)))
        if row["stale"]:
            output.say("    " + output.paint("not applied: ", "yellow") + output.escape(row["stale"]) + " has changed")
        elif row["forbidden"]:
            output.say("    " + output.paint("not applied: ", "yellow") + output.escape(row["forbidden"]))
    if rows:
        output.say("  help: dlrepair cache forget {}".format(output.escape(_quoted(rows[-1]["program"]))))


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _learned() -> dict[str, Any]:
    """What starts with another environment, of this interpreter's environment and of others."""
    from dlrepair import learned
    from dlrepair.learned import records, start

    rows = []
    for path, record, _, _ in records.records():
        if record is not None:
            rows.append({
                "program": record.program.shown, "directory": record.cwd or None, "prefix": record.prefix,
                "cause": record.cause, "requested": record.requested, "incident": record.incident, "why": record.why,
                "environment": [dict(zip(("name", "action", "value"), one)) for one in record.variables],
                "files": [path for seen, path in record.files if not seen.startswith("d")],
                "stale": record.stale(), "forbidden": start.forbidden(record), "record": path,
            })  # fmt: skip
    return {"path": learned.directory(), "programs": rows}


def _say_hook(found: Any) -> None:
    if found.switched_off_by:
        word = output.paint("switched off by {}".format(found.switched_off_by), "yellow")
    elif found.live:
        word = output.paint("live", "green")
    else:
        word = output.paint("installed, but not live" if found.installed else "not installed", "red")
    output.say("hook     {}: {}".format(word, output.escape(found.environment)))
    rows = [
        ("python", found.python),
        ("file", found.hook),
        ("package", found.home),
        ("version", found.version),
        ("kept", found.kept),
        ("shadowed by", found.shadowed_by),
    ]
    for name, value in rows:
        if value:
            output.say("  {:13} {}".format(name, output.escape(value)))
    for problem in found.problems:
        output.say("  " + output.paint("problem: ", "yellow") + output.escape(problem))
    if not found.installed:
        output.say("help: dlrepair install")


def _surroundings() -> dict[str, Any]:
    from dlrepair import settings, store, trust
    from dlrepair.build import lock
    from dlrepair.journal import reader, writer

    held = settings.load(check=trust.check)
    store.use(held.store)
    store_files, store_bytes = store.size()
    journal_files, journal_bytes = reader.size()
    return {
        "settings": {key: {"value": getattr(held, key), "from": held.provenance[key]} for key in settings.KEYS},
        "problems": list(held.problems) + [one for one in (trust.problem(),) if one],
        "store": {"path": store.location(), "files": store_files, "bytes": store_bytes},
        "builders": lock.holders(),
        "journal": {"path": writer.directory(), "files": journal_files, "bytes": journal_bytes},
        "learned": _learned(),
    }


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return output.escape(", ".join(value)) or "none"
    return output.escape(str(value)) or "none"
