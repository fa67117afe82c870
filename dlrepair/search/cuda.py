"""NVIDIA's libraries come twice on many machines: as packages of the environment, and as a toolkit of the system.

Both bear the same names. Which of them goes first is the setting ``cuda_libraries``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

    from dlrepair.model.candidate import Candidate

#: how the names of the toolkit's, cuDNN's, NCCL's and TensorRT's libraries begin; the driver's are not among them
_STARTS = (
    "libcublas", "libcudart", "libcudnn", "libcufft", "libcufile", "libcupti", "libcurand", "libcusolver",
    "libcusparse", "libcutensor", "libnccl.so", "libnpp", "libnvJitLink", "libnvToolsExt", "libnvblas", "libnvfatbin",
    "libnvinfer", "libnvjpeg", "libnvonnxparser", "libnvrtc", "libnvshmem", "libnvvm",
)  # fmt: skip


def is_cuda(name: str) -> bool:
    """Tell whether a file name or SONAME is one of NVIDIA's that packages and toolkits both bring."""
    return name.startswith(_STARTS)


def is_packaged(path: str) -> bool:
    """Tell whether a file lies among the packages of a Python environment."""
    return "/site-packages/" in path or "/dist-packages/" in path


def system_first(batches: Iterable[list[Candidate]]) -> Iterator[list[Candidate]]:
    """Yield the candidates of every batch that are no packages', and only then the packages'."""
    packaged = []
    for batch in batches:
        packaged += [one for one in batch if is_packaged(one.path)]
        others = [one for one in batch if not is_packaged(one.path)]
        if others:
            yield others
    if packaged:
        yield packaged
