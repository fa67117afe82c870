"""Python files that build: Extension() of setup.py, and compilers that a script starts. Read by their syntax tree."""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes import python_syntax
from dlrepair.build.recipes.makefile import Makefile
from dlrepair.build.recipes.programs import is_compiler
from dlrepair.build.recipes.python_objects import Return, Unknown, text_of
from dlrepair.build.recipes.python_statements import Evaluator
from dlrepair.build.recipes.shell import Shell
from dlrepair.build.recipes.text import Command, absolute, find_files, has_unknown, is_known, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any, Iterable

    from dlrepair.build.recipes.text import Reading

_COMPILES = re.compile(r"g\+\+|gcc|nvcc|clang|c\+\+|\bcc\b|-shared|\.sh\b")
#: Calls that only speak of a command.
_SPEAKS = frozenset(
    """print info debug warning warn error write RuntimeError Exception ValueError OSError format add_argument search
    match compile sub findall encode decode strip split join append extend insert replace startswith endswith log echo
    pprint update get exit""".split()
)
#: What an Extension is given, in the order of its arguments, and what distutils lets a command add to it.
_GIVEN = ("name", "sources", "include_dirs", "define_macros", "undef_macros", "library_dirs", "libraries")
_ADDED = ("include_dirs", "define_macros", "library_dirs", "libraries", "extra_compile_args", "extra_link_args")
#: Methods of a ``build_ext`` of the project's own in which that happens.
_BUILDERS = ("build_extension", "build_extensions", "finalize_options", "run")
#: Parameters of a ``distutils.ccompiler`` compiler's methods, in their order.
_COMPILED = ("sources", "output_dir", "macros", "include_dirs", "debug", "extra_preargs", "extra_postargs")
_LINKED = ("objects", "output", "output_dir", "libraries", "library_dirs")
_LINKERS = (".link_shared_object", ".link_shared_lib")
#: Parameters of ``torch.utils.cpp_extension.load``: a function or class of the project's own hands them on.
_TORCH = frozenset(("extra_cflags", "extra_cuda_cflags", "extra_include_paths"))
#: Their first argument is a file, not a command.
_NOT_EXTENSIONS = ("CMakeExtension", "BazelExtension", "RustExtension")


