"""Builds with the real compiler: what is compiled again, many builders at once, killed ones, bad input, sharing."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from shutil import which

import pytest
from buildkit import HEADER, PLAIN, Built, Project, answer_of, run_on_full_disk

pytestmark = pytest.mark.compile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: rounds of killing: ``make stress-build`` runs a hundred
ROUNDS = int(os.environ.get("BUILD_ROUNDS", "8"))


#: a compiler that says its version, and then does not come to an end
HANGS = 'case "$1" in --version) echo "g++ 12.2.0";; *) {}; exec sleep 60;; esac'


@pytest.fixture
def project(tmp_path: object) -> Project:
    return Project(str(tmp_path))


def test_a_hit_needs_no_compiler(project: Project) -> None:
    first = project.build()
    assert (first.ok, first.reason, answer_of(first.result["path"])) == (True, "built", 42), first.result
    project.env["PATH"] = os.environ["PATH"]
    second = project.build()
    assert (second.reason, second.result["hit"], second.compiled) == ("found", True, False), second.result
    assert second.result["path"] == first.result["path"]
    assert project.leftovers() == []


@pytest.mark.parametrize(
    ("name", "text", "compiled"),
    [
        ("plain.cc", PLAIN.replace("return", "/* the answer */ return"), False),
        ("plain.cc", PLAIN.replace("}", "}  // done"), False),
        ("plain.h", HEADER.replace("42", "42  // by consent"), False),
        ("plain.cc", "// a line more\n" + PLAIN, True),  # __LINE__ would differ
        ("plain.cc", PLAIN.replace("VALUE", "VALUE + 0"), True),
        ("plain.h", HEADER + "#define OTHER 1\n", True),
    ],
    ids=["comment", "comment-at-end", "comment-in-header", "line-more", "code", "code-in-header"],
)
def test_what_counts_as_changed(project: Project, name: str, text: str, compiled: bool) -> None:
    project.build()
    project.write(name, text)
    built = project.build()
    assert built.ok and built.compiled is compiled, built.result
    assert answer_of(built.result["path"]) == 42


def test_a_header_that_changed_its_value(project: Project) -> None:
    project.build()
    project.write("plain.h", HEADER.replace("42", "43"))
    assert answer_of(project.build().result["path"]) == 43
    project.write("plain.h", HEADER)
    back = project.build()
    assert (back.compiled, answer_of(back.result["path"])) == (False, 42)


def test_another_project_with_the_same_sources_shares_the_objects(project: Project, tmp_path: object) -> None:
    project.build()
    other = Project(os.path.join(str(tmp_path), "other"), project.store)
    assert other.build().reason == "found"


def test_a_damaged_library_is_built_again(project: Project) -> None:
    path = project.build().result["path"]
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) - 8)
        stream.write(b"damaged!")
    again = project.build()
    assert again.ok and answer_of(again.result["path"]) == 42
    assert again.result["path"] == path and not again.result["hit"]


def test_four_at_once_build_once(project: Project) -> None:
    children = [project.start() for _ in range(4)]
    built = [Built(child.communicate(timeout=120)[0]) for child in children]
    assert all(one.ok for one in built), [one.result for one in built]
    assert sum(one.compiled for one in built) == 1, [one.events for one in built]
    assert len({one.result["path"] for one in built}) == 1
    assert project.leftovers() == []


def test_what_a_killed_builder_left_goes_with_the_next_tidying(project: Project, tmp_path: object) -> None:
    project.env["CXX"] = script(tmp_path, HANGS.format("true"))
    child = project.start()
    wait_for(lambda: any(name.startswith(".tmp-") for name in project.builds()))
    code = "from dlrepair.build import lock; from dlrepair import store; print(len(lock.holders()), store.gc()[0])"
    ask = [sys.executable, "-c", code]
    env = dict(project.environment(), PYTHONPATH=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    assert subprocess.check_output(ask, env=env, text=True).split()[0] == "1", "the holder is not visible"
    assert project.leftovers() != [], "what is held was removed"
    child.kill()
    child.communicate()
    wait_for(lambda: not [name for name in project.builds() if name.startswith(".tmp-")])
    assert subprocess.check_output(ask, env=env, text=True).split()[0] == "0"
    assert project.leftovers() == []


def test_killed_at_random_times(project: Project) -> None:
    """Never a bad library, never a stuck lock, nothing left behind."""
    random.seed(7)
    for round_ in range(ROUNDS):
        project.write("plain.h", HEADER.replace("42", str(round_)))
        child = project.start()
        time.sleep(random.uniform(0.05, 0.7))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        begun = time.monotonic()
        built = project.build()
        assert built.ok and answer_of(built.result["path"]) == round_, (round_, built.result)
        assert time.monotonic() - begun < 30, "the lock of a killed builder was waited for"
        assert project.leftovers() == [], round_


def test_the_compiler_of_a_killed_builder_ends_too(project: Project, tmp_path: object) -> None:
    mark = os.path.join(str(tmp_path), "pid")
    project.env["CXX"] = script(tmp_path, HANGS.format("echo $$ > " + mark))
    child = project.start()
    wait_for(lambda: os.path.exists(mark) and os.path.getsize(mark) > 0)
    child.kill()
    child.communicate()
    with open(mark) as stream:
        pid = int(stream.read())
    wait_for(lambda: not alive(pid))
    wait_for(lambda: not [name for name in project.builds() if name.startswith(".tmp-")])


def alive(pid: int) -> bool:
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object) -> None:
    until = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def script(tmp_path: object, body: str) -> str:
    """An executable script that stands for a compiler."""
    path = os.path.join(str(tmp_path), "cxx")
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\n" + body + "\n")
    os.chmod(path, 0o755)
    return path


def failed(project: Project, reason: str, said: str) -> Built:
    built = project.build()
    assert (built.ok, built.reason) == (False, reason), built.result
    assert said in built.result["first_error"], built.result
    assert project.leftovers() == [] and [name for name in project.builds() if not name.startswith(".")] == []
    return built


def test_a_source_that_does_not_compile(project: Project) -> None:
    project.write("plain.cc", "int main( {\n")
    built = failed(project, "compile-error", "plain.cc:1:")
    with open(built.result["log"]) as stream:
        assert "error:" in stream.read()
    failed(project, "failed-before", "plain.cc:1:")
    project.write("plain.cc", PLAIN)
    assert project.build().ok


def test_a_symbol_that_no_library_has_is_a_link_error(project: Project) -> None:
    project.write("plain.cc", PLAIN + "__asm__(\".globl answer\\nanswer: nop\");\n")
    failed(project, "compile-error", "")


ENDLESS = "template <long N> struct A { static const long v = A<N + 1>::v + A<N + 2>::v + 1; };\nlong x = A<0>::v;\n"


def test_an_endless_template(project: Project) -> None:
    project.write("plain.cc", "#pragma GCC diagnostic ignored \"-Wall\"\n" + ENDLESS)
    project.env["DLREPAIR_BUILD_SECONDS"] = "4"
    built = project.build()
    assert not built.ok and built.reason in ("time-limit", "memory-limit", "compile-error"), built.result
    assert built.result["seconds"] < 30 and project.leftovers() == [], built.result


def test_a_compiler_without_memory(project: Project) -> None:
    project.env["DLREPAIR_BUILD_MEMORY"] = "60"
    project.write("plain.cc", "#include <regex>\n#include <map>\n#include <string>\n" + PLAIN)
    built = project.build()
    assert not built.ok and built.reason in ("memory-limit", "compile-error"), built.result
    assert project.leftovers() == []


def test_a_compiler_that_hangs(project: Project, tmp_path: object) -> None:
    project.env["CXX"] = script(tmp_path, HANGS.format("true"))
    project.env["DLREPAIR_BUILD_SECONDS"] = "1"
    failed(project, "time-limit", "stopped after 1 s")


def test_a_compiler_that_is_missing(project: Project) -> None:
    project.env["CXX"] = "/nowhere/g++"
    failed(project, "no-compiler", "CXX is '/nowhere/g++', and there is no such program")


def test_no_compiler_at_all(project: Project, tmp_path: object) -> None:
    project.env["PATH"] = str(tmp_path)
    failed(project, "no-compiler", "no C++ compiler was found on PATH")


def programs_without(folder: str, left_out: str) -> str:
    """A directory with every program of gcc's but those whose names match."""
    os.makedirs(folder)
    for name in ("gcc", "g++", "cc", "as", "ld"):
        found = which(name)
        if found and name not in left_out.split():
            os.symlink(os.path.realpath(found), os.path.join(folder, name))
    return folder


