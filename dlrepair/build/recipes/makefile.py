"""Makefiles: every target's commands with variables, functions and pattern rules worked out. Make is not run.

After the GNU make manual. All targets are visited, since nobody knows which the user built; for a library
that only a branch makes which would not be taken (``LIBSO=0``), that branch is taken.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from dlrepair.build.recipes import names
from dlrepair.build.recipes.make_functions import lines_of, matches, split_arguments, without_comment
from dlrepair.build.recipes.make_values import Values, closing_bracket, outside
from dlrepair.build.recipes.programs import is_compiler
from dlrepair.build.recipes.shell import Shell
from dlrepair.build.recipes.text import absolute, find_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.build.recipes.text import Command, Reading

_ASSIGN = re.compile(
    r"^\s*(?:(?:export|override|private)\s+)*([^\s:#=+?!$()]+|\$[({][^=]*?[)}])\s*(:::?=|::?=|\+=|\?=|!=|=)(.*)$",
    re.DOTALL,
)
_DEFAULTS = {
    "CC": "cc", "CXX": "g++", "CPP": "cc -E", "AR": "ar", "LD": "ld", "RM": "rm -f", "MAKE": "make", "ARFLAGS": "rv",
    "COMPILE.cc": "$(CXX) $(CXXFLAGS) $(CPPFLAGS) -c", "COMPILE.c": "$(CC) $(CFLAGS) $(CPPFLAGS) -c",
    "COMPILE.cpp": "$(COMPILE.cc)", "COMPILE.C": "$(COMPILE.cc)", "LINK.o": "$(CC) $(LDFLAGS)",
    "LINK.cc": "$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(LDFLAGS)", "LINK.cpp": "$(LINK.cc)", "LINK.C": "$(LINK.cc)",
    "LINK.c": "$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS)", "OUTPUT_OPTION": "-o $@", "SHELL": "/bin/sh",
}  # fmt: skip
_IMPLICIT = {".cc": "$(COMPILE.cc) -o $@ $<", ".cpp": "$(COMPILE.cc) -o $@ $<", ".c": "$(COMPILE.c) -o $@ $<"}
MAX_TARGETS = 3000


@dataclass
class Rule:
    """One rule as written, targets and prerequisites expanded."""

    targets: list[str]
    needs: list[str]
    lines: list[tuple[int, str]] = field(default_factory=list)
    static: str = ""  #: the target pattern of a static pattern rule


class Makefile(Values):
    """Variables and rules of one makefile and what it includes."""

    def __init__(self, reading: Reading, path: str, forced: frozenset[str] = frozenset()) -> None:
        super().__init__(reading, path)
        self.forced = forced
        self.refused: list[tuple[str, str]] = []  #: (condition, text) of branches that are not taken
        self.scoped: list[tuple[str, str, str, str]] = []  #: (target, name, operator, value)
        self.rules: list[Rule] = []
        self._included: set[str] = set()
        for name, value in _DEFAULTS.items():
            self.variables[name] = (True, value)
        self.variables["CURDIR"] = (False, self.directory)
        self.variables["MAKEFILE_LIST"] = (False, path)

    # Reading.

    def include(self, path: str) -> None:
        """Read a makefile; one that is included twice is read once."""
        if path in self._included or len(self._included) > 50:
            return
        self._included.add(path)
        with self.budget.deeper():
            self.parse(self.reading.read(path), path)

    def parse(self, text: str, path: str, first: int = 1) -> None:
        """Read the lines of a makefile."""
        skipping: list[bool] = []  #: one a conditional: whether its current branch is skipped
        done: list[bool] = []  #: whether a branch of it was taken
        rule: Rule | None = None
        refusal: list[tuple[str, list[str]]] = []
        lines = lines_of(text, first)
        define: tuple[str, list[str]] | None = None
        for number, line in lines:
            self.budget.spend(1 + len(line) // 100)
            stripped = line.strip()
            if define is not None:
                if stripped.split("#")[0].strip() == "endef":
                    self.variables[define[0]] = (True, "\n".join(define[1]))
                    define = None
                else:
                    define[1].append(line)
                continue
            word = stripped.split(None, 1)[0].rstrip("(") if stripped else ""
            if word in ("ifeq", "ifneq", "ifdef", "ifndef", "else", "endif") and not (
                line[0] == "\t" and rule and word == "else"
            ):
                self._conditional(word, stripped, skipping, done, refusal)
                continue
            if any(skipping):
                if refusal:
                    refusal[-1][1].append(line)
                continue
            if line.startswith("\t") and rule is not None:
                rule.lines.append((number, line[1:]))
                continue
            if not stripped or stripped.startswith("#"):
                continue
            if line[0] == " " and rule is not None and is_compiler(self.expand(word)):
                rule.lines.append((number, stripped))  # make(1) refuses it: somebody's editor made blanks of a tab
                continue
            if word == "define":
                name = stripped.split(None, 1)[1].rstrip("= ") if " " in stripped else ""
                define = (name, [])
                continue
            rule = self._statement(without_comment(line.replace("\\#", "#") if "\\#" in line else line), number, rule)

    def _conditional(
        self, word: str, text: str, skipping: list[bool], done: list[bool], refusal: list[tuple[str, list[str]]]
    ) -> None:
        if word == "endif":
            if skipping:
                skipping.pop()
                done.pop()
                condition, lines = refusal.pop()
                self.refused.append((condition, "\n".join(lines)))
            return
        if word == "else":
            if not skipping:
                return
            rest = text[4:].strip()
            condition, lines = refusal.pop()
            self.refused.append((condition, "\n".join(lines)))
            refusal.append(("else " + condition, []))
            if "else " + condition in self.forced:
                skipping[-1], done[-1] = False, True
                return
            if done[-1]:
                skipping[-1] = True
            elif rest.startswith("if"):
                skipping[-1] = not self._holds(rest.split(None, 1)[0].rstrip("("), rest)
                done[-1] = not skipping[-1]
            else:
                skipping[-1], done[-1] = False, True
            return
        refusal.append((text, []))
        if any(skipping):
            skipping.append(True)
            done.append(True)
            return
        holds = text in self.forced or self._holds(word, text)
        skipping.append(not holds)
        done.append(holds)

    def _holds(self, word: str, text: str) -> bool:
        rest = text[len(word) :].strip()
        if word in ("ifdef", "ifndef"):
            name = self.expand(without_comment(rest)).strip()
            return bool(self._raw(name)) == (word == "ifdef")
        if rest.startswith("("):
            end = rest.rfind(")")
            parts = split_arguments(rest[1:end], 2)
        else:
            quoted = re.match(r"\s*(['\"])(.*?)\1\s*(['\"])(.*?)\3", rest)
            parts = [quoted.group(2), quoted.group(4)] if quoted else [rest, ""]
        left, right = self.expand(parts[0]).strip(), self.expand(parts[1] if len(parts) > 1 else "").strip()
        return (left == right) == (word == "ifeq")

    def _statement(self, line: str, number: int, rule: Rule | None) -> Rule | None:
        stripped = line.strip()
        word = stripped.split(None, 1)[0]
        if word in ("include", "-include", "sinclude"):
            for name in self.expand(stripped[len(word) :]).split():
                for path in find_files(name, self.directory, self.budget):
                    self.include(absolute(path, self.directory))
            return None
        if word in ("export", "unexport", "vpath", "override") and "=" not in stripped:
            if word == "vpath":
                parts = stripped.split(None, 2)
                if len(parts) == 3:
                    self.assign("VPATH", "+=", " " + parts[2].replace(":", " "))
            return None
        assignment = _ASSIGN.match(line)
        colon = _rule_colon(line)
        if assignment and (colon < 0 or assignment.end(1) <= colon):
            self.assign(self.expand(assignment.group(1)).strip(), assignment.group(2), assignment.group(3))
            return None
        if colon < 0:
            self.expand(line)  # $(eval …), $(call …)
            return rule
        return self._rule(line, colon, number)

    def _rule(self, line: str, colon: int, number: int) -> Rule | None:
        targets = self.expand(line[:colon]).split()
        rest = line[colon + 1 :].lstrip(":")
        assignment = _ASSIGN.match(rest)
        if assignment and "$" not in assignment.group(1):
            for target in targets:
                self.scoped.append((target, assignment.group(1), assignment.group(2), assignment.group(3)))
            return None
        at = outside(rest, ";")
        rest, semicolon, command = (rest[:at], ";", rest[at + 1 :]) if at >= 0 else (rest, "", "")
        static = ""
        second = _rule_colon(rest)
        if second >= 0:
            static, rest = self.expand(rest[:second]).strip(), rest[second + 1 :]
        rule = Rule(targets, self.expand(rest).replace("|", " ").split(), static=static)
        if semicolon:
            rule.lines.append((number, command))
        self.rules.append(rule)
        return rule

    def assign(self, name: str, operator: str, raw: str) -> None:
        """Carry out an assignment."""
        raw = raw.strip()
        if operator == "?=":
            if name not in self.variables and name not in self.reading.environ:
                self.variables[name] = (True, raw)
        elif operator == "+=":
            recursive, before = self.variables.get(name, (True, self.reading.environ.get(name, "")))
            self.variables[name] = (recursive, (before + " " + (raw if recursive else self.expand(raw))).strip())
        elif operator == "!=":
            self.variables[name] = (False, self.shell_output(self.expand(raw)))
        elif operator == "=":
            self.variables[name] = (True, raw)
        else:
            self.variables[name] = (False, self.expand(raw))
        self.budget.word(self.variables[name][1] if name in self.variables else "")

    # Building.

    def commands(self) -> None:
        """Add the commands of every target."""
        done: set[str] = set()
        for rule in list(self.rules):
            for target in rule.targets:
                if "%" not in target and not target.startswith(".PHONY"):
                    self._build(target, done, 0)
                elif self.reading.stem and ".so" in target and matches(target, self.reading.stem + ".so"):
                    self._build(self.reading.stem + ".so", done, 0)  # a shell tells the names of all of them

    def _build(self, target: str, done: set[str], level: int) -> None:
        if target in done or len(done) > MAX_TARGETS or level > 30:
            return
        done.add(target)
        self.budget.spend(len(self.rules) // 4 + 1)
        rules = [rule for rule in self.rules if target in rule.targets]
        needs = [need for rule in rules for need in self._needs(rule, target)]
        with_lines = [rule for rule in rules if rule.lines]
        first, lines, stem = (needs[0] if needs else ""), [], ""
        if with_lines:
            lines = with_lines[-1].lines
            own = self._needs(with_lines[-1], target)
            first = own[0] if own else first
            stem = matches(with_lines[-1].static, target) or "" if with_lines[-1].static else ""
        elif not target.startswith(".") or "/" in target:
            found = self._pattern(target)
            if found is not None:
                lines, more, stem = found
                first, needs = (more[0] if more else first), more + needs
        for need in needs:
            self._build(need, done, level + 1)
        if lines:
            self._run(target, list(dict.fromkeys(needs)), first, stem, lines)

    def _needs(self, rule: Rule, target: str) -> list[str]:
        found: list[str] = []
        stem = matches(rule.static, target) if rule.static else None
        for need in rule.needs:
            need = need.replace("%", stem, 1) if stem is not None else need
            files = list(find_files(need, self.directory, self.budget)) if any(char in need for char in "*?[") else []
            found += files or [self._located(need)]
        return found

    def _located(self, name: str) -> str:
        """Return ``name``, or where VPATH has it."""
        if name.startswith("/") or os.path.exists(os.path.join(self.directory, name)):
            return name
        for directory in self._value("VPATH").replace(":", " ").split():
            path = os.path.join(directory, name)
            if os.path.exists(os.path.join(self.directory, path)):
                return path
        return name

    def _pattern(self, target: str, level: int = 0) -> tuple[list[tuple[int, str]], list[str], str] | None:
        """Return (lines, prerequisites, stem) of the pattern, suffix or built-in rule that makes ``target``.

        What a pattern needs may be made by another one (GNU make, Chains of Implicit Rules), two steps at most.
        """
        self.budget.spend(len(self.rules) * (level + 1) + 1)
        made = {one for rule in self.rules for one in rule.targets}
        for rule in self.rules:
            for pattern in rule.targets:
                if "%" not in pattern or not rule.lines:
                    continue
                stem = matches(pattern, target)
                if not stem and "/" not in pattern and "/" in target:
                    stem = matches(pattern, os.path.basename(target))
                    stem = os.path.dirname(target) + "/" + stem if stem else None
                if not stem:
                    continue
                needs = [self._located(need.replace("%", stem, 1)) for need in rule.needs]
                there = not needs or needs[0] in made or os.path.exists(os.path.join(self.directory, needs[0]))
                if there or (level < 2 and needs[0] != target and self._pattern(needs[0], level + 1) is not None):
                    files = [
                        path
                        for need in needs
                        for path in (list(find_files(need, self.directory, self.budget)) or [need])
                    ]
                    return rule.lines, files, stem
        base, dot, ending = target.rpartition(".")
        for suffix, line in _IMPLICIT.items():
            for rule in self.rules:
                if dot and rule.targets == [suffix + "." + ending] and rule.lines:
                    source = self._located(base + suffix)
                    if os.path.exists(os.path.join(self.directory, source)):
                        return rule.lines, [source], base
            if ending == "o" and os.path.exists(os.path.join(self.directory, self._located(base + suffix))):
                return [(0, line)], [self._located(base + suffix)], base
        return None

    def _run(self, target: str, needs: list[str], first: str, stem: str, lines: list[tuple[int, str]]) -> None:
        scope = {"@": target, "<": first, "^": " ".join(needs), "+": " ".join(needs), "?": " ".join(needs), "*": stem}
        self.scope.append(scope)
        try:
            for pattern, name, operator, raw in self.scoped:
                if matches(pattern, target) is not None:
                    value = self.expand(raw.strip())
                    scope[name] = (self._value(name) + " " + value).strip() if operator == "+=" else value
            for number, line in lines:
                text = self.expand(line).strip().lstrip("@-+").strip()
                if text:
                    shell = Shell(self.reading, self.path, self.directory, kind="make")
                    shell.run_text(text, number)
        finally:
            self.scope.pop()


def _rule_colon(line: str) -> int:
    """Return the index of the colon that makes a line a rule, -1 of none: outside of references, not ``:=``."""
    at = 0
    while at < len(line):
        if line[at] == "$" and line[at + 1 : at + 2] in ("(", "{"):
            at = closing_bracket(line, at + 1)
            continue
        if line[at] == ":" and line[at + 1 : at + 2] != "=" and line[at : at + 3] != "::=":
            return at
        if line[at] == "=":
            return -1
        at += 1
    return -1


def read_makefile(reading: Reading, path: str) -> None:
    """Add the commands of the makefile ``path``."""
    before = len(reading.commands)
    make = Makefile(reading, path)
    try:
        make.include(path)
        make.commands()
    finally:
        made = reading.commands[before:]
    stem = reading.stem
    if not stem or any(_makes(command, stem) for command in made):
        return
    core = names.core(stem)
    forced = frozenset(condition for condition, text in make.refused if core in text)
    if not forced:
        return
    make = Makefile(reading, path, forced)
    start = len(reading.commands)
    make.include(path)
    make.commands()
    from dataclasses import replace

    reading.commands[start:] = [replace(command, taken=False) for command in reading.commands[start:]]


def _makes(command: Command, stem: str) -> bool:
    return any(".so" in word and names.fit(word, stem + ".so") for word in command.words[1:])
