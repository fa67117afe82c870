"""Syntax, loops, types, results and ways of starting a program: each a script with a real failing load."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import interpreters
import pytest
from callsite_shapes import SHAPES
from test_callsite import CHECKOUT, HERE, PYTHONS, run_child

#: ``ctypes.cdll.name`` raises AttributeError instead of OSError from 3.12 on.
SINCE_312 = {"cdll_attribute_error": ("optional",)}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Any] = {}

    def run(label: str) -> Any:
        if label not in made:
            work = str(tmp_path_factory.mktemp("shapes"))
            scripts = []
            for name, (text, _) in SHAPES.items():
                os.mkdir(os.path.join(work, name))
                scripts.append(os.path.join(work, name, name + ".py"))
                with open(scripts[-1], "w") as stream:
                    stream.write(text)
            made[label] = run_child(PYTHONS[label], work, scripts)
        return made[label]

    return run


@pytest.mark.parametrize("label", list(PYTHONS))
@pytest.mark.parametrize("name", list(SHAPES))
def test_shape(recorded: Any, label: str, name: str) -> None:
    found = recorded(label)[name + ".py"]
    kinds = SHAPES[name][1]
    if int(label.rpartition(".")[2]) >= 12:
        kinds = SINCE_312.get(name, kinds)
    assert tuple(record["kind"] for record in found["records"]) == kinds, found


GUARDED = "import ctypes\ntry:\n    ctypes.CDLL('/nowhere/a.so')\nexcept OSError:\n    pass\n"


def start(python: str, tmp_path: Any, arguments: list[str], stdin: bytes = b"", cwd: str = "") -> list[dict[str, Any]]:
    """Records of a program started as a user would, the recorder in its sitecustomize."""
    hook, out = tmp_path / "hook", tmp_path / "records.json"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "sys.path.insert(0, {here!r})\n"
        "import callsite_recorder\n"
        "sys.path.remove({here!r})\n"
        "records = callsite_recorder.install({checkout!r})\n"
        "def save():\n"
        "    import json\n"
        "    with open({out!r}, 'w') as stream:\n"
        "        json.dump(records, stream)\n"
        "atexit.register(save)\n".format(here=HERE, checkout=CHECKOUT, out=str(out))
    )
    env = interpreters.bare_env(PYTHONPATH=str(hook), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [python] + arguments, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
        cwd=cwd or str(tmp_path), env=env,
    )  # fmt: skip
    assert out.exists(), done.stderr.decode()
    records: list[dict[str, Any]] = json.loads(out.read_text())
    assert b"dlrepair" not in done.stderr, done.stderr
    return records


def kinds(records: list[dict[str, Any]]) -> list[str]:
    return [record["kind"] for record in records]


@pytest.fixture(params=list(PYTHONS))
def python(request: Any) -> str:
    return PYTHONS[request.param]


def test_command_line_text(python: str, tmp_path: Any) -> None:
    records = start(python, tmp_path, ["-W", "ignore", "-Bc", GUARDED + "ctypes.CDLL('/nowhere/b.so')\n"])
    assert kinds(records) == ["optional", "none"]
    assert records[0]["caller"][:2] == ["<string>", 3]


def test_exec_within_command_line_text_is_not_taken_for_it(python: str, tmp_path: Any) -> None:
    text = "x = 1\ntry:\n    exec({!r})\nexcept OSError:\n    raise\n".format(GUARDED)
    assert kinds(start(python, tmp_path, ["-c", text])) == ["alternative"]


def test_standard_input_has_no_source(python: str, tmp_path: Any) -> None:
    records = start(python, tmp_path, ["-"], GUARDED.encode() + b"ctypes.CDLL('/nowhere/b.so')\n")
    assert kinds(records) == ["alternative", "none"]
    assert "source is not available" in records[0]["reason"]


def test_relative_script_after_chdir(python: str, tmp_path: Any) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.py").write_text("import os\nos.chdir('/')\n" + GUARDED)
    records = start(python, tmp_path, [os.path.join("sub", "train.py")])
    assert kinds(records) == ["optional"]
    assert os.path.realpath(records[0]["file"]) == os.path.realpath(str(tmp_path / "sub" / "train.py"))
    assert records[0]["caller"][0] == records[0]["file"]


def test_module_option_and_package_directory(python: str, tmp_path: Any) -> None:
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text(
        "def run():\n" + "".join("    " + line for line in GUARDED.splitlines(True)) + "run()\n"
    )
    records = start(python, tmp_path, ["-m", "outer.inner.main"])
    assert kinds(records) == ["optional"]
    assert records[0]["caller"][2:] == ["run", str(tmp_path / "outer")]


def test_bytecode_only(python: str, tmp_path: Any) -> None:
    source = tmp_path / "onlycode.py"
    source.write_text(
        "import ctypes\n"
        "def matching():\n    try:\n        ctypes.CDLL('/nowhere/a.so')\n    except (ValueError, OSError):\n"
        "        raise\n"
        "def second():\n    try:\n        ctypes.CDLL('/nowhere/b.so')\n    except KeyError:\n        pass\n"
        "    except ctypes.ArgumentError:\n        pass\n    except EnvironmentError:\n        pass\n"
        "def other():\n    try:\n        ctypes.CDLL('/nowhere/c.so')\n    except ValueError:\n        pass\n"
        "def cleanup():\n    try:\n        ctypes.CDLL('/nowhere/d.so')\n    finally:\n        x = 1\n"
        "def bare():\n    try:\n        ctypes.CDLL('/nowhere/e.so')\n    except:\n        pass\n"
        "def context():\n    with open('/dev/null'):\n        ctypes.CDLL('/nowhere/f.so')\n"
    )
    subprocess.run([python, "-m", "py_compile", str(source)], check=True, env=interpreters.bare_env())
    (compiled,) = (tmp_path / "__pycache__").glob("onlycode*.pyc")
    compiled.rename(tmp_path / "onlycode.pyc")
    source.unlink()
    (tmp_path / "main.py").write_text(
        "import threading, onlycode\n"
        "for name in ('matching', 'second', 'other', 'cleanup', 'bare', 'context'):\n"
        "    thread = threading.Thread(target=vars(onlycode)[name])\n    thread.start()\n    thread.join()\n"
    )
    records = start(python, tmp_path, ["main.py"])
    assert kinds(records) == ["alternative", "alternative", "none", "none", "alternative", "none"]


def test_source_changed_after_the_import(python: str, tmp_path: Any) -> None:
    """The file on disk now says ``pass`` at that line; what runs raises."""
    module = tmp_path / "edited.py"
    module.write_text(
        "import ctypes\ndef load():\n    try:\n        ctypes.CDLL('/nowhere/a.so')\n"
        "    except OSError:\n        raise\n"
    )
    (tmp_path / "main.py").write_text(
        "import edited\ntext = open('edited.py').read()\n"
        "open('edited.py', 'w').write(text.replace('raise', 'pass'))\nedited.load()\n"
    )
    records = start(python, tmp_path, ["main.py"])
    assert kinds(records) == ["alternative"] and "source is not available" in records[0]["reason"]


def test_source_written_by_the_program_itself(python: str, tmp_path: Any) -> None:
    (tmp_path / "main.py").write_text(
        "import sys\nopen('made.py', 'w').write({!r})\nsys.path.insert(0, '.')\nimport made\n".format(GUARDED)
    )
    assert kinds(start(python, tmp_path, ["main.py"])) == ["optional"]


@pytest.mark.parametrize("encoding, cookie", [("latin-1", True), ("utf-8-sig", False), ("koi8-r", True)])
def test_other_encodings(python: str, tmp_path: Any, encoding: str, cookie: bool) -> None:
    head = "# -*- coding: {} -*-\n".format(encoding) if cookie else "#\n"
    letters = "\u0448" if encoding == "koi8-r" else "\u00e9\u00fc"
    body = "def load_{0}():\n    try:\n        return ctypes.CDLL('/nowhere/{0}.so')\n    except OSError:\n".format(
        letters
    )
    text = head + "import ctypes\n" + "x = '{}'\n".format(letters) * 80 + body
    text += "        return ctypes.CDLL('/nowhere/alt_{0}.so')\nload_{0}()\n".format(letters)
    (tmp_path / "script.py").write_bytes(text.encode(encoding))
    records = start(python, tmp_path, ["-X", "utf8", "script.py"])
    assert kinds(records) == ["alternative", "none"]
    assert records[0]["alternative"] == "/nowhere/alt_{}.so".format(letters)


def test_source_that_is_no_text(python: str, tmp_path: Any) -> None:
    """A module's file replaced by bytes that no parser takes: decided from the bytecode."""
    (tmp_path / "edited.py").write_text(
        "import ctypes\ndef load():\n    try:\n        ctypes.CDLL('/nowhere/a.so')\n"
        "    except OSError:\n        raise\n"
    )
    (tmp_path / "main.py").write_text(
        "import edited\nopen('edited.py', 'wb').write(bytes(range(256)) * 50)\nedited.load()\n"
    )
    assert kinds(start(python, tmp_path, ["main.py"])) == ["alternative"]


