"""Vet a file inside an archive: its first bytes where it lies, the rest in a private tree that goes if it does not fit.

ld.so needs a file, and a wheel's library needs its neighbours: what its DT_NEEDED entries name is taken out with it,
into the same places relative to one another, so that its RUNPATH leads there. The tree lies in dlrepair's
store. It stays only when the library is accepted, under the digest of everything in it.
"""

from __future__ import annotations

import os
import time

from dlrepair.binary import elf
from dlrepair.model.candidate import Verdict
from dlrepair.search import archives
from dlrepair.search.vet import Rejected, Vetting, check_trust_of, is_excluded_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bounds of what is taken out for one candidate: files, bytes, and how many bytes one packed byte may become.
MAX_FILES = 64
MAX_BYTES = 1 << 30
MAX_RATIO = 200
_SMALL = 64 << 20  #: below this size the ratio does not matter
_CHUNK = 1 << 20
_SYMBOLIC_LINK = 0o120000
_ENCRYPTED = 1


def vet_member(outer: Vetting, archive: str, member: str, trial: bool) -> Verdict:
    """Return the verdict on one member of an archive; an accepted one's ``path`` is the file in the store."""
    from dlrepair.model.records import replace
    from dlrepair.store import trees

    tree = ""
    try:
        if is_excluded_path(archive, outer.settings) or is_excluded_path(outer.path, outer.settings):
            raise Rejected("excluded", "the setting exclude names {}".format(outer.path))
        with _open_trusted(archive, outer) as stream:
            content = archives.open_directory(stream)
            _check_entry(content.getinfo(member))
            _check_first_bytes(content, member)
            tree = trees.new_tree() or ""
            if not tree:
                raise Rejected("no-store", "there is no store to unpack {} into".format(outer.path))
            taken = _take_out(content, member, tree, outer.deadline)
        inner = Vetting(
            replace(outer.candidate, path=os.path.join(tree, member)), outer.wanted, outer.request,
            outer.settings.replace(exclude=()), outer.process, outer.registered, outer.deadline, outer.stack,
        )  # fmt: skip
        verdict = inner.run(trial)
        return _settle(verdict, outer, archive, member, tree, taken)
    except archives.Unreadable as why:
        return Verdict(outer.path, False, "not-a-file", "{}: {}".format(archive, why))
    except Rejected as no:
        return Verdict(outer.path, False, no.reason, no.detail)
    except Exception as error:  # zipfile and zlib raise a dozen kinds for damaged input
        return Verdict(outer.path, False, "not-a-file", "{}: {}".format(outer.path, error))
    finally:
        if tree:
            trees.drop_tree(tree)


def _open_trusted(archive: str, outer: Vetting) -> Any:
    """Return the archive opened through the descriptor on which trust was checked. Raises ``Rejected``."""
    from dlrepair import trust

    descriptor, clause = trust.open_checked(archive, outer.request.script)
    if clause is not None:
        check_trust_of(archive, clause)
    return os.fdopen(descriptor, "rb")


def is_safe(name: str) -> bool:
    """Tell whether a member's name stays inside the directory that it is unpacked into."""
    parts = name.split("/")
    return bool(name) and not any(part in ("", ".", "..") for part in parts) and not set("\\\0") & set(name)


def _check_entry(info: Any) -> None:
    """Refuse an entry that is no plain file, or would leave its directory, or is a bomb. Raises ``Rejected``."""
    if not is_safe(info.filename):
        raise Rejected("unsafe-name", "{!r} would be unpacked outside its directory".format(info.filename))
    if (info.external_attr >> 16) & 0o170000 == _SYMBOLIC_LINK or info.flag_bits & _ENCRYPTED:
        raise Rejected("not-a-file", "{} is a symbolic link, or encrypted".format(info.filename))
    if info.file_size > MAX_BYTES or (info.file_size > _SMALL and info.file_size > MAX_RATIO * info.compress_size):
        raise Rejected("too-large", "{} would be {} bytes long".format(info.filename, info.file_size))


def _check_first_bytes(content: Any, member: str) -> None:
    """Refuse what its first bytes show to be no library of this machine: nothing is unpacked for it."""
    with content.open(member) as stream:
        first = stream.read(20)
    if first[:4] != b"\x7fELF":
        raise Rejected("not-elf", "{} is no ELF file".format(member))
    bits, little, machine = elf.NATIVE
    if first[4:5] != (b"\2" if bits == 64 else b"\1"):
        raise Rejected("wrong-class", "{} is for a machine of another word size".format(member))
    found = int.from_bytes(first[18:20], "little" if first[5:6] == b"\1" else "big")
    if first[5:6] != (b"\1" if little else b"\2") or found != machine:
        raise Rejected("wrong-machine", "{} is for {}".format(member, elf.machine_name(found)))


