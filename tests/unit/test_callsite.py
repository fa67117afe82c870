"""How the code around a failing load deals with it: real scripts, real failing loads, on every interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import interpreters
import pytest
from callsite_cases import CASES

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
#: every interpreter of the machine; only the running one where each of them gets a run of its own
PYTHONS = (
    {"%d.%d" % sys.version_info[:2]: sys.executable}
    if os.environ.get("ONE_PYTHON")
    else {one.label: one.path for one in interpreters.find_interpreters()}
)


def run_child(python: str, work: str, scripts: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [python, os.path.join(HERE, "callsite_child.py"), CHECKOUT, work] + scripts,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, cwd=work,
        env=interpreters.bare_env(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout.decode())
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``recorded(label)``: what was said of every case, the cases run once in an interpreter."""
    made: dict[str, Any] = {}

    def run(label: str) -> Any:
        if label not in made:
            work = str(tmp_path_factory.mktemp("cases"))
            scripts = []
            for number, (name, text, _) in CASES.items():
                directory = os.path.join(work, str(number))
                os.mkdir(directory)
                scripts.append(os.path.join(directory, name))
                with open(scripts[-1], "w") as stream:
                    stream.write(text)
            made[label] = run_child(PYTHONS[label], work, scripts)
        return made[label]

    return run


def test_all_fifty_are_here() -> None:
    assert sorted(CASES) == list(range(1, 51))
    assert len({name for name, _, _ in CASES.values()}) == 50


@pytest.mark.parametrize("label", list(PYTHONS))
@pytest.mark.parametrize("number", list(CASES))
def test_case(recorded: Any, label: str, number: int) -> None:
    name, _, kinds = CASES[number]
    records = recorded(label)[name]["records"]
    assert tuple(record["kind"] for record in records) == kinds, records
    for record in records:
        assert record["reason"]
        if record["kind"] not in ("none", "probe"):
            assert record["file"].endswith(os.sep + name) and record["line"] > 0
            assert "{}:{}".format(name, record["line"]) in record["reason"]
        assert os.path.basename(record["caller"][0]) == name


@pytest.mark.parametrize(
    "number, attempt, path",
    [
        (1, 0, "./build/correlation_op.so"),
        (6, 0, "/nowhere/site-packages/tensorflow_quantum/core/ops/_tfq_simulate_ops.so"),
        (7, 0, "./roi_pooling.so"),
        (8, 0, "build/libaugment.so"),
        (10, 0, "/nowhere/b/_ops.so"),
        (11, 0, "/nowhere/datapath/libtensorflow_io.so"),
        (13, 0, None),  # the next round calls a function: no path stands there
        (15, 0, "/nowhere/libdali_tf_1_15.so"),
        (15, 2, None),
        (16, 0, "/nowhere/cpu/open3d_tf_ops.so"),
        (42, 1, "/nowhere/3/libx.so"),
        (43, 0, "libX-absent.so.5"),
        (45, 1, "libsndfile-absent.so.1"),
        (46, 0, "/nowhere/libxgboost.so"),
    ],
)
@pytest.mark.parametrize("label", list(PYTHONS))
def test_alternative(recorded: Any, label: str, number: int, attempt: int, path: str) -> None:
    assert recorded(label)[CASES[number][0]]["records"][attempt]["alternative"] == path


def test_alternative_beside_the_script(recorded: Any) -> None:
    label = list(PYTHONS)[-1]
    record = recorded(label)["package_dir.py"]["records"][0]
    assert record["alternative"] == os.path.join(os.path.dirname(record["file"]), "libpkg-absent.so")


def test_reason_is_one_clause(recorded: Any) -> None:
    records = recorded(list(PYTHONS)[-1])["silent.py"]["records"]
    assert records[0]["reason"] == "except: pass, silent.py:5"
