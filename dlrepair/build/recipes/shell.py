"""Shell scripts: every compiler command in them, with variables, loops, branches and other scripts followed.

Nothing is run. A branch whose condition only a run could tell is followed on both sides; the commands of
the side that would not be taken here are marked.
"""

from __future__ import annotations

import os

from dlrepair.build.recipes import names, shell_tests
from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.programs import is_compiler, is_python, output
from dlrepair.build.recipes.shell_syntax import Block, Simple, parse
from dlrepair.build.recipes.shell_words import Expander, Variables
from dlrepair.build.recipes.text import Command, absolute, has_unknown, is_known, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.build.recipes.shell_syntax import Node
    from dlrepair.build.recipes.shell_words import Value
    from dlrepair.build.recipes.text import Reading

#: Programs that only run the command that follows them.
_PREFIXES = frozenset(("sudo", "time", "nice", "exec", "env", "command", "ccache", "distcc", "builtin", "nohup", "@"))
_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ksh"))
_PRINTERS = frozenset(
    ("echo", "printf", "pwd", "dirname", "basename", "readlink", "realpath", "uname", "which", "command", "ls", "find")
)
#: Programs whose words matter for what becomes of objects and libraries.
_KEPT = frozenset(("ar", "ld", "ln", "cp", "mv", "install", "libtool"))


