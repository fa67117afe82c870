"""The main job on real input: one unmodified training script, its op library broken in three ways.

    make demo

Makes ``.venv`` (dlrepair and CPU TensorFlow), runs ``dlrepair install`` there, compiles the op of
``examples/project`` with the real compiler, and for each breakage shows the error without dlrepair,
the run with it, and the journal. Writes below ``.venv`` and ``.demo`` of this checkout only.
Exit status: 0 if everything went as described, 1 if not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
DEMO = os.path.join(ROOT, ".demo")
SOURCE = os.path.join(ROOT, "examples", "project")
PROJECT = os.path.join(DEMO, "project")
OBJECTS = os.path.join(DEMO, "objects")
PYTHON = os.path.join(VENV, "bin", "python")
DLREPAIR = os.path.join(VENV, "bin", "dlrepair")

sys.path.insert(0, os.path.join(ROOT, "tools"))
import envs  # noqa: E402

REPAIRED = "repaired: same output as in the working project"

RUNPATH = "-Wl,-rpath,$ORIGIN"

_FLAGS = (
    "import tensorflow as tf; print(tf.__version__);"
    "print(' '.join(tf.sysconfig.get_compile_flags())); print(' '.join(tf.sysconfig.get_link_flags()))"
)


class DemoError(Exception):
    """A step of the demo failed: what, and the output that shows why."""


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    say("\n" + text + "\n" + "=" * len(text))


def shown(path: str) -> str:
    """The path as it reads from the checkout."""
    return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path


def environment(**changes: str) -> dict[str, str]:
    """The user's environment; journal, store and settings go below ``.demo/home``."""
    env = envs.bare_env(TF_CPP_MIN_LOG_LEVEL="3")
    for place in ("state", "cache", "config"):
        env["XDG_%s_HOME" % place.upper()] = os.path.join(DEMO, "home", place)
    env.update(changes)
    return env


