"""What a project's script made: the wanted library and what it links of the same build, taken out of the copy."""

from __future__ import annotations

import os

from dlrepair.binary import elf, strings
from dlrepair.build.recipes import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.script import Script
    from dlrepair.model.toolchain import TensorFlow

#: libraries of the same build that one may need
_MAX_HELPERS = 16


def is_made(path: str, script: Script) -> bool:
    """Whether a library of the project was made by an earlier build: it is the wanted one, or is for a TensorFlow."""
    if names.fit(path, script.output):
        return True
    facts = elf.read_facts(path).elf
    return facts is not None and any(one.startswith("libtensorflow") for one in facts.needed)


def find(places: Sequence[str], output: str, ops: Sequence[str], since: float) -> list[str]:
    """Paths of what serves as ``output``, and then of the libraries of the same build that it needs.

    By its name, else by ``ops`` (as Python calls them) that it names. Only what was written after ``since``
    (``time.time()``, less what coarse time stamps may hide).
    """
    libraries = [path for path in _libraries(places) if os.stat(path).st_mtime >= since - 2.0]
    ranked = sorted(
        (names.RULES.get(names.fit(path, output), 99), len(path), path)
        for path in libraries if names.fit(path, output)
    )  # fmt: skip
    if ranked:
        best = ranked[0][2]
    elif ops:
        fitting = [path for path in libraries if _has_ops(path, ops)]
        if not fitting:
            return []
        best = fitting[0]
    else:
        return []
    found = [best]
    everything = {os.path.basename(path): path for path in _libraries(places)}
    for path in found:
        facts = elf.read_facts(path).elf
        for name in facts.needed if facts is not None else ():
            helper = everything.get(os.path.basename(name), "")
            if helper and helper not in found and len(found) <= _MAX_HELPERS:
                found.append(helper)
    return found


def _libraries(places: Sequence[str]) -> list[str]:
    found = []
    for place in places:
        for folder, _, files in os.walk(place):
            for name in sorted(files):
                path = os.path.join(folder, name)
                if (".so" in name or name.endswith((".dylib", ".pyd"))) and os.path.isfile(path):
                    found.append(path)
    return found


def _has_ops(path: str, ops: Sequence[str]) -> bool:
    try:
        return not strings.lacking_ops(path, list(ops))
    except (OSError, ValueError):
        return False


def take(found: Sequence[str], out: str, output: str) -> str:
    """Copies the libraries to the directory ``out``; answers the name of the first. Raises OSError."""
    import shutil

    for path in found:
        shutil.copyfile(path, os.path.join(out, os.path.basename(path)))
    return os.path.basename(found[0])


def ops_of(tensorflow: TensorFlow | None, path: str) -> tuple[str, ...]:
    """Names of the ops that a library registers; none where it cannot be asked."""
    if tensorflow is None:
        return ()
    facts = elf.read_facts(path).elf
    if facts is None or not any(one.startswith("libtensorflow") for one in facts.needed):
        return ()
    from dlrepair.build import registration

    return registration.find_ops(tensorflow, path)
