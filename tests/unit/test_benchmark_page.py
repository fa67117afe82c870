"""Two benchmarks write one page: neither loses what the other has measured."""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))

import rebuild  # noqa: E402
import watch  # noqa: E402

LOADS, LATER = (
    "# Benchmarks of the rebuild\n\n| a load | 5 ms |\n",
    "# Benchmarks of the rebuild\n\n| a load | 6 ms |\n",
)


def section(number: int) -> str:
    return "{}\n\n| a save | {} s |\n\n{}\n".format(watch.BEGIN, number, watch.END)


def test_both_parts_stay(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "page.md")

    def write(text: str) -> str:
        with open(path, "w") as stream:
            stream.write(text)
        return text

    assert rebuild.kept_section(path) == ""
    assert write(LOADS + rebuild.kept_section(path)) == LOADS
    both = write(watch.placed(LOADS, section(1)))
    assert both == LOADS + "\n" + section(1)
    assert write(watch.placed(both, section(2))) == LOADS + "\n" + section(2)
    assert write(LATER + rebuild.kept_section(path)) == LATER + "\n" + section(2)
    assert write(watch.placed(LATER + rebuild.kept_section(path), section(3))) == LATER + "\n" + section(3)


def test_the_page_has_both_parts() -> None:
    with open(os.path.join(ROOT, "docs", "reference", "benchmarks-rebuild.md"), encoding="utf-8") as stream:
        page = stream.read()
    assert page.count(watch.BEGIN) == page.count(watch.END) == 1
    assert "from the load to the op's result" in page.partition(watch.BEGIN)[0]
