"""The store: private, whole or absent, bounded, and nobody misses it when it is deleted."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time

import pytest

from dlrepair import store
from dlrepair.store import records

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    monkeypatch.setattr(store, "_problem", None)
    monkeypatch.setattr(store, "_configured", "")


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "libx.so.1.2"
    path.write_bytes(b"\x7fELF")
    return str(path)


KEY = store.key_of("request", "/a/b.so")


def record_path(key=KEY):
    return os.path.join(store.root(), "remembered", key)


# --- where it lies -------------------------------------------------------------------------------------------------


def test_it_is_private_whatever_the_umask(target):
    old = os.umask(0)
    try:
        base = store.root()
        store.remember(KEY, {"a": "b"})
        store.add_link("libx.so.1", target)
    finally:
        os.umask(old)
    assert base == os.path.join(os.environ["XDG_CACHE_HOME"], "dlrepair")
    for directory, _, names in os.walk(base):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        assert all(os.lstat(os.path.join(directory, name)).st_mode & 0o177 == 0 or
                   os.path.islink(os.path.join(directory, name)) for name in names)  # fmt: skip


def test_setting_then_environment_then_default(tmp_path, monkeypatch):
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "environment"))
    assert store.root() == str(tmp_path / "environment")
    store.use(str(tmp_path / "setting"))
    assert store.root() == str(tmp_path / "setting")
    store.use("")
    monkeypatch.delenv("DLREPAIR_STORE")
    assert store.root() == os.path.join(os.environ["XDG_CACHE_HOME"], "dlrepair")


def test_nothing_is_made_by_looking():
    assert store.root(create=False) is None
    assert store.recall(KEY) is None
    store.forget(KEY)
    assert (store.size(), store.clear(), store.gc(), list(store.entries())) == ((0, 0), (0, 0), (0, 0), [])
    assert not os.path.exists(store.location())
    assert store.problem() is None


def refused():
    assert store.root() is None
    assert store.recall(KEY) is None
    assert store.remember(KEY, {"a": "b"}) is False
    assert store.add_link("libx.so", "/bin/sh") is None
    assert store.size() == store.clear() == store.gc() == (0, 0)
    return store.problem()


def test_a_directory_that_others_can_write():
    os.makedirs(store.location())
    os.chmod(store.location(), 0o770)
    assert "is writable by others (mode 0770)" in refused()


def test_a_directory_of_another_user(foreign):
    os.makedirs(store.location(), 0o700)
    foreign(store.location())
    assert "belongs to another user" in refused()


def test_a_file_in_its_place():
    os.makedirs(os.path.dirname(store.location()))
    open(store.location(), "w").close()
    assert "is not a directory" in refused()


def test_a_place_where_nothing_can_be_made():
    store.use("/proc/dlrepair-test")
    assert "/proc/dlrepair-test" in refused()


def test_no_home_directory(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert refused() == "there is no home directory for the store"


def test_somebody_elses_directory_is_not_adopted(tmp_path):
    """DLREPAIR_STORE=.git must not cost a repository its objects."""
    os.makedirs(str(tmp_path / ".git" / "objects" / "pack"))
    os.chmod(str(tmp_path / ".git"), 0o700)
    store.use(str(tmp_path / ".git"))
    assert "holds files that are not dlrepair's" in refused()
    assert os.path.isdir(str(tmp_path / ".git" / "objects" / "pack"))


def test_other_files_in_it_are_left_alone(tmp_path, target):
    base = tmp_path / "mixed"
    base.mkdir(0o700)
    (base / "notes.txt").write_text("mine")
    store.use(str(base))
    assert store.remember(KEY, {"a": "b"}) and store.add_link("libx.so", target)
    store.clear()
    assert sorted(os.listdir(str(base))) == ["CACHEDIR.TAG", "notes.txt"]


def test_a_store_that_lost_its_tag_is_known_by_its_names():
    """Who deletes the store while it is in use may remove the tag and leave what is written meanwhile."""
    store.remember(KEY, {"a": "b"})
    os.unlink(os.path.join(store.root(), "CACHEDIR.TAG"))
    assert store.recall(KEY) == {"a": "b"}
    assert store.remember(store.key_of("other"), {"a": "b"})
    assert os.path.exists(os.path.join(store.location(), "CACHEDIR.TAG"))
    assert store.recall(KEY) == {"a": "b"}


def test_backups_leave_it_out():
    with open(os.path.join(store.root(), "CACHEDIR.TAG"), "rb") as stream:
        assert stream.read().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


# --- records -------------------------------------------------------------------------------------------------------


def test_keys():
    assert len(KEY) == 32 and int(KEY, 16) >= 0
    assert store.key_of("request", "/a/b.so") == KEY
    assert (
        len({store.key_of(*parts) for parts in [(), ("",), ("", ""), ("a", "b"), ("ab",), ("ab", ""), ("1:a",)]}) == 7
    )
    assert store.key_of("\udcff", "\ud800", "\U0001f600") != store.key_of("?")
    data = b"7:request7:/a/b.so"
    assert hashlib.blake2b(data, digest_size=16).hexdigest() == KEY


def test_a_key_without_any_hash_module(monkeypatch):
    """FNV-1a's published values: what is broken may be the very module that hashes."""
    assert records._fnv(b"") == "6c62272e07bb014262b821756295c58d"
    assert records._fnv(b"a") == "d228cb696f1a8caf78912b704e4a8964"
    monkeypatch.setitem(sys.modules, "_blake2", None)
    assert store.key_of("request", "/a/b.so") == KEY
    monkeypatch.setitem(sys.modules, "hashlib", None)
    assert len(store.key_of("a")) == 32 and store.key_of("a") != store.key_of("b")
    assert store.remember(KEY, {"a": "b"}) and store.recall(KEY) == {"a": "b"}


