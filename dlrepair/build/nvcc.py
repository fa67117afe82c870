"""nvcc and the toolkit that it belongs to: where they lie, which of several it is, and what of a recipe suits it.

A toolkit is a directory of NVIDIA's layout (``bin``, ``include``, ``lib64``), of conda's (``targets/…``), of a
distribution's (below ``/usr``), or packages of this environment (``nvidia/cu13``; those for CUDA 12 bring no nvcc).
"""

from __future__ import annotations

import os
import sys

from dlrepair import store, trust
from dlrepair.build import toolchain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Sequence

    from dlrepair.model.build import Recipe
    from dlrepair.model.toolchain import Compiler, TensorFlow, Toolchain

#: how the note of a build begins that compiles no CUDA code
CPU_ONLY = "CPU kernels only: "
_NOT_CUDA = "is not a CUDA build"
#: variables that name a toolkit: the user's own word, before everything that is found
_VARIABLES = ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT")
_DISTRIBUTIONS = ("/usr/local", "/opt")
#: libraries that only the driver brings: linked with the toolkit's stub, found at run time by ld.so alone
_DRIVERS = ("cuda", "nvidia-ml")


def anywhere(place: str) -> bool:
    """Tell that any directory may be asked: for who has no servers."""
    return True


def with_cuda(
    chain: Toolchain, refused: Sequence[tuple[str, str]] = (), reaches: Callable[[str], bool] = anywhere
) -> Toolchain:
    """``chain`` with an nvcc for its TensorFlow, its host compiler and its GPUs; or with a note why there is none.

    ``refused``: (real path, reason) of those that have been tried. ``reaches``: whether a directory that a variable
    names may be asked for anything; a dead server would hold us up for ever.
    """
    from dlrepair.model.records import replace

    tensorflow = chain.tensorflow
    if tensorflow is not None and not tensorflow.cuda:
        text = "{}TensorFlow {} {}".format(CPU_ONLY, tensorflow.version, _NOT_CUDA)
        return replace(chain, notes=(*chain.notes, text))
    found, problem = _choose(tensorflow, [path for path, _ in refused], reaches)
    reasons = [reason for _, reason in refused]
    silent = [path for path, named in _places() if named and not reaches(path)]
    reasons += ["{} lies on a server that does not answer".format(path) for path in silent]
    if found is None:
        why = "; ".join(reasons) or problem or _none_found(tensorflow)
        return replace(chain, notes=(*chain.notes, CPU_ONLY + why))
    homes = [*(os.environ.get(name, "") for name in _VARIABLES), "/usr/local/cuda"]
    homes = [one for one in homes if one and reaches(one)]
    home = _toolkit_of(found.realpath, homes)
    host, notes = _host(found, home, chain.compiler)
    notes = [*reasons, *notes]
    wanted = tensorflow.cuda_version if tensorflow is not None else ""
    if wanted and tensorflow is not None and wanted.split(".")[0] != str(found.major):
        text = "nvcc {} compiles, TensorFlow {} was built with CUDA {}"
        notes.append(text.format(release_of(found), tensorflow.version, wanted))
    return replace(
        chain, nvcc=found, cuda_home=home, cuda_host=host, gpu_codes=_gpu_codes(found),
        notes=(*chain.notes, *notes),
    )  # fmt: skip


def is_partial(notes: Sequence[str]) -> bool:
    """Whether the notes of a build say that its CUDA parts were left out for want of an nvcc that compiles them."""
    return any(note.startswith(CPU_ONLY) and not note.endswith(_NOT_CUDA) for note in notes)


def release_of(compiler: Compiler) -> str:
    """``12.4`` of an nvcc."""
    import re

    match = re.search(r"(?:release |cuda_)(\d+\.\d+)", compiler.version)
    return match.group(1) if match else str(compiler.major)


# --- which nvcc


def _choose(
    tensorflow: TensorFlow | None, refused: Sequence[str], reaches: Callable[[str], bool]
) -> tuple[Compiler | None, str]:
    """What a variable names; else of all that are found one of the CUDA release of TensorFlow's own, else the first."""
    problem = ""
    found: list[Compiler] = []
    wanted = tensorflow.cuda_version.split(".")[0] if tensorflow is not None else ""
    for path, named in _places():
        if not reaches(path):
            continue
        path = toolchain.which(path)
        real = os.path.realpath(path)
        if not path or real in refused or any(one.realpath == real for one in found):
            continue
        clause = trust.check(path)
        if clause is not None:
            problem = problem or clause
            continue
        try:
            one = toolchain.identify((path,), "nvcc")
        except toolchain.NoToolchain as failed:
            problem = problem or failed.text
            continue
        if named or str(one.major) == wanted:
            return one, ""
        found.append(one)
    return (found[0], "") if found else (None, problem)


