"""Whether the main program has only imported and defined things so far: read from its stack and its source."""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_MODULE = type(sys)

#: module -> its functions that only look or compute, or change what a second start does again by itself
_PURE = {
    "os": (
        "getcwd", "getenv", "fspath", "fsdecode", "fsencode", "cpu_count", "getpid", "getuid", "uname", "listdir",
        "stat", "access", "putenv",
    ),
    "sys": ("getrecursionlimit", "setrecursionlimit", "getdefaultencoding"),
    "glob": ("glob",),
    "logging": ("getLogger",),
    "warnings": ("filterwarnings", "simplefilter"),
    "platform": ("system", "machine", "python_version"),
    "sysconfig": ("get_path", "get_paths", "get_config_var"),
    "collections": ("namedtuple", "OrderedDict", "defaultdict", "Counter", "deque"),
    "typing": ("NamedTuple", "TypeVar", "cast"),
    "functools": ("partial", "lru_cache", "wraps"),
    "builtins": (
        "abs", "bool", "bytes", "dict", "float", "frozenset", "getattr", "hasattr", "int", "isinstance", "issubclass",
        "len", "list", "max", "min", "range", "repr", "set", "sorted", "str", "sum", "tuple", "zip", "enumerate",
        "reversed", "any", "all", "ord", "chr", "round", "object",
    ),
}  # fmt: skip
#: types whose methods neither write nor wait
_VALUES = (str, bytes, int, float, tuple, frozenset, list, dict, set)
#: decorators that call nothing of the program
_DECORATORS = frozenset((
    "staticmethod", "classmethod", "property", "dataclass", "dataclasses.dataclass", "functools.lru_cache",
    "lru_cache", "functools.cache", "cache", "functools.wraps", "wraps", "contextmanager",
    "contextlib.contextmanager", "abstractmethod", "abc.abstractmethod", "functools.cached_property",
    "cached_property", "typing.overload", "overload",
))  # fmt: skip
#: methods of those, and of paths, that only look; ``Path.replace`` renames a file
_METHODS = frozenset(name for kind in _VALUES for name in vars(kind)) | frozenset((
    "resolve", "absolute", "joinpath", "with_name", "with_suffix", "with_stem", "exists", "is_file", "is_dir",
    "expanduser", "as_posix", "as_uri", "relative_to", "glob", "rglob", "iterdir", "is_absolute", "samefile", "match",
    "read_text", "read_bytes", "cwd", "home",
))  # fmt: skip
_HARMLESS = frozenset(("Import", "ImportFrom", "Pass", "Global", "Nonlocal"))


def find_refusal(frame: FrameType | None, offset: int | None) -> tuple[str, str] | None:
    """(slug, sentence) of what the stack or the main program's source speaks against a second start, or None.

    ``offset``: where standard input stood when the process started.
    """
    from dlrepair.diagnose import frames

    inside: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if frames.kind_of(frame) in ("ours", "loader"):
            pass
        elif code.co_name != "<module>":
            inside = inside or frame
        elif frame.f_globals.get("__name__") == "__main__":
            break
        else:
            inside = None  # a module that is being imported: what it calls meanwhile belongs to the import
        frame = frame.f_back
    if frame is None:
        return "stack", "the load was not asked for by the main program or by what it imports"
    if inside is not None:
        code = inside.f_code
        return "function", "the load stands inside {}(), {}:{}".format(code.co_name, code.co_filename, inside.f_lineno)
    runner = ""
    outer = frame.f_back
    while outer is not None:
        if outer.f_globals.get("__name__") in ("pdb", "bdb"):
            return "debugger", "a debugger (pdb) runs this program"
        if outer.f_globals.get("__name__") != "runpy" or "runpy" not in outer.f_code.co_filename:
            runner = outer.f_code.co_filename
        outer = outer.f_back
    if runner:
        return "runner", "another program runs this one: {}".format(runner)
    return _source_refusal(frame, offset)


def _source_refusal(frame: FrameType, offset: int | None) -> tuple[str, str] | None:
    stmts = _statements(frame, offset)
    if not stmts:
        return "source", "the main program's source cannot be read, or is no longer the one that runs"
    if _has_changed(frame):
        return "source", "the main program's file has changed since it was started"
    problem = Reader(frame.f_globals).before(stmts, frame.f_lineno)
    if problem is None:
        return None
    line, words = problem
    name = os.path.basename(frame.f_code.co_filename)
    return "effects", "the program has done more than import and define: {}:{} {}".format(name, line, words)


