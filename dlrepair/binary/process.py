"""What is mapped in this process, and how it was started: read from /proc, nothing is loaded or called.

The link map is read through ``/proc/self/mem`` (``DT_DEBUG`` leads to ``r_debug``, link.h),
so the names are those under which ld.so holds the objects. A thread that unloads one
meanwhile costs a wrong entry, never a crash. Where that fails, ``/proc/self/maps`` serves.
"""

from __future__ import annotations

import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple

    #: the path of the program, LD_LIBRARY_PATH when it started, what is loaded as ld.so names it
    Started = Tuple[str, str, List[str]]

AT_PHDR, AT_PHENT, AT_PHNUM, AT_SECURE = 3, 4, 5, 23
MAX_OBJECTS = 20000
_WORD = struct.Struct("@P")


def start_env(name: str) -> str:
    """The value of ``name`` when the process started, or "" (ld.so reads the environment once, at start).

    Where a variable was given twice the last one counts, as for ld.so (elf/rtld.c, process_envvars).
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            raw = file.read()
    except OSError:
        return os.environ.get(name, "")
    prefix = os.fsencode(name) + b"="
    found = b""
    for entry in raw.split(b"\0"):
        if entry.startswith(prefix):
            found = entry[len(prefix) :]
    return os.fsdecode(found)


def auxiliary() -> dict[int, int]:
    """The auxiliary vector that the kernel passed (getauxval(3)); empty where it cannot be read."""
    try:
        with open("/proc/self/auxv", "rb") as file:
            raw = file.read()
    except OSError:
        return {}
    pair = struct.Struct("@PP")
    return dict(pair.iter_unpack(raw[: len(raw) // pair.size * pair.size]))


def main_program() -> str:
    """The path of the running executable; "" where the system does not tell."""
    try:
        return os.readlink("/proc/self/exe")
    except OSError:
        return os.path.realpath(sys.executable) if sys.executable else ""


class _Memory:
    """This process's memory, read through the kernel: a bad address is an OSError, not a crash."""

    def __init__(self) -> None:
        self.fd = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)

    def words(self, address: int, count: int) -> tuple[int, ...]:
        raw = os.pread(self.fd, count * _WORD.size, address)
        if len(raw) != count * _WORD.size:
            raise OSError("short read")
        return tuple(word[0] for word in _WORD.iter_unpack(raw))

    def string(self, address: int) -> str:
        if not address:
            return ""
        raw = b""
        while b"\0" not in raw and len(raw) < 8192:  # up to the end of the page, then page by page
            here = address + len(raw)
            piece = os.pread(self.fd, min(256, 4096 - here % 4096), here)
            if not piece:
                break
            raw += piece
        return os.fsdecode(raw.split(b"\0", 1)[0])


def _debug_address(memory: _Memory) -> int:
    """Address of ``struct r_debug``, from the main program's DT_DEBUG entry; 0 if there is none."""
    aux = auxiliary()
    phdr, phent, phnum = aux.get(AT_PHDR, 0), aux.get(AT_PHENT, 0), aux.get(AT_PHNUM, 0)
    wide = _WORD.size == 8
    layout = struct.Struct("@IIQQQQQQ" if wide else "@IIIIIIII")
    if not phdr or phent != layout.size:
        return 0
    rows = list(layout.iter_unpack(os.pread(memory.fd, phent * min(phnum, 256), phdr)))
    vaddr = 3 if wide else 2
    base = next((phdr - row[vaddr] for row in rows if row[0] == 6), 0)  # PT_PHDR
    dynamic = next((row[vaddr] + base for row in rows if row[0] == 2), 0)  # PT_DYNAMIC
    while dynamic:
        tag, value = memory.words(dynamic, 2)
        if tag == 21:  # DT_DEBUG
            return value
        if tag == 0:
            break
        dynamic += 2 * _WORD.size
    return 0


def _link_map() -> list[str]:
    """``l_name`` of every object in the link map, in its order; the first, the program's own, is ""."""
    memory = _Memory()
    try:
        address = _debug_address(memory)
        if not address:
            return []
        names: list[str] = []
        here = memory.words(address, 2)[1]  # r_map, after an int padded to a word
        while here and len(names) < MAX_OBJECTS:
            _base, name, _dynamic, following = memory.words(here, 4)
            names.append(memory.string(name))
            here = following
        return names
    finally:
        memory.close()


