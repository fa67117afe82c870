"""The rules against real broken files: first the real loader's words in a child, then the cause that the facts give."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import rules_worlds
from rules_worlds import compile_c, cut, dlopen, set_bytes

from dlrepair.binary import scope
from dlrepair.diagnose import rules
from dlrepair.model.causes import CAUSES
from dlrepair.model.diagnosis import Diagnosis
from dlrepair.model.requests import Caller, LoadRequest

pytestmark = pytest.mark.compile

SIMPLE = "int answer(void) { return 42; }"
USES = "int answer(void); int twice(void) { return 2 * answer(); }"


def diagnose(path: str, error: str, cwd: str = "/", **more: object) -> Diagnosis:
    """The diagnosis of a load of ``path`` in a fresh interpreter that was refused with ``error``."""
    loader = str(more.pop("loader", "ctypes"))
    library_path = str(more.pop("library_path", ""))
    request = LoadRequest(loader, path, cwd, error=error, **more)  # type: ignore[arg-type]
    target = os.path.normpath(os.path.join(cwd, path)) if "/" in path else None
    return rules.diagnose(request, target=target, process=scope.fresh_process(library_path=library_path, cwd=cwd))


def shown(diagnosis: Diagnosis) -> str:
    return "\n".join(one.text for one in diagnosis.evidence)


def check(diagnosis: Diagnosis, cause: str, *words: str) -> None:
    """The cause, every word in the evidence, and a next step."""
    assert diagnosis.cause == cause, (diagnosis.cause, shown(diagnosis))
    assert cause in CAUSES
    for word in words:
        assert word in shown(diagnosis), shown(diagnosis)
    assert diagnosis.next_step
    assert diagnosis.evidence


def test_a_sound_library_has_no_cause(tmp_path):
    path = compile_c(str(tmp_path / "libok.so"), SIMPLE)
    assert dlopen(path) == ""
    diagnosis = diagnose(path, "")
    assert diagnosis.cause == "none"
    assert diagnosis.next_step == ""


def test_a_failure_that_no_fact_explains_is_unknown(tmp_path):
    path = compile_c(str(tmp_path / "libok.so"), SIMPLE)
    check(diagnose(path, path + ": shared object cannot be dlopen()ed"), "unknown", "all ", path)


def test_file_missing(tmp_path):
    path = str(tmp_path / "gone" / "libx.so")
    error = dlopen(path)
    assert "cannot open shared object file" in error
    diagnosis = diagnose(path, error)
    check(diagnosis, "file-missing", "no such file", "does not exist; {} does".format(tmp_path))
    assert diagnosis.next_step == "dlrepair search libx.so"


def test_file_missing_behind_a_dangling_link(tmp_path):
    path = tmp_path / "libx.so"
    path.symlink_to("libx.so.1")
    check(diagnose(str(path), dlopen(str(path))), "file-missing", "symbolic link to libx.so.1")


def test_file_missing_in_a_loop_of_links(tmp_path):
    (tmp_path / "a.so").symlink_to("b.so")
    (tmp_path / "b.so").symlink_to("a.so")
    error = dlopen(str(tmp_path / "a.so"))
    assert "Too many levels" in error
    check(diagnose(str(tmp_path / "a.so"), error), "file-missing", "loop")


def test_a_leaf_name_in_the_working_directory_is_not_found(tmp_path):
    compile_c(str(tmp_path / "libleaf.so"), SIMPLE)
    error = dlopen("libleaf.so", cwd=str(tmp_path))
    assert "cannot open shared object file" in error
    diagnosis = diagnose("libleaf.so", error, cwd=str(tmp_path))
    check(diagnosis, "file-missing", "dlopen never looks in the working directory", "/etc/ld.so.cache")
    assert "./libleaf.so" in diagnosis.next_step


def test_a_leaf_name_on_the_library_path_is_followed_to_its_file(tmp_path):
    path = compile_c(str(tmp_path / "lib" / "libleaf2.so"), SIMPLE)
    cut(path, 100)
    error = dlopen("libleaf2.so", LD_LIBRARY_PATH=str(tmp_path / "lib"))
    diagnosis = diagnose("libleaf2.so", error, library_path=str(tmp_path / "lib"))
    check(diagnosis, "truncated")
    assert diagnosis.failing_object == path


def test_wrong_cwd_from_the_scripts_directory(tmp_path):
    project = tmp_path / "project"
    compile_c(str(project / "build" / "libx.so"), SIMPLE)
    (project / "train.py").write_text("")
    (tmp_path / "run").mkdir()
    error = dlopen("./build/libx.so", cwd=str(tmp_path / "run"))
    assert "No such file" in error
    diagnosis = diagnose(
        "./build/libx.so",
        error,
        cwd=str(tmp_path / "run"),
        start_cwd=str(tmp_path / "run"),
        script=str(project / "train.py"),
    )
    check(diagnosis, "wrong-cwd", str(project / "build" / "libx.so"), "the directory of the script")
    assert str(project) in diagnosis.next_step


def test_wrong_cwd_after_chdir(tmp_path):
    compile_c(str(tmp_path / "start" / "libx.so"), SIMPLE)
    (tmp_path / "later").mkdir()
    diagnosis = diagnose(
        "./libx.so", "./libx.so: cannot open", cwd=str(tmp_path / "later"), start_cwd=str(tmp_path / "start")
    )
    check(diagnosis, "wrong-cwd", "has changed its directory")


def test_wrong_cwd_from_the_root_of_the_callers_project(tmp_path):
    project = tmp_path / "project"
    compile_c(str(project / "ops" / "libx.so"), SIMPLE)
    (project / "setup.py").write_text("")
    (project / "pkg" / "deep").mkdir(parents=True)
    caller = Caller(str(project / "pkg" / "deep" / "mod.py"), 3)
    diagnosis = diagnose(
        "ops/libx.so", "ops/libx.so: cannot open", cwd=str(tmp_path), start_cwd=str(tmp_path), caller=caller
    )
    check(diagnosis, "wrong-cwd", "above the directory of the calling file")


def test_outside_a_project_only_the_directory_itself_counts(tmp_path):
    compile_c(str(tmp_path / "x" / "libx.so"), SIMPLE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    caller = Caller(str(tmp_path / "a" / "b" / "mod.py"), 3)
    diagnosis = diagnose("x/libx.so", "x/libx.so: cannot open", cwd="/", start_cwd="/", caller=caller)
    check(diagnosis, "file-missing")


def test_dependency_missing_names_the_object_that_needs_it(tmp_path):
    deep = compile_c(str(tmp_path / "libdeep.so"), SIMPLE, "-Wl,-soname,libdeep.so")
    middle = compile_c(str(tmp_path / "libmiddle.so"), USES, deep, "-Wl,-soname,libmiddle.so", "-Wl,-rpath,$ORIGIN")
    top = compile_c(
        str(tmp_path / "libtop.so"), "int twice(void); int f(void){return twice();}", middle, "-Wl,-rpath,$ORIGIN"
    )
    assert dlopen(top) == ""
    os.remove(deep)
    error = dlopen(top)
    assert error.startswith("libdeep.so: cannot open shared object file")
    diagnosis = diagnose(top, error)
    check(
        diagnosis,
        "dependency-missing",
        "libtop.so -> libmiddle.so -> libdeep.so",
        "needs libdeep.so",
        "LD_LIBRARY_PATH",
    )
    assert [one.name for one in diagnosis.missing] == ["libdeep.so"]
    assert diagnosis.missing[0].needed_by == middle
    assert diagnosis.failing_object == middle
    assert diagnosis.missing[0].tried


def test_two_dependencies_missing_deepest_first(tmp_path):
    one = compile_c(str(tmp_path / "libone.so"), SIMPLE, "-Wl,-soname,libone.so")
    two = compile_c(str(tmp_path / "libtwo.so"), USES, one, "-Wl,-soname,libtwo.so", "-Wl,-rpath,$ORIGIN")
    three = compile_c(str(tmp_path / "libthree.so"), "int three;", "-Wl,-soname,libthree.so")
    top = compile_c(
        str(tmp_path / "libtop.so"),
        "extern int three; int twice(void); int f(void) { return twice() + three; }",
        two,
        three,
        "-Wl,-rpath,$ORIGIN",
    )
    os.remove(one)
    os.remove(three)
    diagnosis = diagnose(top, dlopen(top))
    check(diagnosis, "dependency-missing")
    assert [one.name for one in diagnosis.missing] == ["libone.so", "libthree.so"]


def test_a_library_that_code_opens_by_name(tmp_path):
    source = 'static const char *const wanted = "libplugin_of_it.so.3"; const char *plugin(void) { return wanted; }'
    path = compile_c(str(tmp_path / "libhost.so"), source)
    error = "libplugin_of_it.so.3: cannot open shared object file: No such file or directory"
    diagnosis = diagnose(path, error, loader="import", exception="ImportError")
    check(diagnosis, "dependency-missing", "has no DT_NEEDED entry for it")
    assert diagnosis.missing[0].name == "libplugin_of_it.so.3"
    other = compile_c(str(tmp_path / "libother.so"), SIMPLE)
    check(diagnose(other, error, loader="import", exception="ImportError"), "unknown")


def test_a_dependency_of_another_machine_is_named_although_ld_so_does_not(tmp_path):
    dep = compile_c(str(tmp_path / "libdep.so"), SIMPLE, "-Wl,-soname,libdep.so")
    top = compile_c(str(tmp_path / "libtop.so"), USES, dep, "-Wl,-rpath,$ORIGIN")
    set_bytes(dep, 18, b"\xb7\x00")
    error = dlopen(top)
    assert error.startswith("libdep.so: cannot open shared object file: No such file")
    check(diagnose(top, error), "dependency-missing", "{} exists, but it is".format(dep), "aarch64")


def test_a_truncated_dependency_is_the_object_at_fault(tmp_path):
    dep = compile_c(str(tmp_path / "libdep.so"), SIMPLE, "-Wl,-soname,libdep.so")
    top = compile_c(str(tmp_path / "libtop.so"), USES, dep, "-Wl,-rpath,$ORIGIN")
    cut(dep, 40)
    error = dlopen(top)
    assert "file too short" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "truncated", "needs libdep.so", "libdep.so has 40 bytes")
    assert diagnosis.failing_object == dep
    assert diagnosis.missing[0].blocked_by == dep


def test_a_text_file_as_dependency(tmp_path):
    dep = compile_c(str(tmp_path / "libdep.so"), SIMPLE, "-Wl,-soname,libdep.so")
    top = compile_c(str(tmp_path / "libtop.so"), USES, dep, "-Wl,-rpath,$ORIGIN")
    with open(dep, "w") as file:
        file.write("libdep.so.1.2.3 is what the link pointed to before it was copied as a text file\n")
    error = dlopen(top)
    assert "invalid ELF header" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "not-a-library", "text")
    assert diagnosis.failing_object == dep


def test_search_path_a_broken_copy_hides_a_good_one(tmp_path):
    good = compile_c(str(tmp_path / "good" / "libdep.so"), SIMPLE, "-Wl,-soname,libdep.so")
    top = compile_c(
        str(tmp_path / "libtop.so"), USES, good, "-Wl,-rpath,{}:{}".format(tmp_path / "bad", tmp_path / "good")
    )
    bad = tmp_path / "bad" / "libdep.so"
    bad.parent.mkdir()
    bad.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n" + "#" * 100)
    error = dlopen(top)
    assert "invalid ELF header" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "search-path", str(bad), good)
    assert diagnosis.missing[0].blocked_by == str(bad)


def versioned(out: str, versions: str) -> str:
    script = out + ".map"
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(script, "w") as file:
        file.write(versions)
    return compile_c(
        out, SIMPLE + "int more(void){return 1;}", "-Wl,--version-script=" + script, "-Wl,-soname,libver.so.1"
    )


OLD, NEW = "VER_1 { global: answer; local: *; };", "VER_1 { global: answer; }; VER_2 { global: more; local: *; } VER_1;"
USES_MORE = "int more(void); int g(void) { return more(); }"


def test_symbol_version_missing(tmp_path):
    new = versioned(str(tmp_path / "lib" / "libver.so.1"), NEW)
    top = compile_c(str(tmp_path / "libtop.so"), USES_MORE, new, "-Wl,-rpath,$ORIGIN/lib")
    assert dlopen(top) == ""
    versioned(new, OLD)
    error = dlopen(top)
    assert "version `VER_2' not found" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "symbol-version-missing", "needs version VER_2 of libver.so.1", "its newest is VER_1")
    assert diagnosis.missing[0].versions == ("VER_2",)
    assert diagnosis.missing[0].blocked_by == new


def test_search_path_an_outdated_copy_hides_a_new_one(tmp_path):
    new = versioned(str(tmp_path / "new" / "libver.so.1"), NEW)
    old = versioned(str(tmp_path / "old" / "libver.so.1"), OLD)
    top = compile_c(str(tmp_path / "libtop.so"), USES_MORE, new, "-Wl,-rpath,$ORIGIN/new")
    error = dlopen(top, LD_LIBRARY_PATH=str(tmp_path / "old"))
    assert "VER_2" in error
    diagnosis = diagnose(top, error, library_path=str(tmp_path / "old"))
    check(diagnosis, "search-path", new + " defines it", old)
    assert diagnosis.missing[0].blocked_by == old


def test_libstdcxx_too_old(tmp_path):
    """A library named libstdc++.so.6 without the version that g++ asked for."""
    fake = str(tmp_path / "old" / "libstdc++.so.6")
    script = str(tmp_path / "map")
    with open(script, "w") as file:
        file.write("GLIBCXX_3.4 { global: *; }; CXXABI_1.3 { };")
    source = (
        "#include <string>\n#include <iostream>\nvoid f(std::string s) { std::cout << s << std::stoi(s); throw 1; }"
    )
    top = compile_c(str(tmp_path / "libcxx.so"), source, compiler="g++")
    compile_c(fake, SIMPLE, "-Wl,--version-script=" + script, "-Wl,-soname,libstdc++.so.6")
    error = dlopen(top, LD_LIBRARY_PATH=str(tmp_path / "old"))
    assert "libstdc++.so.6: version `" in error
    diagnosis = diagnose(top, error, library_path=str(tmp_path / "old"))
    check(diagnosis, "libstdcxx-too-old", fake)


def test_libc_too_old(tmp_path):
    """A version of libc.so.6 that no glibc has, written into a real library's version needs."""
    top = compile_c(
        str(tmp_path / "libc_user.so"),
        "#include <string.h>\nvoid *f(void *a, const void *b, long n){return memcpy(a,b,n+1);}",
    )
    with open(top, "rb") as file:
        data = file.read()
    at = data.find(b"\0GLIBC_2.") + 1
    assert at > 0
    end = data.find(b"\0", at)
    old = data[at:end]
    new = b"GLIBC_9." + b"9" * (len(old) - 8)
    data = data.replace(old + b"\0", new + b"\0")
    digest = 0
    for byte, fresh in ((old, False), (new, True)):
        value = 0
        for char in byte:
            value = (value << 4) + char
            high = value & 0xF0000000
            value = (value ^ (high >> 24)) & 0x0FFFFFFF if high else value
        if fresh:
            data = data.replace(digest.to_bytes(4, sys.byteorder), value.to_bytes(4, sys.byteorder))
        digest = value
    with open(top, "wb") as file:
        file.write(data)
    error = dlopen(top)
    assert "libc.so.6: version `GLIBC_9." in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "libc-too-old", "its newest is GLIBC_2.")
    assert diagnosis.missing == ()