def run(command: list[str], cwd: str = ROOT, **changes: str) -> str:
    """What the command printed. Raises DemoError if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=environment(**changes), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DemoError("%s\n%s" % (" ".join(command), done.stdout))
    return done.stdout


def make_environment() -> None:
    """``.venv`` with TensorFlow, dlrepair from this checkout, and the hook."""
    env = envs.find_env("tf221", "demo", VENV) or envs.find_env("tf115", "demo", VENV)
    if env is None:
        raise DemoError("no CPython 3.10 to 3.13 (TensorFlow 2.21) or 3.7 (1.15) was found\nhelp: pyenv install 3.11")
    if not env.ready():
        say("Making .venv with CPython %d.%d and TensorFlow: a minute or two, once ..." % env.interpreter.minor)
    envs.make(env)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--force-reinstall", "--no-deps", "."])
    say("$ dlrepair install")
    say(run([DLREPAIR, "install"]).rstrip())


def build() -> list[str]:
    """Builds the project in ``.demo/project``, and an object of its op for the other C++ ABI; flags to link an op."""
    version, compile_text, link_text = run([PYTHON, "-c", _FLAGS], DLREPAIR="off").splitlines()[-3:]
    flags, link = compile_text.split(), link_text.split()
    if not any("-std=" in flag for flag in flags):
        flags.append("-std=c++11")
    abi = next(flag for flag in flags if flag.startswith("-D_GLIBCXX_USE_CXX11_ABI="))
    other = abi[:-1] + ("0" if abi.endswith("1") else "1")
    shutil.copytree(SOURCE, PROJECT)
    os.makedirs(OBJECTS)
    run(["git", "init", "--quiet", PROJECT])  # a project of its own, as a user's would be
    ops = os.path.join(PROJECT, "ops")
    say("Compiling roi_pool.cc against TensorFlow %s, once as it should be and once with %s ..." % (version, other[2:]))
    start = time.monotonic()
    helper = ["g++", "-shared", "-fPIC", "-O1", "roi_helper.cc", "-o", "libroi_helper.so"]
    run([*helper, "-Wl,-soname,libroi_helper.so"], ops)
    jobs = []
    for name, wanted in (("good.o", flags), ("abi.o", [other if flag == abi else flag for flag in flags])):
        command = ["g++", "-c", "-fPIC", "-O1", "-w", *wanted, "roi_pool.cc", "-o", os.path.join(OBJECTS, name)]
        jobs.append(subprocess.Popen(command, cwd=ops, stdin=subprocess.DEVNULL))
    statuses = [job.wait() for job in jobs]
    if any(statuses):
        raise DemoError("g++ could not compile examples/project/ops (its words are above)")
    link_op("good.o", link)
    say("  done in %.0f s" % (time.monotonic() - start))
    return link


def link_op(name: str, link: list[str]) -> None:
    """Links ops/roi_pool.so of the project from one of the two objects."""
    command = ["g++", "-shared", "-o", "roi_pool.so", os.path.join(OBJECTS, name), *link]
    run([*command, "-L.", "-lroi_helper", RUNPATH], os.path.join(PROJECT, "ops"))


def move(name: str, to: str) -> None:
    """Moves a file of the project, and says so."""
    target = os.path.join(PROJECT, to)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(os.path.join(PROJECT, name), target)
    say("$ mv %s %s" % (name, to))


def train(**changes: str) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of the unmodified training script."""
    env = environment(**changes)
    done = subprocess.run([PYTHON, "train.py"], cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def indent(text: str) -> str:
    return "\n".join("    " + line for line in text.rstrip().splitlines())


def show(expected: str) -> str:
    """Runs the script in the broken project without dlrepair and with it; what came of it, in words."""
    status, out, err = train(DLREPAIR="off")
    say("\n$ DLREPAIR=off python train.py          # as if dlrepair were not there")
    say(indent(err.strip().splitlines()[-1] if err.strip() else out))
    say("    [exit status %d]" % status)
    if status == 0:
        raise DemoError("the broken world works without dlrepair: nothing was shown")
    status, out, err = train()
    say("\n$ python train.py")
    words = err.splitlines()
    said = next((number for number, line in enumerate(words) if line.startswith("dlrepair[")), None)
    told = words[said:] if said is not None else words[-1:]
    if status:  # the traceback between our words and the exception is of no interest here
        told = [line for line in told if not line.startswith(("Traceback", "  File", "    "))]
    say(indent("\n".join([*told, *out.splitlines()])))
    say("    [exit status %d]" % status)
    if status == 0:
        return REPAIRED if out == expected else "WRONG RESULT"
    if told and told[0].startswith("dlrepair["):
        return "diagnosed as %s, not repaired" % told[0][len("dlrepair[") :].split("]")[0]
    return "NOT REPAIRED"


def main() -> int:
    missing = envs.find_missing(["git", "make", "g++"])
    if missing:
        sys.stderr.write("".join("demo: %s\n" % line for line in missing))
        return 1
    shutil.rmtree(DEMO, ignore_errors=True)
    os.makedirs(os.path.join(DEMO, "home"))
    heading("dlrepair: one training script, three broken libraries")
    make_environment()
    link = build()
    status, expected, err = train()
    if status:
        raise DemoError("train.py fails in the working project\n" + err)
    say("\n$ python train.py                       # nothing is broken: dlrepair says nothing")
    say(indent(err + expected))

    heading("1. The library was moved to another directory")
    move("ops/roi_pool.so", "build/roi_pool.so")
    moved = show(expected)
    say()
    move("build/roi_pool.so", "ops/roi_pool.so")
    heading("2. A library that it needs is not where the loader looks")
    move("ops/libroi_helper.so", "third_party/lib/libroi_helper.so")
    dependency = show(expected)
    say()
    move("third_party/lib/libroi_helper.so", "ops/libroi_helper.so")
    heading("3. It was compiled with the other C++ ABI")
    say("$ g++ -shared -o ops/roi_pool.so ...    # from the object with the other ABI")
    link_op("abi.o", link)
    abi = show(expected)
    link_op("good.o", link)

    heading("The journal")
    say("$ dlrepair log")
    say(indent(run([DLREPAIR, "log"])))
    heading("Result")
    say("1. moved:              " + moved)
    say("2. missing dependency: " + dependency)
    say("3. other C++ ABI:      " + abi)
    say("\nThe project is in %s, whole again: break it in another way and run train.py with" % shown(PROJECT))
    say("%s, or try %s check %s." % (shown(PYTHON), shown(DLREPAIR), shown(PROJECT)))
    return 0 if moved == dependency == abi == REPAIRED else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DemoError, envs.EnvError) as error:
        sys.stderr.write("demo: %s\n" % error)
        sys.exit(1)
