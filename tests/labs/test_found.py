"""The library lies somewhere: one lab a source and a name rule, each with decoys that the search comes to first.

A lab is a list of paths in the order in which the search proposes them. Decoys fill the first ones, the right file is
the last: it must be the one that is loaded, and the journal must say of every decoy why not.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from typing import Any, Callable, Sequence

import pytest
from lab import World, run_script
from parts import cut_inside_a_page

pytestmark = pytest.mark.compile

VERSION = "python%d.%d" % sys.version_info[:2]

SOURCE = """
const unsigned char table[65536] = {1, 2, 3};
int roi_pool(int height, int width) { return height * width + table[1]; }
int roi_scale(int value) { return 3 * value; }
"""

SCRIPT = """\
import ctypes, os
here = os.path.dirname(os.path.abspath(__file__))
roi = ctypes.CDLL(os.path.join(here, "@NAME@"))
print("roi says", roi.roi_pool(6, 7), roi.roi_scale(2))
"""

#: decoy -> the reason in the journal
DECOYS = {
    "other-machine": "wrong-machine",
    "32-bit": "wrong-class",
    "cut": "truncated",
    "pointer": "not-elf",
    "other-functions": "symbols-missing",
    "open-ends": "unresolved-symbols",
    "lost-dependency": "dependency-missing",
    "crashes": "trial-failed",
    "exits": "trial-failed",
    "musl": "wrong-libc",
    "other-os": "wrong-os-abi",
    "writable": "untrusted-file",
    "writable-directory": "untrusted-directory",
    "foreign": "untrusted-owner",
}
#: one slot for each decoy, one for the right file
LETTERS = "abcdefghijklmno"
SLOTS = len(LETTERS)

#: on a file's name and place, not on its content
_MODES = ("writable", "writable-directory", "foreign")


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: Any) -> dict[str, str]:
    """The right library and the decoys, compiled once."""
    top = str(tmp_path_factory.mktemp("shelf"))

    def cc(name: str, source: str, *flags: str, compiler: Sequence[str] = ("gcc",)) -> str:
        path = os.path.join(top, name)
        command = [*compiler, "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", path, *flags]
        subprocess.run(command, input=source.encode(), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.chmod(path, 0o755)
        return path

    zig = [sys.executable, "-m", "ziglang", "cc"]
    made = {
        "right": cc("right", SOURCE),
        "other-machine": cc("aarch64", SOURCE, "-nostdlib", "-target", "aarch64-linux-gnu", compiler=zig),
        "32-bit": cc("x86", SOURCE, "-nostdlib", "-target", "x86-linux-gnu", compiler=zig),
        "other-functions": cc("other", "int roi_pool(int a, int b) { return 0; }\n"),
        "open-ends": cc("open", SOURCE + "int beyond(void); int f(void) { return beyond(); }\n"),
        "crashes": cc("crashes", SOURCE + "__attribute__((constructor)) static void s(void) { __builtin_trap(); }\n"),
        "exits": cc("exits", "#include <stdio.h>\n#include <stdlib.h>\n" + SOURCE
                    + '__attribute__((constructor)) static void s(void) { puts("done"); exit(0); }\n'),
    }  # fmt: skip
    musl = [*zig, "-target", "x86_64-linux-musl"]
    empty = cc("libc.so", "int musl(void) { return 0; }\n", "-nostdlib", "-Wl,-soname,libc.so", compiler=musl)
    made["musl"] = cc("musl", SOURCE + "int musl(void); int f(void) { return musl(); }\n", "-nostdlib", empty,
                      compiler=musl)  # fmt: skip
    lost = cc("liblost_for_ever.so", "int lost(void) { return 1; }\n", "-Wl,-soname,liblost_for_ever.so")
    made["lost-dependency"] = cc("lost", SOURCE + "int lost(void); int f(void) { return lost(); }\n", lost)
    os.unlink(lost)
    with open(made["right"], "rb") as stream:
        good = stream.read()
    for name, content in (
        ("cut", cut_inside_a_page(good)),
        ("other-os", good[:7] + b"\x09" + good[8:]),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
    ):
        made[name] = os.path.join(top, name)
        with open(made[name], "wb") as stream:
            stream.write(content)
    for name in _MODES:
        made[name] = made["right"]
    return made


class Place:
    """Where the slots of one lab are, in the order of the search, and what makes the search look there."""

    def __init__(self, source: str, slots: Callable[[World, str], Sequence[str]], **how: Any) -> None:
        self.source = source
        self.slots = slots
        self.name: str = how.get("name", source)
        self.requested: str = how.get("requested", "libroi.so")
        self.without: Sequence[str] = how.get("without", ())  #: decoys that cannot be made there, or are not proposed
        self.env: Callable[[World, str], dict[str, str]] = how.get("env", lambda world, home: {})
        self.rule: str = how.get("rule", "exact")

    def __repr__(self) -> str:
        return self.name


def below(*parts: str, name: str = "libroi.so") -> Callable[[World, str], list[str]]:
    """Slots that differ in the part with a ``#``; ``HOME/`` and ``TOP/`` begin outside the project."""

    def slots(world: World, home: str) -> list[str]:
        return [place(world, home, "/".join((*parts, name)).replace("#", LETTERS[at])) for at in range(SLOTS)]

    return slots


