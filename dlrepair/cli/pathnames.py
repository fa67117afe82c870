"""What a script's names may stand for: assignments, parameters, options, imports. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Iterator

from dlrepair.cli import machine
from dlrepair.cli.machine import dotted

MAX_VALUES = 16


def _items(node: ast.expr) -> list[ast.expr]:
    """What a loop goes through: the items of a list, or the whole expression where it is a search for files."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return list(node.elts)
    return [node] if isinstance(node, (ast.Call, ast.Name)) else []


def _branches(node: ast.If) -> Iterator[tuple[int, tuple[int, int]]]:
    """(id of a value, (id of the ``if``, number of the branch)) of the assignments in the branches of an ``if``."""
    top, number = id(node), 0
    while True:
        for body in (node.body, node.orelse):
            for one in body:
                if isinstance(one, (ast.Assign, ast.AnnAssign)) and one.value is not None:
                    yield id(one.value), (top, number)
            number += 1
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            return
        node = node.orelse[0]


class Names:
    """The names of one script, each with the expressions that are assigned to it."""

    def __init__(self, script: str, tree: ast.AST) -> None:
        self._file = os.path.abspath(script)
        #: what a name may be, of an attribute with a dot before it; None where nobody can tell
        self._names: dict[str, list[ast.AST] | None] = {}
        self._options: dict[str, list[ast.AST]] = {}
        self._modules: dict[str, str] = {}
        self._aliases: dict[str, str] = {}  #: a name that an import gives -> the one that it has
        self._returns: dict[str, list[ast.AST]] = {}  #: function -> what it returns
        self._branches: dict[int, tuple[int, int]] = {}  #: value assigned in a branch -> (its ``if``, which branch)
        self._depth = 0
        self._blocks: dict[int, int] = {}  #: value -> the block of statements that assigns it
        self._classes: set[str] = set()
        self._steps = 0
        functions, calls = {}, []
        for node in machine.live(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                functions[getattr(node, "name", "")] = node.args
                self._note_function(node)
            elif isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.Import):
                self._modules.update((one.asname or one.name, one.name) for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                self._aliases.update((one.asname, one.name) for one in node.names if one.asname)
            elif isinstance(node, ast.ClassDef):
                self._classes.add(node.name)
            self._note(node)
        for call in calls:
            self._note_call(call, functions)

    def _note(self, node: ast.AST) -> None:
        """What a statement says about a name."""
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(node.targets[0], [node.value])
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, [node.value])
        elif type(node).__name__ == "NamedExpr":  # Python 3.8
            self._assign(node.target, [node.value])  # type: ignore[attr-defined]
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._assign(node.target, list(_items(node.iter)))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign(node.optional_vars, [node.context_expr])
        elif isinstance(node, ast.AugAssign):
            self._assign(node.target, None)
        elif isinstance(node, ast.If):
            self._branches.update(_branches(node))
        for one in getattr(node, "body", None) or () if not isinstance(node, (ast.Lambda, ast.IfExp)) else ():
            if isinstance(one, ast.Assign):
                self._blocks[id(one.value)] = id(node)

    def _note_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            self._names[argument.arg] = None
        if isinstance(node, ast.Lambda):
            return
        found = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value is not None]
        self._returns[node.name] = [] if node.name in self._returns else list(found[:MAX_VALUES])

    def _note_call(self, call: ast.Call, functions: dict[str, ast.arguments]) -> None:
        """What a call in this script gives to a parameter of a function in it, or to a command-line option."""
        last = dotted(call.func).rpartition(".")[2]
        if last in self._classes:  # its constructor
            last = "__init__"
        if last in ("add_argument", "DEFINE_string", "add_option"):
            flag = last == "DEFINE_string"  # a name, a default; argparse takes the last of several names
            options = self.of(call.args[0 if flag else -1]) if call.args else ()
            default: list[ast.AST] = [word.value for word in call.keywords if word.arg in ("default", "default_value")]
            default += call.args[1:2] if flag else []
            if options and default:
                self._options[options[0].lstrip("-").replace("-", "_")] = default[:1]
        parameters = functions.get(last)
        if parameters is None or any(isinstance(argument, ast.Starred) for argument in call.args):
            return
        names = [parameter.arg for parameter in parameters.args]
        names = names[1:] if names[:1] in (["self"], ["cls"]) else names
        given = list(zip(names, call.args)) + [(word.arg, word.value) for word in call.keywords if word.arg]
        for name, value in given:
            if name in self._names and not (isinstance(value, ast.Name) and value.id == name):
                self._names[name] = [*(self._names[name] or []), value]

    def _assign(self, target: ast.AST, values: list[ast.AST] | list[ast.expr] | None) -> None:
        """Notes an assignment. One of several counts where they are branches of one ``if``, or follow each other."""
        name = "." + target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if not name:
            return
        before = self._names.get(name, [])
        if values is None or before is None:
            self._names[name] = None
            return
        known = not before or (bool(values) and (self._apart(values[0], before) or self._follows(values[0], before)))
        self._names[name] = [*before, *values] if known else None

    def _apart(self, value: ast.AST, before: list[ast.AST]) -> bool:
        """Whether a value is assigned in another branch of the same ``if`` than each of those before."""
        top, number = self._branches.get(id(value), (0, 0))
        others = [self._branches.get(id(one), (0, 0)) for one in before]
        return bool(top) and all(other[0] == top and other[1] != number for other in others)

    def _follows(self, value: ast.AST, before: list[ast.AST]) -> bool:
        """Whether a value is assigned in the same block of statements as those before: the last one counts there."""
        block = self._blocks.get(id(value))
        return block is not None and all(self._blocks.get(id(one)) == block for one in before)

    def _meanings(self, name: str, line: int) -> list[ast.AST]:
        """The expressions that a name may stand for at a line."""
        values = self._names.get(name) or []
        if len(values) < 2 or not self._follows(values[0], values[1:]):
            return values
        return [one for one in values if getattr(one, "lineno", 0) < line][-1:]

    def of(self, node: ast.AST) -> tuple[str, ...]:
        """Every text that ``node`` may stand for; none where that is not known."""
        raise NotImplementedError
