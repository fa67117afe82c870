"""``dlrepair doctor``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dlrepair.cli import check, output

if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.diagnosis import Diagnosis

NAME = "doctor"
HELP = "find the shared objects of this environment that would fail to load, and why"
EXAMPLE = """\
example:
  dlrepair doctor
  dlrepair doctor --json > before-the-long-run.json

Reads, and loads nothing. Exit status 0: all would load; 1: at least one would not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.model.causes import CAUSES
    from dlrepair.render.progress import Progress

    broken: list[tuple[str, str, Diagnosis]] = []
    paths = _libraries()
    with Progress("doctor", len(paths)) as progress:
        for path, loader, diagnosis in _diagnoses(paths):
            progress.step(path)
            if diagnosis is not None:
                broken.append((path, loader, diagnosis))
    if arguments.json:
        keys = ("path", "loader", "diagnosis")
        output.say_json({"checked": len(paths), "broken": [dict(zip(keys, one)) for one in broken]})
        return output.FOUND if broken else output.FINE
    for path, _, diagnosis in broken:
        word = output.paint(diagnosis.cause, "red")
        output.say("{}: {}: {}".format(output.escape(path), word, CAUSES.get(diagnosis.cause, "")))
        for evidence in diagnosis.evidence:
            output.say("  fact: " + output.escape(evidence.text))
    output.say("{} shared objects, {} would not load".format(len(paths), len(broken)))
    return output.FOUND if broken else output.FINE


def _diagnoses(paths: list[str]) -> Iterator[tuple[str, str, Diagnosis | None]]:
    """(path, loader, diagnosis) of each of ``paths``; None where the file would load.

    What loads is proved for all of them together, which is many times faster than one diagnosis
    after another; what that does not prove is diagnosed.
    """
    from dlrepair import api
    from dlrepair.binary import bulk, process, scope

    view = process.ProcessView.current()
    census = bulk.Census(view)
    for path in paths:
        loader = check.likely_loader(path)
        if census.satisfied(scope.resolve(path, process=view)):
            yield path, loader, None
        else:
            diagnosis = api.diagnose(path, loader)
            yield path, loader, diagnosis if diagnosis.cause != "none" else None


def _libraries() -> list[str]:
    """Every shared object of the running environment that something loads by itself, each real file once.

    One that others name in DT_NEEDED is judged with them: what wheels carry in ``NAME.libs`` finds its
    own dependencies through the RPATH of whoever loads it.
    """
    import os
    import sysconfig

    from dlrepair.binary import elf

    found: dict[str, str] = {}
    needed: set[str] = set()
    paths = sysconfig.get_paths()
    for place in sorted({paths["purelib"], paths["platlib"]}):
        for path in check.find_libraries(place):
            found.setdefault(os.path.realpath(path), path)
    for real in found:
        facts = elf.read_facts(real).elf
        needed.update(facts.needed if facts is not None else ())
    return [path for path in found.values() if os.path.basename(path) not in needed]
