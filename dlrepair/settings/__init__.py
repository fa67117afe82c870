"""The settings, with where each came from.

Lowest to highest: defaults; ``$XDG_CONFIG_HOME/dlrepair/config.toml``; the project's
``dlrepair.toml`` or ``[tool.dlrepair]`` in ``pyproject.toml``; the environment; flags.
A project file travels with other people's code: it can take permissions away,
never give any. Names are resolved on first use (PEP 562): the journal, which a start with a learned
environment writes to, needs ``dirs`` only.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.settings.held import Settings, load
    from dlrepair.settings.layers import CHOICES, DEFAULTS, INTERNAL_ENV, KEYS, nearest

__all__ = ["CHOICES", "DEFAULTS", "INTERNAL_ENV", "KEYS", "Settings", "load", "nearest"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
    from dlrepair.settings import held, layers

    found = globals()[name] = getattr(held if name in ("Settings", "load") else layers, name)
    return found
