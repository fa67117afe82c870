"""The progress line of a build: what is compiled and for how long, on a terminal; elsewhere a line when it begins."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from dlrepair.model.built import BuildResult

#: seconds between two drawings
_INTERVAL = 0.2


class Line:
    """Watches one build (``dlrepair.build.service.Watcher``) and tells a person; says nothing when quiet."""

    def __init__(self, verbosity: str = "line", stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = verbosity == "quiet" or self.stream is None
        self._terminal = not self.quiet and _is_terminal(self.stream)
        self._began = time.monotonic()
        self._drawn = 0.0
        self._visible = False

    def started(self, what: str) -> None:
        """A compiler is about to run."""
        self._began = time.monotonic()
        if not self.quiet and not self._terminal:
            from dlrepair.render import text

            text.show(["dlrepair: " + text.clean(what, 400) + " ..."], self.stream)

    def tick(self, doing: str) -> None:
        """Draws the line anew, a few times a second."""
        now = time.monotonic()
        if self._terminal and now - self._drawn >= _INTERVAL:
            from dlrepair.render import text
            from dlrepair.render.progress import width

            self._drawn = now
            self._visible = True
            line = "dlrepair: {} ({:.0f} s)".format(text.escape(doing), now - self._began)
            self._write("\r\x1b[K" + text.shorten(line, max(20, width(self.stream) - 1)))

    def finished(self, result: BuildResult) -> None:
        """Removes the line; what came of it is said by whoever asked for the build."""
        if self._visible:
            self._write("\r\x1b[K")
            self._visible = False

    def _write(self, words: str) -> None:
        try:
            self.stream.write(words)
            self.stream.flush()
        except Exception:  # closed or replaced: the build goes on
            self._terminal = False


def _is_terminal(stream: TextIO) -> bool:
    import os

    try:
        return stream.isatty() and os.environ.get("TERM", "") != "dumb"
    except (AttributeError, OSError, ValueError):
        return False
