"""What ``doctor`` keeps between two runs: it holds as long as nothing changed that the proof looked at, no longer."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from dlrepair import store
from dlrepair.binary import bulk, elf, hashes, hwcaps, lookups, tables
from dlrepair.binary.process import ProcessView
from dlrepair.binary.scope import fresh_process
from dlrepair.diagnose import surveyed
from dlrepair.diagnose.environment import Environment
from dlrepair.store import surveys

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no compiler on this machine")
LONG_AGO = time.time() - 3600


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("DLREPAIR_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(surveys, "RACY_NS", -(10**15))  # ctime cannot be set back


def compile_library(path, source, *more):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", "-O0", "-x", "c", "-", "-x", "none", "-o", path, *more]
    subprocess.run(command, input=source.encode(), check=True)


def survey(place, fresh=False, library_path="", cwd=None):
    """(was it remembered, names that load, names of which nothing is proved)."""
    view = fresh_process(library_path=library_path, cwd=cwd)
    program = view.main, view.library_path, view.loaded
    kept = None if fresh else surveyed.recall([place], program, view.cwd)
    if kept is not None:
        loads = {os.path.relpath(path, place): path in kept[1] for path in kept[0]}
    else:
        with elf.StillView() as still:
            environment = Environment([place], still, view)
            environment.prove()
            loads = {os.path.relpath(path, place): environment.loads(path) for path in environment.paths}
            environment.keep()
    return kept is not None, {name for name in loads if loads[name]}, {name for name in loads if not loads[name]}


@pytest.fixture
def place(tmp_path):
    """one/libneeds.so finds two/libbase.so by its RUNPATH, whose first directory is empty."""
    place = str(tmp_path / "site")
    os.makedirs(place + "/first")
    compile_library(place + "/two/libbase.so", "int base(void) { return 1; }", "-Wl,-soname,libbase.so")
    compile_library(
        place + "/one/libneeds.so", "int base(void); int go(void) { return base(); }", place + "/two/libbase.so",
        "-Wl,-rpath,$ORIGIN/../first:$ORIGIN/../two", "-Wl,--enable-new-dtags",
    )  # fmt: skip
    return place


def test_an_unchanged_environment_is_remembered(place):
    assert survey(place) == (False, {"one/libneeds.so"}, set())
    assert survey(place) == (True, {"one/libneeds.so"}, set())
    assert survey(place, fresh=True)[0] is False
    assert store.gc() == (0, 0)
    assert store.clear()[0] >= 1
    assert survey(place)[0] is False


def test_another_search_path_is_another_survey(place, tmp_path):
    survey(place)
    assert survey(place, library_path=str(tmp_path))[0] is False


def changes(place):
    """Each: a change after which the earlier answer must not be given, and what is right then."""

    def rebuilt():
        compile_library(place + "/two/libbase.so", "int other(void) { return 1; }", "-Wl,-soname,libbase.so")

    def removed():
        os.unlink(place + "/two/libbase.so")

    def shadowed():  # a file appears where the search had looked before
        compile_library(place + "/first/libbase.so", "int other(void) { return 1; }", "-Wl,-soname,libbase.so")

    def in_hwcaps():
        from dlrepair.binary.hwcaps import named_levels

        target = place + "/first/glibc-hwcaps/%s/libbase.so" % named_levels()[-1]
        compile_library(target, "int other(void) { return 1; }", "-Wl,-soname,libbase.so")

    def overwritten():  # in place, same size, same mtime: only the change time tells
        path = place + "/two/libbase.so"
        info = os.stat(path)
        with open(path, "r+b") as file:
            raw = file.read().replace(b"\0base\0", b"\0bade\0")
            file.seek(0)
            file.write(raw)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))

    def closed():
        os.chmod(place + "/two/libbase.so", 0)

    return [rebuilt, removed, shadowed, in_hwcaps, overwritten, closed]


@pytest.mark.parametrize("number", range(6))
def test_a_change_is_seen(place, number):
    change = changes(place)[number]
    if change.__name__ == "in_hwcaps":
        from dlrepair.binary.hwcaps import named_levels

        if not named_levels():
            pytest.skip("this processor has no glibc-hwcaps level")
    assert survey(place)[1] == {"one/libneeds.so"}
    change()
    remembered, loads, others = survey(place)
    assert not remembered
    if change.__name__ == "closed" and os.geteuid() == 0:
        return  # root reads it all the same
    assert "one/libneeds.so" in others and "one/libneeds.so" not in loads


def test_a_new_library_is_seen(place):
    survey(place)
    compile_library(place + "/three/deep/libnew.so", "int nowhere(void); int go(void) { return nowhere(); }")
    assert survey(place) == (False, {"one/libneeds.so"}, {"three/deep/libnew.so"})


@pytest.mark.parametrize("seconds", [1.03, 1.0])  # one that file systems without fractions could say as well
def test_what_changed_a_moment_ago_is_not_kept(place, monkeypatch, seconds):
    monkeypatch.setattr(surveys, "RACY_NS", 2 * 10**9)
    latest = int(seconds * 1e9)
    soon = latest + (40 * 10**6 if latest % 10**9 else 1900 * 10**6)
    for began, kept in ((latest, False), (soon, False), (soon + 200 * 10**6, True)):
        state = surveys._STATE.pack(1, 2, 3, latest - 5, latest, 4)
        for listed, known in (([(place, ["."], state)], {}), ([], {place: state})):
            assert surveys.keep("0" * 32, listed, list(known), [], began, [[place]], known) is kept


@pytest.fixture
def two_directories(tmp_path, monkeypatch):
    """Working directories: what enters the first and the second."""
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    for directory in (here, there):
        os.mkdir(directory)
    return [lambda one=one: monkeypatch.chdir(one) or one for one in (here, there)]


def test_a_name_that_is_looked_for_in_the_working_directory(place, two_directories):
    """An empty entry of a path stands for it: what is not there is not there in another one either."""
    for enter in two_directories:
        here = enter()
        assert survey(place, cwd=here)[0] is (enter is not two_directories[0])
        assert survey(place, cwd=here, library_path="/nowhere:")[0] is (enter is not two_directories[0])
    open("other", "w").close()
    assert survey(place, cwd=here, library_path="/nowhere:") == (True, {"one/libneeds.so"}, set())
    compile_library(here + "/libbase.so", "int other(void) { return 1; }", "-Wl,-soname,libbase.so")
    for _ in range(2):
        assert survey(place, cwd=here, library_path="/nowhere:")[1:] == (set(), {"one/libneeds.so"})
        assert survey(place, cwd=two_directories[0](), library_path="/nowhere:")[1:] == ({"one/libneeds.so"}, set())
        here = two_directories[1]()
    os.unlink("libbase.so")
    os.makedirs("tls" if "tls/" in hwcaps.subdirectories() else "glibc-hwcaps")
    two_directories[0]()
    survey(place, library_path="/nowhere:")
    assert survey(place, cwd=two_directories[1](), library_path="/nowhere:")[0] is False


def test_the_working_directory_counts_where_a_search_begins_there(place, two_directories):
    here = two_directories[0]()
    for options in (["-Wl,-rpath,two"], ["-Wl,-rpath,/nowhere:$LIB"], ["./lib.so", "-Wl,-rpath,$ORIGIN"]):
        two_directories[0]()
        compile_library(here + "/lib.so", "int lib(void) { return 1; }")  # no SONAME: needed as it was named
        compile_library(place + "/three/libmore.so", "int lib(void); int more(void) { return lib(); }", *options)
        survey(place, cwd=here)
        assert [survey(place, cwd=enter())[0] for enter in reversed(two_directories)] == [False, True], options


def test_a_damaged_survey_is_no_answer(place, tmp_path):
    survey(place)
    (kept,) = (tmp_path / "store" / "surveys").iterdir()
    whole = kept.read_bytes()
    for raw in (b"", whole[: len(whole) // 2], b"[]", b"\n", whole.replace(b"libneeds", b"libneedz"), whole + b"\0"):
        kept.write_bytes(raw)
        assert survey(place, library_path="")[0] is False
    kept.write_bytes(whole)
    kept.chmod(0o666)  # somebody else could have written it
    assert survey(place)[0] is False


def test_many_hashes_at_once_are_those_of_one_by_one():
    import random

    chance = random.Random(5)
    names = [bytes(chance.randrange(1, 256) for _ in range(chance.randrange(0, 300))) for _ in range(1500)] + [b""]
    assert hashes.gnu_hashes(names) == [hashes.gnu_hash(name) for name in names]
    assert hashes.gnu_hashes([]) == []


def test_look_ups_and_whole_tables_agree(place, monkeypatch):
    """The same proofs whichever way a provider is read, on this interpreter's own libraries."""
    import _ctypes

    view = ProcessView.current()
    paths = [path for path in (*view.loaded, getattr(_ctypes, "__file__", "")) if path]
    answers = []
    for rows_a_lookup, few in ((0, 0), (10**9, 10**9)):
        monkeypatch.setattr(bulk, "ROWS_A_LOOKUP", rows_a_lookup)
        monkeypatch.setattr(lookups, "FEW", few)
        census = bulk.Census(view)
        answers.append([census._symbols_found([path], view.program_closure()) for path in paths])
    assert answers[0] == answers[1] and True in answers[0]


