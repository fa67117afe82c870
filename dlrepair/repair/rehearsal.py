"""A repair that is tried where no program waits for it: the command line's, and after a program has ended."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.binary.process import ProcessView
    from dlrepair.model.requests import LoadRequest


class Rehearsal:
    """Stands in for the hook's request: every load happens in a child process."""

    def __init__(self, request: LoadRequest, view: ProcessView, preview: bool = False) -> None:
        self._view = view
        self.requested = request.requested
        self.op_loader = request.op_loader
        self.loader = request.loader
        self.state = _NoState()
        self._before: list[str] = []
        self._promoted: list[str] = []
        self.script = ""  #: the program that is to have what only a new process helps with
        self.preview = preview  #: nothing is built: the answer is what would be
        self.assumed: set[str] = set()  #: what would have been built

    def dlopen(self, path: str, mode: int) -> int:
        (self._promoted if mode & os.RTLD_GLOBAL else self._before).append(path)
        return 0

    def retry(self, path: str) -> str:
        from dlrepair.search import tensorflow, trial

        if path in self.assumed:
            return path
        mapped = tensorflow.mapped_libraries(self._view)
        first = [one for one in mapped if os.path.basename(one).startswith("libtensorflow_framework.so")]
        result = trial.run([*self._before, path], global_first=[*first, *self._view.promoted, *self._promoted])
        if not result.ok:
            raise OSError(result.detail)
        return path

    def registered_ops(self) -> frozenset[str]:
        return frozenset()


class _NoState:
    opened: tuple[str, ...] = ()
