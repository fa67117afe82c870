from __future__ import annotations

from dlrepair.binary.symbols import Unresolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView


def classify(
    path: str, rows: list[tuple[str, str | None, bool]], closure: Sequence[str], process: ProcessView | None
) -> tuple[Unresolved, ...]:
    return tuple(Unresolved(*row) for row in rows)
