"""The index of far places: what it finds, what it costs to find it again, and what damage does to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from searching import ROOT

from dlrepair import store
from dlrepair.search import catalogue, data, index, mounts, scan
from dlrepair.search.names import Names


@pytest.fixture(autouse=True)
def private_store(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    place = str(tmp_path / "store")
    monkeypatch.setenv("DLREPAIR_STORE", place)
    return place


@pytest.fixture
def root(tmp_path: Any) -> str:
    return str(tmp_path / "far")


def put(root: str, name: str, content: bytes = b"x") -> str:
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def settle(root: str) -> None:
    """Let the times of all directories be so old that they say something."""
    for directory, _, _ in os.walk(root):
        os.utime(directory, (1000000000, 1000000000))
    time.sleep(0.12)


def find(root: str, name: str, role: str = "substitute", seconds: float = 30.0, **more: Any) -> list[str]:
    notes: list[tuple[str, str]] = more.pop("notes", [])
    asked = index.Index([root], time.monotonic() + seconds, notes=notes, **more)
    asked.began = time.time() + 60.0  # nobody else's comparison is recent enough
    soname = name if role == "dependency" else ""
    return sorted(path for path, _, _ in asked.find_files(Names(name, "ctypes", role), soname))


def known(root: str, name: str) -> list[str]:
    asked = index.Index([root], time.monotonic() + 30.0)
    return sorted(path for path, _, _ in asked.find_known(Names(name, "ctypes")))


class Reads:
    """Counts the directories that scans read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        plain = os.scandir

        def scandir(path: Any) -> Any:
            self.paths.append(os.fsdecode(path))
            return plain(path)

        monkeypatch.setattr(scan.os, "scandir", scandir)


