"""A text as people paste it, made readable again: quote marks, colours, entities and wrapped lines undone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Match

_REPLACE = (
    ("\r\n", "\n"), ("\r", "\n"), ("\u00a0", " "), ("\u200b", ""), ("\ufeff", ""), ("\u2028", "\n"),
    ("&quot;", '"'), ("&apos;", "'"), ("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"),
    ("\u201c", '"'), ("\u201d", '"'), ("\u2018", "'"), ("\u2019", "'"), ("\u00b4", "'"),
    ("\uff1a", ": "), ("\uff1b", "; "),
)  # fmt: skip

#: A colour whose escape character was written out, or lost on the way.
_LOST_COLOUR = r"(?:\^\[|\u241b|\\x1[bB]|\\u001[bB]|\\033|\\e)?\[(?:[0-9]{1,3};){0,4}[0-9]{1,3}m"

#: Longest text that is looked at: a log's end and its beginning hold what matters.
LIMIT = 100_000


def clean(text: str) -> str:
    """``text`` without colours, quote prefixes, entities, smart quotes and escaped line ends.

    At most ``LIMIT`` characters are kept (the first and the last halves), so that a parse is bounded.
    """
    import re

    if len(text) > LIMIT:
        text = text[: LIMIT // 2] + "\n" + text[-LIMIT // 2 :]
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b\n]{0,300}(?:\x07|\x1b\\)", "", text)
    text = re.sub(_LOST_COLOUR, "", text)
    if "<" in text:
        text = re.sub(r"<br ?/?>\n?", "\n", text)
        text = re.sub(r"</?(?:pre|code|p|div|span|b|strong|em|i|li|td|tr|blockquote)(?: [^<>\n]{0,200})?>", "", text)
    if "&#" in text:
        text = re.sub(r"&#(?:x([0-9A-Fa-f]{1,5})|([0-9]{1,6}));", _character, text)
    if text.count("%2F") + text.count("%2f") >= 3:  # the words of a search, copied out of a browser's address
        from urllib.parse import unquote_plus

        text = unquote_plus(text)
    elif text.count("%20") >= 2:
        from urllib.parse import unquote

        text = unquote(text)
    if "\\" in text:
        text = _unescaped(text)
    for old, new in _REPLACE:
        if old in text:
            text = text.replace(old, new)
    return "\n".join(_line(line) for line in text.split("\n"))


#: A backslash that begins no escape: there is a path of Windows in the text.
_PATH = r"(?<!\\)\\[A-Zac-dfg-mo-qswyz0-9.]|(?<![A-Za-z])[A-Za-z]:\\(?!\\)"


def _unescaped(text: str) -> str:
    """A string constant of JSON, Python or C, or of markdown, read as what it stands for.

    A backslash of a Windows path stays: it is doubled in a constant; elsewhere ``_PATH`` tells.
    """
    import re

    text = text.replace("\\'", "'").replace('\\"', '"')
    if text.count("\\_") > 1 and text.count("\\_") == text.count("_"):
        text = text.replace("\\_", "_")
    literal = re.search(_PATH, text) is None
    if literal:
        text = text.replace("\\\\", "\x00")
        text = re.sub(r"\\u([0-9A-Fa-f]{4})", _character, text)
        text = text.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\t", "\t")
        text = re.sub(r"\\([_*\[\]`<>~#-])", r"\1", text)
    else:
        text = re.sub(r"\\n(?=\s|Ref|Reas|Exp|Tra|Imp|OSE|$)", "\n", text)
        text = re.sub(r"(?<![\w:.\\/])\\t(?=\S)", "\t", text)
    return text.replace("\x00", "\\").replace("\\\\", "\\")


def _character(match: Match[str]) -> str:
    code = int(match.group(1), 16) if match.group(1) else int(match.group(2))
    return chr(code) if 31 < code < 0xD800 or 0xDFFF < code < 0x110000 else " "


#: When: RFC 3339 and its kin, syslog, Android's logcat.
_TIME = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,60} [\w./-]{1,60}(?:\[\d+\])?:"
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d+ +\d+ [VDIWEF] [\w.]{1,60} *:"
)
#: What mail, pytest, MPI, ray, Docker, Kubernetes, GitHub and log viewers put before a line; pieces may be repeated.
_PREFIX = (
    r"[ \t]{0,40}(?:(?:>+|\||\u2502|\u2551|#{1,2}(?=\s|\[)|E {2,3}|\[\d+(?:,\d+)?\]<std(?:err|out)>:?"
    r"|\((?:pid=|[A-Za-z]\w{0,40} pid=)\d+[^)]{0,80}\)|std(?:err|out)(?::| [FP] )|\d{1,4}\)"
    r"|\[(?:error|warning|debug|ERROR|WARN|WARNING|INFO|DEBUG|FATAL|CRITICAL)\]:?|\d{1,4}  (?=\S)"
    r"|[\w.-]{1,60} *\|(?= |$)|" + _TIME + r")[ \t]?)+"
)


def _line(line: str) -> str:
    """One line without its prefix and without the right side of a box."""
    import re

    match = re.match(_PREFIX, line[:300])
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


def recased(text: str) -> str:
    """``text`` with the loader's words and versions in the letters that it uses, however somebody typed them."""
    import re

    from dlrepair.diagnose.glibc import PHRASES

    phrases = [words for words, _, _ in PHRASES if words[0].islower()] + ["version", "not found"]
    pattern = "|".join(re.escape(words) for words in phrases)
    text = re.sub(pattern, lambda match: match.group(0).lower(), text, flags=re.I)
    return re.sub(r"\b(?:glibc|glibcxx|cxxabi|openssl)_(?=\d)", lambda match: match.group(0).upper(), text, flags=re.I)
