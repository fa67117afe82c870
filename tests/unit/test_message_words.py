"""What ``dlrepair explain --message`` says in plain words, and the command that it names for each system."""

from __future__ import annotations

import shlex

import pytest

from dlrepair.diagnose import dlerror
from dlrepair.model.causes import CAUSES
from dlrepair.render import message

#: (message, the system that wrote it, the command)
STEPS = [
    (
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        "linux",
        "dlrepair search libGL.so.1",
    ),
    ("ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", "linux", "nvidia-smi"),
    (
        "/lib64/libc.so.6: version `GLIBC_2.34' not found (required by /opt/x/liba.so)",
        "linux",
        "ldd --version",
    ),
    (
        "OSError: /tmp/a b/libx.so: failed to map segment from shared object: Operation not permitted",
        "linux",
        "findmnt --target '/tmp/a b'",
    ),
    (
        "ImportError: /x/y/_z.so: undefined symbol: _ZTIN10tensorflow8OpKernelE",
        "linux",
        "dlrepair explain undefined-symbol-link",
    ),
    ("RuntimeError: module compiled against ABI version 0x1000009 but this version of numpy is 0x2000000", "linux",
     'python -m pip install "numpy<2"'),
    ("RuntimeError: module compiled against API version 0xd but this version of numpy is 0xb", "linux",
     "python -m pip install --upgrade numpy"),
    ("Error loading shared library libstdc++.so.6: No such file or directory (needed by /opt/a)", "musl",
     "apk add so:libstdc++.so.6"),
    ("ImportError: DLL load failed while importing _core: The specified module could not be found.", "windows",
     "winget install Microsoft.VCRedist.2015+.x64"),
    ("OSError: [WinError 193] %1 is not a valid Win32 application: 'C:\\\\x\\\\a.dll'", "windows",
     'python -c "import platform; print(platform.architecture(), platform.machine())"'),
    ("dyld[1]: Library not loaded: /opt/homebrew/opt/libomp/lib/libomp.dylib\n  Referenced from: /x/lib_y.so\n"
     "  Reason: tried: '/opt/homebrew/opt/libomp/lib/libomp.dylib' (no such file)", "macos", "brew reinstall libomp"),
    ("OSError: dlopen(/x/libz.dylib, 6): tried: '/x/libz.dylib' (mach-o file, but is an incompatible architecture "
     "(have 'x86_64', need 'arm64'))", "macos", "file /x/libz.dylib"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "system", "step"), STEPS, ids=lambda value: ascii(value)[:40])
def test_the_command_is_one_of_the_system_that_wrote_the_message(text, system, step):
    symptom = dlerror.parse(text)
    assert (message.family(symptom), message.next_step(symptom, False)) == (system, step)


def test_a_file_of_this_machine_is_looked_at():
    symptom = dlerror.parse("OSError: /x/a b.so: invalid ELF header")
    assert message.next_step(symptom, True) == "dlrepair check '/x/a b.so'"


@pytest.mark.parametrize("kind", ["not-found", "undefined-symbol", "version-not-found", "wrong-class", "initializer"])
def test_every_sentence_has_words_whatever_is_missing(kind):
    from dlrepair.model.diagnosis import Symptom

    for failing in (None, "/x/liba.so"):
        for missing in (None, "libb.so.1"):
            said = message.sentence(Symptom(kind, failing, missing, ("unknown",)))
            assert said and "{" not in said and "None" not in said


def test_no_command_carries_words_of_the_message_unquoted():
    for cause in CAUSES:
        for platform in ("glibc", "musl", "dyld", "windows", "elsewhere", ""):
            from dlrepair.model.diagnosis import Symptom

            nasty = "/usr/local/opt/x;rm -rf $HOME/lib`id`.so"
            step = message.next_step(Symptom("not-found", nasty, nasty, (cause,), platform), False)
            assert not [word for word in shlex.split(step) if word in ("rm", "-rf")], step


def test_a_symbol_is_shown_as_its_source_has_it():
    symptom = dlerror.parse("/x/a.so: undefined symbol: _ZTIN10tensorflow8OpKernelE")
    assert message.sentence(symptom, "typeinfo for tensorflow::OpKernel") == (
        "/x/a.so needs _ZTIN10tensorflow8OpKernelE (typeinfo for tensorflow::OpKernel), "
        "which no library that it can see defines"
    )
