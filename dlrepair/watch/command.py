"""The command that is run after good builds: a process group of its own, its signals, its terminal, its end.

The group is in the background, so that Ctrl-C reaches the watcher first, which passes it on and ends. As soon
as the command wants to read from the terminal (the kernel stops it with SIGTTIN, or SIGTTOU, termios(4)) it
is given the foreground, until it ends: a debugger's prompt then works as without a watcher.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

#: seconds between SIGTERM and SIGKILL
GRACE = 5.0
#: passed on, and nothing else
PASSED = ("SIGUSR1", "SIGUSR2", "SIGWINCH")
#: passed on; then the watcher ends as well
ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_PAUSE = 0.01


class Command:
    """One command, started again and again; at most one process group at a time."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], grace: float = GRACE) -> None:
        self.argv = list(argv)
        self.env = env
        self.grace = grace
        self._process: Any = None
        self._foreground = False
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended (as far as ``poll`` has seen)."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the command, which is the id of its group too."""
        return int(self._process.pid) if self._process is not None else 0

    def start(self) -> None:
        """Starts it. Raises OSError where it cannot be."""
        # process_group is 3.11's; before, os.setpgrp is one system call, safe between fork and exec
        options: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
        self._process = subprocess.Popen(self.argv, env=self.env, **options)
        self._stopped = False

    def poll(self) -> int | None:
        """Exit status once it has ended (128 + N after signal N), else None. Gives it a terminal it waits for."""
        if self._process is None:
            return None
        try:
            pid, status = os.waitpid(self._process.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        except ChildProcessError:
            pid, status = self._process.pid, 0
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            self._halted(os.WSTOPSIG(status))
            return None
        if os.WIFCONTINUED(status):
            self._stopped = False
            return None
        ended = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        self._end(ended)
        return ended

    def _end(self, status: int) -> None:
        process, self._process = self._process, None
        process.returncode = status  # it has been waited for: Popen must not do it again
        self._signal_group(process.pid, signal.SIGKILL)  # what it left behind in its group
        self._take_terminal()

    def _halted(self, number: int) -> None:
        """It has stopped: for want of the terminal, which it is given; or by Ctrl-Z, which stops the watcher too."""
        if number in (signal.SIGTTIN, signal.SIGTTOU):
            if self._give_terminal():
                self.send(signal.SIGCONT)
            return
        self._stopped = True
        if self._foreground:
            self._take_terminal()
            os.kill(0, signal.SIGTSTP)  # the whole job, as the shell knows it

    def send(self, number: int) -> None:
        """Sends a signal to everything in the command's group."""
        if self._process is not None:
            self._signal_group(self._process.pid, number)

    @staticmethod
    def _signal_group(group: int, number: int) -> None:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            pass

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """Ends it: the signal, a pause to clean up, then SIGKILL. The exit status, None if it was not running.

        An exception (a second Ctrl-C) shortens the pause.
        """
        if self._process is None:
            return None
        self.send(number)
        self.send(signal.SIGCONT)
        until = time.monotonic() + self.grace
        status = None
        try:
            status = self.poll()
            while status is None and time.monotonic() < until:
                time.sleep(_PAUSE)
                status = self.poll()
        finally:
            if status is None and self._process is not None:
                self.send(signal.SIGKILL)
                status = self._process.wait()
                status = 128 - status if status < 0 else status
                self._end(status)
        return status

    # --- the terminal -------------------------------------------------------------------------------------------

    def _give_terminal(self) -> bool:
        """Whether the command's group is in the foreground now: only where the watcher itself was."""
        try:
            if os.tcgetpgrp(0) not in (os.getpgrp(), self.pid):
                return False
            self._set_foreground(self.pid)
        except OSError:
            return False
        self._foreground = True
        return True

    def _take_terminal(self) -> None:
        if self._foreground:
            self._foreground = False
            try:
                self._set_foreground(os.getpgrp())
            except OSError:
                pass

    @staticmethod
    def _set_foreground(group: int) -> None:
        # from the background this would stop us (tcsetpgrp(3))
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            os.tcsetpgrp(0, group)
        finally:
            signal.signal(signal.SIGTTOU, before)