def test_one_broken_library_among_many_is_told_apart(place):
    """They meet the same files and are asked about together: what one lacks is not held against the others."""
    run_path = ("-Wl,-rpath,$ORIGIN/../two", "-Wl,--enable-new-dtags")
    for name in ("a", "b", "c"):
        missing = "int nowhere(void);" if name == "b" else "static int nowhere(void) { return 0; }"
        source = missing + " int base(void); int go(void) { return base() + nowhere(); }"
        compile_library(place + "/many/lib%s.so" % name, source, place + "/two/libbase.so", *run_path)
    assert survey(place) == (False, {"one/libneeds.so", "many/liba.so", "many/libc.so"}, {"many/libb.so"})


def test_what_only_the_company_finds_is_proved_in_company(place):
    """A library that names no dependency finds its symbols with what its only user brings along, not by itself."""
    compile_library(
        place + "/many/libinner.so", "int base(void); int inner(void) { return base(); }", "-Wl,-soname,libinner.so"
    )
    for name in ("outer", "poor"):
        more = [place + "/two/libbase.so"] if name == "outer" else []
        compile_library(
            place + "/many/lib%s.so" % name, "int inner(void); int go(void) { return inner(); }",
            "-Wl,--no-as-needed", place + "/many/libinner.so", *more,
            "-Wl,-rpath,$ORIGIN:$ORIGIN/../two,--enable-new-dtags,--unresolved-symbols=ignore-all",
        )  # fmt: skip
    assert survey(place) == (False, {"one/libneeds.so", "many/libouter.so"}, {"many/libpoor.so"})


