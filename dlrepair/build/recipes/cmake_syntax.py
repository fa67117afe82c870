"""CMake's language: commands with their arguments, blocks, conditions (manual: cmake-language(7), if())."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from dlrepair.build.recipes.text import absolute, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    from dlrepair.build.recipes.text import Budget

#: Commands that begin a block → the command that ends it.
_BLOCKS = {"if": "endif", "foreach": "endforeach", "while": "endwhile", "function": "endfunction", "macro": "endmacro"}


@dataclass
class Invocation:
    """One command invocation; an argument is (text as written, whether it was quoted)."""

    name: str  #: lower case
    arguments: list[tuple[str, bool]]
    line: int
    body: list[Invocation] = field(default_factory=list)  #: of a block
    branches: list[Invocation] = field(default_factory=list)  #: elseif and else of an if


def parse(text: str, budget: Budget) -> list[Invocation]:
    """Return a file's commands with blocks nested; what does not parse is skipped."""
    root = Invocation("", [], 0)
    stack = [(root, root)]  # (block, where its commands go now)
    for invocation in _invocations(text, budget):
        block, current = stack[-1]
        if invocation.name in ("elseif", "else") and block.name == "if":
            block.branches.append(invocation)
            stack[-1] = (block, invocation)
        elif invocation.name in _BLOCKS.values():
            if len(stack) > 1 and _BLOCKS.get(block.name) == invocation.name:
                stack.pop()
        else:
            current.body.append(invocation)
            if invocation.name in _BLOCKS and len(stack) < 40:
                stack.append((invocation, invocation))
    return root.body


def _invocations(text: str, budget: Budget) -> list[Invocation]:
    found: list[Invocation] = []
    at = 0
    name = re.compile(r"[ \t\n;]*(?:#\[(=*)\[.*?\]\1\]|#[^\n]*|([A-Za-z_]\w*)[ \t\n]*\(|(.))", re.DOTALL)
    while at < len(text):
        budget.spend()
        match = name.match(text, at)
        if match is None:
            break
        at = match.end()
        if not match.group(2):
            continue
        line = text.count("\n", 0, match.start(2)) + 1 if len(found) < 5000 else 0
        arguments, at = _arguments(text, at, budget)
        found.append(Invocation(match.group(2).lower(), arguments, line))
    return found


def _arguments(text: str, at: int, budget: Budget) -> tuple[list[tuple[str, bool]], int]:
    """Return the arguments from behind the opening parenthesis, and the index behind the closing one."""
    found: list[tuple[str, bool]] = []
    depth = 1
    while at < len(text):
        budget.spend()
        char = text[at]
        if char in " \t\n;":
            at += 1
        elif char == "(":
            depth += 1
            found.append(("(", False))
            at += 1
        elif char == ")":
            depth -= 1
            at += 1
            if not depth:
                return found, at
            found.append((")", False))
        elif char == "#":
            bracket = re.compile(r"#\[(=*)\[.*?\]\1\]", re.DOTALL).match(text, at)
            end = bracket.end() if bracket else text.find("\n", at)
            at = len(text) if end < 0 else end
        elif char == '"':
            end = at + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            found.append((text[at + 1 : end].replace("\\\n", ""), True))
            at = end + 1
        elif char == "[" and re.compile(r"\[=*\[").match(text, at):
            match = re.compile(r"\[(=*)\[(.*?)\]\1\]", re.DOTALL).match(text, at)
            if match is None:
                return found, len(text)
            found.append((match.group(2).replace("$", "\\$"), True))
            at = match.end()
        else:
            end = at
            while end < len(text) and text[end] not in ' \t\n()#"':
                end += 2 if text[end] == "\\" else 1
                if text[end - 1 : end] == "=" and text[end : end + 1] == '"':  # -DNAME="value"
                    end = text.find('"', end + 1)
                    end = len(text) if end < 0 else end + 1
            found.append((text[at:end], False))
            at = max(end, at + 1)
    return found, at


