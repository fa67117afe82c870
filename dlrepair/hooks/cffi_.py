"""``_cffi_backend.load_library``: ``ffi.dlopen``. cffi asks twice for one failure (FACTS: cffi/api.py)."""

from __future__ import annotations

from dlrepair.hooks import Ask
from dlrepair.hooks.ctypes_ import path_of, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request of a ``load_library(name, flags)`` that failed with OSError."""
    name = path_of(args[0]) if args else None
    if name is None or kwargs or not (error is None or isinstance(error, OSError)):
        return None
    mode = args[1] if len(args) > 1 and isinstance(args[1], int) else 2
    return Ask(
        state,
        loader,
        name,
        lambda path: native(path, *args[1:]),
        lambda why: OSError(reason(name, why)),
        error,
        refused,
        mode,
    )
