"""What an expression that makes a path stands for, as far as a script's text tells. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Callable

from dlrepair.cli import machine
from dlrepair.cli.machine import dotted

MAX_VALUES = 16
MAX_DEPTH = 20


def _items(node: ast.expr) -> list[ast.expr]:
    """What a loop goes through: the items of a list, or the whole expression where it is a search for files."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return list(node.elts)
    return [node] if isinstance(node, (ast.Call, ast.Name)) else []


def _with_name(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), name)


#: functions of ``os.path`` and their like, by last name
_FUNCTIONS: dict[str, Callable[..., str]] = {
    "join": os.path.join,
    "dirname": os.path.dirname,
    "basename": os.path.basename,
    "abspath": os.path.abspath,
    "realpath": os.path.realpath,
    "normpath": os.path.normpath,
    "expanduser": os.path.expanduser,
    "str": str,
    "fspath": str,
    "Path": os.path.join,
    "PurePath": os.path.join,
}
#: methods of a path or a string; the object is the first argument
_METHODS: dict[str, Callable[..., str]] = {
    "resolve": os.path.realpath,
    "absolute": os.path.abspath,
    "expanduser": os.path.expanduser,
    "as_posix": str,
    "joinpath": os.path.join,
    "with_name": _with_name,
    "with_suffix": lambda path, suffix: os.path.splitext(path)[0] + suffix,
    "format": lambda text, *values: text.format(*values),
    "strip": str.strip,
    "replace": str.replace,
    "rstrip": str.rstrip,
    "lower": str.lower,
}


