"""The library that a project's own build script makes: run in a private copy, after ``dlrepair trust`` of the script.

For recipes that cannot be read as a command: sources that are generated, configure scripts, CMake with its own logic.
The script's text and that of all it names is what was trusted, to the byte; it runs with this TensorFlow's Python,
flags and compiler, within bounds, and all that it started ends with it. What it made is published like any
other build and vetted by whoever asked. The key holds the whole copied project: nothing is run twice.
"""

from __future__ import annotations

import os
import sys
import time

from dlrepair import store
from dlrepair.build import compiler, confine, harvest, lock, mirror, objects, scripts, surroundings, toolchain
from dlrepair.build.parts import BuildFailed, Changed, Watcher, help_for, signature
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.model.built import BuildResult
    from dlrepair.model.script import Script
    from dlrepair.model.toolchain import TensorFlow, Toolchain

#: bytes that a script may fill its copy with, and of one file
MAX_GROWTH = 4 << 30
MAX_FILE = 2 << 30
#: bytes that must stay free where the store is
RESERVE = 64 << 20
#: how often one build starts over because a file is saved before it is copied
_AGAIN = 3
#: seconds between two looks at how large the copy has become
_LOOK = 1.0
#: files whose change asks for another run, beyond the script's own
_MAX_USED = 2000
_USED = (".c", ".cc", ".cpp", ".cxx", ".cu", ".h", ".hh", ".hpp", ".cuh", ".inc", ".inl", ".proto", ".pyx", ".txt")
#: these decide what a script does, beside what the compiler's key holds
_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CUDA_HOME", "CUDA_PATH")


def build(
    script: Script,
    *,
    owner: str = "",
    ops: Sequence[str] = (),
    wants_tensorflow: bool = False,
    fresh: bool = False,
    emit: Callable[..., None],
    watcher: Any = None,
) -> BuildResult:
    """The library ``script.output`` as the allowed ``script`` makes it, in the store.

    ``owner``: main file of the program, whose owner is trusted too. ``ops``: what the caller asks of the library, as
    Python calls it. ``fresh``: try again what failed before. Never raises but for what interrupts.
    """
    return _Run(script, owner, tuple(ops), wants_tensorflow, fresh, emit, watcher or Watcher()).run()


