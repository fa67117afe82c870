from __future__ import annotations

import sys
from typing import Callable

import pytest
from lab import World


@pytest.fixture
def world(tmp_path: object) -> World:
    return World(str(tmp_path))


@pytest.fixture(scope="session")
def bare() -> str:
    return sys.executable


@pytest.fixture(scope="session")
def hooked(hooked_python: Callable[[str], str]) -> str:
    return hooked_python(sys.executable)
