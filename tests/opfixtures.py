"""Fixtures of the tests with a real TensorFlow; each ``conftest`` says for which ones (``env``)."""

from __future__ import annotations

from typing import Callable

import opkit
import pytest


@pytest.fixture(scope="session")
def kit(env: opkit.envs.Env) -> opkit.OpKit:
    return opkit.OpKit(env)


@pytest.fixture
def world(tmp_path: object, kit: opkit.OpKit) -> opkit.TfWorld:
    return opkit.TfWorld(str(tmp_path), kit)


@pytest.fixture(scope="session")
def hooked(kit: opkit.OpKit, hooked_python: Callable[[str], str]) -> str:
    return hooked_python(kit.python)
