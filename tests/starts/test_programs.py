"""Programs that start Python, or run other people's code in it, in their own way: the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Callable

import pytest
from starting import HERE, LIBRARIES, Did, Project, Way, check, ways_python

TASK = """\
import ctypes
import os

HERE = @HERE@


def task(name="task"):
    first = ctypes.CDLL(os.path.join(HERE, "libfirst.so"))
    second = ctypes.CDLL(os.path.join(HERE, "libsecond.so"))
    with open(os.path.join(HERE, "effects"), "a") as file:
        file.write("task\\n")
    return second.second()
""".replace("@HERE@", HERE)

POOL = """\
import multiprocessing
import sys
from task import task

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.map(task, ["a", "b", "c"], chunksize=1))
"""

EXECUTOR = """\
from concurrent.futures import ProcessPoolExecutor
from task import task

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(task, ["a", "b"])))
"""

KERNEL = """\
import sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
status = 0
try:
    for cell in ("from task import task", "print('task says', task())"):
        reply = client.execute_interactive(cell, timeout=60, allow_stdin=False, output_hook=lambda message: (
            print(message["content"]["text"], end="") if message["msg_type"] == "stream"
            and message["content"]["name"] == "stdout" else None))
        status = status or int(reply["content"]["status"] != "ok")
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
sys.exit(status)
"""

RAY = """\
import ray

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False, namespace="t")


@ray.remote(max_retries=0)
def work():
    from task import task

    return task()


try:
    print(ray.get(work.remote()))
finally:
    ray.shutdown()
"""

DASK = """\
from dask.distributed import Client, LocalCluster
from task import task

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            print(client.submit(task, "a", retries=0).result(timeout=60))
"""

SERVER = """\
from task import task


def application(environ, start_response):
    text = str(task()).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text]
"""


#: loaded by the master, before it forks its workers
SERVER_EARLY = LIBRARIES.replace("@HERE@", HERE) + """\


