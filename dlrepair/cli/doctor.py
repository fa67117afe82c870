"""``dlrepair doctor``."""

from __future__ import annotations

from dlrepair.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Tuple

    from dlrepair.diagnose import surveyed
    from dlrepair.model.diagnosis import Diagnosis

    #: path, loader, why it would not load
    _Broken = Tuple[str, str, Diagnosis]

NAME = "doctor"
HELP = "find the shared objects of this environment that would fail to load, and why"
EXAMPLE = """\
example:
  dlrepair doctor
  dlrepair doctor --json > before-the-long-run.json

Reads, and loads nothing. What was proved is kept in the store, and holds until a file that the proof
looked at changes. Exit status 0: all would load; 1: at least one would not."""


#: how many facts of one library are shown: it may lack a thousand symbols
FACTS = 10

#: characters that mean nothing to a shell
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-")

#: its options, each without a value
FLAGS = {
    "fresh": "look at every file again, whatever was proved before",
    "json": "answer with one JSON document",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, meaning in FLAGS.items():
        parser.add_argument("--" + name, action="store_true", help=meaning)


def places() -> list[str]:
    """``purelib`` and ``platlib`` of ``sysconfig``, without the build's variables, which take a millisecond to read."""
    import os
    import sys
    import sysconfig

    names = ("purelib", "platlib")
    known = {
        "base": sys.prefix, "platbase": sys.exec_prefix, "py_version_short": "{}.{}".format(*sys.version_info[:2]),
        "platlibdir": getattr(sys, "platlibdir", "lib"), "abi_thread": "t" * ("t" in getattr(sys, "abiflags", "")),
        "implementation_lower": {"cpython": "python"}.get(sys.implementation.name, sys.implementation.name),
    }  # fmt: skip
    try:
        found = [sysconfig.get_path(name, expand=False).format(**known) for name in names]
    except (KeyError, ValueError):  # a scheme of a distribution, or of another version
        found = [sysconfig.get_path(name) for name in names]
    return sorted(set(map(os.path.normpath, found)))


def execute(arguments: argparse.Namespace) -> int:
    import gc

    from dlrepair.diagnose import surveyed

    gc.disable()  # nothing here makes cycles worth looking for, and the process ends soon
    where = places()
    kept = surveyed.recall(where) if not arguments.fresh else None
    if kept is not None and len(kept[0]) == len(kept[1]):
        checked, broken = len(kept[0]), []  # type: int, list[_Broken]
    else:
        checked, broken = _look(where, kept)
    gc.freeze()  # nor is there anything in what is left, which the interpreter would look through at its end
    if arguments.json:
        keys = ("path", "loader", "diagnosis")
        output.say_json({"checked": checked, "broken": [dict(zip(keys, one)) for one in broken]})
    else:
        _say(checked, broken)
    return output.FOUND if broken else output.FINE


def _look(where: list[str], kept: surveyed.Answer | None) -> tuple[int, list[_Broken]]:
    """(number of libraries, those that would not load); ``kept`` says of which that need not be proved."""
    from dlrepair.binary import elf, process

    with elf.StillView() as still:
        if kept is not None:
            return len(kept[0]), _diagnosed(kept)
        from dlrepair.diagnose.environment import Environment
        from dlrepair.render.progress import Progress

        with Progress("doctor") as progress:
            environment = Environment(where, still, process.ProcessView.current())
            progress.total = len(environment.paths)
            environment.prove(progress.step)
            broken = _diagnosed((environment.paths, list(filter(environment.loads, environment.paths))))
        environment.keep()
        return len(environment.paths), broken


def _diagnosed(answer: surveyed.Answer) -> list[_Broken]:
    """Those of the libraries that would not load: nothing is said of one by its not being proved."""
    from dlrepair.diagnose import walk

    paths, proved = answer[0], frozenset(answer[1])
    found: list[_Broken] = []
    for path in paths:
        if path not in proved:
            from dlrepair import api

            loader = walk.likely_loader(path)
            diagnosis = api.diagnose(path, loader)
            if diagnosis.cause != "none":
                found.append((path, loader, diagnosis))
    return found


def _say(checked: int, broken: list[_Broken]) -> None:
    for path, _, diagnosis in broken:
        from dlrepair.model.causes import CAUSES

        word = output.paint(diagnosis.cause, "red")
        output.say("{}: {}: {}".format(output.escape(path), word, CAUSES.get(diagnosis.cause, "")))
        for evidence in diagnosis.evidence[:FACTS]:
            output.say("  fact: " + output.escape(evidence.text))
        if len(diagnosis.evidence) > FACTS:
            output.say("  {} more facts".format(len(diagnosis.evidence) - FACTS))
        output.say("  help: dlrepair check {}".format(output.escape(_quoted(path))))
    output.say("{} shared objects, {} would not load".format(checked, len(broken)))


def _quoted(path: str) -> str:
    """As ``shlex.quote``, whose import takes as long as the diagnosis of three libraries."""
    if path and PLAIN.issuperset(path):
        return path
    return "'" + path.replace("'", "'\"'\"'") + "'"
