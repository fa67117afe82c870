"""Appends events to the journal, one line with one ``write``; never raises.

No lock, no descriptor kept open and no state that a fork could tear: a file is
opened for each line with O_APPEND (POSIX ``write``: offset and write are one
atomic step), so threads, processes and forked children need not know of one
another. A day's file that is full is followed by the next number; nothing is
renamed, hence nothing can be lost between two writers.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from dlrepair.journal import stamp
from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MAX_FILE", "MAX_LINE", "MAX_TOTAL", "body", "directory", "emit", "new_incident", "parse_name", "problem", "run_id",
]  # fmt: skip

SCHEMA_VERSION = 1  # dlrepair.model.events.SCHEMA_VERSION; not imported on this path
MAX_LINE = 64 * 1024  #: bytes of one line, newline included
MAX_FILE = 10 * 1024 * 1024  #: a file of this size gets a successor
MAX_TOTAL = 50 * 1024 * 1024  #: bytes of all files together; the oldest go first

#: (longest string, most items, deepest nesting) tried in turn until the line is short enough
_LEVELS = ((16384, 512, 8), (4096, 128, 6), (1024, 32, 5), (256, 12, 4), (96, 4, 3))
_RESERVED = ("v", "ts", "run", "pid", "incident", "event", "cut")

_PRIME = (1 << 47) - 115  # below 2**47, hence twelve hexadecimal digits

_run = ""
_problem: str | None = None
_sequence: tuple[str, str, int] = ("", "", 0)  # directory, day, number of the file in use

_ESCAPES = {code: "\\u{:04x}".format(code) for code in range(0x20)}
_ESCAPES.update({0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r"})
_ESCAPES[0x7F] = "\\u007f"


class _TooLong(Exception):
    """The line being encoded has outgrown MAX_LINE."""


def directory() -> str:
    """Directory of the journal, which need not exist; "" when the user has no home directory."""
    base = dirs.state_home()
    return os.path.join(base, "dlrepair", "journal") if base else ""


def problem() -> str | None:
    """The first reason why a line could not be written in this process, for a person; None when all were."""
    return _problem


def run_id() -> str:
    """Identity of this run: kept by forked children and, through DLREPAIR_RUN, across a re-exec."""
    global _run
    if not _run:
        given = os.environ.get("DLREPAIR_RUN", "") or _before() or _job()
        usable = given.isascii() and given.replace("-", "").isalnum() and len(given) <= 64
        made = given if usable else os.urandom(6).hex()
        _run = _run or made  # another thread may have been first
    return _run


def _before() -> str:
    """The identity that this process had before it was started again, or got at its start; or ""."""
    learned: Any = sys.modules.get("dlrepair.learned")  # a layer above; it is imported where there was such a start
    return "" if learned is None else str(learned.run_before())


def _job() -> str:
    """An identity that all ranks of one MPI or Slurm job have in common, or "".

    What Open MPI, PMIx and Slurm tell each rank of the job itself; the ranks' stories are one story.
    """
    environ = os.environ
    parts: tuple[str, ...]
    if environ.get("SLURM_STEP_ID") and environ.get("SLURM_NTASKS", "1") != "1":
        parts = ("SLURM_JOB_ID", "SLURM_STEP_ID")
    elif environ.get("OMPI_COMM_WORLD_SIZE", "1") != "1":
        parts = ("OMPI_MCA_orte_hnp_uri", "PMIX_NAMESPACE", "PMIX_SERVER_URI2")
    elif environ.get("PMI_SIZE", "1") != "1":
        parts = ("PMI_PORT", "PMI_ID_PORT")
    else:
        return ""
    text = " ".join(environ.get(name, "") for name in parts).strip()
    return "{:012x}".format(int.from_bytes(text.encode("utf-8", "replace"), "big") % _PRIME) if text else ""


def new_incident() -> str:
    """A fresh incident identity, eight hexadecimal digits."""
    return os.urandom(4).hex()


def emit(event: str, incident: str, **fields: object) -> None:
    """Append one event; see ``schema.json`` for its keys.

    Values: str, bytes (file-system decoded), int, float, bool, None, and lists, tuples, dicts and
    dataclasses of these; lone surrogates survive as ``\\udcXX``. What does not fit into
    MAX_LINE is shortened and named in the key ``cut``. Never raises: see ``problem``.
    """
    global _problem
    try:
        now = time.time()
        trouble = _append(_line(event, incident, fields, now), now)
    except Exception as exc:  # the journal must never be the reason for a failure
        trouble = "{}: {}".format(type(exc).__name__, getattr(exc, "strerror", None) or exc)
    if trouble is not None and _problem is None:
        _problem = trouble


# --- encoding -------------------------------------------------------------------------------------------------------


def quote(text: str) -> str:
    """``text`` as a JSON string in ASCII (RFC 8259, section 7).

    The json package costs 10 ms to import and its accelerator is one more extension
    module to load in a process where loading has just failed.
    """
    text = str.translate(text, _ESCAPES)
    if str.isascii(text):
        return '"' + text + '"'
    out = []
    for char in text:
        code = ord(char)
        if code < 0x80:
            out.append(char)
        elif code < 0x10000:
            out.append("\\u{:04x}".format(code))
        else:
            code -= 0x10000
            out.append("\\u{:04x}\\u{:04x}".format(0xD800 | code >> 10, 0xDC00 | code & 0x3FF))
    return '"' + "".join(out) + '"'


class _Encoder:
    """Encodes values within a budget of characters; ``cut`` tells whether something was left out."""

    def __init__(self, longest: int, items: int, depth: int) -> None:
        self.longest, self.items, self.depth = longest, items, depth
        self.left = MAX_LINE
        self.cut = False

    def spend(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            raise _TooLong
        return text

    def string(self, text: str) -> str:
        if len(text) > self.longest:
            half = self.longest // 2
            self.cut = True
            text = "{}[... {} characters cut ...]{}".format(text[:half], len(text) - 2 * half, text[-half:])
        return self.spend(quote(text))

    def value(self, value: object, depth: int = 0) -> str:
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, int):
            return self.spend(int.__repr__(value))
        if isinstance(value, float):
            finite = value == value and value not in (float("inf"), float("-inf"))
            return self.spend(float.__repr__(value)) if finite else "null"
        if isinstance(value, (bytes, bytearray)):
            return self.string(os.fsdecode(bytes(value)))
        return self.container(value, depth)

    def container(self, value: object, depth: int) -> str:
        names = getattr(type(value), "__dataclass_fields__", None)
        if names is not None:
            value = {name: getattr(value, name) for name in names}
        if not isinstance(value, (dict, list, tuple, set, frozenset)):
            return self.string("<{}>".format(type(value).__name__))
        if depth >= self.depth:
            self.cut = True
            return "{}" if isinstance(value, dict) else "[]"
        if len(value) > self.items:
            self.cut = True
        parts = []
        if isinstance(value, dict):
            for key in list(value)[: self.items]:
                name = key if isinstance(key, str) else str(key)
                parts.append(self.string(name) + ":" + self.value(value[key], depth + 1))
            return self.spend("{" + ",".join(parts) + "}" if parts else "{}")
        for item in list(value)[: self.items]:
            parts.append(self.value(item, depth + 1))
        return self.spend("[" + ",".join(parts) + "]" if parts else "[]")


def body(**fields: object) -> str:
    """The fields of an event as ``emit`` would write them, for ``journal.append``; "" where they are too long."""
    try:
        made = _body(fields, *_LEVELS[0])
    except _TooLong:
        return ""
    return made if len(made) < MAX_LINE // 2 else ""


def _line(event: str, incident: str, fields: dict[str, object], now: float) -> bytes:
    head = '{{"v":{},"ts":"{}","run":{},"pid":{},"incident":{},"event":{}'.format(
        SCHEMA_VERSION, stamp(now), quote(run_id()), os.getpid(), quote(incident[:64]), quote(event[:64])
    )
    for longest, items, depth in _LEVELS:
        try:
            body = _body(fields, longest, items, depth)
        except _TooLong:
            continue
        line = (head + body + "}\n").encode("ascii")
        if len(line) <= MAX_LINE:
            return line
    return (head + ',"cut":["*"]}\n').encode("ascii")


def _body(fields: dict[str, object], longest: int, items: int, depth: int) -> str:
    parts, cut = [], []
    encoder = _Encoder(longest, items, depth)
    for name, value in fields.items():
        if name in _RESERVED:
            continue
        encoder.cut = False
        parts.append(",{}:{}".format(quote(name), encoder.value(value)))
        if encoder.cut:
            cut.append(name)
    if cut:
        parts.append(',"cut":' + encoder.value(cut))
    return "".join(parts)


# --- files ----------------------------------------------------------------------------------------------------------


def parse_name(name: str) -> tuple[str, int] | None:
    """(day, number) of a journal file's name, ``2026-11-23.jsonl`` or ``2026-11-23.2.jsonl``; None for others."""
    parts = name.split(".")
    if parts[-1] != "jsonl" or len(parts) not in (2, 3) or len(name) > 40 or not name.isascii():
        return None
    day = parts[0]
    if len(day) != 10 or day[4] != "-" or day[7] != "-" or not (day[:4] + day[5:7] + day[8:]).isdigit():
        return None
    if len(parts) == 2:
        return day, 0
    return (day, int(parts[1])) if parts[1].isdigit() else None


