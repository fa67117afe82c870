"""Trust: who could have written a file, seen from every directory and link on the way to it."""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading

import pytest

from dlrepair import trust
from dlrepair.settings import dirs
from dlrepair.trust import people

WORLD = "is writable by others (mode {})"


@pytest.fixture
def base(home, tmp_path):
    """A directory of this user, reached through directories that nobody else can write, but /tmp."""
    os.chmod(str(tmp_path), 0o755)
    directory = tmp_path / "project"
    directory.mkdir(0o755)
    return str(directory)


def make(*parts, mode=0o644):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with open(path, "w") as stream:
        stream.write("x")
    os.chmod(path, mode)
    return path


def test_a_file_of_this_user(base):
    path = make(base, "build", "x.so")
    assert trust.check(path) is None
    assert trust.check(base) is None


def test_files_of_the_system():
    assert trust.check("/bin/sh") is None
    assert trust.check("/usr/lib") is None
    assert trust.check("/") is None


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o647, 0o777])
def test_a_file_that_others_can_write(base, mode):
    path = make(base, "x.so", mode=mode)
    assert trust.check(path) == "file {} {}".format(path, WORLD.format("{:04o}".format(mode)))


@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_a_directory_that_others_can_write(base, mode):
    path = make(base, "open", "inner", "x.so")
    os.chmod(os.path.join(base, "open"), mode)
    clause = "directory {} {}".format(os.path.join(base, "open"), WORLD.format("{:04o}".format(mode)))
    assert trust.check(path) == clause
    assert trust.check(os.path.dirname(path)) == clause


def test_a_sticky_directory_may_lie_above_a_directory_but_not_above_a_file(base):
    inner = make(base, "tmp", "mine", "x.so")
    bare = make(base, "tmp", "x.so")
    os.chmod(os.path.join(base, "tmp"), 0o1777)
    assert trust.check(inner) is None
    assert trust.check(bare) == "directory {} {}".format(os.path.join(base, "tmp"), WORLD.format("1777"))
    assert trust.check(os.path.join(base, "tmp")) is not None


def test_a_file_of_another_user(base, foreign):
    path = make(base, "x.so")
    foreign(path)
    clause = trust.check(path)
    assert "belongs to" in clause and ("54321" in clause or os.geteuid() != 0)


def test_a_directory_of_another_user(base, foreign):
    path = make(base, "his", "x.so")
    foreign(os.path.join(base, "his"))
    assert "belongs to" in trust.check(path)


def test_another_users_directory_below_a_sticky_one(base, foreign):
    path = make(base, "tmp", "his", "x.so")
    os.chmod(os.path.join(base, "tmp"), 0o1777)
    foreign(os.path.join(base, "tmp", "his"))
    assert "belongs to" in trust.check(path)


def test_the_owner_of_the_script_is_trusted(base, foreign):
    """A container's root over a project mounted from a user's home."""
    script, path = make(base, "train.py"), make(base, "build", "x.so")
    for each in (script, path, os.path.dirname(path)):
        foreign(each)
    assert "belongs to" in trust.check(path)
    if os.geteuid() == 0:
        assert trust.check(path, script) is None
    else:
        assert trust.owners(script) == {0, 54321, os.getuid()}
    assert "belongs to" in trust.check(path, os.path.join(base, "missing.py"))


# --- links ---------------------------------------------------------------------------------------------------------


def test_links_of_every_kind(base):
    path = make(base, "build", "x.so.1")
    os.symlink("x.so.1", os.path.join(base, "build", "x.so"))
    os.symlink("build", os.path.join(base, "out"))
    os.symlink(os.path.join(base, "out", "x.so"), os.path.join(base, "absolute.so"))
    os.symlink("out/../build/./x.so", os.path.join(base, "dots.so"))
    for name in ("build/x.so", "out/x.so", "absolute.so", "dots.so"):
        assert trust.check(os.path.join(base, name)) is None
    os.chmod(path, 0o666)
    for name in ("build/x.so", "out/x.so", "absolute.so", "dots.so"):
        assert trust.check(os.path.join(base, name)) == "file {} {}".format(path, WORLD.format("0666"))


