"""Headers whose templates are instantiated when they are precompiled, by the real gcc: what is left, what it means."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
from pathlib import Path

import pytest

from dlrepair.build import instantiated, precompiled, toolchain
from dlrepair.build.commands import Unit
from dlrepair.model.records import replace
from dlrepair.model.toolchain import TensorFlow, Toolchain

pytestmark = pytest.mark.compile

#: an inline function of a header that no source calls uses a template, as one that a source does call
HEADER = """
#pragma once
#include <map>
#include <string>
template <class T> T only_the_headers(T one) { return one + one; }
template <class T> T everybodys(T one) { return one * 3; }
inline int never_called(int one) { return only_the_headers(one); }
inline int called(int one) { return everybodys(one); }
struct Registered { virtual ~Registered() {} virtual int value() { return everybodys(7); } };
inline int counted(const std::string& words)
{ std::map<char, int> all; for (char one : words) all[one]++; return all["a"[0]]; }
"""
SOURCE = """#include "tensorflow/core/framework/op.h"
template <> long everybodys(long one) { return one; }
struct Mine : Registered { int value() override { return called(2) + Registered::value() + everybodys(100L); } };
extern "C" int value() { Mine mine; Registered& one = mine; return one.value() + counted("banana"); }
"""
#: gcc but for plugins: as one that is built without them
REFUSES = """#!/bin/sh
case "$*" in *-fplugin=*) echo "cc1plus: fatal error: plugin support is disabled" >&2; exit 1;; esac
exec g++ "$@"
"""
#: a header that is made with the plugin is no good
SPOILS = """#!/bin/sh
g++ "$@" || exit
case "$*" in *-fplugin=*) for word; do case "$word" in *.gch) : > "$word";; esac; done;; esac
"""


class Kit:
    """An include directory in TensorFlow's place, and a compiler."""

    def __init__(self, top: Path, compiler: str = "") -> None:
        self.top = top
        include = top / "include"
        header = include / "tensorflow" / "core" / "framework" / "op.h"
        header.parent.mkdir(parents=True)
        header.write_text(HEADER)
        self.source = top / "value.cc"
        self.source.write_text(SOURCE)
        found = toolchain.find_compiler()
        if found.family != "gcc" or found.major not in instantiated.RELEASES:
            pytest.skip("needs gcc")
        argv = [compiler or found.argv[0], "-std=c++17", "-O2", "-fPIC", "-w", "-I" + str(include)]
        tensorflow = TensorFlow("2.21.0", "b", str(include), str(top / "none.so"), (), (), "c++17")
        self.chain = Toolchain(replace(found, argv=(argv[0],)), tensorflow)
        self.unit = Unit(str(self.source), "c++", argv, str(top), False)

    def make(self) -> str:
        """Path of the precompiled header."""
        held = precompiled.make(self.chain, self.unit)
        assert held is not None
        again = precompiled.find(self.chain, self.unit)
        assert again is not None and not any(path.endswith(".so") for path in again.rows), again
        assert any(path.endswith("framework/op.h") for path in again.rows)
        return held.path

    def parsed(self, header: str) -> str:
        """What gcc says it works at (``-Q``) when a source that is empty is compiled with the header."""
        empty = self.top / "empty.cc"
        empty.write_text("")
        words = ["-include", header, "-Werror=invalid-pch", "-Q", "-c", str(empty), "-o", os.devnull]
        done = subprocess.run([*self.unit.argv, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def library(self, header: str) -> str:
        """The source as a library; ``header``: included first, "" for none."""
        output = str(self.top / ("with.so" if header else "plain.so"))
        words = ["-include", header, "-Werror=invalid-pch"] if header else []
        subprocess.run([*self.unit.argv, "-shared", *words, str(self.source), "-o", output], check=True)
        return output


def symbols(library: str) -> list[str]:
    """What a library defines for others, but for weak symbols: those are of templates, and may be inlined instead."""
    rows = [line.split() for line in subprocess.check_output(["nm", "-D", library], text=True).splitlines()]
    return sorted(row[-1] for row in rows if row[-2] in "TDBR")


def test_templates_are_instantiated_once_and_mean_the_same(tmp_path: Path, home: str) -> None:
    kit = Kit(tmp_path)
    ordinary = tmp_path / "ordinary.h"
    ordinary.write_text('#include "tensorflow/core/framework/op.h"\n')
    subprocess.run([*kit.unit.argv, "-x", "c++-header", str(ordinary), "-o", str(ordinary) + ".gch"], check=True)
    assert "only_the_headers" in kit.parsed(str(ordinary))  # each source does it anew
    header = kit.make()
    assert "only_the_headers" not in kit.parsed(header)
    plain, ours = kit.library(""), kit.library(header)
    assert ctypes.CDLL(plain).value() == ctypes.CDLL(ours).value() == 130
    assert symbols(plain) == symbols(ours) and "value" in symbols(ours)
    assert instantiated.MARK not in " ".join(symbols(ours))


def test_a_compiler_that_takes_no_plugin_makes_the_ordinary_header(tmp_path: Path, home: str) -> None:
    wrapper = tmp_path / "g++"
    wrapper.write_text(REFUSES)
    wrapper.chmod(stat.S_IRWXU)
    kit = Kit(tmp_path, str(wrapper))
    header = kit.make()
    assert "only_the_headers" in kit.parsed(header)
    assert symbols(kit.library("")) == symbols(kit.library(header))


def test_a_header_that_does_not_work_is_made_anew_without_the_plugin(tmp_path: Path, home: str) -> None:
    wrapper = tmp_path / "g++"
    wrapper.write_text(SPOILS)
    wrapper.chmod(stat.S_IRWXU)
    kit = Kit(tmp_path, str(wrapper))
    header = kit.make()
    assert "only_the_headers" in kit.parsed(header)
    assert symbols(kit.library("")) == symbols(kit.library(header))
