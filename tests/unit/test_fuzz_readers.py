"""A bounded part of ``make fuzz``: the readers on damaged files, each in a process with little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INPUTS = {"elf": 1500, "macho": 1500, "pe": 1500, "ldcache": 500, "dlerror": 150}
CODE = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
sys.path[:0] = [%r, %r]
import fuzz_readers
print(json.dumps(fuzz_readers.fuzz(%r, 10000000, %d, 2, 15)))
"""


@pytest.mark.parametrize("reader", sorted(INPUTS))
def test_nothing_comes_out_but_facts(reader):
    code = CODE % (os.path.join(ROOT, "tools"), ROOT, reader, INPUTS[reader])
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    said = json.loads(done.stdout.decode())
    assert said["failures"] == []
    assert said["inputs"] > 20, said
