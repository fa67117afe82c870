"""``dlrepair explain``."""

from __future__ import annotations

import argparse

from dlrepair.cli import output

NAME = "explain"
HELP = "say what a cause means, what happened in an incident, or what an error text tells"
EXAMPLE = """\
example:
  dlrepair explain undefined-symbol-abi
  dlrepair explain 7f3a9c12
  python train.py 2>&1 | dlrepair explain --message -"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", nargs="?", metavar="CAUSE|INCIDENT", help="a cause's name or an incident's identity")
    parser.add_argument("--message", metavar="FILE", help="an error text of any platform; - is standard input")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.model.causes import CAUSES

    if bool(arguments.subject) == bool(arguments.message):
        text = "name a cause or an incident, or give --message"
        raise output.CommandError(text, "dlrepair explain --help", output.USAGE)
    if arguments.message:
        return _message(arguments.message, arguments.json)
    if arguments.subject in CAUSES:
        return _cause(arguments.subject, arguments.json)
    return _incident(arguments.subject, arguments.json)


def _message(source: str, as_json: bool) -> int:
    from dlrepair.diagnose import dlerror
    from dlrepair.model.causes import CAUSES
    from dlrepair.render import message

    symptom = dlerror.parse(_read(source))
    if as_json:
        output.say_json(
            {
                "symptom": symptom.kind,
                "failing_object": symptom.failing_object,
                "missing": symptom.missing,
                "causes": symptom.causes,
                "platform": symptom.platform,
            }
        )
        return output.FINE
    if symptom.causes == ("unknown",):
        output.say("the text holds no message of a loader that dlrepair knows", "help: dlrepair doctor")
        return output.FINE
    told = message.sentence(symptom, _demangled(symptom.missing))
    if told:
        output.say(output.escape(told))
    output.say("symptom: {}".format(symptom.kind))
    for name, value in (("failing object", symptom.failing_object), ("missing", symptom.missing)):
        if value:
            output.say("{}: {}".format(name, output.escape(value)))
    output.say("possible causes, likeliest first:")
    for cause in symptom.causes:
        output.say("  {:26} {}".format(cause, CAUSES.get(cause, "")))
    output.say("help: " + output.escape(message.next_step(symptom, _is_here(symptom.failing_object))))
    return output.FINE


def _demangled(missing: str | None) -> str:
    """A C++ symbol as its source writes it; "" for other names."""
    from dlrepair.binary import demangle

    name = (missing or "").partition("@")[0]
    name = name[1:] if name.startswith("__Z") else name
    return demangle.demangle(name) if name.startswith("_Z") else ""


def _is_here(failing: str | None) -> bool:
    """Whether the failing object is a file of this machine: its own facts then tell more than the message."""
    import os

    return bool(failing) and "/" in str(failing) and os.path.isfile(str(failing))


def _read(source: str) -> str:
    import sys

    limit = 1024 * 1024
    try:
        if source == "-":
            data = sys.stdin.buffer.read(limit)
        else:
            with open(source, "rb") as stream:
                data = stream.read(limit)
    except OSError as error:
        text = "{} cannot be read: {}".format(source, error.strerror or error)
        raise output.CommandError(text, status=output.USAGE) from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # what PowerShell writes
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape")


def _cause(slug: str, as_json: bool) -> int:
    import shutil

    from dlrepair.model.causes import CAUSES
    from dlrepair.render import causes

    page = causes.page(slug)
    if as_json:
        output.say_json({"cause": slug, "summary": CAUSES[slug], "page": page})
    elif page is None:
        output.say("{}: {}".format(slug, CAUSES[slug]))
    else:
        width = min(100, shutil.get_terminal_size().columns)
        output.say(*causes.render(page, width, output.coloured()))
    return output.FINE


def _incident(identity: str, as_json: bool) -> int:
    from dlrepair.journal import reader
    from dlrepair.render import explain

    events = list(reader.read(incident=identity))
    known = sorted({str(event.get("incident")) for event in events})
    if not known:
        text = "{} is neither a cause nor an incident in the journal".format(identity)
        raise output.CommandError(text, _nearest(identity), output.USAGE)
    if len(known) > 1:
        text = "{} incidents begin with {}: {}".format(len(known), identity, ", ".join(known[:5]))
        raise output.CommandError(text, "dlrepair explain " + known[-1], output.USAGE)
    if as_json:
        output.say_json({"incident": known[0], "events": events})
    else:
        output.say(*explain.story(events, output.coloured()))
    return output.FINE


def _nearest(word: str) -> str:
    import difflib

    from dlrepair.model.causes import CAUSES

    close = difflib.get_close_matches(word, CAUSES, 1)
    return "dlrepair explain " + close[0] if close else "dlrepair log"
