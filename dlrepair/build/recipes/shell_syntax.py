"""The structure of a shell script: lists, branches, loops, functions, and words as they are written.

After the grammar in POSIX.1-2017, Shell Command Language (XCU chapter 2), with bash's arrays, ``[[`` and
``function``. Forgiving: what does not parse is skipped to the end of its line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dlrepair.build.recipes.text import Budget


@dataclass
class Simple:
    """A simple command; ``words`` as written, quotes and dollars included."""

    words: list[str]
    line: int


@dataclass
class Block:
    """A branch, loop, group or function, by ``kind``.

    ``if``: ``parts`` are (condition, body) pairs, ``else`` an empty condition. ``for``: ``words`` are the
    name and the values. ``case``: ``words`` is the subject, ``patterns`` go with ``parts``.
    ``and``, ``or``: what follows depends on what came before.
    """

    kind: str
    line: int
    parts: list[tuple[list[Node], list[Node]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    patterns: list[list[str]] = field(default_factory=list)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    Node = Union[Simple, Block]

_BREAK = " \t\n;&|()<>"
_RESERVED = frozenset("if then elif else fi for while until do done case esac function { } in select".split())


def closing(text: str, at: int) -> int:
    """Return the index behind the quoted or bracketed piece that begins at ``at``; the text's end if none closes it.

    Pieces are quoted strings and ``$(…)``, ``${…}``, backquotes.
    """
    length = len(text)
    first = text[at]
    if first == "\\":
        return min(at + 2, length)
    if first == "'":
        end = text.find("'", at + 1)
        return length if end < 0 else end + 1
    if first in '"`':
        at += 1
        while at < length and text[at] != first:
            at = closing(text, at) if text[at] == "\\" or text[at : at + 2] in ("$(", "${") else at + 1
        return min(at + 1, length)
    pairs = {"$(": ")", "${": "}"}
    if text[at : at + 2] not in pairs:
        return at + 1
    opening, end_char = text[at + 1], pairs[text[at : at + 2]]
    depth, at = 1, at + 2
    while at < length:
        char = text[at]
        if char in "\\'\"`" or text[at : at + 2] in pairs:
            at = closing(text, at)
            continue
        depth += (char == opening) - (char == end_char)
        at += 1
        if not depth:
            return at
    return length


class Tokens:
    """Splits a script into words, operators and line ends, lazily; here-documents are skipped."""

    def __init__(self, text: str, budget: Budget, line: int = 1) -> None:
        self.text = text
        self.budget = budget
        self.at = 0
        self.line = line
        self._ahead: tuple[str, str] | None = None
        self._documents: list[tuple[str, bool]] = []

    def peek(self) -> tuple[str, str]:
        """Return the next (kind, text) without taking it; kinds are ``word``, ``op``, ``end`` (of the script)."""
        if self._ahead is None:
            self._ahead = self._next()
        return self._ahead

    def take(self) -> tuple[str, str]:
        """Return the next (kind, text)."""
        token = self.peek()
        self._ahead = None
        return token

    def _next(self) -> tuple[str, str]:
        self.budget.spend()
        text, length = self.text, len(self.text)
        while self.at < length:
            char = text[self.at]
            if char in " \t":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
                self.line += 1
            elif char == "#":
                end = text.find("\n", self.at)
                self.at = length if end < 0 else end
            else:
                break
        if self.at >= length:
            return "end", ""
        char = text[self.at]
        if char == "\n":
            self.at += 1
            self.line += 1
            self._skip_documents()
            return "op", "\n"
        for operator in ("&&", "||", ";;", "<<-", "<<<", "<<", ">>", ">&", "<&", "&>", "<(", ">("):
            if text.startswith(operator, self.at) and operator not in ("<(", ">("):
                self.at += len(operator)
                if operator in ("<<", "<<-"):
                    self._note_document(operator == "<<-")
                return "op", operator
        if char in ";&|()<>":
            self.at += 1
            return "op", char
        return "word", self._word()

    def _word(self) -> str:
        text, start = self.text, self.at
        while self.at < len(text) and text[self.at] not in _BREAK:
            end = closing(text, self.at)
            if (
                text[self.at] == "="
                and text[self.at + 1 : self.at + 2] == "("
                and _is_name(text[start : self.at].rstrip("+"))
            ):
                end = self._array_end(self.at + 1)
            self.budget.spend(1 + (end - self.at) // 64)
            self.line += text.count("\n", self.at, end)
            self.at = end
        if self.at == start:
            self.at += 1
        return text[start : self.at]

    def _array_end(self, at: int) -> int:
        """Return the index behind an array's ``(…)``, which spans lines."""
        depth = 0
        while at < len(self.text):
            char = self.text[at]
            if char in "\\'\"`$":
                at = closing(self.text, at)
                continue
            depth += (char == "(") - (char == ")")
            at += 1
            if not depth:
                break
        return at

    def _note_document(self, tabs: bool) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        self._documents.append((self._word().replace("'", "").replace('"', "").replace("\\", ""), tabs))

    def _skip_documents(self) -> None:
        for delimiter, tabs in self._documents:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                row = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                self.line += 1
                if (row.lstrip("\t") if tabs else row) == delimiter:
                    break
        self._documents = []


def _is_name(text: str) -> bool:
    return bool(text) and (text[0].isalpha() or text[0] == "_") and text.replace("_", "a").isalnum()


def parse(text: str, budget: Budget, line: int = 1) -> list[Node]:
    """Return the commands of a script; raises ``Exhausted`` beyond the budget."""
    tokens = Tokens(text, budget, line)
    nodes: list[Node] = []
    while tokens.peek()[0] != "end":
        nodes += _list(tokens, budget, frozenset())
        if tokens.peek()[0] != "end":
            tokens.take()  # a stray closing word
    return nodes


