"""scope.resolve against the real ld.so, one built world for every rule."""

from __future__ import annotations

import os
import subprocess

import pytest
from world import World
from worlds import WORLDS

from dlrepair.binary.scope import fresh_process, locate, resolve


def ours(w, host):
    """Our answer, told like the loader's: (trace, new link map names, ()) or (trace, None, names of what fails)."""
    view = fresh_process(host, w.library_path.replace("@", w.root), w.path(w.cwd))
    trace = resolve(w.target_path, process=view, preloaded=[w.path(p) for p in w.before])
    if trace.refused is not None:
        return trace, None, (w.target_path,)
    for entry in trace.failures:  # ld.so's message has the path, or the name asked for once it maps the file
        return trace, None, (entry.blocked_by, entry.name) if entry.blocked_by else (entry.name,)
    fresh = [e.path for e in trace.entries if e.how not in ("loaded", "same-file")]
    return trace, fresh, ()


@pytest.mark.parametrize("name", sorted(WORLDS))
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


TRIED = [name for name in sorted(WORLDS) if not name.startswith("target-")]


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
    if "slash" not in name and "loaded-before" not in name and "absolute" not in name and "origin-in-needed" != name:
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
