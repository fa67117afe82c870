"""LD_PRELOAD of set-user-ID libraries and /etc/ld.so.preload, against the real ld.so, in a mount namespace."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from in_system import WORLDS

HERE = os.path.dirname(os.path.abspath(__file__))


def run(tmp_path, *words):
    paths = os.pathsep.join([HERE, os.path.dirname(os.path.dirname(HERE))])
    return subprocess.run(
        ["unshare", "-m", *words], env=dict(os.environ, PYTHONPATH=paths), cwd=str(tmp_path), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program in secure mode")
@pytest.mark.parametrize("name", sorted(WORLDS))
def test_agrees_with_dlopen(name, tmp_path):
    done = run(tmp_path, sys.executable, "-B", os.path.join(HERE, "in_system.py"), name, str(tmp_path / "world"))
    assert done.returncode == 0, done.stdout
    assert "ld.so: " in done.stdout