class Shell:
    """One shell: its variables, functions and working directory. A subshell is a copy."""

    def __init__(
        self, reading: Reading, file: str, directory: str, arguments: Sequence[str] = (), kind: str = "shell"
    ) -> None:
        self.reading = reading
        self.budget = reading.budget
        self.file = file
        self.kind = kind
        self.directory = directory
        self.variables = Variables(reading.environ, file, list(arguments))
        self.functions: dict[str, list[Node]] = {}
        self.taken = True
        self.printed: list[str] | None = None  #: what a command substitution printed so far
        self.expander = Expander(self.variables, lambda: self.directory, self.substitute, self.budget)
        self._line_offset = 0
        self._stack: list[str] = []

    def child(self) -> Shell:
        """Return a subshell."""
        other = Shell(self.reading, self.file, self.directory, kind=self.kind)
        other.variables = self.variables.copy()
        other.expander = Expander(other.variables, lambda: other.directory, other.substitute, self.budget)
        other.functions = self.functions
        other.taken = self.taken
        return other

    def run_text(self, text: str, line: int = 1) -> None:
        """Follow a whole script; raises ``Exhausted`` beyond the budget."""
        self.run(parse(text, self.budget, line))

    def run(self, nodes: Sequence[Node]) -> None:
        """Follow commands in order."""
        for node in nodes:
            self.budget.spend()
            if isinstance(node, Simple):
                self._simple(node)
            else:
                with self.budget.deeper():
                    self._block(node)

    # Blocks.

    def _block(self, node: Block) -> None:
        if node.kind == "function":
            self.functions[node.words[0]] = node.parts[0][1]
        elif node.kind == "subshell":
            inner = self.child()
            inner.printed = self.printed
            inner.run(node.parts[0][1])
        elif node.kind == "group":
            self.run(node.parts[0][1])
        elif node.kind in ("and", "or"):
            self._joined(node)
        elif node.kind == "if":
            self._if(node)
        elif node.kind == "case":
            self._case(node)
        elif node.kind == "for":
            self._for(node)
        else:
            self.run(node.parts[0][0])
            self.run(node.parts[0][1])

    def _joined(self, node: Block) -> None:
        left, right = node.parts[0]
        verdict = self._verdict(left)
        skipped = verdict is False if node.kind == "and" else verdict is True
        self._branch(right, not skipped)

    def _branch(self, nodes: Sequence[Node], taken: bool) -> None:
        """Follow a branch; one that is not taken changes nothing here."""
        if taken:
            self.run(nodes)
            return
        inner = self.child()
        inner.taken = False
        inner.run(nodes)

    def _if(self, node: Block) -> None:
        decided = False
        for condition, body in node.parts:
            verdict = self._verdict(condition) if condition else True
            self._branch(body, verdict is not False and not decided)
            decided = decided or verdict is not False

    def _verdict(self, condition: Sequence[Node]) -> bool | None:
        """Follow a condition and return what it says, None where only a run could tell."""
        verdict: bool | None = None
        for node in condition:
            verdict = self._condition(node)
        return verdict

    def _condition(self, node: Node) -> bool | None:
        if isinstance(node, Block):
            if node.kind in ("and", "or") and node.parts:
                left = self._verdict(node.parts[0][0])
                right = self._verdict(node.parts[0][1])
                return shell_tests.joined(node.kind, left, right)
            self._block(node)
            return None
        words = node.words
        negated = words[0] == "!"
        words = words[1:] if negated else words
        if not words:
            return None
        if words[0] in ("[", "[[", "test"):
            verdict = shell_tests.test(words, self.expander, lambda path: self._path(path))
        elif words[0] in ("which", "type", "hash") or words[:2] == ["command", "-v"]:
            verdict = bool(output([self.expander.text(word) for word in words], self.directory, {}, self.budget))
        else:
            self._simple(Simple(words, node.line))
            verdict = {"true": True, "false": False}.get(words[0])
            if words[0] in _PRINTERS or words[0] in ("cd", "mkdir", "export"):
                verdict = True  # what follows an "or" is for the case that it fails
        return None if verdict is None else verdict != negated

    def _case(self, node: Block) -> None:
        subject = self.expander.text(node.words[0])
        decided = False
        for patterns, (_, body) in zip(node.patterns, node.parts):
            chosen = any(fits(subject, self.expander.text(pattern)) for pattern in patterns)
            self._branch(body, chosen and not decided)
            decided = decided or chosen

    def _for(self, node: Block) -> None:
        name, body = node.words[0], node.parts[0][1]
        values = [value for word in node.words[1:] for value in self.expander.fields(word)]
        for value in values[:500] or [unknown("$" + name)]:
            self.variables.values[name] = value
            self.run(body)

    # Simple commands.

    def _simple(self, node: Simple) -> None:
        words = list(node.words)
        while words and self._assign(words[0]):
            words.pop(0)
        if not words:
            return
        if words[0] in ("export", "declare", "local", "readonly", "typeset"):
            for word in words[1:]:
                self._assign(word)
            return
        fields = [field for word in words for field in self.expander.fields(word)]
        while fields and (
            fields[0].lstrip("@-+") in _PREFIXES or ("=" in fields[0].split("/")[0] and fields[0][0].isalpha())
        ):
            if fields[0] == "command" and fields[1:2] in (["-v"], ["-V"]):
                break
            if fields[0] == "env":
                fields = [fields[0]] + [field for field in fields[1:] if not field.startswith("-")]
            fields.pop(0)
        if fields:
            self.execute(fields, node.line)

    def _assign(self, word: str) -> bool:
        """Carry out ``NAME=value``, ``NAME+=value`` or ``NAME=(…)``; False if the word is none of these."""
        name, equals, raw = word.partition("=")
        append = name.endswith("+")
        name = name[:-1] if append else name
        if not equals or not name or not (name[0].isalpha() or name[0] == "_") or not name.replace("_", "a").isalnum():
            return False
        value: Value
        if raw.startswith("("):
            inner = raw[1:-1] if raw.endswith(")") else raw[1:]
            value = []
            for node in parse(inner.replace("\n", " "), self.budget):
                if isinstance(node, Simple):
                    value += [field for one in node.words for field in self.expander.fields(one)]
        else:
            value = self.expander.text(raw)
        if append:
            before = self.variables.get(name)
            if isinstance(value, list):
                value = (before if isinstance(before, list) else [before] if before else []) + value
            elif isinstance(before, list):
                value = before + [value]
            else:
                value = (before or "") + value
        self.budget.word(value if isinstance(value, str) else " ".join(value))
        self.variables.values[name] = value
        return True

    def execute(self, fields: list[str], line: int) -> None:
        """Follow one command whose words are expanded."""
        first = fields[0]
        name = os.path.basename(first)
        if first in self.functions:
            self._call(first, fields[1:])
        elif name in ("cd", "pushd"):
            self._change_directory([field for field in fields[1:] if field not in ("--", "-P", "-L")])
        elif name == "popd":
            self.directory = self._stack.pop() if self._stack else self.directory
        elif name in ("source", "."):
            self._script(fields[1:], same=True)
        elif name in _SHELLS:
            self._shell(fields[1:], line)
        elif name == "set" and fields[1:2] == ["--"]:
            self.variables.arguments[:] = fields[2:]
        elif name == "shift":
            del self.variables.arguments[: int(fields[1]) if fields[1:] and fields[1].isdigit() else 1]
        elif name == "eval":
            with self.budget.deeper():
                self.run_text(" ".join(fields[1:]), line)
        elif self._compiles(fields) or name in _KEPT:
            self.reading.emit(Command(tuple(fields), self.directory, self.file, line, self.kind, self.taken))
        elif self.printed is not None and (self._prints(first, name) or not self.printed):
            self.printed.append(output(fields, self.directory, self.reading.environ, self.budget))
        elif is_known(first) and "/" in first and first.endswith((".sh", ".bash")):
            self._script(fields, same=False)

    @staticmethod
    def _prints(first: str, name: str) -> bool:
        return name in _PRINTERS or is_python(first) or name.endswith("-config")

    @staticmethod
    def _compiles(fields: Sequence[str]) -> bool:
        if is_compiler(fields[0]):
            return True
        named = "CXX" in fields[0] or "CC" in fields[0] or "++" in fields[0]
        return has_unknown(fields[0]) and ("-shared" in fields or "-c" in fields or named) and len(fields) > 2

    def _call(self, name: str, arguments: list[str]) -> None:
        before = self.variables.arguments
        self.variables.arguments = arguments
        try:
            with self.budget.deeper():
                self.run(self.functions[name])
        finally:
            self.variables.arguments = before

    def _change_directory(self, arguments: Sequence[str]) -> None:
        self._stack.append(self.directory)
        if not arguments or arguments[0] == "-":
            self.directory = self._stack[-2] if len(self._stack) > 1 and arguments else self.directory
            return
        folder = self._path(arguments[0])
        if self.kind in ("readme", "comment") and "/" not in arguments[0] and not os.path.isdir(folder):
            return  # "git clone URL/NAME; cd NAME": it is where we are
        self.directory = folder

    def _path(self, path: str) -> str:
        """Return where a path of the script is: relative to the working directory, else below the project.

        The author's own absolute path, and a script meant to be started elsewhere, are met by looking for the
        longest end of the path that exists.
        """
        wanted = absolute(path, self.directory)
        if not is_known(path) or os.path.exists(wanted):
            return wanted
        for base in (os.path.dirname(self.file), self.reading.root):
            parts = [part for part in path.split("/") if part not in ("", ".")]
            for at in range(len(parts) if path.startswith("/") else 1):
                other = absolute("/".join(parts[at:]), base) if parts[at:] else base
                if os.path.isdir(other):
                    return other
        return wanted

    def _shell(self, arguments: list[str], line: int) -> None:
        """Follow ``sh -c TEXT`` and ``sh FILE ARGUMENTS``."""
        if "-c" in arguments:
            at = arguments.index("-c") + 1
            if at < len(arguments):
                inner = self.child()
                inner.printed = self.printed
                with self.budget.deeper():
                    inner.run_text(arguments[at], line)
            return
        while arguments and arguments[0].startswith("-"):
            arguments = arguments[1:]
        self._script(arguments, same=False)

    def _script(self, fields: Sequence[str], same: bool) -> None:
        """Follow another script of the project, in this shell or in one of its own."""
        if not fields or not is_known(fields[0]):
            return
        path = absolute(fields[0], self.directory)
        if not os.path.isfile(path):
            path = absolute(fields[0], os.path.dirname(self.file))
        text = self.reading.read(path)
        if not text:
            return
        with self.budget.deeper():
            if same:
                before, self.file = self.file, path
                self.run_text(text)
                self.file = before
            else:
                inner = Shell(self.reading, path, self.directory, fields[1:], self.kind)
                inner.taken = self.taken
                inner.run_text(text)

    def substitute(self, script: str) -> str:
        """Return what a command substitution prints."""
        inner = self.child()
        inner.printed = []
        inner.run_text(script)
        return " ".join(inner.printed)


def read_script(reading: Reading, path: str) -> None:
    """Add the commands of the shell script ``path``, run in its own directory.

    One that takes a name (``g++ $1.cc -o $1.so``) and makes nothing that is wanted without it is followed once
    for each source beside it that is named like the wanted library.
    """
    text = reading.read(path)
    directory = os.path.dirname(path)
    before = len(reading.commands)
    Shell(reading, path, directory).run_text(text)
    if not reading.stem or not any("$" + one in text or "${" + one in text for one in "1@*"):
        return
    if any(names.fit(word, reading.stem + ".so") for one in reading.commands[before:] for word in one.words):
        return
    for argument in _arguments(reading, directory):
        Shell(reading, path, directory, [argument]).run_text(text)


def _arguments(reading: Reading, directory: str) -> list[str]:
    """Return what a script may be told: the library, sources beside it that are named like it, or their stems."""
    core = names.core(reading.stem)
    try:
        files = sorted(os.listdir(directory))
    except OSError:
        return []
    found = [reading.stem + ".so"]
    for name in files:
        base, ending = os.path.splitext(name)
        if ending in (".cc", ".cpp", ".cxx", ".c", ".cu") and names.core(base) == core:
            found += [name, base]
    return found[:10]
