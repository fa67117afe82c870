"""Ops that are compiled from their sources while the script waits, for every real TensorFlow of this machine.

All tests of one TensorFlow share a store, so that the op itself is compiled once; each breaks its world in its own way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap

import build_projects
import opkit
import pytest
from interpreters import bare_env
from lab import Lab, Run, check_breaks, check_repaired_as, run_script
from scripts import LOAD, script

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]

NOT_FOUND = r"NotFoundError: .*roi_pool\.so: cannot open shared object file"
#: what an op of another release lacks here: a framework of its own major version, or a symbol
FOREIGN = r"NotFoundError: .*(?:libtensorflow_framework\.so\.\d: cannot open|undefined symbol: _Z)"


@pytest.fixture(scope="session")
def store(kit: opkit.OpKit, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture
def rebuilt(world: opkit.TfWorld, store: str) -> opkit.TfWorld:
    """A world with the op's sources, whose builds share one store."""
    world.env["DLREPAIR_STORE"] = store
    shutil.copytree(opkit.SOURCES, world.path("ops"))
    world.write("README.md", "an op\n")
    world.patience = 300.0
    return world


def check(lab: Lab, world: opkit.TfWorld, hooked: str, expected: str) -> Run:
    """The unmodified script fails bare, and computes the right numbers after a rebuild."""
    lab.build(world)
    world.write(world.script, lab.script)
    check_breaks(lab, world, world.kit.python)
    run = check_repaired_as(lab, world, hooked, expected)
    assert run.events("build-finished")[-1]["ok"], run.story()
    assert run.events("load-repaired")[-1]["path"].startswith(world.env["DLREPAIR_STORE"]), run.story()
    assert " for TensorFlow {}".format(world.kit.version) in run.err, run.story()
    return run


def as_it_is(world: opkit.TfWorld) -> None:
    pass


