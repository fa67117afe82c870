"""scope.resolve against the real ld.so, one built world for every rule."""

from __future__ import annotations

import os
import subprocess

import pytest
from world import World, compiler, run
from worlds import WORLDS

from dlrepair.binary.scope import fresh_process, locate, resolve


def ours(w, host):
    """Our answer, told like the loader's: (trace, new link map names, ()) or (trace, None, names of what fails)."""
    trace = resolve(w.target_path, process=w.view(host), preloaded=[w.path(p) for p in w.before])
    if trace.refused is not None:
        return trace, None, (w.target_path,)
    for entry in trace.failures:  # ld.so's message has the path, or the name asked for once it maps the file
        return trace, None, (entry.blocked_by, entry.name) if entry.blocked_by else (entry.name,)
    fresh = [e.path for e in trace.entries if e.how not in ("loaded", "same-file")]
    return trace, fresh, ()


def needs_root(names):
    """Only root can start a program so that the kernel sets AT_SECURE."""
    root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program in secure mode")
    return [pytest.param(name, marks=root) if name.startswith("secure-") else name for name in names]


@pytest.mark.parametrize("name", needs_root(sorted(WORLDS)))
def test_agrees_with_dlopen(name, tmp_path):
    w = World(tmp_path)
    WORLDS[name](w)
    host = w.host()
    names, error = w.ask_dlopen(host)
    trace, fresh, culprit = ours(w, host)
    if names is None:
        assert fresh is None, "dlopen failed (%s), we said it loads: %s" % (error, trace.entries)
        if not error.startswith("killed"):
            assert error.startswith(tuple(words + ":" for words in culprit)), (error, culprit)
        return
    assert fresh is not None, "dlopen loaded it, we said %s fails: %s" % (culprit, trace.entries)
    at = names.index(w.target_path)
    while names[at - 1] in fresh:  # filtees stand before
        at -= 1
    assert [one for one in names[at:] if one != w.target_path] == fresh


#: in secure mode LD_DEBUG is ignored too
TRIED = [name for name in sorted(WORLDS) if not name.startswith(("target-", "secure-"))]


@pytest.mark.parametrize("name", TRIED)
def test_places_tried_agree_with_ld_debug(name, tmp_path):
    """The files that ld.so tries, in its order, as far as their directories exist (it asks for others once)."""
    w = World(tmp_path)
    WORLDS[name](w)
    host = w.host()
    said = w.ask_debug(host)
    trace, _fresh, _culprit = ours(w, host)
    compared = 0
    for entry in trace.entries:
        if entry.how in ("loaded", "path") or "/" in entry.name or entry.name not in said:
            continue
        files = [place for place, reason in entry.tried if reason.split(": ", 1)[1] != "no such directory"]
        files = [place for place in files if place.endswith("/" + entry.name) or place == entry.name]
        if entry.path is not None and entry.how != "same-file":
            files.append(entry.path)
        base = w.path(w.cwd)
        real = []
        for place in said[entry.name]:
            if os.path.isdir(os.path.join(base, os.path.dirname(place))) and place not in real:
                real.append(place)
        if entry.how == "same-file":
            real = real[: len(files)]
        assert files == real, entry
        compared += 1
        if entry.path is None:
            break  # ld.so stops here
    served = ("slash", "loaded-before", "preloaded", "absolute")  # nothing is searched there
    if not any(word in name for word in served) and name != "origin-in-needed":
        assert compared or not trace.entries, (trace.entries, said)


HOW = {
    "environment": ("", "@/env", None),
    "rpath-of-the-program": ("", "", ("rpath", "@/prog")),
    "runpath-of-the-program": ("", "", ("runpath", "@/prog")),
    "environment-before-runpath": ("", "@/env", ("runpath", "@/prog")),
    "rpath-before-environment": ("", "@/env", ("rpath", "@/prog")),
    "nowhere": ("", "", None),
    "text-first": ("text", "@/bad:@/env", None),
}


