"""Rules about the process and the system: what a sound file with all its needs can still fail on."""

from __future__ import annotations

import os
import sys

from dlrepair.binary.elf import ElfError, open_elf, read_facts
from dlrepair.diagnose.rule import Finding, Rule, fact, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.diagnose.facts import Facts
    from dlrepair.model.diagnosis import Evidence

#: glibc from which a library that asks for an executable stack is refused (NEWS for 2.41).
REFUSES_EXECSTACK = (2, 41)


def mount_of(path: str, table: str = "/proc/self/mountinfo") -> tuple[str, tuple[str, ...]]:
    """(mount point, options) of the file system that holds ``path``, from ``table`` (proc(5)).

    ("", ()) where the table cannot be read.
    """
    real = os.path.realpath(path)
    best, options = "", ()  # type: str, tuple[str, ...]
    try:
        with open(table, "rb") as file:
            lines = file.read(1 << 22).split(b"\n")
    except OSError:
        return "", ()
    for line in lines:
        fields = line.split()
        if len(fields) < 6:
            continue
        point = os.fsdecode(fields[4]).replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount hides an earlier one
            best, options = point, tuple(os.fsdecode(fields[5]).split(","))
    return best, options


def _noexec(facts: Facts) -> Finding | None:
    """A file of the closure on a file system without execution; ld.so then cannot map its code."""
    if facts.symptom.kind not in ("map-failed", "permission", "unknown"):
        return None
    for path in facts.objects():
        point, options = mount_of(path)
        if "noexec" in options:
            return Finding(path, (point, options))
    return None


def _noexec_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    point, options = finding.detail
    return (
        fact("mount", "{} lies on {}, mounted {}".format(finding.path, point, ",".join(options)), point),
        fact("rule", "the kernel maps no code from such a file system (mmap(2), EPERM)", "noexec"),
    )


def _noexec_step(facts: Facts, finding: Finding) -> str:
    return "mount -o remount,exec {}".format(quote(finding.detail[0]))


def _execstack(facts: Facts) -> Finding | None:
    if facts.symptom.kind != "execstack" and (facts.request.error or _glibc() < REFUSES_EXECSTACK):
        return None
    for path in facts.objects():
        elf = read_facts(path).elf
        if elf is not None and elf.execstack:
            return Finding(path)
    return None


def _glibc() -> tuple[int, ...]:
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()  # "glibc 2.36"
        return tuple(int(part) for part in words[1].split(".")[:2])
    except (ValueError, OSError, IndexError, AttributeError):
        return (0, 0)


def _execstack_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return (
        fact("gnu-stack", "{} has an executable PT_GNU_STACK, or none".format(finding.path), finding.path),
        fact("glibc", "glibc here is {}".format(".".join(map(str, _glibc()))), ".".join(map(str, _glibc()))),
    )


def _execstack_step(facts: Facts, finding: Finding) -> str:
    from dlrepair.binary import edit

    try:
        with open_elf(finding.path) as library:
            needed = edit.has_trampolines(library.image)
    except (OSError, ElfError):
        needed = False
    if needed:  # without the flag its nested functions would crash
        return "Build {} without nested functions: gcc -Werror=trampolines names them.".format(
            os.path.basename(finding.path)
        )
    return "patchelf --clear-execstack {}".format(quote(finding.path))


def static_tls_room() -> int:
    """Bytes of static TLS that glibc keeps for libraries loaded later, by its tunable (elf/dl-tls.c)."""
    from dlrepair.binary.machine import STATIC_TLS_ROOM
    from dlrepair.binary.process import start_env

    for setting in start_env("GLIBC_TUNABLES").split(":"):
        name, _, value = setting.partition("=")
        if name == "glibc.rtld.optional_static_tls":
            try:
                return STATIC_TLS_ROOM + int(value, 0)
            except ValueError:
                return STATIC_TLS_ROOM
    return STATIC_TLS_ROOM


