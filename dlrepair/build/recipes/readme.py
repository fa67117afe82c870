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
    r"|(?:(?:mkdir|rm|pushd|source|sudo|time|module)\s[^&;]*(?:&&|;)\s*)?"
    r"(?:\S*/)?(?:g\+\+|gcc|nvcc|clang\+\+|c\+\+|cc|clang)(?:-[\d.]+)?\s)"
)
_COMPILER = re.compile(
    r"(?:^|[\s;&`/#*])(?P<command>(?:g\+\+|gcc|nvcc|clang\+\+|c\+\+|cc|clang)(?:-[\d.]+)?\s+[^`\n]*(?:-o|-shared).*)",
    re.MULTILINE,
)
_PYTHONS = (".py", ".sh", ".mk", ".txt")
_PROMPT = re.compile(r"^\s*(?:[$>%]\s+|\(\w+\)\s*\$\s+|\w+@[\w-]+:\S*\$\s+)")


def read_readme(reading: Reading, path: str) -> None:
    """Add the compile commands that a README shows, each block run in the README's directory."""
    text = reading.read(path)
    if not _COMPILER.search(text):
        return
    shell = Shell(reading, path, os.path.dirname(path), kind="readme")
    stays = False
    for line, block in _blocks(text):
        if not stays:
            shell.directory = os.path.dirname(path)
        shell.run(parse(block, reading.budget, line))
        stays = block.strip().startswith("cd ") and "\n" not in block.strip()  # "go there", and then the command


def _blocks(text: str) -> list[tuple[int, str]]:
    """Return (line, script) of every block of commands: fenced, indented, or a line of inline code."""
    found: list[tuple[int, str]] = []
    fenced: list[str] | None = None
    start = 0
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if fenced is None and line.count("```") == 2:
            line = line.replace("```", "`")
        elif _FENCE.match(line):
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
    quoted = within = False
    block: list[str] = []
    start = 0
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        opened = stripped.startswith("/*") and not path.endswith(_PYTHONS)
        comment = stripped.startswith(("#", "//", "*")) or quoted or within or opened
        within = (within or opened) and "*/" not in stripped
        if stripped.count('"""') % 2 or stripped.count("'''") % 2:
            quoted = not quoted
        body = _after_label(stripped.lstrip("#/*").strip() if not quoted else stripped)
        wanted = comment and (_COMMAND.match(body) or (block and block[-1].endswith("\\")))
        if wanted:
            start = start if block else number
            block.append(_PROMPT.sub("", body))
        elif block and not comment:
            _run(shell, reading, block, start)
            block = []


def _after_label(text: str) -> str:
    """Return the command of ``Build: gcc …`` and the like; ``text`` itself where it has no such form."""
    found = _COMPILER.search(text)
    before = text[: found.start("command")].rstrip() if found else ""
    return found.group("command") if found and before.endswith(":") else text


def _run(shell: Shell, reading: Reading, block: list[str], line: int) -> None:
    for at, text in enumerate("\n".join(block).replace("\\\n", " ").split("\n")):
        shell.run(parse(text, reading.budget, line + at))
