"""One JSON document for machines: keys as the data model names them, in a stable order."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["document", "plain", "write"]

_DEPTH = 50


def plain(value: object, depth: int = 0) -> object:
    """``value`` in terms of JSON: dataclasses as objects, tuples and sets as arrays, bytes as file-system names.

    Sets are sorted. What JSON cannot say (NaN, other types) becomes null or the type's name.
    """
    if depth > _DEPTH:
        return None
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        finite = value == value and value not in (float("inf"), float("-inf"))
        return float(value) if finite else None
    if isinstance(value, (bytes, bytearray)):
        return os.fsdecode(bytes(value))
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: plain(getattr(value, name), depth + 1) for name in fields}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item, depth + 1) for item in sorted(value, key=str)]
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, os.PathLike):
        return os.fsdecode(os.fspath(value))
    return "<{}>".format(type(value).__name__)


def document(value: object) -> str:
    """``value`` as one indented JSON document in ASCII with a final newline; lone surrogates stay ``\\udcXX``."""
    import json

    return json.dumps(plain(value), indent=2, allow_nan=False) + "\n"


def write(value: object, stream: TextIO) -> None:
    """Write ``document(value)`` to ``stream``; raises OSError as ``stream`` does."""
    stream.write(document(value))
    stream.flush()
