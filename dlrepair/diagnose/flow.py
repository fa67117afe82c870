"""What a handler, and the code behind it, does next: another load, a build, a way out, or nothing.

Statements are followed path by path, without running them: an ``if`` whose test is known
takes one branch, any other takes both. Two modes: on a *failing* path (a handler, or code
reached only because the load failed) every call counts; on a *common* path (code that a successful load
reaches as well) only what depends on the result of the load does, such as ``if lib is None: raise``.
"""

from __future__ import annotations

from dlrepair.diagnose.clauses import find_handler, suppresses
from dlrepair.diagnose.effects import NEAREST_LOOP, Effects, End, State, TooMuchCode
from dlrepair.diagnose.known import is_attempt
from dlrepair.diagnose.syntax import exits, target_names
from dlrepair.diagnose.values import OBJECT, UNKNOWN, Flight, Names, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

_MAX_STEPS = 3000
_MAX_PATHS = 8


class Flow(Effects):
    """Follows statements of one source file. ``active``: code objects on the stack between load and handler."""

    def __init__(self, active: Sequence[Any], definition: Callable[[Any], Any]) -> None:
        super().__init__(active, definition)
        self._steps = 0

    def run(self, stmts: Sequence[Any], state: State) -> list[End]:
        """The ends of every path through ``stmts``; raises TooMuchCode."""
        ends: list[End] = []
        live = [state]
        for stmt in stmts:
            after: list[State] = []
            for one in live:
                for end in self._step(stmt, one):
                    if end.tag == "next":
                        after.append(end.state)
                    else:
                        ends.append(end)
            live = after[:_MAX_PATHS]
            if not live:
                break
        return ends + [End("next", one) for one in live]

    def _step(self, stmt: Any, state: State) -> list[End]:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise TooMuchCode("more than {} statements".format(_MAX_STEPS))
        method = _STEPS.get(type(stmt).__name__)
        return [End("next", state)] if method is None else method(self, stmt, state)

    # -- statements

    def _expression(self, stmt: Any, state: State) -> list[End]:
        return self._effects(stmt.value, state)

    def _assign(self, stmt: Any, state: State) -> list[End]:
        targets = stmt.targets if type(stmt).__name__ == "Assign" else [stmt.target]
        if type(stmt).__name__ == "AnnAssign" and stmt.value is None:
            return [End("next", state)]
        ends = self._effects(stmt.value, state)
        for end in ends:
            if end.tag != "next":
                continue
            depends = state.failing or self.mentions(stmt.value, end.state)
            names = end.state.names
            value = _increased(stmt, names) if type(stmt).__name__ == "AugAssign" else names.value(stmt.value)
            for target in targets:
                self._store(target, value, depends, end.state)
        return ends

    def _store(self, target: Any, value: Any, depends: bool, state: State) -> None:
        if type(target).__name__ in ("Tuple", "List"):
            fits = type(value) in (tuple, list) and len(value) == len(target.elts)
            for position, element in enumerate(target.elts):
                self._store(element, value[position] if fits else UNKNOWN, depends, state)
            return
        for name in target_names(target):
            if type(target).__name__ == "Subscript":
                value = OBJECT
            if depends:
                state.relevant.add(name)
            else:
                state.relevant.discard(name)
            state.names.changed[name] = value

    def _return(self, stmt: Any, state: State) -> list[End]:
        ends = self._effects(stmt.value, state)
        for end in ends:
            if end.tag == "next":
                depends = state.failing or self.mentions(stmt.value, end.state)
                end.tag = "return"
                end.node = stmt
                end.value = None if stmt.value is None else end.state.names.value(stmt.value)
                if not depends:
                    end.value = OBJECT  # the same whether the load worked or not
        return ends

    def _raise(self, stmt: Any, state: State) -> list[End]:
        ends = self._effects(stmt.exc, state)
        for end in ends:
            if end.tag == "next" and not state.failing:
                end.tag = "skip"  # raised whether the load worked or not: the failure itself was swallowed before
            elif end.tag == "next":
                end.tag, end.node = "raise", stmt
                end.flight = state.flight if stmt.exc is None else self.flight_of(stmt.exc, end.state)
        return ends

    def _assert(self, stmt: Any, state: State) -> list[End]:
        if not state.failing and not self.mentions(stmt.test, state):
            return [End("next", state)]
        known = truth(state.names.value(stmt.test))
        end = End("raise", state, stmt)
        end.flight = Flight(AssertionError)
        if known is None:
            return [end, End("next", state.copy())]
        return [End("next", state)] if known else [end]

    def _if(self, stmt: Any, state: State) -> list[End]:
        was_failing = state.failing
        if not was_failing and not self.mentions(stmt.test, state):
            return [End("next", state)]
        ends: list[End] = []
        way = ""
        for end in self._effects(stmt.test, state):
            if end.tag != "next":
                ends.append(end)
                continue
            known = truth(end.state.names.value(stmt.test))
            for taken, stmts in ((True, stmt.body), (False, stmt.orelse)):
                if known is None or known is taken:
                    branch = end.state.copy()
                    # an alternative is only one where the test tells failure from success
                    branch.failing = True
                    ends.extend(self.run(stmts, branch))
            if known is not None and not was_failing:
                way = exits(stmt.orelse if known else stmt.body)
        if way:  # a success would have left here: what follows is there for the failure
            for end in ends:
                end.state.until = NEAREST_LOOP if way == "loop" else -1
        return _restored(ends, was_failing or bool(way))

    def _loop(self, stmt: Any, state: State) -> list[End]:
        is_for = type(stmt).__name__ != "While"
        header = stmt.iter if is_for else stmt.test
        ends: list[End] = []
        for end in self._effects(header, state):
            if end.tag != "next":
                ends.append(end)
                continue
            value = end.state.names.value(header)
            if truth(value) is not False and not (is_for and value is None):
                inside = end.state.copy()
                if is_for:
                    first = value[0] if type(value) in (list, tuple) and value else UNKNOWN
                    self._store(stmt.target, first, inside.failing, inside)
                elif not inside.failing and self.mentions(header, inside):
                    inside.failing = True
                for inner in self.run(stmt.body, inside):
                    if inner.tag in ("next", "break", "continue"):
                        ends.append(End("next", inner.state))
                    else:
                        ends.append(inner)
            skipped = self.run(stmt.orelse, end.state.copy())
            ends.extend(skipped if truth(value) is not True or is_for else [])
        return _restored(ends, state.failing)

    def _with(self, stmt: Any, state: State) -> list[End]:
        for item in stmt.items:
            entering = self._effects(item.context_expr, state)
            if not any(end.tag == "next" for end in entering):
                return entering
        ends: list[End] = []
        for end in self.run(stmt.body, state):
            if end.tag == "raise" and end.flight is not None and suppresses(state.names, stmt, end.flight):
                end = End("next", end.state)
            ends.append(end)
        return ends

    def _try(self, stmt: Any, state: State) -> list[End]:
        ends: list[End] = []
        for end in self.run(stmt.body, state.copy()):
            if end.tag == "next":
                ends.extend(self.run(stmt.orelse, end.state))
                continue
            handler = find_handler(stmt, end.flight, end.state.names) if end.tag == "raise" and end.flight else None
            if handler is None:
                ends.append(end)
                continue
            caught = end.state
            before, caught.flight = caught.flight, end.flight or caught.flight
            if handler.name:
                caught.names.changed[handler.name] = caught.flight
            for inner in self.run(handler.body, caught):
                inner.state.flight = before
                ends.append(inner)
        return ends

    def _match(self, stmt: Any, state: State) -> list[End]:
        ends = [End("next", state.copy())]
        for case in stmt.cases:
            ends.extend(self.run(case.body, state.copy()))
        return ends

    def _import(self, stmt: Any, state: State) -> list[End]:
        if state.failing:
            if type(stmt).__name__ == "ImportFrom":
                modules = [stmt.module if stmt.module and not stmt.level else "."]
            else:
                modules = [alias.name for alias in stmt.names]
            if any(is_attempt(module) for module in modules):
                return [End("load", state, stmt)]
        for alias in stmt.names:
            state.names.changed[(alias.asname or alias.name).split(".")[0]] = UNKNOWN
        return [End("next", state)]

    def _define(self, stmt: Any, state: State) -> list[End]:
        state.names.changed[stmt.name] = OBJECT
        return [End("next", state)]

    def _break(self, stmt: Any, state: State) -> list[End]:
        return [End("break", state, stmt)]

    def _continue(self, stmt: Any, state: State) -> list[End]:
        return [End("continue", state, stmt)]


