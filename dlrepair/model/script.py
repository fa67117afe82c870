"""A project's own build script that may be run when dlrepair's own command cannot be made, or fails."""

from __future__ import annotations

from dlrepair.model.records import dataclass

#: kind -> how a person calls it
SCRIPT_KINDS = ("shell", "make", "configure", "cmake", "setup.py", "python")


@dataclass(frozen=True)
class Script:
    """One build script of a project, and whether its user has allowed it to run."""

    path: str
    kind: str  #: one of ``SCRIPT_KINDS``
    top: str  #: directory of the project: this is copied
    output: str  #: base name of the library that is wanted
    state: str = "none"  #: ``allowed``, ``changed``, ``refused`` or ``none`` (``dlrepair trust``)
    changed: tuple[str, ...] = ()  #: files that are not what they were when the script was allowed
    files: tuple[tuple[str, str], ...] = ()  #: (path, SHA-256) of the script and of all that it names
    named: bool = False  #: it names the library, or a recipe for it was read there
