"""Rules about the file that was asked for: is it there, may it be read, is it a library for this machine."""

from __future__ import annotations

import os

from dlrepair.binary.elf import NATIVE, describe, fits_here, libc_family, machine_name, read_facts
from dlrepair.diagnose.facts import is_dir, is_file
from dlrepair.diagnose.rule import Finding, Rule, fact, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.diagnose.facts import Facts
    from dlrepair.model.diagnosis import Evidence
    from dlrepair.model.facts import ElfFacts, FileFacts

#: Kinds of files that no loader takes, whatever the machine.
_NO_LIBRARY = (
    "directory",
    "fifo",
    "device",
    "socket",
    "archive",
    "linker-script",
    "text",
    "html",
    "lfs-pointer",
    "zip",
)

#: What somebody can do about such a file.
_INSTEAD = {
    "directory": "Name the library inside the directory {path}.",
    "archive": "gcc -shared -o {so} -Wl,--whole-archive {path} -Wl,--no-whole-archive",
    "linker-script": "Name the library that the linker script {path} stands for: cat {path}",
    "html": "Download {path} again: a web page was saved in its place.",
    "lfs-pointer": "git lfs pull --include {path}",
    "zip": "Unpack {path} and name the library inside: unzip -l {path}",
    "text": "Replace {path} by the library itself: it is a text (a link that became a file, or a failed download).",
}


def _gone(facts: Facts) -> bool:
    return facts.file.kind in ("missing", "dangling-link", "link-loop")


def _wrong_cwd(facts: Facts) -> Finding | None:
    if not _gone(facts):
        return None
    found = facts.elsewhere()
    return Finding(facts.target or "", found) if found else None


def _wrong_cwd_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    request = facts.request
    proof = [
        fact(
            "requested",
            "{} is relative: it is looked for in {}".format(request.requested, request.cwd),
            request.requested,
        ),
        fact("absent", "{} does not exist".format(facts.target), facts.target or ""),
    ]
    for path, base in finding.detail[:5]:
        proof.append(fact("exists", "{} exists: {}".format(path, base), path))
    if request.start_cwd and request.start_cwd != request.cwd:
        proof.append(
            fact(
                "chdir",
                "the program was started in {} and has changed its directory".format(request.start_cwd),
                request.start_cwd,
            )
        )
    return tuple(proof)


def _wrong_cwd_step(facts: Facts, finding: Finding) -> str:
    path = str(finding.detail[0][0])
    base = (
        path[: -len(os.path.normpath(facts.request.requested)) - 1]
        if path.endswith(os.path.normpath(facts.request.requested))
        else ""
    )
    if base:
        return "cd {} before the start, or give the absolute path {}".format(quote(base), path)
    return "Give the absolute path {}".format(path)


def _missing(facts: Facts) -> Finding | None:
    return Finding(facts.path or facts.request.requested) if _gone(facts) else None


def _missing_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof = []
    if facts.target is None:
        name = facts.request.requested
        proof.append(
            fact(
                "searched",
                "{} has no directory: ld.so searched for it in {} places".format(
                    name or "the empty name", len(facts.leaf_tried)
                ),
                len(facts.leaf_tried),
            )
        )
        for place, reason in facts.leaf_tried[:20]:
            proof.append(fact("tried", "{}: {}".format(place, reason), place))
        here = os.path.join(facts.request.cwd, name)
        if name and is_file(here):
            proof.append(fact("cwd", "{} exists, but dlopen never looks in the working directory".format(here), here))
        return tuple(proof)
    file = facts.file
    proof.append(fact("absent", "{}: {}".format(file.path, file.detail), file.kind))
    directory = os.path.dirname(file.path)
    if file.kind == "missing" and not is_dir(directory):
        above = directory
        while above not in ("", "/") and not is_dir(above):
            above = os.path.dirname(above)
        proof.append(
            fact("no-directory", "its directory {} does not exist; {} does".format(directory, above), directory)
        )
    if facts.is_relative:
        proof.append(
            fact("cwd", "{} is looked for in {}".format(facts.request.requested, facts.request.cwd), facts.request.cwd)
        )
    return tuple(proof)


def _missing_step(facts: Facts, finding: Finding) -> str:
    name = facts.request.requested
    if facts.target is None:
        here = os.path.join(facts.request.cwd, name)
        if name and is_file(here):
            return "Give the library with its directory: ./{}".format(name)
    return (
        "dlrepair search {}".format(quote(os.path.basename(name)))
        if os.path.basename(name)
        else "Give the library's path."
    )


