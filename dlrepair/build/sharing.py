"""The shared store: a directory, perhaps on a network file system, in which machines leave libraries for one another.

No lock is relied upon: a build appears by one rename of a directory that was written and synchronised before. What is
taken from it is checked for who could have written it, copied, and verified by the digests of the copy; it is used
from the private store only.
"""

from __future__ import annotations

import os

from dlrepair import store, trust
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.build.parts import Part


def _builds_of(shared: str) -> str:
    return os.path.join(shared, "builds")


def fetch(shared: str, key: str, script: str, emit: Callable[..., None]) -> dict[str, Any] | None:
    """The facts of a build that was copied into the private store; None where the shared one has none that is good."""
    source = os.path.join(_builds_of(shared), key)
    if not os.path.isdir(source):
        return None
    for path in (source, *[os.path.join(source, name) for name in sorted(os.listdir(source))]):
        clause = trust.check(path, script)
        if clause is not None:
            emit("trust-refused", path=path, reason=clause)
            return None
    there = builds.find(key, _builds_of(shared), verify=False)
    directory = builds.new_directory() if there is not None else None
    if there is None or directory is None:
        return None
    try:
        for name, held in there["files"].items():
            copy = os.path.join(directory, name)
            _copy(os.path.join(source, name), copy)
            if builds.digest_of(copy) != held["digest"]:
                emit("candidate", path=os.path.join(source, name), verdict="rejected", reason="digest-differs",
                     detail="its digest is not the one that its build.json states")  # fmt: skip
                return None
        facts = {name: value for name, value in there.items() if name not in ("v", "key", "files", "directory")}
        builds.publish(directory, key, facts)
        return builds.find(key)
    except OSError:
        return None
    finally:
        store.remove(directory)


def offer(shared: str, key: str, parts: Sequence[Part], emit: Callable[..., None]) -> None:
    """Leaves a copy of the library ``key`` in the shared store, with the manifests that lead to it. Never raises."""
    mine = builds.find(key)
    clause = trust.check(shared)
    if mine is None or clause is not None:
        if clause is not None:
            emit("trust-refused", path=shared, reason=clause)
        return
    part = _builds_of(shared)
    if builds.find(key, part, verify=False) is not None:
        return
    temporary = os.path.join(part, ".tmp-{}-{}-{}".format(builds.host(), os.getpid(), os.urandom(6).hex()))
    try:
        os.makedirs(temporary, 0o755)
        builds.sweep(part)  # what killed builders have left, here at once, of other machines after a day
        for name in mine["files"]:
            _copy(os.path.join(mine["directory"], name), os.path.join(temporary, name))
        facts = {name: value for name, value in mine.items() if name not in ("v", "key", "files", "directory")}
        builds.publish(temporary, key, facts, part)
        for one in parts:
            for known, first in zip(one.known, one.firsts):
                for manifest in builds.manifests(first):
                    if known is not None and _leads_to(first, manifest, known.key):
                        builds.add_manifest(first, known.key, manifest, shared)
    except OSError as error:
        emit("candidate", path=shared, verdict="rejected", reason="not-shared", detail=str(error))
    finally:
        store.remove(temporary)


def _leads_to(first: str, manifest: dict[str, Any], key: str) -> bool:
    from dlrepair.build import objects

    return objects.object_key(first, manifest) == key


def _copy(source: str, target: str) -> None:
    """Copies one file and has it written to the disk: readers on other machines see a rename only after that."""
    with open(source, "rb") as reader, open(target, "xb") as writer:
        while True:
            block = reader.read(1 << 20)
            if not block:
                break
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