def test_undefined_symbol_beside_its_unlinked_provider(tmp_path):
    compile_c(str(tmp_path / "libprov.so"), SIMPLE)
    top = compile_c(str(tmp_path / "libtop.so"), USES)
    error = dlopen(top)
    assert "undefined symbol: answer" in error
    diagnosis = diagnose(top, error)
    check(
        diagnosis, "undefined-symbol-link", "answer", "libprov.so defines them and is not among its DT_NEEDED entries"
    )
    assert diagnosis.symbols == ("answer",)


def test_undefined_symbol_of_unknown_origin_is_not_guessed(tmp_path):
    top = compile_c(str(tmp_path / "libtop.so"), USES)
    diagnosis = diagnose(top, dlopen(top))
    check(diagnosis, "unknown", "answer")
    assert diagnosis.symbols == ("answer",)


NAMED = "#include <string>\nstd::string named(std::string s) { return s + s; }"
USES_NAMED = '#include <string>\nstd::string named(std::string); void use() { named("x"); }'


def test_undefined_symbol_abi(tmp_path):
    """The provider speaks the new std::string, its user the old one: the same function, two names."""
    prov = compile_c(str(tmp_path / "libprov.so"), NAMED, "-Wl,-soname,libprov.so", compiler="g++")
    old = "#define _GLIBCXX_USE_CXX11_ABI 0\n" + USES_NAMED
    top = compile_c(str(tmp_path / "libtop.so"), old, "-Wl,--no-as-needed", prov, "-Wl,-rpath,$ORIGIN", compiler="g++")
    error = dlopen(top)
    assert "undefined symbol: _Z5namedSs" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "undefined-symbol-abi", "_Z5namedSs", prov)
    assert "_GLIBCXX_USE_CXX11_ABI=1" in diagnosis.next_step
    assert diagnosis.symbols == ("_Z5namedSs",)