@pytest.mark.parametrize("options", [["-W", "always"], ["-W", "error"]])
def test_parsing_warns_nobody(python: str, tmp_path: Any, options: list[str]) -> None:
    """An invalid escape was reported, or not, when the user's module was compiled; reading it again is silent."""
    module = tmp_path / "escapes.py"
    module.write_text(
        "import ctypes\ndef load():\n    try:\n        ctypes.CDLL('/nowhere/a.so')\n    except OSError:\n"
        "        pattern = '\\d' if 1 is 1 else 0\n"
    )
    subprocess.run([python, "-W", "ignore", "-m", "py_compile", str(module)], check=True, env=interpreters.bare_env())
    (tmp_path / "main.py").write_text("import sys, escapes\nescapes.load()\n")
    assert kinds(start(python, tmp_path, options + ["main.py"])) == ["optional"]


def test_five_hundred_frames(python: str, tmp_path: Any) -> None:
    (tmp_path / "deep.py").write_text(
        "import ctypes\n"
        "def plain(n):\n    return plain(n - 1) if n else ctypes.CDLL('/nowhere/a.so')\n"
        "def raising(n):\n    try:\n        return raising(n - 1) if n else ctypes.CDLL('/nowhere/b.so')\n"
        "    except OSError:\n        raise\n"
        "try:\n    plain(500)\nexcept OSError:\n    pass\n"
        "try:\n    raising(500)\nexcept OSError:\n    pass\n"
    )
    records = start(python, tmp_path, ["deep.py"])
    assert kinds(records) == ["optional", "optional"]


