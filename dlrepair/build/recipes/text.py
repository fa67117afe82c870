"""Words of commands whose parts may be unknown, and the bounds within which recipes are read.

A value that only running something could tell is kept as a mark inside the word. What a mark stands
for decides later what becomes of the word: TensorFlow's and Python's values are taken from the running
interpreter, a word with an unknown part is left out.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from dlrepair.build.recipes.patterns import fits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: From Unicode's private use area: no recipe has them.
TENSORFLOW = "\ue000"
PYTHON = "\ue001"
NUMPY = "\ue002"
_UNKNOWN = "\ue003"
_END = "\ue004"
MARKS = (TENSORFLOW, PYTHON, NUMPY, _UNKNOWN, _END)

#: Inside a mark nothing may have a meaning to a shell, to make or in a path.
_SPECIAL = "$()'\"`|&;<>*?[]{}#~\\/ \t\n=,%!@:."
_HIDDEN = {ord(char): chr(0xE010 + at) for at, char in enumerate(_SPECIAL)}
_SHOWN = {hidden: chr(char) for char, hidden in _HIDDEN.items()}

_NAMES = {TENSORFLOW: "<TensorFlow>", PYTHON: "<Python>", NUMPY: "<NumPy>", _UNKNOWN: "", _END: ""}

#: A longer file is read up to here: build files of people are a few kilobytes.
MAX_BYTES = 1 << 20
MAX_WORD = 1 << 16


def unknown(text: str) -> str:
    """Return a mark for a value that is not known, written ``text`` in the recipe."""
    plain = "".join(char for char in text[:60] if not "\ue000" <= char <= "\ue0ff")
    return _UNKNOWN + plain.translate(_HIDDEN) + _END


def is_known(word: str) -> bool:
    """Tell whether ``word`` holds no mark at all."""
    return not any(mark in word for mark in MARKS)


def has_unknown(word: str) -> bool:
    """Tell whether a part of ``word`` is not known (TensorFlow's, Python's and NumPy's values are)."""
    return _UNKNOWN in word


def without_unknown(word: str) -> str:
    """Return ``word`` with every unknown part left out."""
    while _UNKNOWN in word:
        head, _, rest = word.partition(_UNKNOWN)
        word = head + rest.partition(_END)[2]
    return word


def show(word: str) -> str:
    """Return ``word`` as a person reads it."""
    for mark, name in {**_NAMES, **_SHOWN}.items():
        word = word.replace(mark, name)
    return word


def is_unset(word: str) -> bool:
    """Tell whether ``word`` is nothing but a variable that is not set anywhere."""
    inner = show(word)
    whole = has_unknown(word) and not without_unknown(word)
    return whole and inner.startswith("$") and inner[1:2] not in ("(", "{", "")


class Exhausted(Exception):
    """A recipe is larger than anything that people write: what was read until here is used."""


class Budget:
    """Bounds the work for all recipes together: steps, depth of nesting, wall time."""

    MAX_STEPS = 1_000_000
    MAX_DEPTH = 40

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.steps = 0
        self.limit = self.MAX_STEPS
        self.depth = 0

    def spend(self, steps: int = 1) -> None:
        """Count work; raises ``Exhausted`` beyond the bounds."""
        self.steps += steps
        if self.steps > self.limit:
            raise Exhausted("too many steps")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise Exhausted("out of time")

    def word(self, text: str) -> str:
        """Return ``text``, having counted it; raises ``Exhausted`` when it is longer than any real word."""
        self.spend(1 + (len(text) >> 6))
        if len(text) > MAX_WORD * 8:
            raise Exhausted("a value too long")
        return text

    def deeper(self) -> _Level:
        """Return a context manager for one level of nesting."""
        return _Level(self)

    def share(self, steps: int) -> None:
        """Allow ``steps`` from here on: one file cannot use up what the others need."""
        self.limit = min(self.MAX_STEPS, self.steps + steps)

    @property
    def over(self) -> bool:
        """Whether nothing more may be read at all."""
        late = self.deadline is not None and time.monotonic() > self.deadline
        return late or self.steps >= self.MAX_STEPS


class _Level:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __enter__(self) -> None:
        self.budget.depth += 1
        if self.budget.depth > Budget.MAX_DEPTH:
            self.budget.depth -= 1
            raise Exhausted("nested too deeply")

    def __exit__(self, *error: object) -> None:
        self.budget.depth -= 1


@dataclass(frozen=True)
class Command:
    """One command of a recipe with everything expanded that can be told without running anything."""

    words: tuple[str, ...]
    directory: str  #: where it runs
    file: str
    line: int
    kind: str  #: see ``dlrepair.model.build.RECIPE_KINDS``
    taken: bool = True  #: False in a branch that would not be taken on this machine


@dataclass
class Reading:
    """What one project's recipes have in common while they are read."""

    root: str
    budget: Budget
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    commands: list[Command] = field(default_factory=list)
    stem: str = ""  #: of the wanted library: for scripts and rules that take a name

    def emit(self, command: Command) -> None:
        """Add a command."""
        self.budget.spend(len(command.words))
        self.commands.append(command)

    def read(self, path: str) -> str:
        """Return the text of ``path``, "" if it is no readable text file."""
        self.budget.spend(10)
        return read_text(path)


def read_text(path: str, limit: int = MAX_BYTES) -> str:
    """Return the first ``limit`` bytes of a regular file as text with ``\\n`` line ends; "" of anything else."""
    import stat

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as handle:
            data = handle.read(limit)
    except (OSError, ValueError):
        return ""
    if b"\0" in data[:4096]:
        return ""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    for mark in MARKS:
        text = text.replace(mark, "")
    return text


def inside(path: str, root: str) -> bool:
    """Tell whether a normalised path is ``root`` or lies below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def absolute(path: str, directory: str) -> str:
    """Return ``path`` taken relative to ``directory``, lexically normalised."""
    return os.path.normpath(os.path.join(directory, path))


def find_files(pattern: str, directory: str, budget: Budget, limit: int = 2000) -> Iterator[str]:
    """Yield what a shell makes of ``pattern`` in ``directory``, sorted, each written as the pattern was."""
    absolute_pattern = pattern.startswith("/")
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    prefix = "/" if absolute_pattern else ("./" if pattern.startswith("./") else "")
    level = [prefix]
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        following: list[str] = []
        for head in level:
            base = head if absolute_pattern else os.path.join(directory, head)
            if part == ".." or not any(char in part for char in "*?["):
                following.append(head + part + ("" if last else "/"))
                continue
            try:
                names = sorted(os.listdir(base or "."))
            except (OSError, ValueError):
                continue
            budget.spend(1 + len(names) // 8)
            names = [one for one in names if fits(one, part)]
            following += [head + name + ("" if last else "/") for name in names if part[0] == "." or name[0] != "."]
            if len(following) > limit:
                break
        level = following[:limit]
    for path in level:
        if os.path.lexists(os.path.join(directory, path)):
            yield path
