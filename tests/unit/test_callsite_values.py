"""The alternative that a handler names, evaluated from the source: real scripts, compared with what they then load."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from test_callsite import PYTHONS, run_child

#: Expressions for the second load: the interpreter itself says what they are worth.
EVALUATED = [
    '"/nowhere/b.so"',
    'b"/nowhere/b.so"',
    'os.path.join("/nowhere", "lib", "b.so")',
    'os.path.join(os.path.dirname(os.path.abspath(__file__)), "b.so")',
    'os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "b.so"))',
    "osp.join(HERE, NAME)",
    "join(HERE, NAME)",
    'HERE + "/" + NAME',
    '"%s/%s" % (HERE, NAME)',
    '"%s.so" % stem',
    '"{}/{name}".format(HERE, name=NAME)',
    'f"{HERE}/{NAME}"',
    'f"{HERE}/v{version}/{stem!s}.so"',
    "os.sep.join([HERE, NAME])",
    "PATHS[1]",
    "PATHS[-1]",
    'TABLE["b"]',
    'TABLE.get("missing", NAME)',
    "settings.path",
    "settings.nested.path",
    '(NAME if sys.platform.startswith("linux") else "b.dll")',
    '(os.environ.get("CALLSITE_ABSENT") or NAME)',
    'NAME.replace("b", "c").upper()',
    "str(folder / NAME)",
    '(folder / "sub" / NAME)',
    'os.path.expanduser("~/b.so")',
    "[p for p in PATHS][0]",
    'sorted(["z.so", "y.so"])[0]',
]
#: What would need the user's code, or cannot be known: no path is named.
NOT_EVALUATED = [
    "settings.computed",
    "settings.missing_goes_to_getattr",
    "make_name()",
    "NAME * 3",
    '"%5000d" % 1 + NAME[:1]',
    'f"{version:0>5}.so"',
    "str(settings) + NAME",
]
_SCRIPT = """
import json, os, sys, ctypes, pathlib
import os.path as osp
from os.path import join
HERE, NAME, version, stem = "/nowhere/here", "b.so", 3, "libstem"
PATHS = ["/nowhere/1/b.so", "/nowhere/2/b.so"]
TABLE = {{"b": "/nowhere/table/b.so"}}
folder = pathlib.Path("/nowhere/folder")
called = []
class Settings:
    path = "/nowhere/class/b.so"
    def __init__(self):
        self.nested = None
    @property
    def computed(self):
        called.append("property")
        return "/nowhere/b.so"
    def __getattr__(self, name):
        called.append("__getattr__")
        return "/nowhere/b.so"
    def __str__(self):
        called.append("__str__")
        return "/nowhere/"
settings = Settings()
settings.nested = Settings()
def make_name():
    called.append("function")
    return "/nowhere/b.so"
def main():
    try:
        ctypes.CDLL("/nowhere/a.so")
    except OSError:
        with open({out!r}, "w") as stream:
            stream.write(repr(called))
        ctypes.CDLL(({expression}))
try:
    {expression}
except Exception:
    pass
del called[:]
value = None
try:
    main()
except BaseException:
    pass
value = {expression}
value = os.fsdecode(value)
with open({out!r}, "a") as stream:
    stream.write("\\n" + json.dumps(value))
"""


@pytest.fixture(scope="module", params=list(PYTHONS))
def evaluated(request: Any, tmp_path_factory: Any) -> Any:
    work = str(tmp_path_factory.mktemp("values"))
    scripts = []
    for number, expression in enumerate(EVALUATED + NOT_EVALUATED):
        scripts.append(os.path.join(work, "s%d.py" % number))
        with open(scripts[-1], "w") as stream:
            stream.write(_SCRIPT.format(expression=expression, out=scripts[-1] + ".out"))
    return work, run_child(PYTHONS[request.param], work, scripts)


@pytest.mark.parametrize("number", range(len(EVALUATED + NOT_EVALUATED)), ids=EVALUATED + NOT_EVALUATED)
def test_alternative(evaluated: Any, number: int) -> None:
    work, found = evaluated
    name = "s%d.py" % number
    record = found[name]["records"][0]
    with open(os.path.join(work, name + ".out")) as stream:
        called, value = stream.read().split("\n")
    assert called == "[]"  # reading the handler ran none of the script's code
    if number < len(EVALUATED):
        assert record["alternative"] == json.loads(value)
    else:
        assert record["alternative"] is None
    assert record["kind"] == "alternative"
