"""The example op, compiled once a TensorFlow with the real compiler; broken worlds are linked from that object.

Compiling takes five to twelve seconds, linking half a second. The object is kept in ``.cache/ops``,
keyed by the sources, the flags, the compiler and the TensorFlow build.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from typing import Sequence

from interpreters import bare_env
from lab import World

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = os.path.join(ROOT, "examples", "project", "ops")

sys.path.insert(0, os.path.join(ROOT, "tools"))
import envs  # noqa: E402

_ASK = (
    "import tensorflow as tf; print(tf.__version__); print(getattr(tf, '__git_version__', tf.version.GIT_VERSION));"
    "print(' '.join(tf.sysconfig.get_compile_flags())); print(' '.join(tf.sysconfig.get_link_flags()))"
)

HELPER = os.path.join(SOURCES, "roi_helper.cc")

#: A helper that only forwards: the work is done in another library, one level deeper.
FORWARDING_HELPER = """
extern float roi_base(const float *, int, int, const int *);
float roi_maximum(const float *f, int rows, int columns, const int *roi) { return roi_base(f, rows, columns, roi); }
int roi_calls(void) { return 0; }
"""


class OpKit:
    """Compiler and flags for the TensorFlow of one environment."""

    def __init__(self, env: envs.Env) -> None:
        self.name = env.name
        self.python = envs.make(env)
        done = subprocess.run(
            [self.python, "-c", _ASK], env=bare_env(TF_CPP_MIN_LOG_LEVEL="3"), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        self.version, self.build, compile_flags, link_flags = done.stdout.splitlines()[-4:]
        self.compile_flags, self.link_flags = compile_flags.split(), link_flags.split()
        if not any(flag.startswith(("--std", "-std")) for flag in self.compile_flags):
            # the interface of what was built as C++11 has absl::string_view; that of 2.10 has std::string_view
            newer = tuple(map(int, self.version.split(".")[:2])) >= (2, 10)
            self.compile_flags.append("-std=c++17" if newer else "-std=c++11")

    @property
    def legacy(self) -> bool:
        """Whether this is a TensorFlow 1.x."""
        return self.version.startswith("1.")

    def compiled(self) -> str:
        """Path of the op's object file."""
        compiler = subprocess.run(["g++", "--version"], check=True, stdout=subprocess.PIPE).stdout
        key = hashlib.sha256(compiler + repr((self.version, self.build, self.compile_flags)).encode())
        for name in ("roi_pool.cc", "roi_helper.h"):
            with open(os.path.join(SOURCES, name), "rb") as handle:
                key.update(handle.read())
        cache = os.path.join(ROOT, ".cache", "ops")
        output = os.path.join(cache, "roi_pool-%s.o" % key.hexdigest()[:24])
        os.makedirs(cache, exist_ok=True)
        with open(output + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(output):
                source = os.path.join(SOURCES, "roi_pool.cc")
                gcc(["-c", "-fPIC", "-O1", "-w", *self.compile_flags, source, "-o", output + ".new"])
                os.replace(output + ".new", output)
        return output


class TfWorld(World):
    """A project with the example op, for one TensorFlow."""

    def __init__(self, top: str, kit: OpKit) -> None:
        super().__init__(top)
        self.kit = kit
        self.env["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self.patience = 120.0

    def op(self, name: str = "ops/roi_pool.so", needs: Sequence[str] = (), *, framework: bool = True,
           own_helper: bool = False, runpath: str = "$ORIGIN") -> None:
        """Links the op library; with ``own_helper`` the helper's code is part of it."""  # fmt: skip
        output = self.path(name)
        os.makedirs(os.path.dirname(output), exist_ok=True)
        command = ["-shared", "-fPIC", "-o", output, self.kit.compiled()]
        command += [HELPER] if own_helper else []
        command += [self.path(one) for one in needs]
        command += self.kit.link_flags if framework else []
        gcc([*command, "-Wl,-soname," + os.path.basename(name), "-Wl,--enable-new-dtags,-rpath," + runpath])

    def helper(self, name: str = "ops/libroi_helper.so") -> None:
        output = self.path(name)
        os.makedirs(os.path.dirname(output), exist_ok=True)
        gcc(["-shared", "-fPIC", "-O1", HELPER, "-o", output, "-Wl,-soname," + os.path.basename(name)])


def gcc(arguments: Sequence[str]) -> None:
    done = subprocess.run(["g++", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "g++ %s\n%s" % (" ".join(arguments), done.stdout[-4000:])


def find_kits() -> list[OpKit]:
    """One kit a TensorFlow that this machine's interpreters allow, newest first (envs.py fails in CI without 1.15)."""
    return [OpKit(env) for env in chosen_envs()]


def chosen_envs() -> list[envs.Env]:
    """Environments of the tests with TensorFlow: those of every run, or those that ``TF_ENVS`` names."""
    return envs.select(os.environ.get("TF_ENVS", "tf").split())
