"""The readers on damaged and hostile bytes: a fact or an error of ours, in bounded time and memory."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import time
import zipfile

import pytest
from machines import macho, universal

from dlrepair.binary import elf as elf_module
from dlrepair.binary.elf import ElfError, fits_here, open_elf, read_facts
from dlrepair.binary.ldcache import LdCache
from dlrepair.binary.macho import read_macho
from dlrepair.binary.relocations import referenced_symbols
from dlrepair.model.facts import KINDS

CASES = int(os.environ.get("DLREPAIR_FUZZ_CASES", "3000"))
SLOWEST = 2.0  # seconds for one input, on a busy machine

SOURCE = r"""
#include <stdio.h>
extern int other(int);
int table[64] = {1, 2, 3};
__thread int local = 7;
static void start(void) __attribute__((constructor));
static void start(void) { local++; }
int function(int x) { return printf("%d", other(x) + table[x & 63]) + local; }
"""


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Real files: an op-like library with versions, one of the system, its 32-bit and big-endian likenesses, Mach-O."""
    root = tmp_path_factory.mktemp("seeds")
    source, script = root / "one.c", root / "one.map"
    source.write_text(SOURCE)
    script.write_text("V1 { global: function; local: *; };\nV2 { global: table; } V1;\n")
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    assert compiler, "a C compiler is needed: install gcc"
    made = []
    for style in ("gnu", "sysv", "both"):
        path = root / ("lib%s.so" % style)
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", str(path), str(source), "-Wl,--hash-style=" + style,
             "-Wl,--version-script=" + str(script), "-Wl,-soname,libone.so.1", "-Wl,-rpath,$ORIGIN/x", "-lm"],
            check=True,
        )  # fmt: skip
        made.append(path.read_bytes())
    made.append(macho(needed=["/usr/lib/libSystem.B.dylib", "@rpath/liba.dylib"], rpaths=["@loader_path"]))
    made.append(universal([("x86_64", macho()), ("arm64", macho(cpu="arm64"))]))
    return made


def examine(path):
    """Everything that the package does with a file of unknown content."""
    facts = read_facts(path)
    assert facts.kind in KINDS and facts.detail
    if facts.elf is not None:
        fits_here(facts.elf)
    read_macho(path)
    try:
        opened = open_elf(path)
    except ElfError:
        return facts
    with opened as elf:
        for row in elf.undefined()[:50]:
            elf.defines(row[0], row[1])
        for name in ("function", "table", "printf", "nothing"):
            elf.defines(name)
            elf.defines(name, "V1")
        count = 0
        for count, _name in enumerate(elf.exported()):
            if count > 5000:
                break
        elf.strings_contain({"function", "nowhere"})
        list(elf.symbols.defined_names(b"func", 5))
        referenced_symbols(elf.image)
    return facts


