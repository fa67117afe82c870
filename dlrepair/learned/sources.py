"""The code of a program that asked in vain whether its library is there, asking about the one that was found.

Stage 0 imports this where a record says so. The source itself stays as it is: it is compiled here, in memory, with
what some questions are about handed to ``other_path`` first, which answers with another path where the value is the one
that was asked for in vain and nothing is there now, and with the value itself everywhere else. No byte code of it is
written (decision 0008).

A module comes with a loader of ours. For a script there is none: the interpreter reads it itself, unless a hook of
``sys.path_hooks`` takes its path for a place of modules. Then ``runpy`` runs the ``__main__`` found there, as it does
for a directory or an archive (``pymain_run_python``, Modules/main.c; "Interface options" of the manual).
"""

import os
import sys

from dlrepair.learned import inside

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

    Base = Any
else:
    Base = sys.modules["_frozen_importlib_external"].SourceFileLoader

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
#: what the edited code calls. It needs no name in the module: the program would see one, and a function that is copied
#: to other globals, or sent to a process that was given nothing, would lack it
_CALLED = "getattr(__import__('sys').modules.get({!r}), 'other_path', lambda one: one)".format(__name__)
#: what ``runpy`` has made otherwise than the interpreter would for a script
_BEGINNING = b"__loader__ = __loader__.plain; __spec__ = __package__ = __cached__ = None\n"
#: path or pattern that was looked for in vain -> the file that serves, or the loader for which one is to be built
_paths: "dict[str, str]" = {}
#: those of them where something is that is broken
_anyway: "set[str]" = set()
#: stands for the name of a module where the code is a cell of IPython's, and for its file its mark does
CELL = "(cell)"
_cells: "dict[str, frozenset[int]]" = {}
#: file -> module and numbers, as they were given to this process
_given: "dict[str, str]" = {}


def other_path(value: "Any") -> "Any":
    """The file that was learned in place of a path at which nothing is, of the value's own type; else the value."""
    try:
        kind = type(value)
        if kind is str:
            text = value
        elif kind is bytes or (kind.__module__.startswith("pathlib") and kind.__name__.startswith(("Posix", "PureP"))):
            text = os.fsdecode(value)
        else:
            return _asking(value)
        found = _paths.get(text)
        if found is None or (text not in _anyway and _is_there(text)):
            return value
        if not found.startswith("/"):
            found = _paths[text] = inside.build(text, found)
            if not found:
                del _paths[text]
                return value
        if "*" in text:
            found = "".join("[{}]".format(one) if one in "*?[" else one for one in found)  # glob.escape
        return os.fsencode(found) if kind is bytes else kind(found)
    except Exception:
        return value


def _asking(value: "Any") -> "Any":
    """What stands in for ``imp.find_module`` and the ``glob`` and ``rglob`` of a path; any other value as it is."""
    if value is not None and value is _find_module():
        return _finding
    base = type(getattr(value, "__self__", None))
    if getattr(value, "__name__", "") in ("glob", "rglob") and base.__module__.startswith("pathlib"):
        return lambda pattern, *args, **named: _globbing(value, pattern, args, named)
    return value


def _globbing(bound: "Any", pattern: "Any", args: "Any", named: "Any") -> "Iterator[Any]":
    """What a path's own ``glob`` answers, or the file that was learned where it answers nothing."""
    found = _paths.get(pattern) if type(pattern) is str else None
    for one in bound(pattern, *args, **named):
        found = None
        yield one
    if found is not None:
        yield type(bound.__self__)(found)


def _find_module() -> "Any":
    return getattr(sys.modules.get("imp"), "find_module", None)  # up to 3.11


def _finding(name: "str", path: "Any" = None) -> "Any":
    """``imp.find_module``, which answers with the file that was learned when it finds none."""
    try:
        return _find_module()(name, path)
    except ImportError:
        for text, found in _paths.items():
            stem, _, suffix = os.path.basename(text).partition(".")
            if stem == name and not _is_there(text):
                return open(found, "rb"), found, ("." + suffix, "rb", 3)  # imp.C_EXTENSION
        raise


def _is_there(text: "str") -> "bool":
    if "*" not in text:
        return os.path.lexists(text)
    import glob

    return bool(glob.glob(text, recursive=True))


def nodes(tree: "Any") -> "Iterator[tuple[Any, str, int, Any]]":
    """(parent, field, index in a list or -1, node) of every node below ``tree``, breadth first: its number."""
    waiting = [tree]
    for parent in waiting:
        for field in parent._fields:
            value = getattr(parent, field, None)
            for at, node in enumerate(value) if type(value) is list else ((-1, value),):
                if hasattr(node, "_fields"):
                    waiting.append(node)
                    yield parent, field, at, node


