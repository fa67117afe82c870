"""What a file is, read from its bytes. Nothing here was guessed from a name."""

from __future__ import annotations

from dataclasses import dataclass

#: Values of ``FileFacts.kind``.
KINDS = (
    "missing", "dangling-link", "link-loop", "directory", "fifo", "device", "socket", "unreadable", "empty",
    "elf", "macho", "pe", "archive", "linker-script", "text", "html", "lfs-pointer", "zip", "data",
)  # fmt: skip


@dataclass(frozen=True)
class ElfFacts:
    """An ELF file's header and dynamic section (System V gABI, chapters 4 and 5)."""

    bits: int  #: 32 or 64
    little: bool
    machine: int  #: e_machine
    osabi: int
    etype: int  #: ET_REL 1, ET_EXEC 2, ET_DYN 3, ET_CORE 4
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: str | None = None
    runpath: str | None = None
    flags: int = 0  #: DT_FLAGS
    flags_1: int = 0  #: DT_FLAGS_1
    interp: str | None = None
    build_id: str | None = None
    #: (file, version, weak) of every DT_VERNEED entry
    verneed: tuple[tuple[str, str, bool], ...] = ()
    verdef: tuple[str, ...] = ()
    execstack: bool = False
    tls_size: int = 0
    has_init: bool = False  #: DT_INIT or DT_INIT_ARRAY present
    dynamic: bool = False  #: has a dynamic section
    load_end: int = 0  #: greatest p_offset + p_filesz of any PT_LOAD
    truncated: bool = False  #: a PT_LOAD page lies wholly beyond the end of the file
    #: (name, optional) of every DT_FILTER and DT_AUXILIARY entry: objects that stand before this one (Solaris filters)
    filters: tuple[tuple[str, bool], ...] = ()
    error: str | None = None  #: first inconsistency met; the facts before it still hold


@dataclass(frozen=True)
class FileFacts:
    """A path and what lies there."""

    path: str
    kind: str
    size: int = 0
    detail: str = ""  #: a sentence for people, e.g. "Mach-O dynamic library, arm64"
    elf: ElfFacts | None = None
    realpath: str = ""
    owner: int = -1
    mode: int = 0
    #: (st_dev, st_ino, st_size, st_mtime_ns)
    signature: tuple[int, int, int, int] | None = None
