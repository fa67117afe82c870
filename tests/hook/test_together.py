"""Threads, processes and forks that hit the same failure at once."""

from __future__ import annotations

import os
import subprocess
import sys

from child import compile_library, environment, run

THREADS = """
import ctypes, threading
gate = threading.Barrier(16)
answers = []
def work():
    gate.wait()
    answers.append(ctypes.CDLL('./libmoved.so').answer())
threads = [threading.Thread(target=work) for _ in range(16)]
[one.start() for one in threads]; [one.join() for one in threads]
print(len(answers), set(answers))
"""


def test_sixteen_threads(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    hooked = run(tmp_path, THREADS)
    assert hooked.out == "16 {42}\n", hooked
    assert len(hooked.events("load-repaired")) == 1, hooked
    assert not hooked.events("internal-error"), hooked


def test_sixteen_processes(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    script = tmp_path / "script.py"
    script.write_text("import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n")
    env = environment(str(tmp_path), True)
    children = [
        subprocess.Popen(
            [sys.executable, str(script)], cwd=str(tmp_path), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(16)
    ]  # fmt: skip
    ends = [(child.communicate(timeout=120), child.returncode) for child in children]
    assert all(status == 0 and out == b"42\n" for (out, _), status in ends), ends
    last = run(tmp_path, "print('read the journal')\n")  # its events() fails on a torn line
    repaired = last.events("load-repaired")
    assert len(repaired) == 16 and len({line["pid"] for line in repaired}) == 16, last
    assert not last.events("internal-error"), last


def test_imports_of_one_module_in_many_threads(tmp_path):
    from sysconfig import get_config_var, get_paths

    helper = compile_library(
        tmp_path / "libs" / "libhelper.so", "int help(void) { return 6; }", "-Wl,-soname,libhelper.so"
    )
    source = (
        "#include <Python.h>\nint help(void);\n"
        'static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "needy", 0, -1, 0};\n'
        "PyMODINIT_FUNC PyInit_needy(void) { PyObject *m = PyModule_Create(&def);"
        ' PyModule_AddIntConstant(m, "answer", help() * 7); return m; }\n'
    )
    compile_library(tmp_path / ("needy" + get_config_var("EXT_SUFFIX")), source, "-I" + get_paths()["include"], helper)
    os.rename(helper, str(tmp_path / "libs" / "hidden"))
    (tmp_path / "lib").mkdir()
    os.rename(str(tmp_path / "libs" / "hidden"), str(tmp_path / "lib" / "libhelper.so"))
    code = THREADS.replace("ctypes.CDLL('./libmoved.so').answer()", "__import__('needy').answer")
    hooked = run(tmp_path, code)
    assert hooked.out == "16 {42}\n", hooked


FORK = """
import ctypes, faulthandler, os, signal, threading, time
faulthandler.register(signal.SIGALRM)
def late():
    try: ctypes.CDLL('./libmoved.so')
    except OSError: pass
thread = threading.Thread(target=late); thread.start()
time.sleep(float({delay}))
child = os.fork()
if child == 0:
    faulthandler.register(signal.SIGALRM, chain=True); signal.alarm(20)
    status = 1
    try:
        status = 0 if ctypes.CDLL('./libmoved.so').answer() == 42 else 2
    finally:
        os._exit(status)
_, status = os.waitpid(child, 0)
thread.join()
print(status, ctypes.CDLL('./libmoved.so').answer())
"""


def test_a_fork_in_the_middle_of_a_repair(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    for delay in ("0", "0.01", "0.03", "0.06", "0.12"):
        hooked = run(tmp_path, FORK.format(delay=delay), timeout=100)
        assert hooked.out == "0 42\n", hooked


def test_one_redirect_serves_all_later_doors(tmp_path):
    compile_library(tmp_path / "build" / "libmoved.so")
    code = (
        "import ctypes\nfirst = ctypes.CDLL('./libmoved.so')\nsecond = ctypes.PyDLL('./libmoved.so')\n"
        "import os\nthird = ctypes.CDLL(os.path.abspath('libmoved.so'), ctypes.RTLD_GLOBAL)\n"
        "print(first._handle == second._handle == third._handle, third.answer())\n"
    )
    hooked = run(tmp_path, code)
    assert hooked.out == "True 42\n" and len(hooked.events("load-repaired")) == 1, hooked


def test_a_probe_that_fails_a_hundred_times_is_looked_at_once(tmp_path):
    code = (
        "import ctypes\nfor _ in range(100):\n    try: ctypes.CDLL('./libnothing.so')\n"
        "    except OSError: pass\nprint('done')\n"
    )
    hooked = run(tmp_path, code)
    assert hooked.out == "done\n" and len(hooked.events("load-failed")) == 1, hooked


def test_a_library_that_appears_later_is_found(tmp_path):
    built = compile_library(tmp_path / "kept" / "libmoved.so")
    os.rename(built, str(tmp_path / "kept" / "other"))
    code = (
        "import ctypes, os\n"
        "def load(): return ctypes.CDLL('./libmoved.so')\n"
        "for step in range(2):\n"
        "    try:\n        print(load().answer())\n"
        "    except OSError:\n        print('not yet')\n"
        "        os.mkdir('build'); os.rename('kept/other', 'build/libmoved.so')\n"
        "        raise SystemExit(load().answer() - 42)\n"
    )
    hooked = run(tmp_path, code)
    assert hooked.status == 0 and hooked.out == "not yet\n", hooked


def test_a_remembered_repair_is_replayed_until_a_file_changes(tmp_path):
    path = compile_library(tmp_path / "build" / "libmoved.so")
    code = "import ctypes\nprint(ctypes.CDLL('./libmoved.so').answer())\n"
    first, second = run(tmp_path, code), run(tmp_path, code)
    assert first.out == second.out == "42\n"
    assert [line.get("remembered", False) for line in second.events("load-repaired")] == [False, True], second
    os.remove(path)
    compile_library(path, "int answer(void) { return 43; }")
    third = run(tmp_path, code)
    assert third.out == "43\n" and third.events("load-repaired")[-1].get("remembered", False) is False, third
    os.chmod(str(tmp_path / "build"), 0o777)
    fourth = run(tmp_path, code)
    assert fourth.status == 1 and fourth.events("trust-refused"), fourth


def test_a_good_twin_is_the_last_resort_for_a_sound_file(tmp_path):
    """The file is whole, what it needs is nowhere, and the build directory holds one that is linked otherwise."""
    helper = compile_library(tmp_path / "libgone.so", "int help(void) { return 6; }", "-Wl,-soname,libgone.so")
    compile_library(tmp_path / "libneedy.so", "int help(void); int answer(void) { return help() * 7; }", helper)
    os.remove(helper)
    compile_library(tmp_path / "build" / "libneedy.so", "int answer(void) { return 42; }")
    hooked = run(tmp_path, "import ctypes\nprint(ctypes.CDLL('./libneedy.so').answer())\n")
    assert hooked.out == "42\n", hooked
    assert hooked.events("load-repaired")[0]["strategy"] == "substitute", hooked
    assert hooked.events("diagnosed")[0]["cause"] == "dependency-missing", hooked
