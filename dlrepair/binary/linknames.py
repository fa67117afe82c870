"""The names by which ld.so knows a file, and those that it asks for: a fifth of the time of all its facts.

A process like TensorFlow's holds 150 libraries; to tell which of them answers to a DT_NEEDED entry takes no more.
"""

from __future__ import annotations

import os

from dlrepair.binary import elf
from dlrepair.binary.image import DT_SONAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    #: (device and inode, None of what is not there; DT_SONAME; DT_NEEDED)
    Names = Tuple[Optional[Tuple[int, int]], Optional[str], Tuple[str, ...]]

_cache: dict[str, tuple[tuple[int, int, int, int], Names]] = {}


def read_names(path: str) -> Names:
    """What ``elf.read_facts`` says of these; kept until the file changes. Any path and any content has an answer."""
    if elf.is_still():  # a survey has to know every path that it rests on
        facts = elf.read_facts(path)
        file = None if facts.signature is None else facts.signature[:2]
        return (file, None, ()) if facts.elf is None else (file, facts.elf.soname, facts.elf.needed)
    try:
        signature = elf.signature_of(os.stat(path))
    except (OSError, ValueError):
        return None, None, ()
    known = _cache.get(path)
    if known is None or known[0] != signature:
        if len(_cache) >= elf.CACHE_LIMIT:
            _cache.clear()
        known = _cache[path] = (signature, _read(path, signature))
    return known[1]


def _read(path: str, signature: tuple[int, int, int, int]) -> Names:
    soname, needed = None, []
    try:
        with elf.ElfFile(path) as file:
            image, signature = file.image, file.signature
            needed = [image.name(index, "a DT_NEEDED entry") for index in image.needed_at]
            at = image.dyn.get(DT_SONAME)
            soname = None if at is None else image.name(at, "DT_SONAME")
    except (OSError, ValueError):  # no ELF file, or not to be read: it has no names
        pass
    return signature[:2], soname, tuple(name for name in needed if name is not None)
