"""Changes to a site-packages directory: atomic one by one, and undone together when a later one fails."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Callable, Iterator

from dlrepair.installer.environment import InstallError, run_python

#: Level 2 everywhere: our code needs neither docstrings nor assertions, and each kilobyte is read at every start.
_COMPILE = r"""
import importlib.util, py_compile, sys
source, mode = sys.argv[1:]
for level in ("", 1, 2):
    target = importlib.util.cache_from_source(source, optimization=level)
    checked = py_compile.PycInvalidationMode[mode]
    py_compile.compile(source, target, doraise=True, optimize=2, invalidation_mode=checked)
"""


def read_text(path: str) -> str | None:
    """Text of a regular file, any bytes surviving a round trip; None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            return handle.read()
    except (FileNotFoundError, IsADirectoryError):
        return None


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Holds the advisory lock of a directory (flock(2)): one installer at a time, nothing left behind."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def bytecode_of(directory: str, stem: str) -> list[str]:
    """Names in ``__pycache__`` that hold the bytecode of module ``stem``, for any interpreter and level."""
    try:
        names = os.listdir(os.path.join(directory, "__pycache__"))
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(stem + ".") and name.endswith(".pyc"))


class Transaction:
    """Steps that ``rollback`` undoes, last one first. Every step is atomic by itself (rename(2))."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self.touched: list[str] = []

    def rollback(self) -> None:
        for undo in reversed(self._undo):
            with contextlib.suppress(OSError):
                undo()
        self._undo.clear()

    def write(self, path: str, text: str) -> None:
        """Replaces or makes a file."""
        self._prepare_undo(path)
        _write(path, text.encode("utf-8", "surrogateescape"))
        self.touched.append(path)

    def stand_in(self, path: str, kept: str, text: str) -> None:
        """Moves the file at ``path`` to ``kept``, unchanged, and puts ``text`` in its place at once."""
        try:
            if os.path.islink(path):
                raise OSError("a link is renamed, not linked")
            os.link(path, kept)
        except OSError:
            os.rename(path, kept)
        self._undo.append(lambda: _put_back(kept, path))
        _write(path, text.encode("utf-8", "surrogateescape"))
        self.touched += [path, kept]

    def rename(self, source: str, target: str) -> None:
        self._prepare_undo(target)
        os.replace(source, target)
        self._undo.append(lambda: os.replace(target, source))

    def remove(self, path: str) -> None:
        self._prepare_undo(path)
        os.unlink(path)

    def make_directory(self, path: str) -> bool:
        """Whether it had to be made."""
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        self._undo.append(lambda: os.rmdir(path))
        return True

    def remove_directory(self, path: str) -> None:
        """Removes it if it is empty."""
        try:
            os.rmdir(path)
        except OSError:
            return
        self._undo.append(lambda: os.mkdir(path))

    def compile(self, python: str, source: str, mode: str) -> None:
        """Writes the bytecode of ``source`` for the interpreter that will read it, by its names at all three levels.

        ``mode`` is a name of py_compile.PycInvalidationMode. An interpreter that finds no
        bytecode, and may not write any, compiles at every start: 5 to 7 ms.
        """
        directory, name = os.path.split(source)
        stem = name[: -len(".py")]
        self._undo.append(lambda: _remove_all(directory, bytecode_of(directory, stem)))
        done = run_python(python, ["-I", "-S", "-c", _COMPILE, source, mode], dict(os.environ))
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = words[-1] if words else "exit status {}".format(done.returncode)
            raise InstallError("{} cannot compile {}: {}".format(python, source, reason))

    def _prepare_undo(self, path: str) -> None:
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            self._undo.append(lambda: os.unlink(path))
            return
        with open(path, "rb") as handle:
            content = handle.read()
        self._undo.append(lambda: _write(path, content, info))


def _put_back(kept: str, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(kept), os.lstat(path)):
            os.unlink(kept)  # rename(2) does nothing with two names of one file
            return
    os.replace(kept, path)


def _remove_all(directory: str, names: list[str]) -> None:
    for name in names:
        os.unlink(os.path.join(directory, "__pycache__", name))


def _write(path: str, content: bytes, like: os.stat_result | None = None) -> None:
    temporary = "{}.{}.dlrepair-new".format(path, os.getpid())
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        if like is not None:
            os.chmod(temporary, stat.S_IMODE(like.st_mode))
            os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
