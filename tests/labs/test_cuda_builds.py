"""Builds with CUDA parts where no CUDA is: a stand-in that takes nvcc's words and has g++ do the work.

What it cannot show, what nvcc makes of TensorFlow's headers, ``make test-cuda`` does with real ones.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from buildkit import Project, answer_of
from parts import DEAD

pytestmark = [pytest.mark.compile, pytest.mark.skipif(sys.platform != "linux", reason="shared libraries of Linux")]

#: words of nvcc's that g++ has not are taken, others that are not nvcc's are refused in its own words
NVCC = """#!{python}
import os, subprocess, sys
words, out = sys.argv[1:], []
release, broken = "{release}", {broken!r}
if "--version" in words:
    print("Cuda compilation tools, release %s, V%s.1\\nBuild cuda_%s.r%s/compiler.1" % ((release,) * 4))
    sys.exit()
if "--list-gpu-code" in words:
    print("sm_75\\nsm_90")
    sys.exit()
if broken:
    sys.exit("/usr/include/c++/12/bits/random.h(104): error: " + broken)
host = "g++"
while words:
    word = words.pop(0)
    if word == "-ccbin":
        host = words.pop(0)
    elif word == "-Xcompiler":
        out += words.pop(0).split(",")
    elif word in ("-gencode",):
        words.pop(0)
    elif word == "-x":
        words.pop(0)
        out += ["-x", "c++"]
    elif word in ("-MF", "-o", "-include"):
        out += [word, words.pop(0)]
    elif word.startswith(("-I", "-D", "-U", "-O", "-std=")) or word in ("-c", "-w", "-MD") or not word.startswith("-"):
        out.append(word)
    elif word not in ("--expt-relaxed-constexpr", "-allow-unsupported-compiler"):
        sys.exit("nvcc fatal   : Unknown option '%s'" % word)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls"), "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
sys.exit(subprocess.call([host, *out]))
"""
HOST = """extern "C" int kernel_answer(); extern "C" int other();
extern "C" int answer() {
#if GOOGLE_CUDA
  return kernel_answer() + 1;
#else
  return 42;
#endif
}
"""
KERNEL = """#include "shape.h"
extern "C" int cudaRuntimeGetVersion(int*);
extern "C" int kernel_answer() { int v; cudaRuntimeGetVersion(&v); return v + SHAPE; }
"""


def toolkit(home: str, release: str = "12.4", broken: str = "", cudart: bool = True) -> str:
    """A directory in a toolkit's layout, its run-time library under the versioned name alone, as packages have it."""
    for name in ("bin", "include", "lib"):
        os.makedirs(os.path.join(home, name), mode=0o755)
    with open(os.path.join(home, "include", "cuda_runtime.h"), "w"):
        pass
    path = os.path.join(home, "bin", "nvcc")
    with open(path, "w") as stream:
        stream.write(NVCC.format(python=sys.executable, release=release, broken=broken))
    os.chmod(path, 0o755)
    if cudart:
        name = "libcudart.so.{}".format(release.split(".")[0])
        source = 'extern "C" int cudaRuntimeGetVersion(int* v) { *v = %d; return 0; }' % int(float(release) * 10)
        subprocess.run(["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", os.path.join(home, "lib", name),
                        "-Wl,-soname," + name], input=source.encode(), check=True)  # fmt: skip
    return home


def calls(home: str) -> list[str]:
    try:
        with open(os.path.join(home, "bin", "calls")) as stream:
            return stream.read().splitlines()
    except OSError:
        return []


@pytest.fixture
def project(tmp_path: object) -> Project:
    one = Project(os.path.join(str(tmp_path), "one"))
    one.write("plain.cc", HOST)
    one.write("kernel.cu", KERNEL)
    one.write("shape.h", "#define SHAPE 1000\n")
    return one


def test_both_parts(project: Project, tmp_path: object) -> None:
    """Compiled by either compiler, linked with the toolkit's own run time, which is found without any variable."""
    home = toolkit(os.path.join(str(tmp_path), "cuda-12.4"))
    project.env["CUDA_HOME"] = home
    built = project.build("plain.cc", "kernel.cu")
    assert built.ok and built.result["notes"] == [], built.result
    assert answer_of(built.result["path"]) == 124 + 1000 + 1
    assert len(calls(home)) == 1 and "-ccbin" in calls(home)[0]
    again = project.build("plain.cc", "kernel.cu")
    assert again.result["hit"] and len(calls(home)) == 1, again.result
    project.write("shape.h", "#define SHAPE 2000\n")  # a header of the CUDA part alone
    third = project.build("plain.cc", "kernel.cu")
    assert answer_of(third.result["path"]) == 124 + 2000 + 1 and len(calls(home)) == 2, third.result


