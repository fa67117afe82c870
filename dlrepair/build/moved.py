"""Whether nothing but line numbers has changed since a library was built: then it still does what its sources say.

A comment that takes a line of its own moves what lies below it. OP_REQUIRES and LOG hand ``__LINE__`` to functions that
put it into a message; the object differs in those numbers, and compiling it takes as long as ever. Who waits for a
library that behaves like its sources, as the watcher does, may have the earlier one meanwhile.

That is so where the tokens and directives of every file of the project are the same and in the same order, every other
header is as it was, and no line number reaches anything but a message: the project's files neither ask for lines nor
make strings or names of what they are given (``asks_for_lines``), and the macros of other headers that use lines are
TensorFlow's, the C++ library's and Python's, which hand them to functions that report errors
(docs/decisions/0006 has the list). Debug information holds lines as well, so it is not for builds with ``-g``.
"""

from __future__ import annotations

import os

from dlrepair import store
from dlrepair.build import commands, includes, lexer, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from dlrepair.build.parts import Part

#: words that give a line, or a type's name with a line in it; parts of ``__LINE__``, for ``##`` could join them
_WORDS = (
    "__LINE__", "__L", "__LI", "__LIN", "LINE__", "INE__", "NE__", "__builtin_LINE", "__builtin_COLUMN",
    "__builtin_source_location", "source_location", "SourceLocation", "__PRETTY_FUNCTION__", "__TIMESTAMP__",
    "basic_stacktrace", "stacktrace",
)  # fmt: skip
#: headers of the C++ library, and assert(3)
_THEIRS = r"/include/(?:[^/]+/)?c\+\+/\d|/assert\.h$"


class Last:
    """The last good build of one library: filled by a build, asked by the next one. Kept in memory only."""

    def __init__(self) -> None:
        self.library = ""  #: key in the store
        self._digest = ""
        self._seen: list[list[tuple[tuple[str, ...], list[str], list[list[Any]]]]] = []
        self._silent: bool | None = None  #: whether other headers keep lines to messages; None: not looked at yet

    def take(self, key: str, parts: Sequence[Part]) -> None:
        """Remembers a build whose parts are all known."""
        self.library, self._silent = key, None
        self._seen = [
            [(known.steps, known.headers, known.rows) for known in part.known if known is not None] for part in parts
        ]
        self._digest = self._shape(parts)

    def stands_for(self, parts: Sequence[Part]) -> bool:
        """Whether the sources as they are now differ from those of the library in line numbers only."""
        if not self._digest or self._shape(parts) != self._digest:
            return False
        if any(asks_for_lines(text) for part in parts for text in self._texts(part)):
            return False
        if self._silent is None:
            self._silent = all(_is_silent(part, rows) for part, seen in zip(parts, self._seen) for _, _, rows in seen)
        return self._silent

    def _texts(self, part: Part) -> list[str]:
        return [*part.scan.texts.values(), *part.recipe.defines]

    def _shape(self, parts: Sequence[Part]) -> str:
        """A digest of everything that decides what the libraries do; "" where that cannot be said."""
        words: list[str] = []
        if len(parts) != len(self._seen):
            return ""
        for part, seen in zip(parts, self._seen):
            if len(seen) != len(part.units) or part.toolchain.compiler.family != "gcc":
                return ""
            for unit, (steps, own, rows) in zip(part.units, seen):
                if unit.language not in ("c", "c++") or any(word.startswith("-g") for word in unit.argv):
                    return ""
                text = part.scan.texts[os.path.normpath(unit.source)]
                words += [objects.key_of_text(unit, lexer.without_lines(text), part.toolchain), *steps]
                places = part.places(unit)
                if any(path not in part.scan.texts for path in own) or not objects.others_hold(rows, places):
                    return ""
                for path in own:
                    words += [places.name(path, True), store.key_of(lexer.without_lines(part.scan.texts[path]))]
                words += [word for name, _, _, digest, local in rows if not local for word in (name, digest)]
            argv = commands.link(part.recipe, part.toolchain, (), part.name, (), "")
            words += [part.name, *commands.neutral(argv[1:], part.recipe.directory, part.toolchain)]
        return store.key_of(*words)


def asks_for_lines(text: str) -> bool:
    """Whether a file of the project could make anything but a message of a line number."""
    import re

    code = lexer.code_of(text)
    words = r"\b(?:{})\b".format("|".join(_WORDS))
    if re.search(words, code):
        return True
    macros = re.findall(r"^[ \t]*#[ \t]*(?:line\b|\d).*|^[ \t]*#[ \t]*define\b(?:[^\\\n]|\\.)*", code, re.M | re.S)
    return any(not one.lstrip(" \t#").startswith("define") or _makes_strings(one) for one in macros)


def _makes_strings(macro: str) -> bool:
    import re

    return bool(re.search(r"(?<!#)#(?!#)[ \t]*[A-Za-z_]", macro.lstrip()[1:].lstrip()))


def _is_silent(part: Part, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether no header but those that are known to report errors with it mentions a line."""
    import re

    known = [*commands.python_includes()]
    if part.toolchain.tensorflow is not None:
        known.append(part.toolchain.tensorflow.include)
    tops = tuple(one + os.sep for one in known)
    places = part.places(part.units[0]) if part.units else None
    for name, _, _, _, local in rows:
        path = places.path(name) if places is not None and not local else ""
        if not path or path.startswith(tops) or re.search(_THEIRS, path):
            continue
        try:
            text = includes.read_text(path)
        except (OSError, ValueError):
            return False
        if any(word in text for word in ("__LINE__", "__builtin_LINE", "source_location")):
            return False
    return True
