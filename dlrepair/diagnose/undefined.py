"""Undefined symbols in words, for the rules."""

from __future__ import annotations

from dlrepair.diagnose import mangled
from dlrepair.diagnose.rule import Finding, fact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.model.diagnosis import Evidence

#: symbols that are shown one by one
MAX_SHOWN = 12


def is_python(name: str) -> bool:
    return mangled.family(name) == "python"


def names_of(found: list[tuple[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for _path, one in found))


def listed(finding: Finding) -> list[Evidence]:
    """The undefined symbols, demangled, with the library that defines or nearly defines each."""
    from dlrepair.binary.symbols import demangle

    found = finding.detail
    proof = [
        fact(
            "undefined",
            "{} has {} undefined symbol{}".format(finding.path, len(found), "" if len(found) == 1 else "s"),
            len(found),
        )
    ]
    for _path, one in found[:MAX_SHOWN]:
        words = demangle(one.name)
        text = one.name if words == one.name else "{} ({})".format(words, one.name)
        if one.version:
            text += " of version {}".format(one.version)
        if one.provider_hint:
            text += ": see {}".format(one.provider_hint)
        proof.append(fact("symbol", text, one.name))
    return proof
