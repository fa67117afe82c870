"""A project's file comes with other people's code: it takes permissions away and gives none."""

from __future__ import annotations

import os

import pytest

from dlrepair import settings, trust


@pytest.fixture
def root(home, tmp_path, monkeypatch):
    """A project directory that only this user writes."""
    os.chmod(str(tmp_path), 0o755)
    directory = str(tmp_path / "project")
    os.makedirs(os.path.join(directory, "src", "pkg"))
    return directory


def write(root, text, name="dlrepair.toml"):
    path = os.path.join(root, name)
    with open(path, "w") as stream:
        stream.write(text)
    return path


def load(root, **given):
    return settings.load(os.path.join(root, "src", "pkg"), check=trust.check, **given)


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("mode", '"observe"', "observe"),
        ("mode", '"off"', "off"),
        ("rebuild", '"never"', "never"),
        ("reexec", '"never"', "never"),
        ("optional", '"observe"', "observe"),
        ("cuda_libraries", '"system"', "system"),
        ("twins", '"accept"', "accept"),
        ("verbosity", '"full"', "full"),
        ("verbosity", '"quiet"', "quiet"),
        ("budget_ms", "10", 10),
        ("exclude", '["*.bak"]', ("*.bak",)),
    ],
)
def test_narrower_values_hold(root, key, text, value):
    path = write(root, "{} = {}\n".format(key, text))
    found = load(root)
    assert getattr(found, key) == value and found.problems == ()
    assert found.provenance[key] == ("project " + path if key != "optional" else "default")


@pytest.mark.parametrize(
    "key, text, held",
    [
        ("mode", '"repair"', "observe"),
        ("rebuild", '"auto"', "never"),
        ("reexec", '"auto"', "never"),
        ("optional", '"repair"', "observe"),
        ("budget_ms", "100000", "500"),
        ("store", '"/tmp/evil"', ""),
        ("shared_store", '"/tmp/evil"', ""),
    ],
)
def test_wider_values_do_not(root, key, text, held):
    path = os.path.join(os.environ["XDG_CONFIG_HOME"], "dlrepair", "config.toml")
    if held:
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as stream:
            stream.write("{} = {}\n".format(key, held if held.isdigit() else '"{}"'.format(held)))
    write(root, "{} = {}\n".format(key, text))
    found = load(root)
    assert str(getattr(found, key)) == held
    assert len(found.problems) == 1 and key in found.problems[0] and "dlrepair.toml" in found.problems[0]


def test_the_user_may_give_back_what_a_project_took(root, monkeypatch):
    write(root, 'mode = "off"\nrebuild = "never"\n')
    monkeypatch.setenv("DLREPAIR_MODE", "repair")
    found = load(root, flags={"rebuild": "auto"})
    assert (found.mode, found.rebuild) == ("repair", "auto")


def test_search_roots_lie_inside_the_project(root):
    os.mkdir(os.path.join(root, "build"))
    os.mkdir(root + "-other")
    os.symlink("/opt", os.path.join(root, "link"))
    os.symlink("build", os.path.join(root, "inner"))
    write(root, 'search_roots = ["build", "missing", "inner", "/usr/lib", "..", "../project-other", "link", "~"]')
    found = load(root)
    assert found.search_roots == tuple(os.path.join(root, name) for name in ("build", "missing", "inner"))
    assert len(found.problems) == 5


def test_lists_are_joined_with_the_users_own(root):
    path = os.path.join(os.environ["XDG_CONFIG_HOME"], "dlrepair", "config.toml")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as stream:
        stream.write('search_roots = ["/opt/libs"]\nexclude = ["*.old"]\n')
    write(root, 'search_roots = ["build"]\nexclude = ["*.bak", "*.old", "data/raw"]\n')
    found = load(root)
    assert found.search_roots == (os.path.join(root, "build"), "/opt/libs")
    assert found.exclude == ("*.old", "*.bak", os.path.join(root, "data/raw"))


@pytest.mark.parametrize(
    "text",
    [
        '[tool.dlrepair]\nmode = "observe"\n',
        '[tool . "dlrepair"]\nmode = "observe"\n',
        "[tool]\n'dlrepair' = {mode = \"observe\"}\n",
        '[tool]\n  dlrepair.mode = "observe"\n',
        'tool = {dlrepair = {mode = "observe"}}\n',
        'tool.dlrepair.mode = "observe"\n',
        '[tool]\n[ tool.ruff ]\nx = 1\n[\ttool.dlrepair\t]\nmode = "observe"\n',
    ],
)
def test_every_spelling_of_the_table_in_pyproject(root, text):
    path = write(root, text, "pyproject.toml")
    found = load(root)
    assert (found.mode, found.provenance["mode"], found.problems) == ("observe", "project " + path, ())


def test_a_file_of_our_own_outranks_pyproject(root):
    write(root, '[tool.dlrepair]\nmode = "off"\n', "pyproject.toml")
    write(root, 'mode = "observe"\n')
    assert load(root).mode == "observe"


def test_the_nearest_file_that_has_something_for_us(root):
    write(root, '[tool.dlrepair]\nmode = "observe"\n', "pyproject.toml")
    write(os.path.join(root, "src"), "[project]\nname = 'x'\n", "pyproject.toml")
    found = load(root)
    assert (found.mode, found.project_root) == ("observe", root)
    write(os.path.join(root, "src"), 'mode = "off"\n')
    assert load(root).project_root == os.path.join(root, "src")


@pytest.mark.parametrize("text", ["[tool.dlrepair", "tool.dlrepair = 3", "[tool]\ndlrepair = []", "[[tool.dlrepair]]"])
def test_a_broken_table(root, text):
    path = write(root, text, "pyproject.toml")
    found = load(root)
    assert len(found.problems) == 1 and path in found.problems[0] and found.mode == "repair"


def test_a_broken_pyproject_that_is_not_ours_is_not_our_business(root):
    write(root, "[project\n", "pyproject.toml")
    os.mkdir(os.path.join(root, "src", "pyproject.toml"))
    assert load(root).problems == ()


def test_a_file_that_others_could_have_written_is_ignored(root, foreign):
    path = write(root, 'mode = "off"\n')
    os.chmod(path, 0o666)
    found = load(root)
    assert found.mode == "repair" and found.project_root == ""
    assert found.problems == ("project {0} is ignored: file {0} is writable by others (mode 0666)".format(path),)
    assert settings.load(root).mode == "repair"  # by its own check too
    os.chmod(path, 0o644)
    assert load(root).mode == settings.load(root).mode == "off"
    foreign(path)
    assert load(root).mode == settings.load(root).mode == "repair"


def test_a_path_cannot_write_to_the_terminal(root):
    odd = os.path.join(root, "a\n\x1b[2J\udcff")
    os.mkdir(odd)
    write(odd, 'mode = "x\\u001b"\n"key\\u001b" = 1\n')
    found = settings.load(odd)
    assert len(found.problems) == 2
    assert all(problem.isprintable() and "a\\n\\x1b[2J\\xff" in problem for problem in found.problems)


def test_settings_outside_every_project(home):
    assert settings.load("/").project_root == ""
