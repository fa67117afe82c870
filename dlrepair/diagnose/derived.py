"""Which variable of the environment a path comes from, by its value: through attributes, calls, modules, ``argparse``.

The project's sources say which variables are read and what stands in for those that are not set. A path that begins
with such a value was made of it, unless the sources spell out a longer part of the path, or two variables have that
value. Nothing is run; the sources are those of the traceback and of the modules beside them.
"""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterator, Sequence

#: files that are read, and bytes of one
_FILES, _BYTES = 60, 300_000
_READS = ("environ.get", "getenv", "environ.setdefault", "environ.pop")


def find(path: str, cwd: str, frames: Sequence[FrameType]) -> tuple[str, str]:
    """(name, what follows its value in the path) of the one variable that a path was made of; ("", "") for none."""
    path = os.path.normpath(os.path.join(cwd, path))
    values: dict[str, set[str]] = {}
    spelled: set[str] = set()
    for tree in _trees(frames):
        defaults: set[int] = set()
        for name, stands_in in reads(tree):
            defaults.update(id(one) for one in stands_in)
            now = os.environ.get(name, "")
            found = [now] if now else [text for text in map(_text, stands_in) if text]
            values.setdefault(name, set()).update(os.path.normpath(one) for one in found if _is_telling(one))
        spelled.update(_constants(tree, defaults))
    fitting = [(name, one) for name, known in values.items() for one in known if (path + "/").startswith(one + "/")]
    longest = max((one for _, one in fitting), key=len, default="")
    names = {name for name, one in fitting if one == longest}
    if len(names) != 1 or any((path + "/").startswith(one + "/") and len(one) >= len(longest) for one in spelled):
        return "", ""
    return names.pop(), path[len(longest) :]


def asked_for(error: BaseException, frames: Sequence[FrameType]) -> str:
    """A variable that is not set, that the exception's words name, and that the files of the traceback read; or ""."""
    texts = [one for one in error.args[:4] if type(one) is str]
    words = [word.strip("'\"`,;:()[]{}<>.$=%") for text in texts for word in text[:4000].split()]
    words = [one for one in words if one.isidentifier() and one.isupper() and len(one) > 2 and not os.environ.get(one)]
    if not words:
        return ""
    read = {name for tree in _trees(frames) for name, _ in reads(tree)}
    return next((one for one in words if one in read), "")


def _is_telling(value: str) -> bool:
    """Whether a value is a path of its own that leads to nothing now: nothing else of the program is there."""
    return value[:1] == "/" and value.count("/") > 1 and ":" not in value and not os.path.exists(value)


def _trees(frames: Sequence[FrameType]) -> Iterator[Any]:
    """Syntax trees of the files of these frames, and of loaded modules beside them, that speak of the environment."""
    import ast

    first = [one.f_code.co_filename for one in frames]
    beside = {os.path.dirname(os.path.abspath(one)) for one in first}
    held = [getattr(one, "__file__", None) for one in list(sys.modules.values())]
    near = [one for one in held if type(one) is str and any(one.startswith(place + os.sep) for place in beside)]
    for name in list(dict.fromkeys([*first, *near]))[:_FILES]:
        try:
            with open(name, "rb") as stream:
                text = stream.read(_BYTES + 1)
            if len(text) <= _BYTES and (name in first or b"environ" in text or b"getenv" in text):
                yield ast.parse(text)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue


def reads(tree: Any) -> Iterator[tuple[str, list[Any]]]:
    """(name, expressions that stand in for it where it is not set) of every variable that is read."""
    import ast

    helpers = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and any(
            dotted(one).endswith(("environ", "getenv")) for one in ast.walk(node)
        )
    }  # fmt: skip
    given: dict[str, list[Any]] = {}  #: what is assigned to a variable of the program, beside what it reads
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                given.setdefault(dotted(target), []).append(node.value)
    for node in ast.walk(tree):
        name, stands_in = _read(node, helpers)
        if name:
            yield name, stands_in
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and _read(node.values[0], helpers)[0]:
            yield _read(node.values[0], helpers)[0], node.values[1:]
        if isinstance(node, ast.IfExp) and _read(node.body, helpers)[0]:
            yield _read(node.body, helpers)[0], [node.orelse]
        if isinstance(node, ast.Assign) and _read(node.value, helpers)[0]:
            yield _read(node.value, helpers)[0], [one for target in node.targets for one in given[dotted(target)]]


def _read(node: Any, helpers: set[str]) -> tuple[str, list[Any]]:
    """(X, what stands in for it) where a node reads the variable X, by a function of the program's own included."""
    kind = type(node).__name__
    if kind == "Subscript" and dotted(node.value).rpartition(".")[2] == "environ":
        key = node.slice.value if type(node.slice).__name__ == "Index" else node.slice  # up to 3.8
        return _text(key), []
    if kind != "Call" or not node.args:
        return "", []
    function = dotted(node.func)
    reads = function.endswith(_READS) and function.rpartition(".")[0] in ("", "os", "environ", "os.environ")
    if reads or function in helpers:
        name = _text(node.args[0])
        return (name if name.isidentifier() else ""), [*node.args[1:2], *(one.value for one in node.keywords)]
    return "", []


def _text(node: Any) -> str:
    from dlrepair.diagnose.values import constant

    value = constant(node)
    return value if type(value) is str else ""


def _constants(tree: Any, defaults: set[int]) -> Iterator[str]:
    """Paths that the source spells out, but for what stands in for a variable."""
    import ast

    for node in ast.walk(tree):
        if id(node) not in defaults:
            text = _text(node)
            if text[:1] == "/" and text.count("/") > 1:
                yield os.path.normpath(text)
