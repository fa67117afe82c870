"""Python functions that search for a library themselves and give up before any loader is called."""

from __future__ import annotations

import os
import sys

from dlrepair.hooks import Ask
from dlrepair.hooks.ctypes_ import path_of, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request of ``ctypes.util.find_library`` (answered None) or ``numpy.ctypeslib.load_library``."""
    if loader == "find_library":
        name = path_of(args[0] if args else kwargs.get("name"))
        if name is None or "/" in name:
            return None
        # a missing name is a question, not a failure: only the path is handed back, nothing is loaded
        return Ask(state, loader, "lib{}.so".format(name), str, lambda why: OSError(reason(name, why)), error, refused)
    return _numpy(state, loader, args, kwargs, error)


def _numpy(state: Stage0, loader: str, args: Any, kwargs: Any, error: BaseException | None) -> Ask | None:
    """``load_library(libname, loader_path)`` that found no file with an expected extension."""
    name = path_of(args[0] if args else kwargs.get("libname"))
    where = path_of(args[1] if len(args) > 1 else kwargs.get("loader_path"))
    if name is None or where is None or str(error) != "no file with expected extension":
        return None
    folder = os.path.dirname(os.path.abspath(where)) if not os.path.isdir(where) else os.path.abspath(where)
    if not os.path.splitext(name)[1]:
        name += ".so"

    def retry(path: str) -> Any:
        return sys.modules["ctypes"].cdll[path]

    wanted = os.path.join(folder, name)
    return Ask(state, loader, wanted, retry, lambda why: OSError(reason(wanted, why)), error, None)
