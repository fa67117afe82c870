"""Look-ups in symbol tables against the real dlsym and dlvsym; undefined symbols and versions against dlopen."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import pytest

from dlrepair.binary.classify import dominant, without_abi, without_release
from dlrepair.binary.elf import open_elf
from dlrepair.binary.hashes import gnu_hash, sysv_hash
from dlrepair.binary.scope import fresh_process, resolve
from dlrepair.binary.symbols import unresolved, version_gaps

ASK = r"""
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
dlsym, dlvsym = ctypes.CDLL(None).dlsym, ctypes.CDLL(None).dlvsym
for f in (dlsym, dlvsym):
    f.restype = ctypes.c_void_p
dlsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
dlvsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
for line in sys.stdin:
    name, _, version = line.rstrip("\n").partition("@")
    found = dlvsym(lib._handle, name.encode(), version.encode()) if version else dlsym(lib._handle, name.encode())
    print(int(bool(found)))
"""


def compiler(name):
    found = (
        os.environ.get("CC" if name == "gcc" else "CXX") or shutil.which(name) or shutil.which(name.replace("g", "", 1))
    )
    assert found, "%s is needed" % name
    return found


def build(path, source, *flags):
    """A shared object from C, or from C++ where the name ends in .cc."""
    with open(str(path) + (".cc" if "-x" in flags else ".c"), "w") as file:
        file.write(source)
    tool = compiler("g++" if "-x" in flags else "gcc")
    flags = [flag for flag in flags if flag != "-x"]
    subprocess.run([tool, "-shared", "-fPIC", "-o", str(path), file.name, *flags], check=True)
    return str(path)


def test_hashes():
    """Values from the specifications' own examples."""
    assert (gnu_hash(b""), gnu_hash(b"printf"), gnu_hash(b"exit")) == (0x1505, 0x156B2BB8, 0x7C967E3F)
    assert (sysv_hash(b""), sysv_hash(b"printf"), sysv_hash(b"exit")) == (0, 0x77905A6, 0x6CF04)


def system_library(soname):
    return next(e.path for e in resolve_need(soname) if e.name == soname)


def resolve_need(soname):
    view = fresh_process()
    if view.find(soname):

        class Known:
            name, path = soname, view.find(soname)

        return [Known]
    raise AssertionError(soname)


@pytest.mark.parametrize("soname", ["libc.so.6", "libm.so.6"])
def test_definitions_agree_with_dlsym(soname):
    path = system_library(soname)
    rng = random.Random(1)
    with open_elf(path) as elf:
        versions = list(elf.facts.verdef)
        names = sorted(set(elf.exported()) - set(versions))
        sample = rng.sample(names, min(300, len(names)))
        asked = []
        for name in sample:
            asked += [name, "%s@%s" % (name, rng.choice(versions)), "%s@%s" % (name, versions[0])]
        old = {"libc.so.6": "memcpy", "libm.so.6": "pow"}[soname]
        asked += ["no_such_symbol"] + ["%s@%s" % (old, version) for version in [*versions, "GLIBC_9.9"]]
        done = subprocess.run(
            [sys.executable, "-c", ASK, path], input="\n".join(asked).encode(), stdout=subprocess.PIPE, check=True
        )
        answers = [line == "1" for line in done.stdout.decode().split()]
        assert len(answers) == len(asked)
        wrong = []
        for question, theirs in zip(asked, answers):
            name, _, version = question.partition("@")
            ours = elf.defines(name, version or None)
            if ours != theirs and not (ours and not version):
                wrong.append((question, ours, theirs))
        # without a version dlsym takes defaults only, while a relocation also binds to an old hidden definition
        assert not wrong, wrong[:10]


VERSIONED = "int f(void){return 1;} int g(void){return 2;}"
MAP1 = "V1 { global: f; local: *; };\n"
MAP2 = "V1 { global: f; };\nV2 { global: g; local: *; } V1;\n"


@pytest.mark.parametrize("style", ["gnu", "sysv", "both"])
def test_version_nodes(tmp_path, style):
    (tmp_path / "m").write_text(MAP2)
    path = build(
        tmp_path / "l.so", VERSIONED, "-Wl,--version-script=%s" % (tmp_path / "m"), "-Wl,--hash-style=" + style
    )
    with open_elf(path) as elf:
        assert elf.facts.verdef == ("V1", "V2")
        table = {("f", "V1"): True, ("f", "V2"): False, ("g", "V2"): True, ("g", "V1"): False, ("f", None): True,
                 ("g", None): True, ("h", None): False, ("f", "V9"): False}  # fmt: skip
        for (name, version), expected in table.items():
            assert elf.defines(name, version) is expected, (name, version)
        assert sorted(elf.exported()) == ["V1", "V2", "f", "g"] or sorted(elf.exported()) == ["f", "g"]


def test_object_without_versions_satisfies_all(tmp_path):
    path = build(tmp_path / "l.so", VERSIONED)
    with open_elf(path) as elf:
        assert elf.defines("f", "V1") or elf.symbols.versym_at is not None
        assert elf.defines("f")


def test_hidden_and_local_do_not_count(tmp_path):
    path = build(
        tmp_path / "l.so",
        'int a; static int b = 1; __attribute__((visibility("hidden"))) int c = 2; int *p = &b, *q = &c;'
        '__attribute__((visibility("protected"))) int d = 3; __attribute__((weak)) int e = 4; __thread int t = 5;',
    )
    with open_elf(path) as elf:
        assert [elf.defines(name) for name in "abcdet"] == [True, False, False, True, True, True]


