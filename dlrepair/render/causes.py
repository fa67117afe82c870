"""The page of a cause: Markdown from ``docs/causes``, set plainly for a terminal."""

from __future__ import annotations

import os

__all__ = ["page", "render"]


def _directories() -> tuple[str, ...]:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # a wheel carries the pages; an editable install and a checkout have them beside the package
    return os.path.join(package, "_causes"), os.path.join(os.path.dirname(package), "docs", "causes")


def page(slug: str) -> str | None:
    """The Markdown of the page about cause ``slug``; None for an unknown slug or a page that is not installed."""
    from dlrepair.model.causes import CAUSES

    if slug not in CAUSES:
        return None
    for directory in _directories():
        try:
            with open(os.path.join(directory, slug + ".md"), encoding="utf-8", errors="replace") as stream:
                return stream.read(1024 * 1024)
        except OSError:
            continue
    return None


def render(markdown: str, width: int = 80, colour: bool = False) -> list[str]:
    """Lines for a terminal: headings, paragraphs, lists, tables, quotes and code blocks; other markup as it stands."""
    return _Page(width, colour).run(markdown)


class _Page:
    def __init__(self, width: int, colour: bool) -> None:
        self.width, self.colour = max(20, width), colour
        self.lines: list[str] = []
        self.words = ""
        self.hang = ""  # what the lines of a list item begin with, after the first
        self.lead = ""

    def run(self, markdown: str) -> list[str]:
        fence = ""
        for raw in markdown.replace("\r\n", "\n").split("\n"):
            bare = raw.strip()
            if fence:
                if bare == fence:
                    fence = ""
                else:
                    self.lines.append("    " + self.safe(raw.rstrip()))
            elif bare.startswith(("```", "~~~")):
                self.flush()
                fence = bare[:3]
            else:
                self.line(raw.rstrip(), bare)
        self.flush()
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return self.lines

    def line(self, raw: str, bare: str) -> None:
        level = len(bare) - len(bare.lstrip("#"))
        if not bare:
            self.flush()
            if self.lines and self.lines[-1]:
                self.lines.append("")
        elif 0 < level <= 6 and bare[level : level + 1] == " ":
            self.flush()
            self.lines.append(self.bold(self.inline(bare[level:].strip())))
        elif bare.startswith("|"):
            self.flush()
            if set(bare) - set("|-: "):
                cells = [self.inline(cell.strip()) for cell in bare.strip("|").split("|")]
                self.lines.append("  " + "  ".join(cells))
        elif _item(bare):
            self.flush()
            indent = raw[: len(raw) - len(raw.lstrip())]
            mark = _item(bare)
            self.lead = indent + mark
            self.hang = " " * len(self.lead)
            self.words = bare[len(mark) :].strip()
        elif raw.startswith("    ") and not self.words:
            self.lines.append("    " + self.safe(raw[4:]))
        elif bare.startswith(">"):
            self.flush()
            self.lines.append("  " + self.inline(bare[1:].strip()))
        else:
            self.words = (self.words + " " + bare).strip()

    def flush(self) -> None:
        """Set the paragraph collected so far, broken at spaces."""
        if self.words:
            line, begun = self.lead, False
            for word in self.inline(self.words).split():
                if begun and len(line) + 1 + len(word) > self.width:
                    self.lines.append(line)
                    line, begun = self.hang, False
                line += (" " if begun else "") + word
                begun = True
            self.lines.append(line)
        self.words = self.lead = self.hang = ""

    def safe(self, text: str) -> str:
        from dlrepair.render import text as words

        return words.escape(text.replace("\t", "    "))

    def bold(self, text: str) -> str:
        if not self.colour:
            return text
        from dlrepair.render import text as words

        return words.paint(text, "bold")

    def inline(self, text: str) -> str:
        """``text`` without emphasis marks; a link as its words and, for one that leads out, its address."""
        import re

        text = re.sub(r"!?\[([^\]]*)\]\((https?://[^)\s]+)[^)]*\)", r"\1 (\2)", text)
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        parts = re.split(r"(`+[^`]*`+)", text)
        for index in range(0, len(parts), 2):
            parts[index] = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", parts[index])
            parts[index] = re.sub(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1", parts[index])
        for index in range(1, len(parts), 2):
            parts[index] = parts[index].strip("`")
        return self.safe("".join(parts))


def _item(bare: str) -> str:
    """The mark of a list item that ``bare`` begins with, or ""."""
    if bare[:2] in ("- ", "* ", "+ "):
        return "- "
    number = bare.split(" ", 1)[0]
    if len(number) in (2, 3) and number[:-1].isdigit() and number[-1] in ".)":
        return number + " "
    return ""