def release(number):
    return "namespace lib { inline namespace lts_" + number + " { class Status {}; void check(const Status &); } }\n"


def test_undefined_symbol_version(tmp_path):
    """The provider moved to another inline namespace, as abseil does at each release."""
    body = "namespace lib { inline namespace lts_20250101 { void check(const Status &) {} } }"
    prov = compile_c(str(tmp_path / "libprov.so"), release("20250101") + body, "-Wl,-soname,libprov.so", compiler="g++")
    user = release("20230101") + "void use() { lib::Status s; lib::check(s); }"
    top = compile_c(str(tmp_path / "libtop.so"), user, "-Wl,--no-as-needed", prov, "-Wl,-rpath,$ORIGIN", compiler="g++")
    error = dlopen(top)
    assert "lts_20230101" in error
    diagnosis = diagnose(top, error)
    check(diagnosis, "undefined-symbol-version", "lts_20230101", prov)


def test_search_path_a_copy_without_the_symbol_hides_one_with_it(tmp_path):
    new = compile_c(str(tmp_path / "new" / "libdep.so"), SIMPLE, "-Wl,-soname,libdep.so")
    old = compile_c(str(tmp_path / "old" / "libdep.so"), "int other;", "-Wl,-soname,libdep.so")
    top = compile_c(str(tmp_path / "libtop.so"), USES, new, "-Wl,-rpath,$ORIGIN/new")
    error = dlopen(top, LD_LIBRARY_PATH=str(tmp_path / "old"))
    assert "undefined symbol: answer" in error
    diagnosis = diagnose(top, error, library_path=str(tmp_path / "old"))
    check(diagnosis, "search-path", old, new + " defines them")


