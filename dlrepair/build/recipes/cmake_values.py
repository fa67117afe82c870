"""Variables of CMake: references, and the commands that set values (manual: cmake-commands(7))."""

from __future__ import annotations

import os
import re

from dlrepair.build.recipes.programs import output
from dlrepair.build.recipes.python_calls import deep_files
from dlrepair.build.recipes.text import PYTHON, TENSORFLOW, Exhausted, absolute, find_files, is_known, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.build.recipes.cmake_syntax import Invocation
    from dlrepair.build.recipes.text import Reading

_TENSORFLOW_NAMES = ("include_dir", "include_dirs", "libraries", "library", "cflags", "lflags")
_PYTHON_NAMES = ("include_dirs", "include_dir", "libraries", "include_path")
_FOUND_NAMES = ("_INCLUDE_DIRS", "_INCLUDE_DIR", "_LIBRARIES", "_LIBRARY", "_DIRECTORIES")
_FIND_WORDS = frozenset("NAMES PATHS HINTS NAME NO_DEFAULT_PATH PATH_SUFFIXES REQUIRED".split())
_PROCESS_WORDS = frozenset(
    "COMMAND OUTPUT_VARIABLE ERROR_VARIABLE RESULT_VARIABLE WORKING_DIRECTORY ERROR_QUIET OUTPUT_QUIET".split()
)


