"""The guard of a load: handlers around it, followed outwards frame by frame.

Work that is left is a list, not a recursion: a program may be hundreds of frames deep.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.clauses import catches_named, find_handler, suppresses, takes_all
from dlrepair.diagnose.codetable import Handler, find_handlers, handler_types
from dlrepair.diagnose.effects import NEAREST_LOOP, End, State, TooMuchCode
from dlrepair.diagnose.flow import Flow
from dlrepair.diagnose.frames import COUNTING, asking_frames, kind_of, release
from dlrepair.diagnose.loops import find_next, path_in_next
from dlrepair.diagnose.places import LOOPS, Context, Place, call_of, last_line, locate, loop_around
from dlrepair.diagnose.source import Block, find_block
from dlrepair.diagnose.syntax import assigned, exits, first_line
from dlrepair.diagnose.values import Flight, Names, truth
from dlrepair.model.requests import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Callable, Sequence

_RANK = ("compile", "alternative", "optional", "reraise", "none")  # the most careful first
_NO_RETURN = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_MAX_WORK = 4000


def find_guard(frame: FrameType | None, cls: type) -> Guard:
    """What the frames from ``frame`` outwards do with an exception of class ``cls``. May raise any Exception."""
    return _Walk(frame).guard(Flight(cls))


class _Walk:
    def __init__(self, frame: FrameType | None) -> None:
        self._first = frame
        self._asking = asking_frames(frame)
        self._work: list[Callable[[], None]] = []
        self._verdicts: list[Guard] = []
        # by code and instruction, since a recursion passes the same place a thousand times; by the code's
        # id, because hashing the code of a big module takes milliseconds (the frames keep it alive)
        self._places: dict[tuple[int, int], tuple[Block, list[Place]] | None] = {}
        self._handlers: dict[tuple[int, int], list[Handler] | None] = {}
        self._done = 0
        self._read: dict[int, FrameType] = {}  #: frames whose variables may have been looked at

    def guard(self, flight: Flight) -> Guard:
        try:
            self._fly(self._first, flight, None)
            while self._work:
                self._done += 1
                if self._done > _MAX_WORK:
                    raise TooMuchCode("more than {} steps".format(_MAX_WORK))
                self._work.pop()()
        except TooMuchCode as problem:
            return Guard("alternative", "the code around the load was not followed to its end: {}".format(problem))
        finally:
            for frame in self._read.values():
                release(frame)
        return min(self._verdicts, key=lambda verdict: _RANK.index(verdict.kind))

    # -- frames

    def _kind(self, frame: FrameType) -> str:
        return "user" if id(frame) in self._asking else kind_of(frame)

    def _fly(self, frame: FrameType | None, flight: Flight, via: Guard | None) -> None:
        """An exception leaves everything inside ``frame``'s current statement: who outside takes it?"""
        while frame is not None:
            kind = self._kind(frame)
            if kind in COUNTING and self._enter(frame, flight, via):
                return
            if kind == "loader" and frame.f_code.co_name == "__getattr__":
                flight = _through_attribute(frame, flight)
            frame = frame.f_back
        self._verdicts.append(via or Guard("none", "no handler around the load takes {}".format(flight.name)))

    def _enter(self, frame: FrameType, flight: Flight, via: Guard | None) -> bool:
        """Whether a handler of this frame took the exception (what it does is then on the list of work)."""
        handlers = self._handlers_around(frame)
        if handlers is not None and all(handler.kind == "cleanup" for handler in handlers):
            return False
        context = self._context(frame)
        if context is None:
            return self._without_source(frame, flight)
        return self._propagate(context, len(context.chain) - 1, flight, via)

    def _handlers_around(self, frame: FrameType) -> list[Handler] | None:
        key = (id(frame.f_code), frame.f_lasti)
        if key not in self._handlers:
            self._handlers[key] = find_handlers(frame.f_code, frame.f_lasti)
        return self._handlers[key]

    def _context(self, frame: FrameType) -> Context | None:
        self._read[id(frame)] = frame
        key = (id(frame.f_code), frame.f_lasti)
        if key not in self._places:
            self._places[key] = self._find_place(frame)
        found = self._places[key]
        return None if found is None else Context(frame, found[0], found[1])

    def _find_place(self, frame: FrameType) -> tuple[Block, list[Place]] | None:
        for whole in (False, True):
            block = find_block(frame, whole)
            if block is None:
                return None
            chain = locate(block.stmts, frame.f_lineno or 0)
            if chain and (whole or self._agrees(frame, chain)):
                return block, chain
        return None

    def _agrees(self, frame: FrameType, chain: list[Place]) -> bool:
        """Whether the tree shows a ``try`` or ``with`` if the bytecode does; else too little of the file was parsed."""
        handlers = self._handlers_around(frame) or []
        if all(handler.kind == "cleanup" for handler in handlers):
            return True
        return any(hasattr(place.node, "handlers") or hasattr(place.node, "items") for place in chain[:-1])

    def _without_source(self, frame: FrameType, flight: Flight) -> bool:
        code = frame.f_code
        names = Names(frame)
        own = self._kind(frame) == "user"
        for handler in self._handlers_around(frame) or ():
            if handler.kind != "except":
                continue
            for types in handler_types(code, handler):
                if types is None and not own:
                    continue
                if types is None or any(catches_named(names, name, flight) for name in types):
                    where = "{}:{}".format(os.path.basename(code.co_filename), frame.f_lineno)
                    reason = "a handler takes {}, {}; its source is not available".format(flight.name, where)
                    self._verdicts.append(Guard("alternative", reason, code.co_filename, frame.f_lineno or 0))
                    return True
        return False

    # -- inside one frame

    def _propagate(self, context: Context, level: int, flight: Flight, via: Guard | None) -> bool:
        """The exception leaves the statement at ``level``: the handlers of what encloses it, innermost first."""
        names = Names(context.frame)
        own = self._kind(context.frame) == "user"
        while level >= 1:
            owner = context.chain[level - 1].node
            if context.chain[level].field == "body":
                kind = type(owner).__name__
                if kind in ("Try", "TryStar"):
                    handler = find_handler(owner, flight, names)
                    if handler is not None and (own or not takes_all(handler.type)):
                        self._handle(context, level - 1, handler, flight, via)
                        return True
                elif kind in ("With", "AsyncWith") and suppresses(names, owner, flight):
                    guard = self._guard(context, "optional", owner)
                    state = self._state(context, flight, owner.body)
                    self._leave(context, level - 1, exits(owner.body), state)
                    self._later(self._after, context, level - 1, state, guard)
                    return True
            level -= 1
        return False

    def _later(self, method: Callable[..., None], *arguments: Any) -> None:
        self._work.append(lambda: method(*arguments))

    def _state(self, context: Context, flight: Flight, tried: Sequence[Any]) -> State:
        return State(Names(context.frame), flight, assigned(tried), True)

    def _handle(self, context: Context, level: int, handler: Any, flight: Flight, via: Guard | None) -> None:
        """Follow the handler of the ``try`` at ``level``."""
        owner = context.chain[level].node
        guard = self._guard(context, "optional", handler)
        state = self._state(context, flight, list(owner.body) + list(owner.orelse))
        if handler.name:
            state.names.changed[handler.name] = flight
        for end in self._follow(context, handler.body, state):
            if end.tag == "next":
                self._leave(context, level, exits(list(owner.body) + list(owner.orelse)), end.state)
            self._dispatch(context, level, end, guard)

    @staticmethod
    def _leave(context: Context, level: int, way: str, state: State) -> None:
        """Behind the ``try``: is this code there for a failure? ``way``: how a success may have left it before."""
        state.failing = bool(way)
        state.until = loop_around(context, level) if way == "loop" else -1

    def _follow(self, context: Context, stmts: Sequence[Any], state: State) -> list[End]:
        active: list[CodeType] = []
        frame = self._first
        for _ in range(64):
            if frame is None:
                break
            if not (active and active[-1] is frame.f_code) and not frame.f_code.co_name.startswith("<"):
                active.append(frame.f_code)
            if frame is context.frame:
                break
            frame = frame.f_back
        source = context.block.source

        def definition(code: CodeType) -> Any:
            node = source.definition(code.co_name, code.co_firstlineno)
            return None if node is None else node.body

        return Flow(active, definition).run(stmts, state)

    def _dispatch(self, context: Context, level: int, end: End, guard: Guard) -> None:
        """What a path does once it has left the statement at ``level``."""
        if end.tag == "load":
            kind = "compile" if end.state.built is not None else "alternative"
            self._verdicts.append(_as(guard, kind, end.path))
        elif end.tag == "stop":
            self._verdicts.append(_as(guard, "reraise"))
        elif end.tag == "skip":
            self._swallowed(end.state, guard)
        elif end.tag == "raise":
            assert end.flight is not None
            if not self._propagate(context, level, end.flight, _as(guard, "reraise")):
                self._later(self._fly, context.frame.f_back, end.flight, _as(guard, "reraise"))
        elif end.tag == "next":
            self._later(self._after, context, level, end.state, guard)
        elif end.tag == "return":
            self._later(self._return, context, end, guard)
        else:
            loop = loop_around(context, level)
            if loop < 0:
                return self._swallowed(end.state, guard)
            # statements that this jump leaves out run after a success only: what they bind tells the two apart
            skipped = [stmt for place in context.chain[loop + 1 : level + 1] for stmt in place.stmts[place.index + 1 :]]
            end.state.relevant |= assigned(skipped)
            if exits(skipped) and not end.state.failing:
                self._leave(context, level, exits(skipped), end.state)
            if end.tag == "break":
                end.state.failing = end.state.failing and end.state.until < loop and end.state.until != NEAREST_LOOP
                self._later(self._after, context, loop, end.state, guard)
            else:
                self._again(context, loop, end.state, guard)
        return None

    def _swallowed(self, state: State, guard: Guard) -> None:
        self._verdicts.append(_as(guard, "compile" if state.built is not None else "optional"))

    def _after(self, context: Context, level: int, state: State, guard: Guard) -> None:
        """The path goes on behind the statement at ``level``."""
        place = context.chain[level]
        for end in self._follow(context, self._rest(context, level, state), state):
            if end.tag != "next":
                self._dispatch(context, level, end, guard)
            elif level == 0:
                self._finish(context, end, guard)
            else:
                owner = context.chain[level - 1].node
                kind = type(owner).__name__
                if kind in LOOPS and place.field == "body":
                    self._again(context, level - 1, end.state, guard)
                elif kind in ("Try", "TryStar") and place.field == "body":
                    for last in self._follow(context, owner.orelse, end.state):
                        self._dispatch(context, level - 1, last, guard)
                else:
                    self._later(self._after, context, level - 1, end.state, guard)

    @staticmethod
    def _rest(context: Context, level: int, state: State) -> list[Any]:
        place = context.chain[level]
        rest = place.stmts[place.index + 1 :]
        if level == 0 and context.block.kind == "module" and state.relevant:
            last = place.stmts[-1]
            for stmt in context.block.source.following(last_line(last), state.relevant):
                rest.append(stmt)
        return rest

    def _finish(self, context: Context, end: End, guard: Guard) -> None:
        """The end of the block: a function returns None, a module or class is complete."""
        if context.block.kind == "function":
            end.tag, end.value = "return", None
            self._return(context, end, guard)
        else:
            self._swallowed(end.state, guard)

    def _again(self, context: Context, level: int, state: State, guard: Guard) -> None:
        """The loop at ``level`` begins its next round, if it has one."""
        loop = context.chain[level].node
        what, value = find_next(loop, state.names)
        if what != "last":
            kind = "compile" if state.built is not None else "alternative"
            path = path_in_next(loop, value, state.names) if what == "more" else None
            self._verdicts.append(_as(guard, kind, path, "; the loop goes on"))
            return
        # a success that only broke out of the loop reaches what follows it; one that returned does not
        stays_failing = state.failing and state.until not in (level, NEAREST_LOOP)
        state.failing = True  # the else of a loop runs only when nothing broke out of it
        for end in self._follow(context, loop.orelse, state):
            if end.tag == "next":
                end.state.failing, end.state.until = stays_failing, -1
            self._dispatch(context, level, end, guard)

    # -- across frames

    def _return(self, context: Context, end: End, guard: Guard) -> None:
        """The function returns; what does its caller make of the value?"""
        code = context.frame.f_code
        frame = context.frame.f_back
        empty = truth(end.value) is False or type(end.value) is tuple
        if code.co_flags & _NO_RETURN or frame is None or not empty or self._kind(frame) not in COUNTING:
            return self._swallowed(end.state, guard)
        caller = self._context(frame)
        if caller is None:
            return self._swallowed(end.state, guard)
        level = len(caller.chain) - 1
        stmt = caller.chain[level].node
        call = call_of(stmt, code.co_name)
        if call is None:
            return self._swallowed(end.state, guard)
        state = State(Names(frame), end.state.flight, set(), False)
        state.built = end.state.built
        state.names.results[id(call)] = end.value
        for after in self._follow(caller, [stmt], state):
            if after.tag == "next" and not after.state.relevant and type(stmt).__name__ not in ("If", "While"):
                self._swallowed(after.state, guard)
            else:
                self._dispatch(caller, level, after, guard)
        return None

    @staticmethod
    def _guard(context: Context, kind: str, node: Any) -> Guard:
        source = context.block.source
        line: int = node.lineno
        text = _code(source.line(line)).rstrip(":")
        body = getattr(node, "body", None)
        if body and first_line(body[0]) > line:
            text += ": " + _code(source.line(first_line(body[0])))
        if len(text) > 120:
            text = text[:117] + "..."
        path = source.path
        return Guard(kind, "{}, {}:{}".format(text, os.path.basename(path), line), path, line)


def _code(line: str) -> str:
    """A line without the comment at its end (a ``#`` within a string counts as one: this is for people)."""
    return line.split(" #", 1)[0].rstrip()


def _as(guard: Guard, kind: str, path: str | None = None, more: str = "") -> Guard:
    return Guard(kind, guard.reason + more, guard.file, guard.line, path)


def _through_attribute(frame: FrameType, flight: Flight) -> Flight:
    """``ctypes.cdll.name`` turns OSError into AttributeError from 3.12 on (``LibraryLoader.__getattr__``)."""
    for handler in find_handlers(frame.f_code, frame.f_lasti) or ():
        if handler.kind == "except" and ["OSError"] in list(handler_types(frame.f_code, handler)):
            return Flight(AttributeError)
    return flight
