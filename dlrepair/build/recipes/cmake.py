"""CMakeLists.txt: every library target with its sources, directories, definitions and libraries. CMake is not run.

After CMake's manual (cmake-commands(7), cmake-buildsystem(7)). A target becomes the compiler commands that
CMake would write, so that what follows is the same as for a script.
"""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes import names
from dlrepair.build.recipes.cmake_syntax import Conditions, Invocation, parse
from dlrepair.build.recipes.cmake_targets import Target, cuda_flags, emit_target
from dlrepair.build.recipes.cmake_values import Values
from dlrepair.build.recipes.driver import input_kind
from dlrepair.build.recipes.text import (
    absolute,
    inside,
    is_known,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    from dlrepair.build.recipes.text import Reading

_SCOPES = frozenset(("PUBLIC", "PRIVATE", "INTERFACE", "BEFORE", "AFTER", "SYSTEM", "LINK_PUBLIC", "LINK_PRIVATE"))
_KINDS = frozenset(("SHARED", "STATIC", "MODULE", "OBJECT", "INTERFACE", "UNKNOWN"))
_IGNORED = frozenset(
    ("debug", "optimized", "general", "EXCLUDE_FROM_ALL", "IMPORTED", "GLOBAL", "WITH_SOABI", "NO_EXTRAS")
)
#: Commands of modules that make a library: name → kind where none is given.
_LIBRARY_COMMANDS = {
    "add_library": "", "cuda_add_library": "", "pybind11_add_module": "MODULE", "python_add_library": "MODULE",
    "python3_add_library": "MODULE", "python_add_module": "MODULE", "nanobind_add_module": "MODULE",
}  # fmt: skip


class _Return(Exception):
    pass


class Project:
    """One CMake project while it is followed: targets are shared by its directories."""

    def __init__(self, reading: Reading, top: str) -> None:
        self.reading = reading
        self.budget = reading.budget
        self.top = top
        self.targets: dict[str, Target] = {}
        self.functions: dict[str, Invocation] = {}
        self.visited: set[str] = set()
        self.included: list[str] = []  #: what is being followed now


class Directory(Values):
    """One directory's CMakeLists.txt: its variables and what applies to all its targets."""

    def __init__(self, project: Project, directory: str, parent: Directory | None = None) -> None:
        super().__init__(project.reading, directory, parent)
        self.project = project
        self.file = os.path.join(directory, "CMakeLists.txt")
        self.includes: list[str] = list(parent.includes) if parent else []
        self.library_dirs: list[str] = list(parent.library_dirs) if parent else []
        self.defines: list[str] = list(parent.defines) if parent else []
        self.options: list[str] = list(parent.options) if parent else []
        self.libraries: list[str] = list(parent.libraries) if parent else []
        self.taken: bool = parent.taken if parent else True
        self.own: list[Target] = []
        self.variables.setdefault("PROJECT_SOURCE_DIR", project.top)
        self.variables.update(
            CMAKE_CURRENT_SOURCE_DIR=directory,
            CMAKE_CURRENT_LIST_DIR=directory,
            CMAKE_SOURCE_DIR=project.top,
            CMAKE_CURRENT_BINARY_DIR=directory + "/build",
            CMAKE_BINARY_DIR=project.top + "/build",
            CMAKE_SYSTEM_NAME="Linux",
            UNIX="1",
            CMAKE_CXX_COMPILER_ID="GNU",
            CMAKE_COMPILER_IS_GNUCXX="1",
            CMAKE_SHARED_LIBRARY_PREFIX="lib",
            CMAKE_SHARED_LIBRARY_SUFFIX=".so",
            CMAKE_SIZEOF_VOID_P="8",
        )
        self.conditions = Conditions(self.lookup, lambda name: name in project.targets, lambda: self.directory)

    # Following.

    def finish(self) -> None:
        """Give the directory's targets the flags that its variables hold at its end (cmake-buildsystem(7))."""
        flags: list[str] = []
        for name in ("CMAKE_CXX_FLAGS", "CMAKE_CXX_FLAGS_RELEASE"):
            flags += (self.variables.get(name) or "").split()
        standard = self.variables.get("CMAKE_CXX_STANDARD")
        flags += ["-std=c++" + standard] if standard and standard.isdigit() else []
        for target in self.own:
            target.flags, target.cuda_flags = flags, cuda_flags(self.variables)

    def follow(self, path: str) -> None:
        """Follow a file's commands."""
        text = self.reading.read(path)
        if text:
            with self.budget.deeper():
                try:
                    self.run(parse(text, self.budget))
                except _Return:
                    pass

    def run(self, commands: Sequence[Invocation]) -> None:
        """Follow commands in order; unknown ones are looked up among the project's functions."""
        for command in commands:
            self.budget.spend(1 + len(command.arguments))
            handler: Callable[[Invocation], None] | None = getattr(self, "_do_" + command.name, None)
            if command.name in _LIBRARY_COMMANDS:
                self._library(command)
            elif handler is not None:
                handler(command)
            elif command.name in self.project.functions:
                self._call(self.project.functions[command.name], command)
            elif command.name.endswith(("_library", "_lib", "_ops", "_op", "_module")):
                self._library(command)  # a function that the project takes from elsewhere

    # Blocks.

    def _do_if(self, command: Invocation) -> None:
        decided = False
        before = self.taken
        for branch in [command, *command.branches]:
            words = [(self.expand(text), quoted) for text, quoted in branch.arguments]
            verdict = self.conditions.holds(words) if branch.name != "else" else True
            takes = verdict is not False and not decided
            decided = decided or takes
            if takes:
                self.run(branch.body)
            elif self._builds(branch):
                kept = dict(self.variables), list(self.includes), list(self.defines), list(self.options)
                self.taken = False
                self.run(branch.body)
                self.variables, self.includes, self.defines, self.options = kept
                self.taken = before

    def _builds(self, branch: Invocation) -> bool:
        """Tell whether a branch that is not taken makes a library that is wanted."""
        core = names.core(self.reading.stem)
        makes = any(
            inner.name.endswith(("_library", "_lib", "_module", "_ops"))
            and core in " ".join(text for text, _ in inner.arguments)
            for inner in branch.body
        )
        return makes or any(inner.name == "add_subdirectory" for inner in branch.body)

    def _do_foreach(self, command: Invocation) -> None:
        words = self.words(command)
        if not words:
            return
        values = words[1:]
        if "IN" in values[:1]:
            values = values[1:]
            found: list[str] = []
            lists = False
            for word in values:
                if word in ("LISTS", "ITEMS"):
                    lists = word == "LISTS"
                else:
                    found += (self.variables.get(word) or "").split(";") if lists else [word]
            values = [one for one in found if one]
        elif values[:1] == ["RANGE"]:
            values = ["0"]
        for value in values[:500]:
            self.variables[words[0]] = value
            self.run(command.body)

    def _do_while(self, command: Invocation) -> None:
        self.run(command.body)

    def _do_function(self, command: Invocation) -> None:
        if command.arguments:
            self.project.functions[self.expand(command.arguments[0][0]).lower()] = command

    _do_macro = _do_function

    def _call(self, function: Invocation, command: Invocation) -> None:
        arguments = self.words(command)
        formal = [text for text, _ in function.arguments[1:]]
        before = dict(self.variables)
        self.variables.update(zip(formal, arguments + [""] * len(formal)))
        self.variables["ARGN"] = ";".join(arguments[len(formal) :])
        self.variables["ARGV"] = ";".join(arguments)
        self.variables["ARGC"] = str(len(arguments))
        for at, value in enumerate(arguments[:20]):
            self.variables["ARGV" + str(at)] = value
        with self.budget.deeper():
            try:
                self.run(function.body)
            except _Return:
                pass
        if function.name == "function":
            exported = {key[8:]: value for key, value in self.variables.items() if key.startswith("\0parent:")}
            self.variables = before
            self.variables.update(exported)

    def _do_return(self, command: Invocation) -> None:
        if self.taken:
            raise _Return

    # Directories.

    def _do_include(self, command: Invocation) -> None:
        for word in self.words(command)[:1]:
            path = absolute(word, self.directory)
            self._module(path if os.path.isfile(path) else self._found_module(word + ".cmake"))

    def _do_find_package(self, command: Invocation) -> None:
        super()._do_find_package(command)
        for word in self.words(command)[:1]:  # the project's own find module, which may define functions
            self._module(self._found_module("Find{}.cmake".format(word)))

    def _found_module(self, name: str) -> str:
        """Return the path of a module: where CMAKE_MODULE_PATH says, else where projects have them; "" of none."""
        places = (self.variables.get("CMAKE_MODULE_PATH") or "").split(";")
        tops = list(dict.fromkeys((self.directory, self.project.top)))
        places += [os.path.join(top, one) for top in tops for one in ("cmake", "cmake/modules", "cmake/Modules")]
        paths = [absolute(os.path.join(one, name), self.directory) for one in places if one and is_known(one)]
        return next((path for path in paths if os.path.isfile(path)), "")

    def _module(self, path: str) -> None:
        """Follow a file that is included, unless this is going on already."""
        if path and path not in self.project.included and len(self.project.included) < 40:
            before = self.variables["CMAKE_CURRENT_LIST_DIR"]
            self.variables["CMAKE_CURRENT_LIST_DIR"] = os.path.dirname(path)
            self.project.included.append(path)
            self.follow(path)
            self.project.included.remove(path)
            self.variables["CMAKE_CURRENT_LIST_DIR"] = before

    def _do_add_subdirectory(self, command: Invocation) -> None:
        for word in self.words(command)[:1]:
            path = absolute(word, self.directory)
            if is_known(word) and path not in self.project.visited and len(self.project.visited) < 300:
                self.project.visited.add(path)
                inner = Directory(self.project, path, self)
                inner.follow(inner.file)
                inner.finish()

    def _do_include_directories(self, command: Invocation) -> None:
        words = [word for word in self.words(command) if word not in _SCOPES]
        self.includes += words
        for target in self.own:
            target.includes += words

    def _do_link_directories(self, command: Invocation) -> None:
        self.library_dirs += [word for word in self.words(command) if word not in _SCOPES]

    def _do_add_definitions(self, command: Invocation) -> None:
        words = [part for word in self.words(command) for part in word.split()]
        self.options += words
        for target in self.own:
            target.options += words

    _do_add_compile_options = _do_add_definitions

    def _do_add_compile_definitions(self, command: Invocation) -> None:
        self.defines += [word[2:] if word.startswith("-D") else word for word in self.words(command)]

    def _do_link_libraries(self, command: Invocation) -> None:
        self.libraries += self.words(command)

    # Targets.

    def _library(self, command: Invocation) -> None:
        words = self.words(command)
        if not words or "ALIAS" in words[1:2] or "IMPORTED" in words[1:3]:
            return
        name, rest = words[0], words[1:]
        kind = next((word for word in rest if word in _KINDS), _LIBRARY_COMMANDS.get(command.name, "SHARED"))
        static = (self.variables.get("BUILD_SHARED_LIBS") or "").upper() not in ("ON", "1", "TRUE", "YES")
        kind = kind or ("STATIC" if static else "SHARED")
        target = Target(
            name, kind, command.line, self._current_file(), self.directory, library_dirs=list(self.library_dirs),
            includes=list(self.includes), defines=list(self.defines), options=list(self.options),
            libraries=list(self.libraries), taken=self.taken,
        )  # fmt: skip
        if kind == "MODULE" and command.name != "add_library":
            target.properties["PREFIX"] = ""
        for key in ("PREFIX", "SUFFIX"):
            default = self.variables.get("CMAKE_SHARED_{}_{}".format("MODULE" if kind == "MODULE" else "LIBRARY", key))
            if default is not None and kind in ("SHARED", "MODULE") and key not in target.properties:
                target.properties[key] = default
        target.sources = [word for word in rest if word not in _KINDS | _IGNORED | _SCOPES and input_kind(word)]
        target.sources += [word for word in rest if "$<TARGET_OBJECTS:" in word]
        if name not in self.project.targets or self.taken:
            self.project.targets[name] = target
            self.own.append(target)

    def _current_file(self) -> str:
        return self.file

    def _target(self, command: Invocation) -> tuple[Target | None, list[str]]:
        words = self.words(command)
        target = self.project.targets.get(words[0]) if words else None
        return target, [word for word in words[1:] if word not in _SCOPES]

    def _scoped(self, command: Invocation) -> tuple[set[str], set[str]]:
        """Return the words that are for the target itself and those for what links it, by the scopes among them."""
        own: set[str] = set()
        others: set[str] = set()
        scope = "PRIVATE"
        for word in self.words(command)[1:]:
            scope = word if word in ("PUBLIC", "PRIVATE", "INTERFACE") else scope
            own |= {word} if scope != "INTERFACE" else set()
            others |= {word} if scope != "PRIVATE" else set()
        return own, others

    def _do_target_sources(self, command: Invocation) -> None:
        target, words = self._target(command)
        if target is not None:
            target.sources += [
                absolute(word, self.directory) if is_known(word) else word for word in words if input_kind(word)
            ]

    def _do_target_include_directories(self, command: Invocation) -> None:
        target, words = self._target(command)
        if target is not None:
            target.includes += [absolute(word, self.directory) if is_known(word) else word for word in words]

    def _do_target_link_libraries(self, command: Invocation) -> None:
        target, words = self._target(command)
        if target is not None:
            target.libraries += [word for word in words if word not in _IGNORED]

    def _do_target_link_directories(self, command: Invocation) -> None:
        target, words = self._target(command)
        if target is not None:
            target.library_dirs += words

    def _do_target_compile_definitions(self, command: Invocation) -> None:
        target, words = self._target(command)
        own, others = self._scoped(command)
        if target is not None:
            target.defines += [word[2:] if word.startswith("-D") else word for word in words if word in own]
            target.public += [word[2:] if word.startswith("-D") else word for word in words if word in others]

    def _do_target_compile_options(self, command: Invocation) -> None:
        target, words = self._target(command)
        own, _ = self._scoped(command)
        if target is not None:
            target.options += [part for word in words if word in own for part in word.split()]

    def _do_set_target_properties(self, command: Invocation) -> None:
        words = [(self.expand(text), quoted) for text, quoted in command.arguments]
        texts = [text for text, _ in words]
        if "PROPERTIES" not in texts:
            return
        at = texts.index("PROPERTIES")
        names_ = [part for text in texts[:at] for part in text.split(";")]
        for key, value in zip(texts[at + 1 :: 2], texts[at + 2 :: 2]):
            for name in names_:
                self._property(name, key, [value])

    def _do_set_property(self, command: Invocation) -> None:
        words = self.words(command)
        if words[:1] == ["TARGET"] and "PROPERTY" in words:
            at = words.index("PROPERTY")
            for name in words[1:at]:
                if name not in ("APPEND", "APPEND_STRING") and len(words) > at + 1:
                    self._property(name, words[at + 1], words[at + 2 :])

    def _property(self, name: str, key: str, values: list[str]) -> None:
        target = self.project.targets.get(name)
        if target is None:
            return
        if key in ("COMPILE_FLAGS", "COMPILE_OPTIONS", "LINK_FLAGS"):
            target.options += [part for value in values for part in value.replace(";", " ").split()]
        elif key == "COMPILE_DEFINITIONS":
            target.defines += [part for value in values for part in value.split(";")]
        elif key == "INCLUDE_DIRECTORIES":
            target.includes += [part for value in values for part in value.split(";")]
        else:
            target.properties[key] = ";".join(values)


#: How a directory's place below another one may begin in a list.
_HERE = r"(?:\./|\$\{(?:CMAKE_(?:CURRENT_)?|PROJECT_)SOURCE_DIR\}/)?"


def _is_added(reading: Reading, directory: str) -> bool:
    """Tell whether a directory above adds this one by add_subdirectory()."""
    above = os.path.dirname(directory)
    for _ in range(4):
        if not inside(above, reading.root):
            break
        path = os.path.join(above, "CMakeLists.txt")
        pattern = r"add_subdirectory\s*\(\s*\"?{}{}(?![\w/.-]+[\s)\"])".format(
            _HERE, re.escape(os.path.relpath(directory, above))
        )
        if os.path.isfile(path) and re.search(pattern, reading.read(path), re.I):
            return True
        above = os.path.dirname(above)
    return False


def read_cmake(reading: Reading, path: str) -> None:
    """Add the commands of the CMake project whose top file is ``path``; one that another adds is read with that."""
    if _is_added(reading, os.path.dirname(path)):
        return
    project = Project(reading, os.path.dirname(path))
    top = Directory(project, project.top)
    try:
        top.follow(path)
    finally:
        top.finish()
        for target in list(project.targets.values()):
            emit_target(reading, project.targets, target, target.flags)
