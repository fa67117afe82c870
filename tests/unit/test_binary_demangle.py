"""The demangler against c++filt, and on names that mean harm."""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from dlrepair.binary.demangle import MAX_LENGTH, demangle, take_apart
from dlrepair.binary.elf import open_elf
from dlrepair.binary.symbols import demangle as by_symbols

KNOWN = {
    "_ZTIN10tensorflow8OpKernelE": "typeinfo for tensorflow::OpKernel",
    "_ZNK10tensorflow8OpKernel11TraceStringB5cxx11ERKNS_15OpKernelContextEb":
        "tensorflow::OpKernel::TraceString[abi:cxx11](tensorflow::OpKernelContext const&, bool) const",
    "_ZN3tsl8internal15LogMessageFatalC1EPKci": "tsl::internal::LogMessageFatal::LogMessageFatal(char const*, int)",
    "_ZN4absl12lts_202508146StatusD1Ev": "absl::lts_20250814::Status::~Status()",
    "_ZN10tensorflow12OpDefBuilder10SetShapeFnESt8functionIFNS_6StatusEPNS_15shape_inference16InferenceContextEEE":
        "tensorflow::OpDefBuilder::SetShapeFn(std::function<tensorflow::Status "
        "(tensorflow::shape_inference::InferenceContext*)>)",
    "_ZNSt6vectorIiSaIiEE9push_backERKi": "std::vector<int, std::allocator<int> >::push_back(int const&)",
    "_ZNSaIcEC1Ev": "std::allocator<char>::allocator()",
    "_ZN1AcvbEv": "A::operator bool()",
    "_ZN12_GLOBAL__N_11fEv": "(anonymous namespace)::f()",
    "printf": "printf",
    "_Z": "_Z",
    "_ZN": "_ZN",
    "_Z999999999f": "_Z999999999f",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_known(name):
    assert demangle(name) == by_symbols(name) == KNOWN[name]


def filtered(names):
    done = subprocess.run(
        ["c++filt", "--no-verbose"], input="\n".join(names).encode(), stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode().split("\n")[: len(names)]


def libstdcxx():
    said = subprocess.run(["g++", "-print-file-name=libstdc++.so.6"], stdout=subprocess.PIPE, check=True)
    return said.stdout.decode().strip()


def test_agrees_with_cxxfilt():
    with open_elf(libstdcxx()) as elf:
        names = sorted({name for name in elf.exported() if name.startswith("_Z")})
    random.Random(2).shuffle(names)
    names = names[:3000]
    theirs = filtered(names)
    ours = [demangle(name) for name in names]
    different = [(n, a, b) for n, a, b in zip(names, ours, theirs) if a not in (b, n)]
    unknown = [n for n, a, b in zip(names, ours, theirs) if a == n and b != n]
    assert len(different) <= len(names) // 200, different[:5]
    assert len(unknown) <= len(names) // 100, unknown[:5]


def test_hostile_names_end():
    rng = random.Random(4)
    start = time.monotonic()
    for name in (
        "_Z" + "N" * 50000, "_Z1f" + "P" * 50000 + "i", "_Z1fI" + "S_" * 5000 + "E", "_Z1f" + "SaIS_E" * 3000,
        "_ZN1fI" + "NS_I" * 5000, "_Z1fIJ" + "T_" * 3000 + "EE", "_Z" + "Z" * 3000, "_Z1fDpT_", "_Z1fIJEEvDpT_",
        "_Z1xI" + "L" * 3000, "_Z1fF" * 2000, "_Z1f" + "A1_" * 3000 + "i", "_Z" + "x" * (MAX_LENGTH + 10),
        "_Z1fI1aEv" + "PFvT_E" * 200, "_Z1f" + "".join("S%d_" % i for i in range(3000)),
    ):  # fmt: skip
        assert isinstance(demangle(name), str)
    doubled = "_Z1f1aI" + "".join("1aIS%s_S%s_E" % (("", "") if not i else (i - 1, i - 1)) for i in range(30))
    demangle(doubled)
    seeds = list(KNOWN)
    for _ in range(4000):
        name = bytearray(rng.choice(seeds).encode())
        for _ in range(rng.randrange(1, 4)):
            name[rng.randrange(len(name))] = rng.choice(b"_ZNSTIEKPRO0123456789abcdefLXDpJCFAM")
        words = "_Z" + bytes(name[2:]).decode()
        demangle(words)
        take_apart(words)
    assert time.monotonic() - start < 20
