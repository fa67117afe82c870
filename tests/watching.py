"""A running ``dlrepair watch``: real files, a real compiler, the events that it writes with ``--json``."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Sequence

from interpreters import bare_env

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: seconds for anything that must happen
PATIENCE = 60.0


def _hear_hangups() -> None:
    """Tests that were started with nohup(1) ignore SIGHUP, and what they start would, rightly, as well."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Watching:
    """The watcher in a process of its own, in a session of its own; a context manager that ends it."""

    def __init__(
        self, project: str, words: Sequence[str] = (), *, python: str = sys.executable, before: Sequence[str] = (),
        program: Sequence[str] = ("-m", "dlrepair"), **environment: str,
    ) -> None:  # fmt: skip
        env = bare_env(HOME=os.environ["HOME"], PYTHONPATH=ROOT, **environment)
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            env[name] = os.environ[name]
        self.events: list[dict[str, Any]] = []
        self.errors = os.path.join(project, os.pardir, "watch-%s.err" % os.urandom(3).hex())
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [*before, python, "-B", *program, "watch", "--json", *words], cwd=project, env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                preexec_fn=_hear_hangups,
            )  # fmt: skip
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.lines: list[str] = []  #: what the command printed
        self._rest = b""

    def _read(self, seconds: float) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return False
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if line.startswith(b'{"event"'):
                self.events.append(json.loads(line.decode()))
            else:
                self.lines.append(line.decode())
        return bool(data)

    def wait(self, name: str, seconds: float = PATIENCE, after: int | None = None) -> dict[str, Any]:
        """The first event of that name since ``after`` (a number of events; default: those that were there before)."""
        at = len(self.events) if after is None else after
        until = time.monotonic() + seconds
        while True:
            for event in self.events[at:]:
                if event["event"] == name:
                    return event
            left = until - time.monotonic()
            assert left > 0, "no %s within %g s:\n%s" % (name, seconds, self.story())
            if not self._read(min(left, 0.5)) and self.process.poll() is not None:
                self._read(0.1)
                assert any(event["event"] == name for event in self.events[at:]), "it has ended:\n" + self.story()

    def wait_line(self, text: str, seconds: float = PATIENCE, count: int = 1) -> None:
        """Waits until the command has printed ``text`` so often."""
        until = time.monotonic() + seconds
        while sum(text in line for line in self.lines) < count:
            assert time.monotonic() < until, "%r was not printed:\n%s" % (text, self.story())
            self._read(0.2)

    def settle(self, seconds: float) -> None:
        """Reads on for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._read(0.1)

    def names(self, after: int = 0) -> list[str]:
        return [event["event"] for event in self.events[after:]]

    def end(self, number: int = signal.SIGINT, seconds: float = 20.0) -> int:
        """Exit status after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait_end(seconds)

    def wait_end(self, seconds: float = 20.0) -> int:
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, "it does not end:\n" + self.story()
            self._read(0.05)
        while self._read(0.1):
            pass
        return int(self.process.returncode)

    def story(self) -> str:
        with open(self.errors, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        return "\n".join([json.dumps(event)[:400] for event in self.events] + self.lines) + "\n--- stderr\n" + text

    def __enter__(self) -> Watching:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
