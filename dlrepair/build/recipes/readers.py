"""Which reader reads which kind of recipe."""

from __future__ import annotations

from dlrepair.build.recipes.bazel import read_bazel
from dlrepair.build.recipes.cmake import read_cmake
from dlrepair.build.recipes.makefile import read_makefile
from dlrepair.build.recipes.python_files import read_python
from dlrepair.build.recipes.readme import read_comments, read_readme
from dlrepair.build.recipes.shell import read_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.build.recipes.text import Reading


def _with_comments(read: Callable[[Reading, str], None]) -> Callable[[Reading, str], None]:
    """Return a reader that also reads the commands in comments: the alternatives that an author has tried."""

    def both(reading: Reading, path: str) -> None:
        try:
            read(reading, path)
        finally:
            read_comments(reading, path)

    return both


READERS: dict[str, Callable[[Reading, str], None]] = {
    "shell": _with_comments(read_script),
    "make": _with_comments(read_makefile),
    "cmake": read_cmake,
    "setup.py": _with_comments(read_python),
    "bazel": read_bazel,
    "jit": _with_comments(read_python),
    "readme": read_readme,
}
