"""Real call sites replayed: the path expressions of ``data/load_sites.jsonl``, each in a script of its own.

A site says in words how a public project builds the path of a library. ``Site`` makes of it what a script needs: the
expression, and a definition of every name in it. The library, compiled by gcc, then lies in one of the places where
such projects build it, never where the expression leads; ``DRIVER`` runs the scripts one after the other in one
process with the real hook and tells what each got. ``load_op_library`` and the like are replayed with ctypes: the
search is the same, and no TensorFlow has to be started.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from typing import Any, Iterator, Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "data", "load_sites.jsonl")
SHAPES = os.path.join(HERE, "data", "site_shapes.jsonl")

#: what the corpus says where the load call is not reached once the file is missing
_NEVER_REACHED = ("guard", "exists", "is_file", "isfile", "assert", "IndexError", "find_module", "filter", "never")

#: class -> why its sites are not replayed
NOT_REPLAYED = {
    "probe": "a build probe: its failure is the answer",
    "special": "CDLL(None) is the process itself and does not fail",
    "find_library": "asks whether a library is there: None is an answer",
    "import_machinery": "fails before the load call is reached",
}

LOADERS = ("CDLL", "LoadLibrary", "load_op_library", "load_library", "load_file_system_library", "_load_library")

PRELUDE = """\
import ctypes, glob, os, sys, sysconfig
import os.path as osp
from os import getcwd
from os.path import abspath, dirname, join, normpath, realpath
"""

#: names of the corpus that stand for functions and modules of TensorFlow, setuptools and the like
KNOWN = """\
class resource_loader:
    get_data_files_path = staticmethod(lambda: dirname(realpath(__file__)))
    get_path_to_datafile = staticmethod(lambda name: join(dirname(realpath(__file__)), name))
class tf:
    resource_loader = resource_loader
    __version__ = "2.10.0"
class pkg_resources:
    resource_filename = staticmethod(lambda package, name: join(dirname(realpath(__file__)), name))
get_path_to_datafile = resource_loader.get_path_to_datafile
get_libops_path = lambda name: join(dirname(realpath(__file__)), name)
get_python_lib = lambda: sysconfig.get_path("purelib")
get_ext_suffix = lambda: sysconfig.get_config_var("EXT_SUFFIX")
EXT_SUFFIX = get_ext_suffix()
_have_gpu = lambda: True
"""

#: A thread a script: what ends it is nobody's handler, so each load counts as one that nobody has prepared for.
DRIVER = """\
import json, os, shutil, sys, threading
answers = {}
threading.excepthook = lambda told: answers.update(last=told.exc_type.__name__ + ": " + str(told.exc_value)[:200])
def run(job):
    names = {"__name__": "site", "__file__": job["script"]}
    exec(compile(open(job["script"]).read(), job["script"], "exec"), names)
    answers["last"] = names["library"].site_answer()
home = os.getcwd()
for job in json.load(open(sys.argv[1])):
    os.makedirs(os.path.dirname(job["place"]), exist_ok=True)
    shutil.copy(job["content"], job["place"])
    os.chdir(job["cwd"])
    thread = threading.Thread(target=run, args=(job,))
    thread.start()
    thread.join()
    os.chdir(home)
    os.rename(job["place"], job["away"])  # not removed: the next file must not get its inode number
    print(json.dumps([job["number"], answers.pop("last")]), flush=True)
