"""From compiler commands to recipes: objects followed to their sources, helpers to their own recipes."""

from __future__ import annotations

import os

from dlrepair.build.recipes import places
from dlrepair.build.recipes.content import facts_of
from dlrepair.build.recipes.driver import Call, input_kind, read_call
from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.programs import is_compiler
from dlrepair.build.recipes.text import PYTHON, absolute, has_unknown, is_known, show, without_unknown
from dlrepair.model.build import Recipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.build.recipes.text import Command, Reading

#: Set for CUDA code only: without CUDA parts they would ask for headers that are not there.
_CUDA_DEFINES = frozenset(
    ("GOOGLE_CUDA", "EIGEN_USE_GPU", "TENSORFLOW_USE_ROCM", "WITH_CUDA", "USE_CUDA", "HAVE_CUDA", "BUILD_WITH_CUDA",
     "WARPCTC_ENABLE_GPU", "WARPRNNT_ENABLE_GPU", "USE_GPU", "WITH_GPU", "GPU", "CUDNN", "TENSORFLOW_USE_CUDA",
     "TENSORFLOW_USE_NVCC")
)  # fmt: skip
#: Calls with these make no object and no library.
_LOOKS_ONLY = frozenset(("-M", "-MM", "-E", "-fsyntax-only", "--version", "-dumpversion", "--preprocess"))
_ABI = "_GLIBCXX_USE_CXX11_ABI"
MAX_LINKS = 12


