"""When to look again: the kernel's word through watchdog, and a slow look in any case.

A watch dies with its directory, network file systems tell nothing of other machines, and both limits of
inotify(7) may be reached: so the directories are looked at every two seconds anyway, and where no watch can be had,
four times as often.
"""

from __future__ import annotations

import errno
import os
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from watchdog.events import FileSystemEvent

#: seconds between two looks without a word of the kernel's, with and without watches
SAFETY, POLLING = 2.0, 0.5
#: directories that are watched one by one, each with an inotify instance of its own (of 128 that a user has)
MOST = 24
#: events of these kinds come from our own reading
_READING = ("opened", "closed_no_write")


class Notice:
    """Watches of directories. ``wake`` is called from another thread with each path that something happened to."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._observer: Any = None
        self._watches: dict[str, tuple[Any, tuple[int, int]]] = {}
        self._wanted: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._open: dict[str, bool] = {}  # path -> whether it was written and not yet closed
        self.trouble = ""  #: why there are no watches for some directories, "" if there are

    def watch(self, directories: Iterable[str]) -> None:
        """Watches these directories from now on, and no others."""
        self._wanted = tuple(dict.fromkeys(directories))
        for directory in [one for one in self._watches if one not in self._wanted]:
            self._drop(directory)
        self.trouble = ""
        if len(self._wanted) > MOST:
            self.trouble = "{} directories are more than are watched one by one".format(len(self._wanted))
        self.renew()

    @property
    def interval(self) -> float:
        """Seconds until the next look that nobody asked for."""
        return POLLING if self.trouble else SAFETY

    def renew(self) -> None:
        """Watches again what was moved, deleted or made since."""
        for directory in self._wanted[:MOST]:
            there = _identity(directory)
            held = self._watches.get(directory)
            if held is not None and held[1] != there:
                self._drop(directory)
                held = None
            if held is None and there is not None and not self.trouble:
                self._add(directory, there)

    def _add(self, directory: str, there: tuple[int, int]) -> None:
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        notice = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                notice._happened(event)

        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            self._watches[directory] = (self._observer.schedule(Handler(), directory), there)
        except FileNotFoundError:
            self._forget_emitter(directory)  # gone since
        except OSError as error:
            self._forget_emitter(directory)
            self.trouble = _limit(error)

    def _forget_emitter(self, directory: str) -> None:
        """watchdog keeps a handler, and in old releases an emitter, for a watch that could not be made."""
        observer = self._observer
        if observer is not None:
            for watch in [one for one in getattr(observer, "_watches", ()) if one.path == directory]:
                try:
                    observer.unschedule(watch)
                except (KeyError, RuntimeError, OSError):
                    continue

    def _drop(self, directory: str) -> None:
        watch, _ = self._watches.pop(directory)
        try:
            self._observer.unschedule(watch)
        except (KeyError, RuntimeError, OSError):
            pass  # its thread has ended with the directory

    def _happened(self, event: FileSystemEvent) -> None:
        kind = event.event_type
        if kind in _READING:
            return
        path = os.fsdecode(getattr(event, "dest_path", "") or event.src_path)
        with self._lock:
            if kind == "closed" or kind == "moved":
                self._open[path] = False
            elif kind == "modified" and not event.is_directory:
                self._open[path] = True
        self._wake()

    def all_closed(self, paths: Iterable[str]) -> bool:
        """Whether the kernel has said of each of these that its writer closed it, or that it was renamed into place."""
        with self._lock:
            return not self.trouble and all(self._open.get(path) is False for path in paths)

    def forget(self) -> None:
        """Begins a new round of writes."""
        with self._lock:
            self._open.clear()

    def close(self) -> None:
        """Ends the watches; does not wait for their threads, which are daemons."""
        if self._observer is not None:
            self._observer.stop()
            self._observer = None


def _identity(directory: str) -> tuple[int, int] | None:
    try:
        found = os.stat(directory)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _limit(error: OSError) -> str:
    """What limit was reached, in words; inotify_init(2), inotify_add_watch(2)."""
    if error.errno == errno.EMFILE:
        return "no inotify instance is left (fs.inotify.max_user_instances)"
    if error.errno == errno.ENOSPC:
        return "no inotify watch is left (fs.inotify.max_user_watches)"
    return "directories cannot be watched: {}".format(error.strerror or error)


def monotonic() -> float:
    """The clock of all waiting here."""
    return time.monotonic()
