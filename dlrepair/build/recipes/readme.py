"""Commands in prose: fenced and indented code of a README, and compile commands in the comments of other files."""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes.shell import Shell
from dlrepair.build.recipes.shell_syntax import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.build.recipes.text import Reading

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_COMMAND = re.compile(
    r"^\s*(?:[$>%#]\s+)?(?:[A-Za-z_]\w*=|export |cd |sh |bash "
    r"|(?:\S*/)?(?:g\+\+|gcc|nvcc|clang\+\+|c\+\+)(?:-[\d.]+)?\s)"
)
_COMPILER = re.compile(r"(?:^|[\s;&`/])(?:g\+\+|gcc|nvcc|clang\+\+|c\+\+)(?:-[\d.]+)?\s+[^`\n]*(?:-o|-shared)")
_PROMPT = re.compile(r"^\s*(?:[$>%]\s+|\(\w+\)\s*\$\s+|\w+@[\w-]+:\S*\$\s+)")


def read_readme(reading: Reading, path: str) -> None:
    """Add the compile commands that a README shows, each block run in the README's directory."""
    text = reading.read(path)
    if not _COMPILER.search(text):
        return
    shell = Shell(reading, path, os.path.dirname(path), kind="readme")
    for line, block in _blocks(text):
        shell.directory = os.path.dirname(path)
        shell.run(parse(block, reading.budget, line))


def _blocks(text: str) -> list[tuple[int, str]]:
    """Return (line, script) of every block of commands: fenced, indented, or a line of inline code."""
    found: list[tuple[int, str]] = []
    fenced: list[str] | None = None
    start = 0
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if _FENCE.match(line):
            if fenced is None:
                fenced, start = [], number + 1
            else:
                found.append((start, "\n".join(fenced)))
                fenced = None
            continue
        if fenced is not None:
            fenced.append(_PROMPT.sub("", line))
            continue
        inline = re.findall(r"`([^`]*(?:g\+\+|nvcc|gcc)[^`]*)`", line)
        if pending or _COMMAND.match(line):
            pending.append(_PROMPT.sub("", line).strip())
            if not line.endswith("\\"):
                found.append((number - len(pending) + 1, "\n".join(pending)))
                pending = []
        elif inline:
            found.append((number, "\n".join(inline)))
    if fenced:
        found.append((start, "\n".join(fenced)))
    return _joined(found)


def _joined(blocks: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return blocks with those of neighbouring lines made one: a ``cd`` counts for the next line."""
    found: list[tuple[int, str]] = []
    for line, block in blocks:
        if found and line <= found[-1][0] + found[-1][1].count("\n") + 1:
            found[-1] = (found[-1][0], found[-1][1] + "\n" + block)
        else:
            found.append((line, block))
    return found


def read_comments(reading: Reading, path: str) -> None:
    """Add the compile commands that stand in comments or docstrings of a file: what its author once typed."""
    text = reading.read(path)
    if not _COMPILER.search(text):
        return
    shell = Shell(reading, path, os.path.dirname(path), kind="comment")
    shell.taken = False
    lines = text.split("\n")
    quoted = False
    block: list[str] = []
    start = 0
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        comment = stripped.startswith(("#", "//", "*")) or quoted
        if stripped.count('"""') % 2 or stripped.count("'''") % 2:
            quoted = not quoted
        body = stripped.lstrip("#/*").strip() if not quoted else stripped
        wanted = comment and (_COMMAND.match(body) or (block and block[-1].endswith("\\")))
        if wanted:
            start = start if block else number
            block.append(_PROMPT.sub("", body))
        elif block and not comment:
            _run(shell, reading, block, start)
            block = []


def _run(shell: Shell, reading: Reading, block: list[str], line: int) -> None:
    for at, text in enumerate("\n".join(block).replace("\\\n", " ").split("\n")):
        shell.run(parse(text, reading.budget, line + at))