class Project:
    """All commands of a project, and what each output is made of."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.places = places.Places(reading.root)
        self.calls: list[Call] = []
        self.outputs: dict[str, list[Call]] = {}
        self.bases: dict[str, list[Call]] = {}
        self.archives: dict[str, Command] = {}
        self.copies: list[tuple[str, str]] = []  #: (from, to)
        seen: set[tuple[object, ...]] = set()
        for command in reading.commands:
            key = (command.words, command.directory, command.taken, command.file)
            if key not in seen:
                seen.add(key)
                self._add(command)

    def _add(self, command: Command) -> None:
        name = os.path.basename(command.words[0])
        if name in ("ln", "cp", "mv", "install"):
            paths = [word for word in command.words[1:] if not word.startswith("-")]
            for path in paths[:-1]:
                self.copies.append((absolute(path, command.directory), absolute(paths[-1], command.directory)))
            return
        if (name == "ar" or name.endswith(("-ar", "gcc-ar"))) and not is_compiler(command.words[0]):
            archive = next((word for word in command.words[1:] if word.endswith(".a")), "")
            if archive:
                self.archives.setdefault(absolute(archive, command.directory), command)
            return
        if any(word in _LOOKS_ONLY for word in command.words):
            return
        call = read_call(command)
        self.calls.append(call)
        made = [call.output] if call.output else []
        if call.compile_only and not made:  # of several sources, each into an object beside the caller
            bases = [os.path.basename(path).rpartition(".")[0] for path, kind in call.inputs if kind != "header"]
            made = [base + ".o" for base in bases]
        for name in made:
            path = absolute(name, command.directory)
            self.outputs.setdefault(path, []).append(call)
            self.bases.setdefault(os.path.basename(path), []).append(call)

    def links(self) -> Iterator[tuple[Call, str]]:
        """Yield (call, path of its output) of everything that makes a shared library, copies and links included."""
        for call in self.calls:
            if call.shared and call.output and (call.inputs or call.others):
                path = absolute(call.output, call.command.directory)
                yield call, path
                for source, target in self.copies:
                    if source == path or os.path.basename(source) == os.path.basename(path):
                        there = os.path.join(target, os.path.basename(path)) if os.path.isdir(target) else target
                        if there != path and ".so" in os.path.basename(there):
                            yield call, there

    def recipe(self, call: Call, output: str, depth: int = 0) -> Recipe:
        """Return what ``call`` is made of."""
        return _Collector(self, call, depth).recipe(output)

    def producer(self, path: str, near: Call, objects: bool) -> Call | None:
        """Return the call that makes ``path``: the very path, else the same name nearby or in the same recipe."""
        found = [one for one in self.outputs.get(path, ()) if one.compile_only == objects and one is not near]
        if not found:
            same = [
                one
                for one in self.bases.get(os.path.basename(path), ())
                if one.compile_only == objects and one is not near
            ]
            found = [one for one in same if one.command.file == near.command.file] or [
                one for one in same if os.path.dirname(one.command.file) == os.path.dirname(near.command.file)
            ]
            found = found or ([] if objects else same)
        found.sort(key=lambda one: (one.command.file != near.command.file, one.command.taken != near.command.taken))
        return found[0] if found else None


class _Collector:
    """Gathers one library's parts over its link call and the calls that made its objects."""

    def __init__(self, project: Project, call: Call, depth: int) -> None:
        self.project = project
        self.call = call
        self.depth = depth
        self.sources: list[str] = []
        self.cuda_sources: list[str] = []
        self.includes: list[str] = []
        self.library_dirs: list[str] = []
        self.libraries: list[str] = []
        self.cuda_libraries: list[str] = []
        self.defines: list[str] = []
        self.cuda_defines: list[str] = []
        self.nvcc_flags: list[str] = []
        self.undefines: list[str] = []
        self.flags: list[str] = []
        self.dropped: list[tuple[str, str]] = []
        self.missing: list[str] = []
        self.helpers: list[Recipe] = []
        self.standard = ""
        self.tensorflow = False
        self.numpy = False
        self.python = call.command.kind == "setup.py"
        self._visited: set[int] = set()

    def recipe(self, output: str) -> Recipe:
        """Return the recipe."""
        self._visit(self.call, 0)
        self._link(self.call)
        facts = [facts_of(path) for path in self.sources + self.cuda_sources]
        cuda = bool(self.cuda_sources) or any(one.split("=")[0] in _CUDA_DEFINES for one in self.cuda_defines)
        if not cuda:
            for name in self.cuda_libraries:
                self._drop("-l" + name, "CUDA's, and nothing here is CUDA")
            self.cuda_libraries = []
        command = self.call.command
        return Recipe(
            output=show(without_unknown(os.path.basename(output)).replace(PYTHON, ".so")),
            sources=tuple(self.sources),
            cuda_sources=tuple(self.cuda_sources),
            include_dirs=tuple(self.includes),
            library_dirs=tuple(self.library_dirs),
            libraries=tuple(self.libraries),
            cuda_libraries=tuple(self.cuda_libraries),
            defines=tuple(self.defines),
            cuda_defines=tuple(one for one in self.cuda_defines if one not in self.defines),
            nvcc_flags=tuple(self.nvcc_flags) if cuda else (),
            undefines=tuple(self.undefines),
            flags=tuple(_without_repeats(self.flags)),
            standard=self.standard,
            cuda=cuda,
            kind=command.kind,
            file=command.file,
            line=command.line,
            directory=command.directory,
            taken=command.taken,
            dropped=tuple(self.dropped),
            missing=tuple(self.missing),
            helpers=tuple(self.helpers),
            links_tensorflow=self.tensorflow or any(one.tensorflow for one in facts),
            python_extension=any(one.python for one in facts)
            or (self.python and not any(one.tensorflow for one in facts)),
            numpy=self.numpy or any(one.numpy for one in facts),
        )

    def _drop(self, word: str, why: str) -> None:
        pair = (show(word), why)
        if pair not in self.dropped and len(self.dropped) < 500:
            self.dropped.append(pair)

    def _add(self, where: list[str], value: str) -> None:
        if value not in where:
            where.append(value)

    # Compiling.

    def _visit(self, call: Call, level: int) -> None:
        """Take in a call's inputs and what it compiles them with."""
        self.project.reading.budget.spend(len(call.command.words))
        if id(call) in self._visited or level > 6:
            return
        self._visited.add(id(call))
        self.tensorflow = self.tensorflow or call.tensorflow
        self.standard = self.standard or call.standard
        for pair in call.dropped:
            self._drop(*pair)
        for path, kind in call.inputs:
            self._input(call, path, kind, level)
        for word in call.others:
            made = self.project.producer(absolute(word, call.command.directory), call, objects=True)
            if made is not None:
                self._visit(made, level + 1)
            else:
                self._drop(word, "no input of a compiler")
        for word in call.includes:
            self._directory(self.includes, "-I", word, call)
        self._definitions(call)
        for word in call.nvcc_flags:
            self._add(self.nvcc_flags, word)
        if call.nvcc and call is not self.call:
            return  # flags of nvcc are for CUDA parts
        for value in call.undefines:
            self._add(self.undefines, value)
        self.flags += call.flags

    def _input(self, call: Call, word: str, kind: str, level: int) -> None:
        if kind in ("object", "archive", "shared"):
            self._made(call, word, kind, level)
            return
        if kind == "header":
            return
        path = self.project.places.source(word, call.command.directory, call.command.file)
        if not path:  # perhaps the script copies it there first
            path = self._copied(absolute(word, call.command.directory))
        if not path:
            self._add(self.missing, show(word) if has_unknown(word) else absolute(word, call.command.directory))
            return
        if kind == "cython":
            self._cython(path)
        elif kind == "cuda":
            self._add(self.cuda_sources, path)
        else:
            self._add(self.sources, path)

    def _copied(self, path: str) -> str:
        """The file of which a command of the project makes ``path`` by copying or linking; "" where none does."""
        for source, target in self.project.copies:
            if path in (target, os.path.join(target, os.path.basename(source))) and os.path.isfile(source):
                return source
        return ""

    def _cython(self, path: str) -> None:
        for suffix in (".cpp", ".c"):
            if os.path.isfile(path[:-4] + suffix):
                self._add(self.sources, path[:-4] + suffix)
                self._drop(path, "Cython: the C file beside it that was made of it")
                return
        self._add(self.missing, path)
        self._drop(path, "Cython source: it has to be translated first")

    def _made(self, call: Call, word: str, kind: str, level: int) -> None:
        """Take in an object, an archive or a shared library that another command makes."""
        if places.library_owner(os.path.basename(word)) == "tensorflow":
            self.tensorflow = True
            self._drop(word, places.TENSORFLOWS)
            return
        path = absolute(word, call.command.directory)
        if kind == "object":
            self._object(call, word, path, level)
            return
        producer = self.project.producer(path, call, objects=True)
        if producer is not None:  # an object that somebody called .a or .so
            self._visit(producer, level + 1)
        elif kind == "archive":
            self._archive(call, word, path, level)
        else:
            self._shared(call, word, path)

    def _object(self, call: Call, word: str, path: str, level: int) -> None:
        if any(char in word for char in "*?["):
            known = [one for one in sorted(self.project.outputs) if fits(one, path)]
            for one in known:
                self._object(call, one, one, level)
            if known:
                return
        producer = self.project.producer(path, call, objects=True)
        if producer is not None:
            self._visit(producer, level + 1)
            return
        base = path[: -len(".o")] if path.endswith(".o") else path.rpartition(".")[0]
        for suffix in ("", ".cc", ".cpp", ".cxx", ".c", ".cu", ".cu.cc"):
            if os.path.isfile(base + suffix) and input_kind(base + suffix) not in ("", "object"):
                self._input(call, base + suffix, input_kind(base + suffix), level)
                return
        self._add(self.missing, show(path))

    def _archive(self, call: Call, word: str, path: str, level: int) -> None:
        command = self.project.archives.get(path) or next(
            (one for where, one in self.project.archives.items() if os.path.basename(where) == os.path.basename(path)),
            None,
        )
        if command is not None and level < 6:
            for member in command.words[1:]:
                kind = input_kind(member)
                if kind in ("object", "c", "c++", "cuda") and not member.endswith(".a"):
                    self._input(Call(command), member, kind, level + 1)
            return
        if is_known(word) and os.path.isfile(path):
            self._add(self.libraries, path)
        else:
            self._drop(word, places.DEAD)

    def _shared(self, call: Call, word: str, path: str) -> None:
        producer = self.project.producer(path, call, objects=False)
        if producer is not None and self.depth < 3:
            self._helper(producer, path)
            return
        name = os.path.basename(path).split(".so")[0][3:]
        there = is_known(word) and os.path.isfile(path)
        if places.library_owner(name) == "cuda":  # of a toolkit elsewhere: the one that is found has it too
            self._add(self.cuda_libraries, path if there else name)
        elif there:
            self._add(self.libraries, path)
        else:
            self._drop(word, places.DEAD)

    def _helper(self, producer: Call, path: str) -> None:
        helper = self.project.recipe(producer, path, self.depth + 1)
        if (helper.sources or helper.cuda_sources) and len(self.helpers) < MAX_LINKS:
            if all(one.output != helper.output for one in self.helpers):
                self.helpers.append(helper)

    def _directory(self, where: list[str], option: str, word: str, call: Call) -> None:
        path, why = self.project.places.directory(word, call.command.directory, call.command.file)
        if path:
            self._add(where, path)
            return
        self.numpy = self.numpy or why == places.NUMPYS
        self.tensorflow = self.tensorflow or why == places.TENSORFLOWS
        self._drop(option + word, why)

    def _definitions(self, call: Call) -> None:
        for define in call.defines:
            name, equals, value = define.partition("=")
            if name == _ABI:
                self._drop("-D" + define, "C++ ABI: the running TensorFlow's")
            elif name in _CUDA_DEFINES:
                if value == "0":
                    self._drop("-D" + define, "says that there are no CUDA parts")
                else:
                    self._add(self.cuda_defines, define)
            elif has_unknown(name) or (has_unknown(value) and '"' not in value):
                self._drop("-D" + define, places.UNKNOWN_VALUE)
            else:
                if not is_known(value):
                    self._drop("-D" + define, "a part of its value is not known: left empty")
                plain = "".join(char for char in without_unknown(define) if not "\ue000" <= char <= "\ue004")
                if not plain:
                    continue  # -D${TF_DEFINITIONS}: TensorFlow's
                self._add(self.cuda_defines if call.nvcc and call is not self.call else self.defines, plain)

    # Linking.

    def _link(self, call: Call) -> None:
        for word in call.library_dirs:
            self._directory(self.library_dirs, "-L", word, call)
        for name in call.libraries:
            self._library(call, name)

    def _library(self, call: Call, name: str) -> None:
        owner = places.library_owner(name)
        if owner in ("tensorflow", "python"):
            self.tensorflow = self.tensorflow or owner == "tensorflow"
            self._drop("-l" + name, places.TENSORFLOWS if owner == "tensorflow" else places.PYTHONS)
        elif owner == "cuda":
            self._add(self.cuda_libraries, name)
        elif not is_known(name):
            self._drop("-l" + name, places.UNKNOWN_VALUE)
        else:
            self._own_library(call, name)

    def _own_library(self, call: Call, name: str) -> None:
        base = name[1:] if name.startswith(":") else "lib{}.so".format(name)
        producers = [one for one in self.project.bases.get(base, ()) if one.shared and one is not call]
        if producers and self.depth < 3:
            self._helper(producers[0], absolute(producers[0].output, producers[0].command.directory))
            return
        archive = next((path for path in self.project.archives if os.path.basename(path) == "lib{}.a".format(name)), "")
        if archive:
            self._archive(call, archive, archive, 1)
            return
        if places.find_library(name, self.library_dirs):
            self._add(self.libraries, name)
        else:
            self._drop("-l" + name, "no such library here")


def _without_repeats(flags: list[str]) -> list[str]:
    """Return flags with each once (of ``-O`` levels the last), pairs like ``-include FILE`` kept together."""
    found: list[str] = []
    levels = [flag for flag in flags if flag.startswith("-O")]
    rest = iter(flags)
    for flag in rest:
        if flag in ("-include", "-imacros"):
            found += [flag, next(rest, "")]
        elif flag not in found and (not flag.startswith("-O") or flag == levels[-1]):
            found.append(flag)
    return found