def _file_name(day: str, number: int) -> str:
    return "{}.{}.jsonl".format(day, number) if number else day + ".jsonl"


def _append(line: bytes, now: float) -> str | None:
    """None after the line was written, else why it was not. May raise OSError."""
    global _sequence
    place = directory()
    if not place:
        return "there is no home directory for the journal"
    # UTC: the same file for processes with different TZ, and names sort in time order
    utc = time.gmtime(now)
    day = "{:04d}-{:02d}-{:02d}".format(*utc[:3])
    if _sequence[:2] != (place, day):
        trouble = dirs.make_private(place)
        if trouble is not None:
            return trouble
        _sequence = (place, day, _last_number(place, day))
    number = _sequence[2]
    for _ in range(10000):
        try:
            descriptor = _open(os.path.join(place, _file_name(day, number)))
        except FileNotFoundError:  # the directory was removed meanwhile
            trouble = dirs.make_private(place)
            if trouble is not None:
                return trouble
            descriptor = _open(os.path.join(place, _file_name(day, number)))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or dirs.effective_uid() not in (-1, found.st_uid):
                return "{} in {} is not a file of this user".format(_file_name(day, number), place)
            if found.st_size >= MAX_FILE:
                number += 1
                continue
            if number != _sequence[2]:
                _sequence = (place, day, number)
            return _write(descriptor, line, found, place)
        finally:
            os.close(descriptor)
    return "{} holds too many files of one day".format(place)


