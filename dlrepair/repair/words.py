"""Words that several strategies need."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from dlrepair.model.requests import LoadRequest
    from dlrepair.repair.context import Context


def shown(path: str, request: LoadRequest) -> str:
    """The path as a person would name it: relative to where they are, if that is shorter."""
    try:
        relative = os.path.relpath(path, request.cwd or os.curdir)
    except (ValueError, OSError):
        return path
    return relative if len(relative) < len(path) and not relative.startswith("../../..") else path


def rivals(context: Context, taken: Iterable[str]) -> str:
    """What a summary says of files that are as good as those taken, and different: nobody is served silently."""
    found = [shown(one, context.request) for path in taken for one in context.rivals.get(path, ())]
    return "; as good, and different: {}".format(", ".join(found)) if found else ""


def lasted(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``2 min 5 s``."""
    if seconds < 10:
        return "{:.1f} s".format(seconds)
    if seconds < 120:
        return "{:.0f} s".format(seconds)
    return "{:.0f} min {:.0f} s".format(seconds // 60, seconds % 60)
