"""Worlds that reach into the system: run in a mount namespace of its own, where layers lie over /etc and a default
directory.

    unshare -m python in_system.py NAME DIRECTORY

Compares dlrepair with the real ld.so there, prints what was mapped, and exits 1 where they differ.
"""

from __future__ import annotations

import os
import subprocess
import sys

from test_worlds import ours
from world import World

from dlrepair.binary.preloads import FILE
from dlrepair.binary.search_path import loader_of, system_directories

WORLDS = {}


def world(function):
    WORLDS[function.__name__.replace("_", "-")] = function
    return function


def default(w):
    """A default directory of ld.so, of those that exist."""
    found = [one for one in system_directories(loader_of(None)) if os.path.isdir(one)]
    return os.path.realpath(found[0])


def installed(w, name, mode=0o644, **more):
    """A library in the layer over the default directory."""
    w.lib("layer/" + name, soname=name, **more)
    os.chmod(w.path("layer", name), mode)


def told(w, text):
    """The text of /etc/ld.so.preload."""
    w.write("etc/" + os.path.basename(FILE), text.replace("@", w.root).encode())


def wants(w, *needs):
    w.lib("main.so", needs)


@world
def path_in_the_systems_file(w):
    w.lib("pre/libdlr_a.so", soname="libdlr_a.so")
    told(w, "# of the system\n@/pre/libdlr_a.so # here\n")
    wants(w, "libdlr_a.so")


@world
def several_in_the_systems_file(w):
    for name in ("libdlr_a.so", "libdlr_b.so", "libdlr_c.so"):
        w.lib("pre/" + name, soname=name)
    told(w, "/nowhere/libdlr_x.so:@/pre/libdlr_a.so\t@/pre/libdlr_b.so\n@/pre/libdlr_c.so")
    wants(w, "libdlr_a.so", "libdlr_b.so", "libdlr_c.so")


@world
def behind_a_comment_nothing(w):
    w.lib("pre/libdlr_a.so", soname="libdlr_a.so")
    told(w, "#@/pre/libdlr_a.so\n")
    wants(w, "libdlr_a.so")


@world
def environment_before_the_systems_file(w):
    for place in ("first", "second"):
        w.lib(place + "/libdlr_a.so", soname="libdlr_a.so")
    w.preload = "@/first/libdlr_a.so"
    told(w, "@/second/libdlr_a.so\n")
    wants(w, "libdlr_a.so")


@world
def leaf_in_the_systems_file(w):
    installed(w, "libdlr_a.so")
    told(w, "libdlr_a.so\n")
    wants(w, "libdlr_a.so")


@world
def secure_path_in_the_systems_file(w):
    w.lib("pre/libdlr_a.so", soname="libdlr_a.so")
    told(w, "@/pre/libdlr_a.so\n")
    w.secure = True
    wants(w, "libdlr_a.so")


@world
def secure_leaf_that_is_set_user_id(w):
    """It answers to a name that no search would find."""
    w.lib("layer/libdlr_pre.so", soname="libdlr_other.so")
    os.chmod(w.path("layer/libdlr_pre.so"), 0o4755)
    w.preload, w.secure = "libdlr_pre.so", True
    wants(w, "libdlr_other.so")


@world
def secure_leaf_that_is_not_set_user_id(w):
    w.lib("layer/libdlr_pre.so", soname="libdlr_other.so")
    w.preload, w.secure = "libdlr_pre.so", True
    wants(w, "libdlr_other.so")


@world
def secure_path_that_is_set_user_id(w):
    w.lib("layer/libdlr_pre.so", soname="libdlr_other.so")
    os.chmod(w.path("layer/libdlr_pre.so"), 0o4755)
    w.preload, w.secure = default(w) + "/libdlr_pre.so", True
    wants(w, "libdlr_other.so")


@world
def secure_leaf_in_the_systems_file(w):
    w.lib("layer/libdlr_pre.so", soname="libdlr_other.so")
    told(w, "libdlr_pre.so\n")
    w.secure = True
    wants(w, "libdlr_other.so")


@world
def secure_leaf_in_the_systems_file_that_is_set_user_id(w):
    w.lib("layer/libdlr_pre.so", soname="libdlr_other.so")
    os.chmod(w.path("layer/libdlr_pre.so"), 0o4755)
    told(w, "libdlr_pre.so\n")
    w.secure = True
    wants(w, "libdlr_other.so")


def main(name, directory):
    w = World(directory)
    for layer in ("layer", "etc"):
        os.makedirs(w.path(layer))
    WORLDS[name](w)
    host = w.host()
    for layer, place in (("layer", default(w)), ("etc", "/etc")):
        lower = "lowerdir={}:{}".format(w.path(layer), place)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", lower, place], check=True)
    names, error = w.ask_dlopen(host)
    trace, fresh, culprit = ours(w, host)
    held = w.view(host).loaded
    if names is None:
        same = fresh is None and error.startswith(tuple(words + ":" for words in culprit))
    else:
        rest = [one for one in names[names.index(w.target_path) :] if one != w.target_path]
        same = fresh == rest and [one for one in names if "libdlr_" in one] == [
            one for one in [*held, *fresh] if "libdlr_" in one
        ]
    print("ld.so: {} {}\ndlrepair: {} {} {}".format(names, error, fresh, culprit, [o for o in held if "dlr_" in o]))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
