"""``dlrepair check``."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any, Iterator

from dlrepair.cli import output, search

NAME = "check"
HELP = "diagnose libraries, directories of them or a script's load sites, loading nothing"
EXAMPLE = """\
example:
  dlrepair check build/roi_pooling.so --loader tf
  dlrepair check build/
  dlrepair check train.py

Of a script the calls with a path that can be told without running it are checked, and the extension modules that it
imports. What it goes on without is called optional and does not count.
Exit status 0: all of them would load; 1: at least one would not."""


def add_loader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loader", choices=("tf", "ctypes", "import"), help="who would load it (default: by its name)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a library, a directory or a Python script")
    add_loader(parser)
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.render.progress import Progress

    reports = []
    known: dict[tuple[str, str, str], Any] = {}  # a script may ask for one file many times
    with Progress("checking") as progress:
        for path, loader, site, optional in find_targets(arguments.paths, arguments.loader):
            progress.step(path)
            script = site.rpartition(":")[0]
            if (path, loader, script) not in known:
                known[path, loader, script] = _preview(path, loader, script)
            diagnosis, outcome, candidates = known[path, loader, script]
            reports.append(
                {
                    "path": path,
                    "loader": loader,
                    "site": site,
                    "optional": optional,
                    "loads": diagnosis.cause == "none",
                    "diagnosis": diagnosis,
                    "repair": outcome,
                    "candidates": [search.candidate_row(*one) for one in candidates],
                }
            )
    if arguments.json:
        output.say_json({"reports": reports})
    else:
        for report in reports:
            _say(report)
        broken = [report for report in reports if not report["loads"]]
        spared = sum(report["optional"] for report in broken)
        more = ", {} of them optional".format(spared) if spared else ""
        output.say("{} checked, {} would not load{}".format(len(reports), len(broken), more))
    return output.FINE if all(report["loads"] or report["optional"] for report in reports) else output.FOUND


def _preview(path: str, loader: str, script: str) -> tuple[Any, Any, Any]:
    from dlrepair import api

    diagnosis, outcome, candidates = api.preview(path, loader, script)
    if script and loader == "import" and diagnosis.cause == "file-missing":
        from dlrepair.repair import unimported

        diagnosis = unimported.explain(path, diagnosis.symptom) or diagnosis
    return diagnosis, outcome, candidates


def find_targets(paths: list[str], loader: str | None) -> Iterator[tuple[str, str, str, bool]]:
    """(path as asked for, loader, call site or "", whether the script goes on without it)."""
    from dlrepair.diagnose.walk import find_libraries, is_library, likely_loader

    for path in paths:
        if path.endswith(".py") and os.path.isfile(path):
            from dlrepair.cli import loadsites

            sites, untold = loadsites.survey(path)
            if not sites:
                output.warn(["{}: no load whose path can be told without running it".format(output.escape(path))])
            elif untold:
                lines = ", ".join(map(str, untold[:5])) + (", ..." if len(untold) > 5 else "")
                words = "{}: the path of {} more cannot be told without running it (line {})"
                output.warn([words.format(output.escape(path), len(untold), lines)])
            for site in sites:
                asks = site.loader if site.loader in ("import", "find_library") else loader or site.loader
                yield site.requested, asks, "{}:{}".format(path, site.line), site.optional
        elif os.path.isdir(path):
            if not os.access(path, os.R_OK | os.X_OK):
                raise output.CommandError("{}: the directory cannot be read: Permission denied".format(path))
            libraries = list(find_libraries(path))
            if not libraries:
                output.warn(["{}: no shared object in it".format(output.escape(path))])
            for one in libraries:
                yield one, loader or likely_loader(one), "", False
        elif os.path.lexists(path):
            # a path was given: with its directory, since dlopen looks for a bare name elsewhere
            yield path if "/" in path else "./" + path, loader or likely_loader(path), "", False
        elif "/" in path or is_library(path):
            yield path, loader or likely_loader(path), "", False
        else:
            raise output.CommandError(
                "{}: no such file or directory".format(path), "dlrepair check --help", output.USAGE
            )


def _say(report: dict[str, Any]) -> None:
    diagnosis, outcome = report["diagnosis"], report["repair"]
    word = ", optional" if report["optional"] else ""
    where = " ({}{})".format(output.escape(report["site"]), word) if report["site"] else ""
    name = output.escape(report["path"]) + where
    if report["loads"]:
        output.say("{}: {}".format(name, output.paint("loads", "green")))
        return
    from dlrepair.model.causes import CAUSES
    from dlrepair.render import places

    output.say("{}: {}: {}".format(name, output.paint(diagnosis.cause, "red"), CAUSES.get(diagnosis.cause, "")))
    for evidence in diagnosis.evidence:
        output.say("  fact: " + output.escape(places.of_evidence(evidence.key, evidence.text, evidence.value)))
    for row in report["candidates"][:10]:
        word = "accepted" if row["accepted"] else "rejected"
        why = str(row["detail"] or row["reason"])
        why = why[len(row["path"]) + 2 :] if why.startswith(row["path"] + ": ") else why
        output.say("  {} {}".format(word, output.escape("{}: {}".format(row["path"], why))))
    if outcome.repaired:
        output.say("  repair: {}".format(output.escape(outcome.summary)))
        if outcome.strategy == "reexec":
            output.say("  help: Run the program: dlrepair starts it like that.")
        else:
            output.say("  help: dlrepair fix {}".format(output.escape(shlex.quote(report["path"]))))
    else:
        output.say("  help: {}".format(output.escape(outcome.next_step or diagnosis.next_step)))
