"""What a caller does with the library that it loads: the functions that it will ask it for.

``lib = ctypes.CDLL(path)`` and, anywhere in the same file, ``lib.compute(...)``: a file without ``compute`` is not the
library that this code means, whatever its name. ``ops = tf.load_op_library(path)`` and ``ops.roi_pool(...)``
name the op ``RoiPool`` in the same way. What stands under an ``if``, or in a ``try`` that takes an
AttributeError, may be missing from the right library too and does not count.
"""

from __future__ import annotations

from dlrepair.diagnose.frames import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterable, Iterator

#: handlers that take an AttributeError
_TOLERANT = ("", "AttributeError", "Exception", "BaseException")

#: how many functions may hand the loaded library on to their callers
_RETURNS = 4

#: attributes of the objects that loaders return, and no functions of a library
_OWN = frozenset(("OP_LIST", "argtypes", "restype", "errcheck", "name", "func_ptr", "LoadLibrary"))


def find_uses(frame: FrameType | None) -> tuple[str, ...]:
    """Names that the code takes from what the load in ``frame`` returns, sorted; none where that cannot be told.

    Reads the files of the frames concerned; runs none of the user's code. Raises nothing.
    """
    try:
        return tuple(sorted(_find(frame)))
    except Exception:  # a repair must never depend on our reading of the caller
        return ()


def _find(frame: FrameType | None) -> set[str]:
    from dlrepair.diagnose import source

    while frame is not None and kind_of(frame) in ("ours", "loader"):
        frame = frame.f_back
    for _ in range(_RETURNS):
        if frame is None:
            break
        tree = source.whole_file(frame)
        chain = _chain(tree, frame.f_lineno or 0)
        kind = type(chain[-1]).__name__ if chain else ""
        if kind == "Return":
            frame = frame.f_back
            continue
        if kind not in ("Assign", "AnnAssign"):
            return set()
        targets = chain[-1].targets if kind == "Assign" else [chain[-1].target]
        found: set[str] = set()
        for target in targets:
            name = _spelling(target)
            scope = _scope(tree, chain, name)
            if name and _loaded_once(scope, name):
                found |= _uses_of(scope, name)
        return found
    return set()


def _children(node: Any) -> Iterator[Any]:
    for field in getattr(node, "_fields", ()):
        value = getattr(node, field, None)
        for one in value if isinstance(value, list) else (value,):
            if hasattr(one, "_fields"):
                yield one


def _last_line(node: Any) -> int:
    last: int = getattr(node, "end_lineno", 0) or getattr(node, "lineno", 0)
    return max([last] + [_last_line(child) for child in _children(node)])


def _chain(tree: list[Any], line: int) -> list[Any]:
    """The statements whose lines hold ``line``, outermost first."""
    for node in tree:
        if hasattr(node, "lineno") and node.lineno <= line <= _last_line(node):
            for field in ("body", "orelse", "finalbody", "handlers"):
                inner = _chain(getattr(node, field, None) or [], line)
                if inner:
                    return [node, *inner]
            return [node]
    return []


def _scope(tree: list[Any], chain: list[Any], name: str) -> list[Any]:
    """The statements in which ``name`` means what the innermost statement of ``chain`` binds it to."""
    wanted = ("ClassDef",) if "." in name else ("FunctionDef", "AsyncFunctionDef")
    for node in reversed(chain[:-1]):
        if type(node).__name__ in wanted:
            return tree if _is_global(node, name) else list(node.body)
    return tree


def _is_global(function: Any, name: str) -> bool:
    return any(type(one).__name__ == "Global" and name in one.names for one in _nodes([function]))


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        todo += list(_children(node))


def _binds(node: Any, name: str) -> bool:
    """Whether a statement binds the name to something other than a constant (``lib = None``)."""
    if type(node).__name__ not in ("Assign", "AnnAssign") or node.value is None:
        return False
    if type(node.value).__name__ in ("Constant", "NameConstant", "Num", "Str"):
        return False
    return any(_spelling(one) == name for one in (getattr(node, "targets", None) or [node.target]))


def _loaded_once(scope: list[Any], name: str) -> bool:
    """Whether one statement alone, with its branches, binds the name: else its uses belong to several libraries."""
    own = [statement for statement in scope if not _hides(statement, name)]
    return sum(any(_binds(one, name) for one in _nodes([statement])) for statement in own) <= 1


def _hides(node: Any, name: str) -> bool:
    """Whether a function has a variable of its own of that name."""
    if type(node).__name__ not in ("FunctionDef", "AsyncFunctionDef", "Lambda") or "." in name:
        return False
    arguments = node.args.args + node.args.kwonlyargs + [node.args.vararg, node.args.kwarg]
    if any(getattr(one, "arg", "") == name for one in arguments):
        return True
    return any(_binds(one, name) for one in _nodes(_children(node))) and not _is_global(node, name)


def _spelling(node: Any) -> str:
    """``lib`` or ``self.lib`` as it is written; "" of anything else."""
    kind = type(node).__name__
    if kind == "Name":
        return str(node.id)
    if kind == "Attribute":
        owner = _spelling(node.value)
        return "{}.{}".format(owner, node.attr) if owner else ""
    return ""


def _uses_of(tree: list[Any], name: str) -> set[str]:
    """What is taken from ``name`` anywhere in the file, unless it is taken only if it is there."""
    if not name:
        return set()
    found: set[str] = set()
    todo = list(tree)
    while todo:
        node = todo.pop()
        kind = type(node).__name__
        if kind in ("If", "IfExp", "While") or _hides(node, name):
            continue
        if kind == "Try" and any(_takes_attribute_error(one.type) for one in node.handlers):
            todo += node.orelse + node.finalbody
            continue
        taken = _taken(node, kind, name)
        if taken and not taken.startswith("_") and taken not in _OWN:
            found.add(taken)
        todo += list(_children(node))
    return found


def _taken(node: Any, kind: str, name: str) -> str:
    if kind == "Attribute" and type(node.ctx).__name__ == "Load" and _spelling(node.value) == name:
        return str(node.attr)
    if kind == "Call" and _spelling(node.func) == "getattr" and len(node.args) == 2 and not node.keywords:
        return _text(node.args[1]) if _spelling(node.args[0]) == name else ""
    if kind == "Subscript" and _spelling(node.value) == name:
        return _text(getattr(node.slice, "value", node.slice))  # Index(value) up to Python 3.8
    return ""


def _text(node: Any) -> str:
    value = getattr(node, "s", None) if type(node).__name__ == "Str" else getattr(node, "value", node)
    return value if isinstance(value, str) else ""


def _takes_attribute_error(node: Any) -> bool:
    if node is None:
        return True
    names = node.elts if type(node).__name__ == "Tuple" else [node]
    return any(_spelling(one).split(".")[-1] in _TOLERANT for one in names)