def parse(data: "bytes", path: "str") -> "Any":
    """The syntax tree of a whole file. Raises SyntaxError and ValueError."""
    return compile(data, path, "exec", _ONLY_AST, True)


def replace(tree: "Any", numbers: "frozenset[int]") -> "None":
    """Hands the expressions of these numbers to ``other_path``, in place."""
    import _ast

    for number, (parent, field, at, node) in enumerate(list(nodes(tree))):
        if number not in numbers:
            continue
        call = _located(_ast.Call(_added(_CALLED.encode("ascii"), node)[0].value, [node], []), node)
        if at < 0:
            setattr(parent, field, call)
        else:
            getattr(parent, field)[at] = call


def edited(
    data: "bytes", path: "str", numbers: "frozenset[int]", script: "bool", warns: "bool" = False
) -> "Any":
    """Code of a file in which the expressions of these numbers are handed to ``other_path``.

    ``warns``: what the compiler warns of is to be seen.
    """
    with _Quiet(warns):
        tree = parse(data, path)
    replace(tree, numbers)
    if script:
        first = 0
        while first < len(tree.body) and _stays_first(tree.body[first], first):
            first += 1
        tree.body[first:first] = _added(_BEGINNING, tree.body[min(first, len(tree.body) - 1)])
    with _Quiet(warns):
        return compile(tree, path, "exec", 0, True)


class _Quiet:
    """Keeps what the compiler warns of to itself: of a module it was said when its byte code was written."""

    def __init__(self, warns: "bool") -> "None":
        held = getattr(sys.modules.get("warnings") or sys.modules.get("_warnings"), "filters", None)
        self.filters: "list[Any]" = [] if warns or type(held) is not list else held

    def __enter__(self) -> "None":
        self.filters.insert(0, ("ignore", None, Warning, None, 0))

    def __exit__(self, *error: "Any") -> "None":
        if self.filters:
            del self.filters[0]


def _added(text: "bytes", beside: "Any") -> "list[Any]":
    """Statements that the file does not have, at the place of a node of its own."""
    tree = parse(text, "")
    for _, _, _, node in nodes(tree):
        _located(node, beside)
    return list(tree.body)


def _located(node: "Any", other: "Any") -> "Any":
    for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
        if hasattr(other, name):
            setattr(node, name, getattr(other, name))
    return node


def _stays_first(stmt: "Any", at: "int") -> "bool":
    """Whether a statement is the docstring, or imports from ``__future__``."""
    kind = type(stmt).__name__
    if kind == "ImportFrom":
        return bool(stmt.module == "__future__")
    return at == 0 and kind == "Expr" and type(stmt.value).__name__ in ("Constant", "Str")


class Loader(Base):  # type: ignore[misc]
    """Loads a module, or a script, from its own file, with some of its paths handed to ``other_path``."""

    def __init__(self, name: "str", path: "str", numbers: "frozenset[int]", script: "bool" = False) -> "None":
        Base.__init__(self, name, path)
        self._numbers = numbers
        self._script = script
        self.plain = Base(name, path)  #: what the interpreter gives a script

    def get_code(self, fullname: "str") -> "Any":
        """The edited code; where that cannot be had, the module's own."""
        try:
            warns = self._script or (sys.dont_write_bytecode and not os.path.exists(self._byte_code()))
            return edited(self.get_data(self.path), self.path, self._numbers, self._script, warns)
        except Exception:
            if not self._script:
                return Base.get_code(self, fullname)
        self.code = Base.source_to_code(self, self.get_data(self.path), self.path)
        run = b"__code__ = __loader__.code; " + _BEGINNING + b"exec(globals().pop('__code__'))\n"
        return compile(run, self.path, "exec", 0, True)


    def _byte_code(self) -> "str":
        """Where the interpreter keeps the module's byte code."""
        return str(sys.modules["_frozen_importlib_external"].cache_from_source(self.path))


class Finder:
    """The first one of ``sys.meta_path``: has the modules that were learned loaded by ``Loader``, wherever they lie."""

    def __init__(self, sources: "dict[str, tuple[str, frozenset[int]]]") -> "None":
        #: name of a module, or "/" and the last part of the name that a script has where it is imported, too
        #: -> (its file, numbers of expressions)
        self.sources = sources

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        """What the other finders say, with another loader where they say what was learned; None for other modules."""
        known = self.sources.get(name) or self.sources.get("/" + name.rpartition(".")[2])
        if known is None:
            return None
        for finder in list(sys.meta_path):
            if finder is self:
                continue
            ask = getattr(finder, "find_spec", None)
            if ask is None:  # of a kind that only the import system itself still asks
                return None
            spec = ask(name, path, target)
            if spec is not None:
                if type(spec.loader) is Base and os.path.abspath(spec.origin or "") == known[0]:
                    spec.loader = Loader(name, spec.origin, known[1])
                return spec
        return None


