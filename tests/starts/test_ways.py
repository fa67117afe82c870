"""Every way that Python itself can be started, in a world that is repaired in place and in one that is not."""

from __future__ import annotations

import os
import pty
import subprocess
import zipfile

import pytest
from starting import HERE, LIBRARIES, WORK, Did, Project, Way, check

STDIN_PROGRAM = (LIBRARIES + WORK).replace("@HERE@", "os.getcwd()")


def words(*arguments: str, cwd: str = "", **env: str):
    return lambda project, python: project.run([python, *arguments], cwd=project.path(cwd) if cwd else None, **env)


def stdin_program(project: Project) -> None:
    project.write("program.py", STDIN_PROGRAM)


def from_file(project: Project, python: str) -> Did:
    with open(project.path("program.py"), "rb") as file:
        return project.run([python], stdin=file)


def from_the_middle_of_a_file(project: Project, python: str) -> Did:
    """The shell has read a line already: what is left is the program."""
    with open(project.path("program.py"), "rb") as file:
        os.lseek(file.fileno(), len(STDIN_PROGRAM.splitlines(True)[0]), os.SEEK_SET)
        return project.run([python, "-"], stdin=file)


def middle(project: Project) -> None:
    project.write("program.py", STDIN_PROGRAM.splitlines(True)[0] + STDIN_PROGRAM)


def from_pipe(project: Project, python: str) -> Did:
    return project.run([python], stdin=STDIN_PROGRAM.encode())


def here_document(shell: str):
    def start(project: Project, python: str) -> Did:
        return project.run([shell, "-c", "exec %s - <<'EOF'\n%sEOF\n" % (python, STDIN_PROGRAM)])

    return start


def shebang(project: Project, python: str) -> Did:
    path = project.write("train", "#!%s -u\n%s" % (python, project.program), 0o755)
    return project.run([path, "--epochs", "3"])


def package(project: Project) -> None:
    project.write("train/__init__.py", "")
    project.write("train/__main__.py", project.program.replace(HERE, "os.path.dirname(%s)" % HERE))


def archive(project: Project) -> None:
    with zipfile.ZipFile(project.path("train.pyz"), "w") as file:
        file.writestr("__main__.py", STDIN_PROGRAM)


def console_script(project: Project, python: str) -> Did:
    script = "import re\nimport sys\nfrom tool import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    path = project.write("bin/tool", "#!%s\n%s" % (python, script), 0o755)
    return project.run([path], PYTHONPATH=project.root)


def tool(project: Project) -> None:
    project.write("tool.py", LIBRARIES.replace("@HERE@", HERE) + "def main():\n" + "".join(
        "    " + line for line in WORK.splitlines(True)))  # fmt: skip


def imported(project: Project) -> None:
    project.write("libraries.py", LIBRARIES.replace("@HERE@", HERE))
    project.write("train.py", "import os\nfrom libraries import HERE, second\n" + WORK)


def prompt(project: Project, python: str) -> Did:
    """A real terminal: the program is typed, line by line."""
    master, slave = pty.openpty()
    lines = [
        "import ctypes, os", "HERE = os.getcwd()", "first = ctypes.CDLL(HERE + '/libfirst.so')",
        "second = ctypes.CDLL(HERE + '/libsecond.so')",
        "n = second.second(); print('second says', n, file=open(HERE + '/effects', 'a'))", "exit()",
    ]  # fmt: skip

    def type_it(process: subprocess.Popen[bytes]) -> None:
        os.close(slave)
        for line in lines:
            os.write(master, line.encode() + b"\n")

    try:
        return project.run([python, "-q"], stdin=slave, wait=type_it, TERM="dumb", PYTHON_BASIC_REPL="1")
    finally:
        os.close(master)


def empty_environment(project: Project, python: str) -> Did:
    """As cron starts a job: next to nothing is set."""
    return project.run([python, "train.py"], env={"HOME": project.home, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"})


def with_umask(mask: str):
    def start(project: Project, python: str) -> Did:
        os.makedirs(project.home, exist_ok=True)
        return project.run(["/bin/sh", "-c", "umask %s; exec %s train.py" % (mask, python)])

    return start


def first_process(project: Project, python: str) -> Did:
    """PID 1 of a namespace of its own, as in a container."""
    return project.run([*namespace("--pid", "--fork", "--mount-proc"), python, "train.py"])


def namespace(*options: str) -> list[str]:
    """unshare(1) with the rights of root, in a user namespace where we are not root."""
    return ["unshare", *([] if os.getuid() == 0 else ["--user", "--map-root-user"]), *options]


def tree(project: Project) -> None:
    """A program that starts another, which starts the one that needs a library."""
    project.write("train.py", project.program)
    for name, child in (("top.py", "middle.py"), ("middle.py", "train.py")):
        text = "import os\nimport subprocess\nimport sys\n\nhere = os.path.dirname(os.path.abspath(__file__))\n"
        text += "sys.exit(subprocess.run([sys.executable, os.path.join(here, %r)]).returncode)\n" % child
        project.write(name, text)


TEXT = STDIN_PROGRAM
WAYS = [
    Way("script", words("train.py")),
    Way("script-by-absolute-path", lambda project, python: project.run([python, project.path("train.py")], cwd="/")),
    Way("script-with-options", words("-uO", "-W", "ignore", "-Xutf8", "train.py", "-c", "--odd", "a b", "")),
    Way("isolated", words("-I", "train.py")),
    Way("module", words("-m", "train")),
    Way("package", words("-W", "error", "-m", "train"), prepare=package),
    Way("directory", words("train"), prepare=package),
    Way("archive", words("train.pyz"), prepare=archive),
    Way("text", words("-c", TEXT, "argument")),
    Way("joined-text", words("-uIc", TEXT)),
    Way("long-text", words("-c", "#" * 100000 + "\n" + TEXT)),
    Way("stdin-file", from_file, prepare=stdin_program),
    Way("stdin-file-from-the-middle", from_the_middle_of_a_file, prepare=middle),
    Way("stdin-pipe", from_pipe, "stdin"),
    Way("here-document-bash", here_document("/bin/bash"), "stdin"),
    Way("here-document-sh", here_document("/bin/sh"), "stdin"),
    Way("shebang", shebang),
    Way("console-script", console_script, prepare=tool),
    Way("imported", words("train.py"), prepare=imported),
    Way("stay", words("-i", "train.py"), "interactive"),
    Way("prompt", prompt, "interactive", same_output=False),
    Way("cron", empty_environment),
    Way("umask-777", with_umask("0777")),
    Way("umask-077", with_umask("077")),
    Way("umask-000", with_umask("000")),
    Way("first-process", first_process),
    Way("tree", words("top.py"), prepare=tree),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("kind", ["moved", "conflict"])
@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_way(way: Way, kind: str, project: Project, bare: str, hooked: str) -> None:
    check(way, kind, project, bare, hooked)


