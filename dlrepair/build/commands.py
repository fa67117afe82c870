"""Our own command lines: from what a recipe says and what is found here, never from the recipe's own words alone.

Every list is for exec, no shell. What must not differ between two machines that share a store is written with
``{tf}``, ``{dir}`` and such in the key (``neutral``).
"""

from __future__ import annotations

import os
import sys

from dlrepair.build import nvcc as toolkits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.build.includes import Scan
    from dlrepair.model.build import Recipe
    from dlrepair.model.toolchain import Toolchain

_STANDARDS = ("c++98", "c++03", "c++11", "c++14", "c++17", "c++20", "c++23", "c++26")
_OLD_NAMES = {"c++0x": "c++11", "c++1y": "c++14", "c++1z": "c++17", "c++2a": "c++20", "c++2b": "c++23"}


class Unit:
    """One source and how it is compiled, without input and output."""

    __slots__ = ("argv", "directory", "language", "mapped", "source")

    def __init__(self, source: str, language: str, argv: list[str], directory: str, mapped: bool) -> None:
        self.source = source
        self.language = language  #: ``c++``, ``c`` or ``cuda``
        self.argv = argv
        self.directory = directory  #: of the source: what is relative to it means the same elsewhere
        self.mapped = mapped  #: whether ``__FILE__`` is relative to ``directory``


def units(recipe: Recipe, toolchain: Toolchain, scan: Scan) -> list[Unit]:
    """The sources to be compiled: CUDA parts only where there is an nvcc to compile them."""
    cuda = toolchain.nvcc is not None and bool(recipe.cuda_sources)
    found = []
    for source in recipe.sources:
        directory = os.path.dirname(source)
        language = "c" if source.endswith(".c") else "c++"
        argv = _host(recipe, toolchain, scan, language, cuda)
        mapped = toolchain.compiler.family in ("gcc", "clang") and toolchain.compiler.major >= 10
        if mapped:
            argv.append("-fmacro-prefix-map={}/=".format(directory))
        found.append(Unit(source, language, argv, directory, mapped))
    if cuda:
        argv = nvcc(recipe, toolchain, scan)
        found += [Unit(source, "cuda", argv, os.path.dirname(source), False) for source in recipe.cuda_sources]
    return found


def standard(recipe: Recipe, toolchain: Toolchain) -> str:
    """The language standard: the running TensorFlow's, or a later one that the recipe asks for and it allows.

    Releases before 2.10 export ``absl::string_view`` where C++17 means ``std::string_view``: there it is a bound.
    """
    asked = _OLD_NAMES.get(recipe.standard.replace("gnu++", "c++"), recipe.standard.replace("gnu++", "c++"))
    tensorflow = toolchain.tensorflow
    if tensorflow is None:
        return recipe.standard if asked in _STANDARDS else ""
    wanted = tensorflow.standard
    if wanted != "c++14" and asked in _STANDARDS and wanted in _STANDARDS:
        return max(wanted, asked, key=_STANDARDS.index)
    return wanted


def standards_before(wanted: str) -> list[str]:
    """The names of all standards that are older than ``wanted``, as ``-std=`` has them."""
    if wanted not in _STANDARDS:
        return []
    older = _STANDARDS[: _STANDARDS.index(wanted)]
    names = [*older, *(name for name, stands_for in _OLD_NAMES.items() if stands_for in older)]
    return names + [name.replace("c++", "gnu++") for name in names]


def _common(recipe: Recipe, toolchain: Toolchain, scan: Scan, cuda: bool) -> list[str]:
    """Macros and include directories, for either compiler."""
    words = []
    tensorflow = toolchain.tensorflow
    if tensorflow is not None:
        words += [flag for flag in tensorflow.compile_flags if not flag.startswith(("-std", "--std"))]
        words.append("-DNDEBUG")
    words += ["-D" + one for one in recipe.defines]
    if cuda:
        words += ["-D" + one for one in recipe.cuda_defines]
        words += [] if any(one.startswith("GOOGLE_CUDA") for one in recipe.cuda_defines) else ["-DGOOGLE_CUDA=1"]
    words += ["-U" + one for one in recipe.undefines]
    words += ["-I" + one for one in recipe.include_dirs]
    if recipe.python_extension or scan.uses_python:
        words += ["-I" + one for one in python_includes()]
    if recipe.numpy or scan.uses_numpy:
        words += ["-I" + one for one in numpy_includes()]
    if cuda and toolchain.cuda_home:
        words += ["-I" + one for one in toolkits.includes(toolchain.cuda_home)]
    return words


def _host(recipe: Recipe, toolchain: Toolchain, scan: Scan, language: str, cuda: bool) -> list[str]:
    argv = list(toolchain.compiler.argv)
    if language == "c":
        argv += ["-x", "c"]
    elif standard(recipe, toolchain):
        argv.append("-std=" + standard(recipe, toolchain))
    argv += ["-O2", "-fPIC", "-w", *_flags(recipe.flags)]
    return argv + _common(recipe, toolchain, scan, cuda)


