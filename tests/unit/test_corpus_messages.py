"""The parser against 175 real messages (tests/data/load_failures.jsonl), as the project's goals count them.

A field that the message does not contain cannot be read out of it and is not counted. A name is right
when its last component is: the corpus shortens paths. Symptoms were labelled by reading the messages
(load_failures_symptoms.json). Entries whose root cause is only inferred are counted apart; ``other``
names no cause of ours and is counted by no figure about causes.
"""

from __future__ import annotations

import json
import os

import pytest

from dlrepair.diagnose import dlerror
from dlrepair.model.causes import CAUSES

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")


def rows():
    with open(os.path.join(DATA, "load_failures.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def symptoms():
    with open(os.path.join(DATA, "load_failures_symptoms.json"), encoding="utf-8") as file:
        return {name: kind for kind, names in json.load(file).items() for name in names}


def squeezed(text):
    return "".join(text.split())


def last(name):
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def judged(expected, got, message):
    """True, False, or None where the message does not hold what is expected."""
    if not expected or squeezed(last(expected).split("@")[0]) not in squeezed(message) or "*" in expected:
        return None
    if got is None:
        return False
    return last(got) == last(expected) or squeezed(got) == squeezed(expected)


def parsed(row):
    return dlerror.parse(row["message"], "" if row["loader"] == "other" else row["loader"])


def share(right, wrong):
    return len(right) / float(len(right) + len(wrong))


def test_symptom_object_and_missing_thing():
    kinds = symptoms()
    right, wrong = [], []
    for row in rows():
        symptom = parsed(row)
        found = [
            symptom.kind == kinds[row["id"]],
            judged(row["failing_object"], symptom.failing_object, row["message"]),
            judged(row["missing"], symptom.missing, row["message"]),
        ]
        (wrong if False in found else right).append((row["id"], symptom))
    print("extracted right: {} of {}".format(len(right), len(right) + len(wrong)))
    assert len(right) + len(wrong) == 175
    assert share(right, wrong) >= 0.97, wrong


@pytest.mark.parametrize(("evidence", "count"), [("confirmed", 104), ("inferred", 60)])
def test_ranked_causes(evidence, count):
    first, three, wrong = 0, 0, []
    chosen = [
        row
        for row in rows()
        if row["root_cause"] != "other" and (row["evidence"] == "inferred") == (evidence == "inferred")
    ]
    for row in chosen:
        causes = parsed(row).causes
        first += causes[0] == row["root_cause"]
        three += row["root_cause"] in causes[:3]
        if row["root_cause"] not in causes[:3]:
            wrong.append((row["id"], causes))
    print("{}: first {} and among three {} of {}".format(evidence, first, three, len(chosen)))
    assert len(chosen) == count
    assert three / float(count) >= 0.90, wrong
    assert first / float(count) >= 0.70


def test_every_answer_is_a_list_of_known_causes():
    for row in rows():
        causes = parsed(row).causes
        assert causes
        assert set(causes) <= set(CAUSES)
        assert len(set(causes)) == len(causes)


def test_the_loader_need_not_be_told():
    """``explain --message`` knows the text alone: the figures hold without the loader's name."""
    first = three = 0
    chosen = [row for row in rows() if row["root_cause"] != "other" and row["evidence"] != "inferred"]
    for row in chosen:
        causes = dlerror.parse(row["message"]).causes
        first += causes[0] == row["root_cause"]
        three += row["root_cause"] in causes[:3]
    print("without the loader: first {} and among three {} of {}".format(first, three, len(chosen)))
    assert three / float(len(chosen)) >= 0.90
    assert first / float(len(chosen)) >= 0.70
