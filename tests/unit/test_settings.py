"""Settings: five layers, the origin of each value, and one sentence for whatever is ignored."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dlrepair import settings
from dlrepair.settings import files

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def start(home, tmp_path):
    """An empty directory below which a project may be made."""
    os.chmod(str(tmp_path), 0o755)
    return str(tmp_path)


def config(text):
    path = os.path.join(os.environ["XDG_CONFIG_HOME"], "dlrepair", "config.toml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    return path


def test_defaults(start):
    found = settings.load(start)
    assert {key: getattr(found, key) for key in settings.KEYS} == {
        "mode": "repair", "rebuild": "auto", "reexec": "auto", "cuda_libraries": "wheel", "twins": "refuse",
        "search_roots": (), "exclude": (), "budget_ms": 1500, "optional": "observe", "verbosity": "line",
        "store": "", "shared_store": "",
    }  # fmt: skip
    assert found.problems == () and found.project_root == "" and found.files == ()
    assert set(found.provenance.values()) == {"default"} and set(found.provenance) == set(settings.KEYS)


def test_each_layer_outranks_the_one_before(start, monkeypatch):
    path = config('mode = "observe"\nverbosity = "full"\nbudget_ms = 900\nrebuild = "never"\n')
    project = os.path.join(start, "dlrepair.toml")
    with open(project, "w") as stream:
        stream.write('verbosity = "quiet"\nbudget_ms = 800\nreexec = "never"\n')
    monkeypatch.setenv("DLREPAIR_BUDGET_MS", "700")
    monkeypatch.setenv("DLREPAIR_MODE", "repair")
    found = settings.load(start, {"mode": "off", "verbosity": None})
    assert (found.mode, found.verbosity, found.budget_ms, found.rebuild, found.reexec) == (
        "off", "quiet", 700, "never", "never",
    )  # fmt: skip
    assert found.provenance == {
        "mode": "flag --mode",
        "verbosity": "project " + project,
        "budget_ms": "environment DLREPAIR_BUDGET_MS",
        "rebuild": "config " + path,
        "reexec": "project " + project,
        "search_roots": "default", "exclude": "default", "optional": "default", "store": "default",
        "cuda_libraries": "default", "twins": "default", "shared_store": "default",
    }  # fmt: skip
    assert found.problems == ()
    assert found.files == (path, project)
    assert found.project_root == start


@pytest.mark.parametrize("value", ["off", "observe", "repair", "OFF", " observe "])
def test_the_switch(start, monkeypatch, value):
    monkeypatch.setenv("DLREPAIR", value)
    monkeypatch.setenv("DLREPAIR_MODE", "repair")
    found = settings.load(start)
    assert found.mode == value.strip().lower()
    assert found.provenance["mode"] == "environment DLREPAIR"


def test_an_empty_variable_says_nothing(start, monkeypatch):
    for name in ("DLREPAIR", "DLREPAIR_MODE", "DLREPAIR_EXCLUDE"):
        monkeypatch.setenv(name, "")
    assert settings.load(start).provenance["mode"] == "default"
    assert settings.load(start).problems == ()


def test_lists_and_paths_from_the_environment(start, monkeypatch):
    monkeypatch.chdir(start)
    monkeypatch.setenv("DLREPAIR_SEARCH_ROOTS", "/opt/a:rel::~/b")
    monkeypatch.setenv("DLREPAIR_EXCLUDE", "*.bak:data/images")
    monkeypatch.setenv("DLREPAIR_STORE", "~/store")
    found = settings.load(start)
    home = os.environ["HOME"]
    assert found.search_roots == ("/opt/a", os.path.join(start, "rel"), os.path.join(home, "b"))
    assert found.exclude == ("*.bak", os.path.join(start, "data/images"))
    assert found.store == os.path.join(home, "store")


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("DLREPAIR", "of", '"of"; the nearest valid one is off, valid are repair, observe, off'),
        ("DLREPAIR", "nonsense", '"nonsense"; valid are repair, observe, off'),
        ("DLREPAIR_MDOE", "off", 'unknown setting "mdoe" is ignored; the nearest valid one is mode'),
        ("DLREPAIR_SEARCH_ROOT", "/x", "the nearest valid one is search_roots"),
        ("DLREPAIR_ZZZZZZ", "1", "valid ones are mode, rebuild, reexec"),
        ("DLREPAIR_BUDGET_MS", "-1", "from 0 to 600000"),
        ("DLREPAIR_BUDGET_MS", "1e3", "from 0 to 600000"),
        ("DLREPAIR_BUDGET_MS", "9" * 5000, "from 0 to 600000"),
        ("DLREPAIR_BUDGET_MS", "\u0663", "from 0 to 600000"),
        ("DLREPAIR_MODE", "\udcff\x1b[31m" + "x" * 500, "mode cannot be"),
    ],
)
def test_what_is_ignored_is_told(start, monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    found = settings.load(start)
    assert len(found.problems) == 1 and told in found.problems[0] and name in found.problems[0]
    assert len(found.problems[0]) < 400 and found.problems[0].isprintable()
    assert set(found.provenance.values()) == {"default"}


def test_variables_of_dlrepairs_own_are_no_settings(start, monkeypatch):
    for name in ("DLREPAIR_RUN", "DLREPAIR_DEBUG", "DLREPAIR__ANYTHING"):
        monkeypatch.setenv(name, "x")
    assert settings.load(start).problems == ()


def test_a_hundred_problems_are_not_all_told(start, monkeypatch):
    for number in range(100):
        monkeypatch.setenv("DLREPAIR_UNKNOWN{}".format(number), "x")
    assert len(settings.load(start).problems) == 20


@pytest.mark.parametrize(
    "text, told",
    [
        ("mode = ", "config"),
        ("mode = 3", "mode cannot be"),
        ("mode = [1, 2]", "mode cannot be"),
        ("budget_ms = true", "whole number"),
        ("budget_ms = 1.5", "whole number"),
        ("search_roots = 3", "list of paths"),
        ('search_roots = ["/a", 3]', "list of paths"),
        ('search_roots = ["a/b"]', "absolute"),
        ('store = "a/b"', "absolute"),
        ("store = 3", "must be a path"),
        ('exclude = [""]', "list of paths"),
        ("[mode]\nx = 1", "mode cannot be"),
        ('[tool.dlrepair]\nmode = "off"', 'unknown setting "tool"'),
        ("a" * 3000000, "larger than"),
        ("\udcff\udcfe", "config"),
        ("x = " + "[" * 50000, "config"),
    ],
)
def test_a_broken_config_file(start, text, told):
    path = config(text)
    found = settings.load(start)
    assert len(found.problems) == 1
    assert found.problems[0].startswith("config " + path) and told in found.problems[0]
    assert "\n" not in found.problems[0]
    assert set(found.provenance.values()) == {"default"}


@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "unreadable"])
def test_something_else_in_place_of_the_config_file(start, kind):
    path = config("")
    os.unlink(path)
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        os.symlink(path, path)
    else:
        os.symlink("/proc/self/mem", path)  # opens, and fails to read
    found = settings.load(start)
    assert len(found.problems) == 1 and path in found.problems[0]


def test_no_parser(start, monkeypatch):
    config('mode = "off"')

    def missing():
        raise ImportError

    monkeypatch.setattr(files, "toml_parser", missing)
    found = settings.load(start)
    assert "no TOML parser" in found.problems[0] and found.mode == "repair"


def test_no_parser_is_imported_for_nothing(start):
    """A pyproject.toml without a word for us is not parsed; the cost of a load by default is bounded by its imports."""
    with open(os.path.join(start, "pyproject.toml"), "w") as stream:
        stream.write('[project]\ndependencies = ["dlrepair"]\n[tool.ruff]\nline-length = 120\n')
    code = (
        "import sys; before = set(sys.modules)\nfrom dlrepair import settings\n"
        "assert settings.load(sys.argv[1]).problems == ()\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('dlrepair')))"
    )
    out = subprocess.run([sys.executable, "-c", code, start], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    assert set(eval(out)) <= {"__future__", "errno", "pwd"}


def test_settings_are_read_only(start):
    found = settings.load(start)
    with pytest.raises(AttributeError):
        found.mode = "off"
    with pytest.raises(AttributeError):
        del found.mode
    with pytest.raises(TypeError):
        settings.Settings(nonsense=1)
    other = found.replace(mode="off")
    assert (other.mode, found.mode, other.budget_ms) == ("off", "repair", found.budget_ms)
    assert "mode='off'" in repr(other)


def test_flags(start):
    found = settings.load(start, {"budget_ms": 5, "search_roots": ["/a"], "rebuild": "nver", "no_such": 1})
    assert (found.budget_ms, found.search_roots, found.rebuild) == (5, ("/a",), "auto")
    assert found.provenance["search_roots"] == "flag --search-roots"
    assert "flag --rebuild" in found.problems[0] and "nearest valid one is never" in found.problems[0]
    assert "flag --no-such" in found.problems[1]


@pytest.mark.parametrize("directory", ["/nowhere/at/all", "", "a\0b", "x" * 100000])
def test_an_impossible_start(home, directory):
    assert settings.load(directory).mode == "repair"


def test_no_home_and_no_current_directory(start, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    gone = os.path.join(start, "gone")
    os.mkdir(gone)
    monkeypatch.chdir(gone)
    os.rmdir(gone)
    monkeypatch.setenv("DLREPAIR_SEARCH_ROOTS", "rel")
    assert settings.load().search_roots == ("/rel",)
    monkeypatch.chdir(start)


@pytest.mark.parametrize(
    "word, found",
    [
        ("mode", "mode"), ("mdoe", "mode"), ("search-roots", "search_roots"), ("BUDGET_MS", "budget_ms"),
        ("budget", "budget_ms"), ("x", ""), ("", ""), ("store", "store"), ("shared", "shared_store"), ("m" * 10000, ""),
    ],
)  # fmt: skip
def test_nearest(word, found):
    assert settings.nearest(word, settings.KEYS) == found