class _File:
    """One Python file while it is read."""

    def __init__(self, reading: Reading, path: str, kind: str) -> None:
        self.reading = reading
        self.path = path
        self.kind = kind
        self.directory = os.path.dirname(path)
        self.package = ""  #: of the Configuration() that numpy.distutils is given
        self.written: list[str] = []  #: what it writes to files
        self.extensions: list[tuple[dict[str, Any], int, bool]] = []  #: (arguments, line, taken)
        self.added: dict[str, list[Any]] = {name: [] for name in _ADDED}  #: to every extension, while it is built
        self.evaluator = Evaluator(path, self.directory, reading.budget, reading.environ, self.on_call)

    def read(self) -> None:
        """Follow the module, then every function that it does not call itself."""
        tree = python_syntax.parse(self.reading.read(self.path))
        if tree is None:
            return
        try:
            self.evaluator.run(tree.body)
        except Return:
            pass
        self.evaluator.directory = self.directory
        for function in self.evaluator.functions:
            if function.node.name in _BUILDERS:
                names = ["ext"] + [one.arg for one in function.node.args.args[1:2]]
                for name in names:
                    function.scope.update({"{}.{}".format(name, key): self.added[key] for key in _ADDED})
        self.evaluator.run_uncalled()
        for given, line, taken in self.extensions:
            for one in self._modules(given):
                self._extension(one, line, taken)
        text = "".join(self.written)
        if "\n\t" in text and _COMPILES.search(text):  # it writes a makefile and starts make
            make = Makefile(self.reading, self.path)
            make.parse(text, self.path)
            make.commands()
        elif _COMPILES.search(text):  # or a script
            self._shell(self.directory).run_text(text)

    def on_call(self, name: str, args: list[Any], named: dict[str, Any], node: ast.Call) -> Any:
        """Note a call that builds something; return its value, None if it has the usual one."""
        base = name.rpartition(".")[2]
        if base.endswith("Extension") and base not in _NOT_EXTENSIONS:
            self.extensions.append((dict(zip(_GIVEN, args), **named), node.lineno, self.evaluator.taken))
            return unknown(base)
        if name == ".add_extension" or base == "Configuration":
            return self._numpy(base, args, named, node.lineno)
        if name in _LINKERS or (name == ".compile" and isinstance(args[0] if args else named.get("sources"), list)):
            return self._compiler(name, args, named, node.lineno)
        if base == "get_plugin":
            self._plugin(args, named, node.lineno)
            return unknown(base)
        if _TORCH & set(named) or (base == "load" and ("cpp_extension" in name or {"name", "sources"} <= set(named))):
            self._torch(args, named, node.lineno)
            return unknown(base)
        if base == "cythonize" and args:
            for pattern in args[0] if isinstance(args[0], list) else [args[0]]:
                if isinstance(pattern, str) and pattern.endswith(".pyx") and "*" not in pattern:
                    given = {"name": pattern[:-4].replace("/", "."), "sources": [pattern]}
                    self.extensions.append((given, node.lineno, self.evaluator.taken))
            return args[0]
        if name in (".write", ".writelines") or base in ("write", "writelines"):
            self.written += [text_of(one) for one in (args[0] if args and isinstance(args[0], list) else args)]
            return None
        if base in _SPEAKS:
            return None
        command = args[0] if args else named.get("args", named.get("cmd"))
        return self._run(command, named, node.lineno)

    # Extensions.

    def _modules(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        """One extension for each file of a pattern, as Cython's ``cythonize`` has it; its name is its module's."""
        sources = self._list(given, "sources")
        patterns = [one for one in sources if "*" in one and one.endswith(".pyx") and is_known(one)]
        if not patterns:
            return [given]
        files = [one for pattern in patterns for one in find_files(pattern, self.directory, self.reading.budget)]
        rest = [one for one in sources if one not in patterns]
        name = text_of(given.get("name", ""))
        below = [os.path.relpath(absolute(one, self.directory), self.directory)[:-4].replace("/", ".") for one in files]
        return [
            dict(given, sources=[path, *rest], name=module if "*" in name else name)
            for path, module in zip(files, below)
        ]

    def _extension(self, given: dict[str, Any], line: int, taken: bool) -> None:
        """Add what distutils makes of an Extension (its documented constructor arguments)."""
        name = text_of(given.get("name", ""))
        shared = ["-I" + one for one in self._list(given, "include_dirs")]
        shared += self._macros([*self.evaluator.items(given.get("define_macros") or []), *self.added["define_macros"]])
        shared += ["-U" + one for one in self._list(given, "undef_macros")]
        compiled = given.get("extra_compile_args")
        words = self._arguments(compiled) + self._arguments(self.added["extra_compile_args"])
        words += self._list(given, "extra_objects")
        words += ["-L" + one for one in self._list(given, "library_dirs")]
        words += ["-l" + one for one in self._list(given, "libraries")]
        words += self._arguments(given.get("extra_link_args")) + self._arguments(self.added["extra_link_args"])
        self.evaluator.taken = taken
        output = name.replace(".", "/") + ".so"
        cuda = self._arguments(compiled["nvcc"]) if isinstance(compiled, dict) and "nvcc" in compiled else None
        self._library(output, self._list(given, "sources"), shared, words, cuda, self.directory, line, "setup.py")

    def _numpy(self, base: str, args: list[Any], named: dict[str, Any], line: int) -> Any:
        """Note an extension of ``numpy.distutils``: Configuration(package), config.add_extension(name, sources)."""
        if base == "Configuration":
            package = args[0] if args else named.get("package_name", "")
            self.package = package if isinstance(package, str) and is_known(package) else ""
            return Unknown("Configuration")
        given = dict(zip(_GIVEN, args), **named)
        folder = os.path.join(self.directory, *self.package.split("."))
        sources = [one if os.path.isabs(one) else os.path.join(folder, one) for one in self._list(given, "sources")]
        if sources and all(os.path.isfile(one) for one in sources):  # below the package, as numpy.distutils has it
            given["sources"] = sources
        given["name"] = ".".join(one for one in (self.package, text_of(given.get("name", ""))) if one)
        self.extensions.append((given, line, self.evaluator.taken))
        return None

    def _library(
        self, output: str, sources: list[str], shared: list[str], words: list[str], cuda: list[str] | None,
        directory: str, line: int, kind: str,
    ) -> None:  # fmt: skip
        """Add the commands of one library; its CUDA files have one of their own where nvcc gets words of its own."""
        inputs = list(sources)
        for at, source in enumerate(sources):
            if cuda is not None and source.endswith((".cu", ".cu.cc")):
                inputs[at] = "{}.{}.cu.o".format(output, at)
                self._emit(["nvcc", "-c", source, "-o", inputs[at], *shared, *cuda], directory, line, kind)
        self._emit(["g++", "-shared", "-o", output, *inputs, *shared, *words], directory, line, kind)

    def _torch(self, args: list[Any], named: dict[str, Any], line: int) -> None:
        """Add what ``torch.utils.cpp_extension.load`` compiles, by the names of its documented parameters."""
        given = dict(zip(("name", "sources", "extra_cflags", "extra_cuda_cflags", "extra_ldflags"), args), **named)
        sources = self._list(given, "sources")
        name = text_of(given.get("name", ""))
        if name and sources:
            shared = ["-I" + one for one in self._list(given, "extra_include_paths")]
            words = self._arguments(given.get("extra_cflags")) + self._arguments(given.get("extra_ldflags"))
            cuda = self._arguments(given.get("extra_cuda_cflags"))
            self._library(name + ".so", sources, shared, words, cuda, self.evaluator.directory, line, "jit")

    def _compiler(self, name: str, args: list[Any], named: dict[str, Any], line: int) -> Any:
        """Add what a compiler of ``distutils.ccompiler`` compiles or links; return the objects that it made."""
        directory = self.evaluator.directory
        if name == ".compile":
            given = dict(zip(_COMPILED, args), **named)
            words = ["-I" + one for one in self._list(given, "include_dirs")]
            words += self._macros(self.evaluator.items(given.get("macros") or []))
            words += self._arguments(given.get("extra_preargs")) + self._arguments(given.get("extra_postargs"))
            objects = []
            for source in self._list(given, "sources"):
                objects.append(os.path.splitext(source)[0] + ".o")
                self._emit(["g++", "-c", source, "-o", objects[-1], *words], directory, line, "jit")
            return objects
        given = dict(zip(_LINKED, args), **named)
        output = text_of(given.get("output", given.get("output_filename", given.get("output_libname", ""))))
        where = given.get("output_dir")
        output = os.path.join(where if isinstance(where, str) else "", output)
        if name == ".link_shared_lib":
            output = os.path.join(os.path.dirname(output), "lib{}.so".format(os.path.basename(output)))
        words = ["-L" + one for one in self._list(given, "library_dirs")]
        words += ["-l" + one for one in self._list(given, "libraries")]
        words += self._arguments(given.get("extra_preargs")) + self._arguments(given.get("extra_postargs"))
        self._emit(["g++", "-shared", "-o", output, *self._list(given, "objects"), *words], directory, line, "jit")
        return unknown(name)

    def _macros(self, macros: Iterable[Any]) -> list[str]:
        """Return ``-D`` words of (name, value) pairs as distutils has them."""
        pairs = ([one for one in macro if one is not None] if isinstance(macro, list) else [macro] for macro in macros)
        return ["-D" + "=".join(text_of(one) for one in pair) for pair in pairs]

    def _list(self, given: dict[str, Any], key: str) -> list[str]:
        value = given.get(key)
        more = [text_of(one) for one in self.added.get(key, ())]
        if value is None:
            return more
        return ([value] if isinstance(value, str) else [text_of(one) for one in self.evaluator.items(value)]) + more

    def _arguments(self, value: Any) -> list[str]:
        """Return compiler arguments; of those given by compiler, the host compiler's."""
        if isinstance(value, dict):
            value = next((value[key] for key in ("gcc", "cxx", "g++", "unix") if key in value), [])
        if isinstance(value, str):
            return value.split()
        return [text_of(one) for one in self.evaluator.items(value)] if value is not None else []

    def _plugin(self, args: list[Any], named: dict[str, Any], line: int) -> None:
        """Add what a plug-in loader (``get_plugin``) compiles with nvcc: one CUDA file, or the listed sources."""
        sources = named.get("sources", args[0] if args else None)
        files = (
            [text_of(one) for one in self.evaluator.items(sources)] if isinstance(sources, list) else [text_of(sources)]
        )
        files = [one for one in files if one.endswith((".cu", ".cc", ".cpp"))]
        if files:
            name = text_of(named.get("module_name", os.path.splitext(os.path.basename(files[0]))[0]))
            self._emit(["nvcc", "-shared", "-o", name + ".so", *files], self.evaluator.directory, line, "jit")

    # Commands.

    def _run(self, command: Any, named: dict[str, Any], line: int) -> Any:
        directory = self.evaluator.directory
        where = named.get("cwd")
        if isinstance(where, str) and is_known(where):
            directory = absolute(where, directory)
        if isinstance(command, list) and len(command) > 1:
            words = [
                word for one in command for word in ([text_of(one)] if not isinstance(one, list) else map(text_of, one))
            ]
            if is_compiler(words[0]) or (has_unknown(words[0]) and ("-shared" in words or "-c" in words)):
                self._emit([word for word in words if word], directory, line, "jit")
                return unknown("output")
            if words[0] in ("sh", "bash", "/bin/sh", "/bin/bash"):
                self._shell(directory).execute(words, line)
                return unknown("output")
            if not named.get("shell"):
                return None
            command = " ".join(words)
        if isinstance(command, str) and " " in command.strip() and _COMPILES.search(command):
            self._shell(directory).run_text(command, line)
            return unknown("output")
        return None

    def _shell(self, directory: str) -> Shell:
        shell = Shell(self.reading, self.path, directory, kind="jit")
        shell.taken = self.evaluator.taken
        return shell

    def _emit(self, words: list[str], directory: str, line: int, kind: str) -> None:
        self.reading.emit(Command(tuple(words), directory, self.path, line, kind, self.evaluator.taken))


def read_python(reading: Reading, path: str) -> None:
    """Add the commands of a Python file that builds something."""
    _File(reading, path, "jit").read()
