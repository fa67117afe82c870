"""What reading the code around a failing load costs: milliseconds per ``classify``, first time and again.

    python benchmarks/guards.py [PYTHON...]     prints a table; the aim is a few milliseconds at most

Each row is a fresh process that loads a missing library with the real ``ctypes.CDLL``; the best of several is
shown, since other load on the machine can only add. dlrepair's bytecode is compiled beforehand, as after installation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FILLER = 'def f_{0}(x):\n    """Doc."""\n    y = [x, x + 1]\n    if y:\n        return y\n    return {{"a": x}}\n\n\n'
_HOOK = """
import sys, time
sys.path.insert(0, {checkout!r})
import _ctypes, dlrepair.model.requests
real = _ctypes.dlopen
def dlopen(name, *arguments):
    try:
        return real(name, *arguments)
    except OSError as exc:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            from dlrepair.diagnose.callsite import classify, find_caller
            find_caller(sys._getframe(1))
            guard = classify(sys._getframe(1), exc)
            times.append((time.perf_counter() - start) * 1e3)
        sys.stderr.write("%s %.3f %.3f\\n" % (guard.kind, times[0], min(times[1:])))
        raise
_ctypes.dlopen = dlopen
"""
_TRY = "try:\n    lib = ctypes.CDLL('/nowhere/a.so')\nexcept OSError:\n    lib = None\n"
_LADDER = """def load():
    for p in ["/nowhere/a.so"]:
        try:
            return ctypes.CDLL(p)
        except OSError:
            pass
    raise ImportError
try:
    load()
except ImportError:
    print("no")
"""
_DEEP = """def deep(n):
    return deep(n - 1) if n else ctypes.CDLL("/nowhere/a.so")
try:
    deep(500)
except OSError:
    pass
"""
ROWS = (
    ("no handler", "lib = ctypes.CDLL('/nowhere/a.so')\n", 200),
    ("try at top level", _TRY, 200),
    ("search loop in a function", _LADDER, 200),
    ("500 frames below the try", _DEEP, 200),
    ("try at top level, 20,000 lines", _TRY, 20000),
    ("search loop, 20,000 lines", _LADDER, 20000),
)


def measure(python: str, text: str, lines: int, work: str) -> tuple[str, float, float]:
    """(kind, first, again) in milliseconds: the best of seven processes."""
    half = "".join(_FILLER.format(number) for number in range(lines // 16))
    script = os.path.join(work, "script.py")
    with open(script, "w") as stream:
        stream.write("import ctypes\n" + half + text + half)
    os.utime(script, (1e9, 1e9))
    env = dict(os.environ, PYTHONPATH=os.path.join(work, "hook"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    found = []
    for _ in range(8):  # the first one writes dlrepair's bytecode
        done = subprocess.run([python, script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        words = done.stderr.split()
        found.append((words[0], float(words[1]), float(words[2])))
    return found[0][0], min(row[1] for row in found[1:]), min(row[2] for row in found[1:])


def main() -> None:
    for python in sys.argv[1:] or [sys.executable]:
        with tempfile.TemporaryDirectory() as work:
            os.mkdir(os.path.join(work, "hook"))
            with open(os.path.join(work, "hook", "sitecustomize.py"), "w") as stream:
                stream.write(_HOOK.format(checkout=CHECKOUT))
            print(python)
            for title, text, lines in ROWS:
                print(
                    "  {:34s} {:10s} first {:7.2f} ms  again {:6.3f} ms".format(
                        title, *measure(python, text, lines, work)
                    )
                )


if __name__ == "__main__":
    main()
