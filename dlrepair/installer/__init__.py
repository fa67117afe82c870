"""Puts the start-up hook into an environment, proves it, and takes it away byte for byte.

Two routes (PEP 829, ``site`` module): ``sitecustomize.py`` in site-packages where the
interpreter of that environment finds it first; else ``dlrepair.pth`` and
``dlrepair.start``, which import a module that carries the same code. Either way the
installed file holds stage 0 itself and names the directory of the package, so that it
is silent and harmless when the package is gone.
"""

from __future__ import annotations

from dlrepair.installer.environment import Environment, InstallError, inspect
from dlrepair.installer.operations import Result, Status, install, status, uninstall
from dlrepair.installer.places import find_home, find_template

__all__ = [
    "Environment",
    "InstallError",
    "Result",
    "Status",
    "find_home",
    "find_template",
    "inspect",
    "install",
    "status",
    "uninstall",
]
