"""Facts -> cause: the rules in their order, and ``diagnose``.

The order is that of ld.so itself: the file, then everything that it needs, then symbol versions,
then symbols, then what the process and the system allow. The first rule that holds is the answer.
A loader's words choose among causes that no file shows (static TLS, a second registration), and
never against the facts: glibc says "No such file" for an existing file of another machine.
"""

from __future__ import annotations

from dlrepair.diagnose import dlerror
from dlrepair.diagnose.facts import Facts
from dlrepair.model.diagnosis import Diagnosis, Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.binary.process import ProcessView
    from dlrepair.diagnose.rule import Finding, Rule
    from dlrepair.model.requests import LoadRequest

#: ``Diagnosis.cause`` of a file that would load.
NONE = "none"


def rules() -> Iterator[Rule]:
    """Every rule in order; a module is imported when the rules before it did not hold."""
    from dlrepair.diagnose import rules_process

    yield from rules_process.RULES
    from dlrepair.diagnose import rules_file

    yield from rules_file.RULES
    from dlrepair.diagnose import rules_search

    yield from rules_search.RULES
    from dlrepair.diagnose import rules_symbols

    yield from rules_symbols.RULES
    yield from rules_process.LATER
    yield rules_symbols.LAST


def diagnose(request: LoadRequest, *, target: str | None = None, process: ProcessView | None = None) -> Diagnosis:
    """Why the load of ``request`` fails, from the files, the process and the system; nothing is loaded.

    ``target`` is the absolute path that was asked for, None for a name without a directory (ld.so
    searches for it). ``process`` is the process that loads, None for a fresh interpreter. The cause is
    ``none`` when the request carries no error and everything is in order, ``unknown`` when it carries
    one that the facts do not explain. Never raises for what it finds in files.
    """
    symptom = dlerror.parse(request.error, request.loader) if request.error else dlerror.NO_WORDS
    facts = Facts(request, symptom, target, process)
    for rule in rules():
        finding = rule.holds(facts)
        if finding is not None:
            return _diagnosis(rule, facts, finding)
    return _in_order(facts)


def _diagnosis(rule: Rule, facts: Facts, finding: Finding) -> Diagnosis:
    return Diagnosis(
        rule.cause, facts.symptom, finding.path, finding.missing, finding.symbols, rule.evidence(facts, finding),
        rule.next_step(facts, finding),
    )  # fmt: skip


def _in_order(facts: Facts) -> Diagnosis:
    """No rule holds: the file would load, or the facts do not tell why it did not."""
    path = facts.path or ""
    trace = facts.trace
    found = len(trace.closure) if trace is not None else 0
    proof: tuple[Evidence, ...] = (
        Evidence("file", "{}: {}".format(path, facts.file.detail), path),
        Evidence("dependencies", "all {} libraries that it needs are found".format(found), str(found)),
        Evidence("symbols", "no symbol that it needs is undefined"),
    )
    if not facts.request.error and not facts.request.exception:
        return Diagnosis(NONE, facts.symptom, path, (), (), proof, "")
    proof += (Evidence("words", facts.request.error[:500] or facts.request.exception, facts.request.exception),)
    named = facts.symptom.missing or "" if facts.symptom.kind == "undefined-symbol" else ""
    symbols = (named.partition("@")[0],) if named else ()
    step = "LD_DEBUG=files,libs python … 2>&1 | tail -50"
    return Diagnosis("unknown", facts.symptom, path, (), symbols, proof, step)
