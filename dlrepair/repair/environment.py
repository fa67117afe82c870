"""Which change of the environment would let the library load in a new process: one function a reason, in order."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair.context import Context


def find_fixes(context: Context) -> Iterator[EnvironmentFix]:
    """What the deciders propose, the likeliest first; nothing is proved yet."""
    for decide in DECIDERS:
        fix = decide(context)
        if fix is not None:
            yield fix


def _directory_of_dependencies(context: Context) -> EnvironmentFix | None:
    """Every missing dependency is there, but only a search path leads ld.so to it: another version is mapped."""
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair import choice

    chosen = choice.choose(context)
    if chosen is None:
        return None
    folders = []
    for missing, candidate, _ in chosen:
        if os.path.basename(candidate.path) != missing.name:
            return None  # ld.so looks for the name
        folder = os.path.dirname(os.path.abspath(candidate.path))
        if folder not in folders:
            folders.append(folder)
    names = ", ".join(missing.name for missing, _, _ in chosen)
    return EnvironmentFix(
        tuple(("LD_LIBRARY_PATH", "prepend", folder) for folder in reversed(folders)),
        "{} lies in {}".format(names, ", ".join(folders)),
        tuple(candidate.path for _, candidate, _ in chosen),
    )


def _right_version(context: Context) -> EnvironmentFix | None:
    """A mapped library lacks versions that are needed, and another copy of that name defines them."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.repair import choice

    needed_by = context.diagnosis.failing_object or context.target or ""
    changes: list[tuple[str, str, str]] = []
    files: list[str] = []
    for name, versions in _unmet(context, needed_by).items():
        mapped = context.view.find(name) or ""
        want = Wanted(
            name, "dependency", needed_by, context.request.loader, versions=tuple(versions),
            exclude=(mapped, os.path.realpath(mapped)),
        )  # fmt: skip
        found = next((one for one, _ in choice.accepted(context, want) if os.path.basename(one.path) == name), None)
        if found is None:
            return None
        change = ("LD_LIBRARY_PATH", "prepend", os.path.dirname(os.path.abspath(found.path)))
        files.append(found.path)
        if change not in changes:
            changes.append(change)
    if not changes:
        return None
    why = "{} has the versions that are needed".format(", ".join(files))
    return EnvironmentFix(tuple(changes), why, tuple(files))


def _unmet(context: Context, path: str) -> dict[str, list[str]]:
    """SONAME of a mapped library -> versions that ``path`` needs of it and that it does not define."""
    from dlrepair.binary.elf import read_facts

    facts = read_facts(path).elf if path else None
    unmet: dict[str, list[str]] = {}
    for name, version, weak in facts.verneed if facts is not None else ():
        mapped = context.view.find(name)
        held = read_facts(mapped).elf if mapped else None
        if held is not None and not weak and version not in held.verdef:
            unmet.setdefault(name, []).append(version)
    return unmet


#: bytes of static TLS that are asked for beyond what the library itself wants
SPARE_TLS = 16384


def _first_in_line(context: Context) -> EnvironmentFix | None:
    """What finds no room for static TLS is loaded at the start, when ld.so still makes as much as is wanted."""
    from dlrepair.model.environment import EnvironmentFix

    path = context.diagnosis.failing_object
    if context.diagnosis.cause != "static-tls" or not path.startswith("/") or ":" in path or " " in path:
        return None
    why = "static TLS is still to be had when {} is loaded first".format(os.path.basename(path))
    return EnvironmentFix((("LD_PRELOAD", "prepend", path),), why, (path,), proof="load")


def _more_room(context: Context) -> EnvironmentFix | None:
    """More static TLS for libraries loaded later (glibc 2.33, elf/dl-tls.c, rtld.optional_static_tls)."""
    from dlrepair.binary.elf import read_facts
    from dlrepair.model.environment import EnvironmentFix

    path = context.diagnosis.failing_object
    if context.diagnosis.cause != "static-tls" or not path:
        return None
    facts = read_facts(path).elf
    room = SPARE_TLS + (facts.tls_size if facts is not None else 0)
    change = ("GLIBC_TUNABLES", "tunable", "glibc.rtld.optional_static_tls={}".format(room))
    return EnvironmentFix((change,), "{} bytes of static TLS are enough".format(room), (path,), proof="load")


#: asked in this order; each looks at the context and proposes one fix, or None
DECIDERS: tuple[Callable[[Context], EnvironmentFix | None], ...] = (
    _right_version,
    _directory_of_dependencies,
    _first_in_line,
    _more_room,
)