def test_wrong_arch_although_glibc_says_no_such_file(tmp_path):
    path = compile_c(str(tmp_path / "libarm.so"), SIMPLE)
    set_bytes(path, 18, b"\xb7\x00")
    error = dlopen(path)
    assert error.endswith("No such file or directory")
    check(diagnose(path, error), "wrong-arch", "aarch64", "it exists")


def test_wrong_class(tmp_path):
    path = compile_c(str(tmp_path / "lib32.so"), SIMPLE)
    set_bytes(path, 4, b"\x01")
    error = dlopen(path)
    assert "wrong ELF class" in error
    check(diagnose(path, error), "wrong-arch", "32-bit")


def test_big_endian_is_another_processor(tmp_path):
    path = compile_c(str(tmp_path / "libbe.so"), SIMPLE)
    set_bytes(path, 5, b"\x02")
    assert dlopen(path) != ""
    check(diagnose(path, dlopen(path)), "wrong-arch")


@pytest.mark.parametrize(
    "content",
    [
        b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x06\x00\x00\x00" + bytes(200),
        b"MZ\x90\x00" + bytes(56) + b"\x80\x00\x00\x00" + bytes(64) + b"PE\x00\x00\x64\x86" + bytes(100),
    ],
)
def test_wrong_os_by_format(tmp_path, content):
    path = tmp_path / "libx.so"
    path.write_bytes(content)
    error = dlopen(str(path))
    assert "invalid ELF header" in error
    check(diagnose(str(path), error), "wrong-os", str(path))