def _has_changed(frame: FrameType) -> bool:
    """Whether the main program's file was touched after the start, and holds another program now."""
    from dlrepair.diagnose import source

    path = source.find_file(frame)
    if not path:
        return False  # no file of its own: the text is a part of the command line, of an archive or of the input
    status = os.stat(path)
    if max(status.st_mtime, status.st_ctime) < source.process_start():
        return False
    block = source.find_block(frame, whole=True)
    return block is None or not block.source.is_all_of(frame.f_code)


def _statements(frame: FrameType, offset: int | None) -> list[Any]:
    """All top-level statements of the main program, wherever its text lies; [] where it cannot be had."""
    from dlrepair.diagnose import source

    block = source.find_block(frame, whole=True)
    if block is not None:
        return block.stmts
    text = b""
    loader = frame.f_globals.get("__loader__")
    if type(loader).__module__ == "zipimport":
        try:
            text = (loader.get_source("__main__") or "").encode("utf-8", "surrogatepass")  # type: ignore[union-attr]
        except Exception:  # zipimport.ZipImportError: the archive has changed
            return []
    elif frame.f_code.co_filename == "<stdin>" and offset is not None:
        try:
            while True:
                part = os.pread(0, 1 << 20, offset + len(text))
                text += part
                if not part:
                    break
        except OSError:
            return []
    made = source.Source(frame.f_code.co_filename, text)
    return made.top_level(frame.f_lineno, whole=True) if text and made.runs(frame.f_code) else []


