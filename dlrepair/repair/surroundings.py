"""What a remembered repair rests on beside its own files, and whether that still holds.

A library that was vetted fits the libraries that ld.so would give it: those mapped in the process, and those found in
its search path. So the record names them with their signatures, the paths where ld.so looked before and found nothing,
the environment, and what was mapped. A replay compares all that with a few dozen ``stat`` calls and one look at the
link map; where something differs, the load is diagnosed and its candidates are vetted as if for the first time.
"""

from __future__ import annotations

import os
import sys

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView

#: files of a closure, and paths that were tried in vain: a repair that rests on more is looked at anew every time
MAX_FILES = 300
_CACHE = "/etc/ld.so.cache"
_LOADER = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH")


def signature(path: str) -> str:
    """Device, inode, size, mtime and ctime of what the path leads to, or ``-``.

    The ctime is there for files that were written in place with their old times put back (``cp -p``, rsync).
    """
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "{}.{}.{}.{}.{}".format(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def environment() -> str:
    """A digest of the variables that decide what ld.so and the search find: as at the start, and as they are now."""
    from dlrepair.search.variables import ENDINGS

    try:
        with open("/proc/self/environ", "rb") as stream:
            start = os.fsdecode(stream.read()).split("\0")
    except OSError:
        start = []
    first = [entry for entry in start if entry.partition("=")[0] in _LOADER]
    names = sorted(name for name in os.environ if name in _LOADER or name.endswith(ENDINGS))
    now = ["{}={}".format(name, os.environ.get(name)) for name in names]
    return store.key_of(*first, "", *now)


def _mark(seen: str) -> str:
    return store.key_of(seen)[:12]


def describe(paths: Sequence[str], view: ProcessView) -> dict[str, str] | None:
    """What the files in ``paths``, opened in this order in the process of ``view``, rest on; None where that is much.

    ``view`` is the process as it was before.
    """
    from dlrepair.binary import scope

    record = {"around.environment": environment()}
    needs: dict[str, tuple[str, bool]] = {}
    absent: dict[str, None] = {}
    before: list[str] = []
    cached = False
    for path in paths:
        found = {entry.name: entry for entry in scope.resolve(path, preloaded=before).entries if entry.path}
        for entry in scope.resolve(path, process=view, preloaded=before).entries:
            if entry.path is None or entry.path in paths:
                continue
            fresh = found.get(entry.name)
            if entry.how == "loaded" and fresh is not None and signature(fresh.path or "") == signature(entry.path):
                entry = fresh  # it was mapped, and would have been found otherwise
            needs.setdefault(entry.name, (entry.path or "", entry.how == "loaded"))
            cached = cached or entry.how == "cache"
            absent.update((tried, None) for tried, _ in entry.tried if not os.path.lexists(tried))
        before.append(path)
    if len(needs) > MAX_FILES or len(absent) > MAX_FILES:
        return None
    for at, (name, (path, mapped)) in enumerate(sorted(needs.items())):
        record["need{}".format(at)] = "\n".join((name, path, signature(path), "mapped" if mapped else "found"))
    record["absent"] = "\n".join(absent)
    record["cache"] = signature(_CACHE) if cached else ""
    record["mapped"] = " ".join(sorted({_mark(signature(path)) for path in view.loaded[1:]}))
    return record


def find_silent(record: dict[str, str]) -> str:
    """Return the mount point of a server that a replay would have to ask and that does not answer, "" for none.

    A ``stat`` below it hangs for ever (``search.reachable``). Whose script or packages lie on a server waits for that
    one anyway: it is not asked by a child each time.
    """
    from dlrepair.search import reachable

    served = reachable.network()
    if not served:
        return ""
    paths = [text for name, text in record.items() if name.endswith(".path") or name.startswith("path")]
    paths += [text.split("\n")[1] for name, text in record.items() if name.startswith("need") and "\n" in text]
    paths += record.get("absent", "").split("\n")
    relied = [one for one in (*sys.path, sys.prefix) if isinstance(one, str)]
    mounts, own = ({reachable.mount_of(one, served) for one in some} for some in (paths, relied))
    return next((place for place in sorted(mounts - own - {""}) if not reachable.answers(place)), "")


def find_change(record: dict[str, str]) -> str:
    """Return what differs from the record, "" when nothing does."""
    if record.get("around.environment") != environment():
        return "the environment has changed"
    needs: dict[str, tuple[str, bool]] = {}
    for at in range(MAX_FILES):
        text = record.get("need{}".format(at))
        if text is None:
            break
        parts = text.split("\n")
        if len(parts) != 4:
            return "the record makes no sense"
        name, path, seen, how = parts
        if signature(path) != seen:
            return "{}, which it needs, has changed".format(path)
        needs[name] = (seen, how == "mapped")
    for path in record.get("absent", "").split("\n"):
        if path and os.path.lexists(path):
            return "{} is there now, and would be loaded".format(path)
    if record.get("cache") and record["cache"] != signature(_CACHE):
        return "{} has changed".format(_CACHE)
    return _mapped_otherwise(record, needs)


def _mapped_otherwise(record: dict[str, str], needs: dict[str, tuple[str, bool]]) -> str:
    """Whether something is mapped that ld.so would take for one of ``needs``, or one that was mapped is missing."""
    from dlrepair.binary import process

    known = set(record.get("mapped", "").split())
    wanted = {seen for seen, mapped in needs.values() if mapped}
    for path in process.loaded_names()[1:]:
        seen = signature(path)
        wanted.discard(seen)
        if _mark(seen) in known:
            continue
        from dlrepair.search import soname

        for name in (os.path.basename(path), soname.read_soname(path)):
            if name in needs and needs[name][0] != seen:
                return "{} is mapped already, and is another {}".format(path, name)
    return "a library that it needs is not mapped here" if wanted else ""
