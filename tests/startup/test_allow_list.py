"""Start-up and successful loads import nothing beyond what a bare interpreter and the load itself import."""

from __future__ import annotations

import ast
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hook"))
from child import both, compile_library

SHOW = "import sys\nprint(sorted(sys.modules))\n"


def test_start_up_imports_nothing(tmp_path):
    bare, hooked = both(tmp_path, SHOW)
    assert hooked.out == bare.out and "sitecustomize" in hooked.out, hooked


def test_an_extension_import_imports_nothing(tmp_path):
    code = "import _json, math, _struct, array, select, _socket\n" + SHOW
    bare, hooked = both(tmp_path, code)
    assert hooked.out == bare.out, hooked


#: what may be imported when a process opens libraries: the rest of stage 0, the package that it lies in, and the
#: built-in module that lets it look at an uncaught exception when the program ends (``_endings`` with ``threading``)
ALLOWED = {"dlrepair", "dlrepair._entries", "dlrepair._endings", "atexit"}


def test_a_successful_load_imports_the_wrappers_and_nothing_else(tmp_path):
    path = compile_library(tmp_path / "libfine.so")
    code = "import ctypes, ctypes.util, _json\nctypes.CDLL({!r})\nctypes.util.find_library('c')\n".format(path) + SHOW
    bare, hooked = both(tmp_path, code)
    before, after = set(ast.literal_eval(bare.out)), set(ast.literal_eval(hooked.out))
    assert after - before == ALLOWED and not before - after, hooked


def test_the_start_up_imports_only_sys_and_os(tmp_path):
    with open(
        os.path.join(os.path.dirname(__file__), "..", "..", "dlrepair", "_bootstrap.py"), encoding="utf-8"
    ) as file:
        tree = compile(file.read(), "_bootstrap.py", "exec", 0x400)
    named = set()
    for node in tree.body:  # at module level: what is imported inside functions waits for a failure
        if type(node).__name__ == "Import":
            named |= {alias.name for alias in node.names}
        assert type(node).__name__ != "ImportFrom"
    assert named == {"os", "sys"}
