"""What a user reads on stderr: one line after a repair, a few when nothing helped.

Line one stands alone and suggests nothing; only the last, ``help:``, advises. File names and
loader messages come from anywhere: whatever a terminal would act on is escaped.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, TextIO

    from dlrepair.model.candidate import Verdict
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.plan import Outcome
    from dlrepair.model.requests import LoadRequest

__all__ = [
    "clean", "coloured", "counted", "display_path", "escape", "failure_lines", "paint", "repaired_line", "shorten",
    "show",
]  # fmt: skip

_NAME = 120  #: longest name or path in a line
_WORDS = 2000  #: longest message of a loader
_LISTED = 40  #: most places or candidates in a list

_NOTHING = "  tried: no other file of that name was found"

_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2"}


def escape(text: str) -> str:
    """``text`` without anything that moves the cursor, starts a line or turns the writing direction.

    Such characters, lone surrogates and unassigned ones appear as ``\\n``, ``\\x1b`` or ``\\u202e``.
    """
    if text.isprintable():
        return text
    out = []
    for char in text:
        if char.isprintable():
            out.append(char)
        elif 0xDC80 <= ord(char) <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
            out.append("\\x{:02x}".format(ord(char) - 0xDC00))
        else:
            out.append(char.encode("unicode_escape").decode("ascii"))
    return "".join(out)


def shorten(text: str, longest: int = _NAME) -> str:
    """``text``, its middle replaced by ``...`` where it is longer than ``longest`` characters."""
    if len(text) <= longest:
        return text
    head = (longest - 3) // 2
    return text[:head] + "..." + text[len(text) - (longest - 3 - head) :]


def clean(text: str, longest: int = _NAME) -> str:
    """``text`` escaped and cut in the middle; cut first, since a name may be as long as its maker liked."""
    return shorten(escape(shorten(text, longest)), longest)


def display_path(path: str, cwd: str = "") -> str:
    """``path`` as a person reads it: relative where it lies below ``cwd``, escaped, cut in the middle."""
    if cwd and cwd != os.sep and path.startswith(cwd.rstrip(os.sep) + os.sep):
        path = path[len(cwd.rstrip(os.sep)) + 1 :]
    return clean(path)


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 file``, ``2 files``."""
    return "{} {}".format(number, noun if number == 1 else plural or noun + "s")


def _base(path: str) -> str:
    return clean(os.path.basename(path.rstrip(os.sep)) or path) or '""'


def repaired_line(outcome: Outcome, diagnosis: Diagnosis, request: LoadRequest | None = None) -> str:
    """``dlrepair[file-missing]: roi_pooling.so: loaded build/roi_pooling.so instead (incident 7f3a9c12)``.

    The library named is the one that was asked for, where ``request`` tells; else the one at fault.
    """
    asked = request.requested if request is not None else ""
    subject = asked or diagnosis.failing_object or diagnosis.symptom.failing_object or outcome.path
    summary = outcome.summary or "loaded {} instead".format(outcome.path)
    return "dlrepair[{}]: {}: {} (incident {})".format(
        outcome.cause, _base(subject), clean(summary, 4 * _NAME), outcome.incident
    )


