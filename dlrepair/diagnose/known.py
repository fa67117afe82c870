"""Calls whose meaning is known: loads, builds, ways out of the process, and a few pure functions."""

from __future__ import annotations

import os
import sys

from dlrepair.diagnose.syntax import dotted
from dlrepair.diagnose.values import FUNCTION, PLAIN, UNKNOWN, Names, class_mro, constant, is_modest, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Last part of the name of a function that loads a library or imports a module.
_LOADS = frozenset((
    "CDLL", "PyDLL", "WinDLL", "OleDLL", "LoadLibrary", "LoadLibraryA", "LoadLibraryW", "LoadLibraryEx",
    "LoadLibraryExW", "dlopen", "load_op_library", "load_library", "load_file_system_library",
    "load_pluggable_device_library", "register_filesystem_plugin", "TF_LoadLibrary", "__import__", "import_module",
    "load_dynamic", "load_module", "load_source", "exec_module",
))  # fmt: skip
_LOAD_OBJECTS = ("cdll", "windll", "oledll", "pydll")  # cdll.name and cdll["name"] load as well
#: A function of unknown content whose name holds "load" and one of these is taken for a loader.
_LOADED_THINGS = ("lib", "dll", "_so", "_op", "ext", "native", "plugin", "module", "backend", "kernel", "shared")

_PROCESS = ("os.system", "os.popen", "os.spawn", "os.posix_spawn", "subprocess.", "commands.", "pexpect.")
_PROCESS_NAMES = frozenset(("check_call", "check_output", "Popen", "getoutput", "getstatusoutput"))
_BUILDING = ("compile", "build", "nvcc", "cmake", "make_lib", "recompile", "rebuild", "jit_compile")
_BUILD_CALLS = frozenset(("run_setup", "load_inline", "cpp_extension.load", "distutils.core.setup", "setuptools.setup"))
#: Commands that only look: they build nothing.
_LOOKING = frozenset((
    "ldd", "nm", "file", "readelf", "objdump", "ldconfig", "uname", "which", "whereis", "nvidia-smi", "ls", "lsmod",
    "cat", "echo", "find", "locate", "lspci", "env", "hostname", "id", "pwd",
))  # fmt: skip

_LEAVES_PYTHON = frozenset((
    "sys.exit", "exit", "quit", "builtins.exit", "builtins.quit",
))  # fmt: skip
_STOPS = frozenset((
    "os._exit", "os.abort", "os.kill", "posix._exit", "pdb.set_trace", "ipdb.set_trace", "pudb.set_trace",
    "breakpoint", "pdb.post_mortem", "ipdb.post_mortem", "code.interact", "IPython.embed", "embed",
    "os.execv", "os.execve", "os.execvp", "os.execvpe", "os.execl", "os.execlp",
))  # fmt: skip
_SKIPS = frozenset(("pytest.skip", "pytest.xfail", "pytest.importorskip", "skipTest", "SkipTest"))

#: Importing one of these is no second attempt: they report, or run commands.
_TOOLS = frozenset((
    "sys", "os", "traceback", "warnings", "logging", "pdb", "ipdb", "subprocess", "platform", "inspect", "textwrap",
    "time", "shutil", "errno", "atexit", "re", "pprint", "contextlib", "functools", "typing", "sysconfig", "glob",
    "six", "absl", "__future__", "unittest", "pytest", "tempfile", "signal", "code", "builtins", "distutils",
    "setuptools", "json", "datetime", "collections", "itertools", "string", "io", "pathlib", "importlib", "ctypes",
))  # fmt: skip


def is_attempt(module: str | None) -> bool:
    """Whether importing ``module`` may stand in for the library (not so for modules that serve to report)."""
    return (module or ".").split(".")[0] not in _TOOLS


def is_load_name(name: str) -> bool:
    """Whether the last part of a function's name is that of a function that loads a library or imports a module."""
    return name in _LOADS


def is_load_object(node: Any) -> bool:
    """``cdll.name`` or ``cdll["name"]``: an attribute or item whose mere evaluation loads."""
    kind = type(node).__name__
    if kind not in ("Attribute", "Subscript"):
        return False
    base = dotted(node.value).rpartition(".")[2]
    return base in _LOAD_OBJECTS and not (kind == "Attribute" and node.attr in _LOADS)


