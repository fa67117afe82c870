"""Variables of make: references, functions that need the file itself, what $(shell …) prints."""

from __future__ import annotations

import os

from dlrepair.build.recipes.make_functions import FUNCTIONS, LAZY, split_arguments, substitute
from dlrepair.build.recipes.shell import Shell
from dlrepair.build.recipes.text import Exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.build.recipes.text import Budget, Reading


class Values:
    """A makefile's variables; ``parse`` is the file's own, for $(eval …)."""

    def __init__(self, reading: Reading, path: str) -> None:
        self.reading = reading
        self.budget: Budget = reading.budget
        self.path = path
        self.directory = os.path.dirname(path)
        self.variables: dict[str, tuple[bool, str]] = {}  #: name → (recursive, value)
        self.scope: list[dict[str, str]] = []
        self._expanding: list[str] = []

    def parse(self, text: str, path: str, first: int = 1) -> None:
        """Read the lines of a makefile."""
        raise NotImplementedError

    def expand(self, text: str) -> str:
        """Return ``text`` with references and functions worked out."""
        if "$" not in text:
            return text
        found: list[str] = []
        at = 0
        with self.budget.deeper():
            while at < len(text):
                dollar = text.find("$", at)
                if dollar < 0 or dollar == len(text) - 1:
                    found.append(text[at:])
                    break
                found.append(text[at:dollar])
                char = text[dollar + 1]
                if char == "$":
                    found.append("$")
                    at = dollar + 2
                elif char in "({":
                    end = closing_bracket(text, dollar + 1)
                    found.append(self._reference(text[dollar + 2 : end - 1]))
                    at = end
                else:
                    found.append(self._value(char))
                    at = dollar + 2
        return self.budget.word("".join(found))

    def _reference(self, inner: str) -> str:
        name, blank, rest = inner.partition(" ")
        if not blank or "\t" in name:
            name, blank, rest = inner.partition("\t") if "\t" in inner else (name, blank, rest)
        if blank and name in FUNCTIONS:
            limit, function = FUNCTIONS[name]
            return function(self, [self.expand(one) for one in split_arguments(rest.lstrip(), limit)])
        if blank and name in LAZY:
            return self._lazy(name, split_arguments(rest.lstrip()))
        head, colon, replacement = inner.partition(":")
        if colon and "=" in replacement and "$(" not in head:
            pattern, _, new = replacement.partition("=")
            pattern, new = self.expand(pattern), self.expand(new)
            if "%" not in pattern:
                pattern, new = "%" + pattern, "%" + new
            return substitute(self._value(self.expand(head)), pattern, new)
        return self._value(self.expand(inner))

    def _lazy(self, name: str, args: list[str]) -> str:
        args += [""] * (3 - len(args))
        if name == "if":
            return self.expand(args[1] if self.expand(args[0]).strip() else ",".join(args[2:]))
        if name in ("or", "and"):
            value = ""
            for one in args:
                value = self.expand(one).strip()
                if bool(value) == (name == "or"):
                    break
            return value
        if name == "foreach":
            variable, found = self.expand(args[0]).strip(), []
            for word in self.expand(args[1]).split()[:2000]:
                self.scope.append({variable: word})
                found.append(self.expand(",".join(args[2:])))
                self.scope.pop()
            return " ".join(found)
        if name == "call":
            values = {str(at): self.expand(one) for at, one in enumerate(args)}
            self.scope.append(values)
            try:
                return self.expand(self._raw(values["0"].strip()))
            finally:
                self.scope.pop()
        if name == "eval":
            with self.budget.deeper():
                self.parse(self.expand(",".join(args).rstrip(",")), self.path)
            return ""
        if name == "origin":
            return "file" if self.expand(args[0]).strip() in self.variables else "undefined"
        return self._raw(self.expand(args[0]).strip()) if name == "value" else "recursive"

    def _raw(self, name: str) -> str:
        for scope in reversed(self.scope):
            if name in scope:
                return scope[name]
        if name in self.variables:
            return self.variables[name][1]
        return self.reading.environ.get(name, "")

    def _value(self, name: str) -> str:
        if len(name) == 2 and name[1] in "DF" and name[0] in "@<^?*+":
            function = os.path.dirname if name[1] == "D" else os.path.basename
            return " ".join(function(word) or "." for word in self._value(name[0]).split())
        for scope in reversed(self.scope):
            if name in scope:
                return scope[name]
        recursive, value = self.variables.get(name, (False, self.reading.environ.get(name, "")))
        if not recursive or "$" not in value:
            return value
        if name in self._expanding:
            raise Exhausted("a variable that refers to itself")
        self._expanding.append(name)
        try:
            return self.expand(value)
        finally:
            self._expanding.pop()

    def shell_output(self, script: str) -> str:
        """Return what $(shell …) is, as far as that is known without running it."""
        shell = Shell(self.reading, self.path, self.directory, kind="make")
        return shell.substitute(script).replace("\n", " ")


def closing_bracket(text: str, at: int) -> int:
    """Return the index behind the bracket that closes the one at ``at``."""
    opening = text[at]
    closing = ")" if opening == "(" else "}"
    depth = 0
    for end in range(at, len(text)):
        depth += (text[end] == opening) - (text[end] == closing)
        if not depth:
            return end + 1
    return len(text)


def outside(line: str, char: str) -> int:
    """Return where ``char`` first stands outside of references, -1 if nowhere."""
    at = 0
    while at < len(line):
        if line[at] == "$" and line[at + 1 : at + 2] in ("(", "{"):
            at = closing_bracket(line, at + 1)
            continue
        if line[at] == char:
            return at
        at += 1
    return -1