class _Run:
    """One run of one script."""

    def __init__(
        self, script: Script, owner: str, ops: tuple[str, ...], wants: bool, fresh: bool, emit: Any, watcher: Any
    ) -> None:
        self.script = script
        self.owner = owner
        self.ops = ops
        self.wants = wants
        self.fresh = fresh
        self.emit = emit
        self.watcher = watcher
        self.began = time.monotonic()
        self.tensorflow: TensorFlow | None = None
        self.chain: Toolchain | None = None
        self.mirror: mirror.Mirror | None = None
        self.directory = ""
        self.notes: list[str] = []
        self.seen: dict[str, str] = {}  #: what was allowed, with its signatures from before it was read
        self._looked = 0.0
        self._name = os.path.basename(script.path)

    def run(self) -> BuildResult:
        try:
            result = self._any()
        except BuildFailed as failed:
            result = self._failed(failed)
        except (OSError, ValueError) as error:
            reason = "disk-full" if getattr(error, "errno", None) in (28, 122) else "no-store"
            result = self._failed(BuildFailed(reason, str(error)))
        finally:
            self._clean()
        self.emit(
            "build-finished", output=self.script.output, ok=result.ok, reason=result.reason, path=result.path,
            seconds=result.seconds, hit=result.hit, steps=[], first_error=result.first_error, log=result.log,
            notes=list(result.notes),
        )  # fmt: skip
        self.watcher.finished(result)
        return result

    def _any(self) -> BuildResult:
        """What there is or can be made; once more where a file is saved before the project is copied."""
        changed = ""
        for _ in range(_AGAIN):
            key = self._prepare()
            try:
                return self._found(key) or self._locked(key)
            except Changed as again:
                changed = os.path.basename(str(again))
                self._clean()
        raise BuildFailed("changed", "{} was saved again each time while it was copied".format(changed))

    def _clean(self) -> None:
        directory, self.directory = self.directory, ""
        if directory:
            store.remove(directory)

    def _prepare(self) -> str:
        """The key of the build; raises BuildFailed where it may not be made."""
        self.notes = []
        self.seen = {path: signature(path) for path, _ in self.script.files}
        if store.root() is None:
            raise BuildFailed("no-store", store.problem() or "there is no store to build in")
        if self.script.state != "allowed":
            raise BuildFailed("not-allowed", refusal(self.script))
        try:
            self.tensorflow = toolchain.find_tensorflow()
        except toolchain.NoToolchain as missing:
            if self.wants:
                raise BuildFailed(missing.reason, missing.text, help=missing.help) from None
        try:
            self.chain = toolchain.find(self.tensorflow)
        except toolchain.NoToolchain as missing:
            self.notes.append(missing.text)
        try:
            self.mirror = mirror.Mirror(self.script.top, self.owner, lambda path: harvest.is_made(path, self.script))
        except mirror.TooLarge as large:
            raise BuildFailed("no-sources", str(large)) from None
        for path, clause in self.mirror.refused[:20]:
            self.emit("trust-refused", path=path, reason=clause)
            if path in dict(self.script.files):
                raise BuildFailed("untrusted", clause)
        parts = ["script 1", self.script.output, os.path.relpath(self.script.path, self.script.top), sys.version]
        parts += objects.toolchain_key(self.chain) if self.chain is not None else []
        parts += [name + "=" + os.environ.get(name, "") for name in _VARIABLES] + list(self.ops)
        return store.key_of(*parts, self.mirror.key())

    def _found(self, key: str) -> BuildResult | None:
        facts = builds.find(key)
        if facts is not None:
            return self._done(facts, "found")
        record = None if self.fresh else store.recall(store.key_of("failed script 1", key))
        if record is not None:
            raise BuildFailed("failed-before", record.get("text", ""), "log:" + record.get("log", ""))
        return None

    def _locked(self, key: str) -> BuildResult:
        patience = 2 * compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
        try:
            with lock.BuildLock(
                key, self.script.output, patience, lambda holder: self.watcher.tick("waiting for " + holder)
            ) as held:
                return (self._found(key) if held.waited else None) or self._make(key)
        except lock.NotLocked as waited:
            raise BuildFailed("waited", "waited {:g} s for {}".format(patience, waited)) from None

    def _make(self, key: str) -> BuildResult:
        assert self.mirror is not None
        directory = builds.new_directory()
        if directory is None:
            raise BuildFailed("no-store", store.problem() or "the store cannot be written")
        self.directory = directory
        copy = os.path.join(directory, "copy")
        for name in ("copy", "tmp", "bin", "build", "out"):
            os.mkdir(os.path.join(directory, name), 0o700)
        self.mirror.copy(copy)
        self._check_copies(copy)
        began = time.time()
        try:
            said = self._run_all(copy)
        except BuildFailed as failed:
            if failed.reason in ("script-failed", "time-limit", "disk-limit"):
                failed.output = "log:" + builds.write_log(key, failed.output)
                record = {"text": failed.text, "log": failed.output[4:]}
                store.remember(store.key_of("failed script 1", key), record)
            raise
        log = builds.write_log(key, said)
        found = harvest.find((copy, os.path.join(directory, "build")), self.script.output, self.ops, began)
        if not found:
            text = "{} ended well, and made no {}".format(self._name, self.script.output)
            store.remember(store.key_of("failed script 1", key), {"text": text, "log": log})
            raise BuildFailed("does-not-fit", text, "log:" + log)
        out = os.path.join(directory, "out")
        name = harvest.take(found, out, self.script.output)
        ops = harvest.ops_of(self.tensorflow, os.path.join(out, name))
        facts = {
            "name": name, "ops": list(ops), "script": self.script.path, "log": log,
            "compiler": self.chain.compiler.version if self.chain is not None else "",
            "tensorflow": self.tensorflow.version if self.tensorflow is not None else "",
        }  # fmt: skip
        if builds.publish(out, key, facts, os.path.dirname(directory)) is None:
            raise BuildFailed("no-store", "the store cannot keep the library")
        kept = builds.find(key)
        if kept is None:
            raise BuildFailed("no-store", "the library is gone from the store")
        builds.tidy()
        return self._done(kept, "built")

    def _check_copies(self, copy: str) -> None:
        """What will run is what was allowed, to the byte: the copy is compared, which nobody else can write."""
        import hashlib

        for path, digest in self.script.files:
            name = os.path.relpath(path, self.script.top)
            if name.startswith(os.pardir):
                continue
            try:
                with open(os.path.join(copy, name), "rb") as stream:
                    same = hashlib.sha256(stream.read()).hexdigest() == digest
            except OSError:
                same = path != self.script.path  # left out, as being made by a build: it is not there to be run
            if not same:
                raise BuildFailed("not-allowed", "{} has changed since it was allowed".format(path))

    # --- the run

    def _run_all(self, copy: str) -> str:
        """The output of the script; raises BuildFailed."""
        folder = os.path.join(copy, os.path.relpath(os.path.dirname(self.script.path), self.script.top))
        folder = os.path.normpath(folder)
        python = compiler.interpreter()
        env = surroundings.environment(self.directory, self.tensorflow, self.chain, python)
        env["PWD"] = folder  # what the user's shell has left there leads to the project itself
        env.pop("OLDPWD", None)
        build = os.path.join(self.directory, "build")
        commands = scripts.commands_of(self.script, folder, build, python, compiler.cores())
        level = confine.level()
        if not level:
            self.notes.append("this kernel cannot keep {} from writing elsewhere".format(self._name))
        self._say_started(commands)
        said = ""
        until = time.monotonic() + compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
        for number, command in enumerate(commands):
            said += self._one(command, folder, env, until, said)
            last = number == len(commands) - 1
            if last and self.script.kind in ("make", "configure") and not self._is_made(copy):
                said += self._one([*command, self.script.output], folder, env, until, said)
        return said

    def _is_made(self, copy: str) -> bool:
        return bool(harvest.find((copy,), self.script.output, self.ops, 0.0))

    def _one(self, command: list[str], folder: str, env: dict[str, str], until: float, before: str) -> str:
        confined = [
            compiler.interpreter(), "-I", "-S", "-E", os.path.abspath(confine.__file__), str(MAX_FILE),
            self.directory, "--", *command,
        ]  # fmt: skip
        left = max(1.0, until - time.monotonic())
        try:
            ran = compiler.run(
                confined, cwd=folder, temporary=self.directory, seconds=left, tick=self._tick, env=env
            )  # fmt: skip
        except _Grown as grown:
            raise BuildFailed("disk-limit", "{} was stopped: {}".format(self._name, grown), before) from None
        text = "$ {}\n{}\n".format(" ".join(command), ran.output).replace(self.directory + os.sep, "")
        if ran.reason:
            raise BuildFailed(*self._why(ran, command), before + text)
        return text

    def _why(self, ran: compiler.Ran, command: list[str]) -> tuple[str, str]:
        """(reason, sentence) for a command that failed."""
        if ran.reason == "time-limit":
            seconds = compiler.limit("DLREPAIR_BUILD_SECONDS", compiler.SECONDS)
            return "time-limit", "{} was stopped after {:g} s".format(self._name, seconds)
        if ran.reason == "disk-full":
            return "disk-full", "{}: no space left in {}".format(self._name, store.location())
        error = compiler.first_error(ran.output.replace(self.directory + os.sep, ""))
        return "script-failed", "{} failed with status {}{}".format(self._name, ran.status, error and ": " + error)

    def _tick(self) -> None:
        self.watcher.tick("running " + self._name)
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        free = os.statvfs(self.directory)
        if free.f_bavail * free.f_frsize < RESERVE:
            raise _Grown("there is next to no space left in {}".format(store.location()))
        most = compiler.limit("DLREPAIR_BUILD_DISK", MAX_GROWTH / (1 << 20))
        if mirror.size_of(self.directory) > most * (1 << 20):
            raise _Grown("it wrote more than {:g} MiB".format(most))

    def _say_started(self, commands: Sequence[Sequence[str]]) -> None:
        target = " for TensorFlow {}".format(self.tensorflow.version) if self.tensorflow is not None else ""
        self.watcher.started("running {} in a private copy{}".format(self._name, target))
        self.emit(
            "build-started", output=self.script.output, sources=[],
            recipe={"kind": self.script.kind, "file": self.script.path, "line": 1}, dropped=[],
            command=list(commands[0]), compiler=self.chain.compiler.version if self.chain is not None else "",
            tensorflow=self.tensorflow.version if self.tensorflow is not None else "", notes=self.notes,
        )  # fmt: skip

    # --- the answer

    def _done(self, facts: dict[str, Any], reason: str) -> BuildResult:
        from dlrepair.model.built import BuildResult

        path = os.path.join(facts["directory"], facts["name"])
        return BuildResult(
            True, reason, path, log=facts.get("log", ""), seconds=self._seconds(), hit=reason != "built",
            ops=tuple(facts.get("ops", ())), used=self._used(), notes=tuple(self.notes),
            compiler=facts.get("compiler", ""), tensorflow=facts.get("tensorflow", ""),
        )  # fmt: skip

    def _used(self) -> tuple[Any, ...]:
        from dlrepair.model.built import Used

        seen = {path: self.seen.get(path) or signature(path) for path, _ in self.script.files}
        if self.mirror is not None:  # as they were: an edit while the script runs is a change
            own = [os.path.join(self.script.top, name) for name in self.mirror.files if name.endswith(_USED)]
            seen.update((path, self.mirror.signatures[path]) for path in own[:_MAX_USED])
        return tuple(Used(path, held) for path, held in seen.items())

    def _failed(self, failed: BuildFailed) -> BuildResult:
        from dlrepair.model.built import BuildResult

        log = failed.output[4:] if failed.output.startswith("log:") else ""
        return BuildResult(
            False, failed.reason, first_error=failed.text, log=log, seconds=self._seconds(), used=self._used(),
            notes=tuple(self.notes), tensorflow=self.tensorflow.version if self.tensorflow is not None else "",
            help=help_for(failed),
        )  # fmt: skip

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)


class _Grown(Exception):
    """The script has written more than it may."""


def refusal(script: Script) -> str:
    """Why a script is not run: one sentence."""
    name = os.path.basename(script.path)
    if script.state == "changed":
        names = ", ".join(os.path.basename(path) for path in script.changed[:3])
        return "{} is not run: {} changed since it was trusted".format(name, names)
    return "{} is not run: it was not trusted".format(name)
