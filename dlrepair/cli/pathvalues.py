"""What an expression that makes a path stands for, as far as a script's text tells. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Callable

MAX_VALUES = 16
MAX_DEPTH = 20


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute; what is not a name stands for nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return "{}.{}".format(dotted(node.value), node.attr).lstrip(".")
    return ""


def _with_name(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), name)


#: functions of ``os.path`` and their like, by last name
_FUNCTIONS: dict[str, Callable[..., str]] = {
    "join": os.path.join,
    "dirname": os.path.dirname,
    "basename": os.path.basename,
    "abspath": os.path.abspath,
    "realpath": os.path.realpath,
    "normpath": os.path.normpath,
    "expanduser": os.path.expanduser,
    "str": str,
    "fspath": str,
    "Path": os.path.join,
    "PurePath": os.path.join,
}
#: methods of a path or a string; the object is the first argument
_METHODS: dict[str, Callable[..., str]] = {
    "resolve": os.path.realpath,
    "absolute": os.path.abspath,
    "expanduser": os.path.expanduser,
    "as_posix": str,
    "joinpath": os.path.join,
    "with_name": _with_name,
    "with_suffix": lambda path, suffix: os.path.splitext(path)[0] + suffix,
    "format": lambda text, *values: text.format(*values),
    "strip": str.strip,
    "lower": str.lower,
}


class Values:
    """Evaluates literals, variables assigned once, ``os.path``, ``pathlib``, string formatting, TensorFlow's loader."""

    def __init__(self, script: str, tree: ast.AST) -> None:
        self._file = os.path.abspath(script)
        self._names: dict[str, list[ast.AST] | None] = {}
        self._depth = 0
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assign(node.targets[0], [node.value])
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assign(node.target, [node.value])
            elif isinstance(node, (ast.For, ast.comprehension)):
                literal = isinstance(node.iter, (ast.Tuple, ast.List))
                self._assign(node.target, node.iter.elts if literal else None)  # type: ignore[attr-defined]
            elif isinstance(node, ast.AugAssign):
                self._assign(node.target, None)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                for argument in [*node.args.args, *node.args.kwonlyargs]:
                    self._names[argument.arg] = None

    def _assign(self, target: ast.AST, values: list[ast.AST] | list[ast.expr] | None) -> None:
        """Notes an assignment; a name that is assigned twice is no longer known."""
        name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
        if name:
            self._names[name] = None if name in self._names or values is None else list(values)

    def of(self, node: ast.AST) -> tuple[str, ...]:
        """Every text that ``node`` may stand for; none where that is not known."""
        if self._depth > MAX_DEPTH:
            return ()
        self._depth += 1
        try:
            return self._of(node)[:MAX_VALUES]
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, MemoryError, OverflowError):
            return ()  # "%d" % "text", "{x}".format(…), a path with a NUL
        finally:
            self._depth -= 1

    def _of(self, node: ast.AST) -> tuple[str, ...]:
        kind = type(node).__name__
        if kind in ("Constant", "Str"):
            literal = getattr(node, "value", None) if kind == "Constant" else getattr(node, "s", None)
            return (literal,) if isinstance(literal, str) else ()
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return (self._file,)
            return tuple(text for value in self._names.get(node.id) or () for text in self.of(value))
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.JoinedStr):
            return self._all(str.__add__, node.values) if node.values else ("",)
        if isinstance(node, ast.FormattedValue):
            return self.of(node.value) if node.format_spec is None and node.conversion in (-1, 115) else ()
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        return self._call(node) if isinstance(node, ast.Call) else ()

    def _all(self, function: Callable[..., str], nodes: list[ast.expr] | list[ast.AST]) -> tuple[str, ...]:
        """``function`` over every choice of what ``nodes`` may stand for; two-place ones are folded."""
        choices: list[tuple[str, ...]] = [()]
        for node in nodes:
            star = isinstance(node, ast.Starred) and isinstance(node.value, (ast.List, ast.Tuple))
            for part in node.value.elts if star else [node]:  # type: ignore[attr-defined]
                choices = [(*made, text) for made in choices for text in self.of(part)][:MAX_VALUES]
        if function is str.__add__:
            return tuple("".join(made) for made in choices)
        return tuple(function(*made) for made in choices if made)

    def _operation(self, node: ast.BinOp) -> tuple[str, ...]:
        if isinstance(node.op, ast.Mod):
            right: list[ast.expr] = list(node.right.elts) if isinstance(node.right, ast.Tuple) else [node.right]
            return self._all(lambda text, *values: str(text % values), [node.left, *right])
        if isinstance(node.op, ast.Add):
            return self._all(str.__add__, [node.left, node.right])
        return self._all(os.path.join, [node.left, node.right]) if isinstance(node.op, ast.Div) else ()

    def _attribute(self, node: ast.Attribute) -> tuple[str, ...]:
        if node.attr == "parent":
            return self._all(os.path.dirname, [node.value])
        if node.attr in ("name", "stem") and self.of(node.value):
            names = self._all(os.path.basename, [node.value])
            return names if node.attr == "name" else tuple(os.path.splitext(name)[0] for name in names)
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            return tuple(text for value in self._names.get(node.attr) or () for text in self.of(value))
        return ()

    def _call(self, node: ast.Call) -> tuple[str, ...]:
        name = dotted(node.func).rpartition(".")[2]
        arguments: list[ast.expr] = list(node.args)
        if node.keywords:
            return ()
        if name in ("getcwd", "cwd") and not arguments:
            return (os.getcwd(),)
        if name == "get_path_to_datafile":  # tf.resource_loader: below the directory of the calling file
            here = os.path.dirname(self._file)
            return tuple(os.path.join(here, text) for text in self._all(os.path.join, arguments))
        if isinstance(node.func, ast.Attribute) and name in _METHODS and self.of(node.func.value):
            return self._all(_METHODS[name], [node.func.value, *arguments])
        function = _FUNCTIONS.get(name)
        return self._all(function, arguments) if function is not None and arguments else ()
