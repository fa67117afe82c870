"""The sources beyond the project: this Python's packages, other environments, tool caches, toolkits, the system.

Each is one generator function of a ``Far`` that yields (path, name rule, source, step). None walks: directories that
a tool lays out are asked for names, package lists are read. ``sources`` has their order.
"""

from __future__ import annotations

import os

from dlrepair.search import environment
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, Sequence

    from dlrepair.search.environment import Found
    from dlrepair.search.names import Names
    from dlrepair.search.walk import Reader

#: directories of one source in which versions of a name are looked for, most: that means listing them
_MAX_LISTED = 24

#: levels of a Bazel ``bin`` directory that are walked
_BAZEL_DEPTH = 6


class Far:
    """What these sources are asked for."""

    def __init__(self, names: Names, reader: Reader, requested: str, role: str, near: Sequence[str]) -> None:
        self.names = names
        self.reader = reader
        self.requested = requested
        self.role = role
        self.near = near  #: directories of the caller, the script and the project

    def in_directories(self, places: Iterable[str], source: str, step: int = 0) -> Iterator[Found]:
        """Yield what bears a plain name in these directories; in the first ones, other versions of it as well."""
        names = self.names.plain()
        for at, directory in enumerate(places):
            if self.reader.expired():
                return
            for name, rule in names:
                path = os.path.join(directory, name)
                if os.path.lexists(path):
                    yield path, rule, source, step + min(at, 19)
            if not self.names.exact and at < _MAX_LISTED:
                for path, rule in environment.ladder(directory, self.names):
                    yield path, rule, source, step + min(at, 19)


def in_site_packages(far: Far) -> Iterator[Found]:
    """Yield files of this Python's site-packages."""
    for site in environment.site_packages():
        if far.reader.expired():
            return
        yield from environment.in_site(site, far.names, far.reader, far.requested, "site-packages")


def in_library_path(far: Far) -> Iterator[Found]:
    """Yield files in the library path that this process started with, and in Python's and conda's prefixes."""
    return far.in_directories(environment.library_directories(), "environment")


def in_other_environments(far: Far) -> Iterator[Found]:
    """Yield files of other virtualenvs and conda environments: for substitutes only where the Python is the same."""
    from dlrepair.search import prefixes

    passed: list[str] = []
    met = [place for place in far.reader.environments if prefixes.is_prefix(place)]
    for at, prefix in enumerate(prefixes.find_prefixes(met, far.near, far.reader.is_remote)):
        if far.reader.expired():
            return
        if far.role != "dependency" and not prefixes.has_this_python(prefix):
            passed.append(prefix)
            continue
        step = min(at, 9)
        for path, rule, source, _ in far.in_directories([os.path.join(prefix, "lib")], "other-environment"):
            yield path, rule, source, step
        for site in prefixes.site_directories(prefix):
            for path, rule, source, _ in environment.in_site(
                site, far.names, far.reader, far.requested, "other-environment"
            ):
                if naming.is_plain(rule):
                    yield path, rule, source, step
    if passed:
        many = " and {} more".format(len(passed) - 1) if len(passed) > 1 else ""
        far.reader.notes.append((passed[0], "another Python's environment{}: dependencies only".format(many)))


def in_tool_caches(far: Far) -> Iterator[Found]:
    """Yield files that torch, dnnlib, Bazel, Triton and uv have built or unpacked."""
    from dlrepair.search import caches, roots

    yield from far.in_directories(caches.torch_extensions(), "tool-cache")
    yield from far.in_directories(caches.dnnlib_caches(), "tool-cache", 1)
    for place in caches.bazel_outputs(far.near):
        for tail in roots.tails(far.requested):
            below = os.path.dirname(tail)
            yield from far.in_directories([os.path.join(place, below)], "tool-cache", 2)
        for path, rule, level in far.reader.walk(place, _BAZEL_DEPTH):
            yield path, rule, "tool-cache", 3 + level
    for path in caches.triton_files(far.requested):
        if os.path.lexists(path):
            yield path, "exact", "tool-cache", 10
    for wheel in caches.unpacked_wheels():
        if far.reader.expired():
            return
        for path, rule, source, _ in environment.in_site(wheel, far.names, far.reader, far.requested, "tool-cache"):
            if naming.is_plain(rule):
                yield path, rule, source, 12


def in_conda(far: Far) -> Iterator[Found]:
    """Yield files of the packages that conda has unpacked."""
    from dlrepair.search import prefixes

    return far.in_directories(prefixes.conda_packages(), "conda")


def in_cuda(far: Far) -> Iterator[Found]:
    """Yield files of CUDA toolkits."""
    return far.in_directories(environment.cuda_directories(), "cuda")


def in_login_paths(far: Far) -> Iterator[Found]:
    """Yield files where login shells, module files and variables such as EBROOTFOO say that libraries lie."""
    from dlrepair.search import loginpaths

    for step, places in enumerate((loginpaths.from_variables, loginpaths.from_login_shells, loginpaths.from_modules)):
        if not far.reader.expired():
            yield from far.in_directories(places(), "login-path", step)


def in_system(far: Far) -> Iterator[Found]:
    """Yield files that ld.so.cache lists, and those in directories that it would list after ``ldconfig``."""
    for path, rule in environment.cached_libraries(far.names):
        yield path, rule, "system", 0
    yield from far.in_directories(environment.configured_directories(), "system", 1)