def load(path, *before):
    """What the real loader says in a child: "" or its error."""
    code = (
        "import ctypes, sys\n"
        "for p in sys.argv[1:-1]: ctypes.CDLL(p)\n"
        "try: ctypes.CDLL(sys.argv[-1], 2)\n"
        "except OSError as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *before, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def test_version_gap_is_what_dlopen_reports(tmp_path):
    for number, text in (("new", MAP2), ("old", MAP1)):
        (tmp_path / number).mkdir()
        (tmp_path / "m").write_text(text)
        build(
            tmp_path / number / "libv.so",
            VERSIONED,
            "-Wl,-soname,libv.so",
            "-Wl,--version-script=%s" % (tmp_path / "m"),
        )
    user = build(tmp_path / "user.so", "int g(void); int h(void){return g();}", str(tmp_path / "new" / "libv.so"))
    for number in ("new", "old"):
        provider = str(tmp_path / number / "libv.so")
        said = load(user, provider)
        trace = resolve(user, preloaded=[provider])
        gaps = version_gaps(user, trace.closure)
        if number == "new":
            assert said == "" and gaps == () and unresolved(user, trace.closure) == ()
        else:
            assert "version `V2' not found" in said
            assert gaps == (("libv.so", "V2", provider),)
            assert [one.name for one in unresolved(user, trace.closure)] == ["g"]


def test_weak_and_unreferenced_symbols_are_no_failure(tmp_path):
    path = build(
        tmp_path / "l.so", "extern int w(void) __attribute__((weak)); int f(void){return w ? w() : 0;}", "-Wl,-u,unused"
    )
    assert load(path) == ""
    assert unresolved(path, resolve(path).closure) == ()


def test_first_in_relocation_order(tmp_path):
    path = build(tmp_path / "l.so", "int zeta(void), alpha(void), mid(void); int f(void){return zeta()+alpha()+mid();}")
    said = load(path)
    names = [one.name for one in unresolved(path, resolve(path).closure)]
    assert said.endswith("undefined symbol: " + names[0]) and sorted(names) == ["alpha", "mid", "zeta"]


def test_symbols_of_the_interpreter_count(tmp_path):
    path = build(
        tmp_path / "l.so", "void *PyErr_Occurred(void); int malloc_stats(void); void *f(void){return PyErr_Occurred();}"
    )
    assert load(path) == "" and unresolved(path, resolve(path).closure) == ()


FRAMEWORK = r"""
#include <string>
#include <memory>
namespace release { inline namespace lts_%(date)s {
struct Status { int code; Status(int c); };
Status::Status(int c) : code(c) {}
} }
namespace frame {
struct Kernel { virtual ~Kernel(); std::string name() const; void run(release::Status s); void size(%(size)s n); };
Kernel::~Kernel() {}
std::string Kernel::name() const { return "k"; }
void Kernel::run(release::Status) {}
void Kernel::size(%(size)s) {}
}
"""
OP = r"""
#include <string>
namespace release { inline namespace lts_%(date)s { struct Status { int code; Status(int c); }; } }
namespace frame {
struct Kernel { virtual ~Kernel(); std::string name() const; void run(release::Status s); void size(%(size)s n); };
}
namespace mine { void launch(int); }
struct Op : frame::Kernel { };
extern "C" int use(frame::Kernel *k) { %(body)s return 0; }
extern "C" frame::Kernel *make() { return new Op; }
"""


@pytest.fixture(scope="module")
def framework(tmp_path_factory):
    root = tmp_path_factory.mktemp("framework")
    return build(root / "libtest_framework.so.2", FRAMEWORK % {"date": 20250814, "size": "long"}, "-x",
                 "-Wl,-soname,libtest_framework.so.2")  # fmt: skip


NAME = "(void)k->name();"
CASES = {
    "linked": ({"date": 20250814, "size": "long", "body": NAME}, 1, True, None),
    "not-linked": ({"date": 20250814, "size": "long", "body": NAME}, 1, False, "link"),
    "other-abi": ({"date": 20250814, "size": "long", "body": NAME}, 0, True, "abi"),
    "other-abi-not-linked": ({"date": 20250814, "size": "long", "body": NAME}, 0, False, "abi"),
    "other-release-namespace": (
        {"date": 20230802, "size": "long", "body": "k->run(release::Status(1));"},
        1,
        True,
        "version",
    ),
    "other-signature": ({"date": 20250814, "size": "int", "body": "k->size(1);"}, 1, True, "version"),
    "a-function-of-its-own": ({"date": 20250814, "size": "long", "body": "mine::launch(1);"}, 1, True, "other"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_classes(name, framework, tmp_path):
    words, abi, linked, expected = CASES[name]
    op = build(
        tmp_path / "op.so", OP % words, "-x", "-D_GLIBCXX_USE_CXX11_ABI=%d" % abi, *([framework] if linked else [])
    )
    said = load(op, framework)
    trace = resolve(op, preloaded=[framework])
    found = unresolved(op, trace.closure, also=[framework])
    if expected is None:
        assert said == "" and found == ()
        return
    assert "undefined symbol" in said
    assert said.rsplit(": ", 1)[1].split(" ")[0] == found[0].name
    assert dominant(found) == expected, found
    assert all(one.provider_hint == framework for one in found if one.klass != "other")


def test_words_without_abi_and_release():
    long = "frame::f[abi:cxx11](std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&)"
    assert without_abi(long) == "frame::f(std::string const&)"
    assert (
        without_release("absl::lts_20250814::Status, lts_x::y, absl::lts_2023x::z")
        == "absl::Status, lts_x::y, absl::lts_2023x::z"
    )
    assert without_release("std::__1::string std::__cxx11::list a::__ndk1::b") == "std::string std::__cxx11::list a::b"
