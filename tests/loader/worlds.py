"""One world for every rule of ld.so's search; the real loader is the judge, nothing here says what is right."""

from __future__ import annotations

import os
import struct

from world import run

WORLDS = {}


def world(function):
    WORLDS[function.__name__.replace("_", "-")] = function
    return function


@world
def runpath_of_the_library(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="liba.so")


@world
def rpath_reaches_needs_of_needs(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so")
    w.lib("sub/libb.so", soname="libb.so")


@world
def runpath_does_not_reach_needs_of_needs(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so")
    w.lib("sub/libb.so", soname="libb.so")


@world
def own_runpath_hides_rpath_above(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN/empty")
    w.lib("sub/libb.so", soname="libb.so")


@world
def rpath_chain_passes_an_object_with_runpath(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN")
    w.lib("sub/libb.so", ["libc1.so"], soname="libb.so")
    w.lib("sub/libc1.so", soname="libc1.so")


@world
def rpath_of_two_levels_nearest_first(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/one:$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so", rpath="$ORIGIN/two")
    w.lib("one/libb.so", soname="libb.so")
    w.lib("sub/two/libb.so", soname="libb.so")


@world
def empty_runpath_still_hides_rpath(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so", runpath="/")
    w.lib("sub/libb.so", soname="libb.so")


@world
def lib_token(w):
    for lib in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
        w.lib("root/%s/liba.so" % lib, soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/root/$LIB")


@world
def platform_token(w):
    for name in ("x86_64", "haswell", "xeon_phi", "aarch64"):
        w.lib("%s/liba.so" % name, soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/$PLATFORM")


@world
def braces_around_tokens(w):
    w.lib("sub/x86_64/liba.so", soname="liba.so")
    w.lib("sub/aarch64/liba.so", soname="liba.so")
    w.lib("sub/haswell/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="${ORIGIN}/sub/${PLATFORM}")


@world
def unknown_token_is_literal(w):
    w.lib("$FOO/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/$FOO")


@world
def token_followed_by_letters_is_literal(w):
    w.lib("$ORIGINAL/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/$ORIGINAL")


@world
def unclosed_brace_is_literal(w):
    w.lib("${ORIGIN/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/${ORIGIN")


@world
def origin_in_needed(w):
    w.lib("sub/liba.so")
    w.lib("main.so", ["$ORIGIN/sub/liba.so"])


@world
def needed_with_slash_is_relative_to_the_working_directory(w):
    w.lib("there/sub/liba.so")
    w.lib("sub/liba.so")
    w.lib("main.so", ["./sub/liba.so"])
    w.cwd = "there"


@world
def needed_with_slash_missing(w):
    w.lib("sub/liba.so")
    w.lib("main.so", ["./sub/liba.so"], runpath="$ORIGIN")
    os.mkdir(w.path("there"))
    w.cwd = "there"


@world
def needed_absolute(w):
    w.lib("sub/liba.so")
    w.lib("main.so", ["@/sub/liba.so"])


@world
def hardware_capabilities_first(w):
    w.lib("sub/liba.so", soname="liba.so")
    for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4", "power9", "z13"):
        w.lib("sub/glibc-hwcaps/%s/liba.so" % level, soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")


@world
def hardware_capabilities_lowest_level_only(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("sub/glibc-hwcaps/x86-64-v2/liba.so", soname="liba.so")
    os.makedirs(w.path("sub/glibc-hwcaps/x86-64-v3"))
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")


@world
def hardware_capabilities_below_the_environment(w):
    w.lib("sub/glibc-hwcaps/x86-64-v2/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.library_path = "@/sub"


@world
def old_capabilities_tls(w):
    w.lib("sub/tls/liba.so", soname="liba.so")
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")


@world
def old_capabilities_platform(w):
    for name in ("x86_64", "haswell", "aarch64"):
        w.lib("sub/%s/liba.so" % name, soname="liba.so")
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")


@world
def other_class_first_is_skipped(w):
    w.lib32("one/liba.so")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def other_class_only(w):
    w.lib32("one/liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one")


def _other_machine(w, where):
    w.lib(where, soname="liba.so")
    with open(w.path(where), "rb") as file:
        machine = struct.unpack("=H", file.read(20)[18:])[0]
    w.patch(where, 18, struct.pack("=H", 62 if machine == 183 else 183))


@world
def other_machine_first_is_skipped(w):
    _other_machine(w, "one/liba.so")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def other_machine_only(w):
    _other_machine(w, "one/liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one")


def _bad_first(w, data):
    w.write("one/liba.so", data)
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def text_first_stops(w):
    _bad_first(w, b"#!/bin/sh\n" + b"# not a library at all, whatever its name\n" * 4)


@world
def short_text_first_stops(w):
    _bad_first(w, b"INPUT(-lm)\n")


@world
def empty_file_first_stops(w):
    _bad_first(w, b"")


@world
def directory_first_stops(w):
    os.makedirs(w.path("one/liba.so"))
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def truncated_first_stops(w):
    w.lib("one/liba.so", soname="liba.so")
    with open(w.path("one/liba.so"), "r+b") as file:
        file.truncate(100)
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def dangling_link_first_is_skipped(w):
    w.link("one/liba.so", "nowhere")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def link_loop_first_ends_that_list(w):
    w.link("one/liba.so", "liba.so")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("three/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/three")
    w.library_path = "@/one:@/two"


@world
def object_file_first_stops(w):
    w.lib("two/liba.so", soname="liba.so")
    os.makedirs(w.path("one"))
    os.rename(w._object, w.path("one/liba.so"))
    w._object = w.path("one/liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def program_first_stops(w):
    host = w.host()
    os.makedirs(w.path("one"))
    os.link(host, w.path("one/liba.so"))
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def foreign_os_abi_first_stops(w):
    w.lib("one/liba.so", soname="liba.so")
    w.patch("one/liba.so", 7, b"\x09")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def other_byte_order_first_stops(w):
    w.lib("one/liba.so", soname="liba.so")
    w.patch("one/liba.so", 5, b"\x02")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def other_machine_of_other_byte_order_is_skipped(w):
    _other_machine(w, "one/liba.so")
    w.patch("one/liba.so", 5, b"\x02")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def other_machine_of_other_abi_is_skipped(w):
    _other_machine(w, "one/liba.so")
    w.patch("one/liba.so", 7, b"\x09")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def abi_version_without_abi_first_stops(w):
    w.lib("one/liba.so", soname="liba.so")
    w.patch("one/liba.so", 8, b"\x01")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def loaded_before_under_its_soname(w):
    w.lib("elsewhere/other-name.so", soname="liba.so")
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.before = ("elsewhere/other-name.so",)


@world
def loaded_before_cures_a_missing_need(w):
    w.lib("elsewhere/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.before = ("elsewhere/liba.so",)


@world
def loaded_before_without_soname_does_not(w):
    w.lib("elsewhere/liba.so")
    w.lib("main.so", ["liba.so"])
    w.before = ("elsewhere/liba.so",)


@world
def loaded_before_over_a_corrupt_copy(w):
    w.lib("elsewhere/liba.so", soname="liba.so")
    w.write("sub/liba.so", b"x" * 200)
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.before = ("elsewhere/liba.so",)


@world
def loaded_before_as_a_need_without_soname(w):
    w.lib("first/liba.so")
    w.lib("first.so", ["liba.so"], runpath="$ORIGIN/first")
    w.lib("main.so", ["liba.so"])
    w.before = ("first.so",)


@world
def loaded_before_with_slash_in_soname(w):
    w.lib("elsewhere/liba.so", soname="./../dir/liba.so")
    w.lib("main.so", ["./../dir/liba.so"])
    w.before = ("elsewhere/liba.so",)


@world
def soname_of_a_sibling_serves(w):
    w.lib("main.so", ["libx.so", "liba.so"], runpath="$ORIGIN/sub")
    w.lib("sub/libx.so", soname="liba.so")


@world
def name_and_soname_differ_twice(w):
    w.lib("main.so", ["liba.so", "liba.so.1"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="liba.so.1")


@world
def two_names_of_one_file(w):
    w.lib("main.so", ["liba.so", "libb.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so")
    w.link("sub/libb.so", "liba.so")


@world
def nodefaultlib(w):
    w.lib("main.so", ["libm.so.6", "libgcc_s.so.1"], flags=["-z", "nodefaultlib"])


@world
def system_library_by_the_cache(w):
    w.lib("main.so", ["libgcc_s.so.1", "libstdc++.so.6"])


@world
def empty_element_is_the_working_directory(w):
    w.lib("main.so", ["liba.so"], runpath="/nonexistent::/also-not")
    w.lib("there/liba.so", soname="liba.so")
    w.cwd = "there"


@world
def empty_element_in_the_environment(w):
    w.lib("main.so", ["liba.so"])
    w.lib("there/liba.so", soname="liba.so")
    w.cwd = "there"
    w.library_path = "/nonexistent:"


@world
def relative_runpath(w):
    w.lib("main.so", ["liba.so"], runpath="sub")
    w.lib("there/sub/liba.so", soname="liba.so")
    w.cwd = "there"


@world
def target_reached_by_a_link(w):
    w.lib("real/main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.lib("real/sub/liba.so", soname="liba.so")
    w.lib("sub/liba.so", soname="liba.so")
    w.link("main.so", "real/main.so")


@world
def target_reached_by_a_link_without_neighbour(w):
    w.lib("real/main.so", ["liba.so"], runpath="$ORIGIN")
    w.lib("real/liba.so", soname="liba.so")
    w.link("main.so", "real/main.so")


@world
def need_reached_by_a_link(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/links")
    w.link("links/liba.so", "../real/liba.so")
    w.lib("real/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN")
    w.lib("real/libb.so", soname="libb.so")


@world
def environment_beats_runpath(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/run")
    w.lib("run/liba.so", soname="liba.so")
    w.lib("env/liba.so", soname="liba.so")
    w.library_path = "@/env"


@world
def environment_loses_to_rpath(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/run")
    w.lib("run/liba.so", soname="liba.so")
    w.lib("env/liba.so", soname="liba.so")
    w.library_path = "@/env"


@world
def environment_separated_by_semicolons(w):
    w.lib("main.so", ["liba.so"])
    w.lib("two/liba.so", soname="liba.so")
    w.library_path = "@/one;@/two"


@world
def origin_in_the_environment_is_the_programs(w):
    w.lib("main.so", ["liba.so"])
    w.lib("liba.so", soname="liba.so")
    w.lib(".made/near/liba.so", soname="liba.so")
    w.library_path = "$ORIGIN/near"


@world
def breadth_first_diamond(w):
    w.lib("main.so", ["liba.so", "libb.so"], rpath="$ORIGIN")
    w.lib("liba.so", ["libd.so"], soname="liba.so", rpath="$ORIGIN/a")
    w.lib("libb.so", ["libd.so"], soname="libb.so", rpath="$ORIGIN/b")
    w.lib("a/libd.so", soname="libd.so")
    w.lib("b/libd.so", soname="libd.so")


@world
def breadth_first_nearer_need_wins(w):
    w.lib("main.so", ["liba.so", "libd.so"], runpath="$ORIGIN:$ORIGIN/b")
    w.lib("liba.so", ["libd.so"], soname="liba.so", runpath="$ORIGIN/a")
    w.lib("a/libd.so", soname="libd.so")
    w.lib("b/libd.so", soname="libd.so")


@world
def first_missing_in_breadth(w):
    w.lib("main.so", ["liba.so", "libb.so"], rpath="$ORIGIN")
    w.lib("liba.so", ["libx.so"], soname="liba.so")
    w.lib("libb.so", ["liby.so"], soname="libb.so")


@world
def missing_in_depth_comes_after(w):
    w.lib("main.so", ["liba.so", "libz.so.77"], rpath="$ORIGIN")
    w.lib("liba.so", ["libx.so"], soname="liba.so")


@world
def cycle(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", soname="main.so")
    w.lib("liba.so", ["libb.so"], soname="liba.so")
    w.lib("libb.so", ["liba.so", "main.so"], soname="libb.so")


@world
def cycle_to_a_target_without_soname(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN")
    w.lib("liba.so", ["main.so"], soname="liba.so")


@world
def needs_itself(w):
    w.lib("main.so", ["main.so"], soname="main.so", runpath="$ORIGIN")


@world
def duplicate_and_trailing_slashes(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one//:$ORIGIN/one:$ORIGIN//two///")
    os.makedirs(w.path("one"))
    w.lib("two/liba.so", soname="liba.so")


@world
def file_in_place_of_a_directory(w):
    w.write("one", b"a file")
    w.lib("two/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")


@world
def rpath_of_the_program(w):
    w.host_rpath = ("rpath", "@/prog")
    w.lib("main.so", ["liba.so"])
    w.lib("prog/liba.so", soname="liba.so")


@world
def rpath_of_the_program_with_origin(w):
    w.host_rpath = ("rpath", "$ORIGIN/../prog")
    w.lib("main.so", ["liba.so"])
    w.lib("prog/liba.so", soname="liba.so")


@world
def rpath_of_the_program_hidden_by_runpath(w):
    w.host_rpath = ("rpath", "@/prog")
    w.lib("main.so", ["liba.so"], runpath="/nonexistent")
    w.lib("prog/liba.so", soname="liba.so")


@world
def runpath_of_the_program_is_its_own(w):
    w.host_rpath = ("runpath", "@/prog")
    w.lib("main.so", ["liba.so"])
    w.lib("prog/liba.so", soname="liba.so")


@world
def library_of_rpath_before_program_rpath(w):
    w.host_rpath = ("rpath", "@/prog")
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/own")
    w.lib("prog/liba.so", soname="liba.so")
    w.lib("own/liba.so", soname="liba.so")


@world
def target_is_text(w):
    w.write("main.so", b"hello, this is text and not a library; it is longer than one ELF header\n" * 2)


@world
def target_is_missing(w):
    w.target = "main.so"


@world
def target_of_other_machine(w):
    _other_machine(w, "main.so")


@world
def target_of_other_class(w):
    w.lib32("main.so")


@world
def target_cut_to_a_quarter(w):
    source = w.lib("main.so", soname="main.so", flags=["-z", "max-page-size=4096", "-z", "separate-code"])
    with open(source, "r+b") as file:
        file.truncate(os.path.getsize(source) // 4)


@world
def target_cut_inside_the_section_headers(w):
    source = w.lib("main.so", ["libm.so.6"], soname="main.so")
    with open(source, "r+b") as file:
        file.truncate(os.path.getsize(source) - 64)


@world
def target_not_to_be_opened(w):
    w.lib("main.so", flags=["-z", "nodlopen"])


@world
def target_given_relative(w):
    w.lib("there/main.so", ["liba.so"], runpath="$ORIGIN")
    w.lib("there/liba.so", soname="liba.so")
    w.target = "./there/main.so"


@world
def both_rpath_kinds_in_one_chain(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["libb.so"], soname="liba.so", rpath="$ORIGIN/deep")
    w.lib("sub/deep/libb.so", ["libc1.so"], soname="libb.so", runpath="$ORIGIN/nothing")
    w.lib("sub/libc1.so", soname="libc1.so")


@world
def not_utf8_names(w):
    name = os.fsdecode(b"lib\xff\xe9.so")
    w.lib("sub/" + name, soname=name)
    w.lib("main.so", [name], runpath="$ORIGIN/sub")


@world
def long_chain(w):
    w.lib("main.so", ["lib0.so"], rpath="$ORIGIN")
    for i in range(12):
        w.lib("lib%d.so" % i, ["lib%d.so" % (i + 1)] if i < 11 else [], soname="lib%d.so" % i)


def _replace(w, where, old, new):
    """Change bytes of a linked file, of the same length."""
    with open(w.path(where), "r+b") as file:
        raw = file.read()
        assert len(old) == len(new) and old in raw, where
        file.seek(0)
        file.write(raw.replace(old, new))


@world
def needed_twice(w):
    w.lib("main.so", ["liba.so", "libA.so"], runpath="$ORIGIN")
    _replace(w, "main.so", b"libA.so\0", b"liba.so\0")
    w.lib("liba.so", soname="liba.so")


@world
def needed_empty(w):
    w.lib("main.so", ["libA.so", "liba.so"], runpath="$ORIGIN")
    _replace(w, "main.so", b"\0libA.so\0", b"\0\0ibA.so\0")
    w.lib("liba.so", soname="liba.so")


@world
def runpath_beside_rpath_in_one_object(w):
    """Old linkers wrote both: the SONAME entry becomes a DT_RUNPATH here."""
    w.lib("main.so", ["liba.so"], rpath="@/one", soname=w.path("two"))
    sections = run(["readelf", "-SW", w.path("main.so")]).splitlines()
    at = next(int(line.split(" DYNAMIC ")[1].split()[1], 16) for line in sections if " DYNAMIC " in line)
    with open(w.path("main.so"), "rb") as file:
        raw = file.read()
    entry = next(here for here in range(at, len(raw), 16) if struct.unpack_from("=q", raw, here)[0] == 14)
    w.patch("main.so", entry, struct.pack("=q", 29))
    w.lib("one/liba.so", soname="liba.so")
    w.lib("two/liba.so", soname="liba.so")


def _flagged(name, *flags):
    def build(w):
        w.lib("main.so", ["liba.so", "libb.so"], rpath="$ORIGIN/sub", flags=flags)
        w.lib("sub/liba.so", ["libb.so"], soname="liba.so", flags=flags)
        w.lib("sub/libb.so", soname="libb.so", flags=flags)

    WORLDS["flag-" + name] = build


for _name, _flags in (
    ("origin", ("-z", "origin")), ("nodelete", ("-z", "nodelete")), ("initfirst", ("-z", "initfirst")),
    ("interpose", ("-z", "interpose")), ("global", ("-z", "global")), ("group", ("-Bgroup",)), ("now", ("-z", "now")),
    ("symbolic", ("-Bsymbolic",)), ("nodump", ("-z", "nodump")), ("combreloc-off", ("-z", "nocombreloc")),
    ("sysv-hash", ("--hash-style=sysv",)), ("gnu-hash", ("--hash-style=gnu",)), ("loadfltr", ("-z", "loadfltr")),
):  # fmt: skip
    _flagged(_name, *_flags)


@world
def need_linked_with_nodlopen(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN")
    w.lib("liba.so", soname="liba.so", flags=["-z", "nodlopen"])


@world
def nodefaultlib_of_a_need(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN")
    w.lib("liba.so", ["libz.so.1"], soname="liba.so", flags=["-z", "nodefaultlib"])


@world
def auxiliary_filtee(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", flags=["-f", "libaux.so"])
    w.lib("liba.so", soname="liba.so")
    w.lib("libaux.so", soname="libaux.so")


@world
def auxiliary_filtee_missing_is_no_error(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", flags=["-f", "libaux.so"])
    w.lib("liba.so", soname="liba.so")


@world
def auxiliary_filtee_of_text_is_no_error(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", flags=["-f", "libaux.so"])
    w.lib("liba.so", soname="liba.so")
    w.write("libaux.so", b"text instead of a library " * 10)


@world
def filtee(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", flags=["-F", "libfil.so"])
    w.lib("liba.so", soname="liba.so")
    w.lib("libfil.so", ["libunder.so"], soname="libfil.so")
    w.lib("libunder.so", soname="libunder.so")


@world
def filtee_missing(w):
    w.lib("main.so", ["liba.so"], rpath="$ORIGIN", flags=["-F", "libfil.so"])
    w.lib("liba.so", soname="liba.so")


@world
def filtee_of_a_need(w):
    w.lib("main.so", ["liba.so", "libb.so"], rpath="$ORIGIN")
    w.lib("liba.so", ["libc1.so"], soname="liba.so", flags=["-F", "libfil.so"])
    w.lib("libb.so", soname="libb.so")
    w.lib("libc1.so", soname="libc1.so")
    w.lib("libfil.so", ["libunder.so"], soname="libfil.so")
    w.lib("libunder.so", soname="libunder.so")


@world
def linked_directory_in_the_path(w):
    w.lib("real/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN/../beside")
    w.link("deep/links", "../real")
    w.lib("deep/beside/libb.so", soname="libb.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/deep/links")


@world
def linked_directory_with_the_kernels_parent(w):
    """``..`` after a link is the parent of where the link leads: nothing is shortened."""
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/deep/links/../next")
    os.makedirs(w.path("elsewhere/real"))
    w.link("deep/links", "../elsewhere/real")
    w.lib("elsewhere/next/liba.so", soname="liba.so")
    w.lib("deep/next/liba.so", soname="liba.so")


@world
def very_long_path(w):
    deep = "/".join(["d" * 100] * 12)
    w.lib(deep + "/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/" + deep)


@world
def path_longer_than_the_system_allows(w):
    w.lib("main.so", ["liba.so"], runpath="@/" + "/".join(["d" * 200] * 25) + ":$ORIGIN/sub")
    w.lib("sub/liba.so", soname="liba.so")


@world
def name_longer_than_the_system_allows(w):
    w.lib("main.so", ["lib%s.so" % ("a" * 300)], runpath="$ORIGIN/sub")
    w.lib("sub/libb.so")


@world
def socket_first(w):
    import socket

    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")
    w.lib("two/liba.so", soname="liba.so")
    os.makedirs(w.path("one"))
    here = os.getcwd()
    os.chdir(w.path("one"))
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("liba.so")
    finally:
        os.chdir(here)


@world
def environment_with_tokens(w):
    for lib in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
        w.lib("root/%s/liba.so" % lib, soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.library_path = "@/root/$LIB:@/root/${PLATFORM}"


@world
def environment_of_colons_only(w):
    w.lib("main.so", ["liba.so"])
    w.lib("here/liba.so", soname="liba.so")
    w.cwd, w.library_path = "here", ":"


@world
def environment_with_empty_elements_and_semicolons(w):
    w.lib("main.so", ["liba.so", "libb.so"])
    w.lib("env/liba.so", soname="liba.so")
    w.lib("here/libb.so", soname="libb.so")
    w.cwd, w.library_path = "here", "@/nothing;;@/env;"


@world
def environment_relative(w):
    w.lib("main.so", ["liba.so"])
    w.lib("here/env/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN")
    w.lib("here/env/libb.so", soname="libb.so")
    w.cwd, w.library_path = "here", "env"


@world
def hardware_capabilities_of_several_directories(w):
    """The first directory counts more than the level."""
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one:$ORIGIN/two")
    w.lib("one/liba.so", soname="liba.so")
    for level in ("x86-64-v2", "x86-64-v3", "power9", "z13"):
        w.lib("two/glibc-hwcaps/%s/liba.so" % level, soname="liba.so")


@world
def hardware_capabilities_of_another_class(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one")
    for level in ("x86-64-v2", "x86-64-v3"):
        w.lib32("one/glibc-hwcaps/%s/liba.so" % level)
    w.lib("one/liba.so", soname="liba.so")


@world
def hardware_capabilities_unknown_level(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one")
    w.lib("one/glibc-hwcaps/x86-64-v9/liba.so", soname="liba.so")


@world
def old_capabilities_nested(w):
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/one")
    w.lib("one/tls/haswell/x86_64/liba.so", soname="liba.so")
    w.lib("one/tls/x86_64/liba.so", soname="liba.so")
    w.lib("one/liba.so", soname="liba.so")


@world
def loaded_by_path_then_needed_by_another_soname(w):
    w.lib("far/libreal.so.5", soname="liba.so")
    w.lib("main.so", ["libreal.so.5"], runpath="$ORIGIN/sub")
    w.lib("sub/libreal.so.5", soname="libreal.so.5")
    w.before = ("far/libreal.so.5",)


@world
def hard_links_are_one_object(w):
    w.lib("main.so", ["liba.so", "libb.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="libzzz.so")
    os.link(w.path("sub/liba.so"), w.path("sub/libb.so"))


@world
def copies_are_two_objects(w):
    w.lib("main.so", ["liba.so", "libb.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="libzzz.so")
    w.lib("sub/libb.so", soname="libyyy.so")


@world
def need_is_the_program_interpreter(w):
    w.lib("main.so", ["ld-linux-x86-64.so.2", "libc.so.6", "liba.so"], runpath="$ORIGIN")
    w.lib("liba.so", ["libc.so.6"], soname="liba.so")
    w.lib("libc.so.6", soname="libc.so.6")


@world
def runpath_of_a_need_does_not_serve_its_sibling(w):
    w.lib("main.so", ["liba.so", "libb.so"], runpath="$ORIGIN/one")
    w.lib("one/liba.so", soname="liba.so", runpath="$ORIGIN/two")
    w.lib("one/two/libb.so", soname="libb.so")


@world
def sibling_found_first_serves_by_its_name(w):
    """libb.so is found for liba.so first; main.so's own later need of it is served by that."""
    w.lib("main.so", ["liba.so", "libc1.so"], runpath="$ORIGIN/one")
    w.lib("one/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN/two")
    w.lib("one/two/libb.so", soname="libb.so")
    w.lib("one/libc1.so", ["libb.so"], soname="libc1.so")


@world
def preloaded_by_its_path_serves_by_its_soname(w):
    w.lib("pre/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload = "@/pre/liba.so"


@world
def preloaded_from_the_programs_directory(w):
    w.lib(".made/pre/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="liba.so")
    w.preload = "$ORIGIN/pre/liba.so"


@world
def preloaded_with_lib_token(w):
    for lib in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
        w.lib("root/%s/liba.so" % lib, soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload = "@/root/$LIB/liba.so"


@world
def preloaded_leaf_by_the_environment(w):
    w.lib("env/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", soname="liba.so")
    w.preload, w.library_path = "liba.so", "@/env"


@world
def preloaded_leaf_by_rpath_of_the_program(w):
    w.lib("prog/liba.so", soname="libother.so")
    w.lib("main.so", ["libother.so"])
    w.preload, w.host_rpath = "liba.so", ("rpath", "@/prog")


@world
def preloaded_leaf_by_runpath_of_the_program(w):
    w.lib("prog/liba.so", soname="libother.so")
    w.lib("main.so", ["libother.so"])
    w.preload, w.host_rpath = "liba.so", ("runpath", "@/prog")


@world
def preloaded_leaf_is_not_looked_for_in_the_working_directory(w):
    w.lib("liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload = "liba.so"


@world
def token_in_a_preloaded_leaf_is_literal(w):
    w.lib("env/$ORIGIN", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload, w.library_path = "$ORIGIN", "@/env"


@world
def preloaded_missing_is_passed_over(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.preload = "@/absent/liba.so:absent.so"


@world
def preloaded_text_is_passed_over(w):
    w.write("pre/liba.so", b"text instead of a library " * 10)
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.preload = "@/pre/liba.so"


@world
def preloaded_several_by_spaces_and_colons(w):
    for name in ("liba.so", "libb.so", "libc1.so"):
        w.lib("pre/" + name, soname=name)
    w.lib("main.so", ["liba.so", "libb.so", "libc1.so"])
    w.preload = " @/pre/liba.so  @/pre/libb.so:@/pre/libc1.so:"


@world
def preloaded_before_the_environment(w):
    w.lib("env/liba.so", soname="liba.so")
    w.lib("pre/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload, w.library_path = "@/pre/liba.so", "@/env"


@world
def preloaded_without_soname_serves_nobody(w):
    w.lib("pre/liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload = "@/pre/liba.so"


@world
def preloaded_leaf_without_soname_serves_by_its_name(w):
    w.lib("env/liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload, w.library_path = "liba.so", "@/env"


@world
def preloaded_brings_its_needs(w):
    w.lib("pre/liba.so", ["libb.so"], soname="liba.so", runpath="$ORIGIN/sub")
    w.lib("pre/sub/libb.so", soname="libb.so")
    w.lib("main.so", ["libb.so"])
    w.preload = "@/pre/liba.so"


@world
def preloaded_target(w):
    w.lib("main.so", ["liba.so"], soname="main.so", runpath="$ORIGIN/sub")
    w.lib("sub/liba.so", ["main.so"], soname="liba.so")
    w.lib("other.so", ["main.so"])
    w.preload, w.target = "@/main.so", "other.so"


@world
def audit_absent_is_no_error(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.variables = {"LD_AUDIT": "@/absent.so:absent-audit.so"}


@world
def origin_path_of_the_environment_is_not_used(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.host_rpath = ("rpath", "$ORIGIN")
    w.variables = {"LD_ORIGIN_PATH": "@/sub"}


@world
def bind_now_changes_no_search(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")
    w.variables = {"LD_BIND_NOW": "1", "LD_BIND_NOT": "1", "LD_DYNAMIC_WEAK": "1"}


def secure(function):
    def made(w):
        function(w)
        w.secure = True

    WORLDS["secure-" + function.__name__.replace("_", "-")] = made


@secure
def environment_is_ignored(w):
    w.lib("env/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.library_path = "@/env"


@secure
def preload_with_a_slash_is_ignored(w):
    w.lib("pre/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload = "@/pre/liba.so"


@secure
def preload_of_a_leaf_in_the_environment_is_ignored(w):
    w.lib("env/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.preload, w.library_path = "liba.so", "@/env"


@secure
def origin_of_a_library(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="$ORIGIN/sub")


@secure
def origin_in_the_middle_is_left_out(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="/$ORIGIN/sub")


@secure
def origin_before_a_letter_is_left_out(w):
    w.lib("main.so", ["liba.so"], runpath="${ORIGIN}sub")
    os.rename(w.lib("liba.so", soname="liba.so"), w.path("gone.so"))
    os.makedirs(w.root + "sub")
    os.rename(w.path("gone.so"), w.root + "sub/liba.so")


@secure
def origin_of_the_program_is_left_out(w):
    w.lib(".made/sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.host_rpath = ("rpath", "$ORIGIN/sub")


@secure
def rpath_of_the_program_without_token(w):
    w.lib("prog/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"])
    w.host_rpath = ("rpath", "@/prog")


@secure
def preload_of_a_leaf_in_the_programs_rpath(w):
    """Set-user-ID itself, it is taken; the one before it, which is not, is passed over."""
    for place, mode in (("first", 0o755), ("second", 0o4755), ("third", 0o4755)):
        os.chmod(w.lib(place + "/libpre.so", soname="lib%s.so" % place), mode)
    w.lib("main.so", ["libsecond.so"])
    w.preload, w.host_rpath = "libpre.so", ("rpath", "@/first:@/second:@/third")


@secure
def preload_of_a_leaf_in_the_programs_runpath(w):
    os.chmod(w.lib("own/libpre.so", soname="libanother.so"), 0o4755)
    w.lib("main.so", ["libanother.so"])
    w.preload, w.host_rpath = "libpre.so", ("runpath", "@/own")


@secure
def preload_of_a_leaf_in_the_programs_rpath_that_is_not_set_user_id(w):
    w.lib("own/libpre.so", soname="libanother.so")
    w.lib("main.so", ["libanother.so"])
    w.preload, w.host_rpath = "libpre.so", ("rpath", "@/own")


@secure
def relative_runpath_of_a_library(w):
    w.lib("sub/liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="sub")


@secure
def empty_element_of_a_library(w):
    w.lib("liba.so", soname="liba.so")
    w.lib("main.so", ["liba.so"], runpath="/nowhere:")
