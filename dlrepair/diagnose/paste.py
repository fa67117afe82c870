"""A text as people paste it, made readable again: quote marks, colours, entities and wrapped lines undone."""

from __future__ import annotations

_REPLACE = (
    ("\r\n", "\n"), ("\r", "\n"), ("\u00a0", " "), ("\u200b", ""), ("\ufeff", ""), ("\u2028", "\n"),
    ("&quot;", '"'), ("&#39;", "'"), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"),
    ("\\'", "'"), ('\\"', '"'), ("\u201c", '"'), ("\u201d", '"'), ("\u2018", "'"), ("\u2019", "'"), ("\u00b4", "'"),
    ("\uff1a", ": "), ("\uff1b", "; "),
)  # fmt: skip

#: Longest text that is looked at: a log's end and its beginning hold what matters.
LIMIT = 100_000


def clean(text: str) -> str:
    """``text`` without colours, quote prefixes, entities, smart quotes and escaped line ends.

    At most ``LIMIT`` characters are kept (the first and the last halves), so that a parse is bounded.
    """
    import re

    if len(text) > LIMIT:
        text = text[: LIMIT // 2] + "\n" + text[-LIMIT // 2 :]
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for old, new in _REPLACE:
        if old in text:
            text = text.replace(old, new)
    if "\\n" in text:
        text = re.sub(r"\\n(?=\s|Ref|Reas|Exp|Tra|Imp|OSE|$)", "\n", text)
    if "\\\\" in text:
        text = text.replace("\\\\", "\\")
    return "\n".join(_line(line) for line in text.split("\n"))


#: What mail, pytest, MPI, ray and log viewers put before a line; every piece may be repeated.
_PREFIX = (
    r"[ \t]{0,40}(?:(?:>+|\||\u2502|\u2551|#|E {2,3}|\[\d+(?:,\d+)?\]<std(?:err|out)>:?"
    r"|\((?:pid=|[A-Za-z]\w{0,40} pid=)\d+[^)]{0,80}\)|std(?:err|out):|\d{1,4}\))[ \t]?)+"
)


def _line(line: str) -> str:
    """One line without its prefix and without the right side of a box."""
    import re

    head = line[:300]
    if head.strip(" \t")[:1] in tuple(">|\u2502\u2551#E[(s0123456789"):
        match = re.match(_PREFIX, head)
        if match:
            line = line[match.end() :]
    stripped = line.rstrip()
    return stripped.rstrip("\u2502\u2551").rstrip() if stripped.endswith(("\u2502", "\u2551")) else line


def joined(text: str) -> tuple[str, str]:
    """``text`` with its line ends taken out, and with blanks in their place.

    A terminal breaks a line in the middle of a word, a mail program between words.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    return "".join(line.lstrip() if index else line for index, line in enumerate(lines)), " ".join(
        line.strip() for line in lines
    )
