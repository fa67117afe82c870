"""The private store: links that bear an expected name, and repairs that worked.

``links/<digest of the target>/<name>`` are symbolic links, ``remembered/<key>`` small
text records, ``objects/<digest>/<name>`` files named by their contents, ``extracted/<digest>/`` trees that came
out of an archive, ``builds/<key>/`` what was compiled (``dlrepair.store.builds`` has its further parts),
``surveys/<key>`` what ``doctor`` found (``dlrepair.store.surveys``). Everything in it can be made
again: it may be deleted at any moment, by anybody, while any number of processes use it.
"""

from __future__ import annotations

import os
import stat
import time

from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

__all__ = [
    "add_link", "clear", "digest", "entries", "forget", "gc", "key_of", "problem", "recall", "remember", "root", "size",
    "use",
]  # fmt: skip

MAX_RECORDS = 1000
MAX_LINKS = 2000
MAX_RECORD = 64 * 1024  #: bytes
_PARTS = (
    "links", "objects", "extracted", "remembered", "builds", "manifests", "locks", "logs", "index", "surveys",
)  # fmt: skip
#: parts that other modules keep in bounds
_ELSEWHERE = ("extracted", "builds", "manifests", "locks", "logs", "index")
#: names that are ours and no digests: the index of far places and its lock
_NAMES = ("libraries.sqlite", "lock")
_TAG = "CACHEDIR.TAG"
#: https://bford.info/cachedir/ : backup programs leave such a directory out
_TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# The store of dlrepair. It may be deleted at any moment.\n"
_HEAD = "dlrepair 1"
OLD = 30 * 86400.0  # seconds after which a survey that nobody asked for goes
_FRESH = 60.0  # seconds during which a use leaves the time stamp alone
STALE = 3600.0  # seconds after which a temporary file has lost its writer

_configured = ""
_problem: str | None = None


def use(path: str) -> None:
    """Take ``path`` (the setting ``store``) as the root from now on; "" for the default."""
    global _configured
    _configured = path


def problem() -> str | None:
    """Why the store cannot be used, for a person; None when it can or was not needed yet."""
    return _problem


def location() -> str:
    """Where the store is or would be: the setting, ``DLREPAIR_STORE``, ``$XDG_CACHE_HOME/dlrepair``; "" if nowhere."""
    path = _configured or os.environ.get("DLREPAIR_STORE", "")
    if path:
        return os.path.abspath(os.path.expanduser(path))
    base = dirs.cache_home()
    return os.path.join(base, "dlrepair") if base else ""


def root(create: bool = True) -> str | None:
    """The store's directory, private to this user; None when there is none or it cannot be trusted."""
    global _problem
    try:
        path = location()
        clause = _prepare(path, create) if path else "there is no home directory for the store"
    except (OSError, ValueError) as exc:
        path, clause = "", str(exc)
    if clause is not None:
        if create and _problem is None:
            _problem = clause
        return None
    return path


def _prepare(path: str, create: bool) -> str | None:
    clause = dirs.make_private(path, create)
    if clause is not None:
        return clause
    tag = os.path.join(path, _TAG)
    if os.path.lexists(tag):
        return None
    # ``clear`` removes these three: they must never be somebody else's (DLREPAIR_STORE=.git)
    for part in _PARTS:
        if not all(_is_ours(name) for name in _names(os.path.join(path, part))):
            return "{} holds files that are not dlrepair's".format(path)
    if not create:
        return None
    return None if _write(tag, _TAG_TEXT) else "{} cannot be written".format(path)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_ours(name: str) -> bool:
    """Whether a name directly below one of the parts is a digest, or a temporary file."""
    return name in _NAMES or name.startswith(".tmp-") or (len(name) == 32 and not name.strip("0123456789abcdef"))


def key_of(*parts: str) -> str:
    """A digest of ``parts``, 32 hexadecimal digits: BLAKE2b (RFC 7693) over the length and bytes of each."""
    data = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    return digest(data)


def digest(data: bytes) -> str:
    """BLAKE2b of bytes, 32 hexadecimal digits."""
    try:
        from _blake2 import blake2b  # hashlib would load OpenSSL
    except ImportError:
        try:
            from hashlib import blake2b
        except ImportError:
            return _fnv(data)
    return blake2b(data, digest_size=16).hexdigest()


