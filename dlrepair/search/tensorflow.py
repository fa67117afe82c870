"""TensorFlow's own libraries as this process has them mapped. Imports nothing of TensorFlow."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
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
