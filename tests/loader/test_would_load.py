"""``check`` says "would load" exactly when dlopen loads, and names the same first missing thing when it does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import breakages
from trees import shared_objects

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COUNT = int(os.environ.get("DLREPAIR_GENERATED", "348"))
#: met by chance, each once in thousands: a provider without any version table, and an undefined symbol before it; or
#: nothing that is looked up in it
SEEDS = (1021, 3428)
FIRST = int(os.environ.get("DLREPAIR_GENERATED_FROM", "0"))
JOBS = 2

_SYMBOL = re.compile(r": undefined symbol: ([^,\n]+)(?:, version (.+))?$")
_VERSION = re.compile(r"version [`'](.+?)' not found \(required by (.+)\)$")


def judge(cases):
    """The judge's answers, in the cases' order; two judges work at the same time."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LD_", "DLREPAIR"))}
    env["PYTHONPATH"] = ROOT
    answers = [None] * len(cases)
    running = []
    for job in range(JOBS):
        child = subprocess.Popen(
            [sys.executable, "-s", os.path.join(HERE, "judge.py")], env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        running.append((job, child))
        child.stdin.write(json.dumps(cases[job::JOBS]).encode())
        child.stdin.close()
    for job, child in running:
        said = [json.loads(line) for line in child.stdout.read().splitlines()]
        child.stdout.close()
        assert child.wait(60) == 0
        answers[job::JOBS] = said
    return answers


def named(text, path):
    """What the loader's message calls missing or wrong: symbol, version, or the file before the first colon."""
    found = _SYMBOL.search(text) or _VERSION.search(text)
    return found.group(1) if found else text.partition(": ")[0] or path


def disagreement(case, answer):
    """What differs between dlrepair and ld.so, or None."""
    ours = answer["cause"] == "none"
    if answer.get("proved") and not answer["loads"]:
        return "doctor's proof says that it loads, dlopen: %s" % (answer["dlerror"] or answer.get("died", ""))
    if ours != answer["loads"]:
        return "dlrepair says %s, dlopen %s" % (
            answer["cause"],
            "loads" if answer["loads"] else "fails: " + (answer["dlerror"] or answer.get("died", "")),
        )
    if answer["loads"] or "died" in answer:  # a signal names nothing
        return None
    theirs = named(answer["dlerror"], case["path"])
    if answer["first"] not in (theirs, case["path"] if theirs == os.path.realpath(case["path"]) else theirs):
        same = os.path.basename(answer["first"]) == theirs and "/" in answer["first"]
        if not same:
            return "first missing: dlrepair %s (%s), ld.so %s" % (answer["first"], answer["cause"], answer["dlerror"])
    return None


def compare(cases):
    """(disagreements as lines, how many loaded)."""
    answers = judge(cases)
    wrong = []
    for case, answer in zip(cases, answers):
        said = disagreement(case, answer)
        if said is not None:
            wrong.append("%s: %s: %s" % (case.get("title", "real"), case["path"], said))
    return wrong, sum(answer["loads"] for answer in answers)


def test_generated_libraries_agree_with_dlopen(tmp_path):
    cases = []
    for seed in dict.fromkeys((*range(FIRST, FIRST + COUNT), *SEEDS)):
        root = tmp_path / str(seed)
        root.mkdir()
        cases.append(breakages.make(seed, root))
    wrong, loaded = compare(cases)
    print("%d generated libraries, %d load, %d disagreements" % (len(cases), loaded, len(wrong)))
    assert len(cases) // 5 < loaded < len(cases) * 4 // 5, "the worlds are one-sided: %d of %d load" % (
        loaded,
        len(cases),
    )
    assert not wrong, "\n".join(wrong)


def test_real_shared_objects_agree_with_dlopen():
    cases = [{"path": path} for path in shared_objects()]
    assert len(cases) > 20
    wrong, loaded = compare(cases)
    print("%d shared objects, %d load, %d disagreements" % (len(cases), loaded, len(wrong)))
    assert not wrong, "\n".join(wrong)


def test_a_dependency_is_served_by_what_needs_it(tmp_path):
    """ld.so's scope of a dependency begins with the library that was asked for: libucm.so.0 and libucs.so.0 live so."""

    def build(name, source, *needs):
        path = str(tmp_path / name)
        command = ["gcc", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-Wl,-soname," + name, "-x", "c", "-"]
        command += ["-x", "none", "-o", path, *needs]
        subprocess.run(command, input=source.encode(), check=True)
        return path

    below = build("libbelow.so", "int above(void); int below(void) { return above(); }")
    top = build("libtop.so", "int below(void); int above(void) { return 7; } int go(void) { return below(); }", below)
    wrong, loaded = compare([{"path": top}, {"path": below}])
    assert not wrong and loaded == 1, wrong
