"""Line breaks that a terminal or a mail program put into a message, taken out again."""

from __future__ import annotations

#: Widths at which terminals, mail programs and log viewers break lines.
_WIDTHS = (72, 76, 78, 79, 80, 100, 120, 132, 140, 150, 160)

#: What begins a line of its own: a new record of a log, a frame of a traceback, a field of dyld's message.
_FRESH = (
    r"\s{2,}|\d{4}-\d\d-\d\d|\[[A-Z\d]|Traceback |File \"|[\w.]*(?:Error|Exception|Warning)\b|(?:ERROR|WARNING)\b"
    r"|dyld\b|Referenced from|Expected in|Reason:|Did find|During handling|The above exception|[-+=*#]{3}|at \w"
    r"|\$ |Error |>>>|\)|(?:\(\S{1,40}\) )?[\w.-]{1,40}@[\w.-]{1,60}:\S{0,100}[$#%](?:\s|$)"
)

#: A line that ends so was cut by whoever pasted it.
_CUT_OFF = ("...", "\u2026")


def _is_over(line: str, following: str) -> bool:
    """Whether a line ends where a message may end: cut off, or with a whole mangled name before a word of prose."""
    word = line.rsplit(" ", 1)[-1]
    if word.startswith(("_Z", "__Z")):
        from dlrepair.diagnose import mangled

        return following.split(" ", 1)[0].rstrip(":").isalpha() and " " in following and not mangled.is_cut(word)
    return line.endswith(_CUT_OFF)


def has_prefixes(raw: str, bare: str) -> bool:
    """Whether most lines begin with what is not of the message: one that was broken then goes on behind that."""
    pairs = [(one, other) for one, other in zip(raw.split("\n"), bare.split("\n")) if one.strip()]
    return len(pairs) > 1 and sum(one != other for one, other in pairs) * 4 > len(pairs) * 3


def at_width(text: str) -> str:
    """``text`` with the breaks of a terminal taken out: a line that is as long as the widest goes on in the next.

    Left alone where no line or only one of an unusual width is that long.
    """
    import re

    lines = text.split("\n")
    width = max(map(len, lines))
    full = [index for index, line in enumerate(lines[:-1]) if len(line) == width]
    if not 40 <= width <= 400 or not full or (len(full) < 2 and width not in _WIDTHS):
        return text
    fresh = re.compile(_FRESH)
    out = [lines[0]]
    for index, line in enumerate(lines[1:]):
        before = lines[index]
        alike = before[:20] == line[:20]
        ended = (before.endswith(".") and line[:1].isupper()) or _is_over(before, line)
        if len(before) == width and line.strip() and not alike and not ended and not fresh.match(line):
            out[-1] += line
        else:
            out.append(line)
    return "\n".join(out)


def at_words(text: str) -> str:
    """``text`` with breaks between words taken out, where the next word would not have fitted on the line."""
    import re

    lines = text.split("\n")
    width = max([len(line.rstrip()) for line in lines if " " in line.strip()] or [0])
    if not 30 <= width <= 400 or len(lines) < 2:
        return text
    fresh = re.compile(_FRESH)
    out = [lines[0]]
    for index, line in enumerate(lines[1:]):
        before = lines[index].rstrip()
        word = line.split(" ", 1)[0]
        full = len(before) + 1 + len(word) > width
        if word and before and full and not fresh.match(line) and not before.endswith(_CUT_OFF):
            out[-1] = out[-1].rstrip() + " " + line
        else:
            out.append(line)
    return "\n".join(out)


def in_paths(text: str) -> str:
    """``text`` with the breaks taken out that cut a path of a loader's message after one of its marks."""
    import re

    if "\n" not in text or len(text) > 100000:
        return text
    cut_path = re.compile(
        r"(?:dlopen\(|not loaded: |Referenced from: |Expected in: |Error: )(?:[^\n]{0,300} )?\S*/(?:\S*[-_])?$"
    )
    fresh = re.compile(_FRESH.replace(r"\s{2,}|", "", 1))
    lines = text.split("\n")
    out = [lines[0]]
    for line in lines[1:]:
        begun = line.lstrip()
        if (
            begun[:1]
            and (begun[0].isalnum() or begun[0] == "_")
            and not fresh.match(begun)
            and cut_path.search(out[-1][-600:].rstrip())
        ):
            out[-1] = out[-1].rstrip() + begun
        else:
            out.append(line)
    return "\n".join(out)


def flattened(text: str) -> str:
    """``text`` with the line ends of a traceback or of dyld's message, where somebody pasted all on one line."""
    import re

    if len(text) < 40 or "\n" in text.strip() or len(text) > 20000:
        return text
    text = re.sub(r'( File "[^"]{1,300}", line \d{1,6}, in \S+) ', r"\n\1\n    ", text)
    begins = (
        r"Traceback \(most recent|[A-Z]\w{0,40}(?:Error|Exception): "
        r"|Referenced from: |Reason: |Expected in: |During handling "
    )
    return re.sub(r"(?<=\S) {1,8}(?=" + begins + ")", "\n", text)