def damage(data, rng):
    """One structured corruption of ``data``."""
    out = bytearray(data)
    kind = rng.randrange(8)
    if kind == 0:  # cut
        return bytes(out[: rng.randrange(len(out) + 1)])
    if kind == 1:  # one bit
        at = rng.randrange(len(out))
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 2:  # one field of the header or the program headers
        at = rng.randrange(0, min(len(out) - 8, 64 + 56 * 12))
        size = rng.choice((1, 2, 4, 8))
        value = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, len(out), len(out) - 1, rng.getrandbits(64)))
        out[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    elif kind == 3:  # an aligned word anywhere
        at = rng.randrange(0, len(out) // 8) * 8
        out[at : at + 8] = struct.pack("<Q", rng.choice((0, 1, 2**64 - 1, 0xFFFFFFFF, rng.getrandbits(64), at)))
    elif kind == 4:  # zeros
        at = rng.randrange(len(out))
        size = rng.choice((16, 256, 4096))
        out[at : at + size] = bytes(len(out[at : at + size]))
    elif kind == 5:  # noise
        at = rng.randrange(len(out))
        for i in range(at, min(len(out), at + rng.choice((4, 64, 512)))):
            out[i] = rng.randrange(256)
    elif kind == 6:  # a block copied elsewhere
        size = rng.choice((8, 64, 1024))
        source, target = rng.randrange(len(out)), rng.randrange(len(out))
        out[target : target + size] = out[source : source + size]
    else:  # several fields at once
        for _ in range(rng.randrange(2, 12)):
            at = rng.randrange(0, min(len(out) - 8, 4096))
            out[at : at + 4] = struct.pack("<I", rng.choice((0, 0xFFFFFFFF, rng.getrandbits(32), rng.getrandbits(12))))
    return bytes(out)


def test_damaged_files_end_in_facts(seeds, tmp_path):
    rng = random.Random(20240917)
    path = str(tmp_path / "victim.so")
    slowest, kinds = 0.0, {}
    for case in range(CASES):
        data = damage(seeds[case % len(seeds)], rng)
        if case % 3 == 0:
            data = damage(data, rng) if len(data) > 64 else data
        with open(path, "wb") as file:
            file.write(data)
        elf_module._cache.clear()
        start = time.monotonic()
        try:
            facts = examine(path)
        except BaseException as error:
            raise AssertionError("case %d of %d bytes: %r" % (case, len(data), error)) from error
        slowest = max(slowest, time.monotonic() - start)
        kinds[facts.kind] = kinds.get(facts.kind, 0) + 1
    assert slowest < SLOWEST, "the slowest input took %.2f s" % slowest
    assert kinds.get("elf", 0) > CASES // 4 and kinds.get("macho", 0) > CASES // 20, kinds


def test_memory_stays_bounded(seeds, tmp_path):
    """Headers that promise everything, in a child that may have 400 MiB and no more."""
    rng = random.Random(5)
    paths = []
    for case in range(60):
        data = bytearray(seeds[case % 3])
        for _ in range(6):
            at = rng.randrange(16, 64 + 56 * 8)
            data[at : at + 4] = b"\xff\xff\xff\x7f"
        path = tmp_path / ("%d.so" % case)
        path.write_bytes(bytes(data))
        paths.append(str(path))
    sparse = tmp_path / "sparse.so"
    with open(str(sparse), "wb") as file:
        file.write(seeds[0])
        file.truncate(1 << 33)
    paths.append(str(sparse))
    here = os.path.dirname(os.path.abspath(__file__))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)\n"
        "sys.path[:0] = %r\n"
        "from test_binary_hostile import examine\n"
        "for path in sys.argv[1:]: examine(path)\n" % [here, os.path.dirname(os.path.dirname(here))]
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_cycles_in_the_tables_end(seeds, tmp_path):
    """Chains of the hash tables that lead back to themselves, and version records that repeat for ever."""
    from dlrepair.binary.image import DT_GNU_HASH, DT_HASH, DT_VERDEF, DT_VERNEED

    for number, data in enumerate(seeds[:3]):
        path = str(tmp_path / "loop.so")
        with open(path, "wb") as file:
            file.write(data)
        elf_module._cache.clear()
        with open_elf(path) as elf:
            places = {tag: elf.image.table(tag) for tag in (DT_GNU_HASH, DT_HASH, DT_VERDEF, DT_VERNEED)}
        broken = bytearray(data)
        if places[DT_HASH] is not None:
            at = places[DT_HASH]
            buckets, chains = struct.unpack_from("<II", data, at)
            struct.pack_into("<%dI" % (buckets + chains), broken, at + 8, *[1] * (buckets + chains))
        if places[DT_GNU_HASH] is not None:
            at = places[DT_GNU_HASH]
            buckets, first, bloom, _shift = struct.unpack_from("<IIII", data, at)
            bloom_at = at + 16
            broken[bloom_at : bloom_at + 8 * bloom] = b"\xff" * (8 * bloom)
            end = bloom_at + 8 * bloom + 4 * buckets
            broken[end : end + 64] = b"\0" * 64  # no chain ends
        for tag, step in ((DT_VERDEF, 16), (DT_VERNEED, 12)):
            if places[tag] is not None:
                struct.pack_into("<I", broken, places[tag] + step, 0 if number else 4)
        with open(path, "wb") as file:
            file.write(bytes(broken))
        elf_module._cache.clear()
        start = time.monotonic()
        examine(path)
        assert time.monotonic() - start < SLOWEST


def test_cache_file_corruption(tmp_path):
    """A damaged ld.so.cache is noted, never raised."""
    with open("/etc/ld.so.cache", "rb") as file:
        data = file.read(200000)
    rng = random.Random(3)
    for _ in range(300):
        cache = LdCache(damage(data, rng))
        cache.lookup("libc.so.6", ("x86-64-v3",))
    assert LdCache(b"").problem and LdCache(b"nonsense" * 20).problem


def test_odd_paths():
    for path in (
        "",
        "\0",
        "a\0b",
        "/" + "x" * 100000,
        "/proc/self/mem/x",
        "/dev/null",
        "/dev/tty",
        "\udcff\udcfe",
        ".",
    ):
        facts = read_facts(path)
        assert facts.kind in KINDS and facts.detail, path
        with pytest.raises((OSError, ValueError)):
            open_elf(path)


def test_a_file_that_shrinks_while_it_is_open(seeds, tmp_path):
    """A build that rewrites the file under us: short answers, no SIGBUS."""
    path = tmp_path / "shrinks.so"
    path.write_bytes(seeds[0])
    with open_elf(str(path)) as elf:
        with open(str(path), "r+b") as file:
            file.truncate(4096)
        elf.undefined()
        elf.defines("function")
        list(elf.exported())
        elf.strings_contain({"function"})


def test_zip_and_friends_are_not_mistaken(tmp_path):
    path = tmp_path / "a.so"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("x", "y")
    assert read_facts(str(path)).kind == "zip"
