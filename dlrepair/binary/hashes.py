"""The hashes of symbol names by which ld.so finds them: DT_GNU_HASH (binutils) and DT_HASH (System V gABI)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

LANES = 512
_MASK, _UN33 = 0xFFFFFFFF, 0x3E0F83E1  # 33 * _UN33 == 1, modulo 2**32


def gnu_hash(name: bytes) -> int:
    """The hash of DT_GNU_HASH (Bernstein's, modulo 2**32)."""
    value = 5381
    for byte in name:
        value = value * 33 + byte & 0xFFFFFFFF
    return value


def gnu_hashes(names: Sequence[bytes]) -> list[int]:
    """``gnu_hash`` of many names at once: a name a 64-bit lane of one integer, a byte of every name a step.

    A shorter name is padded with zeros in front; its lane begins with what they turn into 5381.
    """
    found = [0] * len(names)
    order = sorted(range(len(names)), key=lambda place: len(names[place]))
    for start in range(0, len(order), LANES):
        some = order[start : start + LANES]
        width, count = len(names[some[-1]]), len(some)
        text = b"".join(names[place].rjust(width, b"\0") for place in some)
        begins = b"".join((5381 * pow(_UN33, width - len(names[place]), 1 << 32) & _MASK).to_bytes(8, "little")
                          for place in some)  # fmt: skip
        state, mask = int.from_bytes(begins, "little"), int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * count, "little")
        lanes = bytearray(8 * count)
        for column in range(width):
            lanes[::8] = text[column::width]
            state = state * 33 + int.from_bytes(lanes, "little") & mask
        raw = state.to_bytes(8 * count, "little")
        for number, place in enumerate(some):
            found[place] = int.from_bytes(raw[8 * number : 8 * number + 4], "little")
    return found


def sysv_hash(name: bytes) -> int:
    """The hash of DT_HASH (gABI, chapter 5)."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value
