"""Load libraries in a fresh interpreter, so that one that crashes, hangs or forks does so there.

Never a fork of this process: a fork after ``import tensorflow`` was seen to hang. No ``subprocess``
either, whose import costs more than the whole trial.
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

#: Answers come over descriptor 0, so that none has to be inherited under a number of its own and what an
#: initialiser prints cannot be taken for an answer. ``os._exit`` leaves out destructors: a trial is about loading.
_CHILD = """
import os
answers = os.dup(0)
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
import sys
def tell(text):
    os.write(answers, text.encode('utf-8', 'surrogateescape')[:4000].replace(b'\\n', b' ') + b'\\n')
try:
    import _signal
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except Exception:
    pass
try:
    from _ctypes import dlopen
except ImportError as error:
    tell('impossible ' + str(error))
    os._exit(0)
tell('ready')
count = int(sys.argv[1])
for at, path in enumerate(sys.argv[2:]):
    tell('trying ' + str(at))
    try:
        dlopen(path, os.RTLD_NOW | (os.RTLD_GLOBAL if at < count else os.RTLD_LOCAL))
    except UnicodeDecodeError as error:
        tell('failed ' + repr(error.object))
        os._exit(0)
    except BaseException as error:
        tell('failed ' + str(error))
        os._exit(0)
tell('done')
os._exit(0)
"""

_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip

_SIGKILL = 9

#: These decide where ld.so looks, and it read them when this process started: later changes do not count.
_LOADER_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW", "GLIBC_TUNABLES")


class TrialResult:
    """What came of loading libraries in a child process.

    ``ok``: all of them loaded. ``detail``: "" or what happened, e.g. ``failed: killed by SIGSEGV``.
    ``ms``: wall time. ``possible`` is False where no child could be asked; then nothing is known.
    ``path``: the library that failed. ``output``: the beginning of what the child printed.
    """

    __slots__ = ("detail", "ms", "ok", "output", "path", "possible")

    def __init__(
        self, ok: bool, detail: str, ms: float, possible: bool = True, path: str = "", output: bytes = b""
    ) -> None:
        self.ok = ok
        self.detail = detail
        self.ms = ms
        self.possible = possible
        self.path = path
        self.output = output

    def __repr__(self) -> str:
        return "TrialResult(ok={!r}, detail={!r}, ms={:.1f}, possible={!r}, path={!r})".format(
            self.ok, self.detail, self.ms, self.possible, self.path
        )


def run(
    paths: Sequence[str],
    *,
    global_first: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> TrialResult:
    """Return what happens when a fresh interpreter loads ``global_first`` (RTLD_GLOBAL), then ``paths``, all RTLD_NOW.

    The child has the environment that this process started with, or ``env``, and DLREPAIR=off; its
    output is swallowed; it leaves no core file. After ``timeout`` seconds its session is
    killed. Never raises for anything that the child or the system does.
    """
    start = time.monotonic()
    try:
        result = _run(tuple(global_first), tuple(paths), env, start + timeout, timeout)
    except (OSError, ValueError, ImportError, NotImplementedError, MemoryError) as error:
        result = TrialResult(False, "not possible: {}".format(error), 0.0, possible=False)
    result.ms = (time.monotonic() - start) * 1000.0
    return result


def trace(
    names: Sequence[str], env: Mapping[str, str], *, relocate: bool, timeout: float = 10.0
) -> tuple[int, list[str]] | None:
    """What ld.so says about the interpreter with ``names`` preloaded: (exit status, lines), or None: no child.

    It maps everything, with ``relocate`` resolves each symbol as well (ldd(1), ``-r``), and ends: no code of a
    library runs, no initialiser either. The status is negative for a signal.
    """
    program = interpreter()
    if not program or not names or any(":" in name or " " in name or "\0" in name for name in names):
        return None  # LD_PRELOAD has no way to write such a name (ld.so(8))
    values = dict(env)
    before = [values["LD_PRELOAD"]] if values.get("LD_PRELOAD") else []
    values.update(LD_TRACE_LOADED_OBJECTS="1", LD_PRELOAD=":".join([*before, *names]))
    if relocate:
        values.update(LD_WARN="yes", LD_BIND_NOW="1")
    deadline = time.monotonic() + timeout
    output = output_end = -1
    try:
        output, output_end = _pipe()
        pid = _spawn(program, [program], values, output_end, output_end)
        os.close(output_end)
        output_end = -1
        talk = _Conversation(pid, output, output)
        try:
            talk.listen(deadline)
        finally:
            _end(pid, talk)
        if talk.late or talk.lost or talk.status is None:
            return None
        how, number = talk.status
        return (number if how == "exited" else -number), os.fsdecode(talk.text).split("\n")
    except (OSError, ValueError, ImportError, NotImplementedError, MemoryError):
        return None
    finally:
        for descriptor in (output, output_end):
            if descriptor >= 0:
                os.close(descriptor)


#: seconds of waiting for a processor that a child is given in addition to its time, most
MOST_WAITED = 20.0


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


def _run(
    first: tuple[str, ...], paths: tuple[str, ...], env: Mapping[str, str] | None, deadline: float, timeout: float
) -> TrialResult:
    program = interpreter()
    if not program:
        return TrialResult(False, "not possible: this Python is embedded or frozen", 0.0, possible=False)
    names = first + paths
    argv = [program, "-I", "-S", "-E", "-c", _CHILD, str(len(first))] + [os.path.abspath(path) for path in names]
    values = dict(start_environment() if env is None else env)
    values["DLREPAIR"] = "off"
    if any("\0" in text for text in argv):
        return TrialResult(False, "failed: embedded null byte in the path", 0.0, path=names[-1])
    answers = output = -1
    answers_end = output_end = -1
    try:
        answers, answers_end = _pipe()
        output, output_end = _pipe()
        pid = _spawn(program, argv, values, answers_end, output_end)
        os.close(answers_end)
        os.close(output_end)
        answers_end = output_end = -1
        talk = _Conversation(pid, answers, output)
        try:
            talk.listen(deadline)
        finally:
            _end(pid, talk)
        return _judge(talk, names, timeout)
    finally:
        for descriptor in (answers, answers_end, output, output_end):
            if descriptor >= 0:
                os.close(descriptor)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are above the standard descriptors, which may be closed in a daemon."""
    ends: list[int] = list(os.pipe())
    low: list[int] = []
    try:
        for at in (0, 1):
            while ends[at] < 3:
                low.append(ends[at])
                ends[at] = os.dup(ends[at])
    finally:
        for descriptor in low:
            os.close(descriptor)
    return ends[0], ends[1]


