"""What the next start of a program that gave up can be given, and where a file would have to lie for it to be found.

Only what nothing but that program reads, and only where it read nothing: an unset variable of its own, a module or an
answer that was not there, a path in its own code at which nothing is. A search path is none of these: whatever else
lies in its directories would be found, too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.diagnose.giveups import GiveUp
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.model.requests import LoadRequest
    from dlrepair.repair.context import Context

#: variables that more than one program, or the system itself, goes by
_SHARED = frozenset((
    "HOME", "PATH", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE", "TERM",
    "DISPLAY", "HOSTNAME", "VIRTUAL_ENV", "MANPATH", "LIBRARY_PATH", "CPATH", "TZ", "MAIL", "EDITOR", "IFS",
))  # fmt: skip
#: longest search for what a pattern matches
_SECONDS = 0.5
_SHARED_BEGINNINGS = ("LD_", "LC_", "XDG_", "PYTHON", "CONDA_", "DLREPAIR", "DBUS_", "SSH_", "SLURM_", "OMPI_", "PMI_")


def learn(context: Context, seen: GiveUp, found: str, anyway: bool = False) -> tuple[str, str]:
    """(what is in force from the next start on, "") or ("", why nothing could be learned).

    ``found``: the file that serves, "" where one is to be built; ``anyway``: something broken lies at the place.
    """
    try:
        return _keep(context, _fix(context, seen, found, anyway))
    except _Problem as problem:
        return "", str(problem)


def learn_build(context: Context, module: str, place: str) -> tuple[str, str]:
    """As ``learn``, for an extension module that is to be built, and would lie at ``place`` if it were."""
    from dlrepair.model.environment import EnvironmentFix

    why = "{} can be built, and is not".format(module)
    try:
        return _keep(context, EnvironmentFix(((module, "built", place),), why, (place,)))
    except _Problem as problem:
        return "", str(problem)


def _keep(context: Context, fix: EnvironmentFix) -> tuple[str, str]:
    """(what was learned, ""). Raises _Problem."""
    from dlrepair.learned import environ
    from dlrepair.repair import start

    if context.settings.mode != "repair":
        raise _Problem("mode is {}".format(context.settings.mode))
    if context.settings.reexec == "never":
        raise _Problem("the setting reexec is never")
    if not start.learn(context, start.with_former(context, fix)):
        raise _Problem("it could not be kept")
    return environ.describe(fix.variables), ""


class _Problem(Exception):
    """Why nothing can be learned."""


def _fix(context: Context, seen: GiveUp, found: str, anyway: bool) -> EnvironmentFix:
    """What has the program find the file, "" for one that is to be built. Raises _Problem."""
    from dlrepair.model.environment import EnvironmentFix

    if seen.module:
        why = "the module {} lies in {}".format(seen.module, os.path.dirname(found))
        return EnvironmentFix(((seen.module, "module", found),), why, (found,))
    if seen.question:
        why = "{} is what find_library({!r}) was to find".format(found, seen.question)
        return EnvironmentFix(((seen.question, "answer", found),), why, (found,))
    value = seen.value_for(found) if found else ""
    problem = _speaks_against(seen, value)
    if not problem and not anyway:
        why = "{} makes up the path of {}".format(seen.variable, os.path.basename(found))
        return EnvironmentFix(((seen.variable, "show", value),), why, (found,))
    # a variable that the user has set is the user's word, and outranks what is found
    path, sites = ("", ()) if seen.variable and os.environ.get(seen.variable) else _in_code(context, seen)
    if not sites:
        raise _Problem(problem)
    files = [one for one in (found, *(file for file, _ in sites)) if one[:1] == "/"]  # a cell is no file
    if "*" not in path:
        files.append(os.path.normpath(os.path.join(context.request.cwd, path)))  # it ends when that changes, or comes
    why = "the program itself makes the path {}".format(path)
    action = "instead" if anyway else "path" if found else "make"
    changes = ((path, action, found or context.request.loader), *((file, "source", where) for file, where in sites))
    return EnvironmentFix(changes, why, tuple(files))


def _in_code(context: Context, seen: GiveUp) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A path that was looked for in vain, and where the program's own code makes it; ("", ()) where it does not.

    What was learned so before, and has not helped, is not learned again.
    """
    from dlrepair.learned import sources
    from dlrepair.learned.program import program
    from dlrepair.repair import places

    here = program(context.ask.state.cwd)
    paths = ("" if seen.bare else seen.path, *seen.others)
    homes = [context.request.cwd, os.path.dirname(context.request.script)]
    if any(_is_of_this_run(path, homes) for path in paths):
        return "", ()
    for path in paths:
        sites = places.find(path, seen, here) if path else ()
        if sites:
            return path, () if sources.has(path, sites) else sites
    return "", ()


