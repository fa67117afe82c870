"""Runs one command under limits, in a process group that ends when its parent does. A program, never imported.

``python -I -S supervisor.py WHAT SECONDS BYTES DIRECTORY COMMAND…``: standard input is a pipe whose other end the
builder holds. When the builder dies, of whatever, the pipe closes: the command's group is killed and DIRECTORY
(its temporary files; "" for none) is removed. Exit status: the command's; 124 after SECONDS; 128 + N by signal N.
WHAT is ``group``, or ``tree`` for somebody else's script: what has left the group (a daemon) is killed as well.
"""

from __future__ import annotations

import os
import select
import signal
import sys


def _limit(bytes_allowed: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if bytes_allowed > 0:
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            most = bytes_allowed if hard < 0 else min(bytes_allowed, hard)
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (ImportError, OSError, ValueError):
        pass


def _remove(path: str) -> None:
    for place, directories, names in os.walk(path, topdown=False):
        for name in names + directories:
            full = os.path.join(place, name)
            try:
                (os.rmdir if os.path.isdir(full) and not os.path.islink(full) else os.unlink)(full)
            except OSError:
                pass
    try:
        os.rmdir(path)
    except OSError:
        pass


def _adopt() -> None:
    """Orphans among the descendants become children of this process (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def _end_children() -> None:
    """Kills every child until there is none: what a killed one leaves becomes a child, and is killed in turn."""
    import time

    until = time.monotonic() + 10.0
    mine = b" %d " % os.getpid()
    while time.monotonic() < until:
        for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
            try:
                with open("/proc/{}/stat".format(int(name)), "rb") as stream:
                    if stream.read(512).rpartition(b")")[2][2:].startswith(mine):  # state, parent
                        os.kill(int(name), signal.SIGKILL)
            except (ValueError, OSError):
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        except OSError:
            pass
        time.sleep(0.01)


def main() -> None:
    tree, seconds, most = sys.argv[1] == "tree", float(sys.argv[2]), int(sys.argv[3])
    directory, command = sys.argv[4], sys.argv[5:]
    if tree:
        _adopt()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        _limit(most)
        try:
            os.execv(command[0], command)
        except OSError as error:
            os.write(2, "{}: {}\n".format(command[0], error.strerror).encode())
        os._exit(127)
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # it has done so itself, or has ended
    import time

    until = time.monotonic() + seconds
    status = None
    orphaned = late = False
    while status is None:
        left = until - time.monotonic()
        if left <= 0:
            late = True
            break
        ready, _, _ = select.select([0, ended], [], [], left)
        if 0 in ready and not os.read(0, 1):
            orphaned = True
            break
        if ended in ready:
            os.read(ended, 512)
        done, found = os.waitpid(pid, os.WNOHANG)
        status = found if done else None
    if status is None:
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        os.waitpid(pid, 0)
    if tree:
        _end_children()
    if orphaned and directory:
        _remove(directory)
    if late:
        os._exit(124)
    if status is None:
        os._exit(137)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
