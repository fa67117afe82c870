"""Tests with the CUDA build of TensorFlow and a real nvcc: 1 GB of packages, so on demand (``make test-cuda``)."""

from __future__ import annotations

import os

import opfixtures
import opkit
import pytest

kit, world, hooked = opfixtures.kit, opfixtures.world, opfixtures.hooked

#: the environment of these tests is made only when it is asked for by name
collect_ignore_glob = [] if "tfcuda" in os.environ.get("TF_ENVS", "") else ["test_*.py"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "env" in metafunc.fixturenames:
        chosen = [env for env in opkit.chosen_envs() if env.name.startswith("tfcuda")]
        metafunc.parametrize("env", chosen, ids=[one.name for one in chosen], scope="session")
