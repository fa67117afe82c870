"""The statements of the code that a frame is running, parsed from its source.

Only the function, class or top-level statements in question are parsed: a whole
file of a thousand lines costs ten milliseconds, a function a tenth of one. The builtin
``compile`` with the flag that ``ast.parse`` uses (0x400) does it; ``ast`` is not imported.

The source must be the one that runs. A file not touched since this process started
is; one that was is compiled, and must contain the very same bytecode (proc(5), field 22 of
``/proc/self/stat``: the start time).
"""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose.syntax import child_blocks, first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Iterator

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
_NAME = "<source read by dlrepair>"
_MAX_BYTES = 8 << 20
_CONTINUES = (b"else", b"elif", b"except", b"finally")  # clauses, not statements of their own
_sources: dict[tuple[str, tuple[int, ...]], Source] = {}


class _OurSource:
    """Matches only warnings about what this module compiles, in a filter of ``warnings``."""

    @staticmethod
    def match(module: str, *_: object) -> bool:
        return module == _NAME


_QUIET = ("ignore", None, Warning, _OurSource, 0)


def _compile(text: bytes, flags: int) -> Any:
    """The tree or code of ``text``, or None where it does not compile. Prints no SyntaxWarning."""
    warnings = sys.modules.get("warnings") or sys.modules.get("_warnings")
    filters = vars(warnings).get("filters") if type(warnings) is type(sys) else None
    if type(filters) is not list:
        filters = []
    filters.insert(0, _QUIET)
    try:
        return compile(text, _NAME, "exec", flags, True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError, LookupError):
        return None
    finally:
        try:
            filters.remove(_QUIET)
        except ValueError:
            pass  # somebody replaced the list's contents meanwhile


class Block:
    """The statements of one module, function or class, as far as they were parsed."""

    __slots__ = ("kind", "source", "stmts")

    def __init__(self, kind: str, stmts: list[Any], source: Source) -> None:
        self.kind = kind  #: ``module``, ``function``, ``class``
        self.stmts = stmts
        self.source = source


