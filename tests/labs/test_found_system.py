"""The library lies where the system keeps such things: in directories that only root fills, in a mount namespace.

Each lab puts a layer over one of the system's directories (overlayfs), as an installer would have left it, with the
decoys of ``test_found``. Where no mount namespace can be made, the test says what is lacking.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any, Callable, Sequence

import pytest
from lab import World, run_script
from parts import DEAD
from test_copies import wrapper
from test_found import DECOYS, LETTERS, PLACES, SCRIPT, SLOTS, check, fill, kinds_for, put, shelf

__all__ = ["shelf"]

pytestmark = pytest.mark.compile


class Layer:
    """What lies over ``target``: the slots, given below the target or in a directory of their own, and what names them.

    ``setup`` writes further files into the layer, such as a configuration that lists the slots' directories.
    """

    def __init__(self, name: str, source: str, target: str, slots: Sequence[str], **how: Any) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.slots = slots
        self.rule: str = how.get("rule", "exact")
        self.without: Sequence[str] = how.get("without", ())
        self.setup: Callable[[str, list[str]], None] = how.get("setup", lambda layer, places: None)

    def __repr__(self) -> str:
        return self.name


def written(name: str, text: str) -> Callable[[str, list[str]], None]:
    """Writes a file that lists the slots' directories: one a line, or for ``@PATHS@`` joined by colons."""

    def write(layer: str, places: list[str]) -> None:
        path = os.path.join(layer, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text.replace("@PATHS@", ":".join(places)).replace("@LINES@", "\n".join(places)))

    return write


def cached(layer: str, places: list[str]) -> None:
    """A real cache made by ldconfig, of these directories alone."""
    written("roi.conf", "@LINES@\n")(layer, places)
    command = ["/sbin/ldconfig", "-X", "-C", os.path.join(layer, "ld.so.cache"), "-f", os.path.join(layer, "roi.conf")]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def each(pattern: str) -> list[str]:
    return [pattern.replace("#", letter) for letter in LETTERS]


def numbered(directory: str) -> list[str]:
    return ["%s/libroi.so.%d" % (directory, 10 + at) for at in range(SLOTS)]


#: toolkits are asked from the newest to the oldest
TOOLKITS = ["cuda-%d.0" % (30 - at) for at in range(SLOTS)]

#: the sources of docs/reference/search.md that a substitute can come from; "tail" is known by whose directory it was
ORDER = (
    "variable", "requested-directory", "build-sibling", "caller", "build-directory", "project", "archive", "content",
    "search-root", "site-packages", "environment", "other-environment", "tool-cache", "conda", "cuda", "login-path",
    "system",
)  # fmt: skip
TRITON = ("other-machine", "musl", "crashes", "writable")
PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "reference", "search-labs.md")

LAYERS = [
    Layer("ld.so.conf", "system", "/etc", each("TOP/far/#/libroi.so"),
          setup=written("ld.so.conf.d/roi.conf", "# none\n@LINES@\n")),
    # ldconfig itself leaves out what is no library of this machine
    Layer("ld.so.cache", "system", "/etc", each("TOP/far/#/libroi.so"), setup=cached,
          without=("other-machine", "32-bit", "cut", "pointer", "musl", "other-os")),
    Layer("profile.d", "login-path", "/etc", each("TOP/hpc/#/lib/libroi.so"),
          setup=written("profile.d/roi.sh", "export LD_LIBRARY_PATH=@PATHS@:$LD_LIBRARY_PATH\n")),
    Layer("wsl", "environment", "/usr", numbered("lib/wsl/lib"), rule="soname-version"),
    Layer("lib64-nvidia", "environment", "/usr", numbered("lib64-nvidia"), rule="soname-version"),
    Layer("cuda-in-usr-local", "cuda", "/usr", ["local/%s/lib64/libroi.so" % one for one in TOOLKITS]),
    Layer("cuda-in-opt", "cuda", "/opt", ["%s/targets/x86_64-linux/lib/libroi.so" % one for one in TOOLKITS]),
    Layer("conda-in-opt", "conda", "/opt", each("conda/pkgs/#-1.0-0/lib/libroi.so")),
]  # fmt: skip


HEAD = """\
# Labs of the search

Each row is a lab in `tests/labs`: a library that lies in one kind of place, real files compiled for it, an interpreter
with the hook. Decoys lie where the search comes to first, the right file comes last; it has to be the one that is
loaded, and the journal has to give every decoy the reason at the head of its column. `-`: no such decoy can lie there,
or the search does not come across it.

Made by `make search-labs`; a test compares it with the labs. Dependencies by SONAME, TensorFlow's ops and CUDA's
libraries have labs of their own (`test_found_dependency.py`, `tests/tensorflow`, `test_gpu_libraries.py`).

"""