def _static_tls(facts: Facts) -> Finding | None:
    if not facts.request.error and not facts.request.exception:
        return _static_tls_ahead(facts)
    if facts.symptom.kind != "static-tls":
        return None
    named = facts.symptom.failing_object or ""
    best, size = facts.path or named, 0
    for path in facts.objects():
        elf = read_facts(path).elf
        tls = elf.tls_size if elf is not None else 0
        if tls and (os.path.basename(path) == os.path.basename(named) or tls > size):
            best, size = path, tls
    return Finding(best, size)


def _static_tls_ahead(facts: Facts) -> Finding | None:
    """Before any load: a library that must have static TLS (DF_STATIC_TLS) and wants more than there ever is."""
    from dlrepair.binary.machine import DF_STATIC_TLS

    for path in facts.objects():
        elf = read_facts(path).elf
        if elf is not None and elf.flags & DF_STATIC_TLS and elf.tls_size > static_tls_room():
            return Finding(path, elf.tls_size)
    return None


def _static_tls_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof = [fact("words", "ld.so found no room for it in the static TLS block", facts.symptom.kind)]
    if not facts.request.error:
        room = static_tls_room()
        proof = [fact("room", "glibc keeps about {} bytes of static TLS for libraries loaded later".format(room), room)]
    if finding.detail:
        proof.append(
            fact(
                "tls-size",
                "{} wants {} bytes of thread-local storage".format(finding.path, finding.detail),
                finding.detail,
            )
        )
    return tuple(proof)


def _static_tls_step(facts: Facts, finding: Finding) -> str:
    return "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=32768 python {}".format(quote(facts.request.script or "…"))


def _no_memory(facts: Facts) -> Finding | None:
    if facts.symptom.kind not in ("no-memory", "map-failed") or facts.file.elf is None:
        return None
    limit = _address_space()
    needed = sum(_extent(path) for path in facts.objects())
    tight = limit is not None and _mapped_bytes() + needed > limit
    if tight or facts.symptom.kind == "no-memory" or "Cannot allocate memory" in facts.request.error:
        return Finding(facts.path or "", (limit, needed))
    return None


def _extent(path: str) -> int:
    """Bytes of address space that the file's PT_LOAD segments span, zero-filled parts included."""
    try:
        with open_elf(path) as elf:
            return max((seg[3] + seg[5] for seg in elf.image.segments if seg[0] == 1), default=0)
    except (OSError, ElfError):
        return 0


def _address_space() -> int | None:
    """The soft limit on this process's address space in bytes (RLIMIT_AS), None without one."""
    try:
        with open("/proc/self/limits", "rb") as file:
            for line in file:
                if line.startswith(b"Max address space"):
                    value = line.split()[3]
                    return None if value == b"unlimited" else int(value)
    except (OSError, ValueError, IndexError):
        return None
    return None


def _mapped_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _no_memory_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    limit, needed = finding.detail
    proof = [fact("needs", "it and what it needs map {} bytes".format(needed), needed)]
    proof.append(fact("mapped", "this process has {} bytes mapped".format(_mapped_bytes()), _mapped_bytes()))
    if limit is not None:
        proof.append(fact("limit", "its address space is limited to {} bytes (RLIMIT_AS)".format(limit), limit))
    return tuple(proof)


def _no_memory_step(facts: Facts, finding: Finding) -> str:
    return "ulimit -v unlimited" if finding.detail[0] is not None else "Free memory, or load the library earlier."


def _refused_by_system(facts: Facts) -> Finding | None:
    """Permission denied for a readable file: a security module, or a text relocation that one forbids."""
    denied = facts.symptom.kind == "map-failed" and "Permission denied" in facts.request.error
    if not (denied or facts.symptom.kind == "permission") or facts.file.elf is None:
        return None
    return Finding(facts.path or "", facts.file.elf.flags)


def _refused_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof = [
        fact("readable", "{} can be read by this process".format(finding.path), finding.path),
        fact(
            "words",
            "ld.so was refused all the same: a security module (SELinux, AppArmor) forbids the mapping",
            facts.request.error,
        ),
    ]
    if int(finding.detail) & 4:
        proof.append(fact("textrel", "it has text relocations (DF_TEXTREL): it was not compiled with -fPIC", "textrel"))
    return tuple(proof)


