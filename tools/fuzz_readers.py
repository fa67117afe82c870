"""Feeds damaged files to every reader of files and messages: nothing may come out but facts and errors of ours.

    python tools/fuzz_readers.py --inputs 1000000 --output docs/reference/fuzzing.md
    python tools/fuzz_readers.py --reader elf --seed 7 --first 4711 --inputs 1      one input again

Inputs are made from real files (system libraries, this interpreter's extensions, Mach-O and PE headers, ld.so.cache,
loaders' messages) by a seeded generator that knows the formats: header fields, program headers, dynamic entries,
hash tables, string offsets and sizes. Where ``atheris`` is installed and ``--engine`` does not say ``structured``,
one part in ten of the inputs comes from it, guided by coverage of dlrepair's own code.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARES = {"elf": 45, "macho": 20, "pe": 15, "ldcache": 10, "dlerror": 10}
SLOWEST = 5.0  #: seconds of processor time for one input: on a busy machine a clock goes on while nothing runs
MEMORY = 1 << 30  #: address space of a fuzzing process, in bytes
SEED_BYTES = 1 << 17
NUMBERS = (0, 1, 2, 3, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)


# -- what is fed


def elf_seeds() -> list[bytes]:
    """Small real shared objects, and the beginnings of large ones."""
    import sysconfig

    places = [os.path.join(sysconfig.get_path("stdlib"), "lib-dynload"), "/usr/lib/x86_64-linux-gnu", "/usr/lib"]
    found = []
    for place in places:
        names = sorted(n for n in os.listdir(place) if ".so" in n) if os.path.isdir(place) else []
        paths = [os.path.join(place, name) for name in names]
        paths = [path for path in paths if os.path.isfile(path) and os.path.getsize(path) < SEED_BYTES]
        for path in paths[:: max(1, len(paths) // 12)]:
            with open(path, "rb") as file:
                data = file.read()
            if data[:4] == b"\x7fELF":
                found.append(data)
    assert found, "no shared object was found to start from"
    return found + [swapped(data) for data in found[:2]]


def swapped(data: bytes) -> bytes:
    """A file that claims the other byte order."""
    return data[:5] + (b"\x02" if data[5] == 1 else b"\x01") + data[6:]


def macho_seeds() -> list[bytes]:
    sys.path.insert(0, os.path.join(ROOT, "tests", "unit"))
    from machines import macho, universal

    thin = macho(needed=["/usr/lib/libSystem.B.dylib", "@rpath/liba.dylib"], rpaths=["@loader_path", "/opt/lib"])
    return [thin, macho(cpu="arm64"), universal([("x86_64", thin), ("arm64", macho(cpu="arm64"))])]


def pe_seeds() -> list[bytes]:
    head = b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64)
    found = []
    for machine, magic in ((0x8664, 0x20B), (0xAA64, 0x20B), (0x14C, 0x10B)):
        coff = struct.pack("<HHIIIHH", machine, 2, 0, 0, 0, 240, 0x2022)
        found.append(head + b"PE\0\0" + coff + struct.pack("<H", magic) + bytes(300))
    others = [b"!<arch>\n" + bytes(80), b"PK\3\4" + bytes(60), b"#!/bin/sh\n", b"<html>\n", b"GROUP ( libc.so.6 )\n"]
    return found + others


def ldcache_seeds() -> list[bytes]:
    try:
        with open("/etc/ld.so.cache", "rb") as file:
            return [file.read()]
    except OSError:
        name = b"libc.so.6\0/lib/libc.so.6\0"
        head = b"glibc-ld.so.cache1.1" + struct.pack("<II", 1, len(name)) + bytes(20)
        return [head + struct.pack("<iIIIQ", 3, 72, 82, 0, 0) + name]


def dlerror_seeds() -> list[bytes]:
    found = []
    for name in ("load_failures.jsonl", "messages.jsonl"):
        with open(os.path.join(ROOT, "tests", "data", name), encoding="utf-8") as file:
            for line in file:
                found.append(json.loads(line)["message"][:4000].encode("utf-8", "replace"))
    return found


SEEDS = {"elf": elf_seeds, "macho": macho_seeds, "pe": pe_seeds, "ldcache": ldcache_seeds, "dlerror": dlerror_seeds}


# -- how it is damaged


def fields(data: bytes) -> list[tuple[int, int]]:
    """(offset, size) of the fields that readers follow in an ELF file: headers, dynamic entries, tables."""
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[4] != 2:
        return []
    found = [(16, 2), (18, 2), (20, 4), (32, 8), (54, 2), (56, 2)]
    phoff, phnum = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    for number in range(min(phnum, 40)):
        at = phoff + 56 * number
        if at + 56 > len(data):
            break
        found += [(at, 4)] + [(at + offset, 8) for offset in (8, 16, 32, 40)]
        kind, _flags, offset, _vaddr, _paddr, size = struct.unpack_from("<IIQQQQ", data, at)
        if kind == 2:
            found += dynamic_fields(data, offset, size)
    return found


def dynamic_fields(data: bytes, offset: int, size: int) -> list[tuple[int, int]]:
    found = []
    for at in range(offset, min(offset + size, len(data) - 16), 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        found += [(at, 8), (at + 8, 8)]
        if tag in (4, 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFC, 6, 0x6FFFFFF0) and value + 64 < len(data):
            found += [(value + step, 4) for step in range(0, 64, 4)] * 2  # addresses equal offsets at a file's start
        if tag == 0:
            break
    return found


def damage(data: bytes, rng: random.Random, known: list[tuple[int, int]]) -> bytes:
    """One input: one to six changes, most of them in fields that a reader believes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if len(out) < 16:
            break
        kind = rng.randrange(10)
        if known and kind < 5:
            at, size = known[rng.randrange(len(known))]
            if at + size <= len(out):
                old = int.from_bytes(out[at : at + size], "little")
                new = rng.choice((*NUMBERS, len(out), len(out) - 1, old + 1, old - 1, old * 2, rng.getrandbits(64)))
                out[at : at + size] = (new & (1 << 8 * size) - 1).to_bytes(size, "little")
        elif kind < 6:
            del out[rng.randrange(len(out)) :]
        elif kind < 8:
            at, size = rng.randrange(len(out)), rng.choice((1, 2, 4, 8))
            new = rng.choice((*NUMBERS, rng.getrandbits(64))).to_bytes(9, rng.choice(("little", "big")))
            out[at : at + size] = new[:size]
        elif kind < 9:
            at, source, size = rng.randrange(len(out)), rng.randrange(len(out)), rng.choice((4, 16, 256))
            out[at : at + size] = out[source : source + size]
        else:
            at = rng.randrange(len(out))
            out[at : at + 32] = rng.getrandbits(256).to_bytes(32, "little")
    return bytes(out)


