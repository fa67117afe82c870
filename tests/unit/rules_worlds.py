"""Worlds for the tests of the rules: real files made by the real compiler, and what the real loader says of them."""

from __future__ import annotations

import os
import subprocess
import sys

LOAD = (
    "import ctypes, sys\n"
    "try:\n    ctypes.CDLL(sys.argv[1])\n"
    "except OSError as error:\n    sys.stdout.write('OSError\\n' + str(error))\n"
    "else:\n    sys.stdout.write('loaded\\n')\n"
)


def compile_c(out: str, source: str, *flags: str, shared: bool = True, compiler: str = "gcc") -> str:
    """Path of what the compiler made of ``source``; ``flags`` come behind it, as libraries must."""
    os.makedirs(os.path.dirname(out), exist_ok=True)
    language = "c++" if compiler == "g++" else "c"
    command = [compiler, "-x", language, "-O1", "-fPIC", "-w", "-o", out]
    command += (["-shared"] if shared else []) + ["-", "-x", "none", *flags]
    done = subprocess.run(command, input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")
    return out


def dlopen(path: str, cwd: str | None = None, preload: str = "", **env: str) -> str:
    """The words of the real loader for ``path`` in a fresh interpreter; "" when it loads it."""
    code = preload + LOAD
    return run_child([sys.executable, "-c", code, path], cwd, **env)


def run_child(command: list[str], cwd: str | None = None, **env: str) -> str:
    """What a child that tries a load prints: "" for success, the loader's words, or the signal that killed it."""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("LD_", "DLREPAIR"))}
    surroundings.update(env)
    done = subprocess.run(
        command, cwd=cwd, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60
    )
    if done.returncode < 0:
        return "killed by signal {}".format(-done.returncode)
    text = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    if text == "loaded\n":
        return ""
    assert text.startswith("OSError\n"), text
    return text[len("OSError\n") :]


def set_bytes(path: str, offset: int, new: bytes) -> None:
    """Overwrite bytes of a file in place."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(new)


def cut(path: str, size: int) -> None:
    """Cut a file short."""
    with open(path, "r+b") as file:
        file.truncate(size)
