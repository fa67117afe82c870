"""The step *reexec*: proves a fix of the environment, learns it, and becomes a new process where that is allowed.

Not started again means learned: stage 0 then applies the fix at the next start, before anything runs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn, Sequence

    from dlrepair.learned.program import Program
    from dlrepair.model.environment import EnvironmentFix
    from dlrepair.model.plan import Step
    from dlrepair.repair.context import Context

KIND = "reexec"


class NotNow(OSError):
    """The process goes on as it is: why, in one clause."""


def take(context: Context, step: Step) -> None:
    """Becomes another process, or raises NotNow after the fix was learned for the next start.

    Returns only where no program is running, and what would be done is all that was asked for.
    """
    from dlrepair.binary import process
    from dlrepair.learned import environ
    from dlrepair.repair import early, prove

    fix = context.fixes[step.target]
    try:
        before = environ.original()
    except (OSError, ValueError) as error:
        raise NotNow(str(error)) from None
    fix = with_former(context, fix)
    wanted = environ.changed(before, fix.variables)
    if all(process.start_env(name) == wanted.get(name, "") for name, _, _ in fix.variables):
        raise NotNow("the process was started with that already")
    problem = prove.find_problem(context, fix, wanted)
    if problem and hopeless() == "frozen":  # nothing could be asked: no Python of this program starts by itself
        slug, condition = early.find_refusal(context)
        context.emit("reexec", strategy=KIND, refused=slug, condition=condition, environment=_rows(fix))
        context.refused = slug
        context.advice = "Try it with {}.".format(environ.describe(fix.variables))
        raise NotNow("not started again now: {}".format(condition))
    if problem:
        raise NotNow("it does not load there either: {}".format(problem))
    if context.rehearsed:
        _rehearse(context, step, fix)
        return
    slug, condition = early.find_refusal(context)
    kept = learn(context, fix)
    if slug:
        context.emit("reexec", strategy=KIND, refused=slug, condition=condition, environment=_rows(fix))
        context.refused = slug
        context.outcome = "a new process with {} would load it; not now: {}".format(step.target, condition)
        if kept:
            context.advice = again("the repair is learned")
        elif hopeless():
            context.advice = "Start it with {}.".format(environ.describe(fix.variables))
        raise NotNow("not started again now: {}".format(condition))
    _start(context, fix, before)


def _rehearse(context: Context, step: Step, fix: EnvironmentFix) -> None:
    """Learns the fix for the program that is named, where one is; raises NotNow where none is to be started."""
    if getattr(context.ask, "preview", False):
        return
    if not getattr(context.ask, "script", ""):  # nobody has said for which program
        context.refused = "rehearsed"
        context.outcome = "only a new process helps; with {} it loads".format(step.target)
        context.advice = "Run the program: it is then started with {}.".format(step.target)
        raise NotNow("which program is to be started is known when it runs")
    program = _program_of(context.ask.script)
    if not learn(context, with_former(context, fix, program), program):
        raise NotNow("what {} needs could not be kept".format(os.path.basename(program.what)))


def again(what: str) -> str:
    """What a person does next, where the next start is given what it needs."""
    kernel = "ipykernel" in sys.modules
    start = "Restart the kernel" if kernel else "Run it again"
    return "{}: {}, and is in force from its start.".format(start, what)


def hopeless() -> str:
    """``embedded`` or ``frozen`` where no start can be changed by stage 0: its command line is another program's."""
    from dlrepair.learned import start

    why = start.cannot_exec()
    return why if why in ("embedded", "frozen") else ""


def _rows(fix: EnvironmentFix) -> list[dict[str, str]]:
    return [{"name": name, "action": action, "value": value} for name, action, value in fix.variables]


def _program_of(script: str) -> Program:
    """The program that a script is when this interpreter runs it in this directory."""
    from dlrepair.learned.program import Program

    path = os.path.normpath(os.path.abspath(script))
    return Program("file", path, os.getcwd() if path.startswith(sys.prefix + "/") else "")


def with_former(context: Context, fix: EnvironmentFix, program: Program | None = None) -> EnvironmentFix:
    """The fix together with what is in force in this process: a start of ours that something else had needed.

    ``program``: another than the one that runs, whose next start is to get both.
    """
    from dlrepair import learned
    from dlrepair.learned import INSIDE, records, start
    from dlrepair.model.records import replace

    started = learned.started()
    former = records.find(started[1]) if len(started) > 1 and started[1] else None
    if program is not None:
        former = records.find(program.key())
    elif former is None and not started and not context.rehearsed:
        found = start.record_for(context.ask.state.cwd)  # what is given inside needs no start
        if found is not None and all(action in INSIDE for _, action, _ in found[1].variables):
            former = found[1]
    if former is None or former.stale():
        return fix
    new = {one[:2] for one in fix.variables if one[1] in ("show", *INSIDE)}
    kept = [one for one in former.variables if one not in fix.variables and one[:2] not in new]
    variables = (*kept, *(_joined(one, former.variables) for one in fix.variables))
    files = tuple(path for seen, path in former.files if not seen.startswith("d") and path not in fix.files)
    return replace(fix, variables=variables, files=files + fix.files)


