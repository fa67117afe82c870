"""Trees of files in the store: what came out of an archive, with the neighbours that it needs.

A tree is filled under a temporary name and gets its own, a digest of its contents, by one rename: who finds
it finds all of it. A writer that was killed leaves a temporary tree, which goes after an hour.
"""

from __future__ import annotations

import os
import time

from dlrepair import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

#: what all trees together may hold, bytes
MAX_BYTES = 2 * 1024 * 1024 * 1024
_PART = "extracted"
_ATTEMPTS = 5


def new_tree() -> str | None:
    """Path of a new private directory in the store, to be filled and then kept or dropped; None when there is none."""
    for _ in range(_ATTEMPTS):  # the store may be cleared between two steps
        base = store.root()
        if base is None:
            return None
        path = store.temporary_path(os.path.join(base, _PART, "tree"))
        try:
            store.make_directory(os.path.dirname(path))
            os.mkdir(path, 0o700)
            return path
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def keep_tree(path: str, digest: str, same: Callable[[str], bool]) -> str | None:
    """Where the tree filled at ``path`` lies from now on, named by its digest; None when it cannot be kept.

    ``same`` tells whether a tree that is there already holds what its name says; a damaged one is replaced.
    """
    part = os.path.dirname(path)
    final = os.path.join(part, digest)
    for _ in range(_ATTEMPTS):
        try:
            os.rename(path, final)
            tidy(part, final)
            return final
        except OSError:
            pass  # another process was faster, or an earlier run
        if same(final):
            drop_tree(path)
            store.touch(final)
            return final
        aside = store.temporary_path(final)
        try:
            os.rename(final, aside)  # it may be mapped somewhere: removing leaves that alone
        except OSError:
            continue
        store.remove(aside)
    drop_tree(path)
    return None


def drop_tree(path: str) -> None:
    """Remove a tree that is not to be kept."""
    store.remove(path)


def tidy(part: str, newest: str = "") -> tuple[int, int]:
    """(files, bytes) removed: trees that lost their writer, then the least recently kept beyond ``MAX_BYTES``."""
    files = total = held = 0
    now = time.time()
    trees = []
    try:
        names = os.listdir(part)
    except OSError:
        return 0, 0
    for name in names:
        path = os.path.join(part, name)
        try:
            changed = os.lstat(path).st_mtime
        except OSError:
            continue
        if name.startswith(".tmp-"):
            if now - changed > store.STALE:
                removed = store.remove(path)
                files, total = files + removed[0], total + removed[1]
            continue
        length = sum(_length(os.path.join(below, one)) for below, _, found in os.walk(path) for one in found)
        held += length
        trees.append((path == newest, changed, path, length))
    for _, _, path, length in sorted(trees):
        if held <= MAX_BYTES:
            break
        removed = store.remove(path)
        files, total, held = files + removed[0], total + removed[1], held - length
    return files, total


def _length(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
