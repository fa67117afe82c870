"""Every call site of the corpus once, its library in one of the places of the survey, in turn."""

from __future__ import annotations

import os

import pytest
import sites


@pytest.mark.compile
def test_every_site_finds_its_library(tmp_path: object, bare: str, hooked: str) -> None:
    replay = sites.Replay(str(tmp_path))
    replayed = []
    for number, site in enumerate(sites.read_sites()):
        label, place = sites.PLACES[number % len(sites.PLACES)]
        if not site.unreached and replay.add(number, site, place):
            replayed.append((number, site, label))
    assert len(replayed) > 200
    before = replay.run(bare)
    after = replay.run(hooked)
    lost = [
        (one, said) for one, earlier, said in zip(replayed, before, after)
        if sites.failed(earlier) and said != 42
    ]  # fmt: skip
    if lost:  # a trial load has five seconds, which a machine may not give: what is lost twice is lost
        again = dict(zip((one for one, _, _ in replayed), replay.run(hooked)))
        lost = [(one, said) for one, said in lost if again[one[0]] != 42]
    assert sum(sites.failed(answer) for answer in before) > 200
    assert not lost, lost
    assert not os.path.exists(os.path.join(str(tmp_path), "home", ".cache")), "outside the store"


def test_what_is_not_replayed_is_named() -> None:
    every = sites.read_sites()
    assert len(every) == 265
    for site in every:
        assert site.unreached or site.expression
    assert sum(bool(site.unreached) for site in every) == 30
