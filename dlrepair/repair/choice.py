"""Which file serves: candidates in their order, vetted and journalled. Shared by the strategies."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from dlrepair.model.candidate import Candidate, Verdict, Wanted
    from dlrepair.model.diagnosis import Missing
    from dlrepair.repair.context import Context

#: ``Candidate.distance`` from which on a file belongs to no project: asked for only when the near ones fail
FAR = 150


def choose(context: Context) -> list[tuple[Missing, Candidate, Verdict]] | None:
    """An accepted file for every missing DT_NEEDED entry, deepest first, or None if one has none."""
    chosen = []
    for missing in context.diagnosis.missing:
        pair = _serve(context, missing)
        if pair is None:
            return None
        chosen.append((missing, pair[0], pair[1]))
    return chosen or None


def _serve(context: Context, missing: Missing) -> tuple[Candidate, Verdict] | None:
    from dlrepair.model.candidate import Wanted

    blocked = (missing.blocked_by,) if missing.blocked_by else ()
    want = Wanted(
        missing.name,
        "dependency",
        missing.needed_by,
        context.request.loader,
        versions=missing.versions,
        exclude=blocked,
    )
    alone = sum(one.needed_by == missing.needed_by for one in context.diagnosis.missing) == 1

    def completes(verdict: Verdict) -> Verdict:
        return _with_symbols(context, missing, verdict) if alone else verdict  # with several, RTLD_NOW is the judge

    for candidate, verdict in accepted(context, want, completes):
        return candidate, verdict
    return None


def _with_symbols(context: Context, missing: Missing, verdict: Verdict) -> Verdict:
    """The verdict, or a rejection if what needs the dependency would still lack symbols with it.

    They may be the candidate's own or those of what it needs: ld.so looks through the whole closure.
    """
    from dataclasses import replace

    from dlrepair.binary import scope, symbols

    try:
        paths = [verdict.path, *verdict.preload]
        for path in (missing.needed_by, verdict.path):
            trace = scope.resolve(path, process=context.view, preloaded=verdict.preload)
            paths += [entry.path for entry in trace.entries if entry.path]
        lacking = [
            name for name, _, weak in symbols.unresolved_rows(missing.needed_by, paths, context.view) if not weak
        ]
    except (OSError, ValueError):
        return verdict
    if not lacking:
        return verdict
    detail = "{} would still lack {}".format(os.path.basename(missing.needed_by), ", ".join(lacking[:4]))
    return replace(verdict, accepted=False, reason="symbols-missing", detail=detail)


def accepted(
    context: Context, want: Wanted, further: Callable[[Verdict], Verdict] | None = None
) -> Iterator[tuple[Candidate, Verdict]]:
    """Candidates that ``vet`` and ``further`` accept, best first; each verdict goes into the journal once."""
    from dlrepair.search import vet

    for candidate in _in_order(context, want):
        verdict = context.known_verdict(candidate, want)
        if verdict is None:
            verdict = vet.vet(
                candidate, want, context.request, settings=context.settings, process=context.view,
                registered=context.registered_ops(candidate.path), deadline=context.deadline,
            )  # fmt: skip
            if verdict.accepted and further is not None:
                verdict = further(verdict)
            context.note(candidate, want, verdict)
        if verdict.accepted:
            yield candidate, verdict


def _in_order(context: Context, want: Wanted) -> Iterator[Candidate]:
    """All near candidates ranked together, then each farther source when its turn comes."""
    from dlrepair.search import sources

    notes: list[tuple[str, str]] = []
    batch: list[Candidate] = []
    place = ""
    found = sources.find_candidates(want, context.request, context.settings, context.deadline, notes=notes)
    for candidate in found:
        source = candidate.source if candidate.distance >= FAR else "near"
        if source != place and batch:
            yield from _ranked(context, batch, want)
            batch = []
        place = source
        batch.append(candidate)
    yield from _ranked(context, batch, want)
    context.search_notes(notes)


def _ranked(context: Context, batch: list[Candidate], want: Wanted) -> list[Candidate]:
    """The batch best first; files as good as the first one but different from it are told of, never passed over."""
    from dlrepair.search import rank

    ranked = rank.rank(batch, want, context.request)
    for rival in rank.tied(ranked, want)[1:]:
        context.emit(
            "candidate", path=rival.path, verdict="rejected", reason="tied", source=rival.source, rule=rival.rule,
            distance=rival.distance,
            detail="as near as {}, and different: the newer one goes first".format(ranked[0].path),
        )  # fmt: skip
    return ranked


def order(chosen: list[tuple[Missing, Candidate, Verdict]]) -> list[str]:
    """Paths to be opened, each after what it needs itself."""
    paths: list[str] = []
    for _, candidate, verdict in chosen:
        for path in (*verdict.preload, candidate.path):
            if path not in paths:
                paths.append(path)
    return paths
