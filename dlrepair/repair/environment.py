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


#: asked in this order; each looks at the context and proposes one fix, or None
DECIDERS: tuple[Callable[[Context], EnvironmentFix | None], ...] = (_directory_of_dependencies,)
