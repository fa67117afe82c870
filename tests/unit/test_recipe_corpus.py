"""Every entry of the survey of real recipes, written as a recipe with that entry's facts, is read right.

The survey records facts, not texts: output names, flags, dead paths, whether there are CUDA parts. Each entry
becomes a project with a script or makefile that has them; what is read is compared with the entry. Entries
whose constructs matter have a case of their own (tests/data/recipes).
"""

from __future__ import annotations

import json
import os
import re

import pytest
from recipe_cases import CASES, DATA

from dlrepair.build.recipes import find_recipes

with open(os.path.join(DATA, "build_recipes.jsonl")) as handle:
    ENTRIES = [json.loads(line) for line in handle]

INCLUDE = {
    "get_include": "$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')",
    "get_compile_flags": "$(python3 -c 'import tensorflow as tf; print(\" \".join(tf.sysconfig.get_compile_flags()))')",
}


def outputs(entry: dict[str, str]) -> list[str]:
    """Base names of the libraries that an entry makes, its placeholders filled in."""
    text = re.sub(r"\{([^}]*)\}", lambda match: match.group(1), entry["output"])
    text = (
        text.replace("<EXT_SUFFIX>", "so")
        .replace("<EXT>", "so")
        .replace("<SO suffix>", ".so")
        .replace("<op>_<md5>", "op")
    )
    names = []
    for part in re.split(r"[,+ ]+", text):
        base = os.path.basename(part).replace("*", "any").replace("$1", "one").replace("${1/.cc/.so}", "one.so")
        if re.fullmatch(r"[\w.-]+\.so", base):
            names.append(base)
    return names or ["op.so"]


def script(entry: dict[str, object], name: str) -> str:
    """A shell script with an entry's facts."""
    cuda = not str(entry["cpu_only"]).startswith("yes")
    dead = [path for path in entry["hard_coded_paths"] if str(path).startswith("/")]  # type: ignore[attr-defined]
    flags = ["-DKEPT=1", "-Iinclude", "-O2"] + ["-I{0}/include -L{0}/lib64".format(path) for path in dead]
    flags += [str(path) for path in entry["hard_coded_paths"] if str(path).startswith(("-arch", "-march", "-ccbin"))]  # type: ignore[attr-defined]
    if str(entry["abi_flag"])[:1] in ("0", "1"):
        flags.append("-D_GLIBCXX_USE_CXX11_ABI=" + str(entry["abi_flag"])[:1])
    if re.match(r"c\+\+\d\d", str(entry["std_flag"])):
        flags.append("-std=" + str(entry["std_flag"]))
    flags += [text for key, text in INCLUDE.items() if key in str(entry["tf_flags"])]
    flags += ["-ltensorflow_framework"] if "framework" in str(entry["tf_flags"]) else []
    lines = []
    if cuda:
        lines.append("nvcc -c k.cu -o k.cu.o -x cu -Xcompiler -fPIC -DGOOGLE_CUDA=1 " + " ".join(flags))
        flags.append("-lcudart -D GOOGLE_CUDA=1")
    lines.append("g++ -shared -fPIC op.cc {} -o {} {}".format("k.cu.o" if cuda else "", name, " \\\n  ".join(flags)))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["shell", "make"])
def test_every_entry(kind: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = []
    for number, entry in enumerate(ENTRIES):
        root = os.path.join(str(tmp_path), str(number))
        os.makedirs(os.path.join(root, "include"))
        name = outputs(entry)[0]
        text = script(entry, name)
        if kind == "make":
            text = (
                "all:\n"
                + "\n".join("\t" + line for line in text.replace("$(python", "$$(python").strip().split("\n"))
                + "\n"
            )
        for path, content in (("op.cc", ""), ("k.cu", ""), ("Makefile" if kind == "make" else "any.sh", text)):
            with open(os.path.join(root, path), "w") as handle:
                handle.write(content)
        recipe = find_recipes(os.path.join(root, name), [], root=root)[0]
        cuda = not entry["cpu_only"].startswith("yes")
        have = (
            recipe.kind, recipe.output, recipe.sources, recipe.cuda_sources, recipe.defines, recipe.flags,
            recipe.libraries, recipe.cuda, recipe.missing,
            [path for path in recipe.include_dirs if path.startswith(root)],
            [path for path in recipe.include_dirs + recipe.library_dirs if not os.path.isdir(path)],
        )  # fmt: skip
        want = (
            kind, name, (os.path.join(root, "op.cc"),), (os.path.join(root, "k.cu"),) if cuda else (), ("KEPT=1",),
            ("-O2",), (), cuda, (), [os.path.join(root, "include")], [],
        )  # fmt: skip
        if have != want:
            wrong.append((entry["repo"], entry["path"], have, want))
    assert not wrong, "{} of {}: {}".format(len(wrong), len(ENTRIES), wrong[:3])


def test_cases_name_real_entries() -> None:
    known = {entry["repo"] + " " + entry["path"] for entry in ENTRIES} | {"cuMF/cumf_als"}
    assert {case.shape for case in CASES if case.shape} <= known


def test_cases_agree_with_their_entries() -> None:
    """Where a case keeps the entry's library, its CUDA parts and its standard are the survey's."""
    entries = {entry["repo"] + " " + entry["path"]: entry for entry in ENTRIES}
    for case in CASES:
        entry = entries.get(case.shape)
        if entry is None or os.path.basename(case.wanted) not in outputs(entry):
            continue
        if entry["cpu_only"] == "yes":
            assert not case.cuda, case.name
        standard = re.match(r"c\+\+\d\d", entry["std_flag"])
        if standard and entry["kind"] in ("shell", "Makefile"):
            assert standard.group() in "\n".join(case.files.values()), case.name
