"""Which directories may be asked for anything: those of a disk, and those of a server that has answered a child."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Iterator

import pytest

from dlrepair.search import environment, reachable


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No answer of another test counts."""
    for name in ("_mounted", "_waited"):
        monkeypatch.setattr(reachable, name, [0.0] if name == "_waited" else [])
    monkeypatch.setattr(reachable, "_answers", {})
    yield


def mounted(monkeypatch: pytest.MonkeyPatch, *places: str) -> None:
    monkeypatch.setattr(reachable, "network", lambda: dict.fromkeys(places, "nfs4"))


def test_a_server_that_answers_is_searched_like_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, str(tmp_path / "server"))
    (tmp_path / "server" / "lib").mkdir(parents=True)
    monkeypatch.setattr("dlrepair.binary.process.start_env", lambda name: str(tmp_path / "server" / "lib"))
    assert str(tmp_path / "server" / "lib") in environment.library_directories()
    assert reachable.listed(str(tmp_path / "server")) == ["lib"]
    assert reachable.silent() == []


@pytest.mark.parametrize("named", ["server/lib", "linked/lib", "other/../server/lib", "chain/lib"])
def test_one_that_does_not_is_told_without_asking_it(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount point does not exist here: whoever asked for it would have found that out."""
    server = str(tmp_path / "server")
    mounted(monkeypatch, server)
    (tmp_path / "other").mkdir()
    (tmp_path / "linked").symlink_to("server")
    (tmp_path / "chain").symlink_to(tmp_path / "linked")
    monkeypatch.setattr(reachable, "_ask", lambda mount: False)
    place = str(tmp_path / named)
    assert not reachable.answers(place)
    assert not reachable.is_directory(place) and reachable.listed(place) == []
    assert reachable.silent() == [(server, "a network file system (nfs4) that does not answer: not searched")]
    assert reachable.answers(str(tmp_path / "other"))


def test_a_child_asks_once_and_for_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [str(tmp_path / name) for name in ("gone", "here", "later")]
    os.mkdir(servers[1])
    mounted(monkeypatch, *servers)
    assert [reachable.answers(place + "/x") for place in servers] == [False, True, False]
    monkeypatch.setattr(reachable, "_CHILD", "import time; time.sleep(60)")
    reachable._answers.clear()
    began = time.monotonic()
    assert not any(reachable.answers(place) for place in servers * 20)
    assert time.monotonic() - began < 10 * reachable.WAIT_ALL


def test_links_in_a_circle_lead_to_no_server(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert reachable.mount_of(str(tmp_path / "a" / "x"), {"/srv/nfs": "nfs"}) == ""
