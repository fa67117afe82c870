"""Edits of copies: what pyelftools and ld.so find in them; the file that is edited is only read."""

from __future__ import annotations

import glob
import os
import subprocess
import sys

import pytest

from dlrepair.binary import edit, elf
from dlrepair.binary.elf import ElfError
from dlrepair.store import objects

pytestmark = pytest.mark.compile

SOURCE = "int base(void); int answer(void) { return 42; }\n"
ALL = edit.Edit("a/rather/./long/name.so.17", "/one:/two", ("libm.so.6", "libdl.so.2"), (), True)


def compiled(directory, *flags, source=SOURCE, name="libx.so"):
    path = os.path.join(str(directory), name)
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", path, *flags]
    subprocess.run(command, input=source.encode(), check=True, stderr=subprocess.DEVNULL)
    return path


def edited(path, change, name="copy.so"):
    with elf.open_elf(path) as library:
        changes = edit.patches(library.image, change)
    copy = objects.add(path, name, changes)
    assert copy is not None
    return copy


def dynamic(path):
    """(needed, soname, runpath or rpath) as pyelftools reads them from the dynamic segment."""
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as stream:
        segment = next(one for one in ELFFile(stream).iter_segments() if one["p_type"] == "PT_DYNAMIC")
        tags = list(segment.iter_tags())
    needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
    sonames = [tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"]
    paths = [getattr(tag, "runpath", getattr(tag, "rpath", None)) for tag in tags
             if tag.entry.d_tag in ("DT_RUNPATH", "DT_RPATH")]  # fmt: skip
    return needed, sonames, paths


def loads(path):
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).answer())"
    done = subprocess.run([sys.executable, "-c", code, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode().strip()


@pytest.mark.parametrize("flags", [
    (), ("-Wl,-soname,short",), ("-Wl,-rpath,$ORIGIN/x", "-Wl,--disable-new-dtags"), ("-Wl,-z,execstack",),
    ("-Wl,-rpath,/a", "-Wl,--enable-new-dtags", "-g"), ("-Wl,-z,spare-dynamic-tags=0",),
    ("-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,separate-code"), ("-nostdlib",), ("-Wl,-z,max-page-size=0x200000",),
], ids=" ".join)  # fmt: skip
def test_every_edit_at_once(flags, tmp_path, home):
    path = compiled(tmp_path, *flags)
    with open(path, "rb") as stream:
        before = stream.read()
    was = elf.read_facts(path).elf
    copy = edited(path, ALL)
    with open(path, "rb") as stream:
        assert stream.read() == before
    needed, sonames, paths = dynamic(copy)
    assert sonames == [ALL.soname] and paths == [ALL.runpath]
    assert needed == ["libdl.so.2", "libm.so.6", *was.needed]
    found = elf.read_facts(copy).elf
    assert (found.soname, found.runpath or found.rpath, found.execstack) == (ALL.soname, ALL.runpath, False)
    assert loads(copy) == loads(path) == "42"


def test_an_edit_of_an_edit(tmp_path, home):
    path = compiled(tmp_path)
    was = elf.read_facts(path).elf
    first = edited(path, ALL)
    second = edited(first, edit.Edit("other.so", drop_needed=("libdl.so.2",)))
    assert dynamic(second)[:2] == (["libm.so.6", *was.needed], ["other.so"])
    assert loads(second) == "42"


def test_a_need_with_versions_is_not_dropped(tmp_path, home):
    path = compiled(tmp_path, source="#include <stdio.h>\nint answer(void) { return puts(\"\") ? 42 : 0; }\n")
    with pytest.raises(ElfError, match="versions"):
        edited(path, edit.Edit(drop_needed=("libc.so.6",)))
    with pytest.raises(ElfError, match="does not need"):
        edited(path, edit.Edit(drop_needed=("libz.so.1",)))


def test_one_flag_is_one_byte(tmp_path, home):
    path = compiled(tmp_path, "-Wl,-z,execstack")
    copy = edited(path, edit.Edit(clear_execstack=True))
    with open(path, "rb") as one, open(copy, "rb") as two:
        pairs = [(a, b) for a, b in zip(one.read(), two.read()) if a != b]
    assert pairs == [(7, 6)] and os.path.getsize(path) == os.path.getsize(copy)


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-Os"])
def test_trampolines_are_seen(level, tmp_path):
    nested = "int (*keep)(int (*)(int)); int f(int a) { int g(int b) { return a + b; } return keep(g); }\n"
    for source, expected in ((nested, True), (SOURCE, False)):
        with elf.open_elf(compiled(tmp_path, level, source=source)) as library:
            assert edit.has_trampolines(library.image) is expected


def test_options_say_everything():
    change = edit.Edit("a", "b", ("c", "d"), ("e",), True)
    again = edit.Edit.of(change.options())
    assert [getattr(again, name) for name in edit.Edit.__slots__] == [getattr(change, n) for n in edit.Edit.__slots__]
    assert not edit.Edit() and edit.Edit(runpath="")


def test_libraries_of_this_interpreter_survive(home):
    """Real ones, by other linkers too: each copy is read by pyelftools as it was meant."""
    import sysconfig

    folder = os.path.join(sysconfig.get_paths()["stdlib"], "lib-dynload")
    places = sorted(glob.glob(os.path.join(folder, "*.so")))[:6]
    assert places, folder
    for path in places:
        assert dynamic(edited(path, edit.Edit("x.so", "/r")))[1:] == (["x.so"], ["/r"]), path


# --- where they are kept --------------------------------------------------------------------------------------------


def test_objects_are_private_named_by_contents_and_verified(tmp_path, home):
    path = compiled(tmp_path)
    copy = objects.add(path, "libx.so")
    assert copy == objects.add(path, "libx.so") and objects.verify(copy)
    with open(copy, "rb") as one, open(path, "rb") as two:
        assert one.read() == two.read()
    assert os.stat(copy).st_mode & 0o777 == 0o600
    assert objects.add(path, "libx.so", [(8, b"x")]) != copy
    with open(copy, "r+b") as stream:
        stream.write(b"\x7fELF!")
    assert not objects.verify(copy)
    assert objects.verify(objects.add(path, "libx.so") or "")
    assert not objects.verify(path) and objects.add(path, "../x.so") is None and objects.add(path, "") is None


def test_objects_stay_in_bounds(tmp_path, home, monkeypatch):
    path = compiled(tmp_path)
    monkeypatch.setattr(objects, "MAX_BYTES", int(os.path.getsize(path) * 2.5))
    made = [objects.add(path, "libx.so", [(8, bytes([number]))]) for number in range(4)]
    for number, one in enumerate(made[:3]):
        assert one is not None
        if os.path.exists(one):
            os.utime(one, (number, number))
    last = objects.add(path, "libx.so", [(8, b"z")])
    assert last is not None and os.path.exists(last)
    from dlrepair import store

    assert sum(entry[3] for entry in store.entries()) <= objects.MAX_BYTES
