"""Environments that programs were found to need, and the start with them.

Stage 0 imports this module when a record may be meant for the process that starts, and in the
process that such a start leads to; hence ``sys`` and ``os`` only, and no other module of
dlrepair before there is something to write. A record lies in
``$XDG_STATE_HOME/dlrepair/learned/=NAME/DIGEST``: NAME is what stage 0 knows for nothing, the last
part of ``sys.argv[0]``; DIGEST stands for interpreter, program and, where the program is not
a file of its own, working directory.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Mapping

#: first line of a record; another format is another word
HEAD = "dlrepair learned 1"
#: set for the one process that was started with a changed environment; ``restore`` takes it away
MARK = "DLREPAIR__START"
#: prefix of the variables that hold the user's own values meanwhile
WAS = "DLREPAIR__WAS_"
MAX_RECORD = 64 * 1024  #: bytes
MAX_RECORDS = 500

#: options of the interpreter that take a value, in the same word or in the next one (python --help)
_WITH_VALUE = "WX"
_PRIME = (1 << 127) - 1

#: what ``restore`` found: the way the process was started (``learned`` or ``reexec``), the record's key, the run id
_started: "list[str]" = []


def directory() -> "str":
    """Where records lie; "" without a home directory. As ``settings.dirs.state_home``, which costs an import."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if base[:1] != "/":
        home = os.path.expanduser("~")
        if home[:1] != "/":
            return ""
        base = home + "/.local/state"
    return base + "/dlrepair/learned"


# --- which program this is ------------------------------------------------------------------------------------------


def command_line(pid: "str" = "self") -> "list[str]":
    """The words that a process was started with (proc(5), ``cmdline``); [] where they cannot be read."""
    if pid == "self" and hasattr(sys, "orig_argv"):
        return list(sys.orig_argv)
    try:
        raw = _read("/proc/{}/cmdline".format(pid))
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0")[:-1]]


def _read(path: "str") -> "bytes":
    """All of a file of proc(5)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: "list[bytes]" = []
        while True:
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)


def parse(words: "list[str]") -> "tuple[str, str]":
    """(kind, what) of a Python's command line: ``file``, ``module``, ``text`` or ``stdin`` (python --help)."""
    at = 1
    while at < len(words):
        word = words[at]
        if word == "-" or not word.startswith("-"):
            break
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                at += 1
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in "cm":
                rest = word[place:]
                what = rest or (words[at] if at < len(words) else "")
                return ("text" if letter == "c" else "module"), what
            if letter in _WITH_VALUE:
                at += not word[place:]
                break
    if at < len(words) and words[at] != "-":
        return "file", words[at]
    return "stdin", ""


def is_worker(words: "list[str]") -> "bool":
    """Whether this is a process that multiprocessing or loky started to run a part of its parent's program."""
    kind, what = parse(words)
    if kind == "text":
        return what.startswith(("from multiprocessing.spawn import", "from multiprocessing.forkserver import"))
    return kind == "module" and what.startswith(("joblib.externals.loky.backend.", "loky.backend."))


def _stdin() -> "str":
    """What standard input is: a program read from a file is that file, another one only a way to start."""
    try:
        mode = os.fstat(0).st_mode & 0o170000
        if mode == 0o100000:
            return "file " + os.readlink("/proc/self/fd/0")
        return "terminal" if os.isatty(0) else "stream"
    except OSError:
        return "closed"


