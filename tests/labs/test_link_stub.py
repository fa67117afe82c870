"""An op that is linked with the stub of the framework library is the one that is linked with the library itself."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from dlrepair import store
from dlrepair.build import stub, toolchain
from dlrepair.model.toolchain import TensorFlow, Toolchain
from dlrepair.store import builds

pytestmark = pytest.mark.compile

NAME = "libtensorflow_framework.so.2"
FRAMEWORK = """\
struct Kernel { virtual ~Kernel(); virtual int run(); };
Kernel::~Kernel() {}
int Kernel::run() { return 40; }
int table[4] = {1, 1, 2, 3};
thread_local int depth = 2;
int registered() { return table[2]; }
"""
OP = """\
struct Kernel { virtual ~Kernel(); virtual int run(); };
struct Own : Kernel { int run() override; };
extern int table[4];
extern thread_local int depth;
int registered();
__attribute__((weak)) int perhaps();
template <class T> struct Counter { static T value; };
template <class T> T Counter<T>::value = 0;
int Own::run() { return Kernel::run() + depth + (perhaps ? perhaps() : 0); }
int (*taken)() = registered;
extern "C" int answer() { Own own; Counter<int>::value = 1; return own.run() + table[1] + taken() - registered() - 1; }
"""


def compile_at(directory: str, name: str, text: str, *words: str) -> str:
    source, output = os.path.join(directory, name + ".cc"), os.path.join(directory, name)
    with open(source, "w") as stream:
        stream.write(text)
    subprocess.run(["g++", "-O2", "-fPIC", source, "-o", output, *words], check=True)
    return output


def made_of(path: str) -> dict[str, Any]:
    """What ld.so reads of a library, but for the types of undefined symbols, which it does not."""
    with open(path, "rb") as stream:
        elf = ELFFile(stream)
        needed = symbols = relocations = None
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                needed = [(tag.entry.d_tag, getattr(tag, "needed", "")) for tag in section.iter_tags()]
            if isinstance(section, SymbolTableSection) and section.name == ".dynsym":
                held = list(section.iter_symbols())
                names = [one.name for one in held]
                symbols = sorted(
                    (one.name, one.entry.st_info.bind, one.entry.st_shndx == "SHN_UNDEF"
                     or (one.entry.st_info.type, one.entry.st_size))
                    for one in held
                )  # fmt: skip
        relocations = sorted(
            (one.entry.r_info_type, names[one.entry.r_info_sym])
            for section in elf.iter_sections() if isinstance(section, RelocationSection)
            for one in section.iter_relocations()
        )  # fmt: skip
    return {"dynamic": needed, "symbols": symbols, "relocations": relocations}


@pytest.fixture
def place(tmp_path: Any) -> Any:
    before = store.location()
    store.use(str(tmp_path / "store"))
    yield str(tmp_path)
    store.use(before)


def tools(framework: str) -> Toolchain:
    directory = os.path.dirname(framework)
    flags = ("-L" + directory, "-l:" + os.path.basename(framework))
    return Toolchain(toolchain.find_compiler(), TensorFlow("2.0.0", "", directory, framework, (), flags, "c++17"))


def linked(place: str, framework: str, object: str, name: str, quick: bool) -> str:
    chain = tools(framework)
    assert chain.tensorflow is not None
    output = os.path.join(place, name)
    argv = [*chain.compiler.argv, "-shared", "-fPIC", "-o", output, object, *chain.tensorflow.link_flags]
    if quick:
        directory = builds.new_directory()
        assert directory is not None
        plain, argv = argv, stub.with_stub(argv, chain, directory)
        store.remove(directory)
        assert argv != plain
    subprocess.run(argv, check=True)
    return output


def test_nothing_that_the_loader_reads_differs(place: str) -> None:
    framework = compile_at(place, NAME, FRAMEWORK, "-shared", "-Wl,-soname," + NAME)
    op = compile_at(place, "op.o", OP, "-c")
    plain, quick = (linked(place, framework, op, name, name == "quick.so") for name in ("plain.so", "quick.so"))
    one, other = made_of(plain), made_of(quick)
    assert NAME in [name for _, name in one["dynamic"]]
    assert one == other
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(ctypes.CDLL(sys.argv[2]).answer())"
    for path in (plain, quick):
        said = subprocess.run(["python3", "-c", code, framework, path], stdout=subprocess.PIPE, check=True)
        assert said.stdout.strip() == b"42", path


def test_it_is_made_once(place: str) -> None:
    framework = compile_at(place, NAME, FRAMEWORK, "-shared", "-Wl,-soname," + NAME)
    op = compile_at(place, "op.o", OP, "-c")
    for name in ("one.so", "two.so"):
        linked(place, framework, op, name, True)
    assert len(os.listdir(os.path.join(place, "store", "builds"))) == 1


VERSIONED = "TF_2 { global: *; };\n"


@pytest.mark.parametrize("kind", ("versioned", "other-soname", "no-library", "twice"))
def test_the_library_itself_is_named_where_it_counts(kind: str, place: str) -> None:
    words = ["-shared", "-Wl,-soname," + ("libother.so" if kind == "other-soname" else NAME)]
    if kind == "versioned":
        script = os.path.join(place, "versions")
        with open(script, "w") as stream:
            stream.write(VERSIONED)
        words.append("-Wl,--version-script=" + script)
    framework = os.path.join(place, NAME)
    if kind != "no-library":
        compile_at(place, NAME, FRAMEWORK, *words)
    argv = ["g++", "-shared", "op.o", "-l:" + NAME] + (["-l:" + NAME] if kind == "twice" else [])
    assert stub.with_stub(argv, tools(framework), place) == argv
