"""Strategy *patched*: a copy in the store, changed where ld.so would refuse the original; that is never touched.

Three changes, each proved by a load in a child process:

- a dependency without the SONAME that is wanted gets it, so that loading the copy first satisfies the
  DT_NEEDED entry, be it a path (glibc elf/dl-load.c, _dl_map_object compares strings);
- a DT_NEEDED entry from which nothing is taken is dropped, if no file for it is found;
- the flag that asks for an executable stack is cleared, unless the code builds trampolines on the stack.

``$ORIGIN`` in a copy's RUNPATH is written out: its neighbours stay where they are.
"""

from __future__ import annotations

import os

from dlrepair.repair import choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.binary.edit import Edit
    from dlrepair.model.diagnosis import Missing
    from dlrepair.model.plan import Plan, Step
    from dlrepair.repair.context import Context

KIND = "patched"


def applies(context: Context) -> bool:
    """Whether the stack flag is at fault, or what the file needs was not found as it is; never a free step."""
    return not context.exact and (context.diagnosis.cause == "execstack" or bool(context.diagnosis.missing))


def plan(context: Context) -> Iterator[Plan]:
    """Copies with another SONAME first; then a copy that needs less."""
    from dlrepair.binary.elf import ElfError

    makers = (_without_flag,) if context.diagnosis.cause == "execstack" else (_renamed, _without_need)
    for make in makers:
        try:
            made = make(context)
        except (OSError, ElfError) as error:  # gone or rewritten while we look, or not to be edited
            context.emit("repair-failed", strategy=KIND, reason=str(error))
            continue
        if made is not None:
            yield made


def copy_step(source: str, edit: Edit) -> Step:
    """The step that makes a changed copy of ``source``, its neighbours still in reach. Raises OSError, ElfError."""
    from dlrepair.binary import edit as editing
    from dlrepair.binary.elf import ElfError, read_facts
    from dlrepair.model.plan import Step

    facts = read_facts(source).elf
    if facts is None:
        raise ElfError("{} is no library".format(source))
    runpath = editing.absolute_runpath(facts, os.path.dirname(os.path.abspath(source)))
    if runpath is not None:
        edit.runpath = runpath
    name = os.path.basename(edit.soname or "") or os.path.basename(source)
    return Step("patch", name, source, edit.options())


# --- a dependency under the SONAME that is wanted -------------------------------------------------------------------


def _renamed(context: Context) -> Plan | None:
    from dlrepair.binary.edit import Edit
    from dlrepair.model.plan import Plan, Step

    makes: list[Step] = []
    order: list[str] = []
    named = []
    for missing in context.diagnosis.missing:
        pair = choice.serve(context, missing)
        if pair is None:
            pair = choice.serve(context, missing, renamed=True)
            if pair is None or not _is_taken_from(missing, pair[0].path):
                return None
            makes.append(copy_step(pair[0].path, Edit(soname=missing.name)))
            named.append("{} as {}".format(pair[0].path, missing.name))
        order += [path for path in (*pair[1].preload, pair[0].path) if path not in order]
    if not makes:
        return None
    final = context.request.requested
    trial = _trial(context.target, order) if context.target is not None else _trial(order[-1], order[:-1])
    steps = (*makes, trial, *(Step("preload", path) for path in order))
    return Plan(
        KIND, (*steps, Step("load", final)), "the file is there, and its SONAME is not what ld.so compares",
        "loaded a copy of {}".format(", ".join(named)),
    )  # fmt: skip


def _is_taken_from(missing: Missing, path: str) -> bool:
    """Whether what needs the missing library wants symbols that the file defines: its name alone proves nothing.

    A SONAME of another library, or of another major version, speaks against it.
    """
    from dlrepair.binary import elf
    from dlrepair.search import names

    facts = elf.read_facts(path).elf
    soname = (facts.soname if facts is not None else None) or ""
    wanted, given = (names.split(os.path.basename(name)) for name in (missing.name, soname))
    if soname and given[0] != wanted[0]:
        return False
    if wanted[3] and given[3] and names.major(wanted[3]) != names.major(given[3]):
        return False
    with elf.open_elf(missing.needed_by) as needing, elf.open_elf(path) as library:
        return any(library.defines(name) for name, _, weak in needing.undefined() if not weak)