class Program:
    """The program that a process runs, as far as a record is kept for it."""

    __slots__ = ("cwd", "kind", "what")

    def __init__(self, kind: "str", what: "str", cwd: "str") -> "None":
        self.kind = kind  #: ``file``, ``module``, ``text`` or ``stdin``
        self.what = what  #: absolute path, module, length, digest and beginning of the text, or what standard input is
        self.cwd = cwd  #: the working directory where it counts, or ""

    @property
    def tag(self) -> "str":
        """The last part of ``sys.argv[0]`` while ``site`` runs: all that stage 0 looks at."""
        if self.kind == "file":
            return self.what.rstrip("/").rpartition("/")[2]
        return {"module": "-m", "text": "-c"}.get(self.kind, "")

    @property
    def shown(self) -> "str":
        """The program for a person."""
        if self.kind == "text":
            line = self.what.split(" ", 2)[2]
            return "-c " + (line if len(line) <= 60 else line[:57] + "...")
        if self.kind == "module":
            return "-m " + self.what
        return self.what if self.kind == "file" else "standard input ({})".format(self.what)

    def key(self) -> "str":
        """The record's name: ``=NAME/DIGEST``."""
        parts = [self.kind, self.what, self.cwd, sys.prefix, sys.executable or "", sys.version]
        return "={}/{}".format(self.tag, _digest("\0".join(parts)))


def _digest(text: "str") -> "str":
    """The text modulo a prime: as good as a hash against chance, in microseconds, and without an import.

    Nothing is proved by it. Who could make two texts meet can write records anyway.
    """
    return "{:032x}".format(int.from_bytes(text.encode("utf-8", "surrogatepass"), "big") % _PRIME)


def program(cwd: "str", pid: "str" = "self", depth: "int" = 0) -> "Program | None":
    """The program that a process runs; of a worker, the one that its parent runs. None where /proc does not tell.

    ``cwd`` is its working directory at the start. A file that belongs to the environment (a console script) and
    everything that is no file of its own counts per directory: one ``pytest`` serves many projects.
    """
    words = command_line(pid)
    if not words:
        return None
    if is_worker(words) and depth < 4:
        try:
            parent = _parent(pid)
            above = None if parent in ("0", "1") else os.readlink("/proc/{}/cwd".format(parent))
        except (OSError, ValueError):
            return None
        return None if above is None else program(above, parent, depth + 1)
    kind, what = parse(words)
    if kind == "file":
        what = os.path.normpath(cwd + "/" + what) if what[:1] != "/" else os.path.normpath(what)
        own = what.startswith(sys.prefix + "/")
        return Program(kind, what, cwd if own else "")
    if kind == "stdin":
        what = _stdin() if pid == "self" else "stream"
    elif kind == "text":
        what = "{} {} {}".format(len(what), _digest(what), " ".join(what[:200].split()))
    return Program(kind, what, cwd)


def _parent(pid: "str") -> "str":
    if pid == "self":
        return str(os.getppid())
    # the name, in parentheses, may hold anything (proc(5), stat)
    return _read("/proc/{}/stat".format(pid)).rpartition(b")")[2].split()[1].decode("ascii")


# --- the environment ------------------------------------------------------------------------------------------------


def original() -> "dict[str, str]":
    """The environment that the user started this process with, whatever was changed since.

    From ``/proc/self/environ``, less what a start of ours had put there. Raises OSError, and ValueError where the
    program has written over that memory (setproctitle does).
    """
    found = {}
    for entry in _read("/proc/self/environ").split(b"\0"):
        if entry:
            name, equals, value = os.fsdecode(entry).partition("=")
            if not equals or not name:
                raise ValueError("the environment of the start is no longer there")
            found[name] = value
    if not found and os.environ:
        raise ValueError("the environment of the start is no longer there")
    if MARK in found:
        _give_back(found)
    return found


def _give_back(environ: "Any") -> "list[str]":
    """The user's own values put back; the mark's fields."""
    fields: "list[str]" = environ.pop(MARK).split("\t")
    for name in fields[3].split(",") if len(fields) > 3 and fields[3] else ():
        was = environ.pop(WAS + name, None)
        if was is None:
            environ.pop(name, None)
        else:
            environ[name] = was
    return fields


