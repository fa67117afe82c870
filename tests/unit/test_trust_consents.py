"""``dlrepair trust``: a decision holds for a path and its contents, until either changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dlrepair import trust
from dlrepair.trust import consents, people

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def project(home, tmp_path, monkeypatch):
    """A project in a directory that a group of several people writes."""
    os.chmod(str(tmp_path), 0o755)
    monkeypatch.setattr(trust, "_problem", None)
    directory = str(tmp_path / "project")
    os.makedirs(os.path.join(directory, "build"))
    for name in ("Makefile", "build.sh", "notes.txt", "build/x.so"):
        with open(os.path.join(directory, name), "w") as stream:
            stream.write(name)
    gid = os.stat(directory).st_gid
    monkeypatch.setattr(people, "private_group", lambda gid, trusted: False)
    monkeypatch.setattr(people, "group_name", lambda gid: "group dev")
    assert gid == os.stat(os.path.join(directory, "build")).st_gid
    os.chmod(directory, 0o775)
    os.chmod(os.path.join(directory, "build"), 0o775)
    os.chmod(os.path.join(directory, "build", "x.so"), 0o664)
    return directory


def store():
    return os.path.join(os.environ["XDG_CONFIG_HOME"], "dlrepair", "trust.json")


def test_a_directory_is_allowed_until_it_changes(project):
    path = os.path.join(project, "build", "x.so")
    assert "group dev" in trust.check(path)
    consents.allow(project)
    assert trust.check(path) is None
    os.chmod(path, 0o666)
    assert "is writable by others" in trust.check(path)
    os.chmod(path, 0o664)
    os.chmod(project, 0o770)
    assert "group dev" in trust.check(path)
    assert [entry["state"] for entry in consents.listing()] == ["changed"]
    consents.allow(project)
    assert trust.check(path) is None


def test_an_allowed_name_is_not_a_prefix_of_text(project, tmp_path):
    other = str(tmp_path / "project-evil")
    os.mkdir(other)
    with open(os.path.join(other, "x.so"), "w"):
        pass
    os.chmod(other, 0o775)
    consents.allow(project)
    assert "group dev" in trust.check(os.path.join(other, "x.so"))


def test_owners_of_an_allowed_directory(project, foreign):
    path = os.path.join(project, "build", "x.so")
    for each in (project, os.path.join(project, "build"), path):
        foreign(each)
    assert "belongs to" in trust.check(path)
    if os.geteuid() == 0:
        consents.allow(project)
        assert trust.check(path) is None
        os.chown(path, 54399, 54399)
        assert "belongs to" in trust.check(path)


def test_a_world_writable_file_system_must_be_allowed_as_such(project):
    path = os.path.join(project, "build", "x.so")
    for each in (project, os.path.join(project, "build"), path):
        os.chmod(each, 0o777)
    assert "is writable by others" in trust.check(path)
    consents.allow(project)
    assert trust.check(path) is None


def test_a_refusal_wins(project):
    path = os.path.join(project, "build", "x.so")
    consents.allow(project)
    assert consents.refuse(os.path.join(project, "build")) == os.path.join(project, "build")
    assert trust.check(path) == "file {} was refused with dlrepair distrust".format(path)
    os.symlink(path, os.path.join(project, "link.so"))
    assert "was refused" in trust.check(os.path.join(project, "link.so"))
    consents.allow(project)
    assert "was refused" in trust.check(path)
    consents.allow(os.path.join(project, "build"))
    assert trust.check(path) is None


def test_refusing_takes_a_permission_back(project):
    consents.allow(project)
    consents.refuse(project)
    assert [(entry["decision"], entry["path"]) for entry in consents.listing()] == [("refuse", project)]


def test_a_file_of_the_system_can_be_refused(home):
    assert trust.check("/bin/sh") is None
    consents.refuse("/bin/sh")
    assert "was refused" in trust.check("/bin/sh")
    assert trust.check("/bin/ls") is None


def test_scripts_of_an_allowed_directory_until_they_change(project):
    makefile = os.path.join(project, "Makefile")
    assert consents.read_allowed(makefile) is None
    consents.allow(project)
    assert consents.read_allowed(makefile) == b"Makefile"
    assert consents.read_allowed(os.path.join(project, "build.sh")) == b"build.sh"
    assert consents.read_allowed(os.path.join(project, "notes.txt")) is None
    assert consents.read_allowed(os.path.join(project, "missing")) is None
    with open(makefile, "a") as stream:
        stream.write("\nall: ; rm -rf /")
    assert consents.read_allowed(makefile) is None
    assert consents.read_allowed(os.path.join(project, "build.sh")) == b"build.sh"
    assert consents.listing()[0]["changed"] == ["Makefile"]
    consents.refuse(project)
    assert consents.read_allowed(os.path.join(project, "build.sh")) is None


def test_a_script_by_itself(project, tmp_path):
    path = os.path.join(project, "notes.txt")
    consents.allow(path)
    assert consents.read_allowed(path) == b"notes.txt"
    copy = str(tmp_path / "notes.txt")
    with open(copy, "w") as stream:
        stream.write("notes.txt")
    assert consents.read_allowed(copy) is None, "allowed by content and path"
    with open(path, "w") as stream:
        stream.write("other")
    assert consents.read_allowed(path) is None
    assert consents.listing()[0]["state"] == "changed"


@pytest.mark.parametrize("path", ["missing", "/dev/null", "a\0b"])
def test_what_cannot_be_bound_to_contents_is_not_allowed(home, path):
    with pytest.raises((OSError, ValueError)):
        consents.allow(path)
    assert not os.path.exists(store())


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "\udcff", '{"allow": 3}', '{"allow": [3, {}, {"path": 1}]}', '{"deny": [1, null, {}]}',
        '{"allow": [{"path": "/", "kind": "directory"}]}',
        '{"allow": [{"path": "/", "kind": "directory", "uid": true, "gid": 0, "mode": "0777"}]}',
        "[" * 100000, '{"allow": null, "deny": null}',
    ],
)  # fmt: skip
def test_a_damaged_file_allows_nothing_and_breaks_nothing(project, text):
    os.makedirs(os.path.dirname(store()), 0o700)
    with open(store(), "w", errors="surrogateescape") as stream:
        stream.write(text)
    assert "group dev" in trust.check(os.path.join(project, "build", "x.so"))
    assert trust.check("/bin/sh") is None


def test_decisions_that_others_could_have_written_are_not_in_force(project):
    consents.allow(project)
    os.chmod(store(), 0o666)
    assert "group dev" in trust.check(os.path.join(project, "build", "x.so"))
    assert "is ignored: file {} is writable by others".format(store()) in trust.problem()


def test_decisions_are_private(project):
    consents.allow(project)
    assert os.stat(store()).st_mode & 0o777 == 0o600
    with open(store()) as stream:
        assert json.load(stream)["v"] == 1
    assert sorted(os.listdir(os.path.dirname(store()))) == ["trust.json", "trust.json.lock"]


def test_many_processes_decide_at_once(project, tmp_path):
    code = "import sys; from dlrepair.trust import consents; consents.allow(sys.argv[1])"
    paths = []
    for number in range(12):
        path = str(tmp_path / "f{}".format(number))
        with open(path, "w"):
            pass
        paths.append(path)
    children = [subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT) for path in paths]
    assert [child.wait(timeout=120) for child in children] == [0] * 12
    assert [entry["path"] for entry in consents.listing()] == sorted(paths)


PROJECT = {
    "build.sh": "#!/bin/sh\n$ROOT/tools/gen.py > x.cc\nmake -C ops\n. ./common.mk.sh\ncmake extra\n",
    "tools/gen.py": "import helper\nimport os.path\nprint(open('x.cc.in').read())\n",
    "tools/helper.py": "pass\n",
    "tools/other.py": "pass\n",
    "tools/x.cc.in": "int x;\n",
    "ops/Makefile": "include rules.mk\n",
    "ops/rules.mk": "all:\n",
    "ops/op.cc": "int y;\n",
    "extra/CMakeLists.txt": "include(deep.cmake)\n",
    "extra/deep.cmake": "\n",
    "unnamed.sh": "true\n",
    ".git/config": "\n",
}


@pytest.fixture
def tree(home, tmp_path):
    for name, text in PROJECT.items():
        path = str(tmp_path / "tree" / name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)
    return str(tmp_path / "tree")


def test_a_script_is_allowed_with_what_it_names(tree):
    script = os.path.join(tree, "build.sh")
    entry = consents.allow(script)
    names = sorted(os.path.relpath(path, tree) for path in entry["runs"])
    assert names == ["extra/CMakeLists.txt", "extra/deep.cmake", "ops/Makefile", "ops/rules.mk", "tools/gen.py",
                     "tools/helper.py", "tools/x.cc.in"]  # fmt: skip
    permission = consents.permission(script)
    assert (permission.state, len(permission.files)) == ("allowed", 8)
    for name in ("tools/other.py", "unnamed.sh", "ops/op.cc"):
        with open(os.path.join(tree, name), "a") as stream:
            stream.write("# changed\n")
    assert consents.permission(script).state == "allowed"


@pytest.mark.parametrize("name", ["build.sh", "tools/helper.py", "ops/rules.mk", "extra/deep.cmake", "tools/x.cc.in"])
def test_any_change_of_it_lapses_the_permission(tree, name):
    script = os.path.join(tree, "build.sh")
    consents.allow(script)
    with open(os.path.join(tree, name), "a") as stream:
        stream.write("\n")
    permission = consents.permission(script)
    assert (permission.state, permission.changed) == ("changed", (os.path.join(tree, name),))
    consents.allow(script)
    os.unlink(os.path.join(tree, name))
    assert consents.permission(script).state == "changed"


def test_a_permission_of_an_older_release_does_not_run_anything(tree):
    """It was given for reading: the file has no digests of what the script names."""
    script = os.path.join(tree, "build.sh")
    consents.allow(script)
    with open(store()) as stream:
        held = json.load(stream)
    for entry in held["allow"]:
        del entry["runs"]
    with open(store(), "w") as stream:
        json.dump(held, stream)
    assert consents.read_allowed(script) is not None
    assert consents.permission(script).state == "none"


def test_a_refusal_above_a_script_wins(tree):
    script = os.path.join(tree, "build.sh")
    consents.allow(script)
    consents.refuse(tree)
    assert consents.permission(script).state == "refused"


def test_the_scripts_of_a_directory(tree):
    consents.allow(tree)
    assert consents.permission(os.path.join(tree, "build.sh")).state == "allowed"
    assert consents.permission(os.path.join(tree, "unnamed.sh")).state == "allowed"
    assert consents.permission(os.path.join(tree, "ops", "Makefile")).state == "none"