def test_nothing_is_imported(python: str, tmp_path: Any) -> None:
    """Reading the caller loads nothing from a file but dlrepair: the failure may be in the midst of an import."""
    (tmp_path / "script.py").write_text(
        "import sys, ctypes\nbefore = set(sys.modules)\n"
        + GUARDED
        + "new = sorted(m for m in set(sys.modules) - before if not m.startswith('dlrepair'))\n"
        "open('new', 'w').write(' '.join(new))\n"
    )
    assert kinds(start(python, tmp_path, ["script.py"])) == ["optional"]
    assert (tmp_path / "new").read_text() in ("", "time")  # built in


def test_near_the_recursion_limit(python: str, tmp_path: Any) -> None:
    """Where there is no room to look, the load counts as guarded; no error of ours replaces the program's."""
    (tmp_path / "deep.py").write_text(
        "import ctypes, sys\nsys.setrecursionlimit(140)\n"
        "def deeper(n):\n    try:\n        deeper(n + 1)\n    except RecursionError:\n"
        "        try:\n            ctypes.CDLL('/nowhere/c.so')\n        except OSError:\n            pass\n"
        "        raise\n"
        "try:\n    deeper(0)\nexcept RecursionError:\n    print('as ever')\n"
    )
    found = kinds(start(python, tmp_path, ["deep.py"]))
    assert set(found) <= {"optional", "alternative"} and found[-1] == "optional"


