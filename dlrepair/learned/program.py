"""Which program a process runs, as far as a record is kept for it: read from its command line. Stage 0 imports this."""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
#: options of the interpreter that take a value, in the same word or in the next one (python --help)
_WITH_VALUE = "WX"
_PRIME = (1 << 127) - 1


def command_line(pid: "str" = "self") -> "list[str]":
    """The words that a process was started with (proc(5), ``cmdline``); [] where they cannot be read."""
    if pid == "self" and hasattr(sys, "orig_argv"):
        return list(sys.orig_argv)
    try:
        raw = read("/proc/{}/cmdline".format(pid))
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0")[:-1]]


def read(path: "str") -> "bytes":
    """All of a file of proc(5)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: "list[bytes]" = []
        while True:
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)


def parse(words: "list[str]") -> "tuple[str, str]":
    """(kind, what) of a Python's command line: ``file``, ``module``, ``text`` or ``stdin`` (python --help)."""
    at = 1
    while at < len(words):
        word = words[at]
        if word == "-" or not word.startswith("-"):
            break
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                at += 1
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in "cm":
                rest = word[place:]
                what = rest or (words[at] if at < len(words) else "")
                return ("text" if letter == "c" else "module"), what
            if letter in _WITH_VALUE:
                at += not word[place:]
                break
    if at < len(words) and words[at] != "-":
        return "file", words[at]
    return "stdin", ""


def is_worker(words: "list[str]") -> "bool":
    """Whether this is a process that multiprocessing or loky started to run a part of its parent's program."""
    kind, what = parse(words)
    if kind == "text":
        return what.startswith(("from multiprocessing.spawn import", "from multiprocessing.forkserver import"))
    return kind == "module" and what.startswith(("joblib.externals.loky.backend.", "loky.backend."))


def _stdin() -> "str":
    """What standard input is: a program read from a file is that file, another one only a way to start."""
    try:
        mode = os.fstat(0).st_mode & 0o170000
        if mode == 0o100000:
            return "file " + os.readlink("/proc/self/fd/0")
        return "terminal" if os.isatty(0) else "stream"
    except OSError:
        return "closed"


class Program:
    """The program that a process runs, as far as a record is kept for it."""

    __slots__ = ("cwd", "kind", "what")

    def __init__(self, kind: "str", what: "str", cwd: "str") -> "None":
        self.kind = kind  #: ``file``, ``module``, ``text`` or ``stdin``
        self.what = what  #: absolute path, module, length, digest and beginning of the text, or what standard input is
        self.cwd = cwd  #: the working directory where it counts, or ""

    @property
    def tag(self) -> "str":
        """The last part of ``sys.argv[0]`` while ``site`` runs: all that stage 0 looks at."""
        if self.kind == "file":
            return self.what.rstrip("/").rpartition("/")[2]
        return {"module": "-m", "text": "-c"}.get(self.kind, "")

    @property
    def shown(self) -> "str":
        """The program for a person."""
        if self.kind == "text":
            line = self.what.split(" ", 2)[2]
            return "-c " + (line if len(line) <= 60 else line[:57] + "...")
        if self.kind == "module":
            return "-m " + self.what
        return self.what if self.kind == "file" else "standard input ({})".format(self.what)

    def key(self) -> "str":
        """The record's name: ``=NAME/DIGEST``."""
        # as ``model.python.identity``: python, python3 and python3.11 of one environment are one interpreter
        where = os.path.dirname(sys.executable or "")
        parts = [self.kind, self.what, self.cwd, sys.prefix, where, getattr(sys, "abiflags", ""), sys.version]
        return "={}/{}".format(self.tag, digest("\0".join(parts)))


def digest(text: "str") -> "str":
    """The text modulo a prime: as good as a hash against chance, in microseconds, and without an import.

    Nothing is proved by it. Who could make two texts meet can write records anyway.
    """
    return "{:032x}".format(int.from_bytes(text.encode("utf-8", "surrogatepass"), "big") % _PRIME)


def program(cwd: "str", pid: "str" = "self", depth: "int" = 0) -> "Program | None":
    """The program that a process runs; of a worker, the one that its parent runs. None where /proc does not tell.

    ``cwd`` is its working directory at the start. A file that belongs to the environment (a console script) and
    everything that is no file of its own counts per directory: one ``pytest`` serves many projects. A script that
    IPython runs counts in place of the directory.
    """
    words = command_line(pid)
    if not words:
        return None
    if is_worker(words) and depth < 4:
        try:
            parent = _parent(pid)
            above = None if parent in ("0", "1") else os.readlink("/proc/{}/cwd".format(parent))
        except (OSError, ValueError):
            return None
        return None if above is None else program(above, parent, depth + 1)
    kind, what = parse(words)
    if kind == "file":
        what = os.path.normpath(cwd + "/" + what) if what[:1] != "/" else os.path.normpath(what)
        own = what.startswith(sys.prefix + "/")
        if own and what.rpartition("/")[2] in ("ipython", "ipython3"):
            return Program(kind, what, _run_by_ipython(words, cwd) or cwd)
        return Program(kind, what, cwd if own else "")
    if kind == "module" and what == "IPython":
        return Program(kind, what, _run_by_ipython(words, cwd) or cwd)
    if kind == "stdin":
        what = _stdin() if pid == "self" else "stream"
    elif kind == "text":
        what = "{} {} {}".format(len(what), digest(what), " ".join(what[:200].split()))
    return Program(kind, what, cwd)


def _run_by_ipython(words: "list[str]", cwd: "str") -> "str":
    """Absolute path of the script among the words for IPython, or ""."""
    for at, word in enumerate(words[2:], 2):
        if word in ("-c", "-m") and words[at + 1 : at + 2] != ["IPython"]:
            break
        if word[:1] != "-" and word.endswith((".py", ".ipy", ".ipynb")):
            return os.path.normpath(word if word[:1] == "/" else cwd + "/" + word)
    return ""


def _parent(pid: "str") -> "str":
    if pid == "self":
        return str(os.getppid())
    # the name, in parentheses, may hold anything (proc(5), stat)
    return read("/proc/{}/stat".format(pid)).rpartition(b")")[2].split()[1].decode("ascii")
