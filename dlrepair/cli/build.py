"""``dlrepair build``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from dlrepair.cli import output

NAME = "build"
HELP = "build an op from its sources for the TensorFlow of this environment, into the store"
EXAMPLE = """\
example:
  dlrepair build ops/roi_pool.so         the library that a program asks for
  dlrepair build ops/roi_pool.cc         or one of its sources, its recipe, a directory of them

The command is dlrepair's own; a compile script is read. Only where that does not do, and after `dlrepair trust` of
the script, is the script run, in a private copy of the project. Nothing outside the store is written: a run that asks
for the library finds it there. Exit status 0: built, or found in the store; 1: not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a library, a source, a recipe or a directory")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import api
    from dlrepair.repair import ahead

    targets = ahead.find_targets(arguments.path)
    if not targets and ".so" in os.path.basename(arguments.path):
        made = _by_scripts(arguments.path, None)
        if made is not None:
            return _answer([made], arguments.json)
    if not targets:
        found = os.path.lexists(arguments.path) or arguments.path.endswith(".so")
        raise output.CommandError(
            "{}: {}".format(arguments.path, "no sources or recipe of it were found" if found else "no such file"),
            "name one of its sources: dlrepair build ops/NAME.cc" if found else "dlrepair build --help",
            output.FOUND if found else output.USAGE,
        )
    reports = []
    for wanted, recipe in targets:
        report = report_of(wanted, recipe, *api.build(wanted, recipe))
        done = report["ok"] or report["reason"] == "needs-cuda"  # a script would compile that code no more than we do
        reports.append(report if done else _by_scripts(wanted, report) or report)
    return _answer(reports, arguments.json)


def _answer(reports: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        output.say_json({"builds": reports})
    else:
        for report in reports:
            _say(report)
    return output.FINE if all(report["ok"] for report in reports) else output.FOUND


def _by_scripts(wanted: str, failed: dict[str, Any] | None) -> dict[str, Any] | None:
    """The report of the project's own script, where its user has allowed one; else ``failed``, with what to do.

    ``failed``: the report of our own command, None where there was nothing to make one of.
    """
    import shlex

    from dlrepair import api
    from dlrepair.build import scripted
    from dlrepair.model.build import Recipe
    from dlrepair.repair import ahead

    wanted = os.path.abspath(wanted)
    last = failed
    scripts = ahead.find_scripts(wanted)
    for script in scripts:
        recipe = Recipe(script.output, kind=script.kind, file=script.path, line=1)
        if script.state == "allowed":
            last = report_of(wanted, recipe, *api.build_by_script(wanted, script))
            if last["ok"]:
                return last
        elif last is failed:
            from dlrepair.model.built import BuildResult

            refused = BuildResult(False, "not-allowed", first_error=scripted.refusal(script))
            last = dict(failed or report_of(wanted, recipe, refused, None))
            if failed is not None:
                last["notes"] = [*last["notes"], scripted.refusal(script)]
            if failed is None or (not failed["help"] and _may_help(failed)):
                path = shlex.quote(os.path.relpath(script.path))
                last["help"] = "dlrepair trust {}  # to run it in a private copy of the project".format(path)
            return last  # else the source is at fault, and a script would not compile it either
    return last


def _may_help(failed: dict[str, Any]) -> bool:
    """Whether the project's own script may do what our command did not: a source at fault it would not compile."""
    return failed["reason"] != "compile-error" or "No such file" in failed["first_error"]


def report_of(wanted: str, recipe: Any, result: Any, verdict: Any) -> dict[str, Any]:
    """What ``--json`` says of one build."""
    from dlrepair.build import cuda

    fits = verdict is None or verdict.accepted
    error = result.first_error or ("" if fits else verdict.detail)
    missed = "" if result.ok and fits else cuda.missed(recipe, result, error)
    reason = "needs-cuda" if missed else result.reason if fits else "does-not-fit"
    return {
        "wanted": wanted, "ok": result.ok and fits, "reason": reason,
        "path": result.path, "first_error": missed or error,
        "log": result.log, "seconds": result.seconds, "hit": result.hit, "steps": list(result.steps),
        "ops": list(result.ops), "notes": list(result.notes), "sources": list(result.sources),
        "compiler": result.compiler, "tensorflow": result.tensorflow,
        "recipe": {"kind": recipe.kind, "file": recipe.file, "line": recipe.line,
                   "dropped": [list(pair) for pair in recipe.dropped]},
        "trial": "" if verdict is None else verdict.trial,
        "help": cuda.command(result) if missed else result.help,
    }  # fmt: skip


def _say(report: dict[str, Any]) -> None:
    name = output.escape(os.path.relpath(report["wanted"]))
    recipe = report["recipe"]
    source = os.path.relpath(recipe["file"]) + ":{}".format(recipe["line"]) if recipe["file"] else "its sources"
    if not report["ok"]:
        output.say("{}: {}".format(name, output.paint(report["reason"], "red")))
        output.say("  " + output.escape(report["first_error"]))
        _say_details(report, source)
        if report["log"]:
            output.say("  output: " + output.escape(report["log"]))
        if report["help"]:
            output.say("help: " + output.escape(report["help"]))
        elif report["log"]:
            output.say("help: less {}".format(output.escape(report["log"])))
        return
    target = " for TensorFlow {}".format(report["tensorflow"]) if report["tensorflow"] else ""
    how = "in the store already" if report["hit"] else "built in {:.1f} s".format(report["seconds"])
    output.say("{}: {}{}".format(name, output.paint(how, "green"), target))
    _say_details(report, source)
    output.say("  library: " + output.escape(report["path"]))


def _say_details(report: dict[str, Any], source: str) -> None:
    output.say("  recipe: " + output.escape(source))
    rows = (("steps", report["steps"]), ("ops", report["ops"]), ("note", report["notes"]))
    for word, values in rows:
        if values:
            output.say("  {}: {}".format(word, output.escape(", ".join(values))))
    for word, why in report["recipe"]["dropped"][:12]:
        output.say("  left out: {}".format(output.escape("{}: {}".format(word, why))))
