"""Shapes of code around a failing load, one script each: ``SHAPES[name] = (text, kinds)``, as in callsite_cases.py."""

from __future__ import annotations

_C = "import os, sys, ctypes\nfrom ctypes import CDLL\n"

SHAPES = {
    "multi_line_call": (_C + '''
try:
    lib = CDLL(
        os.path.join(
            "/nowhere",
            "a.so"
        ),
        ctypes.RTLD_GLOBAL
    )
except OSError:
    lib = None
''', ("optional",)),
    "multi_line_last_statement_of_else": (_C + '''
try:
    x = 1
except OSError:
    pass
else:
    CDLL(
        "/nowhere/a.so"
    )
''', ("none",)),
    "in_finally": (_C + '''
try:
    try:
        x = 1
    except OSError:
        pass
    finally:
        CDLL("/nowhere/a.so")
except ValueError:
    pass
''', ("none",)),
    "try_finally_only": (_C + '''
here = os.getcwd()
try:
    CDLL("/nowhere/a.so")
finally:
    os.chdir(here)
''', ("none",)),
    "outer_try_of_a_finally": (_C + '''
try:
    try:
        CDLL("/nowhere/a.so")
    finally:
        x = 1
except OSError:
    pass
''', ("optional",)),
    "decorator": (_C + '''
def needs(path):
    CDLL(path)
    return lambda function: function
try:
    @needs("/nowhere/a.so")
    def op(x):
        try:
            return x
        except ValueError:
            raise
except OSError:
    op = None
''', ("optional",)),
    "lambda_": (_C + '''
load = lambda p: CDLL(p)
try:
    load("/nowhere/a.so")
except OSError:
    CDLL("/nowhere/b.so")
''', ("alternative", "none")),
    "comprehension": (_C + '''
try:
    libs = [CDLL(p) for p in ["/nowhere/a.so"]]
except OSError:
    libs = []
try:
    libs = list(CDLL(p) for p in ["/nowhere/b.so"])
except OSError:
    raise RuntimeError("b")
''', ("optional", "reraise")),
    "class_body": (_C + '''
class Ops:
    try:
        lib = CDLL("/nowhere/a.so")
    except OSError:
        lib = None

    def method(self):
        try:
            return CDLL("/nowhere/b.so")
        except OSError:
            return self.fallback()

    def fallback(self):
        return CDLL("/nowhere/c.so")
Ops().method()
''', ("optional", "alternative", "none")),
    "generator": (_C + '''
def libraries():
    for p in ["/nowhere/a.so", "/nowhere/b.so"]:
        try:
            yield CDLL(p)
        except OSError:
            continue
def plain():
    yield CDLL("/nowhere/c.so")
list(libraries())
list(plain())
''', ("alternative", "optional", "none")),
    "async_function": (_C + '''
import asyncio
async def load(path):
    return CDLL(path)
async def main():
    try:
        await load("/nowhere/a.so")
    except OSError:
        await load("/nowhere/b.so")
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
''', ("alternative", "none")),
    "with_suppress": (_C + '''
import contextlib
from contextlib import suppress
with suppress(OSError):
    CDLL("/nowhere/a.so")
with open(os.devnull), contextlib.suppress(ImportError, OSError):
    CDLL("/nowhere/b.so")
with suppress(ValueError):
    CDLL("/nowhere/c.so")
''', ("optional", "optional", "none")),
    "with_file": (_C + '''
with open(os.devnull) as stream:
    CDLL("/nowhere/a.so")
''', ("none",)),
    "types_by_name": (_C + '''
ERRORS = (ImportError, OSError)
def one():
    try:
        CDLL("/nowhere/a.so")
    except ERRORS:
        pass
def two():
    try:
        CDLL("/nowhere/b.so")
    except (ValueError, KeyError):
        pass
    except EnvironmentError:
        raise
one()
two()
''', ("optional", "reraise")),
    "absent_type": (_C + '''
class m:
    pass
try:
    CDLL("/nowhere/a.so")
except OSError if True else ValueError:
    pass
''', ("optional",)),
    "exits": (_C + '''
def stop(text):
    sys.stderr.write(text)
    sys.exit(1)
def one():
    try:
        CDLL("/nowhere/a.so")
    except OSError:
        stop("no library")
try:
    one()
except SystemExit:
    pass
try:
    CDLL("/nowhere/b.so")
except OSError as e:
    print(e)
    exit(1)
''', ("optional", "reraise")),
    "exit_eaten_by_bare_except": (_C + '''
def one():
    try:
        CDLL("/nowhere/a.so")
    except OSError:
        sys.exit("no library")
try:
    one()
except Exception:
    pass
''', ("reraise",)),
    "raise_of_another_type": (_C + '''
class Missing(Exception):
    pass
def one():
    try:
        CDLL("/nowhere/a.so")
    except OSError as e:
        raise Missing(str(e))
def two():
    try:
        one()
    except OSError:
        pass
def three():
    try:
        two()
    except Missing:
        return None
three()
''', ("optional",)),
    "test_behind_the_try": (_C + '''
lib = None
try:
    lib = CDLL("/nowhere/a.so")
except OSError:
    pass
x = 1
if lib is None:
    raise ImportError("a.so")
''', ("reraise",)),
    "test_behind_the_try_exits": (_C + '''
def main():
    lib = None
    for p in ("/nowhere/a.so", "/nowhere/b.so"):
        try:
            lib = CDLL(p)
            break
        except OSError as e:
            print(e)
    if not lib:
        print("no library", file=sys.stderr)
        sys.exit(1)
    return lib
main()
''', ("alternative", "reraise")),
    "test_behind_the_try_loads": (_C + '''
lib = None
try:
    lib = CDLL("/nowhere/a.so")
except OSError:
    pass
if lib is None:
    try:
        lib = CDLL("/nowhere/b.so")
    except OSError:
        pass
if lib is None:
    lib = CDLL("/nowhere/c.so")
''', ("alternative", "alternative", "none")),
    "unrelated_load_behind": (_C + '''
try:
    a = CDLL("/nowhere/a.so")
except OSError:
    a = None
try:
    b = CDLL("/nowhere/b.so")
except OSError:
    b = None
import json
if b is None:
    print("no b")
''', ("optional", "optional")),
    "behind_a_return": (_C + '''
def load():
    try:
        return CDLL("/nowhere/a.so")
    except OSError:
        pass
    try:
        return CDLL("/nowhere/b.so")
    except OSError:
        pass
    raise RuntimeError("neither")
load()
''', ("alternative", "reraise")),
    "or_operator": (_C + '''
def attempt(p):
    try:
        return CDLL(p)
    except OSError:
        return None
lib = attempt("/nowhere/a.so") or CDLL("/nowhere/b.so")
''', ("alternative", "none")),
    "loop_in_the_caller": (_C + '''
def attempt(p):
    try:
        return CDLL(p)
    except OSError:
        return None
def find():
    for p in ["/nowhere/a.so", "/nowhere/b.so"]:
        lib = attempt(p)
        if lib is not None:
            return lib
    raise RuntimeError("none found")
find()
''', ("alternative", "reraise")),
    "result_checked_by_the_caller": (_C + '''
def attempt(p):
    try:
        return CDLL(p)
    except OSError as e:
        print(e)
        return None
lib = attempt("/nowhere/a.so")
if lib is None:
    sys.exit("a.so is needed")
''', ("reraise",)),
    "if_call_of_the_caller": (_C + '''
def attempt(p):
    try:
        CDLL(p)
        return True
    except OSError as e:
        return False
if not attempt("/nowhere/a.so"):
    print("feature off")
''', ("optional",)),
    "loops_of_all_kinds": (_C + '''
class Nothing(Exception):
    pass
DIRS = {"x": "/nowhere/x", "y": "/nowhere/y"}
def enumerated():
    for i, p in enumerate(["/nowhere/a.so", "/nowhere/b.so"]):
        try:
            return CDLL(p)
        except OSError:
            continue
def backwards():
    for p in reversed(["/nowhere/c.so", "/nowhere/d.so"]):
        try:
            return CDLL(p)
        except OSError:
            pass
    raise OSError("neither")
def keyed():
    for key, d in DIRS.items():
        try:
            lib = CDLL(os.path.join(d, "e.so"))
        except OSError:
            continue
        break
    else:
        raise Nothing()
enumerated()
try:
    backwards()
except OSError:
    pass
keyed()
''', ("alternative", "optional", "alternative", "optional", "alternative", "reraise")),
    "built_list": (_C + '''
def find():
    here = os.path.dirname(os.path.abspath(__file__))
    candidates = [os.path.join(d, "libz.so") for d in (here, os.path.join(here, "lib"))]
    candidates.append("libz-absent.so.9")
    found = False
    for p in candidates:
        try:
            lib = CDLL(p)
        except OSError:
            continue
        found = True
        break
    if not found:
        raise RuntimeError("no libz")
find()
''', ("alternative", "alternative", "reraise")),
    "generator_of_candidates": (_C + '''
def candidates():
    yield "/nowhere/a.so"
    yield "/nowhere/b.so"
for p in candidates():
    try:
        CDLL(p)
    except OSError:
        continue
''', ("alternative", "alternative")),
    "while_loop": (_C + '''
paths = ["/nowhere/a.so", "/nowhere/b.so"]
lib = None
while lib is None and paths:
    try:
        lib = CDLL(paths.pop(0))
    except OSError:
        pass
''', ("alternative", "optional")),
    "import_in_handler": (_C + '''
try:
    CDLL("/nowhere/a.so")
except OSError:
    import traceback
    traceback.print_exc()
    raise
''', ("reraise",)),
    "looks_and_raises": (_C + '''
import subprocess
try:
    CDLL("/nowhere/a.so")
except OSError:
    os.system("ldd /nowhere/a.so >/dev/null 2>&1")
    raise
''', ("reraise",)),
    "looks_and_goes_on": (_C + '''
import re
try:
    CDLL("/nowhere/a.so")
except OSError as e:
    os.system("ldd {} >/dev/null 2>&1".format("/nowhere/a.so"))
    pattern = re.compile("x")
''', ("optional",)),
    "builds_and_gives_up": (_C + '''
import subprocess
try:
    CDLL("/nowhere/a.so")
except OSError:
    subprocess.call(["true"])
    raise RuntimeError("built; run again")
''', ("reraise",)),
    "recursion": (_C + '''
def load(path, tries=0):
    try:
        return CDLL(path)
    except OSError:
        if tries < 1:
            return load("/nowhere/b.so", tries + 1)
        raise
load("/nowhere/a.so")
''', ("alternative", "reraise")),
    "cdll_attribute": (_C + '''
try:
    lib = ctypes.cdll["/nowhere/a.so"]
except (OSError, AttributeError):
    lib = ctypes.cdll.libnowhere
''', ("alternative", "none")),
    "cdll_attribute_error": (_C + '''
try:
    lib = ctypes.cdll.libnowhere
except AttributeError:  # what it raises from 3.12 on
    lib = None
''', ("none",)),
    "aliased_loader": (_C + '''
from ctypes import CDLL as Library
load_fn = ctypes.cdll.LoadLibrary
def attempt(p):
    return Library(p)
try:
    attempt("/nowhere/a.so")
except OSError:
    Library("/nowhere/b.so")
''', ("alternative", "none")),
    "argument_parser": (_C + '''
import argparse
parser = argparse.ArgumentParser()
try:
    CDLL("/nowhere/a.so")
except OSError as e:
    parser.error("no library: {}".format(e))
''', ("reraise",)),
    "with_around_the_load": (_C + '''
class device:
    def __enter__(self):
        return self
    def __exit__(self, *args):
        pass
try:
    with device():
        lib = CDLL("/nowhere/a.so")
except OSError:
    with device():
        lib = CDLL("/nowhere/b.so")
''', ("alternative", "none")),
    "sys_path": (_C + '''
def find():
    for d in sys.path:
        try:
            return CDLL(os.path.join(d, "libabsent.so"))
        except OSError:
            pass
    raise RuntimeError("nowhere")
before = sys.path[:]
sys.path[:] = ["/nowhere/a", "/nowhere/b"]
try:
    find()
finally:
    sys.path[:] = before
''', ("alternative", "reraise")),
    "late_flag": (_C + '''
failed = False
try:
    lib = CDLL("/nowhere/a.so")
except OSError as e:
    failed = True
    message = str(e)
print("something else")
if failed:
    print(message)
    sys.exit(2)
''', ("reraise",)),
    "script_ends_with_exit": (_C + '''
def main():
    return 0
try:
    lib = CDLL("/nowhere/a.so")
except OSError as e:
    lib = None
sys.exit(main())
''', ("optional",)),
    "unrelated_test_exits": (_C + '''
try:
    lib = CDLL("/nowhere/a.so")
except OSError as e:
    lib = None
if len(sys.argv) > 100:
    sys.exit(2)
if lib is not None and lib.version() < 3:
    raise RuntimeError("too old")
''', ("optional",)),
    "variables_are_let_go": (_C + '''
import weakref
class Big:
    pass
def train(keep):
    data = Big()
    watched = weakref.ref(data)
    try:
        CDLL("/nowhere/a.so")
    except OSError:
        pass
    del data
    keep["marked"] = True
    if watched() is not None or "marked" not in keep:
        CDLL("/nowhere/still-alive.so")
train({})
def inspecting():
    found = locals()
    found["extra"] = 1
    try:
        CDLL("/nowhere/b.so")
    except OSError:
        pass
    if "extra" not in found:
        CDLL("/nowhere/locals-were-cleared.so")
inspecting()
''', ("optional", "optional")),
    "index_loop": (_C + '''
PATHS = ["/nowhere/a.so", "/nowhere/b.so"]
def find():
    for i in range(len(PATHS)):
        try:
            return CDLL(PATHS[i])
        except OSError:
            if i == len(PATHS) - 1:
                raise
find()
''', ("alternative", "reraise")),
    "last_by_identity": (_C + '''
PATHS = ("/nowhere/a.so", "/nowhere/b.so")
def find():
    for path in PATHS:
        try:
            lib = CDLL(path)
        except OSError:
            if path is PATHS[-1]:
                raise
        else:
            return lib
find()
''', ("alternative", "reraise")),
    "else_breaks": (_C + '''
for kind, name in zip(("gpu", "cpu"), ("a.so", "b.so")):
    try:
        lib = CDLL("/nowhere/" + kind + "/" + name)
    except OSError:
        print("no " + kind)
    else:
        break
else:
    print("no library at all")
    sys.exit(1)
''', ("alternative", "reraise")),
    "retries": (_C + '''
tries = 0
while True:
    try:
        lib = CDLL("/nowhere/a.so")
        break
    except OSError:
        tries += 1
        if tries == 2:
            raise
''', ("alternative", "reraise")),
    "known_test_in_handler": (_C + '''
REQUIRED = True
try:
    CDLL("/nowhere/a.so")
except OSError:
    if REQUIRED:
        raise
''', ("reraise",)),
    "nested_handler_raises": (_C + '''
def load():
    try:
        return CDLL("/nowhere/a.so")
    except OSError as first:
        try:
            return CDLL("/nowhere/b.so")
        except OSError:
            raise first
load()
''', ("alternative", "reraise")),
    "assertion": (_C + '''
lib = None
try:
    lib = CDLL("/nowhere/a.so")
except OSError:
    pass
assert lib is not None, "no library"
''', ("reraise",)),
    "skipped_test": (_C + '''
import unittest
class Tests(unittest.TestCase):
    def test_it(self):
        try:
            CDLL("/nowhere/a.so")
        except OSError:
            self.skipTest("no library")
unittest.TextTestRunner(stream=sys.stderr).run(Tests("test_it"))
''', ("optional",)),
    "standard_library_catches": (_C + '''
import concurrent.futures
def work(p):
    return CDLL(p)
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    future = pool.submit(work, "/nowhere/a.so")
try:
    future.result()
except OSError:
    pass
''', ("none",)),
    "property_is_not_called": (_C + '''
class Loud:
    @property
    def errors(self):
        raise SystemError("a property was called")
    def __getattr__(self, name):
        raise SystemError("__getattr__ was called")
    def __eq__(self, other):
        raise SystemError("__eq__ was called")
    def __bool__(self):
        raise SystemError("__bool__ was called")
    __hash__ = None
loud = Loud()
for p in [loud, loud]:
    try:
        CDLL("/nowhere/a.so")
    except (loud.errors if p is None else OSError):
        if loud is None or not isinstance(loud, Loud):
            raise
''', ("alternative", "alternative")),
    "exec_in_a_string": (_C + '''
exec("try:\\n    CDLL('/nowhere/a.so')\\nexcept OSError:\\n    pass")
exec("CDLL('/nowhere/b.so')")
''', ("alternative", "none")),
    "several_on_a_line": (_C + '''
try: a = 1; lib = CDLL("/nowhere/a.so"); b = 2
except OSError: lib = None; b = 3
''', ("optional",)),
    "tabs_and_form_feed": (_C + "\x0c\ntry:\n\tlib = CDLL('/nowhere/a.so')\nexcept OSError:\n\tpass\n", ("optional",)),
    "invalid_escape": (_C + '''
try:
    lib = CDLL("/nowhere/a.so")
except OSError:
    pattern = "\\d \\w"
''', ("optional",)),
    "import_error": (_C + '''
with open(os.path.join(os.path.dirname(__file__), "brokenext.so"), "w") as stream:
    stream.write("this is no library, but text longer than an ELF header would be: " * 4)
sys.path.insert(0, os.path.dirname(__file__))
try:
    import brokenext
except ImportError:
    brokenext = None
try:
    import brokenext
except ImportError:
    import fallback_that_is_absent
''', ("optional", "alternative")),
}  # fmt: skip
