"""Environments that hold start-up code of others: kept, run as before, restored."""

from __future__ import annotations

import os
import resource

import pytest
from install_kit import EVERY, FEW, World
from interpreters import Interpreter

PLAIN = [one for one in FEW if not one.debian]

THEIRS = '''"""Somebody else's."""
import os, sys
sys.stdout.write("%s %s\\n" % (__name__, __file__))
sys.stdout.write("%s %s\\n" % (sys.modules["sitecustomize"].__dict__ is globals(), __doc__))
'''

MATURIN = """
# <maturin_import_hook>
# the following commands install the maturin import hook during startup.
import sys
sys.started_by_maturin = __name__
# </maturin_import_hook>
"""


def _id(interpreter: Interpreter) -> str:
    return interpreter.label


def _theirs(world: World, text: str = THEIRS, mode: int = 0o640) -> None:
    path = world.write("sitecustomize.py", text, mode)
    os.utime(path, ns=(10**18, 10**18 + 123456789))
    world.run("-c", "pass")  # writes its bytecode, if Python would


@pytest.mark.parametrize("interpreter", PLAIN, ids=_id)
@pytest.mark.parametrize("compiled", [True, False])
def test_existing_is_kept_and_run(interpreter: Interpreter, compiled: bool, tmp_path: object) -> None:
    world = World(str(tmp_path), interpreter)
    helper = World(os.path.join(str(tmp_path), "helper"), PLAIN[0])  # its own start would write bytecode there
    path = world.write("sitecustomize.py", THEIRS, 0o640)
    os.utime(path, ns=(10**18, 10**18 + 123456789))
    options = () if compiled else ("-B",)
    bare = world.run(*options, "-c", "print(1)")
    assert bare.status == 0 and "True Somebody else's." in bare.out
    before = world.tree()
    assert bool([name for name in before if name.endswith(".pyc")]) == compiled

    answer = helper.install("--python", world.python)
    kept = world.path("sitecustomize_before_dlrepair.py")
    assert (answer["route"], answer["kept"]) == ("sitecustomize", kept)
    after = world.tree()
    assert after["sitecustomize_before_dlrepair.py"] == before["sitecustomize.py"]
    assert world.run("-c", "print(1)") == bare
    assert world.run("-O", "-c", "print(1)") == bare
    live = world.run("-c", "import _imp; print(hasattr(_imp.create_dynamic, '__dlrepair__'))")
    assert live.out.splitlines()[-1] == "True"

    world.run("-OO", "-c", "pass")
    assert world.install()["action"] == "unchanged"
    assert helper.dlrepair("uninstall", "--python", world.python).status == 0
    assert world.tree() == before
    assert world.run("-c", "print(1)") == bare


@pytest.mark.parametrize("interpreter", PLAIN, ids=_id)
@pytest.mark.parametrize(
    "text",
    [
        "1 / 0\n",
        "import sys\nsys.stderr.write('odd\\n')\nimport no_such_module_at_all\n",
        "def broken(:\n",
        "import sys\ndel sys.modules['sitecustomize']\n",
        "raise ImportError('x', name='sitecustomize')\n",
    ],
)
def test_existing_that_fails(interpreter: Interpreter, text: str, tmp_path: object) -> None:
    """Its exceptions behave as without us, and the hook is live all the same."""
    world = World(str(tmp_path), interpreter)
    _theirs(world, text)
    bare = world.run("-c", "import sys; print('sitecustomize' in sys.modules)")
    before = world.tree()
    world.install()
    hooked = world.run("-c", "import sys; print('sitecustomize' in sys.modules)")
    assert _without_names(hooked.err) == _without_names(bare.err)
    assert (hooked.status, hooked.out) == (bare.status, bare.out)
    done = world.run("-c", "import _imp; print(hasattr(_imp.create_dynamic, '__dlrepair__'))")
    assert done.out == "True\n"
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


def _without_names(text: str) -> str:
    """A SyntaxError names the file that holds the text, which is the kept one."""
    return text.replace("sitecustomize_before_dlrepair.py", "sitecustomize.py")


@pytest.mark.parametrize("interpreter", PLAIN, ids=_id)
def test_existing_that_exits(interpreter: Interpreter, tmp_path: object) -> None:
    """An interpreter that its sitecustomize aborts cannot prove anything: refused, nothing touched."""
    world = World(str(tmp_path), interpreter)
    helper = World(os.path.join(str(tmp_path), "helper"), interpreter)
    _theirs(world, "raise SystemExit(7)\n")
    before = world.tree()
    done = helper.dlrepair("install", "--python", world.python)
    assert done.status == 1 and "does not answer like a Python: SystemExit: 7" in done.err, done
    assert world.tree() == before