PASTED = (b"\n", b"`", b"'", b": ", b"\xe2\x80\x98", b"&quot;", b"\x1b[31m", b"\0")
REPEATED = (b"(", b"version `", b"undefined symbol: ", b"_ZN", b"/" * 50)


def damage_text(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A message cut, repeated, joined with another or sprinkled with what pasting does to one."""
    out = data
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            out = out[:at]
        elif kind == 1:
            out = out[:at] + rng.choice(PASTED) + out[at:]
        elif kind == 2:
            out = out[:at] + rng.choice(others)[: rng.randrange(400)]
        elif kind == 3:
            out = out[at : at + 200] * rng.choice((2, 40)) + out
        elif kind == 4:
            out = out.replace(b" ", rng.choice((b"\n", b"  ", b"\t", b"\xc2\xa0")))
        elif kind == 5:
            out = out[:at] + bytes(rng.getrandbits(8) for _ in range(8)) + out[at:]
        else:
            out = out + rng.choice(REPEATED) * rng.choice((1, 100, 2000))
    return out[:60000]


# -- who reads it


class Readers:
    """Every reader, called as the package calls it; files are written below a directory in memory if there is one."""

    def __init__(self) -> None:
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.TemporaryDirectory(dir=place)
        self.path = os.path.join(self.directory.name, "libvictim.so")
        self.call = {"elf": self.elf, "macho": self.file, "pe": self.file}
        self.call.update(ldcache=self.ldcache, dlerror=self.dlerror)

    def write(self, data: bytes) -> None:
        with open(self.path, "wb") as file:
            file.write(data)

    def elf(self, data: bytes) -> None:
        from dlrepair.binary import elf, tables
        from dlrepair.binary.relocations import referenced_symbols

        self.write(data)
        elf._cache.clear()
        facts = elf.read_facts(self.path)
        if facts.elf is not None:
            elf.fits_here(facts.elf)
        try:
            opened = elf.open_elf(self.path)
        except elf.ElfError:
            return
        with opened as file:
            for row in file.undefined()[:8]:
                file.defines(row[0], row[1])
            for name in ("PyInit__json", "printf"):
                file.defines(name, "GLIBC_2.2.5")
            for count, _name in enumerate(file.exported()):
                if count > 200:
                    break
            file.strings_contain({"printf"})
            referenced_symbols(file.image)
        tables.read_wanted(self.path)
        tables.read_offers(self.path)

    def file(self, data: bytes) -> None:
        from dlrepair.binary import elf
        from dlrepair.binary.macho import read_macho

        self.write(data)
        elf._cache.clear()
        facts = elf.read_facts(self.path)
        assert facts.kind and facts.detail
        read_macho(self.path)

    def ldcache(self, data: bytes) -> None:
        from dlrepair.binary.ldcache import LdCache

        cache = LdCache(data)
        for name in ("libc.so.6", "libm.so.6", "nothing"):
            cache.lookup(name, ("x86-64-v3", "x86-64-v2"))

    def dlerror(self, data: bytes) -> None:
        from dlrepair.diagnose import dlerror

        dlerror.parse(data.decode("utf-8", "replace"), "tensorflow" if len(data) % 2 else "ctypes")


def fuzz(reader: str, first: int, inputs: int, seed: int, seconds: float = 0) -> dict:
    """Feed ``inputs`` inputs, or as many as ``seconds`` allow; what happened. Stops at the first five failures."""
    readers, seeds = Readers(), SEEDS[reader]()
    known = [fields(one) for one in seeds]
    slowest, slow_case, failures, end = 0.0, 0, [], time.monotonic() + (seconds or 1e9)
    done = 0
    for case in range(first, first + inputs):
        rng = random.Random("%d/%s/%d" % (seed, reader, case))
        which = rng.randrange(len(seeds))
        text = reader == "dlerror"
        data = damage_text(seeds[which], rng, seeds) if text else damage(seeds[which], rng, known[which])
        began = time.process_time()
        try:
            readers.call[reader](data)
        except BaseException as error:
            failures.append("--reader %s --seed %d --first %d --inputs 1: %r" % (reader, seed, case, error))
            if isinstance(error, KeyboardInterrupt):
                raise
        took = time.process_time() - began
        done += 1
        if took > slowest:
            slowest, slow_case = took, case
        if took > SLOWEST:
            failures.append("--reader %s --seed %d --first %d --inputs 1: %.1f s" % (reader, seed, case, took))
        if len(failures) >= 5 or time.monotonic() > end:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = {"reader": reader, "inputs": done, "slowest": slowest, "slow_case": slow_case}
    return dict(said, failures=failures, peak=peak)


def guided(reader: str, inputs: int, seed: int) -> None:
    """The same readers under libFuzzer by ``atheris``; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["dlrepair"]):
        from dlrepair.binary import elf, ldcache, macho, relocations, strings, symtab, tables  # noqa: F401
        from dlrepair.diagnose import dlerror, dyld, glibc, windows, wrappers  # noqa: F401
    readers = Readers()
    corpus = os.path.join(readers.directory.name, "corpus")
    os.mkdir(corpus)
    for number, data in enumerate(SEEDS[reader]()):
        with open(os.path.join(corpus, str(number)), "wb") as file:
            file.write(data[:20000])
    options = ["-runs=%d" % inputs, "-seed=%d" % seed, "-max_len=20000", "-timeout=%d" % SLOWEST, "-rss_limit_mb=2048"]
    options.append("-artifact_prefix=" + tempfile.gettempdir() + "/")
    atheris.Setup([sys.argv[0], *options, corpus], readers.call[reader])
    atheris.Fuzz()


