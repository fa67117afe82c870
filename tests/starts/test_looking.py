"""A program that asks a path of its own whether its library is there, and ends because it is not: every way to start.

The question is answered anew from the next start on; where that has no file, or another loader, a command is told.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import zipfile
from dataclasses import dataclass
from typing import Callable

import pytest
from starting import HERE, Did, Project, no_trouble, ways_python
from test_programs import DASK, JOBLIB, SHOWN, serve, words
from test_ways import empty_environment, first_process, from_file, namespace, with_umask

pytestmark = pytest.mark.compile

LOOK = """\
import ctypes
import os

HERE = @HERE@


def effect(name):
    with open(os.path.join(HERE, "effects"), "a") as file:
        file.write(name + "\\n")


def task(name="task"):
    effect("begin")
    lib = os.path.join(HERE, "ops", "libroi.so")
    if not os.path.exists(lib):
        raise FileNotFoundError(lib)
    value = ctypes.CDLL(lib).roi()
    effect("end")
    return value
"""
LITERAL = LOOK.replace('os.path.join(HERE, "ops", "libroi.so")', "'ops/libroi.so'").replace("@HERE@", "os.getcwd()")
MODULE = LOOK.replace("@HERE@", HERE)
MAIN = "\n\nprint('says', task())\n"
USES = "from task import task\n\nif __name__ == '__main__':\n    print('says', task())\n"
OURS = ("dlrepair[", "help:", "  tried:", "  rejected", "  fix:")


@dataclass
class Case:
    name: str
    start: Callable[[Project, str], Did]
    end: str = "cured"  #: or "told", "nothing"
    files: Callable[[Project], object] = lambda project: project.write("train.py", MODULE + MAIN)
    same_err: bool = True  #: whether standard error is the same from run to run
    same_out: bool = True
    fails: bool = True  #: whether the exit status tells of the failure
    processes: int = 1  #: most of them that look, and are told; how many effects there are is their race, then

    def __repr__(self) -> str:
        return self.name


def below(root: str) -> dict[str, object]:
    """All that is there, but for what the program itself writes."""
    found: dict[str, object] = {}
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if name != "effects":
                found[path] = (stat.S_IMODE(status.st_mode), status.st_mtime_ns if name in names else 0)
    return found


def theirs(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not line.startswith(OURS))


def look(case: Case, project: Project, bare: str, hooked: str) -> None:
    project.world.library("build/libroi.so", "int roi(void) { return 42; }\n")
    case.files(project)

    def start(python: str) -> Did:
        did = case.start(project, python)
        did.effects = sorted(did.effects if case.processes == 1 else set(did.effects))
        return did

    broken = start(bare)
    assert broken.effects and "end" not in broken.effects and (broken.status != 0) == case.fails, broken.story()
    expected = broken
    if case.end == "cured":
        shutil.copytree(project.path("build"), project.path("ops"))
        expected = start(bare)
        assert expected.status == 0 and "end" in expected.effects, expected.story()
        shutil.rmtree(project.path("ops"))
    project.forget()
    before = below(project.root)
    first = start(hooked)
    no_trouble(first)
    assert (first.status, first.effects) == (broken.status, broken.effects), first.story() + broken.story()
    if case.same_out:
        assert theirs(first.out) == broken.out, first.story() + broken.story()
    if case.same_err:
        assert theirs(first.err) == broken.err, first.story() + broken.story()
    told = (first.out + first.err).count("dlrepair[file-missing]: ")
    assert (1 <= told <= case.processes) if case.end != "nothing" else not told, first.story()
    assert len({line["run"] for line in first.journal}) <= 1, first.story()
    if case.end == "told":
        assert "dlrepair fix --write" in first.out + first.err and "is learned, and" not in first.err, first.story()
    elif case.end == "cured":
        assert "is learned, and" in first.out + first.err, first.story()
    second = start(hooked)
    no_trouble(second)
    assert (second.status, second.effects) == (expected.status, expected.effects), second.story() + expected.story()
    if case.same_out:
        assert theirs(second.out) == expected.out, second.story() + expected.story()
    if case.same_err:
        assert theirs(second.err) == expected.err, second.story() + expected.story()
    assert below(project.root) == before, second.story()


def files(**texts: str) -> Callable[[Project], object]:
    def prepare(project: Project) -> None:
        project.write("task.py", MODULE)
        for name, text in texts.items():
            project.write(name + ".py", text)

    return prepare


def text_of_stdin(project: Project) -> None:
    project.write("program.py", LITERAL + MAIN)


def piped(project: Project, python: str) -> Did:
    return project.run([python], stdin=(LITERAL + MAIN).encode())


def document(project: Project, python: str) -> Did:
    return project.run(["/bin/sh", "-c", "exec %s - <<'EOF'\n%sEOF\n" % (python, LITERAL + MAIN)])


def shebang(project: Project, python: str) -> Did:
    write_once(project, "train", "#!%s -u\n%s" % (python, MODULE + MAIN))
    return project.run([project.path("train"), "--epochs", "3"])


def console_script(project: Project, python: str) -> Did:
    script = "import re\nimport sys\nfrom tool import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    write_once(project, "bin/tool", "#!%s\n%s" % (python, script))
    return project.run([project.path("bin/tool")], PYTHONPATH=project.root)


def write_once(project: Project, name: str, text: str) -> None:
    """A file that names its Python, as an installer leaves it there, always of the same age."""
    path = project.write(name, text, 0o755)
    os.utime(path, (1, 1))


def tool(project: Project) -> None:
    project.write("tool.py", MODULE + "\n\ndef main():\n    print('says', task())\n")


def package(project: Project) -> None:
    project.write("train/__init__.py", "")
    project.write("train/__main__.py", MODULE.replace(HERE, "os.path.dirname(%s)" % HERE) + MAIN)


def archive(project: Project) -> None:
    with zipfile.ZipFile(project.path("train.pyz"), "w") as file:
        file.writestr("__main__.py", LITERAL + MAIN)


def typed(project: Project, python: str) -> Did:
    """Lines at the prompt: the exception of one does not end it."""
    return project.run([python, "-q", "-i"], stdin=b"from task import task\nprint('says', task())\n")


def with_sitecustomize(project: Project, python: str) -> Did:
    return project.run([python, "train.py"], PYTHONPATH=project.path("theirs"))


def theirs_too(project: Project) -> None:
    project.write("theirs/sitecustomize.py", "print('their own')\n")
    project.write("train.py", MODULE + MAIN)


def no_home(project: Project, python: str) -> Did:
    env = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": project.home + "/.local/state", "XDG_CACHE_HOME": project.home}
    return project.run([python, "train.py"], env=env)


def read_only(project: Project, python: str) -> Did:
    """The project is mounted read-only, but for the file of effects."""
    steps = ["mount --bind {0} {0}", "touch {0}/effects", "mount --bind {0}/effects {0}/effects"]
    steps += ["mount -o remount,bind,ro {0}", "cd {0}", "exec {1} train.py"]
    script = " && ".join(steps).format(project.root, python)
    return project.run([*namespace("--mount"), "/bin/sh", "-c", script])


def tree(project: Project) -> None:
    project.write("train.py", MODULE + MAIN)
    for name, child in (("top.py", "middle.py"), ("middle.py", "train.py")):
        text = "import os\nimport subprocess\nimport sys\n\nhere = os.path.dirname(os.path.abspath(__file__))\n"
        text += "sys.exit(subprocess.run([sys.executable, os.path.join(here, %r)]).returncode)\n" % child
        project.write(name, text)


LONG = LITERAL + MAIN
POOL = """\
import multiprocessing
import sys
from task import task

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(int(sys.argv[2])) as pool:
        print(pool.map(task, "abcd", chunksize=4))
