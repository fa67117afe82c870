"""What the system or another program says about a process: why it must not become a new one, and that none does."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig

import pytest
from starting import HERE, LIBRARIES, MAP_NEW, MAP_OLD, NEW, OLD, WORK, Did, Project, Way, check, no_trouble

HEAD = LIBRARIES.replace("@HERE@", HERE)
LOADS = "\n".join(HEAD.splitlines()[-2:]) + "\n"
TOP = HEAD[: -len(LOADS)]

pytestmark = pytest.mark.compile


def words(*arguments: str, **env: str):
    return lambda project, python: project.run([python, *arguments], **env)


def files(**texts: str):
    def prepare(project: Project) -> None:
        for name, text in texts.items():
            project.write(name + ".py", text)

    return prepare


#: what PyInstaller's and cx_Freeze's start-up code do, as the first import
FROZEN = TOP + "import frozen\n" + LOADS + WORK
#: a subinterpreter that runs the program, for as long as the module has that name
INNER = """\
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
number = interpreters.create()
problem = interpreters.run_string(number, "exec(compile(open('inner.py').read(), 'inner.py', 'exec'))")
sys.exit(problem is not None)
"""
PROFILED = ["-m", "cProfile", "-o", os.devnull, "train.py"]
RUNPY = "import runpy, sys\nsys.argv[:] = ['train.py']\nrunpy.run_path('train.py', run_name='__main__')\n"
CASE = """\
import unittest
from task import work


class Case(unittest.TestCase):
    def test_it(self):
        self.assertEqual(work("case"), 42)
"""
TASK = HEAD + WORK[: WORK.index("\n\nprint")] + "\n"

HOSTS = [
    Way("subinterpreter", words("train.py"), "subinterpreter",
        files(train=INNER, inner=HEAD.replace(HERE, "os.getcwd()") + WORK)),
    Way("profiler", words(*PROFILED), "debugger", files(train=HEAD + WORK)),
    Way("another-program-runs-it", words("runner.py"), "runner", files(train=HEAD + WORK, runner=RUNPY)),
    Way("unittest", words("-m", "unittest", "-q", "case"), "function", files(case=CASE, task=TASK)),
]  # fmt: skip


@pytest.mark.parametrize("way", HOSTS, ids=repr)
def test_host(way: Way, project: Project, bare: str, hooked: str) -> None:
    check(way, "conflict", project, bare, hooked)


def changing(change: str):
    """A start of a program whose own file an import removes, or replaces, before the load."""

    def start(project: Project, python: str) -> Did:
        project.write("train.py", TOP + "import helper\n" + LOADS + WORK)
        project.write("other.py", "import this\n")
        project.write("helper.py", "import os\n" + change)
        return project.run([python, "train.py"])

    return start


SOURCES = [
    Way("script-deleted", changing("os.unlink('train.py')\n"), "source", lambda project: None),
    Way("script-replaced", changing("os.replace('other.py', 'train.py')\n"), "source", lambda project: None),
    Way("bytecode-only", words("train.pyc"), "source", lambda project: subprocess.run([sys.executable, "-c", (
        "import os, py_compile; py_compile.compile('source.py', 'train.pyc'); os.unlink('source.py')"
    )], cwd=os.path.dirname(project.write("source.py", HEAD + WORK)), check=True)),
]  # fmt: skip


@pytest.mark.parametrize("way", SOURCES, ids=repr)
def test_source(way: Way, project: Project, bare: str, hooked: str) -> None:
    """What the program has done so far is read from its text: the one that runs, or none."""
    check(way, "conflict", project, bare, hooked)


HOST = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>

int main(int argc, char **argv) {
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, argv[1]);
    if (!PyStatus_Exception(status)) status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    FILE *file = fopen(argv[2], "r");
    int bad = file == NULL || PyRun_SimpleFileEx(file, argv[2], 1);
    puts("the host goes on");
    return Py_FinalizeEx() < 0 || bad ? 9 : 0;
}
"""


