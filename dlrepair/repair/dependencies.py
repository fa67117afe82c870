"""Which file serves each missing dependency: shared by the strategies *preload* and *alias*."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.candidate import Candidate, Verdict
    from dlrepair.model.diagnosis import Missing
    from dlrepair.repair.ladder import Context

Chosen = "list[tuple[Missing, Candidate, Verdict]]"


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
    from dlrepair.search import rank, sources, vet

    blocked = (missing.blocked_by,) if missing.blocked_by else ()
    want = Wanted(
        missing.name, "dependency", missing.needed_by, context.request.loader, versions=missing.versions,
        exclude=blocked,
    )  # fmt: skip
    found = sources.find_candidates(want, context.request, context.settings, context.deadline)
    for candidate in rank.nearest_first(found, want, context.request):
        known = [verdict for seen, verdict in context.verdicts if seen == candidate]
        if known:
            verdict = known[0]
        else:
            verdict = vet.vet(candidate, want, context.request, settings=context.settings, process=context.view)
            context.note(candidate, verdict)
        if verdict.accepted:
            return candidate, verdict
    return None


def order(chosen: list[tuple[Missing, Candidate, Verdict]]) -> list[str]:
    """Paths to be opened, each after what it needs itself."""
    paths: list[str] = []
    for _, candidate, verdict in chosen:
        for path in (*verdict.preload, candidate.path):
            if path not in paths:
                paths.append(path)
    return paths
