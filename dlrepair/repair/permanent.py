"""A repair made permanent: the files that ``dlrepair fix --write`` puts in the user's tree, and how they go again.

Links and copies are all that is ever written: the library at the path that the program asks for, and what it
needs in a directory of its RUNPATH; where there is none, a copy with a RUNPATH that leads there. What stood
there before is kept, byte for byte, in the state directory (it is no cache: the store may be deleted at any
moment, this may not), and ``undo`` puts it back.
"""

from __future__ import annotations

import os
import stat

from dlrepair.repair import putting
from dlrepair.repair.putting import SYSTEM, Refused
from dlrepair.settings import dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

    from dlrepair.binary.edit import Edit
    from dlrepair.repair.context import Context

class Write:
    """One file to be: ``path`` becomes a link to ``source``, or a copy of it."""

    __slots__ = ("copy", "path", "source")

    def __init__(self, path: str, source: str, copy: bool) -> None:
        self.path = path
        self.source = source
        self.copy = copy

    def __repr__(self) -> str:
        return "{} {} {}".format(self.path, "a copy of" if self.copy else "->", self.source)


def plan_writes(context: Context) -> tuple[Write, ...]:
    """What has to stand where for the load to succeed without us. Raises ``Refused`` where no file can do that."""
    plan, target = context.plan_done, context.target
    if plan is None:
        raise Refused("there is no repair to make permanent")
    if target is None:
        raise Refused("{} is a bare name, which ld.so looks up in its own path".format(context.request.requested))
    final = context.made.get(plan.steps[-1].path, plan.steps[-1].path)
    final = os.path.join(context.request.cwd, final)
    writes: list[Write] = []
    moved = os.path.realpath(final) != os.path.realpath(target)
    changed = _Changed(final if moved else "")
    for step in plan.steps:
        path = os.path.realpath(context.made.get(step.path, step.path))
        if step.kind == "promote":
            changed.needs(final, path)
        elif step.kind == "preload":
            place = _place_for(path, final, target, writes, changed)
            if place:
                writes.append(Write(place, path, _in_store(path)))
    if moved and not changed.edits.get(final):
        writes.insert(0, Write(target, final, _in_store(final)))
    for original, copy in changed.copies():
        writes.append(Write(target if original == final else original, copy, True))
    if not writes:
        raise Refused("the repair changes nothing that lies in a file")
    return tuple(writes)


def _in_store(path: str) -> bool:
    from dlrepair import store

    base = store.location()
    return bool(base) and (os.path.realpath(path) + "/").startswith(os.path.realpath(base) + "/")


class _Changed:
    """Libraries whose dynamic section has to say more than it does: a directory, or a library by name."""

    def __init__(self, moved: str) -> None:
        self.edits: dict[str, Edit] = {}  #: path of the library -> what its copy gets
        self._moved = moved  #: the library whose copy will stand in another directory: its $ORIGIN is written out
        if moved:
            self._of(moved)

    def _of(self, path: str) -> Edit:
        from dlrepair.binary.edit import Edit

        if path.startswith(SYSTEM):
            raise Refused("{} belongs to the system".format(path))
        if path not in self.edits:
            self.edits[path] = Edit(runpath=self._written_out() if path == self._moved else None)
        return self.edits[path]

    def _written_out(self) -> str | None:
        from dlrepair.binary import edit, elf

        facts = elf.read_facts(self._moved).elf
        try:
            return None if facts is None else edit.absolute_runpath(facts, os.path.dirname(self._moved))
        except elf.ElfError as error:
            raise Refused(str(error)) from None

    def needs(self, path: str, provider: str) -> None:
        """A DT_NEEDED entry for what defines symbols that are wanted: by its SONAME, which a mapped one answers to."""
        from dlrepair.binary import elf

        facts = elf.read_facts(provider).elf
        edit = self._of(path)
        edit.add_needed += ((facts.soname if facts is not None else None) or provider,)
        self.leads_to(path, os.path.dirname(provider))

    def leads_to(self, path: str, folder: str) -> None:
        """A RUNPATH that ends in ``folder``, from ``$ORIGIN`` where that is near."""
        from dlrepair.binary import elf

        edit = self._of(path)
        facts = elf.read_facts(path).elf
        before = edit.runpath
        if before is None and facts is not None:
            before = facts.runpath or facts.rpath
        relative = os.path.relpath(folder, os.path.dirname(path))
        far = path == self._moved or relative.startswith("../../..")
        entry = folder if far else os.path.join("$ORIGIN", relative).rstrip("/.")
        if entry not in (before or "").split(":"):
            edit.runpath = before + ":" + entry if before else entry

    def copies(self) -> Iterator[tuple[str, str]]:
        """(library, path of its changed copy in the store). Raises ``Refused``."""
        from dlrepair.binary import edit, elf
        from dlrepair.store import objects

        for path, wanted in self.edits.items():
            if not wanted:
                continue
            try:
                with elf.open_elf(path) as library:
                    changes = edit.patches(library.image, wanted)
            except elf.ElfError as error:
                raise Refused("{}: {}".format(path, error)) from None
            copy = objects.add(path, os.path.basename(path), changes)
            found = elf.read_facts(copy).elf if copy is not None else None
            if copy is None or found is None or not edit.holds(found, wanted):
                raise Refused("no changed copy of {} could be made".format(path))
            yield path, copy


