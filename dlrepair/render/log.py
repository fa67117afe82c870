"""Events as readable lines, grouped by incident, newest last."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

__all__ = ["event_line", "grouped", "lines", "stream_lines"]


def sentence(event: dict[str, object]) -> str:
    """What an event says, in one line, not yet escaped."""
    kind = str(event.get("event", ""))
    phrase = _PHRASES.get(kind)
    if phrase is not None:
        return phrase(event)
    return ", ".join("{} {}".format(name, _text(event, name)) for name in detail_names(event) if _text(event, name))


def _text(event: dict[str, object], *names: str) -> str:
    """The first of ``names`` that says something a line has room for; "" otherwise."""
    for name in names:
        value = event.get(name)
        if isinstance(value, dict):
            value = value.get("text") or value.get("kind") or value.get("file")
        if isinstance(value, float):
            value = "{:.1f}".format(value)
        if value not in (None, "") and not isinstance(value, (dict, list)):
            return str(value)
    return ""


def _joined(start: str, *parts: str) -> str:
    """``start: part: part`` without those that are empty."""
    return ": ".join(part for part in (start,) + parts if part)


def _load_failed(event: dict[str, object]) -> str:
    caller = caller_text(event.get("caller"))
    name = _text(event, "requested")
    asked = "{} asked for {}".format(_text(event, "loader"), name or '""')
    words = _text(event, "dlerror", "exception")
    for said in (name, _text(event, "resolved")):  # ld.so begins with the name, which the line has already
        if said and words.startswith(said + ": "):
            words = words[len(said) + 2 :]
            break
    return _joined(asked + (" at " + caller if caller else ""), words)


def _diagnosed(event: dict[str, object]) -> str:
    evidence = event.get("evidence")
    first = evidence[0] if isinstance(evidence, list) and evidence else ""
    return _joined(_text(event, "cause"), _text({"first": first}, "first"))


def _repaired(event: dict[str, object]) -> str:
    taken = _text(event, "ms")
    way = "{} by {}".format(_text(event, "cause"), _text(event, "strategy"))
    return _joined(way, _text(event, "path")) + (" ({} ms)".format(taken) if taken else "")


def _unrepaired(event: dict[str, object]) -> str:
    step = _text(event, "next_step")
    return _joined(_text(event, "cause"), _text(event, "reason")) + ("; next: " + step if step else "")


def _candidate(event: dict[str, object]) -> str:
    return _joined("{} {}".format(_text(event, "verdict"), _text(event, "path")), _text(event, "detail", "reason"))


def _changes(event: dict[str, object]) -> str:
    """``LD_LIBRARY_PATH=/opt/lib``: the changes of the environment, in their order."""
    rows = event.get("environment")
    parts = []
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            action, value = str(row.get("action")), str(row.get("value", ""))
            if action == "instead":
                action = "path" if value[:1] == "/" else "make"
            parts.append(_FORMS.get(action, "{}={}").format(row.get("name", ""), value))
    return " ".join(part for part in parts if part)


#: as in ``learned.environ``
_FORMS = {"remove": "{} without {}", "module": "import {} from {}", "answer": "find_library('{}') = {}",
          "wanted": "the load of {} repaired", "path": "{} taken from {}", "make": "a build of {}",
          "built": "a build of {}", "source": ""}  # fmt: skip


def _reexec(event: dict[str, object]) -> str:
    if event.get("refused"):
        return _joined("not started again now", _text(event, "condition", "refused"))
    return _joined("started again", _changes(event))


def _learned(event: dict[str, object]) -> str:
    if event.get("applied"):
        return _joined("started with what was learned", _changes(event))
    if event.get("kept") is False:
        return _joined("not kept for the next start", _text(event, "problem"))
    return _joined("kept for the next start of {}".format(_text(event, "program")), _changes(event))


def _first(event: dict[str, object], name: str) -> str:
    """A list of words as one line."""
    value = event.get(name)
    return " ".join(str(word) for word in value) if isinstance(value, list) else ""


def _built(event: dict[str, object]) -> str:
    steps = _first(event, "steps")
    what = _text(event, "path") if event.get("ok") else _text(event, "first_error")
    done = "{} {}".format(_text(event, "output"), _text(event, "reason"))
    taken = "" if event.get("hit") else " ({} s)".format(_text(event, "seconds"))
    return _joined(done + taken, what) + (" [{}]".format(steps) if steps else "")


_PHRASES: dict[str, Callable[[dict[str, object]], str]] = {
    "load-failed": _load_failed,
    "diagnosed": _diagnosed,
    "candidate": _candidate,
    "repair-tried": lambda event: _joined(_text(event, "strategy"), _text(event, "why")),
    "repair-failed": lambda event: _joined(
        _text(event, "strategy"), _text(event, "path"), _text(event, "error", "reason")
    ),
    "load-repaired": _repaired,
    "load-unrepaired": _unrepaired,
    "reexec": _reexec,
    "learned": _learned,
    "build-started": lambda event: _joined(_text(event, "output"), _first(event, "command")),
    "build-finished": _built,
    "trust-refused": lambda event: _joined(_text(event, "path"), _text(event, "reason")),
    "internal-error": lambda event: _joined(_text(event, "where"), _text(event, "error")),
}


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
    return "  {}  {} {}".format(clock, padded, text.clean(sentence(event), 400)).rstrip()


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


def families(groups: list[list[dict[str, object]]]) -> list[list[list[dict[str, object]]]]:
    """Incidents that are one story: processes of one run that asked for the same and ended the same way.

    The ranks of an MPI job share a run. The first of each family is the one that has the most to tell. By the time of
    the last event.
    """
    found: dict[object, list[list[dict[str, object]]]] = {}
    for group in groups:
        begin, end = group[0], group[-1]
        asked = (_text(begin, "loader"), _text(begin, "requested"))
        told = tuple(_text(end, name) for name in ("event", "cause", "strategy", "path", "reason"))
        key: object = (_text(begin, "run"), asked, told)
        pids = [str(one[0].get("pid")) for one in found.get(key, [])]
        if begin.get("event") != "load-failed" or str(begin.get("pid")) in pids:
            key = _text(begin, "incident")
        members = found.pop(key, [])
        members.insert(0 if members and len(group) > len(members[0]) else len(members), group)
        found[key] = members
    return list(found.values())


def folded(group: list[dict[str, object]]) -> list[tuple[dict[str, object], int]]:
    """(event, how many other processes say the same) of an incident's events, in their order."""
    found: dict[tuple[str, str], tuple[dict[str, object], set[str]]] = {}
    for event in group:
        said = (_text(event, "event"), sentence(event))
        pid = str(event.get("pid"))
        if said in found and pid in found[said][1]:
            said = (said[0], "{} {}".format(len(found), said[1]))  # the same process says it again
        found.setdefault(said, (event, set()))[1].add(pid)
    return [(event, len(pids) - 1) for event, pids in found.values()]


