"""read_facts: every kind of thing that can lie at a path, and ELF facts against pyelftools and readelf."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from machines import elf_header, macho, universal, windows

from dlrepair.binary import elf as elf_module
from dlrepair.binary.elf import NATIVE, fits_here, libc_family, open_elf, read_facts
from dlrepair.binary.macho import read_macho

CONTENTS = {
    "empty": (b"", "empty", "empty file"),
    "script": (b"#!/bin/sh\necho hello\n", "text", "text: starts with '#!/bin/sh'"),
    "blank": (b" \n\n", "text", "text: nothing but white space"),
    "html": (b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>", "html", "HTML page"),
    "html-old": (b"<HTML><HEAD><TITLE>404</TITLE></HEAD></HTML>", "html", "HTML page"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 123\n",
        "lfs-pointer",
        "git-lfs pointer (not fetched): size 123",
    ),
    "archive": (b"!<arch>\n" + b"x/".ljust(60), "archive", "static archive"),
    "thin": (b"!<thin>\n" + b"x/".ljust(60), "archive", "thin static archive"),
    "ldscript": (b"/* GNU ld script\n*/\nGROUP ( /lib/libc.so.6 )\n", "linker-script", "GNU ld script"),
    "ldscript-bare": (b"INPUT(-lfoo)\n", "linker-script", "GNU ld script"),
    "zip": (b"PK\x03\x04" + b"\0" * 100, "zip", "zip archive"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 100, "data", "gzip-compressed data"),
    "zeros": (b"\0" * 10000, "data", "nothing but zero bytes"),
    "noise": (bytes(range(256)) * 4, "data", "data: starts with 0001020304050607"),
    "latin1": ("Größe: 1 µm, ça va\n".encode("latin-1") * 4, "data", "data: starts with"),
    "utf8": ("Größe und Öl\n".encode(), "text", "text: starts with"),
    "java": (b"\xca\xfe\xba\xbe\0\0\0\x37" + b"\0" * 100, "data", "Java class file"),
    "macho": (macho(cpu="arm64"), "macho", "Mach-O dynamic library, arm64"),
    "macho-ios": (macho(cpu="arm64", platform=2), "macho", "Mach-O dynamic library, arm64, for iOS"),
    "macho-cut": (macho()[:-2000], "macho", "Mach-O dynamic library, x86_64, cut short"),
    "macho-object": (macho(filetype=1, install_name=""), "macho", "Mach-O object file (not linked), x86_64"),
    "macho-fat": (
        universal([("x86_64", macho()), ("arm64", macho(cpu="arm64"))]),
        "macho",
        "Mach-O universal dynamic library: x86_64, arm64",
    ),
    "dll": (windows(), "pe", "Windows DLL (PE32+), x86-64"),
    "dll32": (windows(0x14C, wide=False), "pe", "Windows DLL (PE32), i386"),
    "exe-arm": (windows(0xAA64, dll=False), "pe", "Windows program (PE32+), arm64"),
    "dos": (b"MZ" + b"\0" * 200, "pe", "MS-DOS program"),
    "aarch64": (elf_header(), "elf", "ELF 64-bit aarch64 shared object"),
    "armhf": (elf_header(32, True, 40), "elf", "ELF 32-bit arm shared object"),
    "i386": (elf_header(32, True, 3), "elf", "ELF 32-bit i386 shared object"),
    "ppc64": (elf_header(64, False, 21), "elf", "ELF 64-bit big-endian ppc64 shared object"),
    "s390x": (elf_header(64, False, 22), "elf", "ELF 64-bit s390 shared object"),
    "object": (elf_header(etype=1), "elf", "ELF 64-bit aarch64 object file (not linked)"),
    "core": (elf_header(etype=4), "elf", "ELF 64-bit aarch64 core dump"),
    "odd-machine": (elf_header(machine=9999), "elf", "ELF 64-bit machine 9999 shared object"),
    "elf-cut-19": (elf_header()[:19], "data", "damaged ELF file: the ELF header is cut short after 19 bytes"),
    "elf-cut-50": (elf_header()[:50], "elf", "ELF 64-bit aarch64 shared object, cut short"),
    "elf-class": (b"\x7fELF\x07" + b"\0" * 100, "data", "damaged ELF file: the ELF header names no known class (7)"),
}


@pytest.mark.parametrize("name", sorted(CONTENTS))
def test_kind_and_sentence(name, tmp_path):
    data, kind, detail = CONTENTS[name]
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    facts = read_facts(str(path))
    assert (facts.kind, facts.size) == (kind, len(data))
    assert facts.detail.startswith(detail), facts.detail
    assert facts.realpath == os.path.realpath(str(path)) and facts.owner == os.getuid()


def test_things_that_are_no_files(tmp_path):
    base = str(tmp_path)
    os.mkfifo(base + "/fifo")
    os.symlink("nowhere", base + "/dangling")
    os.symlink("loop", base + "/loop")
    os.symlink(".", base + "/here")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(base)
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        expected = {
            "fifo": "fifo", "dangling": "dangling-link", "loop": "link-loop", "here": "directory", "socket": "socket",
            "none": "missing", "fifo/x": "missing", "x" * 300: "missing",
        }  # fmt: skip
        for name, kind in expected.items():
            assert read_facts(os.path.join(base, name)).kind == kind, name
    assert read_facts("/dev/null").kind == "device"
    assert "nowhere" in read_facts(base + "/dangling").detail


def test_unreadable_file(tmp_path):
    """As another user: root may read everything."""
    path = tmp_path / "secret.so"
    path.write_bytes(b"\x7fELF" + b"\0" * 100)
    path.chmod(0)
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.stat().st_uid == os.getuid() and os.getuid() == 0 and str(directory).startswith("/tmp/pytest"):
            directory.chmod(0o755)
    code = (
        "import os, sys; sys.path.insert(0, %r)\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "from dlrepair.binary.elf import read_facts\n"
        "print(read_facts(%r).kind)" % (os.getcwd(), str(path))
    )
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run([readable_python(), "-c", code], stdout=subprocess.PIPE, env=environment, cwd="/")
    assert done.stdout.decode().strip() == "unreadable"


def readable_python():
    """An interpreter that an unprivileged user can start."""
    for path in ("/usr/bin/python3", sys.executable):
        if os.path.exists(path) and (os.getuid() != 0 or open_to_all(os.path.realpath(path))):
            return path
    raise AssertionError("an interpreter is needed that others may start")


def open_to_all(path):
    """Whether everybody may start the file: it and each directory above it has the mode's last x."""
    while path != os.path.dirname(path):
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def test_signature_decides_when_facts_are_read_again(tmp_path):
    path = tmp_path / "lib.so"
    path.write_bytes(b"one")
    first = read_facts(str(path))
    assert read_facts(str(path)) is first
    path.write_bytes(elf_header())
    assert read_facts(str(path)).kind == "elf"


