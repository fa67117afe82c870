"""What happens after a loader has failed: imported then, and never before.

One module a loader says what was asked, how to try again with another path and
how to fail where the loader itself must not be called. Only ``sys`` and ``os``
are imported here; the rest follows what the failure needs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair._bootstrap import Stage0


#: loader -> the module that speaks for it; loaders that users register have ``custom``
_MODULES = {
    "ctypes": "ctypes_",
    "cffi": "cffi_",
    "import": "imports",
    "tensorflow": "tensorflow",
    "tensorflow-path": "tensorflow",
    "find_library": "searchers",
    "numpy": "searchers",
}


_modules: dict[str, Any] = {}


class Ask:
    """One failing load, in the words of its loader. Light: no dataclass before it is known to matter."""

    __slots__ = (
        "error", "frame", "loader", "mode", "op_loader", "refusal", "refused", "requested", "retry", "state", "text",
    )  # fmt: skip

    def __init__(
        self,
        state: Stage0,
        loader: str,
        requested: str,
        retry: Callable[[str], Any],
        refusal: Callable[[str], BaseException],
        error: BaseException | None,
        refused: str | None,
        mode: int = 0,
        op_loader: bool = False,
    ) -> None:
        self.state = state
        self.loader = loader
        self.requested = requested
        self.retry = retry  #: calls the native loader with another path; raises what it raises
        self.refusal = refusal  #: makes the exception for a file that must not be opened
        self.error = error  #: the loader's exception, or None where it was not called
        self.refused = refused  #: ``fifo`` or ``truncated`` where it was not called
        self.mode = mode
        self.op_loader = op_loader
        self.frame: Any = None
        self.text = _text(error)

    def dlopen(self, path: str, mode: int) -> int:
        """Handle of ``path``, opened by the untouched native function."""
        native: Any = self.state.originals.get(("_ctypes", "dlopen"))
        if native is None:
            import _ctypes

            entry: Any = _ctypes.dlopen
            native = getattr(entry, "__dlrepair__", entry)
        handle: int = native(path, mode)
        return handle

    def registered_ops(self) -> frozenset[str]:
        """Names of the ops that libraries opened through TensorFlow so far have registered."""
        if not self.state.opened:
            return frozenset()
        from dlrepair.hooks import tensorflow

        return tensorflow.registered_ops(self.state)


def _text(error: BaseException | None) -> str:
    """``str(error)``, which may itself fail (errors of Python 2 era libraries)."""
    if error is None:
        return ""
    try:
        return str(error)
    except Exception:
        return ""


def _ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request, or None where it is none of our business."""
    name = "dlrepair.hooks." + _MODULES.get(loader, "custom")
    module = _modules.get(name)
    if module is None:
        __import__(name)  # waits where another thread is in the middle of it
        module = _modules[name] = sys.modules[name]
    answer: Ask | None = module.ask(state, loader, native, args, kwargs, error, refused)
    return answer


def on_failure(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> tuple[Any] | None:
    """``(result,)`` of the repaired load, or None: the caller then raises the original.

    Raises nothing of ours but the report for a file that must not be handed to ld.so.
    """
    report: BaseException | None = None
    try:
        ask = _ask(state, loader, native, args, kwargs, error, refused)
        if ask is None:
            return None
        # the frame that called the wrapper: stage 0's own frames are on top of it
        frame = sys._getframe(1)
        while frame.f_back is not None and _is_stage0(frame):
            frame = frame.f_back
        ask.frame = frame
        if error is not None:
            state.reported = [*state.reported[-99:], id(error)]
        from dlrepair.hooks import _guard

        answer = _guard.handle(ask)
        if answer is not None:
            return answer
        if refused is not None and not _guard.only_watching():
            report = ask.refusal(refused)
            state.reported = [*state.reported[-99:], id(report)]
    except Exception as problem:
        _internal_error(problem)
    if report is not None:
        raise report
    return None


def _is_stage0(frame: Any) -> bool:
    """Whether a frame is one of stage 0's, wherever the installer has put its source."""
    return frame.f_globals.get("__name__") == "dlrepair._entries" or (
        "_rest" in frame.f_globals and "_unsafe" in frame.f_globals
    )


def _internal_error(problem: BaseException) -> None:
    """Journals an error of our own; the user's code never sees it."""
    try:
        from dlrepair.journal import writer

        where = problem.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = "" if where is None else "{}:{}".format(where.tb_frame.f_code.co_filename, where.tb_lineno)
        writer.emit("internal-error", writer.new_incident(), error=repr(problem)[:2000], where=place)
        if os.environ.get("DLREPAIR_DEBUG"):
            import traceback

            traceback.print_exception(type(problem), problem, problem.__traceback__)
    except Exception:
        return
