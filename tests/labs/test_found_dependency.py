"""A dependency lies somewhere: by its SONAME alone, from each kind of source, with decoys that come first."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import Any

import pytest
from lab import World, run_script
from parts import HELPER, ROI_WITH_HELPER, cut_inside_a_page, other_machine, script

pytestmark = pytest.mark.compile

NAME = "libroi_helper.so.2"

#: decoy -> the reason in the journal
DECOYS = {
    "machine": "wrong-machine",
    "cut": "truncated",
    "another-soname": "soname-differs",
    "another-major": "soname-differs",
    "no-soname": "no-soname",
    "lacks-the-function": "symbols-missing",
    "stubs": "stub",
    "writable": "untrusted-file",
    "foreign": "untrusted-owner",
}

ROWS: list[tuple[str, str, str, dict[str, str]]] = [
    # name, source, slots with a # for the number, environment
    ("beside", "needed-by", "build/#", {}),
    ("project", "project", "x/y/#", {}),
    ("wheel-libs", "site-packages", "TOP/site-packages/#.libs", {"PYTHONPATH": "TOP/site-packages"}),
    ("nvidia-wheels", "site-packages", "TOP/site-packages/nvidia/#/lib", {"PYTHONPATH": "TOP/site-packages"}),
    ("library-path", "environment", "TOP/lp/#", {"LIBRARY_PATH": "*"}),
    ("old-environment", "other-environment", "HOME/.virtualenvs/#/lib/python3.6/site-packages/x.libs", {}),
    ("conda-environment", "other-environment", "HOME/miniconda3/envs/#/lib", {}),
    ("conda-packages", "conda", "HOME/miniconda3/pkgs/#/lib", {}),
    ("cuda", "cuda", "TOP/cuda/targets/#/lib", {"CUDA_HOME": "TOP/cuda"}),
]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: Any) -> dict[str, str]:
    top = str(tmp_path_factory.mktemp("helpers"))

    def cc(name: str, source: str, soname: str) -> str:
        path = os.path.join(top, name)
        command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path]
        command += ["-Wl,-soname," + soname] if soname else []
        subprocess.run(command, input=source.encode(), check=True)
        return path

    padded = "const unsigned char table[65536] = {1};\n" + HELPER
    right = cc("right", padded, NAME)
    made = {
        "another-soname": cc("other", HELPER, "libother.so.2"),
        "another-major": cc("major", HELPER, "libroi_helper.so.3"),
        "no-soname": cc("none", HELPER, ""),
        "lacks-the-function": cc("lacks", "int helper_other(int v) { return v; }\n", NAME),
    }
    with open(right, "rb") as stream:
        good = stream.read()
    for name, data in (("machine", other_machine(good)), ("cut", cut_inside_a_page(good))):
        made[name] = os.path.join(top, name)
        with open(made[name], "wb") as stream:
            stream.write(data)
    return dict(dict.fromkeys([*DECOYS, "right"], right), **made)


def put(kind: str, source: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(source, path)
    os.chmod(path, 0o666 if kind == "writable" else 0o644)
    if kind == "foreign":
        os.chown(path, 12345, -1)


@pytest.mark.parametrize(("name", "source", "slot", "env"), ROWS, ids=[row[0] for row in ROWS])
def test_dependency(
    name: str, source: str, slot: str, env: dict[str, str], world: World, bare: str, hooked: str,
    shelf: dict[str, str],
) -> None:  # fmt: skip
    home = os.path.join(world.top, "home")

    def place(text: str) -> str:
        return text.replace("HOME/", home + "/").replace("TOP/", world.top + "/") if "/" in text else text

    world.write(".git/HEAD", "")
    world.write("train.py", script("libroi.so"))
    world.library("gone/" + NAME, HELPER)
    world.library("libroi.so", ROI_WITH_HELPER, needs=["gone/" + NAME])
    shutil.rmtree(world.path("gone"))
    kinds = [kind for kind in DECOYS if kind != "foreign" or os.geteuid() == 0]
    if name not in ("beside", "project"):
        kinds.remove("stubs")  # no such directory is looked into there: none is proposed
    reasons = {}
    folders = []
    for at, kind in enumerate([*kinds, "right"]):
        folder = os.path.join(world.root, place(slot.replace("#", "%02d" % at)))
        folders.append(folder)
        path = os.path.join(os.path.dirname(folder) + "/stubs" if kind == "stubs" else folder, NAME)
        put(kind, shelf[kind], path)
        when = time.time() - 10 * at
        os.utime(path, (when, when))
        reasons[path] = DECOYS.get(kind, "fits")
        if "virtualenvs" in folder or "envs/" in folder:
            top = folder.split("/lib/")[0] if "/lib/" in folder else os.path.dirname(folder)
            os.makedirs(os.path.join(top, "conda-meta"), exist_ok=True)
            with open(os.path.join(top, "pyvenv.cfg"), "w"):
                pass
    for key, value in env.items():
        world.env[key] = ":".join(folders) if value == "*" else place(value)
    broken = run_script(world, bare, os.path.join(world.top, "home-bare"))
    assert broken.status and NAME + ": cannot open shared object file" in broken.err, broken.story()
    run = run_script(world, hooked, home, DLREPAIR_BUDGET_MS="60000")
    assert (run.status, run.out) == (0, "roi_pool says 126\n"), run.story()
    assert run.events("load-repaired")[-1]["strategy"] == "preload"
    said = {line["path"]: line for line in run.events("candidate")}
    assert {path: said.get(path, {}).get("reason") for path in reasons} == reasons, run.story()
    assert said[list(reasons)[-1]]["source"] == source, run.story()
