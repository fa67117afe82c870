"""``_ctypes.dlopen``: ctypes in all its forms, numpy.ctypeslib's loads and torch.ops.load_library."""

from __future__ import annotations

import os

from dlrepair.hooks import Ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0


def path_of(value: object) -> str | None:
    """The name as text, or None where it names no file (None, an odd type, the empty name, a NUL in it)."""
    if value is None or isinstance(value, int):
        return None
    try:
        name = os.fsdecode(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not name or "\0" in name or len(name) > 4096:  # PATH_MAX, limits.h
        return None
    return name


def reason(name: str, refused: str) -> str:
    """What we say instead of ld.so, which would have been killed or blocked; its own style."""
    if refused == "fifo":
        return "{}: cannot read file data: Is a fifo, and opening it would wait for ever".format(name)
    return "{}: cannot read file data: file is truncated, and mapping it would end in SIGBUS".format(name)


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request of a ``dlopen(name, mode)`` that failed with OSError."""
    name = path_of(args[0]) if args else None
    if name is None or kwargs or not (error is None or isinstance(error, OSError)):
        return None
    mode = args[1] if len(args) > 1 and isinstance(args[1], int) else 2  # RTLD_NOW, dlopen(3)
    return Ask(
        state,
        loader,
        name,
        lambda path: native(path, *args[1:]),
        lambda why: OSError(reason(name, why)),
        error,
        refused,
        mode,
        op_loader=bool(state.opened),
    )