def starts_like_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def real_libraries():
    """Shared objects of this interpreter and a few of the system."""
    roots = [os.path.join(sysconfig.get_path("stdlib"), "lib-dynload"), "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    found = []
    for root in roots:
        names = sorted(os.listdir(root)) if os.path.isdir(root) else []
        paths = [os.path.join(root, name) for name in names if ".so" in name]
        paths = [path for path in paths if os.path.isfile(path) and starts_like_elf(path)]
        found += paths[:: max(1, len(paths) // 40)]
    assert len(found) > 30
    return found


def oracle(path):
    """The same facts by pyelftools."""
    with open(path, "rb") as file:
        elf = ELFFile(file)
        dynamic = next(seg for seg in elf.iter_segments() if isinstance(seg, DynamicSegment))
        tags = list(dynamic.iter_tags())
        loads = [seg for seg in elf.iter_segments() if seg["p_type"] == "PT_LOAD"]
        said = {
            "bits": elf.elfclass, "little": elf.little_endian,
            "needed": tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
            "soname": next((tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"), None),
            "rpath": next((tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"), None),
            "runpath": next((tag.runpath for tag in tags if tag.entry.d_tag == "DT_RUNPATH"), None),
            "flags_1": next((tag.entry.d_val for tag in tags if tag.entry.d_tag == "DT_FLAGS_1"), 0),
            "load_end": max(seg["p_offset"] + seg["p_filesz"] for seg in loads),
            "verneed": (), "verdef": (), "build_id": None,
        }  # fmt: skip
        for section in elf.iter_sections():
            if section.name == ".gnu.version_r":
                said["verneed"] = tuple(
                    (need.name, aux.name, bool(aux["vna_flags"] & 2))
                    for need, auxiliary in section.iter_versions() for aux in auxiliary
                )  # fmt: skip
            elif section.name == ".gnu.version_d":
                said["verdef"] = tuple(
                    next(iter(auxiliary)).name for definition, auxiliary in section.iter_versions()
                    if not definition["vd_flags"] & 1
                )  # fmt: skip
            elif section.name == ".note.gnu.build-id":
                said["build_id"] = next(iter(section.iter_notes()))["n_desc"]
        symbols = elf.get_section_by_name(".dynsym")
        rows = list(symbols.iter_symbols())
        undefined = {s.name for s in rows if s["st_shndx"] == "SHN_UNDEF" and s.name}
        defined = {
            s.name for s in rows
            if s["st_shndx"] != "SHN_UNDEF" and s.name
            and s["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK", "STB_LOOS")
            and s["st_other"]["visibility"] in ("STV_DEFAULT", "STV_PROTECTED")
            # ld.so takes a value of 0 for no definition, but for an offset in thread-local storage (dl-lookup.c)
            and (s["st_value"] or s["st_shndx"] == "SHN_ABS" or s["st_info"]["type"] == "STT_TLS")
            and s["st_info"]["type"] in ("STT_NOTYPE", "STT_OBJECT", "STT_FUNC", "STT_LOOS", "STT_TLS")
        }  # fmt: skip
        return said, undefined, defined


def test_agrees_with_pyelftools():
    for path in real_libraries():
        said, undefined, defined = oracle(path)
        facts = read_facts(path)
        assert facts.kind == "elf" and facts.elf.error is None and not facts.elf.truncated, (path, facts)
        for key, value in said.items():
            assert getattr(facts.elf, key) == value, (path, key)
        with open_elf(path) as elf:
            assert {row[0] for row in elf.undefined()} == undefined, path
            exported = set(elf.exported())
            assert exported - defined == set(), path
            missing = defined - exported
            assert not missing, (path, sorted(missing)[:5])


def test_truncation_is_what_kills(tmp_path):
    """``truncated`` exactly from the size on at which a whole page of a PT_LOAD is gone."""
    source = real_libraries()[0]
    with open(source, "rb") as file:
        data = file.read()
        loads = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
    page = os.sysconf("SC_PAGE_SIZE")
    first_gone = max((seg["p_offset"] + seg["p_filesz"] - 1) // page * page for seg in loads)
    path = str(tmp_path / "cut.so")
    for size, cut in ((first_gone + 1, False), (first_gone, True), (first_gone - 1, True), (first_gone // 2, True)):
        with open(path, "wb") as file:
            file.write(data[:size])
        elf_module._cache.clear()
        facts = read_facts(path)
        assert facts.elf.truncated is cut, size
        if cut:
            assert "cut short" in fits_here(facts.elf)


def test_fits_here():
    bits, little, machine = NATIVE
    assert fits_here(read_facts(os.path.realpath(real_libraries()[0])).elf) is None
    assert (bits, little) == (64 if sys.maxsize > 2**32 else 32, sys.byteorder == "little")
    assert "executable" in fits_here(read_facts(os.path.realpath(sys.executable)).elf)


@pytest.mark.parametrize(
    "header, words",
    [
        (elf_header(32, True, 3), "32-bit i386"),
        (elf_header(64, True, 247), "64-bit bpf"),
        (elf_header(*NATIVE, etype=1), "object file"),
        (elf_header(*NATIVE, etype=4), "core dump"),
        (elf_header(*NATIVE, osabi=9), "OS ABI is 9"),
        (elf_header(*NATIVE), "no dynamic section"),
        (elf_header(*NATIVE, etype=2), "executable"),
        (elf_header(NATIVE[0], not NATIVE[1], NATIVE[2]), "byte order"),
    ],
)
def test_why_it_does_not_fit(header, words, tmp_path):
    path = tmp_path / "x.so"
    path.write_bytes(header)
    assert words in fits_here(read_facts(str(path)).elf)


def test_libc_families(tmp_path):
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    source = tmp_path / "a.c"
    source.write_text("int x;")

    def linked(need):
        stub, out = tmp_path / "stub.so", tmp_path / "out.so"
        for command in (
            ["-shared", "-nostdlib", "-o", str(stub), str(source), "-Wl,-soname," + need],
            ["-shared", "-nostdlib", "-o", str(out), str(source), "-Wl,--no-as-needed", str(stub)],
        ):
            subprocess.run([compiler, "-fPIC", *command], check=True)
        elf_module._cache.clear()
        return libc_family(read_facts(str(out)).elf)

    assert [linked(name) for name in ("libc.so.6", "libc.musl-x86_64.so.1", "libc.so", "libz.so.1")] == [
        "gnu", "musl", "musl", "",
    ]  # fmt: skip


def test_mach_o_facts(tmp_path):
    path = tmp_path / "lib.dylib"
    path.write_bytes(
        universal(
            [
                (
                    "x86_64",
                    macho(needed=["/usr/lib/libSystem.B.dylib", "@rpath/liba.dylib"], rpaths=["@loader_path/.."]),
                ),
                (
                    "arm64",
                    macho(cpu="arm64", weak=["@rpath/libb.dylib"], signed=False, install_name="@rpath/libx.dylib"),
                ),
            ]
        )
    )
    intel, arm = read_macho(str(path))
    assert (intel.cpu, arm.cpu) == ("x86_64", "arm64")
    assert intel.needed == ["/usr/lib/libSystem.B.dylib", "@rpath/liba.dylib"]
    assert intel.rpaths == ["@loader_path/.."] and intel.signed and not arm.signed
    assert arm.weak == arm.needed == ["@rpath/libb.dylib"] and arm.install_name == "@rpath/libx.dylib"
    assert (arm.platform, arm.minimum, arm.uuid) == ("macOS", "11.0", bytes(range(16)).hex())
    assert not intel.cut and intel.error is None


def test_strings_of_a_library(tmp_path):
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    source = tmp_path / "a.c"
    source.write_text('const char *a = "ZeroOut"; const char *b = "MyRoiPooling"; char c[] = "Writable";')
    out = str(tmp_path / "a.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", out, str(source)], check=True)
    with open_elf(out) as elf:
        names = {"ZeroOut", "MyRoiPooling", "RoiPooling", "ZeroOu", "Writable", "Nothing", ""}
        assert elf.strings_contain(names) == {"ZeroOut", "MyRoiPooling", "RoiPooling"}
