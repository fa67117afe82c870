"""``dlrepair watch``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from dlrepair.cli import loadsites, output

if TYPE_CHECKING:
    from dlrepair.model.build import Recipe
    from dlrepair.watch.listener import Listener
    from dlrepair.watch.targets import Target

NAME = "watch"
HELP = "rebuild ops when their sources change; with a command, start it again after each good build"
EXAMPLE = """\
example:
  dlrepair watch
  dlrepair watch ops/ -- python train.py
  dlrepair watch ops/roi_pooling.so --json

PATH is a library as the script asks for it, a source, a script or a directory; without any, the project around
the current directory. What is built lies in the store, and no file of the project is written. The command gets the
watched build of each library that it asks for, also where an older one lies there and would load. It is not
started again after an error: it goes on with the last good library. A command that ends by itself is started
again after the next good build; with --exit the watcher ends with it and has its exit status.
Ctrl-C ends both."""
#: what follows ``--`` is a command: ``main`` splits it off
TAKES_COMMAND = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "dlrepair watch [-h] [--exit] [--json] [PATH ...] [-- CMD ...]"
    parser.add_argument("paths", nargs="*", metavar="PATH", help="what to watch (default: this project)")
    parser.add_argument("--exit", action="store_true", help="end with the command, with its exit status")
    parser.add_argument("--json", action="store_true", help="one JSON object for each event, a line each")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import engine
    from dlrepair.render import watching
    from dlrepair.watch import command, session

    words: list[str] | None = arguments.following
    if words is not None and not words:
        raise output.CommandError("no command was given after --", "dlrepair watch -- python train.py", output.USAGE)
    if arguments.exit and not words:
        raise output.CommandError("--exit needs a command", "dlrepair watch --exit -- python train.py", output.USAGE)
    here = os.getcwd()
    settings = engine.settings_for("", here)
    if settings.rebuild == "never":
        raise output.CommandError('the setting rebuild is "never"', "DLREPAIR_REBUILD=auto dlrepair watch")
    paths = arguments.paths or [_project(here)]
    for path in paths:
        _check(path)
    listener: Listener = (
        watching.Json(sys.stdout)  # type: ignore[assignment]
        if arguments.json
        else watching.Lines(sys.stderr if words else sys.stdout, here)
    )
    run = None
    if words:
        from dlrepair.cli.run import environment
        from dlrepair.installer import find_template

        run = command.Command(words, environment(find_template()))
    watcher = session.Session(
        _Discovery(paths), listener, run=run, until_exit=arguments.exit, shared=settings.shared_store,
        precompile=_precompile, directories=tuple(os.path.abspath(one) for one in paths if os.path.isdir(one)),
    )  # fmt: skip
    return watcher.run()


def _project(here: str) -> str:
    from dlrepair.search import roots

    return roots.project_root(here) or here


def _check(path: str) -> None:
    from dlrepair.diagnose.walk import is_library

    if not os.path.exists(path) and not is_library(path):
        raise output.CommandError("{}: no such file or directory".format(path), "dlrepair watch --help", output.USAGE)


def _precompile(recipe: Recipe) -> bool:
    """Whether TensorFlow's headers are precompiled for the flags of this recipe, now if need be."""
    from dlrepair.build import service

    return service.precompile(recipe)


class _Discovery:
    """The targets that the arguments mean, as the files are at each call; what is not there at first is an error."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = [(one, os.path.abspath(one)) for one in paths]  # the current directory may be moved
        self._again = False

    def __call__(self) -> list[Target]:
        found: dict[str, Target] = {}
        for given, path in self._paths:
            here = self._of(path)
            if not here and not self._again and not os.path.isdir(path):
                raise output.CommandError("{}: no sources were found".format(given), "dlrepair build " + given)
            found.update((target.wanted, target) for target in here)
        self._again = True
        return list(found.values())

    @staticmethod
    def _of(path: str) -> list[Target]:
        from dlrepair.search import roots
        from dlrepair.watch import snapshot, targets

        directory = path if os.path.isdir(path) else os.path.dirname(path)
        root = roots.project_root(directory) or directory
        if os.path.isdir(path):
            return targets.find_below(path, root, _asked_below(path))
        if path.endswith(".py"):
            return targets.find_below(directory, root, _asked_by(path))
        if path.endswith(snapshot.SOURCES):
            return [one for one in targets.find_below(root, root, _asked_below(root)) if path in one.files()]
        target = targets.find_target(path, targets.parents(directory, root), root)
        return [] if target is None else [target]


def _asked_by(script: str) -> list[str]:
    """Absolute paths of op libraries that a script asks for, relative ones taken from where it lies."""
    try:
        sites = loadsites.find(script)
    except output.CommandError:
        return []  # half written, or of another Python: its sources are found by what they register
    base = os.path.dirname(os.path.abspath(script))
    return [os.path.join(base, site.requested) for site in sites if site.loader == "tensorflow"]


def _asked_below(directory: str) -> list[str]:
    from dlrepair.watch import tree

    found: list[str] = []
    for place, names in tree.walk(directory):
        for name in names:
            if name.endswith(".py"):
                found += _asked_by(os.path.join(place, name))
    return found