def application(environ, start_response):
    with open(os.path.join(HERE, "effects"), "a") as file:
        file.write("answer\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(second.second()).encode()]
"""


def files(**texts: str):
    def prepare(project: Project) -> None:
        project.write("task.py", TASK)
        for name, text in texts.items():
            project.write(name + ".py", text)

    return prepare


def words(*arguments: str, **env: str):
    return lambda project, python: project.run([python, *arguments], **env)


def worker(name: str, slug: str, *arguments: str, same_output: bool = False, **texts: str) -> Way:
    return Way(name, words(*arguments), slug, files(**texts), same_output)


def serve(preload: bool):
    """gunicorn with two preforked workers, asked once; it ends as its supervisor ends it."""

    def start(project: Project, python: str) -> Did:
        socket = os.path.join(project.world.top, "socket")
        command = [python, "-m", "gunicorn", "--workers", "2", "--bind", "unix:" + socket, "server:application"]
        command += ["--preload"] if preload else []
        def ask(process: subprocess.Popen[bytes]) -> None:
            answer = project.answer = ""
            for _ in range(200):
                if process.poll() is not None:
                    return
                done = subprocess.run(
                    [sys.executable, "-c", ASK, socket], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                answer = done.stdout.decode()
                if answer:
                    break
                time.sleep(0.1)
            project.answer = answer
            process.send_signal(signal.SIGTERM)

        did = project.run(command, wait=ask, PYTHONPATH=project.root)
        did.out = project.answer
        did.status = 0 if did.status == 0 and "200" in project.answer else 1
        return did

    return start


ASK = """\
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("GET", "/")
try:
    answer = connection.getresponse()
    print(answer.status, answer.read() if answer.status == 200 else b"")
except http.client.HTTPException as error:  # the worker takes an OSError for a closed connection
    print(type(error).__name__)
"""

LOAD = LIBRARIES.replace("@HERE@", HERE)
TEST = "from task import task\n\n\ndef test_task():\n    assert task() == 42\n"
TWO_TESTS = TEST + "\n\ndef test_again():\n    assert task() == 42\n"

#: in the interpreter of the other tests
WORKERS = [
    worker("fork", "forked", "train.py", "fork", train=POOL),
    worker("spawn", "worker", "train.py", "spawn", train=POOL),
    worker("forkserver", "forked", "train.py", "forkserver", train=POOL),
    worker("executor", "forked", "train.py", train=EXECUTOR),
]  # fmt: skip

PROGRAMS = [
    worker("ipython-script", "ipython", "-m", "IPython", "--no-banner", "train.py",
           train="from task import task\nprint(task())\n"),
    worker("ipython-text", "ipython", "-m", "IPython", "--no-banner", "-c", "from task import task; print(task())"),
    Way("jupyter-kernel", words("kernel.py"), "jupyter", files(kernel=KERNEL), same_output=False),
    worker("pytest", "pytest", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", test_it=TEST),
    worker("pytest-xdist", "pytest", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "test_it.py",
           test_it=TWO_TESTS),
    worker("coverage", "debugger", "-m", "coverage", "run", "--data-file=../coverage.sqlite", "train.py",
           train="from task import task\nprint(task())\n"),
    worker("debugpy", "debugger", "-m", "debugpy", "--listen", "127.0.0.1:0", "train.py",
           train="from task import task\nprint(task())\n"),
    worker("ray", "ray", "train.py", train=RAY),
    worker("dask", "worker", "train.py", train=DASK),
    Way("gunicorn", serve(False), "forked", files(server=SERVER), same_output=True),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("kind", ["moved", "conflict"])
@pytest.mark.parametrize("way", WORKERS, ids=repr)
def test_worker(way: Way, kind: str, project: Project, bare: str, hooked: str) -> None:
    check(way, kind, project, bare, hooked)


@pytest.mark.compile
def test_gunicorn_that_preloads(project: Project, ways_bare: str, ways: str) -> None:
    """The master loads the library before it forks: refused there, learned, and its workers have it."""
    way = Way("gunicorn-preload", serve(True), "server", files(server=SERVER_EARLY))
    check(way, "conflict", project, ways_bare, ways)


JOBLIB = """\
from joblib import Parallel, delayed
from task import task

if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(task)(name) for name in "abcd"))
"""


@pytest.mark.compile
def test_joblib(project: Project, hooked_python: Callable[[str], str]) -> None:
    """loky's workers are started by a command line of their own, and take what their parent has."""
    python = ways_python("joblib")
    way = worker("joblib", "worker", "train.py", train=JOBLIB)
    check(way, "conflict", project, python, hooked_python(python))


@pytest.mark.compile
@pytest.mark.parametrize("kind", ["moved", "conflict"])
@pytest.mark.parametrize("way", PROGRAMS, ids=repr)
def test_program(way: Way, kind: str, project: Project, ways_bare: str, ways: str) -> None:
    check(way, kind, project, ways_bare, ways)


