"""A progress bar on stderr, only where a person looks at a terminal."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

__all__ = ["Progress"]

_INTERVAL = 0.1  # seconds between two drawings


class Progress:
    """Counts steps towards ``total`` (0: unknown) and draws them; a context manager that leaves the line empty."""

    def __init__(self, label: str, total: int = 0, stream: TextIO | None = None) -> None:
        from dlrepair.render import text

        self.label, self.total, self.done = text.escape(label), total, 0
        self.stream = stream if stream is not None else sys.stderr
        self.visible = os.environ.get("TERM", "") != "dumb" and _is_terminal(self.stream)
        self._escape = text.escape
        self._shorten = text.shorten
        self._drawn = 0.0
        self._detail = ""

    def step(self, detail: str = "", count: int = 1) -> None:
        """Count ``count`` more steps; ``detail`` is what is being worked on."""
        self.done += count
        self._detail = detail
        if self.visible and time.monotonic() - self._drawn >= _INTERVAL:
            self._drawn = time.monotonic()
            self._write("\r\x1b[K" + self.line(width(self.stream)))

    def line(self, width: int) -> str:
        """The bar as text of at most ``width`` characters."""
        if self.total > 0:
            part = min(1.0, self.done / self.total)
            filled = int(20 * part)
            head = "{} [{}{}] {}/{} ".format(self.label, "#" * filled, "." * (20 - filled), self.done, self.total)
        else:
            head = "{} {} ".format(self.label, self.done)
        room = width - len(head) - 1
        detail = self._shorten(self._escape(self._detail), room) if room > 8 else ""
        return (head + detail).rstrip()[: max(1, width - 1)]

    def close(self) -> None:
        """Remove the bar."""
        if self.visible:
            self._write("\r\x1b[K")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError, UnicodeError):
            self.visible = False


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


def width(stream: TextIO) -> int:
    """Columns of a terminal; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80
