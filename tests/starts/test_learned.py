"""What was learned: for whom it counts, when it ends, who may have written it, and what children see."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import Any

import pytest
from starting import HERE, LIBRARIES, Did, Project
from test_ways import namespace

pytestmark = pytest.mark.compile

IN_MAIN = LIBRARIES.replace("@HERE@", HERE).replace("first = ", "def main():\n    global first, second\n    first = ")
IN_MAIN = IN_MAIN.replace("\nsecond = ", "\n    second = ")
LATE = IN_MAIN + """
main()
print('second says', second.second())
open(os.path.join(HERE, 'effects'), 'a').write('x\\n')
"""


@pytest.fixture
def broken(project: Project) -> Project:
    """A conflict that is learned, since the load stands inside a function."""
    project.build("conflict")
    project.break_("conflict")
    project.write("train.py", LATE)
    return project


def records(project: Project) -> list[str]:
    found = []
    for directory, _, names in os.walk(os.path.join(project.home, ".local", "state", "dlrepair", "learned")):
        found += [os.path.join(directory, name) for name in names]
    return found


def learn(project: Project, python: str) -> str:
    """The record of the first run, which fails as a bare one."""
    did = project.run([python, "train.py"])
    assert did.status == 1 and [line["refused"] for line in did.events("reexec")] == ["function"], did.story()
    assert "help: Run it again" in did.err and "would load it; not now: the load stands inside" in did.err, did.story()
    (path,) = records(project)
    return path


def applied(did: Did) -> bool:
    assert not did.events("internal-error"), did.story()
    return any(line.get("applied") for line in did.events("learned"))


def command(project: Project, python: str, *arguments: str, cwd: str | None = None) -> Any:
    env = {"HOME": project.home, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [os.path.join(os.path.dirname(python), "dlrepair"), *arguments], env=env, cwd=cwd,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return json.loads(done.stdout) if "--json" in arguments else done.stdout.decode()


def test_it_is_private(broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert applied(broken.run([hooked, "train.py"]))


@pytest.mark.parametrize("part", ["record", "directory", "base"])
def test_what_others_could_have_written_is_not_applied(part: str, broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    place = {"record": path, "directory": os.path.dirname(path), "base": os.path.dirname(os.path.dirname(path))}[part]
    mode = stat.S_IMODE(os.stat(place).st_mode)
    for more in (0o020, 0o002):
        os.chmod(place, mode | more)
        did = broken.run([hooked, "train.py"])
        assert did.status == 1 and not applied(did), did.story()
        os.chmod(place, mode)
        if not os.path.exists(path):  # a record that is not ours was replaced by one that is
            learn(broken, hooked)
    did = broken.run([hooked, "train.py"])
    assert did.status == 0 and applied(did), did.story()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("part", ["record", "base"])
def test_what_belongs_to_another_user_is_not_applied(part: str, broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    place = path if part == "record" else os.path.dirname(os.path.dirname(path))
    os.chown(place, 65534, 65534)
    did = broken.run([hooked, "train.py"])
    assert did.status == 1 and not applied(did), did.story()


def test_a_planted_link_is_not_followed(broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    os.rename(path, broken.path("elsewhere"))
    os.symlink(broken.path("elsewhere"), path)
    assert not applied(broken.run([hooked, "train.py"]))


def test_a_damaged_record_is_not_applied(broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    with open(path, "r+b") as file:
        data = file.read()
        for damaged in (data[:-40], data.replace(b"/lib\n", b"/lab\n"), b"", b"\0" * 100, data[:100], b"x" * 100000):
            file.seek(0)
            file.truncate()
            file.write(damaged)
            file.flush()
            did = broken.run([hooked, "-c", "import os; print(os.environ.get('LD_LIBRARY_PATH'))"])
            assert did.status == 0 and did.out == "None\n" and not did.err, did.story()
            assert not applied(broken.run([hooked, "train.py"], DLREPAIR_MODE="observe"))


def test_it_ends_when_a_file_changes(broken: Project, hooked: str) -> None:
    learn(broken, hooked)
    assert applied(broken.run([hooked, "train.py"]))
    os.utime(broken.path("lib/libdep.so.1"), (1, 1))
    did = broken.run([hooked, "train.py"])
    assert did.status == 1 and not applied(did) and did.events("learned"), did.story()  # learned anew
    did = broken.run([hooked, "train.py"])
    assert did.status == 0 and applied(did), did.story()


def test_it_ends_when_others_may_write_the_directory(broken: Project, hooked: str) -> None:
    learn(broken, hooked)
    os.chmod(broken.path("lib"), 0o777)
    did = broken.run([hooked, "train.py"])
    assert did.status == 1 and not applied(did), did.story()


def test_it_is_for_this_program_only(broken: Project, hooked: str) -> None:
    learn(broken, hooked)
    show = "import os\nprint(os.environ.get('LD_LIBRARY_PATH'), open('/proc/self/environ').read().count('LD_LIB'))\n"
    broken.write("other.py", show)
    broken.write("deep/train.py", show)
    for words in (["other.py"], ["deep/train.py"], ["-c", show], ["-m", "other"], ["-"]):
        did = broken.run([hooked, *words], stdin=show.encode())
        assert did.out == "None 0\n" and not did.journal, did.story()


def test_another_environment_has_its_own(broken: Project, hooked: str, ways: str) -> None:
    learn(broken, hooked)
    did = broken.run([ways, "train.py"])
    assert did.status == 1 and not applied(did), did.story()
    assert len(records(broken)) == 2


def test_another_name_of_the_interpreter_has_the_same(broken: Project, hooked: str) -> None:
    """``dlrepair`` runs under the name that pip wrote into it, the script under the one that its user types."""
    learn(broken, hooked)
    did = broken.run([os.path.join(os.path.dirname(hooked), "python3"), "train.py"])
    assert did.status == 0 and applied(did) and len(records(broken)) == 1, did.story()


def test_a_console_script_counts_for_each_directory(broken: Project, hooked: str) -> None:
    script = os.path.join(os.path.dirname(hooked), "tool-of-the-environment")
    with open(script, "w") as file:
        file.write("#!%s\nimport sys\nsys.path.insert(0, '.')\nimport train\n" % hooked)
    os.chmod(script, 0o755)
    os.makedirs(broken.path("elsewhere"))
    broken.write("elsewhere/train.py", "print('fine')\n")
    try:
        assert broken.run([script]).status == 0  # an import: started again at once
        assert applied(broken.run([script]))
        assert not applied(broken.run([script], cwd=broken.path("elsewhere")))
    finally:
        os.unlink(script)


CHILDREN = """
import subprocess
import sys

