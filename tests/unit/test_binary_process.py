"""What is mapped here and how the process started, against /proc, dlsym and the loader's own words."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

from dlrepair.binary import process
from dlrepair.binary.elf import read_facts
from dlrepair.binary.hwcaps import glibc_version, platform, subdirectories
from dlrepair.binary.ldcache import LdCache, load_cache
from dlrepair.binary.process import ProcessView
from dlrepair.binary.scope import fresh_process, resolve
from dlrepair.binary.search_path import lib_token, loader_of, system_directories

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def child(code, *arguments, **environment):
    """What a fresh interpreter prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LD_")}
    env.update(environment, PYTHONPATH=ROOT)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_mapped_agrees_with_proc_maps():
    with open("/proc/self/maps") as file:
        lines = [line.split(None, 5) for line in file.read().splitlines()]
    code = {line[5] for line in lines if len(line) == 6 and "x" in line[1] and line[5].startswith("/")}
    code -= {os.path.realpath("/proc/self/exe")}
    assert code and set(process.mapped()) >= {path for path in code if read_facts(path).kind == "elf"}
    assert all(path in {line[5] for line in lines if len(line) == 6} for path in process.mapped())


def test_the_link_map_and_the_maps_file_tell_the_same():
    by_map = {os.path.realpath(path) for path in process._link_map()[1:] if "/" in path}
    assert by_map == {path for path in map(os.path.realpath, process._from_maps()) if path in by_map}
    assert by_map


def test_program_first():
    assert process.loaded_names()[0] == os.path.realpath("/proc/self/exe")
    assert process.main_program() == os.path.realpath(sys.executable)


def test_mapped_soname():
    libc = process.mapped_soname("libc.so.6")
    assert libc and read_facts(libc).elf.soname == "libc.so.6"
    assert process.mapped_soname("libnothing.so.99") is None


def test_environment_at_start_is_not_os_environ():
    code = (
        "import os; os.environ['LD_LIBRARY_PATH'] = '/changed'; os.environ['NEWER'] = '1'\n"
        "from dlrepair.binary.process import ProcessView, start_env\n"
        "print(start_env('LD_LIBRARY_PATH'), repr(start_env('NEWER')), ProcessView.current().library_path)"
    )
    assert child(code, LD_LIBRARY_PATH="/first") == "/first '' /first"


def test_defined_globally():
    assert process.defined_globally("printf") is True
    assert process.defined_globally("no_such_symbol_anywhere") is False
    assert process.defined_globally("nul\0inside") is False
    assert process.defined_globally("\udcff") is False
    code = (
        "from dlrepair.binary.process import defined_globally as d; import sys\n"
        "print('_ctypes' in sys.modules, d('printf'))"
    )
    assert child(code) == "False None"


def test_symbols_without_ctypes_are_looked_up_in_the_files(tmp_path):
    """Where dlsym cannot be asked, the program's own closure still counts as global."""
    source, out = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text(
        "void *PyErr_Occurred(void); int nowhere(void); int f(void){return nowhere() + !PyErr_Occurred();}"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(out), str(source)], check=True)
    code = (
        "import sys\nfrom dlrepair.binary import process, scope, symbols\n"
        "view = process.ProcessView.current()\n"
        "trace = scope.resolve(sys.argv[1], process=view)\n"
        "left = symbols.unresolved(sys.argv[1], trace.closure, process=view)\n"
        "print([u.name for u in left], '_ctypes' in sys.modules)"
    )
    assert child(code, str(out)) == "['nowhere'] False"
    assert child("import ctypes\n" + code, str(out)) == "['nowhere'] True"


def test_promotion_to_global_is_seen(tmp_path):
    """A symbol of a library that was loaded RTLD_LOCAL counts only when it becomes global."""
    (tmp_path / "p.c").write_text("int provided(void){return 1;}")
    (tmp_path / "u.c").write_text("int provided(void); int f(void){return provided();}")
    for name in "pu":
        out, source = str(tmp_path / (name + ".so")), str(tmp_path / (name + ".c"))
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", out, source], check=True)
    code = (
        "import ctypes, sys\nfrom dlrepair.binary import process, scope, symbols\n"
        "def left():\n"
        "    view = process.ProcessView.current()\n"
        "    trace = scope.resolve(sys.argv[2], process=view)\n"
        "    found = symbols.unresolved(sys.argv[2], trace.closure, process=view)\n"
        "    return [(u.name, u.klass, u.provider_hint) for u in found]\n"
        "ctypes.CDLL(sys.argv[1], ctypes.RTLD_LOCAL); print(left())\n"
        "ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL); print(left()); ctypes.CDLL(sys.argv[2], 2)"
    )
    provider = str(tmp_path / "p.so")
    said = child(code, provider, str(tmp_path / "u.so")).splitlines()
    assert said == [repr([("provided", "link", provider)]), "[]"]


def test_fresh_process_is_what_a_child_holds():
    """Every object that a fresh interpreter with ctypes holds, by the kernel's account."""
    code = "import _ctypes\nprint(open('/proc/self/maps').read())"
    lines = [line.split(None, 5) for line in child(code).splitlines()]
    theirs = {line[5] for line in lines if len(line) == 6 and "x" in line[1] and line[5].startswith("/")}
    view = fresh_process(library_path="")
    ours = {os.path.realpath(path) for path in view.loaded}
    theirs = {path for path in theirs if "/lib-dynload/" not in path and path != os.path.realpath(sys.executable)}
    assert ours == theirs