GIVES_UP = """\
import ctypes, os

def load():
    lib = os.path.join(os.environ.get("ROI_HOME", "/opt/roi"), "build", "libroi.so")
    if not os.path.exists(lib):
        raise FileNotFoundError(lib)
    return ctypes.CDLL(lib).roi()
"""
#: runs two cells, and shows all that a person sees of each
SHOWN = """\
import sys
from jupyter_client.manager import start_new_kernel

def show(message):
    content = message["content"]
    if message["msg_type"] == "stream":
        print(content["name"], content["text"], end="")
    elif message["msg_type"] == "error":
        print("error", content["ename"])

manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
try:
    for cell in ("from task import load", "print('says', load())", "print('says', load())"):
        client.execute_interactive(cell, timeout=60, allow_stdin=False, output_hook=show)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


@pytest.mark.compile
@pytest.mark.parametrize("way", ["kernel", "ipython"])
def test_a_cell_that_gives_up(way: str, project: Project, ways_bare: str, ways: str) -> None:
    """An error in a notebook or at IPython's prompt: shown by IPython, told once, learned for the next start."""
    project.world.library("build/libroi.so", "int roi(void) { return 42; }\n")
    project.write("task.py", GIVES_UP)
    project.write("kernel.py", SHOWN)

    def start(python: str) -> Did:
        if way == "kernel":
            return project.run([python, "kernel.py"])
        lines = b"from task import load\nprint('says', load())\nprint('says', load())\n"
        command = [python, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor"]
        return project.run(command, stdin=lines)

    def shown(did: Did) -> list[str]:
        kept = [line for line in (did.out + did.err).splitlines() if "FileNotFoundError" in line or "says 42" in line]
        return [line[line.index("FileNot") :] if "FileNot" in line else line for line in kept]

    broken = start(ways_bare)
    assert len([line for line in shown(broken) if "FileNotFoundError" in line]) >= 2, broken.story()
    first = start(ways)
    assert not first.events("internal-error") and shown(first) == shown(broken), first.story() + broken.story()
    told = first.out + first.err
    assert told.count("dlrepair[file-missing]: ") == 1, first.story()
    again = "Restart the kernel" if way == "kernel" else "Run it again"
    assert "help: {}: ROI_HOME={} is learned".format(again, project.root) in told, first.story()
    second = start(ways)
    assert len([line for line in shown(second) if "says 42" in line]) == 2, second.story()
    assert "FileNotFoundError" not in second.out + second.err, second.story()


#: name -> (words behind python, what is typed); the script's exception is shown by IPython, which goes on
SCRIPTS = {
    "script": (["-m", "IPython", "--no-banner", "--colors=nocolor", "train.py", "argument"], b""),
    "console-script": (["@BIN@/ipython", "--no-banner", "--colors=nocolor", "train.py"], b""),
    "script-and-prompt": (["-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor", "-i", "train.py"],
                          b"1 + 1\n"),
    "run-magic": (["-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor"],
                  b"%run train.py argument\n1 + 1\n"),
}  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("way", SCRIPTS)
def test_a_script_of_ipython_that_gives_up(way: str, project: Project, ways_bare: str, ways: str) -> None:
    """Shown by IPython, told once afterwards, learned for the next start of that script, and of no other."""
    project.world.library("build/libroi.so", "int roi(void) { return 42; }\n")
    project.write("task.py", GIVES_UP)
    project.write("train.py", "from task import load\nprint('says', load())\n")
    project.write("other.py", "import os\nprint('home', os.environ.get('ROI_HOME'))\n")
    words, typed = SCRIPTS[way]
    binaries = os.path.dirname(ways_bare)

    def start(python: str, script: str = "train.py") -> Did:
        given = [one.replace("@BIN@", binaries).replace("train.py", script) for one in words]
        return project.run([python, *given], stdin=typed.replace(b"train.py", script.encode()))

    broken = start(ways_bare)
    assert (broken.out + broken.err).count("FileNotFoundError: ") == 1, broken.story()
    first = start(ways)
    told = first.out + first.err
    assert not first.events("internal-error") and first.status == broken.status, first.story()
    assert told.count("FileNotFoundError: ") == 1 and told.count("dlrepair[file-missing]: ") == 1, first.story()
    assert told.index("FileNotFoundError: ") < told.index("dlrepair[file-missing]: "), first.story()
    assert "help: Run it again: ROI_HOME={} is learned".format(project.root) in told, first.story()
    second = start(ways)
    assert "says 42" in second.out and "FileNotFoundError" not in second.out + second.err, second.story()
    if way == "script":
        tool = os.path.join(os.path.dirname(ways), "dlrepair")
        status = project.run([tool, "status"]).out
        assert "  starts -m IPython that runs {} with ROI_HOME=".format(project.path("train.py")) in status, status
        assert project.run([tool, "cache", "forget", project.path("train.py")]).status == 0
        assert "FileNotFoundError" in start(ways).out
    if way not in ("run-magic", "console-script"):  # a prompt is one program, whatever is typed there
        assert "home None" in start(ways, "other.py").out


@pytest.mark.compile
@pytest.mark.parametrize("kind", ["moved", "conflict"])
@pytest.mark.parametrize("way", ["run-magic", "script-and-prompt"])
def test_ipython_that_runs_a_script(way: str, kind: str, project: Project, ways_bare: str, ways: str) -> None:
    words, typed = SCRIPTS[way]
    text = "from task import task\nprint(task())\n"

    def start(project: Project, python: str) -> Did:
        return project.run([python, *words], stdin=typed)

    check(Way(way, start, "ipython", files(train=text), same_output=False), kind, project, ways_bare, ways)


RANK = """\
@EARLY@import ctypes
import os

HERE = @HERE@
first = ctypes.CDLL(os.path.join(HERE, "libfirst.so"))
second = ctypes.CDLL(os.path.join(HERE, "libsecond.so"))
from mpi4py import MPI

total = MPI.COMM_WORLD.allreduce(second.second())
with open(os.path.join(HERE, "effects"), "a") as file:
    file.write("rank %d of %d\\n" % (MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()))
if MPI.COMM_WORLD.Get_rank() == 0:
    print("total", total)
""".replace("@HERE@", HERE)
RANKS = 8


def mpirun(project: Project, python: str) -> Did:
    command = ["mpirun", "--oversubscribe", "-n", str(RANKS), python, "train.py"]
    if os.getuid() == 0:
        command.insert(1, "--allow-run-as-root")
    did = project.run(command, OMPI_MCA_btl="self,vader", OMPI_MCA_rmaps_base_oversubscribe="1")
    did.effects.sort()
    return did


@pytest.mark.compile
@pytest.mark.parametrize(
    "kind, early", [("moved", ""), ("conflict", ""), ("conflict", "from mpi4py import MPI\n")],
    ids=["moved", "conflict", "conflict-after-init"],
)  # fmt: skip
def test_eight_ranks(kind: str, early: str, project: Project, ways_bare: str, ways: str) -> None:
    """Open MPI's own mpirun: one repair, eight good ranks, one journal story."""
    project.build(kind)
    project.write("train.py", RANK.replace("@EARLY@", early))
    good = mpirun(project, ways_bare)
    assert good.status == 0 and good.out == "total %d\n" % (42 * RANKS) and len(good.effects) == RANKS, good.story()
    project.break_(kind)
    project.forget()
    if early:  # MPI_Init has run: the other ranks know of this process, so that it stays what it is
        first = mpirun(project, ways)
        assert first.status != 0 and not first.effects, first.story()
        refused = {line["refused"] for line in first.events("reexec")}
        assert refused and refused <= {"mpi", "threads"}, first.story()
    did = mpirun(project, ways)
    assert (did.status, did.out, did.effects) == (0, good.out, good.effects), did.story()
    assert not did.events("internal-error"), did.story()
    assert len({line["run"] for line in did.journal}) == 1, did.story()
    if early:
        assert sum(bool(line.get("applied")) for line in did.events("learned")) == RANKS, did.story()
        return
    assert len({line["pid"] for line in did.events("load-repaired")}) == RANKS, did.story()
    read = subprocess.run([os.path.join(os.path.dirname(ways), "dlrepair"), "log"], stdout=subprocess.PIPE,
                          env={"HOME": project.home, "PATH": os.environ["PATH"]}).stdout.decode()  # fmt: skip
    told = [part for part in read.split("\n\n") if "libsecond.so" in part]
    assert len(told) == 1 and "  and 7 other processes of this run the same: pid " in told[0], read
    if kind == "moved":
        assert sum(not line.get("remembered") for line in did.events("load-repaired")) == 1, did.story()
    else:
        assert [line["refused"] for line in did.events("reexec")] == [None] * RANKS, did.story()
        assert len({line["path"] for line in did.events("candidate") if line["verdict"] == "accepted"}) == 1
        assert len([1 for line in did.events("candidate") if line["verdict"] == "accepted"]) == 1, did.story()
        again = mpirun(project, ways)
        assert (again.status, again.out, again.effects) == (0, good.out, good.effects), again.story()
        assert not any("libsecond" in line["requested"] for line in again.events("load-failed")), again.story()