def test_the_directories_of_a_link_count_too(base):
    make(base, "good", "x.so")
    os.mkdir(os.path.join(base, "bad"))
    os.symlink("../good/x.so", os.path.join(base, "bad", "x.so"))
    os.symlink("bad/x.so", os.path.join(base, "x.so"))
    assert trust.check(os.path.join(base, "x.so")) is None
    os.chmod(os.path.join(base, "bad"), 0o777)
    for name in ("bad/x.so", "x.so"):
        assert trust.check(os.path.join(base, name)) == "directory {}/bad {}".format(base, WORLD.format("0777"))


def test_dot_dot_after_a_link_is_the_parent_of_its_target(base):
    make(base, "deep", "dir", "marker")
    make(base, "deep", "x.so", mode=0o666)
    make(base, "x.so")
    os.symlink("deep/dir", os.path.join(base, "link"))
    assert "deep/x.so" in trust.check(os.path.join(base, "link", "..", "x.so"))
    assert trust.check(os.path.join(base, "deep", "..", "x.so")) is None


def test_a_link_of_another_user_in_a_sticky_directory(base, foreign):
    make(base, "good", "x.so")
    os.mkdir(os.path.join(base, "tmp"))
    os.chmod(os.path.join(base, "tmp"), 0o1777)
    os.symlink(os.path.join(base, "good"), os.path.join(base, "tmp", "link"))
    assert trust.check(os.path.join(base, "tmp", "link", "x.so")) is None
    os.symlink(os.path.join(base, "good", "x.so"), os.path.join(base, "tmp", "x.so"))
    assert "tmp is writable by others" in trust.check(os.path.join(base, "tmp", "x.so"))
    foreign(os.path.join(base, "tmp", "link"))
    assert "belongs to" in trust.check(os.path.join(base, "tmp", "link", "x.so"))


def test_link_loops_and_long_chains(base):
    os.symlink("b", os.path.join(base, "a"))
    os.symlink("a", os.path.join(base, "b"))
    assert "too many symbolic links" in trust.check(os.path.join(base, "a"))
    os.symlink("self/self/self", os.path.join(base, "self"))
    assert "too many symbolic links" in trust.check(os.path.join(base, "self"))
    make(base, "l0")
    for number in range(45):
        os.symlink("l{}".format(number), os.path.join(base, "l{}".format(number + 1)))
    assert trust.check(os.path.join(base, "l39")) is None
    assert "too many symbolic links" in trust.check(os.path.join(base, "l45"))


# --- groups and access control lists -------------------------------------------------------------------------------


def tables(monkeypatch, passwd, group):
    monkeypatch.setattr(people, "_tables", {})
    real = people._table

    def table(path):
        lines = {"/etc/passwd": passwd, "/etc/group": group}.get(path)
        return real(path) if lines is None else [line.split(":") for line in lines if line.count(":") > 2]

    monkeypatch.setattr(people, "_table", table)


ME, OTHER = "me:x:700:700::/:/bin/sh", "bob:x:701:701::/:/bin/sh"


