"""Rules about a wrong copy of a library that ld.so takes before a good one: which directory shadows which."""

from __future__ import annotations

import os

from dlrepair.binary.elf import ElfError, open_elf, read_facts
from dlrepair.diagnose.facts import tidy
from dlrepair.diagnose.rule import Finding, fact
from dlrepair.diagnose.undefined import is_python, listed, names_of
from dlrepair.model.diagnosis import Evidence, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.diagnose.facts import Facts

#: how ld.so came to a file -> words for a person, with the library that asks
_WAYS = {
    "rpath": "the RPATH that counts for {}",
    "ld-library-path": "LD_LIBRARY_PATH",
    "runpath": "the RUNPATH of {}",
    "cache": "/etc/ld.so.cache",
    "default": "the system's default directories",
}


def wrong_copy(facts: Facts) -> Finding | None:
    """Undefined symbols that another copy of a dependency, further along the search, defines.

    Where the process holds the wrong copy already, nothing is missing that could be loaded first: ld.so keeps it.
    """
    trace = facts.trace
    rest = [(path, one) for path, one in facts.unresolved if not is_python(one.name)]
    if trace is None or not rest:
        return None
    names = {one.name for _path, one in rest}
    for entry in trace.entries:
        if entry.path is None or (entry.how not in _WAYS and entry.how != "loaded"):
            continue
        for copy in facts.copies(entry.name, entry.needed_by, entry.path):
            if not _defines(copy, names):
                continue
            if entry.how == "loaded":
                return Finding(rest[0][0], (entry, copy, rest), (), names_of(rest))
            missing = (Missing(entry.name, entry.needed_by, entry.tried, (), entry.path),)
            return Finding(entry.path, (entry, copy, rest), missing, names_of(rest))
    return None


def _defines(path: str, names: set[str]) -> bool:
    try:
        with open_elf(path) as elf:
            return all(elf.defines(name) for name in names)
    except (OSError, ElfError):
        return False


def wrong_copy_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    """The symbols, the copy that lacks them and the good one, and which directory comes before which."""
    entry, copy, rest = finding.detail
    proof = listed(Finding(rest[0][0], rest))
    if entry.how == "loaded":
        words = "{} does not define them and is loaded already: ld.so uses it for every later load"
        proof.append(fact("loaded", words.format(entry.path), entry.path))
    else:
        proof.append(fact("taken", "ld.so takes {}, which does not define them".format(entry.path), entry.path))
    proof.append(fact("good-copy", "{} defines them, but stands behind in the search".format(copy), copy))
    return (*proof, *ways(facts, entry.name, entry.needed_by, entry.path, copy))


def wrong_copy_step(facts: Facts, finding: Finding) -> str:
    """What to change on the search path."""
    entry, copy, _rest = finding.detail
    return step(copy, entry.path)


def step(good: str, bad: str) -> str:
    """The advice for a good copy behind a bad one."""
    return "Put {} before {} in LD_LIBRARY_PATH, or remove {}".format(os.path.dirname(good), os.path.dirname(bad), bad)


def ways(facts: Facts, name: str, needed_by: str, bad: str, good: str) -> tuple[Evidence, ...]:
    """One sentence: by what ld.so comes to the bad copy's directory, and by what to the good one's."""
    by = dict(reversed(facts.reached(name, needed_by, sound=False)))
    bad, asking = tidy(bad), os.path.basename(needed_by)
    behind = _way(by.get(good, ""), asking)
    before = _way(by.get(bad, ""), asking) or _how_mapped(facts, name, bad)
    if not before or not behind:
        return ()
    words = "{} ({}) comes before {} ({})".format(os.path.dirname(bad), before, os.path.dirname(good), behind)
    return (fact("shadows", words, os.path.dirname(bad)),)


def _way(how: str, asking: str) -> str:
    return _WAYS[how].format(asking) if how in _WAYS else ""


def _how_mapped(facts: Facts, name: str, path: str) -> str:
    """By what a library came into the process that is no place of the search for the one that fails."""
    for other in facts.view.loaded:
        elf = read_facts(other).elf
        if elf is not None and name in elf.needed:
            return "loaded for {}".format(os.path.basename(other))
    return "loaded by its path" if path in facts.view.loaded else ""
