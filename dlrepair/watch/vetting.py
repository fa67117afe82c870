"""Whether a new build may be published: before anything is started with it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.built import BuildResult


def problem(wanted: str, result: BuildResult) -> str:
    """What speaks against the library that was built, in a sentence; "" where its symbols and versions resolve.

    Looked at is a process of this environment, with TensorFlow's libraries for an op. The trial in a child process is
    left to the load itself, which knows the process that the library enters.
    """
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.requests import LoadRequest
    from dlrepair.search import tensorflow, vet

    here = os.path.dirname(wanted)
    loader = "tensorflow" if result.ops else "ctypes"
    view = process.ProcessView.current()
    if result.ops:
        libraries, promoted = tensorflow.find_installed(sys.path)
        view = view.with_libraries(libraries, promoted) if libraries else view
    verdict = vet.vet(
        Candidate(result.path, "store"),
        Wanted(os.path.basename(wanted), "substitute", wanted, loader, bool(result.ops)),
        LoadRequest(loader, wanted, here, here, "", None, 0, "", "", bool(result.ops)),
        settings=engine.settings_for("", here), process=view, trial=False,
    )  # fmt: skip
    return "" if verdict.accepted else verdict.detail or verdict.reason