class Source:
    """Lines of one file, and what was parsed of them so far."""

    def __init__(self, path: str, text: bytes) -> None:
        self.path = path
        self.text = text[3:] if text.startswith(b"\xef\xbb\xbf") else text
        self.lines = self.text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._cookie = self._find_cookie() if self.text is text else b""
        self._parsed: dict[tuple[int, str], Any] = {}

    def line(self, number: int) -> str:
        """One line without its indentation, for people."""
        text = self.lines[number - 1] if 1 <= number <= len(self.lines) else b""
        return text.strip().decode("utf-8", "replace")

    def _find_cookie(self) -> bytes:
        """The PEP 263 line; it must stand before every part that is compiled by itself."""
        for line in self.lines[:2]:
            if line.lstrip().startswith(b"#") and b"coding" in line:
                return line
        return b""

    def _parse_lines(self, first: int, last: int, wrap: bool) -> Any:
        """Tree of lines ``first`` to ``last`` (1-based, inclusive) with their own line numbers; None: no whole code."""
        padding = [b""] * (first - 1)
        if wrap:
            padding[-1] = b"if 1:"
        if self._cookie and padding and not (wrap and first == 2):
            padding[0] = self._cookie
        return _compile(b"\n".join(padding + self.lines[first - 1 : last]) + b"\n", _ONLY_AST)

    def _whole(self) -> list[Any]:
        if (0, "") not in self._parsed:
            tree = self._parse_lines(1, len(self.lines), False)
            self._parsed[0, ""] = [] if tree is None else tree.body
        return self._parsed[0, ""]  # type: ignore[no-any-return]

    def definition(self, name: str, line: int, whole: bool = False) -> Any:
        """The def or class named ``name`` whose first line (decorators included) is ``line``, or None."""
        key = (line, name)
        if key not in self._parsed:
            self._parsed[key] = self._find_definition(name, line)
        if self._parsed[key] is None and whole:
            self._parsed[key] = _definition_in(self._whole(), name, line)
        return self._parsed[key]

    def _find_definition(self, name: str, line: int) -> Any:
        if not 1 <= line <= len(self.lines):
            return None
        indent = _indent(self.lines[line - 1])
        ends = self._ends_after(line, indent)
        for last in ends:
            tree = self._parse_lines(line, last, wrap=indent > 0)
            if tree is not None:
                found = _definition_in(tree.body, name, line)
                if found is not None:
                    return found
        return _definition_in(self._whole(), name, line)

    def _ends_after(self, line: int, indent: int) -> Iterator[int]:
        """Last lines that the definition at ``line`` may have, nearest first, a few only."""
        inside = False  # the header (decorators, def, arguments) is behind us once an indented line came
        offered = 0
        for number in range(line + 1, len(self.lines) + 1):
            text = self.lines[number - 1]
            stripped = text.strip()
            if not stripped or stripped.startswith(b"#"):
                continue
            if _indent(text) > indent:
                inside = True
            elif inside and stripped[:1] not in b")]}":
                if offered == 4:
                    return
                offered += 1
                yield number - 1
                # a decorated or many-line header: the next line at this depth may still be part of it
        yield len(self.lines)

    def _begins(self, number: int) -> bool:
        """Whether a top-level statement seems to begin on this line."""
        text = self.lines[number - 1]
        return text[:1] not in b" \t\x0c#)]}" and not text.startswith(_CONTINUES)

    def _start_before(self, line: int) -> int:
        """The last line before ``line`` on which a top-level statement seems to begin, or 1."""
        line = min(line, len(self.lines) + 1) - 1
        while line > 1 and not self._begins(line):
            line -= 1
        return max(line, 1)

    def _start_after(self, line: int) -> int:
        """The first such line behind ``line``, or the one behind the last."""
        line += 1
        while line <= len(self.lines) and not self._begins(line):
            line += 1
        return line

    def top_level(self, line: int, whole: bool = False) -> list[Any]:
        """Top-level statements around ``line``; the first ones may lie before it."""
        if whole or len(self.lines) < 60:
            return self._whole()
        first, after = self._start_before(line + 1), self._start_after(line)
        key = (first, "")
        if key in self._parsed:
            return self._parsed[key]  # type: ignore[no-any-return]
        for _ in range(5):
            tree = self._parse_lines(first, after - 1, False)
            if tree is not None and tree.body:
                self._parsed[key] = tree.body
                return tree.body  # type: ignore[no-any-return]
            first, after = self._start_before(first), self._start_after(after)
        return self._whole()

    def following(self, line: int, mentions: Any) -> Iterator[Any]:
        """Top-level statements behind ``line`` that mention one of the names, at most twenty within 400 lines."""
        words = [name.split(".")[0].encode("utf-8", "replace") for name in mentions]
        parsed = 0
        first = self._start_after(line)
        while first <= min(line + 400, len(self.lines)) and parsed < 20:
            after = self._start_after(first)
            text = b"\n".join(self.lines[first - 1 : after - 1])
            if not text.startswith((b"def ", b"class ", b"@", b"async ")) and any(word in text for word in words):
                parsed += 1
                tree = self._parse_lines(first, after - 1, False)
                yield from tree.body if tree is not None else ()
            first = after

    def is_all_of(self, code: CodeType) -> bool:
        """Whether compiling this text gives ``code``, a whole module's, constants included."""
        return bool(_compile(self.text, 0) == code)

    def runs(self, code: CodeType) -> bool:
        """Whether compiling this text gives the bytecode of ``code``."""
        compiled = _compile(self.text, 0)
        waiting = [] if compiled is None else [compiled]
        while waiting:
            other = waiting.pop()
            if (
                other.co_name == code.co_name
                and other.co_firstlineno == code.co_firstlineno
                and other.co_code == code.co_code
            ):
                return True
            waiting.extend(constant for constant in other.co_consts if type(constant) is type(code))
        return False


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))


def _definition_in(stmts: list[Any], name: str, line: int) -> Any:
    waiting = list(stmts)
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__
        if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef") and node.name == name and first_line(node) == line:
            return node
        for _, inner, _ in child_blocks(node):
            waiting.extend(inner)
    return None


