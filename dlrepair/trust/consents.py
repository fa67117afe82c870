"""What the user allowed with ``dlrepair trust`` and refused with ``dlrepair distrust``.

``$XDG_CONFIG_HOME/dlrepair/trust.json`` binds a decision to content *and* path. A file is
allowed with its digest. A directory is allowed with its owner, group and mode, and with the
digests of the build scripts in it: below it, that owner and that group count as the user. A build
script that is allowed may be run where dlrepair's own command does not do (``permission``), as long
as it and the programs of the project that it names (``named``) are what they were. Any change asks
again; a refusal wins over every permission.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from dlrepair.settings import dirs
from dlrepair.trust import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Consents", "Permission", "allow", "lift", "listing", "load", "permission", "read_allowed", "refuse"]

_MAX_SCRIPT = 4 * 1024 * 1024
_MAX_FILE = 4 * 1024 * 1024
_MAX_PROGRAM = 64 * 1024 * 1024


class Consents:
    """The decisions in force, as the rules of ``dlrepair.trust`` ask for them."""

    def __init__(self, data: dict[str, Any]) -> None:
        allowed, refused = data.get("allow", []), data.get("deny", [])
        if not isinstance(allowed, list) or not isinstance(refused, list):
            raise ValueError("allow and deny must be lists")
        self.allowed: list[dict[str, Any]] = [entry for entry in allowed if _well_formed(entry)]
        self.refused: list[str] = [path for path in refused if isinstance(path, str)]
        self._valid: dict[str, bool] = {}

    def denied(self, path: str) -> bool:
        """Whether ``path``, or a directory above it, was refused."""
        return any(_below(path, top) for top in self.refused)

    def owner(self, path: str, uid: int) -> bool:
        """Whether files of ``uid`` count as the user's own at ``path``."""
        return any(entry["uid"] == uid for entry in self._covering(path))

    def group(self, path: str, gid: int) -> bool:
        """Whether group ``gid`` may write ``path``."""
        return any(entry["gid"] == gid and entry["mode"] & 0o020 for entry in self._covering(path))

    def world(self, path: str) -> bool:
        """Whether everybody may write ``path`` (a file system without owners)."""
        return any(entry["mode"] & 0o002 for entry in self._covering(path))

    def _covering(self, path: str) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self.allowed
            if entry["kind"] == "directory" and _below(path, entry["path"]) and self.unchanged(entry)
        ]

    def unchanged(self, entry: dict[str, Any]) -> bool:
        """Whether the file or directory of ``entry`` is as it was when it was allowed."""
        path = str(entry["path"])
        if path not in self._valid:
            self._valid[path] = _unchanged(entry)
        return self._valid[path]


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip(os.sep) + os.sep)


