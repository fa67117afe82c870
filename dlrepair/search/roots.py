"""Directories from which a search starts: who asked, where the project begins, where nothing is ever walked."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.model.requests import LoadRequest

#: What marks the top of a project. A README lies in subdirectories too, so the first group wins.
_STRONG = (".git", ".hg", "setup.py", "pyproject.toml", "WORKSPACE", "WORKSPACE.bazel", "MODULE.bazel", "dlrepair.toml")
_WEAK = ("requirements.txt", "README.md", "README", "README.rst", "README.txt")

#: Never walked and never a project: everybody's directories, and those that hold a whole system.
_NEVER = frozenset(
    ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/proc", "/sys", "/run", "/home", "/root", "/usr", "/usr/lib",
     "/usr/lib64", "/usr/local", "/usr/local/lib", "/usr/share", "/lib", "/lib64", "/opt", "/var", "/etc", "/mnt",
     "/media", "/srv", "/data", "/content", "/scratch", "/nfs", "/Users")
)  # fmt: skip

#: of these, directories in which people and containers keep a project's files without a directory of its own
_WORK_PLACES = frozenset(("/root", "/opt", "/mnt", "/srv", "/data", "/content", "/scratch"))

_MAX_PARENTS = 12


def home() -> str:
    """Return the user's home directory as a normalised path, "" where there is none."""
    path = os.path.expanduser("~")
    return os.path.normpath(path) if os.path.isabs(path) else ""


def never_walked(directory: str) -> bool:
    """Tell whether a directory is too wide to be searched: /, /tmp, a home directory or what lies above it."""
    real = os.path.realpath(directory)
    own = home()
    return real in _NEVER or (bool(own) and (own + "/").startswith(real.rstrip("/") + "/"))


def linked_directory(root: str, path: str, followed: set[tuple[int, int]], avoided: Callable[[str], bool]) -> str:
    """Return ``path`` if it links to a directory outside ``root`` that is not followed yet and not too wide, else "".

    ``avoided`` is asked about the target before anything else is: it may lie on a server that does not answer.
    """
    try:
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        if avoided(target):
            return ""
        status = os.stat(path)
        if status.st_mode & 0o170000 != 0o040000 or (status.st_dev, status.st_ino) in followed:
            return ""
        followed.add((status.st_dev, status.st_ino))
        real = os.path.realpath(path)
    except (OSError, ValueError):
        return ""
    inside = (real + "/").startswith(os.path.realpath(root) + "/")
    return "" if inside or never_walked(real) or (root + "/").startswith(real + "/") else path


def belongs_to_all(directory: str) -> bool:
    """Tell whether a directory is the system's or everybody's: even ``build`` in it is nobody's build directory.

    A home directory or a container's work directory is too wide to be walked, but scripts do lie in it.
    """
    real = os.path.realpath(directory)
    return real in _NEVER and real not in _WORK_PLACES and real != home()


def directory_of(path: str) -> str:
    """Return the directory of an existing source file, "" of ``<stdin>`` and the like."""
    if not path or path.startswith("<"):
        return ""
    directory = os.path.dirname(os.path.abspath(path))
    return directory if os.path.isdir(directory) else ""


def project_root(directory: str) -> str | None:
    """Return the project's top directory at or above ``directory``, or None.

    Nearest of .git, setup.py, pyproject.toml, WORKSPACE; without any, the nearest requirements.txt or
    README. The search ends below the home directory, / and /tmp. Inside site-packages the project
    is the distribution's own package directory.
    """
    package = installed_package(directory)
    if package:
        return package
    weak = None
    current = os.path.normpath(directory)
    for _ in range(_MAX_PARENTS):
        if never_walked(current):
            break
        if any(os.path.lexists(os.path.join(current, mark)) for mark in _STRONG):
            return current
        if weak is None and any(os.path.lexists(os.path.join(current, mark)) for mark in _WEAK):
            weak = current
        parent = os.path.dirname(current)
        if parent == current:
            break
        current = parent
    return weak


def installed_package(directory: str) -> str | None:
    """Return the top-level package directory if ``directory`` lies in site-packages or dist-packages."""
    parts = os.path.normpath(directory).split("/")
    for at in range(len(parts) - 1, 0, -1):
        if parts[at] in ("site-packages", "dist-packages"):
            return "/".join(parts[: at + 2]) if at + 1 < len(parts) else None
    return None


def parents_up_to(directory: str, top: str | None) -> list[str]:
    """Return ``directory`` and its parents up to ``top``; only itself when ``top`` is not above it."""
    found = [directory]
    if not top or not (directory + "/").startswith(top.rstrip("/") + "/"):
        return found
    while found[-1] != top and len(found) < _MAX_PARENTS:
        found.append(os.path.dirname(found[-1]))
    return found


def anchors(request: LoadRequest) -> list[tuple[str, str]]:
    """Return (directory, what it is) pairs, nearest first and each once: the roots under which names are tried.

    The caller's directory and its parents up to the project's top, the script's likewise, the
    working directory of the call and of the interpreter's start.
    """
    found: list[tuple[str, str]] = []
    seen: set[str] = set()

    def add(directory: str, label: str) -> None:
        directory = os.path.normpath(directory) if directory else ""
        if directory and directory not in seen and os.path.isdir(directory):
            seen.add(directory)
            found.append((directory, label))

    for label, start in (("caller", directory_of(request.caller.file if request.caller else "")),
                         ("script", directory_of(request.script))):  # fmt: skip
        if start:
            for at, directory in enumerate(parents_up_to(start, project_root(start))):
                add(directory, label if at == 0 else "project")
    for directory in (request.cwd, request.start_cwd):
        if directory and os.path.isabs(directory):
            add(directory, "cwd")
            top = project_root(directory)
            if top:
                add(top, "project")
    return found


def walk_roots(request: LoadRequest) -> list[str]:
    """Return the directories to be walked in depth, nearest first; none lies inside another one."""
    found: list[str] = []
    own = [directory_of(request.caller.file if request.caller else ""), directory_of(request.script)]
    for start in own + [request.cwd, request.start_cwd]:
        if not start or not os.path.isabs(start):
            continue
        start = os.path.normpath(start)
        top = project_root(start)
        if top is None and start in own:
            top = start  # a script outside any project: its own directory is all that belongs to it
        if top and not never_walked(top) and not any((top + "/").startswith(other + "/") for other in found):
            found.append(top)
    return found


def tails(requested: str) -> list[str]:
    """Return the requested path's endings, longest first: of ``/a/lib/x.so`` that, ``lib/x.so`` and ``x.so``."""
    parts = [part for part in requested.split("/") if part not in ("", ".", "..", "~")][-8:]
    return ["/".join(parts[at:]) for at in range(len(parts))]


def is_excluded(path: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether shell patterns name ``path`` or a directory above it.

    A pattern with a slash is matched against the whole path and every directory above; one without, against
    each component.
    """
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    parts = path.split("/")
    above = ["/".join(parts[:at]) or "/" for at in range(1, len(parts) + 1)]
    for pattern in patterns:
        if "/" in pattern:
            wide = os.path.expanduser(pattern).rstrip("/") or "/"
            if any(fnmatchcase(one, wide) for one in above):
                return True
        elif any(fnmatchcase(part, pattern) for part in parts if part):
            return True
    return False
