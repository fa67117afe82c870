"""What surrounds a statement that raised, in its source: tests, loops, what was assigned to the names in them."""

from __future__ import annotations

import os

from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterable, Iterator

    from dlrepair.diagnose.values import Names

#: functions that look whether a file is there
_LOOKS = ("exists", "isfile", "is_file", "lexists", "glob", "iglob", "rglob", "listdir")
#: words of an exception that is about a file that is not there
_WORDS = (
    "librar", "plugin", "plug-in", ".so", "shared object", "not found", "cannot find", "could not find", "can't find",
    "locate", "not exist", "missing", "compile", "build",
)  # fmt: skip
#: most values of a loop's variable that are looked at
_TURNS = 50


def relevant(stmts: list[Any], line: int) -> Iterator[Any]:
    """Expressions of the statement at ``line`` and of the tests and loops around it."""
    import ast

    for stmt in stmts:
        for node in ast.walk(stmt):
            if not isinstance(node, ast.stmt) or not node.lineno <= line <= end_of(node):
                continue
            if isinstance(node, (ast.If, ast.While)):
                yield from _expressions(node.test)
            elif isinstance(node, ast.Try):
                if any(one.lineno <= line <= end_of(one) for one in node.handlers):
                    yield from everything(node.body)
            elif isinstance(node, ast.For):
                yield from _expressions(node.iter)
            elif not hasattr(node, "body"):
                yield from _expressions(node)


def end_of(node: Any) -> int:
    """The last line of a statement (``end_lineno`` came with 3.8)."""
    import ast

    lines = [getattr(one, "end_lineno", None) or getattr(one, "lineno", 0) for one in ast.walk(node)]
    return max(line for line in lines if isinstance(line, int))


def everything(stmts: list[Any]) -> Iterator[Any]:
    for stmt in stmts:
        yield from _expressions(stmt)


def _expressions(node: Any) -> Iterator[Any]:
    import ast

    for one in ast.walk(node):
        if isinstance(one, ast.expr):
            yield one


def assigned(nodes: list[Any], stmts: list[Any]) -> Iterator[Any]:
    """Expressions that were assigned to the variables among ``nodes``, or to those in such expressions."""
    import ast

    known: set[str] = set()
    waiting = {dotted(one) for one in nodes if isinstance(one, ast.Name)}
    for _ in range(2):
        known |= waiting
        following: set[str] = set()
        for stmt in stmts:
            for node in ast.walk(stmt):
                if not isinstance(node, (ast.Assign, ast.AugAssign)):
                    continue
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(dotted(target) in waiting for target in targets):
                    for one in _expressions(node.value):
                        yield one
                        if isinstance(one, ast.Name):
                            following.add(one.id)
        waiting = following - known


def looked_for(stmts: list[Any]) -> Iterator[Any]:
    """Arguments of all calls that look whether a file is there."""
    yield from asked(everything(stmts))


def asked(nodes: Iterable[Any]) -> Iterator[Any]:
    """Arguments of the calls among ``nodes`` that look whether a file is there."""
    import ast

    for node in nodes:
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _LOOKS and node.args:
            yield node.args[0]


def in_another(frame: FrameType) -> Names:
    """What another function of the same file sees: its globals, and the object whose method the frame runs."""
    from dlrepair.diagnose.values import UNKNOWN, Names

    held = Names(frame).look_up("self")
    return Names(frame, {} if held is UNKNOWN else {"self": held}, local=False)


def looked_for_by(stmts: list[Any], line: int, names: Names) -> Iterator[str]:
    """Texts that functions of this file look for which the tests around ``line`` call: ``if not is_built():``."""
    import ast

    from dlrepair.diagnose import source
    from dlrepair.diagnose.values import FUNCTION

    around = [node for stmt in stmts for node in ast.walk(stmt) if isinstance(node, (ast.If, ast.While, ast.Assert))]
    tests = [one.test for one in around if one.lineno <= line <= end_of(one)]
    for node in [one for test in tests for one in ast.walk(test) if isinstance(one, ast.Call)]:
        called = names.look_up(dotted(node.func))
        if type(called) is not FUNCTION or called.__globals__ is not names.frame.f_globals:
            continue
        body = source.body_of(names.frame, called.__code__)
        inner = in_another(names.frame)
        taken = called.__code__.co_varnames[: called.__code__.co_argcount]
        for name, given in zip(taken[len(taken) > 0 and taken[0] == "self" :], node.args):
            inner.changed[name] = names.value(given)
        found = list(looked_for(body))
        for one in [*found, *assigned(found, body)]:
            text = inner.text(one)
            if text is not None:
                yield text


def listed(stmts: list[Any], names: Names) -> Iterator[str]:
    """Directories whose entries are listed: ``os.listdir(X)``, ``os.walk(X)``, ``X.iterdir()``."""
    import ast

    for node in everything(stmts):
        if not isinstance(node, ast.Call):
            continue
        last = dotted(node.func).rpartition(".")[2] or getattr(node.func, "attr", "")
        if last in ("listdir", "walk", "scandir", "iterdir"):
            text = names.text(node.args[0] if node.args else getattr(node.func, "value", node))
            if text is not None and not os.path.isfile(text):
                yield text


def flags(nodes: list[Any], stmts: list[Any], names: Names) -> Iterator[Any]:
    """What variables of the module among ``nodes`` were made of that are False or None: ``HAS_OP = exists(path)``."""
    import ast

    wanted = [one for one in nodes if isinstance(one, ast.Name) and _is_empty(names.look_up(one.id))]
    yield from assigned(wanted, stmts) if wanted else ()


def _is_empty(value: Any) -> bool:
    return value is None or value is False


def is_about_a_file(stmts: list[Any], line: int, error: BaseException) -> bool:
    """Whether the statement at ``line`` raises, and says that something is missing."""
    import ast

    text = " ".join(one for one in error.args[:4] if type(one) is str).lower()
    if isinstance(error, FileNotFoundError) or any(word in text for word in _WORDS):
        nodes = [node for stmt in stmts for node in ast.walk(stmt) if isinstance(node, ast.Raise)]
        return any(node.lineno <= line <= end_of(node) for node in nodes)
    return False


def in_loops(stmts: list[Any], names: Any) -> Iterator[str]:
    """Texts of the expressions in a loop over a known list, for each of its items."""
    import ast

    for stmt in stmts:
        for node in ast.walk(stmt):
            if not isinstance(node, ast.For) or not isinstance(node.target, ast.Name):
                continue
            items = names.value(node.iter)
            for item in items[:_TURNS] if type(items) in (list, tuple) else ():
                inner = names.copy()
                inner.changed[node.target.id] = item
                for one in everything(node.body):
                    text = inner.text(one)
                    if text is not None and "/" in text:
                        yield text
