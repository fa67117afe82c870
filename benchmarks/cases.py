"""What is measured: worlds built with the real compiler, and the small programs that time one call in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from typing import Callable

from method import Result, environment, paired, printed, wall

ROI = "int roi_pool(int a, int b) { return a * b; }\n"
NEEDS_HELPER = "extern int helper_scale(int);\nint roi_pool(int a, int b) { return helper_scale(a * b); }\n"
HELPER = "int helper_scale(int value) { return 3 * value; }\n"
EXTENSIONS = 100

#: Times many calls of CDLL for a library that is mapped already; the best of five loops, per call.
LOADED = """\
import ctypes, sys, time
ctypes.CDLL(sys.argv[1])
def loop(n, path=sys.argv[1], CDLL=ctypes.CDLL):
    start = time.perf_counter_ns() if hasattr(time, "perf_counter_ns") else int(time.perf_counter() * 1e9)
    for _ in range(n):
        CDLL(path)
    end = time.perf_counter_ns() if hasattr(time, "perf_counter_ns") else int(time.perf_counter() * 1e9)
    return (end - start) / n
print(min(loop(4000) for _ in range(7)))
"""

#: The same for the native entry alone: what ctypes.CDLL itself costs is left out.
NATIVE = LOADED.replace("CDLL=ctypes.CDLL", "CDLL=__import__('_ctypes').dlopen").replace("CDLL(path)", "CDLL(path, 2)")

#: Maps every library of a directory for the first time; the median of a call.
FIRST = """\
import ctypes, os, sys, time
def load(path, clock=time.perf_counter):
    start = clock()
    ctypes.CDLL(path)
    return clock() - start
