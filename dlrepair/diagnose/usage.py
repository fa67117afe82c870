"""What a caller does with the answer of ``ctypes.util.find_library``.

None is a legal answer: most code asks to learn whether a library is there. A search is wanted
only where the answer goes straight into a loader, ``CDLL(find_library("x"))``, or into a
name that nothing tests: there None ends in a wrong or failing load.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.model.requests import Guard

#: calls that open what they are given
LOADERS = frozenset(("CDLL", "PyDLL", "LoadLibrary", "dlopen", "load_library", "load_op_library"))


def classify(frame: Any) -> Guard:
    """``none`` where the answer is opened without being looked at, else ``optional``."""
    from dlrepair.model.requests import Guard

    code = frame.f_code
    where = "{}:{}".format(code.co_filename, frame.f_lineno)
    tree = _tree(code.co_filename)
    if tree is None:
        return Guard("optional", "find_library is a question; source not available, " + where)
    scope = _innermost(tree, frame.f_lineno)
    call, parent = _call(scope, frame.f_lineno)
    if call is None:
        return Guard("optional", "find_library is a question, " + where)
    kind = type(parent).__name__
    if kind == "Call" and _name(parent.func) in LOADERS:
        return Guard("none", "the answer is opened at once, " + where)
    if kind == "Assign" and len(parent.targets) == 1 and type(parent.targets[0]).__name__ == "Name":
        if _opened_untested(scope, parent.targets[0].id):
            return Guard("none", "the answer is opened untested, " + where)
    return Guard("optional", "find_library is a question, " + where)


def _tree(filename: str) -> Any:
    """The syntax tree of a source file, by the built-in compiler (``ast.PyCF_ONLY_AST``), or None."""
    try:
        with open(filename, "rb") as stream:
            source = stream.read(4 << 20)
        return compile(source, filename, "exec", 0x400, True)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _children(node: Any) -> list[Any]:
    found = []
    for field in getattr(node, "_fields", ()):
        value = getattr(node, field, None)
        for one in value if isinstance(value, list) else [value]:
            if hasattr(one, "_fields"):
                found.append(one)
    return found


def _walk(node: Any) -> Any:
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        todo += _children(one)


def _innermost(tree: Any, line: int) -> Any:
    """The innermost function whose lines hold ``line``, else the module."""
    best = tree
    for node in _walk(tree):
        if type(node).__name__ in ("FunctionDef", "AsyncFunctionDef") and node.lineno <= line <= _last_line(node):
            if best is tree or node.lineno >= best.lineno:
                best = node
    return best


def _last_line(node: Any) -> int:
    return max(getattr(one, "lineno", 0) for one in _walk(node))


def _name(node: Any) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _call(scope: Any, line: int) -> tuple[Any, Any]:
    """The ``find_library(...)`` on that line and the node that it stands in."""
    for node in _walk(scope):
        for child in _children(node):
            if type(child).__name__ == "Call" and _name(child.func) == "find_library":
                if child.lineno <= line <= _last_line(child):
                    return child, node
    return None, None


def _opened_untested(scope: Any, name: str) -> bool:
    """Whether a loader is given the name, and nothing compares it or asks whether it is true."""
    opened = False
    for node in _walk(scope):
        kind = type(node).__name__
        if kind == "Call" and _name(node.func) in LOADERS:
            opened = opened or any(getattr(one, "id", None) == name for one in node.args)
        elif kind in ("If", "IfExp", "While", "Assert"):
            if any(getattr(one, "id", None) == name for one in _walk(node.test)):
                return False
        elif kind in ("BoolOp", "Compare"):
            if any(getattr(one, "id", None) == name for one in _walk(node)):
                return False
    return opened
