"""Who asked for a library, and how that code deals with the failure.

Much code expects a load to fail: it tries the next path, builds the library, or does without. Repairing
the first failure there does harm (DESIGN.md, guarded loads), so the handlers around the call are read first.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.frames import COUNTING, asking_frames, find_probe, kind_of, package_dir
from dlrepair.model.requests import Caller, Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def find_caller(frame: FrameType | None) -> Caller | None:
    """The innermost line that belongs neither to dlrepair nor to a loader's own Python layer; None without one.

    Skipped: ``ctypes``, ``importlib``, ``cffi``'s api, ``numpy.ctypeslib``, ``torch``'s and TensorFlow's
    loading layers. Runs none of the user's code. Raises nothing.
    """
    try:
        while frame is not None and kind_of(frame) in ("ours", "loader"):
            frame = frame.f_back
        if frame is None:
            return None
        from dlrepair.diagnose.source import find_file

        path = find_file(frame) or frame.f_code.co_filename
        return Caller(path, frame.f_lineno or 0, frame.f_code.co_name, package_dir(os.path.abspath(path)))
    except Exception:  # no error of ours may reach the code whose load failed
        return None


def classify(frame: FrameType | None, exc: BaseException) -> Guard:
    """How the code around the load deals with ``exc``, which the loader has just raised in ``frame``.

    Frames are walked outwards with the exception that is in flight: a handler that raises
    another one is followed with that. Handlers of test runners, notebooks and other code that runs other
    people's code do not count; of the standard library, only those that name the exception. Reads source
    files; runs none of the user's code. Raises nothing: what cannot be examined counts as guarded (``alternative``).
    """
    try:
        why = find_probe(frame, _library(exc))
        if why:
            return Guard("probe", why)
        if not _may_be_handled(frame):
            return Guard("none", "no handler around the load takes {}".format(type(exc).__name__))
        from dlrepair.diagnose.guards import find_guard

        return find_guard(frame, type(exc))
    except Exception as problem:  # a repair must never depend on our reading of the caller
        return Guard("alternative", "the calling code could not be examined: {}".format(type(problem).__name__))


def _may_be_handled(frame: FrameType | None) -> bool:
    """Whether any frame of the user's code has a handler around its current instruction: the bytecode tells."""
    from dlrepair.diagnose.codetable import find_handlers

    seen = set()
    asking = asking_frames(frame)
    while frame is not None:
        place = (id(frame.f_code), frame.f_lasti)
        if place not in seen:
            seen.add(place)
            counts = id(frame) in asking or kind_of(frame) in COUNTING
            handlers = find_handlers(frame.f_code, frame.f_lasti) if counts else []
            if handlers is None or any(handler.kind != "cleanup" for handler in handlers):
                return True
        frame = frame.f_back
    return False


def _library(exc: BaseException) -> str:
    """The path at the head of a loader's message, or ""."""
    arguments = BaseException.args.__get__(exc)  # type: ignore[attr-defined]
    for argument in arguments:
        if type(argument) is str and "/" in argument:
            head: str = argument.split(": ", 1)[0]
            return head
    return ""
