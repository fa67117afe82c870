"""``dlrepair doctor``."""

from __future__ import annotations

from dlrepair.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from dlrepair.model.diagnosis import Diagnosis

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

    from dlrepair.binary import elf, process
    from dlrepair.diagnose import walk
    from dlrepair.diagnose.environment import Environment
    from dlrepair.model.causes import CAUSES
    from dlrepair.render.progress import Progress

    gc.disable()  # nothing here makes cycles worth looking for, and the process ends soon
    broken: list[tuple[str, str, Diagnosis]] = []
    with elf.StillView() as still, Progress("doctor") as progress:
        view = process.ProcessView.current()
        environment = Environment(places(), still, view, arguments.fresh)
        progress.total = len(environment.paths)
        environment.prove(progress.step)
        for path in environment.paths:
            if not environment.loads(path):
                from dlrepair import api

                loader = walk.likely_loader(path)
                diagnosis = api.diagnose(path, loader)
                if diagnosis.cause != "none":
                    broken.append((path, loader, diagnosis))
        environment.keep()
    gc.freeze()  # nor is there anything in what is left, which the interpreter would look through at its end
    paths = environment.paths
    if arguments.json:
        keys = ("path", "loader", "diagnosis")
        output.say_json({"checked": len(paths), "broken": [dict(zip(keys, one)) for one in broken]})
        return output.FOUND if broken else output.FINE
    for path, _, diagnosis in broken:
        import shlex

        word = output.paint(diagnosis.cause, "red")
        output.say("{}: {}: {}".format(output.escape(path), word, CAUSES.get(diagnosis.cause, "")))
        for evidence in diagnosis.evidence[:FACTS]:
            output.say("  fact: " + output.escape(evidence.text))
        if len(diagnosis.evidence) > FACTS:
            output.say("  {} more facts".format(len(diagnosis.evidence) - FACTS))
        output.say("  help: dlrepair check {}".format(output.escape(shlex.quote(path))))
    output.say("{} shared objects, {} would not load".format(len(paths), len(broken)))
    return output.FOUND if broken else output.FINE
