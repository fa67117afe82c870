"""What a source file says about itself: the ops that it registers, whose headers it includes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from dlrepair.build.recipes.text import read_text

_OP = re.compile(r"\bREGISTER_OP\s*\(\s*\"([A-Za-z_][\w>]*)\"")
_KERNEL = re.compile(r"\bREGISTER_KERNEL_BUILDER\s*\(\s*(?:\w+::)*Name\s*\(\s*\"([A-Za-z_][\w>]*)\"")
_INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"\n]+)[>\"]", re.MULTILINE)


@dataclass(frozen=True)
class Facts:
    """What the text of one source holds."""

    ops: tuple[str, ...] = ()  #: names in REGISTER_OP
    kernels: tuple[str, ...] = ()  #: ops that kernels are registered for
    includes: tuple[str, ...] = ()  #: headers in quotes, as written
    tensorflow: bool = False
    python: bool = False
    numpy: bool = False
    cuda: bool = False  #: includes the CUDA runtime or launches kernels, outside of any condition that is looked at
    main: bool = False  #: has a main function: a program, not a part of a library


_cache: dict[tuple[str, int, int], Facts] = {}


def facts_of(path: str) -> Facts:
    """Return what ``path`` holds; nothing of a file that cannot be read. Remembered until the file changes."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return Facts()
    key = (path, status.st_mtime_ns, status.st_size)
    if key not in _cache:
        if len(_cache) > 4000:
            _cache.clear()
        _cache[key] = read_facts(read_text(path))
    return _cache[key]


def read_facts(text: str) -> Facts:
    """Return what the text of a source holds."""
    code = _without_comments(text)
    headers = _INCLUDE.findall(code)
    names = [name for _, name in headers]
    return Facts(
        ops=tuple(dict.fromkeys(_OP.findall(code))),
        kernels=tuple(dict.fromkeys(_KERNEL.findall(code))),
        includes=tuple(dict.fromkeys(name for quote, name in headers if quote == '"')),
        tensorflow=any(
            name.startswith(("tensorflow/core/", "tensorflow/cc/", "tensorflow/c/", "tensorflow/compiler/"))
            for name in names
        ),
        python=any(
            name in ("Python.h", "boost/python.hpp", "structmember.h") or name.startswith("pybind11/") for name in names
        ),
        numpy=any(name.startswith("numpy/") for name in names),
        cuda=any(name in ("cuda_runtime.h", "cuda.h", "cublas_v2.h", "cudnn.h") for name in names) or "<<<" in code,
        main=bool(re.search(r"^\s*(?:int|void)\s+main\s*\(", code, re.MULTILINE)),
    )


def _without_comments(text: str) -> str:
    if "/*" in text:
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
