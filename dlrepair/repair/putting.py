"""Files and directories that ``permanent`` puts in a user's tree: whose they are, and what stands there."""

from __future__ import annotations

import os

#: longest file that is copied or kept, bytes: libtensorflow_cc has 790 MB
MAX_FILE = 4 << 30
CHUNK = 1 << 20
#: nothing is put there, and nothing that lies there is replaced
SYSTEM = ("/lib/", "/lib32/", "/lib64/", "/usr/", "/etc/", "/proc/", "/sys/", "/dev/")


class Refused(Exception):
    """Why nothing was written, or nothing more was undone: one sentence; the user's files are as they were."""


def is_writable(path: str) -> bool:
    """Whether a file could be put there by this user, and is not the system's business."""
    folder = os.path.dirname(os.path.abspath(path))
    while folder != os.path.dirname(folder) and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    real = os.path.realpath(folder) + "/"
    return os.path.isdir(folder) and os.access(folder, os.W_OK) and not real.startswith(SYSTEM) and real != "/"


def absent_folders(path: str) -> list[str]:
    """The directories above ``path`` that do not exist, the outermost first."""
    found = []
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found[::-1]


def make_folder(path: str) -> None:
    """A directory that belongs to the owner of the one above it."""
    os.mkdir(path)
    give(path, os.path.dirname(path))


def copy(source: str, to: str) -> None:
    """A copy of the file's bytes that is on the disk when this returns."""
    with open(source, "rb") as reading, open(to, "wb") as writing:
        if os.fstat(reading.fileno()).st_size > MAX_FILE:
            raise Refused("{} is too long to be copied".format(source))
        while True:
            data = reading.read(CHUNK)
            if not data:
                break
            writing.write(data)
        writing.flush()
        os.fsync(writing.fileno())


def give(path: str, like: str) -> None:
    """Gives the file to the owner of ``like``: what root writes into a user's project is that user's."""
    info = os.stat(like)
    try:
        os.chown(path, info.st_uid, info.st_gid)
    except OSError:
        pass  # not root: it is ours, as everything else that we write


def unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def state(path: str) -> str:
    """What stands at ``path`` now, comparable: a link's target, or a file's size and digest."""
    try:
        if os.path.islink(path):
            return "link " + os.readlink(path)
        import hashlib

        digest = hashlib.sha256()
        with open(path, "rb") as stream:
            for data in iter(lambda: stream.read(CHUNK), b""):
                digest.update(data)
        return "file " + digest.hexdigest()
    except OSError:
        return "absent"
