"""Whether a process has provably done nothing yet that a second start would repeat or lose.

Each condition has a slug, which the journal shows. What cannot be proved counts as refused: the fix is then
learned, and applied at the next start, before anything runs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.repair.context import Context

#: modules that run other people's code for as long as they live, and what the journal calls them
_HOSTS = (
    ("ipykernel", "jupyter", "a Jupyter kernel"),
    ("IPython", "ipython", "IPython"),
    ("debugpy", "debugger", "a debugger (debugpy)"),
    ("pydevd", "debugger", "a debugger (pydevd)"),
    ("_pytest", "pytest", "pytest"),
    ("xdist", "pytest", "pytest-xdist"),
    ("execnet", "pytest", "execnet"),
    ("ray", "ray", "Ray"),
    ("distributed", "dask", "Dask"),
    ("gunicorn", "server", "gunicorn"),
    ("uwsgi", "server", "uWSGI"),
)


def find_refusal(context: Context) -> tuple[str, str]:
    """(slug, sentence) of the first condition that speaks against a second start now, or ("", "")."""
    for condition in CONDITIONS:
        found = condition(context)
        if found is not None:
            return found
    return "", ""


def _setting(context: Context) -> tuple[str, str] | None:
    if context.settings.reexec == "never":
        return "setting", "the setting reexec is never"
    return None


def _system(context: Context) -> tuple[str, str] | None:
    from dlrepair.learned import start

    why = start.cannot_exec()
    sentences = {
        "frozen": "the program is frozen: its interpreter cannot be started by itself",
        "embedded": "Python is embedded in another program, or that cannot be told",
        "set-user-id": "the kernel started it in secure mode, where ld.so ignores LD_*",
        "subinterpreter": "this is a subinterpreter, and the main one would not know",
    }
    if why == "subinterpreter" and not os.readlink("/proc/thread-self").endswith("/{}".format(os.getpid())):
        return "threads", "the load stands in another thread than the main one"
    return (why, sentences[why]) if why else None


def _once(context: Context) -> tuple[str, str] | None:
    from dlrepair import learned

    if learned.started()[:1] == ["reexec"]:
        return "restarted", "the process has been started again once"
    return None


def _worker(context: Context) -> tuple[str, str] | None:
    from dlrepair.learned import program

    state = context.ask.state
    if os.getpid() != getattr(state, "pid", -1):
        return "forked", "this is a forked child of process {}".format(getattr(state, "pid", "?"))
    if program.is_worker(program.command_line()):
        return "worker", "this is a worker of multiprocessing"
    process = sys.modules.get("multiprocessing.process")
    if getattr(process, "_parent_process", None) is not None:
        return "worker", "this is a worker of multiprocessing"
    return None


def _hosts(context: Context) -> tuple[str, str] | None:
    for name, slug, shown in _HOSTS:
        if name in sys.modules:
            return slug, "{} runs in this process".format(shown)
    return None


def _interactive(context: Context) -> tuple[str, str] | None:
    if sys.flags.interactive or sys.flags.inspect or os.environ.get("PYTHONINSPECT") or hasattr(sys, "ps1"):
        return "interactive", "a prompt is or will be open (-i, PYTHONINSPECT)"
    return None


def _traced(context: Context) -> tuple[str, str] | None:
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "debugger", "a debugger, a profiler or coverage follows each line"
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is not None and any(monitoring.get_tool(number) for number in range(6)):
        return "debugger", "a debugger, a profiler or coverage follows each line (sys.monitoring)"
    return None


def _guarded(context: Context) -> tuple[str, str] | None:
    if context.guard.kind != "none":
        return "guarded", "the load stands inside a try: {}".format(context.guard.reason or context.guard.kind)
    return None


def _stdin(context: Context) -> tuple[str, str] | None:
    """What was read from standard input is gone; only a file can be read again."""
    state = context.ask.state
    try:
        mode = os.fstat(0).st_mode & 0o170000
    except OSError:
        return None  # closed: nobody reads it
    if _program_kind() == "stdin":
        if mode != 0o100000 or os.fstat(0).st_nlink == 0:
            return "stdin", "the program itself comes from a pipe, a here-document or a terminal"
    elif mode == 0o100000 and getattr(state, "offset", None) is None:
        return "stdin", "where standard input stood at the start is not known"
    return None


def _program_kind() -> str:
    from dlrepair.learned import program

    return program.parse(program.command_line())[0]


def _threads(context: Context) -> tuple[str, str] | None:
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return "threads", "{} Python threads run".format(threading.active_count())
    if len(sys._current_frames()) > 1:
        return "threads", "{} Python threads run".format(len(sys._current_frames()))
    try:
        others = sorted(int(name) for name in os.listdir("/proc/self/task"))
        others.remove(os.getpid())
    except (OSError, ValueError):
        return "threads", "whether other threads run cannot be told"
    if others:
        from dlrepair.repair import idle

        context.idle = idle.find_owner(others)
        if not context.idle:
            return "threads", "{} threads run, some of them of a library".format(len(others) + 1)
        context.idle = "{} idle workers of {}".format(len(others), context.idle)
    return None


def _children(context: Context) -> tuple[str, str] | None:
    try:
        with open("/proc/self/task/{}/children".format(os.getpid()), "rb") as file:
            count = len(file.read().split())
    except OSError:
        count = _count_children()
    return ("children", "it has {} child processes".format(count)) if count else None


def _count_children() -> int:
    """Processes whose parent this one is, where the kernel keeps no list (CONFIG_PROC_CHILDREN)."""
    own, count = str(os.getpid()).encode(), 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/{}/stat".format(name), "rb") as file:
                    count += file.read().rpartition(b")")[2].split()[1] == own
            except OSError:
                continue
    return count


def _mpi(context: Context) -> tuple[str, str] | None:
    if any(os.path.basename(path).startswith("libmpi") for path in context.view.loaded):
        return "mpi", "an MPI library is mapped, and the other ranks may know of this process"
    return None


def _frames(context: Context) -> tuple[str, str] | None:
    """Only imports may be under way, and ``__main__`` may have imported and defined things only."""
    from dlrepair.repair import program

    return program.find_refusal(context.ask.frame, getattr(context.ask.state, "offset", None))


def _finalizers(context: Context) -> tuple[str, str] | None:
    weakref = sys.modules.get("weakref")
    registry = getattr(getattr(weakref, "finalize", None), "_registry", None)
    if registry:
        return "cleanup", "{} objects wait to be cleaned up (TemporaryDirectory is one)".format(len(registry))
    if "atexit" in sys.modules:
        from dlrepair.repair import traces

        name = traces.find_callback()
        if name:
            return "cleanup", "{} is registered with atexit, and would not run".format(name)
    return None


def _written(context: Context) -> tuple[str, str] | None:
    """What this process has written, less what dlrepair and the import system did: output would come twice."""
    if context.written is None:
        return "output", "whether it has written anything cannot be told"
    from dlrepair.repair import traces

    before = context.written - _bytecode(getattr(context.ask.state, "home", "")) - traces.known_bytes()
    if before > 0:
        return "output", "{} bytes have been written already".format(before)
    return None


def _bytecode(home: str) -> int:
    """Bytes of the bytecode files that this process may have written: those that are younger than it."""
    from dlrepair.diagnose.source import process_start

    started = process_start()
    total = 0
    for module in list(sys.modules.values()):
        cached = getattr(getattr(module, "__spec__", None), "cached", None)
        if type(cached) is str:
            try:
                info = os.stat(cached)
            except OSError:
                continue
            if started and info.st_mtime >= started - 0.02:
                total += info.st_size
    return total


#: in the order in which they are asked: what can never change first
CONDITIONS: tuple[Callable[[Context], tuple[str, str] | None], ...] = (
    _setting, _once, _worker, _hosts, _system, _interactive, _traced, _guarded, _stdin, _threads, _children, _mpi,
    _frames, _finalizers, _written,
)  # fmt: skip
