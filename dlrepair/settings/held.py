"""``Settings``, and how they are read: inside a failing load, hence no TOML parser before a file has something."""

from __future__ import annotations

import os

from dlrepair.settings import dirs
from dlrepair.settings.files import basic_check
from dlrepair.settings.layers import DEFAULTS, KEYS, Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping


class Settings:
    """Read-only values of all settings; ``provenance`` tells where each came from, ``problems`` what was ignored."""

    __slots__ = (*KEYS, "files", "problems", "project_root", "provenance")

    mode: str
    rebuild: str
    reexec: str
    cuda_libraries: str  #: which of two copies of NVIDIA's libraries goes first: ``wheel`` or ``system``
    twins: str  #: whether a build for another device may stand for the wanted one: ``accept`` or ``refuse``
    search_roots: tuple[str, ...]  #: absolute paths
    exclude: tuple[str, ...]  #: absolute paths, and patterns of file or directory names (those without a slash)
    budget_ms: int  #: search time of one failing load, milliseconds
    optional: str
    verbosity: str
    store: str  #: absolute path, or "" for the default
    shared_store: str
    provenance: dict[str, str]  #: key -> "default", "config FILE", "project FILE", "environment NAME" or "flag --name"
    problems: tuple[str, ...]
    project_root: str  #: directory of the project's settings file, or ""
    files: tuple[str, ...]  #: settings files that were read

    def __init__(self, **values: Any) -> None:
        for name in Settings.__slots__:
            object.__setattr__(self, name, values.pop(name, DEFAULTS.get(name)))
        if values:
            raise TypeError("no such settings: {}".format(", ".join(sorted(values))))
        for name, empty in (("provenance", {}), ("problems", ()), ("project_root", ""), ("files", ())):
            if getattr(self, name) is None:
                object.__setattr__(self, name, empty)
        self.provenance.update({key: "default" for key in KEYS if key not in self.provenance})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("settings are read-only")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("settings are read-only")

    def __repr__(self) -> str:
        return "Settings({})".format(", ".join("{}={!r}".format(key, getattr(self, key)) for key in KEYS))

    def replace(self, **values: Any) -> Settings:
        """A copy with some values changed."""
        kept = {name: getattr(self, name) for name in Settings.__slots__}
        kept["provenance"] = dict(self.provenance)
        kept.update(values)
        return Settings(**kept)


def load(
    start_dir: str | None = None,
    flags: Mapping[str, Any] | None = None,
    check: Callable[[str], str | None] | None = None,
) -> Settings:
    """The settings for a program whose files lie in ``start_dir`` (default: the current directory).

    ``flags``: values from the command line, keyed like the settings; None means not given.
    ``check`` decides on the project's file (``trust.check``: None, or why not); without
    it, the file must belong to root or the effective user and not be writable by the world.
    Never raises for what it reads: see ``Settings.problems``.
    """
    layers = Layers()
    base = dirs.config_home()
    if base:
        layers.config(os.path.join(base, "dlrepair", "config.toml"))
    try:
        start = os.path.abspath(start_dir if start_dir is not None else os.getcwd())
    except (OSError, ValueError):
        start = ""
    if start:
        layers.project(start, check or basic_check)
    layers.environment(os.environ)
    for key, given in (flags or {}).items():
        if given is not None:
            layers.set(key, given, "flag --" + key.replace("_", "-"))
    return Settings(
        provenance=layers.provenance,
        problems=tuple(layers.problems),
        project_root=layers.project_root,
        files=tuple(layers.read),
        **layers.values,
    )