def meaning(names: Names, node: Any) -> str:
    """``load``, ``compile``, ``exit`` (SystemExit), ``stop``, ``skip`` (a test is skipped) or "" for any other call."""
    name = dotted(node.func)
    last = name.rpartition(".")[2] or getattr(node.func, "attr", "")
    if last in _LOADS or _real_name(names, name) in _LOADS:
        return "load"
    if last in ("error", "exit") and _is_parser(names, name):
        return "exit"
    if name in _LEAVES_PYTHON:
        return "exit"
    if name in _STOPS or last in ("set_trace", "_exit"):
        return "stop"
    if name in _SKIPS or last in ("skipTest", "SkipTest", "importorskip"):
        return "skip"
    if name.startswith(_PROCESS) or last in _PROCESS_NAMES or _is_process_call(names, name, last):
        return "" if _only_looks(names, node) else "compile"
    if name in _BUILD_CALLS or name.endswith((".cpp_extension.load", ".load_inline")):
        return "compile"
    if _sounds_like_build(names, name, last):
        return "compile"
    return ""


def _real_name(names: Names, name: str) -> str:
    """The name that a function or class was defined with: ``load = tf.load_op_library`` is still a load."""
    found: Any = names.look_up(name) if name else UNKNOWN
    if type(found) is FUNCTION:
        return str(found.__code__.co_name)
    return type_name(found) if issubclass(type(found), type) else ""


def _is_parser(names: Names, name: str) -> bool:
    """Whether ``name`` is a method of an ``argparse.ArgumentParser``: its ``error`` and ``exit`` leave the program."""
    owner = names.look_up(name.rpartition(".")[0]) if "." in name else UNKNOWN
    return any(type_name(base) == "ArgumentParser" for base in class_mro(type(owner)))


def _is_process_call(names: Names, name: str, last: str) -> bool:
    """``run`` and ``call`` say too little by themselves."""
    return last in ("call", "run") and _of_module(names, name, "subprocess")


def _sounds_like_build(names: Names, name: str, last: str) -> bool:
    plain = last.lstrip("_").lower()
    if not plain.startswith(_BUILDING) or name.startswith(("re.", "regex.", "sre.")):
        return False
    if plain == "compile" and "." not in name:
        return not _of_module(names, name, "builtins") and not _of_module(names, name, "re")
    return True


def sounds_like_load(name: str) -> bool:
    """Whether a function that cannot be read is named like a loader: ``_load_lib``, ``try_load_native``."""
    plain = name.rpartition(".")[2].lower()
    return "load" in plain and (
        plain.strip("_") in ("load", "try_load") or any(thing in plain for thing in _LOADED_THINGS)
    )


def _of_module(names: Names, name: str, module: str) -> bool:
    """Whether the function that ``name`` refers to was defined in ``module``."""
    found = names.look_up(name) if name else UNKNOWN
    if type(found) is FUNCTION:
        home = found.__globals__.get("__name__")
        return type(home) is str and home.split(".")[0] == module
    if type(found) is type(len):
        return bool(found.__module__ == module)
    return found is UNKNOWN and name.split(".")[0] == module


def _only_looks(names: Names, node: Any) -> bool:
    if not node.args:
        return False
    command = node.args[0]
    if type(command).__name__ in ("List", "Tuple") and command.elts:
        command = command.elts[0]
    while type(command).__name__ == "BinOp":  # "ldd " + path, "ldd %s" % path
        command = command.left
    if type(command).__name__ == "JoinedStr" and command.values:
        command = command.values[0]
    text = constant(command)
    if type(text) is not str:
        text = names.text(command)
    words = text.split() if type(text) is str else []
    return bool(words) and os.path.basename(words[0]) in _LOOKING


def path_argument(names: Names, node: Any) -> str | None:
    """The path that a load is given, where it can be evaluated."""
    if type(node).__name__ == "Attribute":
        return str(node.attr)
    if type(node).__name__ == "Subscript":
        index = node.slice.value if type(node.slice).__name__ == "Index" else node.slice
        return names.text(index)
    last = dotted(node.func).rpartition(".")[2] or getattr(node.func, "attr", "")
    if last in ("__import__", "import_module", "load_module", "exec_module"):
        return None
    if last == "load_library" and len(node.args) == 2:  # numpy.ctypeslib: name, directory
        name, directory = names.text(node.args[0]), names.text(node.args[1])
        return os.path.join(directory, name) if name is not None and directory is not None else None
    arguments: list[Any] = list(node.args[:1])
    arguments += [word.value for word in node.keywords if word.arg in ("name", "library_filename", "path", "libname")]
    return names.text(arguments[0]) if arguments else None