"""
#: the function is the script's own
OWN_POOL = MODULE + POOL[POOL.index("\nif") :].replace("\nif", "\n\nimport multiprocessing\nimport sys\n\nif")
EXECUTOR = """\
from concurrent.futures import ProcessPoolExecutor
from task import task

if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        print(list(pool.map(task, ["a", "b"], chunksize=2)))
"""


CASES = [
    Case("script", words("train.py")),
    Case("script-by-absolute-path", lambda project, python: project.run([python, project.path("train.py")], cwd="/")),
    Case("script-with-options", words("-uO", "-W", "ignore", "-Xutf8", "train.py", "-c", "--odd", "a b", "")),
    Case("imported", words("train.py"), files=files(train=USES)),
    Case("isolated", words("-I", "train.py")),
    Case("module", words("-m", "train")),
    Case("module-imported", words("-m", "train"), files=files(train=USES)),
    Case("package", words("-m", "train"), files=package),
    Case("directory", words("train"), files=package),
    Case("file-of-a-directory", words("train/__main__.py"), files=package),
    Case("archive", words("train.pyz"), "told", files=archive),
    Case("text", words("-c", LONG, "argument"), "told"),
    Case("stdin-file", from_file, "told", text_of_stdin),
    Case("stdin-pipe", piped, "told"),
    Case("here-document", document, "told"),
    Case("shebang", shebang),
    Case("console-script", console_script, files=tool),
    Case("stay", words("-i", "train.py"), "nothing", fails=False),
    Case("prompt", typed, "nothing", files(), fails=False),
    Case("cron", empty_environment),
    Case("no-home", no_home),
    Case("umask-777", with_umask("0777")),
    Case("umask-077", with_umask("077")),
    Case("read-only", read_only),
    Case("safe-path", words("-P", "train.py") if sys.version_info >= (3, 11) else words("-s", "train.py")),
    Case("first-process", first_process),
    Case("sitecustomize", with_sitecustomize, "nothing", theirs_too),
    Case("tree", words("top.py"), files=tree),
    *(Case("{}-{}".format(way, count), words("train.py", way, count), files=files(train=POOL), same_err=False)
      for way in ("fork", "spawn", "forkserver") for count in "14"),
    *(Case("own-{}".format(way), words("train.py", way, "1"), files=files(train=OWN_POOL), same_err=False)
      for way in ("fork", "spawn", "forkserver")),
    Case("executor", words("train.py"), files=files(train=EXECUTOR), same_err=False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_way(case: Case, project: Project, bare: str, hooked: str) -> None:
    look(case, project, bare, hooked)


#: what IPython, a kernel and the programs that host others say beside their traceback differs from run to run
VARIES = {"same_err": False, "same_out": False}
KERNEL = SHOWN.replace("load", "task")
CELL = KERNEL.replace('"from task import task"', repr(LITERAL))
RANKS = """\
from mpi4py import MPI
from task import task