class Reader:
    """Reads statements of the main program; names stand for what the program has bound them to."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.allowed = _allowed()

    def before(self, stmts: list[Any], line: int) -> tuple[int, str] | None:
        """The first statement up to the one at ``line`` that may have had an effect: (line, what), or None."""
        from dlrepair.diagnose.syntax import first_line

        for at, node in enumerate(stmts):
            if first_line(node) > line:
                return None
            following = first_line(stmts[at + 1]) if at + 1 < len(stmts) else sys.maxsize
            last = getattr(node, "end_lineno", None) or following - 1
            if not first_line(node) <= line <= last:
                problem = self.statement(node)
                if problem is not None:
                    return problem
                continue
            if type(node).__name__ == "If":
                problem = self.expression(node.test)
                inner = node.orelse if node.orelse and first_line(node.orelse[0]) <= line else node.body
                return problem or self.before(inner, line)
            return self.statement(node)
        return None

    def statement(self, node: Any) -> tuple[int, str] | None:
        """(line, what) where a statement may have an effect that a second start would repeat, else None."""
        kind = type(node).__name__
        if kind in _HARMLESS:
            return None
        if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            return self.definition(node)
        if kind == "Assign" or kind == "AnnAssign" or kind == "AugAssign":
            targets = node.targets if kind == "Assign" else [node.target]
            if not all(self.target(one) for one in targets):
                return node.lineno, "assigns to what may not be its own"
            return self.expression(node.value) if node.value is not None else None
        if kind == "Expr":
            return self.expression(node.value)
        if kind in ("If", "Assert"):
            problem = self.expression(node.test)
            return problem or (self.all(node.body + node.orelse) if kind == "If" else None)
        if kind == "Try":
            inner = node.body + node.orelse + node.finalbody
            return self.all(inner + [one for handler in node.handlers for one in handler.body])
        if kind == "Delete" and all(type(one).__name__ == "Name" for one in node.targets):
            return None
        return node.lineno, {"With": "enters a with", "For": "has a loop", "While": "has a loop"}.get(kind, kind)

    def all(self, stmts: list[Any]) -> tuple[int, str] | None:
        for node in stmts:
            problem = self.statement(node)
            if problem is not None:
                return problem
        return None

    def definition(self, node: Any) -> tuple[int, str] | None:
        from dlrepair.diagnose.syntax import dotted

        for one in node.decorator_list:
            function = one.func if type(one).__name__ == "Call" else one
            if dotted(function) not in _DECORATORS:
                return node.lineno, "has a decorator that runs code"
        if type(node).__name__ != "ClassDef":
            values = node.args.defaults + [one for one in node.args.kw_defaults if one is not None]
        elif node.keywords:
            return node.lineno, "has a class with a metaclass"
        else:
            values = node.bases
            problem = self.all(node.body)
            if problem is not None:
                return problem
        for value in values:
            problem = self.expression(value)
            if problem is not None:
                return problem
        return None

    def target(self, node: Any) -> bool:
        """Whether assigning there changes only this process: a name, or an entry of os.environ or sys.path."""
        from dlrepair.diagnose.syntax import dotted

        kind = type(node).__name__
        if kind in ("Tuple", "List"):
            return all(self.target(one) for one in node.elts)
        if kind == "Subscript":
            return self.value(node.value) in (os.environ, sys.path) or self.is_plain(node.value)
        if kind == "Attribute":
            return dotted(node).endswith((".argtypes", ".restype", ".errcheck"))  # of a function of a library
        return kind == "Name"

    def expression(self, root: Any) -> tuple[int, str] | None:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            kind = type(node).__name__
            if kind == "Lambda":
                continue
            if kind in ("Await", "Yield", "YieldFrom"):
                return node.lineno, kind
            if kind == "Call" and not self.call(node):
                return node.lineno, "calls {}".format(_shown(node.func))
            for field in node._fields:
                value = getattr(node, field, None)
                items = value if type(value) is list else [value]
                waiting += [one for one in items if hasattr(one, "_fields")]
        return None

    def call(self, node: Any) -> bool:
        """Whether a call is a load, or one of what is known to do no more than look or compute."""
        from dlrepair.diagnose.known import is_load_name, is_load_object
        from dlrepair.diagnose.syntax import dotted

        function = node.func
        calls_back = dotted(function).rpartition(".")[2] in ("sorted", "min", "max", "sort")
        for word in node.keywords:
            if (word.arg == "key" and not self.is_key(word.value)) or (word.arg is None and calls_back):
                return False
        if is_load_name(dotted(function).rpartition(".")[2]) or is_load_object(function):
            return True
        value = self.value(function)
        if value is not None:
            try:
                return value in self.allowed or _is_path_class(value)
            except TypeError:  # not hashable
                return False
        if type(function).__name__ != "Attribute":
            return False
        if self.value(function.value) in (os.environ, sys.path):
            return function.attr in ("get", "setdefault", "insert", "append", "extend", "remove", "index", "pop")
        return function.attr in _METHODS and self.is_plain(function.value, function.attr == "replace")

    def is_key(self, node: Any) -> bool:
        """Whether a function that ``sorted`` and its like call for each item is known to do no more than look."""
        from dlrepair.diagnose.syntax import dotted

        if type(node).__name__ == "Lambda":
            return self.expression(node.body) is None
        root, _, method = dotted(node).partition(".")
        if method and self.value(node) is None:
            return vars(builtins).get(root) in _VALUES and root not in self.names and method in _METHODS
        found = self.value(node)
        try:
            return found is not None and found in self.allowed
        except TypeError:  # not hashable
            return False

    def is_plain(self, node: Any, text: bool = False) -> bool:
        """Whether a value is a text, a number, a path or a collection of such; with ``text`` surely no path."""
        kind = type(node).__name__
        if kind in ("Constant", "Str", "Bytes", "JoinedStr"):
            return True
        if kind == "Call":
            return not text and self.call(node) and not self.is_opaque(node)
        if kind in ("Attribute", "Subscript", "BinOp"):
            return not text and self.is_plain(node.left if kind == "BinOp" else node.value)
        if kind == "Name":
            if node.id not in self.names:
                return not text  # a comprehension's own
            value = self.names[node.id]
            return type(value) in _VALUES or (not text and _is_path_class(type(value)))
        return False

    def is_opaque(self, node: Any) -> bool:
        """Whether the result is of a kind whose methods are not known: of a load, or of a library's function."""
        from dlrepair.diagnose.known import is_load_name
        from dlrepair.diagnose.syntax import dotted

        return is_load_name(dotted(node.func).rpartition(".")[2])

    def value(self, node: Any) -> Any:
        """What a dotted name stands for, looked up in modules only: no code of anybody runs. None: unknown."""
        from dlrepair.diagnose.syntax import dotted

        parts = dotted(node).split(".")
        found: Any = self.names.get(parts[0], vars(builtins).get(parts[0])) if parts[0] else None
        for part in parts[1:]:
            if type(found) is not _MODULE:
                if _is_path_class(found):
                    return vars(found).get(part) and found  # Path.cwd, Path.home
                return None
            found = vars(found).get(part)
        return found


def _is_path_class(value: Any) -> bool:
    return isinstance(value, type) and (value.__module__ or "").split(".")[0] == "pathlib"


def _allowed() -> frozenset[Any]:
    """The functions of ``_PURE``, and all of ``os.path``."""
    found = [value for name, value in vars(os.path).items() if callable(value) and not name.startswith("_")]
    for module, names in _PURE.items():
        held = sys.modules.get(module)
        found += [vars(held)[name] for name in names if held is not None and name in vars(held)]
    return frozenset(found)


def _shown(node: Any) -> str:
    from dlrepair.diagnose.syntax import dotted

    return (dotted(node) or "something") + "()"
