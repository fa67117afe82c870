"""Shell patterns in bounded time: ``fnmatch`` takes exponential time for some of them before CPython 3.9."""

from __future__ import annotations


def fits(text: str, pattern: str) -> bool:
    """Tell whether the whole of ``text`` fits a pattern of ``*``, ``?`` and ``[…]``.

    Greedy with one step back to the last star: time is at most the product of both lengths.
    """
    items = _items(pattern)
    at = index = 0
    star, mark = -1, 0
    while at < len(text):
        if index < len(items) and items[index] is None:
            star, mark = index, at
            index += 1
        elif index < len(items) and _one(items[index] or ("", True), text[at]):
            at += 1
            index += 1
        elif star >= 0:
            mark += 1
            at, index = mark, star + 1
        else:
            return False
    return all(item is None for item in items[index:])


def _one(item: tuple[str, bool], char: str) -> bool:
    chars, negated = item
    return (char in chars) != negated


def _items(pattern: str) -> list[tuple[str, bool] | None]:
    """Return one item a position: None for a star, else (characters, whether they are excluded)."""
    found: list[tuple[str, bool] | None] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find("]", at + 2) if char == "[" else -1
        if char == "*":
            if not found or found[-1] is not None:
                found.append(None)
        elif char == "?":
            found.append(("", True))
        elif end > 0:
            negated = pattern[at + 1] in "!^"
            found.append((_spread(pattern[at + 1 + negated : end]), negated))
            at = end
        else:
            found.append((char, False))
        at += 1
    return found


def _spread(chars: str) -> str:
    """Return the characters of a bracket expression with ranges written out."""
    found, at = "", 0
    while at < len(chars):
        if chars[at + 1 : at + 2] == "-" and at + 2 < len(chars):
            first, last = ord(chars[at]), ord(chars[at + 2])
            found += "".join(chr(code) for code in range(first, min(last, first + 255) + 1))
            at += 3
        else:
            found += chars[at]
            at += 1
    return found