def host_program(project: Project) -> str:
    """A C program that runs a script in an interpreter of its own, with the virtualenv that it is told."""
    project.write("host.c", HOST)
    path = project.path("host")
    facts = sysconfig.get_config_vars()
    libraries = facts["LIBDIR"] if facts["Py_ENABLE_SHARED"] else facts["LIBPL"]
    command = ["gcc", "-o", path, project.path("host.c"), "-I" + sysconfig.get_paths()["include"], "-L" + libraries,
               "-Wl,-rpath," + libraries, "-lpython" + facts["LDVERSION"], "-Wl,--export-dynamic"]  # fmt: skip
    command += "{LIBS} {SYSLIBS} {LINKFORSHARED}".format(**facts).split()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return path


@pytest.mark.skipif(sys.version_info < (3, 8), reason="PyConfig came with 3.8")
def test_embedded(project: Project, bare: str, hooked: str) -> None:
    """Its command line is another program's: it is never started again, and nothing is promised for the next start."""
    project.build("conflict")
    project.write("train.py", project.program)
    host = host_program(project)
    good = project.run([host, bare, "train.py"])
    assert good.status == 0 and good.effects == ["main"] and good.out.endswith("the host goes on\n"), good.story()
    project.break_("conflict")
    broken = project.run([host, bare, "train.py"])
    assert broken.status == 9 and not broken.effects, broken.story()
    for _ in range(2):
        did = project.run([host, hooked, "train.py"])
        no_trouble(did)
        assert (did.status, did.out, did.effects) == (9, broken.out, []), did.story()
        assert [line["refused"] for line in did.events("reexec")] == ["embedded"], did.story()
        assert not any(line.get("kept") or line.get("applied") for line in did.events("learned")), did.story()
    assert "\nhelp: Start it with LD_LIBRARY_PATH={}.\n".format(project.path("lib")) in did.err, did.story()
    by_hand = project.run([host, hooked, "train.py"], LD_LIBRARY_PATH=project.path("lib"))
    assert (by_hand.status, by_hand.effects) == (0, ["main"]), by_hand.story()


def test_frozen(project: Project, bare: str, hooked: str) -> None:
    """``sys.frozen``, as PyInstaller's start-up code sets it: nothing can be proved by a child, either."""
    project.build("conflict")
    project.write("train.py", FROZEN)
    project.write("frozen.py", "import sys\nsys.frozen = True\n")
    project.break_("conflict")
    broken = project.run([bare, "train.py"])
    for _ in range(2):
        did = project.run([hooked, "train.py"])
        no_trouble(did)
        assert (did.status, did.out, did.effects) == (1, broken.out, []), did.story()
        assert [line["refused"] for line in did.events("reexec")] == ["frozen"], did.story()
        assert not did.events("learned"), did.story()
        assert "\nhelp: Try it with LD_LIBRARY_PATH={}.\n".format(project.path("lib")) in did.err, did.story()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a program that gains rights")
@pytest.mark.parametrize("way", ["set-user-id", "capability"])
def test_a_process_that_gains_rights(way: str, project: Project, hooked: str) -> None:
    """AT_SECURE: ld.so ignores LD_*, and dlrepair stays out: no journal, no record, no line, no second start."""
    project.build("conflict")
    project.write("train.py", project.program + "print(os.getuid(), os.geteuid())\n")
    project.break_("conflict")
    copy = os.path.join(project.world.top, "environment")
    shutil.copytree(os.path.dirname(os.path.dirname(hooked)), copy, symlinks=True)
    python = os.path.join(copy, "bin", "python")
    real = os.path.realpath(python)
    for name in os.listdir(os.path.dirname(python)):
        path = os.path.join(os.path.dirname(python), name)
        if os.path.realpath(path) == real:
            os.unlink(path)
    shutil.copy(real, python)
    script = project.path("train.py")
    ordinary = project.run([python, script])
    assert ordinary.status == 0 and ordinary.events("reexec"), ordinary.story()  # the copy is one like any other
    if way == "capability":
        subprocess.run(["setcap", "cap_dac_read_search,cap_dac_override+ep", python], check=True)
    else:
        os.chmod(python, 0o4755)
    reach = project.world.top
    while reach != "/" and os.stat(reach).st_uid == os.getuid() and not os.stat(reach).st_mode & stat.S_IXOTH:
        os.chmod(reach, 0o711)
        reach = os.path.dirname(reach)
    project.home = os.path.join(project.world.top, "home-of-nobody")
    os.makedirs(project.home)
    os.chown(project.home, 65534, 65534)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    did = project.run([*command, python, script])
    assert did.status == 1 and "libsecond.so" in did.err and not did.effects, did.story()
    assert "dlrepair[" not in did.err and "help:" not in did.err, did.story()
    assert not os.listdir(project.home) and not did.journal, did.story()