def _joined(one: tuple[str, str, str], former: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Places in the code of a file, together with those that an earlier fix has in it."""
    name, action, value = one
    for older in former if action == "source" else ():
        if older[:2] == one[:2] and older[2].partition(" ")[0] == value.partition(" ")[0]:
            numbers = {int(number) for text in (older[2], value) for number in text.partition(" ")[2].split(",")}
            value = "{} {}".format(value.partition(" ")[0], ",".join(map(str, sorted(numbers))))
    return name, action, value


def learn(context: Context, fix: EnvironmentFix, program: Program | None = None) -> bool:
    """Whether the fix was kept for the next start of this program, or of the one that is named."""
    from dlrepair.learned import INSIDE, keep, records
    from dlrepair.learned.program import program as find_program

    program = find_program(context.ask.state.cwd) if program is None else program
    problem, shown = "the program cannot be told from /proc", ""
    if hopeless():
        problem = "the program starts without asking: Python is {} in it".format(hopeless())
    elif program is not None:
        shown = program.shown
        variables = fix.variables
        folders = tuple(value for _, action, value in variables if action == "prepend" and os.path.isdir(value))
        folders += tuple(
            os.path.dirname(value) for _, action, value in variables if action in INSIDE and value[:1] == "/"
        )
        place = os.path.dirname(context.request.script) or context.ask.state.cwd
        problem = keep.keep(
            program,
            records.Record(
                place=place, settings=keep.settings_evidence(context.settings, place),
                variables=variables, files=keep.evidence(fix.files, folders), cause=context.diagnosis.cause,
                requested=context.request.requested, incident=context.incident, why=fix.why,
            ),
        )  # fmt: skip
    context.emit(
        "learned", program=shown, kept=not problem, problem=problem or None, environment=_rows(fix), why=fix.why,
        files=list(fix.files),
    )  # fmt: skip
    return not problem


def _start(context: Context, fix: EnvironmentFix, before: dict[str, str]) -> NoReturn:
    """Puts back what the process had at its start, and becomes a new one. Raises OSError where the kernel refuses."""
    from dlrepair.journal import writer
    from dlrepair.learned import environ as changes
    from dlrepair.learned import start
    from dlrepair.learned.program import command_line
    from dlrepair.learned.program import program as find_program
    from dlrepair.model.plan import Outcome
    from dlrepair.repair import reexec

    program = find_program(context.ask.state.cwd)
    key = "" if program is None else program.key()
    environ = changes.start_environment(KIND, key, writer.run_id(), fix.variables, before) or before
    command = command_line()
    undo = _put_back(context.ask.state)  # nothing is said before it is known that the process can be left
    context.emit(
        "reexec", strategy=KIND, refused=None, command=command, environment=_rows(fix), threads=context.idle or None
    )
    if context.leave is not None:
        done = "started again with " + reexec.describe(fix)
        context.leave(Outcome(True, context.diagnosis.cause, context.incident, KIND, context.request.requested,
                              context.elapsed(), "", done))  # fmt: skip
    try:
        start.posix().execve(sys.executable, command, environ)
    except OSError:
        undo()
        raise
    raise NotNow("the kernel did not start it")


def _is_removed() -> bool:
    """Whether the working directory has no path any more (getcwd(2): ENOENT)."""
    try:
        return not os.getcwd()
    except OSError:
        return True


def _put_back(state: Any) -> Callable[[], None]:
    """Working directory, signals and standard input as stage 0 found them; what undoes it.

    Handlers end with the old program by themselves, ignored signals and the mask do not (execve(2)). What
    Python ignores itself (SIGPIPE, SIGXFSZ) it will ignore again.
    """
    import _signal

    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    handlers: dict[int, Any] = {}
    offset: list[int] = []
    own = (_signal.SIGPIPE, getattr(_signal, "SIGXFSZ", 0))

    def undo() -> None:
        os.fchdir(here)
        os.close(here)
        for number, handler in handlers.items():
            _signal.signal(number, handler)
        for place in offset:
            os.lseek(0, place, os.SEEK_SET)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)

    try:
        if state.cwd or not _is_removed():  # what was no more at the start has no path to go to: it is still here
            os.chdir(state.cwd)
        for number in range(1, _signal.NSIG):
            now = _signal.getsignal(number)
            wanted = _signal.SIG_IGN if number in state.ignored and number not in own else _signal.SIG_DFL
            if now is not None and now != wanted and (now == _signal.SIG_IGN or wanted == _signal.SIG_IGN):
                handlers[number] = now
                _signal.signal(number, wanted)
        if state.offset is not None and os.fstat(0).st_mode & 0o170000 == 0o100000:
            offset.append(os.lseek(0, 0, os.SEEK_CUR))
            os.lseek(0, state.offset, os.SEEK_SET)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, state.mask)
    except (OSError, ValueError):
        undo()
        raise
    return undo
