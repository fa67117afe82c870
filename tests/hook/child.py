"""Children with the hook armed from this checkout: any interpreter, nothing installed.

A directory with a ``sitecustomize.py`` that carries stage 0 inline, as the installer writes it, is put
on PYTHONPATH. The bare child has an empty sitecustomize there, so that both start alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arming_directory(parent: str, hooked: bool) -> str:
    """A directory whose sitecustomize arms the hook, or does nothing."""
    directory = os.path.join(parent, "hooked-site" if hooked else "bare-site")
    if not os.path.isdir(directory):
        os.makedirs(directory)
        source = ""
        if hooked:
            with open(os.path.join(ROOT, "dlrepair", "_bootstrap.py"), encoding="utf-8") as handle:
                source = handle.read() + "\narm({!r})\n".format(ROOT)
        with open(os.path.join(directory, "sitecustomize.py"), "w", encoding="utf-8") as handle:
            handle.write(source)
    return directory


class Result:
    """What a child did."""

    def __init__(self, status: int, out: str, err: str, journal: str) -> None:
        self.status = status
        self.out = out
        self.err = err
        self.journal = journal

    def events(self, name: str = "") -> list:
        """Journal lines, all or those of one event; a torn line is an error."""
        found = []
        for folder, _, files in os.walk(self.journal):
            for file in sorted(files):
                with open(os.path.join(folder, file), encoding="utf-8") as handle:
                    found += [json.loads(line) for line in handle]
        return [line for line in found if not name or line["event"] == name]

    def __repr__(self) -> str:
        return "status {}\n-- out\n{}\n-- err\n{}\n-- journal\n{}".format(
            self.status, self.out, self.err, "\n".join(map(json.dumps, self.events()))
        )


def environment(top: str, hooked: bool, **extra: str) -> dict:
    """A private environment: nothing of the developer's own settings gets in."""
    home = top + "-home"
    os.makedirs(home, exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "PYTHONPATH": arming_directory(top, hooked),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": home,
        "LC_ALL": "C.UTF-8",
    }
    env.update(extra)
    return env


def run(
    top: object,
    code: str,
    hooked: bool = True,
    cwd: object = None,
    script: str = "",
    timeout: float = 60.0,
    **extra: str,
) -> Result:
    """Runs ``code`` as a script file below ``top``."""
    top = str(top)
    path = script or os.path.join(top, "script.py")
    known = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as handle:
            known = handle.read()
    if known != code:  # an unchanged script keeps its modification time
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(code)
    env = environment(top, hooked, **extra)
    done = subprocess.run(
        [sys.executable, path], env=env, cwd=str(cwd or top), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=timeout,
    )  # fmt: skip
    journal = os.path.join(
        env.get("XDG_STATE_HOME", os.path.join(env["HOME"], ".local", "state")), "dlrepair", "journal"
    )
    return Result(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), journal
    )


def both(top: object, code: str, **options: object) -> tuple:
    """(bare, hooked) results of the same script."""
    return run(top, code, hooked=False, **options), run(top, code, hooked=True, **options)  # type: ignore[arg-type]


def compile_library(path: object, source: str = "int answer(void) { return 42; }", *flags: str) -> str:
    """A shared library compiled from C, or an assertion with the compiler's words."""
    path = str(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    done = subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, "-x", "none", *flags], input=source.encode(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()
    return path
