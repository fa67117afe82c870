"""Code that looked for a library, did not find it and raised: which library, and what decided where it was looked for.

An uncaught exception's traceback is read backwards: the statement that raised, the tests around it, the variables in
them. Values come from the frames and from ``diagnose.values``, never from running the user's code. A variable of the
environment that the path is made of is followed through the assignments by a mark in its place.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.frames import kind_of
from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Iterator, Sequence

#: frames of user code, from the innermost outwards, that are read
FRAMES = 4
#: stands for the value of an environment variable inside a path: no path can hold it
MARK = "\0{}\0"

_READS = ("os.environ.get", "environ.get", "os.getenv", "getenv")
#: endings of variables that lead to a directory
_DIRECTORIES = ("DIR", "ROOT", "HOME", "PREFIX", "FOLDER", "BASE")
_TABLES = ("os.environ", "environ")


class GiveUp:
    """What was looked for in vain."""

    __slots__ = ("bare", "frame", "line", "module", "others", "path", "question", "steps", "variable", "via")

    def __init__(
        self, frame: FrameType, line: int, path: str, variable: str = "", via: str = "", module: str = "",
        question: str = "",
    ) -> None:  # fmt: skip
        self.frame = frame
        self.line = line
        self.path = path  #: as the code has it; a pattern where it globs; "" for a module
        self.variable = variable  #: of the environment, that decides it; or ""
        self.via = via  #: the path with a mark in place of that variable's value
        self.module = module  #: name of the module that was imported, where it was one
        self.question = question  #: what ``ctypes.util.find_library`` was asked for, where that gave the answer
        self.bare = False  #: the path is a mere name out of the message: nothing tells where it was looked for
        self.steps: tuple[tuple[FrameType, int], ...] = ((frame, line),)  #: of user code, the innermost first
        self.others: tuple[str, ...] = ()  #: further paths and patterns that were tried for it

    def value_for(self, found: str) -> str:
        """What the variable would have to be for the code to look at ``found``, or "" where nothing does that."""
        head, _, tail = self.via.partition(MARK.format(self.variable))
        if "*" in tail:
            import fnmatch

            folder, pattern = os.path.split(tail)
            place, name = os.path.split(found)
            fits = self.variable and not head and "*" not in folder and fnmatch.fnmatchcase(name, pattern)
            return place[: len(place) - len(folder)] if fits and place.endswith(folder) else ""
        if not self.variable or head or not found.endswith(tail):
            return ""
        value = found[: len(found) - len(tail)] if tail else found
        return value if self.via.replace(MARK.format(self.variable), value) == found else ""


def find(
    error: BaseException, trace: TracebackType | None, unanswered: Sequence[tuple[str, str]] = ()
) -> GiveUp | None:
    """The library that an uncaught exception is about, or None. Runs nothing of the user's. Raises nothing.

    ``unanswered``: (name, file of the caller) of the calls of ``find_library`` that answered None.
    """
    from dlrepair.diagnose import handed, questions

    try:
        steps: list[tuple[Any, int]] = []
        while trace is not None:
            steps.append((handed.real(trace.tb_frame, trace.tb_lineno), trace.tb_lineno))
            trace = trace.tb_next
        innermost = steps[-1:]
        error, text = handed.unwrapped(error)
        steps += handed.steps(text)
        steps = [one for one in reversed(steps) if kind_of(one[0]) == "user"][:FRAMES]
        for frame, line in steps:
            asked = questions.find(frame, line, error, unanswered)
            if asked is not None:
                return GiveUp(frame, line, "", module=asked[1], question=asked[0])
        if isinstance(error, ImportError):
            path = questions.sought_by_imp(innermost)
            if path and steps:
                return GiveUp(steps[0][0], steps[0][1], path)
            if not isinstance(error, ModuleNotFoundError) and type(error.name) is not str:
                return _by_text(error, steps)
            return _module(error, steps)
        return _by_text(error, steps)
    except Exception:  # odd frames, odd exceptions: no error of ours may follow the user's
        return None


def _by_text(error: BaseException, steps: list[tuple[FrameType, int]]) -> GiveUp | None:
    from dlrepair.diagnose import derived

    frames = [frame for frame, _ in steps]
    variable = _absent_variable(error)
    for name in (variable or derived.asked_for(error, frames), variable):
        for frame, line in steps:
            found = _in_frame(frame, line, error, name)
            if found is not None:
                found.steps = tuple(steps)
                _derive(found, frames)
                return found
    return None


def _derive(seen: GiveUp, frames: list[FrameType]) -> None:
    """Finds the variable that a path was made of by its value, where no expression beside the statement shows one."""
    from dlrepair.diagnose import derived

    mark = MARK.format(seen.variable)
    if seen.variable and seen.via != mark and seen.via.startswith(mark):
        return
    for path in (seen.path, *seen.others):
        name, tail = derived.find(path, os.getcwd(), frames) if "/" in path else ("", "")
        if name:
            seen.others = tuple(one for one in (seen.path, *seen.others) if one != path)
            seen.path, seen.variable, seen.via = path, name, MARK.format(name) + tail
            return


def is_library(text: str) -> bool:
    """Whether a path or a pattern means a shared library."""
    name = text.rpartition("/")[2]
    stem, dot, version = name.partition(".so")
    if not dot or not stem or len(text) > 4095 or version.strip(".0123456789*") or "\n" in text:
        return False
    return " " not in text or text.startswith("/") or os.path.isdir(os.path.dirname(text))  # no sentence with a path


def _absent_variable(error: BaseException) -> str:
    """X where ``os.environ["X"]`` raised the KeyError."""
    key = error.args[0] if type(error) is KeyError and error.args else ""
    return key if type(key) is str and key and key not in os.environ else ""


def _module(error: ImportError, steps: list[tuple[FrameType, int]]) -> GiveUp | None:
    """An extension module that no import path leads to: by the exception's own name, or by its words."""
    name = error.name if type(error.name) is str else ""
    if not name and error.args and type(error.args[0]) is str:
        text = error.args[0]
        name = text.split("'")[1] if text.startswith("No module named '") and text.count("'") >= 2 else ""
    absent = _absent_attribute(error, name)
    name = name + "." + absent if absent else name
    if not name or not steps or not all(part.isidentifier() for part in name.split(".")):
        return None
    return GiveUp(steps[0][0], steps[0][1], "", module=name)


