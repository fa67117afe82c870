"""What a project's script finds in its environment: this Python, this TensorFlow's flags, the compiler."""

from __future__ import annotations

import os
import sys

from dlrepair.build import compiler

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
        path = os.path.join(programs, name)
        with open(path, "w") as stream:
            stream.write("#!/bin/sh\nexec '{}' \"$@\"\n".format(python.replace("'", "'\\''")))
        os.chmod(path, 0o700)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    env["PATH"] = os.pathsep.join([programs, os.path.dirname(python), env.get("PATH", os.defpath)])
    env.update(PYTHON=python, PYTHON_BIN_PATH=python, PYTHONDONTWRITEBYTECODE="1", TF_CPP_MIN_LOG_LEVEL="3")
    env.update(CCACHE_DISABLE="1")
    if chain is not None:
        env["CXX"] = " ".join(chain.compiler.argv)
    if tensorflow is not None:
        env.update(_of_tensorflow(tensorflow))
    return env


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