def place(world: World, home: str, name: str) -> str:
    if name.startswith("HOME/"):
        return os.path.join(home, name[5:])
    return os.path.join(world.top, name[4:]) if name.startswith("TOP/") else world.path(name)


def trees(directory: str) -> Callable[[World, str], list[str]]:
    names = ("build", "lib", "libs", "ops", "tf_ops", "custom_ops", "tf_custom_ops", "user_ops", "lib64", ".libs",
             "src", "external", "source", "cc", "core")  # fmt: skip
    return lambda world, home: [os.path.join(world.path(directory), one, "libroi.so") for one in names]


def joined(variable: str, slots: Callable[[World, str], Sequence[str]]) -> Callable[[World, str], dict[str, str]]:
    """The environment in which one variable lists the directories of the slots."""
    return lambda world, home: {variable: ":".join(os.path.dirname(one) for one in slots(world, home))}


def one_each(ending: str, slots: Callable[[World, str], Sequence[str]]) -> Callable[[World, str], dict[str, str]]:
    """The environment in which one variable each names a slot."""
    return lambda world, home: {"ROI%c%s" % (97 + at, ending): one for at, one in enumerate(slots(world, home))}


def fixed(**values: str) -> Callable[[World, str], dict[str, str]]:
    return lambda world, home: {name: place(world, home, value) for name, value in values.items()}


def versions(directory: str) -> Callable[[World, str], list[str]]:
    """Slots in one directory: files of one name that differ in their version."""
    return lambda world, home: [place(world, home, "%s/libroi.so.%d" % (directory, 10 + at)) for at in range(SLOTS)]


def tails(world: World, home: str) -> list[str]:
    parts = ["home", "author", "work", "code", "python", "pkg", "native"]
    found = [os.path.join(world.path("app"), *parts[at:], "libroi.so") for at in range(7)]
    both = [[one, one.replace("/app/", "/")] for one in found]
    return [one for pair in both for one in pair] + [world.path("app/libroi.so")]


def bazel(world: World, home: str) -> list[str]:
    key = hashlib.md5(os.path.realpath(world.root).encode()).hexdigest()
    base = os.path.join(home, "cache", "bazel", "_bazel_me", key, "execroot", "ws", "bazel-out")
    return [os.path.join(base, "k8-" + letter, "bin", "libroi.so") for letter in LETTERS]


def login(name: str, text: str) -> Callable[[World, str], dict[str, str]]:
    """Writes a start-up file of the user's that is never run; ``@PATHS@`` are the directories of the slots."""

    def write(world: World, home: str) -> dict[str, str]:
        paths = ":".join(os.path.dirname(one) for one in below("TOP/hpc/#/lib")(world, home))
        path = place(world, home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text.replace("@PATHS@", paths))
        return {"MODULEPATH": os.path.join(world.top, "modules")}

    return write