def test_several_parts(project: Project, tmp_path: object) -> None:
    home = toolkit(os.path.join(str(tmp_path), "cuda-12.4"))
    project.env["CUDA_HOME"] = home
    project.write("other.cu", 'extern "C" int other() { return 5; }\n')
    project.write("plain.cc", HOST.replace("+ 1;", "+ other();"))
    built = project.build("plain.cc", "kernel.cu", "other.cu")
    assert answer_of(built.result["path"]) == 124 + 1000 + 5 and len(calls(home)) == 2, built.result
    project.write("other.cu", 'extern "C" int other() { return 6; }\n')
    built = project.build("plain.cc", "kernel.cu", "other.cu")
    assert answer_of(built.result["path"]) == 124 + 1000 + 6 and len(calls(home)) == 3, built.result


def test_an_nvcc_that_fails_is_not_the_last_word(project: Project, tmp_path: object) -> None:
    """The next one compiles; the journal and the result say why the first did not."""
    bad = toolkit(os.path.join(str(tmp_path), "cuda-11.8"), "11.8", broken="expected a declaration")
    good = toolkit(os.path.join(str(tmp_path), "cuda-12.4"))
    project.env.update(CUDA_HOME=bad, CUDA_PATH=good)
    built = project.build("plain.cc", "kernel.cu")
    assert answer_of(built.result["path"]) == 124 + 1000 + 1, built.result
    why = "nvcc 11.8: /usr/include/c++/12/bits/random.h(104): error: expected a declaration"
    assert built.result["notes"] == [why]
    assert [event["reason"] for event in built.events if event["event"] == "repair-failed"] == [why]


@pytest.mark.parametrize("what", ["nvcc", "cudart"])
def test_cpu_kernels_where_none_compiles(what: str, project: Project, tmp_path: object) -> None:
    """With what was wrong in the note; a second build does not try again what failed."""
    home = os.path.join(str(tmp_path), "cuda-12.4")
    toolkit(home, broken="no" if what == "nvcc" else "", cudart=what != "cudart")
    project.env.update(CUDA_HOME=home, ONLY_NAMED_TOOLKITS="1")
    watched = project.build("plain.cc", "kernel.cu")  # who edits kernels is shown the error
    assert not watched.ok and not any("CPU" in note for note in watched.result["notes"]), watched.result
    project.env["CPU_WILL_DO"] = "1"
    built = project.build("plain.cc", "kernel.cu")
    assert built.ok and answer_of(built.result["path"]) == 42, built.result
    (note,) = built.result["notes"]
    assert note.startswith("CPU kernels only: nvcc 12.4: "), note
    assert ("random.h(104): error: no" if what == "nvcc" else "cannot find -lcudart") in note
    before = calls(home)
    assert project.build("plain.cc", "kernel.cu").result["notes"] == [note]
    assert calls(home) == before


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no /dev/fuse: no file system can be dead")
@pytest.mark.parametrize("other", [True, False])
def test_a_toolkit_on_a_server_that_does_not_answer(other: bool, project: Project, tmp_path: object) -> None:
    """Nothing is asked of it: another toolkit compiles, or the CPU part alone is built and says why."""
    server = os.path.join(str(tmp_path), "server")
    os.makedirs(server)
    dead = [sys.executable, "-c", DEAD, server]
    project.around = ["unshare", "-m" if os.geteuid() == 0 else "-rm", *dead]
    project.env.update(CUDA_HOME=os.path.join(server, "cuda-12.4"), ONLY_NAMED_TOOLKITS="1", CPU_WILL_DO="1")
    home = toolkit(os.path.join(str(tmp_path), "cuda-11.8"), release="11.8")
    if other:
        project.env["CUDA_PATH"] = home
    else:
        project.write("plain.cc", 'extern "C" int answer() { return 7; }\n')
    built = project.build("plain.cc", "kernel.cu")
    assert built.ok, built.result
    assert "{}/cuda-12.4/bin/nvcc lies on a server that does not answer".format(server) in built.result["notes"][0]
    if other:
        assert answer_of(built.result["path"]) == 118 + 1000 + 1 and len(calls(home)) == 1, built.result
    else:
        assert built.result["notes"][0].startswith("CPU kernels only: ") and answer_of(built.result["path"]) == 7