def test_nothing_is_loaded_or_imported_by_looking(tmp_path):
    code = (
        "import sys, os\nfrom dlrepair.binary import process, scope, symbols, wouldload\n"
        "before = set(process.mapped())\n"
        "view = process.ProcessView.current()\n"
        "wouldload.first_failure(sys.argv[1], process=view)\n"
        "print(sorted(set(process.mapped()) - before), [m for m in ('typing', 'json', 'logging', 'subprocess', 're',"
        " 'pathlib', 'ctypes', 'tempfile', 'hashlib', 'elftools') if m in sys.modules])"
    )
    lib = process.mapped_soname("libm.so.6") or process.mapped()[0]
    said = child(code, lib)
    added, _, modules = said.partition("] ")
    assert added == "[", said
    assert not eval(modules), said


def diagnostics():
    """ld.so's own account of itself (glibc 2.33 and later)."""
    loader = loader_of(read_facts(process.main_program()).elf)
    done = subprocess.run([loader, "--list-diagnostics"], stdout=subprocess.PIPE)
    assert done.returncode == 0, "ld.so --list-diagnostics: glibc 2.33 is needed to judge this"
    lines = [line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line]
    return loader, {key: value.strip('"') for key, value in lines}


def test_platform_levels_and_directories_agree_with_ld_so():
    loader, said = diagnostics()
    assert platform() == said["dl_platform"]
    assert lib_token(loader) == said["dl_dst_lib"]
    directories = [value for key, value in sorted(said.items()) if key.startswith("path.system_dirs")]
    assert list(system_directories(loader)) == directories
    names, active = said["dl_hwcaps_subdirs"].split(":"), int(said["dl_hwcaps_subdirs_active"], 16)
    # the lowest bit stands for the last name
    active_names = [name for place, name in enumerate(names) if active >> place & 1]
    ours = [sub.split("/")[1] for sub in subdirectories() if sub.startswith("glibc-hwcaps/")]
    assert ours == active_names
    assert subdirectories()[-1] == ""
    if glibc_version() >= (2, 37):
        assert all(sub == "" or sub.startswith("glibc-hwcaps/") for sub in subdirectories())


def printed(path):
    """{name: [paths]} of ``ldconfig -p`` for this machine's class, in its order."""
    tool = next(tool for tool in ("/sbin/ldconfig", "/usr/sbin/ldconfig") if os.path.exists(tool))
    done = subprocess.run([tool, "-p", "-C", path], stdout=subprocess.PIPE, check=True)
    found = {}
    for line in done.stdout.decode().splitlines()[1:]:
        if " => " not in line:
            continue
        name, _, rest = line.strip().partition(" (")
        kind, _, where = rest.partition(") => ")
        if "x86-64" in kind or "AArch64" in kind or os.uname().machine not in ("x86_64", "aarch64"):
            found.setdefault(name, []).append((kind, where))
    return found


def test_cache_agrees_with_ldconfig():
    cache = load_cache()
    assert cache is not None and cache.problem is None
    theirs = printed("/etc/ld.so.cache")
    assert len(theirs) > 20
    for name, entries in theirs.items():
        plain = [where for kind, where in entries if "hwcap" not in kind]
        if plain and len(entries) == len(plain):
            assert cache.lookup(name, ()) == plain[0], name
    assert cache.lookup("libnothing.so", ()) is None


def test_private_cache_with_capabilities(tmp_path):
    """A cache made by the real ldconfig, with glibc-hwcaps entries: the best active level wins."""
    source = tmp_path / "a.c"
    source.write_text("int x;")
    for sub in ("", "glibc-hwcaps/x86-64-v2/", "glibc-hwcaps/x86-64-v3/"):
        (tmp_path / "lib" / sub).mkdir(parents=True, exist_ok=True)
        out = str(tmp_path / "lib" / sub / "libown.so.1")
        subprocess.run(
            ["gcc", "-shared", "-nostdlib", "-fPIC", "-Wl,-soname,libown.so.1", "-o", out, str(source)], check=True
        )
    tool = next(tool for tool in ("/sbin/ldconfig", "/usr/sbin/ldconfig") if os.path.exists(tool))
    config, out = tmp_path / "conf", str(tmp_path / "cache")
    config.write_text("%s\n" % (tmp_path / "lib"))
    subprocess.run([tool, "-X", "-C", out, "-f", str(config)], check=True, stderr=subprocess.DEVNULL)
    with open(out, "rb") as file:
        cache = LdCache(file.read())
    base = str(tmp_path / "lib")
    assert cache.problem is None
    assert cache.lookup("libown.so.1", ("x86-64-v3", "x86-64-v2")) == base + "/glibc-hwcaps/x86-64-v3/libown.so.1"
    assert cache.lookup("libown.so.1", ("x86-64-v2",)) == base + "/glibc-hwcaps/x86-64-v2/libown.so.1"
    assert cache.lookup("libown.so.1", ()) == base + "/libown.so.1"


def test_current_process_resolves_against_what_is_mapped(tmp_path):
    """A need that is mapped from elsewhere is reused, in this very process."""
    (tmp_path / "a.c").write_text("int x;")
    (tmp_path / "there").mkdir()
    needed, user = str(tmp_path / "there" / "libmapped_test.so"), str(tmp_path / "u.so")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,-soname,libmapped_test.so", "-o", needed, str(tmp_path / "a.c")], check=True
    )
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-o", user, str(tmp_path / "a.c"), needed], check=True
    )
    before = resolve(user, process=ProcessView.current())
    assert [m.name for m in before.missing] == ["libmapped_test.so"] and before.missing[0].needed_by == user
    handle = ctypes.CDLL(needed)
    after = resolve(user, process=ProcessView.current())
    assert not after.missing and after.entries[0].how == "loaded" and after.entries[0].path == needed
    assert handle is not None
