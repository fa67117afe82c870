"""What was learned, as it lies on disk: read by stage 0, written by ``keep``."""

import os

from dlrepair.learned import directory
from dlrepair.learned.environ import describe
from dlrepair.learned.program import Program, digest

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

#: first line of a record; another format is another word
HEAD = "dlrepair learned 2"
MAX_RECORD = 64 * 1024  #: bytes
MAX_RECORDS = 500


class Record:
    """What was learned for one program."""

    __slots__ = (
        "cause", "cwd", "files", "incident", "kind", "line", "place", "prefix", "requested", "settings", "variables",
        "what", "why",
    )  # fmt: skip

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
        self.line: "str" = values.get("line", "")  #: what the journal is told at each start, as it stands there
        self.place: "str" = values.get("place", "")  #: directory that the project's settings are looked for from
        #: (signature, path) of each file where settings lie or could lie; () where the environment had its say
        self.settings: "tuple[tuple[str, str], ...]" = tuple(values.get("settings", ()))

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


_PLAIN = ("kind", "what", "cwd", "place", "prefix", "cause", "requested", "incident", "why", "line")


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
    if check != digest(body) + "\n":
        return None
    lines = body.split("\n")
    if lines[0] != HEAD:
        return None
    values: "dict[str, Any]" = {}
    variables, files, settings = [], [], []
    for line in lines[1:-1]:
        fields = [_unescape(field) for field in line.split("\t")]
        if fields[0] == "variable":
            variables.append((fields[1], fields[2], fields[3]))
        elif fields[0] == "file":
            files.append((fields[1], fields[2]))
        elif fields[0] == "settings":
            settings.append((fields[1], fields[2]))
        else:
            values[fields[0]] = fields[1]
    values.update(variables=variables, files=files, settings=settings)
    return Record(**values)


def encode(record: "Record") -> "bytes":
    lines = [HEAD]
    lines += ["{}\t{}".format(name, _escape(str(getattr(record, name)))) for name in _PLAIN]
    lines += ["variable\t" + "\t".join(map(_escape, one)) for one in record.variables]
    lines += ["file\t" + "\t".join(map(_escape, one)) for one in record.files]
    lines += ["settings\t" + "\t".join(map(_escape, one)) for one in record.settings]
    body = "\n".join(lines) + "\n"
    return (body + "end\t" + digest(body) + "\n").encode("utf-8", "surrogatepass")


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
