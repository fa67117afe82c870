"""Whether a candidate's own needs can be met in this process: its DT_NEEDED entries, versions and symbols."""

from __future__ import annotations

import os

from dlrepair.binary import elf
from dlrepair.search import budget, tensorflow
from dlrepair.search.vet import MAX_DEPTH, MAX_PRELOADS, Rejected, Vetting, some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.symbols import Unresolved
    from dlrepair.binary.trace import Trace
    from dlrepair.model.candidate import Verdict
    from dlrepair.model.diagnosis import Missing

#: glibc's own: in every child already.
_EVERYWHERE = ("ld-linux", "libc.so", "libdl.so", "libm.so", "libpthread.so", "librt.so", "libutil.so")


def check(vetting: Vetting) -> None:
    """Find what the candidate needs, then its versions and symbols; fills ``vetting.preload`` and ``vetting.mapped``.

    Raises ``Rejected`` with ``dependency-missing``, ``versions-missing`` or ``unresolved-symbols``.
    """
    from dlrepair.binary import process, symbols

    trace = _resolve(vetting)
    paths = trace.closure
    vetting.mapped = mapped_needs(trace)
    for needed, version, provider in symbols.version_gaps(vetting.path, paths):
        raise Rejected(
            "versions-missing", "it needs version {} of {}, which {} lacks".format(version, needed, provider)
        )
    if process.defined_globally("dlopen") is None:
        # Nobody can be asked for the global scope without loading libffi: the program's own libraries make it up.
        paths += tuple(path for path in symbols.global_scope(None) if path not in paths)
    _check_wanted(vetting, (vetting.path, *trace.closure))
    open_ones = [one for one in symbols.unresolved(vetting.path, paths, process=vetting.process) if not one.weak]
    if open_ones:
        raise Rejected("unresolved-symbols", _sentence(open_ones))


def _check_wanted(vetting: Vetting, paths: tuple[str, ...]) -> None:
    """Reject a substitute without a function that the caller will ask for; dlsym(3) looks through what it needs too."""
    wanted = vetting.wanted
    if not wanted.symbols or wanted.role != "substitute":
        return
    lacking = set(wanted.symbols)
    for path in dict.fromkeys(paths):
        if not lacking:
            return
        try:
            with elf.open_elf(path) as library:
                lacking = {name for name in lacking if not library.defines(name)}
        except (OSError, ValueError):
            continue
    if lacking:
        raise Rejected("symbols-missing", "it does not define {}".format(some(sorted(lacking))))


def mapped_needs(trace: Trace) -> tuple[str, ...]:
    """Libraries that serve a trace only because they are mapped here, deepest first; glibc's own left out.

    What is loaded here may itself have been found only because of what was loaded before it.
    """
    loaded = [entry.path for entry in reversed(trace.entries) if entry.how == "loaded" and entry.path]
    return tuple(path for path in loaded if not os.path.basename(path).startswith(_EVERYWHERE))


def _resolve(vetting: Vetting) -> Trace:
    """Return a trace without missing entries; searches for what is missing. Raises ``Rejected``."""
    from dlrepair.binary import scope

    preload: list[str] = []
    asked: list[str] = []
    while True:
        trace = scope.resolve(vetting.path, process=vetting.process, preloaded=tuple(preload))
        missing = [one for one in trace.missing if one.name not in asked]
        if not trace.missing:
            vetting.preload = tuple(preload)
            return trace
        if not missing or len(asked) >= MAX_PRELOADS:
            raise Rejected("dependency-missing", "it needs {}, which is not found".format(trace.missing[0].name))
        asked.append(missing[0].name)
        if tensorflow.is_framework_name(missing[0].name):
            raise Rejected("framework", "it was built for another TensorFlow: it needs {}".format(missing[0].name))
        verdict = _search(vetting, missing[0])
        if verdict is None:
            raise Rejected("dependency-missing", "it needs {}, which is not found".format(missing[0].name))
        preload += [path for path in verdict.preload + (verdict.path,) if path not in preload]


def _search(vetting: Vetting, missing: Missing) -> Verdict | None:
    """Return the accepted verdict of a file that satisfies one DT_NEEDED entry, or None."""
    from dlrepair.model.candidate import Wanted
    from dlrepair.search import sources

    if missing.name in vetting.stack or len(vetting.stack) >= MAX_DEPTH or budget.is_over(vetting.deadline):
        return None
    blocked: tuple[str, ...] = (missing.blocked_by,) if missing.blocked_by else ()
    wanted = Wanted(
        missing.name, "dependency", requested=missing.needed_by, loader=vetting.wanted.loader,
        versions=missing.versions, exclude=vetting.wanted.exclude + blocked,
    )  # fmt: skip
    for candidate in sources.find_candidates(wanted, vetting.request, vetting.settings, vetting.deadline):
        nested = Vetting(
            candidate, wanted, vetting.request, vetting.settings, vetting.process, frozenset(), vetting.deadline,
            vetting.stack + (missing.name,),
        )  # fmt: skip
        verdict = nested.run(trial=False)
        if verdict.accepted:
            return verdict
    return None


def _sentence(unresolved: Sequence[Unresolved]) -> str:
    from dlrepair.binary import symbols

    first = unresolved[0]
    name = symbols.demangle(first.name) + ("@" + first.version if first.version else "")
    more = " and {} more".format(len(unresolved) - 1) if len(unresolved) > 1 else ""
    return "nothing in this process defines {}{}".format(name, more)
