"""What an expression of ``pathlib`` stands for, by its own rules (PEP 428), without running any of it."""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLASSES = ("Path", "PosixPath", "PurePath", "PurePosixPath")
_DEEPEST = 24


def text_of(names: Any, node: Any, depth: int = 0) -> str | None:
    """The path, or None where it does not follow from constants and plain variables.

    ``names``: ``values.Names``. ``resolve`` counts as ``absolute``: links are not followed.
    """
    pathlib = sys.modules.get("pathlib")
    if type(pathlib) is not type(sys) or depth > _DEEPEST:
        return None
    kind = type(node).__name__
    if kind == "BinOp" and type(node.op).__name__ == "Div":
        return _joined(names, _base(names, node.left, depth), [node.right])
    if kind == "Attribute" and node.attr == "parent":
        base = _base(names, node.value, depth)
        return None if base is None else os.path.dirname(base) or "."
    if kind == "Subscript" and type(node.value).__name__ == "Attribute" and node.value.attr == "parents":
        return _ancestor(names, node, depth)
    return _called(names, node, pathlib, depth) if kind == "Call" else None


def _base(names: Any, node: Any, depth: int) -> str | None:
    """The path that a part of the expression is; a string alone is none."""
    found: str | None = text_of(names, node, depth + 1)
    if found is None and dotted(node) and names.look_up(dotted(node)).__class__.__name__ in _CLASSES:
        found = names.text(node)
    return found


def _ancestor(names: Any, node: Any, depth: int) -> str | None:
    base = _base(names, node.value.value, depth)
    index = names.value(node.slice.value if type(node.slice).__name__ == "Index" else node.slice)
    if base is None or type(index) is not int or not 0 <= index < 64:
        return None
    for _ in range(index + 1):
        base = os.path.dirname(base)
    return base


def _joined(names: Any, base: str | None, others: list[Any]) -> str | None:
    parts = [names.text(one) for one in others]
    return None if base is None or any(one is None for one in parts) else os.path.join(base, *parts)


def _called(names: Any, node: Any, pathlib: Any, depth: int) -> str | None:
    if any(type(one).__name__ == "Starred" for one in node.args):
        return None
    called = names.look_up(dotted(node.func)) if dotted(node.func) else None
    if called in [vars(pathlib).get(one) for one in _CLASSES] and node.args:
        return _joined(names, "", node.args)
    if type(node.func).__name__ != "Attribute":
        return None
    method, base = node.func.attr, _base(names, node.func.value, depth)
    if base is None:
        return None
    if method == "joinpath":
        return _joined(names, base, node.args)
    if method in ("resolve", "absolute"):
        return os.path.abspath(base)
    if method == "expanduser" and not node.args:
        return os.path.expanduser(base)
    given = names.text(node.args[0]) if len(node.args) == 1 else None
    if type(given) is not str:
        return None
    if method == "with_name":
        return os.path.join(os.path.dirname(base), given)
    return os.path.splitext(base)[0] + given if method == "with_suffix" else None
