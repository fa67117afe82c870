"""Runs a project's script where it can write nothing but its private copy. A program; ``level`` is for its caller.

``python -I -S confine.py BYTES DIRECTORY… -- COMMAND…``: no file may grow beyond BYTES, and by Landlock (landlock(7),
Linux 5.13) nothing outside the directories may be made, written, truncated, renamed or removed; from Linux 6.12 on
signals reach nobody outside either. What Landlock does not cover: modes, owners and times of files, and the network.
Where the kernel has no Landlock the command runs without it, and whoever asked (``level``) says so.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

# linux/landlock.h
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_WRITE_FILE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # REMOVE_DIR to MAKE_SYM
_SCOPE_SIGNAL = 1 << 1
_NO_NEW_PRIVILEGES = 38
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom")
_O_PATH = getattr(os, "O_PATH", 0)


def level() -> int:
    """The version of Landlock that the kernel offers; 0: none."""
    if sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"):
        return 0
    try:
        return max(0, int(_libc().syscall(_CREATE, None, 0, _VERSION)))
    except Exception:
        return 0


def _libc() -> Any:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def restrict(directories: Sequence[str]) -> None:
    """This process and its children may change nothing outside ``directories`` from now on. Raises OSError."""
    import ctypes
    import struct

    version = level()
    changes = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rules = struct.pack("=Q", changes)
    if version >= 6:
        rules = struct.pack("=QQQ", changes, 0, _SCOPE_SIGNAL)
    libc = _libc()

    def call(number: int, *words: Any) -> int:
        answer = int(libc.syscall(number, *words))
        if answer < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return answer

    held = call(_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    on_files = _WRITE_FILE | (changes & _TRUNCATE)
    for path, access in [(one, changes) for one in directories] + [(one, on_files) for one in _DEVICES]:
        try:
            place = os.open(path, _O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        call(_ADD, held, _PATH_BENEATH, struct.pack("=Qi", access, place), 0)
        os.close(place)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    call(_RESTRICT, held, 0)
    os.close(held)


def main() -> None:
    at = sys.argv.index("--")
    most, directories, command = int(sys.argv[1]), sys.argv[2:at], sys.argv[at + 1 :]
    import signal

    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what it starts would as well
        signal.signal(number, signal.SIG_DFL)
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, OSError, ValueError):
        pass
    try:
        if level():
            restrict(directories)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, "{}: {}\n".format(command[0], error.strerror).encode())
    os._exit(127)


if __name__ == "__main__":
    main()
