"""What was compiled: libraries, objects and precompiled headers, each in a directory of its own.

``builds/<key>/`` appears by one rename, with a ``build.json`` that holds the digest of each file, and is verified by it
before use. ``manifests/<key>/<key>`` says which headers an object was made of, ``logs/<key>`` is a compiler's output,
``locks/<key>`` shows who is building. A temporary directory bears the host and the process that fill it;
it goes when that process has ended.
"""

from __future__ import annotations

import os
import time

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: what all builds together may hold, bytes: one precompiled header takes 470 MB
MAX_BYTES = 4 * 1024 * 1024 * 1024
MAX_MANIFESTS = 2000
MAX_LOGS = 100
#: headers that one source was compiled with: variants of one manifest
MAX_VARIANTS = 16
META = "build.json"
_ATTEMPTS = 5
_CHUNK = 1 << 20


def host() -> str:
    """A name for this machine, boot and container: process ids of another one mean nothing here."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            boot = stream.read(64).strip()
        boot += os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = ""
    return store.key_of(os.uname().nodename, boot)[:8]


def digest_of(path: str) -> str:
    """BLAKE2b of a file's contents, 32 hexadecimal digits. Raises OSError."""
    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    state = blake2b(digest_size=16)
    with open(path, "rb") as stream:
        while True:
            block = stream.read(_CHUNK)
            if not block:
                return str(state.hexdigest())
            state.update(block)


