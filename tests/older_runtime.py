"""A real older libstdc++.so.6: Debian's kit of the objects that an earlier GCC made its shared library of.

``libstdc++-N-pic`` holds them position-independent, with the version script; linked as they are, with two functions
that the kit leaves out (``REST``), they are the library that GCC N had. apt checks the package against the
distribution's signed lists. Kept below ``.cache/`` of the checkout.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(ROOT, ".cache", "older-runtime")

#: istream::ignore(n) of compatibility.cc: to the next character that is none (-1 is the end of the file)
REST = """\
void *_ZNSi6ignoreEli(void *, long, int);
void *_ZNSi6ignoreEl(void *stream, long count) { return _ZNSi6ignoreEli(stream, count, -1); }
void *_ZNSt13basic_istreamIwSt11char_traitsIwEE6ignoreElj(void *, long, unsigned);
void *_ZNSt13basic_istreamIwSt11char_traitsIwEE6ignoreEl(void *stream, long count) {
    return _ZNSt13basic_istreamIwSt11char_traitsIwEE6ignoreElj(stream, count, -1);
}
"""


def versions(path: str) -> list[tuple[int, ...]]:
    """The GLIBCXX versions that a libstdc++ defines, in order."""
    with open(path, "rb") as file:
        found = set(re.findall(rb"\0GLIBCXX_([0-9.]+)(?=\0)", file.read()))
    return sorted(tuple(int(part) for part in one.split(b".")) for one in found)


def newest_function(path: str, older: str) -> str:
    """A function that ``path`` defines with a version that ``older`` does not have."""
    newer = {"GLIBCXX_" + ".".join(map(str, one)) for one in versions(path) if one not in versions(older)}
    done = subprocess.run(["nm", "-D", "--defined-only", path], stdout=subprocess.PIPE, check=True, text=True)
    for line in done.stdout.splitlines():
        _, kind, name = line.split()[:3]
        symbol, _, version = name.partition("@@")
        if kind in "TW" and version in newer:
            return symbol
    raise AssertionError("{} has nothing that {} lacks".format(path, older))


#: third number of the newest GLIBCXX_3.4.N -> the GCC that has it first (libstdc++ manual, ABI Policy and Guidelines)
RELEASES = {29: 11, 30: 12, 31: 13, 32: 13, 33: 14, 34: 15}


class Unavailable(Exception):
    """No older library is to be had on this machine: what was tried."""


def find(newer: str) -> str:
    """Path of a real libstdc++.so.6 older than ``newer``. Raises Unavailable."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable("apt-get and dpkg-deb are needed to get an older libstdc++")
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = os.path.join(CACHE, "libstdc++.so.6")
        if not os.path.exists(target):
            _make(target, RELEASES.get(versions(newer)[-1][2], 16))
        assert versions(target)[-1] < versions(newer)[-1], (versions(target)[-1], versions(newer)[-1])
        return target


def _make(target: str, major: int) -> None:
    said = ""
    for update in (False, True):
        if update:  # a fresh machine has no lists
            subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        for number in range(major - 1, 8, -1):
            done = subprocess.run(
                ["apt-get", "download", "-qq", "libstdc++-{}-pic".format(number)], cwd=CACHE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            said += done.stdout
            if done.returncode == 0:
                return _link(target, number)
    raise Unavailable("no libstdc++-N-pic older than GCC {} is to be had:\n{}".format(major, said))


def _link(target: str, number: int) -> None:
    (package,) = glob.glob(os.path.join(CACHE, "libstdc++-{}-pic_*.deb".format(number)))
    subprocess.run(["dpkg-deb", "-x", package, os.path.join(CACHE, "kit")], check=True)
    (archive,) = glob.glob(os.path.join(CACHE, "kit", "usr", "lib", "gcc", "*", str(number), "libstdc++_pic.a"))
    script = "-Wl,--version-script=" + archive[:-2] + ".map"
    command = ["gcc", "-shared", "-fPIC", "-o", target + ".new", "-x", "c", "-", "-x", "none", "-Wl,--whole-archive"]
    command += [archive, "-Wl,--no-whole-archive", script, "-Wl,-soname,libstdc++.so.6", "-Wl,-z,defs", "-lm"]
    subprocess.run(command, input=REST, text=True, check=True)
    os.rename(target + ".new", target)