def test_a_c_library_needs_no_cxx_compiler(project: Project, tmp_path: object) -> None:
    os.remove(os.path.join(project.folder, "plain.cc"))
    project.write("plain.c", "int answer(void) { return 42; }\n")
    project.env["PATH"] = programs_without(os.path.join(str(tmp_path), "bin"), "g++")
    built = project.build("plain.c")
    assert built.ok and answer_of(built.result["path"]) == 42, built.result
    project.env["CC"] = "/nowhere/cc"
    project.write("plain.c", "int answer(void) { return 43; }\n")
    refused = project.build("plain.c")
    assert (refused.reason, "CC is '/nowhere/cc'" in str(refused.result)) == ("no-compiler", True), refused.result


def test_a_cxx_library_needs_one(project: Project, tmp_path: object) -> None:
    project.env["PATH"] = programs_without(os.path.join(str(tmp_path), "bin"), "g++")
    failed(project, "no-compiler", "no C++ compiler was found on PATH")


def test_a_compiler_that_others_can_write(project: Project, tmp_path: object) -> None:
    project.env["CXX"] = script(tmp_path, 'exec g++ "$@"')
    os.chmod(project.env["CXX"], 0o777)
    failed(project, "untrusted", "writable by others")


def test_a_source_that_others_can_write(project: Project) -> None:
    os.chmod(os.path.join(project.folder, "plain.cc"), 0o666)
    failed(project, "untrusted", "writable by others")


