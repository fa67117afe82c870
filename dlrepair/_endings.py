"""Exceptions that nobody caught: where they end, dlrepair looks once, after everybody else has had their say.

A program that looks for its library first, does not find it and raises has asked no loader. It ends the program, a
thread, a worker of multiprocessing or a cell of a notebook. ``sys.excepthook`` and ``threading.excepthook`` are
nobody's but the user's: what calls them is followed, never they. Imported when one of these modules is; only ``sys``
and ``os`` are used.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0


def at_exit(state: "Stage0", pid: "int") -> "None":
    """An exception that has ended the program: its traceback begins with the outermost frame, no prompt is waiting."""
    try:
        error, trace = getattr(sys, "last_value", None), getattr(sys, "last_traceback", None)
        if error is None or trace is None or os.getpid() != pid:
            return
        ended = trace.tb_frame.f_back is None and not hasattr(sys, "ps1") and not sys.flags.interactive
        if ended or _shell() is not None:  # IPython shows what a script of its raises, and goes on
            _look(state, error)
    except (Exception, KeyboardInterrupt):  # the program has ended: nobody waits for that traceback
        return


def _look(state: "Stage0", error: "Any") -> "None":
    """Asks the hooks about an exception that has been shown already. Never raises."""
    try:
        said = getattr(error, "code", None) if type(error) is SystemExit else ""
        if isinstance(error, Exception) or (said and type(said) is str):
            import dlrepair.hooks.postmortem  # noqa: F401

            sys.modules["dlrepair.hooks.postmortem"].look(state, error, error.__traceback__)
    except Exception:  # the package has gone since
        return


def follow(state: "Stage0", module: "Any") -> "None":
    """Follows what ends with an exception in a module that has just run, once. Never raises."""
    try:
        follow_it = FOLLOWED.pop(module.__name__, None)
        if follow_it is not None:
            follow_it(state, module)
    except Exception:  # another version's internals: not covered
        return


def _threads(state: "Stage0", threading: "Any") -> "None":
    """``Thread.__init__`` keeps what this makes, and calls it where ``run`` has raised (3.8 and later)."""
    make = threading._make_invoke_excepthook

    def _make_invoke_excepthook() -> "Any":
        invoke = make()

        def invoke_excepthook(thread: "Any") -> "None":
            error = sys.exc_info()[1]
            try:
                invoke(thread)
            finally:
                _look(state, error)
                error = None  # a traceback that is kept keeps the user's objects

        return invoke_excepthook

    threading._make_invoke_excepthook = _make_invoke_excepthook


def _workers(state: "Stage0", util: "Any") -> "None":
    """``BaseProcess._bootstrap`` calls the first while the exception is on its way, the second once it was printed.

    From 3.13 on it no longer calls the first, and reads the process's name in its place.
    """
    leave, flush = util._exit_function, util._flush_std_streams
    ended: "list[Any]" = []

    def _exit_function(*args: "Any", **kwargs: "Any") -> "Any":
        ended[:] = [sys.exc_info()[1]]
        return leave(*args, **kwargs)

    def _flush_std_streams() -> "None":
        flush()
        if ended:
            _look(state, ended.pop())

    util._flush_std_streams = _flush_std_streams
    kind = sys.modules["multiprocessing.process"].BaseProcess
    if "_exit_function" in kind._bootstrap.__code__.co_names:
        # by that name multiprocessing registers it with atexit anew, and a second start knows it
        _exit_function.__module__, _exit_function.__qualname__ = leave.__module__, leave.__qualname__
        util._exit_function = _exit_function
        return
    was = kind.name

    def name(self: "Any") -> "Any":
        error = sys.exc_info()[1]
        if error is not None and sys._getframe(1).f_code is kind._bootstrap.__code__:
            ended[:] = [error]
        return was.fget(self)

    kind.name = property(name, was.fset, was.fdel, was.__doc__)


def _cells(state: "Stage0", events: "Any") -> "None":
    """IPython's own event after each cell, registered as any extension would."""
    begin = events.EventManager.__init__

    def __init__(self: "Any", *args: "Any", **kwargs: "Any") -> "None":
        begin(self, *args, **kwargs)
        try:
            self.register("post_run_cell", after_cell)
            if "dlrepair.learned.sources" in sys.modules:
                shell = self.shell
                self.register("pre_run_cell", lambda info: sys.modules["dlrepair.learned.sources"].attach(shell))
        except Exception:  # another version of IPython
            pass

    shown = [id(getattr(sys, "last_value", None))]

    def after_cell(result: "Any") -> "None":
        error, last = getattr(result, "error_in_exec", None), getattr(sys, "last_value", None)
        if error is None and id(last) != shown[0]:
            error = last  # %run and its like show an exception themselves
        shown[0] = id(last)
        _look(state, error)

    events.EventManager.__init__ = __init__
    running = _shell()
    if running is not None:  # ctypes was imported in one of its cells
        running.events.register("post_run_cell", after_cell)
        if "dlrepair.learned.sources" in sys.modules:
            sys.modules["dlrepair.learned.sources"].attach(running)


def _shell() -> "Any":
    """IPython's shell in this process, or None."""
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    return getattr(shell, "_instance", None)


#: module -> what follows the exceptions that end there
FOLLOWED = {"threading": _threads, "multiprocessing.util": _workers, "IPython.core.events": _cells}
