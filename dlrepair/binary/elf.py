"""ELF files: facts of any path, and symbol look-ups in one that was opened.

``read_facts`` answers for every path and every content; ``open_elf`` is for files that
``read_facts`` called ELF. Both read only the few pages that they need.
"""

from __future__ import annotations

import os
import stat

from dlrepair.binary.image import (
    DT_AUXILIARY,
    DT_FLAGS,
    DT_FLAGS_1,
    DT_INIT,
    DT_INIT_ARRAY,
    DT_RPATH,
    DT_RUNPATH,
    DT_SONAME,
    PF_X,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_TLS,
    ElfError,
    Image,
    text,
)  # fmt: skip
from dlrepair.binary.machine import (
    DF_1_NODEFLIB,
    NATIVE,
    OPEN_FLAGS,
    describe,
    fits_here,
    libc_family,
    machine_name,
)  # fmt: skip
from dlrepair.model.facts import ElfFacts, FileFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Iterator, Sequence

    from dlrepair.binary.symtab import SymbolTable

__all__ = [  # what of ``binary.machine`` is asked for together with the facts
    "DF_1_NODEFLIB",
    "NATIVE",
    "OPEN_FLAGS",
    "ElfError",
    "ElfFile",
    "describe",
    "fits_here",
    "libc_family",
    "machine_name",
    "open_elf",
    "read_facts",
]

try:
    PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
except (AttributeError, ValueError, OSError):
    PAGE_SIZE = 4096


def _cut(image: Image) -> bool:
    """True when a page of a PT_LOAD lies wholly beyond the end of the file (touching it is SIGBUS)."""
    for kind, _flags, offset, _vaddr, filesz, _memsz in image.segments:
        if kind == PT_LOAD and filesz and (offset + filesz - 1) // PAGE_SIZE * PAGE_SIZE >= image.size:
            return True
    return False


def _optional(image: Image, tag: int, what: str) -> str | None:
    index = image.dyn.get(tag)
    return None if index is None else image.name(index, what)


def _filters(image: Image) -> tuple[tuple[str, bool], ...]:
    names = [(image.name(index, "a filter entry"), tag == DT_AUXILIARY) for tag, index in image.filters_at]
    return tuple((name, optional) for name, optional in names if name is not None)


def facts_of(image: Image) -> ElfFacts:
    """The facts of an opened image; damage ends up in ``error``, never in an exception."""
    interp, stack, tls = None, 7, 0  # without PT_GNU_STACK the kernel's default is executable
    for kind, flags, offset, _vaddr, filesz, memsz in image.segments:
        if kind == PT_INTERP:
            interp = text(image.read(offset, min(filesz, 4096)).split(b"\0", 1)[0])
        elif kind == PT_GNU_STACK:
            stack = flags
        elif kind == PT_TLS:
            tls = memsz
    dyn = image.dyn
    names = [image.name(index, "a DT_NEEDED entry") for index in image.needed_at]
    soname = _optional(image, DT_SONAME, "DT_SONAME")
    rpath, runpath = _optional(image, DT_RPATH, "DT_RPATH"), _optional(image, DT_RUNPATH, "DT_RUNPATH")
    verneed = tuple(need[:3] for need in image.version_needs())
    verdef = tuple(name for name, _index, flags in image.version_definitions() if not flags & 1)
    return ElfFacts(
        bits=image.bits, little=image.little, machine=image.machine, osabi=image.osabi, etype=image.etype,
        soname=soname, needed=tuple(name for name in names if name is not None), rpath=rpath, runpath=runpath,
        flags=dyn.get(DT_FLAGS, 0), flags_1=dyn.get(DT_FLAGS_1, 0), interp=interp, build_id=image.build_id(),
        verneed=verneed, verdef=verdef, execstack=bool(stack & PF_X) and image.has_dynamic, tls_size=tls,
        has_init=DT_INIT in dyn or DT_INIT_ARRAY in dyn, dynamic=image.has_dynamic,
        load_end=max([seg[2] + seg[4] for seg in image.segments if seg[0] == PT_LOAD] or [0]),
        truncated=_cut(image) or (image.size < 64 and image.size < (52 if image.bits == 32 else 64)),
        filters=_filters(image), error=image.problem,
    )  # fmt: skip