def test_a_header_that_others_can_write(project: Project) -> None:
    os.chmod(os.path.join(project.folder, "plain.h"), 0o666)
    failed(project, "untrusted", "writable by others")


def test_a_source_that_is_missing(project: Project) -> None:
    os.unlink(os.path.join(project.folder, "plain.cc"))
    assert not project.build().ok


def test_ctrl_c_leaves_nothing(project: Project, tmp_path: object) -> None:
    project.env["CXX"] = script(tmp_path, HANGS.format("true"))
    child = project.start()
    wait_for(lambda: any(name.startswith(".tmp-") for name in project.builds()))
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode != 0 and project.leftovers() == []


def test_a_full_disk(project: Project) -> None:
    """In a mount namespace of its own, on a tmpfs of 64 KiB."""
    project.write("plain.cc", PLAIN + "char big[200000] = {1};\n")
    done = run_on_full_disk(project.store, 64, project.command(), project.environment())
    built = Built(done.stdout)
    assert (built.ok, built.reason) == (False, "disk-full"), done.stdout
    assert "no space left" in built.result["first_error"].lower(), built.result
    assert built.result["help"].startswith("df -h "), built.result
    assert "left: []" in done.stdout, done.stdout


KERNEL = """\
__global__ void add(int n, float* x) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] += 1; }
void launch(int n, float* x) { add<<<(n + 255) / 256, 256>>>(n, x); }
"""
HOST = """\
#if GOOGLE_CUDA
void launch(int, float*);
extern "C" void go(int n, float* x) { launch(n, x); }
#endif
"""


def test_cuda_parts(project: Project) -> None:
    """Compiled by nvcc where there is one; else the CPU's part alone, and the result says so."""
    project.write("plain.cc", PLAIN + HOST)
    project.write("kernel.cu", KERNEL)
    built = project.build("plain.cc", "kernel.cu")
    assert built.ok and answer_of(built.result["path"]) == 42, built.result
    if any(os.path.exists(place) for place in ("/usr/local/bin/nvcc", "/usr/local/cuda/bin/nvcc")) or which("nvcc"):
        assert built.result["notes"] == [] and built.result["sources"][-1].endswith("kernel.cu"), built.result
    else:
        assert built.result["notes"] == ["CPU kernels only: no nvcc was found"], built.result


# --- the shared store -----------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: object) -> tuple[Project, Project]:
    """Two machines' stores, and a directory that both see; the first has built and shared."""
    top = str(tmp_path)
    shared = os.path.join(top, "shared")
    os.mkdir(shared, 0o755)
    first, second = Project(os.path.join(top, "one")), Project(os.path.join(top, "two"))
    first.shared = second.shared = shared
    assert first.build().reason == "built"
    return first, second


def shared_library(project: Project) -> str:
    for folder, _, names in os.walk(os.path.join(project.shared, "builds")):
        if "libplain.so" in names:
            return os.path.join(folder, "libplain.so")
    raise AssertionError("nothing was shared")


def test_what_one_machine_built_serves_the_other(two: tuple[Project, Project]) -> None:
    first, second = two
    got = second.build()
    assert (got.ok, got.reason, got.compiled) == (True, "shared", False), got.result
    assert got.result["path"].startswith(second.store) and answer_of(got.result["path"]) == 42
    assert second.build().reason == "found"


