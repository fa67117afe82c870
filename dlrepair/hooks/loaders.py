"""Teaching the hook another loader: public as ``dlrepair.loaders``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair._bootstrap import Stage0


def live_state() -> Stage0 | None:
    """Stage 0's state if the hook is live in this process, else None."""
    import _imp

    return getattr(_imp.create_dynamic, "__dlrepair__", None)


def register(module: str, *entries: str, loader: str | None = None) -> bool:
    """Whether ``entries`` of an extension module are covered from now on: functions that take a library's path first.

    ``module`` is the extension's full name; it is wrapped when it is imported, or now if it has
    been. ``loader`` is its name in the journal (default: the module's). False, and nothing done, where the hook
    is not live in this process, as with ``DLREPAIR=off``. Raises ``ValueError`` without entries.
    """
    if not entries:
        raise ValueError("name at least one entry of {} that opens a library".format(module))
    state = live_state()
    if state is None:
        return False
    from dlrepair import _entries

    _entries.catch_up(state)
    state.natives[module] = (loader or module, entries)
    state.names.add(module)
    if module in sys.modules:
        _entries.arm_module(state, sys.modules[module])
    return True
