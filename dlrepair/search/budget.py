"""Whether a search's time is up: time in which the kernel gave the processor to others does not count.

Sixty-four ranks of one job that fail in the same second have a sixty-fourth of the machine each, and would all give up
before they have looked anywhere. So a search goes on for as long as it had to wait, until it has lasted three times its
budget: what a user waits for is bounded all the same. The kernel says how long a thread was ready to run and had to
wait (``/proc/thread-self/schedstat``, second number; Documentation/scheduler/sched-stats.rst). Waiting for a disk or a
network counts in full.
"""

from __future__ import annotations

import os
import time

#: by how many times its own length a search is prolonged, most, and by how many seconds
PROLONGED = 2.0
LONGEST = 60.0

#: deadline -> (seconds that its thread had waited for a processor when it was set, seconds of prolongation, most)
_bases: dict[float, tuple[float, float]] = {}


def deadline_in(seconds: float) -> float:
    """Return the deadline (``time.monotonic()``) of a search that begins now."""
    deadline = time.monotonic() + seconds
    if len(_bases) > 64:
        _bases.pop(next(iter(_bases)), None)
    _bases[deadline] = waited(), min(seconds * PROLONGED, LONGEST)
    return deadline


def is_over(deadline: float) -> bool:
    """Tell whether a deadline has passed. Another thread's deadline, or one not made here, is taken as it is."""
    now = time.monotonic()
    return now >= deadline and now >= deadline + waited_since(deadline)


def waited_since(deadline: float) -> float:
    """Return for how many seconds this thread had to wait for a processor since that deadline was set, bounded."""
    base = _bases.get(deadline)
    return 0.0 if base is None else min(max(waited() - base[0], 0.0), base[1])


def waited() -> float:
    """Return for how many seconds this thread has had to wait for a processor since it began."""
    return _waited("/proc/thread-self/schedstat")


def waited_by(pid: int) -> float:
    """Return for how many seconds a process of one thread has had to wait for a processor since it began."""
    return _waited("/proc/{}/schedstat".format(pid))


def _waited(path: str) -> float:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0.0
    try:
        return int(os.read(descriptor, 100).split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0
    finally:
        os.close(descriptor)