def test_standard_library_does_without(python: str, tmp_path: Any) -> None:
    """``shutil`` works without ``bz2`` and says so by name; a catch-all of the standard library says nothing."""
    (tmp_path / "script.py").write_text(
        "import sys, importlib.machinery\n"
        "open('_bz2' + importlib.machinery.EXTENSION_SUFFIXES[0], 'w').write('no library ' * 40)\n"
        "for name in ('shutil', 'bz2', '_bz2'):\n    sys.modules.pop(name, None)\n"
        "import shutil\nassert shutil.get_archive_formats()\n"
        "import bz2\n"
    )
    records = start(python, tmp_path, ["script.py"])
    assert kinds(records) == ["optional", "none"]
    assert records[0]["file"].endswith("shutil.py") and records[0]["caller"][0].endswith("bz2.py")


def test_jupyter_cell(python: str, tmp_path: Any) -> None:
    """A notebook registers its cells in ``linecache.cache``; nothing of that name is on disk."""
    (tmp_path / "kernel.py").write_text(
        "import linecache\ntext = {!r}\nname = '<ipython-input-1-abc>'\n"
        "linecache.cache[name] = (len(text), None, text.splitlines(True), name)\n"
        "exec(compile(text, name, 'exec'), dict(__name__='__main__'))\n".format(GUARDED)
    )
    assert kinds(start(python, tmp_path, ["kernel.py"])) == ["optional"]


@pytest.mark.parametrize("program", ["setup.py", "pip3.11", "pip/__main__.py", "pep517/_in_process.py"])
def test_build_programs(tmp_path: Any, program: str) -> None:
    path = tmp_path / program
    path.parent.mkdir(exist_ok=True)
    path.write_text("import ctypes\nctypes.CDLL('/nowhere/a.so')\n")
    assert kinds(start(PYTHONS[list(PYTHONS)[-1]], tmp_path, [str(path)])) == ["probe"]


def test_build_directories(python: str, tmp_path: Any) -> None:
    (tmp_path / "probe.py").write_text(
        "import ctypes, os, tempfile\n"
        "def attempt(path):\n    try:\n        ctypes.CDLL(path)\n    except OSError:\n        pass\n"
        "attempt('/nowhere/build/temp.linux-x86_64/conftest.so')\n"
        "made = tempfile.mkdtemp()\n"
        "attempt(os.path.join(made, 'probe.so'))\n"
        "attempt('/nowhere/build/lib/probe.so')\n"
        "os.rmdir(made)\n"
    )
    assert kinds(start(python, tmp_path, ["probe.py"])) == ["probe", "probe", "optional"]


def test_distutils_on_the_stack(tmp_path: Any) -> None:
    packages = tmp_path / "site-packages" / "setuptools"
    packages.mkdir(parents=True)
    (packages / "__init__.py").write_text(
        "def call(function):\n    try:\n        function()\n    except OSError:\n        pass\n"
    )
    (tmp_path / "configure.py").write_text(
        "import sys, ctypes\nsys.path.insert(0, {!r})\nimport setuptools\n"
        "setuptools.call(lambda: ctypes.CDLL('/nowhere/a.so'))\n".format(str(packages.parent))
    )
    assert kinds(start(PYTHONS[list(PYTHONS)[-1]], tmp_path, ["configure.py"])) == ["probe"]


@pytest.mark.parametrize("asks", ["itself", "for-others"])
def test_a_package_that_runs_other_code_counts_where_it_loads_for_itself(
    python: str, tmp_path: Any, asks: str
) -> None:
    """Ray asks whether there is a GPU, and takes the failure itself; what its tasks load is none of its business."""
    package = tmp_path / "site-packages" / "ray"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import ctypes\ndef look(function=None):\n    try:\n"
        "        return function() if function else ctypes.CDLL('/nowhere/f.so')\n"
        "    except OSError:\n        return None\n"
    )
    call = "look()" if asks == "itself" else "look(lambda: ctypes.CDLL('/nowhere/f.so'))"
    (tmp_path / "train.py").write_text(
        "import sys, ctypes\nsys.path.insert(0, {!r})\nfrom ray import look\n{}\n".format(str(package.parent), call)
    )
    assert kinds(start(python, tmp_path, ["train.py"])) == ["optional" if asks == "itself" else "none"]
