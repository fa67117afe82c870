"""Whether the hook is live in an interpreter, and whether anything else changed there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dlrepair.installer.environment import InstallError, ask, child_environment, run_python
from dlrepair.installer.places import find_template

_BARE = "import sys; sys.stdout.write('to stdout\\n'); sys.stderr.write('to stderr\\n')"

#: Imports what a failing load would import, by the way that a failing load takes.
_LIVE = r"""
import sys, json, _imp
answer = {"file": None, "home": None, "problem": ""}
wrapper = _imp.create_dynamic
if hasattr(wrapper, "__dlrepair__"):
    names = wrapper.__globals__
    answer["file"], answer["home"] = names.get("__file__"), names.get("HOME")
    try:
        if names["_rest"](wrapper.__dlrepair__) is None:
            raise ImportError("the package is not found in " + names["HOME"])
        import dlrepair.hooks._guard, dlrepair.engine
    except Exception as error:
        answer["problem"] = "%s: %s" % (type(error).__name__, error)
sys.stdout.write("\n" + MARK + json.dumps(answer) + "\n")
"""


@dataclass(frozen=True)
class Bare:
    """What one trivial script showed of an interpreter: exit status and both outputs, None where they vary."""

    status: int
    stdout: bytes | None
    stderr: bytes | None


def run_bare(python: str) -> Bare:
    """Runs the trivial script twice; an output that differs between the two is not compared later."""
    env = child_environment(find_template())
    first, second = (run_python(python, ["-c", _BARE], env) for _ in range(2))
    return Bare(
        first.returncode,
        first.stdout if first.stdout == second.stdout else None,
        first.stderr if first.stderr == second.stderr else None,
    )


def prove(python: str, before: Bare, hook: str, kept: str) -> None:
    """Raises InstallError unless the file ``hook`` is what arms the interpreter, and nothing else changed.

    ``kept`` is the new name of the sitecustomize.py that was there: errors in it may say so.
    """
    env = child_environment(find_template())
    answer = ask(python, _LIVE, env, "no longer answers")
    if answer["file"] is None:
        raise InstallError("the hook did not come alive in {}".format(python))
    if answer["file"] != hook:
        raise InstallError("the hook of {} came alive instead of {}".format(answer["file"], hook))
    if answer["problem"]:
        raise InstallError("dlrepair in {} cannot be imported there: {}".format(answer["home"], answer["problem"]))
    after = run_python(python, ["-c", _BARE], env)
    was, now = os.fsencode(os.path.basename(hook)), os.fsencode(os.path.basename(kept))
    for name, old, new in (
        ("exit status", before.status, after.returncode),
        ("output", before.stdout, after.stdout.replace(now or was, was)),
        ("error output", before.stderr, after.stderr.replace(now or was, was)),
    ):
        if old not in (None, new):
            raise InstallError("the {} of a bare script changed: {!r} became {!r}".format(name, old, new))
