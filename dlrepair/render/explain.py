"""The whole story of one incident, in order, with every fact that was written down."""

from __future__ import annotations

from dlrepair.render import log, places, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

__all__ = ["story"]

_TITLES = {
    "load-failed": "A load failed",
    "diagnosed": "The cause",
    "candidate": "Candidate",
    "repair-tried": "A repair was tried",
    "repair-failed": "It did not help",
    "load-repaired": "The load was repaired",
    "load-unrepaired": "The load could not be repaired",
    "reexec": "The program was started again",
    "learned": "Learned for the next start",
    "build-started": "A build was started",
    "build-finished": "The build ended",
    "trust-refused": "Not trusted",
    "internal-error": "dlrepair itself failed",
}


def story(events: Iterable[dict[str, object]], colour: bool = False) -> list[str]:
    """Lines about one incident: each event with its time, its title and all it holds; [] when there are none."""
    lines: list[str] = []
    for event in events:
        kind = str(event.get("event", ""))
        if not lines:
            lines.append(_opening(event, colour))
        lines.append("")
        title = "{}  {}".format(str(event.get("ts", ""))[11:23], _TITLES.get(kind, kind))
        title = text.clean(title, 80)
        lines.append(text.paint(title, "bold") if colour else title)
        lines.extend(_details(event))
    return lines


def _opening(event: dict[str, object], colour: bool) -> str:
    line = "incident {} on {} (run {}, process {})".format(
        event.get("incident"), str(event.get("ts", ""))[:10], event.get("run"), event.get("pid")
    )
    line = text.clean(line, 200)
    return text.paint(line, "bold") if colour else line


def _details(event: dict[str, object]) -> list[str]:
    lines = []
    for name in log.detail_names(event):
        value = event[name]
        if value in (None, "", [], {}):
            continue
        if name == "caller":
            value = log.caller_text(value)
        lines.extend(_field(name.replace("_", " "), value, 2))
    cause = event.get("cause")
    if event.get("event") == "diagnosed" and isinstance(cause, str):
        from dlrepair.model.causes import CAUSES

        if cause in CAUSES:
            lines.insert(0, "  {}: {}".format(cause, CAUSES[cause]))
            lines = [line for line in lines if line != "  cause: " + cause]
    if event.get("cut"):
        lines.append("  (some of it was too long for the journal and was cut)")
    return lines


def _field(name: str, value: object, indent: int) -> list[str]:
    """``name: value``; lists and objects below it, indented."""
    pad = " " * indent
    name = text.escape(name)
    if isinstance(value, dict):
        if indent > 8:
            return []
        parts = [
            line
            for key, item in value.items()
            for line in _field(str(key), item, indent + 2)
            if item not in (None, "", [], {})
        ]
        return ["{}{}:".format(pad, name)] + parts
    if isinstance(value, list):
        lines = ["{}{}:".format(pad, name)]
        for item in value:
            lines.append("{}  - {}".format(pad, text.clean(_item(item), 2000)))
        return lines
    shown = [text.escape(part) for part in _scalar(value).splitlines()] or [""]
    if len(shown) == 1:
        return ["{}{}: {}".format(pad, name, text.shorten(shown[0], 2000))]
    return ["{}{}:".format(pad, name)] + ["{}  {}".format(pad, text.shorten(part, 2000)) for part in shown]


def _item(item: object) -> str:
    """One element of a list on one line: a fact by its sentence, a pair as ``a: b``."""
    if isinstance(item, dict):
        sentence = item.get("text")
        if sentence:
            return places.of_evidence(str(item.get("key", "")), str(sentence), str(item.get("value", "")))
        return ", ".join("{} {}".format(key, _item(part)) for key, part in item.items() if part not in (None, "", []))
    if isinstance(item, list):
        return ": ".join(_item(part) for part in item)
    return _scalar(item)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "{:.1f}".format(value) if isinstance(value, float) else str(value)