def _start_of_process() -> float:
    """When this process started, seconds since the epoch; 0 where it cannot be told."""
    import time

    try:
        with open("/proc/self/stat", "rb") as stream:
            ticks = int(stream.read().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


_started: dict[int, float] = {}


def process_start() -> float:
    """The same for the whole life of the process; forked children have their own."""
    pid = os.getpid()
    if pid not in _started:
        _started.clear()
        _started[pid] = _start_of_process()
    return _started[pid]


def find_block(frame: FrameType, whole: bool = False) -> Block | None:
    """Statements of the code that ``frame`` runs, or None where the source is not available or not the same.

    ``whole``: parse the entire file, for the rare text that misleads the search for
    the part in question. Reads the file, ``linecache.cache`` where that is loaded, or the
    text of ``-c``; remembers the last few files.
    """
    code = frame.f_code
    source = _find_source(frame)
    if source is None:
        return None
    if code.co_name == "<module>":
        return Block("module", source.top_level(frame.f_lineno, whole), source)
    if code.co_name.startswith("<"):
        return None  # a lambda or comprehension contains no statement
    node = source.definition(code.co_name, code.co_firstlineno, whole)
    if node is None:
        return None
    return Block("class" if type(node).__name__ == "ClassDef" else "function", node.body, source)


def body_of(frame: FrameType, code: CodeType) -> list[Any]:
    """Statements of another function of the file that ``frame`` runs; none where they are not found."""
    source = _find_source(frame)
    node = None if source is None else source.definition(code.co_name, code.co_firstlineno, whole=True)
    return [] if node is None else list(node.body)


def text_of(frame: FrameType) -> bytes:
    """All of the text that the code of ``frame`` is a part of; nothing where it is not available."""
    source = _find_source(frame)
    return b"" if source is None else source.text


def whole_file(frame: FrameType) -> list[Any]:
    """All top-level statements of the file that ``frame`` runs; none where its source is not available."""
    source = _find_source(frame)
    return [] if source is None else source._whole()


def _find_source(frame: FrameType) -> Source | None:
    code = frame.f_code
    name = code.co_filename
    if name == "<string>":
        text = _command_text()
        return None if text is None else _checked(name, (len(text), hash(text)), text, code, True)
    cached = _cached_lines(name)
    if name.startswith("<") or (cached is not None and not os.path.isabs(name)):
        return None if cached is None else _checked(name, (len(cached), hash(cached)), cached, code, False)
    path = find_file(frame)
    if path:
        try:
            status = os.stat(path)
            if status.st_size > _MAX_BYTES or status.st_mode & 0o170000 != 0o100000:
                return None
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            source = _sources.get((path, signature))
            if source is not None:
                return source
            with open(path, "rb") as stream:
                text = stream.read(_MAX_BYTES)
        except (OSError, ValueError):
            return None
        if b"\0" in text[:4096] or (not path.endswith((".py", ".pyw")) and _is_bytecode(text)):
            return None
        start = process_start()
        touched = max(status.st_mtime, status.st_ctime)  # an old file that was moved there has a new ctime only
        return _checked(path, signature, text, code, not (start and touched < start))
    if cached is not None:
        return _checked(name, (len(cached), hash(cached)), cached, code, False)
    return None


def _is_bytecode(text: bytes) -> bool:
    return text[2:4] == b"\r\n"


def _checked(path: str, signature: tuple[int, ...], text: bytes, code: CodeType, compare: bool) -> Source | None:
    key = (path, signature)
    source = _sources.get(key)
    if source is None:
        source = Source(path, text)
        if compare and not source.runs(code):
            return None
        if len(_sources) > 16:
            _sources.clear()
        _sources[key] = source
    return source


def find_file(frame: FrameType) -> str:
    """Path of the file that a frame's code came from, or "".

    A relative name (the script of Python 3.7 and 3.8) is looked up where the interpreter found it: the
    working directory may be another one by now.
    """
    name = frame.f_code.co_filename
    if name.startswith("<"):
        return ""
    if "\0" in name:
        return ""
    if os.path.isabs(name):
        return name if os.path.isfile(name) else ""
    first = sys.path[0] if sys.path and type(sys.path[0]) is str else ""
    for path in (os.path.abspath(name), os.path.join(first, os.path.basename(name))):
        if os.path.isabs(path) and os.path.isfile(path):
            return path
    return ""


def _cached_lines(name: str) -> bytes | None:
    """The text in ``linecache.cache`` (Jupyter cells, doctest), if that module is loaded."""
    linecache = sys.modules.get("linecache")
    if type(linecache) is not type(sys):
        return None
    cache = vars(linecache).get("cache")
    entry = cache.get(name) if type(cache) is dict else None
    if type(entry) is not tuple or len(entry) != 4 or type(entry[2]) is not list:
        return None
    return "".join(line for line in entry[2] if type(line) is str).encode("utf-8", "surrogatepass")


def _command_text() -> bytes | None:
    """The program given with ``-c``, or None."""
    if list(getattr(sys, "argv", ()))[:1] != ["-c"]:
        return None
    arguments: list[str] = list(getattr(sys, "orig_argv", ()))
    if not arguments:
        try:
            with open("/proc/self/cmdline", "rb") as stream:
                arguments = [os.fsdecode(part) for part in stream.read(_MAX_BYTES).split(b"\0")]
        except OSError:
            return None
    for argument, following in zip(arguments[1:], arguments[2:]):
        # options may be joined (-Ic); -X and -W take a value that could look like one
        if argument.startswith("-") and not argument.startswith(("--", "-X", "-W")) and argument.endswith("c"):
            return following.encode("utf-8", "surrogateescape")
    return None
