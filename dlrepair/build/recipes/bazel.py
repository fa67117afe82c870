"""Bazel BUILD files: rules that make a shared library, with the cc_library rules that they depend on.

Starlark is a subset of Python's syntax (Bazel: Build encyclopedia, C/C++ rules; Extending Bazel, Macros), so it is
read by Python's syntax tree and nothing of it runs. The project's own macros are followed into their ``.bzl`` files;
those of others are taken by their arguments: sources, dependencies, flags.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from dlrepair.build.recipes import python_syntax
from dlrepair.build.recipes.driver import input_kind
from dlrepair.build.recipes.python_calls import deep_files
from dlrepair.build.recipes.python_objects import Return, text_of
from dlrepair.build.recipes.python_statements import Evaluator
from dlrepair.build.recipes.shell import Shell
from dlrepair.build.recipes.text import Command, absolute, find_files, inside, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any

    from dlrepair.build.recipes.text import Reading

_WORKSPACE = ("WORKSPACE", "WORKSPACE.bazel", "MODULE.bazel", "WORKSPACE.bzlmod")
_SKIPPED = frozenset(
    ("cc_test", "py_library", "py_test", "py_binary", "sh_binary", "filegroup", "config_setting", "package")
)
#: Attributes that hold sources; those for CUDA only.
_SOURCES = ("srcs", "hdrs", "textual_hdrs")
_CUDA_SOURCES = ("gpu_srcs", "cuda_srcs", "gpu_hdrs")
MAX_RULES = 2000
MAX_MACRO_FILES = 60


@dataclass
class Rule:
    """One rule as written, its values worked out."""

    kind: str
    name: str
    package: str  #: absolute directory
    file: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def makes_library(self) -> bool:
        """Whether the rule makes a shared library of its own."""
        if (
            self.kind in ("cc_library", "cc_test", "genrule", "cuda_library", "tf_kernel_library")
            or self.kind in _SKIPPED
        ):
            return False
        if self.kind == "cc_binary":
            return bool(self.values.get("linkshared")) or ".so" in self.name
        known = ("_op_library", "_ops_library", "pybind_extension", "cc_shared_library", "_custom_op", "_py_library")
        return ".so" in self.name or any(part in self.kind for part in known)

    @property
    def output(self) -> str:
        """The base name of its library."""
        return self.name if ".so" in self.name else self.name + ".so"


class Workspace:
    """The rules of a workspace, read package by package as labels name them."""

    def __init__(self, reading: Reading, root: str) -> None:
        self.reading = reading
        self.root = root
        self.rules: dict[tuple[str, str], Rule] = {}
        self.read: set[str] = set()
        self.macros: dict[str, dict[str, Any]] = {}  #: path of a .bzl file -> its functions and values

    def package(self, directory: str) -> None:
        """Read a package's BUILD file, once."""
        if directory in self.read or len(self.rules) > MAX_RULES or not inside(directory, self.reading.root):
            return
        self.read.add(directory)
        for name in ("BUILD.bazel", "BUILD"):
            path = os.path.join(directory, name)
            tree = python_syntax.parse(self.reading.read(path)) if os.path.isfile(path) else None
            if tree is not None:
                _Package(self, path).run(tree)
                return

    def resolve(self, label: str, package: str) -> Rule | None:
        """Return the rule that a label names, None of an external or unknown one."""
        if label.startswith("@") and not label.startswith("@//"):
            return None
        label = label.lstrip("@")
        if label.startswith("//"):
            path, colon, name = label[2:].partition(":")
            return self._tail(path, name if colon else os.path.basename(path))
        self.package(package)
        return self.rules.get((package, label.lstrip(":")))

    def _tail(self, path: str, name: str) -> Rule | None:
        """Return the rule of a package, also where the project is a part of the workspace that its labels speak of."""
        parts = path.split("/")
        for at in range(min(len(parts), 8)):
            directory = absolute("/".join(parts[at:]), self.root)
            self.package(directory)
            if (directory, name) in self.rules:
                return self.rules[directory, name]
        return None

    def macro_file(self, label: str, package: str) -> str:
        """Return the path of the ``.bzl`` file that a label names, "" of one that is not in this project."""
        label = label.lstrip("@") if label.startswith("@//") else label
        if label.startswith("@") or not label.endswith(".bzl"):
            return ""
        path = self.file(label, package)
        return path if os.path.isfile(path) and inside(path, self.reading.root) else ""

    def file(self, label: str, package: str) -> str:
        """Return the path of a file label."""
        if label.startswith("//"):
            return absolute(label[2:].replace(":", "/").lstrip("/"), self.root)
        return absolute(label.lstrip(":"), package)


