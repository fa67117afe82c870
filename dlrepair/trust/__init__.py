"""Who could have written a file: only what its user controls is loaded into his process.

Trusted owners are root, the effective user and the owner of the script being run (that
owner's code runs here already). A file counts only if it and every directory above it
belong to one of them and nobody else can write them. A group is somebody else unless it
is a trusted user's private group (``people``) or ``dlrepair trust`` says otherwise
(``consents``). A sticky directory may lie above a directory of a trusted owner, since
others can neither rename nor remove that (unlink(2), rename(2)), but not directly above a
file: anybody may put a library beside it, where ``$ORIGIN`` would find it.

The path is walked with openat(2), component by component from the root, links resolved by
hand, so that the directories of every link are examined as well as those of its target.
"""

from __future__ import annotations

import errno
import os
import stat

from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.trust.consents import Consents

__all__ = ["Refused", "check", "open_checked", "owners", "problem"]

_MAX_LINKS = 40  # path_resolution(7)
_MAX_PARTS = 4096
_COMMON = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | _COMMON
_READ = os.O_RDONLY | getattr(os, "O_NOCTTY", 0) | _COMMON

_problem: str | None = None


class Refused(Exception):
    """One clause: why a path is not trusted."""


def check(path: str, script: str = "") -> str | None:
    """None when ``path`` (file or directory) can be trusted, else one clause with the fact that speaks against it.

    ``script``: main file of the program being run, whose owner is trusted too. Never raises.
    The answer holds for the moment of the call: ``open_checked`` binds it to a descriptor.
    """
    descriptor, clause = _checked(path, script, _LOOK)
    if descriptor >= 0:
        os.close(descriptor)
    return clause


def open_checked(path: str, script: str = "") -> tuple[int, str | None]:
    """(descriptor open for reading, None) of a trusted file, or (-1, clause).

    What is read through the descriptor, or loaded through ``/proc/self/fd``, is what was checked. The caller closes it.
    """
    return _checked(path, script, _READ)


def problem() -> str | None:
    """Why the decisions made with ``dlrepair trust`` are not in force, for a person; None when they are."""
    return _problem


def owners(script: str = "") -> frozenset[int]:
    """User ids whose files are trusted: root, the effective user, the owner of ``script``."""
    found = {0, dirs.effective_uid()}
    if script:
        try:
            found.add(os.stat(script).st_uid)
        except (OSError, ValueError):
            pass
    return frozenset(found)


def _checked(path: str, script: str, flags: int) -> tuple[int, str | None]:
    if dirs.effective_uid() < 0:
        return -1, "file ownership cannot be read on this platform"
    walk = Walk(owners(script), _consents())
    try:
        return walk.run(os.fsdecode(path), flags), None
    except Refused as exc:
        return -1, str(exc)
    except OSError as exc:
        return -1, "{}: {}".format(walk.looking_at or path, exc.strerror or exc)
    except (ValueError, TypeError) as exc:  # a NUL byte in the path
        return -1, "not a usable path: {}".format(exc)
    finally:
        walk.close()


def _consents() -> Consents | None:
    """The user's own decisions; None when there are none, or when others could have written them."""
    global _problem
    base = dirs.config_home()
    path = os.path.join(base, "dlrepair", "trust.json") if base else ""
    if not path or not os.path.lexists(path):
        return None
    from dlrepair.trust import consents

    walk = Walk(owners(), None)
    try:
        return consents.load(walk.run(path, _READ))
    except (OSError, ValueError, Refused) as exc:
        _problem = _problem or "{} is ignored: {}".format(path, exc)
        return None
    finally:
        walk.close()


