"""Caches of build tools and package managers: where a library that was built once may still lie.

Their layouts are the tools' own: torch's ``cpp_extension`` (``TORCH_EXTENSIONS_DIR``, ``py311_cu121`` above the
extension), Bazel's output base (the MD5 of the workspace's path), pip's wheel cache and uv's ``archive-v0``. Triton's
launchers have names that say nothing: only the whole hashed path leads to one.
"""

from __future__ import annotations

import os
import sys

from dlrepair.search import reachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

#: entries of one cache that are looked at, most
MAX_ENTRIES = 2000

#: entries of wheel caches that are files, or the sources of what was built; a version between them has dots as well
_NO_LEVELS = (".whl", ".http", ".rev", ".msgpack", ".lock", ".json", "/src")

#: what marks the top of a Bazel workspace
_WORKSPACE = ("WORKSPACE", "WORKSPACE.bazel", "MODULE.bazel")


def cache_home() -> str:
    """Return the user's cache directory, "" without one (XDG base directories)."""
    place = os.environ.get("XDG_CACHE_HOME", "")
    return place if os.path.isabs(place) else os.path.join(os.path.expanduser("~"), ".cache")


def _listed(directory: str) -> list[str]:
    return reachable.listed(directory)[:MAX_ENTRIES]


def torch_extensions() -> Iterator[str]:
    """Yield the directories of extensions that torch has built for this Python."""
    own = "py{}{}_".format(*sys.version_info[:2])
    for root in (os.environ.get("TORCH_EXTENSIONS_DIR", ""), os.path.join(cache_home(), "torch_extensions")):
        for name in _listed(root) if os.path.isabs(root) else []:
            below = os.path.join(root, name)
            if name.startswith(own):
                for extension in _listed(below):
                    yield os.path.join(below, extension)
            elif not (name.startswith("py") and "_" in name):  # another Python's
                yield below


def dnnlib_caches() -> Iterator[str]:
    """Yield the directories in which StyleGAN's dnnlib keeps what it has downloaded or compiled."""
    for root in (os.environ.get("DNNLIB_CACHE_DIR", ""), os.path.join(cache_home(), "dnnlib")):
        if os.path.isabs(root) and reachable.answers(root):
            yield root
            for name in _listed(root):
                yield os.path.join(root, name)


def bazel_outputs(workspaces: Iterable[str]) -> Iterator[str]:
    """Yield the ``bin`` directories of workspaces built by Bazel, for where the ``bazel-bin`` link is gone.

    ``<cache>/bazel/_bazel_<user>/<MD5 of the workspace's path>/execroot/<name>/bazel-out/<configuration>/bin``.
    """
    roots = [os.environ.get("TEST_TMPDIR", ""), os.path.join(cache_home(), "bazel")]
    for workspace in workspaces:
        if not any(os.path.exists(os.path.join(workspace, mark)) for mark in _WORKSPACE):
            continue
        hashed = _md5(os.fsencode(os.path.realpath(workspace)))
        for root in roots:
            for user in _listed(root) if os.path.isabs(root) and hashed else []:
                execroot = os.path.join(root, user, hashed, "execroot")
                for name in _listed(execroot) if user.startswith("_bazel_") else []:
                    for configuration in _listed(os.path.join(execroot, name, "bazel-out")):
                        yield os.path.join(execroot, name, "bazel-out", configuration, "bin")


def _md5(data: bytes) -> str:
    try:
        from _md5 import md5  # type: ignore[import-not-found]  # hashlib would load OpenSSL
    except ImportError:
        return ""
    return str(md5(data).hexdigest())


def triton_files(requested: str) -> Iterator[str]:
    """Yield the file of Triton's cache that the request's last two parts name: hash and file."""
    tail = "/".join(requested.split("/")[-2:])
    if tail.count("/") == 1 and len(tail.split("/")[0]) >= 32:
        for root in (os.environ.get("TRITON_CACHE_DIR", ""), os.path.join(os.path.expanduser("~"), ".triton", "cache")):
            if os.path.isabs(root) and reachable.answers(root):
                yield os.path.join(root, tail)


def cached_wheels() -> Iterator[str]:
    """Yield wheels that pip has built and kept, and those in uv's cache of built distributions."""
    roots = [(os.environ.get("PIP_CACHE_DIR", "") or os.path.join(cache_home(), "pip"), "wheels", 5)]
    uv = os.environ.get("UV_CACHE_DIR", "") or os.path.join(cache_home(), "uv")
    roots += [(uv, name, 6) for name in _listed(uv) if name.startswith(("sdists-v", "built-wheels-v"))]
    for root, name, depth in roots:
        level = [os.path.join(root, name)] if os.path.isabs(root) else []
        for _ in range(depth):
            names = [os.path.join(one, below) for one in level for below in _listed(one)][:MAX_ENTRIES]
            yield from (one for one in names if one.endswith(".whl") and os.path.isfile(one))
            level = [one for one in names if not one.endswith(_NO_LEVELS) and "/." not in one[len(root) :]]


def unpacked_wheels() -> Iterator[str]:
    """Yield the directories of uv's ``archive-v0``: one wheel each, laid out as in site-packages."""
    uv = os.environ.get("UV_CACHE_DIR", "") or os.path.join(cache_home(), "uv")
    for name in _listed(uv) if os.path.isabs(uv) else []:
        if name.startswith("archive-v"):
            for below in _listed(os.path.join(uv, name)):
                yield os.path.join(uv, name, below)
