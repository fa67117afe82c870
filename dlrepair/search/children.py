"""Child processes of a trial: started, listened to, ended; none is a fork of this process, none outlives its use.

A fork after ``import tensorflow`` was seen to hang. No ``subprocess`` either, whose import costs more than a trial.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair.search import budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

#: What a library prints while it is loaded is read, and kept up to this many bytes.
MAX_OUTPUT = 1 << 16

#: seconds of waiting for a processor that a child is given in addition to its time, most
MOST_WAITED = 20.0

#: the numbers under which a child finds the pipes of its questions and of its listings, where the system lets us choose
QUESTIONS = 3
LISTINGS = 4

_SIGKILL = 9

#: These decide where ld.so looks, and it read them when this process started: later changes do not count.
_LOADER_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW", "GLIBC_TUNABLES")


def interpreter() -> str:
    """Return the path of an interpreter of this version that runs by itself, "" where there is none.

    ``sys.executable`` names the embedding program or nothing in an embedded or frozen Python; starting that
    would start the user's application.
    """
    if getattr(sys, "frozen", False):
        return ""
    version = "{}.{}".format(*sys.version_info[:2])
    places = [sys.executable, getattr(sys, "_base_executable", None)]
    for prefix in (sys.prefix, sys.base_prefix):
        places += [os.path.join(prefix, "bin", "python" + version), os.path.join(prefix, "bin", "python3")]
    for place in places:
        if not place or not os.path.isabs(place) or not os.path.isfile(place) or not os.access(place, os.X_OK):
            continue
        if os.path.basename(os.path.realpath(place)).lower().startswith(("python", "pypy")):
            return place
    return ""


def start_environment() -> dict[str, str]:
    """Return the environment for a child: this process's, with the loader's variables as they were at start."""
    from dlrepair.binary import process

    env = dict(os.environ)
    for name in _LOADER_VARIABLES:
        value = process.start_env(name)
        if value:
            env[name] = value
        else:
            env.pop(name, None)
    return env


def trial_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment of a trial: ``env``, or what this process started with; the hook stays out of it."""
    values = dict(start_environment() if env is None else env)
    values["DLREPAIR"] = "off"
    return values


def pipe(least: int = 3) -> tuple[int, int]:
    """Return a pipe whose ends are above the standard descriptors, which may be closed in a daemon."""
    ends: list[int] = list(os.pipe())
    low: list[int] = []
    try:
        for at in (0, 1):
            while ends[at] < least:
                low.append(ends[at])
                ends[at] = os.dup(ends[at])
    finally:
        for descriptor in low:
            os.close(descriptor)
    return ends[0], ends[1]


