"""What the next start of a program that gave up can be given, and where a file would have to lie for it to be found.

Only what nothing but that program reads, and only where it read nothing: an unset variable of its own, a module or an
answer that was not there. A search path is none of these: whatever else lies in its directories would be found, too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.diagnose.giveups import GiveUp
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


def learn(context: Context, seen: GiveUp, found: str) -> tuple[str, str]:
    """(what is in force from the next start on, "") or ("", why nothing could be learned)."""
    from dlrepair.learned import environ
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair import start

    if seen.module:
        change = (seen.module, "module", found)
        why = "the module {} lies in {}".format(seen.module, os.path.dirname(found))
    elif seen.question:
        change = (seen.question, "answer", found)
        why = "{} is what find_library({!r}) was to find".format(found, seen.question)
    else:
        value = seen.value_for(found)
        problem = _speaks_against(seen, value)
        if problem:
            return "", problem
        change = (seen.variable, "show", value)
        why = "{} makes up the path of {}".format(seen.variable, os.path.basename(found))
    if context.settings.reexec == "never":
        return "", "the setting reexec is never"
    if not start.learn(context, start.with_former(context, EnvironmentFix((change,), why, (found,)))):
        return "", "it could not be kept"
    return environ.describe((change,)), ""


def _speaks_against(seen: GiveUp, value: str) -> str:
    """Why the variable must not be given that value, or ""."""
    from dlrepair.diagnose import giveups

    name = seen.variable
    if not value:
        return "the path follows from no variable of the environment"
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