def _fnv(data: bytes) -> str:
    """FNV-1a, 128 bits: for an interpreter whose hash modules are what is broken. What a key leads to is re-vetted."""
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        value = ((value ^ byte) * 0x1000000000000000000013B) & ((1 << 128) - 1)
    return "{:032x}".format(value)


# --- remembered repairs ---------------------------------------------------------------------------------------------


def _record_path(key: str, create: bool) -> str | None:
    if len(key) != 32 or key.strip("0123456789abcdef"):
        return None
    base = root(create)
    return os.path.join(base, "remembered", key) if base else None


def recall(key: str) -> dict[str, str] | None:
    """The record that ``remember`` kept under ``key``; None when there is none or it is damaged."""
    path = _record_path(key, create=False)
    if path is None:
        return None
    data = read_private(path, MAX_RECORD)
    return _decode(data) if data is not None else None


def read_private(path: str, most: int) -> bytes | None:
    """What a file of the store holds, its use marked; None where it is absent, longer, or not this user's alone."""
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != dirs.effective_uid() or found.st_mode & 0o022:
                return None
            data = os.read(descriptor, most + 1)
        finally:
            os.close(descriptor)
        if time.time() - found.st_mtime > _FRESH:
            touch(path)
    except (OSError, ValueError, AttributeError):
        return None
    return data if len(data) <= most else None


def write_part(part: str, key: str, data: bytes, most: int) -> bool:
    """Whether the file ``key`` of ``part`` now holds ``data``; beyond ``most`` the least recently used go."""
    base = root()
    if base is None or not _is_ours(key) or not _write(os.path.join(base, part, key), data):
        return False
    _trim(os.path.join(base, part), most)
    return True


def remember(key: str, record: dict[str, str]) -> bool:
    """Whether ``record`` was kept under ``key``; the least recently used records go beyond MAX_RECORDS."""
    path = _record_path(key, create=True)
    if path is None:
        return False
    data = _encode(record)
    if len(data) > MAX_RECORD:
        return False
    done = _write(path, data)
    if done:
        _trim(os.path.dirname(path), MAX_RECORDS)
    return done


def forget(key: str) -> None:
    """Drop the record of ``key``, if any."""
    path = _record_path(key, create=False)
    if path is not None:
        _unlink(path)


def _encode(record: dict[str, str]) -> bytes:
    lines = [_HEAD]
    for name, value in record.items():
        lines.append("{}\t{}".format(_escape(name), _escape(value)))
    body = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    return body + b"end\t" + digest(body).encode("ascii") + b"\n"


def _decode(data: bytes) -> dict[str, str] | None:
    cut = data.rfind(b"end\t")
    if cut < 0 or data[cut + 4 :] != digest(data[:cut]).encode("ascii") + b"\n":
        return None
    lines = data[:cut].decode("utf-8", "surrogatepass").split("\n")
    if lines[0] != _HEAD:
        return None
    record = {}
    for line in lines[1:-1]:
        name, tab, value = line.partition("\t")
        if not tab:
            return None
        record[_unescape(name)] = _unescape(value)
    return record


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in text.split("\\\\"))


# --- links ----------------------------------------------------------------------------------------------------------