def table() -> str:
    """The page of labs and decoys."""
    kinds = list(DECOYS)
    lines = ["| Source | Lab | " + " | ".join("{} `{}`".format(kind, DECOYS[kind]) for kind in kinds) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(kinds))
    rows: list[Any] = [*PLACES, *LAYERS]
    for lab in sorted(rows, key=lambda one: (ORDER.index(one.source), one.name)):
        absent = {*lab.without, *(["writable-directory"] if lab.rule == "soname-version" else [])}
        marks = ["-" if kind in absent else "yes" for kind in kinds]
        lines.append("| {} | {} | {} |".format(lab.source, lab.name, " | ".join(marks)))
    lines.append("| tool-cache | triton | " + " | ".join("yes" if kind in TRITON else "-" for kind in kinds) + " |")
    return HEAD + "\n".join(lines) + "\n"


def test_the_table_is_of_these_labs() -> None:
    with open(PAGE, encoding="utf-8") as stream:
        assert stream.read() == table(), "run: make search-labs"
    assert {lab.source for lab in [*PLACES, *LAYERS]} == set(ORDER)


def mounted(world: World, name: str, python: str, layer: str, target: str) -> str:
    """``python`` in a mount namespace of its own, where the layer lies over the target."""
    kind = "-m" if os.geteuid() == 0 else "-rm"
    lines = """\
exec unshare {} sh -c '
mount -t overlay overlay -o lowerdir={}:{} {}
exec {} "$@"' sh "$@"
"""
    return wrapper(world, name, lines.format(kind, layer, target, target, python))


def check_right(world: World, layer: str, target: str) -> None:
    """Fails with what is lacking where this user may not mount anything, even in a namespace of its own."""
    true = mounted(world, "true.sh", "true", layer, target)
    done = subprocess.run([true], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "a mount namespace with overlayfs is lacking here (unshare -m): " + done.stdout


@pytest.mark.parametrize("lab", LAYERS, ids=repr)
def test_layer(lab: Layer, world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    layer = os.path.join(world.top, "layer")
    os.makedirs(layer)
    check_right(world, layer, lab.target)
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "libroi.so"))
    where = {}  # path on disk -> path in the namespace
    for slot in lab.slots:
        final = slot.replace("TOP", world.top) if slot.startswith("TOP/") else os.path.join(lab.target, slot)
        where[final if slot.startswith("TOP/") else os.path.join(layer, slot)] = final
    without = list(lab.without)
    if len({os.path.dirname(path) for path in where}) == 1:
        without.append("writable-directory")  # it would be the right one's directory too
    kinds = kinds_for(without)
    slots = [*list(where)[: len(kinds)], list(where)[-1]]
    reasons = fill(world, slots, kinds, shelf)
    lab.setup(layer, [os.path.dirname(path) for path in slots])
    home = os.path.join(world.top, "home")
    bare, hooked = (mounted(world, "%s.sh" % name, python, layer, lab.target)
                    for name, python in (("bare", bare), ("hooked", hooked)))  # fmt: skip
    check(world, home, bare, hooked, {where[path]: why for path, why in reasons.items()}, lab.source, lab.rule)


@pytest.mark.parametrize("kind", TRITON)
def test_triton(kind: str, world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    """Triton's launchers are known by the whole hashed path only; the cache that a variable names is asked first."""
    hashed = "0123456789abcdef" * 4
    home = os.path.join(world.top, "home")
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "/old/.triton/cache/%s/libroi.so" % hashed))
    world.env["TRITON_CACHE_DIR"] = os.path.join(world.top, "triton")
    decoy = os.path.join(world.top, "triton", hashed, "libroi.so")
    right = os.path.join(home, ".triton", "cache", hashed, "libroi.so")
    other = os.path.join(home, ".triton", "cache", "f" * 64, "libroi.so")
    put(kind, shelf[kind], decoy, 10)
    put("right", shelf["right"], right, 20)
    put("right", shelf["right"], other, 5)
    check(world, home, bare, hooked, {decoy: DECOYS[kind], right: "fits"}, "tool-cache", "exact")


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no /dev/fuse: no file system can be dead")
def test_a_file_system_that_does_not_answer(world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    """In the project, where it is built, and in a far place: nothing is asked of it, and the rest is searched."""
    home = os.path.join(world.top, "home")
    gone = os.path.join(world.top, "servers/conda/envs/gone")
    dead = [world.path("data"), world.path("build"), world.path("src/remote")]
    dead += [gone, os.path.join(home, ".local/lib/remote")]
    for place in dead:
        os.makedirs(place)
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "libroi.so"))
    world.write("dead.py", DEAD)
    os.symlink(world.path("build"), world.path("linked"))  # where it leads can be told without asking there
    os.makedirs(os.path.join(home, ".conda"))
    with open(os.path.join(home, ".conda", "environments.txt"), "w") as stream:
        stream.write(gone + "\n")
    right = os.path.join(home, ".local/lib/other/deep/libroi.so")
    put("right", shelf["right"], right, 10)
    kind = "-m" if os.geteuid() == 0 else "-rm"
    lines = "exec unshare {} {} {} {} {} \"$@\"\n".format(kind, bare, world.path("dead.py"), ":".join(dead), hooked)
    began = time.monotonic()
    run = run_script(world, wrapper(world, "dead.sh", lines), home)
    assert (run.status, run.out) == (0, "roi says 44 6\n"), run.story()
    assert time.monotonic() - began < 20
    said = {line["path"]: line["detail"] for line in run.events("candidate") if line["reason"] == "not-searched"}
    for place in dead:
        assert said.get(place) == "a network file system (fuse.sshfs): not walked", run.story()