# -- the whole run


def has_atheris() -> bool:
    return subprocess.call([sys.executable, "-c", "import atheris"], stderr=subprocess.DEVNULL) == 0


def run_part(part: tuple[str, int, int, int]) -> dict:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return fuzz(*part)


def run_guided(reader: str, inputs: int, seed: int) -> dict:
    command = [sys.executable, __file__, "--engine", "atheris", "--reader", reader, "--inputs", str(inputs)]
    done = subprocess.run([*command, "--seed", str(seed)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = done.stdout.splitlines()
    last = next((line for line in reversed(lines) if line[:1] == "#" and line[1:2].isdigit()), "#0")
    failures = [] if done.returncode == 0 else ["\n".join(lines[-15:])]
    words = last.split()
    cover = words[words.index("cov:") + 1] if "cov:" in words else "?"
    return {"reader": reader, "inputs": int(words[0][1:]), "cover": cover, "failures": failures}


def report(structured: list[dict], found_by_cover: list[dict], seconds: float, seed: int) -> str:
    """The Markdown page of one run."""
    total = sum(one["inputs"] for one in structured + found_by_cover)
    failed = [line for one in structured + found_by_cover for line in one["failures"]]
    lines = [
        "# Fuzzing of the readers", "",
        "`make fuzz` feeds damaged files and messages to every reader: ELF, Mach-O, PE and other kinds, `ld.so.cache`,",
        "and loaders' messages. Nothing may come out but facts and dlrepair's own errors; every input ends within",
        "%g seconds of processor time, in a process that may have %d MiB of address space." % (SLOWEST, MEMORY >> 20),
        "",
        "Last run: %s inputs in %d s, seed %d, Python %s; %d failures."
        % (format(total, ","), seconds, seed, sys.version.split()[0], len(failed)), "",
        "| reader | structured inputs | slowest input | peak memory | coverage-guided (edges reached) | failures |",
        "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    cover = {one["reader"]: one for one in found_by_cover}
    for reader in SHARES:
        rows = [one for one in structured if one["reader"] == reader]
        by = cover.get(reader)
        bad = sum(len(one["failures"]) for one in rows) + (len(by["failures"]) if by else 0)
        lines.append("| %s | %s | %.0f ms | %d MiB | %s | %d |" % (
            reader, format(sum(one["inputs"] for one in rows), ","), 1e3 * max(one["slowest"] for one in rows),
            max(one["peak"] for one in rows) >> 10,
            "%s (%s)" % (format(by["inputs"], ","), by["cover"]) if by else "not run", bad,
        ))  # fmt: skip
    return "\n".join(lines) + "\n" + "".join("\n    %s\n" % line.replace("\n", "\n    ") for line in failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000000, help="how many in all (default: a million)")
    parser.add_argument("--reader", choices=sorted(SHARES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--engine", choices=("auto", "structured", "atheris"), default="auto")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", help="write the page there")
    arguments = parser.parse_args()
    sys.path.insert(0, ROOT)
    if arguments.reader and arguments.engine == "atheris":
        guided(arguments.reader, arguments.inputs, arguments.seed)
        return 0
    if arguments.reader:
        said = fuzz(arguments.reader, arguments.first, arguments.inputs, arguments.seed)
        print(json.dumps(said, indent=2))
        return 1 if said["failures"] else 0
    import concurrent.futures

    began = time.monotonic()
    by_cover = arguments.engine != "structured" and has_atheris()
    plan, parts, chunk = [], [], 5000
    for reader, share in SHARES.items():
        whole = arguments.inputs * share // 100
        some = whole // 10 if by_cover else 0
        if some:
            plan.append((reader, some))
        for first in range(0, whole - some, chunk):
            parts.append((reader, first, min(chunk, whole - some - first), arguments.seed))
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        structured = list(pool.map(run_part, parts))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as threads:
        guided_ones = list(threads.map(lambda one: run_guided(one[0], one[1], arguments.seed), plan))
    page = report(structured, guided_ones, time.monotonic() - began, arguments.seed)
    sys.stdout.write(page)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(page)
    return 1 if any(one["failures"] for one in structured + guided_ones) else 0


if __name__ == "__main__":
    sys.exit(main())