def _open(path: str) -> int:
    # O_NOFOLLOW and O_NONBLOCK: neither a planted link nor a fifo may divert or block the write
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o600)


def _write(descriptor: int, line: bytes, found: os.stat_result, place: str) -> str | None:
    if found.st_size == 0:
        if found.st_mode & 0o600 != 0o600:
            os.fchmod(descriptor, 0o600)  # an odd umask; the next writer must be able to open it
        _prune(place)
    if os.write(descriptor, line) == len(line):
        return None
    # The disk is full. Whether the file's end is torn cannot be seen by looking at it, since another
    # writer may be half way through; so only who tore it ends the line, and the reader does the rest.
    try:
        os.write(descriptor, b"\n")
    except OSError:
        pass
    return "{}: {}".format(place, os.strerror(errno.ENOSPC))


def _last_number(place: str, day: str) -> int:
    numbers = [0]
    for name in os.listdir(place):
        parsed = parse_name(name)
        if parsed is not None and parsed[0] == day:
            numbers.append(parsed[1])
    return max(numbers)


def _prune(place: str) -> None:
    """Remove the oldest files until a new one of full size fits below MAX_TOTAL."""
    files = []
    for name in os.listdir(place):
        parsed = parse_name(name)
        if parsed is not None:
            try:
                files.append((parsed, name, os.lstat(os.path.join(place, name)).st_size))
            except OSError:
                continue
    total = sum(size for _, _, size in files)
    files.sort()
    for _, name, size in files[:-1]:
        if total <= MAX_TOTAL - MAX_FILE:
            return
        try:
            os.unlink(os.path.join(place, name))
        except OSError:
            pass  # another process was first
        total -= size
