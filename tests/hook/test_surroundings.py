"""Homes, settings and journals in a bad state: the script behaves as without us, and one line says what to do."""

from __future__ import annotations

import os

import pytest
from child import both, compile_library, run

MOVED = "import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n"
LOST = "import ctypes\ntry: ctypes.CDLL('/nowhere/libnothing.so')\nfinally: print('after')\n"


def lines_of_ours(result):
    return [line for line in result.err.splitlines() if line.startswith("dlrepair")]


@pytest.mark.parametrize("state", ["file", "missing-home", "read-only", "full"])
def test_an_unwritable_journal(state, tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    place = tmp_path / "state"
    extra = {"XDG_STATE_HOME": str(place)}
    if state == "file":
        place.write_text("not a directory")
    elif state == "missing-home":
        extra = {"HOME": "/proc/nonexistent/home"}
    elif state == "read-only":
        extra = {"XDG_STATE_HOME": "/proc/self"}
    else:
        extra = {"XDG_STATE_HOME": "/dev/full"}
    hooked = run(tmp_path, MOVED, **extra)
    assert hooked.status == 0 and hooked.out == "42\n", hooked
    told = lines_of_ours(hooked)
    assert len(told) == 2 and sum("journal" in line for line in told) == 1, hooked
    bare, hooked = both(tmp_path, LOST, **extra)
    assert (hooked.status, hooked.out) == (bare.status, bare.out), hooked
    assert hooked.err.splitlines()[-1] == bare.err.splitlines()[-1], hooked


@pytest.mark.parametrize(
    "text", ["mode = ", "mdoe = 'off'\n", "mode = 'sometimes'\n", "\x00\xff", "budget_ms = 'soon'\n"]
)
def test_a_broken_settings_file(text, tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    config = str(tmp_path) + "-home/.config/dlrepair"
    os.makedirs(config)
    with open(config + "/config.toml", "wb") as handle:
        handle.write(text.encode("latin-1"))
    hooked = run(tmp_path, MOVED)
    assert hooked.status == 0 and hooked.out == "42\n", hooked
    told = [line for line in lines_of_ours(hooked) if "config.toml" in line]
    assert len(told) == 1, hooked


def test_no_home_at_all(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    hooked = run(tmp_path, "import os\nfor name in ('HOME',): os.environ.pop(name, None)\n" + MOVED)
    assert hooked.status == 0 and hooked.out == "42\n", hooked


def test_local_modules_that_shadow_the_standard_library(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    for name in ("typing", "dataclasses", "json", "re"):
        (tmp_path / (name + ".py")).write_text("raise RuntimeError('not for you')\n")
    bare, hooked = both(tmp_path, "import ctypes\nctypes.CDLL('./libmoved.so')\n")
    # either it is repaired, or the user's own error comes through unchanged
    assert hooked.status == 0 or hooked.err.splitlines()[-1] == bare.err.splitlines()[-1], hooked


def test_closed_standard_error(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    hooked = run(tmp_path, "import os, sys\nos.close(2)\n" + MOVED)
    assert hooked.status == 0 and hooked.out == "42\n", hooked
    hooked = run(tmp_path, "import sys\nsys.stderr = None\n" + MOVED)
    assert hooked.status == 0 and hooked.out == "42\n", hooked


def test_a_working_directory_that_is_gone(tmp_path):
    code = "import os, ctypes\nos.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n" + LOST
    bare, hooked = both(tmp_path, code)
    assert (hooked.status, hooked.out) == (bare.status, bare.out), hooked
    assert not hooked.events("internal-error"), hooked


def test_the_package_is_gone(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    with open(
        os.path.join(os.path.dirname(__file__), "..", "..", "dlrepair", "_bootstrap.py"), encoding="utf-8"
    ) as file:
        (site / "sitecustomize.py").write_text(file.read() + "\narm('/nowhere/at/all')\n", encoding="utf-8")
    bare, hooked = both(tmp_path, LOST, PYTHONPATH=str(site))
    assert (hooked.status, hooked.out, hooked.err) == (bare.status, bare.out, bare.err), hooked
