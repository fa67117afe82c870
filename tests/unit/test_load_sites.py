"""The calls and imports of a script that load libraries, as ``dlrepair check`` tells them from its text."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import sysconfig
import time

import pytest
from interpreters import bare_env

from dlrepair.cli import loadsites, output

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_load_sites(tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "train.py")
    lines = [
        "import ctypes, os, tensorflow as tf, numpy as np",
        "from pathlib import Path",
        "HERE = os.path.dirname(os.path.abspath(__file__))",
        "a = ctypes.CDLL('./one.so')",
        "b = tf.load_op_library(os.path.join(HERE, 'ops', 'two.so'))",
        "c = ctypes.cdll.LoadLibrary(str(Path(__file__).resolve().parent / 'three.so'))",
        "d = np.ctypeslib.load_library('four', HERE); import numpy.ctypeslib as npct; npct.load_library('five', './')",
        "e = ctypes.CDLL(None)",
        "f = ctypes.CDLL(input())",
        "twice = 'x.so'",
        "while f:",
        "    twice = 'y.so'",
        "g = ctypes.CDLL(twice)",
    ]
    with open(script, "w") as handle:
        handle.write("\n".join(lines))
    here = os.path.realpath(str(tmp_path))
    found = [(site.requested, site.loader, site.line) for site in loadsites.find(os.path.join(here, "train.py"))]
    assert found == [
        ("./one.so", "ctypes", 4),
        (os.path.join(here, "ops", "two.so"), "tensorflow", 5),
        (os.path.join(here, "three.so"), "ctypes", 6),
        ("./five.so", "ctypes", 7),
        (os.path.join(here, "four.so"), "ctypes", 7),
    ]


FORMS = [
    "tf.load_op_library(resource_loader.get_path_to_datafile('one.so'))",
    "tf.load_op_library(resource_loader.get_path_to_datafile(os.path.join('sub', 'one.so')))",
    "tf.load_op_library('%s/build/{}.so'.format(NAME) % HERE)",
    "tf.load_op_library(HERE + '/build/%s.so' % NAME)",
    "tf.load_op_library(f'{HERE}/build/{NAME}.so')",
    "ctypes.CDLL(name=HERE + '/one.so')",
    "tf.load_op_library(library_filename=HERE + '/one.so')",
    "ctypes.CDLL(Path(__file__).resolve().parent.joinpath('one.so').as_posix())",
    "ctypes.CDLL(Path(__file__).with_name('one.so'))",
    "ctypes.CDLL(os.path.join(HERE, *['x', 'one.so']))",
    "ctypes.CDLL(self.PATH)",
    "ctypes.CDLL(HERE + os.sep + NAME + sysconfig.get_config_var('EXT_SUFFIX'))",
    "ctypes.CDLL(HERE + '/op' + importlib.machinery.EXTENSION_SUFFIXES[0])",
    "ctypes.CDLL('a.dll' if os.name == 'nt' else './a.so')",
    "ctypes.CDLL(os.environ.get('NO_SUCH_VARIABLE', '/opt/b.so'))",
    "ctypes.CDLL(os.environ['HOME'] + '/c.so')",
    "ctypes.CDLL(['d.so', 'e.so'][1])",
    "ctypes.CDLL('lib{}.txt'.format(NAME).replace('.txt', '.so'))",
    "ctypes.CDLL(sorted(glob.glob(os.path.join(HERE, 'tr*.py')))[0])",
    "[ctypes.CDLL(file) for file in glob.glob(HERE + '/*.py')]",
    "def load(lib):\n    ctypes.CDLL(os.path.join(HERE, lib))\nload('f.so')\nload(lib='g.so')",
    "if sys.platform.startswith('win'):\n    ctypes.CDLL('h.dll')\nelse:\n    ctypes.CDLL('h.so')",
    "if platform.system().lower() == 'darwin':\n    N = 'i.dylib'\nelse:\n    N = 'i.so'\nctypes.CDLL(N)",
    "ctypes.CDLL(os.path.join(os.path.dirname(psutil.__file__), 'k.so'))",
    "ctypes.CDLL(os.path.join(elftools.__path__[0], 'l.so'))",
    "ctypes.CDLL(os.path.join(sysconfig.get_path('purelib'), 'm', 'n.so'))",
    "lib = 'o.so'\nlib = os.path.join(HERE, lib)\nctypes.CDLL(lib)",
    "if os.environ.get('HOME'):\n    lib = './p.so'\nelse:\n    lib = './p.so'\nctypes.CDLL(lib)",
    "def where():\n    return os.path.join(HERE, 'q.so')\nctypes.CDLL(where())",
    "class Op:\n  def __init__(self, file):\n    self.file = file\n    ctypes.CDLL(self.file)\nOp(HERE + '/r.so')",
    "ctypes.CDLL(Holder.PATH)",
    "ctypes.CDLL('{where}/{0}.so'.format('s', where=HERE))",
    "ctypes.CDLL(str(Path(__file__).resolve().parents[1] / 't.so'))",
    "ctypes.CDLL(os.path.splitext(__file__)[0] + '.so')",
    "ctypes.CDLL(os.path.join(os.path.split(__file__)[0], 'u.so'))",
    "ctypes.CDLL(__file__[:-3] + '.so')",
    "ctypes.CDLL({'linux': 'v.so', 'win32': 'v.dll'}[sys.platform])",
    "NAMES = {'Linux': 'w.so', 'Darwin': 'w.dylib'}\nctypes.CDLL(NAMES[platform.system()])",
    "FILES = ['x.so', 'y.so']\nctypes.CDLL(FILES[-1])",
    "ctypes.CDLL(os.sep.join([HERE, 'lib', 'z.so']))",
    "from os.path import join as pjoin\nctypes.CDLL(pjoin(HERE, 'a1.so'))",
    "ctypes.CDLL(os.path.join(sys.prefix, 'lib', 'a2.so'))",
    "ctypes.CDLL(os.path.join(HERE, os.pardir, 'a3.so'))",
    "ctypes.CDLL(next(iter(sorted(glob.glob(HERE + '/*.py')))))",
    "ctypes.CDLL(str(list(Path(HERE).glob('*.py'))[0]))",
    "from importlib import resources\nctypes.CDLL(str(resources.files('elftools') / 'a4.so'))"
    if sys.version_info >= (3, 9) else "ctypes.CDLL('a4.so')",
    "ctypes.CDLL(ctypes_util.find_library('m'))",
    "ctypes.CDLL(ctypes_util.find_library('no_such_library') or './a5.so')",
    "LIBS = ['b1.so', 'b2.so']\nfor one in LIBS:\n    ctypes.CDLL(os.path.join(HERE, one))",
    "def load(lib='./b3.so'):\n    ctypes.CDLL(lib)\nload()",
    "lib = '/b5.so'\nif platform.system() == 'Windows' or 'CYGWIN' in platform.system():\n    lib = '/b5.dll'\n"
    "ctypes.CDLL(HERE + lib)",
    "def one():\n    path = './b6.so'\n    ctypes.CDLL(path)\ndef two():\n    path = './b7.so'\n    ctypes.CDLL(path)\n"
    "one(); two()",
    "try:\n    path = 'b8.so'\n    ctypes.CDLL(path)\n    raise OSError\nexcept OSError:\n    path = 'b9.so'\n"
    "    ctypes.CDLL(path)",
    "path = 'c1.so'\nif os.sep:\n    path = 'c2.so'\npath = os.path.join(HERE, 'c3.so')\nctypes.CDLL(path)",
    "P = argparse.ArgumentParser()\nP.add_argument('-o', '--op-lib', default='./j.so')\n"
    "A = P.parse_args([])\nctypes.CDLL(A.op_lib)",
]


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_constant_paths_agree_with_python(form, tmp_path):
    """What the text is read as is what Python makes of it: the call is run with a loader that only notes its path."""
    head = "import argparse, elftools, glob, importlib.machinery, os, platform, psutil, sys, sysconfig\n"
    head += "from pathlib import Path\n"
    head += "HERE = os.path.dirname(os.path.realpath(__file__))\nNAME = 'op'\n"
    head += "import ctypes.util as ctypes_util\n"
    head += "class Holder:\n    PATH = os.path.join(HERE, 'held.so')\n"
    script = os.path.join(os.path.realpath(str(tmp_path)), "train.py")
    with open(script, "w") as handle:
        handle.write(head + form + "\n")
    stub = (
        "import os, sys\nclass Note:\n"
        "    def __call__(self, library=None, **named): print(os.fspath(library or list(named.values())[0]))\n"
        "    def __getattr__(self, name): return self\n"
        "class Data:\n"
        "    def get_path_to_datafile(self, path): return os.path.join(os.path.dirname(sys.argv[1]), path)\n"
        "text = open(sys.argv[1]).read()\n"
        "space = dict(__file__=sys.argv[1], tf=Note(), ctypes=Note(), resource_loader=Data())\n"
        "space['self'] = type('S', (), {'PATH': os.path.join(os.path.dirname(sys.argv[1]), 'held.so')})\n"
        "exec(compile(text, sys.argv[1], 'exec'), space)\n"
    )
    done = subprocess.run([sys.executable, "-c", stub, script], stdout=subprocess.PIPE, check=True)
    found = [site.requested for site in loadsites.find(script) if not site.optional]
    assert found == os.fsdecode(done.stdout).split()


def test_a_path_that_another_run_may_change_is_left_out(tmp_path):
    """Assigned in a loop, in another function, by an operator: nobody can tell which of the values counts."""
    script = str(tmp_path / "train.py")
    lines = ["a = 'a.so'", "for x in range(3):", "    a = 'b.so'", "ctypes.CDLL(a)", "c = 'c.so'", "c += 'd'"]
    lines += ["ctypes.CDLL(c)", "def f(n):", "    return f(n - 1)", "ctypes.CDLL(f(3))"]
    lines += ["d = e", "e = d", "ctypes.CDLL(e)"]
    lines += ["for g in g: ctypes.CDLL(g)", "for h in d: ctypes.CDLL(h)"]
    lines += ["x0 = x1 + x1", *("x{} = x{} + x{}".format(at, at + 1, at + 1) for at in range(1, 40)), "ctypes.CDLL(x0)"]
    with open(script, "w") as handle:
        handle.write("\n".join(lines) + "\n")
    began = time.monotonic()
    sites, untold = loadsites.survey(script)
    assert (sites, untold) == ([], [4, 7, 10, 13, 14, 15, 56])
    assert time.monotonic() - began < 5


def check(home: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlrepair", "check", script]
    return subprocess.run(
        command, cwd=home, env=bare_env(PYTHONPATH=ROOT, HOME=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_check_sees_imports_and_names_that_are_looked_for(tmp_path: object) -> None:
    """What an import comes to by the script's own search path; what a ``try`` or a test takes care of is optional."""
    home = os.path.realpath(str(tmp_path))
    own = sysconfig.get_config_var("EXT_SUFFIX")
    source = os.path.join(home, "x.c")
    with open(source, "w") as handle:
        handle.write("int PyInit_any;\n")
    for name in ("near" + own, "build/far.so", "pkg/_core" + own, "old.cpython-36m-x86_64-linux-gnu.so", "spare.pyd"):
        os.makedirs(os.path.dirname(os.path.join(home, name)), exist_ok=True)
        subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", os.path.join(home, name)], check=True)
    for name in ("pkg/__init__.py", "plain.py", "plain" + own + ".txt"):
        open(os.path.join(home, name), "w").close()
    lines = [
        "import ctypes, ctypes.util, math, os, sys, plain, json.decoder, no_such_module",
        "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'build'))",
        "import near, far",
        "from pkg import _core",
        "try:", "    import old", "except ImportError:", "    old = None",
        "import old",
        "if TYPE_CHECKING:", "    import spare",
        "ctypes.CDLL(ctypes.util.find_library('c'))",
        "q = ctypes.util.find_library('no_such_one')", "if q: ctypes.CDLL(q)",
        "ctypes.CDLL(ctypes.util.find_library('no_such_two'))",
    ]  # fmt: skip
    script = os.path.join(home, "train.py")
    with open(script, "w") as handle:
        handle.write("\n".join(lines) + "\n")
    sites, untold = loadsites.survey(script)
    shown = [(one.requested.replace(home + "/", ""), *one[1:]) for one in sites]
    assert shown == [
        ("build/far.so", "import", 3, False), ("near" + own, "import", 3, False),
        ("pkg/_core" + own, "import", 4, False), ("old" + own, "import", 6, True), ("old" + own, "import", 9, False),
        ("libc.so.6", "ctypes", 12, False),
        ("libno_such_one.so", "find_library", 13, True), ("libno_such_two.so", "find_library", 15, False),
    ]  # fmt: skip
    assert untold == []
    assert ctypes.util.find_library("c") == "libc.so.6"
    done = check(home, "train.py")
    assert done.returncode == output.FOUND, done
    assert "old{} (train.py:6, optional): python-abi".format(own) in done.stdout
    assert "8 checked, 4 would not load, 2 of them optional" in done.stdout
    with open(script, "w") as handle:
        handle.write("\n".join(lines[4:8]) + "\n")
    assert check(home, "train.py").returncode == output.FINE


def test_what_is_not_constant_is_left_out(tmp_path):
    script = str(tmp_path / "train.py")
    lines = ["for name in ('one.so', 'two.so'):", "    ctypes.CDLL(name)", "def load(path):", "    ctypes.CDLL(path)"]
    lines += ["ctypes.CDLL('%d.so' % 'x')", "ctypes.CDLL('{x}'.format('y'))", "ctypes.CDLL(f'{y}.so')", "p = q = 1"]
    with open(script, "w") as handle:
        handle.write("\n".join(lines) + "\n")
    sites, untold = loadsites.survey(script)
    assert [site.requested for site in sites] == ["one.so", "two.so"]
    assert untold == [4, 5, 6, 7]
