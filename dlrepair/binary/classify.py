"""Why a symbol is undefined: what the libraries that are there export instead of it.

Mangled names are compared by what they declare. The same function with and without the
``cxx11`` ABI tag or ``std::__cxx11`` means the other C++ ABI (libstdc++ manual, "Dual
ABI"); with another signature or another inline namespace (abseil's ``lts_DATE``) it means
another release.
"""

from __future__ import annotations

import os

from dlrepair.binary.demangle import Parts, take_apart
from dlrepair.binary.elf import ElfError, ElfFile, open_elf
from dlrepair.binary.symbols import Unresolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView

#: names that are compared by what they declare; the rest inherits. Each costs a search of the string tables.
MAX_COMPARED = 16
MAX_NEAR = 48
#: a string table larger than this is not searched: 60 MB take 50 ms for each name
MAX_SEARCHED = 1 << 24
LONG_STRING = "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"


def without_abi(words: str) -> str:
    """``words`` as they would read were there one C++ ABI only."""
    words = words.replace("[abi:cxx11]", "").replace("__cxx11::", "")
    return words.replace(LONG_STRING, "std::string").replace("std::basic_string<char>", "std::string")


def without_release(words: str) -> str:
    """``words`` without inline namespaces that carry a release: ``lts_20250814``, ``__1``, ``__ndk1``."""
    for start in ("lts_", "__ndk", "__"):
        at = words.find(start)
        while at >= 0:
            end = at + len(start)
            while words[end : end + 1].isdigit():
                end += 1
            whole = end > at + len(start) and words[end : end + 2] == "::" and words[:at].endswith("::")
            words = words[:at] + words[end + 2 :] if whole else words
            at = words.find(start, at if whole else end)
    return words


def _entity(parts: Parts) -> str:
    """What ``parts`` is about, whatever the release, the ABI and the template arguments."""
    words, depth, kept = without_release(without_abi(parts.entity)), 0, []
    for char in words.replace("operator<<", "operator{{").replace("operator<", "operator{").replace("->", "-}"):
        depth += (char == "<") - (char == ">")
        if depth == 0 and char != ">":
            kept.append(char)
    return "".join(kept)


class _Library:
    """A library that may define the symbol; opened on first use."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._elf: ElfFile | None = None
        self._bad = False

    def elf(self) -> ElfFile | None:
        if self._elf is None and not self._bad:
            try:
                self._elf = open_elf(self.path)
            except (OSError, ElfError):
                self._bad = True
        return self._elf

    def defines(self, name: str, version: str | None) -> bool:
        elf = self.elf()
        return elf is not None and elf.defines(name, version)

    def close(self) -> None:
        if self._elf is not None:
            self._elf.close()


def _libraries(path: str, closure: Sequence[str], process: ProcessView | None, also: Sequence[str]) -> list[_Library]:
    """Frameworks first: they are what an op's symbols come from; then the closure, then what is mapped."""
    loaded = process.loaded if process is not None else ()
    seen, found = {os.path.realpath(path)}, []
    for one in (*also, *closure, *loaded):
        real = os.path.realpath(one)
        if real not in seen:
            seen.add(real)
            found.append(one)
    found.sort(key=lambda one: _rank(os.path.basename(one)))  # stable
    return [_Library(one) for one in found]


def _rank(leaf: str) -> int:
    if "_framework" in leaf:
        return 0
    if leaf.startswith(("libc.so", "libm.so", "ld-", "libdl.", "libpthread.", "librt.", "libpython")):
        return 3
    return 1 if leaf.startswith("lib") else 2


def classify(
    path: str, rows: list[tuple[str, str | None, bool]], closure: Sequence[str], process: ProcessView | None,
    also: Sequence[str] = (),
) -> tuple[Unresolved, ...]:  # fmt: skip
    """Each of ``rows`` with its class and the library that defines it, or nearly does."""
    libraries = _libraries(path, closure, process, also)
    try:
        return _classify(rows, libraries)
    finally:
        for library in libraries:
            library.close()