def _places() -> Iterator[tuple[str, bool]]:
    """(path of an nvcc that may exist, whether the user named it), the nearest first."""
    for name in _VARIABLES:
        if os.environ.get(name):
            yield os.path.join(os.environ[name], "bin", "nvcc"), True
    prefixes = [sys.prefix, os.environ.get("CONDA_PREFIX", "")]
    yield from ((os.path.join(one, "bin", "nvcc"), False) for one in prefixes if one)
    yield from ((os.path.join(one, "bin", "nvcc"), False) for one in packages())
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.isabs(place):
            yield os.path.join(place, "nvcc"), False
    for top in _DISTRIBUTIONS:
        try:
            names = sorted((one for one in os.listdir(top) if one.startswith("cuda")), key=_numbers, reverse=True)
        except OSError:
            continue
        # what the administrator has linked as the default goes first
        for name in sorted(names, key="cuda".__ne__):
            yield os.path.join(top, name, "bin", "nvcc"), False


def _numbers(name: str) -> tuple[int, ...]:
    import re

    return tuple(int(one) for one in re.findall(r"\d+", name))


def packages() -> list[str]:
    """Directories of NVIDIA's packages in this environment: ``nvidia/cu13``, ``nvidia/cuda_runtime`` and so on."""
    found = []
    for place in dict.fromkeys(sys.path):
        top = os.path.join(os.path.abspath(place), "nvidia") if isinstance(place, str) and place else ""
        try:
            found += [os.path.join(top, name) for name in sorted(os.listdir(top))] if top else []
        except OSError:
            continue
    return [one for one in found if os.path.isdir(one)]


def _none_found(tensorflow: TensorFlow | None) -> str:
    """That there is none; a package whose name promises it may bring its assembler only (CUDA 11 and 12)."""
    text = "no nvcc was found"
    part = next((one for one in packages() if os.path.isfile(os.path.join(one, "bin", "ptxas"))), "")
    text += ", {} has ptxas alone".format(part) if part else ""
    if tensorflow is None or not tensorflow.cuda_version:
        return text
    release = ".".join(tensorflow.cuda_version.split(".")[:2])
    return "{} (CUDA_HOME may name a toolkit of CUDA {}, which this TensorFlow was built with)".format(text, release)


# --- its toolkit


def _toolkit_of(nvcc: str, homes: Sequence[str]) -> str:
    """Directory of the toolkit that ``nvcc`` belongs to; it may be called through a script elsewhere."""
    own = os.path.dirname(os.path.dirname(nvcc))
    for home in (own, *homes):
        if any(os.path.isfile(os.path.join(one, "cuda_runtime.h")) for one in _below(home, "include")):
            return home
    return own


def _below(home: str, kind: str) -> list[str]:
    """Directories of ``include`` or of ``lib`` in every layout that a toolkit has, whether or not they exist."""
    target = os.path.join(home, "targets", os.uname().machine.replace("aarch64", "sbsa") + "-linux")
    if kind == "include":
        return [os.path.join(home, "include"), os.path.join(target, "include")]
    multiarch = os.path.join(home, "lib", os.uname().machine + "-linux-gnu")
    return [os.path.join(home, "lib64"), os.path.join(target, "lib"), os.path.join(home, "lib"), multiarch]


def includes(home: str) -> list[str]:
    """Directories of the toolkit's headers for a host compiler, which does not look there by itself."""
    found = []
    for one in _below(home, "include"):
        if os.path.isfile(os.path.join(one, "cuda_runtime.h")) and one != "/usr/include":
            found.append(one)
            if os.path.isdir(os.path.join(one, "cccl")):  # CUDA 13 has thrust, cub and nv/target there
                found.append(os.path.join(one, "cccl"))
    return found


def find_header(name: str, home: str, tensorflow: TensorFlow | None) -> str:
    """Where a header of CUDA's lies that a compiler did not find under ``name``; "" where it is nowhere.

    TensorFlow's sources name them below ``third_party/gpus`` or ``cuda/include``, which not every package brings;
    cuBLAS and the like are packages of their own.
    """
    import re

    base = re.sub(r"^(?:third_party/)?(?:gpus/)?(?:(?:cuda|cudnn|nccl)/(?:include/)?)?", "", name)
    for known in dict.fromkeys((name, base)):
        places = includes(home)
        if tensorflow is not None:
            places.append(os.path.join(tensorflow.include, "third_party", "gpus", "cuda", "include"))
        places += [os.path.join(one, "include") for one in packages()]
        for place in places:
            path = os.path.join(place, known)
            if known and os.path.isfile(path) and trust.check(path) is None:
                return path
    return ""


def library(name: str, home: str) -> list[str]:
    """Words that link a library of the toolkit; packages have no ``libNAME.so``, only the one with its version."""
    if os.path.isabs(name):
        return [name]
    own = [one for one in _below(home, "lib") if os.path.isdir(one)]
    major = _major_of(home)
    others = [os.path.join(one, "lib") for one in packages()]
    for place in (*own, *(one for one in others if os.path.isdir(one))):
        file = _shared(place, name, "" if place in own else major)
        if file and name not in _DRIVERS and trust.check(file) is None:
            known = place.startswith(("/usr/lib/", "/lib/")) or place in ("/usr/lib", "/usr/lib64", "/lib64")
            return [file] if known else [file, "-Wl,-rpath," + place]
    for place in own:
        if os.path.isfile(os.path.join(place, "stubs", "lib{}.so".format(name))):
            return [os.path.join(place, "stubs", "lib{}.so".format(name))]
        static = os.path.join(place, "lib{}_static.a".format(name))
        if os.path.isfile(static) and trust.check(static) is None:
            return [static, "-ldl", "-lrt", "-lpthread"]
    return [*("-L" + one for one in own), "-l" + name]