def lines(events: Iterable[dict[str, object]], colour: bool = False) -> Iterator[str]:
    """A heading for each story, its events below it; how many other processes of the run it is the story of."""
    first = True
    for family in families(grouped(events)):
        if not first:
            yield ""
        first = False
        yield _header(family[0][0], colour)
        for event, others in folded(family[0]):
            more = " (and {} other process{} the same)".format(others, "" if others == 1 else "es") if others else ""
            yield event_line(event, colour) + more
        if len(family) > 1:
            yield _others([group[0] for group in family[1:]])


def _others(heads: list[dict[str, object]]) -> str:
    """``  and 7 other processes of this run the same: pid 312, 313, …``."""
    from dlrepair.render import text

    word = "process" if len(heads) == 1 else "processes"
    pids = ", ".join(str(head.get("pid")) for head in heads[:16]) + (", …" if len(heads) > 16 else "")
    return "  " + text.escape("and {} other {} of this run the same: pid {}".format(len(heads), word, pids))


def stream_lines(events: Iterable[dict[str, object]], colour: bool = False) -> Iterator[str]:
    """The same for events that arrive one by one: a heading whenever another incident speaks."""
    current: object = None
    for event in events:
        if event.get("incident") != current:
            current = event.get("incident")
            yield _header(event, colour)
        yield event_line(event, colour)
