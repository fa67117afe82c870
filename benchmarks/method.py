"""The method: both variants run alternately, differences are taken within each pair, medians reported.

Two identical environments differ by up to 0.15 ms between runs on a busy machine, so every pair has
a third member: the bare variant once more. Its difference from the first is the noise of the method.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, Sequence

from interpreters import bare_env


@dataclass
class Result:
    """One line of the table; times in seconds."""

    title: str
    bare: float | None  #: median without dlrepair; None where the call fails without it
    hooked: float  #: median with it
    difference: float | None = None  #: median of the paired differences
    noise: float | None = None  #: median of the absolute differences between two bare runs of a pair
    aim: str = ""  #: in words
    limit: float | None = None  #: the same in seconds: for the difference, or for ``hooked`` where bare fails

    def verdict(self) -> str:
        """Whether the aim is met, and whether this measurement can tell."""
        value = self.hooked if self.difference is None else self.difference
        if self.limit is None:
            return ""
        if value <= self.limit:
            return "met"
        return "within the noise" if value - (self.noise or 0.0) <= self.limit else "**missed**"


def paired(bare: Callable[[], float], hooked: Callable[[], float], pairs: int) -> tuple[float, float, float, float]:
    """(median bare, median hooked, median difference, noise) of ``pairs`` interleaved measurements in seconds.

    The order inside a pair alternates, so that neither variant always runs on a warmer cache.
    """
    rows = []
    bare(), hooked()
    for number in range(pairs):
        if number % 2:
            third, second, first = bare(), hooked(), bare()
        else:
            first, second, third = bare(), hooked(), bare()
        rows.append((first, second, third))
    return (
        statistics.median(first for first, _, _ in rows),
        statistics.median(second for _, second, _ in rows),
        statistics.median(second - (first + third) / 2 for first, second, third in rows),
        statistics.median(abs(third - first) for first, _, third in rows),
    )


def wall(command: Sequence[str], env: dict[str, str], cwd: str) -> float:
    """Seconds from starting the command to its end."""
    start = time.perf_counter()
    status = subprocess.call(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError("%s ended with status %d" % (" ".join(command), status))
    return seconds


def printed(command: Sequence[str], env: dict[str, str], cwd: str) -> float:
    """Seconds that the command measured itself and printed as nanoseconds on its last line."""
    done = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError("%s ended with status %d\n%s" % (" ".join(command), done.returncode, done.stderr))
    return float(done.stdout.split()[-1]) * 1e-9


def environment(home: str) -> dict[str, str]:
    """A clean environment whose user directories lie below ``home``."""
    places = {"XDG_%s_HOME" % name.upper(): os.path.join(home, name) for name in ("state", "cache", "config")}
    return bare_env(HOME=home, **places)


def pretty(seconds: float | None, sign: bool = False) -> str:
    """A time with the unit that fits it."""
    if seconds is None:
        return "fails"
    text = "%+.3g" if sign else "%.3g"
    if abs(seconds) < 1e-6:
        return (text + " ns") % (seconds * 1e9)
    if abs(seconds) < 1e-3:
        return (text + " µs") % (seconds * 1e6)
    return (text + " ms") % (seconds * 1e3)


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| what | bare | with dlrepair | difference | noise | aim | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in results:
        difference = "" if one.difference is None else pretty(one.difference, sign=True)
        noise = "" if one.noise is None else "±" + pretty(one.noise)
        cells = [one.title, pretty(one.bare), pretty(one.hooked), difference, noise, one.aim, one.verdict()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
