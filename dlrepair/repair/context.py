"""What the strategies look at while a load is being repaired, and where they note what they saw."""

from __future__ import annotations

import os
import time

from dlrepair.search import budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.model.candidate import Candidate, Verdict, Wanted
    from dlrepair.model.diagnosis import Diagnosis
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.model.plan import Outcome, Plan
    from dlrepair.model.requests import Guard, LoadRequest
    from dlrepair.settings import Settings


class Context:
    """What the strategies look at, and where they note what they saw."""

    def __init__(
        self,
        ask: Any,
        request: LoadRequest,
        diagnosis: Diagnosis,
        guard: Guard,
        settings: Settings,
        view: Any,
        target: str | None,
        emit: Callable[..., None],
    ) -> None:
        self.ask = ask
        self.request = request
        self.diagnosis = diagnosis
        self.guard = guard
        self.settings = settings
        self.view = view
        self.target = target
        self.emit = emit
        self.deadline = budget.deadline_in(settings.budget_ms / 1000.0)
        self.verdicts: list[tuple[Candidate, Verdict]] = []
        self._known: dict[tuple[str, str, str, bool], Verdict] = {}
        #: what searches that came to their ends have found
        self.searched: dict[Wanted, list[list[Candidate]]] = {}
        self._notes: set[tuple[str, str]] = set()
        self.plan_done: Plan | None = None
        self.last_resort = False  #: whether the strategies that fit the cause have been tried
        self.preloaded: list[str] = []
        self.rivals: dict[str, tuple[str, ...]] = {}  #: accepted path -> others that are as good, and different
        self.loaded: list[str] = []  #: what the plan at hand has opened so far: it stays loaded
        self.made: dict[str, str] = {}  #: path that steps name -> the link, copy or build that was made for it
        self.recipes: dict[str, Any] = {}  #: first source -> the recipe that a step ``build`` follows
        self.inputs: tuple[tuple[str, str], ...] = ()  #: (path, signature) of what a build was made of
        self.words: dict[str, str] = {}  #: path that the last step names -> what the user reads, once it is known
        self._registered: frozenset[str] | None = None
        self.written: int | None = None  #: bytes that the program itself had written before; None: not known
        self.outcome = ""  #: what came of it, one clause for the user, where nothing was repaired
        self.advice = ""  #: what to do next, where a strategy knows better than the diagnosis
        self.refused = ""  #: what spoke against a new process: nothing else in this incident will do
        self.idle = ""  #: the other threads of the process, where nothing would be lost with them
        self.generated = False  #: whether what a build lacked may be something that is generated
        self.incident = ""
        self.began = time.perf_counter()
        self.fixes: dict[str, EnvironmentFix] = {}  #: what a step of a plan names -> the fix itself
        self.leave: Callable[[Outcome], None] | None = None  #: ends the incident before the process becomes another one
        self._overdrafts = 0
        self._uses: tuple[str, ...] | None = None

    @property
    def exact(self) -> bool:
        """Whether only the very same file name may serve: the caller deals with the failure itself."""
        return self.guard.kind in ("alternative", "compile")

    @property
    def uses(self) -> tuple[str, ...]:
        """Names that the caller's code takes from what it loads; none where nobody asks or that cannot be told."""
        if self._uses is None:
            from dlrepair.diagnose import uses

            self._uses = uses.find_uses(getattr(self.ask, "frame", None))
        return self._uses

    def known_verdict(self, candidate: Candidate, wanted: Wanted) -> Verdict | None:
        """What was thought of the same file for the same purpose before, in this incident."""
        return self._known.get((candidate.path, wanted.name, wanted.role, wanted.renamed))

    def search_notes(self, notes: list[tuple[str, str]]) -> None:
        """Journals places that the search skipped, left early or indexed, each once."""
        for place, reason in notes:
            if (place, reason) not in self._notes:
                self._notes.add((place, reason))
                slug = "indexed" if reason.startswith("indexed: ") else "not-searched"
                self.emit("candidate", path=place, verdict="rejected", reason=slug, detail=reason)

    def note(self, candidate: Candidate, wanted: Wanted, verdict: Verdict, rank: str = "") -> None:
        """Journals what was thought of a candidate, and why its turn came when it did."""
        self.verdicts.append((candidate, verdict))
        self._known[candidate.path, wanted.name, wanted.role, wanted.renamed] = verdict
        self.emit(
            "candidate", path=candidate.path, verdict="accepted" if verdict.accepted else "rejected",
            reason=verdict.reason, detail=verdict.detail, source=candidate.source, rule=candidate.rule,
            distance=candidate.distance, rank=rank, trial=verdict.trial, facts=dict(verdict.facts),
        )  # fmt: skip
        if verdict.reason.startswith("untrusted"):
            self.emit("trust-refused", path=candidate.path, reason=verdict.detail or verdict.reason)

    def registered_ops(self, path: str) -> frozenset[str]:
        """Names of the ops that libraries opened through TensorFlow so far have registered, but for ``path`` itself.

        The very file that has registered them may be asked for again: it is opened under the name that it has.
        """
        from dlrepair.search.vet import same_file

        if any(same_file(name, path) for name in self.ask.state.opened):
            return frozenset()
        if self._registered is None:
            self._registered = self.ask.registered_ops() if self.ask.op_loader else frozenset()
        return self._registered

    def opened_as(self, path: str) -> str:
        """The name under which TensorFlow has opened this very file already, or ``path``.

        TensorFlow knows libraries by name: a second name for one file gives a module without ops.
        """
        from dlrepair.search.vet import same_file

        for name in self.ask.state.opened:
            if same_file(name, path):
                return os.fsdecode(name)
        return path

    @property
    def rehearsed(self) -> bool:
        """Whether another program is meant than this process, which only asks what the repair would be."""
        return not hasattr(self.ask.state, "pid")

    def elapsed(self) -> float:
        """Milliseconds since the failure."""
        return round((time.perf_counter() - self.began) * 1000, 2)

    def out_of_time(self) -> bool:
        """Whether the search budget is used up."""
        return budget.is_over(self.deadline)

    def overdrawn(self) -> bool:
        """Whether no further candidate may be looked at: beyond the budget, the one found last is still vetted."""
        if self.out_of_time():
            self._overdrafts += 1
        return self._overdrafts > 1
