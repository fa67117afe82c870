"""Statements of Python followed on the syntax tree. Nothing is imported or run.

A branch whose condition is unknown is followed on both sides.
"""

from __future__ import annotations

import ast
import os

from dlrepair.build.recipes import python_syntax
from dlrepair.build.recipes.python_objects import Dotted, Frame, Function, Return, Unknown
from dlrepair.build.recipes.python_values import MAX_ITEMS, Expressions, path_of
from dlrepair.build.recipes.text import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence


class Evaluator(Expressions):
    """Follows one file."""

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Follow statements in order; raises ``Exhausted`` beyond the budget, ``Return`` out of a function."""
        for node in body:
            self.budget.spend(3)
            handler = getattr(self, "_do_" + type(node).__name__, None)
            if handler is not None:
                handler(node)

    def run_uncalled(self) -> None:
        """Follow every function that was not called, its parameters unknown or at their defaults."""
        for function in list(self.functions):
            if not function.called:
                self.call_function(function, [], {})

    def _do_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _do_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.value(node.value))

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        before, more = self.value(node.target), self.value(node.value)
        if isinstance(before, list) and isinstance(node.op, ast.Add) and isinstance(more, (list, tuple)):
            before.extend(list(more)[:MAX_ITEMS])
            return
        self.assign(node.target, self._binary(node.op, before, more))

    def _do_If(self, node: ast.If) -> None:
        verdict = self.truth(self.value(node.test))
        before = self.taken
        returned: Return | None = None
        for body, holds in ((node.body, True), (node.orelse, False)):
            self.taken = before and verdict in (None, holds)
            if not self.taken and _sets_nothing(body):
                continue
            kept = None if verdict in (None, holds) else _copy(self.scope)
            try:
                self.run(body)
            except Return as error:
                returned = error if verdict == holds else returned
            if kept is not None:
                self.scope.clear()
                self.scope.update(kept)
        self.taken = before
        if returned is not None:
            raise returned

    def _do_For(self, node: ast.For) -> None:
        for item in self.items(self.value(node.iter)):
            self.assign(node.target, item)
            self.run(node.body)
        self.run(node.orelse)

    def _do_While(self, node: ast.While) -> None:
        self.run(node.body)

    def _do_Try(self, node: ast.Try) -> None:
        self.run(node.body)
        for handler in node.handlers:
            try:
                self.run(handler.body)
            except Return:
                pass
        self.run(node.orelse)
        self.run(node.finalbody)

    def _do_With(self, node: ast.With) -> None:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        self.run(node.body)

    def _do_FunctionDef(self, node: ast.FunctionDef) -> None:
        function = Function(node, self.scope)
        self.scope[node.name] = function
        if len(self.functions) < 400:
            self.functions.append(function)

    def _do_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self.scope = self.scope, Frame(self.scope)
        try:
            self.run(node.body)
        except Return:
            pass
        self.scope = outer
        self.scope[node.name] = Dotted(self._base_name(node))

    def _base_name(self, node: ast.ClassDef) -> str:
        """Return the dotted name under which calls of a class are seen: its base's, ``Extension`` and the like."""
        for base in node.bases:
            value = self.value(base)
            if isinstance(value, Dotted) and value.name.rpartition(".")[2].endswith("Extension"):
                return value.name
        return node.name

    def _do_Return(self, node: ast.Return) -> None:
        raise Return(self.value(node.value) if node.value is not None else None)

    def _do_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            self.scope[name] = Dotted(alias.name if alias.asname else name)

    def _do_ImportFrom(self, node: ast.ImportFrom) -> None:
        """A name of a module beside the file: its value, where it is a constant there; any other stays a name."""
        constants = self._constants(node)
        for alias in node.names:
            there = Dotted((node.module or "") + "." + alias.name)
            self.scope[alias.asname or alias.name] = constants.get(alias.name, there)

    def _constants(self, node: ast.ImportFrom) -> dict[str, Any]:
        """Texts and numbers that a module of the project is given at its top level, without following it."""
        top = os.path.dirname(self.path)
        for _ in range(min(node.level or 0, 8) - 1):
            top = os.path.dirname(top)
        place = os.path.join(top, *(node.module or "").split("."))
        for path in (place + ".py", os.path.join(place, "__init__.py")):
            self.budget.spend(10)
            text = read_text(path)
            tree = python_syntax.parse(text) if text else None
            if tree is not None:
                self.budget.spend(len(tree.body))
                return {
                    target.id: ast.literal_eval(one.value)
                    for one in tree.body
                    if isinstance(one, ast.Assign) and type(one.value).__name__ in ("Constant", "Str", "Num")
                    for target in one.targets
                    if isinstance(target, ast.Name)
                }
        return {}

    def assign(self, target: Any, value: Any) -> None:
        """Bind a target to a value."""
        if isinstance(target, ast.Name):
            self.scope[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = list(self.items(value)) if not isinstance(value, Unknown) else []
            for at, element in enumerate(target.elts):
                self.assign(element, items[at] if at < len(items) else Unknown("unpacked"))
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value), self._index(target)
            if isinstance(owner, dict) and isinstance(key, (str, int)):
                owner[key] = value
        elif isinstance(target, ast.Attribute):
            self.scope[path_of(target)] = value


def _copy(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a scope whose lists can change without changing these."""
    return {name: list(value) if isinstance(value, list) else value for name, value in scope.items()}


def _sets_nothing(body: Sequence[ast.stmt]) -> bool:
    return not body or all(isinstance(node, (ast.Pass, ast.Raise, ast.Assert)) for node in body)
