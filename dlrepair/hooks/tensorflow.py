"""TensorFlow's C API: ``TF_LoadLibrary`` and its like, 1.15 to 2.21, and ``tf.load_library`` of a lost path.

TensorFlow's Python code looks the entry up at call time in every release, so one wrap covers
``tf.load_op_library``, ``tf.load_library``, ``tf.compat.v1`` and ``tf.contrib``.
"""

from __future__ import annotations

import sys

from dlrepair.hooks import Ask, _text
from dlrepair.hooks.ctypes_ import path_of, reason
from dlrepair.hooks.imports import is_loader_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0

#: tensorflow/python/framework/load_library.py, load_library()
LOST = "The file or folder to load kernel libraries from does not exist."


def _not_found(text: str) -> BaseException:
    """The error that TensorFlow raises for a failed load: NotFoundError, which is no OSError."""
    errors = sys.modules.get("tensorflow.python.framework.errors_impl")
    if errors is None:
        return OSError(text)
    return errors.NotFoundError(None, None, text)  # type: ignore[no-any-return]


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request, recognised by the loader's words: the exception's type differs between releases."""
    given = args[0] if args else kwargs.get("library_location")
    name = path_of(given)
    if name is None:
        return None
    if loader == "tensorflow-path":
        if LOST not in _text(error):
            return None
    elif kwargs or (error is not None and not _is_failed_load(error)):
        return None

    def retry(path: str) -> Any:
        result = native(path, *args[1:])
        state.opened.append(path)
        return result

    return Ask(
        state,
        "tensorflow",
        name,
        retry,
        lambda why: _not_found(reason(name, why)),
        error,
        refused,
        op_loader=True,
    )


def _is_failed_load(error: BaseException) -> bool:
    """A dlopen failure; a corrupt file may also surface as UnicodeDecodeError (FACTS-linker)."""
    if type(error).__name__ == "AlreadyExistsError":
        return False
    return is_loader_text(_text(error)) or isinstance(error, UnicodeDecodeError)


def registered_ops(state: Stage0) -> frozenset[str]:
    """Names of the ops that the libraries opened through TensorFlow have registered in this process.

    Asks TensorFlow itself: loading a library again by the very same name only gives its handle.
    """
    names: set[str] = set()
    for module_name, (loader, _) in state.natives.items():
        module = sys.modules.get(module_name)
        native = state.originals.get((module_name, "TF_LoadLibrary"))
        if loader != "tensorflow" or module is None or native is None or not hasattr(module, "TF_GetOpList"):
            continue
        for opened in tuple(state.opened):
            try:
                names.update(_op_names(module.TF_GetOpList(native(opened))))
            except Exception:  # opened through another entry: a plug-in without ops
                continue
    return frozenset(names)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at


def _op_names(data: bytes) -> list[str]:
    """``name`` of every ``OpDef`` in a serialised ``OpList`` (tensorflow/core/framework/op_def.proto).

    Both are field 1, length-delimited, and TensorFlow writes fields in order.
    """
    names, at = [], 0
    while at < len(data) and data[at] == 0x0A:
        size, at = _varint(data, at + 1)
        end = at + size
        if data[at] == 0x0A:
            length, start = _varint(data, at + 1)
            names.append(data[start : start + length].decode("utf-8", "replace"))
        at = end
    return names