def failure_lines(
    outcome: Outcome,
    diagnosis: Diagnosis,
    request: LoadRequest,
    verdicts: Iterable[Verdict],
    verbosity: str = "line",
    searched: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Lines that precede the original exception: what failed, the loader's words, what was tried, one command.

    ``verbosity`` ``quiet`` gives none; ``full`` adds the evidence, the places where ld.so searched, those where
    dlrepair did (``searched``: place and what was made of it) and every candidate.
    """
    if verbosity == "quiet":
        return []
    full = verbosity == "full"
    lines = [_headline(outcome, diagnosis, request)]
    words = [escape(line) for line in request.error[: 20 * _WORDS].splitlines() if line.strip()]
    lines.extend("  loader: " + line for line in shorten("\n".join(words), _WORDS).split("\n") if line)
    if full:
        facts = [item for item in diagnosis.evidence if item.key != "tried"]  # those are places: listed below
        lines.extend("  fact: " + clean(item.text, 4 * _NAME) for item in facts[:_LISTED])
        lines.extend(_places(diagnosis, request, list(searched)))
    lines.extend(_tried(outcome, list(verdicts), request.cwd, full))
    step = outcome.next_step or diagnosis.next_step or "dlrepair explain {}".format(outcome.incident)
    lines.append("help: " + clean(step, 8 * _NAME))
    return lines


def _headline(outcome: Outcome, diagnosis: Diagnosis, request: LoadRequest) -> str:
    from dlrepair.model.causes import CAUSES

    cause = outcome.cause or diagnosis.cause
    needed_by = ""
    if diagnosis.missing:
        missing = diagnosis.missing[0]
        what, needed_by = _base(missing.name), _base(missing.needed_by)
        if len(diagnosis.missing) > 1:
            what += " and {} more".format(len(diagnosis.missing) - 1)
    elif diagnosis.symbols:
        what = clean(diagnosis.symbols[0])
        needed_by = _base(diagnosis.failing_object or request.requested)
    else:
        what = display_path(request.requested, request.cwd) or '""'
        if request.caller is not None:
            needed_by = "{}:{}".format(_base(request.caller.file), request.caller.line)
    suffix = ", needed by " + needed_by if needed_by else ""
    line = "dlrepair[{}]: {}{}: {}".format(cause, what, suffix, CAUSES.get(cause, CAUSES["unknown"]))
    return line + " (incident {})".format(outcome.incident) if outcome.incident else line


def _places(diagnosis: Diagnosis, request: LoadRequest, searched: list[tuple[str, str]]) -> list[str]:
    from dlrepair.render import places

    groups = [("searched for {}:".format(_base(name)), pairs) for name, pairs in places.sought(diagnosis, request)]
    lines = []
    for heading, pairs in groups + ([("dlrepair looked in:", searched)] if searched else []):
        lines.append("  " + heading)
        for place, reason in pairs[:_LISTED]:
            shown = display_path(place, request.cwd)
            lines.append("    " + places.sentence(place, clean(reason, 2 * _NAME), shown))
        if len(pairs) > _LISTED:
            lines.append("    and {}".format(counted(len(pairs) - _LISTED, "more place")))
    return lines


def _tried(outcome: Outcome, verdicts: list[Verdict], cwd: str, full: bool) -> list[str]:
    lines = ["  tried: " + clean(words, 4 * _NAME) for words in (outcome.strategy, outcome.summary) if words]
    rejected = [verdict for verdict in verdicts if not verdict.accepted]
    if full:
        for verdict in verdicts[:_LISTED]:
            lines.append("  candidate {}: {}".format(display_path(verdict.path, cwd), _reason(verdict)))
        if len(verdicts) > _LISTED:
            lines.append("  and {}".format(counted(len(verdicts) - _LISTED, "more candidate")))
    elif rejected:
        # a library that lacks its CUDA parts is rejected as any other, and then for what that comes of
        first = next((one for one in rejected if one.reason == "needs-cuda"), rejected[0])
        lines.append("  rejected {}: {}".format(display_path(first.path, cwd), _reason(first)))
        if len(rejected) > 1:
            more = counted(len(rejected) - 1, "more candidate")
            lines.append("  and {} (dlrepair explain {})".format(more, outcome.incident))
    elif verdicts and not lines:
        lines.append("  candidate {}: {}".format(display_path(verdicts[0].path, cwd), _reason(verdicts[0])))
    return lines or [_NOTHING]


def _reason(verdict: Verdict) -> str:
    text = verdict.detail or verdict.reason
    if verdict.accepted:
        text = "accepted, but did not help" + (": " + text if verdict.detail else "")
    return clean(text, 3 * _NAME)


# --- terminals ------------------------------------------------------------------------------------------------------


def coloured(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal that may be coloured (https://no-color.org/)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "") == "dumb":
        return False
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):  # closed, or not a stream at all
        return False


def paint(text: str, *styles: str) -> str:
    """``text`` in ``styles`` (``bold``, ``red``, …), as ECMA-48 SGR sequences."""
    return "\x1b[{}m{}\x1b[0m".format(";".join(_STYLES[style] for style in styles), text)


def show(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Write ``lines`` to ``stream`` (default: stderr) in one piece, in colour on a terminal. Never raises."""
    target = stream if stream is not None else sys.stderr
    if target is None:
        return
    if coloured(target):
        lines = [_colour_line(line) for line in lines]
    text = "".join(line + "\n" for line in lines)
    try:
        target.write(text)
        target.flush()
    except UnicodeError:
        try:
            target.write(text.encode("ascii", "backslashreplace").decode("ascii"))
            target.flush()
        except Exception:
            return
    except Exception:  # closed, full, replaced by anything: the script must not notice
        return


def _colour_line(line: str) -> str:
    if line.startswith("dlrepair["):
        tag, _, rest = line.partition("]: ")
        return paint(tag + "]:", "bold", "yellow") + " " + rest
    if line.startswith("help: "):
        return paint("help:", "bold", "cyan") + line[5:]
    return line