class Values:
    """Evaluates literals, variables assigned once, ``os.path``, ``pathlib``, string formatting, TensorFlow's loader.

    Also the defaults of command-line options and what this machine tells: its suffixes, environment, files.
    """

    def __init__(self, script: str, tree: ast.AST) -> None:
        self._file = os.path.abspath(script)
        self._names: dict[str, list[ast.AST] | None] = {}
        self._options: dict[str, list[ast.AST]] = {}
        self._modules: dict[str, str] = {}
        self._depth = 0
        functions, calls = {}, []
        for node in machine.live(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assign(node.targets[0], [node.value])
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assign(node.target, [node.value])
            elif isinstance(node, (ast.For, ast.comprehension)):
                self._assign(node.target, list(_items(node.iter)))
            elif isinstance(node, ast.AugAssign):
                self._assign(node.target, None)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                functions[getattr(node, "name", "")] = node.args
                for argument in [*node.args.args, *node.args.kwonlyargs]:
                    self._names[argument.arg] = None
            elif isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.Import):
                self._modules.update((one.asname or one.name, one.name) for one in node.names)
        for call in calls:
            self._note_call(call, functions)

    def _note_call(self, call: ast.Call, functions: dict[str, ast.arguments]) -> None:
        """What a call in this script gives to a parameter of a function in it, or to a command-line option."""
        last = dotted(call.func).rpartition(".")[2]
        if last in ("add_argument", "DEFINE_string", "add_option"):
            flag = last == "DEFINE_string"  # a name, a default; argparse takes the last of several names
            options = self.of(call.args[0 if flag else -1]) if call.args else ()
            default: list[ast.AST] = [word.value for word in call.keywords if word.arg in ("default", "default_value")]
            default += call.args[1:2] if flag else []
            if options and default:
                self._options[options[0].lstrip("-").replace("-", "_")] = default[:1]
        parameters = functions.get(last)
        if parameters is None or any(isinstance(argument, ast.Starred) for argument in call.args):
            return
        names = [parameter.arg for parameter in parameters.args]
        names = names[1:] if names[:1] in (["self"], ["cls"]) else names
        given = list(zip(names, call.args)) + [(word.arg, word.value) for word in call.keywords if word.arg]
        for name, value in given:
            if name in self._names and not (isinstance(value, ast.Name) and value.id == name):
                self._names[name] = [*(self._names[name] or []), value]

    def _assign(self, target: ast.AST, values: list[ast.AST] | list[ast.expr] | None) -> None:
        """Notes an assignment; a name that is assigned twice is no longer known."""
        name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
        if name:
            self._names[name] = None if name in self._names or values is None else list(values)

    def of(self, node: ast.AST) -> tuple[str, ...]:
        """Every text that ``node`` may stand for; none where that is not known."""
        if self._depth > MAX_DEPTH:
            return ()
        self._depth += 1
        try:
            return self._of(node)[:MAX_VALUES]
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, MemoryError, OverflowError):
            return ()  # "%d" % "text", "{x}".format(…), a path with a NUL
        finally:
            self._depth -= 1

    def _of(self, node: ast.AST) -> tuple[str, ...]:
        kind = type(node).__name__
        if kind in ("Constant", "Str"):
            literal = getattr(node, "value", None) if kind == "Constant" else getattr(node, "s", None)
            return (literal,) if isinstance(literal, str) else ()
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return (self._file,)
            return tuple(text for value in self._names.get(node.id) or () for text in self.of(value))
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.JoinedStr):
            return self._all(str.__add__, node.values) if node.values else ("",)
        if isinstance(node, ast.FormattedValue):
            return self.of(node.value) if node.format_spec is None and node.conversion in (-1, 115) else ()
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.IfExp):
            true = machine.truth(node.test)
            branches = [node.body, node.orelse] if true is None else [node.body if true else node.orelse]
            return tuple(text for branch in branches for text in self.of(branch))
        if isinstance(node, ast.BoolOp):
            return tuple(text for value in node.values for text in self.of(value))
        if isinstance(node, ast.Subscript):
            return self._item(node)
        return self._call(node) if isinstance(node, ast.Call) else ()

    def _all(self, function: Callable[..., str], nodes: list[ast.expr] | list[ast.AST]) -> tuple[str, ...]:
        """``function`` over every choice of what ``nodes`` may stand for; two-place ones are folded."""
        choices: list[tuple[str, ...]] = [()]
        for node in nodes:
            star = isinstance(node, ast.Starred) and isinstance(node.value, (ast.List, ast.Tuple))
            for part in node.value.elts if star else [node]:  # type: ignore[attr-defined]
                choices = [(*made, text) for made in choices for text in self.of(part)][:MAX_VALUES]
        if function is str.__add__:
            return tuple("".join(made) for made in choices)
        return tuple(function(*made) for made in choices if made)

    def _operation(self, node: ast.BinOp) -> tuple[str, ...]:
        if isinstance(node.op, ast.Mod):
            right: list[ast.expr] = list(node.right.elts) if isinstance(node.right, ast.Tuple) else [node.right]
            return self._all(lambda text, *values: str(text % values), [node.left, *right])
        if isinstance(node.op, ast.Add):
            return self._all(str.__add__, [node.left, node.right])
        return self._all(os.path.join, [node.left, node.right]) if isinstance(node.op, ast.Div) else ()

    def _item(self, node: ast.Subscript) -> tuple[str, ...]:
        """``os.environ["X"]``; an item of a list, or of the files that a pattern finds."""
        index = getattr(node.slice, "value", None)
        index = getattr(index, "value", index) if isinstance(index, ast.AST) else index
        if isinstance(index, ast.AST):  # Python 3.7: Index(Num(0))
            index = getattr(index, "n", getattr(index, "s", None))
        if dotted(node.value) == "os.environ" and isinstance(index, str):
            return (os.environ[index],) if index in os.environ else ()
        if isinstance(node.value, (ast.Tuple, ast.List)) and isinstance(index, int):
            return self.of(node.value.elts[index])
        if dotted(node.value).endswith("EXTENSION_SUFFIXES"):
            return machine.suffix("EXT_SUFFIX")
        found = self.of(node.value) if isinstance(node.value, (ast.Call, ast.Name, ast.Attribute)) else ()
        return found[:1] if index == 0 and all(os.path.exists(text) for text in found) else ()

    def _attribute(self, node: ast.Attribute) -> tuple[str, ...]:
        if node.attr in ("__file__", "__path__") and isinstance(node.value, ast.Name):
            found = machine.package(self._modules.get(node.value.id, ""))
            return found if node.attr == "__file__" else tuple(os.path.dirname(file) for file in found)
        if node.attr == "parent":
            return self._all(os.path.dirname, [node.value])
        if node.attr in ("name", "stem") and self.of(node.value):
            names = self._all(os.path.basename, [node.value])
            return names if node.attr == "name" else tuple(os.path.splitext(name)[0] for name in names)
        if isinstance(node.value, ast.Name) and node.attr in self._options:
            return tuple(text for value in self._options[node.attr] for text in self.of(value))
        if dotted(node) == "os.sep" or dotted(node) == "os.path.sep":
            return (os.sep,)
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            return tuple(text for value in self._names.get(node.attr) or () for text in self.of(value))
        return ()

    def _call(self, node: ast.Call) -> tuple[str, ...]:
        name = dotted(node.func).rpartition(".")[2]
        arguments: list[ast.expr] = list(node.args)
        if name == "sorted" and len(arguments) == 1:
            return tuple(sorted(self.of(arguments[0])))
        if node.keywords:
            return ()
        if name in ("get", "getenv") and dotted(node.func) in ("os.environ.get", "os.getenv") and arguments:
            value = os.environ.get((self.of(arguments[0]) or ("",))[0])
            return self.of(arguments[1]) if value is None and len(arguments) > 1 else (value,) if value else ()
        if name in ("glob", "iglob") and arguments:
            base = self.of(node.func.value) if isinstance(node.func, ast.Attribute) else ()
            patterns = self._all(os.path.join, arguments)
            return machine.files([os.path.join(*base[:1], pattern) for pattern in patterns])
        if name in ("get_ext_suffix", "get_config_var") and len(arguments) <= 1:
            asked = self.of(arguments[0]) if arguments else ("EXT_SUFFIX",)
            return machine.suffix(asked[0]) if asked else ()
        if name in ("get_path", "get_python_lib") and len(arguments) <= 1:
            return machine.directory((self.of(arguments[0]) if arguments else ("purelib",))[0])
        if name == "get_data_files_path" and not arguments:
            return (os.path.dirname(self._file),)
        if name == "resource_filename" and len(arguments) == 2 and dotted(arguments[0]) == "__name__":
            return tuple(os.path.join(os.path.dirname(self._file), text) for text in self.of(arguments[1]))
        if name in ("getcwd", "cwd") and not arguments:
            return (os.getcwd(),)
        if name == "get_path_to_datafile":  # tf.resource_loader: below the directory of the calling file
            here = os.path.dirname(self._file)
            return tuple(os.path.join(here, text) for text in self._all(os.path.join, arguments))
        if isinstance(node.func, ast.Attribute) and name in _METHODS and self.of(node.func.value):
            return self._all(_METHODS[name], [node.func.value, *arguments])
        function = _FUNCTIONS.get(name)
        return self._all(function, arguments) if function is not None and arguments else ()
