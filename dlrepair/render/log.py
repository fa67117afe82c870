"""Events as readable lines, grouped by incident, newest last."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

__all__ = ["event_line", "grouped", "lines", "stream_lines"]


def _get(event: dict[str, object], *names: str) -> str:
    """The first of ``names`` that says something, as text."""
    for name in names:
        value = event.get(name)
        if isinstance(value, dict):
            value = value.get("text") or value.get("kind") or value.get("file") or ""
        if isinstance(value, float):
            value = "{:.1f}".format(value)
        if value not in (None, "", [], {}):
            return str(value)
    return ""


def sentence(event: dict[str, object]) -> str:
    """What an event says, in one line, not yet escaped."""
    kind = event.get("event")
    get = _get
    if kind == "load-failed":
        caller = caller_text(event.get("caller"))
        told = get(event, "dlerror", "exception")
        return "{} asked for {}{}{}".format(
            get(event, "loader"),
            get(event, "requested") or '""',
            " at " + caller if caller else "",
            ": " + told if told else "",
        )
    if kind == "diagnosed":
        return get(event, "cause")
    if kind == "candidate":
        reason = get(event, "detail", "reason")
        return "{} {}{}".format(get(event, "verdict"), get(event, "path"), ": " + reason if reason else "")
    if kind == "load-repaired":
        taken = get(event, "ms")
        return "{} by {}: {}{}".format(
            get(event, "cause"), get(event, "strategy"), get(event, "path"), " ({} ms)".format(taken) if taken else ""
        )
    if kind == "load-unrepaired":
        step = get(event, "next_step")
        return get(event, "cause") + ("; next: " + step if step else "")
    if kind == "trust-refused":
        return "{}: {}".format(get(event, "path"), get(event, "reason"))
    return ", ".join("{} {}".format(name, _get(event, name)) for name in detail_names(event) if _get(event, name))


def caller_text(caller: object) -> str:
    """``train.py:12`` from a caller in either of its forms."""
    if isinstance(caller, dict):
        file, line = caller.get("file"), caller.get("line")
        return "{}:{}".format(file, line) if file else ""
    return str(caller) if caller else ""


def detail_names(event: dict[str, object]) -> list[str]:
    """Keys that only this kind of event has, in the order written."""
    return [name for name in event if name not in ("v", "ts", "run", "pid", "incident", "event", "cut")]


def event_line(event: dict[str, object], colour: bool = False) -> str:
    """``16:40:12.345  load-repaired    file-missing by substitute: build/x.so (31.0 ms)``."""
    from dlrepair.render import text

    name = text.escape(str(event.get("event", "")))[:20]
    clock = text.escape(str(event.get("ts", "")))[11:23]
    padded = "{:<16}".format(name)
    if colour:
        style = {"load-repaired": "green", "load-failed": "yellow", "load-unrepaired": "red"}.get(name)
        padded = text.paint(padded, style) if style else padded
    return "  {}  {} {}".format(clock, padded, text.shorten(text.escape(sentence(event)), 400)).rstrip()


def _header(event: dict[str, object], colour: bool) -> str:
    from dlrepair.render import text

    head = "incident {}  {}  pid {}".format(event.get("incident"), str(event.get("ts", ""))[:10], event.get("pid"))
    head = text.shorten(text.escape(head))
    return text.paint(head, "bold") if colour else head


def grouped(events: Iterable[dict[str, object]]) -> list[list[dict[str, object]]]:
    """Events of each incident together, incidents by the time of their last event."""
    groups: dict[str, list[dict[str, object]]] = {}
    for event in events:
        key = str(event.get("incident", ""))
        held = groups.pop(key, [])
        held.append(event)
        groups[key] = held  # dicts keep insertion order: the newest moves to the end
    return list(groups.values())


def lines(events: Iterable[dict[str, object]], colour: bool = False) -> Iterator[str]:
    """A heading for each incident, its events below it."""
    first = True
    for group in grouped(events):
        if not first:
            yield ""
        first = False
        yield _header(group[0], colour)
        for event in group:
            yield event_line(event, colour)


def stream_lines(events: Iterable[dict[str, object]], colour: bool = False) -> Iterator[str]:
    """The same for events that arrive one by one: a heading whenever another incident speaks."""
    current: object = None
    for event in events:
        if event.get("incident") != current:
            current = event.get("incident")
            yield _header(event, colour)
        yield event_line(event, colour)
