"""The start with what was learned: found, allowed, written down, done. Stage 0 imports this where there is a record."""

import os
import sys

from dlrepair.learned import MARK, _run, directory, inside
from dlrepair.learned.environ import changed, original, start_environment
from dlrepair.learned.program import command_line, is_worker, program, read
from dlrepair.learned.records import Record, load, signature

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def record_for(cwd: "str") -> "tuple[str, Record] | None":
    """(key, record) for this process, which started in ``cwd``; None where there is none.

    A worker takes what its parent was started with, or would be.
    """
    if is_worker(command_line()):
        given = _mark_of(os.getppid())
        record = load(directory() + "/" + given[1]) if given else None
        if record is not None:
            return given[1], record
    here = program(cwd)
    record = None if here is None else load(directory() + "/" + here.key())
    if here is None or record is None or (record.kind, record.what, record.cwd) != (here.kind, here.what, here.cwd):
        return None
    return here.key(), record


def _mark_of(pid: "int") -> "list[str]":
    """The mark that a process was started with: the start of its memory says so when ``os.environ`` no longer does."""
    try:
        for entry in read("/proc/{}/environ".format(pid)).split(b"\0"):
            if entry.startswith(MARK.encode() + b"="):
                fields = os.fsdecode(entry).partition("=")[2].split("\t")
                return fields if len(fields) in (4, 5) and ".." not in fields[1] else []
    except OSError:
        pass
    return []


def apply(state: "Any") -> "None":
    """Starts the program again at once where a record is meant for it; returns where none is. Never raises.

    Called by stage 0, before anything of the user's has run: nothing is lost or repeated. Where no variable has to
    change, the process goes on with what it is given inside.
    """
    try:
        found = record_for(state.cwd)
        if found is None or found[1].stale() or forbidden(found[1]):
            return
        why = cannot_exec()
        if not why:
            _become(*found)
        elif why != "subinterpreter":  # above all a process with raised rights
            return
        if inside.give(found[1].variables):
            _run.append(_journal(found[1]))
    except Exception:
        return


def _become(key: "str", record: "Record") -> "None":
    """A new process with the variables of a record; returns where they are what they should be, or cannot be had."""
    try:
        before = original()
        if changed(before, record.variables) == before:
            return
        environ = start_environment("learned", key, _journal(record), record.variables, before)
        if environ is not None:
            posix().execve(sys.executable, command_line(), environ)
    except (OSError, ValueError):
        return


#: what a person may set for one start; what else the environment may hold has no say in it
_SWITCHES = ("DLREPAIR", "DLREPAIR_MODE", "DLREPAIR_REEXEC")


def forbidden(record: "Record") -> "str":
    """The setting that speaks against applying a record, and where it stands; "" where none does.

    Settings are read only where they may be others than when it was learned: a file of settings has come, gone or
    changed, or the environment has its say.
    """
    if not any(os.environ.get(name) for name in _SWITCHES):
        if record.settings and all(signature(path) == seen for seen, path in record.settings):
            return ""
    from dlrepair import settings, trust

    script = record.what if record.kind == "file" else ""
    held = settings.load(record.place or None, check=lambda path: trust.check(path, script))
    for key, wanted in (("mode", "repair"), ("reexec", "auto")):
        if getattr(held, key) != wanted:
            return "{} is {} ({})".format(key, getattr(held, key), held.provenance[key])
    return ""


def _journal(record: "Record") -> "str":
    """Writes down that the record is applied; the identity of this run, "" where it cannot be told. Never raises."""
    try:
        from dlrepair import journal

        run = journal.append(directory()[: -len("learned")] + "journal", record.incident, "learned", record.line)
        if run:
            return run
    except OSError:  # no file of today yet
        pass
    except Exception:
        return ""
    try:
        from dlrepair.journal import writer

        writer.emit("learned", record.incident, **told(record))
        return writer.run_id()
    except Exception:
        return ""


def told(record: "Record") -> "dict[str, Any]":
    """Fields of the event ``learned`` of a start to which a record was applied."""
    rows = [dict(zip(("name", "action", "value"), one)) for one in record.variables]
    return {
        "program": record.program.shown, "applied": True, "cause": record.cause, "environment": rows,
        "why": record.why,
    }  # fmt: skip


def posix() -> "Any":
    """The module whose ``execve`` nobody has replaced yet."""
    return sys.modules.get("posix", os)


def cannot_exec() -> "str":
    """Why this process must not become another one, whatever it has done so far, or ""."""
    if getattr(sys, "frozen", False):
        return "frozen"
    try:
        if not sys.executable or os.path.realpath(sys.executable) != os.readlink("/proc/self/exe"):
            return "embedded"
        words = memoryview(read("/proc/self/auxv")).cast("Q")
    except (OSError, TypeError):
        return "embedded"
    if any(words[at] == 23 and words[at + 1] for at in range(0, len(words), 2)):  # AT_SECURE, getauxval(3)
        return "set-user-id"
    try:
        import _signal

        _signal.set_wakeup_fd(_signal.set_wakeup_fd(-1))  # refused outside the main thread of the main interpreter
    except ValueError:
        return "subinterpreter"
    return ""
