"""Strategy *relocated*: a copy in the store of a library that ld.so cannot map, or reach, where it lies.

A file system mounted noexec holds its neighbours too, so everything that the library needs from such a place
moves with it. A file below a directory that may not be searched is read by another way to it: the working
directory, or a descriptor that this process holds. Rights of a file itself are respected: what may not
be read stays unread.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from dlrepair.model.plan import Plan, Step
    from dlrepair.repair.context import Context

KIND = "relocated"

#: most descriptors that are looked at for a way to a file
_DESCRIPTORS = 4096


def applies(context: Context) -> bool:
    """Whether the place is at fault and not the file; never a free step."""
    return not context.exact and context.target is not None and context.diagnosis.cause in ("noexec", "permission")


def plan(context: Context) -> Iterator[Plan]:
    """At most one plan."""
    from dlrepair.binary.elf import ElfError

    try:
        made = _from_noexec(context) if context.diagnosis.cause == "noexec" else _from_closed(context)
    except (OSError, ElfError) as error:
        context.emit("repair-failed", strategy=KIND, reason=str(error))
        return
    if made is not None:
        yield made


def _from_noexec(context: Context) -> Plan | None:
    """Copies of everything in the closure that lies on such a file system, loaded deepest first."""
    from dlrepair.diagnose.rules_process import mount_of

    target = context.target
    assert target is not None
    point = mount_of(context.diagnosis.failing_object or target)[0]
    return _moved(
        context, target, lambda path: "noexec" in mount_of(path)[1],
        "{} is mounted noexec".format(point), "from outside {}".format(point),
    )  # fmt: skip


def _from_closed(context: Context) -> Plan | None:
    """Copies that were read by another way, where the path leads through a directory that may not be searched."""
    from dlrepair.diagnose.rules_file import first_closed

    target = context.target
    assert target is not None
    closed = first_closed(target)
    through = _other_way(target) if closed else ""
    if not through:
        return None
    return _moved(
        context, through, lambda path: path.startswith("/proc/self/"),
        "{} may not be searched; {} leads to the same file".format(closed, through), "read through {}".format(through),
    )  # fmt: skip


def _moved(context: Context, top: str, moves: Callable[[str], bool], why: str, how: str) -> Plan | None:
    """A plan with copies of what ``moves`` among ``top`` and all that it needs; the rest stays where it is."""
    from dlrepair.binary import scope
    from dlrepair.model.plan import Plan, Step

    trace = scope.resolve(top, process=context.view)
    known = set(context.view.loaded)
    needed_as: dict[str, str] = {}  # path -> the name by which it is needed
    for _, name, path in trace.edges:
        if path is not None and path not in known:
            needed_as.setdefault(path, name)
    makes: list[Step] = []
    order: list[str] = []
    for path in [*reversed([one for one in trace.closure if one in needed_as]), top]:
        if moves(path):
            makes.append(_copy_step(path, needed_as.get(path, "")))
            if path != top:
                order.append(path)
    if not makes:
        return None
    steps = [*makes]
    if any(step.kind == "patch" for step in makes):
        steps.append(Step("trial", top, "", tuple(("before", path) for path in order)))
    steps += [Step("preload", path) for path in order]
    final = top if makes[-1].target == top else context.request.requested
    names = ", ".join(os.path.basename(step.target) for step in makes)
    return Plan(KIND, (*steps, Step("load", final)), why, "loaded a copy of {}, {}".format(names, how))


def _copy_step(path: str, needed_as: str) -> Step:
    """A plain copy where that serves; else one with an absolute RUNPATH, or the SONAME by which it is needed.

    Raises ``ElfError``.
    """
    from dlrepair.binary import edit
    from dlrepair.binary.elf import ElfError, read_facts
    from dlrepair.model.plan import Step

    facts = read_facts(path).elf
    if facts is None:
        raise ElfError("{} is no library".format(path))
    runpath = None
    if not path.startswith("/proc/self/"):  # what lies there moves too, and that place is another one tomorrow
        runpath = edit.absolute_runpath(facts, os.path.dirname(os.path.abspath(path)))
    change = edit.Edit(needed_as if needed_as and needed_as != facts.soname else None, runpath)
    name = os.path.basename(change.soname or path)
    return Step("patch", name, path, change.options()) if change else Step("copy", name, path)


def _other_way(target: str) -> str:
    """A path by which this process can read the file that ``target`` names, or "".

    Names come from the kernel (``/proc/self``): what a descriptor was opened as is where its file lies.
    """
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    folder = os.path.dirname(target)
    ways = []
    if here and (folder == here or folder.startswith(here.rstrip("/") + "/")):
        ways.append(os.path.join("/proc/self/cwd", os.path.relpath(target, here)))
    try:
        numbers = os.listdir("/proc/self/fd")[:_DESCRIPTORS]
    except OSError:
        numbers = []
    for number in numbers:
        link = "/proc/self/fd/" + number
        try:
            opened = os.readlink(link)
        except OSError:
            continue
        if opened == target:
            ways.append(link)
        elif opened.startswith("/") and target.startswith(opened.rstrip("/") + "/"):
            ways.append(os.path.join(link, os.path.relpath(target, opened)))
    return next((way for way in ways if _is_readable(way)), "")


def _is_readable(path: str) -> bool:
    """Whether a regular file can be read by this path; nothing else is opened."""
    import stat

    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False