def new_directory() -> str | None:
    """Path of a new private directory, to be filled and then published or dropped; None when there is no store.

    What killed builders left is swept first.
    """
    for _ in range(_ATTEMPTS):
        base = store.root()
        if base is None:
            return None
        part = os.path.join(base, "builds")
        sweep(part)
        path = os.path.join(part, ".tmp-{}-{}-{}".format(host(), os.getpid(), os.urandom(6).hex()))
        try:
            store.make_directory(part)
            os.mkdir(path, 0o700)
            return path
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def publish(path: str, key: str, facts: dict[str, Any], part: str = "") -> str | None:
    """Where the files of directory ``path`` lie from now on; None when they cannot be kept. Raises OSError on writing.

    ``facts`` go into ``build.json`` beside the digests. The same key in place already, and whole, stays: it may be
    in use. ``part``: another directory of builds than the store's (a shared one).
    """
    import json

    part = part or os.path.dirname(path)
    files = {}
    for name in sorted(os.listdir(path)):
        full = os.path.join(path, name)
        files[name] = {"bytes": os.stat(full).st_size, "digest": digest_of(full)}
    data = json.dumps(dict(facts, v=1, key=key, files=files), sort_keys=True).encode("ascii")
    with open(os.path.join(path, META), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    final = os.path.join(part, key)
    for _ in range(_ATTEMPTS):
        try:
            os.rename(path, final)
            return final
        except OSError:
            pass  # another builder was faster, or an earlier one
        if find(key, part) is not None:
            store.remove(path)
            return final
        aside = os.path.join(part, ".tmp-{}-{}-{}".format(host(), os.getpid(), os.urandom(6).hex()))
        try:
            os.rename(final, aside)  # damaged
        except OSError:
            if not os.path.isdir(path):
                return None
            continue
        store.remove(aside)
    store.remove(path)
    return None


def find(key: str, part: str = "", verify: bool = True) -> dict[str, Any] | None:
    """The facts of a build that is whole, with its ``directory``; None where there is none.

    ``verify``: whether the digests of its files are computed; sizes are compared in any case.
    """
    import json

    if not part:
        base = store.root(create=False)
        if base is None:
            return None
        part = os.path.join(base, "builds")
    directory = os.path.join(part, key)
    try:
        with open(os.path.join(directory, META), "rb") as stream:
            facts: dict[str, Any] = json.loads(stream.read(_CHUNK).decode("utf-8"))
        if facts.get("v") != 1 or facts.get("key") != key:
            return None
        for name, held in facts["files"].items():
            path = os.path.join(directory, name)
            if "/" in name or os.stat(path).st_size != held["bytes"]:
                return None
            if verify and digest_of(path) != held["digest"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    store.touch(os.path.join(directory, META))
    facts["directory"] = directory
    return facts


# --- manifests and logs ---------------------------------------------------------------------------------------------


def has_manifests() -> bool:
    """Tell whether the store knows of anything that was built."""
    base = store.root(create=False)
    return base is not None and os.path.isdir(os.path.join(base, "manifests"))


def manifests(key: str, base: str = "") -> list[dict[str, Any]]:
    """Every manifest under ``key``, newest first; damaged ones are left out."""
    base = base or store.root(create=False) or ""
    directory = os.path.join(base, "manifests", key)
    aged: list[tuple[float, str]] = []
    try:
        with os.scandir(directory) as entries:
            aged = [(entry.stat().st_mtime, entry.path) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []
    if not aged:
        return []
    import json

    found = []
    for _, path in sorted(aged, reverse=True):
        try:
            with open(path, "rb") as stream:
                manifest = json.loads(stream.read(4 * _CHUNK).decode("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict):
            found.append(manifest)
    return found


def add_manifest(key: str, name: str, manifest: dict[str, Any], base: str = "") -> None:
    """Keeps a manifest under ``key`` and ``name``; the least recently written go beyond ``MAX_VARIANTS``."""
    import json

    shared = bool(base)
    base = base or store.root() or ""
    if not base:
        return
    directory = os.path.join(base, "manifests", key)
    _keep(os.path.join(directory, name), json.dumps(manifest).encode("ascii"))
    if not shared:
        _bound(directory, MAX_VARIANTS)
        _bound(os.path.dirname(directory), MAX_MANIFESTS)


def write_log(key: str, text: str) -> str:
    """Path of the log that now holds ``text``; "" where it cannot be written."""
    base = store.root()
    if base is None:
        return ""
    path = os.path.join(base, "logs", key)
    done = _keep(path, text.encode("utf-8", "surrogateescape"))
    _bound(os.path.dirname(path), MAX_LOGS)
    return path if done else ""


def _keep(path: str, data: bytes) -> bool:
    temporary = store.temporary_path(path)
    try:
        store.make_directory(os.path.dirname(path))
        with open(temporary, "wb") as stream:
            stream.write(data)
        os.rename(temporary, path)
        return True
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return False


# --- bounds ---------------------------------------------------------------------------------------------------------


def sweep_left() -> None:
    """Removes what killed builders have left: one that dies after it has published has nobody else to do so."""
    base = store.root(create=False)
    if base is not None:
        sweep(os.path.join(base, "builds"))
        _drop_idle_locks(os.path.join(base, "locks"))


def sweep(part: str) -> tuple[int, int]:
    """(files, bytes) removed of temporary directories in ``part`` whose process has ended."""
    files = total = 0
    mine = host()
    try:
        names = [name for name in os.listdir(part) if name.startswith(".tmp-")]
    except OSError:
        return 0, 0
    for name in names:
        path = os.path.join(part, name)
        words = name.split("-")
        if len(words) == 4 and words[1] == mine and words[2].isdigit():
            gone = not _alive(int(words[2]))
        else:  # of another machine that shares this home: only time tells
            gone = _age(path) > store.STALE
        if gone:
            removed = store.remove(path)
            files, total = files + removed[0], total + removed[1]
    return files, total


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0


def tidy(most: int = 0) -> tuple[int, int]:
    """(files, bytes) removed: leftovers, what is damaged or least recently used beyond the bounds, idle locks."""
    base = store.root(create=False)
    if base is None:
        return 0, 0
    part = os.path.join(base, "builds")
    files, total = sweep(part)
    aged = []
    for name in _names(part):
        path = os.path.join(part, name)
        if name.startswith(".tmp-"):
            continue
        length = 0
        for below, _, found in os.walk(path):
            for one in found:
                try:
                    length += os.lstat(os.path.join(below, one)).st_size
                except OSError:
                    continue
        meta = os.path.join(path, META)
        aged.append((time.time() - _age(meta) if os.path.exists(meta) else 0.0, path, length))
    held = sum(length for _, _, length in aged)
    for used, path, length in sorted(aged):
        if used and held <= (most or MAX_BYTES):
            break
        removed = store.remove(path)
        files, total, held = files + removed[0], total + removed[1], held - length
    files += _drop_idle_locks(os.path.join(base, "locks"))
    for name, bound in (("manifests", MAX_MANIFESTS), ("logs", MAX_LOGS)):
        files += _bound(os.path.join(base, name), bound)
    return files, total


def _drop_idle_locks(directory: str) -> int:
    """Number of lock files removed that nobody holds: of builders that were killed.

    Removed while held, as their owners do (``dlrepair.build.lock``): who waits looks at the inode again.
    """
    import fcntl

    gone = 0
    for name in _names(directory):
        path = os.path.join(directory, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                os.unlink(path)
                gone += 1
        except OSError:
            pass  # held, or gone already
        finally:
            os.close(descriptor)
    return gone


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _bound(directory: str, most: int) -> int:
    names = _names(directory)
    if len(names) <= most:
        return 0
    aged = sorted((_age(os.path.join(directory, name)), name) for name in names)
    gone = 0
    for _, name in aged[most * 9 // 10 :]:
        gone += store.remove(os.path.join(directory, name))[0]
    return gone
