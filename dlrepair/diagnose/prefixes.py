"""What logs, launchers, mail and viewers put before each line of a message, taken off again.

Two ways: a grammar of the usual pieces, and what all lines of a text have in common once digits are alike.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Match, Pattern

#: When: RFC 3339 and its kin, PHP's, Spark's, syslog, Android's logcat, Go's and abseil's, a clock alone.
_TIME = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,12})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?:?"
    r"|\[?\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?: [A-Z]{3})?\]?|\d\d/\d\d/\d\d \d\d:\d\d:\d\d"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,60} [\w./-]{1,60}(?:\[\d+\])?:"
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d+ +\d+ [VDIWEF] [\w.]{1,60} *:|\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|[EWIF]\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d+ [\w./-]{1,80}:\d+\]|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?(?=\s)"
)

#: How bad, with what may separate it from the rest.
_LEVEL = (
    r"(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|FATAL|CRITICAL|SEVERE|NOTICE"
    r"|(?:[Ee]rror|[Ww]arning|[Ii]nfo|[Dd]ebug)(?=[:|\]]))"
)

#: In brackets: a level, a rank, a node, a pod, a logger; never what a system error begins with.
_BRACKETS = r"\[" + _LEVEL + r"\]:?|\[(?!Errno|WinError|Error \d|\.\.\.)[A-Za-z0-9_./:@, #$-]{1,80}\](?::|(?=[\s\[(]))"

#: Words of a loader or of an exception, which are no logger's name.
_NO_LOGGER = (
    r"(?!\S*\.(?:so|dylib|dll|node|pyd|o)\b|[\w.$]*(?:Error|Exception|Warning)\b"
    r"|Reason|Cause|Message|tried|file|[Ll]ibrary|[Ss]ymbol|dyld|dlopen|python|what)"
)
_NO_PROGRAM = (
    r"(?! (?:error while|symbol lookup|relocation error|undefined symbol|cannot|version|wrong|invalid|file too))"
)

#: Who speaks, behind a time or a level: ``c.a.Loader :``, ``app[web.1]:``, ``12#12:``, ``--- [main] c.a.B :``.
_LOGGER = (
    r"- |\d{1,7} (?=--- )|--- |[\w.$-]{1,60}\[[\w.]{1,20}\]:|\d+#\d+:|\d\d[OE] (?=\S)"
    r"|(?!\S*dso_loader|[EWIF] \S*dso_loader)(?:[EWIF] )?[\w./-]{1,80}:\d+\]|"
    + _NO_LOGGER
    + r"[A-Za-z][\w.$-]{1,59}(?::[\w<>.]{1,60}){0,2}(?: :| -(?=\s)|:(?=\s)"
    + _NO_PROGRAM
    + r")"
)

#: What stands by itself: quotes, boxes, prompts, bullets, numbered lines, the names of containers.
_ALONE = (
    r">+|\|>?|\u2502|\u2551|#{1,2}(?=\s|\[)|E {2,3}|\[\d+(?:,\d+)?\]<std(?:err|out)>:?"
    r"|\((?:pid=|[A-Za-z]\w{0,40} pid=)\d+[^)]{0,80}\)|std(?:err|out)(?::| [FP] )|\d{1,4}[):](?=\s)|\d{1,4}  (?=\S)"
    r"|[\w.-]{1,60} *\|(?= |$)|npm ERR!|#\d{1,3} \d+\.\d{1,3}|PS [A-Z]:\\>|[-+](?= )|\*(?= )|\*{2,3}(?=\S)|error:(?= )"
)


def _grammar() -> str:
    alone, gap = "(?:" + _ALONE + ")", "[ \t]?"
    level = (
        _LEVEL + r"(?::[A-Za-z]\w{0,40}:|\s{0,8}[|\]]|:(?=\s)|(?= {1,8}" + _NO_LOGGER + r"[A-Za-z][\w.$-]{1,59} ?:\s))"
    )
    opening = "(?:" + "|".join((_TIME, _BRACKETS, level)) + ")"
    more = "(?:" + "|".join((_LEVEL + r"(?=[\s:|\]-])\s{0,8}[:|\]-]?", _BRACKETS, _TIME, _ALONE, _LOGGER)) + ")"
    log = opening + gap + "(?:" + more + gap + "){0,8}"
    several = alone + "(?:[ \t]{0,6}" + alone + "){0,5}" + gap
    return "[ \t]{0,40}(?:" + several + "(?:" + log + ")?|" + log + ")"


#: A mail's quote or the side of a box, and an editor's number of a line.
_MARK = r"[ \t]{0,3}(?:>|\||\u2502) ?"
_NUMBER = r"[ \t]{0,8}(?P<number>\d{1,5})(?:[:|)]| ?[|\u2502])?(?=\s|$)"


def unmarked(text: str) -> str:
    """``text`` without the marks or the numbers with which all its lines begin, and no more: widths stay comparable."""
    import re

    for _ in range(3):
        lines = text.split("\n")
        said = [line for line in lines if line.strip()]
        if len(said) < 2:
            break
        if re.match(_MARK, said[0]) and all(re.match(_MARK, line[:8]) for line in said):
            text = "\n".join(re.sub("^" + _MARK, "", line[:8]) + line[8:] for line in lines)
            continue
        numbers = [re.match(_NUMBER, line[:20]) for line in said]
        counted = [int(match.group("number")) for match in numbers if match]
        if len(counted) < len(said) or any(one + 1 != two for one, two in zip(counted, counted[1:])):
            break
        rest = [line[match.end() :] for line, match in zip(said, numbers) if match]
        blanks = min([len(line) - len(line.lstrip(" ")) for line in rest if line.strip()] or [0])
        text = "\n".join(line[min(blanks, 2) :] for line in rest)
    return text


def strip(lines: list[str]) -> list[str]:
    """Every line without its prefix, and without the right side of a box."""
    import re

    pattern = re.compile(_grammar())
    return [_end(line[match.end() :] if match else line) for line, match in _matched(_uncommon(lines), pattern)]


def _matched(lines: list[str], pattern: Pattern[str]) -> Iterable[tuple[str, Match[str] | None]]:
    return ((line, pattern.match(line[:300])) for line in lines)


def _end(line: str) -> str:
    stripped = line.rstrip(" \t\u00b7")  # tmux fills what no client shows with middle dots
    if stripped.endswith(("\u2502", "\u2551")):
        return stripped.rstrip("\u2502\u2551").rstrip()
    return stripped[:-2] if stripped.endswith("**") else line


#: Characters of a path, a call or a constant: what holds them is no prefix of a log.
_SPEAKING = "/\\'\"`(){}=<>"


def _uncommon(lines: list[str]) -> list[str]:
    """The lines without what all of them begin with, as a pod's or a host's name, numbers being alike."""
    import re

    said = [line for line in lines if line.strip()]
    if len(said) < 2 or len(_shared(said[:32])) < 6:
        return lines
    shared = _shared(said)
    if len(shared) < 6 or "0" not in shared or any(char in shared for char in _SPEAKING) or "rror" in shared:
        return lines
    if len(said) == 2 and (len(shared) < 12 or "-" not in shared or "." in shared or ":" in shared):
        return lines  # two lines have a beginning in common by chance as well
    pattern = re.compile(r"\s{0,40}" + re.escape(shared).replace("0", r"\d+") + " ?")
    return [line[match.end() :] if match else line for line, match in _matched(lines, pattern)]


def _shared(said: list[str]) -> str:
    """What lines begin with in common, whole words, every number as 0."""
    import re

    number = re.compile(r"\d+")
    shapes = sorted(number.sub("0", line[:160]) for line in (said[0], *said))
    first, last = shapes[0], shapes[-1]  # what the extremes share, all share
    size = next((at for at, (one, two) in enumerate(zip(first, last)) if one != two), min(len(first), len(last)))
    return first[:size].rpartition(" ")[0].strip()
