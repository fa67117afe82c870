"""Seeded small worlds of libraries that load or do not: built with the real assembler and linker, none twice alike.

Each library is linked against what was there at link time and then meets what is there at run time:
moved, missing, cut, of another machine, without a symbol, with other symbol versions, under another SONAME.
Nothing here says which of them load: ld.so does.
"""

from __future__ import annotations

import os
import random
import struct

from world import EMULATION_32, run

BREAKAGES = (
    "none", "gone", "moved", "symbol-lost", "version-lost", "version-renamed", "versions-dropped", "soname-changed",
    "truncated", "machine", "text", "empty", "directory", "dangling", "class32", "header", "object-file", "osabi",
    "local-provider", "global-provider", "late-provider", "loaded-copy", "target-missing", "target-is-link",
    "weak-provider-gone", "hidden-version", "flags", "loop", "library-path-token",
)  # fmt: skip
#: breakage -> (offset, bytes) in the ELF header
FIELDS = {
    "machine": [(18, struct.pack("=H", machine)) for machine in (183, 3, 40, 243)],
    "osabi": [(7, bytes([osabi])) for osabi in (2, 3, 9, 255)],
    "header": [
        (0, b"\x7fELG"), (5, b"\x02"), (16, b"\x02\0"), (16, b"\x01\0"), (6, b"\x07"), (20, b"\x09"), (54, b"\x10\0"),
        (56, b"\0\0"), (8, b"\x01"), (10, b"\x01"), (5, b"\x02"),
    ],
}  # fmt: skip
POINTER = ".quad" if struct.calcsize("P") == 8 else ".long"


class Member:
    """One library of a world: where it lies, what it defines and uses, and how it is found."""

    def __init__(self, name, where):
        self.name = name
        self.soname = name
        self.where = where
        self.defines = []
        self.uses = []  # (symbol, weak)
        self.needs = []
        self.versions = None  # version node of every symbol
        self.flags = []


