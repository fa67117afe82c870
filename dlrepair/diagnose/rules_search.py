"""Rules about what the file needs: libraries that ld.so does not find, refuses, or takes from the wrong place."""

from __future__ import annotations

import os

from dlrepair.binary.elf import NATIVE, ElfError, machine_name, open_elf, read_facts
from dlrepair.diagnose import rules_file
from dlrepair.diagnose.facts import running_python
from dlrepair.diagnose.rule import Finding, Rule, fact, quote
from dlrepair.model.diagnosis import Evidence, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.binary.trace import Entry
    from dlrepair.diagnose.facts import Facts
    from dlrepair.model.facts import FileFacts


#: Most objects whose strings are searched for a name.
MAX_SEARCHED = 50


def _failures(facts: Facts) -> tuple[Entry, ...]:
    return facts.trace.failures if facts.trace is not None else ()


def _missing(facts: Facts) -> tuple[Missing, ...]:
    return facts.trace.missing if facts.trace is not None else ()


def _other_python(facts: Facts) -> Finding | None:
    """A missing libpython of another version: the library was linked for that Python."""
    for entry in _failures(facts):
        version = python_of(entry.name)
        if version and version != running_python():
            return Finding(entry.needed_by, (entry.name, version), _missing(facts))
    return None


def python_of(name: str) -> str:
    """``3.7`` for ``libpython3.7m.so.1.0``; "" for any other name."""
    if not name.startswith("libpython"):
        return ""
    rest = name[len("libpython") :]
    end = 0
    while end < len(rest) and (rest[end].isdigit() or (rest[end] == "." and rest[end + 1 : end + 2].isdigit())):
        end += 1
    return rest[:end] if "." in rest[:end] else ""


def _other_python_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    name, version = finding.detail
    return (
        fact("needed", "{} needs {}".format(finding.path, name), name),
        fact("python", "this process is Python {}, not {}".format(running_python(), version), running_python()),
    )


def rebuild_step(facts: Facts, finding: Finding) -> str:
    """The command that gets an extension for this Python."""
    package = rules_file.package_of(finding.path)
    if package:
        return "pip install --force-reinstall --no-cache-dir {}".format(package)
    return "Build {} again with this Python: python setup.py build_ext --inplace --force".format(
        os.path.basename(finding.path)
    )


def _shadowed(facts: Facts) -> Finding | None:
    """ld.so gives up at a broken file although a sound one lies further along its own search."""
    for entry in _failures(facts):
        if entry.blocked_by:
            good = facts.copies(entry.name, entry.needed_by, entry.blocked_by)
            if good:
                return Finding(entry.blocked_by, (entry, good), _missing(facts))
    return None


def _shadowed_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    entry, good = finding.detail
    proof = [_needed(entry), _blocked(entry.blocked_by)]
    proof += [
        fact("good-copy", "{} would serve, but ld.so's search stops before it".format(path), path) for path in good[:5]
    ]
    from dlrepair.diagnose import rules_shadow

    return (*proof, *rules_shadow.ways(facts, entry.name, entry.needed_by, entry.blocked_by, good[0]))


def _shadowed_step(facts: Facts, finding: Finding) -> str:
    good = finding.detail[1]
    return "Remove {}, so that {} is found.".format(finding.path, good[0])


def _needed(entry: Entry) -> Evidence:
    return fact("needed", "{} needs {}".format(entry.needed_by, entry.name), entry.name)


def _blocked(path: str) -> Evidence:
    file = read_facts(path)
    return fact("refused", "ld.so's search ends at {}: {}".format(path, file.detail or file.kind), path)


def _broken_dependency(cause: str) -> object:
    """The predicate for a dependency that is there and refused, for one cause."""

    def holds(facts: Facts) -> Finding | None:
        for entry in _failures(facts):
            if entry.blocked_by and cause_of(read_facts(entry.blocked_by)) == cause:
                return Finding(entry.blocked_by, entry, _missing(facts))
        return None

    return holds


