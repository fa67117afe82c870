"""What a script's names may stand for: assignments, parameters, options, imports. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Iterator, NamedTuple

from dlrepair.cli import machine
from dlrepair.cli.machine import dotted

MAX_VALUES = 16
MAX_DEPTH = 20
MAX_STEPS = 100_000
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


class Place(NamedTuple):
    """Where a node stands: the functions and the blocks of statements around it, outermost first."""

    functions: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    loop: bool = False


class Assigned(NamedTuple):
    """One assignment: the expression, or what a loop goes through; None where nobody can tell."""

    value: ast.AST | None
    line: int
    place: Place
    each: bool = False  #: it is gone through


class Names:
    """The names of one script, each with what is assigned to it, by the function that it belongs to."""

    def __init__(self, script: str, tree: ast.AST) -> None:
        self._file = os.path.abspath(script)
        self._names: dict[tuple[int, str], list[Assigned]] = {}  #: of an attribute: function 0, a dot before it
        self._places: dict[int, Place] = {}  #: where a name is used
        self._options: dict[str, list[ast.AST]] = {}
        self.modules: dict[str, str] = {}  #: a name -> the module that it stands for
        self._aliases: dict[str, str] = {}  #: a name that an import gives -> the one that it has
        self._returns: dict[str, list[ast.AST]] = {}  #: function -> what it returns
        self._parameters: dict[str, tuple[int, ast.arguments]] = {}
        self._classes: set[str] = set()
        self._globals: set[str] = set()
        self._depth = self._steps = 0
        calls: list[tuple[ast.Call, Place]] = []
        waiting: list[tuple[ast.AST, Place]] = [(tree, Place())]
        while waiting:
            node, place = waiting.pop()
            if isinstance(node, ast.Call):
                calls.append((node, place))
            self._note(node, place)
            waiting.extend(reversed(list(_children(node, place))))
        for call, place in calls:
            self._note_call(call, place)

    def _note(self, node: ast.AST, place: Place) -> None:
        """What a node says about names."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            self._places[id(node)] = place
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(node.targets[0], node.value, place)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, node.value, place)
        elif type(node).__name__ == "NamedExpr":  # Python 3.8
            self._assign(node.target, node.value, place)  # type: ignore[attr-defined]
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            self._assign(node.target, node.iter, place, each=True)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign(node.optional_vars, node.context_expr, place)
        elif isinstance(node, ast.AugAssign):
            self._assign(node.target, None, place)
        elif isinstance(node, _FUNCTIONS):
            self._note_function(node, place)
        elif isinstance(node, ast.Import):
            self.modules.update((one.asname or one.name, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            self._aliases.update((one.asname, one.name) for one in node.names if one.asname)
            if node.module and not node.level:
                self.modules.update((one.asname or one.name, node.module + "." + one.name) for one in node.names)
        elif isinstance(node, ast.ClassDef):
            self._classes.add(node.name)
        elif isinstance(node, ast.Global):
            self._globals.update(node.names)

    def _note_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, place: Place) -> None:
        spec = node.args
        inner = Place((*place.functions, id(node)), (*place.blocks, id(node)))
        defaults = [*[None] * (len(spec.args) - len(spec.defaults)), *spec.defaults, *spec.kw_defaults]
        for argument, default in zip([*spec.args, *spec.kwonlyargs], defaults):
            values = [Assigned(default, 0, inner)] if default is not None else []
            self._names[id(node), argument.arg] = values
        if isinstance(node, ast.Lambda):
            return
        self._parameters[node.name] = (id(node), spec)
        found = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value is not None]
        self._returns[node.name] = [] if node.name in self._returns else list(found[:MAX_VALUES])

    def _note_call(self, call: ast.Call, place: Place) -> None:
        """What a call in this script gives to a parameter of a function in it, or to a command-line option."""
        last = dotted(call.func).rpartition(".")[2]
        if last in ("add_argument", "DEFINE_string", "add_option"):
            flag = last == "DEFINE_string"  # a name, a default; argparse takes the last of several names
            options = self.of(call.args[0 if flag else -1]) if call.args else ()
            default: list[ast.AST] = [word.value for word in call.keywords if word.arg in ("default", "default_value")]
            default += call.args[1:2] if flag else []
            if options and default:
                self._options[options[0].lstrip("-").replace("-", "_")] = default[:1]
        function, spec = self._parameters.get("__init__" if last in self._classes else last, (0, None))
        if spec is None or any(isinstance(argument, ast.Starred) for argument in call.args):
            return
        names = [parameter.arg for parameter in spec.args]
        names = names[1:] if names[:1] in (["self"], ["cls"]) else names
        given = list(zip(names, call.args)) + [(word.arg, word.value) for word in call.keywords if word.arg]
        for name, value in given:
            if (function, name) in self._names and function not in place.functions:
                self._names[function, name].append(Assigned(value, 0, place))

    def _assign(self, target: ast.AST, value: ast.AST | None, place: Place, each: bool = False) -> None:
        if isinstance(target, ast.Attribute):
            key = (0, "." + target.attr)
        elif isinstance(target, ast.Name):
            inside = bool(place.functions) and target.id not in self._globals
            key = (place.functions[-1] if inside else 0, target.id)
        else:
            return
        line = getattr(target, "lineno", 0)
        self._names.setdefault(key, []).append(Assigned(value, line, place, each))

    def meanings(self, name: str, use: ast.AST) -> list[ast.AST]:
        """The expressions that a name may stand for where it is used; none where nobody can tell.

        An assignment counts unless a later one, before the use, stands in a block around the use. With one in a loop
        beside others, the order of things is not in the text.
        """
        place = self._places.get(id(use), Place())
        line = getattr(use, "lineno", 0)
        found: list[Assigned] = []
        for function in (*reversed(place.functions), 0):
            if (function, name) in self._names:
                found = self._names[function, name]
                break
        before = [one for one in found if one.line < line or one.place.functions != place.functions] or found
        sure = [one.line for one in before if one.line and one.place.blocks == place.blocks[: len(one.place.blocks)]]
        last = max(sure, default=0)
        kept = [one for one in before if one.line >= last or not one.line]
        if any(one.value is None for one in kept) or (len(kept) > 1 and any(one.place.loop for one in kept)):
            return []
        known = [(one.value, one.each) for one in kept if one.value is not None]
        return [value for node, each in known for value in (self.elements(node) if each else [node])]

    def elements(self, node: ast.AST | None) -> list[ast.AST]:
        """What a loop goes through: the items of a list, or the whole expression where it is a search for files."""
        self._steps += 1
        if self._depth > MAX_DEPTH or self._steps > MAX_STEPS:
            return []
        self._depth += 1
        try:
            return self._elements(node)[:MAX_VALUES]
        finally:
            self._depth -= 1

    def _elements(self, node: ast.AST | None) -> list[ast.AST]:
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return list(node.elts)
        if isinstance(node, ast.Name):
            return [one for value in self.meanings(node.id, node) for one in self.elements(value)]
        if isinstance(node, ast.BinOp):
            return [*self.elements(node.left), *self.elements(node.right)]
        if isinstance(node, ast.Dict):
            return [one for one in node.keys if one is not None]
        if isinstance(node, ast.Call):
            name = dotted(node.func).rpartition(".")[2]
            if name in ("reversed", "list", "tuple", "sorted", "set") and node.args:
                return self.elements(node.args[0])
            if name == "values" and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                tables = self.meanings(node.func.value.id, node.func.value)
                return [one for table in tables if isinstance(table, ast.Dict) for one in table.values]
            return [node]
        return []

    def of(self, node: ast.AST) -> tuple[str, ...]:
        """Every text that ``node`` may stand for; none where that is not known."""
        raise NotImplementedError


def _children(node: ast.AST, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    """The parts of a node with their places; not those below an ``if`` for another operating system."""
    holds = machine.truth(node.test) if isinstance(node, ast.If) else None
    functions = (*place.functions, id(node)) if isinstance(node, _FUNCTIONS) else place.functions
    loop = not isinstance(node, _FUNCTIONS) and (place.loop or isinstance(node, _LOOPS))
    for at, (name, value) in enumerate(ast.iter_fields(node)):
        if isinstance(node, ast.If) and holds is not None and name in ("body", "orelse"):
            if (name == "body") == holds:
                yield from ((one, place) for one in value)  # as if there were no test
        elif isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            whole = isinstance(node, (ast.Module, ast.ClassDef))
            blocks = place.blocks if whole else (*place.blocks, id(node) * 8 + at)
            yield from ((one, Place(functions, blocks, loop)) for one in value)
        else:
            inner = Place(functions, place.blocks, place.loop) if isinstance(node, ast.Lambda) else place
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    yield one, inner
