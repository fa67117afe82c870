"""What names and expressions stand for, without running any of the user's code.

Names are looked up in ``f_locals``, ``f_globals`` and the builtins, attributes in the
dictionaries of modules, classes and plain instances: never through ``getattr``, which
may call a property, a module's ``__getattr__`` or a lazy importer.
"""

from __future__ import annotations

import builtins
import os
import sys

from dlrepair.diagnose.frames import namespace
from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class _Mark:
    """A value that is no Python constant."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNKNOWN = _Mark("UNKNOWN")  #: nothing is known about it
OBJECT = _Mark("OBJECT")  #: some object, not None; its truth value is not known
FILLED = _Mark("FILLED")  #: a list that something was appended to: true
PLAIN = (str, bytes, int, float, bool, type(None), list, tuple, dict, set, frozenset, range)

_CONTAINERS = (list, tuple, dict, set, frozenset)

_SLOTS: Any = type.__dict__  # descriptors of the types themselves: what no subclass can overrule
_module_dict: Any = vars(type(sys))["__dict__"].__get__
_class_dict: Any = _SLOTS["__dict__"].__get__
class_mro: Any = _SLOTS["__mro__"].__get__
_GETSET: Any = type(_SLOTS["__dict__"])
FUNCTION: Any = type(lambda: 0)


class Flight:
    """An exception in flight: its class where that is known, and the names that a handler may know it by."""

    __slots__ = ("cls", "names")

    def __init__(self, cls: type | None, names: tuple[str, ...] = ()) -> None:
        self.cls = cls
        self.names = tuple(type_name(base) for base in class_mro(cls)) if cls is not None else names

    @property
    def name(self) -> str:
        return self.names[0] if self.names else "exception"

    def same(self, other: Flight) -> bool:
        return self.cls is other.cls and self.names == other.names


def unknown_flight(name: str = "") -> Flight:
    """An exception whose class cannot be resolved: only its own name and the roots are known to match."""
    return Flight(None, (name, "Exception", "BaseException") if name else ("Exception", "BaseException"))


def type_name(cls: type) -> str:
    """A class's name, past any metaclass that would answer in its place."""
    return str(_SLOTS["__name__"].__get__(cls))


def is_module(value: Any) -> bool:
    return issubclass(type(value), type(sys))


def is_exception_class(value: Any) -> bool:
    return issubclass(type(value), type) and BaseException in class_mro(value)


def member(value: Any, name: str) -> Any:
    """``value.name`` from the dictionaries of a module, class or instance, else UNKNOWN. Runs no code."""
    if is_module(value):
        return _module_dict(value).get(name, UNKNOWN)
    if issubclass(type(value), type):
        for base in class_mro(value):
            if name in _class_dict(base):
                return _class_dict(base)[name]
        return UNKNOWN
    found = UNKNOWN
    for base in class_mro(type(value)):
        slot = _class_dict(base).get("__dict__")
        if slot is not None:
            if type(slot) is _GETSET:
                attributes = slot.__get__(value)
                found = attributes.get(name, UNKNOWN) if type(attributes) is dict else UNKNOWN
            break
    if found is UNKNOWN:
        for base in class_mro(type(value)):
            found = _class_dict(base).get(name, UNKNOWN)
            if found is not UNKNOWN:
                # a method can be looked at; a property or another descriptor has no value without being called
                return found if type(found) in (FUNCTION, staticmethod, classmethod) + PLAIN else UNKNOWN
    return found


def constant(node: Any) -> Any:
    """The value of a literal, else UNKNOWN (Python 3.7 has a node for each kind)."""
    kind = type(node).__name__
    if kind == "Constant" or kind == "NameConstant":
        return node.value if type(node.value) in PLAIN else UNKNOWN
    if kind == "Num":
        return node.n
    if kind == "Str" or kind == "Bytes":
        return node.s
    return UNKNOWN


def truth(value: Any) -> bool | None:
    if value is FILLED or type(value) is Flight:
        return True
    if type(value) in PLAIN:
        return bool(value)
    return None