def cause_of(file: FileFacts) -> str:
    """The cause for which ld.so refuses a file that it found."""
    if file.kind == "unreadable":
        return "permission"
    if rules_file.is_cut(file):
        return "truncated"
    if file.kind in ("macho", "pe"):
        return "wrong-os"
    if file.elf is not None and file.elf.osabi not in (0, 3):
        return "wrong-os"
    return "not-a-library"


def _broken_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    entry = finding.detail
    file = read_facts(entry.blocked_by)
    proof = (_needed(entry), _blocked(entry.blocked_by))
    return proof + rules_file.cut_evidence(file) if rules_file.is_cut(file) else proof


def _broken_step(facts: Facts, finding: Finding) -> str:
    file = read_facts(finding.path)
    if file.kind == "lfs-pointer":
        return "git lfs pull --include {}".format(quote(finding.path))
    if file.kind == "unreadable":
        return rules_file.unreadable_step(facts, finding)
    return rules_file.restore_step(facts, finding)


def _dependency_missing(facts: Facts) -> Finding | None:
    missing = _missing(facts)
    return Finding(missing[0].needed_by, missing, missing) if missing else None


def _dependency_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof: list[Evidence] = []
    for missing in finding.missing[:10]:
        proof.append(fact("needed", "{} needs {}".format(missing.needed_by, missing.name), missing.name))
        chain = _chain(facts, missing.needed_by)
        if len(chain) > 1:
            proof.append(fact("chain", " -> ".join(os.path.basename(path) for path in chain) + " -> " + missing.name))
        for place, reason in missing.tried[:40]:
            proof.append(fact("tried", "{}: {}".format(place, reason), place))
        proof.extend(_skipped(missing))
    path = facts.view.library_path
    proof.append(
        fact("ld-library-path", "LD_LIBRARY_PATH was {} when the process started".format(path or "not set"), path)
    )
    return tuple(proof)


def _skipped(missing: Missing) -> list[Evidence]:
    """Files of the right name that ld.so passed over, and which nobody would know of from its message."""
    proof = []
    for place, _reason in missing.tried:
        file = read_facts(place) if place.startswith("/") and place.endswith(missing.name) else None
        if file is None or file.kind in ("missing", "directory"):
            continue
        if file.elf is not None and (file.elf.bits, file.elf.little, file.elf.machine) != NATIVE:
            words = "{} exists, but it is {}; this process is {}: ld.so passes it over without a word".format(
                place, file.detail, machine_name(NATIVE[2])
            )
            proof.append(fact("other-machine", words, place))
        else:
            proof.append(fact("passed-over", "{}: {}".format(place, file.detail or file.kind), place))
    return proof


def _chain(facts: Facts, path: str) -> list[str]:
    """The way from the file that was asked for to ``path``, by DT_NEEDED entries."""
    trace = facts.trace
    if trace is None:
        return [path]
    parent = {found: by for by, _name, found in reversed(trace.edges) if found is not None}
    chain = [path]
    while chain[-1] in parent and chain[-1] != facts.path and len(chain) < 50 and parent[chain[-1]] not in chain:
        chain.append(parent[chain[-1]])
    return chain[::-1]


def _opened_by_code(facts: Facts) -> Finding | None:
    """The words name a library that no DT_NEEDED entry asks for: code that holds its name opens it with dlopen."""
    name = facts.symptom.missing or ""
    trace = facts.trace
    if facts.symptom.kind != "not-found" or trace is None or trace.failures or not name or "/" in name:
        return None
    if facts.path is None or name == os.path.basename(facts.path) or facts.view.find(name) is not None:
        return None
    for path in facts.objects()[:MAX_SEARCHED]:
        try:
            with open_elf(path) as elf:
                if elf.strings_contain({name}):
                    return Finding(path, name, (Missing(name, path),))
        except (OSError, ElfError):
            continue
    return None


def _opened_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    name = str(finding.detail)
    return (
        fact("words", "the loader did not find {}".format(name), name),
        fact(
            "dlopen",
            "{} holds that name and has no DT_NEEDED entry for it: its code opens it".format(finding.path),
            name,
        ),
    )


