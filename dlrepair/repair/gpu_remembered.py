"""What was opened for TensorFlow's own loader the last time: opened again without a search, if nothing has changed.

Every process has to open the libraries itself, and a search with its trials takes most of a second.
"""

from __future__ import annotations

import os

from dlrepair import store, trust
from dlrepair.model.python import identity
from dlrepair.repair import surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView
    from dlrepair.repair.context import Context

#: bumped when records change their meaning
_FORMAT = "gpu-1"
#: libraries in a record, most
_MAX = 40


def _key(context: Context, package: str, names: Sequence[str]) -> str:
    return store.key_of(
        _FORMAT, package, " ".join(names), context.request.script, identity(),
        context.settings.cuda_libraries, " ".join(context.settings.search_roots),
    )  # fmt: skip


def recall(context: Context, package: str, names: Sequence[str]) -> list[str]:
    """Paths that served these names, in the order in which they were opened; none where anything is different now."""
    from dlrepair.search import vet

    key = _key(context, package, names)
    record = store.recall(key)
    if record is None or surroundings.find_silent(record):
        return []
    paths: list[str] = []
    for at in range(_MAX):
        path = record.get("path{}".format(at))
        if path is None:
            break
        changed = surroundings.signature(path) != record.get("signature{}".format(at))
        if changed or trust.check(path, context.request.script) or vet.is_excluded_path(path, context.settings):
            paths = []
            break
        paths.append(path)
    if not paths or surroundings.find_change(record):
        store.forget(key)
        return []
    return paths


def remember(context: Context, package: str, names: Sequence[str], opened: Sequence[str], before: ProcessView) -> None:
    """Keeps what was opened in the process as it was ``before``."""
    record = surroundings.describe(opened, before)
    if record is None or len(opened) > _MAX:
        return
    for at, path in enumerate(opened):
        record["path{}".format(at)] = os.path.abspath(path)
        record["signature{}".format(at)] = surroundings.signature(path)
    store.remember(_key(context, package, names), record)
