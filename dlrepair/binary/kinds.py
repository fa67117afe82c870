"""What a file that is not ELF is: by its first bytes, as ``file`` would say."""

from __future__ import annotations

import os

HEAD = 4096
MACHO_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
LFS = b"version https://git-lfs.github.com/spec/"


def classify(fd: int, size: int, elf_problem: str = "") -> tuple[str, str]:
    """(kind, sentence) for the opened file; ``elf_problem`` is why it is no ELF file."""
    head = os.pread(fd, HEAD, 0)
    if not head:
        return "empty", "empty file"
    if head[:4] == b"\x7fELF":
        return "data", "damaged ELF file: " + elf_problem
    if head[:4] in MACHO_MAGICS or head[:4] in FAT_MAGICS:
        from dlrepair.binary.macho import describe_fd

        said = describe_fd(fd, size)
        if said is not None:
            return "macho", said
        if head[:4] == FAT_MAGICS[0]:
            return "data", "Java class file"
    if head[:2] == b"MZ":
        from dlrepair.binary.pe import describe_fd as describe_pe

        return "pe", describe_pe(fd, size)
    if head[:8] == b"!<arch>\n":
        return "archive", "static archive (.a): link against it, it cannot be loaded"
    if head[:8] == b"!<thin>\n":
        return "archive", "thin static archive: it cannot be loaded"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip", "zip archive (a wheel, egg or jar)"
    for magic, name in _PACKED:
        if head.startswith(magic):
            return "data", name
    return _text(head, size) or ("data", "data: starts with %s" % head[:8].hex())


_PACKED = (
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"\0asm", "WebAssembly module"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\x7fCOR", "damaged data"),
)


def _text(head: bytes, size: int) -> tuple[str, str] | None:
    """Text of some sort, or None where the bytes are not text."""
    if head.startswith(LFS):
        length = next((line[5:].decode("ascii", "replace") for line in head.split(b"\n") if line[:5] == b"size "), "?")
        return "lfs-pointer", "git-lfs pointer (not fetched): size %s" % length.strip()[:20]
    sample = head[3:] if head[:3] == b"\xef\xbb\xbf" else head
    if b"\0" in sample:
        if not sample.strip(b"\0"):
            return "data", "nothing but zero bytes at its start"
        return None
    try:
        words = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4 or len(head) < HEAD:
            return None
        words = sample[: error.start].decode("utf-8")
    if sum(1 for c in words[:512] if c < " " and c not in "\t\n\r\f\x1b\b") > len(words[:512]) // 20:
        return None
    start = words.lstrip()[:512]
    lowered = start.lower()
    if lowered.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in lowered:
        return "html", "HTML page (a download that went wrong?)"
    if _is_linker_script(words):
        return "linker-script", "GNU ld script: a text for the linker, which ld.so cannot load"
    first = start.split("\n", 1)[0].strip()[:60]
    return "text", "text: starts with %s" % ascii(first) if first else "text: nothing but white space"


def _is_linker_script(words: str) -> bool:
    if "GNU ld script" in words[:200]:
        return True
    rest = words
    while rest.lstrip().startswith("/*") and "*/" in rest:
        rest = rest.split("*/", 1)[1]
    starts = ("INPUT", "GROUP", "OUTPUT_FORMAT", "SEARCH_DIR", "AS_NEEDED")
    rest = rest.lstrip()
    return any(rest.startswith(word) and rest[len(word) :].lstrip()[:1] == "(" for word in starts)