#: libraries that come with a wheel, by the beginning of their names
_WHEELS = (
    ("libcudart.so.12", "nvidia-cuda-runtime-cu12"), ("libcudart.so.11", "nvidia-cuda-runtime-cu11"),
    ("libcublas.so.12", "nvidia-cublas-cu12"), ("libcublasLt.so.12", "nvidia-cublas-cu12"),
    ("libcublas.so.11", "nvidia-cublas-cu11"), ("libcublasLt.so.11", "nvidia-cublas-cu11"),
    ("libcudnn.so.9", "nvidia-cudnn-cu12"), ("libcudnn.so.8", "'nvidia-cudnn-cu11==8.*'"),
    ("libcufft.so.11", "nvidia-cufft-cu12"),
    ("libcurand.so.10", "nvidia-curand-cu12"), ("libcusolver.so.11", "nvidia-cusolver-cu12"),
    ("libcusparse.so.12", "nvidia-cusparse-cu12"), ("libnccl.so.2", "nvidia-nccl-cu12"),
    ("libnvJitLink.so.12", "nvidia-nvjitlink-cu12"), ("libnvrtc.so.12", "nvidia-cuda-nvrtc-cu12"),
    ("libnvinfer.so.10", "tensorrt"), ("libmkl_", "mkl"), ("libtbb.so.12", "tbb"), ("libiomp5.so", "intel-openmp"),
)  # fmt: skip

#: libraries of the system, by Debian's package
_PACKAGES = {
    "libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0", "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1", "libSM.so.6": "libsm6", "libXext.so.6": "libxext6", "libXrender.so.1": "libxrender1",
    "libsndfile.so.1": "libsndfile1", "libcrypt.so.1": "libcrypt1", "libgfortran.so.5": "libgfortran5",
    "libatlas.so.3": "libatlas3-base", "libf77blas.so.3": "libatlas3-base", "libopenblas.so.0": "libopenblas0",
    "libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1", "libffi.so.8": "libffi8", "libzbar.so.0": "libzbar0",
    "libportaudio.so.2": "libportaudio2", "libusb-1.0.so.0": "libusb-1.0-0", "libmpi.so.40": "libopenmpi3",
    "libhdf5.so.103": "libhdf5-103-1", "libEGL.so.1": "libegl1", "libxcb.so.1": "libxcb1",
}  # fmt: skip


def _dependency_step(facts: Facts, finding: Finding) -> str:
    name = finding.missing[0].name
    if name.startswith(("libcuda.so", "libnvidia-ml.so")):
        return "Install the NVIDIA driver: {} belongs to it and comes from nowhere else.".format(name)
    for start, wheel in _WHEELS:
        if name.startswith(start):
            return "pip install {}".format(wheel)
    if name.startswith("libtensorflow_framework.so"):
        return "Build {} again for the TensorFlow that runs: {} belongs to another release.".format(
            os.path.basename(finding.missing[0].needed_by), name
        )
    if name.startswith("libpython") and os.path.exists("/etc/debian_version"):
        return "apt install {}".format(name.partition(".so")[0])
    if name in _PACKAGES and os.path.exists("/etc/debian_version"):
        return "apt install {}".format(_PACKAGES[name])
    return "dlrepair search {}".format(quote(name))


RULES = (
    Rule("needs the libpython of another Python", "python-abi", _other_python, _other_python_evidence, rebuild_step),
    Rule("a broken copy before a good one", "search-path", _shadowed, _shadowed_evidence, _shadowed_step),
) + tuple(
    Rule("a dependency is refused: " + cause, cause, _broken_dependency(cause), _broken_evidence, _broken_step)  # type: ignore[arg-type]
    for cause in ("truncated", "wrong-os", "permission", "not-a-library")
) + (
    Rule("its code opens an absent library", "dependency-missing", _opened_by_code, _opened_evidence, _dependency_step),
    Rule("a dependency is absent", "dependency-missing", _dependency_missing, _dependency_evidence, _dependency_step),
)  # fmt: skip