"""


class Site:
    """One call site: its class, and the script that is made of it."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.kind: str = row["class"]
        self.repo: str = row["repo"] or "project"
        self.file = (row["path"] or "src/model.py").split(":")[0]
        self.said: str = row["line_expr"]
        self.spelled_out = True
        self.expression, self.names = self._read()
        words = "{} {}".format(row["except"] or "", row["notes"] or "")
        self.unreached = NOT_REPLAYED.get(self.kind, "")
        if not self.unreached and any(word in words for word in _NEVER_REACHED):
            self.unreached = "looks before it loads, and does not load what is missing"
        if not self.unreached and self.kind == "glob":
            self.unreached = "loads what a pattern finds: nothing"

    def __repr__(self) -> str:
        return "{}: {}".format(self.kind, self.said)

    def _read(self) -> tuple[str, str]:
        """(path expression, definitions of the names in it)."""
        text = re.sub(r"\{[^{}|]*\|([^{}]*)\}", r"\1", self.said).replace("[_nogpu]", "").replace("lib*", "libname")
        text = text if ".format" in text else re.sub(r"\{[a-z0-9]*\}", "name", text)
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError:
            return self._fall_back(text)
        if isinstance(tree, ast.Tuple):
            tree = tree.elts[0]
        while isinstance(tree, ast.Call) and _last(tree.func) in LOADERS and tree.args:
            tree = tree.args[0]
        return ast.get_source_segment(text, tree) or text, "\n".join(_definitions(tree))

    def _fall_back(self, text: str) -> tuple[str, str]:
        """A literal: the first thing in the corpus's words that looks like a library's name."""
        self.spelled_out = False
        found = re.search(r"[\w./+-]*\w\.(?:so|dylib|dll)\b", text)
        return repr(found.group(0).lstrip("/") if found else "build/libcustom_op.so"), ""

    def script(self) -> str:
        return "{}{}{}\nlibrary = ctypes.CDLL({})\n".format(PRELUDE, KNOWN, self.names, self.expression)

    def requested(self, script: str, cwd: str) -> str:
        """The path that the expression comes to in a script at this place, run there."""
        names: dict[str, Any] = {"__file__": script, "__name__": "site"}
        before = os.getcwd()
        os.chdir(cwd)
        try:
            exec(compile(PRELUDE + KNOWN + self.names, "<names>", "exec"), names)
            value = eval(self.expression, names)
        except Exception as error:
            raise AssertionError("{!r}: {!r}".format(self, error)) from error
        finally:
            os.chdir(before)
        return os.fspath(value)


def _last(node: Any) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _definitions(tree: ast.AST) -> Iterator[str]:
    """A statement for each name that the expression takes from the rest of its program."""
    known: dict[str, Any] = {"__file__": "x", "__name__": "x"}
    exec(PRELUDE + KNOWN, known)
    seen = set()
    for node in ast.walk(tree):  # what the user's shell sets, and what is typed
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield "os.environ[{}] = '/opt/app/build/libcustom_op.so'".format(ast.unparse(node.slice))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.argv":
            yield "sys.argv[1:] = ['build/libcustom_op.so']"
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if any(isinstance(node, ast.Name) and node.id == "dirname" and id(node) not in called for node in ast.walk(tree)):
        yield "dirname = os.path.dirname(realpath(__file__))"
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id in known or node.id in seen or node.id == "__file__":
            continue
        if hasattr(builtins, node.id):
            continue
        seen.add(node.id)
        yield _definition(node, parents)


def _definition(node: ast.Name, parents: dict[int, Any]) -> str:
    above = parents.get(id(node))
    if isinstance(above, ast.Attribute):
        value = _value(above.attr)
        if isinstance(parents.get(id(above)), ast.Call) and parents[id(above)].func is above:
            value = "staticmethod(lambda *a: {})".format(value)
        if above.attr == "__path__":
            value = "[{}]".format(value)
        return "class {}:\n    {} = {}".format(node.id, above.attr, value)
    if isinstance(above, ast.Subscript):
        key = getattr(above.slice, "value", 0)
        return "{} = {{{!r}: {}}}".format(node.id, key, _value(str(key)))
    if isinstance(above, ast.Call) and above.func is node:
        chained = isinstance(parents.get(id(above)), ast.Attribute)
        compiler = "type('C', (), {'compile_op': staticmethod(lambda *a: 'build/libcustom_op.so')})"
        result = compiler if chained else _value("")
        indexed = isinstance(parents.get(id(above)), ast.Subscript)
        return "{} = lambda *a: {}".format(node.id, "[{}]".format(result) if indexed else result)
    if isinstance(above, ast.BinOp) and isinstance(above.op, ast.Div):
        return "import pathlib\n{} = pathlib.Path(dirname(realpath(__file__)))".format(node.id)
    return "{} = {}".format(node.id, _value(node.id, above))


