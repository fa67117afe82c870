"""``/etc/ld.so.cache``: which path ld.so takes for a name.

Format: glibc's sysdeps/generic/dl-cache.h; choice among several entries: elf/dl-cache.c,
``search_cache``. Both formats are read, the old one only for the new one behind it.
"""

from __future__ import annotations

import os
import struct
import sys

from dlrepair.binary.machine import EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, NATIVE, OPEN_FLAGS

PATH = "/etc/ld.so.cache"
OLD_MAGIC, NEW_MAGIC = b"ld.so-1.7.0\0", b"glibc-ld.so.cache1.1"
HWCAP_EXTENSION = 1 << 62
EXTENSION_MAGIC = 0xEAA42174
TAG_GLIBC_HWCAPS = 1
MAX_SIZE = 1 << 26
#: flags of the entries that this machine's ld.so takes (ldconfig.h; FLAG_ELF_LIBC6 is 3)
_FLAGS = {EM_X86_64: (0x0303,), EM_AARCH64: (0x0A03,), EM_S390: (0x0403,), EM_PPC64: (0x0503, 0x0D03),
          EM_RISCV: (0x0F03, 0x1003), EM_ARM: (0x0903, 0x0B03, 0x0003)}  # fmt: skip


class LdCache:
    """A cache, searched by bytes: a process asks for a handful of its hundreds of names."""

    __slots__ = ("_hwcap_names", "_known", "_raw", "_start", "_table", "problem")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._start = 0  #: where the strings' offsets count from
        self._table = b""
        self._hwcap_names: list[str] = []
        self._known: dict[str, list[tuple[int, str, str]]] = {}
        self.problem: str | None = None
        try:
            self._read(raw)
        except (struct.error, ValueError, IndexError):
            self.problem = "damaged"

    def _read(self, raw: bytes) -> None:
        start = 0
        if raw.startswith(OLD_MAGIC):
            count = struct.unpack_from("=I", raw, len(OLD_MAGIC))[0]
            start = (len(OLD_MAGIC) + 4 + count * 12 + 7) & ~7
        if not raw.startswith(NEW_MAGIC, start):
            self.problem = "of an unknown format"
            return
        count, _length, flags, extension = struct.unpack_from("=IIB3xI", raw, start + len(NEW_MAGIC))
        if flags & 3 not in (0, 2 if sys.byteorder == "little" else 3):
            self.problem = "of the other byte order"
            return
        self._hwcap_names = self._hwcaps(raw, start, extension) if extension else []
        at = start + 48
        if count * 24 + at > len(raw):
            raise ValueError("cut short")
        self._start, self._table = start, raw[at : at + count * 24]

    def entries(self, name: str) -> list[tuple[int, str, str]]:
        """Return (flags, capability name or "", path) of each entry of that name, in the cache's order."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._find(name.encode("utf-8", "surrogateescape") + b"\0")
        return known

    def names(self, start: str) -> list[str]:
        """Return the names that begin with ``start``, in the cache's order."""
        found: dict[str, None] = {}
        for _kind, key, _value, _osversion, _hwcap in struct.iter_unpack("=iIIIQ", self._table):
            try:
                name = _string(self._raw, self._start + key)
            except ValueError:
                self.problem = "damaged"
                continue
            if name.startswith(start):
                found[name] = None
        return list(found)

    def _find(self, name: bytes) -> list[tuple[int, str, str]]:
        """The entries whose key is ``name``: ldconfig lets a key be the end of a longer string."""
        offsets = set()
        at = self._raw.find(name)
        while at >= 0:
            offsets.add(at - self._start)
            at = self._raw.find(name, at + 1)
        found = []
        if offsets:
            for kind, key, value, _osversion, hwcap in struct.iter_unpack("=iIIIQ", self._table):
                if key in offsets:
                    try:
                        found.append((kind, self._capability(hwcap), _string(self._raw, self._start + value)))
                    except ValueError:
                        self.problem = "damaged"
        return found

    def _capability(self, hwcap: int) -> str:
        if not hwcap:
            return ""
        if not hwcap & HWCAP_EXTENSION:
            return "legacy"
        index = hwcap & 0xFFFFFFFF
        return self._hwcap_names[index] if index < len(self._hwcap_names) else "unknown"

    @staticmethod
    def _hwcaps(raw: bytes, start: int, extension: int) -> list[str]:
        magic, count = struct.unpack_from("=II", raw, extension)  # offsets here count from the start of the file
        if magic != EXTENSION_MAGIC:
            return []
        for number in range(min(count, 64)):
            tag, _flags, offset, size = struct.unpack_from("=IIII", raw, extension + 8 + number * 16)
            if tag == TAG_GLIBC_HWCAPS:
                table = raw[offset : offset + size // 4 * 4]
                return [_string(raw, start + at) for (at,) in struct.iter_unpack("=I", table)]
        return []

    def lookup(self, name: str, levels: tuple[str, ...]) -> str | None:
        """The path that ld.so takes for ``name``; ``levels`` are the active glibc-hwcaps names, best first."""
        allowed = _FLAGS.get(NATIVE[2], (3, 1))
        plain, best = None, len(levels)  # type: tuple[str | None, int]
        chosen = None
        for kind, capability, path in self.entries(name):
            if kind not in allowed:
                continue
            if not capability:
                plain = plain or path
            elif capability in levels and levels.index(capability) < best:
                best, chosen = levels.index(capability), path
        return chosen or plain


def _string(raw: bytes, at: int) -> str:
    return raw[at : raw.index(b"\0", at)].decode("utf-8", "surrogateescape")


_known: dict[str, tuple[tuple[int, int, int], LdCache]] = {}


def load_cache(path: str = PATH) -> LdCache | None:
    """The cache at ``path``, read again only when the file changed; None where there is none."""
    try:
        fd = os.open(path, OPEN_FLAGS)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        signature = (info.st_ino, info.st_size, info.st_mtime_ns)
        known = _known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        if info.st_size > MAX_SIZE:
            return None
        raw = b""
        while len(raw) < info.st_size:
            piece = os.read(fd, info.st_size - len(raw))
            if not piece:
                break
            raw += piece
    except OSError:
        return None
    finally:
        os.close(fd)
    cache = LdCache(raw)
    _known[path] = signature, cache
    return cache