def test_wrong_os_by_osabi(tmp_path):
    path = compile_c(str(tmp_path / "libbsd.so"), SIMPLE)
    set_bytes(path, 7, b"\x09")
    error = dlopen(path)
    assert "OS ABI invalid" in error
    check(diagnose(path, error), "wrong-os")


def test_wrong_os_a_musl_library_on_glibc(tmp_path):
    libc = compile_c(str(tmp_path / "libc.musl-x86_64.so.1"), SIMPLE, "-nostdlib", "-Wl,-soname,libc.musl-x86_64.so.1")
    path = compile_c(str(tmp_path / "libmusl.so"), USES, "-nostdlib", libc)
    os.remove(libc)
    error = dlopen(path)
    assert "libc.musl-x86_64.so.1: cannot open" in error
    check(diagnose(path, error), "wrong-os", "musl", "gnu")


@pytest.mark.parametrize(
    ("content", "step"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 5\n" + b" " * 40, "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><head><title>404</title></head>" + b"x" * 100, "Download"),
        (b"/* GNU ld script */\nGROUP ( /lib/libfoo.so.1 AS_NEEDED ( libbar.so ) )" + b" " * 40, "cat"),
        (
            b"../lib/libx.so.1 was a link once, before somebody copied it through a file system without links",
            "library itself",
        ),
        (b"!<arch>\n" + b"x" * 100, "--whole-archive"),
        (b"PK\x03\x04" + b"x" * 100, "unzip"),
        (b"\x93NUMPY" + bytes(range(1, 200)), "library"),
    ],
)
def test_not_a_library(tmp_path, content, step):
    path = tmp_path / "libx.so"
    path.write_bytes(content)
    error = dlopen(str(path))
    assert error
    diagnosis = diagnose(str(path), error)
    check(diagnosis, "not-a-library")
    assert step in diagnosis.next_step