def _place_for(dependency: str, final: str, target: str, writes: list[Write], changed: _Changed) -> str:
    """Path where ld.so, on its way through ``final``'s needs, would find ``dependency`` by its SONAME; "" if it does.

    The first directory of an RPATH or RUNPATH that exists and is the user's to write. Where there is none,
    what needs the library gets a RUNPATH to where it lies. ``target`` is the path that the program asks for.
    """
    from dlrepair.binary import elf, scope

    facts = elf.read_facts(dependency).elf
    name = (facts.soname if facts is not None else None) or os.path.basename(dependency)
    trace = scope.resolve(final, preloaded=tuple(one.source for one in writes))
    missing = [one for one in trace.missing if one.name == name]
    if not missing:
        return ""
    for place, reason in missing[0].tried:
        folder, called = os.path.split(place)
        own = reason.startswith(("rpath", "runpath")) and called == name
        system = not os.path.isabs(folder) or (os.path.realpath(folder) + "/").startswith(SYSTEM)
        if own and not system and os.access(folder, os.W_OK) and not os.path.lexists(place):
            return place
    needed_by = missing[0].needed_by
    if os.path.basename(dependency) == name and not _in_store(dependency):
        changed.leads_to(needed_by, os.path.dirname(dependency))
        return ""
    # what was built lies in the store, in which nothing is put: its needs come beside the copy that is asked for
    beside = target if _in_store(needed_by) else os.path.realpath(needed_by)
    changed.leads_to(needed_by, os.path.dirname(beside))
    return os.path.join(os.path.dirname(beside), name)


# --- writing and undoing --------------------------------------------------------------------------------------------


def _folder(path: str) -> str:
    """Directory of what was kept for ``path``; made private. Raises ``Refused``."""
    from dlrepair import store

    base = dirs.state_home()
    if not base:
        raise Refused("there is no home directory to keep the former files in")
    folder = os.path.join(base, "dlrepair", "written", store.key_of(os.path.abspath(path)))
    for part in (os.path.dirname(folder), folder):
        problem = dirs.make_private(part)
        if problem is not None:
            raise Refused(problem)
    return folder


def write(target: str, writes: Iterable[Write]) -> list[str]:
    """Paths that were written; what stood there is kept first. All of them or none. Raises ``Refused`` or OSError."""
    folder = _folder(target)
    record = os.path.join(folder, "record")
    if os.path.lexists(record):
        if not _changed(_read_record(record) or []):
            raise Refused("a repair of {} is written already; undo it first".format(target))
        _set_aside(folder)
        folder = _folder(target)
    lines = []
    done: list[str] = []
    try:
        for one in writes:
            for absent in putting.absent_folders(one.path):
                lines.append((absent, "no directory", ""))
                _store_record(record, lines)
                putting.make_folder(absent)
            kept = os.path.join(folder, "kept{}".format(len(lines)))
            lines.append((one.path, _keep(one.path, kept), ""))
            _store_record(record, lines)
            done.append(one.path)
            _put(one)
            lines[-1] = (one.path, lines[-1][1], putting.state(one.path))
            _store_record(record, lines)
    except BaseException:
        undo(target, force=True)
        raise
    return done


