"""What builds an op here: the TensorFlow that it is for, and the compilers that were found."""

from __future__ import annotations

from dlrepair.model.records import dataclass


@dataclass(frozen=True)
class TensorFlow:
    """The TensorFlow that an op is to be loaded into, as ``tf.sysconfig`` and ``tf.version`` describe it."""

    version: str  #: e.g. ``2.21.0``
    build: str  #: commit and compiler of the release: two builds of one version are two keys
    include: str  #: directory of the headers
    framework: str  #: path of ``libtensorflow_framework.so.N``
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    standard: str  #: e.g. ``c++17``: what its headers and its exported names want
    cuda: bool = False  #: ``tf.test.is_built_with_cuda()``
    cuda_version: str = ""  #: that it was built with, e.g. ``12.5.1``; "" where it does not say

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) where the version is not a number."""
        parts = (self.version.split(".") + ["0", "0"])[:2]
        return (int(parts[0]), int(parts[1])) if all(part.isdigit() for part in parts) else (0, 0)


@dataclass(frozen=True)
class Compiler:
    """A compiler that was asked for its version."""

    argv: tuple[str, ...]  #: how it is called: a path, and arguments where ``CXX`` has some
    realpath: str
    version: str  #: first line of ``--version``
    family: str  #: ``gcc``, ``clang``, ``nvcc`` or ``other``
    major: int = 0
    only_c: bool = False  #: whether it may have no C++ library to link with, nor a C++ front end


@dataclass(frozen=True)
class Toolchain:
    """Everything that a build is made with."""

    compiler: Compiler
    tensorflow: TensorFlow | None = None  #: None: what is built does not use TensorFlow
    nvcc: Compiler | None = None
    cuda_home: str = ""
    cuda_host: tuple[str, ...] = ()  #: nvcc's words for its host compiler
    gpu_codes: tuple[str, ...] = ()  #: ``sm_75`` and so on: what nvcc compiles for; none where it does not say
    notes: tuple[str, ...] = ()  #: sentences about what was not found
