"""dlrepair: shared libraries that fail to load are diagnosed, found, repaired and retried.

Importing this package imports nothing else: public names are resolved on first
use (PEP 562), because the hook lives in processes that never see a failure.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "diagnose", "disabled", "find", "install_hook", "loaders", "repair"]

import sys

_API = ("diagnose", "disabled", "find", "install_hook", "repair", "loaders")


class _Package(type(sys)):  # type: ignore[misc]
    """The package: the stages ``diagnose`` and ``repair`` do not take the place of the functions of that name.

    The import system sets every submodule as an attribute of its package (Lib/importlib/_bootstrap.py).
    """

    def __setattr__(self, name, value):  # type: ignore[no-untyped-def]
        if name not in ("diagnose", "repair"):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name):  # type: ignore[no-untyped-def]
    if name in _API:
        from dlrepair import api

        return getattr(api, name)
    raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