class _Package:
    """One BUILD file while it is followed."""

    def __init__(self, workspace: Workspace, path: str) -> None:
        self.workspace = workspace
        self.path = path
        self.directory = os.path.dirname(path)
        reading = workspace.reading
        self.evaluator = Evaluator(path, self.directory, reading.budget, {}, self.on_call)

    def run(self, tree: ast.Module) -> None:
        """Follow the file."""
        try:
            self.evaluator.run(tree.body)
        except Return:
            pass

    def _load(self, args: list[Any], named: dict[str, Any]) -> None:
        """Take the names that a load() statement asks of a ``.bzl`` file of the project."""
        path = self.workspace.macro_file(text_of(args[0]), self.directory) if args else ""
        if not path:
            return
        names = {one: one for one in args[1:] if isinstance(one, str)}
        names.update({new: old for new, old in named.items() if isinstance(old, str)})
        values = self._macros(path)
        self.evaluator.scope.update({new: values[old] for new, old in names.items() if old in values})

    def _macros(self, path: str) -> dict[str, Any]:
        """Return what a ``.bzl`` file defines; read once, a cycle of loads ends with what is known so far."""
        known = self.workspace.macros
        if path in known or len(known) >= MAX_MACRO_FILES:
            return known.get(path, {})
        reading = self.workspace.reading
        known[path] = {}
        tree = python_syntax.parse(reading.read(path))
        if tree is not None:
            with reading.budget.deeper():
                other = _Package(self.workspace, path)
                other.run(tree)
            known[path] = other.evaluator.scope
        return known[path]

    def on_call(self, name: str, args: list[Any], named: dict[str, Any], node: ast.Call) -> Any:
        """Note rules; work out ``glob`` and ``select``; return None for calls with their usual meaning."""
        base = name.rpartition(".")[2]
        if name == "load":
            self._load(args, named)
            return unknown(base)
        if base == "glob":
            return self._glob(named.get("include", args[0] if args else []), named.get("exclude", []))
        if base == "select":
            return self._select(args[0] if args else {})
        if base.startswith("if_cuda") or base in (
            "if_gpu",
            "if_rocm",
            "if_cuda_is_configured",
            "if_windows",
            "if_macos",
        ):
            return [] if base in ("if_windows", "if_macos", "if_rocm") else (args[0] if args else [])
        if base in ("if_not_windows", "if_linux", "tf_copts", "if_not_mobile", "if_static", "if_mkl"):
            return args[0] if args and isinstance(args[0], list) else []
        if base == "package_name":
            below = os.path.relpath(self.directory, self.workspace.root)
            return "" if below == "." else below
        if base == "tf_gen_op_libs":
            self._op_libs(named, node.lineno)
        if "name" in named and isinstance(named["name"], str) and not name.startswith("."):
            if not self.evaluator.taken:
                return unknown(base)  # in a branch of a macro that these arguments do not take
            if "prefix" in named and isinstance(named["prefix"], str):  # tf_kernel_library: files by their names
                named["srcs"] = [*_texts(named.get("srcs")), *self._prefixed(named["prefix"])]
            rule = Rule(base, named["name"], self.directory, self.path, node.lineno, named)
            self.workspace.rules[(self.directory, rule.name)] = rule
            return unknown(base)
        return None

    def _prefixed(self, prefix: str) -> list[str]:
        """The sources of tf_kernel_library(prefix = …), after tensorflow/tensorflow.bzl: ``PREFIX*``, tests apart."""
        excluded = [prefix + "*test*", prefix + "*_main*", prefix + "*benchmark*"]
        return self._glob([prefix + "*.cc", prefix + "*.cpp"], excluded)

    def _op_libs(self, named: dict[str, Any], line: int) -> None:
        """The libraries of tf_gen_op_libs(op_lib_names = …), after tensorflow/tensorflow.bzl."""
        for name in _texts(named.get("op_lib_names")):
            values = {"srcs": ["ops/{}.cc".format(name)], "deps": named.get("deps", [])}
            rule = Rule("cc_library", name + "_op_lib", self.directory, self.path, line, values)
            self.workspace.rules[(self.directory, rule.name)] = rule

    def _select(self, choices: Any) -> Any:
        """Return the default of a select(), or what Linux takes."""
        if not isinstance(choices, dict):
            return []
        for key, value in choices.items():
            if "linux" in str(key).lower():
                return value
        return choices.get("//conditions:default", next(iter(choices.values()), []))

    def _glob(self, patterns: Any, excluded: Any) -> list[str]:
        budget = self.workspace.reading.budget

        def files(pattern: str) -> list[str]:
            if "**" in pattern:
                head, _, tail = pattern.partition("**")
                top = absolute(head or ".", self.directory)
                return [
                    os.path.relpath(one, self.directory) for one in deep_files(top, tail.lstrip("/") or "*", budget)
                ]
            return list(find_files(pattern, self.directory, budget))

        found = [path for one in patterns or [] if isinstance(one, str) for path in files(one)]
        out = {path for one in excluded or [] if isinstance(one, str) for path in files(one)}
        return [path for path in dict.fromkeys(found) if path not in out]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text_of(one) for one in value] if isinstance(value, list) else []


def _list(rule: Rule, key: str) -> list[str]:
    return _texts(rule.values.get(key))


