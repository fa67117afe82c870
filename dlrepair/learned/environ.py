"""The environment of a start: the user's own, and the same with the changes of a fix. Stage 0 imports this."""

import os

from dlrepair.learned import INSIDE, MARK, WAS, give_back
from dlrepair.learned.program import read

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping


def original() -> "dict[str, str]":
    """The environment that the user started this process with, whatever was changed since.

    From ``/proc/self/environ``, less what a start of ours had put there. Raises OSError, and ValueError where the
    program has written over that memory (setproctitle does).
    """
    found = {}
    raw = read("/proc/self/environ")
    for entry in raw.split(b"\0"):
        if entry:
            name, equals, value = os.fsdecode(entry).partition("=")
            if not equals or not name:
                raise ValueError("the environment of the start is no longer there")
            found[name] = value
    if raw and not found:  # an empty one has no byte (env -i): what is in os.environ now, Python has put there
        raise ValueError("the environment of the start is no longer there")
    if MARK in found:
        give_back(found)
    return found


def changed(environ: "Mapping[str, str]", variables: "Iterable[tuple[str, str, str]]") -> "dict[str, str]":
    """A copy of ``environ`` with the changes of an ``EnvironmentFix``."""
    found = dict(environ)
    for name, action, value in variables:
        before = found.get(name, "")
        if action == "tunable":
            piece = value.partition("=")[0] + "="
            kept = [one for one in before.split(":") if one and not one.startswith(piece)]
            found[name] = ":".join(kept + [value])
        elif action in ("prepend", "remove"):
            # an empty entry of LD_LIBRARY_PATH is the working directory (ld.so(8)): it stays one
            kept = [one for one in before.split(":") if one != value] if before else []
            now = ":".join([value] + kept if action == "prepend" else kept)
            if now or action == "prepend":
                found[name] = now
            else:
                found.pop(name, None)
        elif action in ("set", "show"):
            found[name] = value
    return found


def describe(variables: "Iterable[tuple[str, str, str]]") -> "str":
    """The changes as a person would write them in front of a command."""
    parts = []
    for name, action, value in variables:
        if action == "instead":
            action = "path" if value[:1] == "/" else "make"
        parts.append(_FORMS.get(action, "{}={}").format(name, value))
    return " ".join(part for part in parts if part)


#: action -> its words, where they are no assignment
_FORMS = {"remove": "{} without {}", "module": "import {} from {}", "answer": "find_library('{}') = {}",
          "wanted": "the load of {} repaired", "path": "{} taken from {}", "make": "a build of {}",
          "built": "a build of {}", "source": ""}  # fmt: skip


def start_environment(
    way: "str", key: "str", run: "str", variables: "Any", environ: "dict[str, str]"
) -> "dict[str, str] | None":
    """What the new process is given; None where its environment says all of it already, so that it would not help."""
    now = changed(environ, variables)
    if now == environ:
        return None
    names = sorted({name for name, action, _ in variables if action not in ("show", *INSIDE)})
    fields = [way, key, run, ",".join(names)]
    now[MARK] = "\t".join(fields + ["inside"] if any(action in INSIDE for _, action, _ in variables) else fields)
    for name in names:
        if name in environ:
            now[WAS + name] = environ[name]
    return now
