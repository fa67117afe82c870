"""Which file serves: candidates in their order, vetted and journalled. Shared by the strategies."""

from __future__ import annotations

import os

from dlrepair.model.candidate import Verdict
from dlrepair.model.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.diagnosis import Missing
    from dlrepair.repair.context import Context

#: so many files that are as good as the one taken are vetted, to tell of them
MAX_RIVALS = 3


def choose(context: Context) -> list[tuple[Missing, Candidate, Verdict]] | None:
    """An accepted file for every missing DT_NEEDED entry, deepest first, or None if one has none."""
    chosen = []
    for missing in context.diagnosis.missing:
        pair = serve(context, missing)
        if pair is None:
            return None
        chosen.append((missing, pair[0], pair[1]))
    return chosen or None


def serve(context: Context, missing: Missing, renamed: bool = False) -> tuple[Candidate, Verdict] | None:
    """A file for one DT_NEEDED entry; with ``renamed`` one whose SONAME is another, or none: a copy will bear it.

    ld.so takes an object that is there for a DT_NEEDED entry with a slash too, if its SONAME is that very string.
    """
    from dlrepair.model.candidate import Wanted

    if "/" in missing.name and not renamed:
        return None
    blocked = (missing.blocked_by,) if missing.blocked_by else ()
    want = Wanted(
        os.path.basename(missing.name),
        "dependency",
        missing.needed_by,
        context.request.loader,
        versions=missing.versions,
        exclude=blocked,
        renamed=renamed,
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
    """Candidates that ``vet`` and ``further`` accept, best first; each verdict goes into the journal once.

    Another file that is as good as the one taken, and different, is told of: in the journal and to the user.
    """
    from dlrepair.search import standby

    notes: list[tuple[str, str]] = []
    batches = _batches(context, want, notes)
    try:
        yield from _served(context, want, _in_turn(context, want, batches), further)
    finally:
        standby.drop()
        del batches  # ends the search: what it passed over is in ``notes`` now
        context.search_notes(notes)


def _in_turn(context: Context, want: Wanted, batches: Iterator[list[Candidate]]) -> Iterator[list[Candidate]]:
    """The batches, nearest first; of NVIDIA's libraries those of the system first where the settings say so."""
    from dlrepair.search import cuda

    if want.role == "dependency" and context.settings.cuda_libraries == "system" and cuda.is_cuda(want.name):
        return cuda.system_first(batches)
    return batches


def _batches(context: Context, want: Wanted, notes: list[tuple[str, str]]) -> Iterator[list[Candidate]]:
    """What the search finds; a search that came to its end for one strategy is not done again for the next."""
    from dlrepair.search import sources, standby

    key = replace(want, renamed=False)
    known = context.searched.get(key)
    if known is not None:
        yield from known
        return
    if want.role == "substitute":
        standby.prepare()
    found = []
    for batch in sources.find_batches(want, context.request, context.settings, context.deadline, notes=notes):
        found.append(batch)
        yield batch
    context.searched[key] = found


def _served(
    context: Context, want: Wanted, batches: Iterator[list[Candidate]],
    further: Callable[[Verdict], Verdict] | None,
) -> Iterator[tuple[Candidate, Verdict]]:  # fmt: skip
    from dlrepair.search import rank

    for batch in batches:
        ranked = rank.rank(batch, want, context.request)
        told: set[str] = set()
        for at, candidate in enumerate(ranked):
            if candidate.path in told:
                continue
            verdict = _vetted(context, want, candidate, further)
            if not verdict.accepted:
                continue
            rivals = _rivals(context, want, ranked[at:], verdict, further)
            told.update(rival.path for rival, _ in rivals)
            for rival, _ in rivals:
                _tell(context, rival, candidate)
            if rivals and candidate.rule == "content":
                _tell(context, candidate, rivals[0][0])
                continue  # neither bears a name that anybody asked for: nothing speaks for one of them
            context.rivals[verdict.path] = tuple(rival.path for rival, _ in rivals)
            # out of an archive: what serves is the file in the store
            yield (candidate if verdict.path == candidate.path else replace(candidate, path=verdict.path)), verdict


def _vetted(
    context: Context, want: Wanted, candidate: Candidate, further: Callable[[Verdict], Verdict] | None
) -> Verdict:
    from dlrepair.search import rank, vet

    verdict = context.known_verdict(candidate, want)
    if verdict is None:
        if context.overdrawn():
            verdict = Verdict(candidate.path, False, "budget", "the search budget was used up before it was looked at")
        else:
            verdict = vet.vet(
                candidate, want, context.request, settings=context.settings, process=context.view,
                registered=context.registered_ops(candidate.path), deadline=context.deadline,
            )  # fmt: skip
        if verdict.accepted and further is not None:
            verdict = further(verdict)
        context.note(candidate, want, verdict, rank.explain(candidate, want, context.request))
    return verdict


def _rivals(
    context: Context, want: Wanted, ranked: list[Candidate], taken: Verdict,
    further: Callable[[Verdict], Verdict] | None,
) -> list[tuple[Candidate, Verdict]]:  # fmt: skip
    """Those that rank as high as the first one, fit as well, and hold something else."""
    from dlrepair.search import rank

    found = []
    for rival in rank.tied(ranked, want)[1 : MAX_RIVALS + 1]:
        verdict = _vetted(context, want, rival, further)
        if verdict.accepted and not rank.same_content(verdict.path, taken.path):
            found.append((rival, verdict))
    return found


def _tell(context: Context, rival: Candidate, taken: Candidate) -> None:
    why = "neither has the name that was asked for" if taken.rule == "content" else "the newer one goes first, or the "
    why += "" if taken.rule == "content" else "first by name where they are of one age"
    context.emit(
        "candidate", path=rival.path, verdict="rejected", reason="tied", source=rival.source, rule=rival.rule,
        distance=rival.distance, detail="as good as {}, and different: {}".format(taken.path, why),
    )  # fmt: skip


def order(chosen: list[tuple[Missing, Candidate, Verdict]]) -> list[str]:
    """Paths to be opened, each after what it needs itself."""
    paths: list[str] = []
    for _, candidate, verdict in chosen:
        for path in (*verdict.preload, candidate.path):
            if path not in paths:
                paths.append(path)
    return paths
