"""Cutting names out of loader messages: where an object's name begins and where a symbol ends.

String methods only: the plain messages of glibc are understood without importing ``re``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Match

#: File name endings of loadable code. A versioned ``.so.1.2`` contains ``.so.``.
SUFFIXES = (".so", ".dylib", ".dll", ".pyd", ".node", ".bundle", ".o", ".a", ".ocx", ".sl")

_QUOTES = "'\"`\u2018\u2019\u201c\u201d\u00b4"
_SYMBOL_END = " \t\r\n'\"`)],;\u2018\u2019\u201c\u201d<>|"


#: How far around a keyword a pattern may reach, and how many keywords are looked at: bounds the time of a search.
REACH = 600
MAX_HITS = 8


def search_near(pattern: str, text: str, keyword: str) -> tuple[Match[str], int] | None:
    """(first match of ``pattern`` around an occurrence of ``keyword``, offset of the window it was found in)."""
    import re

    at = text.find(keyword)
    for _ in range(MAX_HITS):
        if at < 0:
            return None
        start = max(0, at - REACH)
        match = re.search(pattern, text[start : at + REACH])
        if match:
            return match, start
        at = text.find(keyword, at + REACH)
    return None


class Found:
    """One message of a loader inside a text.

    ``weight`` says how much the message tells (a symbol name more than "not found");
    ``facts`` holds what only the ranking of causes needs.
    """

    __slots__ = ("facts", "kind", "missing", "obj", "platform", "pos", "weight")

    def __init__(
        self,
        kind: str,
        obj: str | None = None,
        missing: str | None = None,
        pos: int = 0,
        weight: int = 5,
        platform: str = "",
        **facts: str,
    ) -> None:
        self.kind = kind
        self.obj = obj or None
        self.missing = missing or None
        self.pos = pos
        self.weight = weight
        self.platform = platform
        self.facts = facts

    def __repr__(self) -> str:
        return "Found({}, {}, {}, {})".format(self.kind, self.obj, self.missing, self.facts)


def base_name(name: str) -> str:
    """The last component of a POSIX or Windows path."""
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def is_library(name: str | None) -> bool:
    """Whether a name ends as the name of loadable code does (``libx.so.1.2`` included)."""
    if not name:
        return False
    last = base_name(name).lower()
    return last.endswith(SUFFIXES) or ".so." in last or ".framework/" in name


def is_path(name: str | None) -> bool:
    """Whether a name has a directory part: ld.so then searches nowhere (dlopen(3))."""
    return bool(name) and ("/" in str(name) or "\\" in str(name))


def strip_marks(token: str) -> str:
    """A token without the quotes, brackets and colons that wrap it in prose."""
    token = token.strip().strip(_QUOTES).strip("*").rstrip(",;:")
    for opening, closing in (("(", ")"), ("[", "]"), ("{", "}"), ("<", ">")):
        if token.startswith(opening) and closing not in token[:-1]:
            token = token[1:]
        if token.endswith(closing) and opening not in token:
            token = token[:-1]
    token = token.rstrip(",;:").strip(_QUOTES)
    if token.startswith(("u'", "b'")):
        token = token[2:]
    return token.strip()


def _after_last(head: str, marks: tuple[str, ...]) -> str:
    cut = 0
    for mark in marks:
        at = head.rfind(mark)
        if at >= 0 and at + len(mark) > cut:
            cut = at + len(mark)
    return head[cut:]


def _path_of_words(token: str) -> str:
    """The path in a run of words: from the last word that begins one, else the last word.

    A directory name may hold blanks, so the words after the path's beginning belong to it.
    """
    words = token.split(" ")
    start = len(words) - 1
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        if word.startswith(("/", "./", "../", "~/", "@rpath/", "@loader_path/", "$ORIGIN")) and word != "/...":
            start = index
            break
    return " ".join(words[start:])


def object_before(text: str, pos: int) -> str | None:
    """The object name that stands before ``pos`` on its line, as the text writes it, or None."""
    start = text.rfind("\n", 0, pos) + 1
    head = text[start:pos].rstrip().rstrip(":").rstrip()
    if not head and start > 1:  # the message began on the line before
        end = start - 1
        start = text.rfind("\n", 0, end) + 1
        head = text[start:end].rstrip().rstrip(":").rstrip()
        if not is_library(_path_of_words(_after_last(head, (": ",)))):
            return None
    if not head:
        return None
    if head[-1] in _QUOTES:
        opening = max(head.rfind(mark, 0, len(head) - 1) for mark in _QUOTES)
        token = head[opening + 1 : -1] if opening >= 0 else head[:-1]
    else:
        token = _after_last(head, (": ", "; ", "'", '"', "`", "| ", "= ", ", ", "\t", "[", "\u2018"))
        paren = token.rfind("(")
        if paren >= 0 and ")" not in token[paren:]:
            token = token[paren + 1 :]
    token = _path_of_words(token.strip())
    if ":" in token:  # Error:libx.so, target:/usr/lib/libx.so, no drive letter and no part of a path
        before, _, last = token.rpartition(":")
        label = (len(before) > 1 and "/" not in before) or not is_library(token)
        token = last if is_library(last) and label else token
    token = _with_wrapped_head(text, start, head, strip_marks(token))
    if token.endswith(("Error", "Exception", "Warning")) and not is_path(token):
        return None
    return token or None


def _with_wrapped_head(text: str, start: int, head: str, token: str) -> str:
    """``token`` with the part of its path that a terminal's line break left on the line before."""
    if not token or not head.startswith(token) or start < 2 or token.startswith(("/", "./", "../", "~")):
        return token
    before = text[text.rfind("\n", 0, start - 1) + 1 : start - 1]
    last = before.rsplit(" ", 1)[-1]
    if len(before) < 40 or "/" not in last or is_library(last) or before.endswith((" ", ":", ",", "'", '"', ";", ")")):
        return token
    return strip_marks(_after_last(last, ("'", '"', "(", "["))) + token


def opener(before: str, missing: str | None) -> str | None:
    """``A`` of ``A: B: cannot open …``, as Java and others put the library asked for before ld.so's words."""
    pieces = before.rstrip(": ").split(": ")
    if len(pieces) < 2:
        return None
    name = strip_marks(pieces[-2].rsplit(" ", 1)[-1])
    return name if is_library(name) and base_name(name) != missing else None


def word_after(text: str, pos: int) -> str:
    """The word (symbol, file name) that begins at or after ``pos``; "" at the end of the text."""
    size = len(text)
    while pos < size and text[pos] in " \t\r\n'\"`:(*\u2018\u201c":
        pos += 1
    end = pos
    while end < size and text[end] not in _SYMBOL_END:
        end += 1
    return text[pos:end].rstrip(".:*?!\u2026")


def line_of(text: str, pos: int) -> str:
    """The whole line that holds ``pos``."""
    start = text.rfind("\n", 0, pos) + 1
    end = text.find("\n", pos)
    return text[start:] if end < 0 else text[start:end]