def spawn(
    program: str, argv: list[str], env: Mapping[str, str], answers: int, output: int, further: Sequence[int] = ()
) -> int:
    """Start the child in a session of its own and return its process id. Raises OSError.

    It has ``answers`` as descriptor 0, ``output`` as 1 and 2, and those of ``further`` as ``numbers_of`` says.
    """
    if hasattr(os, "posix_spawn"):
        actions: list[Any] = [
            (os.POSIX_SPAWN_DUP2, answers, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        actions += [(os.POSIX_SPAWN_DUP2, *pair) for pair in zip(further, numbers_of(further))]
        # SIGPIPE 13, SIGXFSZ 25 and SIGINT 2: Python and its users ignore or handle them; the child starts afresh.
        options: dict[str, Any] = {"file_actions": actions, "setsigdef": (2, 13, 25), "setsigmask": ()}
        start = sys.modules["posix"].posix_spawn  # a debugger puts itself into what the one of ``os`` starts
        try:
            pid: int = start(program, argv, env, setsid=True, **options)
        except NotImplementedError:
            pid = start(program, argv, env, setpgroup=0, **options)
        return pid
    import _posixsubprocess

    fork_exec: Any = _posixsubprocess.fork_exec  # with the 17 parameters of 3.7

    gone, error_pipe = pipe()
    try:
        child: int = fork_exec(
            [os.fsencode(text) for text in argv], (os.fsencode(program),), True,
            tuple(sorted((error_pipe, *further))), None,
            [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items()],
            answers, -1, -1, output, -1, output, gone, error_pipe, True, True, None,
        )  # fmt: skip
        return child
    finally:
        os.close(gone)
        os.close(error_pipe)


def numbers_of(further: Sequence[int]) -> Sequence[int]:
    """Return the numbers that a child finds these descriptors under, each above ``LISTINGS`` here (see ``spawn``)."""
    return (QUESTIONS, LISTINGS)[: len(further)] if hasattr(os, "posix_spawn") else further


class Conversation:
    """What a child answers and prints, read until it is done, gone or out of time."""

    def __init__(self, pid: int, answers: int, output: int) -> None:
        self.pid = pid
        self.answers = answers
        self.output = output
        self.text = b""
        self.printed = b""
        self.status: tuple[str, int] | None = None  #: ("exited" or "killed", number)
        self.reaped = False
        self.lost = False  #: somebody else reaped the child: its status is not known
        self.late = False
        self.waited = 0.0  #: for how long the child had waited for a processor before it was asked
        self.open = {answers, output}  #: descriptors that somebody at the other end still holds

    def listen(self, deadline: float) -> None:
        """Read until the last answer is in, the child has ended, or ``deadline`` has passed."""
        import select

        poll = select.poll()
        ready = select.POLLIN | select.POLLHUP | select.POLLERR
        poll.register(self.answers, ready)
        poll.register(self.output, ready)
        pause = 5
        while not self._finished():
            left = deadline - time.monotonic()
            if left <= 0:  # a child that was ready and not let run has had no chance yet
                left += min(budget.waited_by(self.pid) - self.waited, MOST_WAITED)
            if left <= 0:
                self.late = True
                return
            events = poll.poll(min(left * 1000.0, pause))
            for descriptor, _ in events:
                self._take(poll, descriptor)
            if not events:
                pause = min(pause * 2, 50)
            # A child that a forked grandchild outlives never closes its pipes: ask for its state as well.
            if (not events or self._closed(events)) and self._ended():
                self.drain(poll)
                return

    def _finished(self) -> bool:
        last = self.text.rstrip(b"\n").rsplit(b"\n", 1)[-1]
        return self.text.endswith(b"\n") and last.startswith((b"done", b"failed", b"impossible"))

    def _closed(self, events: Sequence[tuple[int, int]]) -> bool:
        import select

        return any(mask & select.POLLHUP for _, mask in events)

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 65536)
        except OSError:
            return False
        if descriptor == self.answers:
            self.text = (self.text + data)[-MAX_OUTPUT:]
        elif len(self.printed) < MAX_OUTPUT:
            self.printed = (self.printed + data)[:MAX_OUTPUT]
        return bool(data)

    def _take(self, poll: Any, descriptor: int) -> None:
        if not self._read(descriptor):
            self.open.discard(descriptor)
            poll.unregister(descriptor)

    def drain(self, poll: Any) -> None:
        """Read what is in the pipes already, without waiting."""
        for _ in range(16):
            events = poll.poll(0)
            for descriptor, _ in events:
                self._take(poll, descriptor)
            if not events:
                return

    def _ended(self) -> bool:
        """Tell whether the child has ended, without reaping it: its number must not be given to another process yet."""
        if not hasattr(os, "waitid"):
            return self._reap()
        try:
            state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            self.lost = True
            return True
        if state is None:
            return False
        self.status = ("exited" if state.si_code == os.CLD_EXITED else "killed", state.si_status)
        return True

    def _reap(self) -> bool:
        """Like ``_ended`` where the system has no waitid(2): the child is reaped as soon as it has ended."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.lost = True
            return True
        if not pid:
            return False
        self.reaped = True
        self.status = ("killed", os.WTERMSIG(status)) if os.WIFSIGNALED(status) else ("exited", os.WEXITSTATUS(status))
        return True


def end(pid: int, talk: Conversation) -> None:
    """Kill what is left of the child's session and reap the child; harmless when somebody else reaped it."""
    if not talk.lost and not talk.reaped and hasattr(os, "waitid"):
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            talk.lost = True
    # Reaped by the program's own wait(), or SIGCHLD is ignored: the number may be another process's by now.
    # It is not while something that the child forked holds a pipe, for a group's number is not reused.
    if (talk.lost or talk.reaped) and not talk.open:
        return
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, _SIGKILL)
        except OSError:
            pass
        if talk.lost or talk.reaped:
            return
    try:
        os.waitpid(pid, 0)
    except OSError:
        pass


def abandon(pid: int) -> None:
    """Kill a child that may hang in the kernel, and reap it if it ends at once: nobody waits for one that does not."""
    for _ in range(20):
        try:
            os.kill(pid, _SIGKILL)
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except OSError:
            return
        time.sleep(0.001)
