"""A load that works, and a failure that cannot be repaired, are what they are without the hook."""

from __future__ import annotations

import os
import sys

import pytest
from child import both, compile_library, run

TELL = """
def tell(error):
    import sys
    depth, trace = 0, error.__traceback__
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    context, cause = error.__context__, error.__cause__
    print(type(error).__module__, type(error).__qualname__, error.args, str(error))
    print("context", type(context).__name__, getattr(context, "args", None), "cause", cause, error.__suppress_context__)
    print(getattr(error, "name", None), getattr(error, "path", None), getattr(error, "errno", None))
    return depth
"""

FAILURES = {
    "ctypes": (
        "import ctypes\ntry: ctypes.CDLL('/nowhere/libnothing.so')\nexcept OSError as error: print(tell(error) < 9)\n"
    ),
    "leaf": "import ctypes\ntry: ctypes.CDLL('libnothing-at-all.so.7')\nexcept OSError as error: tell(error)\n",
    "in-handler": (
        "import ctypes\ntry: raise KeyError('first')\nexcept KeyError:\n"
        "    try: ctypes.CDLL('/nowhere/libnothing.so')\n    except OSError as error: tell(error)\n"
    ),
    "from": (
        "import ctypes\ntry:\n    try: ctypes.CDLL('/nowhere/libnothing.so')\n"
        "    except OSError as error: raise RuntimeError('mine') from error\n"
        "except RuntimeError as error: tell(error.__cause__); print(repr(error))\n"
    ),
    "same-object": (
        "import ctypes, _ctypes, sys\nkept = []\n"
        "try:\n    try: ctypes.CDLL('/nowhere/libnothing.so')\n    except OSError as error: kept.append(error); raise\n"
        "except OSError as error: print(kept[0] is error); tell(error)\n"
    ),
    "uncaught": "import ctypes\nctypes.CDLL('/nowhere/libnothing.so')\n",
    "getattr": "import ctypes\nctypes.cdll.nothing_at_all\n",
    "import": "import broken_extension\n",
    "import-caught": "try: import broken_extension\nexcept ImportError as error: print(tell(error))\n",
}


@pytest.mark.parametrize("case", sorted(FAILURES))
def test_an_unrepaired_failure_is_the_original(case, tmp_path):
    suffix = __import__("sysconfig").get_config_var("EXT_SUFFIX")
    (tmp_path / ("broken_extension" + suffix)).write_bytes(b"\x7fELF" + bytes(200))
    bare, hooked = both(tmp_path, TELL + FAILURES[case])
    assert (hooked.status, hooked.out) == (bare.status, bare.out), hooked
    last = bare.err.splitlines()[-1:]
    assert hooked.err.splitlines()[-1:] == last, hooked
    assert hooked.events("load-failed"), hooked
    assert not hooked.events("internal-error"), hooked


def test_an_import_traceback_shows_no_frame_of_ours(tmp_path):
    suffix = __import__("sysconfig").get_config_var("EXT_SUFFIX")
    (tmp_path / ("broken_extension" + suffix)).write_bytes(b"\x7fELF" + bytes(200))
    bare, hooked = both(tmp_path, "import broken_extension\n", DLREPAIR_VERBOSITY="quiet")
    assert "broken_extension" in bare.err and hooked.err == bare.err, hooked