class Script:
    """The finder for a path that is the script's own: its only module is ``__main__``."""

    def __init__(self, hook: "Any", path: "str", numbers: "frozenset[int]") -> "None":
        self.hook = hook
        self.path = path  #: as the interpreter has it, which ``__file__`` is to be
        self.numbers = numbers

    def find_spec(self, name: "str", target: "Any" = None) -> "Any":
        """The spec of the script. Puts ``sys.path`` in order, as it would be without us."""
        if name != "__main__":
            return None
        external = sys.modules["_frozen_importlib_external"]
        frame: "Any" = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "run_path":  # a worker of multiprocessing: it tidies up
            frame = frame.f_back
        if frame is None:
            sys.path_importer_cache[self.path] = None  # what is there for a script
            if self.hook in sys.path_hooks:
                sys.path_hooks.remove(self.hook)
            if sys.path[:1] == [self.path]:
                if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
                    del sys.path[0]
                else:
                    sys.path[0] = os.path.dirname(os.path.realpath(self.path))
        return external.spec_from_file_location(name, self.path, loader=Loader(name, self.path, self.numbers, True))


class Cells:
    """What IPython puts every cell through before it compiles it ("Customizing input transformation" of its manual)."""

    def __init__(self, shell: "Any", cells: "dict[str, frozenset[int]]") -> "None":
        self.shell = shell
        self.cells = cells  #: mark of a cell -> numbers

    def visit(self, tree: "Any") -> "Any":
        """The tree, with the expressions that were learned handed to ``other_path``. Never raises."""
        try:
            numbers = self.cells.get(mark_of(tree))
            if numbers is not None:
                replace(tree, numbers)
        except Exception:
            pass
        return tree


def mark_of(tree: "Any") -> "str":
    """What a cell is known by at another start: a digest of all that it says, wherever its lines stand."""
    import ast

    from dlrepair.learned.program import digest

    return digest(ast.dump(tree))


def attach(shell: "Any") -> "None":
    """Has IPython's shell put its cells through ``Cells``, once, where some were learned. Never raises."""
    try:
        if _cells and not any(type(one) is Cells for one in shell.ast_transformers):
            shell.ast_transformers.append(Cells(shell, _cells))
    except Exception:  # another version of IPython
        pass


def _hook_for(file: "str", numbers: "frozenset[int]") -> "Any":
    def hook(path: "str") -> "Script":
        try:
            ours = os.path.abspath(path) == file
        except Exception:  # no path at all; a working directory that is no more
            ours = False
        if not ours:
            raise ImportError
        return Script(hook, path, numbers)

    return hook


def has(path: "str", sites: "Iterable[tuple[str, str]]") -> "bool":
    """Whether this process was given another path at all of these places already: (file, module and numbers).

    A path is as good as another of the same name: one with a process id or a temporary directory in it is another each
    time, and would be learned for ever.
    """
    if os.path.basename(path) not in map(os.path.basename, _paths):
        return False
    for file, value in sites:
        known = _given.get(file, "").partition(" ")[2].split(",")
        if not set(value.partition(" ")[2].split(",")) <= set(known):
            return False
    return True


def give(paths: "dict[str, str]", sources: "dict[str, str]", anyway: "Iterable[str]") -> "None":
    """From now on the modules of these files, and the script among them, look elsewhere.

    ``paths``: what was looked for -> what serves; ``sources``: file -> name of its module, and numbers of expressions;
    ``anyway``: the paths for which that is so though something lies there.
    """
    _anyway.update(anyway)
    _paths.update(paths)
    _given.update(sources)
    modules = {}
    for file, value in sources.items():
        name, _, rest = value.partition(" ")
        numbers = frozenset(int(one) for one in rest.split(","))
        if name == CELL:
            _cells[file] = numbers
        elif name == "__main__":
            sys.path_hooks.insert(0, _hook_for(file, numbers))
            if file.endswith(".py"):
                modules["/" + os.path.basename(file)[:-3]] = (file, numbers)
        if name != "__main__" or file.endswith("/__main__.py"):  # of a directory: it is a module there
            modules[name] = (file, numbers)
    if modules:
        sys.meta_path.insert(0, Finder(modules))
