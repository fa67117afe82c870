"""Where in its sources a program looks for the library that it did not find: what it asks there is answered anew.

Only questions count (``exists``, ``isfile``, ``stat``, ``glob`` ...), never what is written, copied, removed or loaded:
a load of the same path reaches the hooks, which repair it as any other. Of the questions, those that decided: in the
statement that raised and the tests around it; in the functions called there; else all in that function. Only code
counts that comes with the interpreter's own loader from a file: the script, and the modules of the traceback.
"""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose import source, surrounding
from dlrepair.diagnose.syntax import dotted, first_line
from dlrepair.diagnose.values import FUNCTION, Names, constant
from dlrepair.learned import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterator

    from dlrepair.diagnose.giveups import GiveUp
    from dlrepair.learned.program import Program

#: most bytes of a file that is read
BYTES = 1 << 20
#: functions that ask about a path, their first argument, and change nothing
_ASKS = frozenset((
    "exists", "lexists", "isfile", "islink", "access", "stat", "lstat", "getsize", "getmtime", "getctime", "glob",
    "iglob", "realpath",
))  # fmt: skip
#: methods of a path that do the same
_METHODS = frozenset(("exists", "is_file", "stat", "lstat", "is_symlink", "read_bytes", "resolve"))
#: what loads a library, as it stands in a source
_LOADERS = (
    "CDLL", "cdll", "PyDLL", "LoadLibrary", "load_library", "load_op_library", "dlopen", "import_module",
    "spec_from_file_location", "load_dynamic", "load_module", "find_module", "__import__", "ExtensionFileLoader",
)  # fmt: skip
#: what does something else with a file than to read it
_CHANGES = frozenset((
    "remove", "unlink", "rename", "replace", "symlink", "link", "symlink_to", "copy", "copy2", "copyfile", "move",
    "chmod", "truncate", "write", "touch", "write_bytes", "add",
))  # fmt: skip
#: what starts a program, and programs that only read the files they are given
_RUNS = ("run", "call", "check_call", "check_output", "Popen")
_READERS = ("ldd", "readelf", "objdump", "nm", "file", "strings", "md5sum", "sha1sum", "sha256sum", "ls", "test")
#: functions of that name whose mode, or first argument, is something else
_OPENERS = ("os.open", "io.open", "codecs.open", "gzip.open", "bz2.open", "lzma.open", "tarfile.open")
_GLOBS = ("glob.glob", "glob.iglob", "glob", "iglob")


def find(path: str, seen: GiveUp, program: Program | None) -> tuple[tuple[str, str], ...]:
    """(file, module and numbers of nodes) for ``learned.sources``, where the program asked for ``path``; or ()."""
    for frame, line in seen.steps:
        file, module, tree = _code_of(frame, program)
        found = _Questions(path, frame, line).find(tree) if module else ()
        if found:
            numbers = [number for number, (_, _, _, node) in enumerate(sources.nodes(tree)) if id(node) in found]
            if module != sources.CELL and not (_loads(path, seen) and _compiles(file, frozenset(numbers))):
                return ()
            if _changes(tree, found):
                return ()
            return ((file, "{} {}".format(module, ",".join(map(str, numbers)))),)
    return ()


def _code_of(frame: FrameType, program: Program | None) -> tuple[str, str, Any]:
    """(file, its module, its tree) of the code that a frame runs; of a cell, its mark in place of a file."""
    file = source.find_file(frame)
    try:
        if file:
            module = _module(frame, file, program) if source.whole_file(frame) else ""
            if module:
                return os.path.normpath(file), module, _tree(file)
        elif _is_cell(frame):
            tree = sources.parse(source.text_of(frame), frame.f_code.co_filename)
            return sources.mark_of(tree), sources.CELL, tree
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return "", "", None


def _tree(file: str) -> Any:
    """The tree of a file; what the compiler warns of was said at the start. Raises ValueError for one that is long."""
    import warnings

    with open(file, "rb") as stream:
        data = stream.read(BYTES + 1)
    if len(data) > BYTES:  # the numbers of a part's nodes are not those of the whole
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sources.parse(data, file)


def _compiles(file: str, numbers: frozenset[int]) -> bool:
    """Whether the next start will be able to do it: a tree is not compiled as deep as a text is."""
    try:
        with open(file, "rb") as stream:
            sources.edited(stream.read(BYTES), file, numbers, True)
    except Exception:
        return False
    return True


def _loads(path: str, seen: GiveUp) -> bool:
    """Whether the code of the traceback loads libraries: what copies, packs or removes them is not to have another."""
    name = os.path.basename(path).partition(".")[0]
    words = (*_LOADERS, "import " + name) if name.isidentifier() else _LOADERS
    texts = [source.text_of(frame) for frame, _ in seen.steps]
    return any(word.encode("ascii", "replace") in text for text in texts for word in words)


def _changes(tree: Any, found: set[int]) -> bool:
    """Whether the file copies, moves, links or removes the very thing that a question is about, by the same words."""
    import ast

    asked = {ast.dump(node) for _, _, _, node in sources.nodes(tree) if id(node) in found}
    for _, _, _, node in sources.nodes(tree):
        if type(node).__name__ == "Call" and dotted(node.func).rpartition(".")[2] in _CHANGES:
            given = [*node.args, getattr(node.func, "value", node)]
            if any(ast.dump(one) in asked for one in given):
                return True
    return False