CHAIN = """\
import os
os.makedirs(os.path.join(@HERE@, "starts"), exist_ok=True)
os.mkdir(os.path.join(@HERE@, "starts", str(len(os.listdir(os.path.join(@HERE@, "starts"))))))
""".replace("@HERE@", HERE)
#: the second time, the directory that the fix leads to is empty by the time of the load
TAKEN = CHAIN + """\
if len(os.listdir(os.path.join(@HERE@, "starts"))) > 1:
    os.rename(os.path.join(@HERE@, "lib"), os.path.join(@HERE@, "gone"))
""".replace("@HERE@", HERE)


def starts(project: Project) -> int:
    return len(os.listdir(project.path("starts")))


def test_a_fix_that_does_not_help(project: Project, bare: str, hooked: str) -> None:
    """It was proved, and then somebody took the library away: one new process, and its own original error."""
    project.build("conflict")
    project.write("train.py", TOP + "import helper\n" + LOADS + WORK)
    project.break_("conflict")
    project.write("helper.py", "")
    broken = project.run([bare, "train.py"])
    project.write("helper.py", TAKEN)
    did = project.run([hooked, "train.py"])
    no_trouble(did)
    assert starts(project) == 2, did.story()
    assert [line["refused"] for line in did.events("reexec")][:1] == [None], did.story()
    assert all(line["refused"] for line in did.events("reexec")[1:]), did.story()
    users = "".join(line for line in did.err.splitlines(True) if not line.startswith(
        ("dlrepair[", "help:", "  tried:", "  rejected")))  # fmt: skip
    assert (did.status, did.out, did.effects) == (1, "", []), did.story()
    assert users.splitlines()[-1] == broken.err.splitlines()[-1], did.story() + broken.story()
    assert "Error: " in users.splitlines()[-1] and "libdep.so.1" in users.splitlines()[-1], did.story()
    assert len({line["pid"] for line in did.journal}) == 1 and len({line["run"] for line in did.journal}) == 1


def test_at_most_once(project: Project, bare: str, hooked: str) -> None:
    """Two conflicts: the second is met by the process that was started for the first, and becomes no third one.

    Its fix is learned together with the first: the next start needs neither.
    """
    project.build("conflict")
    world = project.world
    for folder, source, versions in (("old2", OLD, MAP_OLD), ("lib2", NEW, MAP_NEW)):
        project.write(folder + "/two.map", versions.replace("dep", "two"))
        script = "-Wl,--version-script=" + world.path(folder + "/two.map")
        world.library(folder + "/libtwo.so.1", source.replace("dep", "two"), flags=[script])
    world.library("libthird.so", "extern int two(void);\nint third(void) { return two(); }\n",
                  needs=["old2/libtwo.so.1"], runpath="$ORIGIN/old2")  # fmt: skip
    world.library("libfourth.so", "extern int two_new(void);\nint fourth(void) { return two_new(); }\n",
                  needs=["lib2/libtwo.so.1"])  # fmt: skip
    more = "".join("{0} = ctypes.CDLL(os.path.join(HERE, 'lib{0}.so'))\n".format(one) for one in ("third", "fourth"))
    project.write("train.py", TOP + "import helper\n" + LOADS + more + WORK)
    project.write("helper.py", CHAIN)
    project.break_("conflict")
    did = project.run([hooked, "train.py"])
    no_trouble(did)
    assert starts(project) == 2 and did.status == 1 and not did.effects, did.story()
    assert "libfourth.so" in did.err.splitlines()[-1] or "libfourth.so" in did.err, did.story()
    assert [line["refused"] for line in did.events("reexec")] == [None, "restarted"], did.story()
    assert len({line["pid"] for line in did.journal}) == 1 and len({line["run"] for line in did.journal}) == 1
    again = project.run([hooked, "train.py"])
    no_trouble(again)
    assert (again.status, again.effects) == (0, ["main"]) and starts(project) == 3, again.story()
    assert not again.events("load-failed") and not again.events("reexec"), again.story()
