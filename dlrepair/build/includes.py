"""The headers of the project that sources include, found by reading them; ops that they register.

A scan, not a preprocessor: both branches of an ``#if`` count. It says which files are to be trusted before
anything is compiled, which of them go into a private copy, and what a failed build has looked at. What
a compiler really read is in the dependency file that it writes.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

#: bytes of one file, and files of one scan: beyond them it is no hand-written op
MAX_BYTES = 8 << 20
MAX_FILES = 2000

_INCLUDE = r'^[ \t]*#[ \t]*(?:include|import)[ \t]*(?:"(?P<quoted>[^"\n]+)"|<(?P<angled>[^>\n]+)>)'
_REGISTER = r'\bREGISTER_(?:SYSTEM_)?OP\s*\(\s*"(?P<name>[A-Za-z0-9_>]+)"'
_KERNEL = r'\bREGISTER_KERNEL_BUILDER\s*\(\s*(?:\w+::)*Name\s*\(\s*"(?P<name>[A-Za-z0-9_>]+)"'


def read_text(path: str) -> str:
    """The text of a source; bytes that are not UTF-8 survive a round trip. Raises OSError, ValueError if too long."""
    with open(path, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("{} is larger than {} bytes".format(path, MAX_BYTES))
    return data.decode("utf-8", "surrogateescape")


def signature(path: str) -> str:
    """Device, inode, size and mtime of what the path leads to, or ``-``."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "{}.{}.{}.{}".format(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


class Scan:
    """Sources and the headers of their project, each with its text; and the names that nothing there answers to."""

    def __init__(self, sources: Sequence[str], include_dirs: Iterable[str], foreign: Iterable[str] = ()) -> None:
        self.texts: dict[str, str] = {}  #: path -> text, sources first
        self.signatures: dict[str, str] = {}  #: of each, taken before it was read
        self.angled: set[str] = set()  #: names in brackets or quotes that are not the project's
        self.places = list(include_dirs)
        self.foreign = tuple(os.path.realpath(one) + os.sep for one in foreign if one)
        for source in sources:
            self._read(os.path.normpath(source))

    def _read(self, path: str) -> None:
        import re

        todo = [path]
        while todo and len(self.texts) < MAX_FILES:
            here = todo.pop()
            if here in self.texts:
                continue
            seen = signature(here)
            try:
                text = read_text(here)
            except (OSError, ValueError):
                if here == path:
                    raise
                continue
            self.texts[here] = text
            self.signatures[here] = seen
            for match in re.finditer(_INCLUDE, text, re.MULTILINE):
                name = match.group("quoted") or match.group("angled")
                found = self._find(name, os.path.dirname(here) if match.group("quoted") else "")
                if found:
                    todo.append(found)
                else:
                    self.angled.add(name)

    def _find(self, name: str, beside: str) -> str:
        for place in ([beside] if beside else []) + self.places:
            path = os.path.normpath(os.path.join(place, name))
            if os.path.isfile(path) and not os.path.realpath(path).startswith(self.foreign or ("\0",)):
                return path
        return ""

    @property
    def uses_tensorflow(self) -> bool:
        """Whether a header of TensorFlow's is included anywhere."""
        return any(name.startswith(("tensorflow/", "third_party/eigen3", "tsl/")) for name in self.angled)

    @property
    def uses_python(self) -> bool:
        """Whether Python's C API is used."""
        return "Python.h" in self.angled or any(name.startswith(("pybind11/", "numpy/")) for name in self.angled)

    @property
    def uses_numpy(self) -> bool:
        """Whether NumPy's C API is used."""
        return any(name.startswith("numpy/") for name in self.angled)

    def ops(self) -> tuple[str, ...]:
        """Names that the files register as ops, in their order."""
        return tuple(dict.fromkeys(self._names(_REGISTER)))

    def kernels(self) -> tuple[str, ...]:
        """Names of the ops that the files have kernels for."""
        return tuple(dict.fromkeys(self._names(_KERNEL)))

    def _names(self, pattern: str) -> Iterator[str]:
        import re

        from dlrepair.build import lexer

        for text in self.texts.values():
            if "REGISTER_" in text:
                for match in re.finditer(pattern, lexer.without_comments(text)):
                    yield match.group("name")