NAMES = {
    "empty": "''",
    "bytes": "b'/nowhere/x.so'",
    "empty-bytes": "b''",
    "directory": "'.'",
    "loop": "'./loop.so'",
    "long": "'/' + 'x' * 100000",
    "long-leaf": "'x' * 100000",
    "many-parts": "'a/' * 50000 + 'x.so'",
    "not-utf8": "b'/nowhere/\\xff\\xfe.so'",
    "surrogate": "'/nowhere/\\udcff.so'",
    "nul": "'a\\0b.so'",
    "int": "7",
    "float": "1.5",
    "list": "['x.so']",
    "newline": "'/nowhere/a\\nb.so'",
    "tilde": "'~/x.so'",
    "device": "'/dev/null'",
    "unreadable-parent": "'/proc/1/map_files/x.so'",
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_odd_names_fail_as_ever(name, tmp_path):
    os.symlink("loop.so", str(tmp_path / "loop.so"))
    code = (
        "import ctypes\ntry: print(ctypes.CDLL({})._name)\n"
        "except BaseException as error: print(type(error).__qualname__, error.args)\n"
    ).format(NAMES[name])
    bare, hooked = both(tmp_path, code)
    assert (hooked.status, hooked.out) == (bare.status, bare.out), hooked
    assert not hooked.events("internal-error"), hooked


def test_none_is_the_process_itself(tmp_path):
    bare, hooked = both(tmp_path, "import ctypes\nprint(ctypes.CDLL(None).getpid() > 0)\n")
    assert hooked.out == bare.out == "True\n" and not hooked.events(), hooked


def test_a_fifo_is_reported_instead_of_blocking(tmp_path):
    os.mkfifo(str(tmp_path / "pipe.so"))
    code = "import ctypes\ntry: ctypes.CDLL('./pipe.so')\nexcept OSError as error: print('reported', error)\n"
    hooked = run(tmp_path, code, timeout=30)
    assert hooked.status == 0 and hooked.out.startswith("reported ./pipe.so: cannot read file data"), hooked


def test_a_truncated_library_is_reported_instead_of_killing(tmp_path):
    path = compile_library(tmp_path / "libcut.so", "char big[1 << 20] = {1}; int answer(void) { return big[0]; }")
    with open(path, "r+b") as handle:
        handle.truncate(os.path.getsize(path) // 4)
    code = "import ctypes\ntry: ctypes.CDLL({!r})\nexcept OSError as error: print('reported', error)\n".format(path)
    bare, hooked = both(tmp_path, code)
    assert bare.status == -7, bare  # SIGBUS, signal(7)
    assert hooked.status == 0 and "file is truncated" in hooked.out, hooked
    assert [line["cause"] for line in hooked.events("diagnosed")] == ["truncated"], hooked


def test_a_truncated_library_is_reported_once(tmp_path):
    path = compile_library(tmp_path / "libcut.so", "char big[1 << 20] = {1}; int answer(void) { return big[0]; }")
    with open(path, "r+b") as handle:
        handle.truncate(os.path.getsize(path) // 4)
    hooked = run(tmp_path, "import ctypes\nctypes.CDLL({!r})\n".format(path))
    assert hooked.status == 1 and len(hooked.events("load-failed")) == 1, hooked
    assert hooked.err.count("dlrepair[") == 1 and hooked.err.splitlines()[-1].startswith("OSError: "), hooked


WORKING = """
import ctypes, ctypes.util, sys
library = ctypes.CDLL({path!r})
print(library.answer(), library._name, ctypes.CDLL({path!r})._handle == library._handle)
print(ctypes.cdll.LoadLibrary({path!r}).answer(), ctypes.PyDLL(None)._name)
import _json
print(_json.__name__, _json.__spec__.loader.__class__.__name__)
ours = {{name for name in sys.modules if name.startswith("dlrepair.")}}
print(sorted(ours - {{"dlrepair._entries", "dlrepair._endings"}}))
"""


def test_a_load_that_works_is_the_same_and_imports_nothing_of_ours(tmp_path):
    path = compile_library(tmp_path / "lib" / "libfine.so")
    bare, hooked = both(tmp_path, WORKING.format(path=path))
    assert (hooked.status, hooked.out, hooked.err) == (bare.status, bare.out, bare.err), hooked
    assert hooked.out.endswith("[]\n") and not hooked.events(), hooked


def test_keyboard_interrupt_passes(tmp_path):
    code = (
        "import ctypes, signal, os, sys\n"
        "def trace(frame, event, arg):\n"
        "    if frame.f_globals.get('__name__') == 'dlrepair.engine':\n"
        "        sys.settrace(None); os.kill(os.getpid(), signal.SIGINT)\n"
        "    return None\n"
        "sys.settrace(trace)\n"
        "try: ctypes.CDLL('/nowhere/libnothing.so')\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    hooked = run(tmp_path, code)
    assert hooked.out == "interrupted\n", hooked


@pytest.mark.parametrize("mode", ["off", "observe", "repair"])
def test_the_switch(mode, tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    code = "import ctypes\ntry: print(ctypes.CDLL('./libmoved.so').answer())\nexcept OSError: print('failed')\n"
    code = "import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n"
    hooked = run(tmp_path, code, DLREPAIR=mode)
    events = [line["event"] for line in hooked.events()]
    if mode == "off":
        assert hooked.status == 1 and not events, hooked
    elif mode == "observe":
        assert hooked.status == 1 and "diagnosed" in events and "load-unrepaired" in events, hooked
        assert "dlrepair[" not in hooked.err and "help:" not in hooked.err, hooked
    else:
        assert hooked.out == "42\n" and "load-repaired" in events, hooked


def test_pyinit_errors_are_not_ours(tmp_path):
    from sysconfig import get_config_var, get_paths

    source = (
        "#include <Python.h>\n"
        'PyMODINIT_FUNC PyInit_angry(void) { PyErr_SetString(PyExc_ImportError, "angry: undefined symbol: mine");'
        " return NULL; }\n"
    )
    include = get_paths()["include"]
    assert os.path.exists(os.path.join(include, "Python.h")), "Python.h of {} is missing".format(sys.executable)
    compile_library(tmp_path / ("angry" + get_config_var("EXT_SUFFIX")), source, "-I" + include)
    bare, hooked = both(tmp_path, TELL + "try: import angry\nexcept ImportError as error: tell(error)\n")
    assert (hooked.status, hooked.out, hooked.err) == (bare.status, bare.out, bare.err), hooked
