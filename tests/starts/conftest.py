from __future__ import annotations

import os
import sys
from typing import Callable

import pytest
from lab import World
from starting import Project

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="session")
def bare() -> str:
    return sys.executable


@pytest.fixture(scope="session")
def hooked(hooked_python: Callable[[str], str]) -> str:
    return hooked_python(sys.executable)


@pytest.fixture(scope="session")
def ways(hooked_python: Callable[[str], str]) -> str:
    """A hooked Python that sees IPython, Ray, mpi4py and the other programs of ``ways.txt``."""
    from starting import ways_python

    return hooked_python(ways_python())


@pytest.fixture
def project(tmp_path: object) -> Project:
    return Project(World(str(tmp_path)))


@pytest.fixture(scope="session")
def ways_bare() -> str:
    from starting import ways_python

    return ways_python()