def _well_formed(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return False
    if not isinstance(entry.get("runs", {}), dict):
        return False
    if entry.get("kind") == "file":
        return isinstance(entry.get("digest"), str)
    scripts = entry.get("scripts", {})
    numbers = all(type(entry.get(key)) is int for key in ("uid", "gid", "mode"))
    return entry.get("kind") == "directory" and numbers and isinstance(scripts, dict)


def _unchanged(entry: dict[str, Any]) -> bool:
    path = str(entry["path"])
    try:
        if os.path.realpath(path) != path:
            return False
        if entry["kind"] == "file":
            return bool(_digest(_contents(path)) == entry["digest"])
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    now = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
    return stat.S_ISDIR(found.st_mode) and now == (entry["uid"], entry["gid"], entry["mode"])


def _contents(path: str, most: int = _MAX_SCRIPT) -> bytes:
    """The bytes of a regular file; raises OSError, and ValueError for anything else or too large a file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("{} is not a regular file".format(path))
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError("{} is larger than {} bytes".format(path, most))
    return data


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _location() -> str:
    base = dirs.config_home()
    if not base:
        raise ValueError("there is no home directory to keep decisions in")
    return os.path.join(base, "dlrepair", "trust.json")


def load(descriptor: int) -> Consents:
    """The decisions in an open ``trust.json``, which is closed; raises OSError, and ValueError for a damaged file."""
    import json

    with open(descriptor, "rb") as stream:
        raw = stream.read(_MAX_FILE + 1)
    try:
        data = json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return Consents(data)


def _current() -> dict[str, Any]:
    try:
        held = load(os.open(_location(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except FileNotFoundError:
        return {"v": 1, "allow": [], "deny": []}
    return {"v": 1, "allow": held.allowed, "deny": held.refused}


def _update(path: str, entry: dict[str, Any] | None, deny: bool) -> None:
    """Replace what was decided about ``path``, atomically and one process at a time."""
    import fcntl
    import json

    target = _location()
    problem = dirs.make_private(os.path.dirname(target))
    if problem is not None:
        raise ValueError(problem)
    with open(target + ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        data = _current()
        data["allow"] = [held for held in data["allow"] if held["path"] != path] + ([entry] if entry else [])
        data["deny"] = sorted({held for held in data["deny"] if held != path} | ({path} if deny else set()))
        temporary = "{}.{}".format(target, os.getpid())
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            json.dump(data, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)


def allow(path: str) -> dict[str, Any]:
    """The decision now in force for ``path``: as it is, until it changes. Lifts a refusal of the same path.

    Raises OSError, and ValueError where the path cannot be bound to contents or the decision not be kept.
    """
    real = os.path.realpath(path)
    found = os.stat(real)
    entry: dict[str, Any] = {"path": real, "kind": "file"}
    if stat.S_ISDIR(found.st_mode):
        mode = stat.S_IMODE(found.st_mode)
        scripts = _scripts(real)
        entry.update(kind="directory", uid=found.st_uid, gid=found.st_gid, mode=mode, scripts=scripts)
        if scripts:
            project = named.Project(os.path.join(real, min(scripts)))
            entry["runs"] = {name: _runs(project, os.path.join(real, name)) for name in scripts}
    else:
        entry["digest"] = _digest(_contents(real))
        entry["runs"] = _runs(named.Project(real), real)
    _update(real, entry, deny=False)
    return entry


def lift(path: str) -> str:
    """The real path of ``path``, which is refused no longer, without being allowed; "" where it was not refused."""
    real = os.path.realpath(path)
    if real not in _current()["deny"]:
        return ""
    _update(real, None, deny=False)
    return real


def _scripts(directory: str) -> dict[str, str]:
    digests = {}
    for name in sorted(os.listdir(directory)):
        if name in named.SCRIPTS or name.endswith(named.SUFFIXES):
            try:
                digests[name] = _digest(_contents(os.path.join(directory, name)))
            except (OSError, ValueError):
                continue
    return digests


def _runs(project: named.Project, script: str) -> dict[str, str]:
    """Digest of each program that a script names; one that cannot be read has none, and never compares equal."""
    found = {}
    for path in project.named(script):
        try:
            found[path] = _digest(_contents(path, _MAX_PROGRAM))
        except (OSError, ValueError):
            found[path] = ""
    return found


def refuse(path: str) -> str:
    """The real path that is refused from now on, with everything below it."""
    real = os.path.realpath(path)
    _update(real, None, deny=True)
    return real


def listing() -> list[dict[str, Any]]:
    """Every decision: ``path``, ``kind``, ``decision`` (``allow`` or ``refuse``), ``state`` and ``changed`` scripts.

    ``state`` is ``in force``, or ``changed`` when a permission has lapsed because its path is not what it was.
    """
    held = Consents(_current())
    out = []
    for entry in held.allowed:
        scripts = entry.get("scripts", {})
        runs = entry.get("runs", {})
        changed = sorted(name for name in scripts if not _same(os.path.join(entry["path"], name), scripts[name]))
        state = "in force" if held.unchanged(entry) else "changed"
        if entry["kind"] == "file":
            changed = sorted(path for path, digest in runs.items() if not _same(path, digest))
            state = "changed" if changed else state
        out.append(
            {"path": entry["path"], "kind": entry["kind"], "decision": "allow", "state": state, "changed": changed}
        )
    for path in held.refused:
        out.append({"path": path, "kind": "", "decision": "refuse", "state": "in force", "changed": []})
    return sorted(out, key=lambda item: str(item["path"]))


def _same(path: str, digest: str) -> bool:
    try:
        return _digest(_contents(path, _MAX_PROGRAM)) == digest
    except (OSError, ValueError):
        return False


def read_allowed(path: str) -> bytes | None:
    """The contents of a build script that was allowed and has not changed since; None for any other file.

    They are the very bytes whose digest was compared: use them, do not read the file again.
    """
    try:
        real = os.path.realpath(path)
        data = _contents(real)
        held = Consents(_current())
    except (OSError, ValueError):
        return None
    if held.denied(real):
        return None
    digest = _digest(data)
    directory, name = os.path.split(real)
    for entry in held.allowed:
        if entry["kind"] == "file" and entry["path"] == real and entry["digest"] == digest:
            return data
        if entry["kind"] == "directory" and entry["path"] == directory and entry.get("scripts", {}).get(name) == digest:
            return data
    return None


@dataclass(frozen=True)
class Permission:
    """Whether a build script may be run.

    ``state``: ``allowed``, ``changed`` (it was, and something of it is not what it was), ``refused`` or ``none``.
    """

    state: str
    changed: tuple[str, ...] = ()  #: paths that are not what they were when the script was allowed
    files: dict[str, str] = field(default_factory=dict)  #: path -> digest (SHA-256) of the script and all that it names


def permission(path: str) -> Permission:
    """What was decided about running the script at ``path``, and whether it still holds. Never raises.

    A directory's permission covers the scripts that lay directly in it. Whoever runs the script compares the
    digests of the copies that are run.
    """
    try:
        real = os.path.realpath(path)
        held = Consents(_current())
    except (OSError, ValueError):
        return Permission("none")
    if held.denied(real):
        return Permission("refused")
    directory, name = os.path.split(real)
    answer = Permission("none")
    for entry in held.allowed:
        runs = entry.get("runs", {})
        if entry["kind"] == "file" and entry["path"] == real and "runs" in entry:
            recorded = dict(runs, **{real: entry["digest"]})
        elif entry["kind"] == "directory" and entry["path"] == directory and isinstance(runs.get(name), dict):
            recorded = dict(runs[name], **{real: entry.get("scripts", {}).get(name, "")})
        else:
            continue
        changed = {one for one, digest in recorded.items() if not _same(one, digest)}
        if real not in changed:  # one that it names since then, or that did not exist
            changed.update(one for one in named.Project(real).named(real) if one not in recorded)
        if not changed and held.unchanged(entry):
            return Permission("allowed", (), recorded)
        answer = Permission("changed", tuple(sorted(changed)) or (str(entry["path"]),))
    return answer
