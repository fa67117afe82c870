"""What was asked for, by whom, and how the caller deals with a failure."""

from __future__ import annotations

from dlrepair.model.records import dataclass

#: Doors through which a library enters; the value of ``loader`` everywhere.
LOADERS = ("ctypes", "import", "tensorflow", "cffi", "find_library", "numpy")


@dataclass(frozen=True)
class Caller:
    """The user's line that asked for the library (never a frame of a loader itself)."""

    file: str
    line: int
    function: str = ""
    package_dir: str = ""  #: outermost directory of the package that ``file`` belongs to


@dataclass(frozen=True)
class Guard:
    """What encloses the call: how the caller deals with the failure (DESIGN.md, guarded loads).

    ``kind`` is ``none`` (no handler), ``reraise`` (handler raises or exits),
    ``alternative`` (tries another load or import), ``compile`` (builds, then loads),
    ``optional`` (swallows) or ``probe`` (a build probe: never repair).
    """

    kind: str
    reason: str = ""  #: one clause for the journal, e.g. ``except OSError: pass, train.py:12``
    file: str = ""
    line: int = 0
    #: the alternative named by the handler, where it could be evaluated without running code
    alternative: str | None = None


@dataclass(frozen=True)
class LoadRequest:
    """One load as the caller asked for it, with the words of the loader that refused it."""

    loader: str
    requested: str  #: as given, file-system decoded; never made absolute
    cwd: str = ""  #: at the moment of the call
    start_cwd: str = ""  #: when the interpreter started
    script: str = ""  #: absolute path of the program's main file, or ""
    caller: Caller | None = None
    mode: int = 0  #: dlopen flags, where the caller gave any
    error: str = ""  #: the loader's words, unchanged
    exception: str = ""  #: qualified name of the exception's type
    op_loader: bool = False  #: the library registers TensorFlow ops when it is loaded
