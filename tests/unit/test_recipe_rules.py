"""Rules that the readers share: names, patterns, order, where paths are, what environment variables say."""

from __future__ import annotations

import fnmatch
import os
import random

import pytest

from dlrepair.build.recipes import find_recipes, names
from dlrepair.build.recipes.patterns import fits
from dlrepair.build.recipes.text import Command, show, unknown, without_unknown
from dlrepair.model.build import Recipe


def project(root: object, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = os.path.join(str(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as handle:
            handle.write(text)
    return str(root)


def found(root: object, wanted: str, files: dict[str, str], **more: object) -> list[Recipe]:
    top = project(root, files)
    return find_recipes(os.path.join(top, wanted), [], root=top, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "wanted", "rule"),
    [
        ("a/roi.so", "b/roi.so", "exact"),
        ("libroi.so", "roi.so", "prefix"),
        ("roi.so", "libroi.so", "prefix"),
        ("kernels.so", "kernels.cpython-37m-x86_64-linux-gnu.so", "python-suffix"),
        ("roi.so", "roi.dylib", "python-suffix"),
        ("roi_pooling_op.so", "roi_pooling.so", "variant"),
        ("tf_sampling_so.so", "libtf_sampling.so", "variant"),
        ("upfirdn.so", "upfirdn_0123456789abcdef0123456789abcdef.so", "hash"),
        ("tf_grouping_cpu.so", "tf_grouping_so.so", "twin"),
        ("secure_random_tf_1.13.1.so", "secure_random_tf_1.15.0.so", ""),
        ("roi_align.so", "roi_pooling.so", ""),
        ("ops.so", "op.so", ""),
        ("lib.so", "tf_op.so", ""),
    ],
)
def test_names(output: str, wanted: str, rule: str) -> None:
    assert names.fit(output, wanted) == rule


def test_patterns_agree_with_the_standard_library() -> None:
    chance = random.Random(3)
    for _ in range(4000):
        pattern = "".join(chance.choice("ab*?[]!-.") for _ in range(chance.randrange(7)))
        text = "".join(chance.choice("ab-.]") for _ in range(chance.randrange(7)))
        if "[]" in pattern or "[!]" in pattern or ("-" in pattern and "[" in pattern):
            continue  # the standard library's own versions differ here
        assert fits(text, pattern) == fnmatch.fnmatchcase(text, pattern), (text, pattern)


def test_marks_cannot_be_written_by_a_recipe() -> None:
    word = "-I" + unknown("$(echo 'a b')/x") + "/include"
    assert show(word) == "-I$(echo 'a b')/x/include"
    assert without_unknown(word) == "-I/include"
    assert not set(word) & set("$()' ")


GPU_OR_CPU = """if [ -d {} ]; then
  nvcc -c k.cu -o k.o -DGOOGLE_CUDA=1
  g++ -shared op.cc k.o -o op.so -DGOOGLE_CUDA=1
else
  g++ -shared op.cc -o op.so -DCPU_ONLY
fi
"""


@pytest.mark.parametrize("there", [True, False])
def test_both_branches_the_one_that_is_taken_first(there: bool, tmp_path: object) -> None:
    script = GPU_OR_CPU.format("cuda" if there else "/usr/local/cuda-8.0")
    files = {"b.sh": script, "op.cc": "", "k.cu": "", "cuda/x.h": ""}
    recipes = found(tmp_path, "op.so", files)
    assert [(one.cuda, one.taken) for one in recipes[:2]] == [(there, True), (not there, False)]
    without = found(tmp_path, "op.so", files, cuda=False)[0]
    assert (without.cuda, without.defines) == (False, ("CPU_ONLY",))


def test_a_recipe_whose_sources_are_missing_comes_last(tmp_path: object) -> None:
    files = {"one.sh": "g++ -shared gone.cc -o op.so\n", "sub/op.cc": ""}
    files["sub/two.sh"] = "g++ -shared op.cc -o libop.so\n"
    recipes = found(tmp_path, "op.so", files)
    assert [(one.output, len(one.missing)) for one in recipes if one.kind == "shell"] == [("libop.so", 0), ("op.so", 1)]


def test_the_nearest_of_equal_ones(tmp_path: object) -> None:
    script = "g++ -shared op.cc -o op.so\n"
    files = {place + "/m.sh": script for place in ("a", "b", "b/c")}
    files.update((place + "/op.cc", "") for place in ("a", "b", "b/c"))
    recipes = found(tmp_path, "b/op.so", files)
    assert [os.path.relpath(one.file, str(tmp_path)) for one in recipes[:3]] == ["b/m.sh", "b/c/m.sh", "a/m.sh"]


def test_paths_of_the_authors_machine_are_found_by_their_end(tmp_path: object) -> None:
    root = os.path.join(str(tmp_path), "myproject")
    script = (
        "g++ -shared /home/author/work/myproject/src/op.cc -I/home/author/work/myproject/include -I/opt/other/include"
        " -o /home/author/work/myproject/lib/op.so\n"
    )
    recipe = found(root, "lib/op.so", {"scripts/b.sh": script, "src/op.cc": "", "include/a.h": ""})[0]
    assert recipe.sources == (os.path.join(root, "src/op.cc"),)
    assert recipe.include_dirs == (os.path.join(root, "include"),)
    assert ("-I/opt/other/include", "does not exist here") in recipe.dropped


def test_a_script_that_is_started_from_the_top(tmp_path: object) -> None:
    files = {"scripts/b.sh": "g++ -shared native/op.cc -Inative -o native/op.so\n", "native/op.cc": ""}
    recipe = found(tmp_path, "native/op.so", files)[0]
    paths = recipe.sources + recipe.include_dirs
    assert [os.path.relpath(one, str(tmp_path)) for one in paths] == ["native/op.cc", "native"]


def test_environment_decides_where_the_recipe_asks_it(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"op.cc": "", "dep/include/a.h": ""}
    files["b.sh"] = "g++ -shared op.cc -I$MY_ROOT/include ${FLAGS:--DNONE} -o op.so\n"
    recipe = found(tmp_path, "op.so", files)[0]
    assert (recipe.include_dirs, recipe.defines) == ((), ("NONE",))
    assert ("-I$MY_ROOT/include", "its value is not known") in recipe.dropped
    monkeypatch.setenv("MY_ROOT", os.path.join(str(tmp_path), "dep"))
    monkeypatch.setenv("FLAGS", "-DSET")
    recipe = found(tmp_path, "op.so", files)[0]
    assert (recipe.include_dirs, recipe.defines) == ((os.path.join(str(tmp_path), "dep/include"),), ("SET",))


def test_libraries_that_exist_and_that_do_not(tmp_path: object) -> None:
    files = {
        "b.sh": "g++ -shared op.cc third/libown.a -Lthird -lfoo -lnowhere -lm "
        "-l:libtensorflow_framework.so.2 -lpython2.7 -o op.so\n",
        "op.cc": "", "third/libown.a": "", "third/libfoo.so": "",
    }  # fmt: skip
    recipe = found(tmp_path, "op.so", files)[0]
    third = os.path.join(str(tmp_path), "third")
    assert recipe.libraries == (os.path.join(third, "libown.a"), "foo", "m")
    assert recipe.library_dirs == (third,)
    assert [why for word, why in recipe.dropped if word == "-lnowhere"] == ["no such library here"]


def test_nothing_is_run(tmp_path: object) -> None:
    trap = os.path.join(str(tmp_path), "trap")
    files = {
        "b.sh": "touch TRAP\n$(touch TRAP)\n`touch TRAP`\neval touch TRAP\n"
        "[ -z $(touch TRAP) ] && touch TRAP\ng++ -shared op.cc -o op.so\n",
        "Makefile": "X := $(shell touch TRAP)\nY!=touch TRAP\nop.so: op.cc\n\ttouch TRAP; g++ -shared $< $(X) -o $@\n",
        "setup.py": "import os\nos.system('touch TRAP')\nopen('TRAP', 'w')\n__import__('os').system('touch TRAP')\n"
        "from setuptools import Extension\nExtension('op', ['op.cc'])\n",
        "CMakeLists.txt": "execute_process(COMMAND touch TRAP)\nfile(WRITE TRAP x)\nadd_library(op SHARED op.cc)\n",
        "BUILD": "open('TRAP', 'w')\ncc_binary(name = 'op.so', linkshared = 1, srcs = ['op.cc'])\n",
    }
    files = {name: text.replace("TRAP", trap) for name, text in files.items()}
    files["op.cc"] = ""
    recipes = found(tmp_path, "op.so", files)
    assert {one.kind for one in recipes} >= {"shell"}
    assert not os.path.exists(trap)


def test_commands_are_data() -> None:
    command = Command(("g++",), "/", "f", 1, "shell")
    with pytest.raises(AttributeError):
        command.words = ()  # type: ignore[misc]


def test_no_file_is_read_after_the_deadline(tmp_path: object) -> None:
    from dlrepair.build.recipes import find
    from dlrepair.build.recipes.text import Budget

    path = os.path.join(str(tmp_path), "make.sh")
    with open(path, "w") as stream:
        stream.write("g++ -shared roi.cc -o libroi.so\n")
    assert find._ordered([("shell", path)], "libroi.so", Budget(None)) == [("shell", path)]
    assert find._ordered([("shell", path)], "libroi.so", Budget(0.0)) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("set(CUDA_NVCC_FLAGS ${CUDA_NVCC_FLAGS} -gencode arch=compute_60,code=sm_60 --use_fast_math)",
         ("code=sm_60", "--use_fast_math")),
        ('set(CMAKE_CUDA_FLAGS "-arch=sm_75 -maxrregcount=32")', ("code=sm_75", "code=compute_75", "-maxrregcount=32")),
        ("set(CMAKE_CUDA_ARCHITECTURES 70;80-real)", ("code=sm_70", "code=sm_80")),
        ("", ()),
    ],
)  # fmt: skip
def test_what_cmake_tells_nvcc(text: str, wanted: tuple[str, ...], tmp_path: object) -> None:
    lines = ["find_package(CUDA)", text, "cuda_add_library(op SHARED op.cc op_g.cu)"]
    files = {"CMakeLists.txt": "\n".join(lines), "op.cc": "", "op_g.cu": ""}
    assert found(tmp_path, "libop.so", files)[0].nvcc_flags == wanted
