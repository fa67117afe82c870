"""Every decoy is rejected for its own reason, and the right file beside it is taken."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from searching import Project, child_environment, compile_library, settings

from dlrepair import trust
from dlrepair.binary.process import ProcessView
from dlrepair.model.candidate import Candidate, Verdict, Wanted
from dlrepair.search import gates, names, rank, sources, vet

CRASH = "static int *volatile null;\n__attribute__((constructor)) static void f(void) { *null = 1; }\n"
HANG = "#include <unistd.h>\n__attribute__((constructor)) static void f(void) { for (;;) pause(); }\n"
FORK = "#include <unistd.h>\n__attribute__((constructor)) static void f(void) { if (!fork()) for (;;) pause(); }\n"
LOUD = '#include <stdio.h>\n__attribute__((constructor)) static void f(void) { puts("hello"); fflush(stdout); }\n'
ANSWER = "int answer(void) { return 42; }\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(str(tmp_path / "project"))


def judge(
    project: Project, path: str, *, role: str = "substitute", name: str = "", rule: str = "exact", process: Any = None,
    exclude: tuple[str, ...] = (), registered: frozenset = frozenset(), loader: str = "ctypes",  # type: ignore[type-arg]
    symbols: tuple[str, ...] = (), versions: tuple[str, ...] = (), op_library: bool = False, **more: Any
) -> Verdict:  # fmt: skip
    path = project.path(path)
    name = name or os.path.basename(path)
    wanted = Wanted(
        name, role, requested="lib/" + name, loader=loader, op_library=op_library, exclude=exclude, symbols=symbols,
        versions=versions,
    )  # fmt: skip
    chosen = more.pop("with_settings", None) or settings()
    candidate = Candidate(path, "project", rule, 100)
    request = project.request("lib/" + name, loader=loader, op_loader=op_library)
    return vet.vet(candidate, wanted, request, settings=chosen, process=process, registered=registered, **more)


def patch(path: str, at: int, value: bytes) -> None:
    with open(path, "r+b") as stream:
        stream.seek(at)
        stream.write(value)


def test_a_sound_library_fits(project: Project) -> None:
    path = project.library("build/libfoo.so", soname="libfoo.so")
    for process in (None, ProcessView.current()):
        verdict = judge(project, "build/libfoo.so", process=process)
        assert (verdict.accepted, verdict.reason, verdict.trial) == (True, "fits", "passed"), verdict
    assert dict(verdict.facts)["soname"] == "libfoo.so"
    assert dict(verdict.facts)["realpath"] == path


def test_without_a_trial_none_is_reported(project: Project) -> None:
    project.library("libcrash.so", CRASH)
    verdict = judge(project, "libcrash.so", trial=False)
    assert (verdict.accepted, verdict.trial) == (True, "")


# --- the path, and who could have written it


def test_the_broken_file_under_another_name(project: Project) -> None:
    broken = project.library("libfoo.so")
    os.link(broken, project.path("libhard.so"))
    os.symlink(broken, project.path("libsoft.so"))
    for name in ("libfoo.so", "libhard.so", "libsoft.so"):
        assert judge(project, name, exclude=(broken,)).reason == "excluded"


def test_excluded_by_the_settings(project: Project) -> None:
    project.library("old/libfoo.so")
    os.symlink("old", project.path("new"))
    for name in ("old/libfoo.so", "new/libfoo.so"):
        assert judge(project, name, with_settings=settings(exclude=("old",))).reason == "excluded"


def test_stubs_are_never_taken(project: Project) -> None:
    project.library("cuda/lib64/stubs/libcublas.so")
    os.symlink("cuda/lib64/stubs", project.path("plain"))
    for name in ("cuda/lib64/stubs/libcublas.so", "plain/libcublas.so"):
        assert judge(project, name).reason == "stub"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707, 0o722])
def test_a_directory_that_others_can_write(project: Project, mode: int) -> None:
    project.library("open/libfoo.so")
    os.chmod(project.path("open"), mode)
    verdict = judge(project, "open/libfoo.so")
    assert verdict.reason == "untrusted-directory"
    assert project.path("open") in verdict.detail


def test_a_file_that_others_can_write(project: Project) -> None:
    os.chmod(project.library("libfoo.so"), 0o666)
    assert judge(project, "libfoo.so").reason == "untrusted-file"


def test_a_foreign_owner(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.library("theirs/libfoo.so")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(trust, "owners", lambda script="": frozenset((0,)))
    assert judge(project, "theirs/libfoo.so").reason == "untrusted-owner"


def test_the_owner_of_the_script_is_trusted(project: Project) -> None:
    path = project.library("theirs/libfoo.so")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        os.chown(project.script, 12345, 12345)
    assert judge(project, "theirs/libfoo.so").accepted


# --- what kind of file


def test_what_is_no_file(project: Project) -> None:
    os.mkdir(project.path("d.so"))
    os.mkfifo(project.path("fifo.so"))
    os.symlink("gone", project.path("dangling.so"))
    os.symlink("loop.so", project.path("loop.so"))
    project.write("empty.so", b"")
    for name in ("d.so", "fifo.so", "dangling.so", "loop.so", "empty.so", "missing.so", "a\0b.so", "x" * 5000):
        start = time.monotonic()
        assert judge(project, name).reason == "not-a-file", name
        assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", b"<!DOCTYPE html><html>",
        b"MZ" + b"\0" * 200,
        b"\xcf\xfa\xed\xfe" + b"\0" * 200, b"!<arch>\n" + b"\0" * 100, b"INPUT ( libfoo.so.1 )\n",
        b"PK\3\4" + b"\0" * 100,
        bytes(range(1, 256)) * 12, b"\0" * 5000, b"x",
    ],
    ids=["git-lfs", "html", "pe", "mach-o", "archive", "linker-script", "zip", "noise", "zeros", "one-byte"],
)  # fmt: skip
def test_what_is_no_elf_file(project: Project, content: bytes) -> None:
    project.write("libfoo.so", content)
    verdict = judge(project, "libfoo.so")
    assert (verdict.accepted, verdict.reason) == (False, "not-elf")
    assert verdict.detail


def test_other_machines_and_classes(project: Project) -> None:
    path = project.library("libfoo.so")
    with open(path, "rb") as stream:
        original = stream.read()
    for at, value, reason in (
        (18, b"\xb7\x00", "wrong-machine"),
        (18, b"\x08\x00", "wrong-machine"),
        (4, b"\x01", "wrong-class"),
        (7, b"\x09", "wrong-os-abi"),
        (16, b"\x01\x00", "not-shared"),
    ):
        project.write("libfoo.so", original)
        patch(path, at, value)
        assert judge(project, "libfoo.so").reason == reason, (at, value)


def test_other_kinds_of_elf_file(project: Project) -> None:
    for name, flags in (("prog", ["-no-pie"]), ("pie", ["-pie", "-fPIE"]), ("object.o", ["-c"])):
        source = "int main(void) { return 0; }\n"
        command = ["gcc", "-x", "c", "-", "-o", project.path(name + ".so"), *flags]
        subprocess.run(command, input=source.encode(), check=True)
        os.chmod(project.path(name + ".so"), 0o755)
        assert judge(project, name + ".so").reason == "not-shared", name


def test_a_file_cut_short(project: Project) -> None:
    path = project.library("libfoo.so", "char big[200000] = {1};\n" + ANSWER)
    with open(path, "rb") as stream:
        whole = stream.read()
    for part in (0.25, 0.5, 0.9):
        project.write("libfoo.so", whole[: int(len(whole) * part)])
        assert judge(project, "libfoo.so").reason == "truncated", part
    for length in (10, 63, 64, 100, 300):
        project.write("libfoo.so", whole[:length])
        assert judge(project, "libfoo.so").reason in ("truncated", "damaged", "not-elf", "not-shared"), length


# --- names inside the file


def test_a_dependency_is_taken_by_its_soname_only(project: Project) -> None:
    project.library("libdep.so.1", soname="libdep.so.1")
    project.library("libdep.so.1.2", soname="libdep.so.1")
    project.library("wrong/libdep.so.1", soname="libdep.so.2")
    project.library("none/libdep.so.1")
    assert judge(project, "libdep.so.1", role="dependency").accepted
    assert judge(project, "libdep.so.1.2", role="dependency", name="libdep.so.1").accepted
    assert judge(project, "wrong/libdep.so.1", role="dependency").reason == "soname-differs"
    assert judge(project, "none/libdep.so.1", role="dependency").reason == "no-soname"


def test_a_substitute_of_another_major_version(project: Project) -> None:
    project.library("libfoo.so", soname="libfoo.so.2")
    assert judge(project, "libfoo.so", name="libfoo.so.1", rule="soname-version").reason == "soname-differs"
    assert judge(project, "libfoo.so", name="libfoo.so.2", rule="soname-version").accepted
    assert judge(project, "libfoo.so").accepted


@pytest.mark.parametrize(
    "name", ["libtensorflow_framework.so.2", "libtensorflow_cc.so.2", "libtensorflow_framework.so"]
)
def test_a_second_framework(project: Project, name: str) -> None:
    project.library(name, soname=name)
    project.library("libother.so", soname=name)
    for path in (name, "libother.so"):
        for process in (None, ProcessView.current()):
            assert judge(project, path, role="dependency", name=name, process=process).reason == "framework"


def test_a_part_of_the_driver_from_elsewhere(project: Project) -> None:
    project.library("libcuda.so.1", soname="libcuda.so.1")
    project.library("libnvidia-ml.so.1", soname="libnvidia-ml.so.1")
    project.library("libnice.so", soname="libcuda.so.1")
    for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
        assert judge(project, name, role="dependency").reason == "driver"
    assert judge(project, "libnice.so", role="dependency", name="libcuda.so.1").reason == "driver"


# --- Python


def extension(project: Project, name: str, module: str) -> str:
    source = "#include <Python.h>\nPyMODINIT_FUNC PyInit_%s(void) { return PyLong_FromLong(1); }\n" % module
    return project.library(name, source, flags=["-I" + sysconfig.get_paths()["include"]])


def test_extensions_of_this_python_and_of_others(project: Project) -> None:
    own = names.extension_suffixes()[0]
    other = ".cpython-26-x86_64-linux-gnu.so"
    extension(project, "fast" + own, "fast")
    extension(project, "old/fast" + other, "fast")
    extension(project, "renamed/fast" + own, "slow")
    wanted = {"loader": "import", "name": "fast" + own, "process": ProcessView.current()}
    verdict = judge(project, "fast" + own, **wanted)
    assert verdict.accepted, verdict
    assert judge(project, "old/fast" + other, **wanted).reason == "python-tag"
    verdict = judge(project, "renamed/fast" + own, **wanted)
    assert (verdict.reason, "PyInit_fast" in verdict.detail) == ("python-tag", True)


def test_a_foreign_tag_on_a_library_without_python_in_it(project: Project) -> None:
    name = "c_lib.cpython-26-x86_64-linux-gnu.so"
    project.library(name)
    assert judge(project, name, name="c_lib.so", rule="python-tag").accepted
    extension(project, "x/" + name, "c_lib")
    assert judge(project, "x/" + name, name="c_lib.so", rule="python-tag").reason == "python-tag"


def test_a_library_linked_with_another_libpython(project: Project) -> None:
    other = compile_library(project.path("lib/libpython2.6.so.1.0"), "", soname="libpython2.6.so.1.0")
    project.library("_mask.so", needs=[other], flags=["-Wl,--no-as-needed", other])
    assert judge(project, "_mask.so").reason == "python-tag"


# --- symbols and versions


def versioned(project: Project, name: str, *versions: str) -> str:
    script = project.write(
        name + ".map", "".join("%s { global: f_%s; };\n" % (v, v.replace(".", "_")) for v in versions).encode()
    )
    source = "".join("int f_%s(void) { return 1; }\n" % v.replace(".", "_") for v in versions)
    return project.library(name, source, soname="libver.so.1", flags=["-Wl,--version-script," + script])


def test_versions_that_must_be_defined(project: Project) -> None:
    versioned(project, "libver.so.1", "V_1.0", "V_2.0")
    versioned(project, "old/libver.so.1", "V_1.0")
    assert judge(project, "libver.so.1", role="dependency", versions=("V_1.0", "V_2.0")).accepted
    verdict = judge(project, "old/libver.so.1", role="dependency", versions=("V_1.0", "V_2.0"))
    assert (verdict.reason, "V_2.0" in verdict.detail) == ("versions-missing", True)


def test_symbols_that_must_be_defined(project: Project) -> None:
    project.library("libfoo.so")
    assert judge(project, "libfoo.so", symbols=("answer",)).accepted
    verdict = judge(project, "libfoo.so", symbols=("answer", "question"))
    assert (verdict.reason, "question" in verdict.detail) == ("symbols-missing", True)


def test_a_candidate_that_lacks_symbols_itself(project: Project) -> None:
    project.library("libfoo.so", "int nowhere(void); int call(void) { return nowhere(); }\n")
    verdict = judge(project, "libfoo.so")
    assert (verdict.reason, "nowhere" in verdict.detail) == ("unresolved-symbols", True)
    project.library(
        "libweak.so", "int nowhere(void) __attribute__((weak)); int call(void) { return nowhere ? nowhere() : 1; }\n"
    )
    assert judge(project, "libweak.so").accepted


def test_a_candidate_that_needs_a_newer_version_of_what_is_here(project: Project) -> None:
    old = versioned(project, "old/libver.so.1", "V_1.0")
    new = versioned(project, "new/libver.so.1", "V_1.0", "V_2.0")
    source = "int f_V_2_0(void); int call(void) { return f_V_2_0(); }\n"
    project.library("libuser.so", source, needs=[new], flags=["-Wl,-rpath," + os.path.dirname(old)])
    assert judge(project, "libuser.so").reason == "versions-missing"


# --- what a candidate needs in turn


def chain(project: Project, where: str) -> None:
    """libtop.so needs libmid.so.1 needs libbottom.so.1, none of which ld.so finds."""
    bottom = project.library(where + "/c/libbottom.so.1", "int bottom(void) { return 1; }\n", soname="libbottom.so.1")
    middle = project.library(
        where + "/b/libmid.so.1",
        "int bottom(void); int mid(void) { return bottom(); }\n",
        soname="libmid.so.1",
        needs=[bottom],
    )
    project.library(
        where + "/a/libtop.so", "int mid(void); int top(void) { return mid(); }\n", needs=[middle],
        flags=["-Wl,--allow-shlib-undefined"],
    )  # fmt: skip


def test_dependencies_of_a_candidate_are_found_in_order(project: Project) -> None:
    chain(project, "native")
    verdict = judge(project, "native/a/libtop.so")
    assert (verdict.accepted, verdict.trial) == (True, "passed"), verdict
    assert verdict.preload == (project.path("native/c/libbottom.so.1"), project.path("native/b/libmid.so.1"))


def test_a_dependency_that_is_nowhere(project: Project) -> None:
    chain(project, "native")
    os.unlink(project.path("native/c/libbottom.so.1"))
    verdict = judge(project, "native/a/libtop.so")
    assert (verdict.accepted, verdict.reason) == (False, "dependency-missing")


def test_a_dependency_that_only_others_could_have_put_there(project: Project) -> None:
    chain(project, "native")
    os.chmod(project.path("native/c"), 0o777)
    assert judge(project, "native/a/libtop.so").reason == "dependency-missing"


def test_libraries_that_need_one_another_end(project: Project) -> None:
    one = project.library("one/libone.so.1", soname="libone.so.1")
    two = project.library("two/libtwo.so.1", soname="libtwo.so.1", needs=[one], flags=["-Wl,--no-as-needed", one])
    project.library("one/libone.so.1", soname="libone.so.1", flags=["-Wl,--no-as-needed", two])
    start = time.monotonic()
    verdict = judge(project, "one/libone.so.1", name="libone.so.1")
    assert time.monotonic() - start < 10
    assert verdict.accepted or verdict.reason == "dependency-missing"


# --- ops


def test_ops_that_are_registered_already(project: Project) -> None:
    source = 'const char *name(void) { return "ZeroOut"; }\n'
    project.library("libop.so", source)
    judged = judge(project, "libop.so", op_library=True, registered=frozenset(("ZeroOut", "Other")))
    assert (judged.reason, "ZeroOut" in judged.detail) == ("ops-registered", True)
    assert judge(project, "libop.so", op_library=True, registered=frozenset(("ZeroOutX", "Zero", "zeroout"))).accepted


def test_another_name_and_nothing_of_tensorflow_in_it(project: Project) -> None:
    project.library("libzero_out.so")
    assert (
        judge(project, "libzero_out.so", name="zero_out.so", rule="lib-prefix", op_library=True).reason
        == "not-an-op-library"
    )
    assert judge(project, "libzero_out.so", op_library=True).accepted


# --- the trial


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        (CRASH, "killed by SIGSEGV"),
        ("#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { exit(0); }\n", "status 0"),
    ],
)
def test_an_initialiser_that_fails(project: Project, source: str, detail: str) -> None:
    project.library("libfoo.so", source + ANSWER)
    for role in ("substitute", "dependency"):
        project.library("libfoo.so", source + ANSWER, soname="libfoo.so")
        verdict = judge(project, "libfoo.so", role=role)
        assert (verdict.reason, detail in verdict.trial) == ("trial-failed", True), verdict


def test_an_initialiser_that_hangs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "TIMEOUT", 1.0)
    project.library("libfoo.so", HANG + ANSWER)
    verdict = judge(project, "libfoo.so")
    assert (verdict.reason, verdict.trial) == ("trial-failed", "failed: no answer within 1 s")


def test_a_library_that_hung_is_not_tried_again_under_another_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "TIMEOUT", 1.0)
    path = project.library("libfoo.so", HANG + ANSWER)
    os.mkdir(project.path("other"))
    os.link(path, project.path("other/libfoo.so"))
    assert judge(project, "libfoo.so").reason == "trial-failed"
    start = time.monotonic()
    assert judge(project, "other/libfoo.so").reason == "trial-failed"
    assert time.monotonic() - start < 0.5


def test_the_same_file_in_a_directory_of_others_does_not_hide_the_safe_one(project: Project) -> None:
    project.library("zz/roi.so")
    os.mkdir(project.path("build"))
    os.link(project.path("zz/roi.so"), project.path("build/roi.so"))
    os.chmod(project.path("build"), 0o777)
    wanted = Wanted("roi.so", "substitute", requested="ops/roi.so")
    request = project.request("ops/roi.so")
    found = sources.find_candidates(wanted, request, settings(), time.monotonic() + 20)
    verdicts = [vet.vet(one, wanted, request, settings=settings()) for one in found]
    assert [(os.path.relpath(one.path, project.root), one.reason) for one in verdicts] == [
        ("build/roi.so", "untrusted-directory"), ("zz/roi.so", "fits"),
    ]  # fmt: skip


@pytest.mark.parametrize("source", [FORK, LOUD])
def test_an_initialiser_that_forks_or_prints_is_harmless(
    project: Project, source: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project.library("libfoo.so", source + ANSWER)
    assert judge(project, "libfoo.so").trial == "passed"
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_written_during_the_trial_is_not_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.library("libfoo.so")
    real = gates.try_loading

    def rewrite(vetting: Any) -> str:
        result = real(vetting)
        compile_library(path, "int other(void) { return 1; }\n")
        return result

    monkeypatch.setattr(gates, "try_loading", rewrite)
    assert judge(project, "libfoo.so").reason == "changed"


def test_no_substitute_without_a_trial_but_a_dependency(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    project.library("libfoo.so", soname="libfoo.so")
    assert judge(project, "libfoo.so").reason == "trial-not-possible"
    verdict = judge(project, "libfoo.so", role="dependency")
    assert (verdict.accepted, verdict.trial.startswith("not possible")) == (True, True)


def test_a_trial_knows_what_this_process_has_in_its_global_scope(project: Project) -> None:
    provider = project.library("lib/libprovider.so", "int provided(void) { return 7; }\n")
    project.library("libuser.so", "int provided(void); int use(void) { return provided(); }\n")
    program = """
