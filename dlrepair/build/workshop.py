"""The temporary directory of one build: private copies of sources, forwarded headers, objects on their way.

A copy is made only when a step of the ladder rewrites something; it mirrors absolute paths, so that relative includes
mean what they meant. The user's files are read, never written.
"""

from __future__ import annotations

import os

from dlrepair.build import commands, compiler, eras, nvcc, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from dlrepair.build.commands import Unit
    from dlrepair.build.compiler import Ran
    from dlrepair.build.eras import EraStep
    from dlrepair.build.includes import Scan
    from dlrepair.build.precompiled import Precompiled
    from dlrepair.model.toolchain import Toolchain

#: how often one source is compiled before the ladder is at its end
ROUNDS = 10


class Made:
    """What came of one source: an object with the headers that it was made of, or the words of the compiler."""

    __slots__ = ("argv", "dependencies", "object", "output", "plain", "reason", "steps", "unit")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.object = ""
        self.dependencies: list[str] = []  #: as the user's paths
        self.steps: tuple[EraStep, ...] = ()
        self.reason = "compile-error"
        self.plain = False  #: whether it is compiled without the precompiled header
        self.output = ""
        self.argv: tuple[str, ...] = ()


class Workshop:
    """Compiles the sources of one library in a directory of its own."""

    def __init__(self, directory: str, top: str, toolchain: Toolchain, scan: Scan, note: Any, tick: Any) -> None:
        self.directory = directory
        self.top = top  #: of the whole build: removed when the builder is killed
        self.toolchain = toolchain
        self.scan = scan
        self.note = note  #: ``note(names of steps, why)`` when the ladder is climbed
        self.tick = tick
        self.mirror = os.path.join(directory, "copy")
        self.forward = os.path.join(directory, "forward")
        self.precompiled: Precompiled | None = None  #: to be included first, where it is valid
        self._forwarded: set[str] = set()
        self._aliases = eras.aliases(scan.texts.values())
        if toolchain.tensorflow is not None:
            self._forward(scan.angled)

    def _begin(self, units: Sequence[Unit]) -> list[Made]:
        made = [Made(unit) for unit in units]
        steps = eras.known(self.toolchain.tensorflow, self.scan.texts.values())
        if steps:
            self.note([step.name for step in steps], "known of TensorFlow {}".format(self._release()))
        for one in made:
            one.steps = steps
        return made

    def _release(self) -> str:
        return "" if self.toolchain.tensorflow is None else self.toolchain.tensorflow.version

    # --- one source

    def _command(self, made: Made, at: int) -> list[str]:
        unit = made.unit
        source = unit.source
        argv = list(unit.argv)
        if any(step.rewrites and not step.headers for step in made.steps):
            source = self._copied(made.steps)[source]
            argv = self._with_copies(argv)
            quoted = ["-iquote", os.path.dirname(unit.source)]
            argv += commands.for_nvcc(quoted) if unit.language == "cuda" else quoted
            if unit.mapped:
                argv.append("-fmacro-prefix-map={}/=".format(self.mirror + unit.directory))
        for step in made.steps:
            if unit.language == "cuda":
                argv += commands.for_nvcc(step.flags)
            else:
                argv += [flag for flag in step.flags if unit.language == "c++" or not flag.startswith("-f")]
        if any(step.headers for step in made.steps):
            place = next((at for at, word in enumerate(argv) if word.startswith("-I")), len(argv))
            argv.insert(place, "-I" + self._shadowed(made.steps))
        if self._forwarded:
            argv += ["-idirafter", self.forward] if unit.language != "cuda" else ["-I" + self.forward]
        first = self.precompiled
        if first is not None and not made.plain and unit.language == "c++" and self._may_precompile(unit):
            argv += ["-include", first.path, "-Winvalid-pch"]
        made.object = os.path.join(self.directory, "{}.o".format(at))
        argv += ["-MD", "-MF", made.object + ".d", "-c", source, "-o", made.object]
        made.argv = tuple(argv)
        return argv

    def _may_precompile(self, unit: Unit) -> bool:
        from dlrepair.build import precompiled

        texts = self.scan.texts
        source = os.path.normpath(unit.source)
        return precompiled.is_valid_for(texts[source], [text for path, text in texts.items() if path != source])

    def _with_copies(self, argv: list[str]) -> list[str]:
        """Include directories of the project, each after its copy."""
        out = []
        for word in argv:
            if word.startswith("-I") and os.path.isdir(self.mirror + word[2:]):
                out.append("-I" + self.mirror + word[2:])
            out.append(word)
        return out

    def _copied(self, steps: Sequence[EraStep]) -> dict[str, str]:
        """Original -> copy of every file of the project, rewritten by the steps."""
        copies = {}
        for path, text in self.scan.texts.items():
            copy = self.mirror + path
            copies[path] = copy
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            rewritten = eras.rewrite(text, steps, self._aliases)
            with open(copy, "wb") as stream:
                stream.write(rewritten.encode("utf-8", "surrogateescape"))
        return copies

    def _shadowed(self, steps: Sequence[EraStep]) -> str:
        """A directory with TensorFlow's own headers that the steps rewrite, to be looked into before its own."""
        assert self.toolchain.tensorflow is not None
        place = os.path.join(self.directory, "shadow")
        for name, text in eras.rewritten_headers(steps, self.toolchain.tensorflow.include).items():
            path = os.path.join(place, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(text)
        return place

    def _take(self, made: Made, ran: Ran) -> None:
        made.output = ran.output.replace(self.mirror + os.sep, os.sep)
        if ran.reason:
            made.reason = "compile-error" if ran.reason == "failed" else ran.reason
            return
        made.reason = ""
        found = objects.read_dependencies(made.object + ".d")
        own = []
        for path in found:
            path = os.path.normpath(path)
            if path.startswith(self.mirror + os.sep):
                path = path[len(self.mirror) :]
            if not path.startswith(self.directory + os.sep) and path != made.unit.source:
                own.append(path)
        if self.precompiled is not None and self.precompiled.path in made.argv:  # gcc does not name what is in it
            own = [path for path in own if not path.startswith(self.precompiled.path)] + list(self.precompiled.rows)
        made.dependencies = sorted(set(own))

    def _climb(self, made: Made, ran: Ran) -> bool:
        """Whether there is one more thing to be tried for a source that did not compile."""
        if ran.reason != "failed":
            return False
        if "-Winvalid-pch" in made.argv and not self._is_the_sources_own(made):
            made.plain = True  # the precompiled header may be at fault: once more without it
            return True
        if self.toolchain.tensorflow is not None:
            missing = eras.missing_headers(ran.output)
            if self._forward(missing) or self._forward_cuda(missing):
                return True
        steps = eras.called_for(ran.output, made.steps)
        useful = [step for step in steps if step.flags or self._rewrites(step)]
        if not useful:
            return False
        made.steps = tuple(step for step in eras.STEPS if step in made.steps or step in useful)
        self.note([step.name for step in useful], compiler.first_error(made.output))
        return True

    def _is_the_sources_own(self, made: Made) -> bool:
        from dlrepair.build import precompiled

        return precompiled.is_the_sources_own(made.output, self.scan.texts)

    def _rewrites(self, step: EraStep) -> bool:
        if step.headers:
            tensorflow = self.toolchain.tensorflow
            return tensorflow is not None and bool(eras.rewritten_headers((step,), tensorflow.include))
        return any(eras.rewrite(text, (step,), self._aliases) != text for text in self.scan.texts.values())

    def _forward(self, names: Any) -> bool:
        """Whether headers that have moved are forwarded from now on that were not before."""
        tensorflow = self.toolchain.tensorflow
        assert tensorflow is not None
        return self._write_forwards(eras.forwards(names, tensorflow.include))

    def _forward_cuda(self, names: Sequence[str]) -> bool:
        """The same of CUDA's own headers, which TensorFlow's sources name by a path of their own."""
        chain = self.toolchain
        if chain.nvcc is None:
            return False
        found = {name: nvcc.find_header(name, chain.cuda_home, chain.tensorflow) for name in names}
        return self._write_forwards({name: path for name, path in found.items() if path})

    def _write_forwards(self, found: dict[str, str]) -> bool:
        fresh = {old: new for old, new in found.items() if old not in self._forwarded}
        for old, new in fresh.items():
            path = os.path.join(self.forward, old)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as stream:
                stream.write('#include "{}"\n'.format(new))
        if fresh:
            self._forwarded.update(fresh)
            words = ["{} is {}".format(old, new) for old, new in fresh.items()]
            self.note(["moved-header"], "; ".join(words))
        return bool(fresh)

    @property
    def forwarded(self) -> bool:
        """Whether a header was forwarded."""
        return bool(self._forwarded)


def compile_together(work: Sequence[tuple[Workshop, Sequence[Unit]]]) -> list[list[Made]]:
    """What came of each source of each workshop; all are compiled side by side, and each climbs the ladder by itself.

    A library need not wait for the helpers that it links: only linking does.
    """
    made = [shop._begin(units) for shop, units in work]
    todo = [(number, at) for number, ones in enumerate(made) for at in range(len(ones))]
    for _ in range(ROUNDS):
        if not todo:
            break
        commands = [work[number][0]._command(made[number][at], at) for number, at in todo]
        ran = compiler.run_all(commands, temporary=work[0][0].top, tick=work[0][0].tick)
        again = []
        for (number, at), done in zip(todo, ran):
            shop, one = work[number][0], made[number][at]
            shop._take(one, done)
            if done.reason and shop._climb(one, done):
                again.append((number, at))
        todo = again
    return made