@pytest.mark.parametrize(
    "passwd, group, gid, private",
    [
        ([ME, OTHER], ["me:x:700:"], 700, True),
        ([ME, OTHER], ["me:x:700:me"], 700, True),
        ([ME, OTHER], ["me:x:700:me,bob"], 700, False),
        ([ME, "bob:x:701:700::/:/bin/sh"], ["me:x:700:"], 700, False),
        ([ME], ["users:x:700:"], 700, True),
        ([ME, "bob:x:701:700::/:/bin/sh"], ["users:x:700:"], 700, False),
        ([ME], ["dev:x:50:me"], 50, False),
        ([ME], ["dev:x:50:"], 50, False),
        ([ME], ["root:x:0:"], 0, True),
        ([ME], ["root:x:0:root"], 0, True),
        (["root:x:0:0::/:/bin/sh", ME], ["root:x:0:root"], 0, True),
        ([ME], ["root:x:0:bob"], 0, False),
        ([ME], [], 54322, False),
        ([], ["me:x:54323:"], 54323, False),
        (["broken", "me:x:zz:700::"], ["me:x:700:", "::::"], 700, False),
    ],
)
def test_private_groups(monkeypatch, passwd, group, gid, private):
    if group == ["root:x:0:root"] and len(passwd) == 1:
        passwd = passwd + ["root:x:0:0::/:/bin/sh"]
    tables(monkeypatch, passwd, group)
    assert people.private_group(gid, frozenset((0, 700))) is private


def test_a_file_that_a_group_can_write(base, monkeypatch):
    path = make(base, "x.so", mode=0o664)
    uid, gid = os.geteuid(), os.stat(path).st_gid
    mine = "me:x:{}:{}::/:/bin/sh".format(uid, gid)
    tables(monkeypatch, [mine], ["me:x:{}:".format(gid)])
    assert trust.check(path) is None
    tables(monkeypatch, [mine], ["dev:x:{}:me,bob".format(gid)])
    assert trust.check(path) == "file {} is writable by group dev (gid {}) (mode 0664)".format(path, gid)
    os.chmod(path, 0o644)
    os.chmod(base, 0o775)
    assert trust.check(path) == "directory {} is writable by group dev (gid {}) (mode 0775)".format(base, gid)