def _changed(lines: list[tuple[str, str, str]]) -> bool:
    """Whether somebody has deleted or replaced what was written: there is nothing to undo any more."""
    return any(state and putting.state(path) != state for path, _, state in lines)


def _set_aside(folder: str) -> None:
    """Makes room for another record; the former files that the old one kept stay where they can be found."""
    number = 1
    while os.path.lexists("{}.{}".format(folder, number)):
        number += 1
    aside = "{}.{}".format(folder, number)
    os.rename(folder, aside)
    if not any(name.startswith("kept") for name in os.listdir(aside)):
        os.unlink(os.path.join(aside, "record"))
        os.rmdir(aside)


def _keep(path: str, kept: str) -> str:
    """What stood at ``path``: ``absent``, ``link TARGET`` or ``file`` (then it was copied to ``kept``)."""
    try:
        info = os.lstat(path)
    except OSError:
        return "absent"
    if stat.S_ISLNK(info.st_mode):
        return "link " + os.readlink(path)
    if not stat.S_ISREG(info.st_mode):
        raise Refused("{} is neither a file nor a link".format(path))
    putting.copy(path, kept)
    putting.give(kept, path)
    os.chmod(kept, stat.S_IMODE(info.st_mode))
    os.utime(kept, ns=(info.st_atime_ns, info.st_mtime_ns))
    return "file"


def _put(one: Write) -> None:
    temporary = "{}.dlrepair-{}".format(one.path, os.getpid())
    try:
        if one.copy:
            putting.copy(one.source, temporary)
            os.chmod(temporary, 0o755)
            putting.give(temporary, os.path.dirname(one.path))
        else:
            beside = os.path.relpath(one.source, os.path.dirname(one.path))
            os.symlink(beside if not beside.startswith("../../..") else one.source, temporary)
        os.replace(temporary, one.path)
    except BaseException:
        putting.unlink(temporary)
        raise


def undo(target: str, force: bool = False) -> list[str]:
    """Paths that are again what they were before ``write``. Raises ``Refused`` if somebody has changed one since.

    ``force``: whatever they hold now (``write`` itself failed half-way).
    """
    folder = _folder(target)
    record = os.path.join(folder, "record")
    lines = _read_record(record)
    if lines is None:
        raise Refused("nothing of dlrepair's is written for {}".format(target))
    for path, _, state in lines:
        if not force and state and putting.state(path) != state:
            raise Refused("{} has been changed since; the former file is {}".format(path, folder))
    for at in range(len(lines) - 1, -1, -1):
        path, before, _ = lines[at]
        _restore(path, before, os.path.join(folder, "kept{}".format(at)))
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    return [path for path, _, _ in lines]


def _restore(path: str, before: str, kept: str) -> None:
    if before == "absent":
        putting.unlink(path)
        return
    if before == "no directory":
        try:
            os.rmdir(path)
        except OSError:
            pass  # something else lies in it by now, or it is gone
        return
    temporary = "{}.dlrepair-{}".format(path, os.getpid())
    try:
        if before == "file":
            info = os.stat(kept)
            putting.copy(kept, temporary)
            putting.give(temporary, kept)
            os.chmod(temporary, stat.S_IMODE(info.st_mode))
            os.utime(temporary, ns=(info.st_atime_ns, info.st_mtime_ns))
        else:
            os.symlink(before[len("link ") :], temporary)
        os.replace(temporary, path)
    except BaseException:
        putting.unlink(temporary)
        raise


def _store_record(record: str, lines: list[tuple[str, str, str]]) -> None:
    import json

    with open(record + ".new", "w", encoding="utf-8", errors="surrogateescape") as stream:
        json.dump(lines, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(record + ".new", record)


def _read_record(record: str) -> list[tuple[str, str, str]] | None:
    import json

    try:
        with open(record, encoding="utf-8", errors="surrogateescape") as stream:
            return [(str(path), str(before), str(state)) for path, before, state in json.load(stream)]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise Refused("the record of what was written is damaged: {}: {}".format(record, error)) from None