class Maker:
    """Links libraries below one directory; objects with the same text are assembled once."""

    def __init__(self, root):
        self.root = str(root)
        self._objects = {}
        self.tools = os.path.join(self.root, ".made")
        os.makedirs(self.tools)

    def object(self, defines, uses, hidden=()):
        text = ".data\n"
        for name in defines:
            text += ".globl {0}\n.type {0}, %object\n.size {0}, 8\n{0}: .quad 1\n".format(name)
        for name in hidden:
            text += ".globl {0}_old\n.type {0}_old, %object\n.size {0}_old, 8\n{0}_old: .quad 1\n".format(name)
            text += ".symver {0}_old, {0}@VOLD\n".format(name)
        for name, weak in uses:
            text += ".weak %s\n" % name if weak else ""
            text += "%s %s\n" % (POINTER, name)
        if text not in self._objects:
            path = os.path.join(self.tools, "%d.o" % len(self._objects))
            run(["as", "-o", path, "-"], input=text.encode())
            self._objects[text] = path
        return self._objects[text]

    def link(self, path, member, against=(), defines=None, versions="same", soname="same", hidden=()):
        """Link ``member`` to ``path``; ``defines``, ``versions`` and ``soname`` may differ from its own."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        defines = member.defines if defines is None else defines
        versions = member.versions if versions == "same" else versions
        soname = member.soname if soname == "same" else soname
        command = ["ld", "-shared", "--no-as-needed", "-o", path, self.object(defines, member.uses, hidden)]
        if soname:
            command += ["-soname", soname]
        if versions or hidden:
            script = os.path.join(self.tools, "%s.map" % (versions or "none"))
            with open(script, "w") as file:
                file.write(("%s { global: *; };\n" % versions if versions else "") + ("VOLD { };\n" if hidden else ""))
            command += ["--version-script", script]
        run(command + member.flags + list(against))
        return path


def place(rng, root, member, loader):
    """Flags for ``loader`` that lead (or do not lead) to ``member``: RUNPATH, RPATH, or nothing."""
    kind = rng.choice(("runpath", "runpath", "rpath", "none"))
    relative = os.path.relpath(os.path.join(root, member.where), os.path.join(root, loader.where))
    value = rng.choice(("$ORIGIN/" + relative, os.path.join(root, member.where), "${ORIGIN}/%s" % relative))
    before = rng.choice(("", "", "$ORIGIN/nothing:", "/nonexistent:"))
    return kind, before + value


def make(seed, root):
    """One world; {"path", "before", "title"} for the judge."""
    rng = random.Random(seed)
    breakage = BREAKAGES[seed % len(BREAKAGES)]
    maker = Maker(root)
    count = rng.randrange(2, 6)
    dirs = ["sub", "lib", "lib/deep", "other", "."]
    members = [Member("libm%d_%d.so%s" % (seed, i, rng.choice(("", ".1"))), rng.choice(dirs)) for i in range(count)]
    for i, member in enumerate(members):
        member.defines = ["s%d_%d_%d" % (seed, i, j) for j in range(rng.randrange(1, 4))]
        member.versions = rng.choice((None, None, "V%d" % i))
        member.soname = rng.choice((member.name, member.name, member.name, None)) if i else member.name
        member.flags = rng.choice(([], ["--hash-style=gnu"], ["--hash-style=sysv"], ["-z", "now"]))[:]
    for i, member in enumerate(members):  # needs go to later members: linked back to front
        later = members[i + 1 :]
        member.needs = rng.sample(later, min(len(later), rng.choice((1, 1, 2)))) if later else []
        for need in member.needs:
            for name in rng.sample(need.defines, rng.randrange(0, len(need.defines) + 1)):
                member.uses.append((name, rng.random() < 0.2))
    shared = rng.choice(("runpath", "rpath", "each"))
    for member in members:
        if not member.needs:
            continue
        kinds = [place(rng, maker.root, need, member) for need in member.needs]
        kind = kinds[0][0] if shared == "each" else shared
        paths = [value for _kind, value in kinds]
        if rng.random() < 0.12:
            paths = paths[1:]
        if kind != "none" and paths:
            member.flags += [
                "--disable-new-dtags" if kind == "rpath" else "--enable-new-dtags",
                "-rpath",
                ":".join(paths),
            ]
    victim = rng.choice(members[1:])
    case = {"before": [], "title": "seed %d, %s" % (seed, breakage)}
    paths = build(maker, rng, members, victim, breakage, case)
    case["path"] = paths[members[0]]
    spoil(maker, rng, members, victim, breakage, paths, case)
    return case


def build(maker, rng, members, victim, breakage, case):
    """Link everything twice: as it was at link time (in .made), and as it is at run time."""
    stubs, paths = {}, {}
    for member in reversed(members):
        stub = os.path.join(maker.tools, member.name)
        against = [] if breakage == "late-provider" and victim in member.needs else [stubs[n] for n in member.needs]
        if breakage == "late-provider":
            against = [stubs[n] for n in member.needs if n is not victim]
        hidden = member.defines[:1] if breakage == "hidden-version" and member is victim else ()
        maker.link(stub, member, against)
        stubs[member] = stub
        options = {}
        if member is victim:
            options = {
                "symbol-lost": {"defines": member.defines[1:]},
                "weak-provider-gone": {"defines": []},
                "version-lost": {"versions": None},
                "version-renamed": {"versions": "VNEW"},
                "versions-dropped": {"versions": None, "defines": member.defines[:1]},
                "soname-changed": {"soname": "libother%d.so" % len(member.name)},
                "hidden-version": {"defines": member.defines[1:], "hidden": hidden},
            }.get(breakage, {})
            if breakage == "flags":
                member.flags += rng.choice(
                    (["-z", "nodlopen"], ["-z", "nodefaultlib"], ["-z", "execstack"], ["-Bsymbolic"])
                )
        path = os.path.join(maker.root, member.where, member.name)
        paths[member] = os.path.normpath(path)
        maker.link(paths[member], member, against, **options)
    return paths


def spoil(maker, rng, members, victim, breakage, paths, case):
    """Do to the files what ``breakage`` says."""
    path = paths[rng.choice((victim, victim, members[0]))]
    size = os.path.getsize(path)
    if breakage in ("gone", "moved", "local-provider", "global-provider"):
        away = os.path.join(maker.root, "away", os.path.basename(paths[victim]))
        os.makedirs(os.path.dirname(away), exist_ok=True)
        os.rename(paths[victim], away)
        if breakage in ("local-provider", "global-provider"):
            alone = os.path.join(maker.root, "away", "alone.so")
            rest = Member("alone", "away")
            rest.soname, rest.defines = rng.choice((victim.soname, None, victim.name)), victim.defines
            rest.versions = victim.versions
            maker.link(alone, rest)
            case["before"] = [[alone, breakage == "global-provider"]]
    elif breakage == "late-provider":
        if rng.random() < 0.7:
            alone = os.path.join(maker.root, "away", "alone.so")
            rest = Member("alone", "away")
            rest.soname, rest.defines, rest.versions = None, victim.defines, rng.choice((None, victim.versions, "VX"))
            maker.link(alone, rest)
            case["before"] = [[alone, rng.random() < 0.6]]
    elif breakage == "loaded-copy":
        copy = os.path.join(maker.root, "away", victim.name)
        other = Member(victim.name, "away")
        other.soname, other.defines = victim.soname, rng.choice((victim.defines, victim.defines[:1]))
        other.versions = rng.choice((victim.versions, None, "VX"))
        maker.link(copy, other)
        case["before"] = [[copy, rng.random() < 0.5]]
    elif breakage == "truncated":
        with open(path, "r+b") as file:
            file.truncate(rng.choice((10, 63, 64, 100, 300, size // 4, size // 2, size - 100, size - 1)))
    elif breakage in ("machine", "header", "osabi"):
        offset, value = rng.choice(FIELDS[breakage])
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(value)
    elif breakage in ("text", "empty"):
        with open(path, "wb") as file:
            file.write(
                b"" if breakage == "empty" else rng.choice((b"short\n", b"GROUP ( libx.so )\n" * 20, b"<html>" * 50))
            )
    elif breakage in ("directory", "dangling", "loop"):
        os.unlink(path)
        if breakage == "directory":
            os.mkdir(path)
        else:
            os.symlink("nowhere" if breakage == "dangling" else os.path.basename(path), path)
    elif breakage == "class32":
        os.unlink(path)
        content = os.path.join(maker.tools, "0.o")
        run(["ld", "-m", EMULATION_32[os.uname().machine], "-shared", "-b", "binary", "-o", path, content])
    elif breakage == "object-file":
        os.unlink(path)
        os.link(os.path.join(maker.tools, "0.o"), path)
    elif breakage == "target-missing":
        os.unlink(case["path"])
    elif breakage == "target-is-link":
        link = os.path.join(maker.root, "link", "target.so")
        os.makedirs(os.path.dirname(link))
        os.symlink(case["path"], link)
        case["path"] = link