def _absent_attribute(error: ImportError, package: str) -> str:
    """X where ``from package import X`` found neither a name nor a submodule X, or "".

    For ``from``, a submodule that no finder finds is no ModuleNotFoundError but an ImportError with the package's name
    ("cannot import name": ``import_from`` of CPython's ceval.c; the attribute ``name_from`` came with 3.12).
    """
    import sys

    text = error.args[0] if error.args and type(error.args[0]) is str else ""
    module = sys.modules.get(package)  # none where the package's own code raised
    at = error.path if type(error.path) is str else ""
    if not text.startswith("cannot import name '") or not (hasattr(module, "__path__") or at.endswith("__init__.py")):
        return ""
    absent = text.split("'")[1]
    return "" if module is not None and absent in vars(module) else absent


def _in_frame(frame: FrameType, line: int, error: BaseException, variable: str) -> GiveUp | None:
    from dlrepair.diagnose import source, surrounding
    from dlrepair.diagnose.values import Names

    block = source.find_block(frame)
    inside = frame.f_code.co_name != "<module>"
    stmts: list[Any] = (block.stmts if block else []) if inside else source.whole_file(frame)
    names = Names(frame)
    marked = Names(frame, _marked(stmts, Names(frame)))
    told = words_of(error)
    found: list[tuple[str, str]] = []  # (path, the same with a mark)
    whole: list[str] = []  # marks of variables that are a path by themselves
    nodes = list(surrounding.relevant(stmts, line) if not variable else surrounding.everything(stmts))
    nodes += [] if variable else list(surrounding.assigned(nodes, stmts))
    for node in nodes:
        via = next(texts(marked, _with_marks(node)), "")
        for text in list(texts(names, node)) or [via]:
            if is_library(text):
                found.append((text, via if "\0" in via else ""))
        if via.count("\0") == 2 and via[0] == via[-1] == "\0" and not via[1:-1].endswith(_DIRECTORIES):
            whole.append(via)
    if not found and inside and surrounding.is_about_a_file(stmts, line, error):
        found += [(text, "") for node in surrounding.looked_for(stmts) for text in texts(names, node)]
        found = [one for one in found if is_library(one[0])]
        if any("*" not in path and os.path.exists(path) for path, _ in found):
            return None  # it found what it needs: the exception is about something else
    if not found:
        found = [(text, "") for text in surrounding.looked_for_by(stmts, line, names) if is_library(text)]
    if not found and inside and not variable:
        made = surrounding.asked(surrounding.flags(nodes, source.whole_file(frame), names))
        found = [(text, "") for node in made for text in texts(names, node) if is_library(text)]
    if found and not any("/" in path for path, _ in found):  # a name among the entries of a directory
        found += [(os.path.join(one, path), "") for one in surrounding.listed(stmts, names) for path, _ in found[:3]]
    if any("/" not in text for text in told):
        found += [(text, "") for text in surrounding.in_loops(stmts, names) if os.path.basename(text) in told]
    if whole and (found or told) and not any(via for _, via in found):
        found.insert(0, ((found[0][0] if found else told[0]), whole[0]))
    return _choose(frame, line, found, told, variable)