import ctypes, sys
import test_vet, searching
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL if sys.argv[3] == 'global' else ctypes.RTLD_LOCAL)
project = searching.Project(sys.argv[2])
verdict = test_vet.judge(project, 'libuser.so', process=test_vet.ProcessView.current())
print(verdict.reason, verdict.trial)
"""
    env = child_environment()
    for scope, expected in (("global", "fits passed"), ("local", "unresolved-symbols ")):
        command = [sys.executable, "-c", program, provider, project.root, scope]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
        assert done.stdout.decode().rstrip("\n") == expected


def test_a_trial_has_the_libraries_that_are_mapped_here(project: Project) -> None:
    dep = project.library("hidden.d/far/libdep.so.1", "int dep(void) { return 7; }\n", soname="libdep.so.1")
    project.library("libuser.so", "int dep(void); int use(void) { return dep(); }\n", needs=[dep])
    program = """
import ctypes, sys
import test_vet, searching
ctypes.CDLL(sys.argv[1])
project = searching.Project(sys.argv[2])
verdict = test_vet.judge(project, 'libuser.so', process=test_vet.ProcessView.current())
print(verdict.reason, verdict.trial, verdict.preload)
"""
    env = child_environment()
    done = subprocess.run(
        [sys.executable, "-c", program, dep, project.root], env=env, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode().strip() == "fits passed ()"


def test_a_trial_that_cannot_be_like_this_process_is_none(project: Project) -> None:
    dep = project.library("hidden.d/far/libdep.so.1", "int dep(void) { return 7; }\n", soname="libdep.so.1")
    user = project.library("libuser.so", "int dep(void); int use(void) { return dep(); }\n", needs=[dep])
    wanted = Wanted("libuser.so", "substitute")
    vetting = vet.Vetting(
        Candidate(user, "project"), wanted, project.request("x"), settings(), None, frozenset(), time.monotonic() + 5
    )
    vetting.mapped = (dep,)
    assert gates.try_loading(vetting) == "passed"
    os.truncate(dep, 0)
    with pytest.raises(vet.Rejected) as rejected:
        gates.try_loading(vetting)
    assert rejected.value.reason == "trial-not-possible"


# --- the whole way: decoys beside the right file


def test_the_right_one_among_decoys(project: Project) -> None:
    right = "z_last/build/roi.so"
    project.library(right)
    with open(project.path(right), "rb") as stream:
        sound = stream.read()
    decoys = {
        "ops/build/roi.so": "wrong-machine",
        "ops/libroi.so": "truncated",
        "build/roi.so": "not-elf",
        "lib/roi.so": "unresolved-symbols",
        "src/roi.so": "trial-failed",
        "out/roi.so": "untrusted-directory",
        "bin/roi.so": "untrusted-file",
        "cc/roi.so": "dependency-missing",
        "external/roi.so": "not-a-file",
    }
    project.write("ops/build/roi.so", sound[:18] + b"\xb7\x00" + sound[20:])
    project.write("ops/libroi.so", sound[: len(sound) // 3])
    project.write("build/roi.so", b"version https://git-lfs.github.com/spec/v1\n")
    project.library("lib/roi.so", "int nowhere(void); int call(void) { return nowhere(); }\n")
    project.library("src/roi.so", CRASH)
    project.library("out/roi.so")
    os.chmod(project.path("out"), 0o777)
    os.chmod(project.library("bin/roi.so"), 0o666)
    gone = compile_library(project.path("gone/libgone.so.1"), "int gone(void) { return 1; }\n", soname="libgone.so.1")
    project.library("cc/roi.so", "int gone(void); int call(void) { return gone(); }\n", needs=[gone])
    os.unlink(gone)
    os.makedirs(project.path("external"))
    os.mkfifo(project.path("external/roi.so"))

    wanted = Wanted("roi.so", "substitute", requested="ops/roi.so")
    request = project.request("ops/roi.so")
    found = sources.find_candidates(wanted, request, settings(), time.monotonic() + 20)
    reasons = {}
    taken = ""
    for candidate in rank.rank(list(found), wanted, request):
        verdict = vet.vet(candidate, wanted, request, settings=settings())
        reasons[os.path.relpath(candidate.path, project.root)] = verdict.reason
        if verdict.accepted:
            taken = os.path.relpath(candidate.path, project.root)
            break
    assert taken == right
    assert reasons.pop(right) == "fits"
    assert reasons == decoys


# --- ranking


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    return lambda path, rule="exact", distance=100, source="project": Candidate(path, source, rule, distance)


def test_rank_is_deterministic_and_explained(project: Project, candidate: Callable[..., Candidate]) -> None:
    wanted = Wanted("roi.so", "substitute")
    request = project.request("ops/roi.so")
    found = [
        candidate(project.library("a/roi.so"), distance=10), candidate(project.library("b/roi_op.so"), "affix", 0),
        candidate(project.library("c/libroi.so"), "lib-prefix", 0), candidate(project.library("d/roi.so"), distance=60),
    ]  # fmt: skip
    expected = [project.path(name) for name in ("c/libroi.so", "a/roi.so", "b/roi_op.so", "d/roi.so")]
    for turn in range(4):
        assert [one.path for one in rank.rank(found[turn:] + found[:turn], wanted, request)] == expected
    assert rank.explain(found[0], wanted, request) == "the very name in project (distance 10)"
    assert "lib-prefix" in rank.explain(found[2], wanted, request)


def test_one_older_than_its_sources_ranks_behind_its_equal(
    project: Project, candidate: Callable[..., Candidate]
) -> None:
    stale, fresh = project.library("a/roi.so"), project.library("b/roi.so")
    project.write("a/roi.cc")
    os.utime(stale, (1000000000, 1000000000))
    os.utime(fresh, (900000000, 900000000))
    wanted = Wanted("roi.so", "substitute")
    ranked = rank.rank([candidate(stale), candidate(fresh)], wanted, project.request("roi.so"))
    assert [one.path for one in ranked] == [fresh, stale]
    assert "older than its sources" in rank.explain(candidate(stale), wanted, project.request("roi.so"))


def test_two_equally_good_but_different_files_are_a_tie(project: Project, candidate: Callable[..., Candidate]) -> None:
    one, two = project.library("a/roi.so"), project.library("b/roi.so", "int other(void) { return 1; }\n")
    same = project.path("c/roi.so")
    with open(one, "rb") as stream:
        project.write("c/roi.so", stream.read())
    for path in (one, two, same):
        os.utime(path, (1000000000, 1000000000))
    wanted = Wanted("roi.so", "substitute")
    ranked = rank.rank([candidate(path) for path in (one, two, same)], wanted, project.request("roi.so"))
    assert [each.path for each in rank.tied(ranked, wanted)] == [one, two]
    assert len(rank.tied([candidate(one), candidate(same)], wanted)) == 1
    assert len(rank.tied([candidate(one), candidate(two, distance=101)], wanted)) == 1


def test_an_op_library_for_this_tensorflow_comes_first(
    project: Project, candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlrepair.search import tensorflow

    framework = {
        name: project.library("tf/" + name, soname=name)
        for name in ("libtensorflow_framework.so.1", "libtensorflow_framework.so.2")
    }
    flags = ["-Wl,--no-as-needed"]
    one = project.library("a/roi.so", flags=flags + [framework["libtensorflow_framework.so.1"]])
    two = project.library("b/roi.so", flags=flags + [framework["libtensorflow_framework.so.2"]])
    wanted = Wanted("roi.so", "substitute", op_library=True)
    for name, expected in (("libtensorflow_framework.so.1", [one, two]), ("libtensorflow_framework.so.2", [two, one])):
        monkeypatch.setattr(tensorflow, "running_libraries", lambda name=name: (framework[name],))
        ranked = rank.rank([candidate(one, distance=1), candidate(two, distance=1)], wanted, project.request("roi.so"))
        assert [each.path for each in ranked] == expected
        assert "built for this TensorFlow" in rank.explain(ranked[0], wanted, project.request("roi.so"))
        assert "built for another TensorFlow" in rank.explain(ranked[1], wanted, project.request("roi.so"))