def changed(environ: "Mapping[str, str]", variables: "Iterable[tuple[str, str, str]]") -> "dict[str, str]":
    """A copy of ``environ`` with the changes of an ``EnvironmentFix``."""
    found = dict(environ)
    for name, action, value in variables:
        before = found.get(name, "")
        if action == "tunable":
            piece = value.partition("=")[0] + "="
            kept = [one for one in before.split(":") if one and not one.startswith(piece)]
            found[name] = ":".join(kept + [value])
        elif action in ("prepend", "remove"):
            # an empty entry of LD_LIBRARY_PATH is the working directory (ld.so(8)): it stays one
            kept = [one for one in before.split(":") if one != value] if before else []
            now = ":".join([value] + kept if action == "prepend" else kept)
            if now or action == "prepend":
                found[name] = now
            else:
                found.pop(name, None)
        elif action in ("set", "show"):
            found[name] = value
    return found


def describe(variables: "Iterable[tuple[str, str, str]]") -> "str":
    """The changes as a person would write them in front of a command."""
    parts = []
    for name, action, value in variables:
        parts.append("{} without {}".format(name, value) if action == "remove" else "{}={}".format(name, value))
    return " ".join(parts)


def restore(state: "Any") -> "None":
    """Gives ``os.environ`` its own values back, after ld.so has read ours: children are the user's. Never raises."""
    try:
        _started[:] = _give_back(os.environ)
        state.started = _started
    except Exception:
        os.environ.pop(MARK, None)


def started() -> "list[str]":
    """[way, key, run id, names] of a start of ours that this process came from; [] for any other."""
    return _started


# --- records --------------------------------------------------------------------------------------------------------


class Record:
    """What was learned for one program."""

    __slots__ = ("cause", "cwd", "files", "incident", "kind", "prefix", "requested", "variables", "what", "why")

    def __init__(self, **values: "Any") -> "None":
        self.kind: "str" = values.get("kind", "")  #: as in ``Program``, so are ``what`` and ``cwd``
        self.what: "str" = values.get("what", "")
        self.cwd: "str" = values.get("cwd", "")
        self.prefix: "str" = values.get("prefix", "")  #: ``sys.prefix`` of the environment
        self.cause: "str" = values.get("cause", "")
        self.requested: "str" = values.get("requested", "")
        self.incident: "str" = values.get("incident", "")
        self.why: "str" = values.get("why", "")
        self.variables: "tuple[tuple[str, str, str], ...]" = tuple(values.get("variables", ()))
        self.files: "tuple[tuple[str, str], ...]" = tuple(values.get("files", ()))  #: (signature, path)

    @property
    def program(self) -> "Program":
        return Program(self.kind, self.what, self.cwd)

    @property
    def shown(self) -> "str":
        """The changes as a person would write them in front of a command."""
        return describe(self.variables)

    def stale(self) -> "str":
        """The file that is no longer what it was, or the directory that others may have got at, or ""."""
        for seen, path in self.files:
            if (place(path) if seen.startswith("d") else signature(path)) != seen:
                return str(path)
        return ""


_PLAIN = ("kind", "what", "cwd", "prefix", "cause", "requested", "incident", "why")


def signature(path: "str") -> "str":
    """Device, inode, size and mtime of what the path leads to, or ``-``."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "{}.{}.{}.{}".format(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def place(path: "str") -> "str":
    """Owner, group and mode of a directory, behind a ``d``: who may put files there; ``-`` where there is none."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "d{}.{}.{:o}".format(info.st_uid, info.st_gid, info.st_mode)


def _is_private(info: "os.stat_result", kind: "int") -> "bool":
    return info.st_mode & 0o170022 == kind and info.st_uid == os.geteuid()


def load(path: "str") -> "Record | None":
    """The record in a file that only this user can have written, or None."""
    try:
        base = os.path.dirname(os.path.dirname(path))
        if not _is_private(os.stat(base), 0o040000) or not _is_private(os.lstat(os.path.dirname(path)), 0o040000):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            info = os.fstat(descriptor)
            data = os.read(descriptor, MAX_RECORD + 1) if _is_private(info, 0o100000) else b""
        finally:
            os.close(descriptor)
        return _decode(data.decode("utf-8", "surrogatepass"))
    except (OSError, ValueError):
        return None


