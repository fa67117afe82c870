"""C strings in the read-only segments of an ELF file: the ops that a library registers are named there."""

from __future__ import annotations

from dlrepair.binary.image import PF_W, PT_LOAD, Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

BLOCK = 1 << 20
MAX_BYTES = 1 << 28
MAX_STRING = 1 << 12


def read_only_blocks(image: Image) -> Iterator[bytes]:
    """The bytes of the segments that are not writable, in blocks that overlap by ``MAX_STRING``; at most 256 MiB."""
    left = MAX_BYTES
    for kind, flags, offset, _vaddr, filesz, _memsz in image.segments:
        if kind != PT_LOAD or flags & PF_W:
            continue
        end = min(offset + filesz, image.size)
        at = offset
        while at < end and left > 0:
            raw = image.read(at, min(BLOCK + MAX_STRING, end - at))
            yield raw
            at += BLOCK
            left -= BLOCK


def find_folded(image: Image, names: set[str]) -> set[str]:
    """Which of ``names`` (lower case) occur as NUL-terminated strings whatever their case.

    ``RoiPool`` is the op that Python calls ``roi_pool``: which letters were capitals cannot be told from that.
    """
    wanted = {name.encode("utf-8", "surrogateescape") + b"\0": name for name in names if 0 < len(name) < MAX_STRING}
    found: set[str] = set()
    for block in read_only_blocks(image):
        lower = block.lower().replace(b">", b"")
        for raw in [raw for raw in wanted if raw in lower]:
            found.add(wanted.pop(raw))
        if not wanted:
            break
    return found


def find_strings(image: Image, names: set[str]) -> set[str]:
    """Which of ``names`` occur as NUL-terminated strings.

    What precedes the name is not looked at: linkers store a string that ends another one
    as the tail of the longer (SHF_MERGE), so ``Out`` is also a C string where ``ZeroOut`` is.
    """
    wanted = {name.encode("utf-8", "surrogateescape") + b"\0": name for name in names if 0 < len(name) < MAX_STRING}
    found: set[str] = set()
    for block in read_only_blocks(image):
        for raw in [raw for raw in wanted if raw in block]:
            found.add(wanted.pop(raw))
        if not wanted:
            break
    return found


def lacking_ops(path: str, ops: Sequence[str]) -> list[str]:
    """Which of ``ops``, as Python calls them, a library does not name. Raises as ``elf.open_elf``.

    TensorFlow makes ``farthest_point_sample`` of ``FarthestPointSample`` and ``addons_resample`` of
    ``Addons>Resample`` (python_op_gen.cc, GenerateLowerCaseOpName).
    """
    from dlrepair.binary import elf

    folded = {name: name.replace("_", "").lower() for name in ops}
    with elf.open_elf(path) as library:
        found = find_folded(library.image, set(folded.values()))
    return [name for name in ops if folded[name] not in found]
