"""Scripts that deal with the failure themselves: what they do without dlrepair is what they do with it."""

from __future__ import annotations

import os

import pytest
from lab import Lab, World, check_left_alone, check_repaired, run_script
from parts import HELPER, ROI, ROI_WITH_HELPER, move, roi, script

HEAD = """\
import ctypes
import os

here = os.path.dirname(os.path.abspath(__file__))


def load(name):
    return ctypes.CDLL(os.path.join(here, name))


"""

A_THEN_B = HEAD + """
try:
    roi = load("roi.so")
    chosen = "A"
except OSError:
    roi = load("fallback/libroi.so")
    chosen = "B"
print(chosen, roi.roi_pool(6, 7))
"""

LADDER = HEAD + """
for version in ("6", "5", "4"):
    try:
        roi = load("lib/libroi.so." + version)
        break
    except OSError:
        continue
else:
    raise OSError("no libroi at all")
print(version, roi.roi_pool(6, 7))
"""

GPU_THEN_CPU = HEAD + """
try:
    roi = load("libroi_gpu.so")
    device = "GPU"
except OSError as error:
    print("no GPU:", str(error).split(":")[0].split("/")[-1])
    roi = load("libroi_cpu.so")
    device = "CPU"
print(device, roi.roi_pool(6, 7))
"""

OPTIONAL = HEAD + """
try:
    roi = load("libroi.so")
except OSError:
    roi = None
print("without" if roi is None else "with", "libroi")
"""

PROBE = HEAD + """
found = []
for flags in ("libroi.so", "libroi_abi0.so"):
    try:
        load(flags)
        found.append(flags)
    except OSError:
        pass
print("flags that load:", found)
"""

PROBE_UNGUARDED = HEAD + "load('libroi.so')\n"

ADVICE = HEAD + """
try:
    roi = load("libroi.so")
except OSError:
    print("Did you run make? See the notes on building.")
    raise
print("roi_pool says", roi.roi_pool(6, 7))
"""

EXIT = HEAD + """
import sys
try:
    roi = load("libroi.so")
except OSError as error:
    sys.exit("cannot load: %s" % error)
print("roi_pool says", roi.roi_pool(6, 7))
"""

DESCRIBE = """
import sys

def describe(kind, error, trace):
    print(kind, error.args, str(error), error.errno, error.__context__, error.__cause__, error.__suppress_context__)

sys.excepthook = describe
"""


def variant_and_fallback(world: World) -> None:
    """Only a name variant of A exists, elsewhere: the script's own B is right."""
    world.library("fallback/libroi.so", ROI)
    world.library("build/libroi.so", ROI.replace("height * width", "0"))


def ladder(world: World) -> None:
    """Version 4 is what this host has; a stray 6 lies elsewhere under a name that only a search would find."""
    world.library("lib/libroi.so.4", ROI)
    world.library("old/libroi.so.6.0.1", ROI.replace("height * width", "0"), soname="libroi.so.6")


def gpu(world: World) -> None:
    world.library("gone/libcuda_driver.so.1", HELPER)
    world.library("libroi_gpu.so", ROI_WITH_HELPER, needs=["gone/libcuda_driver.so.1"])
    world.library("libroi_cpu.so", ROI)
    world.move("gone/libcuda_driver.so.1", "stash/libcuda_driver.so.1")


def setup_script(world: World) -> None:
    world.script = "setup.py"
    world.library("build/libroi.so", ROI)


def nothing(world: World) -> None:
    pass


LEFT_ALONE = [
    Lab("a-then-b", A_THEN_B, variant_and_fallback, nothing, "^B 44$"),
    Lab("version-ladder", LADDER, ladder, nothing, "^4 44$"),
    Lab("gpu-then-cpu", GPU_THEN_CPU, gpu, nothing, "no GPU: libcuda_driver.so.1\nCPU 44"),
    Lab("optional", OPTIONAL, roi("build/libroi.so"), nothing, "^without libroi"),
    Lab("build-probe", PROBE, setup_script, nothing, r"flags that load: \[\]"),
    Lab("build-probe-unguarded", PROBE_UNGUARDED, setup_script, nothing, "OSError: .*libroi.so: cannot open"),
]  # fmt: skip

