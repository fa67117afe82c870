"""What a library tells about its build, on libraries that the real compiler makes."""

from __future__ import annotations

import subprocess

import pytest

from dlrepair.binary.debuginfo import build_origin


def built(directory, *flags):
    (directory / "src").mkdir(exist_ok=True)
    (directory / "src" / "one.c").write_text("int one(void){return 1;}\n")
    command = ["gcc", "-shared", "-fPIC", "-o", "one.so", "src/one.c", *flags]
    subprocess.run(command, check=True, cwd=str(directory))
    return str(directory / "one.so")


@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_sources_directory_and_compiler(dwarf, tmp_path):
    origin = build_origin(built(tmp_path, dwarf, "-O2"))
    assert origin.sources == [str(tmp_path / "src" / "one.c")]
    assert origin.directories == [str(tmp_path)]
    assert any(words.startswith("GCC: ") for words in origin.compilers)
    assert any(words.startswith("GNU C") and "-O2" in words for words in origin.compilers)


def test_stripped_library_tells_the_compiler_only(tmp_path):
    origin = build_origin(built(tmp_path, "-s"))
    assert origin.sources == origin.directories == []
    assert [words for words in origin.compilers if words.startswith("GCC: ")]


def test_damaged_debug_data_is_no_error(tmp_path):
    path = built(tmp_path, "-g")
    with open(path, "rb") as file:
        data = file.read()
    for step in range(0, len(data), 997):
        with open(path, "wb") as file:
            file.write(data[:step] + b"\xff" * 64 + data[step + 64 :])
        build_origin(path)
    for size in (0, 10, 64, len(data) // 2):
        with open(path, "wb") as file:
            file.write(data[:size])
        assert build_origin(path).sources == []