class Conditions:
    """Evaluates the arguments of ``if`` over a file's variables."""

    def __init__(
        self, lookup: Callable[[str], str | None], targets: Callable[[str], bool], directory: Callable[[], str]
    ) -> None:
        self.lookup = lookup
        self.targets = targets
        self.directory = directory

    def holds(self, words: Sequence[tuple[str, bool]], depth: int = 0) -> bool | None:
        """Return what a condition says (precedence: parentheses, tests, NOT, AND, OR); None where a run must tell."""
        words = list(words)
        if depth > 20 or not words:
            return None if words else False
        words = self._parentheses(words, depth)
        for operator, decisive in (("OR", True), ("AND", False)):
            for at, (word, quoted) in enumerate(words):
                if word == operator and not quoted:
                    left, right = self.holds(words[:at], depth + 1), self.holds(words[at + 1 :], depth + 1)
                    if left is decisive or right is decisive:
                        return decisive
                    return None if left is None or right is None else not decisive
        if words[0] == ("NOT", False):
            verdict = self.holds(words[1:], depth + 1)
            return None if verdict is None else not verdict
        return self._test([word for word, _ in words], words)

    def _parentheses(self, words: list[tuple[str, bool]], depth: int) -> list[tuple[str, bool]]:
        while ("(", False) in words:
            start = max(at for at, word in enumerate(words) if word == ("(", False))
            end = next((at for at in range(start, len(words)) if words[at] == (")", False)), len(words))
            verdict = self.holds(words[start + 1 : end], depth + 1)
            value = {True: "1", False: "0", None: "\ue003?\ue004"}[verdict]
            words = [*words[:start], (value, True), *words[end + 1 :]]
        return words

    def _test(self, texts: list[str], words: Sequence[tuple[str, bool]]) -> bool | None:
        if len(texts) == 1:
            return self.truth(texts[0], words[0][1])
        if len(texts) == 2:
            return self._unary(texts[0], texts[1])
        if len(texts) != 3:
            return None
        operator = texts[1]
        left = self._deref(texts[0], words[0][1])
        right = self._deref(texts[2], words[2][1]) if operator not in ("MATCHES", "IN_LIST") else texts[2]
        if operator == "IN_LIST":
            return left in (self.lookup(right) or "").split(";")
        if not is_known(left + right):
            return False if operator in ("STREQUAL", "EQUAL", "VERSION_EQUAL", "MATCHES") else None
        if operator == "STREQUAL":
            return left == right
        if operator == "MATCHES":
            return _matches(left, right)
        if operator == "IS_NEWER_THAN":
            return None
        return _compared(operator, left, right)

    def _unary(self, operator: str, word: str) -> bool | None:
        if operator == "DEFINED":
            name = word[4:-1] if word.startswith("ENV{") else word
            return (os.environ.get(name) if word.startswith("ENV{") else self.lookup(name)) is not None
        if operator == "TARGET":
            return self.targets(word)
        if operator in ("EXISTS", "IS_DIRECTORY") and is_known(word):
            path = absolute(word, self.directory())
            return os.path.isdir(path) if operator == "IS_DIRECTORY" else os.path.exists(path)
        return None

    def _deref(self, word: str, quoted: bool) -> str:
        value = None if quoted else self.lookup(word)
        return word if value is None else value

    def truth(self, word: str, quoted: bool = False) -> bool | None:
        """Return whether a constant or a variable counts as true."""
        upper = word.upper()
        if upper in ("1", "ON", "YES", "TRUE", "Y"):
            return True
        if upper in ("", "0", "OFF", "NO", "FALSE", "N", "IGNORE", "NOTFOUND") or upper.endswith("-NOTFOUND"):
            return False
        if not is_known(word):
            return None
        if word[:1].isdigit():
            return word.strip("0.") != ""
        value = None if quoted else self.lookup(word)
        if value is None:
            return False
        if not is_known(value):
            return None
        upper = value.upper()
        return upper not in ("", "0", "OFF", "NO", "FALSE", "N", "IGNORE", "NOTFOUND") and not upper.endswith(
            "-NOTFOUND"
        )


def _matches(text: str, pattern: str) -> bool | None:
    if not re.fullmatch(r"\^?[\w .|\-/;:,]*\$?", pattern):
        return None
    return bool(re.search(pattern, text[:2000]))


def _compared(operator: str, left: str, right: str) -> bool | None:
    name = operator.replace("VERSION_", "").replace("STR", "")
    numbers = [[int(part[:9]) for part in re.findall(r"\d+", one)[:5]] for one in (left, right)]
    if not numbers[0] or not numbers[1]:
        return None
    order = (numbers[0] > numbers[1]) - (numbers[0] < numbers[1])
    return {
        "EQUAL": order == 0, "LESS": order < 0, "GREATER": order > 0,
        "LESS_EQUAL": order <= 0, "GREATER_EQUAL": order >= 0,
    }.get(name)  # fmt: skip
