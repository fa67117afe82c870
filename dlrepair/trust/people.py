"""Users and groups as passwd(5) and group(5) tell them, and which groups are private to a user.

The files are read directly and NSS is asked only about ids that they do not hold:
its modules are shared libraries, loaded into a process where loading has just failed.
Looked at only when a group can write a file, and kept for a minute.
"""

from __future__ import annotations

import time

__all__ = ["group_name", "private_group", "user_name"]

_KEEP = 60.0  # seconds
_MAX_TABLE = 8 * 1024 * 1024

_tables: dict[str, tuple[float, list[list[str]]]] = {}


def _table(path: str) -> list[list[str]]:
    held = _tables.get(path)
    now = time.monotonic()
    if held is not None and now - held[0] < _KEEP:
        return held[1]
    try:
        with open(path, "rb") as stream:
            text = stream.read(_MAX_TABLE).decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line.split(":") for line in text.split("\n") if line.count(":") >= 3]
    _tables[path] = (now, lines)
    return lines


def _user(uid: int) -> tuple[str, int] | None:
    """(name, primary group) of ``uid``."""
    for line in _table("/etc/passwd"):
        if line[2] == str(uid) and line[3].isdigit():
            return line[0], int(line[3])
    try:
        import pwd

        entry = pwd.getpwuid(uid)
        return entry.pw_name, entry.pw_gid
    except (ImportError, KeyError, OSError, OverflowError):
        return None


def _group(gid: int) -> tuple[str, frozenset[str]] | None:
    """(name, listed members) of ``gid``."""
    for line in _table("/etc/group"):
        if line[2] == str(gid):
            return line[0], frozenset(name for name in line[3].split(",") if name)
    try:
        import grp

        entry = grp.getgrgid(gid)
        return entry.gr_name, frozenset(entry.gr_mem)
    except (ImportError, KeyError, OSError, OverflowError):
        return None


def private_group(gid: int, trusted: frozenset[int]) -> bool:
    """Whether group ``gid`` holds nobody but users in ``trusted``, as far as this machine can tell.

    True for a group that bears the name of a trusted user whose own group it is (user private
    groups), for one that only a trusted user has as his own, and for group 0; listed members
    and other local accounts of that group make it false.
    """
    group = _group(gid)
    if group is None:
        return False
    name, listed = group
    users = {uid: _user(uid) for uid in trusted}
    names = {user[0] for user in users.values() if user is not None}
    if listed - names:
        return False
    if gid == 0:
        return True
    local = {line[2] for line in _table("/etc/passwd") if line[3] == str(gid)}
    if local - {str(uid) for uid in trusted}:
        return False
    return any(
        user is not None and user[1] == gid and (user[0] == name or str(uid) in local) for uid, user in users.items()
    )


def user_name(uid: int) -> str:
    """``bob (uid 1001)``, or ``uid 1001`` for an id without a name."""
    user = _user(uid)
    return "{} (uid {})".format(user[0], uid) if user is not None else "uid {}".format(uid)


def group_name(gid: int) -> str:
    """``group dev (gid 50)``, or ``gid 50`` for an id without a name."""
    group = _group(gid)
    return "group {} (gid {})".format(group[0], gid) if group is not None else "gid {}".format(gid)