def _decode(text: "str") -> "Record | None":
    body, _, check = text.rpartition("end\t")
    if check != _digest(body) + "\n":
        return None
    lines = body.split("\n")
    if lines[0] != HEAD:
        return None
    values: "dict[str, Any]" = {}
    variables, files = [], []
    for line in lines[1:-1]:
        fields = [_unescape(field) for field in line.split("\t")]
        if fields[0] == "variable":
            variables.append((fields[1], fields[2], fields[3]))
        elif fields[0] == "file":
            files.append((fields[1], fields[2]))
        else:
            values[fields[0]] = fields[1]
    values.update(variables=variables, files=files)
    return Record(**values)


def encode(record: "Record") -> "bytes":
    lines = [HEAD]
    lines += ["{}\t{}".format(name, _escape(str(getattr(record, name)))) for name in _PLAIN]
    lines += ["variable\t" + "\t".join(map(_escape, one)) for one in record.variables]
    lines += ["file\t" + "\t".join(map(_escape, one)) for one in record.files]
    body = "\n".join(lines) + "\n"
    return (body + "end\t" + _digest(body) + "\n").encode("utf-8", "surrogatepass")


def _escape(text: "str") -> "str":
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _unescape(text: "str") -> "str":
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in text.split("\\\\"))


def records() -> "Iterator[tuple[str, Record | None, int, float]]":
    """(path, record or None where it is damaged or not private, bytes, mtime) of everything that was learned."""
    base = directory()
    for tag in _names(base) if base else ():
        for name in _names(base + "/" + tag):
            path = "{}/{}/{}".format(base, tag, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            yield path, load(path), info.st_size, info.st_mtime


def _names(path: "str") -> "list[str]":
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def find(key: "str") -> "Record | None":
    """The record for a key that is kept, whether its files still are what they were or not."""
    base = directory()
    return load(base + "/" + key) if base else None


# --- the start ------------------------------------------------------------------------------------------------------


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
        for entry in _read("/proc/{}/environ".format(pid)).split(b"\0"):
            if entry.startswith(MARK.encode() + b"="):
                fields = os.fsdecode(entry).partition("=")[2].split("\t")
                return fields if len(fields) == 4 and ".." not in fields[1] else []
    except OSError:
        pass
    return []


def apply(state: "Any") -> "None":
    """Starts the program again at once where a record is meant for it; returns where none is. Never raises.

    Called by stage 0, before anything of the user's has run: nothing is lost or repeated.
    """
    try:
        if os.environ.get("DLREPAIR_REEXEC", "").lower() == "never":
            return
        found = record_for(state.cwd)
        if found is None or found[1].stale() or cannot_exec():
            return
        key, record = found
        before = original()
        if changed(before, record.variables) == before:
            return
        environ = start_environment("learned", key, _journal(record), record.variables, before)
        if environ is not None:
            posix().execve(sys.executable, command_line(), environ)
    except Exception:
        return


def _journal(record: "Record") -> "str":
    """Writes down that the record is applied; the identity of this run, "" where it cannot be told. Never raises."""
    try:
        from dlrepair.journal import writer

        writer.emit(
            "learned", record.incident, program=record.program.shown, applied=True, cause=record.cause,
            environment=[dict(zip(("name", "action", "value"), one)) for one in record.variables], why=record.why,
        )  # fmt: skip
        return writer.run_id()
    except Exception:
        return ""


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
        words = memoryview(_read("/proc/self/auxv")).cast("Q")
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


def start_environment(
    way: "str", key: "str", run: "str", variables: "Any", environ: "dict[str, str]"
) -> "dict[str, str] | None":
    """What the new process is given; None where its environment says all of it already, so that it would not help."""
    now = changed(environ, variables)
    if now == environ:
        return None
    names = sorted({name for name, action, _ in variables if action != "show"})
    now[MARK] = "\t".join((way, key, run, ",".join(names)))
    for name in names:
        if name in environ:
            now[WAS + name] = environ[name]
    return now
