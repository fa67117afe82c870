"""A search's time on a machine that has too little to give."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from dlrepair.search import budget


def spin(seconds: float) -> float:
    """How long a search of so many seconds lasts that does nothing but compute."""
    began = time.monotonic()
    deadline = budget.deadline_in(seconds)
    while not budget.is_over(deadline):
        pass
    return time.monotonic() - began


def test_waiting_for_a_processor_prolongs_a_search_within_bounds():
    count = 4 * len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.3)
        took = spin(0.4)
    finally:
        for other in others:
            other.kill()
            other.wait()
    # four others a processor: alone it would have had to be prolonged to five times its length
    assert 0.45 < took < 0.4 * (1 + budget.PROLONGED) + 0.3, took


def test_sleeping_counts_in_full():
    deadline = budget.deadline_in(0.2)
    time.sleep(0.25)
    assert time.monotonic() >= deadline
    assert budget.waited_since(deadline) < 0.2


def test_a_deadline_of_somebody_else_is_taken_as_it_is():
    assert budget.is_over(time.monotonic() - 0.001)
    assert not budget.is_over(time.monotonic() + 60)
