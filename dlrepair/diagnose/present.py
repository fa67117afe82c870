"""Libraries that are there, and that an uncaught exception names: what is wrong may be the file itself.

The program has looked into the file, or had ``ldd``, ``readelf`` or a child of its own do that, and raised.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.frames import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Iterator

    from dlrepair.diagnose.giveups import GiveUp

#: the system's own libraries: other programs would fail, too
_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/proc/", "/dev/")
FRAMES, MOST = 4, 3


def find(error: BaseException, trace: TracebackType | None) -> Iterator[GiveUp]:
    """Libraries by path, those first that the exception's own words name. Runs nothing of the user's.

    A path that stands beside the statement that raised counts only where the words have its last part alone.
    """
    from dlrepair.diagnose.giveups import GiveUp, words_of

    steps = []
    while trace is not None:
        steps.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    steps = [one for one in reversed(steps) if kind_of(one[0]) == "user"][:FRAMES]
    said = words_of(error)
    placed = [one for one in said if "/" in one and os.path.exists(one)]
    names = {os.path.basename(one) for one in said} - {os.path.basename(one) for one in placed}
    seen: set[str] = set()
    for frame, line in steps:
        beside = [one for one in _beside(frame, line) if os.path.basename(one) in names]
        for path in [*placed, *beside]:
            whole = os.path.abspath(path)
            if whole in seen or whole.startswith(_SYSTEM):
                continue
            seen.add(whole)
            if os.path.isfile(whole) and len(seen) <= MOST:
                yield GiveUp(frame, line, path)


def _beside(frame: FrameType, line: int) -> Iterator[str]:
    """Paths in the statement at ``line``, the tests around it, and what was assigned to their variables."""
    from dlrepair.diagnose import giveups, source, surrounding
    from dlrepair.diagnose.values import Names

    block = source.find_block(frame)
    whole = frame.f_code.co_name == "<module>"
    stmts = source.whole_file(frame) if whole else block.stmts if block else []
    names = Names(frame)
    nodes = list(surrounding.relevant(stmts, line))
    for node in [*nodes, *surrounding.assigned(nodes, stmts)]:
        for text in giveups.texts(names, node):
            if "/" in text and giveups.is_library(text):
                yield text
