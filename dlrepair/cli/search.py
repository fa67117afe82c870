"""``dlrepair search``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from dlrepair.cli import output

if TYPE_CHECKING:
    from dlrepair.model.candidate import Candidate, Verdict

NAME = "search"
HELP = "list every candidate for a library's name, with what speaks for or against it"
EXAMPLE = """\
example:
  dlrepair search libcudart.so.11.0
  dlrepair search roi_pooling.so --loader tf

  dlrepair search --rebuild                 only the index of far places, made anew

Exit status 0: at least one candidate is accepted; 1: none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a file name, a path or a SONAME")
    parser.add_argument(
        "--rebuild", action="store_true", help="make the index of far places anew first, however long that takes"
    )
    parser.add_argument("--loader", choices=("tf", "ctypes", "import"), default="ctypes", help="who would load it")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import api

    if not arguments.name and not (arguments.rebuild and arguments.name is None):
        raise output.CommandError("the name is empty", "dlrepair search libfoo.so.1", output.USAGE)
    index = _rebuild(arguments.json) if arguments.rebuild else None
    if arguments.name is None:
        if arguments.json:
            output.say_json({"name": None, "candidates": [], "index": index})
        return output.FINE
    found = api.find_ranked(arguments.name, arguments.loader)
    accepted = [one for one, verdict, _ in found if verdict.accepted]
    if arguments.json:
        rows = [dict(candidate_row(candidate, verdict), rank=why) for candidate, verdict, why in found]
        output.say_json({"name": arguments.name, "candidates": rows, **({"index": index} if index else {})})
    else:
        for number, (candidate, verdict, why) in enumerate(found, 1):
            output.say(candidate_line(candidate, verdict, "{:3}. ".format(number)))
            output.say("     {}".format(why))
        output.say("{}, {} accepted".format(output.counted(len(found), "candidate"), len(accepted)))
        if not accepted:
            output.say("help: " + _next_step(arguments, found[0][0].path if found else ""))
    return output.FINE if accepted else output.FOUND


def _next_step(arguments: argparse.Namespace, nearest: str) -> str:
    """What a person does where nothing is accepted: look at the nearest, look further, or read what else there is."""
    from dlrepair.diagnose.rule import quote

    if nearest:
        return "dlrepair check {}".format(quote(nearest))
    if not arguments.rebuild:
        return "dlrepair search --rebuild {}".format(quote(arguments.name))
    return "dlrepair explain file-missing"


def _rebuild(quiet: bool) -> dict[str, Any]:
    """Make the index anew; what it holds now, for JSON."""
    from dlrepair import api
    from dlrepair.render.progress import Progress

    with Progress("indexing") as progress:
        made = api.rebuild_index(progress.step)
    if "problem" in made:
        raise output.CommandError("the index cannot be made: {}".format(made["problem"]), "dlrepair status")
    if not quiet:
        for place, reason in made["notes"]:
            output.say("  {}: {}".format(output.escape(place), output.escape(reason)))
        output.say(
            "index: {:,} libraries among {:,} files in {:,} directories, read in {:.1f} s; {} in {}".format(
                made["libraries"],
                made["files"],
                made["directories"],
                made["seconds"],
                output.size_text(made["bytes"]),
                output.escape(made["path"]),
            )
        )
    return made


def candidate_row(candidate: Candidate, verdict: Verdict) -> dict[str, Any]:
    """One candidate for JSON."""
    return {
        "path": candidate.path,
        "source": candidate.source,
        "rule": candidate.rule,
        "distance": candidate.distance,
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "trial": verdict.trial,
        "facts": dict(verdict.facts),
    }


def candidate_line(candidate: Candidate, verdict: Verdict, indent: str) -> str:
    """One candidate for people."""
    word = output.paint("accepted", "green") if verdict.accepted else output.paint("rejected", "red")
    reason = output.escape(verdict.detail or verdict.reason)
    return "{}{} {} ({}): {}".format(indent, word, output.escape(candidate.path), candidate.source, reason)
