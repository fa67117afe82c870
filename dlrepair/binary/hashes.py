"""The hashes of symbol names by which ld.so finds them: DT_GNU_HASH (binutils) and DT_HASH (System V gABI)."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

#: bytes of names that are joined to one integer: a few pages of it stay in the processor's cache
TOGETHER = 1 << 15
_MASK = 0xFFFFFFFF
#: powers of 33 that join neighbours, and how many bytes wide these are
_STEPS = ((33, 1), (33**2, 2), (33**4, 4))
_WORD = 33**8 & _MASK
_masks: dict[int, int] = {}


def gnu_hash(name: bytes) -> int:
    """The hash of DT_GNU_HASH (Bernstein's, modulo 2**32)."""
    value = 5381
    for byte in name:
        value = value * 33 + byte & 0xFFFFFFFF
    return value


def _mask(width: int, size: int) -> int:
    """Every other ``width`` bytes of at least ``size``, kept up to the usual size."""
    known = _masks.get(width, 0)
    if known.bit_length() >= 8 * (size - width):
        return known
    known, have = (1 << 8 * width) - 1, 2 * width
    while have < max(size, TOGETHER):
        known |= known << 8 * have
        have *= 2
    if size <= TOGETHER:
        _masks[width] = known
    return known


def gnu_hashes(names: Sequence[bytes]) -> list[int]:
    """``gnu_hash`` of many names at once: one integer has them all, a name beside the other.

    The hash is a polynomial in 33. Neighbouring bytes, then pairs, then fours are joined in all of it by one
    multiplication, and then the words of eight that this leaves one after another. Zeros in front of a shorter name
    are worth nothing; its 5381 is added at the end.
    """
    found = [0] * len(names)
    lengths = list(map(len, names))
    begins = {length: 5381 * pow(33, length, 1 << 32) for length in set(lengths)}
    order = sorted(range(len(names)), key=lengths.__getitem__)
    start = 0
    while start < len(order):
        some = order[start : start + max(1, TOGETHER // (lengths[order[start]] + 32))]
        start += len(some)
        words, count = -(-lengths[some[-1]] // 8), len(some)
        size = 8 * words * count
        value = int.from_bytes(b"".join([names[place].rjust(8 * words, b"\0") for place in some]), "little")
        for factor, width in _STEPS:
            mask = _mask(width, size)
            value = (value & mask) * factor + (value >> 8 * width & mask)
        columns, state = memoryview(value.to_bytes(size, "little")).cast("Q"), 0
        mask = _mask(4, 8 * count)
        for column in range(words):
            state = state * _WORD + (int.from_bytes(columns[column::words].tobytes(), "little") & mask) & mask
        for place, hashed in zip(some, struct.unpack("<%dQ" % count, state.to_bytes(8 * count, "little"))):
            found[place] = hashed + begins[lengths[place]] & _MASK
    return found


def sysv_hash(name: bytes) -> int:
    """The hash of DT_HASH (gABI, chapter 5)."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value
