"""What stands in two places, because one may not import the other or start-up would pay for it, is the same in both."""

from __future__ import annotations

import os
import sys

from dlrepair.learned import environ, program
from dlrepair.model import python
from dlrepair.render import log
from dlrepair.repair import replay
from dlrepair.search import names


def test_the_words_of_a_learned_change():
    """Stage 0 imports nothing that renders."""
    assert log._FORMS == environ._FORMS


def test_the_marks_of_a_twin():
    """A replay imports no search unless a name has such a mark."""
    assert tuple("_" + mark for mark in names._TWINS) == replay.TWINS


def test_the_interpreter_in_the_key_of_a_record(monkeypatch):
    """Stage 0 imports no model: both take python and python3 of one directory for the same, and of two for two."""
    here, there = os.path.join(os.sep, "env", "bin"), os.path.join(os.sep, "other", "bin")
    seen = {}
    for path in (os.path.join(here, "python"), os.path.join(here, "python3"), os.path.join(there, "python")):
        monkeypatch.setattr(sys, "executable", path)
        seen[path] = (program.Program("file", "/train.py", "").key(), python.identity())
    keys, identities = zip(*seen.values())
    assert keys[0] == keys[1] != keys[2] and identities[0] == identities[1] != identities[2]
