"""A project's own build scripts for a wanted library: which there are, and which of them may run.

Nothing is run here. ``dlrepair trust`` decides; see ``dlrepair.build.scripted`` for the run.
"""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes import names, scan
from dlrepair.build.recipes.text import Budget, read_text
from dlrepair.model.script import Script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.build import Recipe

#: kinds of recipes whose files can be run as they are
_RUNNABLE = {"shell": "shell", "make": "make", "cmake": "cmake", "setup.py": "setup.py"}
_TEMPLATES = ("Makefile.in", "Makefile.am", "makefile.in", "configure.ac", "CMakeLists.txt")
#: scripts that are looked at closely, and that are answered
_LOOKED_AT = 60
MOST = 5


def find_scripts(wanted: str, recipes: Sequence[Recipe], root: str, deadline: float | None = None) -> list[Script]:
    """The scripts of the project that may make ``wanted``: the allowed ones first, then those that name it.

    ``recipes``: what was read for it, the best first, those that cannot be followed included.
    """
    from dlrepair.trust import consents

    found: dict[str, tuple[str, bool]] = {}
    for recipe in recipes:
        kind = _kind(recipe.file) if recipe.file and recipe.kind in _RUNNABLE else ""
        if kind:
            found.setdefault(recipe.file, (kind, True))
    stem = names.stem(wanted)
    stem = re.escape(stem[3:] if stem.startswith("lib") else stem)
    name = re.compile(r"(?<![A-Za-z0-9_])(?:lib)?{}(?![A-Za-z0-9_])".format(stem))
    starts = [one for one in (os.path.dirname(wanted), root) if os.path.isdir(one)]
    for path in _near(starts, root, Budget(deadline))[:_LOOKED_AT]:
        kind = _kind(path)
        if kind and path not in found:
            text = read_text(path)
            if kind == "configure":  # what it makes says what is built
                text += "".join(read_text(os.path.join(os.path.dirname(path), one)) for one in _TEMPLATES)
            if kind in ("configure", "python") or scan.holds_recipe(kind, text):
                found[path] = (kind, bool(name.search(text)))
    scripts = []
    for path, (kind, named) in found.items():
        permission = consents.permission(path)
        scripts.append(
            Script(path, kind, root, os.path.basename(wanted), permission.state, permission.changed,
                   tuple(permission.files.items()), named)
        )  # fmt: skip
    order = ("allowed", "changed", "none", "refused")
    scripts.sort(key=lambda one: (order.index(one.state), not one.named))
    return [one for one in scripts if one.state != "refused" and (one.named or one.state != "none")][:MOST]


def _near(starts: Sequence[str], root: str, budget: Budget) -> list[str]:
    """Files that may be scripts, by how they are called, the nearest first; ``configure`` before what it makes."""
    found = scan.scan(starts, root, budget).recipes
    paths = [path for kind, path in found if kind in ("shell", "make", "cmake")]
    paths += [path for kind, path in found if kind == "setup.py"]
    for place in dict.fromkeys([*(os.path.dirname(path) for path in paths), *starts]):
        configure = os.path.join(place, "configure")
        if os.path.isfile(configure):
            paths.insert(0, configure)
    return paths


def _kind(path: str) -> str:
    """How the file at ``path`` would be run; "" where it would not be."""
    name = os.path.basename(path)
    if name == "configure":
        return "configure"
    kind = scan.kind_of(name)
    if kind == "setup.py":
        return "setup.py" if name.startswith("setup") else "python"
    if kind == "make" and not (name.lower() in ("makefile", "gnumakefile") or name.endswith((".mk", ".mak"))):
        return ""  # Makefile.in, Makefile.am: input of others
    return _RUNNABLE.get(kind, "")


def commands_of(script: Script, folder: str, build: str, python: str, jobs: int) -> list[list[str]]:
    """What is run for a script, in order, in ``folder``: its directory in the copy. ``build``: where cmake builds."""
    name = os.path.basename(script.path)
    if script.kind == "shell":
        return [[_shell(script.path), "./" + name]]
    if script.kind == "make":
        return [["make", "-f", name]]
    if script.kind == "configure":
        return [["/bin/sh", "./configure"], ["make"]]
    if script.kind == "cmake":
        configure = ["cmake", "-S", folder, "-B", build, "-DCMAKE_BUILD_TYPE=Release"]
        return [configure, ["cmake", "--build", build, "--parallel", str(jobs)]]
    if script.kind == "setup.py":
        return [[python, name, "build_ext", "--inplace"]]
    return [[python, name]]


def _shell(path: str) -> str:
    """The shell that the first line names, else bash, else sh."""
    from dlrepair.build import toolchain

    first = read_text(path).split("\n", 1)[0]
    words = first[2:].split() if first.startswith("#!") else []
    asked = os.path.basename(words[-1] if words and words[0].endswith("env") else words[0]) if words else "bash"
    for name in (asked, "bash", "sh"):
        found = toolchain.which(name) if name in ("bash", "sh", "dash", "zsh", "ksh") else ""
        if found:
            return found
    return "/bin/sh"
