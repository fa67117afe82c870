"""A precompiled header of a part of TensorFlow's headers, made and used by the real gcc for the newest TensorFlow here.

A part, because all of what an op includes takes half a minute and 400 MB: ``make bench-watch`` uses that. What is
precompiled is the only difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from typing import Any

import opkit
import pytest
from interpreters import bare_env
from watching import Watching

pytestmark = [pytest.mark.compile, pytest.mark.tensorflow]

ROOT = opkit.ROOT
PART = ("absl/strings/str_cat.h", "tensorflow/c/c_api.h")
SOURCE = '#include "tensorflow/c/c_api.h"\nextern "C" int value() { return %s + (TF_FLOAT != 1); }\n'

#: builds one source with a copy of what it includes of TensorFlow's headers, and tells which headers it was made of
CHILD = """
import json, os, shutil, subprocess, sys, time
from dataclasses import replace
from dlrepair import store
from dlrepair.build import precompiled, service, toolchain
from dlrepair.build.prepared import Prepared
from dlrepair.model.build import Recipe
from dlrepair.store import builds

precompiled._INCLUDES = PART
home, project = sys.argv[1:]
recipe = Recipe("libvalue.so", sources=(os.path.join(project, "value.cc"),), directory=project, kind="none")
real = toolchain.find_tensorflow()
flags = [flag for flag in real.compile_flags if flag[:2] != "-I"]
header = os.path.join(home, "all.h")
with open(header, "w") as stream:
    stream.write("".join('#include "%s"\\n' % name for name in PART))
words = subprocess.check_output(["g++", "-std=c++17", "-M", "-I" + real.include, header]).decode()
copy = os.path.join(home, "include")
for name in words.replace("\\\\", "").split():
    if name.startswith(real.include + "/"):
        target = copy + name[len(real.include):]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(name, target)
copied = replace(real, include=copy, compile_flags=("-I" + copy, *flags))
toolchain.find_tensorflow = lambda: copied

def prepared():
    one = Prepared(recipe, "", lambda event, **fields: None)
    one.prepare()
    return one.parts[-1]

def build(text):
    with open(recipe.sources[0], "w") as stream:
        stream.write(text)
    result = service.build(recipe)
    assert result.ok, result
    part = prepared()
    names = [row[0] for row in builds.manifests(part.firsts[0])[0]["headers"]]
    return any("str_cat" in name for name in names)

def found():
    part = prepared()
    return precompiled.find(part.toolchain, part.units[0]) is not None

def see(name, value):
    print(json.dumps([name, value]), flush=True)

see("used before it is there", build(SOURCE % 1))
began = time.monotonic()
see("made", service.precompile(recipe))
see("seconds", time.monotonic() - began)
see("used", build(SOURCE % 2))
with open(recipe.sources[0], "w") as stream:
    stream.write(SOURCE % "nowhere")
failed = service.build(recipe)
with open(failed.log) as stream:
    see("an error is told at once", "nowhere" in failed.first_error and "-Winvalid-pch" in stream.readline())
see("used after a macro", build("#define EIGEN_USE_THREADS\\n" + SOURCE % 3))
see("used with other flags", precompiled.find(prepared().toolchain, prepared().units[0]) is not None)
path = os.path.join(copy, "absl/strings/str_cat.h")
info = os.stat(path)
os.utime(path)
see("found after touch", found())
with open(path, "a") as stream:
    stream.write("// changed\\n")
see("found after a change", found())
see("used after a change", build(SOURCE % 4))
see("made again", service.precompile(recipe))
see("used again", build(SOURCE % 5))
key = precompiled.key_of(prepared().toolchain, prepared().units[0])
held = builds.find(key, verify=False)["directory"]
with open(os.path.join(held, precompiled.HEADER + ".gch"), "r+b") as stream:
    stream.truncate(1000)
see("found when it is cut short", found())
see("made over it", service.precompile(recipe))
size = os.path.getsize(os.path.join(held, precompiled.HEADER + ".gch"))
with open(os.path.join(held, precompiled.HEADER + ".gch"), "r+b") as stream:
    stream.write(b"\\0" * size)
see("built when it is no header", build(SOURCE % 6))  # gcc reads the header as a text then
for name in os.listdir(os.path.dirname(held)):
    other = os.path.join(os.path.dirname(held), name, "build.json")
    if name != key:
        os.utime(other)
os.utime(os.path.join(held, "build.json"), (1, 1))
builds.tidy(size)
see("there beyond the bound", os.path.exists(held))
see("left", len(os.listdir(os.path.dirname(held))) > 3)
see("used when it is gone", build(SOURCE % 7))
"""


@pytest.fixture(scope="module")
def newest() -> str:
    """The interpreter with the newest TensorFlow."""
    return opkit.envs.make(opkit.chosen_envs()[0])


def test_made_used_stale_and_collected(newest: str, home: str, tmp_path: object) -> None:
    project, place = os.path.join(str(tmp_path), "project"), os.path.join(str(tmp_path), "place")
    os.makedirs(project)
    os.makedirs(place)
    code = "PART = %r\nSOURCE = %r\n%s" % (PART, SOURCE, CHILD)
    env = bare_env(HOME=home, PYTHONPATH=ROOT, XDG_CACHE_HOME=os.environ["XDG_CACHE_HOME"])
    done = subprocess.run(
        [newest, "-B", "-c", code, place, project], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    seen: dict[str, Any] = dict(json.loads(line) for line in done.stdout.splitlines())
    assert seen.pop("seconds") < 120
    assert seen == {
        "used before it is there": False,
        "made": True,
        "used": True,
        "an error is told at once": True,
        "used after a macro": False,
        "used with other flags": True,
        "found after touch": True,
        "found after a change": False,
        "used after a change": False,
        "made again": True,
        "used again": True,
        "found when it is cut short": False,
        "made over it": True,
        "built when it is no header": True,
        "there beyond the bound": False,
        "left": True,
        "used when it is gone": False,
    }


MAIN = """
import sys
from dlrepair.build import precompiled
precompiled._INCLUDES = %r
from dlrepair.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_made_in_the_background_of_a_watch(newest: str, home: str, tmp_path: object) -> None:
    project = os.path.join(str(tmp_path), "project")
    os.makedirs(project)
    source = os.path.join(project, "value.cc")

    def save(text: str) -> None:
        with open(source, "w") as stream:
            stream.write(text)

    save(SOURCE % 1)
    program = os.path.join(str(tmp_path), "program.py")
    with open(program, "w") as stream:
        stream.write(textwrap.dedent(MAIN % (PART,)))
    with Watching(project, ["value.so"], python=newest, program=[program]) as watching:
        watching.wait("built", 120, after=0)
        at = len(watching.events)
        assert "precompiled" not in watching.names()
        save(SOURCE % 2)  # while it is being made
        watching.wait("built", 120, after=at)
        assert watching.wait("precompiled", 120, after=0)["ok"]
        assert not made_of("str_cat")
        at = len(watching.events)
        save(SOURCE % 3)
        watching.wait("built", 120, after=at)
        assert made_of("str_cat")
        assert watching.end() == 130


def made_of(word: str) -> bool:
    """Whether an object of the store was made of a header of that name, by its manifest."""
    top = os.path.join(os.environ["XDG_CACHE_HOME"], "dlrepair", "manifests")
    for directory, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(directory, name)) as stream:
                if any(word in row[0] for row in json.load(stream)["headers"]):
                    return True
    return False
