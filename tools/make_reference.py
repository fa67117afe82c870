"""Writes the parts of ``docs/reference`` that follow from the code: commands, journal events, causes.

    python tools/make_reference.py            writes what has changed, and names it
    python tools/make_reference.py --check    writes nothing; exit status 1 if a page is not current

The text outside the ``<!-- made: … -->`` marks of a page is written by hand and kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Callable, Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REFERENCE = os.path.join(ROOT, "docs", "reference")
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from dlrepair.cli.parser import build_parser  # noqa: E402
from dlrepair.model.causes import CAUSES  # noqa: E402
from dlrepair.model.events import EVENTS  # noqa: E402

#: keys that every line of the journal has, hence not listed event by event
_COMMON = ("v", "ts", "run", "pid", "incident", "event", "cut")

#: what the schema leaves to the key's name
_MEANINGS = {
    "v": "version of the schema",
    "pid": "process that wrote the line",
    "incident": "the failing load that the line belongs to, eight hexadecimal digits",
    "event": "what happened",
    "cut": "keys that were shortened",
    "cwd": "working directory at that moment",
    "guard": "how the caller deals with the failure, and where that was seen",
    "cause": "why the load failed",
    "symptom": "what the loader's message says",
    "evidence": "the facts, each with `key`, `text` and `value`",
    "failing_object": "path of the object at fault",
    "missing": "names of the `DT_NEEDED` entries that are not found",
    "symbols": "undefined symbols that nothing here provides",
    "path": "the file",
    "verdict": "whether it may serve",
    "reason": "why, in one word or one clause",
    "detail": "why, as a sentence with the fact",
    "facts": "what was read from the file",
    "strategy": "`substitute`, `preload`, `alias`, `patched`, `relocated`, `rebuild` or `reexec`;"
    " where nothing came of it also `search` (the budget) or `remembered` (its surroundings changed)",
    "ms": "milliseconds from the failure to the repaired load",
    "next_step": "what you can do",
    "error": "what went wrong",
}


def commands() -> str:
    """A section for every command, from the parser itself: the same words as ``--help``."""
    parser = build_parser()
    parts = ["```\n{}\n```\n".format(_synopsis(parser, "dlrepair"))]
    parts.append("\n" + _table(("Option", "Meaning"), _rows(parser)))
    for name, sub in find_subparsers(parser).items():
        parts.append("\n## dlrepair {}\n\n{}\n".format(name, sub.description))
        parts.append("\n```\n{}\n```\n".format(_synopsis(sub, "dlrepair " + name)))
        parts.append("\n" + _table(("Argument", "Meaning"), _rows(sub)))
        parts.append("\n```\n{}\n```\n".format((sub.epilog or "").strip()))
    return "".join(parts)


def find_subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        ours = not isinstance(action, (argparse._SubParsersAction, argparse._HelpAction))
        if ours and action.help != argparse.SUPPRESS:
            yield action


def _value(action: argparse.Action) -> str:
    """The value of an option or the name of an argument, as usage lines write it."""
    if action.choices:
        return "{" + ",".join(str(one) for one in action.choices) + "}"
    return str(action.metavar or action.dest.upper())


def _synopsis(parser: argparse.ArgumentParser, name: str) -> str:
    words = [name]
    for action in _shown(parser):
        if action.option_strings:
            value = "" if action.nargs == 0 else " " + _value(action)
            words.append("[{}{}]".format(action.option_strings[-1 if value else 0], value))
    if name == "dlrepair":
        return " ".join([*words, "COMMAND ..."])
    for action in _shown(parser):
        if not action.option_strings:
            forms = {"+": "{0} [{0} ...]", "?": "[{}]", argparse.REMAINDER: "{} ..."}
            words.append(forms.get(str(action.nargs), "{}").format(_value(action)))
    return " ".join(words)


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(argument or option, what it means), arguments first."""
    for action in sorted(_shown(parser), key=lambda one: bool(one.option_strings)):
        value = _value(action)
        names = list(action.option_strings) or [value]
        if action.option_strings and action.nargs != 0:
            names[-1] += " " + value
        yield ", ".join("`{}`".format(name) for name in names), action.help or ""


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def events() -> str:
    """A section for every event of the journal, from the JSON Schema that ships with the package."""
    with open(os.path.join(ROOT, "dlrepair", "journal", "schema.json"), encoding="utf-8") as handle:
        schema = json.load(handle)
    rows = [(name, schema["properties"][name]) for name in _COMMON]
    required = set(schema["required"])
    parts = ["Every line has these keys (`cut` only where something was shortened):\n\n", _keys(rows, required)]
    for event in EVENTS:
        found = schema["$defs"][event]
        keys = found.get("properties", {})
        needed = {key for way in found.get("anyOf", ()) for key in way["required"]}
        parts.append("\n### {}\n\n{}\n".format(event, found["description"]))
        if keys:
            parts.append("\n" + _keys(list(keys.items()), needed))
    return "".join(parts)


def _keys(rows: list[tuple[str, dict[str, Any]]], required: set[str]) -> str:
    cells = (
        (
            "`{}`".format(name),
            _type(found),
            "yes" if name in required else "",
            found.get("description") or _MEANINGS.get(name, ""),
        )
        for name, found in rows
    )
    return _table(("Key", "Type", "Always", "Meaning"), cells)


def _type(found: dict[str, Any]) -> str:
    if "const" in found:
        return "`{}`".format(json.dumps(found["const"]))
    if "$ref" in found:
        return "[a cause](causes.md)"
    if "enum" in found:
        names = ["`{}`".format(one) for one in found["enum"]]
        return ", ".join(names) if len(names) < 5 else "one of the events below"
    kind = found.get("type", "")
    return kind if isinstance(kind, str) else " or ".join(kind)


def causes() -> str:
    """A row for every cause, with a link to its page."""
    rows = (("[{0}](../causes/{0}.md)".format(slug), line[0].upper() + line[1:]) for slug, line in CAUSES.items())
    return _table(("Cause", "Meaning"), rows)


#: page -> (mark, what stands there)
PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "commands.md": ("commands", commands),
    "journal.md": ("events", events),
    "causes.md": ("causes", causes),
}


def current(page: str) -> str:
    """What ``docs/reference/PAGE`` ought to hold. Raises ValueError where it lacks its marks."""
    mark, make = PAGES[page]
    with open(os.path.join(REFERENCE, page), encoding="utf-8") as handle:
        text = handle.read()
    opening, closing = "<!-- made: {} -->\n".format(mark), "<!-- end: {} -->".format(mark)
    before, found, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not found or not end:
        raise ValueError("{} lacks the marks of {}".format(page, mark))
    return "{}{}\n{}\n{}{}".format(before, opening, make(), closing, after)


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    stale = 0
    for page in PAGES:
        path = os.path.join(REFERENCE, page)
        text = current(page)
        with open(path, encoding="utf-8") as handle:
            held = handle.read()
        if text == held:
            continue
        stale += 1
        if check:
            sys.stderr.write("docs/reference/{} is not current\nhelp: python tools/make_reference.py\n".format(page))
            continue
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        sys.stdout.write("docs/reference/{}\n".format(page))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
