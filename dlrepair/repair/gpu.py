"""CUDA's libraries for TensorFlow's own loader, which opens them by leaf name from C++ and raises nothing.

``tsl/platform/default/dso_loader.cc`` (1.x: ``tensorflow/stream_executor/platform/default``) makes each name of the
versions that the release was built for, calls dlopen and goes on without a GPU where that fails. An object that is
mapped under the SONAME satisfies it (glibc elf/dl-load.c, _dl_map_object), so it is opened first, by absolute path.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.repair.context import Context

#: the driver's own library: it belongs to the kernel module, and a copy from elsewhere never serves
DRIVER = "libcuda.so.1"

#: instead of a version: TensorFlow opens it no more (cuRAND since 2.14, the last with CUDA 11)
_NO_MORE = "-"
_LAST_CURAND = (2, 13)

#: library -> (lowest CUDA release, version in the SONAME; "" is the release itself) in the order of releases
_SONAMES = {
    "cudart": (((0, 0), ""), ((11, 0), "11.0"), ((12, 0), "12"), ((13, 0), "13")),
    "cublasLt": (((10, 1), "10"), ((11, 0), "11"), ((12, 0), "12"), ((13, 0), "13")),
    "cublas": (((0, 0), ""), ((10, 1), "10"), ((11, 0), "11"), ((12, 0), "12"), ((13, 0), "13")),
    "cufft": (((0, 0), ""), ((10, 1), "10"), ((12, 0), "11"), ((13, 0), "12")),
    "curand": (((0, 0), ""), ((10, 1), "10"), ((12, 0), _NO_MORE)),
    "cusparse": (((0, 0), ""), ((10, 1), "10"), ((11, 0), "11"), ((12, 0), "12")),
    "cusolver": (((0, 0), ""), ((10, 1), "10"), ((11, 1), "11"), ((13, 0), "12")),
}

#: TensorFlow releases whose ``build_info`` names no versions -> (CUDA, cuDNN) of the published packages
#: (tensorflow.org/install/source, "Tested build configurations")
_PUBLISHED = {
    "1.13": ("10.0", "7"), "1.14": ("10.0", "7"), "1.15": ("10.0", "7"),
    "2.0": ("10.0", "7"), "2.1": ("10.1", "7"), "2.2": ("10.1", "7"),
}  # fmt: skip


def wanted_names(package: str) -> tuple[str, ...]:
    """Leaf names that the TensorFlow in directory ``package`` opens; none where it is no CUDA build, or none is known.

    Read from its ``python/platform/build_info.py``, which ``tf.sysconfig.get_build_info()`` shows.
    """
    import re

    try:
        with open(os.path.join(package, "python", "platform", "build_info.py"), encoding="utf-8") as stream:
            text = stream.read(65536)
    except (OSError, ValueError):
        return ()
    if not re.search(r"\bis_cuda_build\b['\"]?\s*[,:=]\s*True\b", text):
        return ()

    def value(key: str) -> str:
        found = re.search(r"\b" + key + r"(?:_number)?['\"]?\s*[,:=]\s*['\"](\d+(?:\.\d+)*)['\"]", text)
        return found.group(1) if found else ""

    cuda, cudnn = value("cuda_version"), value("cudnn_version")
    if not cuda or not cudnn:
        cuda, cudnn = _PUBLISHED.get(_release(package), ("", ""))
    names = _names(cuda, cudnn) if cuda and cudnn else ()
    numbers = tuple(int(part) if part.isdigit() else 0 for part in _release(package).split("."))
    return tuple(name for name in names if not name.startswith("libcurand.") or numbers <= _LAST_CURAND)


def _release(package: str) -> str:
    """``1.15`` of the TensorFlow whose package list lies beside ``package``, or ""."""
    try:
        beside = os.listdir(os.path.dirname(package))
    except OSError:
        return ""
    for name in beside:
        title, _, rest = name.partition("-")
        if title in ("tensorflow", "tensorflow_gpu") and name.endswith((".dist-info", ".egg-info")):
            return ".".join(rest.split(".")[:2])
    return ""


def _names(cuda: str, cudnn: str) -> tuple[str, ...]:
    parts = [int(part) for part in cuda.split(".")] + [0]
    release = (parts[0], parts[1])
    names = []
    for library, steps in _SONAMES.items():
        fitting = [version for since, version in steps if release >= since]
        if fitting and fitting[-1] != _NO_MORE:
            names.append("lib{}.so.{}".format(library, fitting[-1] or "{}.{}".format(*release)))
    return (*names, "libcudnn.so." + cudnn.split(".")[0])


def lacking(names: tuple[str, ...], package: str, view: Any) -> list[str]:
    """Those of ``names`` that this process has not mapped and that ld.so would not load for TensorFlow's libraries.

    A broken file that comes first, or one whose own needs are not met, ends ld.so's search as an absent one does.
    """
    callers = _callers(package)
    return [name for name in names if not any(_loads(name, one, view) for one in callers)]


def _loads(name: str, caller: str, view: Any) -> bool:
    from dlrepair.binary import scope

    found = scope.locate(name, process=view, caller=caller)
    if found.path is None:
        return False
    return found.how == "loaded" or not scope.resolve(found.path, process=view).failures


def _callers(package: str) -> list[str]:
    """TensorFlow's libraries that may hold its loader: their RPATH or RUNPATH serves its dlopen (dlopen(3))."""
    found = []
    for directory in (package, os.path.join(package, "python")):
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        starts = ("libtensorflow_cc.so", "libtensorflow_framework.so", "_pywrap_tensorflow_internal.")
        found += [os.path.join(directory, name) for name in names if name.startswith(starts)]
    return found or [""]