@pytest.mark.parametrize("name", sorted(HOW))
def test_bare_names_agree_with_dlopen(name, tmp_path):
    """A name without a slash: the program's own paths count, since the program calls dlopen."""
    _kind, library_path, host_rpath = HOW[name]
    w = World(tmp_path)
    w.library_path, w.host_rpath = library_path, host_rpath
    for where in ("env", "prog", ""):
        w.lib(os.path.join(where, "libbare_test.so"), soname="libbare_test.so")
    w.write("bad/libbare_test.so", b"text instead of a library " * 10)
    host = w.host()
    done = subprocess.run([host, "libbare_test.so"], cwd=w.root, env=w.environment(), stdout=subprocess.PIPE)
    lines = os.fsdecode(done.stdout).splitlines()
    view = fresh_process(host, library_path.replace("@", w.root), w.root)
    entry = locate("libbare_test.so", process=view)
    if done.returncode:
        assert entry.path is None and lines[-1].startswith("error %s:" % (entry.blocked_by or entry.name))
    else:
        assert "map %s" % entry.path in lines


CALLER = """
#define _GNU_SOURCE
#include <dlfcn.h>
void *open_for_me(const char *name) { return dlopen(name, RTLD_NOW); }
"""
ASKING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
int main(int argc, char **argv) {
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) { printf("error %s\\n", dlerror()); return 1; }
    void *(*ask)(const char *) = (void *(*)(const char *))dlsym(library, "open_for_me");
    if (!ask(argv[2])) { printf("error %s\\n", dlerror()); return 1; }
    for (struct link_map *m = _r_debug.r_map; m; m = m->l_next) printf("map %s\\n", m->l_name);
    return 0;
}
"""
#: (path of the library that calls dlopen, LD_LIBRARY_PATH, path of the program), a kind and a value each
CALLERS = {
    "runpath-of-the-caller": (("runpath", "$ORIGIN/own"), "", None),
    "rpath-of-the-caller": (("rpath", "$ORIGIN/own"), "", None),
    "runpath-of-the-caller-hides-the-programs-rpath": (("runpath", "$ORIGIN/none"), "", ("rpath", "@/prog")),
    "rpath-of-the-program-after-the-callers": (("rpath", "$ORIGIN/none"), "", ("rpath", "@/prog")),
    "rpath-of-the-caller-first": (("rpath", "$ORIGIN/own"), "", ("rpath", "@/prog")),
    "rpath-of-the-program-for-a-caller-without": (None, "", ("rpath", "@/prog")),
    "runpath-of-the-program-is-not-the-callers": (None, "", ("runpath", "@/prog")),
    "environment-before-the-callers-runpath": (("runpath", "$ORIGIN/own"), "@/env", None),
    "rpath-of-the-caller-before-the-environment": (("rpath", "$ORIGIN/own"), "@/env", None),
    "nowhere": (None, "", None),
}


@pytest.mark.parametrize("name", sorted(CALLERS))
def test_bare_names_for_a_library_that_calls_dlopen(name, tmp_path):
    """dlopen(3): the run path is that of the object that calls, not the program's."""
    caller, library_path, host_rpath = CALLERS[name]
    w = World(tmp_path)
    w.library_path = library_path
    for where in ("lib/own", "env", "prog", ""):
        w.lib(os.path.join(where, "libbare_test.so"), soname="libbare_test.so")

    def build(source, path, place, *more):
        command = [compiler(), "-O0", "-x", "c", "-", "-o", w.path(path), "-ldl", *more]
        if place is not None:
            tags = "--disable-new-dtags" if place[0] == "rpath" else "--enable-new-dtags"
            command.append("-Wl,%s,-rpath,%s" % (tags, place[1].replace("@", w.root)))
        run(command, input=source.encode())
        return w.path(path)

    asks = build(CALLER, "lib/libasks.so", caller, "-shared", "-fPIC")
    host = build(ASKING, ".made/asking", host_rpath)
    done = subprocess.run([host, asks, "libbare_test.so"], cwd=w.root, env=w.environment(), stdout=subprocess.PIPE)
    lines = os.fsdecode(done.stdout).splitlines()
    entry = locate("libbare_test.so", process=w.view(host), caller=asks)
    if done.returncode:
        assert entry.path is None and lines[-1].startswith("error libbare_test.so:"), (entry, lines)
    else:
        assert "map %s" % entry.path in lines
