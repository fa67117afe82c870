"""Environments that programs were found to need, and the start with them.

Stage 0 imports this module where a record may be meant for the process that starts, and in the process that such
a start leads to. The latter needs no more than what stands here; the former goes on to ``start``, and so to
``program`` (which program is this?), ``records`` (what was learned for it) and ``environ`` (what it is given). All of
them use ``sys`` and ``os`` only, and no other module of dlrepair before there is something to write. A record lies in
``$XDG_STATE_HOME/dlrepair/learned/=NAME/DIGEST``: NAME is what stage 0 knows for nothing, the last part of
``sys.argv[0]``; DIGEST stands for interpreter, program and, where the program is not a file of its own, working
directory.
"""

import os

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: set for the one process that was started with a changed environment; ``restore`` takes it away
MARK = "DLREPAIR__START"
#: prefix of the variables that hold the user's own values meanwhile
WAS = "DLREPAIR__WAS_"
#: actions of a record that change no variable: ``inside`` sees to them
INSIDE = ("module", "answer", "wanted", "built", "path", "make", "instead", "source")

#: what ``restore`` found: the way the process was started (``learned`` or ``reexec``), the record's key, the run id
_started: "list[str]" = []
#: the run id under which the journal has the start of this process, where nothing was started again
_run: "list[str]" = []


def directory() -> "str":
    """Where records lie; "" without a home directory. As ``settings.dirs.state_home``, which costs an import."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if base[:1] != "/":
        home = os.path.expanduser("~")
        if home[:1] != "/":
            return ""
        base = home + "/.local/state"
    return base + "/dlrepair/learned"


def restore(state: "Any") -> "None":
    """Gives ``os.environ`` its own values back, after ld.so has read ours: children are the user's. Never raises."""
    try:
        _started[:] = give_back(os.environ)
        state.started = _started
        if _started[4:]:
            from dlrepair.learned import inside

            inside.restore(_started[1])
    except Exception:
        os.environ.pop(MARK, None)


def started() -> "list[str]":
    """[way, key, run id, names] of a start of ours that this process came from; [] for any other."""
    return _started


def run_before() -> "str":
    """Identity of the run in which this process was given something at its start, or ""."""
    return _started[2] if len(_started) > 2 else _run[-1] if _run else ""


def give_back(environ: "Any") -> "list[str]":
    """The user's own values put back; the mark's fields."""
    fields: "list[str]" = environ.pop(MARK).split("\t")
    for name in fields[3].split(",") if len(fields) > 3 and fields[3] else ():
        was = environ.pop(WAS + name, None)
        if was is None:
            environ.pop(name, None)
        else:
            environ[name] = was
    return fields


def apply(state: "Any") -> "None":
    """Starts the program again at once where a record is meant for it; returns where none is. Never raises.

    Called by stage 0, before anything of the user's has run: nothing is lost or repeated.
    """
    try:
        from dlrepair.learned import start

        start.apply(state)
    except Exception:
        return