def _is_cell(frame: FrameType) -> bool:
    """Whether IPython's shell runs this code for a cell, or a function that one has defined."""
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    return frame.f_globals is getattr(getattr(shell, "_instance", None), "user_ns", None)


def _module(frame: FrameType, file: str, program: Program | None) -> str:
    """The name that a module is imported by, ``__main__`` for the script; "" where something else loads it."""
    name, loader = frame.f_globals.get("__name__"), frame.f_globals.get("__loader__")
    plain = sys.modules["_frozen_importlib_external"].SourceFileLoader
    if type(name) is not str or type(loader) not in (plain, sources.Loader):
        return ""
    spec, file = frame.f_globals.get("__spec__"), os.path.normpath(file)
    origin = getattr(spec, "origin", None)
    if spec is not None and (type(origin) is not str or os.path.abspath(origin) != file):
        return ""  # code of another file that runs in the module's namespace
    if name not in ("__main__", "__mp_main__"):
        return name
    if program is None:
        return ""
    if spec is not None and program.kind == "module":
        name = getattr(spec, "name", "")
        return name if type(name) is str else ""
    # a script, or the file of that name in a directory
    started = file if spec is None else os.path.dirname(file)
    return "__main__" if program.kind == "file" and program.what == started else ""


class _Questions:
    """What one frame's code asks."""

    def __init__(self, path: str, frame: FrameType, line: int) -> None:
        self.path = path
        self.frame = frame
        self.line = line

    def find(self, tree: Any) -> set[int]:
        """Identities of the nodes that are to have another value."""
        code = self.frame.f_code
        stmts = tree.body
        if code.co_name != "<module>" and not code.co_name.startswith("<"):
            stmts = next((one.body for one in _functions(tree) if _is(one, code)), [])
        nodes = list(surrounding.relevant(stmts, self.line))
        nodes += surrounding.assigned(nodes, stmts)
        flags = [] if stmts is tree.body else list(surrounding.flags(nodes, tree.body, Names(self.frame)))
        for tier in (nodes, self._called(nodes, tree), flags, list(surrounding.everything(stmts))):
            found = [one for node in tier for one in self._asked(node) if type(one[1]).__name__ != "Starred"]
            if any(self._may_be(value) for value, _ in found):
                return {id(node) for _, node in found}
        return set()

    def _called(self, nodes: list[Any], tree: Any) -> list[Any]:
        """Expressions of the functions of this file that are called among ``nodes``."""
        names = Names(self.frame)
        called = [names.look_up(dotted(one.func)) for one in nodes if type(one).__name__ == "Call"]
        codes = [one.__code__ for one in called if type(one) is FUNCTION]
        bodies = [one.body for one in _functions(tree) if any(_is(one, code) for code in codes)]
        return [node for body in bodies for node in surrounding.everything(body)]

    def _asked(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """(node of the path, node to replace) where a call asks about a path."""
        func = node.func if type(node).__name__ == "Call" else None
        if func is None:
            return
        name = dotted(func)
        last = func.attr if type(func).__name__ == "Attribute" else name
        by_itself = name in ("imp.find_module", "find_module") or (_is_method(func) and last in ("glob", "rglob"))
        if last in ("resolve", "realpath") and not _is_strict(node):
            return
        if not node.args:
            if _is_method(func) and last in _METHODS:
                yield func.value, func.value
        elif by_itself:  # looks by itself, and cannot be told where
            yield node.args[0], func
        elif last.lower() in _ASKS:
            if "*" not in self.path or name in _GLOBS:
                yield node.args[0], node.args[0]
        elif name in ("open", "io.open") and _reads(node, 1):
            yield node.args[0], node.args[0]
        elif last == "open" and name not in _OPENERS and _is_method(func) and _reads(node, 0):
            yield func.value, func.value
        elif last in _RUNS and type(node.args[0]).__name__ == "List" and node.args[0].elts:
            words = node.args[0].elts
            if constant(words[0]) in _READERS:
                yield from zip(words[1:], words[1:])

    def _may_be(self, node: Any) -> bool:
        """Whether an expression may stand for the path: a loop's variable has other values, too."""
        text = Names(self.frame).text(node)
        name = os.path.basename(self.path)
        return text is None or os.path.basename(text) in (name, name.partition(".")[0]) or "/" not in text


def _functions(tree: Any) -> Iterator[Any]:
    for _, _, _, node in sources.nodes(tree):
        if type(node).__name__ in ("FunctionDef", "AsyncFunctionDef"):
            yield node


def _is(node: Any, code: Any) -> bool:
    return (node.name, first_line(node)) == (code.co_name, code.co_firstlineno)


def _is_method(func: Any) -> bool:
    return type(func).__name__ == "Attribute" and dotted(func) not in _GLOBS


def _is_strict(node: Any) -> bool:
    """Whether a path is resolved with an error where nothing is (3.10, and 3.6 for ``pathlib``)."""
    return any(one.arg == "strict" and constant(one.value) is True for one in node.keywords)


def _reads(node: Any, at: int) -> bool:
    """Whether a call of ``open``, whose mode is the argument ``at``, says in so many words that it only reads."""
    modes = [*node.args[at : at + 1], *(one.value for one in node.keywords if one.arg == "mode")]
    texts = [getattr(one, "value", getattr(one, "s", None)) for one in modes]
    return all(type(text) is str and not set(text) & set("wax+") for text in texts)