def test_what_holds_alone_is_not_held_for_other_company(place):
    """The RPATH of who loads it leads a library to another file than its own search does."""
    compile_library(place + "/bad/libbase.so", "int other(void) { return 1; }", "-Wl,-soname,libbase.so")
    compile_library(
        place + "/many/libinner.so", "int base(void); int inner(void) { return base(); }", place + "/two/libbase.so",
        "-Wl,-soname,libinner.so",
    )  # fmt: skip
    for name, directory in (("good", "two"), ("wrong", "bad")):
        compile_library(
            place + "/many/lib%s.so" % name, "int inner(void); int go(void) { return inner(); }",
            place + "/many/libinner.so", "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../%s:$ORIGIN" % directory,
            "-Wl,--unresolved-symbols=ignore-all",
        )  # fmt: skip
    loads = {"one/libneeds.so", "many/libgood.so"}
    assert survey(place, library_path=place + "/two") == (False, loads, {"many/libwrong.so"})


def test_a_little_static_tls_is_proved_and_much_is_not(place):
    """libgomp, which half of scikit-learn needs, has some words of it (DF_STATIC_TLS)."""
    for name, size in (("little", 16), ("much", 4096)):
        source = "__thread char room[%d]; int %s(void) { return room[1]; }" % (size, name)
        compile_library(place + "/tls/lib%s.so" % name, source, "-ftls-model=initial-exec")
    assert survey(place) == (False, {"one/libneeds.so", "tls/liblittle.so"}, {"tls/libmuch.so"})