def _spawn(program: str, argv: list[str], env: Mapping[str, str], answers: int, output: int) -> int:
    """Start the child in a session of its own and return its process id. Raises OSError."""
    if hasattr(os, "posix_spawn"):
        actions: list[Any] = [
            (os.POSIX_SPAWN_DUP2, answers, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        # SIGPIPE 13, SIGXFSZ 25 and SIGINT 2: Python and its users ignore or handle them; the child starts afresh.
        options: dict[str, Any] = {"file_actions": actions, "setsigdef": (2, 13, 25), "setsigmask": ()}
        try:
            return os.posix_spawn(program, argv, env, setsid=True, **options)
        except NotImplementedError:
            return os.posix_spawn(program, argv, env, setpgroup=0, **options)
    import _posixsubprocess

    fork_exec: Any = _posixsubprocess.fork_exec  # with the 17 parameters of 3.7

    gone, error_pipe = _pipe()
    try:
        pid: int = fork_exec(
            [os.fsencode(text) for text in argv], (os.fsencode(program),), True, (error_pipe,), None,
            [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items()],
            answers, -1, -1, output, -1, output, gone, error_pipe, True, True, None,
        )  # fmt: skip
        return pid
    finally:
        os.close(gone)
        os.close(error_pipe)


class _Conversation:
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
                left += min(budget.waited_by(self.pid), MOST_WAITED)
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


def _end(pid: int, talk: _Conversation) -> None:
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


def _judge(talk: _Conversation, names: Sequence[str], timeout: float) -> TrialResult:
    lines = talk.text.decode("utf-8", "surrogateescape").splitlines()
    last = lines[-1] if lines else ""
    path = ""
    for line in lines:
        if line.startswith("trying "):
            path = names[int(line.split()[1])]
    if last == "done":
        return TrialResult(True, "", 0.0, output=talk.printed)
    if last.startswith("impossible"):
        return TrialResult(False, "not possible: " + last[11:], 0.0, possible=False, output=talk.printed)
    if last.startswith("failed "):
        return TrialResult(False, "failed: " + last[7:], 0.0, path=path, output=talk.printed)
    if "ready" not in lines and not talk.late:
        return TrialResult(
            False, "not possible: the child interpreter did not start", 0.0, possible=False, output=talk.printed
        )
    if talk.late:
        detail = "failed: no answer within {:g} s".format(timeout)
    elif talk.status is None:
        detail = "failed: the child ended without an answer"
    elif talk.status[0] == "killed":
        detail = "failed: killed by {}".format(_SIGNALS.get(talk.status[1], "signal {}".format(talk.status[1])))
    else:
        detail = "failed: exited with status {}".format(talk.status[1])
    return TrialResult(False, detail, 0.0, path=path, output=talk.printed)
