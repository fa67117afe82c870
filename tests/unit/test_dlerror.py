"""Messages of every loader, as loaders print and people paste them, in names of our own (messages.jsonl)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest

from dlrepair.diagnose import dlerror, mangled, paste
from dlrepair.model.causes import CAUSES

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def samples():
    with open(os.path.join(ROOT, "tests", "data", "messages.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: ascii(sample["message"][-40:]))
def test_message(sample):
    symptom = dlerror.parse(sample["message"], sample["loader"])
    assert symptom.kind == sample["symptom"]
    assert symptom.failing_object == sample["failing_object"]
    assert symptom.missing == sample["missing"]
    assert set(symptom.causes) <= set(CAUSES)
    if sample["cause"]:
        assert sample["cause"] in symptom.causes[:3]


MESSAGE = (
    "/data/op.so: undefined symbol: _ZN10tensorflow14kernel_factory17OpKernelRegistrar12InitInternalEPKNS_9KernelDefE"
)


def check_message(text):
    symptom = dlerror.parse(text)
    assert symptom.kind == "undefined-symbol"
    assert symptom.failing_object == "/data/op.so"
    assert symptom.missing == MESSAGE.rsplit(" ", 1)[-1]


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "> ",
        ">> ",
        "E   ",
        "E       ",
        "| ",
        "  ",
        "[1,0]<stderr>:",
        "(pid=77) ",
        "worker-1  | ",
        "OSError: ",
        "> E   OSError: ",
    ],
)
def test_prefixes_of_mail_pytest_and_launchers(prefix):
    check_message(prefix + MESSAGE)


@pytest.mark.parametrize("width", list(range(50, 112, 3)))
def test_a_symbol_that_a_terminal_broke(width):
    text = "NotFoundError: " + MESSAGE
    check_message("\n".join(text[at : at + width] for at in range(0, len(text), width)))


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\\n  ", "'", '"', "')", "`", "']", ".", "\nTraceback (most recent call last):"]
)
def test_what_follows_does_not_stick_to_the_symbol(end):
    check_message("NotFoundError: " + MESSAGE + end)


@pytest.mark.parametrize(
    ("opening", "closing"), [("'", "'"), ('"', '"'), ("`", "`"), ("(", ")"), ("['", "']"), ("b'", "'"), ("**", "**")]
)
def test_quotes_and_brackets_around_a_message(opening, closing):
    check_message("failed: " + opening + MESSAGE + closing)


def test_the_exception_counts_more_than_a_warning_of_the_log():
    text = (
        "W tensorflow/dso_loader.cc:64] Could not load dynamic library 'libnvinfer.so.7'; dlerror: libnvinfer.so.7: "
        "cannot open shared object file: No such file or directory\nTraceback (most recent call last):\n"
        "ImportError: /x/liba.so: undefined symbol: foo"
    )
    symptom = dlerror.parse(text)
    assert (symptom.kind, symptom.failing_object, symptom.missing) == ("undefined-symbol", "/x/liba.so", "foo")


def test_the_library_asked_for_stands_before_the_loaders_words():
    words = "libdep.so.1: cannot open shared object file: No such file or directory"
    assert dlerror.parse("/tmp/libjni.so: " + words).failing_object == "/tmp/libjni.so"
    assert dlerror.parse("tensorflow.errors.NotFoundError: " + words).failing_object == "libdep.so.1"
    assert dlerror.parse("./train: error while loading shared libraries: " + words).failing_object == "./train"


def test_a_library_that_was_opened_is_no_failure():
    text = "I tensorflow/dso_loader.cc:44] Successfully opened dynamic library libcuda.so.1"
    assert dlerror.parse(text).kind == "unknown"


def test_the_short_way_imports_no_other_loader():
    code = (
        "import sys\nsys.path.insert(0, sys.argv[1])\nfrom dlrepair.diagnose import dlerror\n"
        "s = dlerror.parse('libx.so.1: cannot open shared object file: No such file or directory', 'ctypes')\n"
        "assert s.missing == 'libx.so.1', s\n"
        "s = dlerror.parse('/x/liby.so: undefined symbol: answer', 'ctypes')\n"
        "assert s.missing == 'answer', s\n"
        "for name in ('paste', 'dyld', 'windows', 'musl', 'tensorflow', 'wrappers', 'locales'):\n"
        "    assert 'dlrepair.diagnose.' + name not in sys.modules, name\n"
        "source = open(sys.modules['dlrepair.diagnose.glibc'].__file__).read()\n"
        "assert 'import re' not in source\n"
    )
    subprocess.run([sys.executable, "-c", code, ROOT], check=True, timeout=60)


def test_the_real_loaders_words(tmp_path):
    """What ld.so of this machine says, word for word, is understood the short way."""
    (tmp_path / "text.so").write_text("no library" * 20)
    (tmp_path / "short.so").write_text("x")
    code = (
        "import ctypes, sys\nfor name in sys.argv[1:]:\n    try:\n        ctypes.CDLL(name)\n"
        "    except OSError as error:\n        print(error)\n"
    )
    names = [str(tmp_path / "text.so"), str(tmp_path / "short.so"), str(tmp_path), "libnowhere.so.7"]
    words = subprocess.check_output([sys.executable, "-c", code] + names).decode().splitlines()
    found = [dlerror.parse(line, "ctypes") for line in words]
    assert [one.kind for one in found] == ["bad-header", "too-short", "cannot-read", "not-found"]
    assert [one.failing_object for one in found] == names
    assert all(one.platform == "glibc" for one in found)


UNITS = (
    "a", "a.", "('", "dlopen(", "'", "version ", "\n", " ", "undefined symbol: _Z", "_Z9", "x.so", "tried: '",
    "import ",
    "Error relocating ", "not defined in file ", "'a' (", "\u00e9", ".dll ",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_texts_end_soon(unit):
    began = time.process_time()
    symptom = dlerror.parse(unit * (150000 // len(unit)))
    assert time.process_time() - began < 10
    assert set(symptom.causes) <= set(CAUSES)


def test_random_mixtures_never_raise():
    pieces = [sample["message"] for sample in samples()] + ["\0", "\udcff", "\n", "'", '"', "(", ")", ": ", "dlopen("]
    generator = random.Random(7)
    for _ in range(300):
        text = "".join(
            generator.choice(pieces)[: generator.randrange(1, 200)] for _ in range(generator.randrange(1, 8))
        )
        symptom = dlerror.parse(text)
        assert symptom.causes
        assert set(symptom.causes) <= set(CAUSES)


def test_no_more_than_the_limit_is_read():
    text = "x" * (3 * paste.LIMIT) + "\nOSError: libx.so: file too short"
    assert len(paste.clean(text)) <= paste.LIMIT + 1
    assert dlerror.parse(text).kind == "too-short"


@pytest.mark.parametrize(
    ("symbol", "family"),
    [
        ("_ZTIN10tensorflow8OpKernelE", "tensorflow"),
        ("_ZN10tensorflow12OpDefBuilderC1EN4absl11string_viewE", "tensorflow-release"),
        ("_ZNSt6thread15_M_start_threadESt10shared_ptr", "libstdc++"),
        ("__ZNKSt3__115basic_stringbufIcE3strEv", "libc++"),
        ("PyUnicodeUCS2_Format", "python"), ("_PyBytes_AsString", "python"), ("Py_InitModule4_64", "python"),
        ("_ZN2at19UndefinedTensorImpl10_singletonE", "framework"), ("_ZN4absl12lts_20230125foo", "absl"),
        ("__memcpy_chk", "glibc-fortify"), ("_ZN2cv6String8allocateEm", "c++"), ("cblas_sgemm", "c"),
    ],
)  # fmt: skip
def test_family_of_a_symbol(symbol, family):
    assert mangled.family(symbol) == family


def test_a_cut_symbol_is_told_by_its_length_prefix():
    assert mangled.is_cut("_ZN10tensorfl")
    assert not mangled.is_cut("_ZN10tensorflow8OpKernelE")
    assert not mangled.is_cut("cblas_sgemm")


def test_abi_of_a_symbol():
    assert mangled.is_old_abi("_ZN10tensorflow12OpDefBuilder4AttrESs")
    assert mangled.is_new_abi("_ZN10tensorflow12OpDefBuilder4AttrENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE")
    assert not mangled.is_old_abi("_ZTIN10tensorflow8OpKernelE")
    assert not mangled.is_new_abi("_ZTIN10tensorflow8OpKernelE")
