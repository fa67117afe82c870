"""``_cffi_backend.load_library``: ``ffi.dlopen``, which takes what ``_ctypes.dlopen`` takes and fails as it does.

cffi asks twice for one failure, by the name and by what ``find_library`` answers (cffi/api.py, _load_backend_lib).
"""

from __future__ import annotations

from dlrepair.hooks.ctypes_ import ask

__all__ = ["ask"]
