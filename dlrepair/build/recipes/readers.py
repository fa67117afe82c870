"""Which reader reads which kind of recipe."""

from __future__ import annotations

from dlrepair.build.recipes.makefile import read_makefile
from dlrepair.build.recipes.python_files import read_python
from dlrepair.build.recipes.shell import read_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.build.recipes.text import Reading


def _nothing(reading: Reading, path: str) -> None:
    return None


READERS: dict[str, Callable[[Reading, str], None]] = {
    "shell": read_script,
    "make": read_makefile,
    "cmake": _nothing,
    "setup.py": read_python,
    "bazel": _nothing,
    "jit": read_python,
    "readme": _nothing,
}
