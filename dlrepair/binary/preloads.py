"""What ld.so loads before the program's own needs: LD_PRELOAD, then ``/etc/ld.so.preload`` (ld.so(8), elf/rtld.c)."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

#: glibc's file for all programs; names stand apart by white space or colons, ``#`` begins a comment
FILE = "/etc/ld.so.preload"
_MAX_NAME = 255  # elf/rtld.c, SECURE_NAME_LIMIT


def names(value: str, secure: bool, directories: Sequence[str]) -> list[str]:
    """Names and paths that are preloaded, in ld.so's order. ``value``: LD_PRELOAD, parted by spaces and colons.

    In secure mode a name is looked for in ``directories``, each of which ends with a slash.
    """
    given = [name for part in value.split(" ") for name in part.split(":") if name]  # elf/rtld.c, handle_preload_list
    if secure:
        given = [name for name in given if "/" not in name and len(name) < _MAX_NAME]
    found = [*given, *_of_the_system()]
    if not secure:
        return found
    return [name if "/" in name else _set_user_id(name, directories) or "" for name in found]


def _of_the_system() -> list[str]:
    try:
        with open(FILE, "rb") as stream:
            text = os.fsdecode(stream.read(1 << 16))
    except OSError:
        return []
    words = [line.partition("#")[0].replace(":", " ").split() for line in text.split("\n")]
    return [word for line in words for word in line]


def _set_user_id(name: str, directories: Sequence[str]) -> str:
    """In secure mode: the first file of that name that is set-user-ID (elf/dl-load.c, open_path)."""
    from dlrepair.binary.hwcaps import subdirectories

    for directory in directories:
        for sub in subdirectories():
            path = directory + sub + name
            try:
                if os.stat(path).st_mode & stat.S_ISUID:
                    return path
            except OSError:
                continue
    return ""