def _take_out(content: Any, member: str, tree: str, deadline: float) -> list[tuple[str, str]]:
    """Unpack a member and what it needs from the same archive; return (name, digest) of each. Raises ``Rejected``."""
    present = set(content.namelist())
    packages = sorted({name.split("/", 1)[0] for name in present if name.split("/", 1)[0].endswith(".libs")})
    todo = [member]
    done: dict[str, str] = {}
    left = MAX_BYTES
    while todo:
        name = todo.pop()
        if name in done:
            continue
        info = content.getinfo(name)
        _check_entry(info)
        left -= info.file_size
        if left < 0 or len(done) >= MAX_FILES:
            raise Rejected("too-large", "with what it needs, {} exceeds the bounds of unpacking".format(member))
        path = os.path.join(tree, name)
        done[name] = _write_member(content, info, tree, deadline)
        facts = elf.read_facts(path).elf
        if facts is None:
            continue
        for needed in facts.needed:
            for place in _places(name, facts.runpath or facts.rpath or "", packages):
                wanted = "/".join(part for part in (place, needed) if part)
                if wanted in present and is_safe(wanted):
                    todo.append(wanted)
                    break
    return sorted(done.items())


def _places(member: str, run_path: str, packages: list[str]) -> list[str]:
    """Return the directories in which what a member needs may lie: its RUNPATH's, its own, ``*.libs``."""
    own = member.rpartition("/")[0]
    found = []
    for entry in run_path.split(":"):
        for origin in ("$ORIGIN", "${ORIGIN}"):
            if entry == origin or entry.startswith(origin + "/"):
                place = os.path.normpath(os.path.join(own or ".", "." + entry[len(origin) :]))
                if place != ".." and not place.startswith("../"):
                    found.append("" if place == "." else place)
    return found + [own] + packages


def _write_member(content: Any, info: Any, tree: str, deadline: float) -> str:
    """Unpack one member, written through to the disk; return the digest of its bytes. Raises ``Rejected``, OSError."""
    path = tree
    for part in info.filename.split("/")[:-1]:
        path = os.path.join(path, part)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
    path = os.path.join(tree, info.filename)
    summed = _Digest()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    with content.open(info) as packed, os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
        written = 0
        while True:
            if time.monotonic() >= deadline:
                raise Rejected("budget", "unpacking {} did not end within the search budget".format(info.filename))
            chunk = packed.read(_CHUNK)
            if not chunk:
                break
            written += len(chunk)
            if written > info.file_size:
                raise Rejected("too-large", "{} is longer than its entry says".format(info.filename))
            stream.write(chunk)
            summed.update(chunk)
    return summed.text()


class _Digest:
    """BLAKE2b of a file's bytes; a chain of keys where this interpreter has no hash module that works."""

    def __init__(self) -> None:
        try:
            from _blake2 import blake2b

            self._hash: Any = blake2b(digest_size=16)
        except ImportError:
            self._hash = None
        self._chain = ""

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)
        else:
            from dlrepair import store

            self._chain = store.key_of(self._chain, data.decode("latin-1"))

    def text(self) -> str:
        return str(self._hash.hexdigest()) if self._hash is not None else self._chain


def _digest_of(path: str) -> str:
    summed = _Digest()
    with open(path, "rb") as stream:
        while True:
            chunk = stream.read(_CHUNK)
            if not chunk:
                return summed.text()
            summed.update(chunk)


def _settle(
    verdict: Verdict, outer: Vetting, archive: str, member: str, tree: str, taken: list[tuple[str, str]]
) -> Verdict:
    """Return the verdict in the archive's terms; the tree of an accepted one is kept first."""
    from dlrepair import store
    from dlrepair.model.records import replace
    from dlrepair.store import trees

    inside = archive + archives.SEPARATOR
    facts = tuple((key, value.replace(tree + "/", inside)) for key, value in verdict.facts)
    detail, trial = verdict.detail.replace(tree + "/", inside), verdict.trial.replace(tree + "/", inside)
    if not verdict.accepted:
        return replace(verdict, path=outer.path, detail=detail, trial=trial, facts=facts)
    for name, _ in taken:
        _flush(os.path.join(tree, name))

    def same(final: str) -> bool:
        try:
            return all(_digest_of(os.path.join(final, name)) == digest for name, digest in taken)
        except OSError:
            return False

    final = trees.keep_tree(tree, store.key_of(*[text for pair in taken for text in pair]), same)
    if final is None:
        return replace(verdict, path=outer.path, accepted=False, reason="no-store", detail="the store cannot keep it")
    preload = tuple(final + path[len(tree) :] if path.startswith(tree + "/") else path for path in verdict.preload)
    path = os.path.join(final, member)
    facts += (("archive", archive), ("extracted", path))
    return replace(verdict, path=path, detail=detail, trial=trial, facts=facts, preload=preload)


def _flush(path: str) -> None:
    """Write a file through to the disk before its tree gets the name that stands for its contents (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
