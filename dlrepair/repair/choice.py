"""Which file serves: candidates in their order, vetted and journalled. Shared by the strategies."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.candidate import Candidate, Verdict, Wanted
    from dlrepair.model.diagnosis import Missing
    from dlrepair.repair.ladder import Context

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
        missing.name, "dependency", missing.needed_by, context.request.loader, versions=missing.versions, exclude=blocked
    )
    for candidate, verdict in accepted(context, want):
        return candidate, verdict
    return None


def accepted(context: Context, want: Wanted) -> Iterator[tuple[Candidate, Verdict]]:
    """Candidates that ``vet`` accepts, best first; each verdict goes into the journal once."""
    from dlrepair.search import vet

    for candidate in _in_order(context, want):
        verdict = context.known_verdict(candidate, want)
        if verdict is None:
            verdict = vet.vet(
                candidate, want, context.request, settings=context.settings, process=context.view,
                registered=context.registered_ops(), deadline=context.deadline,
            )  # fmt: skip
            context.note(candidate, want, verdict)
        if verdict.accepted:
            yield candidate, verdict


def _in_order(context: Context, want: Wanted) -> Iterator[Candidate]:
    """All near candidates ranked together, then each farther source when its turn comes."""
    from dlrepair.search import rank, sources

    notes: list[tuple[str, str]] = []
    batch: list[Candidate] = []
    place = ""
    found = sources.find_candidates(want, context.request, context.settings, context.deadline, notes=notes)
    for candidate in found:
        source = candidate.source if candidate.distance >= FAR else "near"
        if source != place and batch:
            yield from rank.rank(batch, want, context.request)
            batch = []
        place = source
        batch.append(candidate)
    yield from rank.rank(batch, want, context.request)
    context.search_notes(notes)


def order(chosen: list[tuple[Missing, Candidate, Verdict]]) -> list[str]:
    """Paths to be opened, each after what it needs itself."""
    paths: list[str] = []
    for _, candidate, verdict in chosen:
        for path in (*verdict.preload, candidate.path):
            if path not in paths:
                paths.append(path)
    return paths