def test_not_a_library_a_directory(tmp_path):
    (tmp_path / "libx.so").mkdir()
    error = dlopen(str(tmp_path / "libx.so"))
    assert "Is a directory" in error
    check(diagnose(str(tmp_path / "libx.so"), error), "not-a-library", "directory")


def test_not_a_library_a_fifo_is_never_opened(tmp_path):
    os.mkfifo(str(tmp_path / "libx.so"))
    check(diagnose(str(tmp_path / "libx.so"), "blocked"), "not-a-library", "pipe")


def test_not_a_library_an_object_file(tmp_path):
    path = compile_c(str(tmp_path / "x.so"), SIMPLE, "-c", shared=False)
    error = dlopen(path)
    assert "only ET_DYN and ET_EXEC can be loaded" in error
    diagnosis = diagnose(path, error)
    check(diagnosis, "not-a-library", "object file")
    assert "gcc -shared" in diagnosis.next_step


@pytest.mark.parametrize("flags", [("-pie",), ("-no-pie",)])
def test_not_a_library_a_program(tmp_path, flags):
    path = compile_c(str(tmp_path / "prog.so"), "int main(void) { return 0; }", *flags, shared=False)
    error = dlopen(path)
    assert "cannot dynamically load" in error
    check(diagnose(path, error), "not-a-library", "executable")


@pytest.mark.parametrize("size", [0, 30, 100, 4000])
def test_truncated(tmp_path, size):
    path = compile_c(str(tmp_path / "libx.so"), SIMPLE + "char big[100000] = {1};")
    cut(path, size)
    error = dlopen(path)
    assert error
    diagnosis = diagnose(path, error)
    check(diagnosis, "truncated", "empty" if size == 0 else str(size))
    assert diagnosis.failing_object == path


def as_nobody(path: str) -> str:
    """The loader's words for a user who owns nothing, and our diagnosis in the same process."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = (
        "import ctypes, os, sys\nsys.path.insert(0, sys.argv[2])\n"
        "from dlrepair.diagnose import rules\nfrom dlrepair.model.requests import LoadRequest\n"
        "rules.diagnose(LoadRequest('ctypes', sys.argv[3], '/', error='x'), target=sys.argv[3])\n"  # imports all
        "if os.geteuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n"
        "try:\n    ctypes.CDLL(sys.argv[1])\nexcept OSError as error:\n    words = str(error)\n"
        "d = rules.diagnose(LoadRequest('ctypes', sys.argv[1], '/', error=words), target=sys.argv[1])\n"
        "sys.stdout.write('OSError\\n' + words + '\\n' + d.cause + '\\n' + d.next_step + '\\n'\n"
        "    + ' / '.join(one.text for one in d.evidence))\n"
    )
    return rules_worlds.run_child([sys.executable, "-c", code, path, here, sys.executable])


@pytest.fixture
def open_dir(tmp_path_factory):
    """A directory that every user may enter: pytest's own are private."""
    import tempfile

    path = tempfile.mkdtemp()
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def test_permission_of_the_file(open_dir):
    path = compile_c(os.path.join(open_dir, "libx.so"), SIMPLE)
    os.chmod(path, 0o000)
    words = as_nobody(path)
    assert "Permission denied" in words
    assert "\npermission\n" in words
    assert "chmod +r " + path in words


