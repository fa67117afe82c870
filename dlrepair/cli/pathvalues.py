"""What an expression that makes a path stands for, as far as a script's text tells. Runs nothing."""

from __future__ import annotations

import ast
import os
from typing import Callable

from dlrepair.cli import machine
from dlrepair.cli.machine import dotted
from dlrepair.cli.pathnames import MAX_DEPTH, MAX_STEPS, MAX_VALUES, Names


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
    "PosixPath": os.path.join,
    "expandvars": os.path.expandvars,
    "as_file": str,
    "fsdecode": str,
    "fsencode": str,
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
    "upper": str.upper,
    "lstrip": str.lstrip,
    "title": str.title,
    "removesuffix": lambda text, end: text[: len(text) - len(end)] if end and text.endswith(end) else text,
    "removeprefix": lambda text, start: text[len(start) :] if text.startswith(start) else text,
    "__str__": str,
    "__fspath__": str,
}


class Values(Names):
    """Evaluates literals, variables assigned once, ``os.path``, ``pathlib``, string formatting, TensorFlow's loader.

    Also the defaults of command-line options and what this machine tells: its suffixes, environment, files.
    """

    def of(self, node: ast.AST) -> tuple[str, ...]:
        """Every text that ``node`` may stand for; none where that is not known."""
        self._steps += 1
        if self._depth > MAX_DEPTH or self._steps > MAX_STEPS:
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
            return tuple(text for value in self.meanings(node.id, node) for text in self.of(value))
        if type(node).__name__ == "NamedExpr":
            return self.of(node.value)  # type: ignore[attr-defined]
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
        """``os.environ["X"]``; an item of a list or a dictionary, of a path's parts, of the files of a pattern."""
        if isinstance(node.slice, ast.Slice):
            return self._slice(node.value, node.slice)
        key = node.slice.value if type(node.slice).__name__ == "Index" else node.slice  # type: ignore[attr-defined]
        index = _number(key)
        texts = self.of(key) if index is None else ()
        if dotted(node.value) == "os.environ" and texts:
            return (os.environ[texts[0]],) if texts[0] in os.environ else ()
        if dotted(node.value) == "sys.path" and index == 0:
            return (os.path.dirname(self._file),)
        if dotted(node.value) == "sys.argv" and index == 0:
            return (self._file,)
        if dotted(node.value).endswith("EXTENSION_SUFFIXES"):
            return machine.suffix("EXT_SUFFIX")
        if isinstance(node.value, ast.Attribute) and node.value.attr == "parents" and index is not None and index >= 0:
            found = self.of(node.value.value)
            for _ in range(min(index + 1, MAX_DEPTH)):
                found = tuple(os.path.dirname(text) for text in found)
            return found
        if isinstance(node.value, ast.Call) and dotted(node.value.func).rpartition(".")[2] in ("split", "splitext"):
            return self._parts(node.value, index)
        for value in self.meanings(node.value.id, node.value) if isinstance(node.value, ast.Name) else [node.value]:
            if isinstance(value, (ast.Tuple, ast.List)) and index is not None:
                return self.of(value.elts[index])
            if isinstance(value, ast.Dict) and (texts or machine.system(key)):
                wanted = machine.system(key) or texts[0]
                pairs = [one for name, one in zip(value.keys, value.values) if name and wanted in self.of(name)]
                return self.of(pairs[0]) if pairs else ()
        found = self.of(node.value) if isinstance(node.value, (ast.Call, ast.Name, ast.Attribute)) else ()
        return found[:1] if index == 0 and all(os.path.exists(text) for text in found) else ()

    def _slice(self, value: ast.expr, part: ast.Slice) -> tuple[str, ...]:
        """``__file__[:-3]``: a text cut at numbers."""
        ends = [None if one is None else _number(one) for one in (part.lower, part.upper)]
        if part.step is not None or any(end is None and one for end, one in zip(ends, (part.lower, part.upper))):
            return ()
        return tuple(text[ends[0] : ends[1]] for text in self.of(value))

    def _parts(self, call: ast.Call, index: int | None) -> tuple[str, ...]:
        """One half of ``os.path.split(…)`` or ``os.path.splitext(…)``."""
        name = dotted(call.func)
        if index not in (0, 1, -1) or len(call.args) != 1 or not name.startswith(("os.path.", "path.", "split")):
            return ()
        halves = os.path.splitext if name.endswith("splitext") else os.path.split
        return tuple(halves(text)[index] for text in self.of(call.args[0]))

    def _attribute(self, node: ast.Attribute) -> tuple[str, ...]:
        if node.attr in ("__file__", "__path__") and isinstance(node.value, ast.Name):
            found = machine.package(self.modules.get(node.value.id, ""), self._file)
            return found if node.attr == "__file__" else tuple(os.path.dirname(file) for file in found)
        if node.attr == "parent":
            return self._all(os.path.dirname, [node.value])
        if node.attr in ("name", "stem") and self.of(node.value):
            names = self._all(os.path.basename, [node.value])
            return names if node.attr == "name" else tuple(os.path.splitext(name)[0] for name in names)
        if isinstance(node.value, ast.Name) and node.attr in self._options:
            return tuple(text for value in self._options[node.attr] for text in self.of(value))
        fixed = machine.FIXED.get(dotted(node))
        if fixed is not None:
            return (fixed,)
        if isinstance(node.value, ast.Name) and (node.value.id in ("self", "cls") or node.value.id in self._classes):
            values = self.meanings("." + node.attr, node) or self.meanings(node.attr, node)
            return tuple(text for value in values for text in self.of(value))
        return ()

    def _call(self, node: ast.Call) -> tuple[str, ...]:
        called = dotted(node.func)
        name = called.rpartition(".")[2]
        name = self._aliases.get(name, name)
        arguments: list[ast.expr] = list(node.args)
        if name == "sorted" and len(arguments) == 1:
            return tuple(sorted(self.of(arguments[0])))
        if name in ("list", "next", "iter") and arguments:
            return self.of(arguments[0])
        if name == "format" and node.keywords and isinstance(node.func, ast.Attribute):
            return self._format(node.func.value, arguments, node.keywords)
        if name in self._returns and (called == name or called.startswith(("self.", "cls."))):
            return tuple(text for value in self._returns[name] for text in self.of(value))
        if node.keywords and name not in ("Path", "glob", "as_file", "resolve"):
            return ()
        if name in ("resource_filename", "files", "path") and arguments and not isinstance(node.func, ast.Call):
            return self._resource(name, arguments)
        if name == "join" and isinstance(node.func, ast.Attribute) and "path" not in called and len(arguments) == 1:
            return self._joined(node.func.value, arguments[0])
        told = self._here(node, called, name, arguments)
        if told is not None:
            return told
        if isinstance(node.func, ast.Attribute) and name in _METHODS and self.of(node.func.value):
            return self._all(_METHODS[name], [node.func.value, *arguments])
        function = _FUNCTIONS.get(name)
        return self._all(function, arguments) if function is not None and arguments else ()

    def _here(self, node: ast.Call, called: str, name: str, arguments: list[ast.expr]) -> tuple[str, ...] | None:
        """What this machine and the script's own place tell; None of any other call."""
        here = os.path.dirname(self._file)
        if called in ("os.environ.get", "os.getenv", "environ.get", "getenv") and arguments:
            value = os.environ.get((self.of(arguments[0]) or ("",))[0])
            return self.of(arguments[1]) if value is None and len(arguments) > 1 else (value,) if value else ()
        if name in ("glob", "iglob", "rglob") and arguments:
            base = self.of(node.func.value) if isinstance(node.func, ast.Attribute) else ()
            patterns = self._all(os.path.join, arguments[:1])
            return machine.files([os.path.join(*base[:1], pattern) for pattern in patterns])
        if name in ("get_ext_suffix", "get_config_var") and len(arguments) <= 1:
            asked = self.of(arguments[0]) if arguments else ("EXT_SUFFIX",)
            return machine.suffix(asked[0]) if asked else ()
        if name == "find_library" and len(arguments) == 1:
            return tuple(text for one in self.of(arguments[0]) for text in machine.linked(one))
        if name in ("get_path", "get_python_lib") and len(arguments) <= 1:
            return machine.directory((self.of(arguments[0]) if arguments else ("purelib",))[0])
        if name in ("get_data_files_path", "getsourcefile", "getfile"):
            return (here,) if name == "get_data_files_path" else (self._file,)
        if name in ("getcwd", "cwd") and not arguments:
            return (os.getcwd(),)
        if called.endswith("Path.home"):
            return (os.path.expanduser("~"),)
        if name == "get_path_to_datafile":  # tf.resource_loader: below the directory of the calling file
            return tuple(os.path.join(here, text) for text in self._all(os.path.join, arguments))
        return None

    def _format(self, template: ast.expr, args: list[ast.expr], words: list[ast.keyword]) -> tuple[str, ...]:
        """``"{where}/{0}.so".format("x", where=HERE)``."""
        names = [word.arg or "" for word in words]

        def fill(text: str, *values: str) -> str:
            return text.format(*values[: len(args)], **dict(zip(names, values[len(args) :])))

        return self._all(fill, [template, *args, *(word.value for word in words)])

    def _joined(self, separator: ast.expr, parts: ast.expr) -> tuple[str, ...]:
        """``"/".join([…])``."""
        if not isinstance(parts, (ast.List, ast.Tuple)):
            return ()
        return self._all(lambda between, *texts: between.join(texts), [separator, *parts.elts])

    def _resource(self, name: str, arguments: list[ast.expr]) -> tuple[str, ...]:
        """A file of a package: ``pkg_resources.resource_filename``, ``importlib.resources.files`` and ``path``."""
        if dotted(arguments[0]) in ("__name__", "__package__") or dotted(arguments[0]).endswith(".__name__"):
            tops: tuple[str, ...] = (os.path.dirname(self._file),)
        else:
            packages = self.of(arguments[0]) or tuple(filter(None, [self.modules.get(dotted(arguments[0]), "")]))
            tops = tuple(top for one in packages for top in machine.package_directory(one, self._file))
        if name == "files":
            return tops
        return tuple(os.path.join(top, text) for top in tops for text in self.of(arguments[1])) if arguments[1:] else ()


def _number(node: ast.AST) -> int | None:
    """The whole number that an index is, with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    value = getattr(node, "n", None) if type(node).__name__ == "Num" else getattr(node, "value", None)
    return value if type(value) is int else None
