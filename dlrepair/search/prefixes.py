"""Other environments of this user and project: virtualenvs, pyenv's and conda's, and what package managers keep.

Their places are those that the tools document: virtualenvwrapper (``WORKON_HOME``), pipenv, poetry, hatch, pyenv
(``PYENV_ROOT``) and conda (``environments.txt``, ``CONDA_ENVS_PATH``, ``pkgs_dirs``). Another environment is a source
of a dependency of the very name, and of substitutes only if it has the same Python.
"""

from __future__ import annotations

import os
import sys

from dlrepair.search import reachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

#: environments and package directories looked at, most
MAX_PREFIXES = 64
MAX_PACKAGES = 4000

#: how people name environments beside their code
_NAMES = ("venv", ".venv", "env", ".env", "virtualenv", ".virtualenv")

#: below the home directory: directories that hold environments, and how many levels below them these lie
_COLLECTIONS = (
    (".virtualenvs", 1), (".venvs", 1), ("venvs", 1), ("virtualenvs", 1), ("envs", 1), (".local/share/virtualenvs", 1),
    (".cache/pypoetry/virtualenvs", 1), (".local/share/hatch/env/virtual", 3), (".pyenv/versions", 1),
    (".conda/envs", 1),
)  # fmt: skip

_CONDA_HOMES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "miniconda", "anaconda")
_CONDA_SYSTEM = ("/opt/conda", "/opt/miniconda3", "/opt/anaconda3", "/opt/miniforge3")


def is_prefix(directory: str) -> bool:
    """Tell whether a directory is an environment: a virtualenv (PEP 405), a conda one, or a Python of pyenv's."""
    marks = ("pyvenv.cfg", "conda-meta", "bin/python3")
    return any(os.path.exists(os.path.join(directory, mark)) for mark in marks)


def has_this_python(prefix: str) -> bool:
    """Tell whether an environment is one of this interpreter's version."""
    return os.path.isdir(os.path.join(prefix, "lib", "python{}.{}".format(*sys.version_info[:2])))


def site_directories(prefix: str) -> list[str]:
    """Return an environment's site-packages directories, this Python's first."""
    own = "python{}.{}".format(*sys.version_info[:2])
    names = [name for name in _listed(os.path.join(prefix, "lib")) if name.startswith("python")]
    names.sort(key=lambda name: name != own)
    places = [os.path.join(prefix, "lib", name, "site-packages") for name in names]
    return [place for place in places if os.path.isdir(place)]


def find_prefixes(
    met: Iterable[str], near: Iterable[str], skipped: Callable[[str], bool] | None = None
) -> list[str]:
    """Return other environments, nearest first: those met in the project, beside it, beside this one, the user's.

    ``near``: directories in which people keep an environment of their project. ``skipped`` is asked before anything
    about a place is: it may lie on a server that does not answer.
    """
    places = list(met)
    for directory in near:
        for name in _listed(directory):
            if name in _NAMES or name.startswith((".venv", "venv")):
                places.append(os.path.join(directory, name))
    if sys.prefix != sys.base_prefix or os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        parent = os.path.dirname(os.path.normpath(sys.prefix))
        places += [os.path.join(parent, name) for name in _listed(parent)]
    home = os.path.expanduser("~")
    collections = [(os.environ.get("WORKON_HOME", ""), 1)]
    pyenv = os.environ.get("PYENV_ROOT", "")
    collections += [(os.path.join(pyenv, "versions"), 1)] if pyenv else []
    collections += [(os.path.join(home, name), levels) for name, levels in _COLLECTIONS]
    for directory, levels in collections:
        places += _below(directory, levels) if os.path.isabs(directory) else []
    places += conda_environments()
    own = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    found: list[str] = []
    for place in places:
        if (skipped is not None and skipped(place)) or not reachable.answers(place):
            continue
        real = os.path.realpath(place)
        if real not in own and os.path.isdir(real) and is_prefix(place):
            own.add(real)
            found.append(place)
            if len(found) >= MAX_PREFIXES:
                break
    return found


def _listed(directory: str) -> list[str]:
    return reachable.listed(directory)


def _below(directory: str, levels: int) -> list[str]:
    found = [directory]
    for _ in range(levels):
        found = [os.path.join(one, name) for one in found for name in _listed(one)][: MAX_PREFIXES * 4]
    return found


def conda_roots() -> list[str]:
    """Return existing conda installations: the active one's, ``CONDA_EXE``'s, and those in the usual places."""
    places = [os.environ.get("MAMBA_ROOT_PREFIX", ""), os.environ.get("CONDA_ROOT", "")]
    for program in (os.environ.get("CONDA_EXE", ""), os.environ.get("MAMBA_EXE", "")):
        places.append(os.path.dirname(os.path.dirname(program)))
    for prefix in (os.environ.get("CONDA_PREFIX", ""), sys.prefix if _is_conda(sys.prefix) else ""):
        parent = os.path.dirname(prefix)
        places.append(os.path.dirname(parent) if os.path.basename(parent) == "envs" else prefix)
    home = os.path.expanduser("~")
    places += [os.path.join(home, name) for name in _CONDA_HOMES] + list(_CONDA_SYSTEM)
    found: list[str] = []
    for place in places:
        if os.path.isabs(place) and place not in found and reachable.is_directory(place):
            found.append(place)
    return found


def _is_conda(prefix: str) -> bool:
    return os.path.isdir(os.path.join(prefix, "conda-meta"))


def conda_environments() -> list[str]:
    """Return conda's environments: those of its roots, of ``CONDA_ENVS_PATH``, and those it has written down."""
    found = []
    for root in conda_roots():
        found += [root] + [os.path.join(root, "envs", name) for name in _listed(os.path.join(root, "envs"))]
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        for directory in os.environ.get(variable, "").split(os.pathsep):
            found += [os.path.join(directory, name) for name in _listed(directory)] if os.path.isabs(directory) else []
    try:
        with open(os.path.join(os.path.expanduser("~"), ".conda", "environments.txt"), "rb") as stream:
            found += [line.strip() for line in os.fsdecode(stream.read(1 << 16)).splitlines()]
    except OSError:
        pass
    return [place for place in found if os.path.isabs(place)]


def conda_packages() -> Iterator[str]:
    """Yield the ``lib`` directories of the packages that conda has unpacked: ``pkgs/<name-version-build>/lib``."""
    places = []
    for variable in ("CONDA_PKGS_DIRS",):
        places += os.environ.get(variable, "").replace(",", os.pathsep).split(os.pathsep)
    places += [os.path.join(root, "pkgs") for root in conda_roots()]
    places.append(os.path.join(os.path.expanduser("~"), ".conda", "pkgs"))
    for place in dict.fromkeys(places):
        if os.path.isabs(place):
            for name in _listed(place)[:MAX_PACKAGES]:
                yield os.path.join(place, name, "lib")