def test_permission_of_a_directory(open_dir):
    path = compile_c(os.path.join(open_dir, "closed", "libx.so"), SIMPLE)
    os.chmod(os.path.dirname(path), 0o600)
    words = as_nobody(path)
    assert "Permission denied" in words
    assert "\npermission\n" in words
    assert "chmod +x " + os.path.dirname(path) in words
    os.chmod(os.path.dirname(path), 0o700)


def test_static_tls(tmp_path):
    path = compile_c(
        str(tmp_path / "libtls.so"),
        "__thread char room[1 << 20] = {1}; char *f(void) { return room; }",
        "-ftls-model=initial-exec",
    )
    error = dlopen(path)
    assert "static TLS block" in error
    diagnosis = diagnose(path, error)
    check(diagnosis, "static-tls", "1048576 bytes")
    assert "GLIBC_TUNABLES" in diagnosis.next_step


def test_execstack_is_stated_when_the_loader_refuses_it(tmp_path):
    path = compile_c(str(tmp_path / "libstack.so"), SIMPLE, "-Wl,-z,execstack")
    error = path + ": cannot enable executable stack as shared object requires: Invalid argument"
    diagnosis = diagnose(path, error)
    check(diagnosis, "execstack", "PT_GNU_STACK")
    assert "--clear-execstack" in diagnosis.next_step
    sound = compile_c(str(tmp_path / "libsound.so"), SIMPLE)
    check(diagnose(sound, error), "unknown")


def test_no_memory_under_a_limit(tmp_path):
    path = compile_c(str(tmp_path / "libbig.so"), "char big[1 << 20] = {1}; char more[1 << 30];")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))\n"
    error = dlopen(path, preload=limit)
    assert "failed to map segment" in error or "annot allocate" in error, error
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = (
        limit + "import sys\nsys.path.insert(0, sys.argv[2])\nfrom dlrepair.diagnose import rules\n"
        "from dlrepair.model.requests import LoadRequest\n"
        "d = rules.diagnose(LoadRequest('ctypes', sys.argv[1], '/', error=sys.argv[3]), target=sys.argv[1])\n"
        "sys.stdout.write('OSError\\n' + d.cause + '\\n' + d.next_step)\n"
    )
    words = rules_worlds.run_child([sys.executable, "-c", code, path, here, error])
    assert words == "no-memory\nulimit -v unlimited"


def test_python_abi_by_libpython(tmp_path):
    fake = compile_c(str(tmp_path / "libpython2.6.so.1.0"), "int PyThing;", "-Wl,-soname,libpython2.6.so.1.0")
    path = compile_c(str(tmp_path / "mod.so"), "extern int PyThing; int f(void) { return PyThing; }", fake)
    os.remove(fake)
    error = dlopen(path)
    assert "libpython2.6.so.1.0: cannot open" in error
    check(diagnose(path, error, loader="import"), "python-abi", "libpython2.6.so.1.0", "this process is Python 3.")


def test_python_abi_by_symbols(tmp_path):
    source = "void *PyString_FromString(const char *); void *f(void) { return PyString_FromString(0); }"
    path = compile_c(str(tmp_path / "mod.so"), source)
    error = dlopen(path)
    assert "undefined symbol: PyString_FromString" in error
    check(diagnose(path, error, loader="import"), "python-abi", "PyString_FromString")


def test_python_abi_by_the_modules_entry(tmp_path):
    path = compile_c(str(tmp_path / "thing.so"), "void initthing(void) {}")
    error = "dynamic module does not define module export function (PyInit_thing)"
    check(diagnose(path, error, loader="import"), "python-abi", "initthing")