REPAIRED = [
    Lab("diagnose-and-raise", ADVICE, roi(), move("libroi.so", "build/libroi.so"), "OSError: .*libroi.so: cannot open"),
    Lab("exit-with-message", EXIT, roi(), move("libroi.so", "build/libroi.so"), "cannot load: .*cannot open"),
    Lab(
        "last-of-a-then-b", A_THEN_B, roi("fallback/libroi.so"),
        move("fallback/libroi.so", "fallback/build/libroi.so"), "OSError: .*libroi.so: cannot open",
    ),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", LEFT_ALONE, ids=repr)
def test_left_alone(lab: Lab, world: World, bare: str, hooked: str) -> None:
    run = check_left_alone(lab, world, bare, hooked)
    if lab.script is not PROBE_UNGUARDED:
        assert "dlrepair" not in run.err, "the script guards this itself: not a word\n" + run.story()


@pytest.mark.compile
@pytest.mark.parametrize("lab", REPAIRED, ids=repr)
def test_repaired_although_handled(lab: Lab, world: World, bare: str, hooked: str) -> None:
    lab.cause, lab.strategy = "file-missing", "substitute"
    check_repaired(lab, world, bare, hooked)


UNREPAIRED = [
    Lab("uncaught", script("libroi.so"), nothing, nothing, "OSError: .*libroi.so: cannot open",
        journal={"load-unrepaired": "file-missing"}),
    Lab("every-attribute", DESCRIBE + script("libroi.so"), nothing, nothing, "<class 'OSError'> .*cannot open",
        journal={"load-unrepaired": "file-missing"}),
    Lab("in-an-except-block", DESCRIBE + HEAD + "try:\n    1 / 0\nexcept ZeroDivisionError:\n    load('libroi.so')\n",
        nothing, nothing, "division by zero", journal={"load-unrepaired": "file-missing"}),
    Lab("own-branch", HEAD + "import sys\ntry:\n    load('libroi.so')\nexcept OSError as error:\n"
        "    print(type(error), error.args, error.errno)\n    sys.exit(7)\n", nothing, nothing, "<class 'OSError'>"),
    Lab("import", DESCRIBE.replace("error.errno", "error.name, error.path") + "import _roi\n",
        lambda world: world.extension("_roi", "extern int nowhere(void); int PyInit__roi(void) { return nowhere(); }"),
        nothing, "<class 'ImportError'> .*undefined symbol: nowhere", journal={"diagnosed": '"undefined-symbol"'}),
]  # fmt: skip


@pytest.mark.compile
@pytest.mark.parametrize("lab", UNREPAIRED, ids=repr)
def test_original_failure(lab: Lab, world: World, bare: str, hooked: str) -> None:
    check_left_alone(lab, world, bare, hooked)


def test_command_line_code(world: World, bare: str, hooked: str) -> None:
    """``python -c`` has no script to start from: the failure is the bare one."""
    code = ["-c", "import ctypes; ctypes.CDLL('./libnowhere.so')"]
    plain = run_script(world, bare, os.path.join(world.top, "a"), code)
    run = run_script(world, hooked, os.path.join(world.top, "b"), code)
    assert plain.status == run.status == 1
    assert run.err.splitlines()[-1] == plain.err.splitlines()[-1]
    assert "cannot open shared object file" in plain.err
    assert run.events("load-unrepaired") and not run.events("load-repaired"), run.story()


def test_switched_off(world: World, bare: str, hooked: str) -> None:
    """``DLREPAIR=off``: the hooked interpreter fails, word for word, like the bare one, and writes nothing."""
    world.library("build/libroi.so", ROI)
    world.write("train.py", script("libroi.so"))
    plain = run_script(world, bare, os.path.join(world.top, "a"))
    run = run_script(world, hooked, os.path.join(world.top, "b"), DLREPAIR="off")
    assert (run.status, run.out, run.err) == (plain.status, plain.out, plain.err)
    assert run.status == 1 and not run.journal
    assert not os.listdir(os.path.join(world.top, "b"))


def test_observed(world: World, bare: str, hooked: str) -> None:
    """``DLREPAIR=observe``: diagnosed and journalled, never repaired."""
    world.library("build/libroi.so", ROI)
    world.write("train.py", script("libroi.so"))
    plain = run_script(world, bare, os.path.join(world.top, "a"))
    run = run_script(world, hooked, os.path.join(world.top, "b"), DLREPAIR="observe")
    assert (run.status, run.out) == (plain.status, plain.out)
    assert run.events("diagnosed")[0]["cause"] == "file-missing", run.story()
    assert not run.events("load-repaired"), run.story()
