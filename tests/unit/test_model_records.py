"""Records behave as the standard library's frozen dataclasses do."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys

import pytest

from dlrepair.model.candidate import Candidate, Verdict
from dlrepair.model.diagnosis import Diagnosis, Symptom
from dlrepair.model.records import replace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ONE = Candidate("/a/libfoo.so", "project", distance=3)


@dataclasses.dataclass(frozen=True)
class Twin:
    path: str
    source: str
    rule: str = "exact"
    distance: int = 0


def twin() -> Twin:
    return Twin("/a/libfoo.so", "project", distance=3)


def test_values_defaults_and_text() -> None:
    assert (ONE.path, ONE.source, ONE.rule, ONE.distance) == ("/a/libfoo.so", "project", "exact", 3)
    assert repr(ONE) == repr(twin()).replace("Twin", "Candidate")


def test_equality_and_hash() -> None:
    same = Candidate(path="/a/libfoo.so", source="project", distance=3)
    assert ONE == same and hash(ONE) == hash(same) and {ONE: 1}[same] == 1
    assert ONE != replace(ONE, distance=4) and ONE != twin() and ONE != ("/a/libfoo.so", "project", "exact", 3)
    with pytest.raises(TypeError):
        hash(replace(ONE, path=["not hashable"]))


def test_it_is_frozen() -> None:
    for change in (lambda: setattr(ONE, "path", "x"), lambda: setattr(ONE, "new", "x"), lambda: delattr(ONE, "path")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a",), {}), (("a", "b", "c", 1, 2), {}), (("a", "b"), {"path": "c"}), (("a", "b"), {"other": 1}),
     (("a",), {"other": 1}), ((), {"source": "b", "rule": "c", "distance": 1, "other": 2})],
)  # fmt: skip
def test_wrong_arguments_are_refused_as_a_dataclass_refuses_them(values, named) -> None:
    for kind in (Candidate, Twin):
        with pytest.raises(TypeError):
            kind(*values, **named)


def test_the_standard_library_takes_it_for_a_dataclass() -> None:
    assert dataclasses.is_dataclass(ONE)
    assert [(one.name, one.default) for one in dataclasses.fields(ONE)] == [
        (one.name, one.default) for one in dataclasses.fields(twin())
    ]
    assert dataclasses.asdict(ONE) == dataclasses.asdict(twin())
    assert dataclasses.replace(ONE, rule="affix") == replace(ONE, rule="affix")
    whole = Diagnosis("file-missing", Symptom("not-found"))
    assert dataclasses.asdict(whole)["symptom"]["kind"] == "not-found"


def test_copies_and_pickles() -> None:
    verdict = Verdict("/a", True, "fits", facts=(("size", "1"),))
    assert copy.copy(verdict) == copy.deepcopy(verdict) == pickle.loads(pickle.dumps(verdict)) == verdict


def test_what_a_failing_load_needs_is_defined_without_dataclasses() -> None:
    code = (
        "import sys\n"
        "from dlrepair.model import candidate, diagnosis, environment, facts, plan, requests\n"
        "from dlrepair.repair import ladder\nfrom dlrepair.diagnose import rules\n"
        "from dlrepair.search import sources, vet\n"
        "print([name for name in ('dataclasses', 'inspect', 'functools', 'typing', 're') if name in sys.modules])"
    )
    start = "import sys; sys.path.insert(0, %r)\n" % ROOT
    run = [sys.executable, "-S", "-E", "-c", start + code]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "[]\n"
