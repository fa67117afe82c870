"""What all commands share: exit statuses, how they speak, how they answer in JSON."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

FINE = 0
FOUND = 1  #: something found broken, or not repaired
USAGE = 2
FAILED = 3  #: dlrepair itself failed
INTERRUPTED = 130  #: 128 + SIGINT
CLOSED_PIPE = 141  #: 128 + SIGPIPE


class CommandError(Exception):
    """A command cannot do what was asked: ``text`` says what and why, ``help`` is one command or sentence."""

    def __init__(self, text: str, help: str = "", status: int = FOUND) -> None:
        super().__init__(text)
        self.text = text
        self.help = help
        self.status = status


def say_error(command: str, error: CommandError) -> None:
    """The two lines of an error, on standard error."""
    lines = ["dlrepair {}: {}".format(command, escape(error.text))]
    warn(lines + (["help: " + escape(error.help)] if error.help else []))


def say(*lines: str) -> None:
    """Lines on standard output, whatever its encoding can express. Raises BrokenPipeError."""
    text = "".join(line + "\n" for line in lines)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def warn(lines: Iterable[str]) -> None:
    """Lines on standard error, escaped already. Never raises."""
    from dlrepair.render import text

    text.show(lines, sys.stderr)


def say_json(document: Any) -> None:
    """One JSON document on standard output: dataclasses become objects."""
    from dlrepair.render import jsonout

    jsonout.write(document, sys.stdout)


def escape(value: str) -> str:
    """``value`` without what a terminal would act on: file names come from anywhere."""
    from dlrepair.render import text

    return text.escape(value)


def coloured() -> bool:
    """Whether standard output is a terminal that may be coloured."""
    from dlrepair.render import text

    return text.coloured(sys.stdout)


def paint(words: str, *styles: str) -> str:
    """``words`` in colour where standard output may be coloured."""
    from dlrepair.render import text

    return text.paint(words, *styles) if coloured() else words


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 file``, ``2 files``."""
    from dlrepair.render import text

    return text.counted(number, noun, plural)


def size_text(count: int) -> str:
    """A number of bytes for people, in the units of IEC 80000-13."""
    if count < 1024:
        return counted(count, "byte")
    power = min(3, (count.bit_length() - 1) // 10)
    return "{:.1f} {}".format(count / 1024.0**power, ("KiB", "MiB", "GiB")[power - 1])