times = sorted(load(os.path.join(sys.argv[1], name)) for name in sorted(os.listdir(sys.argv[1])))
print(times[len(times) // 2] * 1e9)
"""

#: Imports every extension module of a directory; the median of an import.
IMPORTS = """\
import importlib, os, sys, time
sys.path.insert(0, sys.argv[1])
def load(name, clock=time.perf_counter):
    start = clock()
    importlib.import_module(name)
    return clock() - start
times = sorted(load(name.split(".")[0]) for name in sorted(os.listdir(sys.argv[1])))
print(times[len(times) // 2] * 1e9)
"""

#: Asks importlib's native entry again for a module that it has: what the wrapper alone costs an import.
CREATE = """\
import _imp, importlib.util, os, sys, time
name = sorted(os.listdir(sys.argv[1]))[0]
spec = importlib.util.spec_from_file_location(name.split(".")[0], os.path.join(sys.argv[1], name))
_imp.create_dynamic(spec)
def loop(n, create=_imp.create_dynamic):
    start = time.perf_counter()
    for _ in range(n):
        create(spec)
    return (time.perf_counter() - start) / n
print(min(loop(2000) for _ in range(7)) * 1e9)
"""

#: One load, timed around the call; the library must answer.
ONE_LOAD = """\
import ctypes, os, time
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libroi.so")
start = time.perf_counter()
roi = ctypes.CDLL(path)
seconds = time.perf_counter() - start
assert roi.roi_pool(6, 7) in (42, 126)
print(seconds * 1e9)
"""

#: The hundredth of the same failing probe; the median of ten from there on, since one alone is mostly noise.
PROBE = """\
import ctypes, os, time
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libnowhere.so")
def probe():
    start = time.perf_counter()
    try:
        ctypes.CDLL(path)
    except OSError:
        pass
    return time.perf_counter() - start
times = [probe() for _ in range(109)]
print(sorted(times[99:])[5] * 1e9)
"""


def compile_c(source: str, output: str, *more: str) -> str:
    os.makedirs(os.path.dirname(output), exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-x", "none", "-o", output, *more]
    subprocess.run(command, input=source.encode(), check=True)
    return output


def write(path: str, text: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(text)
    return path


def make_project(root: str, files: int = 2000) -> None:
    """A project of ``files`` files in some two hundred directories: sources, notes, pictures, objects."""
    suffixes = (".py", ".py", ".cc", ".h", ".txt", ".png", ".json", ".o")
    for number in range(files):
        directory = os.path.join(root, "part%02d" % (number % 20), "piece%d" % (number // 20 % 10))
        write(os.path.join(directory, "file%04d%s" % (number, suffixes[number % len(suffixes)])), "x = %d\n" % number)


class Bench:
    """Two interpreters, a scratch directory and how often to measure."""

    def __init__(self, bare: str, hooked: str, scratch: str, pairs: int) -> None:
        self.bare, self.hooked, self.scratch, self.pairs = bare, hooked, scratch, pairs
        self.homes = 0

    def path(self, *parts: str) -> str:
        return os.path.join(self.scratch, *parts)

    def new_home(self) -> str:
        self.homes += 1
        home = self.path("homes", str(self.homes))
        os.makedirs(home)
        return home

    def compare(self, title: str, script: str, arguments: list[str], pairs: int) -> Result:
        """A program that times itself, run by both interpreters in turn."""
        env = environment(self.new_home())

        def by(python: str) -> Callable[[], float]:
            return lambda: printed([python, script, *arguments], env, self.scratch)

        return Result(title, *paired(by(self.bare), by(self.hooked), pairs))

    def startup(self) -> Result:
        env = environment(self.new_home())

        def by(python: str) -> Callable[[], float]:
            return lambda: wall([python, "-c", "pass"], env, self.scratch)

        result = Result("interpreter start (`python -c pass`)", *paired(by(self.bare), by(self.hooked), 8 * self.pairs))
        assert result.bare is not None
        result.aim, result.limit = "+0.3 ms, 2 %", min(0.0003, 0.02 * result.bare)
        return result

    def successes(self) -> list[Result]:
        library = compile_c(ROI, self.path("loaded", "libroi.so"))
        for number in range(200):
            os.makedirs(self.path("first"), exist_ok=True)
            shutil.copy(library, self.path("first", "lib%03d.so" % number))
        names = ["bench_ext%03d" % number for number in range(EXTENSIONS)]
        source = "#include <Python.h>\n" + "".join(
            'static struct PyModuleDef d_%s = {PyModuleDef_HEAD_INIT, "%s", NULL, -1, NULL};\n'
            "PyMODINIT_FUNC PyInit_%s(void) { return PyModule_Create(&d_%s); }\n" % (name, name, name, name)
            for name in names
        )
        include = "-I" + sysconfig.get_paths()["include"]
        built = compile_c(source, self.path("built", "ext.so"), include)
        for name in names:
            os.makedirs(self.path("extensions"), exist_ok=True)
            shutil.copy(built, self.path("extensions", name + ".so"))
        texts = {"loaded": LOADED, "native": NATIVE, "first": FIRST, "imports": IMPORTS, "create": CREATE}
        scripts = {name: write(self.path("scripts", name + ".py"), text) for name, text in texts.items()}
        extensions = [self.path("extensions")]
        results = [
            self.compare("`CDLL(path)`, already mapped", scripts["loaded"], [library], self.pairs),
            self.compare("native `dlopen` alone, already mapped", scripts["native"], [library], self.pairs),
            self.compare("native `create_dynamic` alone", scripts["create"], extensions, self.pairs),
            self.compare("`CDLL(path)`, first map of a file", scripts["first"], [self.path("first")], self.pairs),
            self.compare("extension import, first of a file", scripts["imports"], extensions, self.pairs),
        ]
        for result in results:  # the first load of a file includes the check of its header
            result.aim, result.limit = "+1 µs", 1e-6
        return results

    def repair(self, title: str, root: str) -> list[Result]:
        """From failure to repaired load: with an empty home, then with the home that remembers."""
        make_project(root)
        script = write(os.path.join(root, "train.py"), ONE_LOAD)
        first, again = [], []
        for _ in range(max(5, self.pairs // 2)):
            env = environment(self.new_home())
            first.append(printed([self.hooked, script], env, root))
            again.append(printed([self.hooked, script], env, root))
        results = []
        for name, times, aim in (("first time", first, 0.12), ("remembered", again, 0.015)):
            ordered = sorted(times)
            median, spread = ordered[len(times) // 2], (ordered[3 * len(times) // 4] - ordered[len(times) // 4]) / 2
            results.append(Result("%s, %s" % (title, name), None, median, None, spread, "%.0f ms" % (aim * 1e3), aim))
        return results

    def repairs(self) -> list[Result]:
        moved, needs = self.path("moved"), self.path("needs")
        compile_c(ROI, os.path.join(moved, "build", "libroi.so"), "-Wl,-soname,libroi.so")
        helper = compile_c(HELPER, os.path.join(needs, "lib", "libhelper.so"), "-Wl,-soname,libhelper.so")
        compile_c(NEEDS_HELPER, os.path.join(needs, "libroi.so"), helper)
        return self.repair("moved file", moved) + self.repair("missing dependency", needs)

    def probe(self) -> Result:
        root = self.path("probe")
        make_project(root)
        script = write(os.path.join(root, "train.py"), PROBE)
        result = self.compare("failing probe, the hundredth time", script, [], self.pairs)
        result.aim, result.limit = "+50 µs", 50e-6
        return result