total = MPI.COMM_WORLD.allreduce(task())
if MPI.COMM_WORLD.Get_rank() == 0:
    print("total", total)
"""
TEST = "from task import task\n\n\ndef test_task():\n    assert task() == 42\n"
OWN_TEST = MODULE + "\n\ndef test_task():\n    assert task() == 42\n"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")
IPYTHON = ("-m", "IPython", "--no-banner", "--colors=nocolor")


def mpirun(project: Project, python: str) -> Did:
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    command = ["mpirun", *root, "--oversubscribe", "-n", "4", python, "train.py"]
    return project.run(command, OMPI_MCA_btl="self,vader", OMPI_MCA_rmaps_base_oversubscribe="1")


def run_magic(project: Project, python: str) -> Did:
    return project.run([python, *IPYTHON, "--simple-prompt"], stdin=b"%run train.py\n")


SERVER = """\
from task import task

value = str(task()).encode()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [value]
"""
HOSTS = [
    Case("ipython-script", words(*IPYTHON, "train.py"), files=files(train=USES), **VARIES),
    Case("ipython-own-script", words(*IPYTHON, "train.py"), "told", **VARIES),
    Case("run-magic", run_magic, files=files(train=USES), fails=False, **VARIES),
    Case("run-magic-own", run_magic, "told", fails=False, **VARIES),
    Case("kernel", words("kernel.py"), files=files(kernel=KERNEL), fails=False, **VARIES),
    Case("cell", words("kernel.py"), files=files(kernel=CELL), fails=False, **VARIES),
    Case("pytest", words(*PYTEST), "nothing", files(test_it=TEST), **VARIES),
    Case("pytest-own", words(*PYTEST), "nothing", files(test_it=OWN_TEST), **VARIES),
    Case("pytest-xdist", words(*PYTEST, "-n", "2"), "nothing", files(test_it=TEST), **VARIES),
    Case("coverage", words("-m", "coverage", "run", "--data-file=../coverage.sqlite", "train.py"), "nothing",
         files(train=USES)),
    Case("debugpy", words("-m", "debugpy", "--listen", "127.0.0.1:0", "train.py"), files=files(train=USES),
         **VARIES),
    Case("ranks", mpirun, files=files(train=RANKS), processes=4, **VARIES),
    Case("dask", words("train.py"), files=files(train=DASK), **VARIES),
    Case("gunicorn", serve(False), "nothing", files(server=SERVER), **VARIES),
    Case("gunicorn-preload", serve(True), files=files(server=SERVER), **VARIES),
]  # fmt: skip


@pytest.mark.parametrize("case", HOSTS, ids=repr)
def test_host(case: Case, project: Project, ways_bare: str, ways: str) -> None:
    look(case, project, ways_bare, ways)
    if case.name == "ranks":  # one record for all of them
        status = project.run([os.path.join(os.path.dirname(ways), "dlrepair"), "status"]).out
        assert status.count(" starts {} with ".format(project.path("train.py"))) == 1, status


def test_joblib(project: Project, hooked_python: Callable[[str], str]) -> None:
    python = ways_python("joblib")
    case = Case("joblib", words("train.py"), files=files(train=JOBLIB), processes=2, **VARIES)
    look(case, project, python, hooked_python(python))