def _trial(path: str, before: list[str]) -> Step:
    from dlrepair.model.plan import Step

    return Step("trial", path, "", tuple(("before", one) for one in before))


# --- a copy that needs less -----------------------------------------------------------------------------------------


def _without_need(context: Context) -> Plan | None:
    """Every entry without a file dropped from whatever has it, if no symbol in the closure is then undefined."""
    from dlrepair.binary import elf, scope, symbols
    from dlrepair.binary.edit import Edit

    target = context.target
    if target is None:
        return None
    trace = scope.resolve(target, process=context.view)
    lost: dict[str, list[str]] = {}
    for needed_by, name, path in trace.edges:
        if path is None and name not in lost.setdefault(needed_by, []):
            lost[needed_by].append(name)
    if any(choice.serve(context, missing) for missing in context.diagnosis.missing):
        return None  # it is there: whatever else is wrong, it is wanted
    known = set(context.view.loaded)
    fresh = [target, *(path for path in trace.closure if path not in known)]
    for path in fresh:
        if any(not one.weak for one in symbols.unresolved(path, trace.closure, process=context.view)):
            return None
        facts = elf.read_facts(path).elf
        if facts is None or any(row[0] in lost.get(path, ()) for row in facts.verneed):
            return None
    edits = {path: Edit(drop_needed=names) for path, names in lost.items() if names}
    gone = ", ".join(sorted({name for names in lost.values() for name in names}))
    return _changed(
        context, edits, trace.edges, "{} is not found, and nothing is taken from it".format(gone),
        "loaded a copy that does not need {}".format(gone),
    )  # fmt: skip


def _changed(
    context: Context, edits: dict[str, Edit], edges: tuple[tuple[str, str, str | None], ...], why: str, what: str
) -> Plan | None:
    """A plan that puts changed copies in the place of objects of the closure, deepest first."""
    from dlrepair.binary.elf import read_facts
    from dlrepair.model.plan import Plan, Step

    target = context.target
    if not edits or target is None:
        return None
    makes, order = [], []
    for path in reversed(list(dict.fromkeys([target, *(path for _, _, path in edges if path)]))):
        if path not in edits:
            continue
        if path != target:
            name = next(name for _, name, found in edges if found == path)
            facts = read_facts(path).elf
            if facts is None or facts.soname != name:
                edits[path].soname = name
            order.append(path)
        makes.append(copy_step(path, edits[path]))
    final = target if target in edits else context.request.requested
    steps = (*makes, _trial(target, order), *(Step("preload", path) for path in order), Step("load", final))
    return Plan(KIND, steps, why, what)


# --- an executable stack --------------------------------------------------------------------------------------------


def _without_flag(context: Context) -> Plan | None:
    from dlrepair.binary import edit, elf, scope

    target = context.target
    if target is None:
        return None
    trace = scope.resolve(target, process=context.view)
    known = set(context.view.loaded)
    edits = {}
    for path in (target, *trace.closure):
        facts = elf.read_facts(path).elf
        if path in known or facts is None or not facts.execstack:
            continue
        with elf.open_elf(path) as library:
            if edit.has_trampolines(library.image):
                reason = "{} builds trampolines on the stack (GCC's nested functions): it needs that".format(path)
                context.emit("repair-failed", strategy=KIND, reason=reason)
                context.outcome = reason
                return None
        edits[path] = edit.Edit(clear_execstack=True)
    named = ", ".join(os.path.basename(path) for path in edits)
    return _changed(
        context, edits, trace.edges, "nothing in {} uses an executable stack".format(named),
        "loaded a copy of {} that asks for no executable stack".format(named),
    )  # fmt: skip
