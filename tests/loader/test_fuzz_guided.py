"""A bounded part of ``make fuzz``: every reader under libFuzzer, which looks for inputs that reach new code."""

from __future__ import annotations

import os
import platform
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))
import fuzz_readers  # noqa: E402

#: reader -> inputs, about two seconds each
INPUTS = {"elf": 6000, "macho": 6000, "pe": 6000, "ldcache": 6000, "dlerror": 1500}
#: atheris has wheels for it
KNOWN = platform.machine() == "x86_64" and sys.version_info >= (3, 11)


@pytest.mark.skipif(not KNOWN, reason="there is no atheris for this machine")
@pytest.mark.parametrize("reader", sorted(INPUTS))
def test_nothing_comes_out_but_facts(reader):
    said = fuzz_readers.run_guided(reader, INPUTS[reader], seed=3)
    assert said["failures"] == []
    assert said["inputs"] >= INPUTS[reader] and int(said["cover"]) > 20, said
