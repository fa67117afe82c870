"""One run of a compiler or linker: bounded in time and memory, killed with all that it started, its words kept."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

#: seconds that one source may take, and bytes of address space of one compiler process.
#: A small op takes 12 s and 1.1 GB; the largest public ones some minutes
SECONDS = 900.0
BYTES = 8 << 30
#: the same of a process of a script, which may import TensorFlow
SCRIPT_BYTES = 64 << 30
#: bytes of its output that are kept
OUTPUT = 4 << 20

#: these change what a compiler does, without being among its arguments: they belong to the key
VARIABLES = (
    "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
    "SOURCE_DATE_EPOCH", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS", "NVCC_CCBIN",
)  # fmt: skip


class Ran:
    """What a command did. ``reason``: "" for status 0, else ``failed``, ``time-limit``, ``memory-limit``,
    ``disk-full`` or ``not-started``; ``output``: both streams, the paths of private copies still in it."""  # fmt: skip

    __slots__ = ("argv", "output", "reason", "seconds", "status")

    def __init__(self, argv: Sequence[str], status: int, output: str, seconds: float, place: str = "") -> None:
        self.argv = tuple(argv)
        self.status = status
        self.output = output
        self.seconds = seconds
        self.reason = _reason(status, output)
        if self.reason == "failed" and place and ": error: " not in output and _is_full(place):
            self.reason = "disk-full"  # the assembler calls it "No such file or directory"


def _reason(status: int, output: str) -> str:
    if status == 0:
        return ""
    if status == 124:
        return "time-limit"
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return "disk-full"
    if "out of memory" in output or "virtual memory exhausted" in output or "Cannot allocate memory" in output:
        return "memory-limit"
    return "not-started" if status == 127 else "failed"


def _is_full(place: str) -> bool:
    """Whether next to nothing can be written where temporary files lie (statvfs(3))."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 8 << 20


def limit(name: str, default: float) -> float:
    """A bound, as the environment has it (``DLREPAIR_BUILD_SECONDS``, ``DLREPAIR_BUILD_MEMORY`` in MiB), or as here."""
    try:
        value = float(os.environ.get(name, ""))
    except ValueError:
        return default
    return value if value > 0 else default


def environment(temporary: str = "") -> dict[str, str]:
    """The environment for a compiler: the user's, with messages in English and temporary files in the store."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DLREPAIR")}
    env.update(LC_ALL="C", DLREPAIR="off")
    for name in ("GCC_COLORS", "CLICOLOR_FORCE", "LD_PRELOAD"):
        env.pop(name, None)
    if temporary:
        env["TMPDIR"] = temporary
    return env


def start(
    argv: Sequence[str], *, cwd: str = "", temporary: str = "", seconds: float = 0.0, output: Any = None,
    env: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """A ``Popen`` of the supervised command; its standard input has to stay open until ``finish``. Raises OSError.

    ``env``: for a script, whose daemons are ended with it and whose processes may use more address space.
    """
    import subprocess

    seconds = seconds or limit("DLREPAIR_BUILD_SECONDS", SECONDS)
    most = int(limit("DLREPAIR_BUILD_MEMORY", (BYTES if env is None else SCRIPT_BYTES) / (1 << 20))) << 20
    supervisor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")
    # the user's interpreter, never an embedding program: ``service.build`` has made sure of one
    what = "group" if env is None else "tree"
    command = [interpreter(), "-I", "-S", "-E", supervisor, what, repr(seconds), str(most), temporary, *argv]
    env = environment(temporary) if env is None else env
    return subprocess.Popen(
        command, cwd=cwd or None, env=env, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        close_fds=True, start_new_session=True,
    )  # fmt: skip


def interpreter() -> str:
    """A Python that runs by itself; the supervisor needs no more than its standard library."""
    version = "{}.{}".format(*sys.version_info[:2])
    places = [sys.executable, getattr(sys, "_base_executable", None) or ""]
    for prefix in (sys.prefix, sys.base_prefix):
        places += [os.path.join(prefix, "bin", "python" + version), os.path.join(prefix, "bin", "python3")]
    for place in [*places, "/usr/bin/python3"]:
        name = os.path.basename(os.path.realpath(place)).lower() if place else ""
        if name.startswith(("python", "pypy")) and os.access(place, os.X_OK):
            return place
    raise OSError("this Python is embedded, and no other was found to watch over a compiler")


def run(
    argv: Sequence[str], *, cwd: str = "", temporary: str = "", seconds: float = 0.0, tick: Any = None,
    env: dict[str, str] | None = None,
) -> Ran:  # fmt: skip
    """The command's end. ``tick()`` is called ten times a second meanwhile. Any exception kills it, Ctrl-C included."""
    return run_all([argv], cwd=cwd, temporary=temporary, seconds=seconds, tick=tick, env=env)[0]


def run_all(
    commands: Sequence[Sequence[str]], *, jobs: int = 0, cwd: str = "", temporary: str = "", seconds: float = 0.0,
    tick: Any = None, env: dict[str, str] | None = None,
) -> list[Ran]:  # fmt: skip
    """What became of each command, at most ``jobs`` of them at a time (default: as many as there are cores)."""
    import tempfile

    jobs = jobs or cores()
    answers: dict[int, Ran] = {}
    waiting = list(enumerate(commands))
    running: dict[int, tuple[Any, Any, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number, argv = waiting.pop(0)
                output = tempfile.TemporaryFile(dir=temporary or None)  # noqa: SIM115
                try:
                    child = start(argv, cwd=cwd, temporary=temporary, seconds=seconds, output=output, env=env)
                except OSError as error:
                    answers[number] = Ran(argv, 127, "{}: {}".format(argv[0], error.strerror or error), 0.0)
                    output.close()
                    continue
                running[number] = (child, output, time.monotonic())
            for number, (child, output, began) in list(running.items()):
                if child.poll() is None:
                    continue
                del running[number]
                child.stdin.close()
                output.seek(0)
                text = output.read(OUTPUT).decode("utf-8", "surrogateescape")
                output.close()
                answers[number] = Ran(commands[number], child.returncode, text, time.monotonic() - began, temporary)
            if running:
                if tick is not None:
                    tick()
                _pause(next(iter(running.values()))[0], 0.1 if len(running) == 1 else 0.02)
    finally:
        for child, output, _ in running.values():
            child.stdin.close()  # the supervisor sees that, and ends all that the compiler has started
            try:
                child.wait(5.0)
            except Exception:
                child.kill()
                child.wait()
            output.close()
    return [answers[number] for number in range(len(commands))]


def _pause(child: Any, seconds: float) -> None:
    import subprocess

    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def cores() -> int:
    """Processors that this process may use (sched_getaffinity(2))."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def first_error(output: str) -> str:
    """The compiler's or linker's first error, as it wrote it; "" where there is none."""
    import re

    pattern = re.compile(
        r"^(?:.*?(?:fatal error|error|internal compiler error): .*"
        r"|nvcc fatal *: .*|ptxas (?:fatal|error) *: .*"
        r"|.*(?:undefined reference to|multiple definition of) .*|.*cannot find -l.*"
        r"|.*: No such file or directory|.*No space left on device.*|.*out of memory.*)$"
    )
    for line in output.splitlines():
        if pattern.match(line):
            return line.strip()
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
