"""Fixtures that every test directory may use: private user directories, hooked virtualenvs."""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable, Iterator

import pytest


def pytest_configure() -> None:
    """A job in the background ignores SIGINT and hands that on to its children: tests interrupt some of them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the developer's own shell sets for dlrepair or the loader must not decide a test, nor a test his store."""
    for name in list(os.environ):
        if name.startswith(("DLREPAIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A private, empty home: journal, store and settings of this process and its children go there."""
    directory = str(tmp_path_factory.mktemp("home"))
    for name, value in home_variables(directory).items():
        monkeypatch.setenv(name, value)
    yield directory


def home_variables(directory: str) -> dict[str, str]:
    """HOME and the XDG variables below ``directory``."""
    return {
        "HOME": directory,
        "XDG_STATE_HOME": os.path.join(directory, "state"),
        "XDG_CACHE_HOME": os.path.join(directory, "cache"),
        "XDG_CONFIG_HOME": os.path.join(directory, "config"),
        "XDG_DATA_HOME": os.path.join(directory, "data"),
    }


@pytest.fixture(scope="session")
def hooked_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """``hooked_python(base)``: a python like ``base`` with dlrepair installed and its hook live, one a session."""
    import hooked

    made: dict[str, str] = {}

    def make(base: str = sys.executable) -> str:
        if base not in made:
            made[base] = hooked.make(base, str(tmp_path_factory.mktemp("hooked")))
        return made[base]

    return make
