"""All recipes of a project for one wanted library, the best first."""

from __future__ import annotations

import os

from dlrepair.build.recipes.sources import find_by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.build import Recipe


def find_recipes(
    wanted: str, anchors: Sequence[str], ops: Sequence[str] = (), *, root: str, deadline: float | None = None
) -> list[Recipe]:
    """Return the recipes by which the project builds ``wanted``, best first; nothing is run or written.

    ``wanted`` is the path that was asked for (it need not exist), ``anchors`` are directories to look in
    first, nearest first, ``ops`` the ops that the caller asks of the library, ``root`` the project's top
    directory: nothing outside it is searched. ``deadline`` is in ``time.monotonic()`` seconds; what was
    found until then is returned. No exception is raised for any content of the project.
    """
    directories = [os.path.dirname(os.path.abspath(wanted)), *anchors]
    return find_by_name(os.path.basename(wanted), directories, ops, root)
