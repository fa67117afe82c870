"""Recipes that nobody sane wrote: bounded time, no exception, nothing run, nothing written."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace

import pytest
from recipe_cases import CASES

from dlrepair.build.recipes import find_recipes

#: Seconds that no file may take; on a quiet machine the slowest takes about one.
PATIENCE = 20.0

CHAIN = "".join("{}=${{{}}}${{{}}}\n".format(chr(98 + at), chr(97 + at), chr(97 + at)) for at in range(20))
BOMBS = {
    "long.sh": "g++ -shared x.cc -o x.so " + "-DA=1 " * 150_000,
    "many.sh": "g++ -shared x.cc -o x.so\n" * 40_000,
    "chain.sh": "a=aaaaaaaaaaaaaaaa\n" + CHAIN + "g++ -shared x.cc -o x.so -D$u\n",
    "nested.sh": "if true; then " * 5000 + "g++ -shared x.cc -o x.so" + "; fi" * 5000,
    "parens.sh": "g++ " + "$(" * 20_000 + ")" * 20_000,
    "quotes.sh": "g++ -shared x.cc -o x.so \"" * 5001,
    "braces.sh": "g++ -o x.so " + "{a,b,c,d}" * 200,
    "loop.sh": "for a in 1 2 3 4 5 6 7 8 9 10; do " * 12 + "g++ -shared x.cc -o x.so; " + "done; " * 12,
    "self.sh": "f() { f; f; }\nf\n. ./self.sh\nsh self.sh\neval 'eval \"g++ -shared x.cc -o x.so\"'\n. ./other.sh\n",
    "other.sh": ". ./self.sh\n. ./other.sh\ng++ -shared x.cc -o x.so\n",
    "stars.sh": "g++ -shared " + "/*" * 12 + " " + "*/" * 12 + " -o x.so\n",
    "pattern.sh": "a=" + "a" * 4000 + "\nb=${a%%*a*a*a*a*a*b}\n[[ $a =~ (a+)+$ ]] && g++ -shared x.cc -o x.so\n",
    "heredoc.sh": "cat <<A <<B <<C\ng++ -shared x.cc -o x.so\n" * 2000,
    "control.sh": "g++ \x01\x02\ue000\ue003 -shared x.cc -o x.so $'\\x00' \ud83d" + "\x7f" * 100,
    "recursive.mk": "A = $(B)\nB = $(A)\nx.so: x.cc\n\tg++ -shared $(A) -o $@ $<\n",
    "foreach.mk": "N := 1 2 3 4 5 6 7 8 9\nL := $(foreach a,$(N),$(foreach b,$(N),$(foreach c,$(N),$a$b$c)))\n"
     "M := $(foreach d,$(L),$(foreach e,$(L),$(foreach f,$(L),x)))\nx.so:\n\tg++ -shared -o x.so x.cc $(M)\n",
    "grow.mk": "A := aaaaaaaaaaaaaaaaaaaa\n" + "A := $(A)$(A)\n" * 60 + "x.so:\n\tg++ -shared -o x.so x.cc -D$(A)\n",
    "include.mk": "include include.mk\n-include *.mk\nx.so: x.so y.so\n\tg++ -shared -o $@ $^\n"
    "y.so: x.so\n\tg++ -shared -o $@ $^\n",
    "call.mk": "f = $(call f,$(1)$(1))\nx.so:\n\tg++ -shared -o x.so $(call f,aa)\n$(eval $(call f,b))\n",
    "patterns.mk": "".join("%{}: %{}\n\tg++ -o $@ $<\n".format(a, b) for a in ".so .a .b .c".split()
     for b in [".so", ".a", ".b", *(".e%d" % at for at in range(400))]) + "all: x.so\n%: %.x ; $(;)\n",
    "targets.mk": " ".join("t{}".format(at) for at in range(4000)) + ": x.cc\n\tg++ -shared -o $@.so $<\n"
    + "t%: t%.o\n\tg++\n" * 200,
    "CMakeLists.txt": "set(A aaaaaaaaaaaa)\n" + 'set(A "${A}${A}")\n' * 60
    + "add_subdirectory(.)\nadd_subdirectory(..)\ninclude(CMakeLists.txt)\nfunction(f)\nf()\nf()\nendfunction()\nf()\n"
    + "if(" * 500 + ")" * 500 + "\nadd_library(x SHARED x.cc ${A})\n" + "foreach(i ${A})\n" * 30 + "endforeach()\n" * 30
    + 'set(B "' + "${" * 3000 + "}" * 3000 + '")\n',
    "setup.py": "from setuptools import Extension\na = 'a' * 50\n" + "a = a + a\n" * 60
    + "def f():\n  return f() + f()\nf()\n"
    + "x = [i for i in range(500) for j in range(500) for k in range(500)]\nwhile True: pass\n"
    + "Extension('x', ['x.cc'] * 99999999, define_macros=[(a, a)])\n",
    "deep.py": "import subprocess\nsubprocess.call('g++ -shared x.cc -o x.so')\nx = " + "(" * 3000 + ")" * 3000,
    "sum.py": "import subprocess\nx = " + "+".join(["1"] * 60_000) + "\nsubprocess.call('g++ -shared x.cc -o x.so')\n",
    "strings.py": "import os\nos.system('g++ -shared x.cc -o x.so %s' % ('%s' * 30000))\n"
    + "x = 'g++ -shared'.replace('g', 'gggggggg')\n" * 3000,
    "BUILD": "a = ['x.cc']\n" + "a = a + a\n" * 40
    + "cc_binary(name = 'x.so', linkshared = 1, srcs = a, deps = [':x.so', ':y'])\n"
    + "cc_library(name = 'y', deps = [':y', ':z'])\ncc_library(name = 'z', deps = [':y'] * 5000)\n"
    + "genrule(name = 'g', outs = ['x.so'], cmd = '$(' * 5000 + 'g++ -shared')\n"
    + "[[x for x in y] for y in glob(['**'])]\n" * 50,
    "README.md": "```\n" * 2001 + "g++ -shared x.cc -o x.so\n" + "`g++ -shared x.cc -o x.so`" * 3000,
    "binary.sh": "g++ -shared x.cc -o x.so\n\0\0\0\0" + "\xff" * 1000,
}  # fmt: skip


def put(root: str, name: str, text: str) -> None:
    with open(os.path.join(root, name), "w", encoding="utf-8", errors="surrogatepass") as handle:
        handle.write(text)


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bounded(name: str, tmp_path: object) -> None:
    root = str(tmp_path)
    put(root, "x.cc", "")
    put(root, name, BOMBS[name])
    if name in ("self.sh", "other.sh"):
        put(root, "self.sh", BOMBS["self.sh"])
        put(root, "other.sh", BOMBS["other.sh"])
    before = sorted(os.listdir(root))
    started = time.monotonic()
    recipes = find_recipes(os.path.join(root, "x.so"), [], root=root)
    assert time.monotonic() - started < PATIENCE
    assert sorted(os.listdir(root)) == before
    assert recipes, "x.cc is found by its name at least"


def test_files_that_take_in_each_other(tmp_path: object) -> None:
    """Loads of Bazel and modules of CMake in a circle, macros that call themselves and make a million targets."""
    root = str(tmp_path)
    put(root, "x.cc", "")
    for one, other in ("ab", "ba"):
        text = "load(':OTHER.bzl', 'mOTHER')\ndef mONE(name, **more):\n  mONE(name = name + 'x', **more)\n"
        text += "  mOTHER(name = name)\n  native.cc_binary(name = name, srcs = ['x.cc'] * 99999)\n"
        put(root, one + ".bzl", text.replace("ONE", one).replace("OTHER", other))
        text = "find_package(OTHER)\ninclude(FindOTHER)\nfind_package(ONE)\n"
        put(root, "Find{}.cmake".format(one), text.replace("ONE", one).replace("OTHER", other))
    put(root, "BUILD", "load(':a.bzl', 'ma')\n[[ma(name = 'x%d.so' % a) for a in range(400)] for b in range(400)]\n")
    lists = "set(CMAKE_MODULE_PATH . .. /)\n" + "cmake_parse_arguments(A \"a;b\" \"a\" \"a\" a b a ${A_a})\n" * 500
    put(root, "CMakeLists.txt", "find_package(a)\nadd_library(x SHARED x.cc)\naux_source_directory(/ B)\n" + lists)
    started = time.monotonic()
    recipes = find_recipes(os.path.join(root, "x.so"), [], root=root)
    assert time.monotonic() - started < PATIENCE
    assert any(recipe.kind == "cmake" and recipe.sources for recipe in recipes)


def test_deadline_is_kept(tmp_path: object) -> None:
    root = str(tmp_path)
    for name, text in BOMBS.items():
        put(root, name, text)
    put(root, "x.cc", "")
    started = time.monotonic()
    find_recipes(os.path.join(root, "x.so"), [], root=root, deadline=started + 0.5)
    assert time.monotonic() - started < 0.5 + PATIENCE / 4


def test_one_bad_file_takes_nothing_from_the_good_one(tmp_path: object) -> None:
    root = str(tmp_path)
    for name in ("chain.sh", "loop.sh", "recursive.mk", "deep.py"):
        put(root, "a_" + name, BOMBS[name].replace("x.so", "y.so"))
    put(root, "x.cc", "")
    put(root, "z.sh", "g++ -shared x.cc -o x.so -DGOOD\n")
    best = find_recipes(os.path.join(root, "x.so"), [], root=root)[0]
    assert (best.kind, best.defines) == ("shell", ("GOOD",))


@pytest.mark.parametrize("seed", range(8))
def test_mutated_recipes(seed: int, tmp_path: object) -> None:
    """Real shapes with pieces cut, doubled, swapped and overwritten: no exception, whatever comes out."""
    chance = random.Random(seed)
    for round_ in range(6):
        case = chance.choice(CASES)
        root = os.path.join(str(tmp_path), str(round_))
        broken = replace(case, files={name: mutated(text, chance) for name, text in case.files.items()})
        broken.write(root)
        for recipe in find_recipes(os.path.join(root, case.wanted), [], case.ops, root=root):
            for path in recipe.sources + recipe.cuda_sources + recipe.include_dirs + recipe.library_dirs:
                assert os.path.isabs(path) and os.path.exists(path)


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randrange(5)):
        if len(text) < 4:
            break
        start, end = sorted(chance.randrange(len(text)) for _ in range(2))
        piece = text[start:end]
        action = chance.randrange(4)
        if action == 0:
            text = text[:start] + text[end:]
        elif action == 1:
            text = text[:end] + piece[:500] + text[end:]
        elif action == 2:
            text = text[:start] + chance.choice("(){}[]'\"`$\\#;|&<>\n\t=:%@*") + text[start + 1 :]
        else:
            text = text[end:] + text[:end]
    return text


def test_special_files_are_not_opened(tmp_path: object) -> None:
    root = str(tmp_path)
    os.mkfifo(os.path.join(root, "compile.sh"))
    os.mkfifo(os.path.join(root, "Makefile"))
    os.mkfifo(os.path.join(root, "x.cc"))
    os.symlink("setup.py", os.path.join(root, "setup.py"))
    os.mkdir(os.path.join(root, "CMakeLists.txt"))
    put(root, "y.cc", "")
    assert all(recipe.kind == "none" for recipe in find_recipes(os.path.join(root, "y.so"), [], root=root))


def test_missing_root_and_odd_names(tmp_path: object) -> None:
    root = str(tmp_path)
    assert find_recipes(os.path.join(root, "a", "x.so"), ["/nonexistent"], root=os.path.join(root, "nothing")) == []
    assert find_recipes("x\n'\"$.so", [], root=root) == []
    assert find_recipes("", [], root=root) == []