VENV = ("lib", VERSION, "site-packages", "pkg")
OWN = "py%d%d_cu121" % sys.version_info[:2]

PLACES = [
    Place("variable", below("TOP/given/#"), env=one_each("_LIB", below("TOP/given/#"))),
    Place("build-sibling", trees("native"), requested="native/libroi.so"),
    Place("requested-directory", versions("native"), requested="native/libroi.so", rule="soname-version"),
    Place("caller", tails, name="tail", requested="/home/author/work/code/python/pkg/native/libroi.so"),
    Place("build-directory", trees("."), requested="/nowhere/at/all/libroi.so"),
    Place("project", below("x/y/#"), requested="gone/libroi.so"),
    Place("archive", below("dist/roi-#.whl!", "roi", "native")),
    Place("archive", below("roi-#.zip!", "lib"), name="project-zip"),
    Place("content", below("x/y/#", name="libother#.so"), rule="content",
          without=("other-functions", "pointer", "cut")),
    Place("search-root", below("TOP/far/#"), env=fixed(DLREPAIR_SEARCH_ROOTS="TOP/far")),
    Place("site-packages", below("TOP/site-packages/#pkg"), env=fixed(PYTHONPATH="TOP/site-packages")),
    Place("site-packages", below("TOP/site-packages/#pkg.libs"), env=fixed(PYTHONPATH="TOP/site-packages"),
          name="wheel-libs"),
    Place("site-packages", below("TOP/site-packages/nvidia/#/lib"), env=fixed(PYTHONPATH="TOP/site-packages"),
          name="nvidia-wheels"),
    Place("site-packages", versions("TOP/site-packages/torch/lib"), env=fixed(PYTHONPATH="TOP/site-packages"),
          name="torch", rule="soname-version"),
    Place("site-packages", versions("TOP/site-packages/tensorflow"), env=fixed(PYTHONPATH="TOP/site-packages"),
          name="tensorflow", rule="soname-version"),
    Place("environment", versions("TOP/conda/lib"), env=fixed(CONDA_PREFIX="TOP/conda"), name="conda-prefix",
          rule="soname-version"),
    Place("environment", below("TOP/ld/#"), env=joined("LD_LIBRARY_PATH", below("TOP/ld/#")), name="ld-library-path"),
    Place("environment", below("TOP/ld/#"), env=joined("LIBRARY_PATH", below("TOP/ld/#")), name="library-path"),
    Place("other-environment", below("HOME/.virtualenvs/#", *VENV), name="virtualenvwrapper"),
    Place("other-environment", below(".venv#", *VENV), name="venv-in-project"),
    Place("other-environment", below("HOME/miniconda3/envs/#", *VENV), name="conda-environment"),
    Place("other-environment", below("HOME/.pyenv/versions/#", *VENV), name="pyenv"),
    Place("other-environment", below("HOME/.cache/pypoetry/virtualenvs/#", *VENV), name="poetry"),
    Place("other-environment", below("HOME/.local/share/hatch/env/virtual/pkg/#/pkg", *VENV), name="hatch"),
    Place("tool-cache", below("HOME/cache/torch_extensions", OWN, "#"), name="torch-extensions"),
    Place("tool-cache", below("TOP/ext/#"), env=fixed(TORCH_EXTENSIONS_DIR="TOP/ext"), name="torch-extensions-dir"),
    Place("tool-cache", below("TOP/dnnlib/#"), env=fixed(DNNLIB_CACHE_DIR="TOP/dnnlib"), name="dnnlib"),
    Place("tool-cache", bazel, name="bazel-output-base"),
    Place("tool-cache", below("HOME/cache/uv/archive-v0/#", "pkg"), name="uv"),
    Place("conda", below("HOME/miniconda3/pkgs/#-1.0-0", "lib")),
    Place("cuda", below("TOP/cuda/targets/#/lib"), env=fixed(CUDA_HOME="TOP/cuda")),
    Place("login-path", below("TOP/hpc/#/lib"), env=one_each("_ROOT", lambda world, home: [
        one[: -len("/lib/libroi.so")] for one in below("TOP/hpc/#/lib")(world, home)]), name="package-variables"),
    Place("login-path", below("TOP/hpc/#/lib"), name="bashrc",
          env=login("HOME/.bashrc", 'touch "$HOME/ran"\nexport LD_LIBRARY_PATH=@PATHS@:${LD_LIBRARY_PATH:+:$X}\n')),
    Place("login-path", below("TOP/hpc/#/lib"), name="lua-module-file",
          env=login("TOP/modules/roi/1.0.lua", 'prepend_path("LD_LIBRARY_PATH", "@PATHS@", ":")\n')),
    Place("login-path", below("TOP/hpc/#/lib"), name="module-file",
          env=login("TOP/modules/roi/1.0", "#%Module1.0\nset p @PATHS@\nprepend-path LD_LIBRARY_PATH @PATHS@\n")),
    Place("tool-cache", below("HOME/cache/pip/wheels/#/b/c/d/roi-1.whl!", "roi"), name="pip-wheels"),
    Place("tool-cache", below("HOME/cache/uv/sdists-v11/pypi/roi/1.0.#/x_y/roi-1.whl!", "roi"), name="uv-built-wheels"),
    Place("site-packages", below("TOP/eggs/roi-#.egg!", "roi"), name="zipped-eggs",
          env=joined("PYTHONPATH", lambda world, home: [
              one.split("!/")[0] + "/x" for one in below("TOP/eggs/roi-#.egg!", "roi")(world, home)])),
]  # fmt: skip

