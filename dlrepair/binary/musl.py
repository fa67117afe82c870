"""musl's search: simpler than glibc's, and blind to SONAMEs.

Rules: ldso/dynlink.c of musl 1.2 (``load_library``, ``path_open``, ``fixup_rpath``). What differs
from glibc: the environment comes before every RPATH; RUNPATH is RPATH and is inherited along
the whole chain; no cache, no ``glibc-hwcaps``; the first file that opens is taken whatever
it is; objects are known by the name under which a search found them, never by SONAME;
only ``$ORIGIN`` is understood.
"""

from __future__ import annotations

import os

from dlrepair.binary.search_path import FITS, REFUSE, SKIP, STOP_LIST, Found, Node, loader_of, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.facts import FileFacts

#: ``libNAME.so…`` of these is the C library itself, wherever it lies
RESERVED = ("c", "pthread", "rt", "m", "dl", "util", "xnet")
USUAL = "/lib:/usr/local/lib:/usr/lib"


def reserved(name: str) -> bool:
    """True for the names that musl answers with itself."""
    return name.startswith("lib") and name[3:].split(".", 1)[0] in RESERVED and "." in name[3:]


def system_path(interpreter: str) -> str:
    """The default path: ``/etc/ld-musl-ARCH.path`` where it exists, else musl's own."""
    leaf = os.path.basename(interpreter)
    arch = leaf[len("ld-musl-") :].split(".so", 1)[0] if leaf.startswith("ld-musl-") else ""
    prefix = interpreter.rpartition("/lib/")[0]
    try:
        with open("%s/etc/ld-musl-%s.path" % (prefix, arch), "rb") as file:
            return os.fsdecode(file.read(1 << 16))
    except OSError:
        return USUAL


class MuslPath:
    """musl's search for the needs of one process."""

    def __init__(self, main: Node | None, library_path: str, cwd: str) -> None:
        self.main = main
        self.cwd = cwd
        self.interpreter = loader_of(main.elf if main is not None else None)
        self.environment = library_path
        self.system = system_path(self.interpreter)

    def expand(self, words: str, origin: str) -> str:
        """A DT_NEEDED name is taken as it is."""
        return words

    def whole(self, path: str) -> str:
        """``path`` as seen from the process's working directory."""
        return path if path.startswith("/") or self.cwd == "" else os.path.join(self.cwd, path)

    def find(self, name: str, loader: Node) -> Found:
        """Where musl finds ``name`` for ``loader``."""
        found = Found()
        if "/" in name:
            found.attempt(name, "path", *_verify(self.whole(name)))
            return found
        if reserved(name) and os.path.exists(self.interpreter):
            found.attempt(self.interpreter, "loaded", *verify(self.interpreter))
            return found
        lists = [("ld-library-path", self.environment)]
        node: Node | None = loader
        while node is not None:
            lists.append(("rpath", self._rpath(node)))
            node = node.loader
        if self.main is not None and loader is not self.main:
            lists.append(("rpath", self._rpath(self.main)))
        lists.append(("default", self.system))
        for how, words in lists:
            for directory in words.replace("\n", ":").split(":"):
                if directory and self._try(found, directory.rstrip("/") + "/" + name, how):
                    return found
        return found

    def _try(self, found: Found, path: str, how: str) -> bool:
        return found.attempt(path, how, *_verify(self.whole(path))) in (FITS, REFUSE, STOP_LIST)

    def _rpath(self, node: Node) -> str:
        """The run path of ``node`` with its origin put in; "" when it has another token (fixup_rpath)."""
        elf = node.elf
        words = (elf.runpath if elf.runpath is not None else elf.rpath) if elf is not None else None
        if not words or "$" not in words:
            return words or ""
        bare = words.replace("${ORIGIN}", "").replace("$ORIGIN", "")
        if "$" in bare:
            return ""
        return words.replace("${ORIGIN}", node.origin).replace("$ORIGIN", node.origin)


def _verify(path: str) -> tuple[str, str, FileFacts]:
    """As glibc's, but nothing that opens is skipped: musl maps the first file that it can open."""
    verdict, reason, facts = verify(path)
    if verdict == SKIP and facts.kind == "elf":
        return REFUSE, reason, facts
    return verdict, reason, facts
