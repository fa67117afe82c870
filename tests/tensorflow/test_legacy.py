"""Ops as people wrote them in 2017, untouched: the script builds each for the TensorFlow that runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import opkit
import pytest
from lab import run_script

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "legacy")
OPS = tuple(sorted(name for name in os.listdir(HERE) if os.path.isdir(os.path.join(HERE, name))))
#: what every run builds: all of them for the newest release, which is furthest from them; `make test-matrix` the rest
OFTEN = {"tf221": OPS, "tf115": ("ctc_decoder", "correlation")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = "TF_ENVS" in os.environ
    pairs = [
        (env, op) for env in opkit.chosen_envs() for op in (OPS if everything else OFTEN[env.name.partition("-")[0]])
    ]  # fmt: skip
    metafunc.parametrize(
        ("env", "op"), pairs, ids=["%s-%s" % (env.name, op) for env, op in pairs], scope="session"
    )  # fmt: skip


def expected_of(directory: str) -> dict[str, Any]:
    """What NumPy computes."""
    done = subprocess.run(
        [sys.executable, "-B", "reference.py"], cwd=directory, check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def check_same(computed: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sorted(computed) == sorted(expected)
    for name, values in expected.items():
        assert len(computed[name]) == len(values), name
        for one, other in zip(computed[name], values):
            same = one == other if isinstance(other, str) else one == pytest.approx(other, rel=1e-4, abs=1e-5)
            assert same, (name, one, other)


def test_legacy_op(world: opkit.TfWorld, hooked: str, op: str) -> None:
    directory = os.path.join(world.root, op)
    shutil.copytree(os.path.join(HERE, op), directory)
    world.write("README.md", "an op\n")
    world.script = op + "/demo.py"
    world.cwd = directory
    world.patience = 400.0
    before = world.state()
    run = run_script(world, hooked, os.path.join(world.top, "home"), PYTHONDONTWRITEBYTECODE="1")
    assert run.status == 0, run.story()
    check_same(json.loads(run.out.splitlines()[-1]), expected_of(directory))
    assert [line["strategy"] for line in run.events("load-repaired")] == ["rebuild"], run.story()
    assert world.state() == before
    built = run.events("build-finished")[-1]
    if op == "roi_pooling":
        assert any("CPU" in note for note in built["notes"]), run.story()