#: requested name, name that lies there, rule
RULES = [
    ("libroi.so", "roi.so", "lib-prefix"),
    ("roi.so", "libroi.so", "lib-prefix"),
    ("roi.so", "roi_op.so", "affix"),
    ("roi_ops.so", "roi.so", "affix"),
    ("roi_so.so", "roi.so", "affix"),
    ("tf_roi_so.so", "libtf_roi.so", "lib-prefix+affix"),
    ("roi.so", "tf_roi.so", "affix"),
    ("roi_kernels.so", "roi.so", "affix"),
    ("roi_module.so", "roi.so", "affix"),
    ("roi.so", "_roi.so", "underscore"),
    ("_roi.so", "roi.so", "underscore"),
    ("roi", "roi.so", "platform-suffix"),
    ("roi.dll", "roi.so", "platform-suffix"),
    ("libroi.dylib", "libroi.so", "platform-suffix"),
    ("roi.so", "roi" + str(__import__("sysconfig").get_config_var("EXT_SUFFIX")), "python-suffix"),
    ("roi.cpython-26-none.so", "roi.so", "python-suffix"),
    ("libroi.so", "libroi.so.3", "soname-version"),
    ("libroi.so.3", "libroi.so.3.1.4", "soname-version"),
]

#: requested name, a name that must not be taken for it whatever it holds
NEVER = [
    ("roi.so", "roi_gpu.so"), ("roi_gpu.so", "roi_cpu.so"), ("roi_cuda.so", "roi.so"), ("roi.so", "roi_debug.so"),
    ("libroi_tf_1.13.1.so", "libroi_tf_2.4.0.so"), ("libroi.so.3", "libroi.so.4"),
    ("roi_0123456789abcdef0123456789abcdef.so", "roi_fedcba9876543210fedcba9876543210.so"),
]  # fmt: skip