TOO_LONG = "its name is longer than the file system allows"
_cache: dict[str, FileFacts] = {}
CACHE_LIMIT = 8192


def signature_of(info: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when the file does: (st_dev, st_ino, st_size, st_mtime_ns)."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


_still: StillView | None = None


class StillView:
    """Context manager: inside it every path is looked at once, as if no file changed meanwhile.

    For a survey of one moment, in a process of its own. ``seen`` has all that was looked at, absent paths too.
    """

    def __init__(self) -> None:
        self.seen: dict[str, FileFacts] = {}
        #: by signature: a file is read once, whatever path leads to it, and ``open_elf`` begins with what was read
        self.images: dict[tuple[int, int, int, int], tuple[Image, str, ElfFacts]] = {}

    def __enter__(self) -> StillView:
        global _still
        _still = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _still
        _still = None


def is_still() -> bool:
    """Whether this is inside a ``StillView``."""
    return _still is not None


def read_facts(path: str) -> FileFacts:
    """What lies at ``path``; every path and every content has an answer (``FileFacts.kind``).

    Never opens a fifo, socket or device, never maps the file, reads a few pages. The
    answer is kept until the file's (device, inode, size, mtime) change.
    """
    if _still is None:
        return _look(path)
    facts = _still.seen.get(path)
    if facts is None:
        facts = _still.seen[path] = _look(path)
    return facts


def pack(facts: FileFacts) -> tuple[Any, ...]:
    """The facts as plain values, for another process (``marshal``)."""
    values = [getattr(facts, name) for name in FileFacts.__slots__]
    if facts.elf is not None:
        values[4] = tuple([getattr(facts.elf, name) for name in ElfFacts.__slots__])
    return tuple(values)


def unpack(values: Sequence[Any]) -> FileFacts:
    """What ``pack`` made plain values of."""
    plain = list(values)
    if values[4] is not None:
        plain[4] = ElfFacts(*values[4])
    return FileFacts(*plain)


def _look(path: str) -> FileFacts:
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return _absent(path, error)
    known = _cache.get(path)
    if known is not None and known.signature == signature_of(info) and known.mode == info.st_mode:
        return known
    facts = _present(path, info)
    if len(_cache) >= CACHE_LIMIT:
        _cache.clear()
    _cache[path] = facts
    return facts


def _absent(path: str, error: Exception) -> FileFacts:
    import errno

    code = getattr(error, "errno", None)
    if code == errno.ELOOP:
        return FileFacts(path, "link-loop", detail="a loop of symbolic links")
    if code in (errno.EACCES, errno.EPERM):
        return FileFacts(path, "unreadable", detail="a directory above it may not be searched")
    if code == errno.ENOTDIR:
        return FileFacts(path, "missing", detail="a part of its path is a file, not a directory")
    if code == errno.ENAMETOOLONG:
        return FileFacts(path, "missing", detail=TOO_LONG)
    if code == errno.ENOENT:
        try:
            target = os.readlink(path)
        except (OSError, ValueError):
            return FileFacts(path, "missing", detail="no such file")
        return FileFacts(path, "dangling-link", detail="a symbolic link to %s, which does not exist" % target)
    if isinstance(error, OSError):
        return FileFacts(path, "unreadable", detail=error.strerror or "cannot be examined")
    return FileFacts(path, "missing", detail="no path can have this name")


def _present(path: str, info: os.stat_result) -> FileFacts:
    mode = info.st_mode
    common = {"size": info.st_size, "realpath": "", "owner": info.st_uid, "mode": mode}
    if not stat.S_ISREG(mode):
        kind, detail = (
            ("directory", "directory") if stat.S_ISDIR(mode)
            else ("fifo", "named pipe (opening it may block for ever)") if stat.S_ISFIFO(mode)
            else ("socket", "socket") if stat.S_ISSOCK(mode) else ("device", "device")
        )  # fmt: skip
        common["realpath"] = os.path.realpath(path)
        return FileFacts(path, kind, detail=detail, signature=signature_of(info), **common)  # type: ignore[arg-type]
    fd = -1
    try:
        fd = os.open(path, OPEN_FLAGS)
        opened = os.fstat(fd)
        if not stat.S_ISREG(opened.st_mode):
            return FileFacts(path, "device", detail="replaced while it was examined")
        common["size"], common["realpath"] = opened.st_size, _real_path(fd, path)
        signature = signature_of(opened)
        held = _still.images.get(signature) if _still is not None else None
        kind, detail, elf = _content(fd, opened.st_size, signature) if held is None else ("elf", *held[1:])
    except OSError as error:
        common["realpath"] = os.path.realpath(path)
        return FileFacts(
            path,
            "unreadable",
            detail="cannot be read: %s" % error.strerror,
            signature=signature_of(info),
            **common,  # type: ignore[arg-type]
        )
    finally:
        if fd >= 0:
            os.close(fd)
    return FileFacts(path, kind, detail=detail, elf=elf, signature=signature, **common)  # type: ignore[arg-type]


def _real_path(fd: int, path: str) -> str:
    """The path of the opened file without links: the kernel knows it, which saves a look at every directory above."""
    try:
        real = os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        return os.path.realpath(path)
    return real if real.startswith("/") and not real.endswith(" (deleted)") else os.path.realpath(path)


def _content(fd: int, size: int, signature: tuple[int, int, int, int]) -> tuple[str, str, ElfFacts | None]:
    try:
        image = Image(fd, size)
    except ElfError as error:
        from dlrepair.binary.kinds import classify

        kind, detail = classify(fd, size, str(error))
        return kind, detail, None
    elf = facts_of(image)
    detail = describe(elf)
    if _still is not None:
        _still.images[signature] = image, detail, elf
    return "elf", detail, elf


class ElfFile:
    """An opened ELF file; use it as a context manager. It holds one descriptor and maps nothing."""

    __slots__ = ("_facts", "_symbols", "fd", "image", "path", "signature")

    def __init__(self, path: str) -> None:
        self.path = path
        self._facts: ElfFacts | None = None
        self._symbols: SymbolTable | None = None
        self.fd = -1
        if not stat.S_ISREG(os.stat(path).st_mode):  # never open a fifo
            raise ElfError("not a regular file")
        self.fd = os.open(path, OPEN_FLAGS)
        try:
            info = os.fstat(self.fd)
            if not stat.S_ISREG(info.st_mode):
                raise ElfError("not a regular file")
            self.signature = signature_of(info)
            held = _still.images.get(self.signature) if _still is not None else None
            if held is not None:
                self.image, self._facts = held[0].reopened(self.fd), held[2]
            else:
                self.image = Image(self.fd, info.st_size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the descriptor back; harmless when repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> ElfFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def facts(self) -> ElfFacts:
        """Header and dynamic section."""
        if self._facts is None:
            self._facts = facts_of(self.image)
        return self._facts

    @property
    def symbols(self) -> SymbolTable:
        """The dynamic symbol table."""
        if self._symbols is None:
            from dlrepair.binary.symtab import SymbolTable

            self._symbols = SymbolTable(self.image)
        return self._symbols

    @property
    def wants_gnu_libc(self) -> bool:
        """True when a DT_NEEDED entry or a symbol version is glibc's."""
        return libc_family(self.facts) == "gnu"

    def undefined(self) -> list[tuple[str, str | None, bool]]:
        """(name, version or None, weak) of every undefined symbol."""
        return [row[:3] for row in self.symbols.undefined()]

    def defines(self, name: str, version: str | None = None) -> bool:
        """True when ld.so would bind a reference to ``name`` (of ``version``) to this object."""
        return self.symbols.defines(name.encode("utf-8", "surrogateescape"), version)

    def exported(self) -> Iterator[str]:
        """Names that other objects may bind to."""
        return self.symbols.exported()

    def strings_contain(self, names: set[str]) -> set[str]:
        """Which of ``names`` occur as NUL-terminated strings in the read-only segments."""
        from dlrepair.binary.strings import find_strings

        return find_strings(self.image, names)


def open_elf(path: str) -> ElfFile:
    """The ELF file at ``path``, opened for look-ups.

    Raises ``ElfError`` when it is not an ELF file, ``OSError`` when it cannot be opened.
    """
    return ElfFile(path)
