"""Which files of a project a build script may run or read as a program: what a permission for the script covers too.

Read from the text, without running it: every script, template or executable of the project whose name stands in it,
and what those name in turn. Too much is harmless (one more file whose change asks again); a name that the script puts
together while it runs cannot be seen.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: names of build scripts, wherever they lie
SCRIPTS = (
    "BUILD", "BUILD.bazel", "CMakeLists.txt", "GNUmakefile", "Makefile", "WORKSPACE", "configure", "makefile",
    "meson.build", "pyproject.toml", "setup.cfg", "setup.py",
)  # fmt: skip
SUFFIXES = (".cmake", ".mk", ".sh")
#: endings of what an interpreter or a generator reads
_PROGRAMS = (
    *SUFFIXES, ".am", ".ac", ".awk", ".bash", ".bzl", ".in", ".j2", ".jinja", ".lua", ".m4", ".mak", ".pl", ".py",
    ".rb", ".sed", ".tcl", ".template", ".tmpl", ".tpl",
)  # fmt: skip
#: in a directory that a script names (``make -C ops``, ``add_subdirectory(ops)``), and beside a ``setup.py``
_ENTRIES = ("CMakeLists.txt", "GNUmakefile", "Makefile", "configure", "makefile", "setup.py", "__init__.py")
_BESIDE = ("pyproject.toml", "setup.cfg")
_MARKS = (".git", ".hg", "setup.py", "pyproject.toml", "WORKSPACE")
_SKIPPED = frozenset((".git", ".hg", ".svn", "__pycache__", "node_modules", "site-packages", "dist-packages", ".venv"))
#: bounds of what is looked at: directories of the project, bytes of one text, files that one permission covers
MAX_DIRECTORIES = 2000
MAX_TEXT = 4 << 20
MAX_FILES = 300
_PARENTS = 4

#: what may be a name or a path in a script's text
_WORD = r"[\w.+@-]+(?:/[\w.+@-]+)*"


class Project:
    """The programs below the top directory of what a script belongs to, by name."""

    def __init__(self, script: str) -> None:
        self.top = top_of(os.path.dirname(script))
        self.files: dict[str, list[str]] = {}  #: base name -> paths
        self.folders: dict[str, list[str]] = {}
        for path, is_folder in _walk(self.top):
            (self.folders if is_folder else self.files).setdefault(os.path.basename(path), []).append(path)

    def named(self, script: str) -> list[str]:
        """Paths of the files that ``script`` may run, directly or by way of others, sorted; not itself."""
        found = {script}
        todo = [script]
        while todo and len(found) <= MAX_FILES:
            path = todo.pop()
            for one in self._in(path, _text(path)):
                if one not in found:
                    found.add(one)
                    todo.append(one)
        return sorted(found - {script})

    def _in(self, script: str, text: str) -> Iterator[str]:
        import re

        folder = os.path.dirname(script)
        python = script.endswith(".py")
        for word in set(re.findall(_WORD, text)):
            base = word.rsplit("/", 1)[-1]
            yield from self.files.get(base, ())  # wherever: the rest of the path may be a variable's value
            for path in self.folders.get(base, ()):
                for name in _ENTRIES if base not in (".", "..") else ():
                    if os.path.join(path, name) in self.files.get(name, ()):
                        yield os.path.join(path, name)
            if python or text.startswith("#!"):  # an import of a module of its own
                for path in (os.path.join(folder, *word.split(".")) + ".py",):
                    if path in self.files.get(os.path.basename(path), ()):
                        yield path
        if os.path.basename(script) == "setup.py":
            for name in _BESIDE:
                if os.path.join(folder, name) in self.files.get(name, ()):
                    yield os.path.join(folder, name)


def top_of(folder: str) -> str:
    """The project's top directory as far as it has a mark, not far above; else ``folder`` itself."""
    home = os.path.realpath(os.path.expanduser("~"))
    place = folder
    for _ in range(_PARENTS):
        if place in (home, os.sep) or (home + os.sep).startswith(place.rstrip(os.sep) + os.sep):
            break
        if any(os.path.lexists(os.path.join(place, mark)) for mark in _MARKS):
            return place
        place = os.path.dirname(place)
    return folder


def is_program(path: str) -> bool:
    """Whether a file may be run or is read by what runs: by its name, or because it is executable."""
    name = os.path.basename(path)
    if name in SCRIPTS or name.endswith(_PROGRAMS):
        return True
    return ".so" not in name and os.access(path, os.X_OK)


def _walk(top: str) -> Iterator[tuple[str, bool]]:
    for count, (folder, folders, names) in enumerate(os.walk(top)):
        if count >= MAX_DIRECTORIES:
            return
        folders[:] = sorted(one for one in folders if one not in _SKIPPED)
        for name in folders:
            yield os.path.join(folder, name), True
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and is_program(path):
                yield path, False


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_TEXT)
    except OSError:
        return ""
    return "" if data.startswith(b"\x7fELF") else data.decode("utf-8", "replace")
