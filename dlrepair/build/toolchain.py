"""The TensorFlow that an op is built for, and the compilers of this machine.

Where TensorFlow is imported, ``tf.sysconfig`` is asked. Elsewhere a child of this interpreter is, once: the answer is
remembered until the framework library changes. Compilers are asked for their version once.
"""

from __future__ import annotations

import os
import sys

from dlrepair import store, trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.model.toolchain import Compiler, TensorFlow, Toolchain

#: seconds that a compiler may take to say its version, and that ``import tensorflow`` may take in a child
PROBE_SECONDS = 20.0
IMPORT_SECONDS = 180.0
_FORMAT = "toolchain 2"

_ASK = """
import json, sys
import tensorflow as tf
v = getattr(tf, "version", tf)
build = getattr(v, "GIT_VERSION", "") + " " + str(getattr(v, "COMPILER_VERSION", ""))
print("\\n" + json.dumps([getattr(v, "VERSION", ""), build, tf.sysconfig.get_include(), tf.sysconfig.get_lib(),
    list(tf.sysconfig.get_compile_flags()), list(tf.sysconfig.get_link_flags()), bool(tf.test.is_built_with_cuda()),
    str(getattr(tf.sysconfig, "get_build_info", dict)().get("cuda_version", ""))]))
"""


class NoToolchain(Exception):
    """What is missing, as a slug and a sentence."""

    def __init__(self, reason: str, text: str, help: str = "") -> None:
        Exception.__init__(self, text)
        self.reason = reason
        self.text = text
        self.help = help


# --- TensorFlow -----------------------------------------------------------------------------------------------------


def find_tensorflow() -> TensorFlow:
    """The TensorFlow of this process, or that of this interpreter's environment. Raises ``NoToolchain``."""
    facts = _imported() or _remembered_or_asked()
    version, build, include, library, compile_flags, link_flags, cuda, cuda_version = facts
    from dlrepair.model.toolchain import TensorFlow

    if not os.path.isdir(include):
        raise NoToolchain("no-tensorflow", "TensorFlow {} has no headers in {}".format(version, include))
    framework = _framework(library, link_flags)
    standard = _standard_of(compile_flags)
    if not standard:
        standard = _standard_by_symbols(framework)
    return TensorFlow(
        version, build, include, framework, tuple(compile_flags), tuple(link_flags), standard, bool(cuda),
        cuda_version,
    )  # fmt: skip


def _imported() -> tuple[Any, ...] | None:
    """What the imported ``tensorflow`` says of itself; None where it is not imported, or not to the end."""
    tf = sys.modules.get("tensorflow")
    try:
        version: Any = getattr(tf, "version", tf)
        build = "{} {}".format(getattr(version, "GIT_VERSION", ""), getattr(version, "COMPILER_VERSION", ""))
        config: Any = tf.sysconfig  # type: ignore[union-attr]
        return (
            str(version.VERSION), build, config.get_include(), config.get_lib(), list(config.get_compile_flags()),
            list(config.get_link_flags()), bool(tf.test.is_built_with_cuda()),  # type: ignore[union-attr]
            str(config.get_build_info().get("cuda_version", "")) if hasattr(config, "get_build_info") else "",
        )  # fmt: skip
    except Exception:  # not there, half imported, replaced by something else: ask a child
        return None


def _package() -> str:
    """The ``tensorflow`` package's file, without importing it; "" where there is none."""
    for place in sys.path:
        if isinstance(place, str):
            path = os.path.join(os.path.abspath(place or os.curdir), "tensorflow", "__init__.py")
            if os.path.isfile(path):
                return path
    return ""


def _remembered_or_asked() -> tuple[Any, ...]:
    import json

    origin = _package()
    if not origin:
        raise NoToolchain(
            "no-tensorflow", "there is no TensorFlow in the environment of {}".format(sys.executable),
            "python -m pip install tensorflow",
        )  # fmt: skip
    key = store.key_of(_FORMAT, "tensorflow", sys.executable or "", sys.version, origin, signature(origin))
    record = store.recall(key)
    if record is not None:
        facts = tuple(json.loads(record["facts"]))
        if signature(_framework(facts[3], facts[5])) == record["framework"]:
            return facts
    facts = _ask_child()
    store.remember(key, {"facts": json.dumps(facts), "framework": signature(_framework(facts[3], facts[5]))})
    return facts