def test_a_shared_library_with_another_digest_is_not_taken(two: tuple[Project, Project]) -> None:
    first, second = two
    path = shared_library(first)
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) - 8)
        stream.write(b"tampered")
    got = second.build()
    assert (got.ok, got.reason, got.compiled) == (True, "built", True), got.result
    assert any(event.get("reason") == "digest-differs" for event in got.events), got.events
    assert answer_of(got.result["path"]) == 42


def test_a_shared_store_that_others_can_write_is_not_used(two: tuple[Project, Project]) -> None:
    first, second = two
    os.chmod(first.shared, 0o777)
    got = second.build()
    assert (got.ok, got.reason) == (True, "built"), got.result
    assert any(event["event"] == "trust-refused" for event in got.events), got.events
    assert stat.S_IMODE(os.stat(first.shared).st_mode) == 0o777


MACHINE = """
import os, socket, sys
socket.sethostname(sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
"""


def on_machine(name: str, project: Project) -> subprocess.Popen[str]:
    """A build by a process whose machine has another name (a UTS namespace), and which begins now."""
    options = "-u" if os.geteuid() == 0 else "-ru"
    tried = subprocess.run(["unshare", options, "true"], stderr=subprocess.PIPE, text=True)
    if tried.returncode:
        assert "CI" not in os.environ, "a build machine can have another name: " + tried.stderr
        pytest.skip("no UTS namespaces here: " + tried.stderr[:100])
    command = ["unshare", options, sys.executable, "-c", MACHINE, name, *project.command()]
    return subprocess.Popen(
        command, env=project.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_machines_write_at_once(tmp_path: object) -> None:
    """Three builders on either of two machines: each has the right library, and the shared store one whole copy."""
    top = str(tmp_path)
    shared = os.path.join(top, "shared")
    os.mkdir(shared, 0o755)
    projects = [Project(os.path.join(top, str(number))) for number in range(6)]
    for each in projects:
        each.shared = shared
    children = [on_machine("machine-%d" % (number % 2), each) for number, each in enumerate(projects)]
    built = [Built(child.communicate(timeout=120)[0]) for child in children]
    assert all(one.ok and answer_of(one.result["path"]) == 42 for one in built), [one.result for one in built]
    libraries = [folder for folder, _, names in os.walk(os.path.join(shared, "builds")) if "libplain.so" in names]
    assert len(libraries) == 1 and ".tmp-" not in " ".join(os.listdir(os.path.join(shared, "builds"))), libraries
    late = Project(os.path.join(top, "late"))
    late.shared = shared
    got = Built(on_machine("machine-3", late).communicate(timeout=60)[0])
    assert (got.reason, got.compiled, answer_of(got.result["path"])) == ("shared", False, 42), got.result


def test_a_machine_that_died_while_it_wrote(two: tuple[Project, Project]) -> None:
    """Half a directory of another machine stays until it is old; of this machine's dead process it goes at once."""
    first, second = two
    part = os.path.join(first.shared, "builds")
    code = "from dlrepair.store import builds; print(builds.host())"
    env = dict(first.environment(), PYTHONPATH=ROOT)
    here = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in ("%s-%d-one" % (here.strip(), dead.pid), "0badcafe-1-two", "0badcafe-1-old"):
        os.makedirs(os.path.join(part, ".tmp-" + name))
        with open(os.path.join(part, ".tmp-" + name, "libplain.so"), "w") as stream:
            stream.write("half")
    os.utime(os.path.join(part, ".tmp-0badcafe-1-old"), (1, 1))
    second.write("plain.h", HEADER.replace("42", "43"))
    assert answer_of(second.build().result["path"]) == 43
    assert [name for name in os.listdir(part) if name.startswith(".tmp-")] == [".tmp-0badcafe-1-two"]


def test_a_damaged_description_is_no_answer(two: tuple[Project, Project]) -> None:
    """build.json cut short, or empty: compiled here, and whole again in the shared store."""
    first, second = two
    meta = os.path.join(os.path.dirname(shared_library(first)), "build.json")
    with open(meta, "r+b") as stream:
        stream.truncate(20)
    got = second.build()
    assert (got.ok, got.reason, got.compiled) == (True, "built", True), got.result
    third = Project(os.path.join(os.path.dirname(first.shared), "three"))
    third.shared = first.shared
    assert third.build().reason == "shared"