def test_initializer_crash(tmp_path):
    path = compile_c(
        str(tmp_path / "libinit.so"),
        '#include <stdexcept>\nstruct S { S() { throw std::runtime_error("no device"); } } s;',
        compiler="g++",
    )
    assert dlopen(path) == "killed by signal 6"
    diagnosis = diagnose(path, "no device", exception="RuntimeError")
    check(diagnosis, "initializer-crash", "DT_INIT", "no device")


def test_duplicate_registration_needs_the_loaders_words(tmp_path):
    path = compile_c(str(tmp_path / "op.so"), SIMPLE)
    error = "tensorflow.python.framework.errors_impl.AlreadyExistsError: Op with name ZeroOut already registered"
    check(diagnose(path, error, loader="tensorflow"), "duplicate-registration", "ZeroOut")


def test_code_signature_of_a_mach_o_file(tmp_path):
    path = tmp_path / "libx.dylib"
    path.write_bytes(b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x06\x00\x00\x00" + bytes(200))
    error = "dlopen({0}, 0x0006): tried: '{0}' (code signature in <X> '{0}' not valid for use in process)".format(path)
    check(diagnose(str(path), error), "code-signature", "signature")


def test_the_mount_table_is_read_as_the_kernel_writes_it(tmp_path):
    from dlrepair.diagnose import rules_process

    assert rules_process.mount_of("/proc/self/status")[0] == "/proc"
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 0:1 / / rw,relatime - overlay overlay rw\n"
        "2 1 0:2 / {0} rw,noexec - tmpfs tmpfs rw\n3 1 0:3 / {0}/my\\040data rw - tmpfs tmpfs rw\nbroken\n".format(
            tmp_path
        )
    )
    assert rules_process.mount_of(str(tmp_path / "x.so"), str(table)) == (str(tmp_path), ("rw", "noexec"))
    assert rules_process.mount_of(str(tmp_path / "my data" / "x.so"), str(table))[1] == ("rw",)
    assert rules_process.mount_of(str(tmp_path) + "2/x.so", str(table))[0] == "/"
    assert rules_process.mount_of("/x", str(tmp_path / "no-table")) == ("", ())


NOEXEC = """
import ctypes, os, subprocess, sys
mount, library, here = sys.argv[1:]
made = subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", mount], stderr=subprocess.PIPE)
if made.returncode:
    sys.stdout.write("OSError\\ncannot mount: " + made.stderr.decode())
    sys.exit(0)
import shutil
path = shutil.copy(library, mount)
sys.path.insert(0, here)
from dlrepair.diagnose import rules
from dlrepair.model.requests import LoadRequest
try:
    ctypes.CDLL(path)
except OSError as error:
    words = str(error)
d = rules.diagnose(LoadRequest("ctypes", path, "/", error=words), target=path)
sys.stdout.write("OSError\\n" + words + "\\n" + d.cause + "\\n" + d.evidence[0].text + "\\n" + d.next_step)
"""


def test_noexec_on_a_real_mount(tmp_path):
    """In a mount name space of its own; where the kernel grants none, its refusal is all that there is to see."""
    path = compile_c(str(tmp_path / "libx.so"), SIMPLE)
    mount = tmp_path / "mount"
    mount.mkdir()
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    allowed = subprocess.run(unshare + ["true"], stderr=subprocess.PIPE)
    if allowed.returncode:
        assert b"unshare" in allowed.stderr
        return
    words = rules_worlds.run_child(unshare + [sys.executable, "-c", NOEXEC, str(mount), path, here])
    assert "failed to map segment from shared object" in words, words
    assert "\nnoexec\n" in words
    assert "lies on {}, mounted".format(mount) in words
    assert words.endswith("mount -o remount,exec {}".format(mount))


def test_every_cause_has_a_rule():
    causes = {rule.cause for rule in rules.rules()}
    assert causes == set(CAUSES)


def test_names_of_rules_are_unique():
    names = [rule.name for rule in rules.rules()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name", ["", "\0", "a" * 100000, "/" + "x/" * 3000, "\udcff.so", "/dev/null", "/proc/self/mem", "."]
)
def test_hostile_names_end_in_a_cause(name):
    diagnosis = diagnose(name, "")
    assert diagnosis.cause in CAUSES