def _ask_child() -> tuple[Any, ...]:
    import json
    import subprocess

    env = dict(os.environ, DLREPAIR="off", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=IMPORT_SECONDS, check=False,
        )  # fmt: skip
        return tuple(json.loads(done.stdout.decode("utf-8").strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        why = "importing it took longer than {:g} s".format(IMPORT_SECONDS)
    except (OSError, ValueError, IndexError):
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = words[-1] if words else "no answer"
    raise NoToolchain("no-tensorflow", "TensorFlow cannot be asked for its flags: {}".format(why))


def _framework(library: str, link_flags: Any) -> str:
    """Path of the framework library that the link flags name; the directory where they name none (TensorFlow 1.3)."""
    for flag in link_flags:
        if flag.startswith("-l:"):
            return os.path.join(library, flag[3:])
    plain = os.path.join(library, "libtensorflow_framework.so")
    return plain if os.path.exists(plain) else library


def _standard_of(flags: Any) -> str:
    for flag in flags:
        if flag.startswith(("-std=", "--std=")):
            return str(flag.split("=", 1)[1])
    return ""


def _standard_by_symbols(framework: str) -> str:
    """The oldest standard whose ``string_view`` is the framework's (FACTS: gnu++17 compiles and then fails to load)."""
    key = store.key_of(_FORMAT, "standard", framework, signature(framework))
    record = store.recall(key)
    if record is not None and "standard" in record:
        return record["standard"]
    from dlrepair.binary import elf

    standard = "c++17"
    try:
        with elf.open_elf(framework) as library:
            for name in library.symbols.defined_names(b"OpKernelRegistrar12InitInternal"):
                if b"St17basic_string_view" not in name:
                    standard = "c++14" if b"string_view" in name else "c++11"
    except (OSError, ValueError):
        return standard
    store.remember(key, {"standard": standard})
    return standard


def signature(path: str) -> str:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return "-"
    return "{}.{}.{}".format(info.st_size, info.st_mtime_ns, info.st_ino)


# --- compilers ------------------------------------------------------------------------------------------------------


def find(tensorflow: TensorFlow | None, only_c: bool = False) -> Toolchain:
    """A compiler to build with. Raises ``NoToolchain`` where there is none for C++, or with ``only_c`` for C."""
    from dlrepair.model.toolchain import Toolchain

    return Toolchain(find_c_compiler() if only_c else find_compiler(), tensorflow)


def find_compiler() -> Compiler:
    """``CXX`` where it is set, else the newest g++ on ``PATH``, else clang++ or c++. Raises ``NoToolchain``."""
    named = os.environ.get("CXX", "").strip()
    return _named(named, "CXX") if named else _newest(_CXX_NAMES, "C++", "apt-get install g++")


def find_older(most: int) -> Compiler | None:
    """The newest g++ on ``PATH`` whose major version is at most ``most``."""
    found = []
    for rank, path in _on_path(_CXX_NAMES):
        if rank == 2 and trust.check(path) is None:
            try:
                found.append(identify((path,)))
            except NoToolchain:
                continue
    fitting = [one for one in found if one.family == "gcc" and 0 < one.major <= most]
    return max(fitting, key=lambda one: one.major) if fitting else None


def find_c_compiler() -> Compiler:
    """``CC`` where it is set, else what ``find_compiler`` finds, else the newest gcc, clang or cc that is on ``PATH``.

    Raises ``NoToolchain``.
    """
    from dlrepair.model.records import replace

    named = os.environ.get("CC", "").strip()
    if named:
        return replace(_named(named, "CC"), only_c=True)
    try:
        return find_compiler()
    except NoToolchain:
        if os.environ.get("CXX", "").strip():
            raise
    return replace(_newest(_CC_NAMES, "C", "apt-get install gcc libc6-dev"), only_c=True)


def _newest(names: str, language: str, help: str) -> Compiler:
    """The best of the compilers on ``PATH``: by family, then by version."""
    found: list[tuple[tuple[int, int], Compiler]] = []
    problems: list[str] = []
    for rank, path in _on_path(names):
        clause = trust.check(path)
        if clause is not None:
            problems.append(clause)
            continue
        try:
            compiler = identify((path,))
        except NoToolchain as problem:
            problems.append(problem.text)
            continue
        found.append(((rank, compiler.major), compiler))
    if not found:
        more = ": " + problems[0] if problems else ""
        raise NoToolchain("no-compiler", "no {} compiler was found on PATH{}".format(language, more), help)
    return max(found, key=lambda pair: pair[0])[1]


def _named(words: str, variable: str) -> Compiler:
    import shlex

    try:
        argv = shlex.split(words)
    except ValueError:
        argv = []
    path = which(argv[0]) if argv else ""
    if not path:
        what = "{} is {!r}, and there is no such program".format(variable, words)
        raise NoToolchain("no-compiler", what, "unset " + variable)
    clause = trust.check(path)
    if clause is not None:
        raise NoToolchain("untrusted", "{} is {!r}: {}".format(variable, words, clause), "unset " + variable)
    return identify((path, *argv[1:]))


def which(name: str) -> str:
    """Absolute path of a program; "" where there is none."""
    if "/" in name:
        path = os.path.abspath(name)
        return path if os.access(path, os.X_OK) and os.path.isfile(path) else ""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(place, name)
        if os.path.isabs(path) and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


#: names of compilers, by family
_CXX_NAMES = r"(?:(?P<gcc>g\+\+)|(?P<clang>clang\+\+)|(?P<other>c\+\+))"
_CC_NAMES = r"(?:(?P<gcc>gcc)|(?P<clang>clang)|(?P<other>cc))"


def _on_path(names: str) -> list[tuple[int, str]]:
    """(rank, path) of compilers, each file once: g++ before clang++ before whatever c++ is.

    TensorFlow's own builds up to 2.15 are g++'s; g++ compiles against the later ones, which are clang's, as well.
    """
    import re

    known = re.compile(r"^(?:[\w.]+-)*{}(?:-\d+(?:\.\d+)*)?$".format(names))
    found: dict[str, tuple[int, str]] = {}
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not os.path.isabs(place):
            continue
        try:
            entries = os.listdir(place)
        except OSError:
            continue
        for name in sorted(entries, key=len):
            match = known.match(name)
            if match is None or "mingw" in name or not _is_native(name):
                continue
            path = os.path.join(place, name)
            real = os.path.realpath(path)
            rank = 2 if match.group("gcc") else 1 if match.group("clang") else 0
            if os.access(path, os.X_OK) and (real not in found or rank > found[real][0]):
                found[real] = (rank, path)
    return sorted(found.values(), reverse=True)


def _is_native(name: str) -> bool:
    """Whether a compiler's name has no prefix, or this machine's: cross compilers have another's."""
    machine = os.uname().machine
    head = _prefix(name)
    return not head or head.startswith((machine, machine.replace("x86_64", "amd64")))


def _prefix(name: str) -> str:
    """``x86_64-linux-gnu-`` of ``x86_64-linux-gnu-g++-12``; "" where there is none."""
    for stem in ("clang", "g++", "gcc", "c++", "cc"):
        head, found, _ = name.partition(stem)
        if found:
            return head
    return ""


def identify(argv: tuple[str, ...], family: str = "") -> Compiler:
    """The compiler behind ``argv``, asked for its version, or remembered. Raises ``NoToolchain``."""
    from dlrepair.model.toolchain import Compiler

    real = os.path.realpath(argv[0])
    key = store.key_of(_FORMAT, "compiler", real, signature(real), *argv)
    record = store.recall(key)
    text = record.get("version") if record is not None else None
    if text is None:
        text = _ask_version(argv)
        store.remember(key, {"version": text})
    lines = text.splitlines()
    words = " ".join(lines[:4]).lower()
    if not family:
        family = "clang" if "clang" in words else "gcc" if "free software foundation" in words else "other"
    return Compiler(argv, real, lines[-1] if family == "nvcc" else lines[0], family, _major(text))


def _ask_version(argv: tuple[str, ...]) -> str:
    from dlrepair.build import compiler

    ran = compiler.run([*argv, "--version"], seconds=PROBE_SECONDS)
    if ran.reason == "time-limit":
        raise NoToolchain("no-compiler", "{} did not say its version within {:g} s".format(argv[0], PROBE_SECONDS))
    if ran.reason or not ran.output.strip():
        raise NoToolchain("no-compiler", "{} --version: {}".format(argv[0], ran.output.strip()[:200] or ran.reason))
    return ran.output.strip()[:2000]


def _major(text: str) -> int:
    import re

    match = re.search(r"(?:release |version |\) )(\d+)\.", text) or re.search(r"\b(\d+)\.\d+", text)
    return int(match.group(1)) if match else 0
