"""Where a library was built, from what, by which compiler: its DWARF and its ``.comment``, read by pyelftools.

Slow beside the rest of this package (pyelftools takes 80 ms to import): for one library whose
sources are wanted, not for searching. DWARF 5, section 3.1: the attributes of compilation units.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_UNITS = 400
MAX_FILE = 1 << 28
MAX_COMMENT = 1 << 16


class BuildOrigin:
    """What a library tells about its own build; empty where it was stripped."""

    __slots__ = ("compilers", "directories", "sources")

    def __init__(self) -> None:
        self.compilers: list[str] = []  #: ``GCC: (Debian 12.2.0-14) 12.2.0`` or DWARF producers
        self.directories: list[str] = []  #: working directories of the compiler
        self.sources: list[str] = []  #: source files, absolute where the directory is known

    def _note(self, into: list[str], value: object) -> None:
        words = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""
        if words and words not in into:
            into.append(words)


def build_origin(path: str) -> BuildOrigin:
    """The build origin of the ELF file at ``path``; of damaged data, what was read before. Raises ``OSError``."""
    origin = BuildOrigin()
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            return origin
        try:
            from elftools.elf import elffile

            reader: Any = elffile.ELFFile  # pyelftools has no types
            elf = reader(file)
            comment = elf.get_section_by_name(".comment")
            if comment is not None and comment["sh_size"] <= MAX_COMMENT:
                for words in comment.data().split(b"\0"):
                    origin._note(origin.compilers, words)
            if elf.has_dwarf_info():
                _units(elf, origin)
        except Exception:  # pyelftools raises what it likes on damaged files: construct's, KeyError, AssertionError
            return origin
    return origin


def _units(elf: Any, origin: BuildOrigin) -> None:
    dwarf = elf.get_dwarf_info()
    for number, unit in enumerate(dwarf.iter_CUs()):
        if number >= MAX_UNITS:
            return
        attributes = unit.get_top_DIE().attributes
        values = {name: attributes[name].value for name in attributes}
        origin._note(origin.compilers, values.get("DW_AT_producer"))
        origin._note(origin.directories, values.get("DW_AT_comp_dir"))
        name, directory = values.get("DW_AT_name"), values.get("DW_AT_comp_dir")
        if isinstance(name, bytes) and isinstance(directory, bytes):
            name = os.path.normpath(os.path.join(directory, name))
        origin._note(origin.sources, name)
