"""What ``dlrepair watch`` tells: one line an event for people, one JSON object an event for programs."""

from __future__ import annotations

import os
import time

from dlrepair.render import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

#: seconds between two drawings of the line that shows a running compiler
_INTERVAL = 0.2
_STATUS = {126: "cannot be run", 127: "was not found"}


class Lines:
    """For people: a line for each thing that happened; on a terminal one that is redrawn while a compiler runs."""

    def __init__(self, stream: TextIO, cwd: str) -> None:
        self.stream = stream
        self.cwd = cwd
        self.colours = text.coloured(stream)
        self.moving = os.environ.get("TERM", "") != "dumb" and _is_terminal(stream)
        self._began = 0.0
        self._drawn = 0.0
        self._command = False
        self._told: set[str] = set()  #: libraries of which it was said who gets them

    def happened(self, event: str, **fields: Any) -> None:
        """One event of ``dlrepair.watch.listener``."""
        words = getattr(self, "_" + event.replace("-", "_"), None)
        if words is not None:
            words(**fields)

    # --- words

    def _watching(self, targets: Any, command: list[str], trouble: str) -> None:
        self._command = bool(command)
        if not targets:
            self._say("nothing to watch yet: no source here registers an op, and no script loads one with a recipe")
            self._say("  `dlrepair watch PATH` names the library, source, script or directory", bare=True)
        self._watching_more(targets)
        if trouble:
            self._polling(trouble)

    def _watching_more(self, targets: Any) -> None:
        for target in targets:
            recipe = target.recipe
            why = "{} line {}".format(self._path(recipe.file), recipe.line) if recipe.file else "no recipe: by its name"
            names = [self._path(one) for one in (*recipe.sources, *recipe.cuda_sources)]
            shown = ", ".join(names[:4]) + (" and {} more".format(len(names) - 4) if len(names) > 4 else "")
            self._say("watching {} and its headers for {} ({})".format(shown, self._path(target.wanted), why))

    def _polling(self, reason: str) -> None:
        self._say(self._paint("{}: looking twice a second instead".format(text.clean(reason, 300)), "yellow"))

    def _building(self, target: Any, what: str) -> None:
        self._began = time.monotonic()

    def _ticking(self, target: Any, doing: str) -> None:
        now = time.monotonic()
        if self.moving and now - self._drawn >= _INTERVAL:
            self._drawn = now
            line = "{}: {} for {:.0f} s".format(target.name, doing, now - (self._began or now))
            self._write("\r\x1b[K" + text.clean(line, _width(self.stream) - 1))

    def _built(
        self, target: Any, result: Any, seconds: float, changed: list[str], stale: bool, lines_only: bool
    ) -> None:
        if lines_only:
            self._say("{}: its line numbers are right after {}".format(target.name, _seconds(seconds)))
            return
        how = "in the store" if result.hit else "built"
        line = "{}: {} after {}".format(target.name, self._paint(how, "green"), _seconds(seconds))
        self._say(line + self._because(changed) + self._steps(result))
        for note in result.notes:
            self._say("  " + text.clean(note, 500), bare=True)
        if not self._command and target.wanted not in self._told:
            self._told.add(target.wanted)
            self._say_who(target, stale)

    def _say_who(self, target: Any, stale: bool) -> None:
        """Who gets the build, where no command is started with it."""
        path = self._path(target.wanted)
        if stale:
            self._say("  an older {} lies there: a script that can load it goes on with that".format(path), bare=True)
        else:
            self._say("  a script that asks for {} is given it by the hook (`dlrepair status`)".format(path), bare=True)
        self._say("  a program that has loaded an op keeps it: `dlrepair watch -- COMMAND` starts it again", bare=True)

    def _unchanged(
        self, target: Any, result: Any, seconds: float, changed: list[str], stale: bool, lines_only: bool
    ) -> None:
        same = self._paint("the same library", "green")
        self._say("{}: {} after {}{}".format(target.name, same, _seconds(seconds), self._because(changed)))
        if result.reason == "lines-moved":
            self._say("  the line numbers in its messages follow", bare=True)

    def _failed(self, target: Any, result: Any, seconds: float, last_good: str) -> None:
        what = {"compile-error": "does not compile", "link-error": "does not link", "failed-before": "does not compile",
                "does-not-fit": "does not fit"}  # fmt: skip
        word = what.get(result.reason, "not built ({})".format(result.reason))
        self._say("{}: {} after {}".format(target.name, self._paint(word, "red"), _seconds(seconds)))
        self._say("  " + text.clean(result.first_error, 1000), bare=True)
        if result.log:
            self._say("  all of it: " + text.clean(result.log, 500), bare=True)
        kept = "the last good library stays in use" if last_good else "there is no good library yet"
        self._say("  " + kept, bare=True)

    def _gone(self, paths: list[str]) -> None:
        self._say("{}: gone; waiting for it to come back".format(", ".join(self._path(one) for one in paths[:3])))

    def _command_started(self, argv: list[str], pid: int) -> None:
        self._say("started {} (process {})".format(self._argv(argv), pid))

    def _command_ended(self, status: int, again: bool, closing: bool) -> None:
        if again:
            return
        how = "by signal {}".format(status - 128) if status > 128 else "with status {}".format(status)
        then = "" if closing else "; it starts again after the next good build"
        self._say("the command ended {}{}".format(how, then))

    def _command_failed(self, argv: list[str], reason: str) -> None:
        self._say(self._paint("{} cannot be started: {}".format(self._argv(argv), reason), "red"))

    def _precompiled(self, ok: bool, reason: str, seconds: float) -> None:
        if ok:
            words = "TensorFlow's headers are precompiled after {}: builds are faster from now on"
            self._say(words.format(_seconds(seconds)))

    # --- how

    def _because(self, changed: list[str]) -> str:
        if not changed:
            return ""
        names = ", ".join(text.clean(os.path.basename(one)) for one in changed[:3])
        return " ({}{})".format(names, " and {} more".format(len(changed) - 3) if len(changed) > 3 else "")

    @staticmethod
    def _steps(result: Any) -> str:
        return ", adapted: " + ", ".join(result.steps) if result.steps and not result.hit else ""

    def _path(self, path: str) -> str:
        return text.display_path(path, self.cwd)

    @staticmethod
    def _argv(argv: list[str]) -> str:
        import shlex

        return text.clean(" ".join(shlex.quote(word) for word in argv), 300)

    def _paint(self, words: str, style: str) -> str:
        return text.paint(words, style) if self.colours else words

    def _say(self, line: str, bare: bool = False) -> None:
        head = " " * 8 if bare else time.strftime("%H:%M:%S")
        clear = "\r\x1b[K" if self.moving and self._drawn else ""
        self._drawn = 0.0
        self._write("{}{} {}\n".format(clear, head, line))

    def _write(self, words: str) -> None:
        try:
            self.stream.write(words)
            self.stream.flush()
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "ascii"
            self.stream.write(words.encode(encoding, "backslashreplace").decode(encoding))
            self.stream.flush()


