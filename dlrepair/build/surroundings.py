"""What a project's script finds in its environment: this Python, this TensorFlow's flags, the compiler.

Most scripts name the standard of their time (``-std=c++11``), and TensorFlow's headers of today refuse it. Where a
command of the script compiles against those headers, the compiler that it finds raises the standard to theirs.
"""

from __future__ import annotations

import os
import sys

from dlrepair.build import commands, compiler, toolchain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.toolchain import TensorFlow, Toolchain


def environment(
    directory: str, tensorflow: TensorFlow | None, chain: Toolchain | None, python: str
) -> dict[str, str]:
    """What a script finds: ``python`` is the one that runs here, TensorFlow's flags have the names that scripts use."""
    env = compiler.environment(os.path.join(directory, "tmp"))
    programs = os.path.join(directory, "bin")
    for name in ("python", "python3", "python{}.{}".format(*sys.version_info[:2])):
        _program(programs, name, "exec {} \"$@\"\n".format(_quoted(python)))
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    env["PATH"] = os.pathsep.join([programs, os.path.dirname(python), env.get("PATH", os.defpath)])
    env.update(PYTHON=python, PYTHON_BIN_PATH=python, PYTHONDONTWRITEBYTECODE="1", TF_CPP_MIN_LOG_LEVEL="3")
    env.update(CCACHE_DISABLE="1")
    if chain is not None:
        env["CXX"] = " ".join(chain.compiler.argv)
    if tensorflow is not None:
        env.update(_of_tensorflow(tensorflow))
        _raise_standards(programs, tensorflow, env, chain)
    return env


def _program(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o700)
    return path


def _quoted(word: str) -> str:
    return "'{}'".format(word.replace("'", "'\\''"))


def _raise_standards(programs: str, tensorflow: TensorFlow, env: dict[str, str], chain: Toolchain | None) -> None:
    """Puts ``g++``, ``c++`` and ``CXX`` in front of the real ones; of two ``-std`` the last one counts (gcc, clang)."""
    older = commands.standards_before(tensorflow.standard)
    if not older:
        return
    patterns = "|".join("-std={0}|--std={0}".format(one) for one in older)
    include = os.path.join(os.path.basename(os.path.dirname(tensorflow.include)), os.path.basename(tensorflow.include))
    text = (
        "old= tensorflow=\n"
        "for word do case $word in {}) old=1;; *{}*) tensorflow=1;; esac; done\n"
        "if [ \"$old$tensorflow\" = 11 ]; then exec {} \"$@\" -std={}; fi\n"
        "exec {} \"$@\"\n"
    )
    words = chain.compiler.argv if chain is not None else ()
    for name in dict.fromkeys(("g++", "c++", *(os.path.basename(one) for one in words[:1]))):
        real = words[0] if words and os.path.basename(words[0]) == name else toolchain.which(name)
        if real:
            path = _program(
                programs, name,
                text.format(patterns, _quoted(include), _quoted(real), tensorflow.standard, _quoted(real)),
            )  # fmt: skip
            if len(words) == 1 and real == words[0]:
                env["CXX"] = path


def _of_tensorflow(tensorflow: TensorFlow) -> dict[str, str]:
    flags, link = " ".join(tensorflow.compile_flags), " ".join(tensorflow.link_flags)
    library = os.path.dirname(tensorflow.framework)
    abi = next((one[-1] for one in tensorflow.compile_flags if "_GLIBCXX_USE_CXX11_ABI=" in one), "")
    env = dict.fromkeys(("TF_CFLAGS", "TF_COMPILE_FLAGS", "TF_CXXFLAGS"), flags)
    env.update(dict.fromkeys(("TF_LFLAGS", "TF_LDFLAGS", "TF_LINK_FLAGS"), link))
    places = ("TF_INC", "TF_INCLUDE", "TF_INC_DIR", "TF_INCLUDE_DIR", "TF_INC_PATH")
    env.update(dict.fromkeys(places, tensorflow.include))
    env.update(dict.fromkeys(("TF_LIB", "TF_LIB_DIR", "TF_LIBRARY_DIR", "TF_PATH"), library))
    env.update(dict.fromkeys(("TF_ABI", "TF_CXX11_ABI", "TF_CXX11_ABI_FLAG"), abi) if abi else {})
    return env
