"""Values of Python that the evaluator knows beside strings, numbers and containers."""

from __future__ import annotations

from dlrepair.build.recipes.text import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Unknown:
    """A value that is not known; ``text`` is how the source writes it."""

    def __init__(self, text: str = "?") -> None:
        self.text = text

    def __str__(self) -> str:
        return unknown(self.text)

    def __repr__(self) -> str:
        return "Unknown({!r})".format(self.text)


class Dotted:
    """A name that is nobody's variable: a module, or something in one. Imports are resolved in ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return unknown(self.name)


class Method:
    """An attribute of a known value, about to be called."""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner = owner
        self.name = name


class Function:
    """A function of the file, with the scope that it was defined in."""

    def __init__(self, node: Any, scope: dict[str, Any]) -> None:
        self.node = node
        self.scope = scope
        self.called = False


class Return(Exception):
    """Leaves a function."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def text_of(value: Any) -> str:
    """Return a value as it stands inside a string."""
    if isinstance(value, (str, int, float, Unknown, Dotted)):
        return str(value)
    return str(Unknown(type(value).__name__))


class Frame(dict):  # type: ignore[type-arg]
    """A function's scope over the one it was defined in; what is missing here is looked up there."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__()
        self.outer = outer

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.outer

    def __missing__(self, name: str) -> Any:
        return self.outer[name]