class Json:
    """For programs: one object an event, flushed at once; no event for the ticks of a running compiler."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def happened(self, event: str, **fields: Any) -> None:
        """One event of ``dlrepair.watch.listener``."""
        import json

        if event == "ticking":
            return
        document: dict[str, Any] = {"event": event, "time": time.time()}
        for name, value in fields.items():
            document[name] = _plain(name, value)
        self.stream.write(json.dumps(document) + "\n")
        self.stream.flush()


def _plain(name: str, value: Any) -> Any:
    if name == "targets":
        return [_plain("target", one) for one in value]
    if name == "target":
        recipe = value.recipe
        return {
            "library": value.wanted, "recipe": recipe.file, "line": recipe.line, "kind": recipe.kind,
            "files": value.files(),
        }  # fmt: skip
    if name == "result":
        return {
            "ok": value.ok, "reason": value.reason, "path": value.path, "first_error": value.first_error,
            "log": value.log, "hit": value.hit, "steps": list(value.steps), "ops": list(value.ops),
            "notes": list(value.notes), "compiler": value.compiler, "tensorflow": value.tensorflow,
        }  # fmt: skip
    return list(value) if isinstance(value, tuple) else value


def _seconds(value: float) -> str:
    return "{:.2f} s".format(value) if value < 1 else "{:.1f} s".format(value)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80
