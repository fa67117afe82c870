"""What an op is linked with in place of TensorFlow's framework library: an empty library of the same SONAME.

All that linking with the real one does to a shared library is an entry in DT_NEEDED: undefined symbols stay undefined,
for ld.so to bind. What registers ops needs it, so that ``--as-needed`` would keep it, too. But a linker reads every
symbol of 65 MB for it: 0.7 s of 4 from a save to the library. So the real one is named where its symbols have versions,
which would become a part of the references, or where the flags are of another form than ``-l:NAME``.
"""

from __future__ import annotations

import os
import sys

from dlrepair import store
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from dlrepair.model.toolchain import Toolchain

_FORMAT = "stub 1"


def with_stub(argv: Sequence[str], toolchain: Toolchain, directory: str) -> list[str]:
    """``argv`` with the stub in the framework's place; as it is where there can be none.

    ``directory``: of a build on its way, in the store.
    """
    tensorflow = toolchain.tensorflow
    argv = list(argv)
    if tensorflow is None or toolchain.compiler.family not in ("gcc", "clang") or not sys.platform.startswith("linux"):
        return argv
    flag = "-l:" + os.path.basename(tensorflow.framework)
    if argv.count(flag) != 1:
        return argv
    path = _find(tensorflow.framework, toolchain, directory)
    if not path:
        return argv
    at = argv.index(flag)
    # where --as-needed is the default, a library without symbols would be dropped
    return [*argv[:at], "-Wl,--push-state,--no-as-needed", path, "-Wl,--pop-state", *argv[at + 1 :]]


def _find(framework: str, toolchain: Toolchain, directory: str) -> str:
    """Path of the stub for this framework library, made unless it is there; "" where there can be none."""
    from dlrepair.binary import elf

    facts = elf.read_facts(framework).elf
    name = os.path.basename(framework)
    if facts is None or facts.soname != name or facts.verdef:
        return ""
    compiler = toolchain.compiler
    key = store.key_of(_FORMAT, name, os.uname().machine, compiler.realpath, *compiler.argv[1:])
    held = builds.find(key) or _make(name, key, toolchain, directory)
    return os.path.join(held["directory"], name) if held is not None else ""


def _make(name: str, key: str, toolchain: Toolchain, directory: str) -> dict[str, Any] | None:
    from dlrepair.build import compiler

    place = os.path.join(directory, "stub")
    argv = [*toolchain.compiler.argv, "-shared", "-nostdlib", "-fPIC", "-Wl,-soname," + name, "-x", "c", os.devnull]
    try:
        os.mkdir(place, 0o700)
        if compiler.run([*argv, "-o", os.path.join(place, name)], temporary=directory).reason:
            return None
        builds.publish(place, key, {}, os.path.dirname(directory))
        return builds.find(key)
    except OSError:
        return None