for command in (["/bin/sh", "-c", "echo ${LD_LIBRARY_PATH-unset}"], ["env"], [sys.executable, "-c", SHOW]):
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    lines = [line for line in out.splitlines() if command != ["env"] or line.startswith(("LD_", "DLREPAIR"))]
    print("\\n".join(sorted(lines)))
"""
SHOW = "SHOW = 'import os; print(os.environ.get(\"LD_LIBRARY_PATH\", \"unset\"))'\n"


@pytest.mark.parametrize("value", [None, "", "/opt/own:/usr/local/lib"])
def test_children_see_the_users_own_variables(value: str | None, broken: Project, bare: str, hooked: str) -> None:
    own = {} if value is None else {"LD_LIBRARY_PATH": value}
    broken.write("plain.py", SHOW + CHILDREN)
    expected = broken.run([bare, "plain.py"], **own).out
    broken.write("train.py", LATE + SHOW + CHILDREN)
    broken.run([hooked, "train.py"], **own)
    did = broken.run([hooked, "train.py"], **own)
    assert did.status == 0 and applied(did) and did.out == "second says 42\n" + expected, (expected, did.story())


def test_status_and_cache(broken: Project, hooked: str) -> None:
    path = learn(broken, hooked)
    shown = command(broken, hooked, "status")
    assert "(1 program)" in shown and "starts {} with LD_LIBRARY_PATH={}".format(
        broken.path("train.py"), broken.path("lib")) in shown  # fmt: skip
    (row,) = command(broken, hooked, "status", "--json")["learned"]["programs"]
    assert row["program"] == broken.path("train.py") and row["stale"] == "" and row["record"] == path
    rows = command(broken, hooked, "cache", "ls", "--json")["entries"]
    assert [one["path"] for one in rows if one["part"] == "learned"] == [path]
    command(broken, hooked, "cache", "gc")
    assert os.path.exists(path)
    os.utime(broken.path("lib/libdep.so.1"), (1, 1))
    assert "libdep.so.1 has changed" in command(broken, hooked, "status")
    command(broken, hooked, "cache", "gc")
    assert not os.path.exists(path)
    path = learn(broken, hooked)
    command(broken, hooked, "cache", "clear")
    assert not os.path.exists(path)
    did = broken.run([hooked, "train.py"])
    assert did.status == 1 and not applied(did), did.story()


SWITCHES = [
    ("config", 'reexec = "never"\n'),
    ("config", 'mode = "observe"\n'),
    ("pyproject", '[tool.dlrepair]\nmode = "off"\n'),
    ("environment", "DLREPAIR_MODE=observe"),
]


@pytest.mark.parametrize("where, text", SWITCHES)
def test_a_setting_stops_what_was_learned_before(where: str, text: str, broken: Project, hooked: str) -> None:
    """Written after it was learned, it holds from the next start on; taken away, the record is in force again."""
    learn(broken, hooked)
    path = {"config": os.path.join(broken.home, ".config", "dlrepair", "config.toml"),
            "pyproject": broken.path("pyproject.toml")}.get(where, "")
    env = {}
    if path:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    else:
        name, _, value = text.partition("=")
        env[name] = value
    did = broken.run([hooked, "train.py"], **env)
    assert did.status == 1 and not applied(did) and not did.events("reexec"), did.story()
    if path:
        assert " is {} (".format(text.split('"')[1]) in command(broken, hooked, "status", cwd=broken.root)
        with open(path, "w") as file:
            file.write(text.replace("reexec", "# reexec").replace("mode", "# mode"))
    did = broken.run([hooked, "train.py"])
    assert did.status == 0 and applied(did), did.story()


def test_a_setting_of_the_environment_ends_with_it(broken: Project, hooked: str) -> None:
    """Learned while a variable allowed what the file forbids: the file has the last word when the variable is gone."""
    path = os.path.join(broken.home, ".config", "dlrepair", "config.toml")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write('reexec = "never"\n')
    assert broken.run([hooked, "train.py"], DLREPAIR_REEXEC="auto").events("learned")
    assert applied(broken.run([hooked, "train.py"], DLREPAIR_REEXEC="auto"))
    did = broken.run([hooked, "train.py"])
    assert did.status == 1 and not applied(did), did.story()


def test_one_program_is_forgotten(broken: Project, hooked: str) -> None:
    learn(broken, hooked)
    broken.write("other.py", LATE)
    assert broken.run([hooked, "other.py"]).status == 1 and len(records(broken)) == 2
    shown = command(broken, hooked, "status")
    assert "help: dlrepair cache forget {}\n".format(broken.path("train.py")) in shown, shown
    assert command(broken, hooked, "cache", "forget", "train.py", cwd=broken.root) == "forgotten: {}\n".format(
        broken.path("train.py"))  # fmt: skip
    assert not applied(broken.run([hooked, "train.py"])) and applied(broken.run([hooked, "other.py"]))
    (row,) = command(broken, hooked, "cache", "forget", broken.path("other.py"), "--json")["removed"]
    assert row["program"] == broken.path("other.py") and not os.path.exists(row["record"])
    assert "nothing is learned for other.py" in command(broken, hooked, "cache", "forget", "other.py")


def early(project: Project) -> None:
    project.build("conflict")
    project.break_("conflict")
    project.write("train.py", project.program)


def test_no_home(project: Project, hooked: str) -> None:
    """Nothing can be kept; the program is started again all the same, and nothing of ours is in its way."""
    early(project)
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    wrapped = [hooked, "train.py"]
    if os.getuid() == 0:  # root could make it
        env["XDG_STATE_HOME"] = env["XDG_CACHE_HOME"] = env["XDG_CONFIG_HOME"] = "/proc/nowhere"
    did = project.run(wrapped, env=env)
    assert did.status == 0 and did.effects == ["main"], did.story()
    assert did.out == "second says 42 []\n", did.story()


def test_an_empty_environment_and_no_user(project: Project, bare: str, hooked: str) -> None:
    """``env -i`` under a number without a name, as in many containers: no HOME, and nobody to ask for it."""
    early(project)
    nobody = ["unshare", "--user", "--map-user=54321", "--map-group=54321", "env", "-i"]
    assert project.run([*nobody, bare, "train.py"]).status == 1
    for _ in range(2):
        did = project.run([*nobody, hooked, "train.py"])
        assert (did.status, did.out, did.effects) == (0, "second says 42 []\n", ["main"]), did.story()
        assert did.err.count("started again with LD_LIBRARY_PATH=") == 1 and not did.journal, did.story()
    assert not os.path.exists(os.path.join(project.home, ".local"))


def test_read_only_file_system(project: Project, hooked: str) -> None:
    """A container with a read-only root: no journal, no record; the bare effect is allowed on one mount only."""
    early(project)
    top = project.world.top
    shell = "mount --bind {0} {0} && mount --make-private / && mount -o remount,bind,ro / && exec {1} {0}/train.py"
    project.home = "/root" if os.getuid() == 0 else os.path.expanduser("~")
    did = project.run([*namespace("--mount"), "sh", "-c", shell.format(project.root, hooked)],
                      env={"PATH": os.environ["PATH"], "HOME": os.path.join(top, "home")})  # fmt: skip
    assert did.status == 0 and did.effects == ["main"] and did.out == "second says 42 []\n", did.story()


FOREIGN = "import builtins\nbuiltins.theirs = 'theirs ran'\n"


@pytest.mark.parametrize("way", ["shadowed", "run"])
def test_other_peoples_sitecustomize(way: str, project: Project, bare: str, hooked: str) -> None:
    """One on PYTHONPATH comes before an installed hook, and need not chain; ``dlrepair run`` comes first, and does."""
    early(project)
    project.write("train.py", "print(theirs, flush=True)\n" * (way == "shadowed") + project.program + "print(theirs)\n")
    project.write("theirs/sitecustomize.py", FOREIGN)
    program = [os.path.join(os.path.dirname(hooked), "dlrepair"), "run", hooked] if way == "run" else [hooked]
    did = project.run([*program, "train.py"], PYTHONPATH=project.path("theirs"))
    assert "theirs ran" in did.out, did.story()
    if way == "run":
        assert did.status == 0 and did.effects == ["main"], did.story()
    else:
        assert did.status == 1 and not did.journal, did.story()  # never live: `dlrepair status` says so
