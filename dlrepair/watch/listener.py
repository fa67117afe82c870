"""Who is told what the watcher does."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Listener:
    """Told what happens; ``dlrepair.render.watching`` has one for people and one for programs."""

    def happened(self, event: str, **fields: Any) -> None:
        """``watching``, ``watching-more``, ``changed``, ``building``, ``ticking``, ``built``, ``failed``,
        ``unchanged``, ``gone``, ``polling``, ``command-started``, ``command-ended``, ``command-failed``,
        ``precompiled`` or ``ended``, with the fields that docs/how-to/watch.md has.
        """
