"""Every call site of the corpus once, its library in one of the places of the survey, in turn."""

from __future__ import annotations

import os
import tempfile
from typing import Iterator

import pytest
import sites


@pytest.fixture
def top() -> Iterator[str]:
    """A directory with a short name: some places repeat a whole absolute path below themselves."""
    with tempfile.TemporaryDirectory(prefix="sites") as directory:
        yield directory


@pytest.mark.compile
def test_every_site_finds_its_library(top: str, bare: str, hooked: str) -> None:
    replay = sites.Replay(top)
    replayed = []
    for number, site in enumerate(sites.read_sites()):
        label, place = sites.PLACES[number % len(sites.PLACES)]
        if not site.unreached and replay.add(number, site, place):
            replayed.append((number, site, label))
    assert len(replayed) > 200
    before = replay.run(bare)
    lost = [
        (one, said) for one, earlier, said in zip(replayed, before, replay.run(hooked))
        if sites.failed(earlier) and said != 42
    ]  # fmt: skip
    assert sum(sites.failed(answer) for answer in before) > 200
    assert not lost, lost
    assert not os.path.exists(os.path.join(top, "home", ".cache")), "outside the store"


@pytest.mark.compile
def test_shapes_that_the_corpus_does_not_have(top: str, bare: str, hooked: str) -> None:
    """Each with its library in the one place where its own project builds it."""
    replay = sites.Replay(top)
    shapes = sites.read_shapes()
    for number, shape in enumerate(shapes):
        assert replay.add(number, shape, shape.built), shape
    assert all(sites.failed(answer) for answer in replay.run(bare))
    lost = [(shape, said) for shape, said in zip(shapes, replay.run(hooked)) if said != 42]
    assert not lost, lost


def test_what_is_not_replayed_is_named() -> None:
    every = sites.read_sites()
    assert len(every) == 265
    for site in every:
        assert site.unreached or site.expression
    assert sum(bool(site.unreached) for site in every) == 30