def _is_of_this_run(path: str, homes: list[str]) -> bool:
    """Whether a path has the process id in it, or a name of the module ``tempfile``: the next run makes another.

    ``homes``: directories that were there before the run, whatever they are called. In a container the ids are small
    ones: the same in each run, and in many a path by chance (``v1``).
    """
    import re

    lengths = [len(one) for one in homes if one and path.startswith(one + "/")]
    path = path[max(lengths, default=0) :]
    own = str(os.getpid()) if os.getpid() > 99 else ""
    return any(
        re.fullmatch(r"tmp[a-z0-9_]{8}", one) or own in re.findall(r"\d+", one) for one in path.split("/")
    )


def _speaks_against(seen: GiveUp, value: str) -> str:
    """Why the variable must not be given that value, or ""."""
    from dlrepair.diagnose import giveups

    name = seen.variable
    if not value:
        return "neither a variable of the environment nor code that can be met decides where it looks"
    if name in _SHARED or name.startswith(_SHARED_BEGINNINGS):
        return "other programs go by {}, too".format(name)
    now = os.environ.get(name, "")
    if any(os.path.exists(one) for one in (now, *now.split(":")) if one):
        return "{} is set, and leads to something".format(name)
    lost = giveups.lost_by(seen, value)
    return "{} leads to {}, too".format(name, lost) if lost else ""


def is_of(module: str, path: str) -> bool:
    """Whether a file of the module's name is that module's: its directories are the packages, if it is in any."""
    package = module.rpartition(".")[0].replace(".", "/")
    folder = os.path.dirname(path)
    if package:
        return folder.endswith("/" + package)
    return not os.path.exists(os.path.join(folder, "__init__.py"))


def module_place(module: str, found: str) -> str:
    """Where the import system would find the file: in the directory of the package, or of the main program; or ""."""
    package = module.rpartition(".")[0]
    held = getattr(sys.modules.get(package), "__path__", None) if package else sys.path[:1]
    try:
        places = [one for one in held or () if type(one) is str]
    except Exception:  # a __path__ of the user's own making
        places = []
    if package and not places:  # its own import failed: it is in sys.modules no more
        inside = package.split(".")
        places = [os.path.join(one, *inside) for one in sys.path if type(one) is str]
        places = [one for one in places if os.path.isdir(one)]
    return os.path.join(os.path.abspath(places[0]), os.path.basename(found)) if places else ""


def file_place(path: str, found: str) -> str:
    """``path``; for a pattern a path that it matches: with the name of the file found, or what it leaves; or ""."""
    if "*" not in path and "?" not in path:
        return os.path.normpath(path)
    import fnmatch

    folder, name = os.path.split(path)
    for one in (os.path.basename(found), name.replace("*", "").replace("?", "")):
        place = os.path.join(folder.replace("*", ""), one)
        if one and fnmatch.fnmatchcase(place, path):
            return os.path.normpath(place)
    return ""


def only_match(pattern: str, request: LoadRequest) -> str:
    """The one name of a file of the project that a pattern matches; "" where there is none, or more than one."""
    import fnmatch
    import time

    from dlrepair.search import roots

    until, found = time.monotonic() + _SECONDS, set()
    starts = [os.path.dirname(one) for one in (request.caller.file if request.caller else "", request.script) if one]
    for top in dict.fromkeys(roots.project_root(one) or one for one in starts):
        for _, folders, files in os.walk(top):
            folders[:] = sorted(one for one in folders if one[0] != "." and one not in ("node_modules", "venv"))
            found |= {one for one in files if fnmatch.fnmatchcase(one, pattern)}
            if len(found) > 1 or time.monotonic() > until:
                return ""
    return found.pop() if found else ""
