"""Which directories, sources and libraries of a recipe exist here and are the project's."""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes.driver import TENSORFLOWS as TENSORFLOWS
from dlrepair.build.recipes.text import NUMPY, PYTHON, TENSORFLOW, absolute, has_unknown, inside, without_unknown

PYTHONS = "Python's: taken from the running one"
NUMPYS = "NumPy's: taken from the running environment"
CUDAS = "CUDA's: those of the toolkit that is found"
UNKNOWN_VALUE = "its value is not known"
DEAD = "does not exist here"

_TENSORFLOW = re.compile(
    r"(?:^|[/-])tensorflow(?:_core|_gpu|_cpu)?(?:/|$)|(?:^|/)nsync/public|/local_config_(?:tf|cuda)(?:/|$)"
)
_PYTHON = re.compile(
    r"(?:^|/)python[23]?(?:\.\d+)?m?(?:$|/(?:config|site-packages|dist-packages)(?:-|/|$))|/numpy/core/include"
)
_CUDA = re.compile(r"(?:^|/)(?:cuda|cudnn|nccl)(?:[-_]?[\d.]+)?(?:/|$)", re.IGNORECASE)
#: The compiler looks here by itself, and in a better order.
_SYSTEM = re.compile(
    r"^(?:/usr|/usr/local|/opt/local)?/(?:include|lib|lib64|lib32)(?:/[a-z0-9_]+-linux-gnu)?$|^/usr(?:/local)?$|^/$"
)

CUDA_LIBRARIES = re.compile(
    r"^(?:cuda|cudart(?:_static)?|cudadevrt|cudnn|cublas(?:Lt)?|cublas_device|cufft|curand|cusolver|cusparse|nppc?|npp[ip]\w*"
    r"|nvrtc|nvToolsExt|nccl|cupti|culibos|nvinfer\w*|nvjpeg)$"
)
_TENSORFLOW_LIBRARIES = re.compile(
    r"^:?(?:lib)?_?(?:pywrap_)?tensorflow\w*(?:\.so[.\d]*|\.[\d.]*dylib)?$|tensorflow_framework|tensorflow_cc"
)
_PYTHON_LIBRARIES = re.compile(r"^:?(?:lib)?python\d(?:\.\d+)?m?(?:\.so[.\d]*|\.a)?$")

#: Where a linker looks without being told.
_LIBRARY_DIRECTORIES = (
    "/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64", "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/gcc",
)  # fmt: skip
#: Come with the compiler or the C library.
_COMPILERS_OWN = frozenset(
    ("c", "m", "dl", "rt", "pthread", "stdc++", "gcc", "gcc_s", "gomp", "util", "quadmath", "atomic")
)


class Places:
    """Finds a recipe's paths below one project root."""

    def __init__(self, root: str) -> None:
        self.root = os.path.normpath(root)
        self._tails: dict[tuple[str, str], str] = {}

    def directory(self, word: str, cwd: str, file: str) -> tuple[str, str]:
        """Return (path, "") of an include or library directory that is kept, ("", why) of another one."""
        reason = _whose(word)
        if reason:
            return "", reason
        if has_unknown(word):
            return "", UNKNOWN_VALUE
        path = self._existing(word, cwd, file, os.path.isdir)
        if not path:
            named = _TENSORFLOW.search(word) or _PYTHON.search(word)
            if named and word.startswith("/"):
                return "", TENSORFLOWS if _TENSORFLOW.search(word) else PYTHONS
            return "", DEAD
        if _SYSTEM.match(path):
            return "", "the compiler looks there by itself"
        if inside(path, self.root):
            headers = os.path.isdir(os.path.join(path, "tensorflow", "core", "framework"))
            return ("", TENSORFLOWS) if headers and not inside(self.root, path) else (path, "")
        if _TENSORFLOW.search(path):
            return "", TENSORFLOWS
        if _PYTHON.search(path):
            return "", PYTHONS
        if _CUDA.search(path):
            return "", CUDAS
        return path, ""

    def source(self, word: str, cwd: str, file: str) -> str:
        """Return the absolute path of an input that exists, "" if there is none.

        It is looked for where the command runs, beside the recipe, from the project's top, and for a path of
        the author's machine by the longest end that exists here.
        """
        if has_unknown(word):
            base = os.path.basename(without_unknown(word))
            return self._existing(base, cwd, file, os.path.isfile) if base and base[0] != "." else ""
        return self._existing(word, cwd, file, os.path.isfile)

    def _existing(self, word: str, cwd: str, file: str, test: object) -> str:
        exists = os.path.isdir if test is os.path.isdir else os.path.isfile
        path = absolute(word, cwd)
        if exists(path):
            return path
        key = (word, os.path.dirname(file) + "\0" + cwd + "\0" + str(exists is os.path.isdir))
        if key not in self._tails:
            self._tails[key] = self._elsewhere(word, cwd, file, exists is os.path.isdir)
        return self._tails[key]

    def _elsewhere(self, word: str, cwd: str, file: str, directory: bool) -> str:
        exists = os.path.isdir if directory else os.path.isfile
        parts = [part for part in word.split("/") if part not in ("", ".")]
        while parts and parts[0] == "..":
            parts = parts[1:]
        bases = list(dict.fromkeys([os.path.dirname(file) if file else cwd, *self._above(cwd), self.root]))
        if not word.startswith("/"):
            for base in bases:
                path = absolute("/".join(parts), base)
                if parts and exists(path) and inside(path, self.root):
                    return path
            return ""
        own = set(self.root.split("/")[-1:]) | set(os.path.dirname(file).split("/")[len(self.root.split("/")) - 1 :])
        for at in range(1, len(parts)):
            if directory and parts[at - 1] not in own:
                continue  # `include` of another library is not the project's `include`
            for base in bases:
                path = absolute("/".join(parts[at:]), base)
                if exists(path) and inside(path, self.root) and path != self.root:
                    return path
        return ""

    def _above(self, directory: str) -> list[str]:
        found: list[str] = []
        while inside(directory, self.root) and len(found) < 12:
            found.append(directory)
            directory = os.path.dirname(directory)
        return found


def _whose(word: str) -> str:
    if TENSORFLOW in word:
        return TENSORFLOWS
    if NUMPY in word:
        return NUMPYS
    return PYTHONS if PYTHON in word else ""


def library_owner(name: str) -> str:
    """Return whose library ``-lNAME`` is: ``tensorflow``, ``python``, ``cuda``, or "" of any other."""
    if TENSORFLOW in name or _TENSORFLOW_LIBRARIES.search(name):
        return "tensorflow"
    if PYTHON in name or _PYTHON_LIBRARIES.match(name):
        return "python"
    plain = re.sub(r"^:?lib|\.so[.\d]*$|\.a$", "", name) if name.startswith(":") else name
    return "cuda" if CUDA_LIBRARIES.match(plain) else ""


def find_library(name: str, directories: list[str]) -> str:
    """Return the file that ``-lNAME`` means in ``directories`` or where linkers look, "compiler" for its own."""
    if name in _COMPILERS_OWN:
        return "compiler"
    names = [name[1:]] if name.startswith(":") else ["lib{}.so".format(name), "lib{}.a".format(name)]
    environment = [one for one in os.environ.get("LIBRARY_PATH", "").split(":") if one]
    for directory in [*directories, *environment, *_LIBRARY_DIRECTORIES]:
        for one in names:
            path = os.path.join(directory, one)
            if os.path.exists(path):
                return path
    return ""
