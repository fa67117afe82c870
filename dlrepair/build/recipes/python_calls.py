"""What well-known functions of Python's library, TensorFlow and NumPy return, without calling TensorFlow or NumPy."""

from __future__ import annotations

import ast
import os
import re

from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.python_objects import Dotted, Function, Method, Unknown, text_of
from dlrepair.build.recipes.text import (
    NUMPY,
    PYTHON,
    TENSORFLOW,
    absolute,
    find_files,
    is_known,
    unknown,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.build.recipes.python_values import Expressions

_TENSORFLOW = re.compile(
    r"^(?:tensorflow|tf)(?:\.\w+)*\."
    r"(?:get_include|get_lib|get_compile_flags|get_link_flags|__file__|CXX11_ABI_FLAG)$"
)
_FLAG_LISTS = ("get_compile_flags", "get_link_flags")


def percent(template: str, values: Any, text_of: Callable[[Any], str]) -> str:
    """Return ``template % values`` with unknown values marked."""
    items = list(values) if isinstance(values, (list, tuple)) else [values]

    def fill(match: Any) -> str:
        if match.group(0) == "%%":
            return "%"
        if match.group(1) and isinstance(values, dict):
            return text_of(values.get(match.group(1)[1:-1], unknown(match.group(1))))
        return text_of(items.pop(0)) if items else match.group(0)

    return re.sub(r"%(\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[sdirfgx%]", fill, template)


def formatted(template: str, args: list[Any], named: dict[str, Any], text_of: Callable[[Any], str]) -> str:
    """Return ``template.format(...)`` with unknown values marked."""
    counter = [0]

    def fill(match: Any) -> str:
        if match.group(0) in ("{{", "}}"):
            return str(match.group(0)[0])
        name = match.group(1)
        if name == "":
            name = str(counter[0])
            counter[0] += 1
        head = re.split(r"[.\[]", name)[0]
        value = (
            args[int(head)] if head.isdigit() and int(head) < len(args) else named.get(head, unknown("{" + name + "}"))
        )
        return text_of(value)

    return re.sub(r"\{\{|\}\}|\{([^{}:!]*)(?:![rsa])?(?::[^{}]*)?\}", fill, template)


def compare(op: Any, left: Any, right: Any, environ: dict[str, str]) -> Any:
    """Return what a comparison says. A name of the environment is looked up; versions are unknown."""
    if isinstance(op, (ast.In, ast.NotIn)):
        holds: Any = None
        if isinstance(right, Dotted) and right.name in ("os.environ", "environ") and isinstance(left, str):
            holds = left in environ
        elif isinstance(right, (list, tuple, dict)):
            holds = left in right if isinstance(left, (str, int)) else None
        elif isinstance(right, str) and isinstance(left, str) and is_known(right):
            holds = left in right
        return Unknown("in") if holds is None else holds == isinstance(op, ast.In)
    if isinstance(op, (ast.Is, ast.IsNot)):
        if right is None and not isinstance(left, (Unknown, Dotted)):
            return (left is None) == isinstance(op, ast.Is)
        return isinstance(op, ast.IsNot) if right is None and isinstance(left, Dotted) else Unknown("is")
    if right is None and isinstance(op, (ast.Eq, ast.NotEq)) and not isinstance(left, (Unknown, Dotted)):
        return (left is None) == isinstance(op, ast.Eq)
    if isinstance(left, (str, int)) and isinstance(right, (str, int)) and is_known(str(left) + str(right)):
        if isinstance(op, ast.Eq):
            return left == right
        if isinstance(op, ast.NotEq):
            return left != right
        if type(left) is type(right):
            order = {ast.Lt: left < right, ast.LtE: left <= right, ast.Gt: left > right, ast.GtE: left >= right}  # type: ignore[operator]
            return order.get(type(op), Unknown("order"))
    return Unknown("comparison")


def _words(value: Any, text_of: Callable[[Any], str]) -> list[str]:
    return [text_of(one) for one in value] if isinstance(value, (list, tuple)) else [text_of(value)]


def call(evaluator: Expressions, name: str, args: list[Any], named: dict[str, Any]) -> Any:
    """Return what a call of a library's function comes to."""
    base = name.rpartition(".")[2]
    if _TENSORFLOW.match(name) or ("sysconfig" in name and base in (*_FLAG_LISTS, "get_lib")):
        return [TENSORFLOW] if base in _FLAG_LISTS else TENSORFLOW
    if base == "get_include" or base == "get_numpy_include":
        return NUMPY if name.startswith(("numpy", "np.")) else PYTHON if "pybind" in name else Unknown(name)
    if base in ("get_python_inc", "get_python_lib", "get_config_var", "get_config_vars", "get_paths", "get_path"):
        return PYTHON
    if name.startswith(("os.path.", "posixpath.")) or name in _PATHS:
        return _path_function(evaluator, base, args)
    function = _FUNCTIONS.get(base)
    if function is not None and (
        name == base or name.startswith(("os.", "glob.", "pathlib.", "platform.", "shutil.", "distutils."))
    ):
        return function(evaluator, args, named)
    if name in (
        "str",
        "list",
        "tuple",
        "sorted",
        "set",
        "len",
        "range",
        "zip",
        "enumerate",
        "map",
        "filter",
        "dict",
        "bool",
        "int",
    ):
        return _builtin(evaluator, name, args, named)
    return Unknown(name + "()")


_LIBRARIES = ("os.", "glob.", "pathlib.", "platform.", "shutil.", "distutils.")
_BUILTINS = frozenset("str list tuple sorted set len range zip enumerate map filter dict bool int".split())
_PATHS = frozenset("join dirname basename abspath realpath splitext exists isfile isdir normpath".split())


def _path_function(evaluator: Expressions, base: str, args: list[Any]) -> Any:
    base = {"pjoin": "join"}.get(base, base)
    words = [text_of(one) for one in args]
    if not words:
        return Unknown("path")
    first = words[0]
    if base == "join":
        return os.path.join(*words)
    if base in ("abspath", "realpath", "normpath", "expanduser", "expandvars"):
        if base == "expanduser" and first.startswith("~"):
            return evaluator.environ.get("HOME", "~") + first[1:]
        if base == "normpath":
            return os.path.normpath(first)
        return absolute(first, evaluator.directory) if is_known(first) and base != "expandvars" else first
    if base in ("dirname", "basename"):
        return os.path.dirname(first) if base == "dirname" else os.path.basename(first)
    if base == "splitext":
        return list(os.path.splitext(first))
    if base in ("exists", "isfile", "isdir", "islink", "lexists"):
        if not is_known(first):
            return Unknown(base)
        path = absolute(first, evaluator.directory)
        return {"isfile": os.path.isfile, "isdir": os.path.isdir}.get(base, os.path.exists)(path)
    if base == "relpath" and is_known(first):
        start = words[1] if len(words) > 1 and is_known(words[1]) else "."
        return os.path.relpath(absolute(first, evaluator.directory), absolute(start, evaluator.directory))
    return Unknown(base)


def _glob(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    pattern = text_of(args[0]) if args else ""
    if not is_known(pattern):
        return []
    if "**" not in pattern:
        return list(find_files(pattern, evaluator.directory, evaluator.budget))
    head, _, tail = pattern.partition("**")
    return deep_files(absolute(head or ".", evaluator.directory), tail.lstrip("/"), evaluator.budget)


def deep_files(top: str, pattern: str, budget: Any, limit: int = 2000) -> list[str]:
    """Return the files below ``top`` at any depth whose path or name matches ``pattern``."""
    found: list[str] = []
    for current, folders, files in os.walk(top):
        budget.spend(1 + len(files) // 4)
        folders[:] = (
            sorted(one for one in folders if not one.startswith(".")) if current.count("/") - top.count("/") < 8 else []
        )
        for name in sorted(files):
            path = os.path.join(current, name)
            if fits(name, pattern) or fits(os.path.relpath(path, top), pattern):
                found.append(path)
        if len(found) > limit:
            break
    return found


def _getenv(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    name = text_of(args[0]) if args else ""
    return evaluator.environ.get(name, args[1] if len(args) > 1 else named.get("default"))


def _chdir(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    path = text_of(args[0]) if args else "."
    if is_known(path):
        evaluator.directory = absolute(path, evaluator.directory)
    return None


def _listdir(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    path = text_of(args[0]) if args else "."
    try:
        return sorted(os.listdir(absolute(path, evaluator.directory)))[:2000] if is_known(path) else []
    except (OSError, ValueError):
        return []


def _walk(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    top = text_of(args[0]) if args else "."
    if not is_known(top):
        return []
    found: list[Any] = []
    for current, folders, files in os.walk(absolute(top, evaluator.directory)):
        evaluator.budget.spend(1 + len(files) // 4)
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found.append([current, list(folders), sorted(files)])
        if len(found) >= 500:
            break
    return found


def _system(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    return os.uname().sysname if hasattr(os, "uname") else "Windows"


def _which(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    import shutil

    name = text_of(args[0]) if args else ""
    return shutil.which(name) if name and is_known(name) else None


def _first(evaluator: Expressions, args: list[Any], named: dict[str, Any]) -> Any:
    return os.path.join(*[text_of(one) for one in args]) if args else "."


_FUNCTIONS: dict[str, Callable[[Expressions, list[Any], dict[str, Any]], Any]] = {
    "glob": _glob, "iglob": _glob, "getenv": _getenv, "chdir": _chdir, "listdir": _listdir, "walk": _walk,
    "system": _system, "which": _which, "find_executable": _which, "Path": _first, "PurePath": _first,
    "getcwd": lambda evaluator, args, named: evaluator.directory,
}  # fmt: skip
_FUNCTIONS["get"] = _getenv


def _builtin(evaluator: Expressions, name: str, args: list[Any], named: dict[str, Any]) -> Any:
    first = args[0] if args else None
    if name == "str":
        return text_of(first) if args else ""
    if name == "dict":
        return dict(named) if not isinstance(first, dict) else {**first, **named}
    if name == "len":
        return len(first) if isinstance(first, (list, str, dict)) else Unknown("len")
    if name == "range":
        numbers = [one for one in args[:3] if type(one) is int]
        return list(range(*numbers)[:500]) if numbers and len(numbers) == len(args) and 0 not in numbers[2:] else [0]
    if name == "bool":
        verdict = evaluator.truth(first)
        return Unknown(name) if verdict is None else verdict
    if name == "int":
        return int(first) if isinstance(first, (str, int)) and str(first)[:9].isdigit() else Unknown(name)
    if name == "map" and len(args) > 1:
        return (
            [evaluator.call_function(first, [one], {}) for one in evaluator.items(args[1])]
            if isinstance(first, Function)
            else args[1]
        )
    if name == "filter" and len(args) > 1:
        return list(evaluator.items(args[1]))
    if name == "zip":
        return [list(pair) for pair in zip(*[list(evaluator.items(one)) for one in args])]
    if name == "enumerate":
        return [[at, one] for at, one in enumerate(evaluator.items(first))]
    items = list(evaluator.items(first)) if args else []
    return sorted(items, key=text_of) if name == "sorted" else items


def method(evaluator: Expressions, bound: Method, args: list[Any], named: dict[str, Any]) -> Any:
    """Return what a method of a known value comes to."""
    owner, name = bound.owner, bound.name
    if isinstance(owner, str):
        return _string_method(evaluator, owner, name, args, named)
    if isinstance(owner, list):
        if name in ("append", "add") and args:
            owner.append(args[0])
        elif name in ("extend", "update") and args:
            owner.extend(list(evaluator.items(args[0])))
        elif name == "insert" and len(args) > 1 and type(args[0]) is int:
            owner.insert(args[0], args[1])
        elif name == "remove" and args and args[0] in owner:
            owner.remove(args[0])
        elif name == "copy":
            return list(owner)
        else:
            return Unknown(name)
        evaluator.budget.spend(1 + len(owner) // 50)
        return None
    if isinstance(owner, dict):
        if name == "get" and args:
            return owner.get(text_of(args[0]), args[1] if len(args) > 1 else None)
        if name in ("items", "iteritems"):
            return [[key, value] for key, value in owner.items()]
        if name in ("keys", "values"):
            return list(owner if name == "keys" else owner.values())
        if name == "update" and args and isinstance(args[0], dict):
            owner.update(args[0])
            return None
    return Unknown("." + name + "()")


def _string_method(evaluator: Expressions, owner: str, name: str, args: list[Any], named: dict[str, Any]) -> Any:
    words = [text_of(one) for one in args]
    if name == "join":
        return evaluator.budget.word(owner.join(text_of(one) for one in (evaluator.items(args[0]) if args else [])))
    if name == "format":
        return evaluator.budget.word(formatted(owner, args, named, text_of))
    if name in ("strip", "rstrip", "lstrip", "lower", "upper", "title"):
        return getattr(owner, name)(*words[:1]) if name.endswith("strip") else getattr(owner, name)()
    if name == "replace" and len(words) > 1 and words[0]:
        return evaluator.budget.word(owner.replace(words[0], words[1]))
    if name in ("split", "splitlines", "rsplit"):
        return (owner.split(words[0]) if words and words[0] else owner.split())[:500]
    if name in ("startswith", "endswith") and words:
        return getattr(owner, name)(words[0]) if is_known(owner) else Unknown(name)
    if name in ("partition", "rpartition") and words and words[0]:
        return list(getattr(owner, name)(words[0]))
    if name in ("parent",):
        return os.path.dirname(owner)
    if name in ("decode", "encode", "resolve", "as_posix", "absolute", "expanduser", "__str__"):
        return owner
    if name in ("joinpath",):
        return os.path.join(owner, *words)
    if name in ("glob", "rglob") and words and is_known(owner + words[0]):
        top = absolute(owner, evaluator.directory)
        if name == "rglob" or "**" in words[0]:
            return deep_files(top, words[0].replace("**/", ""), evaluator.budget)
        return [os.path.join(top, one) for one in find_files(words[0], top, evaluator.budget)]
    if name in ("exists", "is_file", "is_dir") and is_known(owner):
        return os.path.exists(absolute(owner, evaluator.directory))
    return Unknown("." + name + "()")
