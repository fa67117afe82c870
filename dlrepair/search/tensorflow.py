"""TensorFlow's own libraries as this process has them mapped. Imports nothing of TensorFlow."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from dlrepair.binary.process import ProcessView

#: Libraries of which a process can hold one only: a second copy registers everything twice.
FRAMEWORK = ("libtensorflow_framework.so", "libtensorflow_cc.so", "_pywrap_tensorflow_internal.so")

#: Defined by the framework; undefined in every library that registers a kernel.
KERNEL_TYPEINFO = "_ZTIN10tensorflow8OpKernelE"


def is_framework_name(name: str) -> bool:
    """Tell whether a file name or SONAME is one of TensorFlow's own libraries."""
    return os.path.basename(name).startswith(FRAMEWORK)


def mapped_libraries(process: ProcessView | None) -> tuple[str, ...]:
    """Return the paths of TensorFlow's libraries loaded in a process, in link-map order; none of a fresh one."""
    return tuple(path for path in process.loaded if is_framework_name(path)) if process is not None else ()


def running_libraries() -> tuple[str, ...]:
    """Return the real paths of TensorFlow's libraries mapped in this process, in link-map order."""
    from dlrepair.binary import process

    return tuple(path for path in process.mapped() if is_framework_name(path))


def find_installed(places: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """(TensorFlow's libraries, whether they are global after its import) below ``sys.path``-like ``places``.

    Nothing is imported. ``lib_pywrap_tensorflow_common.so`` marks the releases that load their libraries
    RTLD_GLOBAL: there an op that is not linked with the framework loads all the same (seen on 2.21; not on 2.15).
    """
    for place in places:
        for package in ("tensorflow", "tensorflow_core"):  # 1.15 keeps its files in the second
            directory = os.path.join(place, package)
            python = os.path.join(directory, "python")
            found = [path for path in _listed(directory) + _listed(python) if is_framework_name(path)]
            if found:
                common = os.path.join(python, "lib_pywrap_tensorflow_common.so")
                modern = os.path.exists(common)
                return tuple(sorted(found) + ([common] if modern else [])), modern
    return (), False


def _listed(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory) if ".so" in name]
    except OSError:
        return []
