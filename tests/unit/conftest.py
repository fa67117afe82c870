"""Fixtures of the unit tests."""

from __future__ import annotations

import os
from typing import Callable

import pytest


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``foreign(path)``: makes ``path`` a file of another user.

    Root gives it away; anybody else cannot, so there the rules are asked as a third user, whose files
    those of this one are not.
    """

    def give(path: str) -> None:
        if os.geteuid() == 0:
            os.chown(path, 54321, 54321, follow_symlinks=False)
        else:
            from dlrepair.settings import dirs

            monkeypatch.setattr(dirs, "effective_uid", lambda: 54321)

    return give
