"""Whether the library loads in a process that starts with another environment: asked of the real loader."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair.context import Context

#: in seconds: TensorFlow's libraries take one to be relocated
TIMEOUT = 20.0


def find_problem(context: Context, fix: EnvironmentFix, environ: Mapping[str, str]) -> str:
    """Why the library would not load there either, as one clause, or "" where ld.so finds nothing wrong.

    What this process has opened so far is opened there first: a copy that an absolute path or an RPATH leads to
    stands in the way of the new one as it does here.
    """
    from dlrepair.search import trial

    target = context.target or context.request.requested
    names = [*_opened(context), target]
    if fix.proof == "load":
        result = trial.run(names, env=environ, timeout=TIMEOUT)
        if not result.possible:
            return "no child process could be asked"
        return "" if result.ok else result.detail
    for relocate in (False, True):  # what is missing makes ld.so crash where it goes on to relocate
        answer = trial.trace(names, environ, relocate=relocate, timeout=TIMEOUT)
        if answer is None:
            return "ld.so could not be asked"
        problem = _complaint(answer, names, target)
        if problem:
            return problem
    return ""


def _opened(context: Context) -> list[str]:
    """What was opened so far and is no dependency of anything else, as it was probably asked for.

    A file that the search path alone leads to may have been asked for by its name only: then so it is again.
    """
    from dlrepair.binary.elf import read_facts

    view = context.view
    start = set(view.program_closure())
    needed = set()
    for path in (view.main, *view.loaded):
        facts = read_facts(path).elf if path else None
        for name in facts.needed if facts is not None else ():
            needed.add(view.find(name))
    found = []
    folders = [one for one in view.library_path.replace(";", ":").split(":") if one]
    for path in view.loaded:
        if path in start or path in needed or "/" not in path or os.path.basename(path).startswith("ld-linux"):
            continue
        found.append(os.path.basename(path) if os.path.dirname(path) in folders else path)
    return found


def _complaint(answer: tuple[int, list[str]], names: list[str], target: str) -> str:
    """The first line of ld.so's that speaks against loading the target, or ""."""
    status, lines = answer
    ours = _closure(lines, target)
    for line in lines:
        text = " ".join(line.split())
        if "cannot be preloaded" in text and os.path.basename(target) in text:
            return text
        if text.endswith("=> not found"):
            return text
        if "undefined symbol" in text or ("version" in text and "not found (required by" in text):
            if any("({})".format(path) in text or "by {})".format(path) in text for path in ours):
                return text
    return "ld.so ended with status {}".format(status) if status else ""


def _closure(lines: list[str], target: str) -> set[str]:
    """Paths of the target and of what it needs, as the trace resolved them."""
    from dlrepair.binary.elf import read_facts

    where = {}
    for line in lines:
        name, arrow, rest = line.strip().partition(" => ")
        if arrow and "/" in rest:
            where[name] = rest.rpartition(" (")[0]
    found = {target: None}  # type: dict[str, None]
    queue = [target]
    for path in queue:
        facts = read_facts(path).elf if "/" in path else None
        for name in facts.needed if facts is not None else ():
            if name in where and where[name] not in found:
                found[where[name]] = None
                queue.append(where[name])
    return set(found)