class Names:
    """The variables that a path through the code may see: its own assignments over those of a frame."""

    __slots__ = ("changed", "frame", "local", "results")

    def __init__(self, frame: FrameType, changed: dict[str, Any] | None = None, local: bool = True) -> None:
        self.frame = frame
        self.results: dict[int, Any] = {}  #: what calls returned on this path, by the id of their node
        self.changed: dict[str, Any] = {} if changed is None else changed
        self.local = local  #: False in a called function: its locals are not those of the frame

    def copy(self) -> Names:
        other = Names(self.frame, dict(self.changed), self.local)
        other.results = dict(self.results)
        return other

    def look_up(self, name: str) -> Any:
        """What a dotted name refers to: any object (only to be looked at), or UNKNOWN."""
        if name in self.changed:
            return self.changed[name]
        root, _, rest = name.partition(".")
        value = self._root(root)
        for part in rest.split(".") if rest else ():
            if value is UNKNOWN or type(value) is _Mark:
                return UNKNOWN
            value = member(value, part)
        return value

    def _root(self, name: str) -> Any:
        if name in self.changed:
            return self.changed[name]
        if self.local:
            found = namespace(self.frame)
            if name in found:
                return found[name]
        found = self.frame.f_globals
        if name in found:
            return found[name]
        return vars(builtins).get(name, UNKNOWN)

    def value(self, node: Any, depth: int = 0) -> Any:
        """The expression's value as far as it follows from constants and plain variables."""
        found = constant(node)
        if found is not UNKNOWN or depth > 12:
            return found
        method = _VALUES.get(type(node).__name__)
        if method is None:
            return UNKNOWN
        try:
            return method(self, node, depth + 1)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError):
            return UNKNOWN

    def text(self, node: Any) -> str | None:
        """The path that an expression stands for, or None."""
        found = self.value(node)
        if type(found) is bytes:
            return os.fsdecode(found)
        if type(found) is str:
            return found
        name = dotted(node)
        path = _path_text(self.look_up(name)) if name else None
        if path is None and "pathlib" in sys.modules and type(node).__name__ in _OF_PATHS:
            from dlrepair.diagnose import purepaths

            return purepaths.text_of(self, node)
        return path

    def _name(self, node: Any, depth: int) -> Any:
        found = self.look_up(dotted(node))
        if type(found) in PLAIN or type(found) is _Mark or type(found) is Flight:
            return found
        return OBJECT

    def _attribute(self, node: Any, depth: int) -> Any:
        name = dotted(node)
        if not name:
            return UNKNOWN
        if name in ("os.sep", "sys.platform", "os.name"):
            return {"os.sep": os.sep, "sys.platform": sys.platform, "os.name": os.name}[name]
        return self._name(node, depth)

    def _sequence(self, node: Any, depth: int) -> Any:
        items: list[Any] = []
        for element in node.elts:
            if type(element).__name__ == "Starred":
                more = self.value(element.value, depth)
                if type(more) not in (list, tuple):
                    return UNKNOWN
                items.extend(more)
            else:
                items.append(self.value(element, depth))
        return tuple(items) if type(node).__name__ == "Tuple" else items

    def _dict(self, node: Any, depth: int) -> Any:
        if any(key is None for key in node.keys):
            return UNKNOWN
        return {self.value(k, depth): self.value(v, depth) for k, v in zip(node.keys, node.values)}

    def _joined(self, node: Any, depth: int) -> Any:
        parts = []
        for part in node.values:
            if type(part).__name__ == "FormattedValue":
                if part.format_spec is not None or part.conversion not in (-1, 115):
                    return UNKNOWN
                part = part.value
            piece = self.value(part, depth)
            if type(piece) not in (str, int):
                return UNKNOWN
            parts.append(str(piece))
        return "".join(parts)

    def _binary(self, node: Any, depth: int) -> Any:
        left, right = self.value(node.left, depth), self.value(node.right, depth)
        operator = type(node.op).__name__
        if operator == "Div":  # what an inner division has not told, no second look will
            known = type(left) is str or type(node.left).__name__ == "BinOp"
            base = left if known else self.text(node.left)
            return os.path.join(base, right) if type(base) is str and type(right) is str else UNKNOWN
        if type(left) not in PLAIN or type(right) not in PLAIN:
            return UNKNOWN
        if operator == "Add" and type(left) is type(right):
            return left + right
        if operator == "Mod" and type(left) is str and len(left) < 4096:
            items = right if type(right) is tuple else (right,)
            if "*" not in left and all(type(item) in (str, int) for item in items):
                return left % right if is_modest(left) else UNKNOWN
        if operator == "Sub" and type(left) is int and type(right) is int:
            return left - right
        return UNKNOWN

    def _unary(self, node: Any, depth: int) -> Any:
        value = self.value(node.operand, depth)
        if type(node.op).__name__ == "Not":
            known = truth(value)
            return UNKNOWN if known is None else not known
        return -value if type(node.op).__name__ == "USub" and type(value) in (int, float) else UNKNOWN

    def _boolean(self, node: Any, depth: int) -> Any:
        ends_on = type(node.op).__name__ == "Or"
        value: Any = UNKNOWN
        doubtful = False
        for operand in node.values:
            value = self.value(operand, depth)
            known = truth(value)
            if known is ends_on:
                return value if not doubtful else ends_on
            if known is None:
                doubtful = True
        return UNKNOWN if doubtful else value

    def _compare(self, node: Any, depth: int) -> Any:
        if len(node.ops) != 1:
            return UNKNOWN
        left, right = self.value(node.left, depth), self.value(node.comparators[0], depth)
        operator = type(node.ops[0]).__name__
        if operator in ("Is", "IsNot"):
            same = _identity(node, left, right)
            return UNKNOWN if same is None else same == (operator == "Is")
        if type(left) not in PLAIN or type(right) not in PLAIN or _has_unknown(left) or _has_unknown(right):
            return UNKNOWN
        if operator in ("Eq", "NotEq"):
            return (left == right) == (operator == "Eq")
        if operator in ("In", "NotIn"):
            return (left in right) == (operator == "In")
        if operator in ("Lt", "LtE", "Gt", "GtE"):
            return {"Lt": left < right, "LtE": left <= right, "Gt": left > right, "GtE": left >= right}[operator]
        return UNKNOWN

    def _conditional(self, node: Any, depth: int) -> Any:
        known = truth(self.value(node.test, depth))
        if known is None:
            return UNKNOWN
        return self.value(node.body if known else node.orelse, depth)

    def _subscript(self, node: Any, depth: int) -> Any:
        base = self.value(node.value, depth)
        index = node.slice.value if type(node.slice).__name__ == "Index" else node.slice
        if type(base) is dict or type(base) in (list, tuple, str):
            if type(index).__name__ == "Slice":
                ends = [None if part is None else self.value(part, depth) for part in (index.lower, index.upper)]
                if index.step is None and all(end is None or type(end) is int for end in ends):
                    return base[ends[0] : ends[1]]
                return UNKNOWN
            key = self.value(index, depth)
            if type(key) in (int, str):
                return base[key]
        return UNKNOWN

    def _call(self, node: Any, depth: int) -> Any:
        if id(node) in self.results:
            return self.results[id(node)]
        from dlrepair.diagnose.known import call_value

        return call_value(self, node, depth)

    def _comprehension(self, node: Any, depth: int) -> Any:
        if len(node.generators) != 1 or node.generators[0].ifs or type(node.generators[0].target).__name__ != "Name":
            return UNKNOWN
        items = self.value(node.generators[0].iter, depth)
        if type(items) not in (list, tuple) or len(items) > 200:
            return UNKNOWN
        inner = self.copy()
        found = []
        for item in items:
            inner.changed[node.generators[0].target.id] = item
            found.append(inner.value(node.elt, depth))
        return found