def _refused_step(facts: Facts, finding: Finding) -> str:
    return "restorecon -v {}".format(quote(finding.path))


def _registered(facts: Facts) -> Finding | None:
    if facts.symptom.kind != "already-registered":
        return None
    return Finding(facts.path or facts.symptom.failing_object or "", _twin(facts))


def _twin(facts: Facts) -> str:
    """A loaded object that is this file, or another copy of it (same build-id, or same leaf name)."""
    if facts.path is None:
        return ""
    own = facts.file.elf
    for path in facts.view.loaded:
        if os.path.realpath(path) == os.path.realpath(facts.path):
            continue
        other = read_facts(path).elf
        same_build = own is not None and other is not None and own.build_id and own.build_id == other.build_id
        if same_build or os.path.basename(path) == os.path.basename(facts.path):
            return path
    return ""


def _registered_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    words = facts.request.error[:300]
    proof = [fact("words", "it registers what this process holds already: " + words, words)]
    if finding.detail:
        proof.append(
            fact(
                "twin",
                "{} is loaded already: the same library under another path".format(finding.detail),
                finding.detail,
            )
        )
    return tuple(proof)


def _registered_step(facts: Facts, finding: Finding) -> str:
    if finding.detail:
        return "Load {} only, under this one path.".format(finding.detail)
    return "Load the library once, and keep what the first load returned."


def _signature(facts: Facts) -> Finding | None:
    if facts.symptom.kind != "code-signature" or not (sys.platform == "darwin" or facts.file.kind == "macho"):
        return None
    return Finding(facts.path or facts.symptom.failing_object or "")


def _signature_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return (fact("words", "dyld refused its signature: " + facts.request.error[:300], facts.symptom.kind),)


def _signature_step(facts: Facts, finding: Finding) -> str:
    return "codesign --force --sign - {}".format(quote(finding.path))


def _initializer(facts: Facts) -> Finding | None:
    """Everything is in order, and yet: what is left to fail is code that runs when it is loaded."""
    named = facts.symptom.kind == "initializer"
    raised = facts.request.exception and not facts.request.exception.endswith(
        ("OSError", "ImportError", "NotFoundError")
    )
    if not (named or (raised and facts.symptom.kind == "unknown")) or facts.file.elf is None:
        return None
    if not facts.file.elf.has_init and not any(_has_init(path) for path in facts.objects()):
        return None
    return Finding(facts.path or "")


def _has_init(path: str) -> bool:
    elf = read_facts(path).elf
    return elf is not None and elf.has_init


def _initializer_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return (
        fact(
            "initializer",
            "{} runs code when it is loaded (DT_INIT or DT_INIT_ARRAY)".format(finding.path),
            finding.path,
        ),
        fact("complete", "all that it needs is found, and every symbol is defined"),
        fact(
            "words",
            "{}: {}".format(facts.request.exception or "the process", facts.request.error[:300]),
            facts.request.exception,
        ),
    )


def _initializer_step(facts: Facts, finding: Finding) -> str:
    return "gdb -ex run -ex bt --args python -c 'import ctypes; ctypes.CDLL(\"{}\")'".format(finding.path)


RULES = (
    Rule("registered twice", "duplicate-registration", _registered, _registered_evidence, _registered_step),
    Rule("signature refused", "code-signature", _signature, _signature_evidence, _signature_step),
)

#: Behind the rules about files, dependencies and symbols: these need them to be in order.
LATER = (
    Rule("no execution on its file system", "noexec", _noexec, _noexec_evidence, _noexec_step),
    Rule("executable stack", "execstack", _execstack, _execstack_evidence, _execstack_step),
    Rule("static TLS is used up", "static-tls", _static_tls, _static_tls_evidence, _static_tls_step),
    Rule("memory", "no-memory", _no_memory, _no_memory_evidence, _no_memory_step),
    Rule("a security module", "permission", _refused_by_system, _refused_evidence, _refused_step),
    Rule("its own code", "initializer-crash", _initializer, _initializer_evidence, _initializer_step),
)