def _choose(
    frame: FrameType, line: int, found: list[tuple[str, str]], told: list[str], variable: str
) -> GiveUp | None:
    """The likeliest of (path, path with a mark) that is not there; a word of the message only tells a name."""
    placed = {os.path.basename(path) for path, _ in found}
    loose = [text for text in told if text not in [path for path, _ in found]]
    found += [(text, "") for text in loose if "/" in text or text not in placed]
    absent = []
    here = os.path.dirname(os.path.abspath(frame.f_code.co_filename)) + "/"

    def far(pair: tuple[str, str]) -> tuple[bool, bool, bool, bool, int]:
        path, via = pair
        near = len(os.path.commonprefix([here, os.path.abspath(path.partition("*")[0])]))
        return not via, "/" not in path, path not in told, "*" in path, -near

    for path, via in sorted((one for one in found if one[0]), key=far):
        name = via.split("\0")[1] if via else ""
        if variable and name != variable:
            continue
        if "\0" in path or not os.path.exists(path):  # up to 3.7 a NUL is an error
            absent.append(("" if "\0" in path else path, name, via))
    if not absent:
        return None
    seen = GiveUp(frame, line, *absent[0])
    seen.bare = "/" not in seen.path and seen.path in loose
    seen.others = tuple(dict.fromkeys(path for path, _, _ in absent if path != seen.path and path not in loose))
    return seen


def words_of(error: BaseException) -> list[str]:
    """Library names in the exception: its file name, or words of its message."""
    given = [getattr(error, "filename", None), *error.args[:4]]
    lists = [part for one in given if type(one) in (list, tuple) for part in one[:20]]  # a command, of subprocess
    words = []
    for text in [one for one in [*given, *lists] if type(one) is str]:
        words.append(text)
        words += [word.strip("'\"`,;:()[]{}<>").rstrip(".") for word in text[:4000].split()]
    return [word for word in dict.fromkeys(words) if is_library(word) and " " not in word and not _is_loaders(word)]


def _is_loaders(word: str) -> bool:
    """Whether a word is what ldd lists of each program: the kernel's own object and the loader itself (vdso(7))."""
    return word.rpartition("/")[2].startswith(("linux-vdso", "linux-gate", "ld-linux", "ld-musl"))


def texts(names: Any, node: Any) -> Iterator[str]:
    """The path, or the paths of a list, that an expression stands for."""
    value = names.value(node)
    if type(value) in (list, tuple):
        yield from (one for one in value[:50] if type(one) is str)
        return
    text = names.text(node)
    if text is not None:
        yield text


def _read_variable(node: Any) -> str:
    """X where a node is ``os.environ["X"]``, ``os.environ.get("X", …)`` or ``os.getenv("X", …)``."""
    from dlrepair.diagnose.values import constant

    kind = type(node).__name__
    key: Any = None
    if kind == "Call" and dotted(node.func) in _READS and node.args:
        key = constant(node.args[0])
    elif kind == "Subscript" and dotted(node.value) in _TABLES:
        key = constant(getattr(node.slice, "value", node.slice) if type(node.slice).__name__ == "Index" else node.slice)
    return key if type(key) is str else ""


def _with_marks(node: Any) -> Any:
    """A copy of an expression with a mark in the place of every environment variable that it reads."""
    import ast
    import copy

    class Marks(ast.NodeTransformer):
        def generic_visit(self, one: Any) -> Any:
            name = _read_variable(one)
            if name:
                return ast.parse(repr(MARK.format(name)), mode="eval").body
            return ast.NodeTransformer.generic_visit(self, one)

    return Marks().visit(copy.deepcopy(node))


def lost_by(seen: GiveUp, value: str) -> str:
    """A path that the same file makes of the variable, that is there now and would not be if it had this value."""
    from dlrepair.diagnose import source, surrounding
    from dlrepair.diagnose.values import Names

    stmts = source.whole_file(seen.frame)
    names = Names(seen.frame)
    marked = Names(seen.frame, _marked(stmts, Names(seen.frame)))
    for node in surrounding.everything(stmts):
        via = next(texts(marked, _with_marks(node)), "")
        if MARK.format(seen.variable) not in via:
            continue
        now, then = next(texts(names, node), ""), via.replace(MARK.format(seen.variable), value)
        if now and now != then and "\0" not in now and os.path.exists(now) and not os.path.exists(then):
            return now
    return ""


def _marked(stmts: list[Any], names: Any) -> dict[str, Any]:
    """name -> text with a mark, of every variable whose assignment reads the environment, also by way of another."""
    import ast

    for stmt in stmts:
        for node in ast.walk(stmt):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                text = names.text(_with_marks(node.value))
                if text is not None and "\0" in text:
                    names.changed[node.targets[0].id] = text
    changed: dict[str, Any] = names.changed
    return changed
