"""Signals, the command and its end: dealt with while the watcher waits, and ten times a second while a compiler runs.

Signals and words of the kernel wake the watcher through a pipe. A signal that ends it does so at once also within a
build: what is raised there leaves nothing behind, since the build kills the compiler's process group and drops its
files.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager

from dlrepair.watch import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterator

    from dlrepair.watch.listener import Listener


class Ended(BaseException):
    """The watcher is to end: by a signal, or with its command. ``status`` is its exit status."""

    def __init__(self, status: int, number: int = 0) -> None:
        BaseException.__init__(self, status)
        self.status = status
        self.number = number


class Control:
    """What may happen at any time, and what is done about it."""

    def __init__(self, listener: Listener, run: command.Command | None, until_exit: bool) -> None:
        self.listener = listener
        self.command = run
        self.until_exit = until_exit
        self.closing = False
        self._pending: list[int] = []  #: signals that are still to be dealt with
        self._interruptible = False
        self._handlers: dict[int, Any] = {}
        self._former_wakeup: int | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    # --- waiting

    def wake(self) -> None:
        """Ends a ``sleep``; from any thread."""
        try:
            os.write(self._write, b"\0")
        except (BlockingIOError, OSError):
            pass  # full: it will wake; closed: it has ended

    def sleep(self, seconds: float) -> bool:
        """Whether something happened before the time was over. Deals with signals and the command."""
        self.attend()
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            try:
                while os.read(self._read, 65536):
                    pass
            except BlockingIOError:
                pass
        self.attend()
        return bool(ready)

    def pause(self, seconds: float) -> None:
        """Sleeps, whatever the kernel says meanwhile."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return
            self.sleep(left)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A signal that ends the watcher raises ``Ended`` wherever this is: it must leave nothing behind."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    # --- the command

    def argv(self) -> list[str]:
        """The command's words; none without one."""
        return self.command.argv if self.command is not None else []

    def restart(self) -> None:
        """Ends the command if it runs, and starts it. Raises ``Ended`` where it cannot be started."""
        assert self.command is not None
        status = self.command.stop()
        if status is not None:
            self.listener.happened("command-ended", status=status, again=True, closing=False)
        try:
            self.command.start()
        except OSError as error:
            self.listener.happened("command-failed", argv=self.command.argv, reason=error.strerror or str(error))
            raise Ended(127 if isinstance(error, FileNotFoundError) else 126) from None
        self.listener.happened("command-started", argv=self.command.argv, pid=self.command.pid)

    def attend(self) -> None:
        """Deals with the signals that came, and with the command's end."""
        while self._pending:
            self._deal(self._pending.pop(0))
        if self.command is not None and self.command.running:
            status = self.command.poll()
            if status is not None:
                closing = self.until_exit or status == 128 + signal.SIGINT
                self.listener.happened("command-ended", status=status, again=False, closing=closing)
                if closing:
                    raise Ended(status)

    def close(self, end: Ended) -> None:
        """Ends the command with the signal that ended the watcher."""
        self.closing = True
        try:
            if self.command is not None and self.command.running:
                status = self.command.stop(end.number or signal.SIGTERM)
                self.listener.happened("command-ended", status=status, again=False, closing=True)
        except Ended:
            pass  # a second signal: it was killed

    # --- signals

    def arm(self) -> None:
        """Takes the signals over, until ``disarm``."""
        names = [*command.ENDING, *command.PASSED, "SIGTSTP", "SIGCONT", "SIGCHLD"]
        for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
            if signal.getsignal(number) == signal.SIG_IGN and number == signal.SIGHUP:
                continue  # nohup(1)
            self._handlers[number] = signal.signal(number, self._received)
        self._former_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def disarm(self) -> None:
        """Puts back what was there before ``arm``."""
        if self._former_wakeup is not None:
            signal.set_wakeup_fd(self._former_wakeup)
        for number, before in self._handlers.items():
            signal.signal(number, before)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        ending = number in [getattr(signal, name, 0) for name in command.ENDING]
        if ending and self.closing:  # a second time: no pause for the command
            raise Ended(128 + number, number)
        if ending and self._interruptible:  # wherever the build is: it leaves nothing behind
            raise Ended(128 + number, number)
        self._pending.append(number)

    def _deal(self, number: int) -> None:
        if number in [getattr(signal, name, 0) for name in command.ENDING]:
            raise Ended(128 + number, number)
        if number == signal.SIGTSTP:
            self._suspend()
        elif self.command is not None:
            self.command.send(number)

    def _suspend(self) -> None:
        """Stops like any job does, together with the command, until the shell goes on with it."""
        if self.command is not None:
            self.command.send(signal.SIGTSTP)
        mine = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, mine)
        if self.command is not None:
            self.command.send(signal.SIGCONT)
