"""Threads that nothing is lost with: idle workers of a BLAS or OpenMP pool, proved one by one.

``import numpy`` starts OpenBLAS's pool, one thread fewer than there are processors: nearly every program of this field
has it before its first load fails. execve(2) ends such threads, and the next import starts them anew. What is proved
of a thread, from proc(5) and this process's own memory: the kernel has it asleep on a futex, it has never written a
byte, and every pointer to code on its stack, from where it sleeps to the function that it was started with,
leads into the pool's library or the C library. A thread that has run code of anybody else shows it, and counts.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

#: libraries whose worker threads run what they are handed, and wait: beginnings of file names
_POOLS = ("libopenblas", "libscipy_openblas", "libgomp", "libomp.", "libiomp5", "libmkl_")
_SYSTEM = ("libc.so", "libc-", "libpthread", "ld-linux", "ld-2", "[vdso]")
_FUTEX = 202  # x86-64; the layout of the thread's control block is looked up for no other processor
#: longest wait for workers that still spin before they sleep (OpenBLAS: 2**26 cycles, libgomp: some milliseconds)
PATIENCE = 0.3
_MOST = 1 << 18  # bytes between a sleeping worker's stack pointer and its control block, static TLS included
_BLOCK = 0x900  # bytes of glibc's struct pthread, start_routine included
_THREADS = 512


def find_owner(threads: Iterable[int]) -> str:
    """The pool libraries that all of these threads are idle workers of, for a person; "" where one is not proved."""
    if os.uname().machine != "x86_64":
        return ""
    threads = list(threads)
    until = time.monotonic() + PATIENCE
    try:
        code = _code()
        if len(threads) > _THREADS or not any(_is_pool(name) for _, _, name in code):
            return ""
        owners = set()
        for thread in threads:
            owner = _owner(thread, code, until)
            if not owner:
                return ""
            owners.add(owner)
        return ", ".join(sorted(owners))
    except (OSError, ValueError, IndexError):
        return ""


def _is_pool(name: str) -> bool:
    return name.startswith(_POOLS)


def _code() -> list[tuple[int, int, str]]:
    """(first address, address behind the last, file name) of all executable memory (proc(5), ``maps``)."""
    found = []
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            fields = line.split(None, 5)
            if b"x" in fields[1]:
                first, last = (int(part, 16) for part in fields[0].split(b"-"))
                path = os.fsdecode(fields[5].strip()) if len(fields) > 5 else ""
                found.append((first, last, path.rpartition("/")[2]))
    return found


def _owner(thread: int, code: list[tuple[int, int, str]], until: float) -> str:
    """The pool library that started a thread which sleeps, or ""."""
    base = "/proc/self/task/{}/".format(thread)
    with open(base + "io", "rb") as file:
        if b"\nwchar: 0\n" not in file.read():
            return ""
    while True:
        with open(base + "syscall", "rb") as file:
            words = file.read().split()
        if words[0] == b"%d" % _FUTEX:
            break
        if words[0] not in (b"running", b"24") or time.monotonic() > until:  # 24: sched_yield
            return ""
        time.sleep(0.005)
    stack, block = _stack(int(words[-2], 16))
    owners = set()
    for at, word in enumerate(stack):
        for first, last, name in code:
            if first <= word < last:
                if _is_pool(name):
                    owners.add((name, at >= block))
                elif not name.startswith(_SYSTEM):
                    return ""
    started = {name for name, inside in owners if inside}  # start_routine stands in the control block
    return started.pop() if len(started) == 1 and all(name in started or inside for name, inside in owners) else ""


def _stack(pointer: int) -> tuple[list[int], int]:
    """The words from the stack pointer to the end of the thread's control block, and where the latter begins.

    It holds its own address twice (glibc, nptl/descr.h: ``header.tcb``, ``header.self``). Raises ValueError where
    there is none, as with another C library.
    """
    descriptor = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while len(data) < _MOST:
            try:
                part = os.pread(descriptor, min(4096 - (pointer + len(data)) % 4096, 4096), pointer + len(data))
            except OSError:
                break
            data += part
    finally:
        os.close(descriptor)
    words = list(memoryview(data[: len(data) & ~7]).cast("Q"))
    for at in range(len(words) - 2):
        if words[at] == pointer + 8 * at and words[at + 2] == words[at]:
            return words[: at + _BLOCK // 8], at
    raise ValueError("no control block")
