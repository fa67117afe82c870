"""The places where glibc's ld.so looks for one DT_NEEDED name, in its order, and what it makes of each file.

Rules: elf/dl-load.c (``_dl_map_object``, ``open_path``, ``open_verify``, ``fillin_rpath``,
``_dl_dst_substitute``) and ld.so(8).
"""

from __future__ import annotations

import os

from dlrepair.binary.elf import DF_1_NODEFLIB, NATIVE, OPEN_FLAGS, TOO_LONG, fits_here, machine_name, read_facts
from dlrepair.binary.image import IDENTIFICATION
from dlrepair.model.facts import ElfFacts, FileFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.binary.ldcache import LdCache

#: what ld.so does with a file that it meets
FITS, SKIP, STOP_LIST, REFUSE = "fits", "skip", "stop-list", "refuse"

_system_dirs: dict[str, tuple[str, ...]] = {}


class Node:
    """An object of the link map, or one that would join it."""

    __slots__ = ("depth", "elf", "file", "loader", "origin", "path", "places", "reused")

    def __init__(self, path: str, facts: FileFacts, loader: Node | None, cwd: str, reused: bool = False) -> None:
        self.path = path  #: as ld.so names it: links are kept, since ``$ORIGIN`` is the link's directory
        self.elf: ElfFacts | None = facts.elf
        self.file = facts.signature[:2] if facts.signature is not None else None
        self.loader = loader
        self.depth: int = 0 if loader is None else loader.depth + 1
        self.reused = reused
        self.places: tuple[tuple[str, tuple[str, ...]], ...] | None = None  #: what ``SearchPath.lists`` says of it
        whole = path if path.startswith("/") else cwd.rstrip("/") + "/" + path
        self.origin = whole.rpartition("/")[0] or "/"


def loader_of(elf: ElfFacts | None) -> str:
    """Path of the program interpreter that an executable names, or the usual one of this machine."""
    if elf is not None and elf.interp:
        return elf.interp
    bits, little, machine = NATIVE
    usual = {62: "/lib64/ld-linux-x86-64.so.2", 183: "/lib/ld-linux-aarch64.so.1", 3: "/lib/ld-linux.so.2",
             40: "/lib/ld-linux-armhf.so.3", 243: "/lib/ld-linux-riscv64-lp64d.so.1", 22: "/lib/ld64.so.1",
             21: "/lib64/ld64.so.2"}  # fmt: skip
    return usual.get(machine, "")


def system_directories(interpreter: str) -> tuple[str, ...]:
    """The default directories that are compiled into this ld.so, each with a slash at its end.

    They lie side by side in its read-only data, each ended by a NUL (``SYSTEM_DIRS``).
    """
    known = _system_dirs.get(interpreter)
    if known is not None:
        return known
    found: list[str] = []
    try:
        fd = os.open(interpreter, OPEN_FLAGS)
        try:
            raw = os.pread(fd, 1 << 22, 0)
        finally:
            os.close(fd)
    except OSError:
        raw = b""
    at = raw.find(b"\0/lib")
    while at >= 0:
        run: list[str] = []
        here = at + 1
        while raw[here : here + 1] == b"/":
            end = raw.find(b"\0", here)
            piece = raw[here:end]
            if end < 0 or not piece.endswith(b"/") or b"lib" not in piece or len(piece) > 200:
                break
            run.append(piece.decode("utf-8", "surrogateescape"))
            here = end + 1
        if len(run) > len(found):
            found = run
        at = raw.find(b"\0/lib", at + 1)
    if not found:
        lib = "lib64" if NATIVE[0] == 64 and os.path.isdir("/usr/lib64") else "lib"
        found = ["/%s/" % lib, "/usr/%s/" % lib]
    _system_dirs[interpreter] = tuple(found)
    return _system_dirs[interpreter]


def lib_token(interpreter: str) -> str:
    """What ``$LIB`` stands for: ``lib64``, or Debian's ``lib/x86_64-linux-gnu``; the first default directory tells."""
    first = system_directories(interpreter)[0].strip("/")
    return first[4:] if first.startswith("usr/") else first


def verify(path: str) -> tuple[str, str, FileFacts]:
    """(verdict, reason, facts): what ld.so does when it tries ``path`` (open_verify, _dl_map_object_from_fd)."""
    facts = read_facts(path)
    kind = facts.kind
    if kind == "missing":
        return (STOP_LIST if facts.detail == TOO_LONG else SKIP), facts.detail, facts
    if kind in ("dangling-link", "unreadable"):
        return SKIP, facts.detail, facts
    if kind in ("link-loop", "socket"):
        return STOP_LIST, facts.detail, facts
    elf = facts.elf
    if elf is None:
        if facts.size < 64 and kind not in ("directory", "fifo", "device"):
            return REFUSE, "file too short: " + facts.detail, facts
        return REFUSE, facts.detail, facts
    if elf.bits != NATIVE[0]:
        return SKIP, "wrong ELF class: %d-bit %s" % (elf.bits, machine_name(elf.machine)), facts
    # The machine is compared first, in this machine's byte order whatever the file's; only e_version comes before it.
    odd = (elf.error or "").startswith(IDENTIFICATION + "its ELF version")
    machine = elf.machine if elf.little == NATIVE[1] else elf.machine >> 8 | (elf.machine & 0xFF) << 8
    if machine != NATIVE[2] and not (odd and elf.little == NATIVE[1]):
        return SKIP, "built for another machine: %s" % machine_name(elf.machine), facts
    refused = fits_here(elf)
    if refused is not None:
        return REFUSE, refused, facts
    return FITS, "", facts


