"""Whether a failing load is one that another build of the library could answer, and whether one is expected here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.repair.context import Context

#: causes that lie in how the file was built, or in that it never was
CAUSES = frozenset((
    "file-missing", "wrong-cwd", "truncated", "not-a-library", "wrong-arch", "wrong-os", "python-abi", "libc-too-old",
    "undefined-symbol-link", "undefined-symbol-abi", "undefined-symbol-version", "symbol-version-missing",
    "libstdcxx-too-old", "code-signature", "execstack",
))  # fmt: skip


def is_called_for(context: Context) -> bool:
    """Whether another build could help, and whether building is what the user expects here."""
    diagnosis = context.diagnosis
    if context.settings.rebuild != "auto" or context.guard.kind not in ("none", "reraise"):
        return False
    if context.request.loader == "find_library" or not ("/" in context.request.requested or context.request.op_loader):
        return False
    if diagnosis.cause == "dependency-missing":
        return context.request.op_loader or any(_is_of_a_release(one.name) for one in diagnosis.missing)
    if diagnosis.cause == "unknown":  # symbols of the project's own that nothing defines: a source was left out
        return bool(diagnosis.symbols)
    return diagnosis.cause in CAUSES


def _is_of_a_release(name: str) -> bool:
    """Whether a missing dependency is one that each release of TensorFlow or Python has under another name."""
    return name.startswith(("libtensorflow_framework.so", "libpython"))
