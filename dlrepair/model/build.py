"""How a library is built: what a project's recipe says about it."""

from __future__ import annotations

from dlrepair.model.records import dataclass

#: Values of ``Recipe.kind``. ``comment`` is a command that stands in a comment or a docstring;
#: ``none`` means that no recipe was found and the sources were found by name.
RECIPE_KINDS = ("shell", "make", "cmake", "setup.py", "bazel", "jit", "readme", "comment", "none")


@dataclass(frozen=True)
class Recipe:
    """How a project builds one library, as far as it can be read without running anything.

    Paths are absolute, lexically normalised and existed when the recipe was read. What belongs to
    TensorFlow, to Python, to the CUDA toolkit, to the CPU of the author or to the C++ ABI is not here:
    whoever compiles takes it from the interpreter and the tools that are present. ``dropped`` says
    what was left out and why.
    """

    output: str  #: base name of the library that it makes
    sources: tuple[str, ...] = ()  #: C and C++ sources for the host compiler, in the recipe's order
    cuda_sources: tuple[str, ...] = ()  #: compiled by nvcc in the original (``.cu``, ``.cu.cc``)
    include_dirs: tuple[str, ...] = ()  #: of the project or of a library installed here
    library_dirs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()  #: link words in order: ``-lNAME`` without ``-l``, or absolute paths of files
    cuda_libraries: tuple[str, ...] = ()  #: wanted with the CUDA parts only: ``cudart``, ``cufft``, ``nppc``
    defines: tuple[str, ...] = ()  #: ``NAME`` or ``NAME=VALUE``; never the ABI, never ``GOOGLE_CUDA``
    cuda_defines: tuple[str, ...] = ()  #: wanted with the CUDA parts only: ``GOOGLE_CUDA=1``, ``EIGEN_USE_GPU``
    #: what nvcc is told of GPUs and code: ``code=sm_52`` and ``code=compute_60`` of each it compiles for, other words
    nvcc_flags: tuple[str, ...] = ()
    undefines: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  #: other compiler flags that are kept: ``-fopenmp``, ``-O3``, ``-ffast-math``
    standard: str = ""  #: what was asked for, as evidence only: ``c++11``, "" if nothing
    cuda: bool = False  #: the original compiles CUDA parts or defines ``GOOGLE_CUDA``
    kind: str = "none"  #: one of ``RECIPE_KINDS``
    file: str = ""  #: the recipe's file, "" of none
    line: int = 0  #: where the command or target begins in it, from 1
    directory: str = ""  #: working directory of its command
    #: (word, why) of everything that was left out, in order: for the journal and for the user
    dropped: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()  #: sources that the recipe names and that do not exist: it cannot be followed then
    #: libraries of the project that this one links and that a recipe builds, dependencies first
    helpers: tuple[Recipe, ...] = ()
    links_tensorflow: bool = False  #: it names TensorFlow's headers or libraries, or its sources include them
    python_extension: bool = False  #: it is imported as a module: needs Python's headers
    numpy: bool = False  #: it asks for NumPy's headers
    taken: bool = True  #: False: it stands in a branch that would not be taken on this machine
    rule: str = "exact"  #: how ``output`` relates to the name that was wanted (``exact``, ``variant``, ``ops``, …)

    @property
    def buildable(self) -> bool:
        """Whether something can be compiled without CUDA: host sources, none of them missing."""
        return bool(self.sources) and not self.missing
