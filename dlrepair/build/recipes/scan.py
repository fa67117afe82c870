"""Files of a project that may hold a recipe, or are sources, found within bounds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from dlrepair.build.recipes.text import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from dlrepair.build.recipes.text import Budget

#: Never entered: no project keeps its recipes there.
SKIPPED = frozenset(
    (".git", ".hg", ".svn", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".venv",
     "site-packages", "dist-packages", "CMakeFiles", ".ipynb_checkpoints", ".eggs", "bazel-out", "bazel-bin",
     "bazel-genfiles", ".envs")
)  # fmt: skip
#: Entered last: they seldom hold recipes and often a million files.
LATE = frozenset(
    ("data", "dataset", "datasets", "checkpoints", "logs", "log", "images", "results", "outputs", "wandb", "runs",
     "weights",     "docs", "doc", "samples", "tmp", "temp")
)  # fmt: skip
MAX_DIRECTORIES = 4000
MAX_DEPTH = 8
#: So many entries without a source or a recipe make a directory one of data.
DATA_ENTRIES = 4000

SOURCES = (".cc", ".cpp", ".cxx", ".c", ".cu", ".C", ".c++")
HEADERS = (".h", ".hpp", ".cuh", ".hh")
#: What a file must hold to be read as a recipe of its kind; a name alone proves nothing.
_CONTENT = {
    "shell": re.compile(r"g\+\+|gcc|clang|nvcc|c\+\+|CXX|-shared|\.sh\b|\.bash\b|\bCC\b"),
    "make": re.compile(r"-shared|\.so\b|\.o\b|CXX|nvcc|g\+\+|^\s*-?include\s", re.MULTILINE),
    "cmake": re.compile(
        r"\badd_(?!executable|test|dependencies|definitions|compile)\w+\s*\(|_(?:library|lib|module|ops?|plugin|extension)\s*\("
        r"|\binclude\s*\(",
        re.IGNORECASE,
    ),
    "setup.py": re.compile(r"Extension\s*\(|ext_modules|add_extension|link_shared_|g\+\+|nvcc"),
    "bazel": re.compile(r"linkshared|_library\s*\(|\.so\"|pybind_extension|cc_binary"),
    "jit": re.compile(r"g\+\+|nvcc|\bgcc\b|-shared|get_plugin|cpp_extension|link_shared_"),
    "readme": re.compile(r"g\+\+|nvcc|gcc|clang|\bcc\s+-|c\+\+"),
}


@dataclass
class Found:
    """What one walk over a project found, the nearest first."""

    recipes: list[tuple[str, str]] = field(default_factory=list)  #: (kind, path)
    sources: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)


def kind_of(name: str) -> str:
    """Return what kind of recipe a file of this name may be, "" for none."""
    low = name.lower()
    if low.endswith((".sh", ".bash")):
        return "shell"
    if low in ("makefile", "gnumakefile") or low.endswith((".mk", ".mak")) or low.startswith("makefile."):
        return "shell" if low.endswith(".sh") else "make"
    if name == "CMakeLists.txt":
        return "cmake"
    if low in ("setup.py", "build.py", "build_ext.py", "setup_ops.py"):
        return "setup.py"
    if name in ("BUILD", "BUILD.bazel"):
        return "bazel"
    if low.endswith(".py"):
        return "jit"
    if low.startswith(("readme", "install", "build", "compil")) and low.endswith((".md", ".rst", ".txt", "readme")):
        return "readme"
    if "." not in name and low.startswith(("compile", "build", "make")):
        return "shell"
    return ""


def scan(starts: Iterable[str], root: str, budget: Budget) -> Found:
    """Return the recipes and sources in ``starts`` and then everywhere below ``root``."""
    found = Found()
    seen: set[str] = set()
    queue: list[tuple[str, int]] = [(start, MAX_DEPTH) for start in starts] + [(root, 0)]
    late: list[tuple[str, int]] = []
    at = 0
    while at < len(queue) or late:
        if at >= len(queue):
            queue, late, at = late, [], 0
        directory, level = queue[at]
        at += 1
        if directory in seen and level >= MAX_DEPTH:
            continue
        if len(seen) >= MAX_DIRECTORIES or budget.over:
            break
        for name in _read(directory, found, directory not in seen):
            if level < MAX_DEPTH and name not in SKIPPED and not name.endswith((".dist-info", ".egg-info")):
                (late if name.lower() in LATE else queue).append((os.path.join(directory, name), level + 1))
        seen.add(directory)
    return found


def _read(directory: str, found: Found, fresh: bool) -> list[str]:
    """Note what ``directory`` holds; return the names of its directories, sorted."""
    try:
        entries = os.scandir(directory)
    except (OSError, ValueError):
        return []
    folders: list[str] = []
    recipes: list[tuple[str, str]] = []
    sources: list[str] = []
    headers: list[str] = []
    with entries:
        try:
            for count, entry in enumerate(entries):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif fresh:
                    kind = kind_of(entry.name)
                    if kind:
                        recipes.append((kind, entry.path))
                    elif entry.name.endswith(SOURCES):
                        sources.append(entry.path)
                    elif entry.name.endswith(HEADERS):
                        headers.append(entry.path)
                if count >= DATA_ENTRIES and not recipes and not sources:
                    return []
        except OSError:
            pass
    if "pyvenv.cfg" in {os.path.basename(path) for _, path in recipes} or os.path.exists(
        os.path.join(directory, "pyvenv.cfg")
    ):
        return []
    found.recipes += sorted(recipes, key=lambda pair: pair[1])
    found.sources += sorted(sources)
    found.headers += sorted(headers)
    return sorted(folders)


def holds_recipe(kind: str, text: str) -> bool:
    """Tell whether a file's content is that of a recipe of its kind."""
    pattern = _CONTENT.get(kind)
    if pattern is None or not text:
        return False
    return bool(pattern.search(text))


def head(path: str) -> str:
    """Return what decides about a file."""
    return read_text(path)
