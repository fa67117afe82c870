"""The places of a search, set for people: which list named each of them, and why nothing was taken from it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.requests import LoadRequest

__all__ = ["of_evidence", "sentence", "sought"]

#: What ``binary.trace.Entry.how`` calls the lists that ld.so goes through (ld.so(8)).
_LISTS = {
    "rpath": "RPATH",
    "runpath": "RUNPATH",
    "ld-library-path": "LD_LIBRARY_PATH",
    "cache": "ld.so's cache",
    "default": "ld.so's default directory",
}


def sentence(place: str, reason: str, shown: str = "") -> str:
    """``/lib/libfoo.so (ld.so's default directory): no such file`` of a place and a reason ``default: no such file``.

    ``shown`` stands for the place where a caller has set it already. A reason without a list stays as it is.
    """
    how, colon, rest = reason.partition(": ")
    shown = shown or place or "the working directory"
    if not reason:
        return shown
    if how == "path" and colon:  # the name has a slash: no list led there
        return "{}: {}".format(shown, rest)
    words = _LISTS.get(how, "") if colon else ""
    if not words:
        return "{}: {}".format(shown, reason)
    if how == "cache" and place == "/etc/ld.so.cache":
        return "{}: {}".format(shown, rest)
    return "{} ({}): {}".format(shown, words, rest)


def of_evidence(key: str, text: str, place: str) -> str:
    """The sentence of a piece of evidence: ``text``, or as ``sentence`` where it is one place of a search."""
    if key != "tried" or not text.startswith(place + ": "):
        return text
    return sentence(place, text[len(place) + 2 :])


def sought(diagnosis: Diagnosis, request: LoadRequest) -> list[tuple[str, list[tuple[str, str]]]]:
    """(name, its (place, reason) pairs) of what ld.so searched for, each place of a name once.

    Of a missing dependency they are in the diagnosis, of the file that was asked for in the evidence.
    """
    groups = [(missing.name, list(missing.tried)) for missing in diagnosis.missing]
    told = {pair for _, pairs in groups for pair in pairs}
    asked = []
    for one in diagnosis.evidence:
        if one.key == "tried":
            start = one.value + ": "
            pair = (one.value, one.text[len(start) :]) if one.text.startswith(start) else (one.text, "")
            if pair not in told:
                asked.append(pair)
    return [group for group in [(request.requested, asked)] + groups if group[1]]
