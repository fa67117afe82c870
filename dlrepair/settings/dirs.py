"""Where this user's files lie (XDG Base Directory Specification), and directories that are private to him.

Reads the environment at each call and keeps nothing: a script may change it, and a
forked child must not see its parent's answers.
"""

from __future__ import annotations

import os
import stat

__all__ = ["cache_home", "config_home", "effective_uid", "make_private", "state_home"]


def effective_uid() -> int:
    """The effective user id; -1 where the platform has none."""
    getter = getattr(os, "geteuid", None)
    return int(getter()) if getter is not None else -1


def _base(variable: str, *default: str) -> str:
    """The directory that ``variable`` names, else one below the home directory, else "".

    The specification says of these variables that a relative path is invalid and to be ignored.
    """
    value = os.environ.get(variable, "")
    if value and os.path.isabs(value):
        return value
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return ""
    return os.path.join(home, *default)


def config_home() -> str:
    """``$XDG_CONFIG_HOME`` or ``~/.config``; "" when there is no home directory."""
    return _base("XDG_CONFIG_HOME", ".config")


def state_home() -> str:
    """``$XDG_STATE_HOME`` or ``~/.local/state``; "" when there is no home directory."""
    return _base("XDG_STATE_HOME", ".local", "state")


def cache_home() -> str:
    """``$XDG_CACHE_HOME`` or ``~/.cache``; "" when there is no home directory."""
    return _base("XDG_CACHE_HOME", ".cache")


def _create(path: str) -> str | None:
    """None after making ``path`` and its missing parents with mode 0700, else why it was not made.

    Nothing is made below a directory that belongs to a third user: ``sudo`` keeps
    HOME, and directories of root's would lock that user out of his own.
    """
    absent = [path]
    parent = os.path.dirname(path)
    while parent != os.path.dirname(parent) and not os.path.lexists(parent):
        absent.append(parent)
        parent = os.path.dirname(parent)
    owner = os.stat(parent).st_uid
    if effective_uid() >= 0 and owner not in (0, effective_uid()):
        return "{} belongs to another user (uid {})".format(parent, owner)
    for directory in reversed(absent):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            continue
        if stat.S_IMODE(os.stat(directory).st_mode) & 0o700 != 0o700:
            os.chmod(directory, 0o700)  # an odd umask
    return None


def make_private(path: str, create: bool = True) -> str | None:
    """None when ``path`` is a directory of this user that nobody else can write, else one clause that says why not.

    Makes it (0700) where it is missing. A symbolic link is followed: what counts is who
    owns the directory that it leads to. Never raises OSError.
    """
    try:
        if not os.path.lexists(path):
            if not create:
                return "{} does not exist".format(path)
            problem = _create(path)
            if problem is not None:
                return problem
        found = os.stat(path)
    except (OSError, ValueError) as exc:
        return "{}: {}".format(path, getattr(exc, "strerror", None) or exc)
    if not stat.S_ISDIR(found.st_mode):
        return "{} is not a directory".format(path)
    uid = effective_uid()
    if uid < 0:
        return None
    if found.st_uid != uid:
        return "{} belongs to another user (uid {})".format(path, found.st_uid)
    if found.st_mode & 0o022:
        return "{} is writable by others (mode {:04o})".format(path, stat.S_IMODE(found.st_mode))
    return None
