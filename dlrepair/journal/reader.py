"""Reads the journal back: events in the order written, over all files, tolerant of anything that is not one."""

from __future__ import annotations

import os
import stat
import time

from dlrepair.journal import writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Iterator

__all__ = ["files", "follow", "parse_since", "parse_ts", "read", "size"]

_LONGEST = 1024 * 1024  # a longer line is not ours
_FRAGMENTS = 20
_BEGINNING = b'{"v":'  # within a string the quotation marks would be escaped


def files(directory: str | None = None) -> list[tuple[str, str, int]]:
    """(path, day, number) of every journal file, oldest first."""
    place = writer.directory() if directory is None else directory
    try:
        names = os.listdir(place) if place else []
    except OSError:
        return []
    found = []
    for name in names:
        parsed = writer.parse_name(name)
        if parsed is not None:
            found.append((parsed, os.path.join(place, name)))
    found.sort()
    return [(path, day, number) for (day, number), path in found]


def size(directory: str | None = None) -> tuple[int, int]:
    """(files, bytes) of the journal."""
    count = total = 0
    for path, _, _ in files(directory):
        try:
            total += os.lstat(path).st_size
            count += 1
        except OSError:
            continue
    return count, total


def read(
    since: float | None = None, incident: str | None = None, directory: str | None = None
) -> Iterator[dict[str, Any]]:
    """Events in the order written, those before ``since`` (seconds since the epoch) left out.

    ``incident``: only those whose identity begins so. Lines that are torn, foreign or longer than a megabyte are passed
    over, as are files that cannot be read.
    """
    first_day = time.strftime("%Y-%m-%d", time.gmtime(since)) if since is not None else ""
    for path, day, _ in files(directory):
        if day < first_day:
            continue
        stream = _open(path)
        if stream is None:
            continue
        with stream:
            for line in _lines(stream):
                event = _event(line, since, incident)
                if event is not None:
                    yield event


def follow(
    since: float | None = None,
    incident: str | None = None,
    directory: str | None = None,
    poll: float = 0.25,
    stop: Callable[[], bool] | None = None,
) -> Iterator[dict[str, Any]]:
    """The events of ``read``, then those that arrive, for ever or until ``stop`` says so.

    Looks every ``poll`` seconds; goes on across days, full files and a directory that is removed and made anew.
    """
    positions: dict[str, tuple[int, int]] = {}  # path -> (inode, offset after the last whole line)
    while True:
        last = stop is not None and stop()
        for path, _, _ in files(directory):
            for line in _news(path, positions):
                event = _event(line, since, incident)
                if event is not None:
                    yield event
        if last:
            return
        time.sleep(poll)


def _news(path: str, positions: dict[str, tuple[int, int]]) -> Iterator[bytes]:
    """Whole lines written to ``path`` since ``positions`` was brought up to date, which this does."""
    try:
        found = os.stat(path)
    except OSError:
        return
    inode, offset = positions.get(path, (found.st_ino, 0))
    if inode != found.st_ino or found.st_size < offset:
        offset = 0
    if found.st_size == offset:
        return
    stream = _open(path)
    if stream is None:
        return
    with stream:
        stream.seek(offset)
        for line in _lines(stream, whole=True):
            offset += len(line)
            positions[path] = (found.st_ino, offset)
            yield line


def _open(path: str) -> BinaryIO | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return open(descriptor, "rb")


def _lines(stream: BinaryIO, whole: bool = False) -> Iterator[bytes]:
    """Lines as they lie in the file; ``whole`` leaves out one whose end is still to come. Read errors end it."""
    while True:
        try:
            line = stream.readline(_LONGEST)
        except OSError:
            return
        if not line or (whole and not line.endswith(b"\n") and len(line) < _LONGEST):
            return
        yield line


def _event(line: bytes, since: float | None, incident: str | None) -> dict[str, Any] | None:
    import json

    if len(line) < 3 or (incident and incident.encode("utf-8", "replace") not in line):
        return None
    event = None
    start = 0
    for _ in range(_FRAGMENTS):
        try:
            event = json.loads(line[start:].decode("utf-8", "replace"))
            break
        except (ValueError, RecursionError):
            # a full disk may have cut a line short: the next one follows without a line feed
            start = line.find(_BEGINNING, start + 1)
            if start < 0:
                return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or "v" not in event:
        return None
    if incident and not str(event.get("incident", "")).startswith(incident):
        return None
    if since is not None:
        moment = parse_ts(event.get("ts"))
        if moment is None or moment < since:
            return None
    return event


def parse_ts(text: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, None for anything else; without an offset it is local time."""
    import datetime
    import re

    match = re.match(
        r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?\s*([Zz]|[+-]\d\d:?\d\d)?)?\Z",
        text.strip() if isinstance(text, str) else "",
    )
    if match is None:
        return None
    numbers = [int(part or 0) for part in match.groups()[:6]]
    zone = match.group(8)
    try:
        moment = datetime.datetime(*numbers, tzinfo=None)  # type: ignore[misc,arg-type]
        if zone:
            sign = -1 if zone[0] == "-" else 1
            minutes = 0 if zone in "Zz" else sign * (int(zone[1:3]) * 60 + int(zone[-2:]))
            moment = moment.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=minutes)))
        return moment.timestamp() + float(match.group(7) or 0)
    except (ValueError, OverflowError, OSError):
        return None


def parse_since(text: str, now: float | None = None) -> float:
    """Seconds since the epoch of ``2h``, ``30m``, ``1d``, ``today``, ``yesterday``, a time today or an RFC 3339 time.

    Raises ValueError with the forms that are understood.
    """
    moment = time.time() if now is None else now
    word = text.strip().lower()
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}.get(word[-1:])
    if unit and word[:-1].replace(".", "", 1).isdigit() and word.isascii():
        return moment - float(word[:-1]) * unit
    today = time.strftime("%Y-%m-%d", time.localtime(moment))
    if word in ("today", "yesterday"):
        found = parse_ts(today)
        assert found is not None
        return found - (86400 if word == "yesterday" else 0)
    given = parse_ts(text)
    if given is None and ":" in word:
        given = parse_ts("{}T{}".format(today, text.strip()))
    if given is None:
        raise ValueError(
            "{!r} is not a time: use 30m, 2h, 1d, today, 14:30, 2026-11-23 or 2026-11-23T14:30:00+01:00".format(text)
        )
    return given
