"""first_failure against dlopen(RTLD_NOW) in a child, on generated libraries: does it load, and what is named first."""

from __future__ import annotations

import os
import random

from world import World, run

from dlrepair.binary.scope import fresh_process
from dlrepair.binary.wouldload import first_failure

WORLDS = 60
LIBRARIES = 6


class Generated(World):
    """A random graph of libraries that define and want symbols, some of them versioned, some of them gone."""

    def __init__(self, root, rng):
        super().__init__(root)
        self.rng = rng
        self.names = ["lib%d.so" % i for i in range(LIBRARIES)]
        os.makedirs(self.path("lib"))
        os.makedirs(self.path("link"))
        for number in reversed(range(LIBRARIES)):
            self.make(number)
        for name in self.names:
            fate = rng.random()
            if fate < 0.06:
                os.unlink(self.path("lib", name))
            elif fate < 0.10:
                with open(self.path("lib", name), "r+b") as file:
                    file.truncate(rng.choice((10, 70, 200)))

    def assemble(self, where, lines):
        run(["as", "-o", where, "-"], input=("\n".join(lines) + "\n").encode())

    def make(self, number):
        rng, name = self.rng, self.names[number]
        needs = [i for i in range(number + 1, LIBRARIES) if rng.random() < 0.4]
        # ``link`` has what the linker saw, ``lib`` what ld.so finds: now and then a poorer build
        own = ["d%d_%d" % (number, i) for i in range(3)]
        wanted = ["d%d_%d" % (i, rng.randrange(3)) for i in needs if rng.random() < 0.8]
        lost = ["gone%d" % number] if rng.random() < 0.12 else []
        weak = ["maybe%d" % number] if rng.random() < 0.2 else []
        versioned, poor, plain = rng.random() < 0.5, rng.random() < 0.3, rng.random() < 0.2
        for where, kept in (("link", own), ("lib", own[:2] if poor else own)):
            lines = [".data"]
            for symbol in kept:
                lines += [".globl " + symbol, "%s: .quad 1" % symbol]
            references = wanted + lost + weak
            rng.shuffle(references)
            for symbol in weak:
                lines.append(".weak " + symbol)
            lines += [".quad " + symbol for symbol in references]
            made = self.path(".made", "%s-%d.o" % (where, number))
            self.assemble(made, lines)
            command = ["ld", "-shared", "-o", self.path(where, name), made, "-soname", name, "--no-as-needed",
                       "--unresolved-symbols=ignore-all", "--enable-new-dtags", "-rpath", "$ORIGIN",
                       "--hash-style=" + rng.choice(("gnu", "sysv", "both"))]  # fmt: skip
            if versioned and not (where == "lib" and plain):
                script = self.path(".made", "%s-%d.map" % (where, number))
                with open(script, "w") as file:
                    file.write("A%d { global: %s_0; %s_1; };\n" % (number, own[0][:-2], own[0][:-2]))
                    if own[2] in kept:
                        file.write("B%d { global: %s; } A%d;\n" % (number, own[2], number))
                command += ["--version-script", script]
            command += [self.path("link", self.names[i]) for i in needs]
            run(command)


def same(failure, error):
    """True when ``error`` is about what ``failure`` says."""
    if failure is None or not error:
        return failure is None and not error
    if failure.kind == "missing":
        return error.startswith("%s: cannot open shared object file" % failure.missing)
    if failure.kind == "version":
        return "version `%s' not found (required by %s)" % (failure.missing, failure.subject) in error
    if failure.kind == "abort":
        return "exited with 127" in error
    if failure.kind == "symbol":
        said = error.replace(", version", " version").split("undefined symbol: ")[-1].split(" ")[0]
        return error.startswith(failure.subject + ": undefined symbol") and said == failure.missing
    return error.startswith((failure.subject + ":", failure.missing + ":", "killed"))


def test_generated_libraries(tmp_path):
    rng = random.Random(71)
    seen, wrong, host = {}, [], None
    for number in range(WORLDS):
        root = tmp_path / str(number)
        root.mkdir()
        w = Generated(root, rng)
        host = host or w.host()
        view = fresh_process(host, "", w.root)
        for name in w.names:
            path = w.path("lib", name)
            if not os.path.exists(path):
                continue
            w.target = path
            _names, error = w.ask_dlopen(host)
            failure = first_failure(path, process=view)
            kind = failure.kind if failure is not None else "loads"
            seen[kind] = seen.get(kind, 0) + 1
            if not same(failure, error):
                wrong.append("%s\n  dlopen: %s\n  we: %r" % (path, error or "loads", failure))
    print(seen, "disagreements:", len(wrong))
    assert not wrong, "\n".join(wrong[:10])
    assert sum(seen.values()) >= 300, seen
    assert all(seen.get(kind, 0) >= 8 for kind in ("loads", "missing", "refused", "version", "symbol")), seen