#: flags of a recipe that only say how code is generated. A compiler loads ``-fplugin``, ``-B`` and ``-specs`` name
#: programs: what a recipe names is read here, and not run
_HARMLESS = (
    r"-O(?:1|3|s|fast)|-pthread|-ansi|-m(?:sse|avx|fma|popcnt|f16c|bmi|lzcnt|aes)[\w.=-]*"
    r"|-f(?!plugin|profile|auto-profile|lto|dump|sanitize|file-|macro-|debug-|PIC|pic|no-PIC|no-pic|opt-info)[a-z][\w+-]*"
    r"(?:=[\w-]+)?"
)


def _flags(flags: Sequence[str]) -> list[str]:
    """Those that are harmless, without what would keep dead references alive.

    At ``-O0`` an op that names GPU code in a dead branch would compile and not load.
    """
    import re

    return [flag for flag in flags if re.match("(?:{})$".format(_HARMLESS), flag)]


#: words of a recipe for nvcc that are kept: they say how code is generated
_FOR_NVCC = (
    r"--?use_fast_math|--?(?:expt-)?extended-lambda|--?maxrregcount=\d+|--?fmad=(?:true|false)|--?ftz=(?:true|false)"
    r"|--?prec-(?:div|sqrt)=(?:true|false)"
)


def nvcc(recipe: Recipe, toolchain: Toolchain, scan: Scan) -> list[str]:
    """How nvcc compiles one ``.cu`` file."""
    import re

    assert toolchain.nvcc is not None
    words = [*toolchain.nvcc.argv, *toolchain.cuda_host]
    chosen = standard(recipe, toolchain)
    if chosen:
        words.append("-std=" + chosen)
    words += ["-O2", "-x", "cu", "-w", "-Xcompiler", "-fPIC", "--expt-relaxed-constexpr"]
    words += toolkits.architectures(recipe, toolchain)[0]
    words += [flag for flag in recipe.nvcc_flags if re.match("(?:{})$".format(_FOR_NVCC), flag)]
    return words + _common(recipe, toolchain, scan, True)


def for_nvcc(words: Sequence[str]) -> list[str]:
    """Words for a host compiler as nvcc hands them on: its own are ``-I``, ``-D``, ``-include`` and their like."""
    out: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("-iquote", "-idirafter"):
            out += ["-Xcompiler", word, "-Xcompiler", next(rest, "").replace(",", "\\,")]
        elif word.startswith(("-f", "-W", "-m")):
            out += ["-Xcompiler", word.replace(",", "\\,")]
        elif word == "-include":
            out += [word, next(rest, "")]
        else:
            out.append(word)
    return out


def link(
    recipe: Recipe, toolchain: Toolchain, objects: Sequence[str], output: str, helpers: Sequence[str], soname: str = ""
) -> list[str]:
    """How objects become a library: with what the recipe links, its helpers beside it, and the framework."""
    argv = [*toolchain.compiler.argv, "-shared", "-fPIC", "-w", "-o", output, *objects, *helpers]
    argv += [flag for flag in recipe.flags if flag in ("-fopenmp", "-pthread")]
    argv.append("-Wl,-rpath,$ORIGIN")
    for place in recipe.library_dirs:
        argv += ["-L" + place, "-Wl,-rpath," + place]
    own = {os.path.basename(one) for one in helpers}
    for name in recipe.libraries:
        if os.path.isabs(name):
            argv += [] if os.path.basename(name) in own else [name]
        elif "lib{}.so".format(name) not in own:
            argv.append("-l" + name)
    if recipe.cuda_sources and toolchain.nvcc is not None:
        for name in dict.fromkeys(("cudart", *recipe.cuda_libraries)):
            argv += toolkits.library(name, toolchain.cuda_home)
    if toolchain.tensorflow is not None:
        argv += list(toolchain.tensorflow.link_flags)
    if soname:
        argv.append("-Wl,-soname," + soname)
    if sys.platform == "darwin":
        argv += ["-undefined", "dynamic_lookup"]
    else:
        argv.append("-Wl,-z,noexecstack")
    return argv


def python_includes() -> list[str]:
    """Directories of this Python's headers."""
    import sysconfig

    paths = sysconfig.get_paths()
    return [one for one in dict.fromkeys((paths.get("include", ""), paths.get("platinclude", ""))) if one]


def numpy_includes() -> list[str]:
    """The directory of NumPy's headers, without importing NumPy."""
    for place in sys.path:
        for below in ("_core", "core"):  # 2.x, 1.x
            path = os.path.join(place, "numpy", below, "include")
            if os.path.isdir(path):
                return [path]
    return []


def neutral(words: Sequence[str], unit_directory: str, toolchain: Toolchain) -> list[str]:
    """``words`` with the places that differ between machines named by what they are."""
    pairs = [(unit_directory, "{dir}")]
    if toolchain.tensorflow is not None:
        pairs += [(toolchain.tensorflow.include, "{tf}"), (os.path.dirname(toolchain.tensorflow.framework), "{lib}")]
    pairs.append((sys.prefix, "{prefix}"))
    out = []
    for word in words:
        for path, name in pairs:
            if path and len(path) > 1:
                word = word.replace(path, name)
        if word.startswith("-I/"):  # the project's: what its headers hold is compared, not where it lies
            word = "-I" + os.path.relpath(word[2:], unit_directory)
        out.append(word)
    return out
