"""The page about programs that look first says what its labs prove."""

from __future__ import annotations

import os

from look_first import ENDS, ROWS

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "reference", "look-first.md")


def table() -> list[str]:
    """The rows of the page's table."""
    kinds = sorted({row.kind for row in ROWS})
    counted = [[kind, *(sum(row.kind == kind and row.end == end for row in ROWS) for end in ENDS)] for kind in kinds]
    counted.append(["all", *(sum(row.end == end for row in ROWS) for end in ENDS)])
    return ["| {} |".format(" | ".join(map(str, cells))) for cells in counted]


def test_the_table() -> None:
    with open(PAGE, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert [line for line in lines if line.startswith("| ") and line.count("|") == 6][2:] == table()
