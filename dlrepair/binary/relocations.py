"""Which rows of the symbol table the relocations name, in the order in which ld.so meets them."""

from __future__ import annotations

from dlrepair.binary.image import Image

DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_REL, DT_RELSZ, DT_PLTREL, DT_JMPREL = 2, 7, 8, 17, 18, 20, 23
BLOCK = 1 << 18
MAX_BYTES = 1 << 28
EM_MIPS = 8


def referenced_symbols(image: Image) -> dict[int, None] | None:
    """Rows of the symbol table that a relocation names, in their order; None where the tables cannot be read."""
    if image.machine == EM_MIPS:  # its global offset table names symbols without relocations
        return None
    dyn = image.dyn
    rela = dyn.get(DT_PLTREL, DT_RELA) == DT_RELA
    tables = ((DT_RELA, dyn.get(DT_RELASZ, 0), True), (DT_REL, dyn.get(DT_RELSZ, 0), False),
              (DT_JMPREL, dyn.get(DT_PLTRELSZ, 0), rela))  # fmt: skip
    found: dict[int, None] = {}
    word, shift = image.bits // 8, 32 if image.bits == 64 else 8
    unpack = image.layout.addr.iter_unpack
    total = 0
    for tag, size, addend in tables:
        at = image.table(tag)
        if at is None:
            if size and tag in dyn:
                return None
            continue
        row = 3 if addend else 2
        end = at + size
        block = BLOCK // (row * word) * row * word
        while at < end and total < MAX_BYTES:
            raw = image.read(at, min(block, end - at))
            if not raw:
                return None
            words = [value for (value,) in unpack(raw[: len(raw) // (row * word) * row * word])]
            found.update(dict.fromkeys(info >> shift for info in words[1::row]))
            at += block
            total += block
    found.pop(0, None)
    return found
