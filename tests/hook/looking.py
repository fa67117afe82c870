"""Programs that ask whether their library is there, by a path that they make themselves, each in another way.

``START`` comes first. The library is asked for in ops/, and lies in build/; ``@TOP@`` is the project.
"""

from __future__ import annotations

START = """\
import ctypes, glob, os, sys
HERE = os.path.dirname(os.path.abspath(__file__))
"""
OPS = "os.path.join(HERE, 'ops', 'libmoved.so')"
LOAD = "print(ctypes.CDLL(str(P)).answer())\n"

SHAPES = {
    "absolute": """\
P = '@TOP@/ops/libmoved.so'
assert os.path.exists(P)
print(ctypes.CDLL(str(P)).answer())
""",
    "relative": """\
P = 'ops/libmoved.so'
assert os.path.exists(P), P
print(ctypes.CDLL(str(P)).answer())
""",
    "dotted": """\
os.chdir(HERE)
P = './ops/libmoved.so'
if not os.path.exists(P):
    raise RuntimeError('no P')
print(ctypes.CDLL(str(P)).answer())
""",
    "join": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
if not os.path.isfile(P):
    raise FileNotFoundError(P)
print(ctypes.CDLL(str(P)).answer())
""",
    "bytes": """\
P = os.fsencode(os.path.join(HERE, 'ops', 'libmoved.so'))
if not os.path.isfile(P):
    raise FileNotFoundError(P)
P = P.decode()
print(ctypes.CDLL(str(P)).answer())
""",
    "plus": """\
P = HERE + '/ops/libmoved.so'
if not os.path.isfile(P):
    raise RuntimeError('no ' + P)
print(ctypes.CDLL(str(P)).answer())
""",
    "f-string": """\
P = f'{HERE}/ops/libmoved.so'
if not os.path.isfile(P):
    raise RuntimeError(f'no {P}')
print(ctypes.CDLL(str(P)).answer())
""",
    "percent": """\
N = 'moved'
P = '%s/ops/lib%s.so' % (HERE, N)
assert os.path.isfile(P), 'not built'
print(ctypes.CDLL(str(P)).answer())
""",
    "format": """\
P = '{}/ops/lib{}.so'.format(HERE, 'moved')
assert os.path.isfile(P), 'not built'
print(ctypes.CDLL(str(P)).answer())
""",
    "list-join": """\
P = '/'.join([HERE, 'ops', 'libmoved.so'])
assert os.path.isfile(P), P
print(ctypes.CDLL(str(P)).answer())
""",
    "replace": """\
P = __file__.replace('script.py', 'ops/libmoved.so')
assert os.path.isfile(P), P
print(ctypes.CDLL(str(P)).answer())
""",
    "pathlib": """\
from pathlib import Path
P = Path(HERE) / 'ops' / 'libmoved.so'
if not P.exists():
    raise RuntimeError('build it first')
print(ctypes.CDLL(str(P)).answer())
""",
    "pathlib-resolve": """\
from pathlib import Path
P = Path(HERE).resolve().joinpath('ops', 'libmoved').with_suffix('.so')
if not P.is_file():
    raise RuntimeError(P)
print(ctypes.CDLL(str(P)).answer())
""",
    "pathlib-glob": """\
from pathlib import Path
P = next(Path(HERE).glob('ops/libmov*.so'))
print(ctypes.CDLL(str(P)).answer())
""",
    "parameter": """\
def find(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    return path
P = find(os.path.join(HERE, 'ops', 'libmoved.so'))
print(ctypes.CDLL(str(P)).answer())
""",
    "made-inside": """\
def find(name):
    path = os.path.join(HERE, 'ops', name + '.so')
    if not os.path.isfile(path):
        raise FileNotFoundError('no library ' + name)
    return path
P = find('libmoved')
print(ctypes.CDLL(str(P)).answer())
""",
    "default": """\
def load(P=os.path.join(HERE, 'ops', 'libmoved.so')):
    assert os.path.exists(P), 'not built'
    print(ctypes.CDLL(str(P)).answer())
load()
""",
    "class": """\
class Ops:
    lib = os.path.join(HERE, 'ops', 'libmoved.so')
    def load(self):
        if not os.path.exists(self.lib):
            raise OSError('not built')
        return ctypes.CDLL(self.lib)
print(Ops().load().answer())
""",
    "self": """\
class Ops:
    def __init__(self):
        self.lib = os.path.join(HERE, 'ops', 'libmoved.so')
    def load(self):
        if not os.path.exists(self.lib):
            raise OSError('not built')
        return ctypes.CDLL(self.lib)
print(Ops().load().answer())
""",
    "property": """\
class Ops:
    @property
    def lib(self):
        return os.path.join(HERE, 'ops', 'libmoved.so')
    def load(self):
        if not os.path.exists(self.lib):
            raise OSError('not built: ' + self.lib)
        return ctypes.CDLL(self.lib)
print(Ops().load().answer())
""",
    "table": """\
CFG = {'lib': os.path.join(HERE, 'ops', 'libmoved.so')}
if not os.path.exists(CFG['lib']):
    raise OSError('no lib')
P = CFG['lib']
print(ctypes.CDLL(str(P)).answer())
""",
    "for-else": """\
for d in ('ops', 'lib', 'out'):
    P = os.path.join(HERE, d, 'libmoved.so')
    if os.path.exists(P):
        break
else:
    raise RuntimeError('libmoved.so not found')
print(ctypes.CDLL(str(P)).answer())
""",
    "comprehension": """\
C = [os.path.join(HERE, d, 'libmoved.so') for d in ('ops', 'lib')]
F = [p for p in C if os.path.exists(p)]
if not F:
    raise RuntimeError(', '.join(C))
P = F[0]
print(ctypes.CDLL(str(P)).answer())
""",
    "any": """\
C = [os.path.join(HERE, d, 'libmoved.so') for d in ('ops', 'lib')]
if not any(os.path.exists(p) for p in C):
    raise RuntimeError('libmoved.so not found')
P = C[0]
print(ctypes.CDLL(str(P)).answer())
""",
    "next": """\
C = [os.path.join(HERE, d, 'libmoved.so') for d in ('ops', 'lib')]
P = next(p for p in C if os.path.exists(p))
print(ctypes.CDLL(str(P)).answer())
""",
    "glob": """\
P = glob.glob(os.path.join(HERE, 'ops', 'libmov*.so'))[0]
print(ctypes.CDLL(str(P)).answer())
""",
    "glob-sorted": """\
F = sorted(glob.glob(HERE + '/ops/libmov*.so'))
if len(F) == 0:
    raise RuntimeError('no libmov*.so')
P = F[-1]
print(ctypes.CDLL(str(P)).answer())
""",
    "raise-from": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
try:
    os.stat(P)
except OSError as e:
    raise RuntimeError('build it') from e
print(ctypes.CDLL(str(P)).answer())
""",
    "stat": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
os.stat(P)
print(ctypes.CDLL(str(P)).answer())
""",
    "read-bytes": """\
from pathlib import Path
P = Path(HERE) / 'ops' / 'libmoved.so'
assert P.read_bytes()[:4] == b'\\x7fELF'
print(ctypes.CDLL(str(P)).answer())
""",
    "open": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
with open(P, 'rb') as f:
    assert f.read(4) == b'\\x7fELF'
print(ctypes.CDLL(str(P)).answer())
""",
    "argparse": """\
import argparse
p = argparse.ArgumentParser()
p.add_argument('--lib', default=os.path.join(HERE, 'ops', 'libmoved.so'))
a = p.parse_args()
if not os.path.exists(a.lib):
    raise OSError('no library')
P = a.lib
print(ctypes.CDLL(str(P)).answer())
""",
    "json": """\
import json
c = json.loads('{"lib": "@TOP@/ops/libmoved.so"}')
assert os.path.isfile(c['lib'])
P = c['lib']
print(ctypes.CDLL(str(P)).answer())
""",
    "function-that-looks": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
def built():
    return os.path.exists(P)
if not built():
    raise RuntimeError('run make first')
print(ctypes.CDLL(str(P)).answer())
""",
    "function-that-is-told": """\
def built(p):
    return os.path.exists(p)
def main():
    P = os.path.join(HERE, 'ops', 'libmoved.so')
    if not built(P):
        raise RuntimeError('run make first')
    print(ctypes.CDLL(str(P)).answer())
main()
""",
    "pathlib-open": """\
from pathlib import Path
P = Path(HERE) / 'ops' / 'libmoved.so'
with P.open('rb') as stream:
    assert stream.read(4) == b'\\x7fELF'
print(ctypes.CDLL(str(P)).answer())
""",
    "flag-of-the-module": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
HAS_OP = os.path.isfile(P)
def answer():
    if not HAS_OP:
        raise RuntimeError('the op is not available')
    return ctypes.CDLL(P).answer()
print(answer())
""",
    "resolved-strictly": """\
from pathlib import Path
P = (Path(HERE) / 'ops' / 'libmoved.so').resolve(strict=True)
print(ctypes.CDLL(str(P)).answer())
""",
    "any-library": """\
P = glob.glob(os.path.join(HERE, 'ops', '*.so'))[0]
print(ctypes.CDLL(P).answer())
""",
    "starred": """\
P = os.path.join(HERE, 'ops', 'libmoved.so')
assert os.path.exists(*[HERE]) and os.path.exists(P), 'not built'
print(ctypes.CDLL(str(P)).answer())
""",
    "thread": """\
import threading
def work():
    P = os.path.join(HERE, 'ops', 'libmoved.so')
    if not os.path.exists(P):
        raise OSError('not built: ' + P)
    print(ctypes.CDLL(str(P)).answer())
t = threading.Thread(target=work)
t.start()
t.join()
""",
}  # fmt: skip

#: what has to stay in front of everything else
FIRST = '''\
# -*- coding: utf-8 -*-
"""The words ä."""
from __future__ import division, annotations
'''
FIRST += START + "P: str = " + OPS + """
assert os.path.isfile(P), P
print(repr(__doc__), 7 / 2, __annotations__)
""" + LOAD
SIMPLE = START + "P = " + OPS + """
if not os.path.isfile(P):
    raise OSError('not built: ' + P)
""" + LOAD