def _unreadable(facts: Facts) -> Finding | None:
    return Finding(facts.path or "") if facts.file.kind == "unreadable" else None


def unreadable_evidence(path: str, file: FileFacts) -> tuple[Evidence, ...]:
    """Who may read ``path``, and the first directory above it that this user may not search."""
    proof = [fact("unreadable", "{}: {}".format(path, file.detail), path)]
    if file.mode:
        proof.append(
            fact(
                "mode",
                "its mode is {:04o}, its owner is uid {}; this process runs as uid {}".format(
                    file.mode & 0o7777, file.owner, os.geteuid()
                ),
                "{:04o}".format(file.mode & 0o7777),
            )
        )
    blocked = first_closed(path)
    if blocked:
        proof.append(
            fact(
                "closed-directory",
                "the directory {} may not be searched by uid {}".format(blocked, os.geteuid()),
                blocked,
            )
        )
    return tuple(proof)


def first_closed(path: str) -> str:
    """The topmost directory above ``path`` without search permission for this process, or ""."""
    parts = os.path.abspath(path).split("/")
    for index in range(1, len(parts)):
        directory = "/".join(parts[:index]) or "/"
        if is_dir(directory) and not os.access(directory, os.X_OK):
            return directory
    return ""


def _unreadable_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return unreadable_evidence(finding.path, facts.file)


def unreadable_step(facts: Facts, finding: Finding) -> str:
    closed = first_closed(finding.path)
    if closed:
        return "chmod +x {}".format(quote(closed))
    return "chmod +r {}".format(quote(finding.path))


def _empty_or_cut(facts: Facts) -> Finding | None:
    return Finding(facts.path or "") if is_cut(facts.file) else None


def is_cut(file: FileFacts) -> bool:
    """Whether bytes are missing that the file's own headers promise."""
    if file.kind == "empty" or (file.kind == "data" and file.detail.startswith("damaged ELF")):
        return True
    return file.elf is not None and (file.elf.truncated or bool(file.elf.error)) and not _other_machine(file.elf)


def cut_evidence(file: FileFacts) -> tuple[Evidence, ...]:
    elf = file.elf
    if file.kind == "empty":
        return (fact("size", "{} is empty".format(file.path), 0),)
    proof = [fact("size", "{} has {} bytes".format(file.path, file.size), file.size)]
    if elf is not None and elf.load_end > file.size:
        proof.append(
            fact(
                "load-end",
                "its program headers map {} bytes: {} are missing".format(elf.load_end, elf.load_end - file.size),
                elf.load_end,
            )
        )
    reason = (elf.error if elf is not None else "") or (file.detail if elf is None else "")
    if reason:
        proof.append(fact("damage", reason, reason))
    return tuple(proof)


def _cut_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return cut_evidence(facts.file)


def restore_step(facts: Facts, finding: Finding) -> str:
    """How to get a damaged file back: its package, its repository or its build."""
    path = finding.path
    package = package_of(path)
    if package:
        return "pip install --force-reinstall --no-deps {}".format(package)
    return "Copy or build {} again: what is there is not the whole file.".format(path)


def package_of(path: str) -> str:
    """Name of the installed distribution that holds ``path``, from the directory in site-packages; "" outside."""
    for mark in ("/site-packages/", "/dist-packages/"):
        base, found, rest = path.partition(mark)
        if not found:
            continue
        top = rest.split("/")[0]
        root = base + mark
        try:
            infos = [name for name in os.listdir(root) if name.endswith(".dist-info")]
        except OSError:
            return ""
        for info in infos:
            if _records(os.path.join(root, info, "RECORD"), rest):
                return info[: -len(".dist-info")].rsplit("-", 1)[0]
        return top if top.isidentifier() and any(info.lower().startswith(top.lower() + "-") for info in infos) else ""
    return ""


def _records(record: str, name: str) -> bool:
    try:
        with open(record, "rb") as file:
            return (name + ",").encode("utf-8", "surrogateescape") in file.read(1 << 24)
    except OSError:
        return False


def _foreign(facts: Facts) -> Finding | None:
    file = facts.file
    if file.kind in ("macho", "pe"):
        import sys

        return Finding(facts.path or "", file.detail) if sys.platform.startswith("linux") else None
    elf = file.elf
    if elf is None or _other_machine(elf):
        return None
    if elf.osabi not in (0, 3):
        return Finding(facts.path or "", fits_here(elf))
    ours, theirs = _own_libc(facts), libc_family(elf)
    if theirs and ours and theirs != ours and _needs_foreign_libc(facts):
        return Finding(
            facts.path or "", "it was built for the C library {} and this process runs on {}".format(theirs, ours)
        )
    return None


