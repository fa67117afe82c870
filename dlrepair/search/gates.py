"""The last gate: a trial in a child process that is set up like this one as far as the candidate can tell."""

from __future__ import annotations

import os
import time

from dlrepair.search import budget, tensorflow, trial
from dlrepair.search.vet import Rejected, Vetting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.binary.process import ProcessView
    from dlrepair.search.trial import TrialResult

#: Seconds: an op library loads TensorFlow's framework first.
TIMEOUT = 5.0
OP_TIMEOUT = 15.0

#: What a trial may take at least where the search budget is used up, seconds: less would reject slow but right files.
GRACE = 2.0
OP_GRACE = 8.0

#: How often a trial is repeated with one more library that this process has in its global scope.
_PROVIDERS = 3

_known: dict[tuple[object, ...], TrialResult] = {}
#: files whose initialiser crashed or hung: another name or place does not make one better
_hopeless: dict[object, TrialResult] = {}
_KNOWN_LIMIT = 256


def try_loading(vetting: Vetting) -> str:
    """Return ``passed`` or why no trial was possible; raises ``Rejected`` when the library fails to load in a child.

    A substitute does not pass without a trial. A dependency does: its facts were checked, and ld.so would have
    taken it without us had it lain in its path.
    """
    first, before = surroundings(vetting)
    timeout = _timeout(vetting)
    result = _run(before + list(vetting.preload) + [vetting.path], first, timeout)
    for _ in range(_PROVIDERS):
        provider = _provider(result, vetting, first)
        if not provider:
            break
        first.append(provider)
        result = _run(before + list(vetting.preload) + [vetting.path], first, timeout)
    vetting.trial_ms = result.ms
    if result.ok:
        return "passed"
    if result.possible and result.path in before + first and result.path not in vetting.preload:
        # Mapped here and gone or changed on disk since: no child can be made like this process.
        result = trial.TrialResult(False, "not possible: " + result.detail, result.ms, possible=False)
    if result.possible:
        raise Rejected("trial-failed", "loading it in a child process {}".format(result.detail), result.detail)
    if vetting.wanted.role == "substitute":
        raise Rejected("trial-not-possible", result.detail, result.detail)
    return result.detail


def _timeout(vetting: Vetting) -> float:
    """Return the seconds that one trial may take: what is left of the search budget, within bounds."""
    most, least = (OP_TIMEOUT, OP_GRACE) if vetting.wanted.op_library else (TIMEOUT, GRACE)
    return min(most, max(least, vetting.deadline + budget.waited_since(vetting.deadline) - time.monotonic()))


def surroundings(vetting: Vetting) -> tuple[list[str], list[str]]:
    """Return (libraries to be loaded RTLD_GLOBAL, RTLD_LOCAL) before a trial, as this process has them.

    Libraries that satisfy the candidate's needs only because they are mapped here; for an op library
    TensorFlow's own, in the global scope only where this process has them there (TensorFlow 2.21 does, 1.15 to 2.15
    do not).
    """
    return around(vetting.process, vetting.mapped, vetting.wanted.op_library)


def around(view: ProcessView | None, mapped: Sequence[str], op_library: bool) -> tuple[list[str], list[str]]:
    """Return the same for a library that needs ``mapped`` in the process ``view``."""
    from dlrepair.binary import process

    before = list(mapped)
    if view is None or not op_library:
        return [], before
    framework = [
        path for path in tensorflow.mapped_libraries(view)
        if os.path.basename(path).startswith("libtensorflow_framework.so")
    ]  # fmt: skip
    if process.defined_globally(tensorflow.KERNEL_TYPEINFO):
        return framework, [path for path in before if path not in framework]
    return [], framework + [path for path in before if path not in framework]


def _run(paths: list[str], first: list[str], timeout: float) -> TrialResult:
    key: tuple[object, ...] = (tuple(paths), tuple(first), _signature(paths + first))
    last = _signature(paths[-1:])[0]
    known = _known.get(key) or _hopeless.get(last)
    if known is None:
        known = trial.run(paths, global_first=first, timeout=timeout)
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
            _hopeless.clear()
        if known.possible:
            _known[key] = known
        if known.path == paths[-1] and ("killed by" in known.detail or "no answer" in known.detail):
            _hopeless[last] = known
    return known


def _signature(paths: list[str]) -> tuple[object, ...]:
    found: list[object] = []
    for path in paths:
        try:
            status = os.stat(path)
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except (OSError, ValueError):
            found.append(None)
    return tuple(found)


def _provider(result: TrialResult, vetting: Vetting, first: list[str]) -> str:
    """Return the mapped library in this process's global scope that defines the symbol a trial lacked, or ""."""
    from dlrepair.binary import elf, process

    mark = "undefined symbol: "
    if result.ok or mark not in result.detail or vetting.process is None:
        return ""
    symbol = result.detail.split(mark, 1)[1].split(",")[0].split(" ")[0].split("\t")[0]
    if not process.defined_globally(symbol):
        return ""
    for path in vetting.process.loaded:
        if path in first:
            continue
        try:
            with elf.open_elf(path) as library:
                if library.defines(symbol):
                    return path
        except (OSError, ValueError):
            continue
    return ""