def _list(tokens: Tokens, budget: Budget, ends: frozenset[str]) -> list[Node]:
    """Return the commands up to one of the words or operators in ``ends``, which is left."""
    nodes: list[Node] = []
    join = ""
    with budget.deeper():
        while True:
            kind, text = tokens.peek()
            if kind == "end" or text in ends or text in (")", ";;"):
                return nodes
            if kind == "op" and text != "(":
                tokens.take()
                join = text if text in ("&&", "||") else (join if text == "\n" else "")
                continue
            if kind == "word" and text in ("then", "do", "done", "fi", "esac", "else", "elif", "}"):
                return nodes
            node = _command(tokens, budget)
            if node is None:
                continue
            if join in ("&&", "||") and nodes:
                node = Block("and" if join == "&&" else "or", node.line, [([nodes.pop()], [node])])
            nodes.append(node)
            join = ""


def _command(tokens: Tokens, budget: Budget) -> Node | None:
    kind, text = tokens.peek()
    line = tokens.line
    if text == "(":
        tokens.take()
        body = _list(tokens, budget, frozenset((")",)))
        tokens.take()
        return Block("subshell", line, [([], body)])
    if text == "{":
        tokens.take()
        body = _list(tokens, budget, frozenset(("}",)))
        tokens.take()
        return Block("group", line, [([], body)])
    if text == "if":
        return _if(tokens, budget, line)
    if text in ("for", "select"):
        return _for(tokens, budget, line)
    if text in ("while", "until"):
        tokens.take()
        condition = _list(tokens, budget, frozenset(("do",)))
        return Block("while", line, [(condition, _body(tokens, budget))])
    if text == "case":
        return _case(tokens, budget, line)
    if text == "function":
        tokens.take()
        name = tokens.take()[1]
        return _function(tokens, budget, line, name)
    return _simple(tokens, budget, line)


def _body(tokens: Tokens, budget: Budget) -> list[Node]:
    """Return what stands between ``do`` and ``done``."""
    _skip_breaks(tokens)
    if tokens.peek()[1] == "do":
        tokens.take()
    body = _list(tokens, budget, frozenset(("done",)))
    if tokens.peek()[1] == "done":
        tokens.take()
    return body


def _skip_breaks(tokens: Tokens) -> None:
    while tokens.peek() in (("op", "\n"), ("op", ";")):
        tokens.take()


def _if(tokens: Tokens, budget: Budget, line: int) -> Block:
    block = Block("if", line)
    word = tokens.take()[1]
    while word in ("if", "elif"):
        condition = _list(tokens, budget, frozenset(("then",)))
        if tokens.peek()[1] == "then":
            tokens.take()
        block.parts.append((condition, _list(tokens, budget, frozenset(("elif", "else", "fi")))))
        word = tokens.take()[1]
    if word == "else":
        block.parts.append(([], _list(tokens, budget, frozenset(("fi",)))))
        tokens.take()
    return block


def _for(tokens: Tokens, budget: Budget, line: int) -> Block:
    tokens.take()
    block = Block("for", line)
    if tokens.peek()[1] == "(":  # for ((i = 0; …)): the values are not worked out
        while tokens.peek()[0] != "end" and tokens.peek()[1] not in ("do", "\n"):
            tokens.take()
        block.words = ["_"]
    else:
        block.words = [tokens.take()[1]]
        if tokens.peek()[1] == "in":
            tokens.take()
            while tokens.peek()[0] == "word" and tokens.peek()[1] != "do":
                block.words.append(tokens.take()[1])
        else:
            block.words.append('"$@"')
    block.parts.append(([], _body(tokens, budget)))
    return block


def _case(tokens: Tokens, budget: Budget, line: int) -> Block:
    tokens.take()
    block = Block("case", line, words=[tokens.take()[1]])
    _skip_breaks(tokens)
    if tokens.peek()[1] == "in":
        tokens.take()
    while True:
        _skip_breaks(tokens)
        kind, text = tokens.peek()
        if kind == "end" or text == "esac":
            tokens.take()
            return block
        patterns: list[str] = []
        while tokens.peek()[0] != "end" and tokens.peek()[1] not in (")", "\n"):
            text = tokens.take()[1]
            if text not in ("|", "("):
                patterns.append(text)
        tokens.take()
        block.patterns.append(patterns)
        block.parts.append(([], _list(tokens, budget, frozenset((";;", "esac")))))
        if tokens.peek()[1] == ";;":
            tokens.take()


def _function(tokens: Tokens, budget: Budget, line: int, name: str) -> Block | None:
    while tokens.peek() in (("op", "("), ("op", ")"), ("op", "\n")):
        tokens.take()
    body = _command(tokens, budget)
    return None if body is None else Block("function", line, [([], [body])], words=[name])


def _simple(tokens: Tokens, budget: Budget, line: int) -> Node | None:
    words: list[str] = []
    while True:
        kind, text = tokens.peek()
        if kind == "word":
            words.append(tokens.take()[1])
            if len(words) == 1 and words[0] in _RESERVED:
                return None
            continue
        if words[:1] == ["[["] and "]]" not in words and kind == "op" and text != "\n":
            words.append(tokens.take()[1])
            continue
        if text == "(" and len(words) == 1:
            return _function(tokens, budget, line, words[0])
        if text in ("<", ">", ">>", ">&", "<&", "&>", "<<<"):
            tokens.take()
            if words and words[-1].isdigit():
                words.pop()
            if tokens.peek()[0] == "word":
                tokens.take()
            continue
        if text in ("<<", "<<-"):
            tokens.take()
            continue
        if text == "(":  # none can stand here
            tokens.take()
            continue
        if not words:
            tokens.take()
            return None
        return Simple(words, line)
