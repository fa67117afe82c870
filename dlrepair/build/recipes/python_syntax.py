"""Python source of any age as a syntax tree, without running it and without falling over hostile input."""

from __future__ import annotations

import ast
import re
import warnings

MAX_TEXT = 256 * 1024
#: So many operators in one top-level statement and the parser of an old CPython may overflow the C stack.
MAX_OPERATORS = 20_000
_PRINT = re.compile(r"^(\s*)print\s+(?!\()(.*)$")
_EXCEPT = re.compile(r"^(\s*except\s+[\w.()\s,]+?)\s*,\s*(\w+)\s*:")


def parse(text: str) -> ast.Module | None:
    """Return the tree of a module, None if it is none. Python 2's ``print`` and ``except`` are understood.

    A line that does not parse is left out, some dozen of them at most.
    """
    if len(text) > MAX_TEXT or _too_deep(text):
        return None
    lines = text.lstrip("\ufeff").split("\n")
    for _ in range(60):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in the user's strings are not ours to report
                return ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not 0 <= at < len(lines) or not _mended(lines, at):
                return None
        except (ValueError, RecursionError, MemoryError):
            return None
    return None


def _too_deep(text: str) -> bool:
    """Tell whether one top-level statement is longer than any that a person wrote."""
    return any(sum(part.count(char) for char in "+-*/.([{&|") > MAX_OPERATORS for part in re.split(r"\n(?=\S)", text))


def _mended(lines: list[str], at: int) -> bool:
    """Change the line that does not parse, or the one before it; False if there is nothing left to change."""
    for index in (at, at - 1):
        if index < 0:
            continue
        line = lines[index]
        printed, caught = _PRINT.match(line), _EXCEPT.match(line)
        if printed:
            lines[index] = printed.group(1) + "pass"
            return True
        if caught:
            lines[index] = "{} as {}:".format(caught.group(1), caught.group(2)) + line[caught.end() :]
            return True
    stripped = lines[at].strip()
    if not stripped or stripped == "pass":
        return False
    lines[at] = lines[at][: len(lines[at]) - len(lines[at].lstrip())] + "pass"
    return True


def mend_prints(text: str) -> str:
    """Return ``text`` with Python 2's print statements taken out, to be parsed at once."""
    return "\n".join(_PRINT.sub(r"\1pass", line) for line in text.split("\n"))
