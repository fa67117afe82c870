"""The calls of a Python script that load libraries, as far as its text tells their paths. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Callable, NamedTuple

from dlrepair.cli import output

#: last name of the function called -> loader
_CALLS = {
    "CDLL": "ctypes",
    "PyDLL": "ctypes",
    "LoadLibrary": "ctypes",
    "dlopen": "cffi",
    "load_op_library": "tensorflow",
    "load_library": "tensorflow",
}


class Site(NamedTuple):
    """One call: what it asks for, by which loader, where."""

    requested: str
    loader: str
    line: int


def find(script: str) -> list[Site]:
    """The load sites of ``script`` whose path follows from literals, ``__file__`` and plain variables.

    Raises CommandError for a script that cannot be read or parsed.
    """
    try:
        with open(script, "rb") as stream:
            tree = ast.parse(stream.read(8 * 1024 * 1024), script)
    except OSError as error:
        raise output.CommandError("{} cannot be read: {}".format(script, error.strerror or error)) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "nested too deeply"
        raise output.CommandError("{} cannot be parsed: {}".format(script, reason)) from error
    values = _Values(script)
    sites = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            values.assign(node.targets[0].id, node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = _dotted(node.func).rpartition(".")
            loader = _CALLS.get(name[2])
            if name[2] == "load_library" and not name[0].endswith(("tf", "tensorflow")):
                loader = "ctypes"
            text = values.text(node.args[0]) if loader else None
            if loader and text:
                sites.append(Site(text, loader, node.lineno))
    return sorted(set(sites), key=lambda site: (site.line, site.requested))


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return "{}.{}".format(_dotted(node.value), node.attr).lstrip(".")
    return ""


class _Values:
    """Evaluates paths: string literals, names assigned once, ``os.path`` and ``pathlib`` arithmetic."""

    _FUNCTIONS: dict[str, Callable[..., str]] = {
        "join": os.path.join,
        "dirname": os.path.dirname,
        "abspath": os.path.abspath,
        "realpath": os.path.realpath,
        "normpath": os.path.normpath,
        "expanduser": os.path.expanduser,
        "str": str,
        "fspath": str,
        "Path": os.path.join,
        "resolve": os.path.realpath,
    }

    def __init__(self, script: str) -> None:
        self._file = os.path.abspath(script)
        self._names: dict[str, ast.AST | None] = {}
        self._depth = 0

    def assign(self, name: str, value: ast.AST) -> None:
        """Notes an assignment; a name that is assigned twice is no longer known."""
        self._names[name] = None if name in self._names else value

    def text(self, node: ast.AST) -> str | None:
        if self._depth > 20:
            return None
        self._depth += 1
        try:
            return self._text(node)
        finally:
            self._depth -= 1

    def _text(self, node: ast.AST) -> str | None:
        literal = getattr(node, "s", None) if type(node).__name__ == "Str" else getattr(node, "value", None)
        if type(node).__name__ in ("Constant", "Str"):
            return literal if isinstance(literal, str) else None
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return self._file
            value = self._names.get(node.id)
            return self.text(value) if value is not None else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
            left, right = self.text(node.left), self.text(node.right)
            if left is None or right is None:
                return None
            return left + right if isinstance(node.op, ast.Add) else os.path.join(left, right)
        if isinstance(node, ast.Attribute) and node.attr == "parent":
            inner = self.text(node.value)
            return os.path.dirname(inner) if inner is not None else None
        return self._call(node) if isinstance(node, ast.Call) else None

    def _call(self, node: ast.Call) -> str | None:
        function = self._FUNCTIONS.get(_dotted(node.func).rpartition(".")[2])
        arguments: list[ast.AST] = list(node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "resolve":  # a method of a path
            function, arguments = self._FUNCTIONS["resolve"], [node.func.value]
        texts = [self.text(argument) for argument in arguments]
        if function is None or not texts or node.keywords or None in texts:
            return None
        return function(*texts)
