"""In a command that ``dlrepair watch`` runs: the watched build is loaded in place of the file that is asked for.

Only there: whoever gives a command to the watcher asks for it to run with what has just been built, though
the file that it names may load too. Everywhere else a load that works is left alone. The library enters only
after the checks that every substitute passes; where one fails, the load goes on as if nothing were watched.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0

VARIABLE = "DLREPAIR__WATCHED"
HEAD = "dlrepair watched 1"

_verdicts: dict[tuple[str, str], bool] = {}
_said: set[str] = set()
_busy: list[int] = []


def wrap(state: Stage0, loader: str, native: Any, wrapped: Any) -> Any:
    """``wrapped``, asked for the watched build where there is one; ``native`` is the loader's own function."""

    def dlopen(*args: Any, **kwargs: Any) -> Any:
        library = None if _busy else _watched(args, loader)
        if library is not None:
            _busy.append(1)
            try:
                result = native(library, *args[1:], **kwargs)
            except Exception as error:
                _note(args[0], library, str(error))
            else:
                if loader == "tensorflow":
                    state.opened.append(library)
                _note(args[0], library, "")
                return result
            finally:
                _busy.pop()
        return wrapped(*args, **kwargs)

    dlopen.__dlrepair__ = native  # type: ignore[attr-defined]
    return dlopen


def _watched(args: Any, loader: str) -> str | None:
    """Path of the build to be loaded in place of the first argument, or None. Never raises."""
    try:
        name = os.fsdecode(args[0])
        if "/" not in name:
            return None
        library = read().get(os.path.abspath(name))
        if library is None:
            return None
        known = _verdicts.get((name, library))
        if known is None:
            _busy.append(1)
            try:
                known = _verdicts[name, library] = _fits(name, library, loader)
            finally:
                _busy.pop()
        return library if known else None
    except Exception:
        return None


def read() -> dict[str, str]:
    """Requested path -> library, of the table that the environment names: only one that this user alone can write."""
    import stat

    descriptor = os.open(os.environ.get(VARIABLE, ""), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return {}
        data = os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if lines[0] != HEAD or lines[-2:] != ["end", ""]:
        return {}
    pairs = [line.partition("\t") for line in lines[1:-2]]
    return {_unescape(wanted): _unescape(library) for wanted, _, library in pairs}


def _unescape(text: str) -> str:
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in text.split("\\\\"))


def _fits(name: str, library: str, loader: str) -> bool:
    """Whether the build may enter this process: trust, machine, symbols and versions, as for any substitute."""
    from dlrepair import engine
    from dlrepair.binary import process
    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.requests import LoadRequest
    from dlrepair.search import vet

    here = os.getcwd()
    script = engine.main_script(here)
    settings = engine.settings_for(script, here)
    if settings.mode != "repair":
        return False
    request = LoadRequest(loader, name, here, here, script, None, 0, "", "", loader == "tensorflow")
    wanted = Wanted(os.path.basename(name), "substitute", name, loader, loader == "tensorflow")
    verdict = vet.vet(
        Candidate(library, "store"), wanted, request, settings=settings, process=process.ProcessView.current(),
    )  # fmt: skip
    if not verdict.accepted:
        _note(name, library, verdict.detail or verdict.reason)
    return verdict.accepted


def _note(name: Any, library: str, problem: str) -> None:
    """Journals what was loaded instead, or why not, and says so once a library."""
    try:
        from dlrepair import engine
        from dlrepair.journal import writer
        from dlrepair.repair import saying

        name = os.fsdecode(name)
        writer.emit(
            "candidate", writer.new_incident(), path=library, verdict="rejected" if problem else "accepted",
            reason="watched", detail=problem or "built by dlrepair watch, in place of {}".format(name), facts={},
        )  # fmt: skip
        if library in _said:
            return
        _said.add(library)
        here = os.getcwd()
        words = "{}: not the watched build: {}" if problem else "{}: the watched build is loaded"
        line = "dlrepair watch: " + words.format(os.path.basename(name), problem)
        from dlrepair.render import text

        saying.say(text.clean(line, 1000), engine.settings_for(engine.main_script(here), here))
    except Exception:
        return