def _from_maps() -> list[str]:
    """Paths of the files that are mapped executable, in address order."""
    found: list[str] = []
    try:
        with open("/proc/self/maps", "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return []
    for line in lines:
        parts = line.split(None, 5)
        if len(parts) == 6 and b"x" in parts[1] and parts[5].startswith(b"/"):
            path = os.fsdecode(parts[5])
            if path not in found and not path.endswith(" (deleted)"):
                found.append(path)
    return found


def loaded_names() -> list[str]:
    """Paths under which ld.so holds the loaded objects, in link-map order, the program first."""
    try:
        names = _link_map()
    except (OSError, ValueError, struct.error):
        names = []
    if len(names) < 2:
        return _from_maps()
    return [main_program()] + [name for name in names[1:] if "/" in name]


def started(names: Sequence[str] | None = None) -> Started:
    """This process, in the words of ``ProcessView``; ``names`` are the ``loaded_names``, where they are known."""
    main, *loaded = (loaded_names() if names is None else names) or [main_program()]
    secure = bool(auxiliary().get(AT_SECURE, 0))
    return main, "" if secure else start_env("LD_LIBRARY_PATH"), loaded


def mapped() -> tuple[str, ...]:
    """Real paths of the shared objects in this process, in link-map order; the program itself is not among them."""
    found: dict[str, None] = {}
    for name in loaded_names()[1:]:
        found[os.path.realpath(name)] = None
    return tuple(found)


def mapped_soname(soname: str) -> str | None:
    """Path of the loaded object that answers to ``soname`` in a DT_NEEDED entry, or None."""
    return ProcessView.current().find(soname)


def defined_globally(symbol: str) -> bool | None:
    """True when the global scope (the program, its libraries, RTLD_GLOBAL ones) defines ``symbol``.

    Asks ``dlsym`` on the handle of the program. None where ``_ctypes`` is not imported:
    importing it would load libffi into a process that did not ask for it.
    """
    module = sys.modules.get("_ctypes")
    if module is None:
        return None
    try:
        module.dlsym(module.dlopen(None, 0), symbol)
    except (OSError, ValueError):  # ValueError: a name that no C string can hold
        return False
    except (AttributeError, TypeError):
        return None
    return True


def working_directory() -> str:
    """The working directory; "" when it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


class ProcessView:
    """A process as ld.so sees it: what is loaded under which names, and the search path from its environment."""

    __slots__ = ("by_file", "by_name", "cwd", "library_path", "live", "loaded", "main", "promoted", "secure")

    def __init__(self, main: str, library_path: str = "", cwd: str | None = None, live: bool = False) -> None:
        self.main = main  #: path of the program; "" when the library itself stands in for it
        self.library_path = library_path  #: LD_LIBRARY_PATH when the process started
        self.cwd = working_directory() if cwd is None else cwd  #: "" where it has been removed
        self.live = live  #: it is this very process: ``dlsym`` can be asked
        self.secure = False
        self.loaded: list[str] = []  #: as ld.so names them, in link-map order, without the program
        self.by_name: dict[str, str] = {}
        self.by_file: dict[tuple[int, int], str] = {}
        self.promoted: tuple[str, ...] = ()  #: assumed in the global scope: not yet loaded, so ``dlsym`` cannot tell

    def with_libraries(self, paths: Sequence[str], promoted: bool) -> ProcessView:
        """A copy in which ``paths`` are loaded too, RTLD_GLOBAL if ``promoted``: the process as it will be."""
        view = ProcessView(self.main, self.library_path, self.cwd, self.live)
        view.secure = self.secure
        view.loaded, view.by_name, view.by_file = list(self.loaded), dict(self.by_name), dict(self.by_file)
        for path in paths:
            if path not in view.loaded:
                view.add(path)
        view.name_by_need()
        view.promoted = tuple(paths) if promoted else ()
        return view

    def add(self, path: str, names: Sequence[str] = ()) -> None:
        """Note that ``path`` is loaded, under its SONAME, its path and ``names``."""
        from dlrepair.binary.linknames import read_names

        file, soname, _ = read_names(path)
        self.loaded.append(path)
        for name in (path, *((soname,) if soname else ()), *names):
            self.by_name.setdefault(name, path)
        if file is not None:
            self.by_file.setdefault(file, path)

    def name_by_need(self) -> None:
        """Add the names by which loaded objects need one another: ld.so keeps them beside the SONAME."""
        from dlrepair.binary.linknames import read_names

        leaves: dict[str, str] = {}
        for path in self.loaded:
            leaves.setdefault(os.path.basename(path), path)
        for path in (self.main, *self.loaded):
            for name in read_names(path)[2] if path else ():
                if name not in self.by_name and name in leaves:
                    self.by_name[name] = leaves[name]

    def find(self, name: str) -> str | None:
        """Path of the loaded object that answers to ``name``, or None."""
        return self.by_name.get(name)

    def program_closure(self) -> tuple[str, ...]:
        """The program and everything that its DT_NEEDED entries lead to: always in the global scope."""
        from dlrepair.binary.linknames import read_names

        found = {self.main: None} if self.main else {}  # type: dict[str, None]
        queue = list(found)
        for path in queue:
            for name in read_names(path)[2]:
                provider = self.by_name.get(name)
                if provider is not None and provider not in found:
                    found[provider] = None
                    queue.append(provider)
        found.update(dict.fromkeys(self.promoted))
        return tuple(found)

    @classmethod
    def current(cls) -> ProcessView:
        """This process, now; the same view as before where nothing was loaded or unloaded since."""
        names = loaded_names()
        if _last and _last[0][0] == names and _last[0][1] == working_directory():
            return _last[0][2]
        main, library_path, loaded = started(names)
        view = cls(main, library_path, live=True)
        view.secure = bool(auxiliary().get(AT_SECURE, 0))
        for name in loaded:
            view.add(name)
        view.name_by_need()
        _last[:] = [(names, view.cwd, view)]
        return view


_last: list[tuple[list[str], str, ProcessView]] = []
