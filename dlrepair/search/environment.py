"""Files of this Python's environment and of the system that bear the wanted name.

Site-packages are not walked: each wheel's RECORD (PEP 376) lists its files, and reading those lists takes
a fraction of the time. System directories are asked for names, not listed; ld.so.cache is read as
glibc's ``elf/cache.c`` lays it out: a table of strings in which names and paths end in NUL.
"""

from __future__ import annotations

import os
import sys

from dlrepair.search import reachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Tuple

    from dlrepair.search.names import Names
    from dlrepair.search.walk import Reader

    #: (path, name rule, source, steps within the source)
    Found = Tuple[str, str, str, int]

#: where CUDA toolkits are installed, one directory a version
CUDA_PARENTS = ("/usr/local", "/opt", "/opt/nvidia/hpc_sdk/Linux_x86_64/cuda")

_LD_CACHE = "/etc/ld.so.cache"
_MAX_RECORD = 16 << 20


def site_packages() -> list[str]:
    """Return this interpreter's existing site-packages and dist-packages directories, in ``sys.path`` order."""
    found: list[str] = []
    for entry in list(sys.path):
        if isinstance(entry, str) and entry.rstrip("/").endswith(("site-packages", "dist-packages")):
            entry = os.path.abspath(entry)
            if entry not in found:
                found.append(entry)
    return found


def in_site(site: str, names: Names, reader: Reader, requested: str, source: str) -> Iterator[Found]:
    """Yield the files of one site-packages directory that match: (path, rule, ``source``, step)."""
    from dlrepair.search import roots

    def _listed(directory: str, step: int) -> Iterator[Found]:
        listing = reader.listing(directory)
        for name, rule in sorted(listing.matches) if listing is not None else ():
            yield os.path.join(directory, name), rule, source, step

    for at, tail in enumerate(roots.tails(requested)):
        below = os.path.dirname(tail)
        if below and at < 7:
            yield from _listed(os.path.join(site, below), 0)
    try:
        top = sorted(os.listdir(site))
    except OSError:
        return
    for name in top:
        if name.endswith(".libs"):
            yield from _listed(os.path.join(site, name), 1)
    try:
        nvidia = sorted(os.listdir(os.path.join(site, "nvidia"))) if "nvidia" in top else []
    except OSError:
        nvidia = []
    places = [os.path.join(site, "nvidia", name, "lib") for name in nvidia]
    places += [os.path.join(site, "torch", "lib")] if "torch" in top else []
    places += [os.path.join(site, name) for name in ("tensorflow", "tensorflow_core") if name in top]
    for place in places:
        yield from _listed(place, 2)
    for name in top:
        if reader.expired():
            return
        if name.endswith(".dist-info"):
            for path, rule in recorded_libraries(site, name, names):
                yield path, rule, source, 3
    for name in top:
        # What no RECORD knows: eggs, editable links, what somebody copied there. One level only.
        if "." not in name and name not in ("__pycache__", "bin") and not reader.expired():
            yield from _listed(os.path.join(site, name), 4)


def recorded_libraries(site: str, info: str, names: Names) -> list[tuple[str, str]]:
    """Return (path, rule) of the files in one wheel's RECORD that match; empty where there is no RECORD."""
    try:
        with open(os.path.join(site, info, "RECORD"), "rb") as stream:
            data = stream.read(_MAX_RECORD)
    except OSError:
        return []
    found: list[tuple[str, str]] = []
    at = data.find(b".so")
    while at >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at)
        line = data[start : end if end >= 0 else len(data)].decode("utf-8", "surrogateescape")
        path = line[1:].split('"')[0] if line.startswith('"') else line.split(",")[0]
        rule = names.match(path.rsplit("/", 1)[-1])
        if rule is not None:
            found.append((os.path.normpath(os.path.join(site, path)), rule))
        at = data.find(b".so", end) if end >= 0 else -1
    return sorted(found)


