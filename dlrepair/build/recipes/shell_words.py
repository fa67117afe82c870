"""Words of a shell script expanded: parameters, command substitutions, quotes, fields, file names."""

from __future__ import annotations

from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.shell_syntax import closing
from dlrepair.build.recipes.text import find_files, is_known, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Union

    from dlrepair.build.recipes.text import Budget

    Value = Union[str, list[str]]

_SPECIAL = "@*#?$!-"


class Variables:
    """The variables and positional parameters of one shell; a copy is a subshell's."""

    def __init__(self, environ: dict[str, str], script: str, arguments: list[str]) -> None:
        self.environ = environ
        self.script = script
        self.arguments = arguments
        self.values: dict[str, Value] = {}

    def copy(self) -> Variables:
        """Return what a subshell begins with."""
        other = Variables(self.environ, self.script, list(self.arguments))
        other.values = dict(self.values)
        return other

    def get(self, name: str) -> Value | None:
        """Return a variable's value, None if it is not set."""
        if name in self.values:
            return self.values[name]
        if name.isdigit():
            at = int(name)
            if at == 0:
                return self.script
            return self.arguments[at - 1] if at <= len(self.arguments) else None
        if name in ("@", "*"):
            return list(self.arguments)
        if name == "#":
            return str(len(self.arguments))
        if name in ("?", "!"):
            return "0"
        if name in ("BASH_SOURCE", "BASH_SOURCE[0]"):
            return self.script
        if name == "OSTYPE":
            return {"linux": "linux-gnu", "darwin": "darwin"}.get(_platform(), _platform())
        return self.environ.get(name)


def _platform() -> str:
    import sys

    return "linux" if sys.platform.startswith("linux") else sys.platform


class Expander:
    """Expands words as a shell does; a command substitution is answered by ``run``."""

    def __init__(
        self, variables: Variables, directory: Callable[[], str], run: Callable[[str], str], budget: Budget
    ) -> None:
        self.variables = variables
        self.directory = directory
        self.run = run
        self.budget = budget

    def fields(self, word: str) -> list[str]:
        """Return the fields that a word becomes: split at blanks outside of quotes, file names filled in."""
        found: list[str] = []
        for one in _braces(word):
            found += self._glob(self._fields(one))
        return found

    def text(self, word: str) -> str:
        """Return a word as one string: assignments and the words of ``[[`` are not split."""
        return " ".join(field for field, _ in self._fields(word, split=False))

    def _glob(self, fields: list[tuple[str, bool]]) -> list[str]:
        found: list[str] = []
        for field, pattern in fields:
            if pattern and is_known(field) and any(char in field for char in "*?["):
                files = list(find_files(field, self.directory(), self.budget))
                found += files or [field]
            else:
                found.append(field)
        return found

    def _fields(self, word: str, split: bool = True) -> list[tuple[str, bool]]:
        """Return (field, whether a pattern may be in it) pairs."""
        done: list[tuple[str, bool]] = []
        current: list[str] = []
        state = {"quoted": False, "pattern": False}

        def finish() -> None:
            if current or state["quoted"]:
                done.append(("".join(current), state["pattern"]))
            del current[:]
            state["quoted"] = state["pattern"] = False

        def add(value: Value, quoted: bool, joined: bool) -> None:
            self.budget.word(value if isinstance(value, str) else " ".join(value))
            if isinstance(value, list):
                if joined or not split:
                    value = " ".join(value)
                else:
                    for at, one in enumerate(value):
                        if at:
                            finish()
                        add(one, quoted, False)
                    return
            if quoted or not split:
                current.append(value)
                state["quoted"] = state["quoted"] or quoted
                return
            parts = value.split()
            if value[:1].isspace():
                finish()
            for at, part in enumerate(parts):
                if at:
                    finish()
                current.append(part)
                state["pattern"] = True
            if parts and value[-1:].isspace():
                finish()

        self._walk(word, False, add)
        if any(char in word for char in "*?["):
            state["pattern"] = True
        finish()
        return done

    def _walk(self, word: str, quoted: bool, add: Callable[[Value, bool, bool], None]) -> None:
        at, length = 0, len(word)
        while at < length:
            char = word[at]
            if char == "\\":
                following = word[at + 1 : at + 2]
                if following != "\n":
                    add(following if not quoted or following in '$`"\\' else char + following, True, True)
                at += 2
            elif char == "'" and not quoted:
                end = closing(word, at)
                add(word[at + 1 : end - 1], True, True)
                at = end
            elif char == '"' and not quoted:
                end = closing(word, at)
                add("", True, True)
                self._walk(word[at + 1 : end - 1], True, add)
                at = end
            elif char == "`":
                end = closing(word, at)
                add(self._substitute(word[at + 1 : end - 1].replace("\\`", "`")), quoted, True)
                at = end
            elif char == "$":
                at = self._dollar(word, at, quoted, add)
            elif char == "~" and at == 0 and not quoted and word[1:2] in ("", "/"):
                add(self.variables.environ.get("HOME", "~"), True, True)
                at += 1
            else:
                end = at + 1
                while end < length and word[end] not in "\\'\"`$":
                    end += 1
                current = word[at:end]
                add(current, quoted, True)
                at = end

    def _dollar(self, word: str, at: int, quoted: bool, add: Callable[[Value, bool, bool], None]) -> int:
        if word.startswith("$((", at):
            end = closing(word, at)
            add(unknown(word[at:end]), quoted, True)
            return end
        if word.startswith("$(", at):
            end = closing(word, at)
            add(self._substitute(word[at + 2 : end - 1]), quoted, True)
            return end
        if word.startswith("${", at):
            end = closing(word, at)
            inner = word[at + 2 : end - 1]
            add(self.parameter(inner), quoted, quoted and not inner.endswith(("[@]", "@")))
            return end
        end = at + 1
        if (word[end : end + 1] in _SPECIAL and end < len(word)) or word[end : end + 1].isdigit():
            end += 1
        else:
            while end < len(word) and (word[end].isalnum() or word[end] == "_"):
                end += 1
        name = word[at + 1 : end]
        if not name:
            add("$", True, True)
            return end
        add(self.lookup(name), quoted, quoted and name != "@")
        return end

    def lookup(self, name: str) -> Value:
        """Return a variable's value; an unset one is empty, as in the shell, but an unset path stays unknown."""
        value = self.variables.get(name)
        if value is not None:
            return value
        if name == "PWD":
            return self.directory()
        return [] if name in ("@", "*") else unknown("$" + name)

    def _substitute(self, script: str) -> str:
        with self.budget.deeper():
            return self.run(script).rstrip("\n")

    def parameter(self, inner: str) -> Value:
        """Return the value of ``${inner}``, operators included (XCU 2.6.2; bash: arrays and ``/``)."""
        if inner[:1] in ("#", "!") and len(inner) > 1:
            return unknown("${" + inner + "}")
        end = 0
        while end < len(inner) and (inner[end].isalnum() or inner[end] == "_"):
            end += 1
        if not end and inner[:1] in _SPECIAL:
            end = 1
        name, rest = inner[:end], inner[end:]
        value: Value | None = self.variables.get(name)
        if rest.startswith("["):
            index, _, rest = rest[1:].partition("]")
            if isinstance(value, list) and index not in ("@", "*"):
                value = value[int(index)] if index.isdigit() and int(index) < len(value) else ""
        elif isinstance(value, list) and name not in ("@", "*"):
            value = value[0] if value else ""
        if not rest:
            return self.lookup(name) if value is None else value
        return self._operator(name, value, rest)

    def _operator(self, name: str, value: Value | None, rest: str) -> Value:
        operator = rest[: 2 if rest[:2] in (":-", ":=", ":+", ":?", "##", "%%", "//") else 1]
        word = rest[len(operator) :]
        missing = value is None or (operator.startswith(":") and not value)
        if operator.lstrip(":") in ("-", "=", "?") and operator:
            if not missing and value is not None:
                return value
            default = self.text(word) if operator[-1] != "?" else unknown("$" + name)
            if operator[-1] == "=":
                self.variables.values[name] = default
            return default
        if operator.lstrip(":") == "+":
            return "" if missing else self.text(word)
        if value is None:
            return self.lookup(name)
        if isinstance(value, list):
            return [_edit(one, operator, word, self) for one in value]
        return _edit(value, operator, word, self)


