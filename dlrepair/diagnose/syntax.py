"""Small questions about the nodes of a syntax tree, for every Python from 3.7 on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Sequence

_SCOPES = ("FunctionDef", "AsyncFunctionDef", "ClassDef", "Lambda")


def dotted(node: Any) -> str:
    """``a.b.c`` for a chain of attributes on a name, or "" for any other expression."""
    parts: list[str] = []
    while type(node).__name__ == "Attribute" and len(parts) < 16:
        parts.append(node.attr)
        node = node.value
    if type(node).__name__ != "Name":
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))


def marks_filled(node: Any) -> str:
    """The list that ``errors.append(e)`` fills (its dotted name), or ""."""
    is_method = type(node).__name__ == "Call" and type(node.func).__name__ == "Attribute"
    if is_method and node.func.attr in ("append", "add", "extend", "insert"):
        return dotted(node.func.value)
    return ""


def first_line(node: Any) -> int:
    """First line of a statement, decorators included (``co_firstlineno`` counts them on every version)."""
    line: int = node.lineno
    for decorator in getattr(node, "decorator_list", ()):
        line = min(line, decorator.lineno)
    return line


def child_blocks(node: Any) -> Iterator[tuple[str, list[Any], Any]]:
    """(field, statements, owner) for each block inside a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        stmts = getattr(node, field, None)
        if type(stmts) is list and stmts:
            yield field, stmts, node
    for field in ("handlers", "cases"):
        for part in getattr(node, field, ()):
            yield field, part.body, part


def assigned(stmts: Sequence[Any]) -> set[str]:
    """Every name that these statements may bind, dotted for attributes."""
    found: set[str] = set()
    waiting: list[Any] = list(stmts)
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__
        if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            found.add(node.name)
            continue
        if kind in ("Import", "ImportFrom"):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        for field in ("targets", "target", "optional_vars"):
            targets = getattr(node, field, None)
            for target in targets if type(targets) is list else [targets] if targets is not None else []:
                found.update(target_names(target))
        filled = marks_filled(getattr(node, "value", None)) if kind == "Expr" else ""
        if filled:
            found.add(filled)
        for item in getattr(node, "items", ()):
            if getattr(item, "optional_vars", None) is not None:
                found.update(target_names(item.optional_vars))
        for _, inner, _ in child_blocks(node):
            waiting.extend(inner)
    return found


def target_names(target: Any) -> Iterator[str]:
    kind = type(target).__name__
    if kind in ("Tuple", "List"):
        for element in target.elts:
            for name in target_names(element):
                yield name
    elif kind == "Starred":
        for name in target_names(target.value):
            yield name
    elif kind == "Subscript":
        name = dotted(target.value)
        if name:
            yield name
    else:
        name = dotted(target)
        if name:
            yield name


def expressions(root: Any) -> Iterator[Any]:
    """Nodes below ``root`` in about the order of evaluation; bodies of lambdas and functions are left out."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if type(node).__name__ in _SCOPES:
            continue
        inner: list[Any] = []
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                inner.extend(item for item in value if hasattr(item, "_fields"))
            elif hasattr(value, "_fields"):
                inner.append(value)
        waiting.extend(reversed(inner))


def exits(stmts: Sequence[Any]) -> str:
    """How these statements may be left early: ``return``, ``loop`` (break, or continue as the last), or ""."""
    waiting = [(stmt, False) for stmt in stmts]
    found = "loop" if stmts and type(stmts[-1]).__name__ == "Continue" else ""
    while waiting:
        node, in_loop = waiting.pop()
        kind = type(node).__name__
        if kind == "Return":
            return "return"
        if kind == "Break" and not in_loop:
            found = "loop"
        if kind not in _SCOPES:
            in_loop = in_loop or kind in ("For", "AsyncFor", "While")
            waiting.extend((inner, in_loop) for _, block, _ in child_blocks(node) for inner in block)
    return found