def _own_libc(facts: Facts) -> str:
    main = read_facts(facts.view.main).elf if facts.view.main else None
    if main is None:
        return ""
    if main.interp and "ld-musl" in main.interp:
        return "musl"
    return libc_family(main) or ("gnu" if main.interp and "ld-linux" in main.interp else "")


def _needs_foreign_libc(facts: Facts) -> bool:
    """Whether the foreign C library is not at hand (some systems carry both: then the load may work)."""
    trace = facts.trace
    return trace is None or bool(trace.failures)


def _foreign_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    file = facts.file
    proof = [fact("format", "{}: {}".format(file.path, file.detail), file.kind)]
    if file.elf is not None:
        proof.append(fact("libc", str(finding.detail), libc_family(file.elf)))
        if facts.trace is not None:
            for entry in facts.trace.failures[:5]:
                ends = "the search ends at {}".format(entry.blocked_by) if entry.blocked_by else "it is not found"
                proof.append(fact("needed", "it needs {}: {}".format(entry.name, ends), entry.name))
    return tuple(proof)


def _foreign_step(facts: Facts, finding: Finding) -> str:
    package = package_of(finding.path)
    if package:
        return "pip install --force-reinstall --no-cache-dir {}".format(package)
    return "Build {} on this system, or fetch its Linux {} build.".format(
        os.path.basename(finding.path), machine_name(NATIVE[2])
    )


def _no_library(facts: Facts) -> Finding | None:
    file = facts.file
    if file.kind in _NO_LIBRARY or file.kind == "data":
        return Finding(facts.path or "", file.detail)
    elf = file.elf
    if elf is None or _other_machine(elf) or elf.truncated or elf.error:
        return None
    reason = fits_here(elf)
    return Finding(facts.path or "", reason) if reason else None


def _no_library_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    file = facts.file
    proof = [fact("kind", "{}: {}".format(file.path, file.detail or "no shared library"), file.kind)]
    if file.elf is not None:
        proof.append(fact("type", str(finding.detail), file.elf.etype))
    return tuple(proof)


def _no_library_step(facts: Facts, finding: Finding) -> str:
    file = facts.file
    path = finding.path
    stem = path[: path.rfind(".")] if "." in os.path.basename(path) else path
    template = _INSTEAD.get(file.kind)
    if template:
        return template.format(path=quote(path), so=quote(stem + ".so"))
    if file.elf is not None and file.elf.etype == 1:
        return "Link the object file: gcc -shared -o {} {}".format(quote(stem + ".so"), quote(path))
    if file.elf is not None:
        return "Link {} with -shared: as it is, it is a program.".format(path)
    return "Give the path of the library itself: {} is none.".format(path)


def _other_machine(elf: ElfFacts) -> bool:
    return (elf.bits, elf.little, elf.machine) != NATIVE


def _wrong_arch(facts: Facts) -> Finding | None:
    elf = facts.file.elf
    return Finding(facts.path or "") if elf is not None and _other_machine(elf) else None


def _wrong_arch_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    file = facts.file
    bits, _little, machine = NATIVE
    proof = [
        fact(
            "machine",
            "{}: {}".format(file.path, describe(file.elf) if file.elf is not None else file.detail),
            file.elf.machine if file.elf is not None else "",
        ),
        fact("process", "this process is {}-bit {}".format(bits, machine_name(machine)), machine),
    ]
    if facts.symptom.kind == "not-found":
        proof.append(fact("words", 'glibc says "No such file" also for a file of another machine: it exists', "exists"))
    return tuple(proof)


RULES = (
    Rule("relative path, other directory", "wrong-cwd", _wrong_cwd, _wrong_cwd_evidence, _wrong_cwd_step),
    Rule("no file", "file-missing", _missing, _missing_evidence, _missing_step),
    Rule("file or directory closed to this user", "permission", _unreadable, _unreadable_evidence, unreadable_step),
    Rule("another processor", "wrong-arch", _wrong_arch, _wrong_arch_evidence, _foreign_step),
    Rule("another system or C library", "wrong-os", _foreign, _foreign_evidence, _foreign_step),
    Rule("bytes are missing", "truncated", _empty_or_cut, _cut_evidence, restore_step),
    Rule("no shared library", "not-a-library", _no_library, _no_library_evidence, _no_library_step),
)
