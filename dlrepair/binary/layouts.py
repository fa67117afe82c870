"""The structs of ELF files (System V gABI, chapters 4 and 5; ``elf.h``), of every class and byte order."""

from __future__ import annotations

import struct


class Layout:
    """The structs of one class and byte order."""

    __slots__ = (
        "addr",
        "bits",
        "chunk",
        "dyn",
        "ehdr",
        "phdr",
        "sym",
        "verdaux",
        "verdef",
        "vernaux",
        "verneed",
        "word",
    )

    def __init__(self, bits: int, little: bool) -> None:
        order = "<" if little else ">"
        self.bits = bits
        self.ehdr = struct.Struct(order + ("HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH"))
        self.phdr = struct.Struct(order + ("IIQQQQQQ" if bits == 64 else "IIIIIIII"))
        self.dyn = struct.Struct(order + ("qQ" if bits == 64 else "iI"))
        # 64: name info other shndx value size; 32: name value size info other shndx
        self.sym = struct.Struct(order + ("IBBHQQ" if bits == 64 else "IIIBBH"))
        self.addr = struct.Struct(order + ("Q" if bits == 64 else "I"))
        self.word = struct.Struct(order + "I")
        self.chunk = struct.Struct(order + "16I")
        self.verneed = struct.Struct(order + "HHIII")
        self.vernaux = struct.Struct(order + "IHHII")
        self.verdef = struct.Struct(order + "HHHHIII")
        self.verdaux = struct.Struct(order + "II")


_layouts: dict[tuple[int, bool], Layout] = {}


def layout(bits: int, little: bool) -> Layout:
    """The layout for this class and byte order; made once."""
    found = _layouts.get((bits, little))
    if found is None:
        found = _layouts[bits, little] = Layout(bits, little)
    return found
