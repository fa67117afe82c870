"""What imports leave behind that a new process makes again by itself: callbacks of atexit, and a few bytes written.

``import tensorflow`` and what it imports register callbacks that tidy up memory, probe the temporary directory
and ask uname(1) for the processor. Each of these is known by name; one that is not counts.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: (module, name) of callbacks that only tidy up this process's memory, or do nothing before there is work
_HARMLESS = frozenset((
    ("logging", "shutdown"), ("multiprocessing.util", "_exit_function"), ("concurrent.futures.thread", "_python_exit"),
    ("concurrent.futures.process", "_python_exit"), ("weakref", "finalize._exitfunc"),
    ("dlrepair._entries", "_look_back"), ("certifi.core", "exit_cacert_ctx"), ("h5py._conv", "unregister_converters"),
    ("PIL._imaging", "clear_cache"),
))  # fmt: skip
#: functions that pybind11 made of C++ code have one name; optree, which Keras needs, registers this many
_PYBIND11, _OPTREE = "pybind11_detail_function_record", 3


class _Spy:
    """Is compared with each callback by ``atexit.unregister``, and equal to none: nothing is unregistered."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __eq__(self, other: object) -> bool:
        self.seen.append(other)
        return False


def find_callback() -> str:
    """A function registered with atexit that may do more than tidy up this process's memory, by name; "" for none."""
    import atexit

    spy = _Spy()
    atexit.unregister(spy)  # type: ignore[arg-type]
    if len(spy.seen) != atexit._ncallbacks():
        return "a function that does not want to be compared"
    made_by_pybind11 = 0
    for one in spy.seen:
        module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", None)
        if type(name) is str and name.startswith(_PYBIND11):
            made_by_pybind11 += 1
        elif (module, name) not in _HARMLESS:
            return "{}.{}".format(module or "?", name or type(one).__qualname__)
    if made_by_pybind11 > (_OPTREE if "optree" in sys.modules else 0):
        return "a function that pybind11 made"
    return ""


def known_bytes() -> int:
    """Bytes that the standard library has written for a probe of its own, which leaves nothing behind.

    ``tempfile`` writes four into a file that it removes, ``platform`` reads what uname(1) writes into a pipe: a reaped
    child's bytes count as its parent's.
    """
    total = 0
    if getattr(sys.modules.get("tempfile"), "tempdir", None) is not None:
        total += len(b"blat")
    uname = getattr(sys.modules.get("platform"), "_uname_cache", None)
    if uname is not None and (sys.version_info < (3, 9) or "processor" in vars(uname)):
        total += len((uname.processor or "unknown").encode("utf-8", "replace") + b"\n")
    return total
