"""What is read off other people's files: start-up files of shells, module files, caches, archives, callers."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dlrepair.diagnose import uses
from dlrepair.search import archives, caches, loginpaths, names, prefixes, unpack
from dlrepair.store import trees


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("export LD_LIBRARY_PATH=/a/lib:/b/lib", ["/a/lib", "/b/lib"]),
        ('LD_LIBRARY_PATH="/a/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"', []),
        ("ROOT=/a; export LIBRARY_PATH=$ROOT/lib:${ROOT}/lib64", ["/a/lib", "/a/lib64"]),
        ("export LD_LIBRARY_PATH=$(pwd)/lib:/b", ["/b"]),
        ("export LD_LIBRARY_PATH=`cat`:$UNHEARD_OF/lib:/b", ["/b"]),
        ("export LD_LIBRARY_PATH=~/lib", ["/home/me/lib"]),
        ("# export LD_LIBRARY_PATH=/a", []),
        ("if true; then export LD_LIBRARY_PATH=/a; fi", []),
        ("export LD_LIBRARY_PATH=/a && echo LD_LIBRARY_PATH=/b", ["/a"]),
        ("setenv LD_LIBRARY_PATH /a", []),
        ("= = $ ${ ${x LD_LIBRARY_PATH=${", []),
    ],
)
def test_what_a_shell_would_set(text: str, found: list, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[type-arg]
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("LD_LIBRARY_PATH", "UNHEARD_OF", "ROOT"):
        monkeypatch.delenv(name, raising=False)
    assert loginpaths.parse_shell(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#%Module1.0\nset root /opt/x\nprepend-path LD_LIBRARY_PATH $root/lib", ["/opt/x/lib"]),
        ("append-path LIBRARY_PATH /a:/b", ["/a", "/b"]),
        ("prepend-path PATH /a/bin\nprepend-path LD_LIBRARY_PATH [exec find]/lib", []),
        ('local base = "/opt/y"\nprepend_path("LD_LIBRARY_PATH", pathJoin(base, "lib"))', ["/opt/y/lib"]),
        ('prepend_path("LD_LIBRARY_PATH","/opt/z/lib")', ["/opt/z/lib"]),
        ('local b = "/opt/y"\nprepend_path("LD_LIBRARY_PATH", b .. "/lib")', ["/opt/y/lib"]),
        ('prepend_path("LD_LIBRARY_PATH", os.getenv("X"))', []),
        ('prepend_path("LD_LIBRARY_PATH", "/a:/b", ":")', ["/a", "/b"]),
        ('local b = "/opt/y"\nappend_path{"LIBRARY_PATH", pathJoin(b, "lib64"), delim=":"} -- why', ["/opt/y/lib64"]),
        ('prepend_path("LD_LIBRARY_PATH",\nprepend_path("PATH", "/a")\nprepend_path()', []),
        ("prepend-path --delim {:} LD_LIBRARY_PATH {/opt/x/lib}", ["/opt/x/lib"]),
        ("prepend-path -d : LD_LIBRARY_PATH /a:/b", ["/a", "/b"]),
        ("prepend-path --delim=: LD_LIBRARY_PATH /a", ["/a"]),
        ("prepend-path --delim", []),
    ],
)
def test_what_a_module_file_would_set(text: str, found: list) -> None:  # type: ignore[type-arg]
    assert [place for place in loginpaths.parse_module(text) if os.path.isabs(place)] == found


def test_bazel_output_is_found_by_the_digest_of_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    workspace = tmp_path / "ws"
    workspace.mkdir()
    key = hashlib.md5(os.fsencode(os.path.realpath(str(workspace)))).hexdigest()
    out = tmp_path / "cache" / "bazel" / "_bazel_me" / key / "execroot" / "ws" / "bazel-out" / "k8-opt" / "bin"
    out.mkdir(parents=True)
    assert list(caches.bazel_outputs([str(workspace)])) == []  # no workspace
    (workspace / "MODULE.bazel").write_text("")
    assert list(caches.bazel_outputs([str(workspace)])) == [str(out)]


def test_torch_extensions_of_another_python_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "py{}{}_cu121".format(*sys.version_info[:2])
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    for name in (own + "/mine", "py26_cu90/theirs", "plain"):
        (tmp_path / name).mkdir(parents=True)
    assert sorted(caches.torch_extensions()) == [str(tmp_path / "plain"), str(tmp_path / own / "mine")]


def test_triton_only_by_the_whole_hashed_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "/t")
    hashed = "a" * 40
    assert next(caches.triton_files("/old/{}/launcher.so".format(hashed))) == "/t/{}/launcher.so".format(hashed)
    assert list(caches.triton_files("/old/build/launcher.so")) == []


def test_other_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WORKON_HOME", str(tmp_path / "work"))
    for name in ("CONDA_PREFIX", "CONDA_EXE", "MAMBA_ROOT_PREFIX", "PYENV_ROOT", "CONDA_ENVS_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("project/.venv", "project/venv39", "work/one", ".virtualenvs/two", "project/environment"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("")
    (tmp_path / "project" / "venv-notes").mkdir()
    (tmp_path / ".conda").mkdir()
    (tmp_path / "elsewhere" / "conda-meta").mkdir(parents=True)
    (tmp_path / ".conda" / "environments.txt").write_text("{}\n/gone\n".format(tmp_path / "elsewhere"))
    found = [one for one in prefixes.find_prefixes([], [str(tmp_path / "project")]) if one.startswith(str(tmp_path))]
    assert [os.path.relpath(one, str(tmp_path)) for one in found] == [
        "project/.venv", "project/venv39", "work/one", ".virtualenvs/two", "elsewhere",
    ]  # fmt: skip
    assert not prefixes.has_this_python(found[0])


def test_members_of_an_archive(tmp_path: Path) -> None:
    path = str(tmp_path / "a.whl")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x/libroi.so", "roi.so", "libroi.so.txt", "libroi.so/"):
            archive.writestr(name, b"")
    assert archives.find_members(path, names.Names("libroi.so", "ctypes")) == [
        ("x/libroi.so", "exact"), ("roi.so", "lib-prefix"),
    ]  # fmt: skip
    assert archives.split(path + "!/x/libroi.so") == (path, "x/libroi.so")
    assert archives.split(str(tmp_path / "b.whl") + "!/x") is None
    assert archives.container(path + "!/x/libroi.so") == path


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6", b"PK\5\6" + b"\xff" * 18, b"\0" * 100000])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(archives.Unreadable):
        archives.find_members(str(path), names.Names("libroi.so", "ctypes"))


def test_a_fifo_is_no_archive_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "a.whl"))
    with pytest.raises(archives.Unreadable):
        archives.find_members(str(tmp_path / "a.whl"), names.Names("libroi.so", "ctypes"))


@pytest.mark.parametrize("name", ["", "/x.so", "../x.so", "a/../x.so", "a//x.so", "a\\x.so", "./x.so", "a/"])
def test_names_that_are_not_unpacked(name: str) -> None:
    assert not unpack.is_safe(name) and unpack.is_safe("a/b.libs/x.so")


def test_trees_are_kept_once_and_damaged_ones_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))

    def keep(content: str) -> Any:
        tree = trees.new_tree()
        assert tree is not None
        Path(tree, "x").write_text(content)
        return trees.keep_tree(tree, "0" * 32, lambda final: Path(final, "x").read_text() == "good")

    first = keep("good")
    assert first and Path(first, "x").read_text() == "good"
    inode = os.stat(first).st_ino
    assert keep("good") == first and os.stat(first).st_ino == inode
    Path(first, "x").write_text("torn")
    assert keep("good") == first and Path(first, "x").read_text() == "good"
    assert os.listdir(os.path.dirname(first)) == ["0" * 32]


def load() -> Any:
    return look()


def look() -> Any:
    return uses.find_uses(sys._getframe(2))


class Kept:
    def __init__(self) -> None:
        self.lib = load()
        self.found = self.lib

    def use(self) -> None:
        self.lib.compute.argtypes = []
        self.lib["other"], getattr(self.lib, "third")  # noqa: B009
        if hasattr(self.lib, "newer"):
            self.lib.newer()
        try:
            self.lib.newest()
        except AttributeError:
            pass


def local() -> Any:
    lib = load()
    if not lib:
        return lib.never
    return lib, lambda: lib.first


def other() -> Any:
    lib = None
    try:
        lib = load()
    except OSError:
        lib = load()
    return lib, lambda: lib.second


def twice() -> Any:
    lib = load()
    kept = lib
    lib = load()
    return kept, lib, lambda: lib.third


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: Kept().found, ("compute", "other", "third")), (lambda: local()[0], ("first",)),
        (lambda: other()[0], ("second",)), (lambda: twice()[0], ()),
    ],
)  # fmt: skip
def test_what_a_caller_asks_for(found: Any, expected: Any) -> None:
    assert found() == expected
