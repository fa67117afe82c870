"""Loaders that a user has taught us (``dlrepair.loaders.register``): the path is the first argument."""

from __future__ import annotations

from dlrepair.hooks import Ask, _text
from dlrepair.hooks.ctypes_ import path_of, reason
from dlrepair.hooks.imports import is_loader_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request, recognised by a dynamic loader's words in the exception, whatever its type."""
    name = path_of(args[0]) if args else None
    if name is None or (error is not None and not is_loader_text(_text(error))):
        return None
    return Ask(
        state,
        loader,
        name,
        lambda path: native(path, *args[1:], **kwargs),
        lambda why: OSError(reason(name, why)),
        error,
        refused,
    )