@pytest.mark.parametrize("interpreter", EVERY, ids=_id)
def test_shadowed_one_is_run(interpreter: Interpreter, tmp_path: object) -> None:
    """A sitecustomize behind site-packages on sys.path, which ours would hide, still runs."""
    world = World(str(tmp_path), interpreter)
    later = os.path.join(str(tmp_path), "later")
    os.mkdir(later)
    with open(os.path.join(later, "sitecustomize.py"), "w") as handle:
        handle.write(THEIRS)
    world.write("later.pth", later + "\n")
    bare = world.run("-c", "print(1)")
    assert ("Somebody else's" in bare.out) == (not interpreter.debian)
    before = world.tree()
    world.install()
    assert world.run("-c", "print(1)") == bare
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


@pytest.mark.parametrize("interpreter", PLAIN, ids=_id)
def test_shadowed_by_pythonpath(interpreter: Interpreter, tmp_path: object) -> None:
    """OpenTelemetry's way: its sitecustomize on PYTHONPATH wins and does not chain. A ``.pth`` line does run."""
    world = World(str(tmp_path), interpreter)
    front = os.path.join(str(tmp_path), "front")
    os.mkdir(front)
    with open(os.path.join(front, "sitecustomize.py"), "w") as handle:
        handle.write("import sys\nsys.instrumented = True\n")
    before = world.tree()
    world.install()
    done = world.dlrepair("status", PYTHONPATH=front)
    assert done.status == 1 and "shadowed by   " + os.path.join(front, "sitecustomize.py") in done.out

    answer = world.install(PYTHONPATH=front)
    assert (answer["action"], answer["route"]) == ("updated", "pth")
    assert world.armed(PYTHONPATH=front) == world.armed() == world.path("_dlrepair_hook.py")
    assert not os.path.exists(world.path("sitecustomize.py"))
    assert world.run("-c", "import sys; print(sys.instrumented)", PYTHONPATH=front).out == "True\n"
    assert world.read("dlrepair.start") == "_dlrepair_hook:start\n"  # PEP 829
    assert world.run("-c", "import _dlrepair_hook; _dlrepair_hook.start()").status == 0
    assert world.install()["action"] == "unchanged"
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


@pytest.mark.parametrize("kind", ["package", "sourceless"])
def test_sitecustomize_of_another_kind(kind: str, tmp_path: object) -> None:
    """A package, or bytecode alone, is not renamed: the ``.pth`` way, and it runs as before."""
    world = World(str(tmp_path), PLAIN[-1])
    if kind == "package":
        os.mkdir(world.path("sitecustomize"))
        world.write("sitecustomize/__init__.py", "print('theirs')\n")
        world.run("-c", "pass")
    else:
        source = world.write("sitecustomize.py", "print('theirs')\n")
        code = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[1] + 'c')"
        assert world.run("-S", "-c", code, source).status == 0
        os.unlink(source)
    before = world.tree()
    assert world.install()["route"] == "pth"
    assert world.run("-c", "print(1)").out == "theirs\n1\n"
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


@pytest.mark.parametrize("theirs", [True, False])
def test_others_write_into_our_file(theirs: bool, tmp_path: object) -> None:
    """maturin-import-hook appends a block to whatever sitecustomize.py there is: it runs, and it stays."""
    world = World(str(tmp_path), PLAIN[-1])
    if theirs:
        _theirs(world, "import sys\nsys.theirs = 1\n")
    world.install()
    world.write("sitecustomize.py", world.read("sitecustomize.py") + MATURIN)
    done = world.run("-c", "import sys; print(sys.started_by_maturin)")
    assert (done.out, done.err) == ("sitecustomize\n", "")
    assert world.armed() == world.path("sitecustomize.py")
    assert world.install()["action"] == "unchanged"
    assert MATURIN in world.read("sitecustomize.py")

    done = world.dlrepair("uninstall")
    assert done.status == 0 and "others added" in done.out
    expected = "import sys\nsys.theirs = 1\n" + MATURIN if theirs else MATURIN
    assert world.read("sitecustomize.py") == expected
    assert world.armed() is None
    assert [name for name in os.listdir(world.site) if "dlrepair" in name] == []


def test_edited_between_the_marks(tmp_path: object) -> None:
    """Neither installed over nor deleted: it is somebody's work now."""
    world = World(str(tmp_path), PLAIN[-1])
    _theirs(world)
    world.install()
    world.write("sitecustomize.py", world.read("sitecustomize.py").replace("arm(HOME)", "arm(HOME); mine = 1"))
    before = world.tree()
    for command in ("install", "uninstall"):
        done = world.dlrepair(command)
        assert done.status == 1 and "was edited between" in done.err and "help: " in done.err
        assert "sitecustomize_before_dlrepair.py" in done.err
        world.run("-c", "pass")
        assert {key: value for key, value in world.tree().items() if "__pycache__" not in key} == {
            key: value for key, value in before.items() if "__pycache__" not in key
        }


