"""Start-up in odd surroundings: nothing is printed, nothing raised, the hook is live or quietly out."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Iterator

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "install"))
from install_kit import FEW, ROOT, World, run
from interpreters import Interpreter, bare_env

_STATE = "import _imp, sys; print(hasattr(_imp.create_dynamic, '__dlrepair__'))"


@pytest.fixture(scope="module", params=FEW, ids=lambda one: one.label)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hooked virtualenv: one sitecustomize route, one ``.pth`` route."""
    made = World(str(tmp_path_factory.mktemp("startup")), request.param)
    made.install()
    yield made


def test_no_home_at_all(world: World) -> None:
    env = {"PATH": "/nowhere"}
    done = subprocess.run([world.python, "-c", _STATE], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


def test_directory_that_is_gone(world: World, tmp_path: object) -> None:
    gone = os.path.join(str(tmp_path), "gone")
    code = "import os, sys; os.mkdir({0!r}); os.chdir({0!r}); os.rmdir({0!r}); os.execv(sys.argv[1], sys.argv[1:])"
    code = code.format(gone)
    done = run([sys.executable, "-c", code, world.python, "-c", _STATE], str(tmp_path))
    assert (done.status, done.out) == (0, "True\n")
    assert "dlrepair" not in done.err and "sitecustomize" not in done.err


def test_closed_standard_streams(world: World, tmp_path: object) -> None:
    target = os.path.join(str(tmp_path), "answer")
    code = _STATE.replace("print(", "open(%r, 'w').write(str(" % target) + ")"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', world.python, "-c", code], env=bare_env(), timeout=60
    )
    assert done.returncode == 0
    with open(target) as handle:
        assert handle.read() == "True"


@pytest.mark.parametrize("value", ["off", "OFF", "0", "no", "false"])
def test_switched_off(world: World, value: str) -> None:
    assert world.armed(DLREPAIR=value) is None
    assert world.armed(DLREPAIR="observe") is not None
    assert world.armed(DLREPAIR_MODE="off") is None


def test_every_way_of_starting(world: World, tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "script.py")
    with open(script, "w") as handle:
        handle.write(_STATE + "\n")
    ways = ([script], ["-m", "script"], ["-X", "dev", script], ["-W", "error", script], ["-bb", "-u", script])
    for arguments in ways:
        done = run([world.python, *arguments], str(tmp_path), PYTHONPATH=str(tmp_path))
        assert (done.status, done.out, done.err) == (0, "True\n", ""), arguments
    piped = subprocess.run(
        [world.python, "-"], input=_STATE.encode(), env=bare_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert (piped.stdout, piped.stderr) == (b"True\n", b"")


def test_children_by_multiprocessing(world: World, tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "workers.py")
    with open(script, "w") as handle:
        handle.write(
            "import multiprocessing, _imp\n"
            "def live(number):\n    return hasattr(_imp.create_dynamic, '__dlrepair__')\n"
            "if __name__ == '__main__':\n"
            "    for method in ('fork', 'spawn', 'forkserver'):\n"
            "        with multiprocessing.get_context(method).Pool(1) as pool:\n"
            "            print(method, pool.map(live, [1]))\n"
        )
    done = run([world.python, script], str(tmp_path))
    assert (done.out, done.err) == ("fork [True]\nspawn [True]\nforkserver [True]\n", "")


def test_started_again_by_site(world: World) -> None:
    """``site.main()`` once more, as IDLE and some launchers do: armed once, nothing printed."""
    code = "import site, _imp; before = _imp.create_dynamic; site.main(); print(before is _imp.create_dynamic)"
    done = world.run("-c", code)
    assert (done.out, done.err) == ("True\n", "")


def test_subinterpreter(world: World) -> None:
    code = (
        "import sys\n"
        "text = 'import _imp; assert _imp.create_dynamic.__dlrepair__'\n"
        "try:\n"
        "    if sys.version_info >= (3, 13): import _interpreters as sub\n"
        "    else: import _xxsubinterpreters as sub\n"
        "    one = sub.create(); sub.run_string(one, text); sub.destroy(one); print('done')\n"
        "except ImportError:\n"
        "    import _testcapi; print(_testcapi.run_in_subinterp(text) or 'done')\n"
    )
    done = world.run("-c", code)
    assert (done.status, done.out, done.err) == (0, "done\n", "")


def test_not_armed_where_user_ids_differ(world: World) -> None:
    """Stage 0 stays out of a process whose real and effective user differ, as in a set-user-ID program."""
    code = (
        "import os, _imp; from dlrepair import _bootstrap; import dlrepair\n"
        "_bootstrap.os = type('os', (), {name: getattr(os, name) for name in dir(os)})\n"
        "_bootstrap.os.geteuid = staticmethod(lambda: os.getuid() + 1)\n"
        "print(_bootstrap.arm(%r))" % ROOT
    )
    assert world.run("-S", "-c", "import sys; sys.path.insert(0, %r)\n" % ROOT + code).out == "None\n"


@pytest.mark.parametrize("interpreter", FEW, ids=lambda one: one.label)
def test_run_reaches_every_python(interpreter: Interpreter, world: World) -> None:
    """``dlrepair run`` of another environment's interpreter, with its own sitecustomize run as before."""
    path = "import sys; print(sys.path)"
    done = world.dlrepair("run", "--", interpreter.path, "-c", path)
    assert done == run([interpreter.path, "-c", path], world.home)
    live = world.dlrepair("run", interpreter.path, "-c", _STATE)
    assert (live.status, live.out) == (0, "True\n")
    nested = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', %r]))" % _STATE
    assert world.dlrepair("run", "--", interpreter.path, "-c", nested).out == "True\n"


def test_run_passes_everything_through(world: World) -> None:
    def shell(text: str) -> tuple[int, str]:
        return world.dlrepair("run", "--", "/bin/sh", "-c", text)[:2]

    assert shell("exit 5") == (5, "")
    assert shell("kill -TERM $$") == (-15, "")
    assert shell('printf %s "$0"') == (0, "/bin/sh")
    assert world.dlrepair("run", "no-such-command").status == 127
    assert world.dlrepair("run", world.home).status == 126
    assert world.dlrepair("run").status == 2
    front = world.dlrepair("run", "--", "/bin/sh", "-c", 'printf %s "$PYTHONPATH"', PYTHONPATH="/a:/b").out
    assert front == os.path.join(ROOT, "sitecustomize_template") + ":/a:/b"
    again = world.dlrepair("run", "--", "/bin/sh", "-c", 'printf %s "$PYTHONPATH"', PYTHONPATH=front).out
    assert again == front