def add_link(name: str, target: str) -> str | None:
    """Path of a symbolic link called ``name`` to ``target``, made or found; None when it cannot be made.

    It lies in a directory of its own for each target, so that two libraries of one name never meet.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        return None
    try:
        real = os.path.realpath(target)
        if not os.path.exists(real):
            return None
        for _ in range(5):  # the store may be cleared between two steps
            base = root()
            if base is None:
                return None
            directory = os.path.join(base, "links", key_of(real))
            path = _link(directory, name, real)
            if path is not None:
                _trim(os.path.dirname(directory), MAX_LINKS)
                return path
    except (OSError, ValueError):
        pass
    return None


def _link(directory: str, name: str, real: str) -> str | None:
    path = os.path.join(directory, name)
    try:
        if os.readlink(path) == real:
            touch(directory)
            return path
    except OSError:
        pass
    temporary = temporary_path(path)
    try:
        make_directory(directory)
        os.symlink(real, temporary)
        os.rename(temporary, path)
        return path
    except FileNotFoundError:
        return None
    except OSError:
        _unlink(temporary)
        raise


# --- files ----------------------------------------------------------------------------------------------------------


def temporary_path(path: str) -> str:
    return os.path.join(os.path.dirname(path), ".tmp-{}-{}".format(os.getpid(), os.urandom(6).hex()))


def touch(path: str) -> None:
    """Mark a use: the least recently used entries go first."""
    try:
        os.utime(path)
    except OSError:
        pass  # removed meanwhile


def make_directory(path: str) -> None:
    """Make ``path`` and its parent inside the store, private whatever the umask (``makedirs`` minds only the last)."""
    for directory in (os.path.dirname(path), path):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
        return True
    except OSError:
        return False


def _write(path: str, data: bytes) -> bool:
    """Whether ``path`` now holds ``data``: written beside it, then renamed, so that readers see all or nothing.

    Without fsync, which costs up to 30 ms: what a crash of the machine tears fails its digest and is forgotten.
    """
    for _ in range(3):
        temporary = temporary_path(path)
        try:
            make_directory(os.path.dirname(path))
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError("short write")
            finally:
                os.close(descriptor)
            _unlink(path)  # renaming onto a file makes ext4 write the new one out first (auto_da_alloc): 5 ms
            os.rename(temporary, path)
            return True
        except FileNotFoundError:  # cleared meanwhile: once more
            continue
        except OSError:
            _unlink(temporary)
            return False
    return False


def _trim(directory: str, most: int) -> int:
    """Number of entries removed, the least recently used first, after more than ``most`` were found."""
    try:
        names = os.listdir(directory)
    except OSError:
        return 0
    if len(names) <= most:
        return 0
    aged = []
    for name in names:
        try:
            aged.append((os.lstat(os.path.join(directory, name)).st_mtime, name))
        except OSError:
            continue
    aged.sort()
    removed = 0
    for _, name in aged[: max(0, len(aged) - most * 9 // 10)]:
        removed += remove(os.path.join(directory, name))[0]
    return removed


def remove(path: str) -> tuple[int, int]:
    """(files, bytes) removed at and below ``path``; links are removed, never followed."""
    files = total = 0
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            for name in os.listdir(path):
                below = remove(os.path.join(path, name))
                files, total = files + below[0], total + below[1]
            os.rmdir(path)
        else:
            os.unlink(path)
            files, total = 1, found.st_size
    except OSError:
        pass  # another process removes or fills it
    return files, total


def entries() -> Iterator[tuple[str, str, str, int, float]]:
    """(part, path, link target or "", bytes, mtime) of every file in the store."""
    base = root(create=False)
    if base is None:
        return
    for part in _PARTS:
        for directory, _, names in os.walk(os.path.join(base, part)):
            for name in sorted(names):
                path = os.path.join(directory, name)
                try:
                    found = os.lstat(path)
                    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
                except OSError:
                    continue
                yield part, path, target, found.st_size, found.st_mtime


def size() -> tuple[int, int]:
    """(files, bytes) in the store."""
    files = total = 0
    for entry in entries():
        files, total = files + 1, total + entry[3]
    return files, total


def clear() -> tuple[int, int]:
    """(files, bytes) removed: everything in the store."""
    base = root(create=False)
    files = total = 0
    if base is not None:
        for part in _PARTS:
            removed = remove(os.path.join(base, part))
            files, total = files + removed[0], total + removed[1]
    return files, total


def gc() -> tuple[int, int]:
    """(files, bytes) removed: links that lead nowhere, damaged records, leftovers, and what exceeds the bounds."""
    from dlrepair.store import builds, objects, trees

    base = root(create=False)
    files, total = trees.tidy(os.path.join(base, "extracted")) if base else (0, 0)
    built = builds.tidy()
    files, total = files + built[0], total + built[1]
    now = time.time()
    for part, path, target, length, mtime in list(entries()):
        if part in _ELSEWHERE:
            continue
        leftover = os.path.basename(path).startswith(".tmp-")
        if leftover:
            useless = now - mtime > STALE
        elif part == "links":
            useless = not target or not os.path.exists(target)
        elif part == "remembered":
            useless = recall(os.path.basename(path)) is None
        elif part == "surveys":
            useless = now - mtime > OLD
        else:
            useless = False
        if useless and _unlink(path):
            files, total = files + 1, total + length
        if useless and part == "links":
            try:
                os.rmdir(os.path.dirname(path))
            except OSError:
                pass  # other names for the same target
    beyond = objects.trim()
    return files + beyond[0], total + beyond[1]