def test_replaced_by_the_user(tmp_path: object) -> None:
    """A sitecustomize.py that the user wrote over ours is foreign again, and the kept one is not lost."""
    world = World(str(tmp_path), PLAIN[-1])
    _theirs(world, "import sys\nsys.first = 1\n")
    world.install()
    world.write("sitecustomize.py", "import sys\nsys.second = 2\n")
    assert world.armed() is None
    assert world.install()["kept"] == world.path("sitecustomize_before_dlrepair_2.py")
    assert world.run("-c", "import sys; print(sys.second, hasattr(sys, 'first'))").out == "2 False\n"
    assert world.dlrepair("uninstall").status == 0
    assert world.read("sitecustomize.py") == "import sys\nsys.second = 2\n"
    assert world.read("sitecustomize_before_dlrepair.py") == "import sys\nsys.first = 1\n"


def test_older_hook_is_updated(tmp_path: object) -> None:
    world = World(str(tmp_path), PLAIN[0])
    _theirs(world)
    bare = world.run("-c", "print(1)")
    before = world.tree()
    world.install()
    older = (
        "import sys; from dlrepair.installer import blocks as b; path = sys.argv[1]; text = open(path).read();"
        "block = b.parse(text); state = dict(block.state, version='0.0.9');"
        "open(path, 'w').write(b.render('/somewhere/else', state, chain=True))"
    )
    assert world.run("-c", older, world.path("sitecustomize.py")).err == ""
    assert world.dlrepair("status").status == 1
    answer = world.install()
    assert (answer["action"], answer["kept"]) == ("updated", world.path("sitecustomize_before_dlrepair.py"))
    assert world.run("-c", "print(1)") == bare
    assert world.dlrepair("uninstall").status == 0
    assert world.tree() == before


def test_killed_half_way(tmp_path: object) -> None:
    """After SIGKILL between the two steps their file has two names; the next installation goes on from there."""
    world = World(str(tmp_path), PLAIN[-1])
    helper = World(os.path.join(str(tmp_path), "helper"), PLAIN[-1])
    _theirs(world)
    before = world.tree()
    os.link(world.path("sitecustomize.py"), world.path("sitecustomize_before_dlrepair.py"))
    assert helper.install("--python", world.python)["kept"] == world.path("sitecustomize_before_dlrepair.py")
    assert helper.dlrepair("uninstall", "--python", world.python).status == 0
    assert world.tree() == before


def _fake_package(directory: str, hooks: str) -> str:
    place = os.path.join(directory, "fake")
    os.makedirs(os.path.join(place, "dlrepair", "hooks"))
    for name, text in (("__init__.py", "__version__ = '9'\n"), ("_entries.py", ""), ("hooks/__init__.py", hooks)):
        with open(os.path.join(place, "dlrepair", name), "w") as handle:
            handle.write(text)
    return place


@pytest.mark.parametrize("theirs", [True, False])
@pytest.mark.parametrize("interpreter", FEW, ids=_id)
def test_rolled_back(interpreter: Interpreter, theirs: bool, tmp_path: object) -> None:
    """The package of that environment does not import there: seen by the proof, everything put back."""
    package = _fake_package(str(tmp_path), "raise ImportError('made for 3.99')")
    world = World(str(tmp_path), interpreter, package)
    helper = World(os.path.join(str(tmp_path), "helper"), PLAIN[-1])
    if theirs:
        _theirs(world)
    before = world.tree()
    done = helper.dlrepair("install", "--python", world.python)
    assert done.status == 1 and "cannot be imported there: ImportError: made for 3.99" in done.err, done
    assert world.tree() == before
    assert world.run("-c", "import _imp; print(hasattr(_imp.create_dynamic, '__dlrepair__'))").out.endswith("False\n")


@pytest.mark.parametrize("theirs", [True, False])
@pytest.mark.parametrize("interpreter", FEW, ids=_id)
def test_disk_full(interpreter: Interpreter, theirs: bool, tmp_path: object) -> None:
    """No byte can be written (RLIMIT_FSIZE, which root obeys too): one clear sentence, nothing changed."""
    world = World(str(tmp_path), interpreter)
    if theirs:
        _theirs(world)
    before = world.tree()
    limited = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, %d)); sys.argv[1:] = ['install'];"
        "runpy.run_module('dlrepair', run_name='__main__')" % resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    )
    done = world.run("-B", "-c", limited)
    assert done.status == 1, done
    assert done.err.startswith("dlrepair install: ") and "cannot be written: File too large" in done.err
    assert len(done.err.splitlines()) == 1
    assert world.tree() == before


def test_directory_that_takes_no_files(tmp_path: object) -> None:
    """site-packages where nobody, root included, can make a file: as on a read-only mount."""
    world = World(str(tmp_path), PLAIN[-1])
    helper = World(os.path.join(str(tmp_path), "helper"), PLAIN[-1])
    os.unlink(world.path("checkout.pth"))
    os.rmdir(world.site)
    os.symlink("/proc/self/fdinfo", world.site)  # proc(5) takes no files from anybody
    done = helper.dlrepair("install", "--python", world.python)
    assert done.status == 1 and "cannot be written" in done.err and "Traceback" not in done.err, done
