"""What the watched directories hold, as far as a build could notice: names, and a signature for each file.

Events of the kernel only say when to look; what has changed is told by comparing two looks. So it
does not matter whether an editor writes in place, truncates first, renames a new file over the old one, keeps
the old one as a backup, or probes the directory with a file of its own.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Tuple

    #: device, inode, mtime in ns, bytes
    Signature = Tuple[int, int, int, int]

#: suffixes of what a compiler reads, and of recipes
SOURCES = (".cc", ".cpp", ".cxx", ".c++", ".c", ".C", ".cu")
HEADERS = (".h", ".hh", ".hpp", ".hxx", ".h++", ".inc", ".inl", ".ipp", ".tcc", ".cuh", ".def")
RECIPES = (".sh", ".bash", ".mk", ".cmake", ".bzl", ".bazel", ".am", ".in")
RECIPE_NAMES = ("Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "setup.py", "BUILD", "WORKSPACE", "build.py")
#: entries of one directory beyond which it holds data, and is not listed again at each look
CROWDED = 20000


def is_of_interest(name: str) -> bool:
    """Whether a file of that name could take part in a build; what editors leave beside a file could not.

    Vim writes ``4913`` as a probe and ``x.cc~`` as a backup, Emacs ``.#x.cc`` (a link) and ``#x.cc#``, JetBrains
    ``x.cc___jb_tmp___``, ``sed -i`` ``sedXXXXXX``, others hidden files: none has a suffix of ours at its end, or its
    name begins with a dot or a hash.
    """
    if name.startswith((".", "#")) or name.endswith("~"):
        return False
    return name.endswith(SOURCES + HEADERS + RECIPES) or name in RECIPE_NAMES


def is_structural(name: str) -> bool:
    """Whether a file of that name may decide what there is to build: a source or a recipe."""
    return is_of_interest(name) and (name.endswith(SOURCES + RECIPES) or name in RECIPE_NAMES)


def signature(path: str) -> Signature | None:
    """The signature of a regular file, links followed; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def look(directories: Iterable[str], files: Iterable[str]) -> dict[str, Signature | None]:
    """path -> signature of ``files``, and of everything of interest directly in ``directories``."""
    found: dict[str, Signature | None] = {path: signature(path) for path in files}
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                for number, entry in enumerate(entries):
                    if number > CROWDED:
                        break
                    if is_of_interest(entry.name):
                        path = os.path.join(directory, entry.name)
                        known = signature(path)
                        if known is not None:
                            found[path] = known
        except OSError:
            continue
    return found


def changed(before: dict[str, Signature | None], after: dict[str, Signature | None]) -> list[str]:
    """Paths that are new, gone or different, sorted."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def is_half_written(path: str, before: Signature | None, after: Signature | None) -> bool:
    """Whether a file looks like one that is being saved: gone or emptied, where there was content."""
    return before is not None and before[3] > 0 and (after is None or after[3] == 0)
