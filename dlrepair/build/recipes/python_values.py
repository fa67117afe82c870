"""What expressions and statements of Python come to, worked out on the syntax tree. Nothing is imported or run.

A value that only running could tell is ``Unknown``; inside a string it becomes a mark (``text``). A branch whose
condition is unknown is followed on both sides.
"""

from __future__ import annotations

import ast
import os
import sys

from dlrepair.build.recipes import python_calls
from dlrepair.build.recipes.python_objects import Dotted, Frame, Function, Method, Return, Unknown, text_of
from dlrepair.build.recipes.text import Exhausted, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Sequence

    from dlrepair.build.recipes.text import Budget

#: What these are on the machine that compiles.
_CONSTANTS = {
    "os.name": os.name, "sys.platform": sys.platform, "os.sep": os.sep, "os.path.sep": os.sep, "os.curdir": os.curdir,
    "os.pardir": os.pardir, "os.pathsep": os.pathsep, "os.path.pathsep": os.pathsep, "os.extsep": os.extsep,
}  # fmt: skip
MAX_DEPTH = 120
MAX_ITEMS = 500


class Expressions:
    """Works one file out. ``on_call`` sees every call that has a dotted name before the built-in meanings do."""

    def __init__(
        self, path: str, directory: str, budget: Budget, environ: dict[str, str],
        on_call: Callable[[str, list[Any], dict[str, Any], ast.Call], Any],
    ) -> None:  # fmt: skip
        self.path = path
        self.directory: str = directory
        self.budget = budget
        self.environ = environ
        self.on_call = on_call
        self.scope: dict[str, Any] = {"__file__": path, "__name__": "__main__", "sys.argv": [path]}
        self.functions: list[Function] = []
        self.taken = True
        self.depth = 0
        self._running: list[Any] = []

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Follow statements in order."""
        raise NotImplementedError

    def assign(self, target: Any, value: Any) -> None:
        """Bind a target to a value."""
        raise NotImplementedError

    # Expressions.

    def value(self, node: Any) -> Any:
        """Return what an expression comes to."""
        self.budget.spend()
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise Exhausted("nested too deeply")
            handler = getattr(self, "_of_" + type(node).__name__, None)
            return handler(node) if handler is not None else Unknown(type(node).__name__)
        finally:
            self.depth -= 1

    def _of_Constant(self, node: Any) -> Any:
        return node.value if isinstance(node.value, (str, int, float, bool, type(None))) else Unknown("constant")

    def _of_Str(self, node: Any) -> Any:  # CPython 3.7 has these three
        return node.s

    def _of_Num(self, node: Any) -> Any:
        return node.n

    def _of_NameConstant(self, node: Any) -> Any:
        return node.value

    def _of_Name(self, node: ast.Name) -> Any:
        return self.scope[node.id] if node.id in self.scope else Dotted(node.id)

    def _of_Attribute(self, node: ast.Attribute) -> Any:
        path = path_of(node)
        if path in self.scope:
            return self.scope[path]
        owner = self.value(node.value)
        if isinstance(owner, Dotted):
            name = owner.name + "." + node.attr
            return _CONSTANTS[name] if name in _CONSTANTS else Dotted(name)
        if isinstance(owner, str) and node.attr in ("parent", "name", "stem"):  # pathlib
            base = os.path.basename(owner)
            return {"parent": os.path.dirname(owner), "name": base}.get(node.attr, os.path.splitext(base)[0])
        return Method(owner, node.attr)

    def _of_JoinedStr(self, node: ast.JoinedStr) -> Any:
        return self.budget.word("".join(text_of(self.value(part)) for part in node.values))

    def _of_FormattedValue(self, node: ast.FormattedValue) -> Any:
        return self.value(node.value)

    def _of_List(self, node: Any) -> Any:
        found: list[Any] = []
        for element in node.elts[:5000]:
            if isinstance(element, ast.Starred):
                found += list(self.items(self.value(element.value)))
            else:
                found.append(self.value(element))
        return found

    _of_Tuple = _of_Set = _of_List

    def _of_Dict(self, node: ast.Dict) -> Any:
        found = {}
        for key, value in zip(node.keys[:5000], node.values):
            if key is not None:
                name = self.value(key)
                found[name if isinstance(name, (str, int)) else text_of(name)] = self.value(value)
        return found

    def _of_ListComp(self, node: Any) -> Any:
        found: list[Any] = []
        outer, self.scope = self.scope, Frame(self.scope)
        try:
            self._comprehend(node.generators, lambda: found.append(self.value(node.elt)), 0)
        finally:
            self.scope = outer
        return found

    _of_GeneratorExp = _of_SetComp = _of_ListComp

    def _of_DictComp(self, node: Any) -> Any:
        found: dict[Any, Any] = {}
        outer, self.scope = self.scope, Frame(self.scope)
        try:
            self._comprehend(
                node.generators, lambda: found.update({text_of(self.value(node.key)): self.value(node.value)}), 0
            )
        finally:
            self.scope = outer
        return found

    def _comprehend(self, generators: Sequence[Any], add: Callable[[], Any], at: int) -> None:
        if at == len(generators):
            add()
            return
        for item in self.items(self.value(generators[at].iter)):
            self.budget.spend()
            self.assign(generators[at].target, item)
            if all(self.truth(self.value(test)) is not False for test in generators[at].ifs):
                self._comprehend(generators, add, at + 1)

    def _of_BinOp(self, node: ast.BinOp) -> Any:
        return self._binary(node.op, self.value(node.left), self.value(node.right))

    def _binary(self, op: Any, left: Any, right: Any) -> Any:
        if isinstance(op, ast.Add):
            if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
                return (list(left) + list(right))[:5000]
            if isinstance(left, list) or isinstance(right, list):
                return left if isinstance(left, list) else right
            if isinstance(left, str) or isinstance(right, str):
                return self.budget.word(text_of(left) + text_of(right))
            if type(left) is int and type(right) is int:
                return left + right
        elif isinstance(op, ast.Mod) and isinstance(left, str):
            return self.budget.word(python_calls.percent(left, right, text_of))
        elif isinstance(op, ast.Div) and isinstance(left, (str, Unknown)):
            return os.path.join(text_of(left), text_of(right))  # pathlib
        elif isinstance(op, ast.Mult) and isinstance(left, str) and isinstance(right, int):
            return left * min(max(right, 0), 50) if len(left) < 200 else Unknown("*")
        return Unknown("sum")

    def _of_BoolOp(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for one in node.values:
            value = self.value(one)
            verdict = self.truth(value)
            if verdict is None or verdict == isinstance(node.op, ast.Or):
                return value
        return value

    def _of_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            verdict = self.truth(value)
            return Unknown("not") if verdict is None else not verdict
        return -value if isinstance(node.op, ast.USub) and type(value) in (int, float) else Unknown("sign")

    def _of_Compare(self, node: ast.Compare) -> Any:
        left, right = self.value(node.left), self.value(node.comparators[0])
        if len(node.ops) > 1:
            return Unknown("comparison")
        return python_calls.compare(node.ops[0], left, right, self.environ)

    def _of_IfExp(self, node: ast.IfExp) -> Any:
        verdict = self.truth(self.value(node.test))
        return self.value(node.orelse if verdict is False else node.body)

    def _of_Starred(self, node: ast.Starred) -> Any:
        return self.value(node.value)

    def _of_Subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [self.value(one) if one is not None else None for one in (node.slice.lower, node.slice.upper)]
            if isinstance(owner, (str, list)) and all(one is None or type(one) is int for one in bounds):
                return owner[bounds[0] : bounds[1]]
            return owner if isinstance(owner, list) else Unknown("slice")
        key = self._index(node)
        if isinstance(owner, Dotted) and owner.name in ("os.environ", "environ"):
            return self.environ.get(text_of(key), Unknown("$" + text_of(key)))
        if isinstance(owner, dict):
            return owner.get(key if isinstance(key, (str, int)) else text_of(key), Unknown("[...]"))
        if isinstance(owner, (list, tuple, str)) and type(key) is int and -len(owner) <= key < len(owner):
            return owner[key]
        return Unknown("{}[{}]".format(owner.name if isinstance(owner, Dotted) else "", text_of(key)))

    def _index(self, node: ast.Subscript) -> Any:
        inner = node.slice
        return self.value(getattr(inner, "value", inner) if type(inner).__name__ == "Index" else inner)

    def _of_Lambda(self, node: ast.Lambda) -> Any:
        return Function(node, self.scope)

    def _of_Call(self, node: ast.Call) -> Any:
        function = self.value(node.func)
        args: list[Any] = []
        for one in node.args[:200]:
            if isinstance(one, ast.Starred):
                args += list(self.items(self.value(one.value)))
            else:
                args.append(self.value(one))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg:
                named[keyword.arg] = value
            elif isinstance(value, dict):
                named.update({text_of(key): one for key, one in value.items()})
        if isinstance(function, Function):
            return self.call_function(function, args, named)
        if isinstance(function, Method):
            seen = self.on_call("." + function.name, args, named, node)
            return python_calls.method(self, function, args, named) if seen is None else seen
        if not isinstance(function, Dotted):
            return Unknown("call")
        seen = self.on_call(function.name, args, named, node)
        return python_calls.call(self, function.name, args, named) if seen is None else seen

    def call_function(self, function: Function, args: Sequence[Any], named: dict[str, Any]) -> Any:
        """Return what a function of the file returns; a recursive call is unknown."""
        function.called = True
        if function.node in self._running or len(self._running) > 12:
            return Unknown("call")
        outer = self.scope
        self.scope = Frame(function.scope)
        self._running.append(function.node)
        depth, self.depth = self.depth, 0
        try:
            self._bind(function.node.args, args, named)
            if isinstance(function.node, ast.Lambda):
                return self.value(function.node.body)
            self.run(function.node.body)
            return None
        except Return as error:
            return error.value
        finally:
            self.depth = depth
            self._running.pop()
            self.scope = outer

    def _bind(self, spec: ast.arguments, args: Sequence[Any], named: dict[str, Any]) -> None:
        names = [one.arg for one in spec.args]
        defaults = [self.value(one) for one in spec.defaults]
        if names[:1] in (["self"], ["cls"]) and len(args) < len(names):
            args = [Unknown("self"), *args]
        for at, name in enumerate(names):
            back = at - (len(names) - len(defaults))
            value = args[at] if at < len(args) else defaults[back] if back >= 0 else Unknown(name)
            self.scope[name] = named.get(name, value)
        for one, default in zip(spec.kwonlyargs, spec.kw_defaults):
            self.scope[one.arg] = named.get(one.arg, self.value(default) if default is not None else Unknown(one.arg))
        if spec.vararg:
            self.scope[spec.vararg.arg] = list(args[len(names) :])
        if spec.kwarg:
            self.scope[spec.kwarg.arg] = {key: value for key, value in named.items() if key not in names}

    def items(self, value: Any) -> Iterable[Any]:
        """Return what a loop over a value sees, bounded; of an unknown value one unknown."""
        if isinstance(value, dict):
            return list(value)[:MAX_ITEMS]
        if isinstance(value, (list, tuple)):
            return list(value)[:MAX_ITEMS]
        if isinstance(value, str):
            return list(value)[:MAX_ITEMS] if is_known(value) else [value]
        return [Unknown("item")]

    def truth(self, value: Any) -> bool | None:
        """Return whether a value counts as true, None where that is unknown."""
        if isinstance(value, (Unknown, Dotted, Method)):
            return None
        if isinstance(value, str) and not is_known(value):
            return True if value and any(char < "\ue000" or char > "\ue004" for char in value) else None
        return bool(value)


def path_of(node: Any) -> str:
    """Return ``self.x.y`` of an attribute chain, "" if it does not begin with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 20:
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id] + parts[::-1]) if isinstance(node, ast.Name) else ""
