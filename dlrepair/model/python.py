"""Which interpreter this is, for the keys of what is remembered."""

from __future__ import annotations

import os
import sys


def identity() -> str:
    """The same text for ``python``, ``python3`` and ``python3.11`` of one environment, which are one interpreter."""
    words = (os.path.dirname(sys.executable or ""), sys.prefix, getattr(sys, "abiflags", ""), sys.version)
    return "\0".join(words)
