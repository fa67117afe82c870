"""A private copy of a project for its own build script, bounded: what the script changes is the copy.

Files are copied, never linked: through a hard link the script would write into the user's file. Left out are version
control, environments, what earlier builds made (objects, libraries for a TensorFlow, build directories) and what is
too large to be a source.
"""

from __future__ import annotations

import os
import stat

from dlrepair import store, trust
from dlrepair.build.parts import Changed, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

#: bounds of what is copied: files, bytes of all and of one
MAX_FILES = 20000
MAX_BYTES = 256 << 20
MAX_FILE = 32 << 20

_SKIPPED = frozenset(
    (".git", ".hg", ".svn", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".venv",
     "site-packages", "dist-packages", "CMakeFiles", ".ipynb_checkpoints", ".eggs", ".envs", ".dlrepair")
)  # fmt: skip
#: made by the compiler for another TensorFlow: make(1) would take them for up to date
_MADE = (".o", ".obj", ".lo", ".d", ".pyc", ".gch")
#: data that nothing is compiled from
_DATA = (
    ".avi", ".bin", ".bmp", ".caffemodel", ".ckpt", ".gif", ".gz", ".h5", ".hdf5", ".jpeg", ".jpg", ".mat", ".meta",
    ".mp4", ".npy", ".npz", ".onnx", ".pb", ".pdf", ".pickle", ".pkl", ".ply", ".png", ".pth", ".tar", ".tfrecord",
    ".tfrecords", ".tgz", ".tif", ".tiff", ".wav", ".weights", ".whl", ".zip",
)  # fmt: skip


class TooLarge(Exception):
    """One sentence: the project is beyond the bounds."""


class Mirror:
    """The files of a project that are copied, looked at once; raises ``TooLarge``."""

    def __init__(self, top: str, owner: str, is_made: Callable[[str], bool]) -> None:
        self.top = top
        self.owner = owner  #: the program's main file, whose owner is trusted as well
        self.is_made = is_made  #: whether a library was made by an earlier build
        self.files: list[str] = []  #: relative paths, sorted
        self.links: list[tuple[str, str]] = []  #: (relative path, target) of links inside the project
        self.refused: list[tuple[str, str]] = []  #: (path, clause) of what somebody else could have written
        self.signatures: dict[str, str] = {}  #: path -> what it was before it was read
        self._digests: dict[str, str] = {}  #: relative path -> digest of what ``key`` has read
        self._real = os.path.realpath(top)
        self._bytes = 0
        self._look()

    def _look(self) -> None:
        for folder, folders, names in os.walk(self.top):
            linked = [one for one in folders if os.path.islink(os.path.join(folder, one))]
            folders[:] = sorted(one for one in folders if one not in linked and self._enters(folder, one))
            for name in sorted(names) + linked:
                self._take(os.path.join(folder, name))
        self.files.sort()

    def _enters(self, folder: str, name: str) -> bool:
        path = os.path.join(folder, name)
        if name in _SKIPPED or name.endswith((".egg-info", ".dist-info")) or name.startswith(("temp.", "lib.linux")):
            return False
        return not any(os.path.lexists(os.path.join(path, mark)) for mark in ("pyvenv.cfg", "CMakeCache.txt"))

    def _take(self, path: str) -> None:
        name = os.path.basename(path)
        try:
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                real = os.path.realpath(path)
                if os.path.isdir(real) or real.startswith(self._real + os.sep):
                    self._link(path, real)
                    return
                found = os.stat(path)
        except OSError:
            return
        if not stat.S_ISREG(found.st_mode) or name.endswith(_MADE) or found.st_size > MAX_FILE:
            return
        if name.lower().endswith(_DATA) or ((".so" in name or name.endswith(".dylib")) and self.is_made(path)):
            return
        clause = trust.check(path, self.owner)
        if clause is not None:
            self.refused.append((path, clause))
            return
        self._bytes += found.st_size
        self.signatures[path] = signature(path)
        self.files.append(os.path.relpath(path, self.top))
        if len(self.files) > MAX_FILES or self._bytes > MAX_BYTES:
            raise TooLarge(
                "{} is too large to be copied for its script: more than {} files or {} MiB of sources".format(
                    self.top, MAX_FILES, MAX_BYTES >> 20
                )
            )

    def _link(self, path: str, real: str) -> None:
        """Keep a link inside the project, as one relative to its place; one that leads out is left out."""
        if (real + os.sep).startswith(self._real + os.sep):
            target = os.path.relpath(real, os.path.realpath(os.path.dirname(path)))
            self.links.append((os.path.relpath(path, self.top), target))

    def key(self) -> str:
        """A digest of names, modes and contents of all that is copied. Raises OSError."""
        from dlrepair.store.builds import digest_of

        words = []
        for name in self.files:
            path = os.path.join(self.top, name)
            self._digests[name] = digest_of(path)
            words += [name, str(os.stat(path).st_mode & 0o111), self._digests[name]]
        for name, target in self.links:
            words += [name, "->", target]
        return store.key_of(*words)

    def copy(self, target: str) -> None:
        """Fills the directory ``target`` with what ``key`` has read. Time stamps stay: make(1) compares them.

        Raises OSError, and ``Changed`` where a file was saved since: the copy would be kept under another one's key.
        """
        import shutil

        from dlrepair.store.builds import digest_of

        for name in self.files:
            path, copy = os.path.join(self.top, name), os.path.join(target, name)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            try:
                shutil.copyfile(path, copy)
                found = os.stat(path)
            except FileNotFoundError:
                raise Changed(path) from None
            if digest_of(copy) != self._digests.get(name):
                raise Changed(path)
            os.chmod(copy, 0o700 if found.st_mode & 0o111 else 0o600)
            os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        for name, link in self.links:
            copy = os.path.join(target, name)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            if not os.path.lexists(copy):
                os.symlink(link, copy)


def size_of(directory: str) -> int:
    """Bytes on disk of everything below a directory."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
