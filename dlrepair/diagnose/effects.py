"""What evaluating an expression does on a path: loads, builds, ways out, calls of the user's own functions."""

from __future__ import annotations

from dlrepair.diagnose.known import is_load_object, meaning, path_argument, sounds_like_load
from dlrepair.diagnose.syntax import dotted, expressions, marks_filled
from dlrepair.diagnose.values import (
    FILLED,
    FUNCTION,
    OBJECT,
    UNKNOWN,
    Flight,
    Names,
    is_exception_class,
    truth,
    unknown_flight,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

NEAREST_LOOP = -2  #: for ``State.until``: the innermost loop around the current statement
_SCOPES = ("FunctionDef", "AsyncFunctionDef", "ClassDef", "Lambda")


class TooMuchCode(Exception):
    """The code has more paths than are worth following."""


class State:
    """Where a path stands: what its variables hold, and what has happened on it."""

    __slots__ = ("built", "depth", "failing", "flight", "names", "relevant", "until")

    def __init__(self, names: Names, flight: Flight, relevant: set[str], failing: bool) -> None:
        self.names = names
        self.flight = flight  #: what a bare ``raise`` raises
        self.relevant = relevant  #: names whose value depends on whether the load succeeded
        self.failing = failing
        self.built: Any = None  #: the call that started a build
        self.depth = 0  #: calls followed into
        self.until = -1  #: level of the loop at whose end the path is common again; -1: the function's end

    def copy(self) -> State:
        other = State(self.names.copy(), self.flight, set(self.relevant), self.failing)
        other.built, other.depth, other.until = self.built, self.depth, self.until
        return other


class End:
    """How a path leaves some statements.

    ``tag``: ``next``, ``break``, ``continue``, ``return``, ``raise``, ``load``, ``stop`` (the process ends
    or waits for a person) or ``skip`` (the failure is swallowed: a test is skipped, the code goes its way).
    """

    __slots__ = ("flight", "node", "path", "state", "tag", "value")

    def __init__(self, tag: str, state: State, node: Any = None) -> None:
        self.tag = tag
        self.state = state
        self.node = node
        self.flight: Flight | None = None  #: of ``raise``
        self.value: Any = UNKNOWN  #: of ``return``
        self.path: str | None = None  #: of ``load``: what would be loaded


class Effects:
    """Evaluates expressions; the statements are in ``flow``."""

    def __init__(self, active: Sequence[Any], definition: Callable[[Any], Any]) -> None:
        self._active = active
        self._definition = definition

    def run(self, stmts: Sequence[Any], state: State) -> list[End]:
        raise TypeError("only Flow follows statements")

    def mentions(self, node: Any, state: State) -> bool:
        """Whether an expression depends on the outcome of the load."""
        if node is None:
            return False
        for inner in expressions(node):
            if id(inner) in state.names.results:
                return True
            name = dotted(inner) if type(inner).__name__ in ("Name", "Attribute") else ""
            if name and name in state.relevant:
                return True
        return False

    def _effects(self, root: Any, state: State) -> list[End]:
        """Ends that evaluating an expression brings about; ``next`` for going on."""
        if root is None:
            return [End("next", state)]
        waiting = [root]
        ends: list[End] = []
        was_failing = state.failing
        while waiting:
            node = waiting.pop()
            kind = type(node).__name__
            if kind in _SCOPES:
                continue
            if kind in ("BoolOp", "IfExp"):
                waiting.extend(reversed(self._reached(node, state)))
                continue
            if state.failing and (kind == "Call" or is_load_object(node)):
                found = self._call(node, state)
                ends.extend(end for end in found if end.tag != "next")
                if not any(end.tag == "next" for end in found):
                    return ends
            inner = [value for field in node._fields for value in _as_list(getattr(node, field, None))]
            waiting.extend(reversed(inner))
        state.failing = was_failing
        return ends + [End("next", state)]

    def _reached(self, node: Any, state: State) -> list[Any]:
        """Parts of ``a or b`` and ``a if b else c`` that this path evaluates."""
        if type(node).__name__ == "IfExp":
            parts = [node.test]
            known = truth(state.names.value(node.test))
            dependent = self.mentions(node.test, state)
            branches = [node.body, node.orelse] if known is None else [node.body if known else node.orelse]
        else:
            parts, branches = [node.values[0]], []
            dependent = self.mentions(node.values[0], state)
            ends_on = type(node.op).__name__ == "Or"
            for before, operand in zip(node.values, node.values[1:]):
                if truth(state.names.value(before)) is ends_on:
                    break
                branches.append(operand)
        if dependent and not state.failing:
            for branch in branches:
                if any(type(n).__name__ == "Call" and self._loads(n, state) for n in expressions(branch)):
                    state.failing = True  # ``lib or CDLL(other)``: the second part is there for the failure
        return parts + branches

    def _loads(self, node: Any, state: State) -> bool:
        return meaning(state.names, node) == "load" or sounds_like_load(dotted(node.func))

    def _call(self, node: Any, state: State) -> list[End]:
        if type(node).__name__ != "Call":
            return [self._load(node, state)]
        what = meaning(state.names, node)
        if what == "load":
            return [self._load(node, state)]
        if what == "compile":
            state.built = state.built or node
        elif what == "exit":
            end = End("raise", state, node)
            end.flight = Flight(SystemExit)
            return [end]
        elif what in ("stop", "skip"):
            return [End(what, state, node)]
        else:
            filled = marks_filled(node)
            if filled:
                state.names.changed[filled] = FILLED
                state.relevant.add(filled)
                return [End("next", state)]
            return self._follow(node, state)
        return [End("next", state)]

    def _load(self, node: Any, state: State) -> End:
        end = End("load", state, node)
        end.path = path_argument(state.names, node)
        return end

    def _follow(self, node: Any, state: State) -> list[End]:
        """A call of the user's own function: its body, one level deep, if it stands in the same file."""
        name = dotted(node.func)
        function: Any = state.names.look_up(name) if name else UNKNOWN
        if type(function) in (staticmethod, classmethod):
            function = function.__func__
        if type(function) is not FUNCTION:
            known = function is UNKNOWN or function is OBJECT
            return [self._load(node, state) if known and sounds_like_load(name) else End("next", state)]
        if any(code is function.__code__ for code in self._active):
            return [self._load(node, state)]  # the very function whose load failed, once more
        if state.depth or function.__code__.co_filename != state.names.frame.f_code.co_filename:
            return [self._load(node, state) if sounds_like_load(name) else End("next", state)]
        body = self._definition(function.__code__)
        if body is None:
            return [self._load(node, state) if sounds_like_load(name) else End("next", state)]
        inner = State(Names(state.names.frame, self._bind(node, function, state), False), state.flight, set(), True)
        inner.depth, inner.built = state.depth + 1, state.built
        return self._returned(node, state, self.run(body, inner))

    @staticmethod
    def _bind(node: Any, function: Any, state: State) -> dict[str, Any]:
        code = function.__code__
        parameters = code.co_varnames[: code.co_argcount]
        if parameters[:1] in (("self",), ("cls",)):
            parameters = parameters[1:]
        bound = dict.fromkeys(code.co_varnames, UNKNOWN)
        for name, argument in zip(parameters, node.args):
            bound[name] = state.names.value(argument)
        for word in node.keywords:
            if word.arg in bound:
                bound[word.arg] = state.names.value(word.value)
        return bound

    def _returned(self, node: Any, state: State, inner: list[End]) -> list[End]:
        ends = []
        values: list[Any] = []
        for end in inner:
            if end.tag in ("next", "return"):
                values.append(None if end.tag == "next" else end.value)
                state.built = state.built or end.state.built
            elif end.tag in ("load", "raise", "stop", "skip"):
                end.state, end.node = state, node
                ends.append(end)
        if values:
            state.names.results[id(node)] = values[0] if len(values) == 1 else UNKNOWN
            ends.append(End("next", state))
        return ends

    def flight_of(self, node: Any, state: State) -> Flight:
        """The exception that ``raise NODE`` lets fly."""
        if type(node).__name__ == "Call":
            function = node.func
            if type(function).__name__ == "Attribute" and function.attr == "with_traceback":
                return self.flight_of(function.value, state)
            if type(function).__name__ == "Call" and dotted(function.func) == "type" and function.args:
                return self.flight_of(function.args[0], state)
            node = function
        name = dotted(node)
        value: Any = state.names.look_up(name) if name else UNKNOWN
        if type(value) is Flight:
            return value
        if is_exception_class(value):
            return Flight(value)
        if issubclass(type(value), BaseException):
            return Flight(type(value))
        if value is FILLED or type(node).__name__ == "Subscript":
            return unknown_flight()
        return unknown_flight(name.rpartition(".")[2])


def _as_list(value: Any) -> list[Any]:
    if type(value) is list:
        return [item for item in value if hasattr(item, "_fields")]
    return [value] if hasattr(value, "_fields") else []
