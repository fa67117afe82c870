"""The journal: every decision with its facts, one JSON line an event.

``writer`` is imported inside a failing load and imports next to nothing;
``reader`` serves the command line. A start with a learned environment writes one line that
was made beforehand: ``append`` does that without an import.
"""

import os
import time

#: bytes up to which ``append`` adds to a day's file: well below ``writer.MAX_FILE``
ROOM = 8 * 1024 * 1024

#: variables that decide about the identity of a run (``writer.run_id``)
_RUNS = ("DLREPAIR_RUN", "SLURM_STEP_ID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def stamp(now: "float") -> "str":
    """``now`` (seconds since the epoch) as RFC 3339 local time with milliseconds and offset."""
    milliseconds = int(now * 1000)
    local = time.localtime(milliseconds // 1000)
    minutes = (local.tm_gmtoff or 0) // 60
    sign = "-" if minutes < 0 else "+"
    clock = "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*local[:6])
    return "{}.{:03d}{}{:02d}:{:02d}".format(clock, milliseconds % 1000, sign, abs(minutes) // 60, abs(minutes) % 60)


def append(place: "str", incident: "str", event: "str", body: "str") -> "str":
    """The run's identity, under which one event was added to today's file in ``place``.

    "" where nothing was written, since it takes more than that: there is no file of today yet, it has grown, the
    directory or the file is not this user's alone, or the run has an identity already. ``writer.emit`` then does it.
    ``body`` is what ``writer.body`` gave. Raises OSError.
    """
    if not body or any(name in os.environ for name in _RUNS):
        return ""
    now, user = time.time(), os.geteuid()
    folder = os.lstat(place)
    if folder.st_mode & 0o170022 != 0o040000 or folder.st_uid != user:
        return ""
    name = "{}/{:04d}-{:02d}-{:02d}.jsonl".format(place, *time.gmtime(now)[:3])
    descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        info = os.fstat(descriptor)
        if info.st_mode & 0o170022 != 0o100000 or info.st_uid != user or not 0 < info.st_size < ROOM:
            return ""
        run = os.urandom(6).hex()
        head = '{{"v":1,"ts":"{}","run":"{}","pid":{},"incident":"{}","event":"{}"'
        line = (head.format(stamp(now), run, os.getpid(), incident, event) + body + "}\n").encode("ascii")
        return run if os.write(descriptor, line) == len(line) else ""
    finally:
        os.close(descriptor)