def test_never_built(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """Two sources and a local header, no recipe; the second run replays without a compiler, in milliseconds."""
    lab = Lab("never-built", script(LOAD), as_it_is, as_it_is, NOT_FOUND, "file-missing", "rebuild")
    check(lab, rebuilt, hooked, pooled)
    again = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home-hooked"))
    assert (again.status, again.out) == (0, pooled), again.story()
    assert again.events("load-repaired")[-1]["remembered"] is True, again.story()
    # an edit ends the replay, and the numbers are those of the new source
    text = rebuilt.read("ops/roi_helper.cc").decode()
    rebuilt.write("ops/roi_helper.cc", text.replace("return greatest;", "return greatest + 100;"))
    edited = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home-hooked"))
    numbers = [float(word) + 100 for word in pooled.split()[1:4]]
    assert [float(word) for word in edited.out.split()[1:4]] == numbers, edited.story()


def other_abi(world: opkit.TfWorld) -> None:
    """Compiled from the same sources with the other _GLIBCXX_USE_CXX11_ABI."""
    flags = [
        flag[:-1] + ("0" if flag.endswith("1") else "1") if "USE_CXX11_ABI" in flag else flag
        for flag in world.kit.compile_flags
    ]
    sources = [world.path("ops/roi_pool.cc"), world.path("ops/roi_helper.cc")]
    output = world.path("ops/roi_pool.so")
    opkit.gcc(["-shared", "-fPIC", "-O1", "-w", *flags, *sources, "-o", output, *world.kit.link_flags])


def test_other_abi(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    said = r"NotFoundError: .*roi_pool\.so: undefined symbol: _Z\w*10tensorflow"
    lab = Lab("other-abi", script(LOAD), as_it_is, other_abi, said, "undefined-symbol-abi", "rebuild")
    check(lab, rebuilt, hooked, pooled)


def test_another_release(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    others = [one for one in opkit.find_kits() if one.version != rebuilt.kit.version]
    assert others, "only one TensorFlow on this machine"

    def foreign(world: opkit.TfWorld) -> None:
        own, world.kit = world.kit, others[0]
        world.op(own_helper=True)
        world.kit = own

    lab = Lab("release", script(LOAD), as_it_is, foreign, FOREIGN, "", "rebuild")
    lab.build(rebuilt)
    rebuilt.write(rebuilt.script, lab.script)
    broken = check_breaks(lab, rebuilt, rebuilt.kit.python)
    lab.cause = "dependency-missing" if "cannot open" in broken.err else "undefined-symbol-version"
    check_repaired_as(lab, rebuilt, hooked, pooled)


def test_linked_without_its_helper(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """The recipe has forgotten one of the sources; the next line of it has not."""
    said = r"NotFoundError: .*roi_pool\.so: undefined symbol: roi_maximum"
    lab = Lab(
        "without-helper", script(LOAD), as_it_is, lambda world: world.op(), said, "unknown", "rebuild"
    )  # fmt: skip
    check(lab, rebuilt, hooked, pooled)


HELPER_RECIPE = """\
g++ -std=c++11 -shared -fPIC roi_helper.cc -o libroi_helper.so
TF_INC=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
g++ -std=c++11 -shared -fPIC roi_pool.cc -o roi_pool.so -I$TF_INC -I/usr/local/cuda-8.0/include \\
    -D_GLIBCXX_USE_CXX11_ABI=0 -L. -lroi_helper -L/usr/local/lib/python2.7/dist-packages/tensorflow \\
    -ltensorflow_framework
"""


def test_with_a_helper_library(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """The helper is built too, and found beside the op in the store."""
    rebuilt.write("ops/make.sh", HELPER_RECIPE)
    lab = Lab("helper", script(LOAD), as_it_is, as_it_is, NOT_FOUND, "file-missing", "rebuild")
    run = check(lab, rebuilt, hooked, pooled)
    folder = os.path.dirname(run.events("load-repaired")[-1]["path"])
    assert os.path.isfile(os.path.join(folder, "libroi_helper.so")), os.listdir(folder)


@pytest.mark.parametrize("kind", build_projects.KINDS)
def test_recipe(kind: str, world: opkit.TfWorld, store: str, hooked: str, pooled: str) -> None:
    """A project with an old recipe of each kind, full of paths that exist nowhere."""
    world.env["DLREPAIR_STORE"] = store
    world.patience = 300.0
    os.rmdir(world.root)
    project = build_projects.write(kind, world.root)
    library = os.path.relpath(project.library, world.root)
    world.write(world.script, script(LOAD.replace('"ops", "roi_pool.so"', repr(library))))
    before = world.state()
    run = run_script(world, hooked, os.path.join(world.top, "home"))
    assert (run.status, run.out) == (0, pooled), run.story()
    assert world.state() == before, "the user's tree was changed"
    assert run.events("load-repaired")[-1]["strategy"] == "rebuild", run.story()
    recipe = [event["steps"][0] for event in run.events("repair-tried") if event["strategy"] == "rebuild"]
    assert recipe, run.story()


BAD = """
try:
    tf.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))
except tf.errors.NotFoundError as error:
    print(type(error).__name__, error.message.rsplit(": ", 2)[1:])
    raise
"""


def test_does_not_compile(rebuilt: opkit.TfWorld, hooked: str) -> None:
    """The original exception, the compiler's first error, nothing left behind; no second try while nothing changes."""
    text = rebuilt.read("ops/roi_pool.cc").decode()
    rebuilt.write("ops/roi_pool.cc", text.replace('#include "roi_helper.h"', "this is no C++"))
    rebuilt.write(rebuilt.script, script(textwrap.dedent(BAD)))
    store = os.path.join(rebuilt.top, "store")
    rebuilt.env["DLREPAIR_STORE"] = store
    bare = run_script(rebuilt, rebuilt.kit.python, os.path.join(rebuilt.top, "bare"))
    for reason in ("compile-error", "failed-before"):
        run = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home"))
        assert (run.status, run.out) == (bare.status, bare.out), run.story()
        assert run.events("build-finished")[-1]["reason"] == reason, run.story()
        assert "roi_pool.cc:" in run.err and "error: expected unqualified-id before 'this'" in run.err, run.story()
        assert "help: dlrepair build" in run.err, run.story()
        assert os.listdir(os.path.join(store, "builds")) == [], run.story()
        assert os.listdir(os.path.join(store, "locks")) == [], run.story()


TWICE = LOAD + 'tf.load_op_library(os.path.join(HERE, "other", "maximum.so"))\n'


def test_registered_already(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """A second library of the same op is refused before anything is compiled."""
    rebuilt.op(own_helper=True)
    shutil.copytree(opkit.SOURCES, rebuilt.path("other"))
    rebuilt.move("other/roi_pool.cc", "other/maximum.cc")
    rebuilt.write(rebuilt.script, script(TWICE))
    run = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home"))
    assert run.status != 0 and "cannot open shared object file" in run.err, run.story()
    assert "op RoiPool is registered already: ops/roi_pool.so has it" in run.err, run.story()
    assert "help: dlrepair explain duplicate-registration" in run.err, run.story()
    assert not run.events("build-started"), run.story()


WITH_CUDA = """\
TF_INC=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
/usr/local/cuda-9.0/bin/nvcc -std=c++11 -c -o roi_gpu.cu.o roi_gpu.cu.cc -I $TF_INC -D GOOGLE_CUDA=1 -x cu \\
    -Xcompiler -fPIC
g++ -std=c++11 -shared -o roi_pool.so roi_pool.cc roi_helper.cc roi_gpu.cu.o -I $TF_INC -fPIC -DGOOGLE_CUDA=1 \\
    -L /usr/local/cuda-9.0/lib64 -lcudart
"""
KERNEL = "#if GOOGLE_CUDA\n__global__ void pool(const float* x) {}\n#endif\n"


def test_cuda_parts_of_an_op_for_a_build_without_cuda(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """Only the CPU's kernels are built, whatever nvcc there is, and the message says so."""
    rebuilt.write("ops/compile.sh", WITH_CUDA)
    rebuilt.write("ops/roi_gpu.cu.cc", KERNEL)
    lab = Lab("cuda", script(LOAD), as_it_is, as_it_is, NOT_FOUND, "file-missing", "rebuild")
    run = check(lab, rebuilt, hooked, pooled)
    assert "; CPU kernels only: TensorFlow {} is not a CUDA build".format(rebuilt.kit.version) in run.err, run.story()
    assert run.events("build-started")[-1]["recipe"]["file"] == rebuilt.path("ops/compile.sh"), run.story()


#: what the part for the host needs of the CUDA part, which is in no build without CUDA
NEEDS = {
    "header": b"#include <cuda_runtime.h>\n",
    "launcher": b"void roi_launch(const float*);\nauto* keep = &roi_launch;\n",
}


@pytest.mark.parametrize("need", sorted(NEEDS))
def test_an_op_whose_kernels_are_all_cuda(need: str, rebuilt: opkit.TfWorld, hooked: str) -> None:
    """What it lacks is a CUDA build of TensorFlow, and neither a header, a symbol nor the project's own script."""
    rebuilt.write("ops/compile.sh", WITH_CUDA)
    rebuilt.write("ops/roi_gpu.cu.cc", KERNEL + "void roi_launch(const float* x) { pool<<<1, 1>>>(x); }\n")
    rebuilt.write("ops/roi_pool.cc", NEEDS[need] + rebuilt.read("ops/roi_pool.cc"))
    rebuilt.write(rebuilt.script, script(LOAD))
    run = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home"))
    assert run.status != 0 and "cannot open shared object file" in run.err, run.story()
    why = "it has no kernels without roi_gpu.cu.cc, which is CUDA code: TensorFlow {} is not a CUDA build"
    assert why.format(rebuilt.kit.version) in run.err, run.story()
    # CUDA builds: a package of their own until 2.0, the only one until 2.13, an extra since
    extra = tuple(int(part) for part in rebuilt.kit.version.split(".")[:2]) >= (2, 14)
    wanted = "tensorflow-gpu==" if rebuilt.kit.legacy else "tensorflow[and-cuda]==" if extra else " tensorflow=="
    help_line = [line for line in run.err.splitlines() if line.startswith("help: ")]
    assert len(help_line) == 1 and wanted + rebuilt.kit.version in help_line[0], run.story()


def test_an_op_that_is_one_cuda_source(rebuilt: opkit.TfWorld, hooked: str) -> None:
    rebuilt.write("ops/roi_pool.cu", rebuilt.read("ops/roi_pool.cc"))
    os.unlink(rebuilt.path("ops/roi_pool.cc"))
    rebuilt.write("ops/compile.sh", "nvcc --shared -o roi_pool.so roi_pool.cu -I $TF_INC -DGOOGLE_CUDA=1\n")
    rebuilt.write(rebuilt.script, script(LOAD))
    run = run_script(rebuilt, hooked, os.path.join(rebuilt.top, "home"))
    why = "it has no kernels without roi_pool.cu, which is CUDA code: TensorFlow {} is not a CUDA build"
    assert run.status == 1 and why.format(rebuilt.kit.version) in run.err, run.story()
    assert "pip install" in run.err.split("help: ")[1].splitlines()[0], run.story()



OWN_SCRIPT = """\
#!/bin/bash
set -e
cd "$(dirname "$0")"
sed 's/@RoiPool@/RoiPool/' roi_pool.cc.in > roi_pool.cc
TF_CFLAGS=( $(python -c 'import tensorflow as tf; print(" ".join(tf.sysconfig.get_compile_flags()))') )
$CXX -O2 -w -shared -fPIC roi_pool.cc roi_helper.cc -o roi_pool.so ${TF_CFLAGS[@]} $TF_LFLAGS -std=c++11
"""


def test_by_the_projects_own_script(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """A source that the script makes: nothing is run before ``dlrepair trust``, and then the script itself is.

    Its standard is that of its time, and stands last: the compiler that it finds raises it to TensorFlow's.
    """
    text = rebuilt.read("ops/roi_pool.cc").decode()
    os.unlink(rebuilt.path("ops/roi_pool.cc"))
    rebuilt.write("ops/roi_pool.cc.in", text.replace('REGISTER_OP("RoiPool")', 'REGISTER_OP("@RoiPool@")'))
    compile_sh = rebuilt.write("ops/compile.sh", OWN_SCRIPT)
    rebuilt.write(rebuilt.script, script(LOAD))
    home = os.path.join(rebuilt.top, "home-hooked")
    run = run_script(rebuilt, hooked, home)
    assert run.status == 1 and not run.events("build-started"), run.story()
    assert "help: dlrepair trust {}".format(compile_sh) in run.err, run.story()
    run_script(rebuilt, hooked, home, ["-m", "dlrepair", "trust", compile_sh])
    lab = Lab("own-script", script(LOAD), as_it_is, as_it_is, NOT_FOUND, "file-missing", "rebuild")
    run = check_repaired_as(lab, rebuilt, hooked, pooled)
    assert " made by ops/compile.sh for TensorFlow {}".format(rebuilt.kit.version) in run.err, run.story()


DOORS = """\
import sys
from dlrepair.repair import ahead
from dlrepair.watch import targets
root, wanted = sys.argv[1:]
first = ahead.find_targets(wanted)[0][1]
watched = targets.find_target(wanted, [], root).recipe
print(first == watched, first.defines, bool(first.cuda_sources))
"""


def test_build_and_watch_follow_the_recipe_that_a_failing_load_would(world: opkit.TfWorld, kit: opkit.OpKit) -> None:
    """The TensorFlow of this environment is no CUDA build: the branch for CPUs, though the other would be taken."""
    world.write("cuda/x.h", "")
    world.write("op.cc", "")
    world.write("k.cu", "")
    world.write("b.sh", "if [ -d cuda ]; then\n  nvcc -c k.cu -o k.o -DGOOGLE_CUDA=1\n"
                "  g++ -shared op.cc k.o -o op.so -DGOOGLE_CUDA=1\nelse\n"
                "  g++ -shared op.cc -o op.so -DCPU_ONLY\nfi\n")  # fmt: skip
    env = bare_env(PYTHONPATH=opkit.ROOT, DLREPAIR_STORE=os.path.join(world.top, "store"))
    done = subprocess.run(
        [kit.python, "-B", "-c", DOORS, world.root, world.path("op.so")], cwd=world.root, env=env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True ('CPU_ONLY',) False", done.stdout + done.stderr


LOOKS = """\
HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "ops", "roi_pool.so")
if not os.path.exists(PATH):
    raise RuntimeError("the op is not compiled: {}".format(PATH))
"""


def test_a_program_that_looks_first(rebuilt: opkit.TfWorld, hooked: str, pooled: str) -> None:
    """Nobody has built the op: it is built when the program asks whether it is there, from its second start on."""
    text = script(LOAD)
    rebuilt.write(rebuilt.script, text.replace(LOAD, LOOKS + LOAD, 1))
    home = os.path.join(rebuilt.top, "home-hooked")
    bare = run_script(rebuilt, rebuilt.kit.python, os.path.join(rebuilt.top, "home-bare"))
    assert bare.status == 1 and "RuntimeError: the op is not compiled" in bare.err, bare.story()
    before = rebuilt.state()
    first = run_script(rebuilt, hooked, home)
    assert first.status == 1 and not first.events("build-finished"), first.story()
    assert "it would be rebuilt from ops/roi_pool.cc" in first.err, first.story()
    assert first.err.splitlines()[-1].startswith("help: Run it again: a build of /"), first.story()
    for _ in range(2):  # built, then remembered
        again = run_script(rebuilt, hooked, home)
        assert (again.status, again.out, rebuilt.state()) == (0, pooled, before), again.story()
        assert [one["hit"] for one in again.events("build-finished")] == [False, True], again.story()
        assert not again.events("internal-error"), again.story()
    source = rebuilt.read("ops/roi_helper.cc").decode()
    rebuilt.write("ops/roi_helper.cc", source.replace("return greatest;", "return greatest + 100;"))
    edited = run_script(rebuilt, hooked, home)
    numbers = [float(word) + 100 for word in pooled.split()[1:4]]
    assert [float(word) for word in edited.out.split()[1:4]] == numbers, edited.story()
