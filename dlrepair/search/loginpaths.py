"""Library directories that login shells and module files would set: read, never run.

On clusters the path comes from ``module load`` or from a start-up file of the shell, and a job or a notebook
server started otherwise has none of it. Assignments to LD_LIBRARY_PATH and the like are read from ``/etc/profile.d``
and the user's own start-up files, ``prepend-path`` from Tcl module files and ``prepend_path`` from Lua ones; of a
value only plain text and variables that are known count.
"""

from __future__ import annotations

import os

from dlrepair.search import reachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_PATHS = ("LD_LIBRARY_PATH", "LIBRARY_PATH", "LD_RUN_PATH", "CRAY_LD_LIBRARY_PATH", "NIX_LD_LIBRARY_PATH")
_SYSTEM_FILES = ("/etc/environment", "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshenv")
_USER_FILES = (".profile", ".bash_profile", ".bash_login", ".bashrc", ".zshenv", ".zprofile", ".zshrc")

#: endings of variables that name the top of an installed package; EasyBuild begins them with EBROOT
_TOPS = ("_ROOT", "_HOME", "_DIR", "_PREFIX", "_PATH")
_NO_TOPS = frozenset(("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "LD_LIBRARY_PATH"))

MAX_FILE = 1 << 18  #: bytes
MAX_MODULES = 1000  #: module files


def from_variables() -> list[str]:
    """Return ``lib`` and ``lib64`` below what variables such as ``FOO_ROOT`` and ``EBROOTFOO`` name."""
    found: list[str] = []
    for name, value in sorted(os.environ.items()):
        top = name.startswith("EBROOT") or (name.endswith(_TOPS) and name not in _NO_TOPS)
        if top and os.path.isabs(value) and os.pathsep not in value:
            found += [os.path.join(value, below) for below in ("lib", "lib64")]
        elif name in _PATHS[2:]:
            found += value.split(os.pathsep)
    return _existing(found)


def from_login_shells() -> list[str]:
    """Return the directories that the system's and the user's start-up files put into a library path."""
    files = list(_SYSTEM_FILES)
    try:
        files += [os.path.join("/etc/profile.d", name) for name in sorted(os.listdir("/etc/profile.d"))]
    except OSError:
        pass
    home = os.path.expanduser("~")
    files += [os.path.join(home, name) for name in _USER_FILES]
    found: list[str] = []
    for path in files:
        found += parse_shell(_read(path))
    return _existing(found)


def from_modules() -> list[str]:
    """Return the directories that module files put into a library path: those loaded, then those in MODULEPATH."""
    files = os.environ.get("_LMFILES_", "").split(os.pathsep)
    for directory in os.environ.get("MODULEPATH", "").split(os.pathsep):
        if os.path.isabs(directory):
            files += list(_module_files(directory))
    found: list[str] = []
    for path in list(dict.fromkeys(files))[:MAX_MODULES]:
        found += parse_module(_read(path)) if os.path.isabs(path) else []
    return _existing(found)


def _module_files(directory: str) -> Iterator[str]:
    """Yield the files of a module tree, two levels deep: ``name/version`` and ``category/name/version``."""
    level = [directory]
    for _ in range(3):
        below: list[str] = []
        for one in level:
            below += [os.path.join(one, name) for name in reachable.listed(one) if not name.startswith(".")]
        below = [one for one in below[:MAX_MODULES] if reachable.answers(one)]
        yield from (one for one in below if os.path.isfile(one))
        level = [one for one in below if os.path.isdir(one)]


def _read(path: str) -> str:
    if not reachable.answers(path):
        return ""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            return os.fsdecode(stream.read(MAX_FILE))
    except (OSError, ValueError):
        return ""


def _existing(places: list[str]) -> list[str]:
    found: list[str] = []
    for place in places:
        if os.path.isabs(place):
            place = os.path.normpath(place)
            if place not in found and place != "/" and reachable.is_directory(place):
                found.append(place)
    return found


def parse_shell(text: str) -> list[str]:
    """Return the directories that a shell script assigns to a library path, as far as they can be read off."""
    known: dict[str, str] = {}
    found: list[str] = []
    for line in text.splitlines():
        for part in line.split("#", 1)[0].replace("&&", ";").split(";"):
            words = part.split()
            words = words[1:] if words[:1] == ["export"] else words
            name, equals, value = (words[0] if words else "").partition("=")
            if not equals or not name.isidentifier():
                continue
            value = value.strip("\"'")
            if name in _PATHS:
                found += [place for place in (expand(one, known) for one in _split(value)) if place]
            else:
                known[name] = expand(value, known)
    return found


def _split(value: str) -> list[str]:
    """The elements of a path list; the colon in ``${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}`` separates nothing."""
    found, depth, at = [""], 0, 0
    while at < len(value):
        char = value[at]
        depth += (char == "{") - (char == "}")
        if char == ":" and depth == 0:
            found.append("")
        else:
            found[-1] += char
        at += 1
    return found


def expand(value: str, known: dict[str, str]) -> str:
    """Return ``value`` with ``$NAME`` and ``${NAME}`` replaced, "" where one is not known or anything is computed."""
    if "`" in value or "$(" in value or "*" in value:
        return ""
    if value == "~" or value.startswith("~/"):
        value = os.path.expanduser("~") + value[1:]
    found = ""
    at = 0
    while at < len(value):
        if value[at] != "$":
            found += value[at]
            at += 1
            continue
        braces = value[at + 1 : at + 2] == "{"
        start = at + 2 if braces else at + 1
        end = start
        while end < len(value) and (value[end].isalnum() or value[end] == "_"):
            end += 1
        name = value[start:end]
        if braces and value[end : end + 1] != "}":
            return ""
        text = known.get(name) or os.environ.get(name, "")
        if not text:
            return ""
        found += text
        at = end + 1 if braces else end
    return found


def parse_module(text: str) -> list[str]:
    """Return the directories that a Tcl or Lua module file puts into a library path (modulefile(4), Lmod)."""
    known: dict[str, str] = {}
    found: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("local ") and "=" in line:
            name, _, value = line[6:].partition("=")
            known[name.strip()] = _lua(value.strip(), known)
        elif line.startswith(_LUA_CALLS):
            values = _arguments(line)
            if len(values) > 1 and values[0].strip("\"'") in _PATHS:
                found += _split(_lua(values[1], known))
        else:
            found += _tcl(line, known)
    return [place for place in found if place]


_LUA_CALLS = tuple(name + bracket for name in ("prepend_path", "append_path", "setenv", "pushenv") for bracket in "({")


def _tcl(line: str, known: dict[str, str]) -> list[str]:
    """The elements that one line of a Tcl module file adds; ``set`` is remembered in ``known``."""
    words = line.split(None, 2)
    if len(words) == 3 and words[0] == "set":
        known[words[1]] = expand(words[2].strip("\"'{}"), known)
    if not words or words[0] not in ("prepend-path", "append-path", "setenv", "pushenv"):
        return []
    while len(words) == 3 and words[1] in ("-d", "--delim"):  # as Spack writes them, with the delimiter in braces
        words = [words[0], *words[2].split(None, 2)[1:]]
    if len(words) == 3 and words[1].startswith("--delim="):
        words = [words[0], *words[2].split(None, 1)]
    if len(words) != 3 or words[1] not in _PATHS:
        return []
    return [expand(one, known) for one in _split(words[2].strip().strip("\"'{}"))]


def _arguments(line: str) -> list[str]:
    """The arguments of a Lua call that fills a line; none where it does not end on it."""
    inside = line[min(at for at in (line.find("("), line.find("{")) if at >= 0) + 1 :]
    found, depth, quote = [""], 0, ""
    for char in inside:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in ")}":
            depth -= 1
            if depth < 0:
                return [one.strip() for one in found]
        depth += char in "({" and not quote
        if char == "," and not depth and not quote:
            found.append("")
        else:
            found[-1] += char
    return []


def _lua(value: str, known: dict[str, str]) -> str:
    """A Lua string, a variable, ``a .. "/lib"`` or ``pathJoin(a, "lib")``; "" of anything else."""
    value = value.split("--", 1)[0].strip()
    if value.startswith("pathJoin(") and value.endswith(")"):
        parts = [_lua(part, known) for part in value[9:-1].split(",")]
        return os.path.join(*parts) if all(parts) else ""
    if ".." in value and "/.." not in value:
        parts = [_lua(part, known) for part in value.split("..")]
        return "".join(parts) if all(parts) else ""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return known.get(value, "")