class _Emitter:
    """Writes one library's rule as the compiler commands that Bazel would run."""

    def __init__(self, workspace: Workspace, rule: Rule) -> None:
        self.workspace = workspace
        self.rule = rule
        self.sources: list[str] = []
        self.cuda: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.seen: set[tuple[str, str]] = set()

    def emit(self) -> None:
        """Add the commands."""
        self._take(self.rule, 0)
        rule = self.rule
        output = os.path.join(rule.package, rule.output)
        words = ["g++", "-shared", "-o", output, *self.sources]
        words += ["-I" + self.workspace.root, *self.words]
        reading = self.workspace.reading
        for at, source in enumerate(self.cuda):
            made = "{}.{}.cu.o".format(output, at)
            call = ["nvcc", "-DGOOGLE_CUDA=1", "-I" + self.workspace.root, *self.words, "-c", source, "-o", made]
            reading.emit(Command(tuple(call), rule.package, rule.file, rule.line, "bazel"))
            words.append(made)
        reading.emit(Command((*words, *self.links), rule.package, rule.file, rule.line, "bazel"))

    def _take(self, rule: Rule, level: int) -> None:
        key = (rule.package, rule.name)
        if key in self.seen or level > 20 or len(self.seen) > 300:
            return
        self.seen.add(key)
        self.workspace.reading.budget.spend(20)
        for attribute in _SOURCES + _CUDA_SOURCES:
            for label in _list(rule, attribute):
                self._source(rule, label, attribute in _CUDA_SOURCES, level)
        local = rule is self.rule or rule.kind != "cc_library"
        for option in _list(rule, "copts"):
            if local or option.startswith(("-D", "-I", "-f")):
                self.words += option.split()
        for define in _list(rule, "defines") + _list(rule, "local_defines"):
            self.words.append("-D" + define)
        for include in _list(rule, "includes") + [one for one in _list(rule, "strip_include_prefix") if one]:
            self.words.append(
                "-I" + absolute(include.lstrip("/"), self.workspace.root if include[:1] == "/" else rule.package)
            )
        for option in _list(rule, "linkopts"):
            self.links += option.split()
        for label in _list(rule, "deps") + _list(rule, "implementation_deps") + _list(rule, "dynamic_deps"):
            self._dependency(rule, label, level)

    def _source(self, rule: Rule, label: str, cuda: bool, level: int) -> None:
        other = self.workspace.resolve(label, rule.package) if label.startswith((":", "//")) else None
        if other is not None:
            self._dependency(rule, label, level)
            return
        path = self.workspace.file(label, rule.package)
        kind = input_kind(path)
        if kind in ("c", "c++") and not cuda:
            self.sources.append(path)
        elif kind == "cuda" or (cuda and kind in ("c", "c++")):
            self.cuda.append(path)
        elif kind in ("shared", "archive", "object"):
            self.links.append(path)

    def _dependency(self, rule: Rule, label: str, level: int) -> None:
        other = self.workspace.resolve(label, rule.package)
        if other is None:
            if "tensorflow" in label or "tf_header" in label or "local_config_tf" in label:
                self.links.append("-ltensorflow_framework")
            elif label.startswith("@"):
                self.links.append("-l" + unknown(label))
        elif other.makes_library and other is not self.rule:
            self.links.append(os.path.join(other.package, other.output))
        elif other.kind == "filegroup" or other.kind not in _SKIPPED:
            self._take(other, level + 1)


def _genrule(workspace: Workspace, rule: Rule) -> None:
    """Add the commands of a genrule that makes a library: a script with make-like variables."""
    outs = _list(rule, "outs") + _list(rule, "out")
    command = rule.values.get("cmd", rule.values.get("cmd_bash"))
    if not isinstance(command, str) or not any(".so" in one or one.endswith(".o") for one in outs):
        return
    sources = [os.path.relpath(workspace.file(one, rule.package), rule.package) for one in _list(rule, "srcs")]
    inputs = [one for one in sources if input_kind(one) != "header"]

    def fill(match: Any) -> str:
        inner = match.group(1) or match.group(2)
        name, _, label = inner.partition(" ")
        if inner in ("SRCS", "<"):
            return " ".join(inputs)
        if inner in ("OUTS", "@"):
            return " ".join(outs)
        if name in ("location", "locations", "execpath", "rootpath"):
            return os.path.relpath(workspace.file(label.strip(), rule.package), rule.package)
        return {"@D": ".", "RULEDIR": "."}.get(inner, unknown("$(" + inner + ")"))

    parts = command.split("$$")
    text = "$".join(re.sub(r"\$\(([^()]*)\)|\$([@<])", fill, part) for part in parts)
    shell = Shell(workspace.reading, rule.file, rule.package, kind="bazel")
    shell.run_text(text, rule.line)


def read_bazel(reading: Reading, path: str) -> None:
    """Add the commands of the libraries that the package of a BUILD file makes."""
    directory = os.path.dirname(path)
    root = directory
    while inside(root, reading.root) and not any(os.path.exists(os.path.join(root, one)) for one in _WORKSPACE):
        root = os.path.dirname(root)
    workspace = Workspace(reading, root if inside(root, reading.root) else reading.root)
    workspace.package(directory)
    for (package, _), rule in list(workspace.rules.items()):
        if package != directory:
            continue
        if rule.kind == "genrule":
            _genrule(workspace, rule)
        elif rule.makes_library:
            _Emitter(workspace, rule).emit()
