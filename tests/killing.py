"""kill -9 at a chosen step: a preloaded library that counts what a process does to files below one directory.

Each call that changes a file there is a step: making, opening for writing, writing, renaming, removing, flushing.
At the step asked for, the process kills itself with SIGKILL, before the call or, in a ``write``, with half of it done.
The last step is kept in a shared file, so that it is known also of a process that was killed from outside.
"""

from __future__ import annotations

import os
import re
import subprocess

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct { int steps; char what[4000]; } *mark;
static const char *below;
static int at, half;

__attribute__((constructor)) static void start(void) {
    const char *file = getenv("KILL_MARK"), *off = getenv("DLREPAIR");
    below = getenv("KILL_BELOW");
    if (!file || !below || (off && !strcmp(off, "off"))) return;
    int fd = open(file, O_RDWR);
    if (fd < 0) return;
    void *map = mmap(0, sizeof *mark, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    at = getenv("KILL_AT") ? atoi(getenv("KILL_AT")) : 0;
    half = getenv("KILL_HALF") != 0;
    if (map != MAP_FAILED) mark = map;
}

static int step(const char *call, const char *path) {
    if (!mark || !path || strncmp(path, below, strlen(below))) return 0;
    int now = __sync_add_and_fetch(&mark->steps, 1);
    snprintf(mark->what, sizeof mark->what, "%s %s", call, path + strlen(below));
    if (now != at) return 0;
    if (half && strstr(call, "write")) return 1;
    kill(getpid(), SIGKILL);
    return 0;
}

static int step_fd(const char *call, int fd) {
    char link[64], path[4000];
    if (!mark) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return step(call, path);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0; va_end(more); \
    REAL(name); if (flags & (O_CREAT | O_TRUNC)) step("create", path); return real(path, flags, mode); }
OPEN(open)
OPEN(open64)
ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (step_fd("write", fd)) { real(fd, data, size / 2); kill(getpid(), SIGKILL); }
    return real(fd, data, size);
}
#define PWRITE(name, type) ssize_t name(int fd, const void *data, size_t size, type offset) { \
    REAL(name); if (step_fd("write", fd)) { real(fd, data, size / 2, offset); kill(getpid(), SIGKILL); } \
    return real(fd, data, size, offset); }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
int rename(const char *from, const char *to) { REAL(rename); step("rename", to); return real(from, to); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); step("mkdir", path); return real(path, mode); }
int unlink(const char *path) { REAL(unlink); step("unlink", path); return real(path); }
int rmdir(const char *path) { REAL(rmdir); step("rmdir", path); return real(path); }
int symlink(const char *to, const char *path) { REAL(symlink); step("symlink", path); return real(to, path); }
int fsync(int fd) { REAL(fsync); step_fd("fsync", fd); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); step_fd("fsync", fd); return real(fd); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); step_fd("truncate", fd); return real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); step_fd("truncate", fd); return real(fd, size); }
"""

#: what a step's path belongs to
STAGES = (
    ("indexing", r"^(write|create|truncate|fsync|unlink|rename|mkdir) cache/dlrepair/index\b"),
    ("extraction", r" cache/dlrepair/extracted\b"),
    ("remembering", r" cache/dlrepair/remembered\b"),
    ("links", r" cache/dlrepair/links\b"),
    ("objects", r" cache/dlrepair/objects\b"),
    ("journal", r" state\b"),
    ("store", r" cache\b"),
)


def build(directory: str) -> str:
    """Path of the library to be preloaded."""
    output = os.path.join(directory, "libkillshim.so")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", output, "-ldl"]
    subprocess.run(command, input=SHIM.encode(), check=True)
    return output


class Mark:
    """The shared file of one process: how many steps it took, and the last of them."""

    def __init__(self, directory: str, shim: str, below: str) -> None:
        self.path = os.path.join(directory, "mark")
        self.env = {"LD_PRELOAD": shim, "KILL_MARK": self.path, "KILL_BELOW": below.rstrip("/") + "/"}
        self.reset()

    def reset(self) -> None:
        with open(self.path, "wb") as stream:
            stream.write(b"\0" * 4096)

    def read(self) -> tuple[int, str]:
        """(steps taken, the last one: the call and the path below the directory)."""
        with open(self.path, "rb") as stream:
            data = stream.read()
        return int.from_bytes(data[:4], "little"), data[4:].split(b"\0")[0].decode("utf-8", "replace")

    def stage(self) -> str:
        """What the process was at when it took its last step; ``before`` where it had taken none."""
        steps, what = self.read()
        for name, pattern in STAGES:
            if steps and re.search(pattern, what):
                return name
        return what if steps else "before"