def test_what_was_found_once_is_known_without_reading_a_directory(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(root, "a/b/c/libfoo.so.1")
    put(root, "a/notes.txt")
    assert known(root, "libfoo.so.1") == []
    assert find(root, "libfoo.so.1") == [path]
    reads = Reads(monkeypatch)
    assert known(root, "libfoo.so.1") == [path]
    assert reads.paths == []


def test_only_changed_directories_are_read_again(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        put(root, "part%d/notes.txt" % number)
    old = put(root, "part3/libfoo.so")
    settle(root)
    assert find(root, "libfoo.so") == [old]
    reads = Reads(monkeypatch)
    assert find(root, "libfoo.so") == [old]
    assert reads.paths == []
    new = put(root, "part7/libfoo.so")
    os.unlink(old)
    deep = put(root, "part9/new/deeper/libfoo.so")
    assert find(root, "libfoo.so") == sorted([new, deep])
    assert sorted(os.path.relpath(path, root) for path in reads.paths) == [
        "part3", "part7", "part9", "part9/new", "part9/new/deeper",
    ]  # fmt: skip


def test_a_directory_put_in_anothers_place_with_its_times_is_read(root: str, tmp_path: Any) -> None:
    put(root, "lib/notes.txt")
    settle(root)
    assert find(root, "libfoo.so") == []
    path = put(str(tmp_path), "other/libfoo.so")
    info = os.stat(os.path.join(root, "lib"))
    os.rename(os.path.join(root, "lib"), str(tmp_path / "gone"))
    os.rename(str(tmp_path / "other"), os.path.join(root, "lib"))
    os.utime(os.path.join(root, "lib"), ns=(info.st_atime_ns, info.st_mtime_ns))
    os.utime(root, (1000000000, 1000000000))
    assert find(root, "libfoo.so") == [os.path.join(root, "lib", os.path.basename(path))]


def test_what_is_gone_is_not_proposed(root: str) -> None:
    path = put(root, "lib/libfoo.so")
    assert find(root, "libfoo.so") == [path]
    os.unlink(path)
    assert known(root, "libfoo.so") == []


def test_a_scan_that_ran_out_of_time_is_continued(root: str) -> None:
    for number in range(400):
        put(root, "d%03d/e/f/notes.txt" % number)
    path = put(root, "d399/e/f/g/libfoo.so")
    notes: list[tuple[str, str]] = []
    writer = catalogue.Writer(catalogue.place(create=True))
    assert writer.lock(time.monotonic() + 1)
    tally = index.refresh(writer, [root], time.monotonic() - 1.0)
    writer.close()
    assert not tally.whole and tally.directories == 1 + scan._STRIDE
    assert tally.notes == [(root, "search budget used up: the index of it is continued next time")]
    assert find(root, "libfoo.so", notes=notes) == [path]
    assert [note for note in notes if "indexed" not in note[1]] == []
    reader = catalogue.Catalogue(catalogue.file_path(catalogue.place(create=False)))
    assert reader.is_whole(root) and reader.counts()[0] == 1 + 400 * 3 + 1
    reader.close()


@pytest.mark.parametrize("name", ["libfoo.so.1", "libfoo.so", "foo.so", "libfoo.so.1.2.3"])
def test_names_are_matched_by_the_same_rules_as_elsewhere(root: str, name: str) -> None:
    path = put(root, "x/" + name)
    put(root, "x/libfood.so.1")
    put(root, "x/libfoo.so.2")
    assert path in find(root, "libfoo.so.1")
    assert os.path.join(root, "x/libfood.so.1") not in find(root, "libfoo.so.1")
    assert os.path.join(root, "x/libfoo.so.2") not in find(root, "libfoo.so.1")


def test_a_dependency_is_found_by_its_soname(root: str) -> None:
    from searching import compile_library

    path = compile_library(os.path.join(root, "x/renamed-build.so"), soname="libfoo.so.1")
    put(root, "y/libbar.so", b"\x7fELF")
    os.mkfifo(os.path.join(root, "y/libpipe.so"))
    assert find(root, "libfoo.so.1", role="dependency") == [path]
    asked = index.Index([root], time.monotonic() + 30.0)
    found = list(asked.find_known(Names("libfoo.so.1", "ctypes", "dependency"), "libfoo.so.1"))
    assert found == [(path, "soname", root)]
    assert find(root, "libfoo.so.1") == []


def test_a_name_of_any_bytes(root: str) -> None:
    path = put(root, os.fsdecode(b"caf\xe9 %?#/libfoo.so"))
    assert find(root, "libfoo.so") == [path]


def test_a_directory_of_data_is_left_early_and_asked_for_the_name(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(data.SAMPLE + 50):
        put(root, "images/%06d.jpg" % number)
    path = put(root, "images/libfoo.so")
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == [path]
    assert (os.path.join(root, "images"), "nothing but files of data") in notes or len(notes) == 1
    reader = catalogue.Catalogue(catalogue.file_path(catalogue.place(create=False)))
    assert reader.counts()[0] == 2
    reader.close()


def test_siblings_of_directories_of_data_are_not_opened(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SIBLINGS", 4)
    for number in range(3 * data.SIBLINGS):
        for picture in range(data.SAMPLE + 10):
            put(root, "train/n%04d/%d.jpeg" % (number, picture))
    reads = Reads(monkeypatch)
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == []
    assert len(reads.paths) == 2 + data.SIBLINGS
    assert (os.path.join(root, "train"), "directories of data: the others are not read") in notes


def test_excluded_directories_are_not_read_until_they_are_no_longer(root: str) -> None:
    path = put(root, "secret/libfoo.so")
    assert find(root, "libfoo.so", excluded=lambda one: one.endswith("secret")) == []
    assert find(root, "libfoo.so") == [path]


MOUNTINFO = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/local rw - tmpfs tmpfs rw
42 27 0:42 / /mnt/with\\040blank rw - cifs //server/share rw
43 27 0:43 / /net rw - autofs /etc/auto.net rw
44 27 0:44 / /mnt/s3 rw - fuse.s3fs s3fs rw
45 27 0:45 / /containers rw - fuse.fuse-overlayfs fuse-overlayfs rw
46 27 0:46 / /twice rw - nfs old:/ rw
47 27 0:47 / /twice rw - ext4 /dev/sdb rw
broken line
"""


def test_slow_mounts_are_told_from_mountinfo() -> None:
    slow = mounts.parse(MOUNTINFO)
    assert slow == {
        "/proc": "proc", "/home": "nfs4", "/mnt/with blank": "cifs", "/net": "autofs", "/mnt/s3": "fuse.s3fs",
    }  # fmt: skip
    assert "nfs4" in mounts.why_slow("/home/me/lib", slow)
    assert mounts.why_slow("/homeless", slow) == ""
    assert mounts.parse(MOUNTINFO.replace(b"- ext4 /dev/vda", b"- nfs4 server:/root")).get("/home") is None


def test_a_network_file_system_is_neither_entered_nor_asked(
    root: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "nfs/libfoo.so")
    near = put(root, "disk/libfoo.so")
    text = tmp_path / "mountinfo"
    text.write_bytes(MOUNTINFO + b"50 27 0:50 / " + os.fsencode(root) + b"/nfs rw - nfs server:/x rw\n")
    monkeypatch.setattr(mounts.find_slow, "__defaults__", (str(text),))
    reads = Reads(monkeypatch)
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == [near]
    assert os.path.join(root, "nfs") not in reads.paths
    assert notes[:1] == [(os.path.join(root, "nfs"), "a network file system (nfs): not walked")]
    notes = []
    assert find(os.path.join(root, "nfs"), "libfoo.so", notes=notes) == []
    assert notes[:1] == [(os.path.join(root, "nfs"), "a network file system (nfs): not walked")]


def damage_garbage(path: str) -> None:
    with open(path, "wb") as stream:
        stream.write(os.urandom(20000))


def damage_middle(path: str) -> None:
    size = os.path.getsize(path)
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(size - 4096))


def damage_truncated(path: str) -> None:
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) // 2 + 100)


def damage_empty(path: str) -> None:
    with open(path, "wb"):
        pass


def damage_schema(path: str) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.execute("DROP TABLE libraries")
    connection.close()


def damage_tables(path: str) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE data")
    connection.close()


DAMAGES = [damage_garbage, damage_middle, damage_truncated, damage_empty, damage_schema, damage_tables]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_a_damaged_index_is_made_anew(root: str, damage: Any) -> None:
    for number in range(200):
        put(root, "some/rather/long/name/of/a/directory/%03d/libnumber%d.so" % (number, number))
    path = put(root, "lib/libfoo.so")
    assert find(root, "libfoo.so") == [path]
    file = catalogue.file_path(catalogue.place(create=False))
    damage(file)
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == [path]
    assert [place for place, reason in notes if reason.startswith("made anew: ")] == ["index"], notes
    assert known(root, "libfoo.so") == [path]


def test_a_store_that_cannot_hold_it(root: str, private_store: str) -> None:
    path = put(root, "lib/libfoo.so")
    put(private_store, "index")  # a file where the directory should be
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == [path]
    assert [reason[:10] for _, reason in notes] == ["not used: "]


def test_a_full_disk(root: str, private_store: str) -> None:
    """The limit on the size of files stands for it: writing fails in the middle, as on a full disk."""
    path = put(root, "lib/libfoo.so")
    for number in range(300):
        put(root, "part%d/libbar%d.so" % (number, number))
    code = """if True:
        import resource, sys, time
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        from dlrepair.search import index
        from dlrepair.search.names import Names
        notes = []
        asked = index.Index([sys.argv[1]], time.monotonic() + 30, notes=notes)
        print([path for path, _, _ in asked.find_files(Names("libfoo.so", "ctypes"))])
        print(notes[0][0], notes[0][1][:9])
        """
    done = subprocess.run(
        [sys.executable, "-c", code, root], env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.stdout == "['%s']\nindex not used:\n" % path
    assert [name for name in os.listdir(os.path.join(private_store, "index")) if name.startswith(".tmp")] == []


@pytest.mark.parametrize("module", [None, type(sys)("_sqlite3")], ids=["missing", "half-imported"])
def test_without_sqlite_the_places_are_walked(root: str, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    path = put(root, "lib/libfoo.so")
    monkeypatch.setitem(sys.modules, "_sqlite3", module)
    notes: list[tuple[str, str]] = []
    assert find(root, "libfoo.so", notes=notes) == [path]
    assert notes[0][0] == "index" and notes[0][1].startswith("not used: SQLite cannot be imported")


def test_while_another_process_scans_one_waits_for_a_bounded_time(root: str) -> None:
    path = put(root, "lib/libfoo.so")
    assert find(root, "libfoo.so") == [path]
    new = put(root, "more/libfoo.so")
    writer = catalogue.Writer(catalogue.place(create=True))
    assert writer.lock(time.monotonic() + 1)
    try:
        notes: list[tuple[str, str]] = []
        assert find(root, "libfoo.so", seconds=0.8, notes=notes) == [path]
        assert notes[:1] == [("index", "another process is scanning: what it has not found yet is not known")]
    finally:
        writer.close()
    assert find(root, "libfoo.so") == sorted([path, new])


def test_the_store_knows_its_index(root: str, private_store: str) -> None:
    put(root, "lib/libfoo.so")
    assert find(root, "libfoo.so")
    names = {os.path.basename(entry[1]) for entry in store.entries() if entry[0] == "index"}
    assert {"libraries.sqlite", "lock"} <= names
    assert oct(os.stat(os.path.join(private_store, "index", "libraries.sqlite")).st_mode & 0o777) == "0o600"
    assert store.clear()[0] >= 2
    assert find(root, "libfoo.so") != []


def test_what_a_killed_writer_left_goes(root: str, private_store: str) -> None:
    put(root, "lib/libfoo.so")
    left = put(private_store, "index/.tmp-1-abc", b"half")
    os.chmod(private_store, 0o700)
    assert find(root, "libfoo.so")
    assert not os.path.exists(left)


def test_far_roots_never_hold_a_whole_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(tmp_path / "home")
    put(home, ".virtualenvs/x/pyvenv.cfg")
    put(home, "work/secret.txt")
    monkeypatch.setenv("HOME", home)
    found = index.far_roots(prefixes=(home, os.path.dirname(home), "/", "relative"))
    assert os.path.join(home, ".virtualenvs") in found
    assert not {home, os.path.dirname(home), "/", "relative"} & set(found)


def test_a_project_is_walked_around_network_mounts_and_data(
    root: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read live keeps the same rules as the index."""
    from dlrepair.search import walk

    monkeypatch.setattr(data, "SIBLINGS", 4)
    for number in range(3 * data.SIBLINGS):
        for picture in range(data.SAMPLE + 10):
            put(root, "train/n%04d/%d.jpeg" % (number, picture))
    put(root, "nfs/libfoo.so")
    hidden = put(root, "train/n0011/libfoo.so")
    text = tmp_path / "mountinfo"
    text.write_bytes(MOUNTINFO + b"50 27 0:50 / " + os.fsencode(root) + b"/nfs rw - nfs server:/x rw\n")
    monkeypatch.setattr(mounts.find_slow, "__defaults__", (str(text),))
    reader = walk.Reader(Names("libfoo.so", "ctypes"), time.monotonic() + 30.0, lambda path: False)
    assert [path for path, _, _ in reader.walk(root)] == [hidden]
    assert (os.path.join(root, "nfs"), "a network file system (nfs): not walked") in reader.notes
    assert reader.directories == 2 + data.SIBLINGS
    # whoever keeps the project itself on such a file system is served all the same
    inside = walk.Reader(Names("libfoo.so", "ctypes"), time.monotonic() + 30.0, lambda path: False)
    assert list(inside.walk(os.path.join(root, "nfs"))) == []
    inside = walk.Reader(Names("libfoo.so", "ctypes"), time.monotonic() + 30.0, lambda path: False)
    inside.serve([os.path.join(root, "nfs", "project")])
    assert len(list(inside.walk(os.path.join(root, "nfs")))) == 1
    # a link into it is not followed: to ask where it leads would be to ask the server
    os.symlink(os.path.join(root, "nfs"), os.path.join(root, "linked"))
    linked = walk.Reader(Names("libfoo.so", "ctypes"), time.monotonic() + 30.0, lambda path: False)
    assert [path for path, _, _ in linked.walk(root)] == [hidden]