class SearchPath:
    """ld.so's search for the needs of one process; directories are looked at once."""

    def __init__(self, main: Node | None, library_path: str, cwd: str, secure: bool = False) -> None:
        self.main = main
        self.secure = secure  #: AT_SECURE: ``$ORIGIN`` is expanded with care
        self.cwd = cwd
        self.interpreter = loader_of(main.elf if main is not None else None)
        self._subdirectories: dict[str, tuple[str, ...] | None] = {}
        self._lists: dict[tuple[str, str], tuple[str, ...]] = {}
        self.preferred: list[str] = []  #: directories beside those searched that ld.so looks into before
        #: (name, lists, nodefaultlib) -> answer, where no file changes between two searches; None: nothing is kept
        self.answers: dict[tuple[object, ...], Found] | None = None
        self._ld_cache: tuple[LdCache | None, tuple[str, ...]] | None = None
        self.environment = self.split(library_path, main.origin if main is not None else "", ":;")

    def expand(self, words: str, origin: str) -> str:
        """``words`` with ``$ORIGIN``, ``$LIB`` and ``$PLATFORM`` replaced, with or without braces; others stay."""
        out, at = "", words.find("$")
        while at >= 0:
            out, words = out + words[:at], words[at + 1 :]
            for token in ("ORIGIN", "PLATFORM", "LIB"):
                curly = words.startswith("{" + token + "}")
                bare = words.startswith(token) and not _identifier(words[len(token) : len(token) + 1])
                if curly or bare:
                    out += self._token(token, origin)
                    words = words[len(token) + 2 * curly :]
                    break
            else:
                out += "$"
            at = words.find("$")
        return out + words

    def _safe(self, words: str, origin: str) -> str:
        """As ``expand`` in secure mode; "" for what ld.so leaves out (elf/dl-load.c, _dl_dst_substitute).

        ``$ORIGIN`` stands at the beginning and before a slash only, and what becomes of it in the program's own paths
        has to lie in a default directory.
        """
        at = max(words.find("$ORIGIN"), words.find("${ORIGIN}"))
        if at < 0:
            return self.expand(words, origin)
        curly = words[at + 1] == "{"
        after = words[at + (9 if curly else 7) :][:1]
        if not curly and _identifier(after):  # another word
            return self.expand(words, origin)
        if at > 0 or after not in ("", "/"):
            return ""
        path = self.expand(words, origin)
        if self.main is not None and origin == self.main.origin:
            whole = os.path.normpath(path) + "/"
            return path if any(whole.startswith(one) for one in system_directories(self.interpreter)) else ""
        return path

    def _token(self, token: str, origin: str) -> str:
        if token == "ORIGIN":
            return origin
        if token == "LIB":
            return lib_token(self.interpreter)
        from dlrepair.binary.hwcaps import platform

        return platform()

    def split(self, words: str, origin: str, separators: str = ":") -> tuple[str, ...]:
        """Directories of a path list, each with a slash at its end; "" is the working directory. Twice counts once."""
        if not words:
            return ()
        key = (words, origin)
        known = self._lists.get(key)
        if known is not None:
            return known
        for other in separators[1:]:
            words = words.replace(other, separators[0])
        found: list[str] = []
        for part in words.split(separators[0]):
            if part:
                if "$" in part:
                    part = self._safe(part, origin) if self.secure else self.expand(part, origin)
                if not part:
                    continue
                part = (part.rstrip("/") or "") + "/"
            if part not in found:
                found.append(part)
        self._lists[key] = tuple(found)
        return self._lists[key]

    def _below(self, directory: str) -> tuple[str, ...] | None:
        """The subdirectories of ``directory`` that ld.so tries, "" last; None when it is no directory."""
        if directory not in self._subdirectories:
            if not os.path.isdir(directory or "."):
                self._subdirectories[directory] = None
            else:
                from dlrepair.binary.hwcaps import subdirectories

                tops: dict[str, bool] = {}
                kept = []
                for sub in subdirectories():
                    top = sub.partition("/")[0]
                    if top not in tops:
                        tops[top] = not top or os.path.isdir(directory + top)
                    if tops[top] and (not sub or os.path.isdir(directory + sub)):
                        kept.append(sub)
                self._subdirectories[directory] = tuple(kept)
                self.preferred += [directory + top for top in tops if top and tops[top]]
        return self._subdirectories[directory]

    def searched(self) -> list[str]:
        """The directories that were looked at, absent ones too; "" is the working directory."""
        return list(self._subdirectories)

    def lists(self, loader: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(how, directories) in ld.so's order for a need of ``loader``, without cache and default directories."""
        elf = loader.elf
        if elf is None or elf.runpath is None:
            seen_main = False
            node: Node | None = loader
            while node is not None:
                seen_main = seen_main or node is self.main
                yield from self._rpath(node)
                node = node.loader
            if self.main is not None and not seen_main:
                yield from self._rpath(self.main)
        if self.environment:
            yield "ld-library-path", self.environment
        if elf is not None and elf.runpath:
            yield "runpath", self.split(elf.runpath, loader.origin)

    def _rpath(self, node: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
        if node.elf is not None and node.elf.runpath is None and node.elf.rpath:
            yield "rpath", self.split(node.elf.rpath, node.origin)

    def find(self, name: str, loader: Node) -> Found:
        """Where ld.so finds ``name`` for ``loader``: the first place that fits, with every place before it."""
        if "/" in name:
            found = Found()
            found.attempt(name, "path", *verify(self.whole(name)))
            return found
        if loader.places is None:
            loader.places = tuple(self.lists(loader))
        nodeflib = bool(loader.elf is not None and loader.elf.flags_1 & DF_1_NODEFLIB)
        if self.answers is None:
            return self._find(name, loader, loader.places, nodeflib)
        key = (name, loader.places, loader.path if nodeflib else "")
        if key not in self.answers:
            self.answers[key] = self._find(name, loader, loader.places, nodeflib)
        return self.answers[key]

    def _find(
        self, name: str, loader: Node, places: tuple[tuple[str, tuple[str, ...]], ...], nodeflib: bool
    ) -> Found:
        found = Found()
        for how, directories in places:
            if self._directories(found, name, how, directories):
                return found
        defaults = system_directories(self.interpreter)
        if self._cache(found, name, defaults if nodeflib else ()):
            return found
        if nodeflib:
            found.tried.append(("default directories", "left out: %s was linked with -z nodefaultlib" % loader.path))
        else:
            self._directories(found, name, "default", defaults)
        return found

    def whole(self, path: str) -> str:
        """``path`` as seen from the process's working directory."""
        return path if path.startswith("/") or self.cwd == "" else os.path.join(self.cwd, path)

    def _directories(self, found: Found, name: str, how: str, directories: tuple[str, ...]) -> bool:
        """True when the search is over: found, or refused."""
        for directory in directories:
            below = self._below(self.whole(directory) if directory else "")
            if below is None:
                found.tried.append((directory, "%s: no such directory" % how))
                continue
            for sub in below:
                verdict = found.attempt(directory + sub + name, how, *verify(self.whole(directory + sub + name)))
                if verdict in (FITS, REFUSE):
                    return True
                if verdict == STOP_LIST:
                    return False
        return False

    def _cache(self, found: Found, name: str, forbidden: tuple[str, ...]) -> bool:
        from dlrepair.binary.hwcaps import named_levels
        from dlrepair.binary.ldcache import PATH, load_cache

        if self._ld_cache is None or self.answers is None:
            self._ld_cache = load_cache(), named_levels()
        cache, levels = self._ld_cache
        if cache is None:
            found.tried.append((PATH, "cache: cannot be read"))
            return False
        path = cache.lookup(name, levels)
        if path is None:
            found.tried.append((PATH, "cache: no entry for %s" % name))
            return False
        if any(path.startswith(start) for start in forbidden):
            found.tried.append((path, "cache: left out by -z nodefaultlib"))
            return False
        return found.attempt(path, "cache", *verify(path)) in (FITS, REFUSE)


class Found:
    """The end of a search: a path, or why there is none; and every place tried before."""

    __slots__ = ("facts", "how", "other_class", "path", "refused", "tried")

    def __init__(self) -> None:
        self.path: str | None = None
        self.facts: FileFacts | None = None
        self.how = "missing"
        self.refused = ""  #: path of the file at which ld.so gives up
        self.other_class = ""  #: path of a file of the other ELF class, which ld.so's message mentions
        self.tried: list[tuple[str, str]] = []

    def attempt(self, path: str, how: str, verdict: str, reason: str, facts: FileFacts) -> str:
        """Note one place and what ld.so made of it; the verdict again."""
        if verdict == FITS:
            self.path, self.how, self.facts = path, how, facts
            return verdict
        self.tried.append((path, "%s: %s" % (how, reason)))
        if verdict == REFUSE:
            self.how, self.refused, self.facts = "refused", path, facts
        elif facts.elf is not None and facts.elf.bits != NATIVE[0]:
            self.other_class = path
        return verdict


def _identifier(character: str) -> bool:
    return character != "" and (character == "_" or (character.isalnum() and character < "\x7f"))
