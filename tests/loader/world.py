"""Small worlds of shared objects, made with the real assembler and linker, and the real ld.so asked about them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

HOST = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (!dlopen(argv[i], RTLD_NOW)) { printf("error %s\n", dlerror()); fflush(stdout); return 1; }
    for (struct link_map *m = _r_debug.r_map; m; m = m->l_next) printf("map %s\n", m->l_name);
    return 0;
}
"""

#: what ld calls the 32-bit format beside this machine's own (ld -V)
EMULATION_32 = {"x86_64": "elf_i386", "aarch64": "armelf_linux_eabi"}


def run(command, **options):
    """The finished child; a failure of the tool itself is an error of the test."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done.stdout.decode()


def compiler():
    found = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    assert found, "a C compiler is needed: install gcc"
    return found


class World:
    """A directory in which libraries are linked; names in DT_NEEDED are free to be anything."""

    def __init__(self, root):
        self.root = str(root)
        self.cwd = self.root
        self.library_path = ""
        self.preload = ""  #: LD_PRELOAD; ``@`` stands for the world's directory
        self.variables = {}  #: more of the environment
        self.secure = False  #: started with AT_SECURE: only root can do that
        self.target = "main.so"  #: what is given to dlopen
        self.before = ()  #: what is loaded before it
        self.host_rpath = None
        self._object = os.path.join(self.root, ".made", "one.o")
        self._made = 0
        os.makedirs(os.path.dirname(self._object))
        run(["as", "-o", self._object, "-"], input=b".globl here\n.data\nhere: .long 1\n")

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def _stub(self, name):
        self._made += 1
        path = self.path(".made", "stub%d.so" % self._made)
        run(["ld", "-shared", "-soname", name, "-o", path, self._object])
        return path

    def lib(self, where, needs=(), soname=None, rpath=None, runpath=None, flags=()):
        """Link a shared object; RPATH and RUNPATH as given, ``@`` standing for the world's directory."""
        path = self.path(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        command = ["ld", "-shared", "--no-as-needed", "-o", path, self._object]
        if soname:
            command += ["-soname", soname]
        for tag, value in (("--disable-new-dtags", rpath), ("--enable-new-dtags", runpath)):
            if value is not None:
                command += [tag, "-rpath", value.replace("@", self.root)]
        command += list(flags) + [self._stub(need.replace("@", self.root)) for need in needs]
        run(command)
        return path

    def lib32(self, where):
        """A 32-bit shared object of the other class, from raw bytes."""
        path = self.path(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        run(["ld", "-m", EMULATION_32[os.uname().machine], "-shared", "-b", "binary", "-o", path, self._object])
        return path

    def patch(self, where, offset, data):
        """Overwrite bytes of a file."""
        with open(self.path(where), "r+b") as file:
            file.seek(offset)
            file.write(data)

    def write(self, where, data):
        path = self.path(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def link(self, where, target):
        path = self.path(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)

    def host(self):
        """A program that loads what it is given and prints its link map."""
        path = self.path(".made", "host")
        source = path + ".c"
        with open(source, "w") as file:
            file.write(HOST)
        command = [compiler(), "-O0", "-o", path, source, "-ldl"]
        if self.host_rpath is not None:
            kind, value = self.host_rpath
            tag = "--disable-new-dtags" if kind == "rpath" else "--enable-new-dtags"
            command += ["-Wl,%s,-rpath,%s" % (tag, value.replace("@", self.root))]
        run(command)
        return path

    @property
    def target_path(self):
        return self.target if "/" in self.target else self.path(self.target)

    def environment(self):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LD_", "DLREPAIR"))}
        if self.library_path:
            env["LD_LIBRARY_PATH"] = self.library_path.replace("@", self.root)
        if self.preload:
            env["LD_PRELOAD"] = self.preload.replace("@", self.root)
        env.update({key: value.replace("@", self.root) for key, value in self.variables.items()})
        return env

    def start(self):
        """Before the program is run: another real than effective user makes the kernel set AT_SECURE (getauxval(3))."""
        if self.secure:
            os.setresuid(65534, 0, 0)

    def view(self, host):
        """The process as dlrepair reconstructs it."""
        from dlrepair.binary.scope import fresh_process

        places = (self.library_path.replace("@", self.root), self.path(self.cwd), self.preload.replace("@", self.root))
        return fresh_process(host, *places, secure=self.secure)

    def ask_dlopen(self, host):
        """(link map names or None, dlerror text) of the real loader; a crash is an error text of its own."""
        done = subprocess.run(
            [host] + [self.path(p) for p in self.before] + [self.target_path],
            cwd=self.path(self.cwd), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
            preexec_fn=self.start,
        )  # fmt: skip
        lines = os.fsdecode(done.stdout).splitlines()
        errors = [line[6:] for line in lines if line.startswith("error ")]
        if done.returncode < 0:
            return None, "killed by signal %d" % -done.returncode
        if errors:
            return None, errors[0]
        if done.returncode == 127:  # ld.so's own assertions end the process so
            return None, "exited with 127: %s" % os.fsdecode(done.stderr)
        assert done.returncode == 0, done.stderr
        return [line[4:] for line in lines if line.startswith("map ")], ""

    def ask_debug(self, host):
        """``trying file=`` lines of LD_DEBUG=libs for the names searched by the last dlopen."""
        env = dict(self.environment(), LD_DEBUG="libs")
        done = subprocess.run(
            [host] + [self.path(p) for p in self.before] + [self.target_path],
            cwd=self.path(self.cwd), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
            preexec_fn=self.start,
        )  # fmt: skip
        tried, name = {}, ""
        for line in os.fsdecode(done.stderr).splitlines():
            words = line.partition(":\t")[2].strip()
            if words.startswith("find library="):
                name = words[len("find library=") :].split(" [", 1)[0]
                tried[name] = []
            elif words.startswith("trying file=") and name:
                tried[name].append(words[len("trying file=") :])
        return tried


def trace_bare(path, env):
    """{name: path or None} of ``LD_TRACE_LOADED_OBJECTS`` for a library run by ld.so itself; None when ld.so dies."""
    loader = interpreter()
    done = subprocess.run(
        [loader, path], env=dict(env, LD_TRACE_LOADED_OBJECTS="1", LD_WARN=""), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    found = {}
    for line in os.fsdecode(done.stdout).splitlines():
        words = line.strip()
        if " => " in words:
            name, where = words.split(" => ", 1)
            found[name] = None if where.startswith("not found") else where.rsplit(" (0x", 1)[0]
        elif words.startswith("/"):
            found[words.rsplit(" (0x", 1)[0]] = words.rsplit(" (0x", 1)[0]
    return found if done.returncode == 0 else None, os.fsdecode(done.stderr)


def interpreter():
    """The PT_INTERP of the running Python, by readelf: not by the code under test."""
    said = run(["readelf", "-lW", os.path.realpath(sys.executable)])
    return said.split("Requesting program interpreter: ", 1)[1].split("]", 1)[0]