#: variables that name directories to search, and below which of two servers theirs lies
NAMED = {
    "ROI_DATAPATH": "one", "LIBRARY_PATH": "one/lib", "CUDA_HOME": "two/cuda", "CONDA_PREFIX": "two/conda/envs/roi",
    "CONDA_ENVS_PATH": "one/envs", "CONDA_PKGS_DIRS": "one/pkgs", "MODULEPATH": "one/modules", "_LMFILES_": "two/roi/1",
    "ROI_ROOT": "two/roi", "WORKON_HOME": "one/virtualenvs", "PYENV_ROOT": "one/pyenv", "UV_CACHE_DIR": "two/uv",
    "TORCH_EXTENSIONS_DIR": "one/torch", "DNNLIB_CACHE_DIR": "two/dnnlib", "TRITON_CACHE_DIR": "one/triton",
    "PIP_CACHE_DIR": "two/pip", "MAMBA_ROOT_PREFIX": "one/mamba", "DLREPAIR_SEARCH_ROOTS": "linked/roots",
}  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no /dev/fuse: no file system can be dead")
def test_what_a_variable_names_does_not_answer(world: World, bare: str, hooked: str, shelf: dict[str, str]) -> None:
    """Both servers are asked once, by a child; nothing waits for them, and the rest is searched."""
    home = os.path.join(world.top, "home")
    servers = os.path.join(world.top, "servers")
    dead = [os.path.join(servers, name) for name in ("one", "two")]
    for place in dead:
        os.makedirs(place)
    os.symlink("one", os.path.join(servers, "linked"))
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "libroi.so"))
    world.write("dead.py", DEAD)
    right = os.path.join(home, ".local/lib/other/deep/libroi.so")
    put("right", shelf["right"], right, 10)
    kind = "-m" if os.geteuid() == 0 else "-rm"
    names = " ".join("{}={}".format(name, os.path.join(servers, below)) for name, below in NAMED.items())
    lines = "exec unshare {} {} {} {} env {} {} \"$@\"\n".format(
        kind, bare, world.path("dead.py"), ":".join(dead), names, hooked
    )
    began = time.monotonic()
    run = run_script(world, wrapper(world, "dead.sh", lines), home)
    assert (run.status, run.out) == (0, "roi says 44 6\n"), run.story()
    assert time.monotonic() - began < 20
    said = {line["path"]: line["detail"] for line in run.events("candidate") if line["reason"] == "not-searched"}
    for place in dead:
        assert said.get(place) == "a network file system (fuse.sshfs) that does not answer: not searched", run.story()


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no /dev/fuse: no file system can be dead")
def test_what_is_remembered_lies_where_nothing_answers_now(
    world: World, bare: str, hooked: str, shelf: dict[str, str]
) -> None:
    """The server has died since: the replay asks nothing of it, and another library is found."""
    home = os.path.join(world.top, "home")
    server = os.path.join(world.top, "server")
    far = os.path.join(server, "libroi.so")
    world.write(".git/HEAD", "")
    world.write("train.py", SCRIPT.replace("@NAME@", "libroi.so"))
    world.write("dead.py", DEAD)
    os.makedirs(server)
    put("right", shelf["right"], far, 10)
    world.env["DLREPAIR_SEARCH_ROOTS"] = server
    for _ in range(2):
        run = run_script(world, hooked, home)
        assert run.out == "roi says 44 6\n", run.story()
    assert run.events("load-repaired")[-1].get("remembered"), run.story()
    other = os.path.join(home, ".local/lib/other/libroi.so")
    put("right", shelf["right"], other, 10)
    kind = "-m" if os.geteuid() == 0 else "-rm"
    lines = "exec unshare {} {} {} {} {} \"$@\"\n".format(kind, bare, world.path("dead.py"), server, hooked)
    began = time.monotonic()
    run = run_script(world, wrapper(world, "dead.sh", lines), home)
    assert (run.status, run.out) == (0, "roi says 44 6\n"), run.story()
    assert time.monotonic() - began < 20
    assert run.events("repair-failed")[0]["reason"] == "the server of {} does not answer".format(server)
    assert run.events("load-repaired")[-1]["path"] == other, run.story()


if __name__ == "__main__":
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(table())
