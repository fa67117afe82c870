"""Whether a directory that a variable, a settings file or a module file names may be asked for anything.

A ``stat`` below a dead NFS server's mount point hangs for ever, and nothing can end it. So what lies on a network file
system (``mounts``) is first asked by a child process, for a bounded time: a server that answers is searched like a
disk, one that does not is passed over with a line in the journal. Where no network file system is mounted, which
``/proc/self/mountinfo`` tells without asking anybody, all this costs one look into an empty table.
"""

from __future__ import annotations

import os
import time

from dlrepair.search import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.search.mounts import Mounts

#: seconds that one server has for its answer, and that all of them have in one process
WAIT = 0.4
WAIT_ALL = 0.8
#: seconds for which an answer holds
HOLDS = 60.0
#: seconds after which the mounts are read again
_REREAD = 2.0
_MOST_LINKS = 40

_CHILD = "import os, sys\nos.stat(sys.argv[1])\nos.write(0, b'done\\n')\nos._exit(0)"

_mounted: list[tuple[float, Mounts]] = []
#: mount point -> (when it was asked, whether it has answered)
_answers: dict[str, tuple[float, bool]] = {}
_waited = [0.0]


def network() -> Mounts:
    """Return the mount points of network file systems, with their types."""
    now = time.monotonic()
    if not _mounted or now - _mounted[0][0] > _REREAD:
        found = {place: kind for place, kind in mounts.find_slow().items() if kind not in mounts.PSEUDO}
        _mounted[:] = [(now, found)]
    return _mounted[0][1]


def answers(path: str) -> bool:
    """Tell whether what ``path`` lies on is a disk of this machine, or a server that answers."""
    served = network()
    mount = mount_of(path, served) if served else ""
    if not mount:
        return True
    now = time.monotonic()
    known = _answers.get(mount)
    if known is None or now - known[0] > HOLDS:
        known = _answers[mount] = now, _ask(mount)
        _waited[0] += time.monotonic() - now
    return known[1]


def is_directory(path: str) -> bool:
    """``os.path.isdir`` that no dead server can hold up."""
    return answers(path) and os.path.isdir(path)


def listed(directory: str) -> list[str]:
    """Return the sorted names in a directory, none where it cannot be read or its server does not answer."""
    try:
        return sorted(os.listdir(directory)) if answers(directory) else []
    except (OSError, ValueError):
        return []


def answering(directory: str, emit: Callable[..., None]) -> str:
    """Return ``directory``, "" where its server does not answer: with a line in the journal."""
    if not directory or answers(directory):
        return directory
    emit("candidate", path=directory, verdict="rejected", reason="not-searched", detail="its server does not answer")
    return ""


def silent() -> list[tuple[str, str]]:
    """Return (mount point, reason) of the servers that have not answered: for the journal."""
    served = network()
    return [
        (place, "a network file system ({}) that does not answer: not searched".format(served[place]))
        for place, (_, answered) in sorted(_answers.items()) if not answered and place in served
    ]  # fmt: skip


def mount_of(path: str, served: Mounts) -> str:
    """Return the network mount that a path leads to, "" for none; links are read until one leads there, not further."""
    rest = [part for part in path.split("/") if part not in ("", ".")][::-1]
    at, links = "", 0
    while rest:
        part = rest.pop()
        if part == "..":
            at = at.rpartition("/")[0]
            continue
        at += "/" + part
        if at in served:
            return at
        try:
            target = os.readlink(at)
        except (OSError, ValueError):
            continue
        links += 1
        if links > _MOST_LINKS:
            return ""
        at = "" if target.startswith("/") else at.rpartition("/")[0]
        rest += [part for part in target.split("/") if part not in ("", ".")][::-1]
    return ""


def _ask(mount: str) -> bool:
    """Whether a child gets an answer in time. One that hangs is left to the kernel: it cannot be waited for."""
    from dlrepair.search import children

    wait = min(WAIT, WAIT_ALL - _waited[0])
    program = children.interpreter()
    if wait <= 0 or not program:
        return False
    ends: list[int] = []
    try:
        for _ in range(2):
            ends += children.pipe()
        argv = [program, "-I", "-S", "-E", "-c", _CHILD, mount]
        pid = children.spawn(program, argv, children.trial_environment(None), ends[1], ends[3])
        os.close(ends.pop(3))
        os.close(ends.pop(1))
        talk = children.Conversation(pid, ends[0], ends[1])
        talk.listen(time.monotonic() + wait)
        if not talk.late:
            children.end(pid, talk)
        else:
            children.abandon(pid)
        return talk.text == b"done\n"
    except (OSError, ValueError, ImportError, NotImplementedError, MemoryError):
        return False
    finally:
        for descriptor in ends:
            os.close(descriptor)