def supply(context: Context, package: str, names: list[str]) -> tuple[list[str], list[str]]:
    """(paths that were opened, names for which nothing fits); candidates and failures are journalled.

    What was opened the last time is opened again, if it still is what it was.
    """
    from dlrepair.binary import process
    from dlrepair.repair import gpu_remembered

    before = context.view
    known = gpu_remembered.recall(context, package, names)
    if known and _open(context, tuple(known)):
        return [path for path in known if os.path.basename(path) in names], []
    opened: list[str] = []
    missing = []
    for name in names:
        context.view = process.ProcessView.current()
        if context.view.find(name):
            continue  # another one of them needed it
        paths = _serve(context, name)
        opened += paths
        if not paths:
            missing.append(name)
    if opened and not missing:
        gpu_remembered.remember(context, package, names, opened, before)
    return [path for path in opened if os.path.basename(path) in names], missing


def next_step(missing: list[str], names: tuple[str, ...]) -> str:
    """The command that gets what is missing, "" where nothing is.

    NVIDIA publishes packages for CUDA 11 and 12 under these names.
    """
    if not missing:
        return ""
    cuda = "".join(name[len("libcudart.so.") :].partition(".")[0] for name in names if name.startswith("libcudart."))
    if cuda not in ("11", "12"):
        return "dlrepair search {}".format(missing[0])
    packages = {}
    for name in missing:
        stem, _, version = name[3:].partition(".so.")
        title = {"cudart": "cuda-runtime", "cublasLt": "cublas"}.get(stem, stem)
        exact = "'{}=={}.*'" if stem == "cudnn" else "{}"  # of the others each release of CUDA has one version
        packages[exact.format("nvidia-{}-cu{}".format(title, cuda), version)] = True
    return "pip install {}".format(" ".join(packages))


def _serve(context: Context, name: str) -> list[str]:
    """Paths that were opened for one name, what it needs first and its parts last; none where nothing fits."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.repair import choice

    want = Wanted(name, "dependency", loader="tensorflow", exact_name=True)
    context.searched[want] = [_candidates(context, want)]
    for candidate, verdict in choice.accepted(context, want):
        paths = (*verdict.preload, candidate.path)
        if os.path.basename(candidate.path) == name and _open(context, paths):
            parts = [part for part in _parts(context, candidate.path) if _open(context, (part,))]
            return [*paths, *parts]
    return []


def _parts(context: Context, path: str) -> list[str]:
    """Libraries beside cuDNN's that it opens itself, by leaf name, and that ld.so would take from another release.

    cuDNN's RUNPATH is ``$ORIGIN``, and LD_LIBRARY_PATH comes before it; a toolkit's may have none.
    """
    from dlrepair import trust
    from dlrepair.binary import process, scope
    from dlrepair.binary.elf import read_facts

    folder, own = os.path.split(path)
    stem, _, version = own.partition(".so")
    if stem != "libcudnn":
        return []
    view = process.ProcessView.current()
    names = [name for name in sorted(os.listdir(folder)) if name.startswith("libcudnn_") and name.endswith(version)]
    found: dict[str, int] = {}
    for name in names:
        part = os.path.join(folder, name)
        elf = read_facts(part).elf
        reached = scope.locate(name, process=view, caller=path).path
        theirs = reached is not None and os.path.realpath(reached) == os.path.realpath(part)
        if elf is not None and elf.soname == name and not theirs and not trust.check(part, context.request.script):
            found[part] = sum(need in names for need in elf.needed)  # what needs fewer of the others goes first
    return sorted(found, key=found.__getitem__)


def _candidates(context: Context, want: Wanted) -> list[Candidate]:
    """Files of that very name in this Python's packages and prefixes, conda's packages and CUDA toolkits."""
    from dlrepair.model.candidate import Candidate
    from dlrepair.search import far, names, proposals, roots, walk

    def excluded(path: str) -> bool:
        return roots.is_excluded(path, tuple(context.settings.exclude))

    known = names.Names(want.name, want.loader, want.role, want.exact_name)
    reader = walk.Reader(known, context.deadline, excluded)
    asked = far.Far(known, reader, "", want.role, [])
    found: dict[str, Candidate] = {}
    for source in (far.in_site_packages, far.in_library_path, far.in_conda, far.in_cuda):
        for path, rule, kind, step in source(asked):
            if path not in found and not excluded(path):
                found[path] = Candidate(path, kind, rule, proposals.DISTANCE[kind] + step)
    context.search_notes(reader.notes)
    return list(found.values())


def _open(context: Context, paths: tuple[str, ...]) -> bool:
    for path in paths:
        why = "{} is opened before TensorFlow asks for it".format(os.path.basename(path))
        context.emit("repair-tried", strategy="preload", why=why, path=path)
        try:
            context.ask.dlopen(path, os.RTLD_NOW | os.RTLD_LOCAL)
        except OSError as error:
            context.emit("repair-failed", strategy="preload", path=path, reason=str(error))
            return False
    return True