def _increased(stmt: Any, names: Names) -> Any:
    """The value after ``tries += 1`` or ``text += "more"``."""
    before, more = names.value(stmt.target), names.value(stmt.value)
    if type(stmt.op).__name__ == "Add" and type(before) is type(more) and type(before) in (int, str):
        return before + more
    return UNKNOWN


def _restored(ends: list[End], failing: bool) -> list[End]:
    for end in ends:
        if end.tag in ("next", "break", "continue"):
            end.state.failing = failing
    return ends


_STEPS: dict[str, Callable[[Flow, Any, State], list[End]]] = {
    "Expr": Flow._expression, "Assign": Flow._assign, "AugAssign": Flow._assign, "AnnAssign": Flow._assign,
    "Return": Flow._return, "Raise": Flow._raise, "Assert": Flow._assert, "If": Flow._if, "For": Flow._loop,
    "AsyncFor": Flow._loop, "While": Flow._loop, "With": Flow._with, "AsyncWith": Flow._with, "Try": Flow._try,
    "TryStar": Flow._try, "Match": Flow._match, "Import": Flow._import, "ImportFrom": Flow._import,
    "FunctionDef": Flow._define, "AsyncFunctionDef": Flow._define, "ClassDef": Flow._define,
    "Break": Flow._break, "Continue": Flow._continue,
}  # fmt: skip