RECORDS = [
    {},
    {"": ""},
    {"path": "/a b/c.so", "cause": "file-missing"},
    {"a": "line\nline\ttab\\n\\\\t\r\0\x7f", "b\t\n\\": "\n"},
    {"a": "\udcff\ud800 \u20ac \U0001f600", "b": "end\t" + "0" * 32},
    {"big": "x" * 60000},
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_records_come_back(record):
    assert store.remember(KEY, record) is True
    assert store.recall(KEY) == record
    assert store.recall(store.key_of("other")) is None
    store.forget(KEY)
    assert store.recall(KEY) is None
    store.forget(KEY)


def test_a_record_too_large_is_not_kept():
    assert store.remember(KEY, {"a": "b"})
    assert store.remember(KEY, {"big": "x" * 70000}) is False
    assert store.recall(KEY) == {"a": "b"}


@pytest.mark.parametrize("key", ["", "a", "../../../etc/passwd", "a" * 31 + "/", "a\0" * 8, "\u00e9" * 10, "x" * 200])
def test_a_key_is_a_digest_and_no_path(key):
    assert store.remember(key, {"a": "b"}) is False
    assert store.recall(key) is None
    store.forget(key)


def test_a_damaged_record_is_none():
    store.remember(KEY, {"path": "/a/b.so", "strategy": "substitute"})
    with open(record_path(), "rb") as stream:
        whole = stream.read()
    for length in range(len(whole)):
        with open(record_path(), "wb") as stream:
            stream.write(whole[:length])
        assert store.recall(KEY) is None
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        with open(record_path(), "wb") as stream:
            stream.write(bytes(changed))
        assert store.recall(KEY) is None
    with open(record_path(), "wb") as stream:
        stream.write(whole + b"x")
    assert store.recall(KEY) is None


def test_a_record_that_others_could_have_written(foreign):
    store.remember(KEY, {"a": "b"})
    os.chmod(record_path(), 0o666)
    assert store.recall(KEY) is None
    os.chmod(record_path(), 0o600)
    assert store.recall(KEY) == {"a": "b"}
    foreign(record_path())
    assert store.recall(KEY) is None


def test_something_else_in_place_of_a_record():
    store.remember(KEY, {"a": "b"})
    moved = record_path(store.key_of("moved"))
    os.rename(record_path(), moved)
    os.symlink(moved, record_path())
    assert store.recall(KEY) is None
    os.unlink(record_path())
    os.mkfifo(record_path())
    assert store.recall(KEY) is None
    os.unlink(record_path())
    os.mkdir(record_path())
    assert store.recall(KEY) is None
    assert store.remember(KEY, {"a": "b"}) is False
    assert not [name for name in os.listdir(os.path.dirname(record_path())) if name.startswith(".tmp-")]


def test_the_least_recently_used_records_go(monkeypatch):
    monkeypatch.setattr(store, "MAX_RECORDS", 20)
    keys = [store.key_of(str(number)) for number in range(21)]
    for number, key in enumerate(keys[:20]):
        store.remember(key, {"number": str(number)})
        os.utime(record_path(key), (1000 + number, 1000 + number))
    assert store.recall(keys[0]) == {"number": "0"}  # used just now
    store.remember(keys[20], {"number": "20"})
    left = [number for number, key in enumerate(keys) if store.recall(key) is not None]
    assert left == [0, *range(4, 21)]


def test_remembering_is_quick():
    store.remember(KEY, {"path": "/a/b.so", "strategy": "substitute", "facts": "x" * 500})
    store.recall(KEY)
    took = []
    for _ in range(50):
        began = time.perf_counter()
        store.recall(KEY)
        took.append(time.perf_counter() - began)
    assert sorted(took)[5] < 0.001


# --- links ---------------------------------------------------------------------------------------------------------


def test_a_link_is_made_once_and_verified(target):
    path = store.add_link("libx.so.1", target)
    assert os.path.basename(path) == "libx.so.1" and os.readlink(path) == os.path.realpath(target)
    assert path.startswith(os.path.join(store.root(), "links") + os.sep)
    assert store.add_link("libx.so.1", target) == path
    os.unlink(path)
    os.symlink("/somewhere/else", path)
    assert store.add_link("libx.so.1", target) == path
    assert os.readlink(path) == os.path.realpath(target)
    os.unlink(path)
    with open(path, "w") as stream:
        stream.write("not a link")
    assert store.add_link("libx.so.1", target) == path and os.path.islink(path)


def test_two_libraries_of_one_name_never_meet(target, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(target, str(other))
    first = store.add_link("libx.so", target)
    second = store.add_link("libx.so", str(other / "libx.so.1.2"))
    assert first != second and os.path.dirname(first) != os.path.dirname(second)
    third = store.add_link("liby.so", target)
    assert os.path.dirname(third) == os.path.dirname(first)


def test_a_link_leads_to_the_real_file(target, tmp_path):
    os.symlink(target, str(tmp_path / "alias.so"))
    assert store.add_link("libx.so", str(tmp_path / "alias.so")) == store.add_link("libx.so", target)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0b", "x" * 256, "\u20ac" * 100])
def test_a_name_that_is_none(target, name):
    assert store.add_link(name, target) is None


@pytest.mark.parametrize("name", ["\udcff.so", "a b\n.so", "-l.so", ".hidden"])
def test_odd_names(target, name):
    path = store.add_link(name, target)
    assert os.path.samefile(path, target)


@pytest.mark.parametrize("missing", ["/no/such/file", "", "a\0b", "x" * 5000])
def test_no_link_to_nothing(missing, tmp_path, monkeypatch):
    gone = tmp_path / "empty"
    gone.mkdir()
    monkeypatch.chdir(str(gone))
    if missing:
        assert store.add_link("libx.so", missing) is None


def test_links_are_bounded(target, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_LINKS", 10)
    for number in range(30):
        path = tmp_path / "t{}".format(number)
        path.write_bytes(b"")
        link = store.add_link("libx.so", str(path))
        assert os.path.exists(link)
    assert len(os.listdir(os.path.join(store.root(), "links"))) <= 10


# --- housekeeping --------------------------------------------------------------------------------------------------


def test_entries_size_and_clear(target):
    link = store.add_link("libx.so", target)
    store.remember(KEY, {"a": "b"})
    found = {entry[0]: entry for entry in store.entries()}
    assert set(found) == {"links", "remembered"}
    assert found["links"][1:3] == (link, os.path.realpath(target))
    assert found["remembered"][1] == record_path() and found["remembered"][3] == os.path.getsize(record_path())
    size = store.size()
    assert size[0] == 2
    assert store.clear() == size
    assert store.size() == (0, 0) and os.path.exists(target)
    assert store.add_link("libx.so", target) and store.remember(KEY, {"a": "b"})


def test_clear_follows_no_link(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("x")
    store.remember(KEY, {"a": "b"})
    os.symlink(str(victim), os.path.join(store.root(), "links"))
    os.symlink(str(victim), os.path.join(store.root(), "remembered", "link"))
    store.clear()
    assert (victim / "file").read_text() == "x"


def test_gc(target, tmp_path, monkeypatch):
    other = tmp_path / "other.so"
    other.write_bytes(b"")
    kept, dangling = store.add_link("libx.so", target), store.add_link("libo.so", str(other))
    store.remember(KEY, {"a": "b"})
    damaged = store.key_of("damaged")
    store.remember(damaged, {"a": "b"})
    with open(record_path(damaged), "a") as stream:
        stream.write("x")
    old, new = (os.path.join(store.root(), "remembered", ".tmp-1-" + name) for name in ("old", "new"))
    for path in (old, new):
        with open(path, "w"):
            pass
    os.utime(old, (1, 1))
    objects = os.path.join(store.root(), "objects")
    os.mkdir(objects)
    for number in range(4):
        with open(os.path.join(objects, store.key_of(str(number))), "wb") as stream:
            stream.write(b"x" * 100)
        os.utime(os.path.join(objects, store.key_of(str(number))), (number, number))
    monkeypatch.setattr("dlrepair.store.objects.MAX_BYTES", 250)
    other.unlink()
    files, size = store.gc()
    assert files == 5 and size > 200
    assert os.path.exists(kept) and not os.path.lexists(os.path.dirname(dangling))
    assert store.recall(KEY) == {"a": "b"} and not os.path.exists(record_path(damaged))
    assert os.path.exists(new) and not os.path.exists(old)
    assert sorted(os.listdir(objects)) == sorted([store.key_of("2"), store.key_of("3")])
    assert store.gc() == (0, 0)


# --- together ------------------------------------------------------------------------------------------------------

WORKER = """
import os, shutil, sys
from dlrepair import store
who, target = int(sys.argv[1]), sys.argv[2]
for turn in range(6):
    shared = store.key_of("shared", str(turn % 3))
    store.remember(shared, {"who": str(who), "twice": "x" * (who * 50) + str(who), "n": str(who)})
    found = store.recall(shared)
    assert found is None or found["who"] == found["n"] and found["twice"] == "x" * (int(found["n"]) * 50) + found["n"]
    path = store.add_link("libx.so.%d" % (turn % 4), target)
    assert path is None or os.path.basename(path).startswith("libx.so.")
    if path is not None and who % 16:
        try:
            assert os.readlink(path) == os.path.realpath(target)
        except FileNotFoundError:
            pass
    if who % 16 == 0:
        store.clear() if turn % 2 else store.gc()
    if who == 33 and turn == 3:
        shutil.rmtree(store.location(), ignore_errors=True)
"""


def test_sixty_four_processes_and_somebody_who_deletes(target):
    children = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(who), target], cwd=ROOT, stderr=subprocess.PIPE)
        for who in range(64)
    ]
    errors = [child.communicate(timeout=300)[1].decode() for child in children]
    assert [error for error in errors if error] == []
    assert [child.returncode for child in children] == [0] * 64
    assert store.remember(KEY, {"a": "b"}) and store.recall(KEY) == {"a": "b"}
    leftovers = [entry for entry in store.entries() if os.path.basename(entry[1]).startswith(".tmp-")]
    assert leftovers == []