def put(kind: str, source: str, path: str, age: float) -> None:
    """Puts one library into its slot, as old as it has to be."""
    outside, _, member = path.partition("!/")
    os.makedirs(os.path.dirname(outside), exist_ok=True)
    if member:
        with zipfile.ZipFile(outside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(source, member)
    else:
        shutil.copyfile(source, outside)
    os.chmod(outside, 0o666 if kind == "writable" else 0o644)
    if kind == "writable-directory":
        os.chmod(os.path.dirname(outside), 0o777)
    if kind == "foreign":
        os.chown(outside, 12345, -1)
    when = time.time() - age
    os.utime(outside, (when, when))


def marks(path: str) -> None:
    """What makes the directory above a slot an environment."""
    parts = path.split("/")
    if VERSION in parts:
        top = "/".join(parts[: parts.index(VERSION) - 1])
        name = "bin/python3" if ".pyenv" in top else "conda-meta/history" if "conda" in top else "pyvenv.cfg"
        os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
        with open(os.path.join(top, name), "w"):
            pass


def fill(world: World, slots: Sequence[str], kinds: Sequence[str], shelf: dict[str, str]) -> dict[str, str]:
    """Path -> expected reason, after all slots are filled: decoys first, the right file last."""
    assert len(slots) > len(kinds), slots
    reasons = {}
    for at, (path, kind) in enumerate(zip(slots, [*kinds, "right"])):
        marks(path)
        put(kind, shelf[kind], path, 100.0 + 10 * at)
        reasons[path] = DECOYS.get(kind, "fits")
    return reasons


def check(world: World, home: str, bare: str, hooked: str, reasons: dict[str, str], source: str, rule: str) -> None:
    broken = run_script(world, bare, os.path.join(world.top, "home-bare"))
    assert broken.status and "OSError" in broken.err, broken.story()
    before = world.state()
    run = run_script(world, hooked, home, DLREPAIR_BUDGET_MS="60000")
    assert (run.status, run.out) == (0, "roi says 44 6\n"), run.story()
    assert world.state() == before, "the user's tree was changed\n" + run.story()
    seen = {line["path"]: line for line in run.events("candidate") if line["reason"] != "not-searched"}
    real = {os.path.realpath(path): line["reason"] for path, line in seen.items() if "!/" not in path}
    real.update({path: line["reason"] for path, line in seen.items() if "!/" in path})
    given = {path if "!/" in path else os.path.realpath(path): reason for path, reason in reasons.items()}
    assert {path: real.get(path) for path in given} == given, run.story()
    taken = [line for line in seen.values() if line["verdict"] == "accepted"]
    assert [(one["source"], one["rule"]) for one in taken] == [(source, rule)], run.story()
    assert taken[0]["rank"], run.story()
    assert not run.events("internal-error"), run.story()
    assert not os.path.exists(os.path.join(home, "ran")), "a start-up file was run"


def kinds_for(without: Sequence[str] = ()) -> list[str]:
    return [kind for kind in DECOYS if kind not in without and (kind != "foreign" or os.geteuid() == 0)]


@pytest.mark.parametrize("lab", PLACES, ids=repr)
def test_source(lab: Place, world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    home = os.path.join(world.top, "home")
    world.write(".git/HEAD", "")
    world.write("WORKSPACE", "")
    world.script = "app/train.py" if lab.name == "tail" else "train.py"
    world.write(world.script, SCRIPT.replace("@NAME@", lab.requested))
    without = list(lab.without)
    slots = lab.slots(world, home)
    folders = {os.path.dirname(slot.split("!/")[0]) for slot in slots}
    if len(folders) == 1:
        without.append("writable-directory")  # it would be the right one's directory too
    kinds = kinds_for(without)
    slots = [*slots[: len(kinds)], slots[-1]]
    world.env.update(lab.env(world, home))
    reasons = fill(world, slots, kinds, shelf)
    check(world, home, bare, hooked, reasons, lab.source, lab.rule)


@pytest.mark.parametrize(
    ("source", "top"), [("build-sibling", "build"), ("project", "x/y"), ("search-root", "TOP/far")]
)
def test_stub(source: str, top: str, world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    """A sound library in a directory of stubs is none: what lies there only serves to be linked against."""
    home = os.path.join(world.top, "home")
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "libroi.so"))
    world.env.update(fixed(DLREPAIR_SEARCH_ROOTS="TOP/far")(world, home) if source == "search-root" else {})
    stub, right = (place(world, home, "%s/%s/libroi.so" % (top, below)) for below in ("stubs", "z/w"))
    put("right", shelf["right"], stub, 10)
    put("right", shelf["right"], right, 20)
    check(world, home, bare, hooked, {stub: "stub", right: "fits"}, source, "exact")


@pytest.mark.parametrize(("requested", "name", "rule"), RULES)
def test_name(
    requested: str, name: str, rule: str, world: World, bare: str, hooked: str, shelf: dict[str, str]
) -> None:
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", requested))
    kinds = ["other-machine", "other-functions", "crashes"]
    slots = [world.path(os.path.join(tree, name)) for tree in ("build", "lib", "ops", "src")]
    reasons = fill(world, slots, kinds, shelf)
    check(world, os.path.join(world.top, "home"), bare, hooked, reasons, "build-sibling", rule)


@pytest.mark.parametrize(("requested", "name"), NEVER)
def test_never(requested: str, name: str, world: World, hooked: str, shelf: dict[str, str]) -> None:
    world.write(".git/HEAD", "")
    put("right", shelf["right"], world.path("build/" + name), 10)
    world.write("train.py", 'import ctypes\nctypes.CDLL("%s")\n' % world.path(requested))
    run = run_script(world, hooked, os.path.join(world.top, "home"))
    assert run.status == 1 and "OSError" in run.err, run.story()
    assert not [line for line in run.events("candidate") if line["verdict"] == "accepted"], run.story()
    assert json.dumps(run.events("load-unrepaired")) != "[]", run.story()


@pytest.mark.parametrize(
    ("requested", "name"),
    [("roi.so", "roi_gpu.so"), ("roi_gpu.so", "roi_cpu.so"), ("roi_cuda.so", "roi.so"), ("roi_op.so", "roi_op_gpu.so"),
     ("roi_op.so", "roi_gpu_op.so")],
)  # fmt: skip
def test_another_build_with_consent(
    requested: str, name: str, world: World, hooked: str, shelf: dict[str, str]
) -> None:
    """Refused by itself, with the command that consents; then loaded, remembered, and refused again without it."""
    world.write(".git/HEAD", "")
    right = world.path("build/" + name)
    put("right", shelf["right"], right, 10)
    decoys = {}
    for at, kind in enumerate(("other-machine", "cut", "other-functions", "writable")):
        path = world.path("lib/{}/{}".format(at, name))
        put(kind, shelf["right" if kind == "writable" else kind], path, 5)
        decoys[path] = DECOYS[kind]
    world.write("train.py", SCRIPT.replace("@NAME@", requested))
    home = os.path.join(world.top, "home")
    run = run_script(world, hooked, home)
    assert run.status == 1, run.story()
    reasons = {line["path"]: line["reason"] for line in run.events("candidate") if line["verdict"] == "rejected"}
    assert reasons[right] == "twin" and decoys.items() <= reasons.items(), run.story()
    assert "DLREPAIR_TWINS=accept" in run.err or "dlrepair trust" in run.err, run.story()
    os.unlink(path)  # what only trust keeps out is told of first
    run = run_script(world, hooked, home)
    assert "help: Run it with DLREPAIR_TWINS=accept to load {} instead.".format(right) in run.err, run.story()
    for remembered in (False, True):
        run = run_script(world, hooked, home, DLREPAIR_TWINS="accept")
        assert (run.status, run.out) == (0, "roi says 44 6\n"), run.story()
        repaired = run.events("load-repaired")[-1]
        assert repaired["path"] == right and repaired.get("remembered", False) == remembered, run.story()
        assert "another build, as the setting twins allows" in run.err, run.story()
    run = run_script(world, hooked, home)
    assert run.status == 1 and "OSError" in run.err, run.story()


@pytest.mark.parametrize(("requested", "name"), NEVER)
def test_never_by_content(requested: str, name: str, world: World, hooked: str, shelf: dict[str, str]) -> None:
    """It holds all that the caller asks for, and still is what its name says: another device's, another release's."""
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", requested))
    put("right", shelf["right"], world.path("build/" + name), 10)
    run = run_script(world, hooked, os.path.join(world.top, "home"))
    assert run.status == 1 and "OSError" in run.err, run.story()
    said = [line["reason"] for line in run.events("candidate") if line["path"] == world.path("build/" + name)]
    # a versioned file is looked at under its own name only: its content never speaks for it
    assert said == ([] if name.endswith(".so.4") else ["twin"]), run.story()
