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
    """A mapped library lacks versions or symbols that are needed, and the search path can lead to a better copy."""
    from dlrepair.model.environment import EnvironmentFix

    files = _better_copies(context)
    folders = tuple(dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in files))
    changes = tuple(("LD_LIBRARY_PATH", "prepend", folder) for folder in folders)
    return EnvironmentFix(changes, _better(files), files) if changes else None


def _right_version_first(context: Context) -> EnvironmentFix | None:
    """The same, where an RPATH or an absolute path leads to the wrong copy: the better one is there before it."""
    from dlrepair.model.environment import EnvironmentFix

    files = _better_copies(context)
    if not files or any(":" in path or " " in path for path in files):
        return None
    changes = tuple(("LD_PRELOAD", "prepend", os.path.abspath(path)) for path in reversed(files))
    return EnvironmentFix(changes, _better(files), files)


def _better(files: tuple[str, ...]) -> str:
    return "{} has what is needed".format(", ".join(files))


def _better_copies(context: Context) -> tuple[str, ...]:
    """Files that define what mapped libraries of their names lack; none where one of them has no such copy."""
    needed_by = context.diagnosis.failing_object or context.target or ""
    unmet = _unmet(context, needed_by)
    if unmet:
        found = [_copy(context, name, needed_by, versions=tuple(some)) for name, some in unmet.items()]
        return tuple(path for path in found if path) if all(found) else ()
    if context.diagnosis.cause in LACKING and context.diagnosis.symbols:
        for name in _mapped_needs(context, needed_by):
            path = _copy(context, name, needed_by, symbols=context.diagnosis.symbols)
            if path:
                return (path,)
    return ()


def _copy(
    context: Context, name: str, needed_by: str, versions: tuple[str, ...] = (), symbols: tuple[str, ...] = ()
) -> str:
    """Another file called ``name`` than the mapped one, with those versions and symbols; "" where there is none."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.repair import choice

    mapped = context.view.find(name) or ""
    want = Wanted(
        name, "dependency", needed_by, context.request.loader, versions=versions, symbols=symbols,
        exclude=(mapped, os.path.realpath(mapped)),
    )  # fmt: skip
    return next((one.path for one, _ in choice.accepted(context, want) if os.path.basename(one.path) == name), "")


def _mapped_needs(context: Context, path: str) -> list[str]:
    """DT_NEEDED names of ``path`` that the process holds, without those that no other copy may stand for."""
    from dlrepair.binary.elf import read_facts

    facts = read_facts(path).elf if path else None
    names = facts.needed if facts is not None else ()
    return [name for name in names if context.view.find(name) and not name.startswith(IRREPLACEABLE)][:MAX_NEEDS]


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


#: causes for which another copy of a mapped library may define the undefined symbols
LACKING = ("search-path", "undefined-symbol-version", "undefined-symbol-link", "unknown")
#: the C library and what has to match the running program
IRREPLACEABLE = (
    "libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux", "libpython", "libtensorflow",
)  # fmt: skip
#: names for which another copy is looked for, most
MAX_NEEDS = 8

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
    _right_version_first,
    _directory_of_dependencies,
    _first_in_line,
    _more_room,
)
