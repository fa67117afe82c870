"""A text as people paste it, made readable again: quote marks, colours, entities and wrapped lines undone."""

from __future__ import annotations

from dlrepair.diagnose import prefixes

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
    """``text`` without colours, quote prefixes, entities, smart quotes and escaped line ends."""
    return bare(readable(text))


def bare(text: str) -> str:
    """``text`` without what logs, mail and viewers put before each line."""
    return "\n".join(prefixes.strip(text.split("\n")))


def readable(text: str) -> str:
    """``text`` without colours, entities, smart quotes, escapes and the braces of structured logs.

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
    if "](" in text:  # a link of markdown, as editors make it of a path
        text = re.sub(r"\[([^\[\]\n]{1,1000})\]\([a-z][a-z0-9+.-]{1,20}:[^()\s]{1,2000}\)", r"\1", text)
    if "directory_" in text:  # italics of markdown
        text = re.sub(r"(?<![^\s(])_(\S[^\n]{0,2000}?file or directory)_(?!\w)", r"\1", text)
    if "&#" in text:
        text = re.sub(r"&#(?:x([0-9A-Fa-f]{1,5})|([0-9]{1,6}));", _character, text)
    if text.count("%2F") + text.count("%2f") >= 3:  # the words of a search, copied out of a browser's address
        from urllib.parse import unquote_plus

        text = unquote_plus(text)
    elif text.count("%20") >= 2:
        from urllib.parse import unquote

        text = unquote(text)
    text = _of_records(text)
    if "\\" in text:
        text = _unescaped(text)
    for old, new in _REPLACE:
        if old in text:
            text = text.replace(old, new)
    return _uncoded(text)


def _of_records(text: str) -> str:
    """What JSON or logfmt says, each string on lines of its own; other text as it is."""
    if text.lstrip()[:1] == "{" and text.rstrip()[-1:] == "}":
        whole = _strings(text)
        if whole:
            return "\n".join(whole)
    if '{"' not in text and 'msg="' not in text:
        return text
    return "\n".join(_of_record(line) for line in text.split("\n"))


def _of_record(line: str) -> str:
    import re

    if line.lstrip()[:2] == '{"' and line.rstrip()[-1:] == "}":
        return "\n".join(_strings(line)) or line
    said = re.search(r'(?<!\w)msg=("(?:[^"\\]|\\.){1,20000}")', line)
    return "\n".join(_strings(said.group(1))) or line if said else line


def _strings(text: str) -> list[str]:
    """The strings of a JSON document, keys left out; [] for other text."""
    import json

    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    while waiting and len(found) < 2000:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, str):
            found.append(value)
    return found


def _uncoded(text: str) -> str:
    """``text`` with each piece that is set as code on lines of its own; glibc's own quotes are `THESE'."""
    import re

    if "`" not in text:
        return text
    span = r"(?<!`)`{1,3}([^`\n]{1,4000})`{1,3}"
    return re.sub(
        span, lambda match: match.group(0) if match.group(1).count("'") % 2 else "\n" + match.group(1) + "\n", text
    )


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

    phrases = {words.lower(): words for words, _, _ in PHRASES if words[0].islower()}
    phrases.update({"version": "version", "not found": "not found"})
    pattern = "|".join(re.escape(words) for words in phrases)
    text = re.sub(r"\bcan not (?=open|load|allocate|enable|restore|map)", "cannot ", text, flags=re.I)
    text = re.sub(r"(?<=cannot open shared) (?=file\b)", " object ", text, flags=re.I)
    text = re.sub(r"\bundefined (?:s[iy]m?bol|symbl|symobl|smybol)\b ?:?", "undefined symbol:", text, flags=re.I)
    text = re.sub(pattern, lambda match: phrases.get(match.group(0).lower(), match.group(0)), text, flags=re.I)
    return re.sub(r"\b(?:glibc|glibcxx|cxxabi|openssl)_(?=\d)", lambda match: match.group(0).upper(), text, flags=re.I)
