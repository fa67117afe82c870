"""Conditions of shell scripts: ``test``, ``[`` and ``[[``, answered where the machine and the script tell."""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.text import has_unknown, is_known, is_unset, without_unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    from dlrepair.build.recipes.shell_words import Expander

_FILES: dict[str, Callable[[str], bool]] = {
    "-d": os.path.isdir, "-e": os.path.exists, "-f": os.path.isfile, "-r": os.path.exists, "-s": os.path.isfile,
    "-x": os.path.exists, "-L": os.path.islink, "-h": os.path.islink, "-w": os.path.exists,
}  # fmt: skip


def joined(operator: str, left: bool | None, right: bool | None) -> bool | None:
    """Return the value of ``left && right`` or ``left || right``; None is unknown."""
    decisive = operator == "or"
    if left is decisive or right is decisive:
        return decisive
    return None if left is None or right is None else not decisive


def test(words: Sequence[str], expander: Expander, locate: Callable[[str], str]) -> bool | None:
    """Return what a test says, None where only a run could tell; an unknown value counts as unequal to any other."""
    body = [word for word in words[1:] if word not in ("]", "]]")]
    for operator, names in (("or", ("-o", "||")), ("and", ("-a", "&&"))):
        for at, word in enumerate(body):
            if word in names and at:
                left = test([words[0], *body[:at]], expander, locate)
                return joined(operator, left, test([words[0], *body[at + 1 :]], expander, locate))
    if body and body[0] == "!":
        verdict = test([words[0], *body[1:]], expander, locate)
        return None if verdict is None else not verdict
    return _simple(body, expander, locate, words[0] == "[[")


def _simple(body: Sequence[str], expander: Expander, locate: Callable[[str], str], patterns: bool) -> bool | None:
    if len(body) == 1:
        value = expander.text(body[0])
        return _is_set(value)
    if len(body) == 2:
        operator, value = body[0], expander.text(body[1])
        if operator in ("-z", "-n"):
            verdict = _is_set(value)
            return None if verdict is None else verdict == (operator == "-n")
        if operator == "-v":
            return expander.variables.get(value) is not None
        if operator in _FILES and is_known(value):
            return bool(value) and _FILES[operator](locate(value))
        return None
    if len(body) != 3:
        return None
    left, operator, raw = expander.text(body[0]), body[1], body[2]
    right = expander.text(raw)
    if operator in ("=", "==", "!="):
        if has_unknown(left + right) and not is_unset(left):
            return operator == "!="
        left = "" if is_unset(left) else left
        equal = left == right or (patterns and raw[:1] not in ("'", '"') and fits(left, right))
        return equal == (operator != "!=")
    if operator == "=~" and is_known(left) and re.fullmatch(r"\^?[^()\[\]{}\\+*?]{1,100}?(\.\*)?\$?", right):
        return bool(re.search(right, left[:2000]))
    numbers = {"-eq": "==", "-ne": "!=", "-gt": ">", "-ge": ">=", "-lt": "<", "-le": "<="}
    if operator in numbers and left.isdigit() and right.isdigit():
        order = (int(left[:18]) > int(right[:18])) - (int(left[:18]) < int(right[:18]))
        return {"==": order == 0, "!=": order != 0, ">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[
            numbers[operator]
        ]
    return None


def _is_set(value: str) -> bool | None:
    if not value or is_unset(value):
        return False
    if has_unknown(value) and not without_unknown(value):
        return None
    return True
