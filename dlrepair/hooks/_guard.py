"""Re-entry, forks, threads, redirects and probes that fail again and again.

No lock is held while importing or loading. Whoever repairs a target leaves a mark in
``_in_flight``; others wait for it, for a bounded time, and then look at the redirects.
"""

from __future__ import annotations

import _thread
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.hooks import Ask

#: longest time that a thread waits for another thread's repair of the same target, in seconds
WAIT = 30.0
#: how long a failed probe is believed without looking again, in seconds: doubled up to the bound
FIRST_REST, LAST_REST = 2.0, 60.0
#: repeats of a probe that all look at the directories, and how often later ones do, in seconds
ALERT, GLANCE = 8, 0.02
#: most failed probes remembered
PROBES = 4096

_local = _thread._local()
_redirects: dict[tuple[str, str], str] = {}
_in_flight: dict[tuple[str, str], Any] = {}
_probes: dict[Any, _Probe] = {}
_mode = ["repair"]


def reset() -> None:
    """Forgets what belongs to threads that a forked child does not have."""
    global _local
    _in_flight.clear()
    _local = _thread._local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset)


def only_watching() -> bool:
    """Whether the settings say ``observe`` or ``off``: the loader is then called as without us."""
    return _mode[0] != "repair"


def busy() -> bool:
    """Whether this thread is inside a repair: its own loads are nobody's failure."""
    return bool(getattr(_local, "busy", False))


def disabled(on: bool) -> bool:
    """Sets whether this thread is left alone (``dlrepair.disabled()``); the value before."""
    before = busy()
    _local.busy = on
    return before


def target_of(ask: Ask) -> tuple[str, str]:
    """What a redirect is keyed by: all loaders that ask for one file share it (imports are apart)."""
    name = ask.requested
    if "/" in name:
        try:
            name = os.path.abspath(name)
        except OSError:
            pass
    if ask.loader in ("import", "find_library"):
        return ask.loader, name
    return "load", name


def has_served(path: str) -> bool:
    """Whether a load of that very file was given another one: what ends the program later is not that it is absent."""
    return ("load", os.path.abspath(path)) in _redirects


def handle(ask: Ask) -> tuple[Any] | None:
    """``(result,)`` by a known redirect or a new repair, or None."""
    if busy():
        return None
    target = target_of(ask)
    answer = _redirected(ask, target)
    if answer is not None:
        return answer
    probe = _probe_key(ask)
    if _rests(probe):
        return None
    mark = _enter(target)
    if mark is None:  # another thread has just dealt with it
        answer = _redirected(ask, target)
        if answer is not None:
            return answer
        mark = _enter(target, wait=False)
    else:  # it may have been dealt with since the first look
        answer = _redirected(ask, target)
        if answer is not None:
            _leave(target, mark)
            return answer
    _local.busy = True
    try:
        from dlrepair import engine

        answer, redirect, watched, mode = engine.handle(ask)
        _mode[0] = mode
        if redirect is not None:
            _redirects[target] = redirect
            _probes.clear()
        elif answer is None:
            _note_probe(probe, watched)
        return answer
    finally:
        _local.busy = False
        _leave(target, mark)


def _redirected(ask: Ask, target: tuple[str, str]) -> tuple[Any] | None:
    """The result through a redirect that served before; forgets one that no longer does."""
    path = _redirects.get(target)
    if path is None:
        return None
    _local.busy = True
    try:
        return (ask.retry(path),)
    except Exception:
        _redirects.pop(target, None)
        return None
    finally:
        _local.busy = False


def _enter(target: tuple[str, str], wait: bool = True) -> Any:
    """A mark, or None after waiting for whoever held one."""
    mark = _thread.allocate_lock()
    mark.acquire()
    other = _in_flight.setdefault(target, mark)
    if other is mark or not wait:
        return mark
    if other.acquire(True, WAIT):
        other.release()
    return None


def _leave(target: tuple[str, str], mark: Any) -> None:
    if mark is not None:
        if _in_flight.get(target) is mark:
            _in_flight.pop(target, None)
        mark.release()


def _probe_key(ask: Ask) -> Any:
    """Who asked for what, and what the loader said: an identical failure has an identical key."""
    frame = ask.frame
    where = [ask.loader, ask.requested, ask.text, ask.refused]
    for _ in range(3):  # the loader's own Python layer and its caller
        if frame is None:
            break
        where += [frame.f_code, frame.f_lineno]
        frame = frame.f_back
    return tuple(where)


def _signature(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


class _Probe:
    """A failure that was looked at: when to look again, and what would be worth a look before."""

    __slots__ = ("again", "looked", "repeats", "rest", "signatures")

    def __init__(self, rest: float, watched: tuple[str, ...]) -> None:
        self.rest = rest
        self.again = time.monotonic() + rest
        self.looked = 0.0
        self.repeats = 0
        self.signatures = [(path, _signature(path)) for path in watched[:8]]

    def rests(self) -> bool:
        """Whether the failure is what it was. A tight loop of probes looks at the directories now and then only."""
        now = time.monotonic()
        if now >= self.again:
            return False
        self.repeats += 1
        if self.repeats > ALERT and now - self.looked < GLANCE:
            return True
        self.looked = now
        return all(_signature(path) == seen for path, seen in self.signatures)


def _rests(probe: Any) -> bool:
    known = _probes.get(probe)
    return known is not None and known.rests()


def _note_probe(probe: Any, watched: tuple[str, ...]) -> None:
    before = _probes.get(probe)
    rest = FIRST_REST if before is None else min(before.rest * 2, LAST_REST)
    if len(_probes) >= PROBES:
        _probes.clear()
    _probes[probe] = _Probe(rest, watched)
