"""What came of a build."""

from __future__ import annotations

from dlrepair.model.records import dataclass


@dataclass(frozen=True)
class Used:
    """A file that went into a build, with the signature that it had then."""

    path: str
    signature: str


@dataclass(frozen=True)
class BuildResult:
    """A library in the store, or the reason why there is none.

    ``reason`` is a slug: ``built``, ``found`` (in the store), ``shared`` (in the shared store), ``compile-error``,
    ``link-error``, ``time-limit``, ``memory-limit``, ``disk-full``, ``no-compiler``, ``no-tensorflow``,
    ``untrusted``, ``no-sources``, ``waited`` (another builder did not come to an end), ``failed-before``,
    ``changed`` (a source was saved again each time while it was compiled), ``lines-moved`` (an earlier build, whose
    sources differ from the present ones in line numbers only), ``does-not-fit`` (built, but its symbols or ops are
    not what they must be), ``no-store`` or ``interrupted``; of a project's own script also ``not-allowed``,
    ``script-failed`` and ``disk-limit`` (it wrote too much). ``needs-cuda``: it failed for want of the
    CUDA code that was left out.
    """

    ok: bool
    reason: str
    path: str = ""  #: of the library in the store
    first_error: str = ""  #: the compiler's first error, or one sentence
    log: str = ""  #: path of the compiler's whole output
    seconds: float = 0.0
    hit: bool = False  #: nothing was compiled
    steps: tuple[str, ...] = ()  #: names of the steps of the ladder that were needed
    ops: tuple[str, ...] = ()  #: names that the sources register
    sources: tuple[str, ...] = ()
    used: tuple[Used, ...] = ()  #: sources and local headers
    notes: tuple[str, ...] = ()  #: sentences, e.g. that only CPU kernels were built
    compiler: str = ""
    tensorflow: str = ""
    help: str = ""  #: the command that gets what is missing, where there is one
