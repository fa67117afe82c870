"""Which exceptions an ``except`` clause or a ``with`` takes."""

from __future__ import annotations

from dlrepair.diagnose.syntax import dotted
from dlrepair.diagnose.values import Flight, Names, class_mro, is_exception_class, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_ROOTS = ("Exception", "BaseException")


def catches(names: Names, node: Any, flight: Flight) -> bool:
    """Whether ``except NODE`` takes this exception. What cannot be resolved goes by name, else counts as a match."""
    if node is None:
        return True
    kind = type(node).__name__
    if kind == "Tuple":
        return any(catches(names, element, flight) for element in node.elts)
    name = dotted(node)
    if not name:
        return True
    return catches_named(names, name, flight)


def catches_named(names: Names, name: str, flight: Flight) -> bool:
    """As ``catches``, for a dotted name read from bytecode."""
    return _catches_value(names.look_up(name), name.rpartition(".")[2], flight)


def _catches_value(value: Any, name: str, flight: Flight) -> bool:
    if type(value) is tuple:
        return any(_catches_value(item, "", flight) for item in value)
    if is_exception_class(value):
        return value in class_mro(flight.cls) if flight.cls is not None else type_name(value) in flight.names
    return name in flight.names


def find_handler(stmt: Any, flight: Flight | None, names: Names) -> Any:
    """The ``except`` clause of a ``try`` that takes this exception, or None."""
    for handler in stmt.handlers:
        if flight is not None and catches(names, handler.type, flight):
            return handler
    return None


def takes_all(node: Any) -> bool:
    """Whether ``except NODE`` is there for whatever may come."""
    if type(node).__name__ == "Tuple":
        return any(takes_all(element) for element in node.elts)
    return node is None or dotted(node) in _ROOTS


def suppresses(names: Names, stmt: Any, flight: Flight) -> bool:
    """Whether a ``with`` swallows the exception: ``contextlib.suppress``, and what tests use to expect one."""
    for item in stmt.items:
        call = item.context_expr
        if type(call).__name__ != "Call":
            continue
        last = dotted(call.func).rpartition(".")[2] or getattr(call.func, "attr", "")
        if last in ("suppress", "raises", "assertRaises", "assertRaisesRegex", "ignored"):
            arguments: tuple[Any, ...] = tuple(call.args) if last == "suppress" else tuple(call.args[:1])
            if any(catches(names, argument, flight) for argument in arguments):
                return True
    return False
