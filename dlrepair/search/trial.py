"""Load libraries in a fresh interpreter, so that one that crashes, hangs or forks does so there."""

from __future__ import annotations

import os
import time

from dlrepair.search import children, standby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip


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
    program = children.interpreter()
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
        output, output_end = children.pipe()
        pid = children.spawn(program, [program], values, output_end, output_end)
        os.close(output_end)
        output_end = -1
        talk = children.Conversation(pid, output, output)
        try:
            talk.listen(deadline)
        finally:
            children.end(pid, talk)
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


def _run(
    first: tuple[str, ...], paths: tuple[str, ...], env: Mapping[str, str] | None, deadline: float, timeout: float
) -> TrialResult:
    program = children.interpreter()
    if not program:
        return TrialResult(False, "not possible: this Python is embedded or frozen", 0.0, possible=False)
    names = [os.path.abspath(path) for path in first + paths]
    if any("\0" in name for name in names):
        return TrialResult(False, "failed: embedded null byte in the path", 0.0, path=names[-1])
    values = children.trial_environment(env)
    child = standby.take(values, len(first), names) or standby.Child(program, values, len(first), names)
    try:
        talk = child.conversation()
        try:
            talk.listen(deadline)
        finally:
            children.end(child.pid, talk)
        return _judge(talk, first + paths, timeout)
    finally:
        child.close()


def _judge(talk: children.Conversation, names: Sequence[str], timeout: float) -> TrialResult:
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