_PURE: dict[Any, Any] = {
    os.path.join: os.path.join, os.path.dirname: os.path.dirname, os.path.basename: os.path.basename,
    os.path.abspath: os.path.abspath, os.path.realpath: os.path.realpath, os.path.normpath: os.path.normpath,
    os.path.expanduser: os.path.expanduser, os.path.splitext: os.path.splitext, os.path.exists: os.path.exists,
    os.path.isfile: os.path.isfile, os.path.isdir: os.path.isdir, os.path.split: os.path.split,
    os.getcwd: os.getcwd, len: len,
}  # fmt: skip
_MAKES_LIST = (list, tuple, reversed, enumerate, zip, range, sorted)
_TEXT_METHODS = ("format", "replace", "strip", "rstrip", "lstrip", "lower", "upper", "split", "rsplit", "join",
                 "startswith", "endswith", "partition", "rpartition")  # fmt: skip


def call_value(names: Names, node: Any, depth: int) -> Any:
    """The result of a call to a function known to be pure, on arguments that are known, else UNKNOWN."""
    if any(type(argument).__name__ == "Starred" for argument in node.args):
        return UNKNOWN
    name = dotted(node.func)
    function = names.look_up(name) if name else UNKNOWN
    if (type(function) is FUNCTION or type(function) is type(len)) and function in _PURE and not node.keywords:
        arguments = [names.value(argument, depth) for argument in node.args]
        return _PURE[function](*arguments) if all(_is_text(argument, function) for argument in arguments) else UNKNOWN
    if (type(function) is type and function in _MAKES_LIST) or function is sorted:
        return _list_of(names, node, function, depth)
    if name in ("os.environ.get", "os.getenv") and node.args and type(os.environ) is os._Environ:
        key = names.value(node.args[0], depth)
        default = names.value(node.args[1], depth) if len(node.args) > 1 else None
        return os.environ.get(key, default) if type(key) is str else UNKNOWN
    if name == "platform.system":
        return "Linux" if sys.platform.startswith("linux") else UNKNOWN
    if name in ("str", "os.fspath", "os.fsdecode") and len(node.args) == 1:
        text = names.text(node.args[0])
        return UNKNOWN if text is None else text
    return _method_value(names, node, depth) if type(node.func).__name__ == "Attribute" else UNKNOWN


def _is_text(value: Any, function: Any) -> bool:
    return type(value) in (str, bytes) or (function is len and type(value) in (str, list, tuple, dict))


def _list_of(names: Names, node: Any, function: Any, depth: int) -> Any:
    arguments = [names.value(argument, depth) for argument in node.args]
    if not all(type(argument) in PLAIN for argument in arguments):
        return UNKNOWN
    if function is range:
        numbers = range(*arguments)
        return list(numbers) if len(numbers) <= 2000 else UNKNOWN
    if (function is enumerate and node.keywords) or not all(hasattr(argument, "__len__") for argument in arguments):
        return UNKNOWN
    if any(len(argument) > 2000 for argument in arguments):
        return UNKNOWN
    if function is sorted:
        if node.keywords or not all(type(item) is str for item in arguments[0]):
            return UNKNOWN
        return sorted(arguments[0])
    return list(function(*arguments))


def _method_value(names: Names, node: Any, depth: int) -> Any:
    base = names.value(node.func.value, depth)
    method = node.func.attr
    arguments = [names.value(argument, depth) for argument in node.args]
    if type(base) is dict and method in ("keys", "values", "items") and not arguments:
        return list(getattr(base, method)())
    if type(base) is dict and method == "get" and arguments and type(arguments[0]) in (str, int):
        return base.get(*arguments)
    if type(base) is not str or method not in _TEXT_METHODS or len(base) > 4096:
        return UNKNOWN
    if method == "join":
        parts = arguments[0] if arguments and type(arguments[0]) in (list, tuple) else None
        return base.join(parts) if parts is not None and all(type(part) is str for part in parts) else UNKNOWN
    words = {word.arg: names.value(word.value, depth) for word in node.keywords if word.arg}
    if method == "format":
        plain = all(type(value) in (str, int) for value in list(arguments) + list(words.values()))
        return base.format(*arguments, **words) if plain and is_modest(base) else UNKNOWN
    if words or not all(type(argument) in (str, int) for argument in arguments):
        return UNKNOWN
    return getattr(base, method)(*arguments)
