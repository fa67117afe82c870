"""Messages as people paste them: colours, entities, wrappers of other languages. What is in them must come out."""

from __future__ import annotations

import pytest

from dlrepair.diagnose import dlerror
from dlrepair.model.causes import CAUSES

MISSING = "cannot open shared object file: No such file or directory"
#: (text, kind, failing object, missing thing, a cause that must be among the first three)
MESSAGES = {
    "colours": (
        "\x1b[31mImportError\x1b[0m: \x1b[1mlibGL.so.1: %s\x1b[0m" % MISSING,
        "not-found", "libGL.so.1", "libGL.so.1", "dependency-missing",
    ),
    "colours without their escape": (
        "[31mImportError[0m: [1mlibGL.so.1: %s[0m" % MISSING,
        "not-found", "libGL.so.1", "libGL.so.1", "dependency-missing",
    ),
    "colours written out": (
        "\\x1b[31mImportError: /a/b.so: undefined symbol: foo\\x1b[0m", "undefined-symbol", "/a/b.so", "foo", None,
    ),
    "entities": (
        "OSError: /lib64/libc.so.6: version &#x60;GLIBC_2.34&#x27; not found (required by /app/libfoo.so)",
        "version-not-found", "/app/libfoo.so", "GLIBC_2.34", "libc-too-old",
    ),
    "decimal entities": (
        "OSError: /lib/libc.so.6: version &#96;GLIBC_2.34&#39; not found (required by /app/libfoo.so)",
        "version-not-found", "/app/libfoo.so", "GLIBC_2.34", "libc-too-old",
    ),
    "a language without a catalogue here": (
        "libfoo.so.3: не удалось открыть разделяемый объектный файл: Нет такого файла или каталога",
        "not-found", "libfoo.so.3", "libfoo.so.3", None,
    ),
    "torch": (
        "OSError: Could not load this library: /usr/lib/python3/waveform/lib/libwaveform.so",
        "not-found", "/usr/lib/python3/waveform/lib/libwaveform.so", "libwaveform.so", "dependency-missing",
    ),
    "java": (
        "java.lang.UnsatisfiedLinkError: no frame_java310 in java.library.path: [/usr/java/packages/lib, /usr/lib64]",
        "not-found", "frame_java310", "frame_java310", "file-missing",
    ),
    "jna": (
        "java.lang.UnsatisfiedLinkError: Unable to load library 'glyphread':\nlibglyphread.so: %s" % MISSING,
        "not-found", "libglyphread.so", "libglyphread.so", None,
    ),
    "dotnet": (
        "System.DllNotFoundException: Unable to load shared library 'libPlotKit' or one of its dependencies. In order"
        " to help diagnose loading problems, consider setting the LD_DEBUG environment variable: liblibPlotKit: "
        + MISSING,
        "not-found", "libPlotKit", "libPlotKit", "dependency-missing",
    ),
    "rust": (
        "called `Result::unwrap()` on an `Err` value: DlOpen { desc: \"libfoo.so: %s\" }" % MISSING,
        "not-found", "libfoo.so", "libfoo.so", None,
    ),
    "compose": (
        "web_1  | ImportError: /usr/lib/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by /opt/a/_x.so)",
        "version-not-found", "/opt/a/_x.so", "GLIBCXX_3.4.29", "libstdcxx-too-old",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_pasted_message(name):
    text, kind, failing, missing, cause = MESSAGES[name]
    symptom = dlerror.parse(text)
    assert (symptom.kind, symptom.failing_object, symptom.missing) == (kind, failing, missing)
    assert symptom.causes and all(one in CAUSES for one in symptom.causes)
    assert cause is None or cause in symptom.causes[:3], symptom.causes


def test_brackets_that_are_no_colours_stay():
    symptom = dlerror.parse("OSError: /data/[12]/libx.so: undefined symbol: f")
    assert symptom.missing == "f" and symptom.failing_object.endswith("libx.so")
