"""References and functions of GNU make (manual, chapters 6 and 8), as far as they need nothing to be run."""

from __future__ import annotations

import os

from dlrepair.build.recipes.text import absolute, find_files, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.build.recipes.make_values import Values


def matches(pattern: str, word: str) -> str | None:
    """Return what ``%`` of a pattern stands for in ``word``, None if it does not fit."""
    head, percent, tail = pattern.partition("%")
    if not percent:
        return "" if word == pattern else None
    if len(word) >= len(head) + len(tail) and word.startswith(head) and word.endswith(tail):
        return word[len(head) : len(word) - len(tail)] if tail else word[len(head) :]
    return None


def substitute(words: str, pattern: str, replacement: str) -> str:
    """Return $(patsubst pattern,replacement,words)."""
    found = []
    for word in words.split():
        stem = matches(pattern, word)
        found.append(word if stem is None else replacement.replace("%", stem, 1))
    return " ".join(found)


def split_arguments(text: str, limit: int = 0) -> list[str]:
    """Return the arguments of a function call: split at commas outside of parentheses."""
    found: list[str] = []
    depth, start = 0, 0
    for at, char in enumerate(text):
        if char in "({":
            depth += 1
        elif char in ")}":
            depth -= 1
        elif char == "," and depth <= 0 and (not limit or len(found) < limit - 1):
            found.append(text[start:at])
            start = at + 1
    return found + [text[start:]]


def _each(function: Callable[[str], str]) -> Callable[[Values, list[str]], str]:
    return lambda make, args: " ".join(function(word) for word in args[0].split())


def _suffix(word: str) -> str:
    base = os.path.basename(word)
    return "." + base.rpartition(".")[2] if "." in base else ""


def _wildcard(make: Values, args: list[str]) -> str:
    return " ".join(path for one in args[0].split() for path in find_files(one, make.directory, make.budget))


def _filter(keep: bool) -> Callable[[Values, list[str]], str]:
    def run(make: Values, args: list[str]) -> str:
        patterns = args[0].split()
        words = args[1].split() if len(args) > 1 else []
        make.budget.spend(1 + len(words) * len(patterns) // 8)
        return " ".join(one for one in words if any(matches(p, one) is not None for p in patterns) == keep)

    return run


def _number(text: str) -> int:
    text = text.strip()
    return int(text[:9]) if text.isdigit() else 0


def _words(make: Values, args: list[str]) -> str:
    start, end = _number(args[0]), _number(args[1]) if len(args) > 1 else 0
    return " ".join(args[2].split()[max(start - 1, 0) : end]) if len(args) > 2 else ""


def _word(make: Values, args: list[str]) -> str:
    words, at = args[1].split() if len(args) > 1 else [], _number(args[0])
    return words[at - 1] if 0 < at <= len(words) else ""


def _join(make: Values, args: list[str]) -> str:
    left, right = args[0].split(), args[1].split() if len(args) > 1 else []
    pairs = [
        (left[at : at + 1] or [""])[0] + (right[at : at + 1] or [""])[0] for at in range(max(len(left), len(right)))
    ]
    return " ".join(pairs)


def _path(make: Values, args: list[str]) -> str:
    return " ".join(absolute(word, make.directory) if is_known(word) else word for word in args[0].split())


def _second(args: list[str]) -> list[str]:
    return args[1].split() if len(args) > 1 else []


def _base(word: str) -> str:
    return word[: len(word) - len(_suffix(word))] if _suffix(word) else word


#: Functions whose arguments are all expanded first: name → (greatest number of arguments, 0 any; what it does).
FUNCTIONS: dict[str, tuple[int, Callable[[Values, list[str]], str]]] = {
    "wildcard": (1, _wildcard),
    "patsubst": (3, lambda make, args: substitute(args[2], args[0].strip(), args[1].strip()) if len(args) > 2 else ""),
    "subst": (3, lambda make, args: args[2].replace(args[0], args[1]) if len(args) > 2 and args[0] else ""),
    "notdir": (1, _each(os.path.basename)),
    "dir": (1, _each(lambda word: os.path.dirname(word) + "/" if "/" in word else "./")),
    "basename": (1, _each(_base)),
    "suffix": (1, _each(_suffix)),
    "addprefix": (2, lambda make, args: " ".join(args[0] + word for word in _second(args))),
    "addsuffix": (2, lambda make, args: " ".join(word + args[0] for word in _second(args))),
    "strip": (1, lambda make, args: " ".join(args[0].split())),
    "filter": (2, _filter(True)),
    "filter-out": (2, _filter(False)),
    "sort": (1, lambda make, args: " ".join(sorted(set(args[0].split())))),
    "word": (2, _word),
    "wordlist": (3, _words),
    "words": (1, lambda make, args: str(len(args[0].split()))),
    "firstword": (1, lambda make, args: (args[0].split() or [""])[0]),
    "lastword": (1, lambda make, args: (args[0].split() or [""])[-1]),
    "join": (2, _join),
    "abspath": (1, _path),
    "realpath": (1, _path),
    "findstring": (2, lambda make, args: args[0] if len(args) > 1 and args[0] in args[1] else ""),
    "shell": (1, lambda make, args: make.shell_output(args[0])),
    "error": (1, lambda make, args: ""),
    "warning": (1, lambda make, args: ""),
    "info": (1, lambda make, args: ""),
    "file": (1, lambda make, args: ""),
}
#: Functions that expand their arguments themselves.
LAZY = frozenset(("foreach", "if", "or", "and", "call", "eval", "origin", "flavor", "value"))


def lines_of(text: str, first: int) -> list[tuple[int, str]]:
    """Return (number, line) with continued lines joined; in recipes the shell joins them itself."""
    found: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), first):
        start = start if pending else number
        body = line.strip() if pending and not pending.startswith("\t") else line
        if line.endswith("\\") and not line.endswith("\\\\"):
            pending += body[:-1] + " "
            continue
        found.append((start, pending + body))
        pending = ""
    if pending:
        found.append((start, pending))
    return found


def without_comment(line: str) -> str:
    """Return a line of a makefile without its comment."""
    at = line.find("#")
    while at > 0 and line[at - 1] == "\\":
        at = line.find("#", at + 1)
    return line if at < 0 or "$(shell" in line[:at] or "'" in line[:at] else line[:at]
