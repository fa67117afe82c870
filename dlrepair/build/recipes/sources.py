"""No recipe at all: sources that belong to a library by their name or by the ops that they register."""

from __future__ import annotations

import os

from dlrepair.model.build import Recipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

HOST_SUFFIXES = (".cc", ".cpp", ".cxx", ".c++", ".c", ".C")
CUDA_SUFFIXES = (".cu", ".cu.cc", ".cu.cpp")


def find_by_name(name: str, directories: Sequence[str], ops: Sequence[str], root: str) -> list[Recipe]:
    """Return a recipe for the sources in ``directories`` that carry the stem of ``name``, if there are any."""
    stem = name.split(".so")[0]
    for directory in dict.fromkeys(directories):
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        own = [one for one in names if one.split(".")[0] == stem]
        cuda = [one for one in own if one.endswith(CUDA_SUFFIXES)]
        host = [one for one in own if one.endswith(HOST_SUFFIXES) and one not in cuda]
        if host:
            return [
                Recipe(
                    output=name,
                    sources=tuple(os.path.join(directory, one) for one in host),
                    cuda_sources=tuple(os.path.join(directory, one) for one in cuda),
                    cuda=bool(cuda),
                    include_dirs=(directory,),
                    directory=directory,
                )
            ]
    return []
