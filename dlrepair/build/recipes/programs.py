"""What well-known programs would print: TensorFlow's flags, a directory's name, the system's name.

Nothing is started. A program that is not known here prints an unknown value.
"""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.text import NUMPY, PYTHON, TENSORFLOW, absolute, find_files, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.build.recipes.text import Budget

_PYTHON = re.compile(r"(?:^|/)(?:python|pypy|ipython)[\d.]*$|PYTHON", re.IGNORECASE)
_COMPILER = re.compile(
    r"(?:^|/)(?:[\w.]+-)*(?:g\+\+|gcc|c\+\+|cc|clang\+\+|clang|icpc|icpx|icc|nvcc|hipcc)(?:-?[\d.]+)?(?:\.exe)?$"
)
#: What only the TensorFlow that is installed can tell, whatever the way it is asked.
_TENSORFLOW_ASKED = re.compile(
    r"get_include|get_lib|get_compile_flags|get_link_flags|cxx11_abi_flag|CXX11_ABI_FLAG|tensorflow\.__file__|tf\.__file__"
    r"|tensorflow\.__path__|tf\.__path__|find_spec\(.tensorflow|find_module\(.tensorflow|sysconfig"
)


def is_python(word: str) -> bool:
    """Tell whether a command's first word starts Python."""
    return bool(_PYTHON.search(word))


def is_compiler(word: str) -> bool:
    """Tell whether a command's first word starts a compiler driver."""
    return bool(_COMPILER.search(word))


def is_nvcc(word: str) -> bool:
    """Tell whether a compiler driver is CUDA's (or ROCm's)."""
    return bool(re.search(r"(?:^|/)(?:nvcc|hipcc)(?:[-\d.]*)?$|NVCC|GPUCC", word, re.IGNORECASE))


def python_code(code: str) -> str:
    """Return what ``python -c code`` prints, as far as it is known without running it."""
    if re.search(r"\btensorflow\b|\btf\.", code):
        if _TENSORFLOW_ASKED.search(code):
            return TENSORFLOW
        return unknown("$(python: tensorflow)")
    if ("numpy" in code and "get_include" in code) or "get_numpy_include" in code:
        return NUMPY
    if re.search(
        r"sysconfig|get_python_inc|get_python_lib|sys\.prefix|sys\.executable|sys\.version|pybind11|get_paths", code
    ):
        return PYTHON
    printed = re.fullmatch(r"\s*print\s*\(?\s*(['\"])([^'\"\\]*)\1\s*\)?\s*;?\s*", code)
    return printed.group(2) if printed else unknown("$(python)")


def output(words: Sequence[str], directory: str, environ: dict[str, str], budget: Budget) -> str:
    """Return what a program prints; unknown where only running it could tell."""
    if not words:
        return ""
    name = os.path.basename(words[0])
    arguments = [word for word in words[1:] if not word.startswith("-")]
    if is_python(words[0]):
        if name.endswith("-config"):
            return PYTHON
        if "-c" in words:
            at = words.index("-c") + 1
            return python_code(words[at]) if at < len(words) else ""
        return PYTHON if "pybind11" in words else unknown("$({})".format(name))
    if re.match(r"python[\d.]*-config$", name):
        return PYTHON
    if name == "echo" or name == "printf":
        return " ".join(words[1:] if not words[1:2] or words[1] not in ("-n", "-e") else words[2:])
    if name == "pwd":
        return directory
    if name == "uname":
        return _uname(words[1:])
    if name == "dirname" and arguments:
        return os.path.dirname(arguments[0]) or "."
    if name == "basename" and arguments:
        base = os.path.basename(arguments[0].rstrip("/"))
        return base[: -len(arguments[1])] if len(arguments) > 1 and base.endswith(arguments[1]) else base
    if name in ("readlink", "realpath") and arguments:
        return absolute(arguments[-1], directory)
    if name in ("which", "command", "type", "hash") and arguments:
        import shutil

        return shutil.which(arguments[-1]) or ""
    if name == "ls":
        return "\n".join(path for one in arguments for path in find_files(one, directory, budget))
    if name == "find":
        return "\n".join(_find(words[1:], directory, budget))
    return unknown("$({})".format(" ".join(words)))


def _uname(options: Sequence[str]) -> str:
    try:
        facts = os.uname()
    except AttributeError:
        return "Windows_NT"
    return facts.machine if "-m" in options or "-p" in options else facts.sysname


def _find(words: Sequence[str], directory: str, budget: Budget) -> list[str]:
    """Return what ``find [DIR] [-maxdepth N] -name PATTERN [-o -name PATTERN]`` prints."""
    starts = []
    for word in words:
        if word.startswith(("-", "(", "!", "\\")):
            break
        starts.append(word)
    patterns = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-name", "-iname")]
    depth = next(
        (int(words[at + 1]) for at, word in enumerate(words[:-1]) if word == "-maxdepth" and words[at + 1].isdigit()), 6
    )
    found: list[str] = []
    for start in starts or ["."]:
        top = absolute(start, directory)
        for current, folders, files in os.walk(top):
            budget.spend(1 + len(files) // 8 + len(folders))
            level = 0 if current == top else os.path.relpath(current, top).count("/") + 1
            folders[:] = [] if level >= min(depth, 8) - 1 else sorted(one for one in folders if not one.startswith("."))
            for name in sorted(files):
                if any(fits(name, pattern) for pattern in patterns):
                    found.append(os.path.join(start, os.path.relpath(os.path.join(current, name), top)))
            if len(found) > 2000:
                return found
    return found