def _shared(place: str, name: str, major: str) -> str:
    """The shared library of this name in a directory; of a package's with its CUDA release in the version."""
    plain = os.path.join(place, "lib{}.so".format(name))
    if os.path.isfile(plain):
        return plain
    try:
        names = [one for one in os.listdir(place) if one.startswith("lib{}.so.".format(name))]
    except OSError:
        return ""
    fitting = [one for one in names if not major or name != "cudart" or one.split(".so.")[1].split(".")[0] == major]
    return os.path.join(place, min(fitting, key=len)) if fitting else ""


def _major_of(home: str) -> str:
    """The toolkit's CUDA release as its ``cuda.h`` has it; "" where it has none."""
    import re

    for place in _below(home, "include"):
        try:
            with open(os.path.join(place, "cuda.h"), encoding="utf-8", errors="replace") as stream:
                match = re.search(r"#\s*define\s+CUDA_VERSION\s+(\d+)\d{3}\b", stream.read(1 << 20))
        except OSError:
            continue
        if match:
            return match.group(1)
    return ""


# --- what it takes


def _host(nvcc: Compiler, home: str, host: Compiler) -> tuple[tuple[str, ...], list[str]]:
    """(words that give nvcc its host compiler, notes): the newest g++ that it knows, where the chosen one is too new.

    The bound stands in the toolkit's ``crt/host_config.h``.
    """
    import re

    text = ""
    for place in _below(home, "include"):
        for name in ("crt/host_config.h", "host_config.h"):
            try:
                with open(os.path.join(place, name), encoding="utf-8", errors="replace") as stream:
                    text = text or stream.read(1 << 20)
            except OSError:
                continue
    pattern = r"__clang_major__ >= (\d+)" if host.family == "clang" else r"__GNUC__ > (\d+)"
    match = re.search(pattern, text)
    most = 0 if match is None else int(match.group(1)) - (host.family == "clang")
    words = ("-ccbin", _program(host))
    if not most or host.major <= most or host.family not in ("gcc", "clang"):
        return words, []
    other = toolchain.find_older(most) if host.family == "gcc" else None
    if other is not None:
        note = "CUDA parts are compiled with g++ {}: nvcc {} knows none later than {}"
        return ("-ccbin", other.argv[0]), [note.format(other.major, release_of(nvcc), most)]
    if "-allow-unsupported-compiler" not in text:
        return words, []
    name = "g++" if host.family == "gcc" else "clang++"
    note = "nvcc {} knows no {} later than {}, and is made to take {}"
    return (*words, "-allow-unsupported-compiler"), [note.format(release_of(nvcc), name, most, host.major)]


def _program(host: Compiler) -> str:
    """The compiler itself of ``ccache g++``: nvcc takes one path."""
    if len(host.argv) > 1 and os.path.basename(host.argv[0]) in ("ccache", "sccache", "distcc", "icecc"):
        return toolchain.which(host.argv[1]) or host.argv[0]
    return host.argv[0]


def _gpu_codes(nvcc: Compiler) -> tuple[str, ...]:
    """``sm_75`` and so on: what it compiles for; none where it cannot say (before CUDA 11.5)."""
    import re

    from dlrepair.build import compiler

    key = store.key_of("gpu codes 1", *nvcc.argv, nvcc.realpath, nvcc.version, toolchain.signature(nvcc.realpath))
    record = store.recall(key)
    if record is None:
        ran = compiler.run([*nvcc.argv, "--list-gpu-code"], seconds=toolchain.PROBE_SECONDS)
        record = {"codes": " ".join(re.findall(r"^sm_\w+$", "" if ran.reason else ran.output, re.MULTILINE))}
        store.remember(key, record)
    return tuple(record.get("codes", "").split())


def architectures(recipe: Recipe, chain: Toolchain) -> tuple[list[str], list[str]]:
    """(words for the GPUs that a recipe names, those of them that this nvcc does not compile for any more).

    Where none is left, nvcc's own choice. The intermediate code of the latest one is kept: later GPUs run that.
    """
    asked = [word[len("code=") :] for word in recipe.nvcc_flags if word.startswith("code=")]
    numbers = {one.partition("_")[2] for one in chain.gpu_codes}
    known = [one for one in asked if not numbers or one.partition("_")[2] in numbers]
    refused = [one for one in asked if one not in known]
    if known:
        latest = max((one.partition("_")[2] for one in known), key=lambda one: _numbers(one))
        if latest.isdigit():
            known.append("compute_" + latest)
    words = []
    for one in dict.fromkeys(known):
        words += ["-gencode", "arch=compute_{},code={}".format(one.partition("_")[2], one)]
    return words, refused
