"""A file lies where the program looks, but it is broken; a good copy lies in a build directory."""

from __future__ import annotations

import os
import subprocess

import pytest
from lab import HUNG, Lab, World, check_repaired
from parts import ROI, cut_inside_a_page, other_machine, roi, script, set_byte, spoil

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 18234\n"
)
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"
MACHO_ARM64 = b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x06\x00\x00\x00" + bytes(4096)
PE = b"MZ" + bytes(58) + b"\x40\x00\x00\x00" + b"PE\x00\x00\x64\x86" + bytes(512)


def in_place_of_the_file(make):  # type: ignore[no-untyped-def]
    """Moves the good file to build/ and calls ``make(path)`` to put something else there."""

    def apply(world: World) -> None:
        world.move("libroi.so", "build/libroi.so")
        make(world.path("libroi.so"))

    return apply


def object_file(path: str) -> None:
    subprocess.run(["gcc", "-c", "-fPIC", "-x", "c", "-", "-o", path], input=ROI.encode(), check=True)


def lab(name: str, break_, bare: str, cause: str) -> Lab:  # type: ignore[no-untyped-def]
    return Lab(name, script("libroi.so"), roi(), break_, bare, cause=cause, strategy="substitute")


LABS = [
    lab("truncated", spoil(lambda data: data[: len(data) // 2]), "SIGBUS", "truncated"),
    lab("truncated-inside-a-page", spoil(cut_inside_a_page), "SIGBUS", "truncated"),
    lab("cut-in-the-header", spoil(lambda data: data[:100]), "cannot read file data", "truncated"),
    lab("empty", spoil(lambda data: b""), "file too short", "truncated"),
    lab("text", spoil(lambda data: b"placeholder for the compiled library, see the build notes for details\n"),
        "invalid ELF header", "not-a-library"),
    lab("lfs-pointer", spoil(lambda data: LFS_POINTER), "invalid ELF header", "not-a-library"),
    lab("html", spoil(lambda data: HTML), "invalid ELF header", "not-a-library"),
    lab("object-file", in_place_of_the_file(object_file), "only ET_DYN and ET_EXEC can be loaded", "not-a-library"),
    lab("other-machine", spoil(other_machine), "cannot open shared object file: No such file", "wrong-arch"),
    lab("32-bit", spoil(set_byte(4, 1)), "wrong ELF class: ELFCLASS32", "wrong-arch"),
    lab("mach-o", spoil(lambda data: MACHO_ARM64), "invalid ELF header", "wrong-os"),
    lab("windows-dll", spoil(lambda data: PE), "invalid ELF header", "wrong-os"),
    lab("fifo", in_place_of_the_file(os.mkfifo), HUNG, "not-a-library"),
    lab("directory", in_place_of_the_file(os.mkdir), "cannot read file data: Is a directory", "not-a-library"),
    lab("link-loop", in_place_of_the_file(lambda path: os.symlink("libroi.so", path)),
        "Too many levels of symbolic links", "file-missing"),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LABS, ids=repr)
def test_broken_file(lab: Lab, world: World, bare: str, hooked: str) -> None:
    check_repaired(lab, world, bare, hooked)