def _value(name: str, above: Any = None) -> str:
    """What a name stands for: a directory, part of a file name, or the whole path as somebody types it."""
    lower = name.lower()
    first = isinstance(above, ast.Call) and bool(above.args) and getattr(above.args[0], "id", "") == name
    inside = isinstance(above, (ast.Call, ast.BinOp))
    if any(word in lower for word in ("dir", "root", "dirname")) or (
        inside and lower in ("path", "module_path", "_current_path", "cwd", "library_dir")
    ):
        return "dirname(realpath(__file__))"
    if lower in ("name", "n", "op", "libtype", "prefix", "ext", "lookup_lib_path"):
        return {"libtype": "'so'", "prefix": "'lib'", "ext": "'.so'"}.get(lower, "'custom_op'")
    if inside and not first and "path" not in lower:
        return "'libcustom_op.so'"
    return "'build/libcustom_op.so'"


#: The places of the survey of build recipes, ranked; {D} the directory asked for, {S} the script's, {R} the project's
#: top.
PLACES = (
    ("beside, with or without lib", "{D}/{other}"),
    ("the same path below the top", "{R}/{tail}"),
    ("build below", "{D}/build/{name}"),
    ("build/lib of the project", "{R}/build/lib/{name}"),
    ("lib of the project", "{R}/lib/{name}"),
    ("ops/build", "{R}/ops/build/{name}"),
    ("setup.py's build/lib.*", "{R}/build/lib.linux-x86_64-3.7/pkg/{name}"),
    ("bazel-bin", "{R}/bazel-bin/{below}/{name}"),
    ("cmake-build-release", "{R}/cmake-build-release/{name}"),
    ("beside the script", "{S}/{name}"),
    ("site-packages", "{site}/pkg/{name}"),
    ("LD_LIBRARY_PATH at start", "{ld}/{name}"),
    ("a wheel in dist", "{R}/dist/pkg-1.0-py3-none-any.whl"),
    ("a directory for one TensorFlow", "{R}/pkg/ops/1.15/{name}"),
    ("deep in the project", "{R}/third_party/vendor/x/y/z/{name}"),
)

#: never searched: what belongs to another project is not what this one means
ELSEWHERE = (("another project beside this one", "{R}/../another/build/{name}"),)


def read_sites() -> list[Site]:
    with open(CORPUS, encoding="utf-8") as stream:
        return [Site(json.loads(line)) for line in stream]