def library_directories() -> list[str]:
    """Return existing directories of libraries: LD_LIBRARY_PATH at start, LIBRARY_PATH, Python's and conda's prefix."""
    from dlrepair.binary import process

    found: list[str] = []
    places = process.start_env("LD_LIBRARY_PATH").replace(";", ":").split(":")
    places += process.start_env("LIBRARY_PATH").split(":")
    prefixes = [sys.prefix, sys.base_prefix, process.start_env("CONDA_PREFIX")]
    places += [os.path.join(prefix, "lib") for prefix in prefixes if prefix]
    places += ["/usr/local/lib", "/usr/lib/wsl/lib", "/usr/lib64-nvidia"]
    for place in places:
        if os.path.isabs(place):
            place = os.path.normpath(place)
            if place not in found and reachable.is_directory(place):
                found.append(place)
    return found


def cuda_directories() -> list[str]:
    """Return the library directories of installed CUDA toolkits, newest first, without their ``stubs``."""
    from dlrepair.binary import process

    names = ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDADIR", "CUDNN_PATH", "EBROOTCUDA", "NVHPC_CUDA_HOME")
    homes = [process.start_env(name) for name in names]
    for parent in CUDA_PARENTS:
        homes += [os.path.join(parent, name) for name in reversed(reachable.listed(parent)) if "cuda" in name]
    homes += [process.start_env("CONDA_PREFIX"), sys.prefix]  # conda's toolkits have ``targets`` of their own
    found: list[str] = []
    for home in homes:
        if not home or not os.path.isabs(home) or not reachable.answers(home):
            continue
        places = [os.path.join(home, below) for below in ("lib64", "extras/CUPTI/lib64", "nvvm/lib64")]
        targets = os.path.join(home, "targets")
        places += [os.path.join(targets, target, "lib") for target in reachable.listed(targets)]
        found += [place for place in places if place not in found and reachable.is_directory(place)]
    return found


def configured_directories(configuration: str = "/etc/ld.so.conf", depth: int = 0) -> list[str]:
    """Return the directories that ld.so.conf names (ldconfig(8)): what its cache lacks until ldconfig runs."""
    from glob import glob

    found: list[str] = []
    try:
        with open(configuration, "rb") as stream:
            lines = os.fsdecode(stream.read(1 << 16)).splitlines()
    except OSError:
        return found
    for line in lines:
        line = line.split("#", 1)[0].strip()
        if line.startswith("include ") and depth < 4:
            pattern = os.path.join(os.path.dirname(configuration), line[8:].strip())
            for name in sorted(glob(pattern)):
                found += configured_directories(name, depth + 1)
        elif os.path.isabs(line.split("=")[0]) and reachable.is_directory(line.split("=")[0]):
            found.append(line.split("=")[0])
    return found


def ladder(directory: str, names: Names) -> list[tuple[str, str]]:
    """Return (path, rule) of versioned files in one directory; reads its names only."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return []
    found = []
    for name in entries:
        if name.startswith(names.stem) and name not in names.table:
            rule = names.match(name)
            if rule is not None and "affix" not in rule and "twin" not in rule:
                found.append((os.path.join(directory, name), rule))
    return sorted(found)


def cached_libraries(names: Names, cache: str = _LD_CACHE) -> list[tuple[str, str]]:
    """Return (path, rule) of the libraries in ld.so.cache whose file name matches, in the cache's order."""
    try:
        with open(cache, "rb") as stream:
            data = stream.read(_MAX_RECORD)
    except OSError:
        return []
    wanted = [name for name, _ in names.plain()] + ([] if names.exact else [names.stem + ".so"])
    found: list[tuple[str, str]] = []
    for name in wanted:
        needle = b"/" + os.fsencode(name)
        at = data.find(needle)
        while at >= 0:
            end = data.find(b"\0", at)
            start = data.rfind(b"\0", 0, at) + 1
            if end > 0 and data[start : start + 1] == b"/":
                path = os.fsdecode(data[start:end])
                rule = names.match(path.rsplit("/", 1)[-1])
                if rule is not None and (path, rule) not in found:
                    found.append((path, rule))
            at = data.find(needle, at + 1)
    return found