def _identity(node: Any, left: Any, right: Any) -> bool | None:
    """Whether two values are one object, or None. Variables hold the real objects; literals are only copies."""
    if left is UNKNOWN or right is UNKNOWN:
        return None
    if left is None or right is None or (type(left) is bool and type(right) is bool):
        return left is right
    both = (node.left, node.comparators[0])
    if all(type(part).__name__ in ("Name", "Attribute", "Subscript") for part in both):
        return left is right if type(left) in PLAIN and type(right) in PLAIN else None
    return None


def is_modest(template: str) -> bool:
    """Whether a ``%`` template asks for no field width that would make a huge string."""
    digits = 0
    for character in template:
        digits = digits + 1 if character.isdigit() else 0
        if digits > 3:
            return False
    return True


def _has_unknown(value: Any, depth: int = 0) -> bool:
    """Whether comparing this container could reach an object that is none of the plain types."""
    if type(value) not in _CONTAINERS:
        return type(value) not in PLAIN
    if depth > 4 or len(value) > 2000:
        return True
    if type(value) is dict and any(_has_unknown(item, depth + 1) for item in value.values()):
        return True
    return any(_has_unknown(item, depth + 1) for item in value)


def _path_text(path: Any) -> str | None:
    """The text of an exact ``pathlib`` path: its ``__str__`` is the standard library's own."""
    pathlib = sys.modules.get("pathlib")
    known = vars(pathlib) if type(pathlib) is type(sys) else {}
    return str(path) if type(path) in (known.get("PosixPath"), known.get("PurePosixPath")) else None


#: expressions that may be a path of ``pathlib``
_OF_PATHS = ("BinOp", "Attribute", "Subscript", "Call")
_VALUES = {
    "Name": Names._name, "Attribute": Names._attribute, "List": Names._sequence, "Tuple": Names._sequence,
    "Dict": Names._dict, "JoinedStr": Names._joined, "BinOp": Names._binary, "UnaryOp": Names._unary,
    "BoolOp": Names._boolean, "Compare": Names._compare, "IfExp": Names._conditional,
    "Subscript": Names._subscript, "Call": Names._call, "ListComp": Names._comprehension,
    "GeneratorExp": Names._comprehension,
}  # fmt: skip
