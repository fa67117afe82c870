"""A program that makes its library's path itself, and has another one from its second start on.

Each program fails as it would without dlrepair, then works, and what it sees of itself is what it would see if the
file were there: the reference is a bare run with the library in place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from child import ROOT, Result, compile_library, environment, run
from looking import FIRST, LOAD, OPS, SHAPES, SIMPLE, START


def project(top: object, where: str = "build") -> str:
    return compile_library(os.path.join(str(top), where, "libmoved.so"))


def own(err: str) -> str:
    """What is not dlrepair's: a load of the path itself is repaired, and said to be, as any other."""
    ours = "dlrepair[file-missing]: libmoved.so: "
    return "".join(line for line in err.splitlines(True) if not line.startswith(ours))


def check(top: object, code: str, **options: object) -> Result:
    """Fails as a bare run does, then works as a bare run does when the library is where it is looked for."""
    bare = run(top, code, hooked=False, **options)  # type: ignore[arg-type]
    first = run(top, code, **options)  # type: ignore[arg-type]
    assert bare.out == first.out and bare.status == first.status and first.err.startswith(bare.err), (bare, first)
    said = first.err[len(bare.err) :]
    assert "help: Run it again: " in said and "libmov" in said and " is learned, and is in force" in said, first
    again = run(top, code, **options)  # type: ignore[arg-type]
    project(top, "ops")
    whole = run(top, code, hooked=False, **options)  # type: ignore[arg-type]
    shutil.rmtree(os.path.join(str(top), "ops"))
    assert whole.status == 0 and whole.out.endswith("42\n"), whole
    assert (again.status, again.out, own(again.err)) == (0, whole.out, whole.err), (again, whole)
    assert not again.events("internal-error"), again
    return again


@pytest.mark.parametrize("shape", [*sorted(SHAPES), "first-statements"])
def test_shape(shape: str, tmp_path: object) -> None:
    if shape == "thread" and sys.version_info < (3, 8):
        pytest.skip("nothing is called after a thread's traceback")
    project(tmp_path)
    code = START + SHAPES[shape].replace("@TOP@", str(tmp_path)) if shape in SHAPES else FIRST
    if shape == "thread":  # the program itself ends well
        first, again = run(tmp_path, code), run(tmp_path, code)
        assert "is learned" in first.err and again.out == "42\n" and not own(again.err), (first, again)
        return
    check(tmp_path, code)


ITSELF = """\
import __main__
M = dict(vars(__main__))
print(__name__, __file__, __spec__, __package__, M.get("__cached__"), __doc__, sorted(vars(sys.modules["__main__"])))
print(list(M), type(__loader__), __loader__.name, __loader__.path)
print(sys.argv, sys.path, sys.flags, __main__.__file__)
print([one for one in map(repr, sys.meta_path) if "dlrepair" not in one and " at " not in one], len(sys.path_hooks))
print([name for name in sys.path_importer_cache if name.endswith(".py")])
import pickle, inspect, linecache
class Thing: pass
print(pickle.loads(pickle.dumps(Thing())).__class__, inspect.getsource(Thing), inspect.getsourcefile(Thing))
print(linecache.getline(__file__, 1), Thing.__module__, sys._getframe().f_code.co_filename, sys._getframe().f_lineno)
"""


@pytest.mark.parametrize("options", [(), ("-O",), ("-P",), ("-B", "-W", "error")])
@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_what_a_script_sees_of_itself(how: str, options: tuple, tmp_path: object) -> None:
    """Started by its path, from its directory, through a link in another directory."""
    if options == ("-P",) and sys.version_info < (3, 11):
        pytest.skip("the option is of 3.11")
    top = str(tmp_path)
    os.makedirs(os.path.join(top, "app"))
    os.makedirs(os.path.join(top, "bin"))
    os.symlink("../app/train.py", os.path.join(top, "bin", "link.py"))
    code = START.replace("abspath", "realpath") + "P = " + OPS + "\nif not os.path.isfile(P):\n    raise OSError(P)\n"
    code += ITSELF + LOAD
    with open(os.path.join(top, "app", "train.py"), "w", encoding="utf-8") as stream:
        stream.write(code)
    project(os.path.join(top, "app"))
    name, cwd = {
        "absolute": (os.path.join(top, "app", "train.py"), top), "relative": ("train.py", os.path.join(top, "app")),
        "link": ("bin/link.py", top),
    }[how]  # fmt: skip

    def start(hooked: bool) -> tuple:
        env = environment(top, hooked)
        words = [sys.executable, *options, name, "a", "b c"]
        done = subprocess.run(words, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    bare, first, again = start(False), start(True), start(True)
    assert first[:2] == bare[:2] and first[2].startswith(bare[2]) and "is learned" in first[2], (bare, first)
    project(os.path.join(top, "app"), "ops")
    whole = start(False)
    assert whole[0] == 0, whole
    expected = whole[1].replace(os.path.join(top, "bare-site"), os.path.join(top, "hooked-site"))
    assert again[1].splitlines() == expected.splitlines() and (again[0], own(again[2])) == (0, whole[2]), (again, whole)


def start(top: object, *words: str, hooked: bool = True, stdin: bytes = b"", **extra: str) -> Result:
    """Another way to start than a script by its path."""
    env = environment(str(top), hooked, **extra)
    done = subprocess.run(
        [sys.executable, *words], env=env, cwd=str(top), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=60,
    )  # fmt: skip
    journal = os.path.join(env["HOME"], ".local", "state", "dlrepair", "journal")
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode(), journal)