class Shape(Site):
    """A way to build a path that the corpus does not have: a script, an expression, where its project builds it."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.repo = "project"
        self.file = row["script"]
        self.expression = self.said = row["expression"]
        self.names = self.unreached = ""
        self.kind = "cwd_literal" if row["cwd"] else "shape"
        self.spelled_out = True
        self.built = "{R}/" + row["built"].replace("@EXT@", sysconfig.get_config_var("EXT_SUFFIX"))


def read_shapes() -> list[Shape]:
    with open(SHAPES, encoding="utf-8") as stream:
        return [Shape(json.loads(line)) for line in stream]


def failed(answer: Any) -> bool:
    """Whether a load without dlrepair failed; this machine may have a library of the name that is asked for."""
    return isinstance(answer, str) and answer.startswith("OSError")


class Replay:
    """Projects on disk for a list of (number, site, place), run in one process."""

    def __init__(self, top: str) -> None:
        self.top = os.path.realpath(top)
        self.jobs: list[dict[str, Any]] = []
        self.library = os.path.join(self.top, "shelf", "library")
        os.makedirs(os.path.join(self.top, "shelf"))
        os.makedirs(os.path.join(self.top, "driver"))
        source = b"int site_answer(void) { return 42; }\n"
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", self.library], input=source, check=True)

    def add(self, number: int, site: Site, place: str) -> bool:
        """Whether the site can be replayed with the library there: not where the expression itself leads."""
        root = os.path.join(self.top, "p%d" % number, os.path.basename(site.repo))
        script = os.path.join(root, site.file)
        os.makedirs(os.path.dirname(script), exist_ok=True)
        os.makedirs(os.path.join(root, ".git"), exist_ok=True)
        with open(script, "w", encoding="utf-8") as stream:
            stream.write(site.script())
        cwd = os.path.join(self.top, "elsewhere") if site.kind == "cwd_literal" else root
        os.makedirs(cwd, exist_ok=True)
        path = site.requested(script, cwd)
        asked = os.path.normpath(os.path.join(cwd, path))
        own = asked.startswith(root + os.sep)
        name = os.path.basename(asked)
        directory = os.path.dirname(asked) if own else os.path.dirname(script)
        tail = os.path.relpath(asked, root) if own else "/".join(
            part for part in path.split("/") if part not in ("", ".", "..", "...")
        )
        ready = name if ".so" in name else os.path.splitext(name)[0] + ".so"  # this platform's library
        where = place.format(
            D=directory, S=os.path.dirname(script), R=root, name=ready, tail=os.path.join(os.path.dirname(tail), ready),
            other=ready[3:] if ready.startswith("lib") else "lib" + ready,
            below=os.path.dirname(os.path.relpath(script, root)), site=os.path.join(self.top, "site-packages"),
            ld=os.path.join(self.top, "ld"),
        )  # fmt: skip
        where = os.path.normpath(where)
        if where == asked or ("/" not in path and where.startswith(os.path.join(self.top, "ld"))):
            return False
        content = self.library
        if where.endswith(".whl"):
            content = os.path.join(self.top, "shelf", "%d.whl" % len(self.jobs))
            with zipfile.ZipFile(content, "w") as archive:
                archive.write(self.library, "pkg/" + ready)
        self.jobs.append(
            {"number": len(self.jobs), "script": script, "cwd": cwd, "place": where, "content": content, "asked": path,
             "away": os.path.join(self.top, "shelf", "away%d" % len(self.jobs)), "site": number}
        )  # fmt: skip
        return True

    def run(self, python: str, **environment: str) -> list[Any]:
        """What each job got, in order: 42, or the words of the exception.

        A process asks for each site once: what it has found for a path is what it gives for that path from then on.
        """
        answers: dict[int, Any] = {}
        left = list(self.jobs)
        while left:
            turn = list({job["site"]: job for job in reversed(left)}.values())
            left = [job for job in left if job not in turn]
            answers.update(self._run(python, turn, environment))
        return [answers[job["number"]] for job in self.jobs]

    def _run(self, python: str, jobs: list[dict[str, Any]], environment: dict[str, str]) -> dict[int, Any]:
        driver = os.path.join(self.top, "driver", "driver.py")
        with open(driver, "w") as stream:
            stream.write(DRIVER)
        with open(os.path.join(self.top, "jobs.json"), "w") as stream:
            json.dump(jobs, stream)
        os.makedirs(os.path.join(self.top, "ld"), exist_ok=True)
        env = dict(
            environment, HOME=os.path.join(self.top, "home"), XDG_CACHE_HOME=os.path.join(self.top, "cache"),
            XDG_STATE_HOME=os.path.join(self.top, "state"), PYTHONPATH=os.path.join(self.top, "site-packages"),
            LD_LIBRARY_PATH=os.path.join(self.top, "ld"), PATH=os.environ.get("PATH", ""), DLREPAIR_REBUILD="never",
            DLREPAIR_VERBOSITY="quiet", DLREPAIR_REEXEC="never", DLREPAIR_BUDGET_MS="20000",
        )  # fmt: skip
        done = subprocess.run(
            [python, driver, os.path.join(self.top, "jobs.json")], env=env, cwd=os.path.join(self.top, "driver"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=3600,
        )  # fmt: skip
        answers = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
        assert len(answers) == len(jobs), done.stderr[-3000:]
        return answers


def main(arguments: Sequence[str]) -> None:
    for site in read_sites():
        print(repr(site), "=>", site.unreached or site.expression.replace("\n", " "))


if __name__ == "__main__":
    main(sys.argv[1:])
