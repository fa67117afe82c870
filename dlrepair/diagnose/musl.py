"""Messages of musl's dynamic linker (ldso/dynlink.c)."""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

_REASONS = (
    ("No such file or directory", "not-found"),
    ("Exec format error", "bad-header"),
    ("Permission denied", "permission"),
    ("Operation not permitted", "map-failed"),
    ("Too many levels of symbolic links", "link-loop"),
    ("Symbolic link loop", "link-loop"),
    ("Out of memory", "no-memory"),
    ("Cannot allocate memory", "no-memory"),
    ("Input/output error", "cannot-read"),
    ("I/O error", "cannot-read"),
)


def scan(text: str) -> list[Found]:
    """Every message of musl in a text."""
    loading = _loading(text)
    lacking = any(item.facts["needer"] for item in loading)
    found = loading + _relocating(text, 8 if lacking else 10) + _no_function(text) + _without_object(text)
    if "Dynamic loading not supported" in text:
        at = text.find("Dynamic loading not supported")
        found.append(Found("unknown", None, None, at, 8, "musl", static="yes"))
    return found


def _loading(text: str) -> list[Found]:
    """``Error loading shared library L: REASON (needed by X)``."""
    found = []
    words = "Error loading shared library "
    at = text.find(words)
    while at >= 0:
        line = text[at + len(words) : at + 2000].split("\n")[0]
        name, _, tail = line.partition(": ")
        if not tail:  # the name was left out, the reason was not
            name, tail = _around_reason(line)
        name = cut.strip_marks(name)
        kind = "not-found"
        for reason, reason_kind in _REASONS:
            if tail.startswith(reason):
                kind = reason_kind
        needer = ""
        if "(needed by" in line:
            needer = cut.strip_marks(line.split("(needed by", 1)[1].split(")")[0])
        broken = kind != "not-found"
        obj = name if broken or not needer else needer
        missing = None if broken else cut.base_name(name)
        found.append(Found(kind, obj, missing, at, 9, "musl", needer=needer, reason=tail[:60]))
        at = text.find(words, at + 1)
    return found


def _around_reason(line: str) -> tuple[str, str]:
    """What stands before a reason, dots for a name that was left out taken off, and the rest of the line."""
    at = min((found for found in (line.find(reason) for reason, _ in _REASONS) if found >= 0), default=-1)
    return (line[:at].strip(" .:\u2026"), line[at:]) if at >= 0 else (line, "")


def _no_function(text: str) -> list[Found]:
    """``Symbol not found: S`` of dlsym(3); dyld writes the same words before a name that begins with ``_``."""
    words = "Symbol not found: "
    at = text.find(words)
    symbol = cut.word_after(text, at + len(words)) if at >= 0 else ""
    if not symbol or symbol.startswith("_") or "Referenced from" in text or "dlopen(" in text or "dyld" in text:
        return []
    return [Found("undefined-symbol", None, symbol, at, 9, "musl", state="dlsym")]


def _without_object(text: str) -> list[Found]:
    """``S: symbol not found``, the end of a message whose beginning was not copied."""
    at = text.find(": symbol not found")
    word = text[:at].rsplit(None, 1)[-1] if at > 0 and text[:at].split() else ""
    if "Error relocating " in text or "dlsym(" in text or not word.isidentifier():
        return []
    return [Found("undefined-symbol", None, word, at, 6, "musl")]


def _relocating(text: str, weight: int) -> list[Found]:
    """``Error relocating X: S: symbol not found`` and its relatives.

    They are consequences (``weight``) where a library that is needed was not found: musl goes on and counts up
    all that would have come from it.
    """
    found = []
    words = "Error relocating "
    at = text.find(words)
    count = 0
    while at >= 0 and count < 32:
        line = text[at + len(words) : at + 4000].split("\n")[0]
        obj, _, tail = line.partition(": ")
        obj = cut.strip_marks(obj.replace(" .so", ".so"))  # a line break before the ending
        obj = obj if cut.is_path(obj) or obj.replace(".", "").isalnum() else ""
        symbol = tail.split(": ")[0].strip() if ": " in tail else ""
        if "initial-exec TLS" in tail:
            found.append(Found("static-tls", obj, None, at, 10, "musl"))
        elif "symbol not found" in tail:
            found.append(Found("undefined-symbol", obj, symbol, at, weight, "musl"))
        elif not tail:  # cut off: as a rule a symbol follows
            found.append(Found("undefined-symbol", None if obj.endswith("/") else obj, None, at, 4, "musl"))
        else:
            found.append(Found("bad-header", obj, None, at, 8, "musl"))
        at = text.find(words, at + 1)
        count += 1
    return found