def acl(*entries):
    """The attribute of an access control list: (tag, permissions, id) entries (acl(5), linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ANYONE = 0xFFFFFFFF


@pytest.mark.parametrize(
    "named, clause",
    [
        ((0x02, 6, 54321), "is writable by uid 54321 (access control list)"),
        ((0x02, 4, 54321), None),
        ((0x08, 6, 54321), "is writable by gid 54321 (mode"),
        ((0x08, 5, 54321), None),
        ((0x02, 6, -1), None),  # this user, named
    ],
)
def test_access_control_lists(base, monkeypatch, named, clause):
    path = make(base, "x.so")
    uid, gid = os.geteuid(), os.stat(path).st_gid
    tables(monkeypatch, ["me:x:{}:{}::/:/bin/sh".format(uid, gid)], ["me:x:{}:".format(gid)])
    named = (named[0], named[1], uid if named[2] == -1 else named[2])
    data = acl(*sorted([(0x01, 6, ANYONE), named, (0x04, 4, ANYONE), (0x10, 7, ANYONE), (0x20, 4, ANYONE)]))
    try:
        os.setxattr(path, "system.posix_acl_access", data)
        assert os.stat(path).st_mode & 0o020, "the group bits are the list's mask"
    except OSError as exc:  # a file system without lists: hand the same bytes to the reader
        assert exc.errno in (errno.ENOTSUP, errno.EOPNOTSUPP)
        os.chmod(path, 0o674)
        monkeypatch.setattr(os, "getxattr", lambda *_: data, raising=False)
    answer = trust.check(path)
    assert (answer is None) if clause is None else (clause in answer)


def test_the_mask_of_an_access_control_list_takes_the_right_away(base):
    path = make(base, "x.so")
    data = acl((0x01, 6, ANYONE), (0x02, 6, 54321), (0x04, 4, ANYONE), (0x10, 4, ANYONE), (0x20, 4, ANYONE))
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError as exc:
        assert exc.errno in (errno.ENOTSUP, errno.EOPNOTSUPP)
    assert trust.check(path) is None


@pytest.mark.parametrize("data", [b"", b"\2", struct.pack("<I", 3) + b"\0" * 8, acl((0x02, 6, 1))[:-3]])
def test_a_damaged_access_control_list_leaves_the_group(base, monkeypatch, data):
    path = make(base, "x.so", mode=0o664)
    gid = os.stat(path).st_gid
    tables(monkeypatch, [], ["dev:x:{}:bob".format(gid)])
    monkeypatch.setattr(os, "getxattr", lambda *_: data, raising=False)
    assert ("group dev" in (trust.check(path) or "")) == (len(data) < 5 or data[0] == 3)


# --- everything that is not a file of the disk ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["", "a\0b", "x" * 100000, "/" + "y/" * 3000, "no/such/file", "/bin/sh/x", "\udcff.so"]
)
def test_paths_that_lead_nowhere(home, path):
    clause = trust.check(path)
    assert clause and "\n" not in clause


def test_bytes_are_a_path_too(base):
    assert trust.check(os.fsencode(make(base, "x.so"))) is None


def test_a_name_that_is_not_utf_8(base):
    path = make(base, os.fsdecode(b"\xff\n.so"))
    assert trust.check(path) is None
    os.chmod(path, 0o666)
    assert "is writable by others" in trust.check(path)


def test_a_fifo_and_a_device_are_not_opened(base):
    os.mkfifo(os.path.join(base, "fifo"))
    done = []
    thread = threading.Thread(target=lambda: done.append(trust.check(os.path.join(base, "fifo"))), daemon=True)
    thread.start()
    thread.join(20)
    assert done == ["{} is not a regular file".format(os.path.join(base, "fifo"))]
    assert "is not a regular file" in trust.check("/dev/null")


def test_links_of_proc(base):
    path = make(base, "x.so")
    with open(path) as stream:
        clause = trust.check("/proc/self/fd/{}".format(stream.fileno()))
        assert "is not a file with a name of its own" in clause
    assert trust.check("/proc/self/exe") == trust.check(os.path.realpath(sys.executable))
    reading, writing = os.pipe()
    assert trust.check("/proc/self/fd/{}".format(reading)) is not None
    os.close(reading)
    os.close(writing)


def test_a_current_directory_that_is_gone(base, monkeypatch):
    gone = os.path.join(base, "gone")
    os.mkdir(gone)
    monkeypatch.chdir(gone)
    os.rmdir(gone)
    assert trust.check("x.so")
    monkeypatch.chdir(base)


def test_no_descriptor_is_left_open(base, foreign):
    path = make(base, "x.so")
    bad = make(base, "bad", "x.so", mode=0o666)
    os.symlink("loop", os.path.join(base, "loop"))
    before = len(os.listdir("/proc/self/fd"))
    for each in (path, bad, os.path.join(base, "loop"), "/dev/null", "missing", "", "/bin/sh", base):
        trust.check(each)
        trust.open_checked(bad)
    assert len(os.listdir("/proc/self/fd")) == before


def test_open_checked_gives_what_was_examined(base):
    path = make(base, "x.so")
    descriptor, clause = trust.open_checked(path)
    assert clause is None
    make(base, "other")
    os.replace(os.path.join(base, "other"), path)
    assert os.fstat(descriptor).st_nlink == 0
    assert os.read(descriptor, 10) == b"x"
    os.close(descriptor)
    os.chmod(path, 0o666)
    assert trust.open_checked(path)[0] == -1


def test_a_file_exchanged_while_it_is_examined(base, monkeypatch):
    path = make(base, "x.so")
    make(base, "other")

    opened = os.open

    def swap(name, *args, **given):
        if name == "x.so" and os.path.exists(os.path.join(base, "other")):
            os.replace(os.path.join(base, "other"), path)
        return opened(name, *args, **given)

    monkeypatch.setattr(os, "open", swap)
    assert "was exchanged" in trust.check(path)


def test_without_users_nothing_is_trusted(monkeypatch):
    monkeypatch.setattr(dirs, "effective_uid", lambda: -1)
    assert trust.check("/bin/sh") == "file ownership cannot be read on this platform"
