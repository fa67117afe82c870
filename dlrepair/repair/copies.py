"""The steps ``patch``, ``copy`` and ``trial``: copies of libraries in the store, proved before they are used."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.plan import Step
    from dlrepair.repair.context import Context


def take(context: Context, step: Step) -> None:
    """Does the step. Raises OSError, ElfError."""
    if step.kind == "trial":
        _trial(context, step)
        return
    from dlrepair.repair import surroundings

    context.inputs += ((step.target, surroundings.signature(step.target)),)
    if step.kind == "patch":
        _patch(context, step)
    else:
        context.made[step.target] = _add_copy(step.target, step.path)


def _patch(context: Context, step: Step) -> None:
    """A copy of ``step.target`` called ``step.path``, changed as the options say and read again."""
    from dlrepair.binary import edit, elf

    wanted = edit.Edit.of(step.options)
    with elf.open_elf(step.target) as library:
        changes = edit.patches(library.image, wanted)
    path = _add_copy(step.target, step.path, changes)
    found = elf.read_facts(path).elf
    if found is None or not edit.holds(found, wanted):
        raise OSError("the copy of {} is not what it should be".format(step.target))
    context.made[step.target] = path


def _add_copy(source: str, name: str, changes: Sequence[tuple[int, bytes]] = ()) -> str:
    """Path of a copy that ld.so can map: in the store, or in memory where the store too is mounted noexec."""
    from dlrepair.diagnose.rules_process import mount_of
    from dlrepair.store import objects

    path = objects.add(source, name, changes)
    if path is None or "noexec" in mount_of(path)[1]:
        path = _copy_in_memory(source, name, changes)
    return path


def _copy_in_memory(source: str, name: str, changes: Sequence[tuple[int, bytes]]) -> str:
    """Path of an anonymous file (memfd_create(2)) with these contents; its descriptor stays open to the end.

    ld.so knows the library by this path: the number must never stand for another file.
    """
    create = getattr(os, "memfd_create", None)
    if create is None:
        raise OSError("no place to keep a copy of {} in: every one is mounted noexec".format(source))
    descriptor: int = create(name)
    with open(source, "rb") as stream:
        while True:
            data = stream.read(1 << 20)
            if not data:
                break
            os.write(descriptor, data)
    for offset, data in changes:
        os.pwrite(descriptor, data, offset)
    return "/proc/{}/fd/{}".format(os.getpid(), descriptor)


def _trial(context: Context, step: Step) -> None:
    """Loads in a child process what the option ``before`` names, in order, then ``step.path``. Raises OSError."""
    from dlrepair.binary import scope
    from dlrepair.search import closure, gates, trial

    before = [context.made.get(path, path) for key, path in step.options if key == "before"]
    path = context.made.get(step.path, step.path)
    mapped = closure.mapped_needs(scope.resolve(path, process=context.view, preloaded=tuple(before)))
    shared, local = gates.around(context.view, mapped, context.request.op_loader)
    seconds = gates.OP_TIMEOUT if context.request.op_loader else gates.TIMEOUT
    result = trial.run([*local, *before, path], global_first=shared, timeout=seconds)
    if not result.ok:
        raise OSError("in a child process: {}".format(result.detail))