def _classify(rows: list[tuple[str, str | None, bool]], libraries: list[_Library]) -> tuple[Unresolved, ...]:
    found: list[Unresolved] = []
    compared, later = 0, []
    for name, version, weak in rows:
        one = Unresolved(name, version, weak)
        found.append(one)
        exact = next((library for library in libraries if library.defines(name, version)), None)
        if exact is not None:
            one.klass, one.provider_hint = "link", exact.path
            continue
        parts = take_apart(name)
        if parts is None or not parts.identifiers or parts.identifiers[0] == "3std" or name.startswith("_ZNSt"):
            continue
        if compared < MAX_COMPARED:
            compared += 1
            one.klass, one.provider_hint = _compare(name, parts, libraries)
        if one.klass == "other":
            later.append((one, parts))
    _inherit(found, later, libraries)
    return tuple(found)


def _compare(name: str, parts: Parts, libraries: list[_Library]) -> tuple[str, str]:
    """(class, library) by the nearest definition of the same entity."""
    entity, fragments = _entity(parts), _fragments(parts)
    # what the other name must hold to be about the same entity, looked at before it is demangled
    sort, inside = (
        name[:4].encode("utf-8", "surrogateescape"),
        [one.encode("utf-8", "surrogateescape") for one in _kept(parts)],
    )
    wanted = without_abi(parts.shown)
    best = ("other", "")
    for library in _worth_searching(libraries):
        elf = library.elf()
        if elf is None or elf.image.str_size > MAX_SEARCHED:
            continue
        for fragment in fragments:
            for raw in elf.symbols.defined_names(fragment, MAX_NEAR):
                if (raw[:4] != sort and raw[2:3] in (b"T", b"G")) or not all(one in raw for one in inside):
                    continue
                other = take_apart(raw.decode("utf-8", "surrogateescape"))
                if other is None or _entity(other) != entity:
                    continue
                if without_abi(other.shown) == wanted:
                    return "abi", library.path
                if best[0] == "other":
                    best = ("version", library.path)
            if best[0] != "other":
                break
        if best[0] != "other":
            break
    return best


def _worth_searching(libraries: list[_Library]) -> list[_Library]:
    """The framework's libraries where there are any: they declare what an op's symbols are compared with."""
    frameworks = [library for library in libraries if _rank(os.path.basename(library.path)) == 0]
    return frameworks or [library for library in libraries if _rank(os.path.basename(library.path)) < 3]


def _kept(parts: Parts) -> list[str]:
    """The source names of ``parts`` without inline namespaces of a release or an ABI."""
    return [one for one in parts.identifiers if not one.lstrip("0123456789").startswith(("lts_", "__cxx11", "__ndk"))]


def _fragments(parts: Parts) -> list[bytes]:
    """What to look for in a string table: the innermost two names side by side, else the innermost."""
    names = _kept(parts)
    tail = [names[-2] + names[-1]] if len(names) > 1 and names[-2] + names[-1] in "".join(parts.identifiers) else []
    return [one.encode("utf-8", "surrogateescape") for one in [*tail, names[-1]]] if names else []


def _inherit(found: list[Unresolved], later: list[tuple[Unresolved, Parts]], libraries: list[_Library]) -> None:
    """Symbols without a near relative share the class of others that are certain, where their namespace is known.

    ``tensorflow::Status`` has vanished altogether in later releases: only its neighbours tell.
    """
    certain = dominant(found)
    if certain not in ("abi", "version"):
        certain = ""
    hint = next((one.provider_hint for one in found if one.klass == certain), "")
    for one, parts in later:
        outer = parts.identifiers[0]
        if any(other.klass == certain and outer in other.name for other in found if certain):
            one.klass, one.provider_hint = certain, hint
            continue
        if len(parts.identifiers) < 2:
            continue
        scope = "".join(parts.identifiers[:-1]).encode("utf-8", "surrogateescape")
        for library in _worth_searching(libraries):
            elf = library.elf()
            if (
                elf is not None
                and elf.image.str_size <= MAX_SEARCHED
                and len(parts.identifiers) > 2
                and any(elf.symbols.defined_names(scope, 1))
            ):
                one.klass, one.provider_hint = "version", library.path
                break


def dominant(found: Sequence[Unresolved]) -> str:
    """The class that explains them all: another release before the other ABI before a missing link."""
    present = {one.klass for one in found}
    return next((klass for klass in ("version", "abi", "link") if klass in present), "other")
