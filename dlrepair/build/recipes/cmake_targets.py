"""Library targets of CMake, and the compiler commands by which CMake would build them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from dlrepair.build.recipes.driver import input_kind
from dlrepair.build.recipes.text import Command, absolute, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    from dlrepair.build.recipes.text import Reading


@dataclass
class Target:
    """A library as CMake knows it, directories absolute."""

    name: str
    kind: str
    line: int
    file: str
    directory: str
    sources: list[str] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    defines: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)  #: definitions for what links it
    options: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    taken: bool = True
    flags: list[str] = field(default_factory=list)  #: of its directory
    cuda_flags: list[str] = field(default_factory=list)  #: for nvcc

    @property
    def output(self) -> str:
        """The file's base name."""
        prefix = self.properties.get("PREFIX", "lib")
        suffix = self.properties.get("SUFFIX", ".a" if self.kind in ("STATIC", "OBJECT") else ".so")
        return prefix + self.properties.get("OUTPUT_NAME", self.name) + suffix


def cuda_flags(variables: Mapping[str, str]) -> list[str]:
    """What nvcc is told: by FindCUDA's variable, by the language's, and for the architectures (``75;80``)."""
    found: list[str] = []
    for name in ("CUDA_NVCC_FLAGS", "CMAKE_CUDA_FLAGS"):
        found += variables.get(name, "").replace(";", " ").split()
    for one in variables.get("CMAKE_CUDA_ARCHITECTURES", "").split(";"):
        number = one.split("-")[0]
        if number.isdigit():
            found += ["-gencode", "arch=compute_{0},code=sm_{0}".format(number)]
    return found


def emit_target(reading: Reading, targets: dict[str, Target], target: Target, flags: Sequence[str]) -> None:
    """Add the commands by which CMake builds one target."""
    common = [*flags, *target.options]
    defines = list(target.defines)
    standard = target.properties.get("CXX_STANDARD")
    common += ["-std=c++" + standard] if standard else []
    includes = list(target.includes)
    libraries: list[str] = []
    for name in _closed(targets, target):
        other = targets.get(name)
        if other is None:
            libraries.append(name)
            continue
        includes += [one for one in other.includes if one not in includes]
        defines += [one for one in other.public if one not in defines]
        kind = ".a" if other.kind in ("STATIC", "OBJECT") else ".so"
        if other.sources:
            libraries.append(os.path.join(other.directory, "lib" + other.name + kind if kind == ".a" else other.output))
    common += ["-D" + one for one in defines if one]
    common += ["-I" + absolute(one, target.directory) if is_known(one) else "-I" + one for one in includes]
    where = os.path.join(target.directory, target.output)

    def emit(words: Sequence[str]) -> None:
        reading.emit(Command(tuple(words), target.directory, target.file, target.line, "cmake", target.taken))

    sources = _sources(targets, target)
    if target.kind in ("STATIC", "OBJECT"):
        objects = []
        for at, source in enumerate(sources):
            objects.append(
                os.path.join(target.directory, "{}.{}.{}.o".format(target.name, at, os.path.basename(source)))
            )
            compiler = "nvcc" if input_kind(source) == "cuda" else "g++"
            own = target.cuda_flags if compiler == "nvcc" else []
            emit([compiler, *common, *own, "-c", source, "-o", objects[-1]])
        emit(["ar", "rcs", os.path.join(target.directory, "lib" + target.name + ".a"), *objects])
    elif target.kind in ("SHARED", "MODULE"):
        cuda = [source for source in sources if input_kind(source) == "cuda"]
        host = [source for source in sources if source not in cuda]
        for at, source in enumerate(cuda):
            name = os.path.join(target.directory, "{}.{}.cu.o".format(target.name, at))
            emit(["nvcc", *common, *target.cuda_flags, "-c", source, "-o", name])
            host.append(name)
        words = ["g++", "-shared", "-o", where, *host, *common]
        words += ["-L" + one for one in target.library_dirs]
        emit([*words, *_link_words(libraries)])


def _closed(targets: dict[str, Target], target: Target) -> list[str]:
    """Return the libraries that a target links, those of its static libraries included."""
    found: list[str] = []
    queue = list(target.libraries)
    while queue and len(found) < 200:
        name = queue.pop(0)
        if name in found:
            continue
        found.append(name)
        other = targets.get(name)
        if other is not None and other.kind != "SHARED":
            queue += other.libraries
    return found


def _link_words(libraries: Sequence[str]) -> list[str]:
    words = []
    for name in libraries:
        if name.startswith("-") or "/" in name or name.endswith((".so", ".a")):
            words += name.split() if name.startswith("-") else [name]
        elif "::" in name:
            words += {"OpenMP": ["-fopenmp"], "Threads": ["-pthread"]}.get(name.split("::")[0], [])
        else:
            words.append("-l" + name)
    return words


def _sources(targets: dict[str, Target], target: Target) -> list[str]:
    found: list[str] = []
    for source in target.sources:
        match = re.match(r"\$<TARGET_OBJECTS:(\w+)>", source)
        if match and match.group(1) in targets:
            other = targets[match.group(1)]
            found += [absolute(one, other.directory) for one in other.sources]
        elif input_kind(source) != "header":
            found.append(source)
    return found