class Walk:
    """Goes down a path from the root directory, holding a descriptor of the directory reached."""

    def __init__(self, trusted: frozenset[int], consents: Consents | None) -> None:
        self.trusted, self.consents = trusted, consents
        self.place = os.sep  #: real path of the directory reached
        self.looking_at = ""
        self._descriptor = -1
        self._sticky = ""  # why a file (not a directory) directly in the directory reached is not trusted

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def run(self, path: str, flags: int) -> int:
        """Descriptor of the file or directory at ``path``, opened with ``flags``; raises Refused or OSError."""
        if not path:
            raise Refused("the path is empty")
        pending = _parts(path if os.path.isabs(path) else os.path.join(os.getcwd(), path))
        self._enter(os.sep, os.sep)
        links = 0
        while pending:
            name = pending.pop()
            here = os.path.dirname(self.place) if name == ".." else os.path.join(self.place, name)
            self.looking_at = here
            found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > _MAX_LINKS or len(pending) > _MAX_PARTS:
                    raise Refused("{}: too many symbolic links".format(here))
                pending.extend(self._link(here, name, found, bool(pending)))
            elif pending:
                if not stat.S_ISDIR(found.st_mode):
                    raise Refused("{} is not a directory".format(here))
                self._enter(name, here)
            else:
                return self._last(here, name, found, flags)
        return self._last(self.place, ".", os.fstat(self._descriptor), flags)

    def _enter(self, name: str, here: str) -> None:
        """Make the directory ``name`` the one reached, after examining it through its descriptor."""
        within = self._descriptor if name != os.sep else None
        descriptor = os.open(name, _LOOK | getattr(os, "O_DIRECTORY", 0), dir_fd=within)
        try:
            found = os.fstat(descriptor)
            self._owner("directory", here, found)
            clause = self._writers("directory", here, found)
            if clause is not None and not found.st_mode & stat.S_ISVTX:
                raise Refused(clause)
        except BaseException:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self.place, self._sticky = descriptor, here, clause or ""

    def _link(self, here: str, name: str, found: os.stat_result, more: bool) -> list[str]:
        """The parts that a link stands for, last first. Its own mode means nothing, its owner may redirect it."""
        self._owner("link", here, found)
        if self._sticky and not more:
            raise Refused(self._sticky)
        text = os.readlink(name, dir_fd=self._descriptor)
        # proc(5): the text of a link below fd/ or map_files/ is not what the kernel follows
        if found.st_dev == _proc_device() and here.split(os.sep)[-2] in ("fd", "map_files"):
            raise Refused("{} is not a file with a name of its own".format(here))
        if os.path.isabs(text):
            self._enter(os.sep, os.sep)
        return _parts(text)

    def _last(self, here: str, name: str, found: os.stat_result, flags: int) -> int:
        directory = stat.S_ISDIR(found.st_mode)
        if not directory and not stat.S_ISREG(found.st_mode):
            raise Refused("{} is not a regular file".format(here))
        kind = "directory" if directory else "file"
        if self.consents is not None and self.consents.denied(here):
            raise Refused("{} {} was refused with dlrepair distrust".format(kind, here))
        descriptor = os.open(name, flags, dir_fd=self._descriptor)
        try:
            opened = os.fstat(descriptor)
            if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
                raise Refused("{} was exchanged while it was being examined".format(here))
            self._owner(kind, here, opened)
            clause = (self._sticky if not directory else "") or self._writers(kind, here, opened)
            if clause:
                raise Refused(clause)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    # --- the rules

    def _owner(self, kind: str, here: str, found: os.stat_result) -> None:
        if found.st_uid in self.trusted:
            return
        if self.consents is not None and self.consents.owner(here, found.st_uid):
            return
        from dlrepair.trust import people

        raise Refused("{} {} belongs to {}".format(kind, here, people.user_name(found.st_uid)))

    def _writers(self, kind: str, here: str, found: os.stat_result) -> str | None:
        """None when nobody but trusted users can write what was found, else the clause."""
        mode = stat.S_IMODE(found.st_mode)
        if not mode & 0o022:
            return None  # with an ACL the group bits are its mask (acl(5)): no other entry can write either
        if mode & 0o002 and not (self.consents is not None and self.consents.world(here)):
            return "{} {} is writable by others (mode {:04o})".format(kind, here, mode)
        if not mode & 0o020:
            return None
        from dlrepair.trust import people

        for who, number in _group_bits(here, found):
            if who == "user":
                if number in self.trusted or (self.consents is not None and self.consents.owner(here, number)):
                    continue
                return "{} {} is writable by {} (access control list)".format(kind, here, people.user_name(number))
            if people.private_group(number, self.trusted):
                continue
            if self.consents is not None and self.consents.group(here, number):
                continue
            return "{} {} is writable by {} (mode {:04o})".format(kind, here, people.group_name(number), mode)
        return None


def _parts(path: str) -> list[str]:
    """Components of ``path``, last first; ``..`` stays: it means the parent of what a link leads to."""
    return [part for part in reversed(path.split(os.sep)) if part and part != "."]


_proc: int | None = None


def _proc_device() -> int:
    global _proc
    if _proc is None:
        try:
            _proc = os.stat("/proc/self").st_dev
        except OSError:
            _proc = -1
    return _proc


def _group_bits(path: str, found: os.stat_result) -> Iterator[tuple[str, int]]:
    """("user" | "group", id) of everybody who writes by the group bits: the group, or the entries of an ACL.

    Layout of the attribute: linux/posix_acl_xattr.h, version 2.
    """
    data = b""
    reader = getattr(os, "getxattr", None)
    if reader is not None:
        try:
            data = reader(path, "system.posix_acl_access")
        except OSError as exc:
            if exc.errno not in (errno.ENODATA, errno.ENOTSUP, errno.ENOSYS):
                raise
    if len(data) < 4 or int.from_bytes(data[:4], "little") != 2:
        yield "group", found.st_gid
        return
    for at in range(4, len(data) - 7, 8):
        tag, permissions = data[at], data[at + 2]
        number = int.from_bytes(data[at + 4 : at + 8], "little")
        if not permissions & 2:
            continue
        if tag == 0x02:  # ACL_USER
            yield "user", number
        elif tag == 0x04:  # ACL_GROUP_OBJ
            yield "group", found.st_gid
        elif tag == 0x08:  # ACL_GROUP
            yield "group", number