def _edit(value: str, operator: str, word: str, expander: Expander) -> str:
    """Return ``value`` with a prefix, a suffix or a pattern taken out."""
    if operator in ("/", "//"):
        old, _, new = word.partition("/")
        old, new = expander.text(old), expander.text(new)
        if not old or not is_known(value):
            return value
        return value.replace(old, new) if operator == "//" else value.replace(old, new, 1)
    pattern = expander.text(word)
    expander.budget.spend(1 + len(value) * len(value) // 64)
    if len(value) > 512:
        return value
    ends = range(len(value) + 1)
    if operator in ("#", "##"):
        for end in reversed(ends) if operator == "##" else ends:
            if fits(value[:end], pattern):
                return value[end:]
    elif operator in ("%", "%%"):
        for start in ends if operator == "%%" else reversed(ends):
            if fits(value[start:], pattern):
                return value[:start]
    elif operator == ":":
        return _part(value, word)
    return value


def _part(value: str, word: str) -> str:
    """``OFFSET`` or ``OFFSET:LENGTH`` of ``value``, as bash counts them: negative ones from the end."""
    first, _, last = word.partition(":")
    try:
        offset = int(first or "0")
        length = int(last) if last.strip() else None
    except ValueError:
        return value
    if not is_known(value):
        return value
    start = max(0, len(value) + offset) if offset < 0 else offset
    if length is None:
        return value[start:]
    return value[start:length] if length < 0 else value[start : start + length]


def _braces(word: str, depth: int = 0) -> list[str]:
    """Return the words that ``{a,b}`` in a word makes; at most a few dozen."""
    start = 0
    while depth < 4:
        at = word.find("{", start)
        end = word.find("}", at)
        if at < 0 or end < 0 or "'" in word or '"' in word:
            break
        inner = word[at + 1 : end]
        if (at and word[at - 1] == "$") or "," not in inner or "{" in inner:
            start = at + 1
            continue
        found: list[str] = []
        for choice in inner.split(",")[:40]:
            found += _braces(word[:at] + choice + word[end + 1 :], depth + 1)
        return found[:200]
    return [word]
