"""What a file is, read from its bytes. Nothing here was guessed from a name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: Values of ``FileFacts.kind``.
KINDS = (
    "missing", "dangling-link", "link-loop", "directory", "fifo", "device", "socket", "unreadable", "empty",
    "elf", "macho", "pe", "archive", "linker-script", "text", "html", "lfs-pointer", "zip", "data",
)  # fmt: skip


class _Facts:
    """Read-only values that compare and show themselves like a frozen dataclass's.

    By hand: ``dataclasses`` takes longer to import than a library takes to be looked at.
    """

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Facts) and type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = ("%s=%r" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s(%s)" % (type(self).__name__, ", ".join(shown))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("facts are read-only")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("facts are read-only")


_set = object.__setattr__


class ElfFacts(_Facts):
    """An ELF file's header and dynamic section (System V gABI, chapters 4 and 5)."""

    __slots__ = (  # noqa: RUF023  in the order of the arguments
        "bits", "little", "machine", "osabi", "etype", "soname", "needed", "rpath", "runpath", "flags", "flags_1",
        "interp", "build_id", "verneed", "verdef", "execstack", "tls_size", "has_init", "dynamic", "load_end",
        "truncated", "filters", "error",
    )  # fmt: skip

    bits: int  #: 32 or 64
    little: bool
    machine: int  #: e_machine
    osabi: int
    etype: int  #: ET_REL 1, ET_EXEC 2, ET_DYN 3, ET_CORE 4
    soname: str | None
    needed: tuple[str, ...]
    rpath: str | None
    runpath: str | None
    flags: int  #: DT_FLAGS
    flags_1: int  #: DT_FLAGS_1
    interp: str | None
    build_id: str | None
    #: (file, version, weak) of every DT_VERNEED entry
    verneed: tuple[tuple[str, str, bool], ...]
    verdef: tuple[str, ...]
    execstack: bool
    tls_size: int
    has_init: bool  #: DT_INIT or DT_INIT_ARRAY present
    dynamic: bool  #: has a dynamic section
    load_end: int  #: greatest p_offset + p_filesz of any PT_LOAD
    truncated: bool  #: a PT_LOAD page lies wholly beyond the end of the file
    #: (name, optional) of every DT_FILTER and DT_AUXILIARY entry: objects that stand before this one (Solaris filters)
    filters: tuple[tuple[str, bool], ...]
    error: str | None  #: first inconsistency met; the facts before it still hold

    def __init__(
        self, bits: int, little: bool, machine: int, osabi: int, etype: int, soname: str | None = None,
        needed: tuple[str, ...] = (), rpath: str | None = None, runpath: str | None = None, flags: int = 0,
        flags_1: int = 0, interp: str | None = None, build_id: str | None = None,
        verneed: tuple[tuple[str, str, bool], ...] = (), verdef: tuple[str, ...] = (), execstack: bool = False,
        tls_size: int = 0, has_init: bool = False, dynamic: bool = False, load_end: int = 0, truncated: bool = False,
        filters: tuple[tuple[str, bool], ...] = (), error: str | None = None,
    ) -> None:  # fmt: skip
        values = (
            bits, little, machine, osabi, etype, soname, needed, rpath, runpath, flags, flags_1, interp, build_id,
            verneed, verdef, execstack, tls_size, has_init, dynamic, load_end, truncated, filters, error,
        )  # fmt: skip
        for name, value in zip(ElfFacts.__slots__, values):
            _set(self, name, value)


class FileFacts(_Facts):
    """A path and what lies there."""

    __slots__ = ("path", "kind", "size", "detail", "elf", "realpath", "owner", "mode", "signature")  # noqa: RUF023

    path: str
    kind: str
    size: int
    detail: str  #: a sentence for people, e.g. "Mach-O dynamic library, arm64"
    elf: ElfFacts | None
    realpath: str
    owner: int
    mode: int
    #: (st_dev, st_ino, st_size, st_mtime_ns)
    signature: tuple[int, int, int, int] | None

    def __init__(
        self, path: str, kind: str, size: int = 0, detail: str = "", elf: ElfFacts | None = None, realpath: str = "",
        owner: int = -1, mode: int = 0, signature: tuple[int, int, int, int] | None = None,
    ) -> None:  # fmt: skip
        for name, value in zip(
            FileFacts.__slots__, (path, kind, size, detail, elf, realpath, owner, mode, signature)
        ):  # fmt: skip
            _set(self, name, value)