class Values:
    """A scope of variables and what sets them. ``parent`` is the directory above, if there is one."""

    def __init__(self, reading: Reading, directory: str, parent: Values | None) -> None:
        self.reading = reading
        self.budget = reading.budget
        self.directory = directory
        self.parent = parent
        self.variables: dict[str, str] = dict(parent.variables) if parent else {}

    def lookup(self, name: str) -> str | None:
        """Return a variable's value, None if it is not set."""
        return self.variables.get(name)

    def words(self, command: Invocation, skip: int = 0) -> list[str]:
        """Return a command's arguments expanded; unquoted ones are split at semicolons."""
        found: list[str] = []
        for text, quoted in command.arguments[skip:]:
            value = self.expand(text)
            found += [value] if quoted else [part for part in value.split(";") if part]
        return found

    def expand(self, text: str, depth: int = 0) -> str:
        """Return ``text`` with ``${…}``, ``$ENV{…}`` and generator expressions worked out."""
        if depth > 20:
            raise Exhausted("nested too deeply")
        for _ in range(200):
            start = text.rfind("${")
            environment = text.rfind("$ENV{")
            if environment > start:
                end = text.find("}", environment)
                if end < 0:
                    break
                name = text[environment + 5 : end]
                value = self.reading.environ.get(name, unknown("$ENV{" + name + "}"))
                text = text[:environment] + value + text[end + 1 :]
                continue
            end = text.find("}", start)
            if start < 0 or end < 0 or (start and text[start - 1] == "\\"):
                break
            text = self.budget.word(text[:start] + self._variable(text[start + 2 : end]) + text[end + 1 :])
        if "$<" in text:
            text = _generator(text)
        return text.replace('\\"', '"').replace("\\$", "$").replace("\\;", ";") if "\\" in text else text

    def _variable(self, name: str) -> str:
        value = self.variables.get(name)
        if value is not None:
            return value
        low = name.lower()
        if "tensorflow" in low and low.endswith(
            ("include_dir", "include_dirs", "libraries", "library", "cflags", "lflags")
        ):
            return TENSORFLOW
        if low.startswith(("python", "pybind11")) and low.endswith(_PYTHON_NAMES):
            return PYTHON
        found_by_cmake = name.endswith(_FOUND_NAMES)
        return unknown("${" + name + "}") if found_by_cmake else ""

    # Variables.

    def _do_set(self, command: Invocation) -> None:
        words = self.words(command)
        if not words or words[0].startswith("ENV{"):
            return
        name, values = words[0], words[1:]
        if "CACHE" in values:
            at = values.index("CACHE")
            if name in self.variables and "FORCE" not in values[at:]:
                return
            values = values[:at]
        if values[-1:] == ["PARENT_SCOPE"]:
            values = values[:-1]
            self.variables["\0parent:" + name] = ";".join(values)
            if self.parent is not None:
                self.parent.variables[name] = ";".join(values)
            return
        self.variables[name] = self.budget.word(";".join(values))

    def _do_unset(self, command: Invocation) -> None:
        for word in self.words(command)[:1]:
            self.variables.pop(word, None)

    def _do_option(self, command: Invocation) -> None:
        words = self.words(command)
        if words:
            default = words[2] if len(words) > 2 else "OFF"
            self.variables.setdefault(words[0], default)

    def _do_project(self, command: Invocation) -> None:
        words = self.words(command)
        if words:
            self.variables["PROJECT_NAME"] = words[0]
            self.variables.setdefault("CMAKE_PROJECT_NAME", words[0])
            self.variables["PROJECT_SOURCE_DIR"] = self.directory
            self.variables[words[0] + "_SOURCE_DIR"] = self.directory
            self.variables["PROJECT_BINARY_DIR"] = self.directory + "/build"

    def _do_list(self, command: Invocation) -> None:
        words = self.words(command)
        if len(words) < 2:
            return
        action, name, rest = words[0].upper(), words[1], words[2:]
        have = [one for one in (self.variables.get(name) or "").split(";") if one]
        if action == "APPEND":
            have += rest
        elif action in ("INSERT", "PREPEND"):
            have = (rest[1:] if action == "INSERT" else rest) + have
        elif action == "REMOVE_ITEM":
            have = [one for one in have if one not in rest and os.path.basename(one) not in rest]
        elif action == "REMOVE_DUPLICATES":
            have = list(dict.fromkeys(have))
        elif action == "SORT":
            have = sorted(have)
        elif action == "FILTER" and len(rest) >= 3:
            pattern = rest[2].replace("\\\\", "\\")
            if re.fullmatch(r"[\w .*\\/\-^$]*", pattern) and pattern.count("*") < 3:
                keep = rest[0].upper() == "INCLUDE"
                have = [one for one in have if bool(re.search(pattern, one)) == keep]
        elif action == "GET" and len(rest) >= 2 and rest[0].isdigit() and int(rest[0]) < len(have):
            self.variables[rest[-1]] = have[int(rest[0])]
            return
        elif action == "LENGTH" and rest:
            self.variables[rest[0]] = str(len(have))
            return
        self.variables[name] = self.budget.word(";".join(have))

    def _do_string(self, command: Invocation) -> None:
        words = self.words(command)
        action = words[0].upper() if words else ""
        if action == "REPLACE" and len(words) > 4:
            text = "".join(words[4:])
            self.variables[words[3]] = self.budget.word(text.replace(words[1], words[2]) if words[1] else text)
        elif action == "REGEX" and len(words) > 5 and words[1].upper() == "REPLACE":
            self.variables[words[4]] = "".join(words[5:])  # most often a line end that is cut off
        elif action == "STRIP" and len(words) > 2:
            self.variables[words[2]] = words[1].strip()
        elif action in ("TOLOWER", "TOUPPER") and len(words) > 2:
            self.variables[words[2]] = words[1].lower() if action == "TOLOWER" else words[1].upper()
        elif action == "APPEND" and len(words) > 1:
            self.variables[words[1]] = self.budget.word((self.variables.get(words[1]) or "") + "".join(words[2:]))
        elif action == "CONCAT" and len(words) > 1:
            self.variables[words[1]] = self.budget.word("".join(words[2:]))

    def _do_separate_arguments(self, command: Invocation) -> None:
        words = self.words(command)
        if words:
            value = words[-1] if len(words) > 2 else (self.variables.get(words[0]) or "")
            self.variables[words[0]] = ";".join(value.split())

    def _do_file(self, command: Invocation) -> None:
        words = self.words(command)
        action = words[0].upper() if words else ""
        if action not in ("GLOB", "GLOB_RECURSE") or len(words) < 2:
            return
        found: list[str] = []
        rest, relative = words[2:], ""
        while rest[:1] in (["RELATIVE"], ["CONFIGURE_DEPENDS"], ["LIST_DIRECTORIES"]):
            relative = rest[1] if rest[0] == "RELATIVE" else relative
            rest = rest[1:] if rest[0] == "CONFIGURE_DEPENDS" else rest[2:]
        for pattern in rest:
            path = absolute(pattern, self.directory) if is_known(pattern) else pattern
            if action == "GLOB":
                found += list(find_files(path, self.directory, self.budget))
            elif is_known(path):
                found += deep_files(os.path.dirname(path), os.path.basename(path), self.budget)
        self.variables[words[1]] = ";".join(os.path.relpath(one, relative) if relative else one for one in found)

    def _do_aux_source_directory(self, command: Invocation) -> None:
        words = self.words(command)
        if len(words) > 1 and is_known(words[0]):
            endings = ("*.c", "*.cc", "*.cpp", "*.cxx")
            found = [one for end in endings for one in find_files(words[0] + "/" + end, self.directory, self.budget)]
            have = [one for one in (self.variables.get(words[1]) or "").split(";") if one]
            self.variables[words[1]] = ";".join(have + sorted(found))

    def _do_cmake_parse_arguments(self, command: Invocation) -> None:
        """CMakeParseArguments(3): prefix, options, keywords of one value, of several, and what is parsed."""
        texts = [self.expand(text) for text, _ in command.arguments]
        if texts[:1] == ["PARSE_ARGV"]:
            texts = [*texts[2:], self.variables.get("ARGV") or ""]
        if len(texts) < 4:
            return
        prefix = texts[0]
        options, single, many = (text.split(";") for text in texts[1:4])
        values: dict[str, list[str]] = {}
        key = "UNPARSED_ARGUMENTS"
        for word in [part for text in texts[4:] for part in text.split(";") if part]:
            if word in options:
                values[word] = ["TRUE"]
            elif word in single or word in many:
                key = word
                values.setdefault(key, [])
            else:
                values.setdefault(key, []).append(word)
                key = "UNPARSED_ARGUMENTS" if key in single else key
        for name in (*options, *single, *many, "UNPARSED_ARGUMENTS"):
            if name:
                self.variables.pop(prefix + "_" + name, None)
                if name in options:
                    self.variables[prefix + "_" + name] = "FALSE"
        for name, found in values.items():
            self.variables[prefix + "_" + name] = self.budget.word(";".join(found))

    def _do_get_filename_component(self, command: Invocation) -> None:
        words = self.words(command)
        if len(words) > 2:
            name, path, what = words[0], words[1], words[2].upper()
            base = os.path.basename(path)
            parts = {
                "DIRECTORY": os.path.dirname(path),
                "PATH": os.path.dirname(path),
                "NAME": base,
                "NAME_WE": base.split(".")[0],
                "EXT": base[len(base.split(".")[0]) :],
            }
            whole = absolute(path, self.directory) if is_known(path) else path
            self.variables[name] = parts.get(what, whole)

    def _do_execute_process(self, command: Invocation) -> None:
        words = self.words(command)
        if "RESULT_VARIABLE" in words[:-1]:  # the author's machine had what it asks for
            self.variables[words[words.index("RESULT_VARIABLE") + 1]] = "0"
        if "OUTPUT_VARIABLE" not in words[:-1]:
            return
        target = words[words.index("OUTPUT_VARIABLE") + 1]
        if "COMMAND" not in words:
            return
        rest = words[words.index("COMMAND") + 1 :]
        end = next((at for at, word in enumerate(rest) if word in _PROCESS_WORDS), len(rest))
        first = rest[0] if rest else ""
        python = ["python", *rest[1:end]] if ("-c" in rest[:end] and not is_known(first)) or not first else rest[:end]
        self.variables[target] = output(python, self.directory, self.reading.environ, self.budget)

    def _do_exec_program(self, command: Invocation) -> None:
        words = self.words(command)
        if "OUTPUT_VARIABLE" in words[:-1]:
            text = " ".join(words)
            asked = TENSORFLOW if "tensorflow" in text else unknown("$(program)")
            self.variables[words[words.index("OUTPUT_VARIABLE") + 1]] = asked

    def _do_find_package(self, command: Invocation) -> None:
        words = self.words(command)
        name = words[0] if words else ""
        if name in ("CUDA", "CUDAToolkit", "CUDNN", "HIP"):
            self.variables.setdefault(name + "_FOUND", "1" if self._has_cuda() else "0")
        elif name in ("PythonInterp", "Python", "Python3", "Python2"):
            self.variables.setdefault("PYTHON_EXECUTABLE", "python")
            self.variables.setdefault(name + "_EXECUTABLE", "python")
            self.variables.setdefault(name + "_FOUND", "1")
        elif name == "OpenMP":
            for key in ("OpenMP_CXX_FLAGS", "OpenMP_C_FLAGS"):
                self.variables[key] = "-fopenmp"
            self.variables.update(OpenMP_FOUND="1", OPENMP_FOUND="1")

    def _has_cuda(self) -> bool:
        import shutil

        return shutil.which("nvcc") is not None or bool(self.reading.environ.get("CUDA_HOME"))

    def _do_find_library(self, command: Invocation) -> None:
        words = self.words(command)
        if not words:
            return
        library = [one for one in words[1:] if one not in _FIND_WORDS]
        if any("tensorflow" in one.lower() or TENSORFLOW in one for one in library):
            self.variables[words[0]] = TENSORFLOW
        elif library and words[0] not in self.variables:
            self.variables[words[0]] = library[0]

    def _do_find_path(self, command: Invocation) -> None:
        words = self.words(command)
        if words and words[0] not in self.variables:
            text = " ".join(words)
            asked = TENSORFLOW if "tensorflow" in text.lower() or TENSORFLOW in text else unknown("${" + words[0] + "}")
            self.variables[words[0]] = asked


def _generator(text: str) -> str:
    """Return ``text`` with generator expressions replaced by what they are in an ordinary build."""
    text = re.sub(r"\$<(?:BUILD_INTERFACE|COMPILE_LANGUAGE:CXX|CONFIG:Release)[>:]+([^<>]*)>", r"\1", text)
    text = re.sub(r"\$<\$<(?:COMPILE_LANGUAGE:CXX|CONFIG:Release|COMPILE_LANG_AND_ID:CXX,\w+)>:([^<>]*)>", r"\1", text)
    return re.sub(r"\$<(?!TARGET_OBJECTS)[^<>]*(?:<[^<>]*>[^<>]*)*>", "", text)
