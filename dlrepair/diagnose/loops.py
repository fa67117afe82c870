"""Whether a loop that tries one library after another has a next one."""

from __future__ import annotations

from dlrepair.diagnose.known import meaning, path_argument
from dlrepair.diagnose.syntax import dotted, expressions
from dlrepair.diagnose.values import PLAIN, UNKNOWN, Names, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def find_next(loop: Any, names: Names) -> tuple[str, Any]:
    """``last``, ``more`` or ``unknown``, and for ``more`` the next value of the loop's variable.

    A ``for`` is judged by the value that its variable has now, among the elements of its
    iterable. An iterable that cannot be read again (a generator, a ``glob`` result) is ``unknown``.
    """
    if type(loop).__name__ == "While":
        return ("last" if truth(names.value(loop.test)) is False else "unknown"), UNKNOWN
    items = names.value(loop.iter)
    if type(items) is dict:
        items = list(items)
    if type(items) is str:
        items = list(items)
    if type(items) not in (list, tuple) or not items:
        return "unknown", UNKNOWN
    now = _current(loop.target, names)
    if now is UNKNOWN:
        return "unknown", UNKNOWN
    for position in range(len(items) - 1, -1, -1):
        if _same(now, items[position]):
            return ("last", UNKNOWN) if position == len(items) - 1 else ("more", items[position + 1])
    return "unknown", UNKNOWN


def _current(target: Any, names: Names) -> Any:
    """What the loop's variable (or tuple of variables) holds now; of objects, the object itself."""
    kind = type(target).__name__
    if kind in ("Tuple", "List"):
        values = tuple(_current(element, names) for element in target.elts)
        return values if any(value is not UNKNOWN for value in values) else UNKNOWN
    name = dotted(target)
    return names.look_up(name) if name else UNKNOWN


def _same(now: Any, item: Any) -> bool:
    """Equality that calls no foreign ``__eq__``. Parts that are not known agree with anything."""
    if now is UNKNOWN or item is UNKNOWN:
        return True
    if type(now) is tuple and type(item) in (tuple, list):
        return len(now) == len(item) and all(_same(one, other) for one, other in zip(now, item))
    if type(now) in (str, bytes, int, float, bool):
        return type(item) in PLAIN and type(item) is type(now) and bool(now == item)
    return now is item


def path_in_next(loop: Any, value: Any, names: Names) -> str | None:
    """The path that the loop's first load will be given when its variable holds ``value``, if that follows."""
    if value is UNKNOWN:
        return None
    later = names.copy()
    target = loop.target
    if type(target).__name__ in ("Tuple", "List"):
        if type(value) not in (tuple, list) or len(value) != len(target.elts):
            return None
        for element, part in zip(target.elts, value):
            later.changed[dotted(element)] = part
    else:
        later.changed[dotted(target)] = value
    return _first_load(loop.body, later)


def _first_load(stmts: Any, names: Names) -> str | None:
    for stmt in stmts:
        for node in expressions(stmt):
            kind = type(node).__name__
            if kind == "Assign" and len(node.targets) == 1 and type(node.targets[0]).__name__ == "Name":
                known = names.value(node.value)
                if type(known) is str:
                    names.changed[node.targets[0].id] = known
            # a local alias of the function (``load_fn(path)``) serves here as well
            if kind == "Call" and (meaning(names, node) == "load" or dotted(node.func).startswith("load")):
                return path_argument(names, node)
    return None