def test_searched_strings_and_symbols_agree(tmp_path, monkeypatch):
    """A large library answers from its string table alone what its symbols say."""
    path = str(tmp_path / "libmany.so")
    functions = "".join("int f%d(void) { return %d; }\n" % (number, number) for number in range(60))
    wants = "int needed(void); int maybe(void) __attribute__((weak)); int all(void) { return needed() + maybe(); }"
    compile_library(path, functions + wants, "-Wl,-soname,libmany.so")
    names = {b"f%d" % number for number in range(80)} | {b"needed", b"maybe", b"all", b"f"}
    versioned = {name + tables.JOINT + b"V1": name for name in names}
    symbols = tables.read_offers(path)
    monkeypatch.setattr(tables, "MANY", 0)
    monkeypatch.setattr(tables, "PART", 100)  # names lie across the parts
    strings = tables.read_offers(path)
    assert isinstance(symbols, tables.Table) and isinstance(strings, tables.Strings)
    answers = [one.without(set(names), set(versioned), versioned) for one in (symbols, strings)]
    assert answers[0] == answers[1]
    absent = {b"f%d" % number for number in range(60, 80)} | {b"needed", b"maybe", b"f"}
    assert answers[0][0] == absent and {versioned[key] for key in answers[0][1]} == absent


def test_names_are_the_same_however_they_are_read(place, monkeypatch):
    import _ctypes

    for path in [place + "/one/libneeds.so", *ProcessView.current().loaded, getattr(_ctypes, "__file__", "")]:
        if not path:
            continue
        whole = tables.read_wanted(path)
        with monkeypatch.context() as patch:
            patch.setattr(tables, "DENSE", -(10**6))
            patch.setattr(tables, "GAP", 20)
            piecemeal = tables.read_wanted(path)
        assert whole is not None and piecemeal is not None
        assert (whole.plain, whole.versioned) == (piecemeal.plain, piecemeal.versioned)


def test_a_file_of_two_names_is_read_once_and_told_apart(place):
    first = place + "/two/libbase.so"
    os.link(first, place + "/two/libother.so")
    os.symlink(first, place + "/one/liblink.so")
    with elf.StillView() as still:
        facts = [elf.read_facts(path) for path in (first, place + "/two/libother.so", place + "/one/liblink.so")]
        assert len(still.images) == 1 and facts[0].elf is facts[1].elf is facts[2].elf
        with elf.open_elf(place + "/two/libother.so") as library:
            assert library.defines("base") and not library.defines("bass")
    assert [os.path.basename(one.realpath) for one in facts] == ["libbase.so", "libother.so", "libbase.so"]
    assert facts == [elf.read_facts(one.path) for one in facts]


def test_facts_travel_between_processes(place):
    import marshal

    os.symlink("nowhere", place + "/dangling.so")
    for path in (place + "/two/libbase.so", place + "/dangling.so", place + "/absent.so", place, __file__):
        facts = elf.read_facts(path)
        assert elf.unpack(marshal.loads(marshal.dumps(elf.pack(facts)))) == facts


CORES = """
import os, sys
os.sched_getaffinity = lambda pid: set(range(int(sys.argv[1])))
forks, fork = [], os.fork
def counted():
    forks.append(1)
    return fork()
os.fork = counted
from dlrepair.binary import elf
from dlrepair.binary.process import ProcessView
from dlrepair.diagnose.environment import Environment
with elf.StillView() as still:
    environment = Environment(sys.argv[2:], still, ProcessView.current())
    environment.prove()
assert bool(forks) == (sys.argv[1] != "1")
print(environment.paths)
print(sorted(environment._proved))
print(sorted(environment._looked), sorted(environment._listed), sorted(environment._mapped))
"""


def test_any_number_of_processes_gives_one_answer(place):
    """The same libraries, in the same order, the same proofs, and the same files on which they rest."""
    import sysconfig

    if not os.path.exists("/proc/self/task"):
        pytest.skip("nothing is forked here")
    compile_library(place + "/three/libwrong.so", "int nowhere(void); int go(void) { return nowhere(); }")
    places = [place, os.path.join(sysconfig.get_path("stdlib"), "lib-dynload")]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    answers = []
    for cores in ("1", "3"):
        done = subprocess.run(
            [sys.executable, "-c", CORES, cores, *places], env=dict(os.environ, PYTHONPATH=root),
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        answers.append(done.stdout)
    assert answers[0] == answers[1] and b"libneeds.so" in answers[0]
    assert b"libwrong" in answers[0].split(b"\n")[0] and b"libwrong" not in answers[0].split(b"\n")[1]
