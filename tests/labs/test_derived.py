"""Paths that come from a variable of the environment by a way that no single expression shows."""

from __future__ import annotations

import os
import sys

import pytest
from lab import Run, World, run_script
from parts import ROI

PRE = "import argparse, ctypes, glob, os, sys\nfrom pathlib import Path\n"
LOAD = """
if not os.path.exists(LIB):
    raise FileNotFoundError(LIB)
print("roi_pool says", ctypes.CDLL(str(LIB)).roi_pool(6, 7))
"""
READ = 'os.environ.get("ROI_HOME", "/opt/roi")'
TAIL = '"build", "libroi.so")'


def script(text: str) -> dict[str, str]:
    return {"train.py": PRE + text.replace("@READ@", READ) + LOAD}


#: name -> files of a program that looks for $ROI_HOME/build/libroi.so, or in /opt/roi
WAYS = {
    "if-it-is-set": script(
        'LIB = os.path.join(os.environ["ROI_HOME"] if "ROI_HOME" in os.environ else "/opt/roi", ' + TAIL),
    "another-module": dict(script("import config\nLIB = os.path.join(config.ROI, " + TAIL),
                           **{"config.py": "import os\nROI = " + READ + "\n"}),
    "class": script("class Config:\n    ROI = @READ@\nLIB = os.path.join(Config.ROI, " + TAIL),
    "dictionary": script('CONFIG = {"roi": @READ@}\nLIB = os.path.join(CONFIG["roi"], ' + TAIL),
    "function": script("def home():\n    return @READ@\nLIB = os.path.join(home(), " + TAIL),
    "helper": script("def env(name, default):\n    return os.environ.get(name, default)\n"
                     'LIB = env("ROI_HOME", "/opt/roi") + "/build/libroi.so"'),
    "none-then-a-default": script('home = os.environ.get("ROI_HOME")\nif home is None:\n    home = "/opt/roi"\n'
                                  "LIB = os.path.join(home, " + TAIL),
    "expandvars": script('os.environ.setdefault("ROI_HOME", "/opt/roi")\n'
                         'LIB = os.path.expandvars("$ROI_HOME/build/libroi.so")'),
    "pathlib": script('LIB = Path(@READ@) / "build" / "libroi.so"'),
    "abspath": script('LIB = os.path.abspath(os.path.join(@READ@, "build/libroi.so"))'),
    "attribute": script("class Loader:\n    def __init__(self):\n        self.home = @READ@\n"
                        "    def path(self):\n        return os.path.join(self.home, " + TAIL
                        + "\nLIB = Loader().path()"),
    "argument": {"train.py": PRE + "def load(LIB):\n" + LOAD.replace("\n", "\n    ")
                 + "\nload(os.path.join(" + READ + ", " + TAIL + ")\n"},
    "argparse": script('parser = argparse.ArgumentParser()\nparser.add_argument("--roi", default=@READ@)\n'
                       "LIB = os.path.join(parser.parse_args().roi, " + TAIL),
    "glob": script('found = glob.glob(os.path.join(@READ@, "build", "libroi*.so"))\n'
                   'if not found:\n    raise RuntimeError("no libroi*.so")\nLIB = found[0]'),
    "list-of-directories": script('for place in os.environ.get("ROI_HOME", "/opt/roi").split(os.pathsep):\n'
                                  '    LIB = os.path.join(place, "build/libroi.so")\n    if os.path.exists(LIB):\n'
                                  '        break\nelse:\n    raise RuntimeError("no libroi.so in ROI_HOME")'),
    "told-that-it-is-not-set": script('home = os.environ.get("ROI_HOME")\nif not home:\n'
                                      '    raise RuntimeError("ROI_HOME is not set")\n'
                                      "LIB = os.path.join(home, " + TAIL),
}  # fmt: skip
if sys.version_info >= (3, 11):
    WAYS["group"] = script("import asyncio\nLIB = os.path.join(@READ@, " + TAIL + """
async def look():
    if not os.path.exists(LIB):
        raise FileNotFoundError(LIB)
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(look())
asyncio.run(main())
""")
#: the variable has nothing to do with it, or is not ours to set: name -> (files, the environment)
OTHERS = {
    "the-path-is-spelled-out": (script('OUT = @READ@\nLIB = "/opt/roi/build/libroi.so"'), {}),
    "two-variables-of-one-value": (
        script('OUT = os.environ.get("ROI_OUT", "/opt/roi")\nHOME = {"x": @READ@}\n'
               'LIB = HOME["x"] + "/build/libroi.so"'),
        {}),
    "something-is-there": (script('HOME = {"x": os.environ.get("ROI_HOME", "/usr/share")}\n'
                                  'LIB = HOME["x"] + "/build/libroi.so"'), {}),
    "the-user-has-set-a-list": (WAYS["list-of-directories"], {"ROI_HOME": "/no/such/roi:/usr"}),
}  # fmt: skip


def run(world: World, python: str, home: str) -> Run:
    return run_script(world, python, os.path.join(world.top, home))


def prepare(world: World, files: dict[str, str]) -> None:
    world.library("build/libroi.so", ROI)
    for name, text in files.items():
        world.write(name, text)


@pytest.mark.compile
@pytest.mark.parametrize("way", WAYS)
def test_the_variable_is_found_by_its_value(way: str, world: World, bare: str, hooked: str) -> None:
    prepare(world, WAYS[way])
    assert run(world, bare, "home-bare").status == 1
    first = run(world, hooked, "home")
    assert first.status == 1 and first.err.count("dlrepair[file-missing]: ") == 1, first.story()
    assert "help: Run it again: ROI_HOME={} is learned".format(world.root) in first.err, first.story()
    again = run(world, hooked, "home")
    assert (again.status, again.out, again.err) == (0, "roi_pool says 44\n", ""), again.story()


@pytest.mark.compile
@pytest.mark.parametrize("name", OTHERS)
def test_a_value_that_only_happens_to_be_the_same(name: str, world: World, bare: str, hooked: str) -> None:
    files, world.env = OTHERS[name]
    prepare(world, files)
    assert run(world, bare, "home-bare").status == 1
    first = run(world, hooked, "home")
    (learned,) = first.events("learned")
    assert first.status == 1 and {one["action"] for one in learned["environment"]} == {"path", "source"}, first.story()
    again = run(world, hooked, "home")
    assert (again.status, again.out) == (0, "roi_pool says 44\n"), again.story()
    world.env = dict(world.env, DLREPAIR_REEXEC="never")
    told = run(world, hooked, "home-told")
    assert told.err.splitlines()[-1].startswith("help: dlrepair fix --write /"), told.story()
