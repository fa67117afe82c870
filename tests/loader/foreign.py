"""Libraries for other processors and systems, compiled on the spot by the cross compiler of the ``ziglang`` wheel."""

from __future__ import annotations

import os
import subprocess
import sys

#: name -> (zig's target, file name, further flags, cause for this machine's glibc)
TARGETS = {
    "aarch64": ("aarch64-linux-gnu", "libroi.so", [], "wrong-arch"),
    "armhf": ("arm-linux-gnueabihf", "libroi.so", [], "wrong-arch"),
    "i386": ("x86-linux-gnu", "libroi.so", [], "wrong-arch"),
    "riscv64": ("riscv64-linux-gnu", "libroi.so", [], "wrong-arch"),
    "s390x": ("s390x-linux-gnu", "libroi.so", [], "wrong-arch"),
    "x86-64": ("x86_64-linux-gnu", "libroi.so", [], "wrong-arch"),
    "musl": ("%s-linux-musl", "libroi.so", [], "wrong-os"),
    "macos-x86-64": ("x86_64-macos", "libroi.dylib", ["-Wl,-undefined,dynamic_lookup"], "wrong-os"),
    "macos-arm64": ("aarch64-macos", "libroi.dylib", ["-Wl,-undefined,dynamic_lookup"], "wrong-os"),
    "windows-x86-64": ("x86_64-windows-gnu", "roi.dll", ["-Wl,--entry=roi_pool"], "wrong-os"),
    "windows-arm64": ("aarch64-windows-gnu", "roi.dll", ["-Wl,--entry=roi_pool"], "wrong-os"),
}
CPU = os.uname().machine
SOURCE = "int roi_pool(int x) { return x + 1; }\n"


class Zig:
    """The compiler, its caches and what it made, all below one directory."""

    def __init__(self, root):
        self.root = str(root)
        cache = os.path.join(self.root, "cache")
        self.env = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=cache, ZIG_LOCAL_CACHE_DIR=cache)
        self.source = os.path.join(self.root, "roi.c")
        with open(self.source, "w") as file:
            file.write(SOURCE)

    def cc(self, target, output, *flags):
        """A shared library; without any run-time library of the target's, which zig would compile for minutes."""
        os.makedirs(os.path.dirname(output), exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-fno-sanitize=undefined", "-nostdlib"]
        command += ["-shared", "-o", output, self.source, *flags]
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        assert done.returncode == 0, (command, done.stdout.decode())
        return output

    def library(self, name):
        """A library of ``TARGETS[name]``; a musl one needs musl's libc under Alpine's name."""
        target, file, flags, _cause = TARGETS[name]
        where = os.path.join(self.root, name)
        flags = list(flags)
        if name == "musl":
            target = target % CPU
            soname = "libc.musl-%s.so.1" % CPU
            self.cc(target, os.path.join(where, "libc", soname), "-Wl,-soname," + soname)
            flags += ["-Wl,--no-as-needed", os.path.join(where, "libc", soname)]
        if file.endswith(".so"):
            flags.append("-Wl,-soname," + file)
        return self.cc(target, os.path.join(where, file), *flags)