def write(top: object, name: str, text: str) -> str:
    path = os.path.join(str(top), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


@pytest.mark.parametrize(
    "words",
    [("-m", "pool.train"), ("-m", "pool"), ("main.py",), ("pool",), ("-c", "import pool.train")],
    ids=" ".join,
)
def test_ways_to_come_to_the_code(words: tuple, tmp_path: object) -> None:
    """The code of a module, of a package's ``__main__``, of a directory that is run; byte code was written before."""
    write(tmp_path, "pool/__init__.py", "")
    write(tmp_path, "pool/train.py", SIMPLE + "print(__name__, __spec__.name, __package__, __cached__, __doc__)\n")
    more = "print(__name__, __spec__.name)\n"
    write(tmp_path, "pool/__main__.py", "from __future__ import print_function\n" + SIMPLE + more)
    write(tmp_path, "main.py", "import pool.train\n")
    project(os.path.join(str(tmp_path), "pool"))
    code = {"PYTHONDONTWRITEBYTECODE": ""}
    bare = start(tmp_path, *words, hooked=False, **code)
    first = start(tmp_path, *words, **code)
    if words == ("pool",):  # a directory: its finder is the interpreter's own
        assert "dlrepair fix --write" in first.err or "is learned" in first.err, first
    else:
        assert "is learned" in first.err and first.err.startswith(bare.err.rstrip("> \n")), (bare, first)
    before = {name: _state(tmp_path, name) for name in ("pool/__pycache__", "__pycache__")}
    again = start(tmp_path, *words, **code)
    assert before == {name: _state(tmp_path, name) for name in before}
    project(os.path.join(str(tmp_path), "pool"), "ops")
    whole = start(tmp_path, *words, hooked=False, **code)
    assert whole.out.startswith("42\n"), whole
    if words == ("pool",):
        return
    assert (again.status, again.out, own(again.err)) == (whole.status, whole.out, whole.err), (again, whole)


def _state(top: object, name: str) -> object:
    folder = os.path.join(str(top), name)
    if not os.path.isdir(folder):
        return None
    return sorted((one, os.stat(os.path.join(folder, one)).st_mtime_ns) for one in os.listdir(folder))


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("how", ["at-import", "in-worker"])
def test_workers(how: str, method: str, tmp_path: object) -> None:
    """A worker imports the script again, under another name, and looks for the same."""
    inside = "    " if how == "in-worker" else ""
    body = "P = " + OPS + "\nif not os.path.isfile(P):\n    raise OSError('not built: ' + P)\n"
    code = START + "import multiprocessing\n"
    code += "def work(n):\n    " + (body.replace("\n", "\n    ") if inside else "")
    code += "return n * ctypes.CDLL(P).answer() if n else P[len(HERE):]\n"
    code += "" if inside else body
    code += "if __name__ == '__main__':\n    with multiprocessing.get_context(%r).Pool(2) as pool:\n" % method
    code += "        print(pool.map(work, [0, 1, 2]))\n    print(42)\n"
    project(tmp_path)
    first = run(tmp_path, code)
    assert first.status == 1 and "is learned" in first.err, first
    again = run(tmp_path, code)
    assert (again.status, again.out, own(again.err)) == (0, "['/ops/libmoved.so', 42, 84]\n42\n", ""), again


def test_an_error_later_on_is_the_programs_own(tmp_path: object) -> None:
    """Its lines and columns are those of the file; what runs a script in place of the interpreter stands above it."""
    project(tmp_path)
    code = SIMPLE + "def later():\n    return os.path.join(1, 2) + {}['none']\nlater()\n"
    run(tmp_path, code)
    again = run(tmp_path, code)
    project(tmp_path, "ops")
    whole = run(tmp_path, code, hooked=False)
    assert again.status == 1 and again.out == whole.out == "42\n", again
    head, rest = whole.err.split("\n", 1)
    said = own(again.err)
    assert said.startswith(head) and said.endswith(rest), (again, whole)
    above = said[len(head) : -len(rest)]
    assert all("runpy" in line or line[:4] == "    " for line in above.strip("\n").splitlines()), again


def test_warnings_are_said_as_often_as_ever(tmp_path: object) -> None:
    """A script's on each start, a module's when its byte code is written, and not again when we compile it."""
    odd = "X = 1 is 1\nY = '\\d'\n"
    asks = "def find():\n    P = " + OPS + "\n    assert os.path.exists(P), P\n    return P\n"
    write(tmp_path, "pool/__init__.py", START + odd + asks)
    code = "import ctypes\n" + odd + "import pool\nprint(ctypes.CDLL(pool.find()).answer())\n"
    project(os.path.join(str(tmp_path), "pool"))
    options = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONWARNINGS": "default"}
    run(tmp_path, code, hooked=False, **options)
    first = run(tmp_path, code, **options)
    assert "is learned" in first.err, first
    again = run(tmp_path, code, **options)
    project(os.path.join(str(tmp_path), "pool"), "ops")
    whole = run(tmp_path, code, hooked=False, **options)
    assert again.status == 0 and (again.out, own(again.err)) == (whole.out, whole.err), (again, whole)


def test_it_ends_with_what_it_rests_on(tmp_path: object) -> None:
    """A file at the place itself, another source, another library, a switch: each time as without dlrepair."""
    found = project(tmp_path)
    check(tmp_path, SIMPLE)  # has put a library there, and taken it away again
    assert run(tmp_path, SIMPLE).out == "42\n"
    for name, value in (("DLREPAIR", "off"), ("DLREPAIR_MODE", "observe"), ("DLREPAIR_REEXEC", "never")):
        off = run(tmp_path, SIMPLE, **{name: value})
        assert off.status == 1 and not off.out and "is learned, and" not in off.err, off
    compile_library(os.path.join(str(tmp_path), "ops", "libmoved.so"), "int answer(void) { return 7; }")
    assert run(tmp_path, SIMPLE).out == "7\n"
    shutil.rmtree(os.path.join(str(tmp_path), "ops"))
    with open(found, "ab") as stream:
        stream.write(b"\0")
    changed = run(tmp_path, SIMPLE)
    assert changed.status == 1 and "is learned" in changed.err, changed  # anew, with the file as it is now
    assert run(tmp_path, SIMPLE).out == "42\n"
    longer = SIMPLE + "print('more')\n"
    edited = run(tmp_path, longer)
    assert edited.status == 1 and "is learned" in edited.err, edited
    assert run(tmp_path, longer).out == "42\nmore\n"


def test_only_the_question_is_answered(tmp_path: object) -> None:
    """What the program writes, removes or shows is its own path, and the question is about what is there by then."""
    library = project(tmp_path)
    with open(library, "rb") as stream:
        before = stream.read()
    code = START + """\
def where(name):
    return os.path.join(HERE, 'ops', name)
print(os.path.exists(where('libmoved.so')), [where(one)[len(HERE):] for one in ('a.txt', 'libmoved.so')])
if len(sys.argv) > 1:
    os.makedirs(where('')[:-1])
    with open(where('libmoved.so'), 'w') as stream:
        stream.write('not one')
    print(os.path.getsize(where('libmoved.so')))
    os.remove(where('libmoved.so'))
    os.rmdir(where(''))
def need(name):
    path = where(name)
    if not os.path.exists(path):
        raise OSError('no ' + path)
    return path
print(need('libmoved.so')[len(HERE):])
ctypes.CDLL(need('libmoved.so'))
"""
    script = write(tmp_path, "script.py", code)
    shown = "False ['/ops/a.txt', '/ops/libmoved.so']\n"
    assert "is learned" in start(tmp_path, script).err
    assert start(tmp_path, script).out == shown + "/ops/libmoved.so\n"
    assert start(tmp_path, script, "x").out == shown + "7\n/ops/libmoved.so\n"
    with open(library, "rb") as stream:
        assert stream.read() == before


def test_what_did_not_help_is_not_learned_again(tmp_path: object) -> None:
    """The program reads the path where dlrepair does not see it: then the command is told."""
    project(tmp_path)
    code = START + "P = " + OPS + "\nif not eval('os.path.exists(os.path.join(HERE, \"ops\", \"libmoved.so\"))'):\n"
    code += "    raise OSError('not built: ' + P)\n" + LOAD
    first, second = run(tmp_path, code), run(tmp_path, code)
    assert first.status == second.status == 1, (first, second)
    assert "is learned, and" not in second.err and "help: dlrepair fix --write" in second.err, second


def test_a_second_question_takes_a_second_time(tmp_path: object) -> None:
    """Only the question that ended the program is answered: another one may stand before something is removed."""
    project(tmp_path)
    code = SIMPLE.replace("print(", "assert os.path.getsize(P)\nprint(")
    for _ in range(2):
        assert "libmoved.so is learned" in run(tmp_path, code).err
    assert run(tmp_path, code).out == "42\n"


def test_two_paths_one_after_the_other(tmp_path: object) -> None:
    project(tmp_path)
    compile_library(os.path.join(str(tmp_path), "out", "libother.so"), "int answer(void) { return 1; }")
    code = START + "def need(p):\n    if not os.path.exists(p):\n        raise OSError('no ' + p)\n"
    code += "    return ctypes.CDLL(p).answer()\n"
    code += "print(need(HERE + '/ops/libmoved.so'), need(HERE + '/ops/libother.so'))\n"
    assert "libmoved.so is learned" in run(tmp_path, code).err
    assert "libother.so is learned" in run(tmp_path, code).err
    assert run(tmp_path, code).out == "42 1\n"


@pytest.mark.parametrize("how", ["walk", "listdir", "iterdir"])
def test_a_name_among_the_entries_of_a_directory(how: str, tmp_path: object) -> None:
    """No question that could be answered: the command that is told puts it where the program looks."""
    project(tmp_path)
    os.makedirs(os.path.join(str(tmp_path), "ops"))
    names = {
        "walk": "[one for _, _, names in os.walk(HERE + '/ops') for one in names]",
        "listdir": "os.listdir(HERE + '/ops')",
        "iterdir": "[one.name for one in Path(HERE + '/ops').iterdir()]",
    }  # fmt: skip
    code = START + "from pathlib import Path\ndef find(name):\n"
    code += "    if name not in " + names[how] + ":\n        raise OSError('no ' + name)\n"
    code += "    return os.path.join(HERE, 'ops', name)\nP = find('libmoved.so')\n" + LOAD
    told = run(tmp_path, code)
    place = os.path.join(str(tmp_path), "ops", "libmoved.so")
    assert told.err.endswith("\nhelp: dlrepair fix --write {}\n".format(place)), told


def test_a_pattern_that_names_nothing(tmp_path: object) -> None:
    code = START + "P = glob.glob(os.path.join(HERE, 'ops', '*.so'))[0]\n" + LOAD
    told = run(tmp_path, code)
    assert "ops/*.so, needed by script.py:3: " in told.err and "ops/*.so matches it." in told.err, told


def test_one_run_has_one_name(tmp_path: object) -> None:
    """What was applied at the start, and the load that was repaired after it."""
    project(tmp_path)
    run(tmp_path, SIMPLE)
    again = run(tmp_path, SIMPLE)
    (applied,) = [line for line in again.events("learned") if line.get("applied")]
    (repaired,) = again.events("load-repaired")
    assert (applied["run"], applied["pid"]) == (repaired["run"], repaired["pid"]), again


def test_the_record_is_shown_and_removed(tmp_path: object) -> None:
    project(tmp_path)
    run(tmp_path, SIMPLE)
    shown = start(tmp_path, "-m", "dlrepair", "status", PYTHONPATH=ROOT)
    assert "ops/libmoved.so taken from" in shown.out, shown
    script = os.path.join(str(tmp_path), "script.py")
    gone = start(tmp_path, "-m", "dlrepair", "cache", "forget", script, PYTHONPATH=ROOT)
    assert gone.status == 0 and run(tmp_path, SIMPLE).status == 1, gone


COPIED = """\
import types
def need(path):
    if not os.path.isfile(path):
        raise OSError('not built: ' + path)
    return path
P = need(%s)
other = types.FunctionType(need.__code__, {'os': os, '__builtins__': __builtins__})
print(other(P)[len(HERE):], other(__file__)[len(HERE):])
""" % OPS


def test_a_function_with_other_globals(tmp_path: object) -> None:
    """As those that are sent to workers by value: what was edited rests on no name of its module."""
    project(tmp_path)
    check(tmp_path, START + COPIED + LOAD)


@pytest.mark.parametrize("where", ["'o%d' % os.getpid()", "os.path.basename(tempfile.mkdtemp(dir=HERE))"])
def test_a_path_that_is_another_each_time(where: str, tmp_path: object) -> None:
    """The next start would look for another one: nothing is learned, and what can be said is said."""
    project(tmp_path)
    code = START + "import tempfile\nP = os.path.join(HERE, " + where + ", 'libmoved.so')\n"
    code += "if not os.path.isfile(P):\n    raise OSError('not built')\n" + LOAD
    for _ in range(2):
        done = run(tmp_path, code)
        assert done.status == 1 and "is learned, and" not in done.err, done


@pytest.mark.parametrize("name", ["script", "pool.train"])
def test_a_script_that_is_imported_too(name: str, tmp_path: object) -> None:
    """Under the name of its file, as modules do that take something of the program they are part of."""
    file = write(tmp_path, name.replace(".", "/") + ".py", START.replace("HERE = ", "HERE = sys.path[0] = ") + """\
P = %s
if not os.path.isfile(P):
    raise OSError('not built: ' + P)
import user
""" % OPS)
    home = os.path.dirname(file)
    where = "sys.path.append(%r)\n" % str(tmp_path)
    write(home, "user.py", "import sys\n" + where + "import %s as it\nprint(it.__name__, it.__loader__.name)\n" % name)
    with open(file, "a", encoding="utf-8") as stream:
        stream.write("if __name__ == '__main__':\n    " + LOAD)
    project(home)
    assert "is learned" in start(tmp_path, file).err
    again = start(tmp_path, file)
    project(home, "ops")
    whole = start(tmp_path, file, hooked=False)
    assert whole.out.endswith("42\n"), whole
    assert (again.status, again.out, own(again.err)) == (0, whole.out, whole.err), (again, whole)


@pytest.mark.parametrize(
    "then",
    ["os.remove(P)", "import shutil; shutil.copy(P, HERE + '/new.so')", "os.symlink(P, HERE + '/new.so')",
     "import zipfile; zipfile.ZipFile(HERE + '/new.zip', 'w').write(P)"],
    ids=["remove", "copy", "symlink", "zip"],
)  # fmt: skip
@pytest.mark.parametrize("loads", ["", "lambda: ctypes.CDLL(P)\n"])
def test_a_program_that_has_no_library_to_load(then: str, loads: str, tmp_path: object) -> None:
    """What removes, copies, links or packs the library wants that very file: it is told, and ends as ever."""
    project(tmp_path)
    code = SIMPLE.replace("ctypes, ", "").replace(LOAD, "") + loads + then + "\n"
    for _ in range(2):
        done = run(tmp_path, code)
        assert done.status == 1 and "is learned, and" not in done.err, done
    assert not [one for one in os.listdir(str(tmp_path)) if one.startswith("new")]


def test_a_project_in_a_temporary_directory(tmp_path: object) -> None:
    """It was there before the run, whatever it is called."""
    top = os.path.join(str(tmp_path), "tmpab12_x9z")
    os.mkdir(top)
    project(top)
    check(top, SIMPLE)


def test_a_path_that_is_another_unforeseen_is_learned_once(tmp_path: object) -> None:
    project(tmp_path)
    code = START + "import time\nP = os.path.join(HERE, str(time.time()), 'libmoved.so')\n"
    code += "if not os.path.isfile(P):\n    raise OSError('not built')\n" + LOAD
    run(tmp_path, code)
    for _ in range(2):
        done = run(tmp_path, code)
        assert done.status == 1 and "is learned, and" not in done.err, done


@pytest.mark.parametrize("terms", [90, 300, 3000])
def test_code_that_is_deep(terms: int, tmp_path: object) -> None:
    """A tree is not compiled as deep as a text is: then nothing is learned, and the program runs as ever."""
    project(tmp_path)
    code = SIMPLE + "X = " + "+".join(["1"] * terms) + "\n"
    bare, first, again = run(tmp_path, code, hooked=False), run(tmp_path, code), run(tmp_path, code)
    assert first.out == bare.out and first.err.startswith(bare.err), (bare, first)
    if "is learned, and" in first.err:
        assert (again.status, again.out) == (0, "42\n"), again
    else:
        assert again.status == bare.status and again.err.startswith(bare.err), again


def test_a_pattern_that_matches_deeper_down(tmp_path: object) -> None:
    """``**`` finds what was put in place since, however deep: it outranks what was learned."""
    project(tmp_path)
    code = START + "P = glob.glob(os.path.join(HERE, 'ops', '**', 'libmov*.so'), recursive=True)[0]\n" + LOAD
    check(tmp_path, code)
    deep = os.path.join(str(tmp_path), "ops", "a", "b", "libmoved.so")
    compile_library(deep, "int answer(void) { return 7; }")
    assert run(tmp_path, code).out == "7\n"
