"""Libraries known by what they hold, where no name leads anywhere: the ops, or the functions, that the caller asks for.

Only what lies in the directories that were read for this search is looked at, only when the caller's own code says what
it will ask for, and only what holds all of it. A single short function name says too little.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

    from dlrepair.model.candidate import Wanted

#: one function alone says enough only if its name is as long as this
LONG_NAME = 8


def says_enough(wanted: Wanted) -> bool:
    """Tell whether what the caller asks for can name a library by itself."""
    if wanted.exact_name or wanted.role != "substitute" or wanted.loader == "import":
        return False
    names = wanted.ops or wanted.symbols
    return len(names) > 1 or any(len(name) >= LONG_NAME for name in names)


def find_holders(paths: Iterable[str], wanted: Wanted) -> Iterator[str]:
    """Yield those of ``paths`` that register every op, or define every function, that the caller asks for."""
    for path in paths:
        try:
            if not os.path.isfile(path):
                continue
            if wanted.ops:
                held = _registers(path, wanted)
            else:
                held = _defines(path, wanted)
        except (OSError, ValueError):
            continue
        if held:
            yield path


def _registers(path: str, wanted: Wanted) -> bool:
    from dlrepair.binary import strings

    return _uses_tensorflow(path) and not strings.lacking_ops(path, wanted.ops)


def _uses_tensorflow(path: str) -> bool:
    from dlrepair.binary import elf

    with elf.open_elf(path) as library:
        return any("10tensorflow" in name for name, _, _ in library.undefined())


def _defines(path: str, wanted: Wanted) -> bool:
    from dlrepair.binary import elf

    with elf.open_elf(path) as library:
        return all(library.defines(name) for name in wanted.symbols)
